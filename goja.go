package callback

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"iter"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"runtime"
	"runtime/debug"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/compiler"
	"example.com/callback/internal/deadline"
	"example.com/callback/internal/gate"
	"example.com/callback/internal/guard"
	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/limit"
)

// Limits of [GojaRunner] that no host needs to change.
const (
	maxCallStack  = 512                   // JavaScript frames; natives that recurse unwind slowly
	runGrace      = 50 * time.Millisecond // for a run to stop, and to read its error, after the deadline
	maxStackLines = 32
	maxFuncName   = 200 // in a stack
	maxMessage    = 4 << 10
)

// Defaults of the [GojaRunner]'s limits: what a field that is zero means.
const (
	DefaultMaxScriptSize = 1 << 20
	DefaultMaxStuck      = 16
	DefaultMaxQueue      = 16384
)

// GojaRunner is a [ScriptRunner] that runs scripts inside the process on goja,
// each in a fresh runtime. It is used by pointer and its fields must not change
// once it runs.
//
// It reads the tree of a game's exported cloud code: callbacks/{credential}.js,
// system/GS_CALLBACK_URL.js (else callbacks/server.js) for the server secret,
// and modules/{SHORTCODE}.js for require. Compiled scripts are kept. An edit is
// live at the next request; one that does not compile is logged once and the
// working script stays.
//
// A script that computes beyond its deadline is interrupted, but not in its first
// ten milliseconds. Where the engine cannot be (in a long native call) the caller
// still gets its answer in time, and the run is left behind and counted.
type GojaRunner struct {
	// Scripts holds the tree: an [os.DirFS], an embed.FS, a testing/fstest.MapFS. It is
	// required.
	Scripts fs.FS

	// MaxScriptSize is the longest script or module, in bytes. Zero means
	// DefaultMaxScriptSize. A longer one fails as if it did not compile.
	MaxScriptSize int64

	// MaxRunning is how many scripts may compute at the same time. Zero means
	// GOMAXPROCS. A script that waits for an outbound request or a host
	// function does not count while it waits.
	MaxRunning int

	// MaxQueue is how many calls may wait for one of the MaxRunning places,
	// each for half of its time. Zero means DefaultMaxQueue. For one more, and
	// for one that waited in vain, RunScript returns ErrOverloaded.
	MaxQueue int

	// MaxStuck is how many runs may be left behind, still busy past their
	// deadline, before RunScript refuses every call with ErrOverloaded until
	// one of them ends. Zero means DefaultMaxStuck. Below zero none is left
	// behind: the script runs on its caller's goroutine, and RunScript returns
	// when it has ended, however late. A small script takes a tenth less time
	// that way. It is for a process that something else ends when it hangs. A
	// host function that calls [runtime.Goexit] ends the caller's goroutine.
	MaxStuck int

	scripts sync.Map // of *script by file name
	members sync.Map // of *program by source: those of the host's Members
	cached  atomic.Int64
	gate    gate.Gate
	stuck   atomic.Int64
}

// RunScript runs the script of call's credential, on a goroutine of its own
// unless MaxStuck is below zero. With one of its own, the goroutine that calls
// it must not be locked to its thread, as those of an HTTP server are not, and
// no host function may leave the script's locked ([runtime.LockOSThread]): the
// Go runtime could end the process for it.
func (g *GojaRunner) RunScript(ctx context.Context, call *Call) (*Result, error) {
	if g.Scripts == nil {
		return nil, errors.New("callback: GojaRunner has no Scripts")
	}
	if g.MaxStuck >= 0 && g.stuck.Load() >= int64(cmp.Or(g.MaxStuck, DefaultMaxStuck)) {
		return nil, fmt.Errorf("%w: %d runs are stuck past their deadline", ErrOverloaded, g.stuck.Load())
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	if ctx.Value(http.ServerContextKey) != nil {
		// The server has just made a goroutine that watches the connection. If
		// it begins only once the answer is written, that holds up the answer.
		runtime.Gosched()
	}
	r := &run{runner: g, ctx: ctx, call: call, log: call.Logger, vm: goja.New()}
	if r.log == nil {
		r.log = slog.New(slog.DiscardHandler)
	}
	g.gate.Open(g.MaxRunning)
	if err := r.enter(); err != nil {
		return nil, err
	}
	if g.MaxStuck < 0 {
		return r.here()
	}
	r.released.Add(1)
	resume, _ := iter.Pull(func(yield func(struct{}) bool) {
		growStack()
		r.coroutine(yield)
	})
	resume()
	r.released.Done()
	return r.outcome.result, r.outcome.err
}

// An outcome is what a run ends with.
type outcome struct {
	result *Result
	err    error
}

// A run is the world of one call: everything but the runner ends with it. Its
// methods belong to the goroutine that runs it, except enter, which is its
// caller's, and stop and giveUp.
type run struct {
	runner *GojaRunner
	ctx    context.Context
	call   *Call
	log    *slog.Logger
	vm     *goja.Runtime

	inside   atomic.Bool // holds a place in the gate
	settled  atomic.Bool // has an outcome
	ended    atomic.Bool
	exited   bool           // by Spark.exit
	outcome  outcome        // of the run, or of having waited for it
	released sync.WaitGroup // the caller
	watch    deadline.Watch // for when to stop

	name            string // of the main script's file
	data            orderedFields
	errors          orderedFields
	arena           []byte // of the values in both
	output          *output
	world, spark    lazyObject
	sparkObject     *goja.Object
	dataObject      *goja.Object
	playerObject    *goja.Object
	objectPrototype *goja.Object // Object.prototype, whatever the script makes of that name
	guards          guard.Guards
	installed       traits // so far
	logLevel        slog.Level
	logLines        int
	haltedAt        []goja.StackFrame // where it was when it waited too long
	converting      int32             // calls of toJSON under way inside each other
	requires        int32             // calls of require, likewise
	chain           []string          // modules that ran in the outermost require under way
	required        map[string]bool   // modules that ran
	rejected        []rejection       // promises without a handler so far
}

// An output is the result of a run with room for what most of them set. It is
// apart from the run, which otherwise would not be freed as long as somebody
// keeps the result or a part of it.
type output struct {
	Result
	fields [4]Field
	values [72]byte
}

// errGoexit is how a run ends in which a function of the host's calls
// runtime.Goexit.
var errGoexit = errors.New("callback: the run's goroutine was ended")

// coroutine is the run on a goroutine of its own, which its caller resumes. The
// caller goes on when coroutine returns or when another goroutine yields in its
// place. Control passes without the scheduler, which on an idle machine wakes a
// processor for each hand-over: for a small run that is a third of its time.
func (r *run) coroutine(yield func(struct{}) bool) {
	r.watch.Start(r.ctx, func() { r.stop(yield) })
	o := outcome{nil, errGoexit}
	defer func() {
		first := r.settle(o)
		r.ended.Store(true)
		r.watch.Stop()
		switch {
		case !first:
			r.released.Wait()
			r.runner.stuck.Add(-1)
		case o.err == errGoexit:
			go yield(struct{}{}) // or the caller's goroutine would end as well
			r.released.Wait()
		}
	}()
	o = r.run()
}

// here is the run on the goroutine of its caller.
func (r *run) here() (*Result, error) {
	r.watch.Start(r.ctx, func() { r.stop(nil) })
	defer func() {
		r.ended.Store(true)
		r.watch.Stop()
	}()
	o := r.run()
	return o.result, o.err
}

// settle reports whether o is the first outcome, which is the one that counts.
func (r *run) settle(o outcome) bool {
	if !r.settled.CompareAndSwap(false, true) {
		return false
	}
	r.outcome = o
	return true
}

// stop interrupts a run whose time is over until it has ended, and gives up on it
// if that takes too long.
func (r *run) stop(yield func(struct{}) bool) {
	for start := time.Now(); !r.ended.Load(); time.Sleep(runGrace / 16) {
		// An interrupt of the engine's is gone with the call it ended.
		r.vm.Interrupt(nil)
		if time.Since(start) > runGrace && r.runner.MaxStuck >= 0 {
			r.giveUp(yield)
		}
	}
}

// giveUp releases the caller, unless it has been.
func (r *run) giveUp(yield func(struct{}) bool) {
	stuck := &ScriptError{
		Script:  cloudcode.MainScripts(r.call.Credential)[0],
		Message: cloudcode.Overran,
		Err:     r.ctx.Err(),
	}
	if r.settle(outcome{nil, stuck}) {
		r.runner.stuck.Add(1)
		r.leave()
		go yield(struct{}{}) // stands in for the caller until the run has ended
	}
}

// run loads and runs the script and says how it ended.
func (r *run) run() (o outcome) {
	defer func() {
		if v := recover(); v != nil {
			// The engine's own panics included; printing v may run script code.
			o = outcome{nil, fmt.Errorf("callback: panic of type %T in the run of %s\n%s", v, r.name, string(debug.Stack()))}
		}
		r.leave()
	}()
	program, err := r.runner.mainProgram(r)
	if err != nil {
		return outcome{nil, err}
	}
	result, err := r.execute(program)
	return outcome{result, err}
}

// growStack makes the goroutine's stack as large as most runs need while there
// is next to nothing on it to copy: each frame costs a hundredth of a run.
//
//go:noinline
func growStack() {
	var room [6 << 10]byte
	occupy(room[:])
}

//go:noinline
func occupy([]byte) {}

// execute runs the program in a new runtime until nothing of it is left to run.
func (r *run) execute(program *program) (*Result, error) {
	r.vm.SetParserOptions(compiler.ParserOptions...) // for eval
	r.vm.SetMaxCallStackSize(maxCallStack)
	r.vm.SetPromiseRejectionTracker(r.trackRejection)
	if !r.call.Now.IsZero() {
		r.vm.SetTimeSource(func() time.Time { return r.call.Now })
	}
	if r.call.Seed != 0 {
		r.vm.SetRandSource(rand.New(rand.NewPCG(r.call.Seed, 0)).Float64)
	}
	r.logLevel = slog.LevelDebug
	r.output = new(output)
	r.data.list, r.arena = r.output.fields[:0], r.output.values[:0]
	r.makeWorld()

	// Promise jobs are run before RunProgram returns.
	_, err := r.vm.RunProgram(r.prepare(program))
	if err != nil && !r.exitedBy(err) {
		return nil, r.explain(err)
	}
	if err == nil && len(r.rejected) > 0 {
		return nil, r.explainRejection(r.rejected[0])
	}
	r.output.Result = Result{Data: r.data.fields(), Errors: r.errors.fields()}
	return &r.output.Result, nil
}

// exitedBy reports whether err is the end that Spark.exit makes.
func (r *run) exitedBy(err error) bool {
	_, interrupted := err.(*goja.InterruptedError)
	return interrupted && r.exited
}

// stopped reports whether the run should not go on.
func (r *run) stopped() bool { return r.ctx.Err() != nil }

// halt ends the run from inside a native call: the engine takes it for an
// interrupt, which no script can catch.
func halt() { panic(&goja.InterruptedError{}) }

// A rejection is a promise that was rejected, and where.
type rejection struct {
	promise *goja.Promise
	stack   []goja.StackFrame
}

// trackRejection keeps the promises that were rejected with nobody to tell.
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

// enter takes a place among the scripts that compute. Of the time that is left
// a call spends at most half in the queue: to begin with less is to fail late.
func (r *run) enter() error {
	patience, cancel := r.ctx, func() {}
	if end, ok := r.ctx.Deadline(); ok && r.runner.gate.Full() {
		patience, cancel = context.WithTimeout(r.ctx, time.Until(end)/2)
	}
	defer cancel()
	err := r.runner.gate.Enter(patience, cmp.Or(r.runner.MaxQueue, DefaultMaxQueue))
	r.inside.Store(err == nil)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrOverloaded, err)
	}
	return nil
}

// leave gives the place back, once.
func (r *run) leave() {
	if r.inside.CompareAndSwap(true, false) {
		r.runner.gate.Leave()
	}
}

// outside does f, which waits for something, without a place in the gate. It
// ends the run if its time is over.
func (r *run) outside(f func()) {
	if !r.wait(f) {
		r.haltedAt = r.vm.CaptureCallStack(maxStackLines, nil)
		halt()
	}
}

// wait does f without a place in the gate, and reports whether the run goes on.
func (r *run) wait(f func()) bool {
	r.leave()
	f()
	if r.stopped() || r.runner.gate.Enter(r.ctx, math.MaxInt) != nil {
		return false
	}
	r.inside.Store(true)
	return true
}

// explain makes a plain Go error of one of the engine's. Those are never
// printed, wrapped or compared: that can run script code, without end and
// without a way to recover. What is read of them is read here, in the runtime.
func (r *run) explain(err error) error {
	e := &ScriptError{Script: r.name}
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
		e.Message = r.describe(x.Value())
	default:
		e.Message = fmt.Sprintf("failed with a %T", err)
	}
	return e
}

// explainRejection makes an error of a promise's rejection.
func (r *run) explainRejection(rejected rejection) error {
	e := &ScriptError{Script: r.name}
	reason := rejected.promise.Result()
	if ex := r.vm.Try(func() { panic(reason) }); ex != nil {
		e.setStack(ex.Stack()) // where an Error was made
	}
	if e.Line == 0 {
		e.setStack(rejected.stack)
	}
	e.Message = r.describe(reason)
	return e
}

// describe puts a thrown value in words, as far as that ends in time.
func (r *run) describe(v goja.Value) string {
	object, ok := v.(*goja.Object)
	if !ok {
		return "Uncaught " + limit.Text(v.String(), maxMessage)
	}
	text := "Uncaught exception"
	if r.stopped() {
		return text
	}
	var interrupts sync.WaitGroup
	over := make(chan struct{})
	interrupts.Go(func() { // each ends only the call it meets
		for delay := runGrace / 2; ; delay = runGrace / 16 {
			select {
			case <-over:
				return
			case <-time.After(delay):
				r.vm.Interrupt(nil)
			}
		}
	})
	defer interrupts.Wait()
	defer close(over)
	func() {
		defer func() { _ = recover() }() // an interrupt, or worse
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
