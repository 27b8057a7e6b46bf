package callback

import (
	"log/slog"
	"reflect"
	"slices"

	"github.com/dop251/goja"
)

// A madePromise is a promise that a script has made, and where.
type madePromise struct {
	promise *goja.Promise
	at      []goja.StackFrame
}

// maxMade bounds the promises that a run looks at when it ends.
const maxMade = 100

var promiseType = reflect.TypeFor[*goja.Promise]()

// promiseMaker makes the constructor that scripts make promises with: its first
// argument is the constructor that they name.
func (r *run) promiseMaker() goja.Value {
	maker := r.vm.ToValue(func(call goja.ConstructorCall) *goja.Object {
		object, err := r.vm.New(call.Argument(0), call.Arguments[1:]...)
		if err != nil {
			panic(err) // the engine's own, for the engine
		}
		if object.ExportType() == promiseType {
			r.notePromise(object.Export().(*goja.Promise))
		}
		return object
	}).(*goja.Object)
	_ = maker.DefineDataProperty("name", r.vm.ToValue("Promise"), goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	return maker
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
