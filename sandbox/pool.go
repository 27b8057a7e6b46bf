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
)

// A supply is what a waiting call gets: a child, or the reason for none.
type supply struct {
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
	case r.Scripts == nil:
		return errNoScripts
	}
	if inChild() {
		return fmt.Errorf("%w (this is the child)", ErrNoMain)
	}
	r.begun = true
	if unenforced != "" {
		r.logger().Warn("callback/sandbox: not enforced on this system: " + unenforced)
	}
	r.lib.scripts, r.lib.maxSize = r.Scripts, r.setup().maxScriptSize
	r.all = map[*child]struct{}{}
	r.drained, r.ended = make(chan struct{}), make(chan struct{})
	r.orders = make(chan struct{}, r.processes())
	go r.startOrdered()
	return nil
}

func (r *Runner) setup() setup {
	s := setup{
		maxMemory:     cmp.Or(r.MaxMemory, DefaultMaxMemory),
		maxScriptSize: cmp.Or(r.MaxScriptSize, callback.DefaultMaxScriptSize),
		zone:          time.Local.String(),
	}
	_, offset := time.Now().Zone()
	s.zoneOffset = int64(offset)
	s.tz, s.hasTZ = os.LookupEnv("TZ")
	return s
}

// startOrdered starts children until the Runner is closed. It keeps its thread
// to itself: the kernel kills a child when the thread that started it ends.
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
			err := c.greet(r.setup())
			if err != nil {
				words := c.end()
				if errors.Is(err, errEnded) && c.process.ProcessState.Exited() {
					err = fmt.Errorf("%w: %w (%s)", ErrNoMain, err, words)
				} else if !errors.Is(err, ErrNoMain) { // a signal: that can happen to any process
					err = fmt.Errorf("callback/sandbox: child process died as it started: %w (%s)", err, words)
				}
			}
			r.arrived(c, err)
		})
	}
	r.children.Wait()
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
	if r.closing || r.failed != nil || r.ordered+r.live >= r.processes() {
		return
	}
	if !r.proved && r.ordered > 0 {
		return // a program without Main does whatever it does once, not many times at once
	}
	r.ordered++
	r.orders <- struct{}{} // never full: see ordered
}

// arrived takes in a child that was on order, or the reason for none.
func (r *Runner) arrived(c *child, err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ordered--
	if err == nil {
		r.live++
		r.proved = true
		r.supply(c)
		for range min(len(r.waiting), r.processes()) - r.ordered {
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
	} else if errors.Is(err, ErrNoMain) {
		r.failed = err // not tried again: who knows what the program does instead
	}
	if r.live+r.ordered == 0 {
		fail := len(r.waiting)
		if r.proved {
			fail = min(fail, 1) // a dead child costs one call
		}
		for _, w := range r.waiting[:fail] {
			w <- supply{err: err}
		}
		if r.waiting = slices.Delete(r.waiting, 0, fail); len(r.waiting) > 0 {
			r.order()
		}
	}
}

// supply gives a child to the call that has waited longest, or lets it rest. It
// is called with r.mu held.
func (r *Runner) supply(c *child) {
	switch {
	case r.closing:
		r.discard(c, "")
	case len(r.waiting) > 0:
		w := r.waiting[0]
		r.waiting = slices.Delete(r.waiting, 0, 1)
		r.busy++
		w <- supply{child: c}
	default:
		r.idle = append(r.idle, c)
	}
}

// acquire takes a child, waiting for one until ctx is done if the queue is not
// full.
func (r *Runner) acquire(ctx context.Context) (*child, error) {
	r.mu.Lock()
	if r.closing {
		r.mu.Unlock()
		return nil, ErrClosed
	}
	if n := len(r.idle); n > 0 {
		c := r.idle[n-1] // the one whose memory is warmest
		r.idle = r.idle[:n-1]
		r.busy++
		r.mu.Unlock()
		return c, nil
	}
	if queue := cmp.Or(r.MaxQueue, DefaultMaxQueue); len(r.waiting) >= queue {
		r.mu.Unlock()
		return nil, fmt.Errorf("%w: %d calls wait for a child process", callback.ErrOverloaded, queue)
	}
	w := make(chan supply, 1)
	r.waiting = append(r.waiting, w)
	if len(r.waiting) > r.ordered {
		r.order()
	}
	r.mu.Unlock()

	select {
	case s := <-w:
		return s.child, s.err
	case <-ctx.Done():
	}
	r.mu.Lock()
	if i := slices.Index(r.waiting, w); i >= 0 {
		r.waiting = slices.Delete(r.waiting, i, i+1)
	}
	r.mu.Unlock()
	select {
	case s := <-w: // it came in between
		if s.child != nil {
			r.release(s.child)
		}
	default:
	}
	return nil, fmt.Errorf("%w: no child process before the deadline", callback.ErrOverloaded)
}

// release gives back a child that is fit for another call.
func (r *Runner) release(c *child) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.supply(c)
	r.left()
}

// retire gives back a child that is to be no more, and orders another. If it
// died by itself, script says in the midst of which.
func (r *Runner) retire(c *child, script string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.discard(c, script)
	r.left()
}

// left notes that a call is over. It is called with r.mu held.
func (r *Runner) left() {
	r.busy--
	if r.closing && r.busy == 0 {
		close(r.drained)
	}
}

// discard ends a live child in the background and orders another once it is
// gone. It is called with r.mu held.
func (r *Runner) discard(c *child, script string) {
	r.children.Go(func() {
		words := c.end()
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.all, c)
		r.live--
		r.order()
		if script != "" && words != "" && !r.closing {
			r.logger().Error("callback/sandbox: child process died", "script", script, "reason", words)
		}
	})
}

// Shutdown is Close with a limit: the calls that are still under way when ctx
// is done are killed, and ctx's error is returned.
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
			w <- supply{err: ErrClosed}
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
	for c := range r.all { // those under way, those just starting
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
