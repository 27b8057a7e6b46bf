package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/compiler"
	"example.com/callback/internal/deadline"
	"example.com/callback/internal/fair"
	"example.com/callback/internal/guard"
	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/lazy"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/web"
)

// Limits of a run that no host needs to change.
const (
	MaxCallStack  = 512                   // JavaScript frames; recursive native calls unwind slowly
	runGrace      = 50 * time.Millisecond // to stop, and to read the error, after the deadline
	maxStackLines = 32
	maxFuncName   = 200 // in a stack
	maxMessage    = 4 << 10
)

// A run is one call in a runtime of its own. Its methods belong to the goroutine
// that runs it, except enter, which the caller's goroutine calls, and stop and
// abandon, which the watch calls.
type run struct {
	life
	tree       Tree
	script     string   // the file of the main script
	main       *program // of the main script; nil until it is loaded
	data       orderedFields
	errors     orderedFields
	raw        []byte              // RESPONSE_RAW, if the script set it to bytes
	where      map[string]Position // Result.Where
	few        [4]Field            // memory for the fields of most results
	world      lazy.Object[*run]   // the global names
	spark      lazy.Object[*run]
	objects    objects
	guards     guard.Guards
	installed  traits          // the traits that have been installed
	owned      map[string]bool // globals for which ownWhenRead was called
	logging    logging
	modules    modules
	web        *web.Globals      // nil until a standard global is read
	converting int32             // nesting of calls of toJSON
	exited     bool              // by Spark.exit
	missed     member            // the last member that a script looked for in vain
	rejected   []rejection       // promises without a handler so far
	made       []madePromise     // not settled when they were made
	haltedAt   []goja.StackFrame // where a native call ended the run
}

// objects are the JavaScript objects that a run has once, and makes when they are
// first used.
type objects struct {
	spark, player, log, digest *goja.Object
	data                       goja.Value

	prototype *goja.Object // the original Object.prototype
}

func newRun(ctx context.Context, e *Engine, call Call, tree Tree) *run {
	r := &run{
		life:    life{engine: e, ctx: ctx, call: call, vm: goja.New()},
		tree:    tree,
		logging: logging{level: slog.LevelDebug},
	}
	if r.call.Logger == nil {
		r.call.Logger = slog.New(slog.DiscardHandler)
	}
	return r
}

// A life is the part of a run that begins and ends it.
type life struct {
	engine *Engine
	ctx    context.Context
	call   Call
	vm     *goja.Runtime

	place    fair.Place // among those of the runner, if hasPlace
	hasPlace atomic.Bool
	since    time.Time    // when it got the place; set only if Call.Measure is
	queued   atomic.Int64 // nanoseconds of waiting for a place; set only if Call.Measure is
	computed atomic.Int64 // nanoseconds with a place; set only if Call.Measure is
	settled  atomic.Bool  // outcome is set
	ended    atomic.Bool
	outcome  outcome
	released sync.WaitGroup // done when the caller goes on
	watch    *deadline.Watch
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
	r.watch.Start(r.ctx, func() { r.stop(yield) })
	o := outcome{err: errGoexit}
	defer func() {
		first := r.settle(o)
		fit = first && o.returned
		r.ended.Store(true)
		r.watch.Stop()
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
	r.watch = new(deadline.Watch)
	r.watch.Start(r.ctx, func() { r.stop(nil) })
	defer func() {
		r.ended.Store(true)
		r.watch.Stop()
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
	stuck := &ScriptError{Message: cloudcode.Overran, Err: l.ctx.Err()}
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
	if l.call.Measure {
		l.since = time.Now()
	}
	l.hasPlace.Store(true)
}

// leave gives the place back. Only the first call has an effect.
func (l *life) leave() {
	if l.hasPlace.CompareAndSwap(true, false) {
		if l.call.Measure {
			l.computed.Add(int64(time.Since(l.since)))
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

// run loads and runs the script.
func (r *run) run() (o outcome) {
	defer func() {
		switch v := recover().(type) {
		case nil:
		case *goja.InterruptedError, *goja.Exception, *goja.StackOverflowError: // while the run prepares a program
			o.err = r.explain(v.(error))
		default:
			// These include panics of the engine. Printing v may run script code.
			o.err = fmt.Errorf("callback: panic of type %T in the run of %s\n%s", v, r.script, string(debug.Stack()))
		}
		o.script = r.script
		if r.main != nil {
			o.version = r.main.version
		}
		r.leave()
	}()
	program, err := r.mainProgram()
	if err != nil {
		return outcome{err: err}
	}
	r.main = program
	return outcome{err: r.execute(program)}
}

// execute runs the program in a new runtime until nothing remains to be run.
func (r *run) execute(program *program) error {
	r.vm.SetParserOptions(compiler.ParserOptions...) // for eval
	r.vm.SetMaxCallStackSize(MaxCallStack)
	r.vm.SetPromiseRejectionTracker(r.trackRejection)
	if !r.call.Now.IsZero() {
		r.vm.SetTimeSource(func() time.Time { return r.call.Now })
	}
	if r.call.Seed != 0 {
		r.vm.SetRandSource(rand.New(rand.NewPCG(r.call.Seed, 0)).Float64)
	}
	r.data.list = r.few[:0]
	r.makeWorld()

	// Promise jobs are run before RunProgram returns.
	_, err := r.vm.RunProgram(r.prepare(program))
	if r.web != nil || program.handler {
		err = r.finish(program, err)
	}
	if err != nil && !r.exitedBy(err) {
		return r.explain(err)
	}
	if err == nil && len(r.rejected) > 0 {
		return r.explainRejection(r.rejected[0])
	}
	if err == nil && !program.handler { // what a handler leaves unfinished ends with it
		r.warnUnsettled()
	}
	if message := r.tooLarge(); message != "" {
		return &ScriptError{Script: r.script, Message: message}
	}
	return nil
}

// tooLarge returns a message if the result is over its limits.
func (r *run) tooLarge() string {
	if r.data.len()+r.errors.len() > limit.ResultNames {
		return fmt.Sprintf("script data has more than %d names", limit.ResultNames)
	}
	size := int64(len(r.raw))
	for _, fields := range [...][]Field{r.data.fields(), r.errors.fields()} {
		for i := range fields {
			size += int64(len(fields[i].Name) + len(fields[i].Value))
		}
	}
	if size > r.call.MaxResult {
		return fmt.Sprintf("script data is over the limit of %d bytes", r.call.MaxResult)
	}
	return ""
}

// exitedBy reports whether err is from Spark.exit.
func (r *run) exitedBy(err error) bool {
	_, interrupted := err.(*goja.InterruptedError)
	return interrupted && r.exited
}

// A rejection is a rejected promise with the stack of its rejection.
type rejection struct {
	promise *goja.Promise
	stack   []goja.StackFrame
}

// trackRejection keeps the rejected promises that have no handler.
func (r *run) trackRejection(p *goja.Promise, op goja.PromiseRejectionOperation) {
	if op == goja.PromiseRejectionReject {
		r.rejected = append(r.rejected, rejection{p, r.vm.CaptureCallStack(maxStackLines, nil)})
		return
	}
	for i := range r.rejected {
		if r.rejected[i].promise == p {
			r.rejected = append(r.rejected[:i], r.rejected[i+1:]...)
			return
		}
	}
}

// explain turns an error of the engine into a Go error. An error of the engine is
// never printed, wrapped or compared, because that can run script code without
// end and without a way to recover. explain reads it inside the runtime.
func (r *run) explain(err error) error {
	switch err {
	case errWaited:
		return r.explainWait()
	case web.ErrUnsettled:
		at := r.unsettledAt()
		return &ScriptError{Script: at.Script, Line: at.Line, Column: at.Column, Version: r.tree.Version, Message: err.Error()}
	case web.ErrNoHandler, web.ErrNoResponse, web.ErrBodyUsed:
		return &ScriptError{Script: r.script, Version: r.tree.Version, Message: err.Error()}
	}
	e := &ScriptError{Script: r.script, Version: r.tree.Version}
	switch x := err.(type) {
	case *goja.InterruptedError:
		e.setStack(x.Stack())
		if e.Line == 0 {
			e.setStack(r.haltedAt)
		}
		e.Err = r.ctx.Err()
		e.Message = "interrupted"
		if errors.Is(e.Err, context.DeadlineExceeded) {
			e.Message = "ran past its deadline"
		}
	case *goja.StackOverflowError:
		e.setStack(x.Stack())
		e.Message = "RangeError: Maximum call stack size exceeded"
	case *goja.Exception:
		e.setStack(x.Stack())
		e.Message = r.meant(r.describe(x.Value()))
		r.decideNull(e)
	default:
		e.Message = fmt.Sprintf("failed with a %T", err)
	}
	return e
}

// explainRejection makes the error for a rejected promise.
func (r *run) explainRejection(rejected rejection) error {
	e := &ScriptError{Script: r.script, Version: r.tree.Version}
	reason := rejected.promise.Result()
	if ex := r.vm.Try(func() { panic(reason) }); ex != nil {
		e.setStack(ex.Stack()) // where the script made an Error
	}
	if e.Line == 0 {
		e.setStack(rejected.stack)
	}
	e.Message = r.meant(r.describe(reason))
	return e
}

// describe returns the text of a thrown value. Reading it may run script code,
// which gets half of runGrace.
func (r *run) describe(v goja.Value) string {
	object, ok := v.(*goja.Object)
	if !ok {
		return "Uncaught " + limit.Text(v.String(), maxMessage)
	}
	text := "Uncaught exception"
	if r.stopped() {
		return text
	}
	// An interrupt ends everything that follows.
	defer time.AfterFunc(runGrace/2, func() { r.vm.Interrupt(nil) }).Stop()
	func() {
		defer func() { _ = recover() }() // an interrupt or a panic of the engine
		r.vm.Try(func() {
			name, message := object.Get("name"), object.Get("message")
			if message != nil && !goja.IsUndefined(message) {
				text = limit.Text(message.String(), maxMessage)
				if name != nil && !goja.IsUndefined(name) {
					text = limit.Text(name.String(), 100) + ": " + text
				}
				return
			}
			if json, ok := jsjson.Append(nil, r.vm, object, jsjson.Limits{MaxBytes: maxMessage, Ctx: r.ctx}); ok {
				text = "Uncaught " + string(json)
			}
		})
	}()
	return text
}

// positionOf is the innermost position in a script on a stack.
func positionOf(frames []goja.StackFrame) Position {
	for i := range frames {
		if at := frames[i].Position(); at.Line != 0 && at.Filename != jsjson.OwnProgram { // else native
			return Position{at.Filename, at.Line, at.Column}
		}
	}
	return Position{}
}

// setStack sets the position to the innermost frame of a script.
func (e *ScriptError) setStack(frames []goja.StackFrame) {
	var text strings.Builder
	for i := range frames {
		f := &frames[i]
		at := f.Position()
		if at.Line == 0 || at.Filename == jsjson.OwnProgram {
			continue // native
		}
		if e.Line == 0 {
			e.Script, e.Line, e.Column = cmp.Or(at.Filename, e.Script), at.Line, at.Column
		}
		if i < maxStackLines {
			fmt.Fprintf(&text, "at %s (%s:%d:%d)\n", limit.Text(f.FuncName(), maxFuncName), cmp.Or(at.Filename, "eval"), at.Line, at.Column)
		}
	}
	e.Stack = strings.TrimSuffix(text.String(), "\n")
}
