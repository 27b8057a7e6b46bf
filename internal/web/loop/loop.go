// Package loop is the event loop of a run: timers, and work on other goroutines
// whose results return to the run's goroutine.
package loop

import (
	"container/heap"
	"context"
	"errors"
	"sync"
	"time"
)

// Limits of one run.
const (
	MaxTimers   = 10000 // waiting at the same time
	maxParallel = 32    // Works at the same time; others wait
)

// ErrTimers means that there are too many timers.
var ErrTimers = errors.New("too many timers")

// A Task is a function to call on the run's goroutine. Its error ends the run.
type Task func() error

// A Work is a function to call on another goroutine. It must return when the
// loop's context ends. The Task that it returns is called on the run's goroutine.
type Work func() Task

// A Loop belongs to the run's goroutine and has no goroutine of its own.
type Loop struct {
	ctx    context.Context
	cancel context.CancelFunc

	timers timers
	byID   map[int]*timer
	lastID int
	last   int64 // number of the newest timer
	strong int   // number of timers that keep the run going

	waiting []Work // for another Work to end
	working int    // number of Works that are running, or done and not taken yet

	mu    sync.Mutex
	done  []Task
	wake  chan struct{} // has capacity for one notice that done has a Task
	group sync.WaitGroup
}

// New makes the loop of a run that ends with the context.
func New(ctx context.Context) *Loop {
	l := &Loop{byID: map[int]*timer{}, wake: make(chan struct{}, 1)}
	l.ctx, l.cancel = context.WithCancel(ctx)
	return l
}

// Context ends with the loop.
func (l *Loop) Context() context.Context { return l.ctx }

// A timer is a timer that has not been cleared.
type timer struct {
	id     int
	due    time.Time
	order  int64
	every  time.Duration // zero means once
	weak   bool          // it does not keep the run going
	task   Task
	index  int // in timers; negative if it is not there
	closed bool
}

type timers []*timer

func (t timers) Len() int { return len(t) }
func (t timers) Less(i, j int) bool {
	if !t[i].due.Equal(t[j].due) {
		return t[i].due.Before(t[j].due)
	}
	return t[i].order < t[j].order
}
func (t timers) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}
func (t *timers) Push(x any) {
	added := x.(*timer)
	added.index = len(*t)
	*t = append(*t, added)
}
func (t *timers) Pop() any {
	last := (*t)[len(*t)-1]
	(*t)[len(*t)-1] = nil
	*t = (*t)[:len(*t)-1]
	last.index = -1
	return last
}

// After arranges that a task is called after a time, and every so often after
// that unless every is zero. A weak timer does not keep the run going.
func (l *Loop) After(delay, every time.Duration, weak bool, task Task) (id int, err error) {
	if len(l.byID) >= MaxTimers {
		return 0, ErrTimers
	}
	l.lastID++
	t := &timer{id: l.lastID, every: every, weak: weak, task: task}
	l.byID[t.id] = t
	if !weak {
		l.strong++
	}
	l.start(t, delay)
	return t.id, nil
}

func (l *Loop) start(t *timer, delay time.Duration) {
	l.last++
	t.due, t.order = time.Now().Add(delay), l.last
	heap.Push(&l.timers, t)
}

// Clear removes the timer with an id, if there is one.
func (l *Loop) Clear(id int) {
	t := l.byID[id]
	if t == nil {
		return
	}
	delete(l.byID, id)
	t.closed = true
	if !t.weak {
		l.strong--
	}
	if t.index >= 0 {
		heap.Remove(&l.timers, t.index)
	}
}

// Go starts a Work on another goroutine.
func (l *Loop) Go(work Work) {
	if l.working >= maxParallel {
		l.waiting = append(l.waiting, work)
		return
	}
	l.working++
	l.group.Go(func() {
		task := work()
		l.mu.Lock()
		l.done = append(l.done, task)
		l.mu.Unlock()
		select {
		case l.wake <- struct{}{}:
		default:
		}
	})
}

// Pending reports whether anything keeps the run going.
func (l *Loop) Pending() bool { return l.strong > 0 || l.working > 0 }

// Ready returns the next task that is due, or nil.
func (l *Loop) Ready() Task {
	l.mu.Lock()
	var task Task
	if len(l.done) > 0 {
		task, l.done = l.done[0], l.done[1:]
	}
	l.mu.Unlock()
	if task != nil {
		l.working--
		if len(l.waiting) > 0 {
			next := l.waiting[0]
			l.waiting = l.waiting[1:]
			l.Go(next)
		}
		return task
	}
	if len(l.timers) == 0 || l.timers[0].due.After(time.Now()) {
		return nil
	}
	t := heap.Pop(&l.timers).(*timer)
	if t.every == 0 {
		l.Clear(t.id)
		return t.task
	}
	return func() error {
		err := t.task()
		if !t.closed {
			l.start(t, t.every)
		}
		return err
	}
}

// Wait waits until a task is due or the context ends.
func (l *Loop) Wait() {
	var due <-chan time.Time
	if len(l.timers) > 0 {
		alarm := time.NewTimer(time.Until(l.timers[0].due))
		defer alarm.Stop()
		due = alarm.C
	}
	select {
	case <-l.wake:
	case <-due:
	case <-l.ctx.Done():
	}
}

// Close cancels all Works. It waits for them unless the run's time is over; then
// those that ignore the context are abandoned.
func (l *Loop) Close(run context.Context) {
	l.cancel()
	if l.working == 0 {
		return
	}
	ended := make(chan struct{})
	go func() {
		l.group.Wait()
		close(ended)
	}()
	select {
	case <-ended:
	case <-run.Done():
	}
}
