package callback

import (
	"encoding/json"
	"fmt"
	"math"
	"math/big"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"
)

// This file is JSON.parse and JSON.stringify for goja. The engine's own parse
// is slow, and its recursion follows the input without a bound: a text of ten
// million brackets overflows the Go stack, which kills the process. Its own
// stringify cannot be stopped and has no limit on what it writes.

const (
	// maxJSONDepth is how deep arrays and objects may nest.
	maxJSONDepth = 512

	// maxJSONReentry is how many calls of one builtin may be under way inside
	// each other. Each of them may use maxJSONDepth levels of the Go stack.
	maxJSONReentry = 64

	// jsonStopSteps is how many values appendJSON writes between two looks at
	// jsonLimits.stop. It is a power of two.
	jsonStopSteps = 1024
)

// A jsonSyntaxError says why a text is not JSON, in the words of V8.
type jsonSyntaxError struct{ msg string }

func (e *jsonSyntaxError) Error() string { return e.msg }

// parseJSON returns the value that JSON.parse(text) has in vm. Its error is a
// *jsonSyntaxError, unless vm was interrupted.
//
// Strings and property names of the result are slices of text where they can
// be: text lives as long as the values do.
func parseJSON(vm *goja.Runtime, text string) (goja.Value, error) {
	p := jsonParser{vm: vm, text: text}
	return p.parse()
}

// jsonParseBuiltin returns a replacement for JSON.parse.
func jsonParseBuiltin(vm *goja.Runtime) func(goja.FunctionCall) goja.Value {
	return limitReentry(vm, "JSON.parse", func(call goja.FunctionCall) goja.Value {
		p := jsonParser{vm: vm}
		p.text, p.wtf8 = toWTF8(toJSString(vm, call.Argument(0)))
		v, err := p.parse()
		if err, ok := err.(*jsonSyntaxError); ok {
			throwSyntaxError(vm, err.msg)
		}
		if err != nil {
			panic(err)
		}
		if reviver, ok := goja.AssertFunction(call.Argument(1)); ok {
			root := vm.NewObject()
			key := jsonKey{}
			key.define(vm, root, v)
			r := jsonReviver{vm: vm, call: reviver}
			return r.walk(root, key, 0)
		}
		return v
	})
}

// limitReentry bounds how many calls of f may be under way at a time. Calls
// from one native function to another do not count for the call stack limit of
// goja, so that a script could otherwise overflow the Go stack with a bound
// builtin as the toJSON method, the reviver or the toString of its argument.
func limitReentry(vm *goja.Runtime, name string, f func(goja.FunctionCall) goja.Value) func(goja.FunctionCall) goja.Value {
	calls := 0
	return func(call goja.FunctionCall) goja.Value {
		if calls >= maxJSONReentry {
			panic(vm.NewTypeError("%s calls itself too deeply", name))
		}
		calls++
		defer func() { calls-- }()
		return f(call)
	}
}

// redeclareUndefined cannot run: a let may not hide the undefined of the global
// object, which no script can delete.
var redeclareUndefined = goja.MustCompile("JSON.parse", "let undefined", true)

// throwSyntaxError throws a SyntaxError of vm. The constructor in the global
// SyntaxError may be the script's by now, and looking it up beforehand would
// make every runtime pay for creating it, so the engine is made to throw one.
func throwSyntaxError(vm *goja.Runtime, msg string) {
	_, err := vm.RunProgram(redeclareUndefined)
	ex, ok := err.(*goja.Exception)
	if !ok {
		panic(err) // an interrupt, or the end of the call stack
	}
	o := ex.Value().(*goja.Object)
	if err := o.Set("message", msg); err != nil {
		panic(err)
	}
	panic(o)
}

// jsonParser is a recursive descent parser. Its methods start at text[pos] and
// leave pos behind what they have read; after an error pos means nothing.
type jsonParser struct {
	vm    *goja.Runtime
	text  string
	wtf8  bool         // text may have lone surrogates, encoded as if they were runes
	ascii goja.String  // text, if it is ASCII: slicing it is cheaper than ToValue
	proto *goja.Object // %Object.prototype%
	pos   int
	depth int
	stack []any // elements of the arrays being read
}

func (p *jsonParser) parse() (goja.Value, error) {
	if isASCII(p.text) {
		p.ascii = p.vm.ToValue(p.text).(goja.String)
	}
	v, err := p.value()
	if err != nil {
		return nil, err
	}
	if p.space(); p.pos < len(p.text) {
		return nil, p.unexpected(p.pos)
	}
	return v, nil
}

func (p *jsonParser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// next skips white space and returns the byte after it, or 0 at the end. A NUL
// is no token either.
func (p *jsonParser) next() byte {
	p.space()
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *jsonParser) value() (goja.Value, error) {
	switch c := p.next(); c {
	case '{':
		return p.object()
	case '[':
		return p.array()
	case '"':
		return p.string()
	case 't':
		return p.literal("true", true)
	case 'f':
		return p.literal("false", false)
	case 'n':
		return p.literal("null", nil)
	default:
		if c == '-' || isDigit(c) {
			return p.number()
		}
		return nil, p.unexpected(p.pos)
	}
}

func (p *jsonParser) literal(word string, v any) (goja.Value, error) {
	for i := range len(word) {
		if p.pos+i >= len(p.text) || p.text[p.pos+i] != word[i] {
			return nil, p.unexpected(p.pos + i)
		}
	}
	p.pos += len(word)
	return p.vm.ToValue(v), nil
}

// enter goes past the bracket at pos and one level down.
func (p *jsonParser) enter() error {
	if p.depth >= maxJSONDepth {
		return &jsonSyntaxError{fmt.Sprintf("JSON is nested deeper than %d levels", maxJSONDepth)}
	}
	p.depth++
	p.pos++
	return nil
}

func (p *jsonParser) array() (goja.Value, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	base := len(p.stack)
	if p.next() != ']' {
		for {
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			p.stack = append(p.stack, v)
			c := p.next()
			if c == ']' {
				break
			}
			if c != ',' {
				return nil, p.unexpected(p.pos)
			}
			p.pos++
		}
	}
	p.pos++
	p.depth--
	array := p.vm.NewArray(p.stack[base:]...)
	p.stack = p.stack[:base]
	return array, nil
}

func (p *jsonParser) object() (goja.Value, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	// Without a prototype Set creates own properties, whatever the script has
	// defined on Object.prototype, __proto__ included. This is also the
	// fastest of the ways to create them.
	o := p.vm.CreateObject(nil)
	if p.next() != '}' {
		for {
			if p.next() != '"' {
				return nil, p.unexpected(p.pos)
			}
			key, err := p.key()
			if err != nil {
				return nil, err
			}
			if p.next() != ':' {
				return nil, p.unexpected(p.pos)
			}
			p.pos++
			v, err := p.value()
			if err != nil {
				return nil, err
			}
			if err := key.set(p.vm, o, v); err != nil {
				return nil, err
			}
			c := p.next()
			if c == '}' {
				break
			}
			if c != ',' {
				return nil, p.unexpected(p.pos)
			}
			p.pos++
		}
	}
	p.pos++
	p.depth--
	if p.proto == nil {
		p.proto = p.vm.NewObject().Prototype()
	}
	return o, o.SetPrototype(p.proto)
}

func (p *jsonParser) number() (goja.Value, error) {
	start := p.pos
	if p.text[p.pos] == '-' {
		p.pos++
	}
	first := p.pos
	n := p.digits()
	if p.pos == first {
		return nil, p.unexpected(p.pos)
	}
	if p.pos > first+1 && p.text[first] == '0' {
		return nil, p.unexpected(first + 1)
	}
	isInt := p.pos-first <= 15 // which a float64, and n, hold exactly
	if p.pos < len(p.text) && p.text[p.pos] == '.' {
		isInt = false
		p.pos++
		if frac := p.pos; p.digits() == 0 && p.pos == frac {
			return nil, p.unexpected(p.pos)
		}
	}
	if p.pos < len(p.text) && p.text[p.pos]|0x20 == 'e' {
		isInt = false
		p.pos++
		if p.pos < len(p.text) && (p.text[p.pos] == '+' || p.text[p.pos] == '-') {
			p.pos++
		}
		if exp := p.pos; p.digits() == 0 && p.pos == exp {
			return nil, p.unexpected(p.pos)
		}
	}
	if negative := first > start; isInt && (n != 0 || !negative) {
		if negative {
			n = -n
		}
		return p.vm.ToValue(n), nil
	}
	// The only error left is a number out of range, and then f is an infinity,
	// as JavaScript has it.
	f, _ := strconv.ParseFloat(p.text[start:p.pos], 64)
	return p.vm.ToValue(f), nil
}

// digits reads a run of digits. Its result may have overflowed if there were
// more than 18 of them.
func (p *jsonParser) digits() int64 {
	var n int64
	for p.pos < len(p.text) && isDigit(p.text[p.pos]) {
		n = n*10 + int64(p.text[p.pos]-'0')
		p.pos++
	}
	return n
}

func (p *jsonParser) string() (goja.Value, error) {
	start := p.pos + 1
	s, lone, err := p.scan()
	switch {
	case err != nil:
		return nil, err
	case lone:
		return goja.StringFromUTF16(fromWTF8(s)), nil
	case p.ascii != nil && len(s) == p.pos-1-start: // has no escapes
		return p.ascii.Substring(start, p.pos-1), nil
	}
	return p.vm.ToValue(s), nil
}

func (p *jsonParser) key() (jsonKey, error) {
	s, lone, err := p.scan()
	if lone {
		return jsonKey{exact: goja.StringFromUTF16(fromWTF8(s))}, err
	}
	return jsonKey{name: s}, err
}

// scan reads a string literal. If lone is true, s has lone surrogates and is
// WTF-8; otherwise it is valid UTF-8.
func (p *jsonParser) scan() (s string, lone bool, err error) {
	start := p.pos + 1
	var all byte // the bytes or'ed together, to see whether one is not ASCII
	for i := start; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"':
			s = p.text[start:i]
			if all >= utf8.RuneSelf && !utf8.ValidString(s) {
				return p.unescape(start)
			}
			p.pos = i + 1
			return s, false, nil
		case c == '\\':
			return p.unescape(start)
		case c < ' ':
			return "", false, p.unexpected(i)
		default:
			all |= c
		}
	}
	return "", false, p.unexpected(len(p.text))
}

// unescape is scan for strings that are not a slice of the text.
func (p *jsonParser) unescape(start int) (s string, lone bool, err error) {
	var buf []byte
	for i := start; i < len(p.text); {
		switch c := p.text[i]; {
		case c == '"':
			p.pos = i + 1
			return string(buf), lone, nil
		case c < ' ':
			return "", false, p.unexpected(i)
		case c == '\\' && i+1 < len(p.text):
			if p.text[i+1] != 'u' {
				k := strings.IndexByte(`"\/bfnrt`, p.text[i+1])
				if k < 0 {
					return "", false, p.unexpected(i + 1)
				}
				buf = append(buf, "\"\\/\b\f\n\r\t"[k])
				i += 2
				continue
			}
			r, bad := p.hex4(i + 2)
			if bad >= 0 {
				return "", false, p.unexpected(bad)
			}
			i += 6
			if utf16.IsSurrogate(r) {
				if strings.HasPrefix(p.text[i:], `\u`) {
					if low, bad := p.hex4(i + 2); bad < 0 {
						if pair := utf16.DecodeRune(r, low); pair != utf8.RuneError {
							buf = utf8.AppendRune(buf, pair)
							i += 6
							continue
						}
					}
				}
				lone = true
				buf = appendSurrogate(buf, r)
				continue
			}
			buf = utf8.AppendRune(buf, r)
		case c < utf8.RuneSelf:
			buf = append(buf, c)
			i++
		default:
			r, size := utf8.DecodeRuneInString(p.text[i:])
			if r == utf8.RuneError && size == 1 && p.wtf8 {
				// The text comes from toWTF8, so this is a surrogate.
				lone = true
				buf = append(buf, p.text[i:i+3]...)
				i += 3
				continue
			}
			buf = utf8.AppendRune(buf, r)
			i += size
		}
	}
	return "", false, p.unexpected(len(p.text))
}

// hex4 returns the number of the four hexadecimal digits at text[i:]. If they
// are not four, bad is where another was due; otherwise it is negative.
func (p *jsonParser) hex4(i int) (r rune, bad int) {
	for end := i + 4; i < end; i++ {
		if i >= len(p.text) {
			return 0, i
		}
		k := strings.IndexByte("0123456789abcdef", p.text[i]|0x20)
		// Setting the bit for lower case turns control characters into digits.
		if k < 0 || p.text[i] < '0' {
			return 0, i
		}
		r = r<<4 | rune(k)
	}
	return r, -1
}

// unexpected is the error about what is at text[i:].
func (p *jsonParser) unexpected(i int) error {
	if i >= len(p.text) {
		return &jsonSyntaxError{"Unexpected end of JSON input"}
	}
	r, size := utf8.DecodeRuneInString(p.text[i:])
	what := "token " + p.text[i:i+size]
	switch {
	case r == '"':
		what = "string"
	case r == '-' || r < utf8.RuneSelf && isDigit(byte(r)):
		what = "number"
	case r == utf8.RuneError:
		what = "token \uFFFD"
	}
	position := i
	if p.ascii == nil {
		position = len(fromWTF8(p.text[:i])) // as a script counts
	}
	return &jsonSyntaxError{fmt.Sprintf("Unexpected %s in JSON at position %d", what, position)}
}

// jsonReviver is InternalizeJSONProperty of ECMA-262.
type jsonReviver struct {
	vm   *goja.Runtime
	call goja.Callable
}

func (r *jsonReviver) walk(holder *goja.Object, key jsonKey, depth int) goja.Value {
	v := key.get(r.vm, holder)
	if o, ok := v.(*goja.Object); ok {
		if depth >= maxJSONDepth { // the parser has a limit, but the reviver may add to the tree
			panic(r.vm.NewTypeError("JSON is nested deeper than %d levels", maxJSONDepth))
		}
		if isArray(r.vm, o) {
			for i := range arrayLength(o) {
				r.element(o, jsonKey{name: strconv.FormatInt(i, 10)}, depth+1)
			}
		} else {
			for _, key := range jsonKeys(r.vm, o) {
				r.element(o, key, depth+1)
			}
		}
	}
	result, err := r.call(holder, key.value(r.vm), v)
	if err != nil {
		panic(err)
	}
	return result
}

func (r *jsonReviver) element(o *goja.Object, key jsonKey, depth int) {
	if v := r.walk(o, key, depth); isUndefined(v) {
		key.delete(r.vm, o)
	} else {
		key.define(r.vm, o, v)
	}
}

// A jsonLimits says how much appendJSON may do.
type jsonLimits struct {
	maxBytes int         // of JSON text; no limit if 0
	maxDepth int         // of arrays and objects; maxJSONDepth if 0
	stop     func() bool // polled now and then; true interrupts the script; may be nil
}

// appendJSON appends JSON.stringify(v) to dst. It reports false, and appends
// nothing, if that is undefined.
//
// It may run code of the script, and throws by panicking as goja does. So the
// caller is a native function of vm or holds a [goja.Runtime.Try]. A script
// can call such a function back without any code of its own in between; see
// limitReentry.
func appendJSON(dst []byte, vm *goja.Runtime, v goja.Value, lim jsonLimits) ([]byte, bool) {
	e := newJSONEncoder(dst, vm, lim)
	return e.append(v)
}

// jsonStringifyBuiltin returns a replacement for JSON.stringify.
func jsonStringifyBuiltin(vm *goja.Runtime, lim jsonLimits) func(goja.FunctionCall) goja.Value {
	return limitReentry(vm, "JSON.stringify", func(call goja.FunctionCall) goja.Value {
		e := newJSONEncoder(nil, vm, lim)
		e.setReplacer(call.Argument(1))
		e.setSpace(call.Argument(2))
		text, ok := e.append(call.Argument(0))
		if !ok {
			return goja.Undefined()
		}
		return vm.ToValue(string(text))
	})
}

// jsonEncoder is the state of JSON.stringify.
type jsonEncoder struct {
	vm       *goja.Runtime
	dst      []byte
	base     int // where the JSON text begins in dst
	lim      jsonLimits
	steps    int
	stack    []*goja.Object // the arrays and objects being written
	replacer goja.Callable  // may be nil
	list     []jsonKey      // the properties to write, if hasList
	hasList  bool
	gap      string
}

func newJSONEncoder(dst []byte, vm *goja.Runtime, lim jsonLimits) jsonEncoder {
	if lim.maxDepth == 0 {
		lim.maxDepth = maxJSONDepth
	}
	return jsonEncoder{vm: vm, dst: dst, base: len(dst), lim: lim}
}

func (e *jsonEncoder) setReplacer(v goja.Value) {
	o, ok := v.(*goja.Object)
	if !ok {
		return
	}
	if e.replacer, ok = goja.AssertFunction(o); ok || !isArray(e.vm, o) {
		return
	}
	e.hasList = true
	seen := make(map[string]bool)
	for i := range arrayLength(o) {
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
		s := toJSString(e.vm, v)
		text, _ := toWTF8(s)
		if seen[text] {
			continue
		}
		seen[text] = true
		key := jsonKey{name: text}
		if !utf8.ValidString(text) || strings.Contains(text, "\uFFFD") {
			key = jsonKey{exact: s}
		}
		e.list = append(e.list, key)
	}
}

func (e *jsonEncoder) setSpace(v goja.Value) {
	if o, ok := v.(*goja.Object); ok {
		switch o.ClassName() {
		case "Number":
			v = o.ToNumber()
		case "String":
			v = toJSString(e.vm, o)
		}
	}
	if s, ok := v.(goja.String); ok {
		e.gap = s.Substring(0, min(10, s.Length())).String()
	} else if goja.IsNumber(v) {
		e.gap = strings.Repeat(" ", int(max(0, min(10, v.ToInteger()))))
	}
}

func (e *jsonEncoder) append(v goja.Value) ([]byte, bool) {
	var holder *goja.Object
	if e.replacer != nil {
		holder = e.vm.NewObject()
		jsonKey{}.define(e.vm, holder, v)
	}
	ok := e.property(holder, jsonKey{}, v)
	e.checkSize(0)
	return e.dst, ok
}

// step is called for every value. An array of a few bytes may have the length
// 2⁵³, and a small graph may have any number of paths.
func (e *jsonEncoder) step() {
	e.steps++
	if e.steps%jsonStopSteps == 0 && e.lim.stop != nil && e.lim.stop() {
		panic(&goja.InterruptedError{})
	}
	e.checkSize(0)
}

// checkSize throws if n more bytes are too many.
func (e *jsonEncoder) checkSize(n int) {
	if limit := e.lim.maxBytes; limit > 0 && n > limit-(len(e.dst)-e.base) {
		panic(e.vm.NewTypeError("JSON is longer than %d bytes", limit))
	}
}

// property is SerializeJSONProperty of ECMA-262 for the property of holder
// that has been read as v. The holder is nil if there is no replacer.
func (e *jsonEncoder) property(holder *goja.Object, key jsonKey, v goja.Value) bool {
	e.step()
	if o, ok := v.(*goja.Object); ok {
		v = e.toJSON(o, o, key)
	} else if v != nil && goja.IsBigInt(v) {
		v = e.toJSON(v.ToObject(e.vm), v, key)
	}
	if e.replacer != nil {
		var err error
		if v, err = e.replacer(holder, key.value(e.vm), orUndefined(v)); err != nil {
			panic(err)
		}
	}
	return e.value(v)
}

func (e *jsonEncoder) toJSON(o *goja.Object, this goja.Value, key jsonKey) goja.Value {
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

func (e *jsonEncoder) value(v goja.Value) bool {
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
		e.dst = appendJSONNumber(e.dst, v.ToFloat())
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
	proxyType     = reflect.TypeFor[goja.Proxy]()
	encodableType = reflect.TypeFor[goja.JsonEncodable]()
	marshalerType = reflect.TypeFor[json.Marshaler]()
)

func (e *jsonEncoder) object(o *goja.Object) bool {
	// The types that objects are exported as tell apart what goja itself keeps
	// apart by unexported types.
	class := o.ClassName()
	switch typ := o.ExportType(); typ {
	case objectType, arrayType:
		switch class {
		case "String":
			return e.value(toJSString(e.vm, o))
		case "RawJSON": // made by JSON.rawJSON
			e.raw(o.Get("rawJSON").String())
			return true
		}
	case bigIntType:
		panic(e.vm.NewTypeError("Do not know how to serialize a BigInt"))
	default:
		if typ != proxyType && class != "Date" { // a Date is exported as a time.Time
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
			return e.value(toJSString(e.vm, o))
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
	if len(e.stack) >= e.lim.maxDepth {
		panic(e.vm.NewTypeError("JSON is nested deeper than %d levels", e.lim.maxDepth))
	}
	e.stack = append(e.stack, o)
	if isArray(e.vm, o) {
		e.elements(o)
	} else {
		e.members(o)
	}
	e.stack = e.stack[:len(e.stack)-1]
	return true
}

func (e *jsonEncoder) elements(o *goja.Object) {
	n := arrayLength(o)
	e.dst = append(e.dst, '[')
	for i := range n {
		if i > 0 {
			e.dst = append(e.dst, ',')
		}
		e.newline(0)
		name := strconv.FormatInt(i, 10)
		if !e.property(o, jsonKey{name: name}, o.Get(name)) {
			e.dst = append(e.dst, "null"...)
		}
	}
	if n > 0 {
		e.newline(1)
	}
	e.dst = append(e.dst, ']')
}

func (e *jsonEncoder) members(o *goja.Object) {
	e.dst = append(e.dst, '{')
	start := len(e.dst)
	if e.hasList {
		for _, key := range e.list {
			e.member(o, key, start)
		}
	} else if names := o.Keys(); !slices.ContainsFunc(names, inexact) {
		for _, name := range names {
			e.member(o, jsonKey{name: name}, start)
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
func (e *jsonEncoder) member(o *goja.Object, key jsonKey, start int) {
	v := key.get(e.vm, o)
	mark := len(e.dst)
	if mark > start {
		e.dst = append(e.dst, ',')
	}
	e.newline(0)
	if key.exact != nil {
		e.string(key.exact)
	} else {
		e.dst = appendJSONString(e.dst, key.name)
	}
	e.dst = append(e.dst, ':')
	if e.gap != "" {
		e.dst = append(e.dst, ' ')
	}
	if !e.property(o, key, v) {
		e.dst = e.dst[:mark]
	}
}

// newline starts a line which is indented outdent levels less than usual.
func (e *jsonEncoder) newline(outdent int) {
	if e.gap == "" {
		return
	}
	e.dst = append(e.dst, '\n')
	for range len(e.stack) - outdent {
		e.dst = append(e.dst, e.gap...)
	}
}

func (e *jsonEncoder) raw(text string) {
	e.checkSize(len(text))
	e.dst = append(e.dst, text...)
}

func (e *jsonEncoder) string(s goja.String) {
	if e.lim.maxBytes > 0 {
		e.checkSize(s.Length()) // before it is converted
	}
	text := s.String()
	if !inexact(text) {
		e.dst = appendJSONString(e.dst, text)
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
		e.dst = appendJSONEscaped(e.dst, string(r))
		i += size - 1
	}
	e.dst = append(e.dst, '"')
}

// appendJSONNumber appends f as Number.prototype.toString has it, and null for
// what JSON has no number for.
func appendJSONNumber(dst []byte, f float64) []byte {
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

// appendJSONString appends s as JSON.stringify would write it. What is not
// UTF-8 in s becomes U+FFFD.
func appendJSONString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = appendJSONEscaped(dst, s)
	return append(dst, '"')
}

func appendJSONEscaped(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	start := 0 // of what has not been appended yet
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, size := utf8.DecodeRuneInString(s[i:])
			if r == utf8.RuneError && size == 1 {
				dst = append(dst, s[start:i]...)
				dst = append(dst, "\uFFFD"...)
				start = i + 1
			}
			i += size
			continue
		}
		if c >= ' ' && c != '"' && c != '\\' {
			i++
			continue
		}
		dst = append(dst, s[start:i]...)
		switch c {
		case '"', '\\':
			dst = append(dst, '\\', c)
		case '\b':
			dst = append(dst, `\b`...)
		case '\f':
			dst = append(dst, `\f`...)
		case '\n':
			dst = append(dst, `\n`...)
		case '\r':
			dst = append(dst, `\r`...)
		case '\t':
			dst = append(dst, `\t`...)
		default:
			dst = append(dst, `\u00`...)
			dst = append(dst, hex[c>>4], hex[c&0xF])
		}
		i++
		start = i
	}
	return append(dst, s[start:]...)
}

// A jsonKey is the name of a property. The methods of goja take a Go string,
// which cannot hold lone surrogates: a name that has some is in exact instead.
type jsonKey struct {
	name  string
	exact goja.String // or nil
}

// exactProperties does by syntax, which a script cannot tamper with, what the
// methods of goja do for other names.
var exactProperties = goja.MustCompile("JSON", `({
	get(o, k) { return o[k] },
	set(o, k, v) { o[k] = v },
	delete(o, k) { return delete o[k] },
	keys(o, each) { for (const k in o) if (!each(k)) break },
})`, false) // not strict: there delete would throw

func callExact(vm *goja.Runtime, method string, args ...goja.Value) (goja.Value, error) {
	methods, err := vm.RunProgram(exactProperties)
	if err != nil {
		return nil, err
	}
	call, _ := goja.AssertFunction(methods.(*goja.Object).Get(method))
	return call(nil, args...)
}

// value returns the key as a string value.
func (k jsonKey) value(vm *goja.Runtime) goja.Value {
	if k.exact != nil {
		return k.exact
	}
	return vm.ToValue(k.name)
}

func (k jsonKey) get(vm *goja.Runtime, o *goja.Object) goja.Value {
	if k.exact == nil {
		return orUndefined(o.Get(k.name))
	}
	v, err := callExact(vm, "get", o, k.exact)
	if err != nil {
		panic(err)
	}
	return v
}

func (k jsonKey) set(vm *goja.Runtime, o *goja.Object, v goja.Value) error {
	if k.exact == nil {
		return o.Set(k.name, v)
	}
	_, err := callExact(vm, "set", o, k.exact, v)
	return err
}

// define creates or replaces a data property, if o lets it.
func (k jsonKey) define(vm *goja.Runtime, o *goja.Object, v goja.Value) {
	var err error
	if k.exact == nil {
		err = o.DefineDataProperty(k.name, orUndefined(v), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
	} else {
		err = k.set(vm, o, v)
	}
	ignoreRefusal(o, err)
}

// delete deletes a property, if o lets it.
func (k jsonKey) delete(vm *goja.Runtime, o *goja.Object) {
	var err error
	if k.exact == nil {
		err = o.Delete(k.name)
	} else {
		_, err = callExact(vm, "delete", o, k.exact)
	}
	ignoreRefusal(o, err)
}

// ignoreRefusal throws err unless it says that the object, being frozen say,
// did not want to be changed. A proxy may have anything to say.
func ignoreRefusal(o *goja.Object, err error) {
	if err == nil {
		return
	}
	if _, ok := err.(*goja.Exception); ok && o.ExportType() != proxyType {
		return
	}
	panic(err)
}

// jsonKeys returns the names of the enumerable own properties of o.
func jsonKeys(vm *goja.Runtime, o *goja.Object) []jsonKey {
	names := o.Keys()
	if slices.ContainsFunc(names, inexact) {
		return exactKeys(vm, o, names)
	}
	keys := make([]jsonKey, len(names))
	for i, name := range names {
		keys[i].name = name
	}
	return keys
}

// inexact reports whether name may stand for one that has lone surrogates.
func inexact(name string) bool {
	return strings.Contains(name, "\uFFFD")
}

// exactKeys is jsonKeys for an object that has, as Go strings, the given names.
func exactKeys(vm *goja.Runtime, o *goja.Object, names []string) []jsonKey {
	keys := make([]jsonKey, 0, len(names))
	// A for-in loop has the own properties first. The others do not matter.
	each := func(call goja.FunctionCall) goja.Value {
		if len(keys) == len(names) {
			return vm.ToValue(false)
		}
		s := call.Argument(0).(goja.String)
		if name := s.String(); inexact(name) {
			keys = append(keys, jsonKey{exact: s})
		} else {
			keys = append(keys, jsonKey{name: name})
		}
		return vm.ToValue(true)
	}
	if _, err := callExact(vm, "keys", o, vm.ToValue(each)); err != nil {
		panic(err)
	}
	return keys
}

// isArray is IsArray of ECMA-262, which looks through proxies.
func isArray(vm *goja.Runtime, o *goja.Object) bool {
	for o.ExportType() == proxyType {
		o = o.Export().(goja.Proxy).Target()
		if o == nil {
			panic(vm.NewTypeError("Cannot perform 'IsArray' on a proxy that has been revoked"))
		}
	}
	return o.ClassName() == "Array"
}

// arrayLength is LengthOfArrayLike of ECMA-262.
func arrayLength(o *goja.Object) int64 {
	return max(0, min(orUndefined(o.Get("length")).ToInteger(), 1<<53-1))
}

// toJSString is ToString of ECMA-262.
func toJSString(vm *goja.Runtime, v goja.Value) goja.String {
	if o, ok := v.(*goja.Object); ok {
		v = o.ToString() // a primitive value, not always a string
	}
	switch v := v.(type) {
	case goja.String:
		return v
	case *goja.Symbol:
		panic(vm.NewTypeError("Cannot convert a Symbol value to a string"))
	}
	return vm.ToValue(v.String()).(goja.String)
}

// toWTF8 returns s as UTF-8, but for its lone surrogates, which are encoded as
// if they were runes. It reports whether s has any. A string that the host has
// made of something else than UTF-8 is returned as it is.
func toWTF8(s goja.String) (text string, lone bool) {
	text = s.String()
	if !inexact(text) {
		return text, false
	}
	var buf []byte
	for i := 0; i < s.Length(); i++ {
		r, size := runeAt(s, i)
		if utf16.IsSurrogate(r) {
			lone = true
			buf = appendSurrogate(buf, r)
			continue
		}
		buf = utf8.AppendRune(buf, r)
		i += size - 1
	}
	return string(buf), lone
}

// fromWTF8 returns the UTF-16 of what toWTF8 has returned.
func fromWTF8(s string) []uint16 {
	var units []uint16
	for i := 0; i < len(s); {
		r, size := utf8.DecodeRuneInString(s[i:])
		if r == utf8.RuneError && size == 1 && i+2 < len(s) && s[i] == 0xED && s[i+1] >= 0xA0 {
			r, size = 0xD000|rune(s[i+1]&0x3F)<<6|rune(s[i+2]&0x3F), 3
			units = append(units, uint16(r))
		} else {
			units = utf16.AppendRune(units, r)
		}
		i += size
	}
	return units
}

func appendSurrogate(dst []byte, r rune) []byte {
	return append(dst, 0xED, 0x80|byte(r>>6)&0x3F, 0x80|byte(r)&0x3F)
}

// runeAt decodes the rune at s[i], which is a surrogate if it is a lone one.
func runeAt(s goja.String, i int) (r rune, size int) {
	r = rune(s.CharAt(i))
	if utf16.IsSurrogate(r) && i+1 < s.Length() {
		if pair := utf16.DecodeRune(r, rune(s.CharAt(i+1))); pair != utf8.RuneError {
			return pair, 2
		}
	}
	return r, 1
}

// orUndefined makes undefined of the nil that goja has for what is not there.
func orUndefined(v goja.Value) goja.Value {
	if v == nil {
		return goja.Undefined()
	}
	return v
}

func isUndefined(v goja.Value) bool { return v == nil || goja.IsUndefined(v) }

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
