package work

import (
	"context"
	"io"
	"net/http"

	"github.com/grafana/sobek"
)

// sobekWorld is a runtime with what one request's script does to it.
type sobekWorld struct {
	vm       *sobek.Runtime
	ctx      context.Context
	data     sobek.Value
	result   map[string]any
	required bool
}

// sobekPrograms are the compiled scripts of a workload.
type sobekPrograms struct{ main, lib *sobek.Program }

func compileSobek(w *Workload) sobekPrograms {
	p := sobekPrograms{main: sobek.MustCompile("hello.js", w.Script, false)}
	if w.Lib != "" {
		p.lib = sobek.MustCompile("LIB.js", w.Lib, false)
	}
	return p
}

func newSobekWorld(p sobekPrograms) *sobekWorld {
	g := &sobekWorld{vm: sobek.New()}
	spark := g.vm.NewObject()
	_ = spark.Set("getData", func(sobek.FunctionCall) sobek.Value { return g.data })
	_ = spark.Set("setScriptData", func(call sobek.FunctionCall) sobek.Value {
		g.result[call.Argument(0).String()] = call.Argument(1).Export()
		return sobek.Undefined()
	})
	_ = spark.Set("getDigester", func(sobek.FunctionCall) sobek.Value {
		digester := g.vm.NewObject()
		_ = digester.Set("hmacSha256Hex", func(call sobek.FunctionCall) sobek.Value {
			return g.vm.ToValue(hmacHex(call.Argument(0).String(), []byte(call.Argument(1).String())))
		})
		return digester
	})
	_ = g.vm.Set("Spark", spark)
	if p.lib != nil {
		_ = g.vm.Set("requireOnce", func(sobek.FunctionCall) sobek.Value {
			if !g.required {
				g.required = true
				if _, err := g.vm.RunProgram(p.lib); err != nil {
					panic(err)
				}
			}
			return sobek.Undefined()
		})
	}
	return g
}

// withHTTP adds getHttp, for W5 only.
func (g *sobekWorld) withHTTP() {
	spark := g.vm.Get("Spark").(*sobek.Object)
	_ = spark.Set("getHttp", func(call sobek.FunctionCall) sobek.Value {
		url, client := call.Argument(0).String(), g.vm.NewObject()
		_ = client.Set("get", func(sobek.FunctionCall) sobek.Value {
			code, text, err := fetch(g.ctx, url)
			if err != nil {
				panic(g.vm.NewGoError(err))
			}
			answer := g.vm.NewObject()
			_ = answer.Set("getResponseCode", func(sobek.FunctionCall) sobek.Value { return g.vm.ToValue(code) })
			_ = answer.Set("getResponseString", func(sobek.FunctionCall) sobek.Value { return g.vm.ToValue(text) })
			return answer
		})
		return client
	})
}

func (g *sobekWorld) serve(w http.ResponseWriter, r *http.Request, program *sobek.Program) {
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

// bareSobek makes a new runtime for each request.
func bareSobek(w *Workload) http.Handler {
	p := compileSobek(w)
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		g := newSobekWorld(p)
		if w.Name == "W5" {
			g.withHTTP()
		}
		g.serve(rw, r, p.main)
	})
}
