// Package queuetest tests implementations of [deferred.Queue].
//   - Run tests the contract of the interface.
//   - Faults kills processes and tests what the queue guarantees then.
//   - Memory is a queue in memory, for the tests of a host.
package queuetest

import (
	"cmp"
	"context"
	"slices"
	"sync"
	"time"

	"example.com/callback/deferred"
)

// A Memory is a [deferred.Queue] and [deferred.Operator] in memory, for tests:
// what is in it ends with the process. The zero value is ready to use, and Work
// may run in several goroutines, as if each were a worker's process.
type Memory struct {
	// Places is how many jobs one Work runs at once. Zero means 8.
	Places int

	mu      sync.Mutex
	jobs    []*deferred.Status // as enqueued
	changed chan struct{}      // closed when the next job may be due at another time
}

// wake tells the workers to look again. The lock is held.
func (m *Memory) wake() {
	if m.changed != nil {
		close(m.changed)
		m.changed = nil
	}
}

// Enqueue implements [deferred.Queue].
func (m *Memory) Enqueue(ctx context.Context, job *deferred.Job) (string, error) {
	if err := ctx.Err(); err != nil {
		return "", err
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, known := range m.jobs {
		if job.Key != "" && job.Key == known.Key {
			return known.ID, nil
		}
	}
	due := job.Created
	if job.NotBefore.After(due) {
		due = job.NotBefore
	}
	m.jobs = append(m.jobs, &deferred.Status{Job: *job, State: deferred.Queued, Due: due})
	m.wake()
	return job.ID, nil
}

// take returns a job that is due, and marks it as running. If there is none, it
// returns the time to wait, and a channel that is closed when that time changes.
func (m *Memory) take() (first *deferred.Status, changed <-chan struct{}, wait time.Duration) {
	m.mu.Lock()
	defer m.mu.Unlock()
	for _, s := range m.jobs {
		if (s.State == deferred.Queued || s.State == deferred.Retrying) && (first == nil || s.Due.Before(first.Due)) {
			first = s
		}
	}
	wait = time.Hour
	if first != nil {
		wait = time.Until(first.Due)
	}
	if wait > 0 {
		if m.changed == nil {
			m.changed = make(chan struct{})
		}
		return nil, m.changed, wait
	}
	first.State = deferred.Running
	first.Attempt++
	return first, nil, 0
}

// Work implements [deferred.Queue].
func (m *Memory) Work(ctx context.Context, work func(context.Context, *deferred.Job) deferred.Verdict) error {
	places := make(chan struct{}, cmp.Or(m.Places, 8))
	var under sync.WaitGroup
	defer under.Wait()
	for {
		select {
		case places <- struct{}{}:
		case <-ctx.Done():
			return nil
		}
		taken, changed, wait := m.take()
		for taken == nil {
			select {
			case <-ctx.Done():
				return nil
			case <-changed:
			case <-time.After(wait):
			}
			taken, changed, wait = m.take()
		}
		job := taken.Job
		under.Go(func() {
			m.settle(taken, work(context.WithoutCancel(ctx), &job))
			<-places
		})
	}
}

// settle does what a verdict says.
func (m *Memory) settle(s *deferred.Status, v deferred.Verdict) {
	m.mu.Lock()
	defer m.mu.Unlock()
	defer m.wake()
	now := time.Now()
	if v.Action != deferred.Later && v.Err != nil {
		s.Errors = append(s.Errors, deferred.AttemptError{Attempt: s.Attempt, At: now, Err: v.Err.Error()})
	}
	s.Due = now.Add(v.Delay)
	switch {
	case v.Action == deferred.Done:
		s.State, s.Result, s.Ended = deferred.Finished, v.Result, now
	case v.Action == deferred.Later:
		s.State = deferred.Queued
		s.Attempt--
	case v.Action == deferred.Retry && s.Attempt < s.MaxAttempts:
		s.State = deferred.Retrying
	default:
		s.State, s.Ended = deferred.Dead, now
	}
}

// find returns the newest job of this ID, or nil.
func (m *Memory) find(id string) *deferred.Status {
	for _, s := range slices.Backward(m.jobs) {
		if s.ID == id {
			return s
		}
	}
	return nil
}

// Status implements [deferred.Operator].
func (m *Memory) Status(_ context.Context, id string) (*deferred.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.find(id)
	if s == nil {
		return nil, deferred.ErrNoJob
	}
	return copyOf(s), nil
}

func copyOf(s *deferred.Status) *deferred.Status {
	c := *s
	c.Errors = slices.Clone(s.Errors)
	return &c
}

// List implements [deferred.Operator].
func (m *Memory) List(_ context.Context, state deferred.State, limit int) ([]deferred.Status, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var list []deferred.Status
	for _, s := range slices.Backward(m.jobs) {
		if s.State == state && len(list) < limit {
			c := copyOf(s)
			c.Call, c.Result = nil, nil
			list = append(list, *c)
		}
	}
	return list, nil
}

// Counts implements [deferred.Operator].
func (m *Memory) Counts(context.Context) (map[deferred.State]int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	counts := map[deferred.State]int{}
	for _, s := range m.jobs {
		counts[s.State]++
	}
	return counts, nil
}

// Retry implements [deferred.Operator].
func (m *Memory) Retry(_ context.Context, id string, live bool) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.find(id)
	switch {
	case s == nil:
		return deferred.ErrNoJob
	case s.State == deferred.Running:
		return deferred.ErrRunning
	}
	s.State, s.Due, s.Ended, s.Result = deferred.Queued, time.Now(), time.Time{}, nil
	s.Live = live
	s.MaxAttempts = max(s.MaxAttempts, s.Attempt+1)
	m.wake()
	return nil
}

// Drop implements [deferred.Operator].
func (m *Memory) Drop(_ context.Context, id string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.find(id)
	switch {
	case s == nil:
		return deferred.ErrNoJob
	case s.State == deferred.Running:
		return deferred.ErrRunning
	}
	m.jobs = slices.DeleteFunc(m.jobs, func(other *deferred.Status) bool { return other == s })
	return nil
}

// Cancel implements [deferred.Operator].
func (m *Memory) Cancel(_ context.Context, label string) (int, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	before := len(m.jobs)
	m.jobs = slices.DeleteFunc(m.jobs, func(s *deferred.Status) bool {
		return s.Label == label && (s.State == deferred.Queued || s.State == deferred.Retrying)
	})
	return before - len(m.jobs), nil
}

var (
	_ deferred.Queue    = (*Memory)(nil)
	_ deferred.Operator = (*Memory)(nil)
)
