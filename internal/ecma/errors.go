package ecma

import "github.com/dop251/goja"

// NewRangeError makes a RangeError even if a script has replaced that name: it
// makes the engine throw one, for an array of an impossible length.
func NewRangeError(vm *goja.Runtime, message string) goja.Value {
	err := vm.NewArray().Set("length", -1)
	thrown, ok := err.(*goja.Exception)
	if !ok {
		panic(err)
	}
	if object, ok := thrown.Value().(*goja.Object); ok {
		_ = object.DefineDataProperty("message", vm.ToValue(message), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
	return thrown.Value()
}

// NewSyntaxError makes a SyntaxError by making the engine throw one, for a regular
// expression: it is another error if a script has changed what those are made by.
func NewSyntaxError(vm *goja.Runtime, message string) goja.Value {
	thrown := vm.Try(func() {
		pattern, err := vm.RunProgram(literal)
		if err != nil {
			panic(err)
		}
		if _, err := vm.New(pattern.ToObject(vm).Get("constructor"), vm.ToValue("[")); err != nil {
			panic(err)
		}
	})
	if thrown == nil {
		return vm.NewTypeError("%s", message)
	}
	if object, ok := thrown.Value().(*goja.Object); ok {
		_ = object.DefineDataProperty("message", vm.ToValue(message), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	}
	return thrown.Value()
}

var literal = goja.MustCompile("", "/x/", false)
