package engine

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"runtime/debug"
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/compiler"
	"example.com/callback/internal/guard"
	"example.com/callback/internal/lazy"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/web"
)

// MaxCallStack bounds the JavaScript frames of a run: recursive native calls unwind
// slowly.
const MaxCallStack = 512

// A run is one call in a runtime of its own. Its methods belong to the goroutine
// that runs it, except enter, which the caller's goroutine calls, and stop and
// abandon, which the watch calls.
type run struct {
	life
	script     string   // the file of the main script
	main       *program // of the main script; nil until it is loaded
	data       orderedFields
	errors     orderedFields
	raw        []byte              // RESPONSE_RAW, if the script set it to bytes
	where      map[string]Position // Result.Where
	few        [3]Field            // memory for the fields of most results
	world      lazy.Object[*run]   // the global names
	spark      lazy.Object[*run]
	objects    objects
	guards     *guard.Guards   // nil until a program needs one
	installed  traits          // the traits that have been installed
	owned      map[string]bool // globals for which ownWhenRead was called
	logging    logging
	modules    modules
	web        *web.Globals      // nil until a standard global is read
	converting int32             // nesting of calls of toJSON
	exited     bool              // by Spark.exit
	missed     *member           // the last member that a script looked for in vain; or nil
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
		life:    life{engine: e, ctx: ctx, call: call, tree: tree, vm: goja.New()},
		logging: logging{level: slog.LevelDebug},
	}
	if r.call.Logger == nil {
		r.call.Logger = slog.New(slog.DiscardHandler)
	}
	return r
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
		return &ScriptError{Script: r.script, Version: r.tree.Version, Message: message}
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
