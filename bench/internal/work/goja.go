package work

import (
	"context"
	"io"
	"net/http"

	"github.com/dop251/goja"
)

// Bare goja: the engine with three natives (getData, setScriptData and, where
// the script needs it, one more) and Go's JSON encoder. sobek.go is this file
// with another import: run `go generate` after a change.
//
//go:generate sh -c "sed -e 's#github.com/dop251/goja#github.com/grafana/sobek#' -e 's/goja/sobek/g' -e 's/Goja/Sobek/g' -e '/^\\/\\/ Bare/,/^\\/\\/go:generate/d' goja.go | gofmt > sobek.go"

// gojaWorld is a runtime with what one request's script does to it.
type gojaWorld struct {
	vm       *goja.Runtime
	ctx      context.Context
	data     goja.Value
	result   map[string]any
	required bool
}

// gojaPrograms are the compiled scripts of a workload.
type gojaPrograms struct{ main, lib *goja.Program }

func compileGoja(w *Workload) gojaPrograms {
	p := gojaPrograms{main: goja.MustCompile("hello.js", w.Script, false)}
	if w.Lib != "" {
		p.lib = goja.MustCompile("LIB.js", w.Lib, false)
	}
	return p
}

func newGojaWorld(p gojaPrograms) *gojaWorld {
	g := &gojaWorld{vm: goja.New()}
	spark := g.vm.NewObject()
	_ = spark.Set("getData", func(goja.FunctionCall) goja.Value { return g.data })
	_ = spark.Set("setScriptData", func(call goja.FunctionCall) goja.Value {
		g.result[call.Argument(0).String()] = call.Argument(1).Export()
		return goja.Undefined()
	})
	_ = spark.Set("getDigester", func(goja.FunctionCall) goja.Value {
		digester := g.vm.NewObject()
		_ = digester.Set("hmacSha256Hex", func(call goja.FunctionCall) goja.Value {
			return g.vm.ToValue(hmacHex(call.Argument(0).String(), []byte(call.Argument(1).String())))
		})
		return digester
	})
	_ = g.vm.Set("Spark", spark)
	if p.lib != nil {
		_ = g.vm.Set("requireOnce", func(goja.FunctionCall) goja.Value {
			if !g.required {
				g.required = true
				if _, err := g.vm.RunProgram(p.lib); err != nil {
					panic(err)
				}
			}
			return goja.Undefined()
		})
	}
	return g
}

// withHTTP adds getHttp, for W5 only.
func (g *gojaWorld) withHTTP() {
	spark := g.vm.Get("Spark").(*goja.Object)
	_ = spark.Set("getHttp", func(call goja.FunctionCall) goja.Value {
		url, client := call.Argument(0).String(), g.vm.NewObject()
		_ = client.Set("get", func(goja.FunctionCall) goja.Value {
			code, text, err := fetch(g.ctx, url)
			if err != nil {
				panic(g.vm.NewGoError(err))
			}
			answer := g.vm.NewObject()
			_ = answer.Set("getResponseCode", func(goja.FunctionCall) goja.Value { return g.vm.ToValue(code) })
			_ = answer.Set("getResponseString", func(goja.FunctionCall) goja.Value { return g.vm.ToValue(text) })
			return answer
		})
		return client
	})
}

func (g *gojaWorld) serve(w http.ResponseWriter, r *http.Request, program *goja.Program) {
	data := g.vm.NewObject()
	for name, values := range r.URL.Query() {
		if len(values) == 1 {
			_ = data.Set(name, values[0])
		} else {
			items := make([]any, len(values))
			for i := range values {
				items[i] = values[i]
			}
			_ = data.Set(name, g.vm.NewArray(items...))
		}
	}
	if r.Method == http.MethodPost {
		raw, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "broken body", http.StatusBadRequest)
			return
		}
		_ = data.Set("REQUEST_BODY", string(raw))
	}
	g.ctx, g.data, g.result = r.Context(), data, map[string]any{}
	if _, err := g.vm.RunProgram(program); err != nil {
		http.Error(w, "script failed", http.StatusInternalServerError)
		return
	}
	answer(w, g.result)
}

// bareGoja makes a new runtime for each request.
func bareGoja(w *Workload) http.Handler {
	p := compileGoja(w)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		g := newGojaWorld(p)
		if w.Name == "W5" {
			g.withHTTP()
		}
		g.serve(rw, r, p.main)
	})
}
