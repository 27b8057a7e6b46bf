package callback

import (
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"math"
	"regexp"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf16"

	"github.com/dop251/goja"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/digest"
	"example.com/callback/internal/guard"
	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/limit"
)

// orderedFields are named JSON values in the order first set.
type orderedFields struct {
	list  []Field
	index map[string]int // of list by name, once they are many
	gone  int            // removed, and left in list without a value
}

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
	} else if len(o.list) > manyParams {
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
	if o.gone++; o.gone > len(o.list)/2 {
		o.compact()
	}
}

// compact drops what was removed and indexes the rest.
func (o *orderedFields) compact() {
	o.list, o.gone = o.fields(), 0
	o.index = make(map[string]int, 2*len(o.list))
	for i := range o.list {
		o.index[o.list[i].Name] = i
	}
}

// fields are those that are set.
func (o *orderedFields) fields() []Field {
	if len(o.list) == o.gone {
		return nil
	}
	if o.gone == 0 {
		return o.list
	}
	kept := o.list[:0]
	for _, f := range o.list {
		if f.Value != nil {
			kept = append(kept, f)
		}
	}
	return kept
}

// A class is a kind of object that the library gives to scripts.
type class struct {
	name    string
	members []string // in the order of their documentation
}

// A lazyObject is a JavaScript object whose members are made when they are
// first read, so that one costs nothing until then. A script may overwrite,
// add and delete members like those of any object.
type lazyObject struct {
	class  *class
	maker  memberMaker
	values []namedValue  // made, overwritten, added; without a value: deleted
	first  [2]namedValue // room for the first of them
}

// A memberMaker makes the member of an object that has a name, or nil if there
// is none.
type memberMaker interface{ member(name string) goja.Value }

type namedValue struct {
	name  string
	value goja.Value
	added bool // by the script
}

func (o *lazyObject) find(name string) *namedValue {
	for i := range o.values {
		if o.values[i].name == name {
			return &o.values[i]
		}
	}
	return nil
}

// Get implements [goja.DynamicObject].
func (o *lazyObject) Get(name string) goja.Value {
	if v := o.find(name); v != nil {
		return v.value
	}
	value := o.maker.member(name)
	if value != nil {
		o.add(namedValue{name: name, value: value})
	}
	return value
}

// Set implements [goja.DynamicObject].
func (o *lazyObject) Set(name string, value goja.Value) bool {
	if v := o.find(name); v != nil {
		v.value, v.added = value, true
	} else {
		o.add(namedValue{name, value, true})
	}
	return true
}

func (o *lazyObject) add(v namedValue) {
	if o.values == nil {
		o.values = o.first[:0]
	}
	o.values = append(o.values, v)
}

// Has implements [goja.DynamicObject].
func (o *lazyObject) Has(name string) bool {
	if v := o.find(name); v != nil {
		return v.value != nil
	}
	return slices.Contains(o.class.members, name) || o.Get(name) != nil
}

// Delete implements [goja.DynamicObject].
func (o *lazyObject) Delete(name string) bool { return o.Set(name, nil) }

// Keys implements [goja.DynamicObject]. It makes no members.
func (o *lazyObject) Keys() []string {
	keys := slices.Clone(o.class.members)
	if s, ok := o.maker.(*spark); ok {
		for _, name := range slices.Sorted(maps.Keys(s.call.Members)) {
			if !slices.Contains(keys, name) {
				keys = append(keys, name)
			}
		}
	}
	for _, v := range o.values {
		switch i := slices.Index(keys, v.name); {
		case v.value == nil && i >= 0:
			keys = slices.Delete(keys, i, i+1)
		case v.value != nil && i < 0 && v.added:
			keys = append(keys, v.name)
		}
	}
	return keys
}

// object makes a JavaScript object of lazy members.
func (r *run) object(class *class, maker memberMaker) *goja.Object {
	return r.vm.NewDynamicObject(&lazyObject{class: class, maker: maker})
}

// function makes a JavaScript function. Its name is what stack traces show: the
// engine's own choice would be the name of the Go function.
func (r *run) function(name string, f func(goja.FunctionCall) goja.Value) goja.Value {
	function := r.vm.ToValue(f).(*goja.Object)
	value, ok := memberNames()[name]
	if !ok {
		value = r.vm.ToValue(name)
	}
	_ = function.DefineDataProperty("name", value, goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	return function
}

// memberNames are the names of the library's members as values, which all
// runtimes can have in common. They are made when the first is needed.
var memberNames = sync.OnceValue(func() map[string]goja.Value {
	names := map[string]goja.Value{}
	for _, c := range []class{worldClass, sparkClass, logClass, digestClass, playerClass, httpClass, responseClass} {
		for _, name := range c.members {
			names[name] = goja.StringFromUTF16(utf16.Encode([]rune(name)))
		}
	}
	return names
})

// method gives object a function that enumerations of its properties pass over.
func (r *run) method(object *goja.Object, name string, f func(goja.FunctionCall) goja.Value) {
	_ = object.DefineDataProperty(name, r.function(name, f), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
}

// makeWorld gives the runtime its global names. They are those of the global
// object's prototype: to write to the global object itself makes the engine
// copy its list of global names.
func (r *run) makeWorld() {
	global := r.vm.GlobalObject()
	r.objectPrototype = global.Prototype()
	r.world = lazyObject{class: &worldClass, maker: (*world)(r)}
	world := r.vm.NewDynamicObject(&r.world)
	_ = world.SetPrototype(r.objectPrototype)
	_ = global.SetPrototype(world)
}

var worldClass = class{"global", []string{"Spark", "require", "requireOnce"}}

// world is a run as the maker of its global names.
type world run

func (w *world) member(name string) goja.Value {
	r := (*run)(w)
	switch name {
	case "Spark":
		if r.sparkObject == nil {
			r.spark = lazyObject{class: &sparkClass, maker: (*spark)(r)}
			r.sparkObject = r.vm.NewDynamicObject(&r.spark)
		}
		return r.sparkObject
	case "require":
		return r.function(name, func(call goja.FunctionCall) goja.Value { return r.require(call, name) })
	case "requireOnce":
		return r.function(name, func(call goja.FunctionCall) goja.Value { return r.require(call, name) })
	}
	return nil
}

// traits are what a program needs of its world beyond the members of Spark, told
// by its text: what it does not name costs nothing.
type traits struct {
	parse     bool      // JSON.parse of the library's own: faster, and bounded
	stringify bool      // likewise
	guards    guard.Set // builtins that are held to a limit
	own       bool      // our names as properties of the global object itself
}

// declaresOurs matches where it matters to a program that our names are only
// inherited by the global object: a var of the same name would hide them, and
// strict code could not assign to them.
var declaresOurs = regexp.MustCompile(`use strict|\bvar\s+(Spark|require|requireOnce)\b`)

func traitsOf(source string) traits {
	json, parse, stringify := strings.Contains(source, "JSON"), strings.Contains(source, "parse"), strings.Contains(source, "stringify")
	if guard.IsDynamic(source) {
		json, parse, stringify = true, true, true
	}
	return traits{
		parse:     json && (parse || !stringify),
		stringify: json && (stringify || !parse),
		guards:    guard.For(source),
		own:       declaresOurs.MatchString(source),
	}
}

// prepare makes the world fit to run the program.
func (r *run) prepare(p *program) *goja.Program {
	if p.traits.parse && !r.installed.parse {
		r.installed.parse = true
		r.replaceJSON("parse", jsjson.ParseBuiltin(r.vm))
	}
	if p.traits.stringify && !r.installed.stringify {
		r.installed.stringify = true
		r.replaceJSON("stringify", jsjson.StringifyBuiltin(r.vm, r.limits()))
	}
	if p.traits.own && !r.installed.own {
		r.installed.own = true
		global := r.vm.GlobalObject()
		for _, name := range worldClass.members {
			_ = global.DefineDataProperty(name, global.Get(name), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
		}
	}
	r.guards.Place(r.vm, p.traits.guards)
	return p.compiled
}

func (r *run) replaceJSON(name string, f func(goja.FunctionCall) goja.Value) {
	if json, ok := r.vm.Get("JSON").(*goja.Object); ok {
		r.method(json, name, f)
	}
}

// require runs a module in the global scope. Within one chain of requires, those
// inside the outermost, each module runs once, so that cycles end.
func (r *run) require(call goja.FunctionCall, function string) goja.Value {
	code := r.text(call, 0, function, "shortCode")
	if !cloudcode.IsName(code) {
		r.throw("%s: no module %q", function, limit.Text(code, 100))
	}
	if slices.Contains(r.chain, code) || function == "requireOnce" && r.required[code] {
		return goja.Undefined()
	}
	program, err := r.runner.load(r, cloudcode.Module(code), true)
	var script *ScriptError
	switch {
	case r.stopped():
		halt()
	case errors.As(err, &script):
		r.throw("%s: module %q does not compile: %s:%d:%d: %s", function, code, script.Script, script.Line, script.Column, script.Message)
	case errors.Is(err, fs.ErrNotExist):
		r.throw("%s: no module %q", function, code)
	case err != nil:
		r.logLine(slog.LevelError, "callback: cannot read module", "module", code, "error", err)
		r.throw("%s: module %q cannot be read", function, code)
	}
	if r.required == nil {
		r.required = map[string]bool{}
	}
	r.required[code] = true
	r.chain = append(r.chain, code)
	r.requires++
	defer func() {
		if r.requires--; r.requires == 0 {
			r.chain = nil
		}
	}()
	if _, err := r.vm.RunProgram(r.prepare(program)); err != nil {
		panic(err) // the engine's own, for the engine: never looked at here
	}
	return goja.Undefined()
}

// sparkClass has the members of Spark that the library carries.
var sparkClass = class{"Spark", []string{
	"getData", "data", "setScriptData", "getScriptData", "removeScriptData", "removeAllScriptData",
	"setScriptError", "getScriptError", "removeScriptError", "removeAllScriptErrors", "hasScriptErrors",
	"getLog", "getHttp", "getDigester", "exit", "getRemainingMilliseconds", "currentStack",
	"getCredentialType", "getSessionId", "getClientIp", "getPlayer", "player",
}}

// spark is a run as the maker of Spark's members.
type spark run

func (s *spark) member(name string) goja.Value {
	r := (*run)(s)
	if m, ok := r.call.Members[name]; ok {
		return r.hostMember(name, m)
	}
	switch name {
	case "getData":
		return r.function(name, func(goja.FunctionCall) goja.Value { return r.getData() })
	case "data":
		return r.getData()
	case "setScriptData":
		return r.function(name, r.setter(&r.data, "Spark.setScriptData"))
	case "getScriptData":
		return r.function(name, r.getter(&r.data, "Spark.getScriptData"))
	case "removeScriptData":
		return r.function(name, r.remover(&r.data, "Spark.removeScriptData"))
	case "removeAllScriptData":
		return r.function(name, r.clearer(&r.data))
	case "setScriptError":
		return r.function(name, r.setter(&r.errors, "Spark.setScriptError"))
	case "getScriptError":
		return r.function(name, r.getter(&r.errors, "Spark.getScriptError"))
	case "removeScriptError":
		return r.function(name, r.remover(&r.errors, "Spark.removeScriptError"))
	case "removeAllScriptErrors":
		return r.function(name, r.clearer(&r.errors))
	case "hasScriptErrors":
		return r.function(name, func(goja.FunctionCall) goja.Value {
			return r.vm.ToValue(len(r.errors.list) > r.errors.gone)
		})
	case "getLog":
		log := r.object(&logClass, (*sparkLog)(r))
		return r.function(name, func(goja.FunctionCall) goja.Value { return log })
	case "getHttp":
		return r.function(name, r.getHTTP)
	case "getDigester":
		digester := r.object(&digestClass, (*sparkDigest)(r))
		return r.function(name, func(goja.FunctionCall) goja.Value { return digester })
	case "exit":
		return r.function(name, func(goja.FunctionCall) goja.Value {
			r.exited = true
			r.vm.Interrupt(nil) // as the engine unwinds it may call the return method of iterators
			halt()
			return nil
		})
	case "getRemainingMilliseconds":
		return r.function(name, func(goja.FunctionCall) goja.Value { return r.vm.ToValue(r.remaining()) })
	case "currentStack":
		return r.function(name, func(goja.FunctionCall) goja.Value { return r.vm.ToValue(r.currentStack()) })
	case "getCredentialType":
		return r.constant(name, r.call.credentialType())
	case "getSessionId":
		return r.constant(name, r.call.RunID)
	case "getClientIp":
		return r.constant(name, r.call.ClientIP)
	case "getPlayer":
		player := r.player()
		return r.function(name, func(goja.FunctionCall) goja.Value { return player })
	case "player":
		if _, ok := r.call.Members["getPlayer"]; ok { // the host's player is the player
			if getPlayer, ok := goja.AssertFunction(r.sparkObject.Get("getPlayer")); ok {
				player, err := getPlayer(r.sparkObject)
				if err != nil {
					panic(err)
				}
				return player
			}
		}
		return r.player()
	}
	return r.missing("Spark", name)
}

// constant makes a function that returns s.
func (r *run) constant(name, s string) goja.Value {
	return r.function(name, func(goja.FunctionCall) goja.Value { return r.vm.ToValue(s) })
}

// getData makes the object of the request's data, once. Its properties are
// defined and not assigned: "__proto__" is a name like any other.
func (r *run) getData() goja.Value {
	if r.dataObject != nil {
		return r.dataObject
	}
	r.dataObject = r.params(r.call.Data)
	if r.call.RequestHeaders != nil {
		r.define(r.dataObject, headersParam, r.params(r.call.RequestHeaders))
	}
	return r.dataObject
}

func (r *run) params(params []Param) *goja.Object {
	// Without a prototype, to set a property is to define it, whatever its name
	// and whatever the script has done to Object.prototype.
	object := r.vm.CreateObject(nil)
	for i := range params {
		values := params[i].Values
		value := r.vm.ToValue(values[0])
		if len(values) > 1 {
			value = r.strings(values)
		}
		_ = object.Set(params[i].Name, value)
	}
	_ = object.SetPrototype(r.objectPrototype)
	return object
}

// strings makes an array of strings.
func (r *run) strings(values []string) goja.Value {
	items := make([]any, len(values))
	for i := range values {
		items[i] = r.vm.ToValue(values[i])
	}
	return r.vm.NewArray(items...)
}

// define gives object an ordinary property of its own.
func (r *run) define(object *goja.Object, name string, value goja.Value) {
	if err := object.DefineDataProperty(name, value, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE); err != nil {
		panic(err)
	}
}

func (r *run) setter(fields *orderedFields, member string) func(goja.FunctionCall) goja.Value {
	return func(call goja.FunctionCall) goja.Value {
		name := r.text(call, 0, member, "name")
		if value, ok := r.keepJSON(call.Argument(1)); ok {
			fields.set(name, value)
		} else {
			fields.remove(name)
		}
		return goja.Undefined()
	}
}

func (r *run) getter(fields *orderedFields, member string) func(goja.FunctionCall) goja.Value {
	return func(call goja.FunctionCall) goja.Value {
		i := fields.find(r.text(call, 0, member, "name"))
		if i < 0 {
			return goja.Null()
		}
		return r.fromJSON(string(fields.list[i].Value))
	}
}

func (r *run) remover(fields *orderedFields, member string) func(goja.FunctionCall) goja.Value {
	return func(call goja.FunctionCall) goja.Value {
		fields.remove(r.text(call, 0, member, "name"))
		return goja.Undefined()
	}
}

func (r *run) clearer(fields *orderedFields) func(goja.FunctionCall) goja.Value {
	return func(goja.FunctionCall) goja.Value {
		*fields = orderedFields{}
		return goja.Undefined()
	}
}

// maxValueBytes bounds the JSON of one value that a script gives to its host.
const maxValueBytes = 32 << 20

// maxReentry bounds how deep a script can nest conversions to JSON by way of
// toJSON methods: natives that call natives escape the engine's own limit.
const maxReentry = 64

func (r *run) limits() jsjson.Limits { return jsjson.Limits{MaxBytes: maxValueBytes, Ctx: r.ctx} }

// toJSON turns a value into JSON, or reports that it is undefined to JSON. An
// exception of a getter or a toJSON method is the script's.
func (r *run) toJSON(v goja.Value) ([]byte, bool) {
	if r.converting >= maxReentry {
		r.throw("conversions to JSON are nested too deeply")
	}
	r.converting++
	defer func() { r.converting-- }()
	return jsjson.Append(nil, r.vm, v, r.limits())
}

// maxArena bounds the arena: values in it that are replaced are never freed.
const maxArena = 16 << 10

// keepJSON is toJSON into the run's arena, unless the value's own code is what
// calls it while another is being written there.
func (r *run) keepJSON(v goja.Value) ([]byte, bool) {
	if r.converting > 0 || len(r.arena) > maxArena {
		return r.toJSON(v)
	}
	r.converting++
	defer func() { r.converting-- }()
	start := len(r.arena)
	text, ok := jsjson.Append(r.arena, r.vm, v, r.limits())
	if len(text) <= maxArena { // else it is a large value's own
		r.arena = text
	}
	return text[start:len(text):len(text)], ok
}

// fromJSON makes a fresh value of JSON that the library has made itself.
func (r *run) fromJSON(text string) goja.Value {
	value, err := jsjson.Parse(r.vm, text)
	if err != nil {
		r.throw("value is not JSON: %s", err.Error())
	}
	return value
}

// remaining is the time until the deadline, in milliseconds.
func (r *run) remaining() int64 {
	deadline, ok := r.ctx.Deadline()
	if !ok {
		return math.MaxInt32
	}
	return max(0, time.Until(deadline).Milliseconds())
}

// currentStack is the script's call stack, a frame a line, without that of
// Spark.currentStack itself.
func (r *run) currentStack() string {
	var e ScriptError
	e.setStack(r.vm.CaptureCallStack(0, nil))
	return e.Stack
}

var digestClass = class{"SparkDigest", digest.Names()}

// sparkDigest is a run as the maker of SparkDigest's members.
type sparkDigest run

func (s *sparkDigest) member(name string) goja.Value {
	r := (*run)(s)
	m, ok := digest.Lookup(name)
	if !ok {
		return nil
	}
	member := "SparkDigest." + name
	return r.function(name, func(call goja.FunctionCall) goja.Value {
		args := make([]string, len(m.Args))
		for i, arg := range m.Args {
			if !goja.IsString(call.Argument(i)) {
				r.throwArg(member, arg, "must be a string")
			}
			args[i] = call.Argument(i).String()
		}
		sum, err := m.Sum(r.ctx, args)
		if r.stopped() {
			halt()
		}
		if err != nil {
			panic(r.vm.NewTypeError("%s", member+": "+err.Error()))
		}
		return r.vm.ToValue(sum)
	})
}

var playerClass = class{"SparkPlayer", []string{"getPlayerId"}}

// sparkPlayer is a run as the maker of its player's members.
type sparkPlayer run

func (p *sparkPlayer) member(name string) goja.Value {
	r := (*run)(p)
	if name == "getPlayerId" {
		return r.constant(name, r.call.PlayerID)
	}
	return r.missing("SparkPlayer", name)
}

// player is the player the URL names, or null.
func (r *run) player() goja.Value {
	if r.call.PlayerID == "" {
		return goja.Null()
	}
	if r.playerObject == nil {
		r.playerObject = r.object(&playerClass, (*sparkPlayer)(r))
	}
	return r.playerObject
}

// hostMember makes a member that the host supplies.
func (r *run) hostMember(name string, m Member) goja.Value {
	if m.Script == "" {
		return r.hostFunction(name, m.Func)
	}
	host := r.vm.NewObject()
	for function, f := range m.Funcs {
		r.define(host, function, r.hostFunction(function, f))
	}
	program, err := r.runner.memberProgram(name, m.Script)
	if err != nil {
		r.throw("Spark.%s: %s", name, err.Error())
	}
	value, err := r.vm.RunProgram(r.prepare(program))
	if err != nil {
		panic(err)
	}
	function, ok := goja.AssertFunction(value)
	if !ok {
		r.throw("Spark.%s: the host's script is not a function expression", name)
	}
	member, err := function(goja.Undefined(), host, r.sparkObject)
	if err != nil {
		panic(err)
	}
	return member
}

// hostFunction makes a JavaScript function of one of the host's.
func (r *run) hostFunction(name string, f HostFunc) goja.Value {
	return r.function(name, func(call goja.FunctionCall) goja.Value {
		args := make(Args, len(call.Arguments))
		for i, arg := range call.Arguments {
			text, ok := r.toJSON(arg)
			if !ok {
				text = []byte("null")
			}
			args[i] = text
		}
		var result []byte
		var err error
		r.outside(func() { result, err = r.callHost(name, f, args) })
		if err != nil {
			r.throw("%s", err.Error())
		}
		return r.fromJSON(string(result))
	})
}

// throw throws an Error with a message of the library's.
func (r *run) throw(format string, args ...any) {
	e := r.vm.NewTypeError("%s", fmt.Sprintf(format, args...))
	// The engine offers no other way to a plain Error that scripts cannot have
	// tampered with: a TypeError's prototype inherits from an Error's.
	if proto := e.Prototype(); proto != nil && proto.Prototype() != nil {
		_ = e.SetPrototype(proto.Prototype())
	}
	panic(e)
}

// throwArg throws a TypeError about an argument.
func (r *run) throwArg(member, arg, problem string) {
	panic(r.vm.NewTypeError("%s", member+": "+arg+" "+problem))
}

// text is the call's argument i as a string: a string, or a number or boolean
// as text. Anything else is a TypeError.
func (r *run) text(call goja.FunctionCall, i int, member, arg string) string {
	s, ok := scalarText(call.Argument(i))
	if !ok {
		r.throwArg(member, arg, "must be a string")
	}
	return s
}

// scalarText is the text of a string, number or boolean.
func scalarText(v goja.Value) (string, bool) {
	if goja.IsString(v) || goja.IsNumber(v) {
		if _, object := v.(*goja.Object); !object {
			return v.String(), true
		}
	}
	if b, ok := v.Export().(bool); ok {
		if _, object := v.(*goja.Object); !object {
			return fmt.Sprint(b), true
		}
	}
	return "", false
}

// Limits of what one run may log; what is over them is cut or dropped.
const (
	maxLogLines = 1000
	maxLogBytes = 16 << 10 // a line
)

var logClass = class{"SparkLog", []string{"debug", "info", "warn", "error", "getLevel", "setLevel"}}

// sparkLog is a run as the maker of SparkLog's members.
type sparkLog run

func (l *sparkLog) member(name string) goja.Value {
	r := (*run)(l)
	switch name {
	case "debug":
		return r.function(name, r.logger(slog.LevelDebug))
	case "info":
		return r.function(name, r.logger(slog.LevelInfo))
	case "warn":
		return r.function(name, r.logger(slog.LevelWarn))
	case "error":
		return r.function(name, r.logger(slog.LevelError))
	case "getLevel":
		return r.function(name, func(goja.FunctionCall) goja.Value { return r.vm.ToValue(r.logLevel.String()) })
	case "setLevel":
		return r.function(name, func(call goja.FunctionCall) goja.Value {
			var level slog.Level
			switch r.text(call, 0, "SparkLog.setLevel", "level") {
			case "DEBUG":
				level = slog.LevelDebug
			case "INFO":
				level = slog.LevelInfo
			case "WARN":
				level = slog.LevelWarn
			case "ERROR":
				level = slog.LevelError
			default:
				r.throwArg("SparkLog.setLevel", "level", "must be DEBUG, INFO, WARN or ERROR")
			}
			r.logLevel = level
			return goja.Undefined()
		})
	}
	return nil
}

// logger makes a function that logs whatever it is given.
func (r *run) logger(level slog.Level) func(goja.FunctionCall) goja.Value {
	return func(call goja.FunctionCall) goja.Value {
		if level < r.logLevel || !r.log.Enabled(r.ctx, level) {
			return goja.Undefined()
		}
		r.logLine(level, limit.Text(r.logText(call.Argument(0)), maxLogBytes))
		return goja.Undefined()
	}
}

// logLine logs for the run, whoever has something to say: the script or the
// library about it.
func (r *run) logLine(level slog.Level, message string, attrs ...any) {
	if r.logLines++; r.logLines < maxLogLines {
		r.log.Log(r.ctx, level, message, append([]any{"script", r.name}, attrs...)...)
	} else if r.logLines == maxLogLines {
		r.log.Warn("callback: script logs too much, the rest is dropped", "script", r.name)
	}
}

// logText is how a value looks in the log: a string as it is, else JSON.
func (r *run) logText(v goja.Value) (text string) {
	object, ok := v.(*goja.Object)
	if !ok {
		return v.String()
	}
	text = "[object]" // a cycle, a getter that throws, a proxy that is revoked
	r.vm.Try(func() {
		text = "[" + object.ClassName() + "]" // a function
		if stack := object.Get("stack"); object.ClassName() == "Error" && stack != nil {
			text = stack.String()
		} else if json, ok := r.toJSON(object); ok {
			text = string(json)
		}
	})
	return text
}

// missing makes what a script finds under a name that the library does not
// carry: for a documented member a function that throws an error naming it,
// else nothing.
func (r *run) missing(class, name string) goja.Value {
	if !cloudcode.Has(class, name) {
		return nil
	}
	return r.function(name, func(goja.FunctionCall) goja.Value {
		r.throw("%s.%s is not supplied: the host of these scripts can supply it", class, name)
		return nil
	})
}
