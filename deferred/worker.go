package deferred

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"sync"
	"sync/atomic"
	"time"

	"example.com/callback"
)

// DefaultMaxAge is how long a call waits for a place before it is dead, unless the
// [Worker] sets it.
const DefaultMaxAge = 24 * time.Hour

// A Worker runs the calls of a [Queue]. Its fields must not change once it
// runs.
type Worker struct {
	// Queue is where the calls are. It is required.
	Queue Queue

	// Runner runs them: as a rule the [*callback.Handler], which gives each its
	// deadline, outbound client, members and logger. It is required.
	Runner callback.ScriptRunner

	// DangerouslyInProcess allows a [callback.GojaRunner] as Runner. There a
	// script that ends its process also ends the worker and all other runs, again
	// at each attempt. Package sandbox has a runner that keeps scripts apart. A
	// runner that wraps another one shows it by a method Unwrap, as that of
	// otelcallback does.
	DangerouslyInProcess bool

	// MaxPerCredential is how many calls of a credential this worker runs at
	// once. Others of it come later, without holding up those of other
	// credentials. Zero means that there is no limit.
	MaxPerCredential int

	// Backoff returns the time from a failed attempt, which counts from 1, to
	// the next. nil means 5 seconds, 15, 45, and so on up to an hour, give or
	// take a tenth.
	Backoff func(attempt int) time.Duration

	// MaxAge is how long after it was due a call that cannot be run, for
	// overload or an outage, becomes dead. Zero means DefaultMaxAge.
	MaxAge time.Duration

	// Judge, if not nil, gets the verdict on an attempt and may change it.
	Judge func(ctx context.Context, job *Job, verdict Verdict) Verdict

	// Logger takes what goes wrong. nil means [slog.Default].
	Logger *slog.Logger

	limits limits
}

// ErrInProcess refuses a [Worker] whose scripts share its process.
var ErrInProcess = errors.New("callback: a worker needs a sandbox: with a GojaRunner one script can end all that run beside it (DangerouslyInProcess allows it)")

// Run runs calls until ctx is done. Then it takes no more and returns when those
// under way have ended. The error is that of a Worker that cannot start.
func (w *Worker) Run(ctx context.Context) error {
	if w.Queue == nil || w.Runner == nil {
		return errors.New("callback: deferred.Worker needs a Queue and a Runner")
	}
	if !w.DangerouslyInProcess && inProcess(w.Runner) {
		return ErrInProcess
	}
	return w.Queue.Work(ctx, w.attempt)
}

// inProcess reports whether a runner is known to run scripts in this process.
func inProcess(runner callback.ScriptRunner) bool {
	switch r := runner.(type) {
	case *callback.Handler:
		return inProcess(r.Runner)
	case *Runner:
		return inProcess(r.Next)
	case *callback.GojaRunner:
		return true
	case interface{ Unwrap() callback.ScriptRunner }:
		return inProcess(r.Unwrap())
	}
	return false
}

// A deferredRun is what an attempt of a job knows of itself.
type deferredRun struct {
	name      string
	scheduled atomic.Int64 // calls of the scheduler so far
}

type runKey struct{}

func runOf(ctx context.Context) *deferredRun {
	r, _ := ctx.Value(runKey{}).(*deferredRun)
	return r
}

// RunName returns a name for the deferred run that ctx belongs to, for a host
// function that must tell an attempt of one run from another run. The name is the
// same on each attempt, and no other run has it, even if the run id was its caller's
// choice. Outside of a deferred run it is empty.
func RunName(ctx context.Context) string {
	if r := runOf(ctx); r != nil {
		return r.name
	}
	return ""
}

// attempt runs a job and judges it.
func (w *Worker) attempt(ctx context.Context, job *Job) Verdict {
	owner := job.APIKey + "/" + job.Credential
	delay, ok := w.limits.enter(owner, w.MaxPerCredential)
	if !ok {
		return w.later(job, Verdict{Action: Later, Delay: delay, Err: errLimit})
	}
	start := time.Now()
	verdict := w.run(ctx, job)
	w.limits.leave(owner, w.MaxPerCredential, time.Since(start))
	if w.Judge != nil {
		verdict = w.Judge(ctx, job, verdict)
	}
	verdict = w.later(job, verdict)
	if verdict.Action != Done {
		log := cmp.Or(w.Logger, slog.Default())
		log.WarnContext(ctx, "callback: deferred run failed", "run", job.ID, "api_key", job.APIKey, "credential", job.Credential,
			"attempt", job.Attempt, "of", job.MaxAttempts, "verdict", verdict.Action.String(), "error", verdict.Err)
	}
	return verdict
}

var errLimit = errors.New("callback: the credential has all of its places")

// later turns the verdict on a call that has waited too long into Drop.
func (w *Worker) later(job *Job, v Verdict) Verdict {
	if v.Action != Later || age(job) <= cmp.Or(w.MaxAge, DefaultMaxAge) {
		return v
	}
	return Verdict{Action: Drop, Err: fmt.Errorf("callback: waited past its time: %w", v.Err)}
}

// age is how long ago the job became due for the first time.
func age(job *Job) time.Duration {
	due := job.Created
	if job.NotBefore.After(due) {
		due = job.NotBefore
	}
	return time.Since(due)
}

func (w *Worker) run(ctx context.Context, job *Job) (verdict Verdict) {
	defer func() {
		if v := recover(); v != nil { // its value may hold a secret
			verdict = w.retry(job, fmt.Errorf("callback: panic of type %T in a deferred run", v))
		}
	}()
	var call callback.Call
	if err := json.Unmarshal(job.Call, &call); err != nil {
		return Verdict{Action: Drop, Err: fmt.Errorf("callback: the job holds no call: %w", err)}
	}
	if job.Live {
		call.Version = ""
	}
	result, err := w.Runner.RunScript(context.WithValue(ctx, runKey{}, &deferredRun{name: nameOf(job)}), &call)
	switch {
	case err == nil:
		if status := statusOf(result); status == 429 || status >= 500 {
			return w.retry(job, fmt.Errorf("callback: the script answered with status %d", status))
		}
		return Verdict{Action: Done, Result: result}
	case errors.Is(err, callback.ErrNoScript):
		return Verdict{Action: Drop, Err: err}
	case errors.Is(err, callback.ErrOverloaded), errors.Is(err, callback.ErrUnavailable), errors.Is(err, callback.ErrTooMany):
		return Verdict{Action: Later, Delay: patience(job), Err: err}
	}
	return w.retry(job, err)
}

// nameOf returns what RunName says in the attempts of a job.
func nameOf(job *Job) string {
	return NewKey("run", job.APIKey, job.Credential, job.ID, job.Created.UTC().Format(time.RFC3339Nano))
}

// statusOf returns the status that a script has set, or 0.
func statusOf(result *callback.Result) (status int) {
	if result == nil {
		return 0
	}
	for _, field := range result.Data {
		if field.Name == "RESPONSE_STATUS" {
			_ = json.Unmarshal(field.Value, &status)
		}
	}
	return status
}

// patience is the time until the next attempt of a call that could not be run. It
// grows with the time that the call has waited, so that an outage is not followed
// by a storm of calls.
func patience(job *Job) time.Duration {
	return jitter(min(max(age(job)/8, time.Second), time.Minute))
}

func (w *Worker) retry(job *Job, err error) Verdict {
	backoff := w.Backoff
	if backoff == nil {
		backoff = defaultBackoff
	}
	return Verdict{Action: Retry, Delay: backoff(job.Attempt), Err: err}
}

func defaultBackoff(attempt int) time.Duration {
	delay := 5 * time.Second
	for range min(attempt-1, 7) {
		delay *= 3
	}
	return jitter(min(delay, time.Hour))
}

// jitter changes a time by up to a tenth, so that what failed together does not
// come back together.
func jitter(d time.Duration) time.Duration {
	return d + time.Duration((rand.Float64()-0.5)/5*float64(d))
}

// limits counts the calls of each credential that are under way. The zero value
// is ready to use.
type limits struct {
	mu     sync.Mutex
	owners map[string]*owner
}

// An owner is a credential with calls that are under way or put off.
type owner struct {
	running int
	mean    time.Duration // of its calls, roughly
	next    time.Time     // turn of the last call that has one
	far     time.Time     // when the last call without a turn tries again
}

const (
	// turns is how far ahead a call gets a turn. Queues keep short delays to a
	// fraction of a second; longer delays may end some seconds late.
	turns = 4 * time.Second
	// maxPutOff bounds the time for which any call is put off.
	maxPutOff = 10 * time.Minute
)

// enter takes one of an owner's places, or returns the time after which the call
// must try again. The first calls that are put off try again one by one, at the
// rate at which the owner's calls end. Further calls try again later, at a few times
// that rate, because most of them find no turn. So a backlog of any length costs a
// bounded number of attempts a second.
func (l *limits) enter(name string, limit int) (delay time.Duration, ok bool) {
	if limit <= 0 {
		return 0, true
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.owners == nil {
		l.owners = map[string]*owner{}
	}
	o := l.owners[name]
	if o == nil {
		o = &owner{mean: 100 * time.Millisecond}
		l.owners[name] = o
	}
	if o.running < limit {
		o.running++
		return 0, true
	}
	now := time.Now()
	step := max(o.mean/time.Duration(limit), time.Millisecond)
	next := latest(o.next, now).Add(step)
	if wait := next.Sub(now); wait < turns {
		o.next = next
		return wait, false
	}
	far := latest(o.far, now.Add(turns)).Add(min(step/4, 10*time.Millisecond))
	if wait := far.Sub(now); wait < maxPutOff {
		o.far = far
		return wait, false
	}
	return jitter(maxPutOff), false
}

func latest(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// leave gives a place back after a call that took that long.
func (l *limits) leave(name string, limit int, took time.Duration) {
	if limit <= 0 {
		return
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	o := l.owners[name]
	o.running--
	o.mean = (o.mean*7 + took) / 8
	if now := time.Now(); o.running == 0 && o.next.Before(now) && o.far.Before(now) {
		delete(l.owners, name)
	}
}
