package testkit

import (
	"context"
	"sync/atomic"
	"testing"
	"time"
)

// tick is how long a Clock sleeps.
const tick = 5 * time.Millisecond

// A Clock tells the time as an idle goroutine of this process experiences it: it
// counts its own short sleeps. On a machine that does other things, or in a
// process whose processors are taken, a sleep lasts longer than asked for, and
// the Clock runs slow as everything else does. So a bound on its time is a bound
// on what the code does, not on what the machine does.
type Clock struct{ ticks atomic.Int64 }

// StartClock starts a Clock that runs until the test has ended. A test that
// looks for leaked goroutines calls it first.
func StartClock(t testing.TB) *Clock {
	c, stop := NewClock()
	t.Cleanup(stop)
	return c
}

// NewClock starts a Clock and returns it with the function that stops it.
func NewClock() (c *Clock, stop func()) {
	c = new(Clock)
	quit, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		timer := time.NewTimer(tick)
		defer timer.Stop()
		for {
			select {
			case <-timer.C:
				c.ticks.Add(1)
				timer.Reset(tick)
			case <-quit:
				return
			}
		}
	}()
	return c, func() {
		close(quit)
		<-ended
	}
}

// Now is the time since the Clock was started. It is never ahead of the time of
// day.
func (c *Clock) Now() time.Duration { return time.Duration(c.ticks.Load()) * tick }

// A Deadline is a context whose deadline passes when the test says so, and not
// before what the test waits for has happened.
type Deadline struct {
	context.Context
	passed chan struct{}
}

// NewDeadline returns a Deadline with the values of parent.
func NewDeadline(parent context.Context) *Deadline {
	return &Deadline{context.WithoutCancel(parent), make(chan struct{})}
}

// Pass lets the deadline pass. It is called once.
func (d *Deadline) Pass() { close(d.passed) }

// Done implements context.Context.
func (d *Deadline) Done() <-chan struct{} { return d.passed }

// Err implements context.Context.
func (d *Deadline) Err() error {
	select {
	case <-d.passed:
		return context.DeadlineExceeded
	default:
		return nil
	}
}
