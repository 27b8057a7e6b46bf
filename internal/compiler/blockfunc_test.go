package compiler_test

import (
	"bytes"
	"encoding/json"
	"os/exec"
	"strings"
	"testing"

	"github.com/dop251/goja"
	"github.com/stretchr/testify/require"

	"example.com/callback/internal/compiler"
)

// blockFunctionPrograms are programs that declare f in a block. Each leaves what it
// saw in out.
func blockFunctionPrograms() []string {
	const look = `out.push(typeof f === "function" ? "f" + f() : typeof f === "undefined" ? "none" : String(f));`
	blocks := []string{
		`{ LOOK function f() { return 1 } LOOK }`,
		`if (true) { function f() { return 1 } LOOK }`,
		`if (false) { function f() { return 1 } }`,
		`if (true) { function f() { return 1 } } else { function f() { return 2 } }`,
		`if (false) { function f() { return 1 } } else { function f() { return 2 } }`,
		`if (true) function f() { return 1 }`,
		`if (false) function f() { return 1 }; else function f() { return 2 }`,
		`try { function f() { return 1 } LOOK } finally { }`,
		`try { throw 1 } catch (e) { function f() { return 1 } }`,
		`try { throw 1 } catch (f) { { function f() { return 1 } } LOOK }`,
		`try { throw {f: 1} } catch ({f}) { { function f() { return 1 } } LOOK }`,
		`for (var i = 0; i < 2; i++) { LOOK function f() { return i } }`,
		`for (let f = 5; f < 6; f++) { { function f() { return 1 } } LOOK }`,
		`for (let f of [7]) { { function f() { return 1 } } LOOK }`,
		`for (const k in {a: 1}) { function f() { return k } }`,
		`switch (1) { case 0: LOOK case 1: function f() { return 1 } }`,
		`switch (1) { case 0: function f() { return 0 } case 1: LOOK }`,
		`switch (1) { case 1: LOOK break; default: function f() { return 2 } }`,
		`{ function f() { return 1 } f = 2; LOOK }`,
		`{ f = 2; function f() { return 1 } LOOK }`,
		`{ function f() { return 1 } function f() { return 2 } }`,
		`{ { function f() { return 1 } LOOK } LOOK }`,
		`{ function f() { return 1 } { function f() { return 2 } } LOOK }`,
		`{ let f = 3; { function f() { return 1 } LOOK } LOOK }`,
		`a: { function f() { return 1 } break a }`,
		`while (true) { function f() { return 1 } break }`,
		`do { function f() { return 1 } } while (false)`,
		`{ function* f() { } }`,
		`{ async function f() { } }`,
		`{ class f { } }`,
		`{ function f() { return g(); function g() { return 4 } } }`,
		`{ function f() { if (!f.n) { f.n = 1; return f() } return f.n + 1 } }`,
		`if (typeof f === "undefined") { function f() { return 1 } }`,
		`(() => { { function f() { return 1 } } LOOK })()`,
		`{ "use strict"; function f() { return 1 } }`,
		`out.push((function () { "use strict"; { function f() { return 1 } } return typeof f })());`,
		`class C { m() { { function f() { return 1 } } return typeof f } } out.push(new C().m());`,
		`out.push((function (f) { { function f() { return 1 } } return typeof f })(1));`,
		`out.push((function ({f}) { { function f() { return 1 } } return typeof f })({}));`,
		`out.push((function (...f) { { function f() { return 1 } } return typeof f })());`,
		`out.push((function (a = () => typeof f) { { function f() { return 1 } } return a() + typeof f })());`,
		`out.push((function f() { { function f() { return 1 } } return f() })());`,
	}
	before := []string{
		``, `var f = 8;`, `LOOK`, `f = 9;`, `function f() { return 7 }`, `let f = 6;`, `var f; LOOK`, `const g = 1; LOOK`,
	}
	around := []string{
		`BODY`,
		`(function () { BODY })();`,
		`(() => { BODY })();`,
		`(function () { "use strict"; BODY })();`,
		`{ BODY }`,
		`(function () { { BODY } })();`,
		`function h() { BODY } h(); h();`,
	}
	var programs []string
	for _, a := range around {
		for _, b := range before {
			for _, block := range blocks {
				body := b + " " + block + " LOOK"
				program := "var out = []; try { null } catch (e) { }\n" + strings.ReplaceAll(a, "BODY", body)
				programs = append(programs, strings.ReplaceAll(program, "LOOK", "try { "+look+" } catch (e) { out.push(e.name) }"))
			}
		}
	}
	return programs
}

// TestBlockFunctions compares generated programs with Node.js.
func TestBlockFunctions(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	programs := blockFunctionPrograms()
	text, err := json.Marshal(programs)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), node, "-e", `
		const vm = require("vm");
		const programs = JSON.parse(require("fs").readFileSync(0, "utf8"));
		console.log(JSON.stringify(programs.map(p => {
			const context = vm.createContext({});
			try { vm.runInContext(p, context) } catch (e) { return e.name + (e.name === "SyntaxError" ? "" : ": " + vm.runInContext("JSON.stringify(out)", context)) }
			return vm.runInContext("JSON.stringify(out)", context);
		})))`)
	cmd.Stdin = bytes.NewReader(text)
	output, err := cmd.Output()
	require.NoError(t, err)
	var want []string
	require.NoError(t, json.Unmarshal(output, &want))
	require.Len(t, want, len(programs))
	for i, program := range programs {
		require.Equal(t, want[i], runProgram(program), program)
	}
}

// runProgram gives what a program has left in out, or the name of its error.
func runProgram(source string) string {
	program, fault := compiler.Compile("x.js", source, false)
	if fault != nil {
		return "SyntaxError"
	}
	vm := goja.New()
	vm.SetMaxCallStackSize(500)
	_, err := vm.RunProgram(program.Program)
	out, _ := vm.RunString("JSON.stringify(out)")
	if _, ok := err.(*goja.StackOverflowError); ok {
		return "RangeError: " + out.String()
	}
	if ex, ok := err.(*goja.Exception); ok {
		return ex.Value().(*goja.Object).Get("name").String() + ": " + out.String()
	}
	return out.String()
}
