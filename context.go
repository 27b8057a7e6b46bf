package callback

import (
	"context"
	"sync"
	"time"
)

// A callContext is the context of a call: its request's, with a deadline of its
// own. It is one of [context.WithDeadline], made only when somebody waits for
// the end: few calls last so long that anybody does, and a timer for each call
// is a twentieth of what a small one costs.
type callContext struct {
	context.Context // the request's
	deadline        time.Time

	mu     sync.Mutex
	waited context.Context // or nil
	cancel context.CancelFunc
	over   bool // the call is
}

func newCallContext(parent context.Context, timeout time.Duration) *callContext {
	c := &callContext{Context: parent, deadline: time.Now().Add(timeout)}
	if at, ok := parent.Deadline(); ok && at.Before(c.deadline) {
		c.deadline = at
	}
	return c
}

// end cancels the context.
func (c *callContext) end() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.over = true
	if c.cancel != nil {
		c.cancel()
	}
}

// wait returns the context that ends by itself. It is called with c.mu held.
func (c *callContext) wait() context.Context {
	if c.waited == nil {
		c.waited, c.cancel = context.WithDeadline(c.Context, c.deadline)
		if c.over {
			c.cancel()
		}
	}
	return c.waited
}

func (c *callContext) Deadline() (time.Time, bool) { return c.deadline, true }

func (c *callContext) Done() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.wait().Done()
}

func (c *callContext) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited == nil && !c.over && c.Context.Err() == nil && time.Now().Before(c.deadline) {
		return nil
	}
	return c.wait().Err() // from now on the same
}

// Value gives the contexts that are derived from c, too, what they look for.
func (c *callContext) Value(key any) any {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.waited != nil {
		return c.waited.Value(key)
	}
	return c.Context.Value(key)
}
