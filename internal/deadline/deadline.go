// Package deadline has contexts with a deadline, and a way to watch contexts, for
// calls that are mostly over long before. A timer for each, and being told of its
// end, would be a tenth of what a small call costs.
package deadline

import (
	"context"
	"fmt"
	"sync"
	"time"
)

// A Context is one of [context.WithTimeout], made only when somebody waits for
// its end. If it has ended in several ways by the time that somebody first looks
// then which one counts may differ: Cancel comes first, the parent second.
type Context struct {
	context.Context // the parent
	deadline        time.Time

	mu     sync.Mutex
	waited context.Context // or nil
	cancel context.CancelFunc
	over   bool // by Cancel
}

// New returns a context that ends after timeout, with its parent, or by Cancel,
// which must be called.
func New(parent context.Context, timeout time.Duration) *Context {
	return &Context{Context: parent, deadline: time.Now().Add(timeout)}
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

// wait returns the context that ends by itself. It is called with c.mu held.
func (c *Context) wait() context.Context {
	switch {
	case c.waited != nil:
	case c.over:
		c.waited, c.cancel = context.WithCancel(context.WithoutCancel(c.Context))
		c.cancel()
	default:
		c.waited, c.cancel = context.WithDeadline(c.Context, c.deadline)
	}
	return c.waited
}

// String names what the context is made of, as those of package context do, and
// reads nothing that others write.
func (c *Context) String() string {
	parent, ok := c.Context.(fmt.Stringer)
	if !ok {
		return fmt.Sprintf("%T.WithDeadline(%s)", c.Context, c.deadline)
	}
	return fmt.Sprintf("%s.WithDeadline(%s)", parent, c.deadline)
}

// Deadline implements [context.Context].
func (c *Context) Deadline() (time.Time, bool) {
	if at, ok := c.Context.Deadline(); ok && at.Before(c.deadline) {
		return at, true
	}
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
	if c.waited == nil && !c.over && c.Context.Err() == nil && time.Now().Before(c.deadline) {
		return nil
	}
	return c.wait().Err() // from now on the same
}

// Value implements [context.Context]. Contexts that are derived from c find by
// it what they end with.
func (c *Context) Value(key any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited != nil {
		return c.waited.Value(key)
	}
	return c.Context.Value(key)
}

// watchAfter is how long a Watch is on before it does anything. A processor that
// sleeps is woken for it, so it must not be too short.
const watchAfter = 10 * time.Millisecond

// A Watch calls a function when a context is done. It is used again and again,
// for one context at a time; the zero Watch is ready. One that is on for less
// than ten milliseconds costs no more than a timer that does not fire, and that is
// made once. Start and Stop come in turns, and not at the same time.
type Watch struct {
	timer *time.Timer

	mu     sync.Mutex
	ctx    context.Context // nil: not on
	f      func()
	disarm func() bool
	calls  sync.WaitGroup
}

// Start has f called on a goroutine of its own when ctx is done, or ten
// milliseconds from now if that is later, unless Stop comes before.
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

// look may come late, and then sees the next context early, which does not hurt.
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

// Stop ends the watch. If f has been called, it waits until f has returned.
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
