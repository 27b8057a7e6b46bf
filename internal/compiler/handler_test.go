package compiler_test

import (
	"strings"
	"testing"

	"github.com/dop251/goja"
	"github.com/stretchr/testify/require"

	"example.com/callback/internal/compiler"
)

func TestExportDefault(t *testing.T) {
	t.Parallel()
	for name, source := range map[string]string{
		"object":        "export default { fetch() { return 1 } }",
		"semicolon":     "export default {\n\tfetch: () => 1,\n};\n",
		"after others":  "const a = { fetch() { return 1 } };\nfunction f() { return /export default/ }\nexport default a",
		"then others":   "export default { fetch() { return b } }\nvar b = 1; let c;",
		"comments":      "/* export */ export // default\n /* x */ default /* y */ { fetch() { return 1 } }",
		"lines":         "export\n\n\tdefault\n{ fetch() { return 1 } }",
		"in strings":    "var s = `export default ${'export default'}`;export default{fetch(){return 1}}",
		"call":          "function make() { return { fetch() { return 1 } } }\nexport default make()",
		"instance":      "class H { fetch() { return 1 } }\nexport default new H()",
		"byte order":    "\ufeffexport default { fetch() { return 1 } }",
		"regexp before": "var r = /}/\nexport default { fetch() { return 1 } }",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			script, fault := compiler.Compile("a.js", source, false)
			require.Nil(t, fault)
			require.True(t, script.Handler)
			vm := goja.New()
			_, err := vm.RunProgram(script.Program)
			require.NoError(t, err)
			v, err := vm.RunString(compiler.HandlerName + ".fetch()")
			require.NoError(t, err)
			require.EqualValues(t, 1, v.ToInteger())

			_, fault = compiler.Compile("a.js", source, true)
			require.NotNil(t, fault, "a module exports nothing")
		})
	}
}

// What exports is strict, as modules are; nothing else is.
func TestExportIsStrict(t *testing.T) {
	t.Parallel()
	const leak = "function f() { leaked = 1 }\nf();\n"
	for source, strict := range map[string]bool{leak: false, leak + "export default {}": true} {
		script, fault := compiler.Compile("a.js", source, false)
		require.Nil(t, fault)
		require.Equal(t, strict, script.Handler)
		_, err := goja.New().RunProgram(script.Program)
		require.Equal(t, strict, err != nil)
	}
}

func TestExportRefused(t *testing.T) {
	t.Parallel()
	tests := []struct {
		source       string
		line, column int
		message      string
	}{
		{"export default function () {}", 1, 1, "followed by an object"},
		{"export default async function f() {}", 1, 1, "followed by an object"},
		{"export default class {}", 1, 1, "followed by an object"},
		{"export default 1", 1, 1, "followed by an object"},
		{"export default {}, {}", 1, 22, "SyntaxError"},
		{"{\n\texport default {}\n}", 2, 2, "followed by an object"},
		{"function f() {\n\texport default {}\n}", 2, 2, "followed by an object"},
		{"if (1) export default {}", 1, 8, "SyntaxError"},
		{"export default {}\nexport default {}", 2, 1, "SyntaxError"},
		{"export default {}\nexport const a = 1", 2, 1, "no `export`"},
		{"export const a = 1", 1, 1, "no `export`"},
		{"export { a }", 1, 1, "no `export`"},
		{"var x = export", 1, 9, "SyntaxError"},
		{"export defaults = {}", 1, 1, "SyntaxError"},
		{"export default {\n\tfetch( { }\n}", 3, 1, "SyntaxError"},
		{"var " + compiler.HandlerName + ";\nexport default {}", 2, 1, "SyntaxError"},
	}
	for _, test := range tests {
		script, fault := compiler.Compile("a.js", test.source, false)
		require.Nil(t, script, test.source)
		require.NotNil(t, fault, test.source)
		require.Contains(t, fault.Message, test.message, test.source)
		require.Equal(t, []int{test.line, test.column}, []int{fault.Line, fault.Column}, "%s: %s", test.source, fault.Message)
	}
}

// Positions are those of the source.
func TestExportKeepsPositions(t *testing.T) {
	t.Parallel()
	source := "export /* ü */ default { fetch() {\n\tnull.x } }; null.y"
	script, fault := compiler.Compile("a.js", source, false)
	require.Nil(t, fault)
	_, err := goja.New().RunProgram(script.Program)
	var thrown *goja.Exception
	require.ErrorAs(t, err, &thrown)
	at := thrown.Stack()[0].Position()
	require.Equal(t, []int{2, 1 + strings.Index("\tnull.x } }; null.y", "y")}, []int{at.Line, at.Column})
}
