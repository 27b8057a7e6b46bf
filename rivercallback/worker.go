package rivercallback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"github.com/riverqueue/river"

	"example.com/callback/deferred"
)

// MaxResult is the longest result that is kept with a job, in bytes of JSON. For
// a longer one only the fact that the job is finished is kept.
const MaxResult = 1 << 20

// fetchCooldown is the minimum time between two fetches of a busy worker, which
// fetches as many jobs as it has free places. With River's default of 100 ms, ten
// places could not do more than a hundred short runs a second.
const fetchCooldown = 10 * time.Millisecond

// fetchPoll is the time between two fetches of an idle worker. It finds jobs that
// become due by the clock, for which there is no notice.
const fetchPoll = 250 * time.Millisecond

// Work implements [deferred.Queue]. It also inserts the runs of Options.Cron:
// one of the workers of a queue does so at a time.
func (q *Queue) Work(ctx context.Context, work func(context.Context, *deferred.Job) deferred.Verdict) error {
	for {
		if err := q.workOnce(ctx, work); err != nil {
			q.logger.ErrorContext(ctx, "callback: queue: worker cannot start, it will try again", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(time.Second):
		}
	}
}

// workOnce runs a client of River until ctx is done or the client stops by
// itself.
func (q *Queue) workOnce(ctx context.Context, work func(context.Context, *deferred.Job) deferred.Verdict) error {
	workers := river.NewWorkers()
	river.AddWorker(workers, &worker{queue: q, work: work})
	client, err := q.connect(&river.Config{
		Schema:                      q.options.Schema,
		Queues:                      map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: q.options.Places}},
		Workers:                     workers,
		PeriodicJobs:                q.periodic(0),
		FetchCooldown:               fetchCooldown,
		FetchPollInterval:           fetchPoll,
		JobTimeout:                  q.options.MaxRun,
		RescueStuckJobsAfter:        q.options.MaxRun + 10*time.Second,
		CompletedJobRetentionPeriod: q.options.Keep,
		CancelledJobRetentionPeriod: -1, // jobs that a verdict has dropped are kept for the operator
		DiscardedJobRetentionPeriod: -1, // and so are jobs that have failed too often
		Logger:                      q.riverLogger(),
	})
	if err != nil {
		return err
	}
	// With this context River would cancel the runs under way.
	if err := client.Start(context.WithoutCancel(ctx)); err != nil {
		return err
	}
	q.followClock(ctx, client.Stopped(), client)
	if ctx.Err() == nil {
		return errors.New("callback: River has stopped")
	}
	patience, cancel := context.WithTimeout(context.WithoutCancel(ctx), q.options.MaxRun)
	defer cancel()
	if err := client.Stop(patience); err != nil {
		return client.StopAndCancel(context.WithoutCancel(ctx))
	}
	return nil
}

// A worker runs River's jobs.
type worker struct {
	river.WorkerDefaults[args]
	queue *Queue
	work  func(context.Context, *deferred.Job) deferred.Verdict
}

// Work implements [river.Worker].
func (w *worker) Work(ctx context.Context, row *river.Job[args]) error {
	job, n, err := unpack(row.JobRow)
	if err != nil {
		return river.JobCancel(fmt.Errorf("callback: queue: not a job: %w", err))
	}
	verdict := w.work(ctx, &job)
	w.queue.followJump(ctx)
	if verdict.Err == nil {
		verdict.Err = errors.New("callback: no reason given")
	}
	failure := errors.New(clean(verdict.Err.Error()))
	switch verdict.Action {
	case deferred.Done:
		return w.keep(ctx, n, verdict)
	case deferred.Later:
		return river.JobSnooze(max(verdict.Delay, 0))
	case deferred.Drop:
		return river.JobCancel(failure)
	}
	row.Args.delay = verdict.Delay
	return failure
}

// keep stores the result with the job.
func (w *worker) keep(ctx context.Context, n note, verdict deferred.Verdict) error {
	text, err := json.Marshal(verdict.Result)
	if err != nil || len(text) > MaxResult {
		w.queue.logger.WarnContext(ctx, "callback: queue: result is not kept", "bytes", len(text), "error", err)
		return nil
	}
	n.Result = text
	return river.RecordOutput(ctx, n)
}

// NextRetry implements [river.Worker]. River asks when an attempt has failed, or
// for one whose worker has died.
func (w *worker) NextRetry(row *river.Job[args]) time.Time {
	return time.Now().Add(max(row.Args.delay, 10*time.Millisecond))
}

// warnings is a slog.Handler for River. It drops records below a warning.
type warnings struct{ slog.Handler }

// Enabled implements [slog.Handler].
func (w warnings) Enabled(ctx context.Context, level slog.Level) bool {
	return level >= slog.LevelWarn && w.Handler.Enabled(ctx, level)
}

// WithAttrs implements [slog.Handler].
func (w warnings) WithAttrs(attrs []slog.Attr) slog.Handler {
	return warnings{w.Handler.WithAttrs(attrs)}
}

// WithGroup implements [slog.Handler].
func (w warnings) WithGroup(name string) slog.Handler { return warnings{w.Handler.WithGroup(name)} }
