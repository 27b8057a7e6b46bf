package rivercallback

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"time"

	"github.com/riverqueue/river"
	"github.com/robfig/cron/v3"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/internal/cloudcode"
)

// A CronEntry is a module that runs at set times. Each time is one run, whatever
// the number of workers. A time at which no worker is there is missed.
type CronEntry struct {
	// Schedule is a line of crontab: minute, hour, day of the month, month and
	// day of the week. It is in UTC, or in the zone of a prefix such as
	// "CRON_TZ=Europe/Berlin ". "@daily", "@every 90s" and the like are allowed
	// as well.
	Schedule string

	// APIKey and Module name what runs.
	APIKey string
	Module string

	// Data is the result of Spark.getData() in the run. nil is null.
	Data json.RawMessage

	// MaxAttempts bounds the attempts of a run. Zero means
	// [deferred.DefaultMaxAttempts].
	MaxAttempts int

	// CatchUp makes the workers, when they start, run the last missed time if it
	// is not longer ago than this. It must be shorter than Options.Keep, because
	// after that nobody knows whether the time was missed. Zero means that missed
	// times do not run.
	CatchUp time.Duration
}

// A cronJob is a CronEntry with its schedule.
type cronJob struct {
	entry    CronEntry
	schedule cron.Schedule

	mu      sync.Mutex
	next    time.Time     // when River makes the next run; zero at first
	catchUp time.Duration // entry.CatchUp or, at first after a jump of the clock, the time that it has skipped
	kept    time.Time     // after a jump, the next run of "@every" from before it
}

// Validate returns what is wrong with the entry by itself.
func (e CronEntry) Validate() error {
	if _, err := cron.ParseStandard(e.Schedule); err != nil {
		return fmt.Errorf("cron entry of module %s: %w", e.Module, err)
	}
	if !cloudcode.IsName(e.Module) {
		return fmt.Errorf("cron entry %q: %q is not the short code of a module", e.Schedule, e.Module)
	}
	if e.Data != nil && !json.Valid(e.Data) {
		return fmt.Errorf("cron entry of module %s: data are not JSON", e.Module)
	}
	return nil
}

func newCronJob(entry CronEntry, keep time.Duration) (*cronJob, error) {
	if err := entry.Validate(); err != nil {
		return nil, err
	}
	schedule, err := cron.ParseStandard(entry.Schedule)
	if err != nil {
		return nil, err
	}
	if entry.CatchUp >= keep {
		return nil, fmt.Errorf("cron entry of module %s: CatchUp is not shorter than Keep", entry.Module)
	}
	if entry.Data == nil {
		entry.Data = json.RawMessage("null")
	}
	if entry.MaxAttempts == 0 {
		entry.MaxAttempts = deferred.DefaultMaxAttempts
	}
	return &cronJob{entry: entry, schedule: schedule}, nil
}

// periodic converts Options.Cron to River's type. Of the times of an entry that a
// jump of the clock has skipped, the last one runs.
func (q *Queue) periodic(jumped time.Duration) []*river.PeriodicJob {
	var skipped time.Duration
	if jumped > 0 {
		skipped = min(jumped+noticed, q.options.Keep)
	}
	jobs := make([]*river.PeriodicJob, len(q.cron))
	for i, job := range q.cron {
		jobs[i] = job.periodic(q, skipped)
	}
	return jobs
}

// noticed bounds the time after which a jump of the clock is noticed. A time of
// cron that has run already does not run again.
const noticed = 10 * time.Second

// periodic converts the entry to River's type.
func (c *cronJob) periodic(q *Queue, skipped time.Duration) *river.PeriodicJob {
	c.mu.Lock()
	c.kept = time.Time{}
	if _, every := c.schedule.(cron.ConstantDelaySchedule); every && skipped > 0 {
		c.kept = c.next // otherwise each jump would begin the interval again
	}
	c.next, c.catchUp = time.Time{}, max(c.entry.CatchUp, skipped)
	catchUp := c.catchUp > 0
	c.mu.Unlock()
	construct := func() (river.JobArgs, *river.InsertOpts) {
		at := c.due(time.Now())
		if at.IsZero() {
			return nil, nil // River then inserts nothing
		}
		job, err := c.job(at, q.cronVersion(c.entry.APIKey))
		if err == nil {
			var a args
			var opts *river.InsertOpts
			if a, opts, err = q.pack(job); err == nil {
				return a, opts
			}
		}
		q.logger.Error("callback: queue: cron entry", "module", c.entry.Module, "error", err)
		return nil, nil
	}
	return river.NewPeriodicJob(c, construct, &river.PeriodicJobOpts{RunOnStart: catchUp})
}

// Next implements [river.PeriodicSchedule].
func (c *cronJob) Next(current time.Time) time.Time {
	next := c.schedule.Next(current.UTC())
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.kept.After(current) {
		next = c.kept
	}
	c.next = next
	return next
}

// due returns the time for which a run is made now: the one that River has waited
// for or, at the start, the last one that may have been missed. It is zero if there
// is none.
func (c *cronJob) due(now time.Time) time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.next.IsZero() && !c.next.After(now.Add(time.Second)) {
		if after := c.schedule.Next(c.next); now.Sub(c.next) > noticed && !after.IsZero() && !after.After(now) {
			return time.Time{} // River goes through all times that the clock has skipped
		}
		return c.next
	}
	from := now.UTC().Add(-c.catchUp)
	c.catchUp = c.entry.CatchUp
	var missed time.Time
	if c.kept.After(from) && !c.kept.After(now) {
		missed = c.kept
	}
	for at := c.schedule.Next(from); !at.IsZero() && !at.After(now); at = c.schedule.Next(at) {
		missed = at
	}
	return missed
}

// job returns the run for a time. Its key contains the time, so that two workers
// that both make it make one run.
func (c *cronJob) job(at time.Time, version string) (*deferred.Job, error) {
	id := deferred.NewKey("cron", c.entry.APIKey, c.entry.Module, c.entry.Schedule, string(c.entry.Data), at.UTC().Format(time.RFC3339))
	call := &callback.Call{APIKey: c.entry.APIKey, RunID: "cron-" + id[:24], Script: c.entry.Module, Version: version, Input: c.entry.Data}
	job, err := deferred.NewJob(call, c.entry.MaxAttempts)
	if err != nil {
		return nil, err
	}
	job.Key = id
	job.Created = at
	return job, nil
}

// cronVersion returns the version for a run of an API key. If the source fails,
// the run takes place nevertheless, with the version that is live then.
func (q *Queue) cronVersion(apiKey string) string {
	if q.options.Source == nil {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	tree, err := q.options.Source.Scripts(ctx, &callback.Call{APIKey: apiKey})
	if err != nil {
		q.logger.WarnContext(ctx, "callback: queue: version of a cron run is unknown", "api_key", apiKey, "error", err)
	}
	return tree.Version
}
