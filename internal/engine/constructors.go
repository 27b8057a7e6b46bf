package engine

import (
	"log/slog"
	"reflect"
	"slices"

	"github.com/dop251/goja"

	"example.com/callback/internal/compiler"
	"example.com/callback/internal/ecma"
	"example.com/callback/internal/jsjson"
)

// A madePromise is a promise that a script has made, and where.
type madePromise struct {
	promise *goja.Promise
	at      []goja.StackFrame
}

// maxMade bounds the promises that a run looks at when it ends.
const maxMade = 100

var (
	promiseType = reflect.TypeFor[*goja.Promise]()
	stringType  = reflect.TypeFor[string]()
)

// builtin makes one of the functions that the compiler puts in the place of the
// engine's, or returns nil for any other name.
func (r *run) builtin(name string) goja.Value {
	switch name {
	case compiler.ParseName:
		return r.jsonFunction("parse", jsjson.ParseBuiltin(r.vm))
	case compiler.StringifyName:
		return r.jsonFunction("stringify", jsjson.StringifyBuiltin(r.vm, r.jsonLimits()))
	case compiler.PromiseName:
		return r.newConstructor("Promise", func(construct goja.Value, args []goja.Value) *goja.Object {
			object := r.construct(construct, args)
			if object.ExportType() == promiseType {
				r.notePromise(object.Export().(*goja.Promise))
			}
			return object
		})
	case compiler.RegExpName:
		return r.newConstructor("RegExp", func(construct goja.Value, args []goja.Value) *goja.Object {
			return r.construct(construct, r.expandProperties(args))
		})
	}
	return nil
}

// newConstructor makes a constructor whose first argument is the one that the script
// names. f gets that and the others.
func (r *run) newConstructor(name string, f func(construct goja.Value, args []goja.Value) *goja.Object) goja.Value {
	constructor := r.vm.ToValue(func(call goja.ConstructorCall) *goja.Object {
		return f(call.Argument(0), call.Arguments[min(1, len(call.Arguments)):])
	}).(*goja.Object)
	_ = constructor.DefineDataProperty("name", r.vm.ToValue(name), goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	return constructor
}

func (r *run) construct(construct goja.Value, args []goja.Value) *goja.Object {
	object, err := r.vm.New(construct, args...)
	if err != nil {
		panic(err) // the engine's own, for the engine
	}
	return object
}

// expandProperties expands the properties in a pattern, the first of the arguments
// of RegExp.
func (r *run) expandProperties(args []goja.Value) []goja.Value {
	if len(args) < 2 || args[0].ExportType() != stringType || args[1].ExportType() != stringType {
		return args
	}
	pattern := args[0].String()
	expanded, err := compiler.ExpandProperties(pattern, args[1].String())
	switch {
	case err != nil:
		panic(ecma.NewSyntaxError(r.vm, "Invalid regular expression: "+err.Error()))
	case expanded == pattern:
		return args
	}
	return append([]goja.Value{r.vm.ToValue(expanded)}, args[1:]...)
}

// notePromise notes a promise unless it is settled, or too many are not.
func (r *run) notePromise(p *goja.Promise) {
	if p.State() != goja.PromiseStatePending {
		return
	}
	if len(r.made) == maxMade {
		r.made = slices.DeleteFunc(r.made, settled)
	}
	if len(r.made) < maxMade {
		r.made = append(r.made, madePromise{p, r.vm.CaptureCallStack(2, nil)})
	}
}

func settled(m madePromise) bool { return m.promise.State() != goja.PromiseStatePending }

// warnUnsettled logs where the promises were made that are not settled at the end of
// the run: nothing is left that could settle them.
func (r *run) warnUnsettled() {
	var told []Position
	for _, m := range r.made {
		at := positionOf(m.at)
		if settled(m) || slices.Contains(told, at) {
			continue
		}
		told = append(told, at)
		r.logAt(at, slog.LevelWarn, "callback: promise is never settled: what waits for it does not run")
	}
}

// unsettledAt is where the first promise was made that is not settled.
func (r *run) unsettledAt() Position {
	for _, m := range r.made {
		if !settled(m) {
			return positionOf(m.at)
		}
	}
	return Position{Script: r.script}
}
