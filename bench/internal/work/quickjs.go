package work

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"

	"modernc.org/quickjs"
)

// quickjsPrelude defines Spark on top of two or three functions of the host,
// which accept and return JSON text.
const quickjsPrelude = `var Spark = (function (getData, set, hmac, get) {
	var data;
	return {
		getData: function () { return data || (data = JSON.parse(getData())); },
		setScriptData: function (name, value) { set(name, JSON.stringify(value)); },
		getDigester: function () { return { hmacSha256Hex: hmac }; },
		getHttp: function (url) { return { get: function () {
			var answer = JSON.parse(get(url));
			return { getResponseCode: function () { return answer.code; }, getResponseString: function () { return answer.text; } };
		} }; }
	};
})(__getData, __set, globalThis.__hmac, globalThis.__get);
`

// bareQuickJS makes a new QuickJS runtime for each request; scripts are
// bytecode, compiled once.
func bareQuickJS(w *Workload) http.Handler {
	compile := func(source string) []byte {
		vm, err := quickjs.NewVM()
		if err != nil {
			panic(err)
		}
		defer vm.Close()
		code, err := vm.Compile(source, quickjs.EvalGlobal)
		if err != nil {
			panic(fmt.Sprintf("%s: %v", w.Name, err))
		}
		return code
	}
	prelude, main := compile(quickjsPrelude), compile(w.Script)
	var lib []byte
	if w.Lib != "" {
		lib = compile(w.Lib)
	}
	return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) {
		data := map[string]any{}
		for name, values := range r.URL.Query() {
			data[name] = one(values)
		}
		if r.Method == http.MethodPost {
			raw, err := io.ReadAll(r.Body)
			if err != nil {
				http.Error(rw, "broken body", http.StatusBadRequest)
				return
			}
			data["REQUEST_BODY"] = string(raw)
		}
		vm, err := quickjs.NewVM()
		if err != nil {
			http.Error(rw, "no engine", http.StatusInternalServerError)
			return
		}
		defer vm.Close()
		result := map[string]any{}
		funcs := map[string]any{
			"__getData": func() string { text, _ := json.Marshal(data); return string(text) },
			"__set": func(name, text string) {
				if name != "RESPONSE_HEADERS" {
					result[name] = json.RawMessage(text)
					return
				}
				var headers map[string]any
				if json.Unmarshal([]byte(text), &headers) == nil {
					result[name] = headers
				}
			},
		}
		switch w.Name {
		case "W3":
			funcs["__hmac"] = func(key, data string) string { return hmacHex(key, []byte(data)) }
		case "W4":
			funcs["requireOnce"] = func(string) { _, err = vm.EvalBytecode(lib) }
		case "W5":
			funcs["__get"] = func(url string) string {
				code, text, _ := fetch(r.Context(), url)
				answer, _ := json.Marshal(map[string]any{"code": code, "text": text})
				return string(answer)
			}
		}
		for name, f := range funcs {
			if err = vm.RegisterFunc(name, f, false); err != nil {
				break
			}
		}
		if err == nil {
			_, err = vm.EvalBytecode(prelude)
		}
		if err == nil {
			_, err = vm.EvalBytecode(main)
		}
		if err != nil {
			http.Error(rw, "script failed: "+err.Error(), http.StatusInternalServerError)
			return
		}
		answer(rw, result)
	})
}
