// Package deadline has contexts with a deadline, and watches of contexts, for
// calls that mostly end long before their deadline. They do without the timer and
// the registration with the parent that a context of package context costs.
package deadline

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Context is like that of [context.WithTimeout], but makes its timer only on
// the first call of Done. If it has ended for several reasons before it is first
// asked, Err prefers Cancel to the parent, and the parent to the deadline.
type Context struct {
	context.Context // the parent
	deadline        time.Time

	mu     sync.Mutex
	waited context.Context // the context with a timer; or nil
	cancel context.CancelFunc
	over   bool // ended by Cancel

	detached bool // does not end with the parent; this never changes
}

// New returns a context that ends after timeout, with its parent, or by Cancel.
// The caller must call Cancel.
func New(parent context.Context, timeout time.Duration) *Context {
	c := new(Context)
	c.Init(parent, timeout, false)
	return c
}

// Init initialises c as New does, in the caller's memory. A detached context has
// the values and the deadline of parent, but does not end with it.
func (c *Context) Init(parent context.Context, timeout time.Duration, detached bool) {
	c.Context, c.deadline, c.detached = parent, time.Now().Add(timeout), detached
	if at, ok := parent.Deadline(); ok && at.Before(c.deadline) {
		c.deadline = at
	}
}

// Cancel ends the context.
func (c *Context) Cancel() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}

// wait returns the context that ends by itself, and makes it first if necessary.
// It is called with c.mu held.
func (c *Context) wait() context.Context {
	switch {
	case c.waited != nil:
	case c.over:
		c.waited, c.cancel = context.WithCancel(context.WithoutCancel(c.Context))
		c.cancel()
	case c.detached:
		c.waited, c.cancel = context.WithDeadline(context.WithoutCancel(c.Context), c.deadline)
	case c.endsWithParent():
		c.waited, c.cancel = context.WithCancel(c.Context)
	default:
		c.waited, c.cancel = context.WithDeadline(c.Context, c.deadline)
	}
	return c.waited
}

// endsWithParent reports whether c has its parent's deadline. Then c needs no
// timer of its own. With two timers, the cause would depend on which one fires
// first.
func (c *Context) endsWithParent() bool {
	at, ok := c.Context.Deadline()
	return ok && !c.deadline.Before(at)
}

// String describes the context as package context does. It reads immutable fields
// only.
func (c *Context) String() string {
	parent, ok := c.Context.(fmt.Stringer)
	if !ok {
		return fmt.Sprintf("%T.WithDeadline(%s)", c.Context, c.deadline)
	}
	return fmt.Sprintf("%s.WithDeadline(%s)", parent, c.deadline)
}

// Deadline implements [context.Context].
func (c *Context) Deadline() (time.Time, bool) {
	return c.deadline, true
}

// Done implements [context.Context].
func (c *Context) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wait().Done()
}

// Err implements [context.Context].
func (c *Context) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited == nil && !c.over && (c.detached || c.Context.Err() == nil) && time.Now().Before(c.deadline) {
		return nil
	}
	return c.wait().Err() // which returns the same from now on
}

// Value implements [context.Context]. Contexts derived from c use it to find the
// context with which they end.
func (c *Context) Value(key any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited != nil {
		return c.waited.Value(key)
	}
	return c.Context.Value(key)
}

// watchAfter is how long a Watch does nothing. A shorter timer could wake a
// sleeping processor.
const watchAfter = 10 * time.Millisecond

// A Watch calls a function when a context is done. It can be used many times, for
// one context at a time. The zero Watch is ready to use. Start and Stop must
// alternate and must not be called concurrently. If Stop comes within ten
// milliseconds of Start, the cost is resetting one timer.
type Watch struct {
	timer *time.Timer

	mu     sync.Mutex
	ctx    context.Context // nil while the watch is off
	f      func()
	disarm func() bool
	calls  sync.WaitGroup
}

// Start arranges that f is called on a goroutine of its own when ctx is done.
// That is not in the first ten milliseconds, and not after Stop.
func (w *Watch) Start(ctx context.Context, f func()) {
	w.mu.Lock()
	w.ctx, w.f = ctx, f
	w.mu.Unlock()
	if w.timer == nil {
		w.timer = time.AfterFunc(watchAfter, w.look)
	} else {
		w.timer.Reset(watchAfter)
	}
}

// look registers the watch with its context. A late look may stem from the Start
// before. Then it registers early, which is harmless.
func (w *Watch) look() {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.ctx == nil || w.disarm != nil {
		return
	}
	f := w.f
	w.calls.Add(1)
	w.disarm = context.AfterFunc(w.ctx, func() {
		defer w.calls.Done()
		f()
	})
}

// Stop ends the watch. If f has been called, Stop waits until it returns.
func (w *Watch) Stop() {
	w.timer.Stop()
	w.mu.Lock()
	disarm := w.disarm
	w.ctx, w.f, w.disarm = nil, nil, nil
	w.mu.Unlock()
	if disarm != nil && disarm() {
		w.calls.Done()
	}
	w.calls.Wait()
}
