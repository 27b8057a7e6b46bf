package console

import (
	"context"
	"encoding/json"
	"net/http"
	"time"
)

// A Queue is a queue of deferred runs for the console. Its methods must be safe
// for concurrent use.
type Queue interface {
	// Jobs lists at most limit jobs that are not done, beginning with those that
	// need an operator, and counts all jobs by state.
	Jobs(ctx context.Context, limit int) (jobs []Job, counts map[string]int, err error)

	// Job returns a job with its history, or nil if the queue does not know it. A
	// queue may know a job for some time after it is done.
	Job(ctx context.Context, id string) (*JobDetails, error)

	// Retry makes a job run again as soon as possible: with the live version of
	// the scripts if live is true, else with its own. Drop gives the job up.
	Retry(ctx context.Context, id string, live bool) error
	Drop(ctx context.Context, id string) error
}

// A Job is a deferred run.
type Job struct {
	ID          string    `json:"id"`
	Run         string    `json:"run"`   // id of the run
	State       string    `json:"state"` // "queued", "running", "retrying", "dead" or, of Queue.Job, "finished"
	APIKey      string    `json:"apiKey"`
	Credential  string    `json:"credential"`
	Version     string    `json:"version,omitempty"` // with which it was accepted; empty if its attempts run the live version
	Accepted    time.Time `json:"accepted"`
	Next        time.Time `json:"next,omitzero"` // when it is tried again
	Attempts    int       `json:"attempts"`
	MaxAttempts int       `json:"maxAttempts"`
	Error       string    `json:"error,omitempty"` // of the last attempt
}

// JobDetails are a job with its history, without the data of its call.
type JobDetails struct {
	Job
	Errors []JobError      `json:"errors"`
	Result json.RawMessage `json:"result,omitempty"` // of a job that is done, by name
}

// A JobError is why an attempt failed.
type JobError struct {
	Attempt int       `json:"attempt"`
	At      time.Time `json:"at"`
	Error   string    `json:"error"`
}

// maxJobs is how many jobs the page lists.
const maxJobs = 500

func (c *Console) getQueue(w http.ResponseWriter, r *http.Request) {
	if c.Queue == nil {
		writeError(w, http.StatusNotFound, "this host has no queue")
		return
	}
	jobs, counts, err := c.Queue.Jobs(r.Context(), maxJobs)
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, "the queue does not answer: "+err.Error())
		return
	}
	if jobs == nil {
		jobs = []Job{}
	}
	writeJSON(w, map[string]any{"jobs": jobs, "counts": counts})
}

func (c *Console) getJob(w http.ResponseWriter, r *http.Request) {
	if c.Queue == nil {
		writeError(w, http.StatusNotFound, "this host has no queue")
		return
	}
	job, err := c.Queue.Job(r.Context(), r.PathValue("id"))
	switch {
	case err != nil:
		writeError(w, http.StatusServiceUnavailable, "the queue does not answer: "+err.Error())
	case job == nil:
		writeError(w, http.StatusNotFound, "no such run, or it is no longer remembered")
	default:
		writeJSON(w, job)
	}
}

func (c *Console) postQueue(w http.ResponseWriter, r *http.Request) {
	var body struct{ Action string }
	if !readJSON(w, r, &body) {
		return
	}
	if c.Queue == nil {
		writeError(w, http.StatusNotFound, "this host has no queue")
		return
	}
	var err error
	switch body.Action {
	case "retry", "retry-live":
		err = c.Queue.Retry(r.Context(), r.PathValue("id"), body.Action == "retry-live")
	case "drop":
		err = c.Queue.Drop(r.Context(), r.PathValue("id"))
	default:
		writeError(w, http.StatusBadRequest, "want the action retry, retry-live or drop")
		return
	}
	if err != nil {
		writeError(w, http.StatusConflict, err.Error())
		return
	}
	writeJSON(w, map[string]bool{"done": true})
}
