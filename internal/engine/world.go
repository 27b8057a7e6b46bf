package engine

import (
	"github.com/dop251/goja"

	"example.com/callback/internal/annexb"
	"example.com/callback/internal/guard"
	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/lazy"
	"example.com/callback/internal/locale"
)

// makeWorld gives the runtime its global names. They are properties of the global
// object's prototype, because a write to the global object itself makes the
// engine copy its list of global names.
func (r *run) makeWorld() {
	global := r.vm.GlobalObject()
	r.objects.prototype = global.Prototype()
	world := r.world.Init(r.vm, &worldClass, r)
	_ = global.SetPrototype(world)
}

var worldClass = lazy.Class[*run]{
	Members: []lazy.Member[*run]{
		lazy.Value("Spark", (*run).makeSpark),
		lazy.Func("require", func(r *run, call lazy.Call) goja.Value { return r.require(call, false) }),
		lazy.Func("requireOnce", func(r *run, call lazy.Call) goja.Value { return r.require(call, true) }),
		lazy.Value("SparkRequests", func(r *run) goja.Value { return lazy.New(r.vm, &requestsClass, r) }),
	},
	Override:      (*run).hostGlobal,
	OverrideNames: func(r *run) []string { return r.call.Globals.Names() },
	Fallback:      (*run).standardGlobal,
}

// hostGlobal makes a global name of the host or of the compiler, or returns nil
// for any other name.
func (r *run) hostGlobal(name string) goja.Value {
	if _, ok := r.call.Globals.Script(name); !ok {
		return r.builtin(name)
	}
	r.makeSpark() // an argument of its Script
	return r.hostMember(r.call.Globals, "", name)
}

func (r *run) makeSpark() goja.Value {
	if r.objects.spark == nil {
		r.objects.spark = r.spark.Init(r.vm, &sparkClass, r)
	}
	return r.objects.spark
}

// prepare installs what the program needs.
func (r *run) prepare(p *program) *goja.Program {
	if p.traits.parse && !r.installed.parse {
		r.installed.parse = true
		r.replaceJSON("parse", jsjson.ParseBuiltin(r.vm))
	}
	if p.traits.stringify && !r.installed.stringify {
		r.installed.stringify = true
		r.replaceJSON("stringify", jsjson.StringifyBuiltin(r.vm, r.jsonLimits()))
	}
	if p.traits.locale && !r.installed.locale {
		r.installed.locale = true
		locale.Install(r.vm)
	}
	if missing := p.traits.annexB &^ r.installed.annexB; missing != 0 {
		r.installed.annexB |= missing
		annexb.Install(r.vm, missing)
	}
	if p.traits.own && !r.installed.own {
		r.installed.own = true
		r.own(r.world.Keys())
	}
	r.own(p.declared)
	for i, name := range p.variables {
		if _, ok := r.call.Globals.Script(name); ok {
			r.own(p.variables[i : i+1])
		}
	}
	if p.traits.guards != 0 {
		if r.guards == nil {
			r.guards = new(guard.Guards)
		}
		r.guards.Place(r.vm, p.traits.guards)
	}
	return p.compiled
}

// own turns global names into properties of the global object itself.
func (r *run) own(names []string) {
	global := r.vm.GlobalObject()
	for _, name := range names {
		if script, _ := r.call.Globals.Script(name); script != "" {
			r.ownWhenRead(name)
		} else {
			_ = global.DefineDataProperty(name, global.Get(name), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
		}
	}
}

// ownWhenRead is own for a global with a Script of the host. That runs, and may
// throw, when a script first reads the name.
func (r *run) ownWhenRead(name string) {
	if r.owned[name] {
		return
	}
	if r.owned == nil {
		r.owned = map[string]bool{}
	}
	r.owned[name] = true
	global := r.vm.GlobalObject()
	become := func(value goja.Value) goja.Value {
		if value == nil { // the script has deleted it
			value = goja.Undefined()
		}
		_ = global.DefineDataProperty(name, value, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
		return value
	}
	get := lazy.Function(r.vm, name, func(goja.FunctionCall) goja.Value { return become(r.world.Get(name)) })
	set := lazy.Function(r.vm, name, func(call goja.FunctionCall) goja.Value { return become(call.Argument(0)) })
	_ = global.DefineAccessorProperty(name, get, set, goja.FLAG_TRUE, goja.FLAG_FALSE)
}

func (r *run) replaceJSON(name string, f func(goja.FunctionCall) goja.Value) {
	if json, ok := r.vm.Get("JSON").(*goja.Object); ok {
		lazy.Method(r.vm, json, name, f)
	}
}
