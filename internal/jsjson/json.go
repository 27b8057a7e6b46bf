// Package jsjson has JSON.parse and JSON.stringify for goja.
//
// The engine's own parse is slow, and its recursion follows the input without a
// bound: a text of ten million brackets overflows the Go stack, which kills the
// process. Its own stringify cannot be stopped and has no limit on what it writes.
//
// This file has what both need: property names, and strings that are not UTF-8.
package jsjson

import (
	"slices"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
)

// OwnProgram is the file name of the library's own scripts. Stacks leave out their
// frames.
const OwnProgram = "<native>"

// MaxNodes bounds the objects and arrays in a text. Each takes up to 700 bytes,
// however short its text is. Other values take little more than their text.
const MaxNodes = 1 << 17

const (
	// maxDepth bounds the nesting of arrays and objects.
	maxDepth = 512

	// maxReentry bounds how deeply calls of one builtin may be nested. Each may
	// use maxDepth levels of the Go stack.
	maxReentry = 64

	// stopSteps is the number of values between two checks of Limits.Ctx by
	// Append. It is a power of two.
	stopSteps = 1024
)

// limitReentry bounds the nested calls of f. goja's call stack limit does not
// count calls from one native function to another. So a script could overflow the
// Go stack with a bound builtin as its toJSON method, as its reviver, or as the
// toString of its argument.
func limitReentry(vm *goja.Runtime, name string, f func(goja.FunctionCall) goja.Value) func(goja.FunctionCall) goja.Value {
	calls := 0
	return func(call goja.FunctionCall) goja.Value {
		if calls >= maxReentry {
			panic(vm.NewTypeError("%s calls itself too deeply", name))
		}
		calls++
		defer func() { calls-- }()
		return f(call)
	}
}

// AppendString appends s as JSON.stringify writes it. Each byte of s that is not
// UTF-8 becomes U+FFFD.
func AppendString(dst []byte, s string) []byte {
	dst = append(dst, '"')
	dst = appendEscaped(dst, s)
	return append(dst, '"')
}

func appendEscaped(dst []byte, s string) []byte {
	const hex = "0123456789abcdef"
	start := 0 // of the part that has not been appended yet
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

// A propertyKey is the name of a property. goja's methods take a Go string, which
// cannot hold lone surrogates. So exact holds a name that has some.
type propertyKey struct {
	name  string
	exact goja.String // or nil
}

// exactProperties replaces goja's methods for names with lone surrogates. It uses
// syntax only, which no script can change.
var exactProperties = goja.MustCompile(OwnProgram, `({
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
func (k propertyKey) value(vm *goja.Runtime) goja.Value {
	if k.exact != nil {
		return k.exact
	}
	return vm.ToValue(k.name)
}

func (k propertyKey) get(vm *goja.Runtime, o *goja.Object) goja.Value {
	if k.exact == nil {
		return ecma.OrUndefined(o.Get(k.name))
	}
	v, err := callExact(vm, "get", o, k.exact)
	if err != nil {
		panic(err)
	}
	return v
}

func (k propertyKey) set(vm *goja.Runtime, o *goja.Object, v goja.Value) error {
	if k.exact == nil {
		return o.Set(k.name, v)
	}
	_, err := callExact(vm, "set", o, k.exact, v)
	return err
}

// define creates or replaces a data property, unless o refuses.
func (k propertyKey) define(vm *goja.Runtime, o *goja.Object, v goja.Value) {
	var err error
	if k.exact == nil {
		err = o.DefineDataProperty(k.name, ecma.OrUndefined(v), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE)
	} else {
		err = k.set(vm, o, v)
	}
	ignoreRefusal(o, err)
}

// delete deletes a property, unless o refuses.
func (k propertyKey) delete(vm *goja.Runtime, o *goja.Object) {
	var err error
	if k.exact == nil {
		err = o.Delete(k.name)
	} else {
		_, err = callExact(vm, "delete", o, k.exact)
	}
	ignoreRefusal(o, err)
}

// ignoreRefusal throws err, unless it means that the object refused the change,
// as a frozen object does. A proxy may throw anything.
func ignoreRefusal(o *goja.Object, err error) {
	if err == nil {
		return
	}
	if _, ok := err.(*goja.Exception); ok && o.ExportType() != ecma.ProxyType {
		return
	}
	panic(err)
}

// keysOf returns the names of the enumerable own properties of o.
func keysOf(vm *goja.Runtime, o *goja.Object) []propertyKey {
	names := o.Keys()
	if slices.ContainsFunc(names, inexact) {
		return exactKeys(vm, o, names)
	}
	keys := make([]propertyKey, len(names))
	for i, name := range names {
		keys[i].name = name
	}
	return keys
}

// inexact reports whether the name that goja gave as s may have lone surrogates.
func inexact(name string) bool {
	return strings.Contains(name, "\uFFFD")
}

// exactKeys is keysOf for an object whose names are, as Go strings, the given
// ones.
func exactKeys(vm *goja.Runtime, o *goja.Object, names []string) []propertyKey {
	keys := make([]propertyKey, 0, len(names))
	// A for-in loop visits own properties first. The others do not matter.
	each := func(call goja.FunctionCall) goja.Value {
		if len(keys) == len(names) {
			return vm.ToValue(false)
		}
		s := call.Argument(0).(goja.String)
		if name := s.String(); inexact(name) {
			keys = append(keys, propertyKey{exact: s})
		} else {
			keys = append(keys, propertyKey{name: name})
		}
		return vm.ToValue(true)
	}
	if _, err := callExact(vm, "keys", o, vm.ToValue(each)); err != nil {
		panic(err)
	}
	return keys
}

// toWTF8 returns s as UTF-8 in which lone surrogates are encoded like runes. It
// reports whether s has any. A string of the host that is not UTF-8 is returned
// unchanged.
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

// fromWTF8 returns the UTF-16 of a result of toWTF8.
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

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// isASCII looks at eight bytes at once, because texts can be long.
func isASCII(s string) bool {
	for ; len(s) >= 8; s = s[8:] {
		if (uint64(s[0])|uint64(s[1])<<8|uint64(s[2])<<16|uint64(s[3])<<24|
			uint64(s[4])<<32|uint64(s[5])<<40|uint64(s[6])<<48|uint64(s[7])<<56)&0x8080808080808080 != 0 {
			return false
		}
	}
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}
