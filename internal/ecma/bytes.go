package ecma

import (
	"reflect"

	"github.com/dop251/goja"
)

var (
	bufferType   = reflect.TypeFor[goja.ArrayBuffer]()
	bytesType    = reflect.TypeFor[[]byte]()
	ordinaryType = reflect.TypeFor[map[string]any]() // a DataView is exported as this type, too
)

// IsBuffer reports whether v is an ArrayBuffer.
func IsBuffer(v goja.Value) bool {
	object, ok := v.(*goja.Object)
	return ok && object.ExportType() == bufferType
}

// TypedArray is the type of a typed array's elements, or nil if v is none.
func TypedArray(v goja.Value) reflect.Type {
	object, ok := v.(*goja.Object)
	if !ok {
		return nil
	}
	t := object.ExportType()
	if t == nil || t.Kind() != reflect.Slice {
		return nil
	}
	switch t.Elem().Kind() {
	case reflect.Uint8, reflect.Int8, reflect.Uint16, reflect.Int16, reflect.Uint32, reflect.Int32,
		reflect.Uint64, reflect.Int64, reflect.Float32, reflect.Float64:
		return t.Elem()
	}
	return nil
}

// IsDataView reports whether v is a DataView.
func IsDataView(v goja.Value) bool {
	object, ok := v.(*goja.Object)
	if !ok || object.ExportType() != ordinaryType {
		return false
	}
	// Only ArrayBuffer.isView tells a DataView apart. The one of a new runtime
	// has not been replaced by a script, and reads no property of its argument.
	buffers := goja.New().Get("ArrayBuffer").(*goja.Object)
	isView, _ := goja.AssertFunction(buffers.Get("isView"))
	view, err := isView(buffers, v)
	return err == nil && view.ToBoolean()
}

// Bytes returns the bytes of an ArrayBuffer, or the bytes that a typed array or a
// DataView shows. ok is false for every other value, including a proxy of a
// buffer. Bytes runs no code of the script.
//
// The bytes are the script's own and change when it writes to them, so a caller
// that keeps them must copy them. Bytes relies on the fact that nothing in the
// engine detaches or resizes a buffer.
func Bytes(vm *goja.Runtime, v goja.Value) (b []byte, ok bool) {
	if IsBuffer(v) {
		return v.Export().(goja.ArrayBuffer).Bytes(), true
	}
	if TypedArray(v) == nil && !IsDataView(v) {
		return nil, false
	}
	if o := v.(*goja.Object); o.ExportType() == bytesType && o.Get("0") == nil {
		// For an empty view at the end of its buffer the engine would make a
		// pointer past the end. Reading index 0 runs no script, because it is
		// never inherited by a typed array.
		return []byte{}, true
	}
	if err := vm.ExportTo(v, &b); err != nil {
		return nil, false
	}
	return b, true
}

// NewUint8Array makes a Uint8Array of b, which becomes the script's. It throws
// a TypeError if the script has replaced Uint8Array by something else.
func NewUint8Array(vm *goja.Runtime, b []byte) *goja.Object {
	constructor := OrUndefined(vm.GlobalObject().Get("Uint8Array"))
	array, err := vm.New(constructor, vm.ToValue(vm.NewArrayBuffer(b)))
	if err != nil {
		panic(err) // for the engine: an exception
	}
	if array.ExportType() != bytesType {
		panic(vm.NewTypeError("Uint8Array has been replaced"))
	}
	return array
}
