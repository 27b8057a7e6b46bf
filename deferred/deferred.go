// Package deferred answers a call now and runs it later. Senders of webhooks
// give up after a few seconds and send again. So work that takes longer, or that
// must not be lost, belongs in a queue.
//
// A [Runner] wraps the ScriptRunner of a [callback.Handler]. It puts calls that
// are to be deferred into a [Queue]. Once the queue has committed a call, the
// Runner answers it with 202 and {"run": id}. A [Worker], in the same process or
// in another, takes the calls out and runs them:
//
//	queue, err := rivercallback.OpenSQLite(ctx, "queue.db", rivercallback.Options{})
//	handler := &callback.Handler{Runner: &deferred.Runner{Next: pool, Queue: queue, Source: scripts}, …}
//	worker := &deferred.Worker{Queue: queue, Runner: handler}
//	err = worker.Run(ctx)
//
// # Guarantees
//
// A call that was answered with 202 runs at least once, whichever process dies
// in between, as long as the queue keeps what it has committed. It runs more than
// once if an attempt fails, or if a worker dies after the work and before it has
// reported it. No queue can tell these two apart. So each attempt has the same run
// id (Spark.getSessionId() in the script), for other servers to use as the
// idempotency key. Each attempt runs the version of the scripts that was live when
// the call was accepted.
package deferred

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"example.com/callback"
)

// A Job is a call in a [Queue].
type Job struct {
	// ID is the call's run id. It is the same on every attempt. If the host takes
	// run ids from its callers, two jobs may have the same ID. An [Operator] then
	// finds the newer one.
	ID string

	// Key, if not empty, makes the job unique: while the queue has a job with
	// this key, in whatever state, it stores no other. [NewKey] makes one.
	Key string

	// Label, if not empty, identifies the job for [Operator].Cancel. Several jobs
	// may have the same label. [NewKey] makes one.
	Label string

	// APIKey, Credential, Script and Version are those of the call. Lists of jobs
	// show them.
	APIKey     string
	Credential string
	Script     string
	Version    string

	// Call is the [callback.Call] as JSON.
	Call json.RawMessage

	// Created is when the call was accepted. NotBefore, if it is later, is the
	// earliest time to run it.
	Created   time.Time
	NotBefore time.Time

	// MaxAttempts is how often the job may be begun. It is at least 1.
	MaxAttempts int

	// Attempt is the number of this attempt, counted from 1. The Queue sets it.
	// An attempt that ended with [Later] does not count.
	Attempt int

	// Live is set by the Queue if an operator wants the job to run with the live
	// version instead of its own.
	Live bool
}

// NewJob returns a job for a call. Its call must have a RunID.
func NewJob(call *callback.Call, maxAttempts int) (*Job, error) {
	text, err := json.Marshal(call)
	if err != nil {
		return nil, fmt.Errorf("callback: call cannot be deferred: %w", err)
	}
	return &Job{
		ID:          call.RunID,
		APIKey:      call.APIKey,
		Credential:  call.Credential,
		Script:      call.Script,
		Version:     call.Version,
		Call:        text,
		Created:     time.Now(),
		MaxAttempts: max(maxAttempts, 1),
	}, nil
}

// NewKey turns a list of strings into a key that any queue can store: 64 letters
// and digits. Different lists have different keys.
func NewKey(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// A Queue keeps jobs until they are done. Package queuetest tests whether an
// implementation keeps to this contract. Both methods must be safe for concurrent
// use.
type Queue interface {
	// Enqueue stores a job and returns its ID once the job is committed. If the
	// queue has a job with the same Key, Enqueue stores nothing and returns the
	// ID of that job. After an error the job may be stored nevertheless, for
	// example if only the answer was lost.
	Enqueue(ctx context.Context, job *Job) (id string, err error)

	// Work passes jobs to work, several at once, approximately in the order in
	// which they are due, and does what the verdict says. When ctx is done it
	// takes no more jobs, waits for those under way, and returns nil. While the
	// store is down, it waits for it.
	//
	// If a worker dies, its jobs are run again as their next attempt, or are dead
	// after their last.
	Work(ctx context.Context, work func(ctx context.Context, job *Job) Verdict) error
}

// A Verdict says what to do with a job after an attempt. The zero value is
// [Retry], at once.
type Verdict struct {
	Action Action

	// Delay is the minimum time until the next attempt, for Retry and Later. A
	// negative one counts as zero.
	Delay time.Duration

	// Err is why the job is not done. Its text is kept with the job.
	Err error

	// Result is what the script has set, for Done. It is kept with the job.
	Result *callback.Result
}

// An Action is the kind of a [Verdict].
type Action int

const (
	// Retry: the attempt failed. The job is tried again, or is dead if that was
	// its last attempt.
	Retry Action = iota
	// Later: the call did not run. The attempt does not count.
	Later
	// Drop: the call can never run. The job is dead at once.
	Drop
	// Done: the call ran.
	Done
)

// String returns the action in lower case.
func (a Action) String() string {
	if a < Retry || a > Done {
		return "invalid"
	}
	return [...]string{"retry", "later", "drop", "done"}[a]
}

// A State is the state of a job.
type State string

// The states of a job.
const (
	Queued   State = "queued"   // waits until it is due
	Running  State = "running"  // a worker runs it
	Retrying State = "retrying" // an attempt failed, another follows
	Dead     State = "dead"     // until an operator retries or drops it
	Finished State = "finished" // done; kept for a time
)

// States lists all states in the order in which an operator wants to see them.
func States() []State { return []State{Queued, Running, Retrying, Dead, Finished} }

// A Status is a queue's knowledge of a job.
type Status struct {
	Job
	State State

	// Due is when the job runs next, while it is Queued or Retrying. Ended is
	// when it became Finished or Dead.
	Due   time.Time
	Ended time.Time

	// Errors are those of the attempts, the oldest first.
	Errors []AttemptError

	// Result is that of a Finished job.
	Result *callback.Result
}

// An AttemptError is why an attempt failed.
type AttemptError struct {
	Attempt int
	At      time.Time
	Err     string
}

// ErrNoJob means that the queue has no job with this ID, or no longer has it.
var ErrNoJob = errors.New("callback: no such job")

// ErrRunning means that a worker runs the job.
var ErrRunning = errors.New("callback: the job is running")

// An Operator inspects and operates a queue. A [Queue] for production is one as
// well. Its methods must be safe for concurrent use.
type Operator interface {
	// Status returns the job with this ID, and its call. The error is ErrNoJob if
	// there is none.
	Status(ctx context.Context, id string) (*Status, error)

	// List returns at most limit jobs in a state, the most recent first,
	// without their calls and results.
	List(ctx context.Context, state State, limit int) ([]Status, error)

	// Counts returns the number of jobs in each state.
	Counts(ctx context.Context) (map[State]int, error)

	// Retry makes a job due now and grants it at least one more attempt. The job
	// may be dead or finished. If live is true, it runs with the version that is
	// live when it runs, else with its own, also after an earlier retry with the
	// live one. The error for a running job is ErrRunning, and ErrNoJob if there is
	// none.
	Retry(ctx context.Context, id string, live bool) error

	// Drop removes a job and frees its Key. The error for a running job is
	// ErrRunning, and ErrNoJob if there is none.
	Drop(ctx context.Context, id string) error

	// Cancel removes the waiting jobs with this label, and returns their number.
	Cancel(ctx context.Context, label string) (int, error)
}
