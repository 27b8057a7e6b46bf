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
