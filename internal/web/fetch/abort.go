package fetch

import (
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/web/realm"
)

// A signal is the slot of an AbortSignal.
type signal struct {
	object    *goja.Object // nil until it is made
	aborted   bool
	reason    goja.Value
	handler   goja.Value // onabort
	listeners []*goja.Object
	actions   []*func() // of the library, called before the listeners
	sources   []*signal // the arguments of AbortSignal.any
	dependent []*signal
}

// maxListeners bounds the listeners of one signal.
const maxListeners = 10000

// controller is the slot of an AbortController.
type controller struct{ signal *signal }

// onAbort arranges that f is called when the signal is aborted, until stop is
// called.
func (s *signal) onAbort(f func()) (stop func()) {
	action := &f
	s.actions = append(s.actions, action)
	return func() {
		for i := range s.actions {
			if s.actions[i] == action {
				s.actions = append(s.actions[:i], s.actions[i+1:]...)
				return
			}
		}
	}
}

// abort aborts the signal and those that depend on it.
func (g *Globals) abort(r *realm.Realm, s *signal, reason goja.Value) error {
	if s.aborted {
		return nil
	}
	if ecma.IsUndefined(reason) {
		reason = r.Exception("AbortError", "The operation was aborted")
	}
	all := []*signal{s}
	s.aborted, s.reason = true, reason
	for _, d := range s.dependent {
		if !d.aborted {
			d.aborted, d.reason = true, reason
			all = append(all, d)
		}
	}
	for _, s := range all {
		if err := g.dispatch(r, s); err != nil {
			return err
		}
	}
	return nil
}

// dispatch tells all listeners that the signal is aborted. What a listener throws
// becomes a promise rejection without a handler, because no code of the script
// could catch it.
func (g *Globals) dispatch(r *realm.Realm, s *signal) error {
	actions, listeners := s.actions, s.listeners
	s.actions = nil
	for _, action := range actions {
		(*action)()
	}
	if len(listeners) == 0 && s.handler == nil {
		return nil
	}
	this := g.signalObject(r, s)
	event := r.VM.NewObject()
	r.Put(event, "type", realm.Text("abort"))
	r.Put(event, "target", this)
	r.Put(event, "currentTarget", this)
	for _, flag := range []string{"bubbles", "cancelable", "defaultPrevented"} {
		r.Put(event, flag, r.VM.ToValue(false))
	}
	r.Put(event, "isTrusted", r.VM.ToValue(true))
	call := func(callback goja.Value) error {
		receiver := goja.Value(this)
		function, ok := goja.AssertFunction(callback)
		if !ok {
			receiver = callback
			if object, isObject := callback.(*goja.Object); isObject {
				function, ok = goja.AssertFunction(ecma.OrUndefined(object.Get("handleEvent")))
			}
		}
		if !ok {
			return nil
		}
		_, err := function(receiver, event)
		if thrown, ok := err.(*goja.Exception); ok {
			r.Rejected(thrown.Value())
			return nil
		}
		return err
	}
	if s.handler != nil {
		if err := call(s.handler); err != nil {
			return err
		}
	}
	for _, l := range listeners {
		if err := call(l); err != nil {
			return err
		}
	}
	return nil
}

func (g *Globals) signalObject(r *realm.Realm, s *signal) *goja.Object {
	if s.object == nil {
		s.object = r.Object(g.AbortSignal, s)
	}
	return s.object
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

func (g *Globals) signalClass(r *realm.Realm) *realm.Made {
	return realm.Make(r, &realm.Class[*signal]{
		Name: "AbortSignal",
		Members: []realm.Member[*signal]{
			realm.Getter("aborted", func(r *realm.Realm, s *signal) goja.Value { return r.VM.ToValue(s.aborted) }),
			realm.Getter("reason", func(_ *realm.Realm, s *signal) goja.Value { return ecma.OrUndefined(s.reason) }),
			realm.Method("throwIfAborted", 0, func(_ *realm.Realm, s *signal, _ goja.FunctionCall) goja.Value {
				if s.aborted {
					panic(s.reason)
				}
				return goja.Undefined()
			}),
			realm.Attribute("onabort", func(_ *realm.Realm, s *signal) goja.Value {
				if s.handler == nil {
					return goja.Null()
				}
				return s.handler
			}, func(_ *realm.Realm, s *signal, v goja.Value) {
				s.handler = nil
				if object, ok := v.(*goja.Object); ok {
					s.handler = object
				}
			}),
			realm.Method("addEventListener", 2, func(r *realm.Realm, s *signal, call goja.FunctionCall) goja.Value {
				kind := r.String(call.Argument(0))
				callback, ok := call.Argument(1).(*goja.Object)
				if kind != "abort" || !ok {
					return goja.Undefined()
				}
				for _, l := range s.listeners {
					if l == callback {
						return goja.Undefined()
					}
				}
				if len(s.listeners) >= maxListeners {
					r.RangeError("AbortSignal.addEventListener: too many listeners")
				}
				s.listeners = append(s.listeners, callback)
				return goja.Undefined()
			}),
			realm.Method("removeEventListener", 2, func(r *realm.Realm, s *signal, call goja.FunctionCall) goja.Value {
				if r.String(call.Argument(0)) != "abort" {
					return goja.Undefined()
				}
				kept := make([]*goja.Object, 0, len(s.listeners))
				for _, l := range s.listeners {
					if goja.Value(l) != call.Argument(1) {
						kept = append(kept, l)
					}
				}
				s.listeners = kept
				return goja.Undefined()
			}),
		},
		Static: []realm.Static{
			{Name: "abort", Function: func(r *realm.Realm, call goja.FunctionCall) goja.Value {
				s := &signal{}
				must(g.abort(r, s, call.Argument(0)))
				return g.signalObject(r, s)
			}},
			{Name: "timeout", Length: 1, Function: func(r *realm.Realm, call goja.FunctionCall) goja.Value {
				ms := call.Argument(0).ToFloat()
				if !(ms >= 0 && ms <= 1<<53-1) {
					r.TypeError("AbortSignal.timeout: milliseconds must be a number of at least 0")
				}
				s := &signal{}
				delay := time.Duration(min(ms, 1e9)) * time.Millisecond
				_, err := g.loop.After(delay, 0, true, func() error {
					return g.abort(r, s, r.Exception("TimeoutError", "The operation timed out"))
				})
				if err != nil {
					r.RangeError("AbortSignal.timeout: %s", err.Error())
				}
				return g.signalObject(r, s)
			}},
			{Name: "any", Length: 1, Function: func(r *realm.Realm, call goja.FunctionCall) goja.Value {
				s := &signal{}
				for _, item := range r.List(call.Argument(0), maxListeners, "AbortSignal.any: signals") {
					of, ok := realm.Is[*signal](r, item)
					if !ok {
						r.TypeError("AbortSignal.any: signals has one that is none")
					}
					if of.aborted && !s.aborted {
						s.aborted, s.reason = true, of.reason
					}
					s.sources = append(s.sources, of)
				}
				if !s.aborted {
					s.follow()
				}
				return g.signalObject(r, s)
			}},
		},
	})
}

// follow makes the signal depend on its sources and on their sources.
func (s *signal) follow() {
	var direct []*signal
	for _, source := range s.sources {
		if len(source.sources) > 0 {
			direct = append(direct, source.sources...)
		} else {
			direct = append(direct, source)
		}
	}
	s.sources = direct
	for _, source := range direct {
		source.dependent = append(source.dependent, s)
	}
}

func (g *Globals) controllerClass(r *realm.Realm) *realm.Made {
	return realm.Make(r, &realm.Class[*controller]{
		Name: "AbortController",
		New:  func(*realm.Realm, goja.FunctionCall) *controller { return &controller{&signal{}} },
		Members: []realm.Member[*controller]{
			realm.Getter("signal", func(r *realm.Realm, c *controller) goja.Value { return g.signalObject(r, c.signal) }),
			realm.Method("abort", 0, func(r *realm.Realm, c *controller, call goja.FunctionCall) goja.Value {
				must(g.abort(r, c.signal, call.Argument(0)))
				return goja.Undefined()
			}),
		},
	})
}
