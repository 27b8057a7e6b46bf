// Package guard bounds builtins that can allocate without a limit in a single
// call, or that loop over a length which a script can simply write down:
// "x".repeat(2**40) would end the process before anything can stop it, and no
// interrupt reaches Array(2**32-1).fill(0).
//
// Placing a guard costs more than some scripts take to run. So it is placed only
// if the text of the program names the builtin (whole, with escapes or in two
// pieces), or if the program can use names that its text does not show. This
// stops mistakes and plain attacks. It is not sound: a program can compute a name
// in other ways, and concatenation is no builtin. Only a process of its own
// contains a script.
package guard

import (
	"math"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
)

const (
	// maxAlloc bounds the characters, elements or bytes that one call of a
	// builtin may make, and the length that it may loop over.
	maxAlloc = 1 << 24

	// maxAllocs bounds the bytes that all those calls of a run may make, whether
	// they are still in use or not.
	maxAllocs = 1 << 30

	// maxListed bounds the list of arguments that a call may get as an array-like
	// object.
	maxListed = 1 << 20

	// maxReflection bounds how deeply calls of functions of Reflect may be
	// nested. Used as a getter, such a function calls itself without the call
	// stack growing.
	maxReflection = 512
)

// A Set is a set of builtins. Each is a bit, by its index in guarded.
type Set uint64

// A guardKind is what a guard bounds.
type guardKind byte

const (
	guardRepeat guardKind = iota // String.prototype: the length of the result
	guardPad
	guardList    // the number of arguments in a list, which is the last parameter of the builtin
	guardReflect // how deeply it calls itself
	guardFrom    // the length of its argument
	guardLoop    // the length of this
	guardConcat  // the lengths of this and of its arguments
	guardJoin    // the length of this, times that of the separator
	guardBuffer  // constructors: the length asked for
	guardTyped
)

// guarded are the builtins with a guard.
var guarded = []struct {
	kind guardKind
	name string
}{
	{guardRepeat, "repeat"}, {guardPad, "padStart"}, {guardPad, "padEnd"},
	{guardList, "apply"},
	{guardReflect, "Reflect"},
	{guardFrom, "from"},
	{guardJoin, "join"},
	{guardConcat, "concat"},
	{guardLoop, "copyWithin"}, {guardLoop, "every"}, {guardLoop, "fill"}, {guardLoop, "filter"},
	{guardLoop, "find"}, {guardLoop, "findIndex"}, {guardLoop, "findLast"}, {guardLoop, "findLastIndex"},
	{guardLoop, "flat"}, {guardLoop, "flatMap"}, {guardLoop, "forEach"}, {guardLoop, "includes"},
	{guardLoop, "indexOf"}, {guardLoop, "lastIndexOf"}, {guardLoop, "map"}, {guardLoop, "reduce"},
	{guardLoop, "reduceRight"}, {guardLoop, "reverse"}, {guardLoop, "shift"}, {guardLoop, "slice"},
	{guardLoop, "some"}, {guardLoop, "sort"}, {guardLoop, "splice"}, {guardLoop, "toLocaleString"},
	{guardLoop, "toReversed"}, {guardLoop, "toSorted"}, {guardLoop, "toSpliced"}, {guardLoop, "unshift"},
	{guardLoop, "with"},
	{guardBuffer, "ArrayBuffer"},
	{guardTyped, "Int8Array"}, {guardTyped, "Uint8Array"}, {guardTyped, "Uint8ClampedArray"},
	{guardTyped, "Int16Array"}, {guardTyped, "Uint16Array"},
	{guardTyped, "Int32Array"}, {guardTyped, "Uint32Array"}, {guardTyped, "Float16Array"},
	{guardTyped, "Float32Array"}, {guardTyped, "Float64Array"},
	{guardTyped, "BigInt64Array"}, {guardTyped, "BigUint64Array"},
}

// All has every builtin that has a guard.
const All = ^Set(0)

// For returns the Set that a program needs by its text.
func For(source string) Set {
	if IsDynamic(source) {
		return All
	}
	huge := setsLength(source)
	var set Set
	for i, g := range guarded {
		need := false
		switch g.kind {
		case guardJoin:
			need = huge // needed without the name, too: converting an array to a string calls it
		case guardLoop, guardConcat:
			need = huge && strings.Contains(source, g.name)
		case guardFrom:
			need = strings.Contains(source, "."+g.name)
		default:
			need = strings.Contains(source, g.name)
		}
		if need {
			set |= 1 << i
		}
	}
	return set
}

// IsDynamic reports whether a program may use names that its text does not
// show.
func IsDynamic(source string) bool {
	for _, word := range []string{"getOwnProperty", "fromCharCode", "fromCodePoint", "ownKeys"} {
		if strings.Contains(source, word) {
			return true
		}
	}
	if hasWord(source, "eval", nil) || hasWord(source, "Function", nil) || hasWord(source, "globalThis", nil) {
		return true
	}
	if hasWord(source, "constructor", func(before, _ string) bool { return strings.HasSuffix(before, ".") || isQuote(last(before)) }) {
		return true
	}
	// Names in escapes: \x72epeat, \u0072epeat, \162epeat.
	for rest := source; ; {
		i := strings.IndexByte(rest, '\\')
		if i < 0 || i+1 >= len(rest) {
			break
		}
		switch next := rest[i+1]; {
		case next == 'x', next == 'u' && hasPrefix(rest[i+2:], "{", "004", "005", "006", "007"):
			return true
		case next >= '1' && next <= '7' && i+2 < len(rest) && rest[i+2] >= '0' && rest[i+2] <= '7':
			return true
		}
		rest = rest[i+2:]
	}
	// Names in pieces: "rep" + "eat".
	for rest := source; ; {
		i := strings.IndexByte(rest, '+')
		if i < 0 {
			return false
		}
		before, after := strings.TrimRight(rest[:i], " \t\r\n"), strings.TrimLeft(rest[i+1:], " \t\r\n")
		if isQuote(last(before)) && isQuote(first(after)) {
			// Only a string that consists of letters can be a part of a name.
			from, to := len(before)-1, 1
			for from > 0 && isWord(before[from-1]) {
				from--
			}
			for to < len(after) && isWord(after[to]) {
				to++
			}
			if isQuote(last(before[:from])) && isQuote(first(after[to:])) {
				return true
			}
		}
		rest = rest[i+1:]
	}
}

// setsLength reports whether a program may make an object whose length exceeds
// the number of its elements. For that it must set a length, or an element far
// beyond the others.
func setsLength(source string) bool {
	if strings.Contains(source, "Proxy") || hasWord(source, "Array", func(before, after string) bool {
		// Array(n), but not Array.isArray and instanceof Array.
		return hasPrefix(strings.TrimLeft(after, " "), "(", ";", ",", "{") && !strings.HasSuffix(before, ".is")
	}) {
		return true
	}
	if hasWord(source, "length", func(before, after string) bool {
		after = strings.TrimLeft(after, " \t")
		switch trimmed := strings.TrimRight(before, " \t\r\n"); {
		case isQuote(last(before)): // "length"
			return true
		case strings.HasSuffix(before, "."): // a.length = n, a.length += n
			if hasPrefix(after, "++", "--", "<=", ">=") {
				return after[0] == '+' || after[0] == '-'
			}
			after = strings.TrimLeft(after, "+-*/%&|^<>")
			return strings.HasPrefix(after, "=") && !strings.HasPrefix(after, "==") && !strings.HasPrefix(after, "=>")
		case last(trimmed) == '{', last(trimmed) == ',': // {length: n}, {length}, {length() {}}
			return hasPrefix(after, ":", "}", ",") && !(hasPrefix(after, "}", ",") && last(trimmed) == ',')
		default: // {get length() {}}
			return strings.HasSuffix(trimmed, "get")
		}
	}) {
		return true
	}
	// a[4294967294] = 1
	for rest := source; ; {
		i := strings.IndexByte(rest, ']')
		if i < 0 {
			return false
		}
		after := strings.TrimLeft(rest[i+1:], " ")
		if strings.HasPrefix(after, "=") && !strings.HasPrefix(after, "==") {
			from := strings.LastIndexByte(rest[:i], '[') + 1
			if isHuge(rest[from:i]) {
				return true
			}
		}
		rest = rest[i+1:]
	}
}

// isHuge reports whether the text of an index may stand for a large number.
func isHuge(index string) bool {
	digits := 0
	for i := range len(index) {
		if c := index[i]; (c >= '0' && c <= '9') || digits > 0 && (c == '_' || c|0x20 >= 'a' && c|0x20 <= 'x') {
			if digits++; digits >= 8 || c|0x20 == 'e' {
				return true
			}
		} else {
			digits = 0
		}
	}
	return strings.Contains(index, "**") || strings.Contains(index, "<<") || strings.Contains(index, ">>>")
}

// hasWord reports whether word is in source, but not as a part of a longer word.
// If context is not nil, it must accept the text before and after the word.
func hasWord(source, word string, context func(before, after string) bool) bool {
	for from := 0; ; {
		i := strings.Index(source[from:], word)
		if i < 0 {
			return false
		}
		start := from + i
		end := start + len(word)
		if !isWord(last(source[:start])) && !isWord(first(source[end:])) &&
			(context == nil || context(source[:start], source[end:])) {
			return true
		}
		from = end
	}
}

func isWord(c byte) bool {
	return (c >= '0' && c <= '9') || c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c == '$'
}

func isQuote(c byte) bool { return c == '"' || c == '\'' || c == '`' }

func first(s string) byte {
	if s == "" {
		return 0
	}
	return s[0]
}

func last(s string) byte {
	if s == "" {
		return 0
	}
	return s[len(s)-1]
}

func hasPrefix(s string, prefixes ...string) bool {
	for _, prefix := range prefixes {
		if strings.HasPrefix(s, prefix) {
			return true
		}
	}
	return false
}

// Guards are the guards of one runtime.
type Guards struct {
	vm         *goja.Runtime
	placed     Set
	typed      bool // the guard that all typed arrays share is placed
	allocated  float64
	reflecting int // nesting of calls of functions of Reflect
}

// Place places the guards of a Set that have not been placed yet. It is called
// before the program that needs them runs.
func (g *Guards) Place(vm *goja.Runtime, set Set) {
	set &^= g.placed
	if set == 0 {
		return
	}
	g.vm = vm
	g.placed |= set
	array := vm.NewArray().Prototype()
	for i := range guarded {
		if set&(1<<i) == 0 {
			continue
		}
		kind, name := guarded[i].kind, guarded[i].name
		switch kind {
		case guardRepeat:
			g.guardMethod(vm.ToValue("").ToObject(vm).Prototype(), name, g.checkRepeat)
		case guardPad:
			g.guardMethod(vm.ToValue("").ToObject(vm).Prototype(), name, g.checkPad)
		case guardList:
			function := vm.ToValue(func(goja.FunctionCall) goja.Value { return nil }).(*goja.Object)
			g.guardMethod(function.Prototype(), name, g.checkList)
		case guardReflect:
			g.guardReflection()
		case guardFrom:
			if constructor, ok := vm.Get("Array").(*goja.Object); ok {
				g.guardMethod(constructor, name, g.checkFrom)
			}
		case guardLoop:
			g.guardMethod(array, name, g.checkLoop)
		case guardConcat:
			g.guardMethod(array, name, g.checkConcat)
		case guardJoin:
			g.guardMethod(array, name, g.checkJoin)
		case guardBuffer:
			g.guardConstructor(name, g.checkBuffer)
		case guardTyped:
			g.guardConstructor(name, g.checkTyped)
			if !g.typed {
				g.typed = true
				if constructor, ok := vm.Get(name).(*goja.Object); ok {
					g.guardMethod(constructor.Prototype(), "from", g.checkTypedFrom) // of %TypedArray%
				}
			}
		}
	}
}

// A check throws if a call asks for too much. It returns the arguments for the
// builtin: what it has converted is not converted again.
type check func(this goja.Value, args []goja.Value) (goja.Value, []goja.Value)

// guardMethod replaces a method by a proxy that calls the check first. A proxy
// keeps the method's other properties.
func (g *Guards) guardMethod(holder *goja.Object, name string, check check) {
	method, ok := holder.Get(name).(*goja.Object)
	if !ok {
		return
	}
	call, ok := goja.AssertFunction(method)
	if !ok {
		return
	}
	proxy := g.vm.NewProxy(method, &goja.ProxyTrapConfig{
		Apply: func(_ *goja.Object, this goja.Value, args []goja.Value) goja.Value {
			this, args = check(this, args)
			value, err := call(this, args...)
			if err != nil {
				panic(err) // for the engine: an exception
			}
			return value
		},
	})
	_ = holder.DefineDataProperty(name, g.vm.ToValue(proxy), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
}

// guardConstructor puts a check before the global constructor of buffers or
// typed arrays.
func (g *Guards) guardConstructor(name string, check func([]goja.Value, float64) []goja.Value) {
	target, ok := g.vm.Get(name).(*goja.Object)
	if !ok {
		return
	}
	construct, ok := goja.AssertConstructor(target)
	if !ok {
		return
	}
	elementSize := 1.0
	if size := target.Get("BYTES_PER_ELEMENT"); size != nil {
		elementSize = size.ToFloat()
	}
	proxy := g.vm.ToValue(g.vm.NewProxy(target, &goja.ProxyTrapConfig{
		Construct: func(_ *goja.Object, args []goja.Value, newTarget *goja.Object) *goja.Object {
			object, err := construct(newTarget, check(args, elementSize)...)
			if err != nil {
				panic(err)
			}
			return object
		},
	}))
	// instanceof of the engine accepts no proxy as a constructor.
	_ = target.DefineDataPropertySymbol(goja.SymHasInstance, g.vm.ToValue(g.hasInstance), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_FALSE)
	_ = g.vm.GlobalObject().DefineDataProperty(name, proxy, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	if prototype, ok := target.Get("prototype").(*goja.Object); ok {
		_ = prototype.DefineDataProperty("constructor", proxy, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
}

// hasInstance is Function.prototype[Symbol.hasInstance].
func (g *Guards) hasInstance(call goja.FunctionCall) goja.Value {
	class, ok := call.This.(*goja.Object)
	object, isObject := call.Argument(0).(*goja.Object)
	if !ok || !isObject {
		return g.vm.ToValue(false)
	}
	prototype, _ := class.Get("prototype").(*goja.Object)
	for range maxPrototypes {
		if object = object.Prototype(); object == nil {
			break
		}
		if object == prototype {
			return g.vm.ToValue(true)
		}
	}
	return g.vm.ToValue(false)
}

// maxPrototypes bounds hasInstance, because a proxy may be its own prototype.
const maxPrototypes = 1024

// guardReflection bounds how deeply the functions of Reflect call themselves.
func (g *Guards) guardReflection() {
	reflect, ok := g.vm.Get("Reflect").(*goja.Object)
	if !ok {
		return
	}
	for _, name := range []string{
		"apply", "construct", "defineProperty", "deleteProperty", "get", "getOwnPropertyDescriptor",
		"getPrototypeOf", "has", "isExtensible", "ownKeys", "preventExtensions", "set", "setPrototypeOf",
	} {
		method, ok := reflect.Get(name).(*goja.Object)
		if !ok {
			continue
		}
		call, _ := goja.AssertFunction(method)
		list := map[string]int{"apply": 2, "construct": 1}[name]
		proxy := g.vm.NewProxy(method, &goja.ProxyTrapConfig{
			Apply: func(_ *goja.Object, this goja.Value, args []goja.Value) goja.Value {
				if g.reflecting >= maxReflection {
					g.throwRange("Maximum call stack size exceeded")
				}
				g.reflecting++
				defer func() { g.reflecting-- }()
				if list > 0 && len(args) > list {
					args = g.checkListAt(args, list)
				}
				value, err := call(this, args...)
				if err != nil {
					panic(err)
				}
				return value
			},
		})
		_ = reflect.DefineDataProperty(name, g.vm.ToValue(proxy), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
}

// replaced returns a copy of args with another value at i.
func replaced(args []goja.Value, i int, v goja.Value) []goja.Value {
	args = append([]goja.Value(nil), args...)
	args[i] = v
	return args
}

func isObject(v goja.Value) bool {
	_, ok := v.(*goja.Object)
	return ok
}

func (g *Guards) checkRepeat(this goja.Value, args []goja.Value) (goja.Value, []goja.Value) {
	if ecma.IsNothing(this) || len(args) == 0 {
		return this, args
	}
	s := ecma.ToString(g.vm, this)
	count := args[0].ToNumber()
	if n := count.ToFloat(); !math.IsInf(n, 1) {
		g.spend(n*float64(s.Length()), 1, "Invalid string length")
	}
	return s, replaced(args, 0, count)
}

func (g *Guards) checkPad(this goja.Value, args []goja.Value) (goja.Value, []goja.Value) {
	if ecma.IsNothing(this) || len(args) == 0 {
		return this, args
	}
	s := ecma.ToString(g.vm, this)
	length := args[0].ToNumber()
	if n := length.ToFloat(); n > float64(s.Length()) {
		g.spend(n, 1, "Invalid string length")
	}
	return s, replaced(args, 0, length)
}

// checkList is for Function.prototype.apply.
func (g *Guards) checkList(this goja.Value, args []goja.Value) (goja.Value, []goja.Value) {
	if len(args) > 1 {
		args = g.checkListAt(args, 1)
	}
	return this, args
}

// checkListAt checks the argument that is a list of arguments. A list that is
// neither an array nor an arguments object is copied to an array, because its
// length could differ when it is read again.
func (g *Guards) checkListAt(args []goja.Value, i int) []goja.Value {
	list, ok := args[i].(*goja.Object)
	if !ok {
		return args
	}
	n := ecma.Length(list)
	if n > maxListed {
		g.throwRange("Maximum call stack size exceeded")
	}
	if class := list.ClassName(); class == "Array" && list.ExportType() != ecma.ProxyType || class == "Arguments" {
		return args
	}
	items := make([]any, 0, min(n, 64))
	for k := range n {
		items = append(items, ecma.OrUndefined(list.Get(strconv.FormatInt(k, 10))))
	}
	return replaced(args, i, g.vm.NewArray(items...))
}

func (g *Guards) checkFrom(this goja.Value, args []goja.Value) (goja.Value, []goja.Value) {
	if len(args) > 0 {
		g.checkLength(args[0])
	}
	return this, args
}

// checkTypedFrom is checkFrom for typed arrays. It turns a string, which scripts
// use to make bytes, into an array of its characters, because the engine's own
// function fails for a string.
func (g *Guards) checkTypedFrom(this goja.Value, args []goja.Value) (goja.Value, []goja.Value) {
	if len(args) > 0 {
		if s, ok := args[0].(goja.String); ok {
			return this, replaced(args, 0, g.characters(s))
		}
	}
	return g.checkFrom(this, args)
}

// characters is an array of the characters of a string. A surrogate pair is one
// character.
func (g *Guards) characters(s goja.String) goja.Value {
	g.spend(float64(s.Length()), 1, "Invalid array length")
	items := make([]any, 0, s.Length())
	for i := 0; i < s.Length(); i++ {
		units := []uint16{s.CharAt(i)}
		if i+1 < s.Length() && utf16.DecodeRune(rune(units[0]), rune(s.CharAt(i+1))) != utf8.RuneError {
			i++
			units = append(units, s.CharAt(i))
		}
		items = append(items, goja.StringFromUTF16(units))
	}
	return g.vm.NewArray(items...)
}

func (g *Guards) checkLoop(this goja.Value, args []goja.Value) (goja.Value, []goja.Value) {
	g.checkLength(this)
	return this, args
}

func (g *Guards) checkConcat(this goja.Value, args []goja.Value) (goja.Value, []goja.Value) {
	g.checkLength(this)
	for _, arg := range args {
		g.checkLength(arg)
	}
	return this, args
}

func (g *Guards) checkJoin(this goja.Value, args []goja.Value) (goja.Value, []goja.Value) {
	n := g.checkLength(this)
	if len(args) == 0 || goja.IsUndefined(args[0]) {
		return this, args
	}
	separator := ecma.ToString(g.vm, args[0])
	if n*int64(separator.Length()) > maxAlloc {
		g.throwRange("Invalid string length")
	}
	return this, replaced(args, 0, separator)
}

// checkLength throws if v is an object whose length is too large. It returns the
// length.
func (g *Guards) checkLength(v goja.Value) int64 {
	object, ok := v.(*goja.Object)
	if !ok {
		return 0
	}
	n := ecma.Length(object)
	if n > maxAlloc {
		g.throwRange("Invalid array length")
	}
	return n
}

// checkTyped checks the arguments of a typed array's constructor. The first is a
// length, or an object that may have one.
func (g *Guards) checkTyped(args []goja.Value, elementSize float64) []goja.Value {
	if len(args) == 0 {
		return args
	}
	if isObject(args[0]) {
		g.spend(float64(g.checkLength(args[0])), elementSize, allocationFailed)
		return args
	}
	size := args[0].ToNumber()
	g.spend(size.ToFloat(), elementSize, allocationFailed)
	return replaced(args, 0, size)
}

// checkBuffer checks the arguments of ArrayBuffer.
func (g *Guards) checkBuffer(args []goja.Value, _ float64) []goja.Value {
	if len(args) == 0 {
		return args
	}
	size := args[0].ToNumber()
	g.spend(size.ToFloat(), 1, allocationFailed)
	return replaced(args, 0, size)
}

const allocationFailed = "Array buffer allocation failed"

// spend counts n elements. It throws if they are too many, by themselves or
// together with all earlier ones.
func (g *Guards) spend(n, size float64, message string) {
	if n > maxAlloc || g.allocated+n*size > maxAllocs {
		g.throwRange(message)
	}
	if n > 0 {
		g.allocated += n * size
	}
}

// throwRange throws a RangeError even if a script has replaced that name.
func (g *Guards) throwRange(message string) {
	err := g.vm.NewArray().Set("length", -1)
	ex, ok := err.(*goja.Exception)
	if !ok {
		panic(err)
	}
	object, ok := ex.Value().(*goja.Object)
	if ok {
		_ = object.DefineDataProperty("message", g.vm.ToValue(message), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
	panic(ex.Value())
}
