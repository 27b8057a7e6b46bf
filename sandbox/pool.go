package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"time"

	"example.com/callback"
	"example.com/callback/internal/fair"
)

// A delivery is the result of waiting for a child: the child, or the reason why
// there is none.
type delivery struct {
	child *child
	err   error
}

// begin makes the Runner ready to order children.
func (r *Runner) begin() error {
	r.mu.Lock()
	defer r.mu.Unlock()
	switch {
	case r.closing:
		return ErrClosed
	case r.begun:
		return r.failed
	case r.Scripts == nil && r.Source == nil:
		return errNoScripts
	case r.Scripts != nil && r.Source != nil:
		return errTwoSources
	}
	if inChild() {
		return fmt.Errorf("%w (this is the child)", ErrNoMain)
	}
	r.begun = true
	if unenforced != "" {
		r.logger().Warn("callback/sandbox: not enforced on this system: " + unenforced)
	}
	r.lib.scripts, r.lib.maxSize = r.Scripts, r.setup().MaxScriptSize
	r.all = map[*child]struct{}{}
	r.drained, r.ended = make(chan struct{}), make(chan struct{})
	r.places.Open(r.processes(), r.reserve(), runtime.GOMAXPROCS(0))
	r.orders = make(chan struct{}, r.processes()+r.reserve())
	r.greetTimeout = cmp.Or(r.greetTimeout, minGreetTimeout)
	go r.startOrdered()
	return nil
}

func (r *Runner) setup() *setup {
	zone := cmp.Or(r.Zone, time.UTC)
	_, offset := time.Now().In(zone).Zone()
	s := &setup{
		MaxMemory:     cmp.Or(r.MaxMemory, DefaultMaxMemory),
		MaxScriptSize: cmp.Or(r.MaxScriptSize, callback.DefaultMaxScriptSize),
		Zone:          zone.String(),
		ZoneOffset:    int64(offset),
	}
	s.TZ, s.HasTZ = os.LookupEnv("TZ")
	return s
}

// startOrdered starts children until the Runner is closed. It locks its thread,
// because the kernel kills a child when the thread that has started it ends.
func (r *Runner) startOrdered() {
	defer close(r.ended)
	runtime.LockOSThread()
	command := thisProgram
	if r.command != nil {
		command = r.command
	}
	for range r.orders {
		c, err := r.start(command)
		if err != nil {
			r.arrived(nil, err)
			continue
		}
		r.children.Go(func() {
			err := r.greet(c)
			r.arrived(c, err)
		})
	}
	r.children.Wait()
}

// The first child gets minGreetTimeout for its greeting. Each child that is too
// slow doubles the time for the next one, up to maxGreetTimeout.
const (
	minGreetTimeout = 5 * time.Second
	maxGreetTimeout = time.Minute
)

// greet waits for the greeting of a child. If none comes, it ends the process and
// returns the reason.
func (r *Runner) greet(c *child) error {
	r.mu.Lock()
	timeout := r.greetTimeout
	r.mu.Unlock()
	ready, err := c.greet(r.setup(), timeout)
	if err == nil {
		if err = r.checkConfinement(&ready); err != nil {
			c.end()
		}
		return err
	}
	lastWords := c.end()
	switch {
	case errors.Is(err, errSlow):
		r.mu.Lock()
		r.greetTimeout = max(r.greetTimeout, min(2*timeout, maxGreetTimeout))
		r.mu.Unlock()
		return fmt.Errorf("%w: a child process did not reach sandbox.Main in %v: "+
			"the machine is slow, or main does not begin with it", callback.ErrOverloaded, timeout)
	case errors.Is(err, errPrints):
		return fmt.Errorf("%w: it printed something else", ErrNoMain)
	case errors.Is(err, errEnded) && c.process.ProcessState.Exited():
		return fmt.Errorf("%w: it ended by itself (%s)", ErrNoMain, lastWords)
	}
	// A signal, which any process can get.
	return fmt.Errorf("callback/sandbox: child process died as it started: %w (%s)", err, lastWords)
}

// checkConfinement returns an error if a child is not confined enough to serve
// calls.
func (r *Runner) checkConfinement(ready *readyMessage) error {
	switch {
	case ready.Fault != "":
		return fmt.Errorf("callback/sandbox: child process cannot be confined: %s", ready.Fault)
	case ready.SystemCalls == "":
		return nil
	case r.RequireSeccomp:
		return fmt.Errorf("%w: %s", ErrNoSeccomp, ready.SystemCalls)
	}
	r.warnOnce.Do(func() {
		r.logger().Warn("callback/sandbox: system calls of child processes are not restricted: " + ready.SystemCalls)
	})
	return nil
}

// start starts a process, unless the Runner is closing.
func (r *Runner) start(command func() *exec.Cmd) (*child, error) {
	r.mu.Lock()
	closing := r.closing
	r.mu.Unlock()
	if closing {
		return nil, ErrClosed
	}
	c, err := startChild(command)
	if err != nil {
		return nil, fmt.Errorf("callback/sandbox: cannot start a child process: %w", err)
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.all[c] = struct{}{}
	if r.closing {
		c.kill()
	}
	return c, nil
}

// order orders a child if there may be one more. It is called with r.mu held.
func (r *Runner) order() {
	if r.closing || r.failed != nil || r.ordered+r.live >= r.processes()+r.reserve() {
		return
	}
	if !r.proved && r.ordered > 0 {
		return // the program may lack Main and do anything, so it is not started several times at once
	}
	r.ordered++
	r.orders <- struct{}{} // its capacity is the limit of r.ordered
}

// arrived ends an order with a child that is ready, or with the reason why there
// is none.
func (r *Runner) arrived(c *child, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ordered--
	if err == nil {
		r.live++
		r.proved = true
		r.offer(c)
		for range len(r.waiting) - r.ordered {
			r.order()
		}
		return
	}
	delete(r.all, c)
	if r.closing {
		return
	}
	if r.proved {
		r.logger().Error(err.Error())
	} else if errors.Is(err, ErrNoMain) || errors.Is(err, ErrNoSeccomp) {
		r.failed = err // permanently, because the next child would fail as well
	}
	if r.live+r.ordered == 0 {
		fail := len(r.waiting)
		if r.proved {
			fail = min(fail, 1) // a dead child fails one call
		}
		for _, w := range r.waiting[:fail] {
			w <- delivery{err: err}
		}
		if r.waiting = slices.Delete(r.waiting, 0, fail); len(r.waiting) > 0 {
			r.order()
		}
	}
}

// offer gives a child to the call that has waited longest, or keeps it idle. It is
// called with r.mu held.
func (r *Runner) offer(c *child) {
	switch {
	case r.closing:
		r.discard(c, "")
	case len(r.waiting) > 0:
		w := r.waiting[0]
		r.waiting = slices.Delete(r.waiting, 0, 1)
		r.busy++
		w <- delivery{child: c}
	default:
		r.idle = append(r.idle, c)
	}
}

// acquire takes a place and a child, and waits for them until ctx is done.
func (r *Runner) acquire(ctx context.Context, key fair.Key) (*child, fair.Place, error) {
	place, ok := r.places.TryEnter(key)
	if !ok {
		var err error
		if place, err = r.places.Enter(ctx, key, cmp.Or(r.MaxQueue, DefaultMaxQueue)); err != nil {
			return nil, place, fmt.Errorf("%w: %w", callback.ErrOverloaded, err)
		}
	}
	c, err := r.takeChild(ctx)
	if err != nil {
		r.places.Cancel(place)
		return nil, place, err
	}
	r.places.Restart(&place) // the credential has not caused the wait for a child
	return c, place, nil
}

// takeChild takes an idle child, or waits for one that starts up.
func (r *Runner) takeChild(ctx context.Context) (*child, error) {
	r.mu.Lock()
	if r.closing {
		r.mu.Unlock()
		return nil, ErrClosed
	}
	if n := len(r.idle); n > 0 {
		c := r.idle[n-1] // its memory is most likely still in the caches
		r.idle = r.idle[:n-1]
		r.busy++
		r.mu.Unlock()
		return c, nil
	}
	w := make(chan delivery, 1)
	r.waiting = append(r.waiting, w)
	if len(r.waiting) > r.ordered {
		r.order()
	}
	r.mu.Unlock()

	select {
	case d := <-w:
		return d.child, d.err
	case <-ctx.Done():
	}
	r.mu.Lock()
	if i := slices.Index(r.waiting, w); i >= 0 {
		r.waiting = slices.Delete(r.waiting, i, i+1)
	}
	select {
	case d := <-w: // delivered in the meantime
		if d.child != nil {
			r.offer(d.child)
			r.callEnded()
		}
	default:
	}
	r.mu.Unlock()
	return nil, fmt.Errorf("%w: no child process before the deadline", callback.ErrOverloaded)
}

// release returns a child that can take another call.
func (r *Runner) release(c *child) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.offer(c)
	r.callEnded()
}

// retire returns a child that must not take another call. script is what the
// child ran, if it may have died by itself.
func (r *Runner) retire(c *child, script string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.discard(c, script)
	r.callEnded()
}

// callEnded notes that a call has returned its child. It is called with r.mu held.
func (r *Runner) callEnded() {
	r.busy--
	if r.closing && r.busy == 0 {
		close(r.drained)
	}
}

// discard ends a live child in the background and orders another once it has
// ended. It is called with r.mu held.
func (r *Runner) discard(c *child, script string) {
	r.children.Go(func() {
		lastWords := c.end()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.all, c)
		r.live--
		if len(r.waiting) > r.ordered || r.live+r.ordered < r.processes() {
			r.order()
		}
		if script != "" && lastWords != "" && !r.closing {
			r.logger().Error("callback/sandbox: child process died", "script", script, "reason", lastWords)
		}
	})
}

// Shutdown is Close with a time limit: it kills the calls still under way when ctx
// is done, and returns ctx's error.
func (r *Runner) Shutdown(ctx context.Context) error {
	r.mu.Lock()
	first := r.begun && !r.closing
	r.closing = true
	if !r.begun {
		r.mu.Unlock()
		return nil
	}
	if first {
		for _, w := range r.waiting {
			w <- delivery{err: ErrClosed}
		}
		r.waiting = nil
		for _, c := range r.idle {
			r.discard(c, "")
		}
		r.idle = nil
		if r.busy == 0 {
			close(r.drained)
		}
	}
	r.mu.Unlock()

	var err error
	select {
	case <-r.drained:
	case <-ctx.Done():
		err = ctx.Err()
	}
	r.mu.Lock()
	for c := range r.all { // with a call, or starting up
		c.closed.Store(true)
		c.kill()
	}
	r.mu.Unlock()
	<-r.drained
	if first {
		close(r.orders)
	}
	<-r.ended
	return err
}
