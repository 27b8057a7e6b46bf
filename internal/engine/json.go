package engine

import (
	"bytes"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/lazy"
)

// maxValueBytes bounds the JSON of one value that a script gives to its host.
const maxValueBytes = 32 << 20

const (
	// smallValue is the capacity for the JSON of most values, in bytes.
	smallValue = 64

	// maxKeptJSON bounds the memory for conversions that is kept, in bytes.
	maxKeptJSON = 4 << 10
)

// maxReentry bounds the nesting of conversions to JSON by toJSON methods. The
// engine's own limit does not count natives that call natives.
const maxReentry = 64

func (r *run) jsonLimits() jsjson.Limits { return jsjson.Limits{MaxBytes: maxValueBytes, Ctx: r.ctx} }

// toJSON converts a value to JSON. It returns false if JSON has no such value. It
// throws what a getter or a toJSON method of the script throws.
func (r *run) toJSON(v goja.Value) ([]byte, bool) {
	if r.converting >= maxReentry {
		ecma.Throw(r.vm, "conversions to JSON are nested too deeply")
	}
	r.converting++
	defer func() { r.converting-- }()
	memory := r.tools.json
	r.tools.json = nil // a toJSON method may convert another value
	if memory == nil {
		memory = make([]byte, 0, smallValue)
	}
	text, ok := jsjson.Append(memory[:0], r.vm, v, r.jsonLimits())
	if cap(text) > maxKeptJSON {
		return text, ok
	}
	r.tools.json = text
	return bytes.Clone(text), ok
}

// fromJSON makes a new value of JSON that the library has written.
func (r *run) fromJSON(text string) goja.Value {
	value, err := jsjson.Parse(r.vm, text)
	if err != nil {
		ecma.Throw(r.vm, "value is not JSON: %s", err.Error())
	}
	return value
}

// jsonFunction makes a function that takes the place of a method of JSON. Once there
// is a script in the run that may have changed JSON, it calls what that has now.
func (r *run) jsonFunction(name string, f func(goja.FunctionCall) goja.Value) goja.Value {
	return lazy.Function(r.vm, name, func(call goja.FunctionCall) goja.Value {
		if !r.installed.parse && !r.installed.stringify {
			return f(call)
		}
		methods, err := r.vm.RunProgram(jsonMethods)
		if err != nil {
			panic(err)
		}
		method, _ := goja.AssertFunction(methods.(*goja.Object).Get(name))
		value, err := method(nil, call.Arguments...)
		if err != nil {
			panic(err) // for the engine
		}
		return value
	})
}

var jsonMethods = goja.MustCompile(jsjson.OwnProgram, `({
	parse(...args) { return JSON.parse(...args) },
	stringify(...args) { return JSON.stringify(...args) },
})`, true)
