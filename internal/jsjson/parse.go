package jsjson

import (
	"fmt"
	"strconv"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
)

// A syntaxError says why a text is not JSON, in the words of V8.
type syntaxError struct{ msg string }

func (e *syntaxError) Error() string { return e.msg }

// Parse returns the value that JSON.parse(text) has in vm. Its error is a
// *syntaxError, unless vm was interrupted.
//
// Strings and property names of the result are slices of text where possible, so
// text stays in memory as long as the values do.
func Parse(vm *goja.Runtime, text string) (goja.Value, error) {
	p := parser{vm: vm, text: text}
	return p.parse()
}

// ParseBuiltin returns a replacement for JSON.parse.
func ParseBuiltin(vm *goja.Runtime) func(goja.FunctionCall) goja.Value {
	return limitReentry(vm, "JSON.parse", func(call goja.FunctionCall) goja.Value {
		p := parser{vm: vm}
		p.text, p.wtf8 = toWTF8(ecma.ToString(vm, call.Argument(0)))
		v, err := p.parse()
		if err, ok := err.(*syntaxError); ok {
			throwSyntaxError(vm, err.msg)
		}
		if err != nil {
			panic(err)
		}
		if reviver, ok := goja.AssertFunction(call.Argument(1)); ok {
			root := vm.NewObject()
			key := propertyKey{}
			key.define(vm, root, v)
			r := jsonReviver{vm: vm, call: reviver}
			return r.walk(root, key, 0)
		}
		return v
	})
}

// redeclareUndefined cannot run, because a let must not hide the undefined of the
// global object, which no script can delete.
var redeclareUndefined = goja.MustCompile(OwnProgram, "let undefined", true)

// throwSyntaxError throws a SyntaxError of vm. It makes the engine throw one,
// because the script may have replaced the global SyntaxError, and looking that
// up in advance would create it in every runtime.
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

// parser is a recursive descent parser. Its methods start at text[pos] and leave
// pos after what they have read. After an error pos is meaningless.
type parser struct {
	vm    *goja.Runtime
	text  string
	wtf8  bool         // text may have lone surrogates, encoded like runes
	ascii goja.String  // text, if it is ASCII: slicing it is cheaper than ToValue
	proto *goja.Object // %Object.prototype%
	pos   int
	depth int
	nodes int   // objects and arrays so far
	stack []any // elements of the arrays being read
}

func (p *parser) parse() (goja.Value, error) {
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

func (p *parser) space() {
	for p.pos < len(p.text) {
		switch p.text[p.pos] {
		case ' ', '\t', '\n', '\r':
			p.pos++
		default:
			return
		}
	}
}

// next skips white space and returns the byte after it, or 0 at the end. A NUL in
// the text is no token either.
func (p *parser) next() byte {
	p.space()
	if p.pos < len(p.text) {
		return p.text[p.pos]
	}
	return 0
}

func (p *parser) value() (goja.Value, error) {
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

func (p *parser) literal(word string, v any) (goja.Value, error) {
	for i := range len(word) {
		if p.pos+i >= len(p.text) || p.text[p.pos+i] != word[i] {
			return nil, p.unexpected(p.pos + i)
		}
	}
	p.pos += len(word)
	return p.vm.ToValue(v), nil
}

// enter skips the bracket at pos and descends one level.
func (p *parser) enter() error {
	if p.depth >= maxDepth {
		return &syntaxError{fmt.Sprintf("JSON is nested deeper than %d levels", maxDepth)}
	}
	if p.nodes >= MaxNodes {
		return &syntaxError{fmt.Sprintf("JSON has more than %d objects and arrays", MaxNodes)}
	}
	p.depth++
	p.nodes++
	p.pos++
	return nil
}

func (p *parser) array() (goja.Value, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	if p.stack == nil {
		p.stack = make([]any, 0, 32)
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

func (p *parser) object() (goja.Value, error) {
	if err := p.enter(); err != nil {
		return nil, err
	}
	// On an object without a prototype, Set creates own properties, whatever the
	// script has defined on Object.prototype, and even for __proto__. It is also
	// the fastest way to create them.
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

func (p *parser) number() (goja.Value, error) {
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
	// The only possible error is a number out of range. Then f is infinite, as in
	// JavaScript.
	f, _ := strconv.ParseFloat(p.text[start:p.pos], 64)
	return p.vm.ToValue(f), nil
}

// digits reads digits. Its result may have overflowed if there are more than 18.
func (p *parser) digits() int64 {
	var n int64
	for p.pos < len(p.text) && isDigit(p.text[p.pos]) {
		n = n*10 + int64(p.text[p.pos]-'0')
		p.pos++
	}
	return n
}

func (p *parser) string() (goja.Value, error) {
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

func (p *parser) key() (propertyKey, error) {
	s, lone, err := p.scan()
	if lone {
		return propertyKey{exact: goja.StringFromUTF16(fromWTF8(s))}, err
	}
	return propertyKey{name: s}, err
}

// scan reads a string literal. If lone is true, s has lone surrogates and is
// WTF-8; otherwise it is valid UTF-8.
func (p *parser) scan() (s string, lone bool, err error) {
	rest := p.text[p.pos+1:]
	n := 0
	for n < len(rest) && isPlain[rest[n]] {
		n++
	}
	if n < len(rest) && rest[n] == '"' {
		p.pos += n + 2
		return rest[:n], false, nil
	}
	return p.scanOther()
}

// scanOther is scan for strings that are not plain.
func (p *parser) scanOther() (s string, lone bool, err error) {
	start := p.pos + 1
	for i := start; i < len(p.text); i++ {
		switch c := p.text[i]; {
		case c == '"':
			s = p.text[start:i]
			if !utf8.ValidString(s) {
				return p.unescape(start)
			}
			p.pos = i + 1
			return s, false, nil
		case c == '\\':
			return p.unescape(start)
		case c < ' ':
			return "", false, p.unexpected(i)
		}
	}
	return "", false, p.unexpected(len(p.text))
}

// isPlain tells the bytes of ASCII that stand for themselves in a string literal.
var isPlain = func() (plain [256]bool) {
	for c := ' '; c < utf8.RuneSelf; c++ {
		plain[c] = c != '"' && c != '\\'
	}
	return plain
}()

// unescape is scan for strings that are not slices of the text.
func (p *parser) unescape(start int) (s string, lone bool, err error) {
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
				// The text is from toWTF8, so this is a surrogate.
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

// hex4 returns the number of the four hexadecimal digits at text[i:]. bad is the
// index of the first byte that is not such a digit, or negative.
func (p *parser) hex4(i int) (r rune, bad int) {
	for end := i + 4; i < end; i++ {
		if i >= len(p.text) {
			return 0, i
		}
		k := strings.IndexByte("0123456789abcdef", p.text[i]|0x20)
		// Setting the bit for lower case would turn control characters into
		// digits.
		if k < 0 || p.text[i] < '0' {
			return 0, i
		}
		r = r<<4 | rune(k)
	}
	return r, -1
}

// unexpected is the error about text[i:].
func (p *parser) unexpected(i int) error {
	if i >= len(p.text) {
		return &syntaxError{"Unexpected end of JSON input"}
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
	return &syntaxError{fmt.Sprintf("Unexpected %s in JSON at position %d", what, position)}
}

// jsonReviver is InternalizeJSONProperty of ECMA-262.
type jsonReviver struct {
	vm   *goja.Runtime
	call goja.Callable
}

func (r *jsonReviver) walk(holder *goja.Object, key propertyKey, depth int) goja.Value {
	v := key.get(r.vm, holder)
	if o, ok := v.(*goja.Object); ok {
		if depth >= maxDepth { // the parser has a limit, but the reviver may add to the tree
			panic(r.vm.NewTypeError("JSON is nested deeper than %d levels", maxDepth))
		}
		if ecma.IsArray(r.vm, o) {
			for i := range ecma.Length(o) {
				r.element(o, propertyKey{name: strconv.FormatInt(i, 10)}, depth+1)
			}
		} else {
			for _, key := range keysOf(r.vm, o) {
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

func (r *jsonReviver) element(o *goja.Object, key propertyKey, depth int) {
	if v := r.walk(o, key, depth); ecma.IsUndefined(v) {
		key.delete(r.vm, o)
	} else {
		key.define(r.vm, o, v)
	}
}
