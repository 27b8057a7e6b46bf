package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/callback"
	"example.com/callback/console"
	"example.com/callback/deferred"
	"example.com/callback/rivercallback"
)

// eventHeaders are headers in which senders name an event. A repeated event has
// the same value.
var eventHeaders = list{
	"Webhook-Id", "Svix-Id", "Ce-Id", "Idempotency-Key", "X-GitHub-Delivery", "X-Gitlab-Event-UUID", "X-Gitea-Delivery",
	"X-Request-UUID", "I-Twilio-Idempotency-Token", "X-Shopify-Event-Id", "X-Wc-Webhook-Delivery-Id", "X-Razorpay-Event-Id",
	"Paypal-Transmission-Id", "Linear-Delivery", "X-Amz-Sns-Message-Id", "Twitch-Eventsub-Message-Id",
}

// eventKey is for [deferred.Runner].Key. It returns the first of the headers that
// the call has, with its name.
func eventKey(headers list) func(*callback.Call) string {
	return func(call *callback.Call) string {
		for _, name := range headers {
			if value := deferred.HeaderKey(name)(call); value != "" {
				return name + ": " + value
			}
		}
		return ""
	}
}

// queueOptions returns the options of the queue. An error names -cron.
func (o *serveOptions) queueOptions(log *slog.Logger, source callback.ScriptSource) (rivercallback.Options, error) {
	options := rivercallback.Options{Places: o.places, MaxRun: o.deferredTimeout + 2*time.Second, Keep: o.keep, Source: source, Logger: log}
	if o.cron == "" {
		return options, nil
	}
	text, err := readFile(o.cron)
	if err != nil {
		return options, usagef("-cron: %w", err)
	}
	if options.Cron, err = parseCron(text); err != nil {
		return options, usagef("-cron %s: %w", o.cron, err)
	}
	return options, nil
}

// A lateQueue is a queue that may be opened after the server has started, if its
// database is down. Until then Work waits, and every other method fails with
// [callback.ErrUnavailable].
type lateQueue struct {
	once   sync.Once
	opened chan struct{}
	queue  *rivercallback.Queue // from opened on
}

func newLateQueue() *lateQueue { return &lateQueue{opened: make(chan struct{})} }

func (l *lateQueue) open(queue *rivercallback.Queue) {
	l.once.Do(func() {
		l.queue = queue
		close(l.opened)
	})
}

func (l *lateQueue) isOpen() bool {
	select {
	case <-l.opened:
		return true
	default:
		return false
	}
}

func (l *lateQueue) get() (*rivercallback.Queue, error) {
	if !l.isOpen() {
		return nil, fmt.Errorf("%w: the queue is not open yet", callback.ErrUnavailable)
	}
	return l.queue, nil
}

// Enqueue implements [deferred.Queue].
func (l *lateQueue) Enqueue(ctx context.Context, job *deferred.Job) (string, error) {
	queue, err := l.get()
	if err != nil {
		return "", err
	}
	return queue.Enqueue(ctx, job)
}

// Work implements [deferred.Queue].
func (l *lateQueue) Work(ctx context.Context, work func(context.Context, *deferred.Job) deferred.Verdict) error {
	select {
	case <-ctx.Done():
		return nil
	case <-l.opened:
		return l.queue.Work(ctx, work)
	}
}

// Status implements [deferred.Operator].
func (l *lateQueue) Status(ctx context.Context, id string) (*deferred.Status, error) {
	queue, err := l.get()
	if err != nil {
		return nil, err
	}
	return queue.Status(ctx, id)
}

// List implements [deferred.Operator].
func (l *lateQueue) List(ctx context.Context, state deferred.State, limit int) ([]deferred.Status, error) {
	queue, err := l.get()
	if err != nil {
		return nil, err
	}
	return queue.List(ctx, state, limit)
}

// Counts implements [deferred.Operator].
func (l *lateQueue) Counts(ctx context.Context) (map[deferred.State]int, error) {
	queue, err := l.get()
	if err != nil {
		return nil, err
	}
	return queue.Counts(ctx)
}

// Retry implements [deferred.Operator].
func (l *lateQueue) Retry(ctx context.Context, id string, live bool) error {
	queue, err := l.get()
	if err != nil {
		return err
	}
	return queue.Retry(ctx, id, live)
}

// Drop implements [deferred.Operator].
func (l *lateQueue) Drop(ctx context.Context, id string) error {
	queue, err := l.get()
	if err != nil {
		return err
	}
	return queue.Drop(ctx, id)
}

// Cancel implements [deferred.Operator].
func (l *lateQueue) Cancel(ctx context.Context, label string) (int, error) {
	queue, err := l.get()
	if err != nil {
		return 0, err
	}
	return queue.Cancel(ctx, label)
}

// A consoleQueue adapts a queue to the console.
type consoleQueue struct{ deferred.Operator }

// Jobs implements [console.Queue].
func (q consoleQueue) Jobs(ctx context.Context, limit int) ([]console.Job, map[string]int, error) {
	counts, err := q.Counts(ctx)
	if err != nil {
		return nil, nil, err
	}
	var jobs []console.Job
	shown := map[string]int{}
	for _, state := range []deferred.State{deferred.Dead, deferred.Retrying, deferred.Running, deferred.Queued} {
		shown[string(state)] = counts[state]
		found, err := q.List(ctx, state, limit-len(jobs))
		if err != nil {
			return nil, nil, err
		}
		for _, s := range found {
			jobs = append(jobs, consoleJob(&s))
		}
	}
	return jobs, shown, nil
}

// Job implements [console.Queue].
func (q consoleQueue) Job(ctx context.Context, id string) (*console.JobDetails, error) {
	s, err := q.Status(ctx, id)
	if errors.Is(err, deferred.ErrNoJob) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	details := &console.JobDetails{Job: consoleJob(s), Errors: []console.JobError{}}
	for _, e := range s.Errors {
		details.Errors = append(details.Errors, console.JobError{Attempt: e.Attempt, At: e.At, Error: e.Err})
	}
	if s.Result != nil {
		values := map[string]json.RawMessage{}
		for _, field := range s.Result.Data {
			values[field.Name] = field.Value
		}
		if details.Result, err = json.Marshal(values); err != nil {
			return nil, err
		}
	}
	return details, nil
}

func consoleJob(s *deferred.Status) console.Job {
	job := console.Job{
		ID: s.ID, Run: s.ID, State: string(s.State), APIKey: s.APIKey, Credential: s.Credential, Version: s.Version,
		Accepted: s.Created, Next: s.Due, Attempts: s.Attempt, MaxAttempts: s.MaxAttempts,
	}
	if n := len(s.Errors); n > 0 {
		job.Error = s.Errors[n-1].Err
	}
	return job
}

// A queueDepth collects the number of jobs by state. It queries the queue at most
// every five seconds, however often it is scraped.
type queueDepth struct {
	queue deferred.Operator
	jobs  *prometheus.Desc
	up    *prometheus.Desc

	mu     sync.Mutex
	asked  time.Time
	counts map[deferred.State]int // nil if the queue did not answer
}

func newQueueDepth(queue deferred.Operator) *queueDepth {
	return &queueDepth{
		queue: queue,
		jobs:  prometheus.NewDesc("callbackd_queue_jobs", "Deferred calls in the queue, by state. Absent while the queue does not answer.", []string{"state"}, nil),
		up:    prometheus.NewDesc("callbackd_queue_up", "1 if the queue answers, else 0.", nil, nil),
	}
}

// Describe implements [prometheus.Collector].
func (q *queueDepth) Describe(descs chan<- *prometheus.Desc) {
	descs <- q.jobs
	descs <- q.up
}

// Collect implements [prometheus.Collector].
func (q *queueDepth) Collect(metrics chan<- prometheus.Metric) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if time.Since(q.asked) > 5*time.Second {
		ctx, cancel := context.WithTimeout(context.Background(), 3*time.Second)
		defer cancel()
		counts, err := q.queue.Counts(ctx)
		if err != nil {
			counts = nil
		}
		q.counts, q.asked = counts, time.Now()
	}
	up := 0.0
	if q.counts != nil {
		up = 1
		for _, state := range deferred.States() {
			metrics <- prometheus.MustNewConstMetric(q.jobs, prometheus.GaugeValue, float64(q.counts[state]), string(state))
		}
	}
	metrics <- prometheus.MustNewConstMetric(q.up, prometheus.GaugeValue, up)
}
