package compiler

import (
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestExplainRhino(t *testing.T) {
	t.Parallel()
	const (
		forEach   = "`for each (… in …)` is not JavaScript any more: write `for (const x of Object.values(y))`"
		markup    = "E4X is not JavaScript any more: write the markup as a string, for SparkHttp.postXml as it is"
		closure   = "`function (x) x * 2` is not JavaScript any more: write `x => x * 2`, or braces and `return`"
		catchIf   = "`catch (e if …)` is not JavaScript any more: write `catch (e) { if (…) {…} else throw e }`"
		letBlock  = "`let (x = …) {…}` is not JavaScript any more: write `{ let x = …; … }`"
		letValue  = "`let (x = …) …` is not JavaScript any more: write `(x => …)(…)`"
		arrayComp = "`[… for (x in y)]` is not JavaScript any more: write `Object.keys(y).map(x => …)`"
		generator = "`(… for (x in y))` is not JavaScript any more: write a `function*` or `Object.keys(y).map(x => …)`"
		imports   = "there is no `import` here: write `require(\"CODE\")`, after which the names that the module declares are global"
		number    = "a number does not start with 0"
	)
	for source, want := range map[string]struct {
		line, column int
		message      string
	}{
		"for each (var x in y) f(x)":                                      {1, 1, forEach},
		"var a;\r\n  for each (x in y) { }":                               {2, 3, forEach},
		"/* for each (a in b) */ for  each (x in y) { }":                  {1, 25, forEach},
		"var s = 'é\u2028'; for each(var [k, v] in y) 1":                  {2, 4, forEach},
		"x = /for each (/; y = `${'`'} for each (`;\rfor each (x in y) 1": {2, 1, forEach},

		`var x = <a b="1">text</a>;`:       {1, 9, markup},
		"var x = <a/>;":                    {1, 9, markup},
		"f(1, <order>{id}</order>)":        {1, 6, markup},
		"x = <></>":                        {1, 5, markup},
		"x = <!-- note -->":                {1, 5, markup},
		"x = y ?\n <a/> : null":            {2, 2, markup},
		"return1(xml..name)":               {1, 12, "E4X is not JavaScript any more: `x..name` has no short form, go down with `x.a.b.name`"},
		"x = y.@id":                        {1, 6, "E4X is not JavaScript any more: write `x[\"@name\"]` for `x.@name`"},
		"x = y.item.(@id == 1)":            {1, 11, "E4X is not JavaScript any more: write `x.filter(e => …)` for `x.(…)`"},
		"x = y.*":                          {1, 6, "E4X is not JavaScript any more: write `Object.values(x)` for `x.*`"},
		"x = soap::Body":                   {1, 9, "E4X is not JavaScript any more: write `x[\"ns:name\"]` for `x.ns::name`"},
		"default xml namespace = 'urn:x';": {1, 1, "E4X is not JavaScript any more: there is no `default xml namespace`"},
		"f(@id)":                           {1, 3, "E4X is not JavaScript any more: write `x[\"@name\"]` for an attribute"},

		"let (x = 1, y = f(2)) {\n f(x) }":             {1, 1, letBlock},
		"var z = 1;let (x=1) f(x)":                     {1, 11, letValue},
		"a.map(function (x) x * 2)":                    {1, 7, closure},
		"function twice(x)\n  2 * x":                   {1, 1, closure},
		"a.filter(function(x) !x)":                     {1, 10, closure},
		"a.map(function(x) [x])":                       {1, 7, closure},
		"try { f() }\ncatch (e if e instanceof E) { }": {2, 1, catchIf},
		"x = [y for (y in z)]":                         {1, 5, arrayComp},
		"x = [y * 2 for each (y in z) if (y)]":         {1, 5, arrayComp},
		"x = [for (y of z) y]":                         {1, 5, arrayComp},
		"x = (y for (y in z))":                         {1, 5, generator},
		"sum(f(y) for (y in z))":                       {1, 4, generator},
		"import x from 'UTIL'":                         {1, 1, imports},
		"var a;\nimport {x} from 'UTIL'":               {2, 1, imports},
		"var x = import('UTIL')":                       {1, 9, imports},
		"export function f() {}":                       {1, 1, "there is no `export` here: the names that a module declares are global"},
		"var x = await f()":                            {1, 9, "`await` belongs in an `async function`, such as `(async () => { … })()`; the members of Spark need none"},
		"function f() { return await g() }":            {1, 23, "`await` belongs in an `async function`, such as `(async () => { … })()`; the members of Spark need none"},
		"for await (x of y) ;":                         {1, 5, "`for await` belongs in an `async function`"},
		"function f() { yield 1 }":                     {1, 16, "`yield` belongs in a `function*`"},
		"<!-- hide\nf()":                               {1, 1, "`<!--` is no comment here: write `//`"},
		"f();\n--> shown":                              {2, 1, "`-->` is no comment here: write `//`"},
		"x = 07a":                                      {1, 5, number},

		// What is merely wrong stays what the parser says.
		"var x = ;":             {1, 9, "Unexpected token ;"},
		"if (a {":               {1, 7, "Unexpected token {"},
		"f(a b)":                {1, 5, "Unexpected identifier"},
		"if (a for (;;) {}":     {1, 7, "Unexpected token for"},
		"x = a < ;":             {1, 9, "Unexpected token ;"},
		"f() g()":               {1, 5, "Unexpected identifier"},
		"if (x) { f() } else )": {1, 21, "Unexpected token )"},
		"var a = 'x":            {1, 1, "Unexpected token ILLEGAL"},
		"(":                     {1, 2, "Unexpected end of input"},
	} {
		_, fault := Compile("x.js", source, false)
		require.NotNil(t, fault, source)
		if want.message == "Unexpected token ILLEGAL" {
			want.line, want.column = fault.Line, fault.Column
		}
		require.Equal(t, Fault{Line: want.line, Column: want.column, Message: "SyntaxError: " + want.message}, *fault, source)

		again := *fault
		explainRhino(source, &again)
		require.Equal(t, *fault, again, "explained once more: %s", source)
	}
}

// Whatever the source and the position, explainRhino ends and points into it.
func TestExplainRhinoAnywhere(t *testing.T) {
	t.Parallel()
	pieces := strings.Fields("for each let function catch if yield default xml ( ) [ ] { } < > / * . .. @ :: ' \" ` ${ \\ // /* */ <!-- --> 09 é x")
	pieces = append(pieces, "\n", "\r\n", "\u2028", " ")
	random := rand.New(rand.NewPCG(1, 2))
	for range 20_000 {
		var b strings.Builder
		for range random.IntN(12) {
			b.WriteString(pieces[random.IntN(len(pieces))])
		}
		source := b.String()
		e := &Fault{Message: "SyntaxError: Unexpected token", Line: 1 + random.IntN(3), Column: random.IntN(20)}
		explainRhino(source, e)
		if !strings.HasPrefix(e.Message, "SyntaxError: Unexpected") {
			require.GreaterOrEqual(t, offsetOf(source, e.Line, e.Column), 0, "%q", source)
		}
	}
}
