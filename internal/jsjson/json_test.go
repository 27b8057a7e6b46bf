package jsjson

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/dop251/goja"
	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/testkit"
)

// describeJSON writes v so that two values look alike only if no script could
// tell them apart: with the types and signs of numbers, the code units of
// strings and the order of keys.
func describeJSON(vm *goja.Runtime, v goja.Value) string {
	var b strings.Builder
	var walk func(v goja.Value)
	walk = func(v goja.Value) {
		switch v := v.(type) {
		case goja.String:
			b.WriteByte('"')
			for i := range v.Length() {
				if c := v.CharAt(i); c >= ' ' && c < 0x7F {
					b.WriteByte(byte(c))
				} else {
					fmt.Fprintf(&b, "<%x>", c)
				}
			}
			b.WriteByte('"')
		case *goja.Object:
			b.WriteString(v.ClassName())
			if ecma.IsArray(vm, v) {
				b.WriteByte('[')
				for i := range ecma.Length(v) {
					if i > 0 {
						b.WriteByte(' ')
					}
					walk(v.Get(strconv.FormatInt(i, 10)))
				}
				b.WriteByte(']')
				return
			}
			b.WriteByte('{')
			for i, key := range keysOf(vm, v) {
				if i > 0 {
					b.WriteByte(' ')
				}
				walk(key.value(vm))
				b.WriteByte(':')
				walk(key.get(vm, v))
			}
			b.WriteByte('}')
		default:
			fmt.Fprintf(&b, "%v", v.Export())
			if _, ok := v.Export().(float64); ok {
				b.WriteByte('f')
			}
		}
	}
	walk(v)
	return b.String()
}

// engineJSON returns goja's own JSON.parse and JSON.stringify.
func engineJSON(vm *goja.Runtime) (parse, stringify goja.Callable) {
	object := vm.Get("JSON").(*goja.Object)
	parse, _ = goja.AssertFunction(object.Get("parse"))
	stringify, _ = goja.AssertFunction(object.Get("stringify"))
	return parse, stringify
}

// newJSONRuntime returns a runtime with the builtins of json.go in JSON, and
// with the engine's in a global called engine.
func newJSONRuntime(t testing.TB, lim Limits) *goja.Runtime {
	vm := goja.New()
	vm.SetMaxCallStackSize(2000)
	_, err := vm.RunString("var engine = {parse: JSON.parse, stringify: JSON.stringify}")
	require.NoError(t, err)
	object := vm.Get("JSON").(*goja.Object)
	require.NoError(t, object.Set("parse", ParseBuiltin(vm)))
	require.NoError(t, object.Set("stringify", StringifyBuiltin(vm, lim)))
	return vm
}

func TestParseJSON(t *testing.T) {
	vm := goja.New()
	for text, want := range map[string]string{
		`null`:                     `<nil>`,
		`true`:                     `true`,
		` false `:                  `false`,
		`0`:                        `0`,
		`-0`:                       `-0f`,
		`-0.0`:                     `-0f`,
		`-0e5`:                     `-0f`,
		`-1e-400`:                  `-0f`,
		`1.0`:                      `1`,
		`1e2`:                      `100`,
		`-17`:                      `-17`,
		`123456789012345`:          `123456789012345`,
		`-999999999999999`:         `-999999999999999`,
		`9007199254740991`:         `9007199254740991`,
		`9007199254740993`:         `9007199254740992`,
		`12345678901234567890`:     `1.2345678901234567e+19f`,
		`100000000000000000000000`: `1e+23f`,
		`0.1`:                      `0.1f`,
		`2.5E-1`:                   `0.25f`,
		`5e-324`:                   `5e-324f`,
		`1.7976931348623157e308`:   `1.7976931348623157e+308f`,
		`1e400`:                    `+Inff`,
		`-1e400`:                   `-Inff`,
		`2.2250738585072011e-308`:  `2.225073858507201e-308f`,

		`""`:                               `""`,
		`"a\"b\\c\/d"`:                     `"a"b\c/d"`,
		`"\b\f\n\r\t"`:                     `"<8><c><a><d><9>"`,
		`"\u0041\u00e9\u0000"`:             `"A<e9><0>"`,
		`"\uABCD\uabcd"`:                   `"<abcd><abcd>"`,
		`"é€😀"`:                            `"<e9><20ac><d83d><de00>"`,
		`"a long string that has an é"`:    `"a long string that has an <e9>"`,
		`"\ud83d\ude00"`:                   `"<d83d><de00>"`,
		`"\ud800"`:                         `"<d800>"`,
		`"\udc00\ud800"`:                   `"<dc00><d800>"`,
		`"a\ud800b"`:                       `"a<d800>b"`,
		`"\ud800\n"`:                       `"<d800><a>"`,
		`"\ud800\u0041"`:                   `"<d800>A"`,
		`"\ud800\ud83d\ude00é"`:            `"<d800><d83d><de00><e9>"`,
		`"\ufffd"`:                         `"<fffd>"`,
		"\"\u2028\u2029\x7f\ufeff\u00a0\"": `"<2028><2029><7f><feff><a0>"`,
		"\"a\xffb\xed\xa0\x80\"":           `"a<fffd>b<fffd><fffd><fffd>"`,
		"\"\xc3\"":                         `"<fffd>"`,

		`[]`:                        `Array[]`,
		"[ 1 ,\t[ ] ,\r\n\"\" ]":    `Array[1 Array[] ""]`,
		`[[1,2],[3,[4]],5]`:         `Array[Array[1 2] Array[3 Array[4]] 5]`,
		`{}`:                        `Object{}`,
		` { "a" : 1 , "b" : { } } `: `Object{"a":1 "b":Object{}}`,
		`{"b":1,"a":2,"b":3}`:       `Object{"b":3 "a":2}`,
		`{"":1,"":2}`:               `Object{"":2}`,
		`{"b":1,"1":2,"0":3}`:       `Object{"0":3 "1":2 "b":1}`,
		`{"__proto__":{"x":1}}`:     `Object{"__proto__":Object{"x":1}}`,
		`{"__proto__":1,"__proto__":2,"constructor":3}`: `Object{"__proto__":2 "constructor":3}`,
		`{"\u0061":1,"a":2}`:                            `Object{"a":2}`,
		`{"é":1,"😀":2}`:                                 `Object{"<e9>":1 "<d83d><de00>":2}`,
		`{"\ud800":1,"\ud801":2,"\ufffd":3,"\ud800":4}`: `Object{"<d800>":4 "<d801>":2 "<fffd>":3}`,
		"{\"\xff\":1}":                                  `Object{"<fffd>":1}`,
	} {
		v, err := Parse(vm, text)
		if assert.NoError(t, err, "%q", text) {
			assert.Equal(t, want, describeJSON(vm, v), "%q", text)
		}
	}
}

// Texts as in the JSONTestSuite of Nicolas Seriot: those that JSON.parse must accept,
// and those that it must refuse.
var (
	validJSON = []string{
		`[[]   ]`, `[""]`, `[]`, `["a"]`, `[false]`, `[null, 1, "1", {}]`, `[null]`, "[1\n]", ` [1]`, `[1,null,null,null,2]`, `[2] `,
		`[123e65]`, `[0e+1]`, `[0e1]`, `[ 4]`, `[-0.000000000000000000000000000000000000000000000000000000000000000000000000000001]`,
		`[20e1]`, `[-0]`, `[-123]`, `[-1]`, `[1E22]`, `[1E-2]`, `[1E+2]`, `[123e45]`, `[123.456e78]`, `[1e-2]`, `[1e+2]`, `[123]`, `[123.456789]`,
		`[0.0]`, `[0.1e1]`, `[0.1]`, `[1e400]`, `[-1e9999]`, `[1.5e-9999]`, `[123123e100000]`, `[-237462374673276894279832749832423479823246327846]`,
		`{"asd":"sdf", "dfg":"fgh"}`, `{"asd":"sdf"}`, `{"a":"b","a":"c"}`, `{"a":"b","a":"b"}`, `{}`, `{"":0}`, `{"foo\u0000bar": 42}`,
		`{ "min": -1.0e+28, "max": 1.0e+28 }`, `{"a":[]}`, `{"title":"\u041f\u043e\u043b"}`, "{\n\"a\": \"b\"\n}",
		`["\u0060\u012a\u12AB"]`, `["\uD801\udc37"]`, `["\ud83d\ude39\ud83d\udc8d"]`, `["\"\\\/\b\f\n\r\t"]`, `["\\u0000"]`, `["\""]`,
		`["a/*b*/c/*d//e"]`, `["\\a"]`, `["\\n"]`, `["\u0012"]`, `["\uFFFF"]`, `["asd"]`, `[ "asd"]`, `["\uDBFF\uDFFF"]`, `["new\u00A0line"]`,
		"[\"\u00a0\"]", "[\"\uffff\"]", `["\u0000"]`, `["\u002c"]`, `["π"]`, `["𛿿"]`, `["asd "]`, `" "`, `["\uD834\uDd1e"]`, `["\u0821"]`, `["\u0123"]`,
		"[\"\u2028\"]", "[\"\u2029\"]", `["\u0061\u30af\u30EA\u30b9"]`, "[\"new\u2028line\"]", "[\"\x7f\"]", "[\"\U0010ffff\"]", "[\"\ufeff\"]", `["\uA66D"]`, `["\u005C"]`, `["⍂㈴⍂"]`,
		`["\u0022"]`, `["\uDBFF\uDFFE"]`, `["\uD83F\uDFFE"]`, `["\u200B"]`, `["\u2064"]`, `["\uFDD0"]`, `["\uFFFE"]`, `["€𝄞"]`, "[\"a\x7fa\"]",
		`false`, `42`, `-0.1`, `null`, `"asd"`, `true`, `""`, "[\"a\"]\n", `[true]`, " [] ", "\t\r\n []",
		// The standard of JSON leaves these open. ECMA-262 accepts them.
		`["\uDADA"]`, `["\uD888\u1234"]`, `["\uD800\n"]`, `["\uDd1ea"]`, `["\uD800\uD800\n"]`, `["\ud800"]`, `["\ud800abc"]`, `["\uDd1e\uD834"]`, `["\uDFAA"]`,
	}
	invalidJSON = []string{
		``, ` `, "\n", `[1 true]`, `["": 1]`, `[""],`, `[,1]`, `[1,,2]`, `["x",,]`, `["x"]]`, `["",]`, `["x"`, `[x`, `[3[4]]`, `[1:2]`, `[,]`, `[-]`, `[   , ""]`,
		"[\"a\",\n4\n,1,", `[1,]`, `[1,,]`, "[\"\va\"\\f]", `[*]`, `[""`, `[1,`, "[1,\n1\n,1", `[{}`, `[fals]`, `[nul]`, `[tru]`, `["a`, `["a"`,
		`[++1234]`, `[+1]`, `[+Inf]`, `[-01]`, `[-1.0.]`, `[-2.]`, `[-NaN]`, `[.-1]`, `[.2e-3]`, `[0.1.2]`, `[0.3e+]`, `[0.3e]`, `[0.e1]`, `[0E+]`, `[0E]`, `[0e+]`, `[0e]`,
		`[1.0e+]`, `[1.0e-]`, `[1.0e]`, `[1 000.0]`, `[1eE2]`, `[2.e+3]`, `[2.e-3]`, `[2.e3]`, `[9.e+]`, `[Inf]`, `[NaN]`, `[１]`, `[1+2]`, `[0x1]`, `[0x42]`, `[Infinity]`,
		`[0e+-1]`, `[-123.123foo]`, `[-Infinity]`, `[-foo]`, `[- 1]`, `[-012]`, `[-.123]`, `[-1x]`, `[1ea]`, `[1.]`, `[.123]`, `[1.2a-3]`, `[1.8011670033376514H-308]`, `[012]`, `[00]`, `-`, `01`, `1_000`, `1e`, `1.e1`, `--1`, `0b1`,
		`["x", truth]`, `{[: "x"}`, `{"x", null}`, `{"x"::"b"}`, `{🇨🇭}`, `{"a":"a" 123}`, `{key: 'value'}`, `{"a" b}`, `{:"b"}`, `{"a" "b"}`, `{"a":`, `{"a"`, `{1:1}`, `{9999E9999:1}`, `{null:null,null:null}`,
		`{"id":0,,,,,}`, `{'a':0}`, `{"id":0,}`, `{"a":"b"}/**/`, `{"a":"b"}/**//`, `{"a":"b"}//`, `{"a":"b"}/`, `{"a":"b",,"c":"d"}`, `{a: "b"}`, `{"a":"a`, `{ "foo" : "bar", "a" }`, `{"a":"b"}#`,
		`["\uD800\"]`, `["\uD800\u"]`, `["\uD800\u1"]`, `["\uD800\u1x"]`, `[é]`, "[\"\\\x00\"]", `["\\\"]`, `["\x00"]`, `["\	"]`, `["\🌀"]`, `["\"]`, `["\u00A"]`, `["\uD834\uDd"]`, `["\uD800\uD800\x"]`, `["\a"]`, `["\uqqqq"]`,
		`[\u0020"asd"]`, `[\n]`, `"`, `['single quote']`, `abc`, `["\`, "[\"a\x00a\"]", "[\"new\nline\"]", "[\"\t\"]", "[\"\x1f\"]", `"\UA66D"`, `""x`, `["\u 123"]`, `["\u+123"]`, "[\"\\u\x101\x11\x12\"]", `"\u`, `"\u12`, `"\v"`, `"\'"`, `"\0"`,
		"[\u2060]", "\ufeff", "\ufeff{}", `<.>`, `[<null>]`, `[1]x`, `[1]]`, `["asd]`, `aå`, `[True]`, `1]`, `{"x": true,`, `[][]`, `]`, "\xef\xbb{}", `å`, `[`, `{"":`, "\x00", "[1]\x00", `2@`, `{}}`, `{"":`, `{"a":/*comment*/"b"}`, `{"a": true} "x"`, `['`, `[,`,
		`[{`, `["a`, `{`, `{]`, `{,`, `{[`, `{"a`, `{'a'`, `["\{["\{["\{["\{`, `*`, `{"a":"b"}#{}`, `[\u000A""]`, `[1`, `[ false, nul`, `[ true, fals`, `[ false, tru`, `{"asd":"asd"`, "[\u00a0]", "\u00a0", "[\u2028]", "[\f]", "\v1", "\u00851", "[\u2060]",
		`undefined`, `nulll`, `true1`, `truefalse`, `tRue`, `1 2`, `"a" "b"`, `{"a":1 "b":2}`, `{"a"}`, `{"a":}`, `{,"a":1}`, "1\x00", "\xff", "[\xff]", `{"a":1]`, `[1}`,
	}
)

func TestParseJSONSuite(t *testing.T) {
	vm := newJSONRuntime(t, Limits{})
	for _, text := range validJSON {
		_, err := Parse(vm, text)
		assert.NoError(t, err, "%q", text)
		assert.True(t, json.Valid([]byte(text)), "the test is wrong: %q", text)
	}
	for _, text := range invalidJSON {
		_, err := Parse(vm, text)
		var syntax *syntaxError
		assert.ErrorAs(t, err, &syntax, "%q", text)
		assert.False(t, json.Valid([]byte(text)), "the test is wrong: %q", text)

		require.NoError(t, vm.Set("text", text))
		v, err := vm.RunString("try { JSON.parse(text) } catch (e) { e.constructor === SyntaxError }")
		require.NoError(t, err)
		assert.Equal(t, true, v.Export(), "%q", text)
	}
}

func TestParseJSONErrors(t *testing.T) {
	vm := goja.New()
	for text, want := range map[string]string{
		``:                       "Unexpected end of JSON input",
		`[1,2`:                   "Unexpected end of JSON input",
		`"ab`:                    "Unexpected end of JSON input",
		`"\u12`:                  "Unexpected end of JSON input",
		`tr`:                     "Unexpected end of JSON input",
		`-`:                      "Unexpected end of JSON input",
		`{"a":}`:                 "Unexpected token } in JSON at position 5",
		`[1,]`:                   "Unexpected token ] in JSON at position 3",
		`trap`:                   "Unexpected token a in JSON at position 2",
		`"\x"`:                   "Unexpected token x in JSON at position 2",
		`"\u12g4"`:               "Unexpected token g in JSON at position 5",
		"\"a\n\"":                "Unexpected token \n in JSON at position 2",
		`01`:                     "Unexpected number in JSON at position 1",
		`[1 2]`:                  "Unexpected number in JSON at position 3",
		`[1 -2]`:                 "Unexpected number in JSON at position 3",
		`{"a" "b"}`:              "Unexpected string in JSON at position 5",
		`["é😀",é]`:               "Unexpected token é in JSON at position 7",
		"[\"\xff\",\xff]":        "Unexpected token \uFFFD in JSON at position 5",
		"\ufeff1":                "Unexpected token \ufeff in JSON at position 0",
		strings.Repeat("[", 513): "JSON is nested deeper than 512 levels",
	} {
		_, err := Parse(vm, text)
		assert.EqualError(t, err, want, "%q", text)
	}
}

func TestParseJSONDepth(t *testing.T) {
	vm := newJSONRuntime(t, Limits{})
	v, err := Parse(vm, strings.Repeat("[", maxDepth)+strings.Repeat("]", maxDepth))
	require.NoError(t, err)
	text, ok := Append(nil, vm, v, Limits{})
	assert.True(t, ok)
	assert.Len(t, text, 2*maxDepth)

	// The depth is that of nesting, not the number of arrays.
	_, err = Parse(vm, "["+strings.Repeat(`[],{"a":[]},`, 10*maxDepth)+"[]]")
	require.NoError(t, err)

	for _, open := range []string{"[", `{"a":`, `[{"a":`} {
		_, err = Parse(vm, strings.Repeat(open, 10_000_000))
		assert.EqualError(t, err, "JSON is nested deeper than 512 levels")
	}
	v, err = vm.RunString(`try { JSON.parse("[".repeat(1e6)) } catch (e) { String(e) }`)
	require.NoError(t, err)
	assert.Equal(t, "SyntaxError: JSON is nested deeper than 512 levels", v.Export())
}

func TestParseJSONLong(t *testing.T) {
	vm := goja.New()
	v, err := Parse(vm, "["+strings.Repeat("1,", 1e6)+"2]")
	require.NoError(t, err)
	assert.Equal(t, int64(1e6+1), v.(*goja.Object).Get("length").Export())
	assert.Equal(t, int64(2), v.(*goja.Object).Get("1000000").Export())

	long := strings.Repeat("x", 1e6)
	v, err = Parse(vm, `{"`+long+`":"`+long+`\n"}`)
	require.NoError(t, err)
	assert.Equal(t, long+"\n", v.(*goja.Object).Get(long).Export())
}

// hostileJSON is what a script may do before it parses or stringifies.
const hostileJSON = `
	var JSON_ = JSON, log = [];
	for (const k of ["a", "0", "__proto__", "message", "ué", "\ud800", "toString"])
		Object.defineProperty(Object.prototype, k, {set(v) { log.push("set " + k) }, get() { log.push("get " + k) }, configurable: true});
	Object.defineProperty(Object.prototype, "frozen", {value: 1, writable: false});
	Object.defineProperty(Array.prototype, "0", {set(v) { log.push("set 0") }});
	Object.defineProperty(Array.prototype, "1", {value: 1, writable: false});
	SyntaxError = TypeError = Object = Array = String = Symbol = Reflect = undefined;
	Error.prototype.constructor = undefined;
`

func TestParseJSONHostile(t *testing.T) {
	vm := newJSONRuntime(t, Limits{})
	v, err := vm.RunString(`var SE = SyntaxError, defineProperty = Object.defineProperty, Object_ = Object, names = Object.getOwnPropertyNames;` + hostileJSON + `
		JSON = null;
		var v = JSON_.parse('{"a":[1,2,3],"0":1,"__proto__":2,"frozen":{"frozen":3},"toString":4,"ué":5,"length":6}');
		var result = names(v).join() + ";" + v.a[0] + v.a[1] + v.a[2] + v[0] + v.__proto__ + v.frozen.frozen + v.toString + v["ué"] + v.length;
		try { JSON_.parse("{") } catch (e) { result += ";" + (e instanceof SE) + ";" + e.name + ";" + e.message }
		Object_.setPrototypeOf(globalThis, new Proxy({}, {has() { throw 1 }}));
		Object_.freeze(SE.prototype); Object_.freeze(globalThis);
		try { JSON_.parse("]") } catch (e) { result + ";" + (e instanceof SE) + ";" + e.message + ";" + log }`)
	require.NoError(t, err)
	assert.Equal(t, "0,a,__proto__,frozen,toString,ué,length;123123456;true;SyntaxError;Unexpected end of JSON input;true;Unexpected token ] in JSON at position 0;", v.String())
}

func TestJSONParseBuiltin(t *testing.T) {
	vm := newJSONRuntime(t, Limits{})
	for script, want := range map[string]string{
		`JSON.parse("1")`:                                                   `1`,
		`JSON.parse(1)`:                                                     `1`,
		`JSON.parse(null)`:                                                  `<nil>`,
		`JSON.parse("null", 1)`:                                             `<nil>`,
		`JSON.parse(["1"])`:                                                 `1`,
		`JSON.parse({toString: () => 5})`:                                   `5`,
		`JSON.parse(new String("[1]"))`:                                     `Array[1]`,
		`JSON.parse('"' + "é".repeat(20) + '"').length`:                     `20`,
		`try { JSON.parse() } catch (e) { String(e) }`:                      `"SyntaxError: Unexpected token u in JSON at position 0"`,
		`try { JSON.parse({}) } catch (e) { String(e) }`:                    `"SyntaxError: Unexpected token o in JSON at position 1"`,
		`try { JSON.parse(Symbol()) } catch (e) { String(e) }`:              `"TypeError: Cannot convert a Symbol value to a string"`,
		`try { JSON.parse({toString() { throw "mine" }}) } catch (e) { e }`: `"mine"`,
		`try { JSON.parse("") } catch (e) { Object.getOwnPropertyDescriptor(e, "message").enumerable }`:                 `false`,
		`(() => { function here() { JSON.parse("") } try { here() } catch (e) { return e.stack.includes("here") } })()`: `true`,

		// Surrogates in the text itself
		`JSON.parse('"\ud83d\ude00\ud800"')`:                              `"<d83d><de00><d800>"`,
		`JSON.parse('"\\ud83d\ude00"')`:                                   `"<d83d><de00>"`,
		`JSON.parse('"\ud83d\\ude00\ufffd"')`:                             `"<d83d><de00><fffd>"`,
		`JSON.parse('"\\\\\ud800"')`:                                      `"\<d800>"`,
		`JSON.parse('{"\udc00\ud800":1}')`:                                `Object{"<dc00><d800>":1}`,
		`try { JSON.parse('"\\\ud800"') } catch (e) { String(e) }`:        `"SyntaxError: Unexpected token <fffd> in JSON at position 2"`,
		`try { JSON.parse('["\ud800",\ud800]') } catch (e) { String(e) }`: `"SyntaxError: Unexpected token <fffd> in JSON at position 5"`,

		// The reviver
		`var seen = []; JSON.parse('{"a":[1,{"b":2}],"c":"x"}', function (k, v) { seen.push(k + "=" + engine.stringify(v) + " in " + engine.stringify(this)); return v }); seen.join("; ")`://
		`"0=1 in [1,{"b":2}]; b=2 in {"b":2}; 1={"b":2} in [1,{"b":2}]; a=[1,{"b":2}] in {"a":[1,{"b":2}],"c":"x"}; c="x" in {"a":[1,{"b":2}],"c":"x"}; ={"a":[1,{"b":2}],"c":"x"} in {"":{"a":[1,{"b":2}],"c":"x"}}"`,
		`JSON.parse("[1,2,3]", (k, v) => v === 2 ? undefined : v).hasOwnProperty(1)`:                                                                              `false`,
		`JSON.parse('{"a":1,"b":2}', (k, v) => v === 1 ? undefined : v)`:                                                                                          `Object{"b":2}`,
		`JSON.parse('{"a":1,"__proto__":2}', (k, v) => typeof v === "number" ? v + 1 : v)`:                                                                        `Object{"a":2 "__proto__":3}`,
		`JSON.parse('{"\\ud800":1,"\\ud801":2,"x":3}', (k, v) => v === 1 ? undefined : v === 2 ? k : v)`:                                                          `Object{"<d801>":"<d801>" "x":3}`,
		`JSON.parse("1", (k, v) => undefined) === undefined`:                                                                                                      `true`,
		`JSON.parse('{"a":1,"b":2}', function (k, v) { if (k === "a") Object.freeze(this); return v === 2 ? undefined : v })`:                                     `Object{"a":1 "b":2}`,
		`try { JSON.parse("[1]", () => { throw "mine" }) } catch (e) { e }`:                                                                                       `"mine"`,
		`JSON.parse('[0,0]', function (k, v) { if (k === "0") this[1] = new Proxy([7], {}); return v === 7 ? 8 : v })[1][0]`:                                      `8`,
		`try { JSON.parse('[0,0]', function (k, v) { if (k === "0") this[1] = new Proxy([7], {defineProperty() { throw "mine" }}); return v }) } catch (e) { e }`: `"mine"`,
		`try { JSON.parse('[0,0]', function (k, v) { if (k === "0") this[1] = [0, 0]; return v }) } catch (e) { String(e) }`:                                      `"TypeError: JSON is nested deeper than 512 levels"`,
		`var f; var g = new Proxy(() => 1, {apply: (t, self, args) => f()}); f = JSON.parse.bind(null, "1", g); try { f() } catch (e) { String(e) }`:              `"TypeError: JSON.parse calls itself too deeply"`,
		`var o = {}; o.toString = JSON.parse.bind(null, o); try { JSON.parse(o) } catch (e) { String(e) }`:                                                        `"TypeError: JSON.parse calls itself too deeply"`,
	} {
		v, err := vm.RunString(script)
		if assert.NoError(t, err, script) {
			assert.Equal(t, want, describeJSON(vm, v), script)
		}
	}
	// The limits above must have left the builtin usable.
	_, err := vm.RunString(`JSON.parse("[1]")`)
	assert.NoError(t, err)
}

// stringifyCases are values, as JavaScript, for which JSON.stringify of the
// engine is right.
var stringifyCases = []string{
	`undefined`, `null`, `true`, `false`, `0`, `-0`, `1`, `-1`, `1.5`, `NaN`, `Infinity`, `-Infinity`, `1e21`, `1e-7`, `123456789012345680000`, `5e-324`, `1.7976931348623157e308`, `1e15`, `999999999999999`, `-1e15`,
	`0.000001`, `0.0000015`, `9007199254740991`, `9007199254740993`, `0.1+0.2`, `1e300`, `-1.5e-9`, `1e100`, `123456.789e3`, `2**53`, `2**31`, `-(2**63)`,
	`""`, `"a"`, `"\"\\/\b\f\n\r\t\x00\x1f\x7f<>&'"`, `"é€😀\u2028\u2029\ufeff"`, `"\ud800"`, `"\udc00a"`, `"a\ud83d"`, `"\ude00\ud83d"`, `"\ud800\ud83d\ude00\n"`, `"\ufffd"`, `"x".repeat(100)`, `"é".repeat(100)`,
	`() => 1`, `Symbol()`, `Symbol.iterator`, `class {}`, `async () => 1`, `function* () {}`, `Math.max`, `(() => 1).bind()`, `new Proxy(() => 1, {})`,
	`[]`, `[1,2,3]`, `[,1,,]`, `[undefined, () => 1, Symbol(), null]`, `new Array(5)`, `[[[]]]`, `[{}]`, `Object.assign([1], {a: 1})`, `[1.5, "x", true]`,
	`{}`, `({a: 1, b: "x"})`, `({b: 1, 2: 2, a: 3, 1: 4})`, `({a: undefined, b: () => 1, c: Symbol(), d: null})`, `({a: undefined})`, `({[Symbol()]: 1})`, `({"": 1, "\n": 2, "é": 3})`, `({["__proto__"]: 1})`,
	`Object.create({a: 1})`, `Object.create(null)`, `Object.defineProperty({b: 1}, "a", {value: 1})`, `({get a() { return 1 }})`, `Object.defineProperty([1, 2], 0, {get: () => 5})`,
	`({get a() { this.z = 1; delete this.b; return 1 }, b: 2, c: 3})`, `({get a() { delete this.b; this.b = 5; return 1 }, b: 2})`, `({a: 1, get b() { throw new Error("mine") }})`, `[Object.defineProperty({}, "x", {enumerable: true, get() { throw 5 }})]`,
	`new Number(5)`, `new Number(-0)`, `new Number(NaN)`, `new String("x")`, `new Boolean(false)`, `new Boolean(true)`, `[new Number(1), new String("y"), new Boolean(true)]`, `Object.assign(new Number(1), {a: 1})`,
	`Object.assign(new Number(1), {valueOf: () => 7})`, `Object.assign(new String("a"), {toString: () => "b"})`, `Object.assign(new Boolean(true), {valueOf: () => false})`, `Object.assign(new Number(1), {valueOf() { throw "mine" }})`,
	`1n`, `Object(1n)`, `[1n]`, `new Date(0)`, `new Date(NaN)`, `[new Date(1e12)]`, `/x/`, `new Error("x")`, `new Map([[1, 2]])`, `new Set([1])`, `new WeakMap()`, `Promise.resolve(1)`, `new Uint8Array(3)`, `new ArrayBuffer(3)`, `new Float64Array([1.5])`, `(function () { return arguments })(1, 2)`, `Math`, `JSON`, `globalThis.constructor.prototype`,
	`({toJSON() { return 5 }})`, `({toJSON: 5})`, `({toJSON: null, a: 1})`, `({a: {toJSON(k) { return "key " + k }}})`, `[{toJSON(k) { return typeof k + k }}]`, `({toJSON(k) { return k }})`, `({toJSON() { return undefined }})`, `[{toJSON() { return undefined }}]`, `({a: {toJSON() { return undefined }}})`,
	`({toJSON() { return {toJSON() { return 1 }} }})`, `({toJSON() { throw "mine" }})`, `({toJSON() { return this.x }, x: [1]})`, `({get toJSON() { throw "mine" }})`, `({toJSON() { return 1n }})`, `({toJSON() { return new Date(0) }})`, `({toJSON: Math.max})`, `Object.assign(() => 1, {toJSON: () => 2})`, `({toJSON() { return new Number(3) }})`,
	`(() => { const o = {}; o.o = o; return o })()`, `(() => { const a = []; a.push(a); return a })()`, `(() => { const o = {}; o.a = [{b: o}]; return o })()`, `(() => { const o = {x: 1}; return {a: o, b: o, c: [o, o]} })()`,
	`new Proxy({a: 1}, {})`, `new Proxy([1, 2], {})`, `new Proxy(new Proxy([1], {}), {})`, `new Proxy({a: 1, b: 2}, {get: (t, k) => k})`, `new Proxy({}, {ownKeys: () => ["x", "y"], getOwnPropertyDescriptor: (t, k) => ({value: k, enumerable: k === "x", configurable: true}), get: (t, k) => k === "toJSON" ? undefined : k})`,
	`new Proxy({}, {ownKeys() { throw "mine" }})`, `new Proxy([], {get: (t, k) => k === "length" ? 3 : undefined})`, `new Proxy([], {get: (t, k) => k === "length" ? -3 : k === "toJSON" ? 0 : k})`, `(() => { const r = Proxy.revocable({}, {}); r.revoke(); return r.proxy })()`, `(() => { const r = Proxy.revocable([], {get() { return undefined }}); return r.proxy })()`,
	`new Proxy(new Number(5), {})`, `new Proxy(new Date(0), {})`, `new (class extends Array {})(1, 2, 3)`, `new (class { a = 1; #b = 2; get c() { return 3 } })`, `new (class extends Number {})(5)`, `JSON.rawJSON("1.50")`, `[JSON.rawJSON('"x"')]`, `goMap`, `goSlice`, `goStruct`, `goTime`, `goNumber`, `goString`, `goBool`, `goMarshaler`, `goError`, `goBig`, `goInts`, `goEncodable`, `[goMarshaler, {a: goStruct}]`, `goFunc`,
}

type (
	goStruct    struct{ A, B any }
	goNumber    int
	goString    string
	goBool      bool
	goMarshaler struct{ err error }
	goEncodable struct{}
)

func (m goMarshaler) MarshalJSON() ([]byte, error) { return []byte(`{"go":true}`), m.err }
func (goEncodable) JsonEncodable() any             { return map[string]any{"a": 1} }

func setGoValues(t testing.TB, vm *goja.Runtime) {
	for name, v := range map[string]any{
		"goMap": map[string]any{"a": 1}, "goSlice": []any{1, "x", nil, []any{}}, "goInts": []int{1, 2}, "goStruct": &goStruct{A: 1, B: []string{"x"}},
		"goTime": time.Unix(0, 0).UTC(), "goNumber": goNumber(5), "goString": goString("x"), "goBool": goBool(true),
		"goMarshaler": goMarshaler{}, "goError": goMarshaler{errors.New("mine")}, "goBig": big.NewInt(5), "goEncodable": goEncodable{}, "goFunc": func() {},
	} {
		require.NoError(t, vm.Set(name, v))
	}
}

// TestJSONStringifyDifferential compares with the engine's JSON.stringify.
func TestJSONStringifyDifferential(t *testing.T) {
	vm := newJSONRuntime(t, Limits{MaxBytes: 1 << 20, Ctx: t.Context()})
	setGoValues(t, vm)
	for _, setup := range []string{
		``,
		`BigInt.prototype.toJSON = function () { "use strict"; return typeof this + this }`,
		`Array.prototype.toJSON = function (k) { return "array " + k }`,
		`Object.prototype.toJSON = function (k) { return k === "" ? [this.a] : "object " + k }; delete Array.prototype.toJSON`,
		`delete Object.prototype.toJSON; delete Date.prototype.toJSON; Object.prototype.inherited = 1; Object.defineProperty(Object.prototype, "1", {get: () => "one", set() {}})`,
		`String.prototype.toJSON = Number.prototype.toJSON = Boolean.prototype.toJSON = () => "no"`,
		`Object = Array = String = Number = TypeError = Error = undefined`,
	} {
		_, err := vm.RunString(setup)
		require.NoError(t, err)
		for _, value := range stringifyCases {
			for _, more := range []string{
				``, `, null, 2`, `, undefined, "--"`, `, (k, v) => v`, `, function (k, v) { return typeof v === "number" ? k + typeof this + v : v }, 20`,
				`, ["b", "a", 1, "a", {}, , "toJSON"], 1`, `, () => {}`, `, (k, v) => { if (k === "a") throw "mine"; return v }`, `, [], "\t"`,
			} {
				run := func(f string) string {
					v, err := vm.RunString(`try { ` + f + `(` + value + more + `) } catch (e) { "throws " + e }`)
					require.NoError(t, err, value)
					return describeJSON(vm, v)
				}
				want, got := run("engine.stringify"), run("JSON.stringify")
				assert.Equal(t, want, got, "%s\nJSON.stringify(%s%s)", setup, value, more)
			}
		}
	}
}

// TestJSONStringifyStandard has what the engine gets wrong, and what it is
// better to see written out.
func TestJSONStringifyStandard(t *testing.T) {
	vm := newJSONRuntime(t, Limits{})
	for script, want := range map[string]string{
		`JSON.stringify(Object(Symbol()))`:                                                                             `{}`,
		`JSON.stringify({a: Object(Symbol())})`:                                                                        `{"a":{}}`,
		`JSON.stringify({"\ud800": 1, "\udc01": [2], "\ufffd": 3, x: 4})`:                                              `{"\ud800":1,"\udc01":[2],"` + "\uFFFD" + `":3,"x":4}`,
		`JSON.stringify({"\ud800": {toJSON: k => k}})`:                                                                 `{"\ud800":"\ud800"}`,
		`JSON.stringify(Object.create({"\ud801": 1}, {"\ud800": {value: 1}, "\ud802": {value: 2, enumerable: true}}))`: `{"\ud802":2}`,
		`JSON.stringify({"\ud800": 1, "\ud801": 2, a: 3}, ["\ud801", "a"])`:                                            `{"\ud801":2,"a":3}`,
		`JSON.stringify([1], null, "éééééééééééé")`:                                                                    "[\néééééééééé1\n]",
		`JSON.stringify([1, {a: []}], null, new Number(1.9))`:                                                          "[\n 1,\n {\n  \"a\": []\n }\n]",
		`JSON.stringify({a: 1}, null, new String(" "))`:                                                                "{\n \"a\": 1\n}",
		`JSON.stringify({a: [{}, [], 1], b: {}}, null, "-")`:                                                           "{\n-\"a\": [\n--{},\n--[],\n--1\n-],\n-\"b\": {}\n}",
		`JSON.stringify([1], null, -5)`:                                                                                `[1]`,
		`JSON.stringify([1], null, Infinity)`:                                                                          "[\n          1\n]",
		`JSON.stringify([1], null, {})`:                                                                                `[1]`,
		`JSON.stringify({a: [1], 1: 2, b: 3}, [new String("a"), new Number(1), true, null])`:                           `{"a":[1],"1":2}`,
		`JSON.stringify(JSON.parse('{"__proto__":[1e21,-0,"\\ud83d\\ude00"]}'))`:                                       `{"__proto__":[1e+21,0,"😀"]}`,
		`String(JSON.stringify())`:                                                                                     `undefined`,
		`JSON.stringify({a: 1}, function (k, v) { return k === "" ? {b: this[k]} : v })`:                               `{"b":{"a":1}}`,
		`var o = {}; o.toJSON = JSON.stringify.bind(null, o); try { JSON.stringify(o) } catch (e) { String(e) }`:       `TypeError: JSON.stringify calls itself too deeply`,
		`JSON.stringify(new Proxy({}, {ownKeys: () => ["\ud800"], getOwnPropertyDescriptor: () => ({value: 1, enumerable: true, configurable: true}), get: (t, k) => k === "toJSON" ? 0 : k}))`: `{"\ud800":"\ud800"}`,
	} {
		v, err := vm.RunString(script)
		if assert.NoError(t, err, script) {
			assert.Equal(t, want, v.String(), script)
		}
	}
}

func TestAppendJSON(t *testing.T) {
	vm := goja.New()
	eval := func(script string) goja.Value {
		v, err := vm.RunString(script)
		require.NoError(t, err)
		return v
	}
	got, ok := Append([]byte("x="), vm, eval(`({a: [1, "é"]})`), Limits{})
	assert.True(t, ok)
	assert.Equal(t, `x={"a":[1,"é"]}`, string(got))
	for _, script := range []string{`undefined`, `() => 1`, `Symbol()`, `({toJSON() {}})`} {
		got, ok = Append([]byte("x="), vm, eval(script), Limits{})
		assert.False(t, ok, script)
		assert.Equal(t, "x=", string(got), script)
	}
	got, ok = Append(nil, vm, nil, Limits{})
	assert.False(t, ok)
	assert.Empty(t, got)
	got, _ = Append(nil, vm, vm.ToValue("a\xffb, which is a long string\xed\xa0\x80"), Limits{})
	assert.Equal(t, "\"a\uFFFDb, which is a long string\uFFFD\uFFFD\uFFFD\"", string(got))
}

func TestAppendJSONLimits(t *testing.T) {
	vm := goja.New()
	_, err := vm.RunString(`function nest(n) { let v = 1; for (let i = 0; i < n; i++) v = i % 2 ? [v] : {v}; return v }`)
	require.NoError(t, err)
	run := func(script string, lim Limits) (text string, err error) {
		v, err := vm.RunString(script)
		require.NoError(t, err)
		if ex := vm.Try(func() {
			dst, _ := Append([]byte("12345"), vm, v, lim)
			text = string(dst[5:])
		}); ex != nil {
			err = ex
		}
		return text, err
	}
	const bytes5, levels2, levels512 = "TypeError: JSON is longer than 5 bytes", "TypeError: JSON is nested deeper than 2 levels", "TypeError: JSON is nested deeper than 512 levels"
	for _, test := range []struct {
		script string
		lim    Limits
		err    string
	}{
		{`12345`, Limits{MaxBytes: 5}, ""},
		{`"123"`, Limits{MaxBytes: 5}, ""},
		{`"1234"`, Limits{MaxBytes: 5}, bytes5},
		{`"ééé"`, Limits{MaxBytes: 5}, bytes5},
		{`123456`, Limits{MaxBytes: 5}, bytes5},
		{`[1,2]`, Limits{MaxBytes: 5}, ""},
		{`[1,23]`, Limits{MaxBytes: 5}, bytes5},
		{`"x".repeat(1e7)`, Limits{MaxBytes: 5}, bytes5},
		{`new Array(2**32 - 1)`, Limits{MaxBytes: 1e6}, "TypeError: JSON is longer than 1000000 bytes"},
		{`(() => { let a = [1, 2]; for (let i = 0; i < 100; i++) a = [a, a]; return a })()`, Limits{MaxBytes: 1e6}, "TypeError: JSON is longer than 1000000 bytes"},
		{`[{}]`, Limits{MaxDepth: 2}, ""},
		{`[{a: 1}, [2], {a: "x"}]`, Limits{MaxDepth: 2}, ""},
		{`[[[]]]`, Limits{MaxDepth: 2}, levels2},
		{`nest(512)`, Limits{}, ""},
		{`nest(513)`, Limits{}, levels512},
		{`nest(1e5)`, Limits{}, levels512},
		{`(() => { const f = () => ({get a() { return f() }}); return f() })()`, Limits{}, levels512},
		{`(() => { const o = {toJSON() { return {o} }}; return o })()`, Limits{}, levels512},
		{`(() => { const p = () => new Proxy({}, {get: (t, k) => k === "toJSON" ? 0 : p(), ownKeys: () => ["a"], getOwnPropertyDescriptor: () => ({value: 1, enumerable: true, configurable: true})}); return p() })()`, Limits{}, levels512},
	} {
		_, err := run(test.script, test.lim)
		if test.err == "" {
			assert.NoError(t, err, test.script)
		} else if assert.Error(t, err, test.script) {
			assert.Equal(t, test.err, err.(*goja.Exception).Value().String(), test.script)
		}
	}
}

// TestAppendJSONStop has values that make work without end but no bytes.
func TestAppendJSONStop(t *testing.T) {
	clock := testkit.StartClock(t)
	for _, script := range []string{
		`give(new Proxy([], {get: (t, k) => k === "length" ? 2**53 : undefined}))`,
		`give(new Array(2**32 - 1))`,
		`give((() => { let a = {}; for (let i = 0; i < 100; i++) a = {a, b: a}; return a })())`,
		`give({a: 1}, new Proxy([], {get: (t, k) => k === "length" ? 2**53 : "a"}))`,
		// Here the script itself does not end, and the engine interrupts it.
		`give(new Proxy({}, {ownKeys() { for (;;) ; }}))`,
		`give({get a() { for (;;) ; }})`,
		`give({toJSON() { for (;;) ; }})`,
	} {
		vm := goja.New()
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		timer := time.AfterFunc(50*time.Millisecond, func() { vm.Interrupt("time is up") })
		lim := Limits{Ctx: ctx}
		require.NoError(t, vm.Set("give", StringifyBuiltin(vm, lim)))
		start := clock.Now()
		_, err := vm.RunString(`try { ` + script + ` } catch (e) { "caught" } finally { for (;;) ; }`)
		timer.Stop()
		var interrupted *goja.InterruptedError
		assert.ErrorAs(t, err, &interrupted, script)
		assert.Less(t, clock.Now()-start, time.Second, script)
	}
}

func TestAppendJSONString(t *testing.T) {
	for s, want := range map[string]string{
		"":                     `""`,
		"abc":                  `"abc"`,
		"\"\\/":                `"\"\\/"`,
		"\b\f\n\r\t":           `"\b\f\n\r\t"`,
		"\x00\x01\x0b\x1f ":    `"\u0000\u0001\u000b\u001f "`,
		"<&>'\x7f":             "\"<&>'\x7f\"",
		"é€😀\u2028\u2029":      "\"é€😀\u2028\u2029\"",
		"\xff":                 "\"\uFFFD\"",
		"a\xc3\nb\xf0\x9f\x98": "\"a\uFFFD\\nb\uFFFD\uFFFD\uFFFD\"",
		"\xed\xa0\x80":         "\"\uFFFD\uFFFD\uFFFD\"",
		"\xff\n\"\xfe":         "\"\uFFFD\\n\\\"\uFFFD\"",
		"\uFFFD":               "\"\uFFFD\"",
	} {
		assert.Equal(t, want, string(AppendString(nil, s)), "%q", s)
		assert.Equal(t, "x"+want, string(AppendString([]byte("x"), s)), "%q", s)
	}
}

func addJSONCorpus(f *testing.F) {
	for _, text := range validJSON {
		f.Add(text)
	}
	for _, text := range invalidJSON {
		f.Add(text)
	}
	f.Add(jsonPayload(2))
	f.Add(`{"\ud800":[1,2.5e-7,{"a":"\ud83d\ude00"}],"b":1,"b":2,"10":1,"9":0}`)
}

func FuzzParseJSON(f *testing.F) {
	addJSONCorpus(f)
	vm := goja.New()
	parse, stringify := engineJSON(vm)
	f.Fuzz(func(t *testing.T, text string) {
		v, err := Parse(vm, text)
		// Both replace invalid UTF-8 in strings and reject it elsewhere.
		// encoding/json allows more depth.
		if err != nil && strings.Contains(err.Error(), "deeper") {
			return
		}
		if valid := json.Valid([]byte(text)); valid != (err == nil) {
			t.Fatalf("valid is %t, but the error is %v", valid, err)
		}
		if err != nil {
			if position := strings.LastIndexByte(err.Error(), ' '); strings.Contains(err.Error(), "position") {
				n, _ := strconv.Atoi(err.Error()[position+1:])
				if n > len(text) {
					t.Fatal(err)
				}
			}
			return
		}
		want, err := parse(nil, vm.ToValue(text))
		if err != nil {
			if strings.Contains(err.Error(), "out of range") || strings.Contains(err.Error(), "cannot unmarshal number") {
				return // which the standard has as an infinity
			}
			t.Fatal(err)
		}
		// The engine has no lone surrogates.
		got := describeJSON(vm, v)
		if want := describeJSON(vm, want); got != want && !strings.Contains(got, "<d") {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
		ours, _ := Append(nil, vm, v, Limits{})
		theirs, err := stringify(nil, v)
		if err != nil {
			t.Fatal(err)
		}
		if string(ours) != theirs.String() && !strings.Contains(got, "<d") {
			t.Fatalf("got  %s\nwant %s", ours, theirs)
		}
	})
}

// FuzzAppendJSON checks that what is written can be read again, as the same.
func FuzzAppendJSON(f *testing.F) {
	addJSONCorpus(f)
	vm := goja.New()
	f.Fuzz(func(t *testing.T, text string) {
		literal := AppendString(nil, text)
		var s string
		if err := json.Unmarshal(literal, &s); err != nil || s != string([]rune(text)) {
			t.Fatalf("%q became %s", text, literal)
		}
		v, err := Parse(vm, string(literal))
		if err != nil || v.String() != s {
			t.Fatalf("%s became %v", literal, v)
		}

		v, err = Parse(vm, text)
		if err != nil || strings.Contains(describeJSON(vm, v), "Inff") {
			return // JSON has no infinities
		}
		written, ok := Append(nil, vm, v, Limits{})
		if !ok || !json.Valid(written) || !utf8.Valid(written) {
			t.Fatalf("wrote %s", written)
		}
		again, err := Parse(vm, string(written))
		if err != nil {
			t.Fatal(err)
		}
		want := strings.ReplaceAll(describeJSON(vm, v), "-0f", "0")
		if got := describeJSON(vm, again); got != want {
			t.Fatalf("got  %s\nwant %s", got, want)
		}
	})
}

// jsonPayload is like the body of a webhook.
func jsonPayload(items int) string {
	var b strings.Builder
	b.WriteString(`{"event":"order.created","items":[`)
	for i := range items {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"name":"Item number %d","price":%d.5,"active":true,"tags":["new","b"],"note":null}`, 1000+i, i, i)
	}
	b.WriteString(`]}`)
	return b.String()
}

func BenchmarkParseJSON(b *testing.B) {
	vm := goja.New()
	text := jsonPayload(20)
	parse, _ := engineJSON(vm)
	b.Run("ours", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			_, _ = Parse(vm, text)
		}
	})
	b.Run("engine", func(b *testing.B) {
		b.SetBytes(int64(len(text)))
		b.ReportAllocs()
		for b.Loop() {
			_, _ = parse(nil, vm.ToValue(text))
		}
	})
}

func BenchmarkAppendJSON(b *testing.B) {
	vm := goja.New()
	v, err := Parse(vm, jsonPayload(20))
	require.NoError(b, err)
	lim := Limits{MaxBytes: 1 << 20, Ctx: b.Context()}
	b.Run("ours", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			Append(nil, vm, v, lim)
		}
	})
	b.Run("engine", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			_, _ = v.(*goja.Object).MarshalJSON()
		}
	})
}
