package engine

import (
	"cmp"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"math"
	"slices"
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/annexb"
	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/digest"
	"example.com/callback/internal/ecma"
	"example.com/callback/internal/host"
	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/lazy"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/locale"
	"example.com/callback/internal/reserved"
	"example.com/callback/internal/web"
)

// makeWorld gives the runtime its global names. They are properties of the global
// object's prototype, because a write to the global object itself makes the
// engine copy its list of global names.
func (r *run) makeWorld() {
	global := r.vm.GlobalObject()
	r.objects.prototype = global.Prototype()
	world := r.world.Init(r.vm, &worldClass, r)
	_ = world.SetPrototype(r.objects.prototype)
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
		return r.constructor(name)
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
	r.guards.Place(r.vm, p.traits.guards)
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

// modules are the modules that a run has required.
type modules struct {
	ran   map[string]*program
	depth int      // nesting of calls of require
	chain []string // modules that have run in the outermost call of require
}

// require runs a module in the global scope. Within one outermost call of require
// each module runs only once, so that cycles end.
func (r *run) require(call lazy.Call, once bool) goja.Value {
	code := call.Text(0, "shortCode")
	if !cloudcode.IsName(code) {
		ecma.Throw(r.vm, "%s: no module %q", call.Member(), limit.Text(code, 100))
	}
	m := &r.modules
	if slices.Contains(m.chain, code) || once && m.ran[code] != nil {
		return goja.Undefined()
	}
	module, err := r.load(cloudcode.Module(code))
	var script *ScriptError
	switch {
	case r.stopped():
		r.halt()
	case errors.As(err, &script):
		ecma.Throw(r.vm, "%s: module %q does not compile: %s:%d:%d: %s",
			call.Member(), code, script.Script, script.Line, script.Column, script.Message)
	case errors.Is(err, fs.ErrNotExist):
		ecma.Throw(r.vm, "%s: no module %q", call.Member(), code)
	case err != nil:
		r.logLine(slog.LevelError, "callback: cannot read module", "module", code, "error", err)
		ecma.Throw(r.vm, "%s: module %q cannot be read", call.Member(), code)
	}
	if m.ran == nil {
		m.ran = map[string]*program{}
	}
	m.ran[code] = module
	m.chain = append(m.chain, code)
	m.depth++
	defer func() {
		if m.depth--; m.depth == 0 {
			m.chain = nil
		}
	}()
	if _, err := r.vm.RunProgram(r.prepare(module)); err != nil {
		panic(err) // for the engine: an exception, which must not be read here
	}
	return goja.Undefined()
}

var sparkClass = lazy.Class[*run]{
	Name: "Spark",
	Members: []lazy.Member[*run]{
		lazy.Func("getRequestMethod", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(cmp.Or(r.request().Method, "GET")) }),
		lazy.Func("getRequestBytes", (*run).getRequestBytes),
		lazy.Func("parseXml", (*run).parseXML),
		lazy.Func("getData", func(r *run, _ lazy.Call) goja.Value { return r.getData() }),
		lazy.Value("data", (*run).getData),
		lazy.Func("setScriptData", func(r *run, call lazy.Call) goja.Value { return r.setField(&r.data, call) }),
		lazy.Func("getScriptData", func(r *run, call lazy.Call) goja.Value { return r.getField(&r.data, call) }),
		lazy.Func("removeScriptData", func(r *run, call lazy.Call) goja.Value { return r.removeField(&r.data, call) }),
		lazy.Func("removeAllScriptData", func(r *run, _ lazy.Call) goja.Value { return r.removeFields(&r.data) }),
		lazy.Func("setScriptError", func(r *run, call lazy.Call) goja.Value { return r.setField(&r.errors, call) }),
		lazy.Func("getScriptError", func(r *run, call lazy.Call) goja.Value { return r.getField(&r.errors, call) }),
		lazy.Func("removeScriptError", func(r *run, call lazy.Call) goja.Value { return r.removeField(&r.errors, call) }),
		lazy.Func("removeAllScriptErrors", func(r *run, _ lazy.Call) goja.Value { return r.removeFields(&r.errors) }),
		lazy.Func("hasScriptErrors", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.errors.len() > 0) }),
		lazy.Func("getLog", (*run).getLog),
		lazy.Func("getHttp", (*run).getHTTP),
		lazy.Func("getDigester", (*run).getDigester),
		lazy.Func("exit", (*run).exit),
		lazy.Func("getRemainingMilliseconds", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.remaining()) }),
		lazy.Func("currentStack", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.currentStack()) }),
		lazy.Func("getCredentialType", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(cloudcode.CredentialType(r.call.Credential)) }),
		lazy.Func("getSessionId", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.request().RunID) }),
		lazy.Func("getClientIp", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.request().ClientIP) }),
		lazy.Func("getPlayer", func(r *run, _ lazy.Call) goja.Value { return r.getPlayer() }),
		lazy.Value("player", (*run).player),
	},
	Override:      func(r *run, name string) goja.Value { return r.hostMember(r.call.Members, "Spark.", name) },
	OverrideNames: func(r *run) []string { return r.call.Members.Names() },
	Fallback:      documented("Spark"),
}

// Carried lists the members of a class that the library carries. For the empty
// class it lists the global names.
func Carried(class string) []string {
	switch class {
	case "":
		return web.Names()
	case sparkClass.Name:
		return sparkClass.Names()
	case httpClass.Name:
		return httpClass.Names()
	case responseClass.Name:
		return responseClass.Names()
	case logClass.Name:
		return logClass.Names()
	case digestClass.Name:
		return digestClass.Names()
	case playerClass.Name:
		return playerClass.Names()
	}
	return nil
}

// A member is a member of a class.
type member struct{ class, name string }

// meant adds "did you mean" to the message of an exception, if the exception is
// about the last member that a script looked for in vain.
func (r *run) meant(message string) string {
	message = sayNull(message)
	m := r.missed
	if m.name == "" || message != "TypeError: Object has no member '"+m.name+"'" {
		return message
	}
	message = "TypeError: " + m.class + " has no member " + m.name
	known := Carried(m.class)
	if m.class == sparkClass.Name {
		known = append(known, r.call.Members.Names()...)
	}
	if near := cloudcode.Nearest(m.name, cloudcode.Members(m.class), known); near != "" {
		message += ": did you mean " + near + "?"
	}
	return message
}

// documented makes the function for a member that only a host can supply. Calling
// it throws an error that says so.
func documented(class string) func(*run, string) goja.Value {
	return func(r *run, name string) goja.Value {
		if !cloudcode.Has(class, name) {
			r.missed = member{class, name}
			return nil
		}
		return lazy.Function(r.vm, name, func(goja.FunctionCall) goja.Value {
			ecma.Throw(r.vm, "%s.%s is not supplied: the host of these scripts can supply it", class, name)
			return nil
		})
	}
}

func (r *run) request() Request { return r.call.Host.Request() }

// getData makes the value of the call's data, once. It defines properties instead
// of assigning them, so that "__proto__" is a name like any other.
func (r *run) getData() goja.Value {
	if r.objects.data != nil {
		return r.objects.data
	}
	request := r.request()
	if request.Input != nil {
		r.objects.data = r.fromJSON(string(request.Input))
		return r.objects.data
	}
	data := r.params(request.Data)
	if request.Headers != nil {
		ecma.Define(data, reserved.RequestHeaders, r.params(request.Headers))
	}
	r.objects.data = data
	return data
}

func (r *run) params(params Params) *goja.Object {
	// On an object without a prototype, setting a property defines it, whatever
	// its name is and whatever the script has done to Object.prototype.
	object := r.vm.CreateObject(nil)
	for i := range params.Len() {
		name, values := params.At(i)
		value := r.vm.ToValue(values[0])
		if len(values) > 1 {
			value = r.strings(values)
		}
		_ = object.Set(name, value)
	}
	_ = object.SetPrototype(r.objects.prototype)
	return object
}

func (r *run) getRequestBytes(lazy.Call) goja.Value {
	return ecma.NewUint8Array(r.vm, r.requestBody())
}

// requestBody is a copy of the request's body, after inflation.
func (r *run) requestBody() []byte {
	request := r.request()
	if request.Body == nil && request.HasBody { // on GET, REQUEST_BODY is an ordinary parameter
		for i := range request.Data.Len() {
			if name, values := request.Data.At(i); name == reserved.RequestBody {
				return []byte(values[0])
			}
		}
	}
	return slices.Clone(request.Body)
}

// strings makes an array of strings.
func (r *run) strings(values []string) goja.Value {
	items := make([]any, len(values))
	for i := range values {
		items[i] = r.vm.ToValue(values[i])
	}
	return r.vm.NewArray(items...)
}

func (r *run) getLog(lazy.Call) goja.Value {
	if r.objects.log == nil {
		r.objects.log = lazy.New(r.vm, &logClass, r)
	}
	return r.objects.log
}

func (r *run) exit(lazy.Call) goja.Value {
	r.exited = true
	r.vm.Interrupt(nil) // because the engine may call the return method of iterators as it unwinds
	interrupt()
	return nil
}

// remaining is the time until the deadline, in milliseconds.
func (r *run) remaining() int64 {
	deadline, ok := r.ctx.Deadline()
	if !ok {
		return math.MaxInt32
	}
	return max(0, time.Until(deadline).Milliseconds())
}

// currentStack is the script's call stack, one frame a line, without the frame of
// Spark.currentStack itself.
func (r *run) currentStack() string {
	var e ScriptError
	e.setStack(r.vm.CaptureCallStack(0, nil))
	return e.Stack
}

func (r *run) getDigester(lazy.Call) goja.Value {
	if r.objects.digest == nil {
		r.objects.digest = lazy.New(r.vm, &digestClass, r)
	}
	return r.objects.digest
}

var digestClass = lazy.Class[*run]{Name: "SparkDigest", Members: digestMembers()}

func digestMembers() []lazy.Member[*run] {
	var members []lazy.Member[*run]
	for _, m := range digest.Members() {
		members = append(members, lazy.Func(m.Name, func(r *run, call lazy.Call) goja.Value { return r.digest(m, call) }))
	}
	return members
}

func (r *run) digest(m digest.Member, call lazy.Call) goja.Value {
	args := make([]string, len(m.Args()))
	for i, arg := range m.Args() {
		if raw, ok := ecma.Bytes(r.vm, call.Argument(i)); ok {
			args[i] = string(raw)
		} else if text, ok := ecma.Scalar(call.Argument(i)); ok {
			args[i] = text
		} else {
			call.Throw(arg, "must be a string or bytes")
		}
	}
	sum, err := m.Sum(r.ctx, args)
	if r.stopped() {
		r.halt()
	}
	if err != nil {
		panic(r.vm.NewTypeError("%s", call.Member()+": "+err.Error()))
	}
	return r.vm.ToValue(sum)
}

var playerClass = lazy.Class[*run]{
	Name: "SparkPlayer",
	Members: []lazy.Member[*run]{
		lazy.Func("getPlayerId", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.request().PlayerID) }),
		lazy.Value("playerId", func(r *run) goja.Value { return r.vm.ToValue(r.request().PlayerID) }),
	},
	Fallback: documented("SparkPlayer"),
}

// getPlayer returns the player that the URL names, or null.
func (r *run) getPlayer() goja.Value {
	if r.request().PlayerID == "" {
		return goja.Null()
	}
	if r.objects.player == nil {
		r.objects.player = lazy.New(r.vm, &playerClass, r)
	}
	return r.objects.player
}

// player is Spark.player: the result of the host's getPlayer or, without one, of
// the library's.
func (r *run) player() goja.Value {
	if _, ok := r.call.Members.Script("getPlayer"); ok {
		if getPlayer, ok := goja.AssertFunction(r.objects.spark.Get("getPlayer")); ok {
			player, err := getPlayer(r.objects.spark)
			if err != nil {
				panic(err)
			}
			return player
		}
	}
	return r.getPlayer()
}

// hostMember makes a member of the host, or returns nil. Scripts call it
// owner+name.
func (r *run) hostMember(members Members, owner, name string) goja.Value {
	script, ok := members.Script(name)
	if !ok {
		return nil
	}
	if script == "" {
		return r.hostFunction(members, name, "")
	}
	functions := r.vm.NewObject()
	for _, function := range members.Functions(name) {
		ecma.Define(functions, function, r.hostFunction(members, name, function))
	}
	program, err := r.engine.cache.memberProgram(owner+name, script)
	if err != nil {
		ecma.Throw(r.vm, "%s: %s", owner+name, err.Error())
	}
	value, err := r.vm.RunProgram(r.prepare(program))
	if err != nil {
		panic(err)
	}
	function, ok := goja.AssertFunction(value)
	if !ok {
		ecma.Throw(r.vm, "%s: the host's script is not a function expression", owner+name)
	}
	member, err := function(goja.Undefined(), functions, r.objects.spark)
	if err != nil {
		panic(err)
	}
	return member
}

// hostFunction makes a JavaScript function of a host's member or, if function is not
// empty, of one of the member's functions.
func (r *run) hostFunction(members Members, member, function string) goja.Value {
	name := cmp.Or(function, member)
	return lazy.Function(r.vm, name, func(call goja.FunctionCall) goja.Value {
		if len(call.Arguments) > limit.Args {
			ecma.Throw(r.vm, "%s: more than %d arguments", name, limit.Args)
		}
		args := make([]json.RawMessage, len(call.Arguments))
		budget := r.call.MaxArgs
		for i, arg := range call.Arguments {
			text, ok := r.toJSON(arg)
			if !ok {
				text = []byte("null")
			}
			if budget -= int64(len(text)); budget < 0 {
				ecma.Throw(r.vm, "%s: arguments are over the limit of %d bytes", name, r.call.MaxArgs)
			}
			args[i] = text
		}
		var result []byte
		var err error
		r.wait(func() {
			result, err = host.Call(name, func() (any, error) {
				return members.Call(r.ctx, r.call.Host, member, function, args)
			}, r.logError)
		})
		if err != nil {
			ecma.Throw(r.vm, "%s", err.Error())
		}
		return r.fromJSON(string(result))
	})
}

// orderedFields are named JSON values, in the order in which they were first set.
type orderedFields struct {
	list    []Field
	index   map[string]int // of list by name, once they are many
	removed int            // number of entries in list without a value
}

// manyFields is the number from which on a map is faster than a loop.
const manyFields = 16

// find returns the index of a field in list, or -1.
func (o *orderedFields) find(name string) int {
	if o.index != nil {
		if i, ok := o.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range o.list {
		if o.list[i].Name == name && o.list[i].Value != nil {
			return i
		}
	}
	return -1
}

func (o *orderedFields) set(name string, value []byte) {
	if i := o.find(name); i >= 0 {
		o.list[i].Value = value
		return
	}
	o.list = append(o.list, Field{name, value})
	if o.index != nil {
		o.index[name] = len(o.list) - 1
	} else if len(o.list) > manyFields {
		o.compact()
	}
}

func (o *orderedFields) remove(name string) {
	i := o.find(name)
	if i < 0 {
		return
	}
	o.list[i].Value = nil
	delete(o.index, name)
	if o.removed++; o.removed > len(o.list)/2 {
		o.compact()
	}
}

// compact drops removed entries and indexes the rest.
func (o *orderedFields) compact() {
	o.list = o.fields()
	o.index = make(map[string]int, 2*len(o.list))
	for i := range o.list {
		o.index[o.list[i].Name] = i
	}
}

func (o *orderedFields) len() int { return len(o.list) - o.removed }

// fields drops removed entries and returns the rest.
func (o *orderedFields) fields() []Field {
	if o.removed == 0 {
		return o.list
	}
	kept := o.list[:0]
	for _, f := range o.list {
		if f.Value != nil {
			kept = append(kept, f)
		}
	}
	o.list, o.removed, o.index = kept, 0, nil
	return kept
}

func (r *run) setField(fields *orderedFields, call lazy.Call) goja.Value {
	name := call.Text(0, "name")
	if fields == &r.data && name == reserved.Raw {
		r.raw = nil
		if raw, ok := ecma.Bytes(r.vm, call.Argument(1)); ok {
			r.raw = append([]byte{}, raw...)
			fields.remove(name)
			return goja.Undefined()
		}
	}
	value, ok := r.toJSON(call.Argument(1))
	if ok {
		fields.set(name, value)
	} else {
		fields.remove(name)
	}
	if fields == &r.data && reserved.Is(name) {
		r.noteWhere(name, ok && reserved.MayBeRefused(name, value))
	}
	return goja.Undefined()
}

// noteWhere notes where the script sets a reserved name, if the value may be
// refused.
func (r *run) noteWhere(name string, suspect bool) {
	delete(r.where, name)
	if !suspect {
		return
	}
	if r.where == nil {
		r.where = map[string]Position{}
	}
	r.where[name] = positionOf(r.vm.CaptureCallStack(maxStackLines, nil))
}

func (r *run) getField(fields *orderedFields, call lazy.Call) goja.Value {
	name := call.Text(0, "name")
	if fields == &r.data && name == reserved.Raw && r.raw != nil {
		return ecma.NewUint8Array(r.vm, slices.Clone(r.raw))
	}
	i := fields.find(name)
	if i < 0 {
		return goja.Null()
	}
	return r.fromJSON(string(fields.list[i].Value))
}

func (r *run) removeField(fields *orderedFields, call lazy.Call) goja.Value {
	name := call.Text(0, "name")
	if fields == &r.data && name == reserved.Raw {
		r.raw = nil
	}
	fields.remove(name)
	return goja.Undefined()
}

func (r *run) removeFields(fields *orderedFields) goja.Value {
	if fields == &r.data {
		r.raw = nil
	}
	*fields = orderedFields{}
	return goja.Undefined()
}

// maxValueBytes bounds the JSON of one value that a script gives to its host.
const maxValueBytes = 32 << 20

// smallValue is the capacity for the JSON of most values, in bytes.
const smallValue = 48

// maxReentry bounds the nesting of conversions to JSON by toJSON methods. The
// engine's own limit does not count natives that call natives.
const maxReentry = 64

func (r *run) jsonLimits() jsjson.Limits { return jsjson.Limits{MaxBytes: maxValueBytes, Ctx: r.ctx} }

// toJSON converts a value to JSON. It returns false if JSON has no such value. It
// throws what a getter or a toJSON method of the script throws.
func (r *run) toJSON(v goja.Value) ([]byte, bool) {
	if r.converting >= maxReentry {
		ecma.Throw(r.vm, "conversions to JSON are nested too deeply")
	}
	r.converting++
	defer func() { r.converting-- }()
	return jsjson.Append(make([]byte, 0, smallValue), r.vm, v, r.jsonLimits())
}

// fromJSON makes a new value of JSON that the library has written.
func (r *run) fromJSON(text string) goja.Value {
	value, err := jsjson.Parse(r.vm, text)
	if err != nil {
		ecma.Throw(r.vm, "value is not JSON: %s", err.Error())
	}
	return value
}
