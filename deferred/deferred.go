// Package deferred answers a call now and runs it later. Senders of webhooks
// give up after a few seconds and send again, so a script whose work takes
// longer, or must not be lost, does better in a queue.
//
// A [Runner] stands before the ScriptRunner of a [callback.Handler]. It puts the
// calls that are to be deferred into a [Queue] and answers them, once the queue
// has committed them, with 202 and {"run": id}. A [Worker], in the same process
// or in another, takes them out and runs them:
//
//	queue, err := rivercallback.Open(ctx, "queue.db", rivercallback.Options{})
//	handler := &callback.Handler{Runner: &deferred.Runner{Next: pool, Queue: queue, Source: scripts}, …}
//	worker := &deferred.Worker{Queue: queue, Runner: handler}
//	err = worker.Run(ctx)
//
// # What is promised
//
// A call that was answered with 202 runs at least once, whatever process dies
// meanwhile, as long as the queue keeps what it has committed. It runs more than
// once if an attempt fails, or if a worker dies after the work and before it has
// said so. No queue can tell the two apart, so each attempt has the same run id
// (Spark.getSessionId() in the script): give it to other servers as the
// idempotency key. Each attempt runs the version of the scripts that was live
// when the call was accepted.
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
	// ID is the call's run id. It is the same on every attempt. Two jobs may
	// have the same, if the host takes run ids from its callers; then an
	// [Operator] finds the newer one.
	ID string

	// Key, if not empty, makes the job unique: as long as the queue knows a job
	// of this key, whatever its state, another is not stored. [NewKey] makes
	// one.
	Key string

	// Label, if not empty, is what [Operator].Cancel finds the job by. Several
	// jobs may have the same. [NewKey] makes one.
	Label string

	// APIKey, Credential, Script and Version are those of the call, for lists.
	APIKey     string
	Credential string
	Script     string
	Version    string

	// Call is the [callback.Call] as JSON.
	Call json.RawMessage

	// Created is when the call was accepted. NotBefore, if later, is when it may
	// run.
	Created   time.Time
	NotBefore time.Time

	// MaxAttempts is how often the job may be begun. It is at least 1.
	MaxAttempts int

	// Attempt counts the times the job was begun, this one included. The Queue
	// sets it. An attempt that ended with [Later] does not count.
	Attempt int

	// Live is set by the Queue if an operator wants the job to run with the
	// version that is live, instead of its own.
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

// NewKey makes of a list of strings a key that any queue can store: 64 letters
// and digits. Different lists have different keys.
func NewKey(parts ...string) string {
	h := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(h, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// A Queue keeps jobs until they are done. Package queuetest has the test of
// what is said here. Both methods must be safe for concurrent use.
type Queue interface {
	// Enqueue stores a job and returns its ID once it is committed. If there is
	// a job of the same Key, it returns the ID of that one and stores nothing.
	// After an error the job may be stored nevertheless, as when the answer is
	// lost.
	Enqueue(ctx context.Context, job *Job) (id string, err error)

	// Work hands jobs to work, several at once, in about the order in which
	// they are due, and does what the verdict says. When ctx is done it takes no
	// more, waits for the ones that are under way, and returns nil. A job whose
	// worker died is handed out again, as its next attempt, or is dead after its
	// last. Work outlasts times in which the store is down.
	Work(ctx context.Context, work func(ctx context.Context, job *Job) Verdict) error
}

// A Verdict is what becomes of a job after an attempt. The zero value is
// [Retry], at once.
type Verdict struct {
	Action Action

	// Delay is the shortest time until the next attempt, for Retry and Later.
	// Below zero it is zero.
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

// A State is where a job is.
type State string

// The states of a job.
const (
	Queued   State = "queued"   // due, or to come
	Running  State = "running"  // in the hands of a worker
	Retrying State = "retrying" // an attempt failed, another follows
	Dead     State = "dead"     // until an operator retries or drops it
	Finished State = "finished" // done; kept for a time
)

// States are all states, in the order in which an operator wants to see them.
func States() []State { return []State{Queued, Running, Retrying, Dead, Finished} }

// A Status is what a queue knows of a job.
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

// ErrNoJob means that the queue does not know a job of this ID, or no longer.
var ErrNoJob = errors.New("callback: no such job")

// ErrRunning means that the job is in the hands of a worker.
var ErrRunning = errors.New("callback: the job is running")

// An Operator looks into a queue and acts on what it finds. A [Queue] for
// production is one as well. Its methods must be safe for concurrent use.
type Operator interface {
	// Status returns the job of this ID, with its call. The error is ErrNoJob
	// if there is none.
	Status(ctx context.Context, id string) (*Status, error)

	// List returns at most limit jobs in a state, the most recent first,
	// without their calls and results.
	List(ctx context.Context, state State, limit int) ([]Status, error)

	// Counts returns the number of jobs in each state.
	Counts(ctx context.Context) (map[State]int, error)

	// Retry makes a job due now, also one that is dead or finished, with at
	// least one more attempt. If live is true, it runs with the version that is
	// live then. The error is ErrRunning for a job that runs.
	Retry(ctx context.Context, id string, live bool) error

	// Drop removes a job, whose Key is then free. The error is ErrRunning for a
	// job that runs.
	Drop(ctx context.Context, id string) error

	// Cancel removes the jobs of this label that wait, and returns how many.
	Cancel(ctx context.Context, label string) (int, error)
}
