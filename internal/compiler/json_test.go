package compiler_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/compiler"
)

func TestJSONCalls(t *testing.T) {
	t.Parallel()
	for source, want := range map[string]bool{
		`var x = JSON.parse(text);`:                                      true,
		`f(JSON.stringify({a: JSON.parse(text)}, null, 1)); // as JSON`:  true,
		"class A { b() { return () => `${JSON.parse(...[text, 1])}` } }": true,
		`export default { fetch(request) { return JSON.parse("1"); } }`:  true,
		`"no calls"`:                                        false,
		`var p = JSON.parse; p(text)`:                       false,
		`JSON.parse(text); JSON.parse = f`:                  false,
		`JSON.parse(text); JSON = {}`:                       false,
		`JSON.parse(text); var JSON;`:                       false,
		`var J\u0053ON; JSON.parse(text)`:                   false,
		`function f(JSON) { return JSON.parse(text) }`:      false,
		`function JSON() {} JSON.parse(text)`:               false,
		`class JSON {} JSON.parse(text)`:                    false,
		`try {} catch (JSON) { JSON.parse(text) }`:          false,
		`for (let JSON of list) JSON.parse(text)`:           false,
		`var {JSON} = x; JSON.parse(text)`:                  false,
		`var {a: [JSON]} = x; JSON.parse(text)`:             false,
		`import_ => { ({JSON} = x); JSON.parse(text) }`:     false,
		`var o = {JSON}; JSON.parse(text)`:                  false,
		`with (o) { JSON.parse(text) }`:                     false,
		`function f() { eval(x); return JSON.parse(text) }`: false,
		`this.JSON.parse = f; JSON.parse(text)`:             false,
		`this["JSON"].parse = f; JSON.parse(text)`:          false,
		"this[`JSON`].parse = f; JSON.parse(text)":          false,
		`JSON.parse(text); new JSON.parse(text)`:            false,
		"JSON.parse(text); JSON.parse`text`":                false,
		`JSON.parse?.(text)`:                                false,
		`JSON?.parse(text)`:                                 false,
		`JSON.rawJSON(text)`:                                false,
		`JSON["parse"](text)`:                               false,
		`typeof JSON === "object" && JSON.parse(text)`:      false,
	} {
		s, fault := compiler.Compile("callbacks/hello.js", source, false)
		require.Nil(t, fault, source)
		require.Equal(t, want, s.JSONCalls, source)
	}
}
