package loop

import (
	"math"
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/web/realm"
)

// Global makes one of the functions setTimeout, setInterval, clearTimeout and
// clearInterval.
func (l *Loop) Global(r *realm.Realm, name string) goja.Value {
	switch name {
	case "setTimeout":
		return r.Function(name, 1, func(call goja.FunctionCall) goja.Value { return l.set(r, name, call, false) })
	case "setInterval":
		return r.Function(name, 1, func(call goja.FunctionCall) goja.Value { return l.set(r, name, call, true) })
	}
	return r.Function(name, 0, func(call goja.FunctionCall) goja.Value {
		l.Clear(int(realm.Long(call.Argument(0))))
		return goja.Undefined()
	})
}

func (l *Loop) set(r *realm.Realm, name string, call goja.FunctionCall, repeat bool) goja.Value {
	callback, ok := goja.AssertFunction(call.Argument(0))
	if !ok {
		r.TypeError("%s: callback must be a function: text is not run as a script", name)
	}
	delay := time.Duration(max(0, realm.Long(call.Argument(1)))) * time.Millisecond
	every := time.Duration(0)
	if repeat {
		delay = max(delay, time.Millisecond)
		every = delay
	}
	var args []goja.Value
	if len(call.Arguments) > 2 {
		args = append(args, call.Arguments[2:]...)
	}
	id, err := l.After(delay, every, false, func() error {
		_, err := callback(goja.Undefined(), args...)
		return err
	})
	if err != nil {
		r.RangeError("%s: more than %d timers wait", name, MaxTimers)
	}
	return r.VM.ToValue(min(id, math.MaxInt32))
}
