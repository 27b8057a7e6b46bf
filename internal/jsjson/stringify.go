package jsjson

import (
	"context"
	"encoding/json"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
)

// Limits bound what Append does.
type Limits struct {
	MaxBytes int             // of JSON text; no limit if 0
	MaxDepth int             // of arrays and objects; maxDepth if 0
	Ctx      context.Context // may be nil; the script is interrupted once it is done
}

// Append appends JSON.stringify(v) to dst. If that is undefined it returns false
// and appends nothing.
//
// It may run code of the script, and throws by panicking as goja does. So the
// caller must be a native function of vm or be inside [goja.Runtime.Try]. A
// script can call such a function back without any code of its own in between;
// see limitReentry.
func Append(dst []byte, vm *goja.Runtime, v goja.Value, lim Limits) ([]byte, bool) {
	e := newEncoder(dst, vm, lim)
	return e.append(v)
}

// StringifyBuiltin returns a replacement for JSON.stringify.
func StringifyBuiltin(vm *goja.Runtime, lim Limits) func(goja.FunctionCall) goja.Value {
	return limitReentry(vm, "JSON.stringify", func(call goja.FunctionCall) goja.Value {
		e := newEncoder(nil, vm, lim)
		e.setReplacer(call.Argument(1))
		e.setSpace(call.Argument(2))
		text, ok := e.append(call.Argument(0))
		if !ok {
			return goja.Undefined()
		}
		return vm.ToValue(string(text))
	})
}

// encoder is the state of JSON.stringify.
type encoder struct {
	vm       *goja.Runtime
	dst      []byte
	base     int // where the JSON text begins in dst
	lim      Limits
	steps    int
	stack    []*goja.Object // the arrays and objects being written
	replacer goja.Callable  // may be nil
	list     []propertyKey  // the properties to write, if hasList
	hasList  bool
	gap      string
}

func newEncoder(dst []byte, vm *goja.Runtime, lim Limits) encoder {
	if lim.MaxDepth == 0 {
		lim.MaxDepth = maxDepth
	}
	return encoder{vm: vm, dst: dst, base: len(dst), lim: lim}
}

func (e *encoder) setReplacer(v goja.Value) {
	o, ok := v.(*goja.Object)
	if !ok {
		return
	}
	if e.replacer, ok = goja.AssertFunction(o); ok || !ecma.IsArray(e.vm, o) {
		return
	}
	e.hasList = true
	seen := make(map[string]bool)
	for i := range ecma.Length(o) {
		e.step()
		v := o.Get(strconv.FormatInt(i, 10))
		switch item := v.(type) {
		case goja.String:
		case *goja.Object:
			if class := item.ClassName(); class != "Number" && class != "String" {
				continue
			}
		default:
			if !goja.IsNumber(v) {
				continue
			}
		}
		s := ecma.ToString(e.vm, v)
		text, _ := toWTF8(s)
		if seen[text] {
			continue
		}
		seen[text] = true
		key := propertyKey{name: text}
		if !utf8.ValidString(text) || strings.Contains(text, "\uFFFD") {
			key = propertyKey{exact: s}
		}
		e.list = append(e.list, key)
	}
}

func (e *encoder) setSpace(v goja.Value) {
	if o, ok := v.(*goja.Object); ok {
		switch o.ClassName() {
		case "Number":
			v = o.ToNumber()
		case "String":
			v = ecma.ToString(e.vm, o)
		}
	}
	if s, ok := v.(goja.String); ok {
		e.gap = s.Substring(0, min(10, s.Length())).String()
	} else if goja.IsNumber(v) {
		e.gap = strings.Repeat(" ", int(max(0, min(10, v.ToInteger()))))
	}
}

func (e *encoder) append(v goja.Value) ([]byte, bool) {
	var holder *goja.Object
	if e.replacer != nil {
		holder = e.vm.NewObject()
		propertyKey{}.define(e.vm, holder, v)
	}
	ok := e.property(holder, propertyKey{}, v)
	e.checkSize(0)
	return e.dst, ok
}

// step is called for every value and stops when Ctx is done. A small array may
// have the length 2⁵³, and a small graph may have any number of paths.
func (e *encoder) step() {
	e.steps++
	if e.steps%stopSteps == 0 && e.lim.Ctx != nil && e.lim.Ctx.Err() != nil {
		panic(&goja.InterruptedError{})
	}
	e.checkSize(0)
}

// checkSize throws if n more bytes exceed the limit.
func (e *encoder) checkSize(n int) {
	if limit := e.lim.MaxBytes; limit > 0 && n > limit-(len(e.dst)-e.base) {
		panic(e.vm.NewTypeError("JSON is longer than %d bytes", limit))
	}
}

// property is SerializeJSONProperty of ECMA-262 for the property of holder that
// has been read as v. Without a replacer holder is nil.
func (e *encoder) property(holder *goja.Object, key propertyKey, v goja.Value) bool {
	e.step()
	if o, ok := v.(*goja.Object); ok {
		v = e.toJSON(o, o, key)
	} else if v != nil && goja.IsBigInt(v) {
		v = e.toJSON(v.ToObject(e.vm), v, key)
	}
	if e.replacer != nil {
		var err error
		if v, err = e.replacer(holder, key.value(e.vm), ecma.OrUndefined(v)); err != nil {
			panic(err)
		}
	}
	return e.value(v)
}

func (e *encoder) toJSON(o *goja.Object, this goja.Value, key propertyKey) goja.Value {
	method, ok := o.Get("toJSON").(*goja.Object)
	if !ok {
		return this
	}
	call, ok := goja.AssertFunction(method)
	if !ok {
		return this
	}
	v, err := call(this, key.value(e.vm))
	if err != nil {
		panic(err)
	}
	return v
}

func (e *encoder) value(v goja.Value) bool {
	switch v := v.(type) {
	case nil, *goja.Symbol:
		return false
	case goja.String:
		e.string(v)
		return true
	case *goja.Object:
		return e.object(v)
	}
	switch {
	case goja.IsNumber(v):
		e.dst = appendNumber(e.dst, v.ToFloat())
	case goja.IsUndefined(v):
		return false
	case goja.IsNull(v):
		e.dst = append(e.dst, "null"...)
	case goja.IsBigInt(v):
		panic(e.vm.NewTypeError("Do not know how to serialize a BigInt"))
	default:
		e.dst = strconv.AppendBool(e.dst, v.ToBoolean())
	}
	return true
}

var (
	objectType    = reflect.TypeFor[map[string]any]()
	arrayType     = reflect.TypeFor[[]any]()
	bigIntType    = reflect.TypeFor[*big.Int]()
	encodableType = reflect.TypeFor[goja.JsonEncodable]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
)

func (e *encoder) object(o *goja.Object) bool {
	// goja represents these objects by unexported types. The types as which it
	// exports them tell them apart.
	class := o.ClassName()
	switch typ := o.ExportType(); typ {
	case objectType, arrayType:
		switch class {
		case "String":
			return e.value(ecma.ToString(e.vm, o))
		case "RawJSON": // made by JSON.rawJSON
			e.raw(o.Get("rawJSON").String())
			return true
		}
	case bigIntType:
		panic(e.vm.NewTypeError("Do not know how to serialize a BigInt"))
	default:
		if typ != ecma.ProxyType && class != "Date" { // a Date is exported as a time.Time
			if typ.Implements(encodableType) {
				return e.value(e.vm.ToValue(o.Export().(goja.JsonEncodable).JsonEncodable()))
			}
			if typ.Implements(marshalerType) {
				text, err := o.Export().(json.Marshaler).MarshalJSON()
				if err != nil {
					panic(e.vm.NewGoError(err))
				}
				e.raw(string(text))
				return true
			}
		}
		switch class {
		case "Number":
			return e.value(o.ToNumber())
		case "String": // of Go
			return e.value(ecma.ToString(e.vm, o))
		case "Boolean":
			e.dst = strconv.AppendBool(e.dst, reflect.ValueOf(o.Export()).Bool())
			return true
		}
		if _, ok := goja.AssertFunction(o); ok {
			return false
		}
	}

	if slices.Contains(e.stack, o) {
		panic(e.vm.NewTypeError("Converting circular structure to JSON"))
	}
	if len(e.stack) >= e.lim.MaxDepth {
		panic(e.vm.NewTypeError("JSON is nested deeper than %d levels", e.lim.MaxDepth))
	}
	e.stack = append(e.stack, o)
	if ecma.IsArray(e.vm, o) {
		e.elements(o)
	} else {
		e.members(o)
	}
	e.stack = e.stack[:len(e.stack)-1]
	return true
}

func (e *encoder) elements(o *goja.Object) {
	n := ecma.Length(o)
	e.dst = append(e.dst, '[')
	for i := range n {
		if i > 0 {
			e.dst = append(e.dst, ',')
		}
		e.newline(0)
		name := strconv.FormatInt(i, 10)
		if !e.property(o, propertyKey{name: name}, o.Get(name)) {
			e.dst = append(e.dst, "null"...)
		}
	}
	if n > 0 {
		e.newline(1)
	}
	e.dst = append(e.dst, ']')
}

func (e *encoder) members(o *goja.Object) {
	e.dst = append(e.dst, '{')
	start := len(e.dst)
	if e.hasList {
		for _, key := range e.list {
			e.member(o, key, start)
		}
	} else if names := o.Keys(); !slices.ContainsFunc(names, inexact) {
		for _, name := range names {
			e.member(o, propertyKey{name: name}, start)
		}
	} else {
		for _, key := range exactKeys(e.vm, o, names) {
			e.member(o, key, start)
		}
	}
	if len(e.dst) > start {
		e.newline(1)
	}
	e.dst = append(e.dst, '}')
}

// member writes a member of the object whose members begin at start.
func (e *encoder) member(o *goja.Object, key propertyKey, start int) {
	v := key.get(e.vm, o)
	mark := len(e.dst)
	if mark > start {
		e.dst = append(e.dst, ',')
	}
	e.newline(0)
	if key.exact != nil {
		e.string(key.exact)
	} else {
		e.dst = AppendString(e.dst, key.name)
	}
	e.dst = append(e.dst, ':')
	if e.gap != "" {
		e.dst = append(e.dst, ' ')
	}
	if !e.property(o, key, v) {
		e.dst = e.dst[:mark]
	}
}

// newline begins a line that is indented outdent levels less than the current
// level.
func (e *encoder) newline(outdent int) {
	if e.gap == "" {
		return
	}
	e.dst = append(e.dst, '\n')
	for range len(e.stack) - outdent {
		e.dst = append(e.dst, e.gap...)
	}
}

func (e *encoder) raw(text string) {
	e.checkSize(len(text))
	e.dst = append(e.dst, text...)
}

func (e *encoder) string(s goja.String) {
	if e.lim.MaxBytes > 0 {
		e.checkSize(s.Length()) // before it is converted
	}
	text := s.String()
	if !inexact(text) {
		e.dst = AppendString(e.dst, text)
		return
	}
	e.dst = append(e.dst, '"')
	for i := 0; i < s.Length(); i++ {
		r, size := runeAt(s, i)
		if utf16.IsSurrogate(r) {
			e.dst = append(e.dst, `\u`...)
			e.dst = strconv.AppendUint(e.dst, uint64(r), 16)
			continue
		}
		e.dst = appendEscaped(e.dst, string(r))
		i += size - 1
	}
	e.dst = append(e.dst, '"')
}

// appendNumber appends f as Number.prototype.toString writes it, or null if JSON
// has no such number.
func appendNumber(dst []byte, f float64) []byte {
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return append(dst, "null"...)
	}
	abs := math.Abs(f)
	if abs < 1e15 && f == math.Trunc(f) {
		return strconv.AppendInt(dst, int64(f), 10) // -0 is 0 here
	}
	if abs >= 1e-6 && abs < 1e21 {
		return strconv.AppendFloat(dst, f, 'f', -1, 64)
	}
	dst = strconv.AppendFloat(dst, f, 'e', -1, 64)
	if n := len(dst); dst[n-2] == '0' && dst[n-3] == '-' { // e-07 is e-7
		dst[n-2] = dst[n-1]
		dst = dst[:n-1]
	}
	return dst
}
