package engine

import (
	"context"
	"errors"
	"math"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/fair"
)

// runGrace is how long after the deadline a run may take to stop, and to read its
// error.
const runGrace = 50 * time.Millisecond

// A life is the part of a run that begins and ends it.
type life struct {
	engine *Engine
	ctx    context.Context
	call   Call
	tree   Tree
	vm     *goja.Runtime

	place    fair.Place // among those of the runner, if hasPlace
	hasPlace atomic.Bool
	queued   atomic.Int64 // nanoseconds of waiting for a place; set only if Call.Measure is
	computed atomic.Int64 // nanoseconds with a place; set only if Call.Measure is
	settled  atomic.Bool  // outcome is set
	ended    atomic.Bool
	outcome  outcome
	released sync.WaitGroup // done when the caller goes on
	tools    *tools
}

// An outcome is the first end of a run: its own, or that it was abandoned.
type outcome struct {
	err             error
	script, version string
	returned        bool // the run ended in time, so that its coroutine can be used again
}

// errGoexit is the error of a run in which a host function calls runtime.Goexit.
var errGoexit = errors.New("callback: the run's goroutine was ended")

// runCoroutine runs the script on a coroutine. The caller, which has resumed the
// coroutine, goes on when runCoroutine returns or when another goroutine yields
// in its place. runCoroutine reports whether the coroutine can be used again.
func (r *run) runCoroutine(yield func(struct{}) bool) (fit bool) {
	r.tools.watch.Start(r.ctx, func() { r.stop(yield) })
	o := outcome{err: errGoexit}
	defer func() {
		first := r.settle(o)
		fit = first && o.returned
		r.ended.Store(true)
		r.tools.watch.Stop()
		switch {
		case !first:
			r.released.Wait()
			r.engine.stuck.Add(-1)
		case o.err == errGoexit:
			go yield(struct{}{}) // otherwise the caller's goroutine would end as well
			r.released.Wait()
		}
	}()
	o = r.run()
	o.returned = true
	return
}

// runInline runs the script on its caller's goroutine.
func (r *run) runInline() Outcome {
	r.tools = new(tools)
	r.tools.watch.Start(r.ctx, func() { r.stop(nil) })
	defer func() {
		r.ended.Store(true)
		r.tools.watch.Stop()
	}()
	return r.tell(r.run())
}

// tell returns the outcome for the caller, whose goroutine calls it.
func (r *run) tell(o outcome) Outcome {
	told := Outcome{
		Err:    o.err,
		Script: o.script, Version: o.version,
		Queued: time.Duration(r.queued.Load()), Computed: time.Duration(r.computed.Load()),
	}
	if o.err == nil { // the run has ended, and was not abandoned
		told.Result = Result{r.data.fields(), r.errors.fields(), r.raw, r.where}
	}
	return told
}

// settle sets the outcome unless there is one, and reports whether it did.
func (l *life) settle(o outcome) bool {
	if !l.settled.CompareAndSwap(false, true) {
		return false
	}
	l.outcome = o
	return true
}

// stop interrupts a run past its deadline, and abandons it if it does not end
// soon. One interrupt is enough: the engine clears it only when the outermost
// call has ended, and after that no code of the script runs.
func (l *life) stop(yield func(struct{}) bool) {
	l.vm.Interrupt(nil)
	for start := time.Now(); !l.ended.Load(); time.Sleep(runGrace / 16) {
		if time.Since(start) > runGrace && !l.engine.limits.RunInline {
			l.abandon(yield)
		}
	}
}

// abandon releases the caller unless the run has ended.
func (l *life) abandon(yield func(struct{}) bool) {
	stuck := &ScriptError{Version: l.tree.Version, Message: cloudcode.Overran, Err: l.ctx.Err()}
	if names := cloudcode.MainScripts(l.call.Credential, l.call.Script); len(names) > 0 {
		stuck.Script = names[0] // the only name that is known here
	}
	if l.settle(outcome{err: stuck, script: stuck.Script}) {
		l.engine.stuck.Add(1)
		l.leave()
		go yield(struct{}{}) // in place of the caller, until the run has ended
	}
}

// enter takes a place among the scripts that compute. A call waits for at most
// half of its remaining time, because with less it would probably fail later.
func (l *life) enter() error {
	if place, ok := l.engine.places.TryEnter(l.holder()); ok {
		l.holdPlace(place)
		return nil
	}
	patience, cancel := l.ctx, func() {}
	if end, ok := l.ctx.Deadline(); ok {
		patience, cancel = context.WithTimeout(l.ctx, time.Until(end)/2)
	}
	defer cancel()
	if err := l.waitForPlace(patience, l.engine.limits.MaxQueue); err != nil {
		return &Refusal{err}
	}
	return nil
}

// holder is the credential that has the place.
func (l *life) holder() fair.Key {
	return fair.Key{APIKey: l.call.APIKey, Credential: l.call.Credential}
}

// waitForPlace takes a place. It waits until ctx is done, unless maxQueue others
// already wait.
func (l *life) waitForPlace(ctx context.Context, maxQueue int) error {
	var start time.Time
	if l.call.Measure {
		start = time.Now()
	}
	place, err := l.engine.places.Enter(ctx, l.holder(), maxQueue)
	if err != nil {
		return err
	}
	if l.call.Measure {
		l.queued.Add(int64(time.Since(start)))
	}
	l.holdPlace(place)
	return nil
}

func (l *life) holdPlace(place fair.Place) {
	l.place = place
	l.hasPlace.Store(true)
}

// leave gives the place back. Only the first call has an effect.
func (l *life) leave() {
	if l.hasPlace.CompareAndSwap(true, false) {
		if l.call.Measure {
			l.computed.Add(int64(l.engine.places.Held(l.place)))
		}
		l.engine.places.Leave(l.place)
	}
}

// yieldPlace calls f, which waits for something, without a place. It reports
// whether the run may go on.
func (l *life) yieldPlace(f func()) bool {
	l.leave()
	f()
	return !l.stopped() && l.waitForPlace(l.ctx, math.MaxInt) == nil
}

// stopped reports whether the run must end.
func (l *life) stopped() bool { return l.ctx.Err() != nil }

// halt ends a run whose time is over from inside a native call.
func (r *run) halt() {
	r.haltedAt = r.vm.CaptureCallStack(maxStackLines, nil)
	interrupt()
}

// interrupt ends the run from inside a native call. The engine takes the panic
// for an interrupt, which no script can catch.
func interrupt() { panic(&goja.InterruptedError{}) }

// wait is yieldPlace for native calls: it halts a run that may not go on.
func (r *run) wait(f func()) {
	if !r.yieldPlace(f) {
		r.halt()
	}
}
