package callback

import (
	"encoding/json"
	"github.com/dop251/goja"
)

type jsonLimits struct {
	maxBytes, maxDepth int
	stop               func() bool
}

func parseJSON(vm *goja.Runtime, text string) (goja.Value, error) {
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		return nil, err
	}
	f, _ := goja.AssertFunction(vm.Get("JSON").(*goja.Object).Get("parse"))
	return f(nil, vm.ToValue(text))
}
func jsonParseBuiltin(vm *goja.Runtime) func(goja.FunctionCall) goja.Value {
	f, _ := goja.AssertFunction(vm.Get("JSON").(*goja.Object).Get("parse"))
	return func(c goja.FunctionCall) goja.Value {
		v, err := f(c.This, c.Arguments...)
		if err != nil {
			panic(err)
		}
		return v
	}
}
func appendJSON(dst []byte, vm *goja.Runtime, v goja.Value, lim jsonLimits) ([]byte, bool) {
	if goja.IsUndefined(v) {
		return dst, false
	}
	if o, ok := v.(*goja.Object); ok {
		b, err := o.MarshalJSON()
		if err != nil {
			panic(err)
		}
		return append(dst, b...), true
	}
	if s := v.ExportType(); s != nil && s.Kind().String() == "string" {
		return appendJSONString(dst, v.String()), true
	}
	return append(dst, v.String()...), true
}
func appendJSONString(dst []byte, s string) []byte {
	b, _ := json.Marshal(s)
	return append(dst, b...)
}
