// Package jsast walks over the syntax trees of goja.
package jsast

import (
	"reflect"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
)

// MaxDepth bounds the nesting of nodes that a walk looks at.
const MaxDepth = 10_000

// A Walker walks over a tree down to MaxDepth. Its zero value is ready to use, for one
// walk.
type Walker struct{ depth int }

// Children is the function of that name for a walk whose f calls it again. It reports
// false, and calls nothing, if that is nested too deep.
func (w *Walker) Children(v reflect.Value, f func(node reflect.Value)) bool {
	w.depth++
	defer func() { w.depth-- }()
	if w.depth > MaxDepth {
		return false
	}
	Children(v, f)
	return true
}

// Children calls f with the nodes, as pointers, that are directly below v: a
// node or a list of nodes.
func Children(v reflect.Value, f func(node reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			Children(v.Elem(), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			child(v.Index(i), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			switch field := v.Field(i); field.Type() {
			case declarationList, sourceFile: // what is in the body once more; not a node
			default:
				child(field, f)
			}
		}
	}
}

var (
	declarationList = reflect.TypeFor[[]*ast.VariableDeclaration]()
	sourceFile      = reflect.TypeFor[*file.File]()
)

func child(v reflect.Value, f func(node reflect.Value)) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			child(v.Elem(), f)
		}
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if _, ok := v.Interface().(ast.Node); ok {
			f(v)
		} else {
			Children(v, f)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			Children(v, f)
		}
	case reflect.Struct:
		// A struct in a struct: the Identifier of x.name, which is not a
		// reference, or the head of a for loop.
		if v.CanAddr() && v.Type() != reflect.TypeFor[ast.Identifier]() {
			Children(v, f)
		}
	}
}
