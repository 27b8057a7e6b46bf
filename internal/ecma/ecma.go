// Package ecma has the abstract operations of ECMA-262 that goja does not
// export.
package ecma

import (
	"fmt"
	"reflect"

	"github.com/dop251/goja"
)

// ProxyType is the type as which goja exports a proxy.
var ProxyType = reflect.TypeFor[goja.Proxy]()

// IsArray is IsArray of ECMA-262, which looks through proxies.
func IsArray(vm *goja.Runtime, o *goja.Object) bool {
	for o.ExportType() == ProxyType {
		o = o.Export().(goja.Proxy).Target()
		if o == nil {
			panic(vm.NewTypeError("Cannot perform 'IsArray' on a proxy that has been revoked"))
		}
	}
	return o.ClassName() == "Array"
}

// Length is LengthOfArrayLike of ECMA-262.
func Length(o *goja.Object) int64 {
	return max(0, min(OrUndefined(o.Get("length")).ToInteger(), 1<<53-1))
}

// ToString is ToString of ECMA-262.
func ToString(vm *goja.Runtime, v goja.Value) goja.String {
	if o, ok := v.(*goja.Object); ok {
		v = o.ToString() // a primitive value, not always a string
	}
	switch v := v.(type) {
	case goja.String:
		return v
	case *goja.Symbol:
		panic(vm.NewTypeError("Cannot convert a Symbol value to a string"))
	}
	return vm.ToValue(v.String()).(goja.String)
}

// OrUndefined returns v, or undefined for the nil that goja has for a missing
// property.
func OrUndefined(v goja.Value) goja.Value {
	if v == nil {
		return goja.Undefined()
	}
	return v
}

func IsUndefined(v goja.Value) bool { return v == nil || goja.IsUndefined(v) }

// IsNothing reports whether v is null or undefined.
func IsNothing(v goja.Value) bool { return goja.IsUndefined(v) || goja.IsNull(v) }

// Scalar is the text of a string, number or boolean. ok is false for other
// values, including String, Number and Boolean objects.
func Scalar(v goja.Value) (text string, ok bool) {
	if _, object := v.(*goja.Object); object {
		return "", false
	}
	if goja.IsString(v) || goja.IsNumber(v) {
		return v.String(), true
	}
	if _, ok := v.Export().(bool); ok {
		return v.String(), true
	}
	return "", false
}

// Define gives object an ordinary property of its own.
func Define(object *goja.Object, name string, value goja.Value) {
	if err := object.DefineDataProperty(name, value, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE); err != nil {
		panic(err)
	}
}

// Throw throws an Error.
func Throw(vm *goja.Runtime, format string, args ...any) {
	e := vm.NewTypeError("%s", fmt.Sprintf(format, args...))
	// The engine offers no other way to a plain Error that scripts cannot have
	// changed: a TypeError's prototype inherits from that of Error.
	if proto := e.Prototype(); proto != nil && proto.Prototype() != nil {
		_ = e.SetPrototype(proto.Prototype())
	}
	panic(e)
}
