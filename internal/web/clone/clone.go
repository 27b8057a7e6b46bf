// Package clone has structuredClone: deep copies by the structured clone algorithm
// of the HTML Standard.
package clone

import (
	"reflect"
	"slices"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/web/realm"
)

// maxDepth bounds the nesting of values.
const maxDepth = 5000

// checkEvery is the number of objects between two checks of the run's deadline.
const checkEvery = 256

// NewGlobals makes the function structuredClone.
func NewGlobals(r *realm.Realm) *goja.Object {
	depth := 0 // of all calls under way, because a getter may call it again
	return r.Function("structuredClone", 1, func(call goja.FunctionCall) goja.Value {
		if len(call.Arguments) == 0 {
			r.TypeError("structuredClone: 1 argument required, but only 0 present")
		}
		if options := r.Options(call.Argument(1), "structuredClone: options"); options != nil {
			if list, ok := realm.Option(options, "transfer"); ok && len(r.List(list, 1, "structuredClone: transfer")) > 0 {
				r.Throw("DataCloneError", "structuredClone: transfer is not supported, values are always copied")
			}
		}
		c := &cloner{Realm: r, seen: map[*goja.Object]*goja.Object{}, depth: &depth}
		return c.clone(call.Argument(0))
	})
}

// A cloner is one call of structuredClone.
type cloner struct {
	*realm.Realm
	seen  map[*goja.Object]*goja.Object // copies by their originals
	depth *int
}

func (c *cloner) fail(what string) {
	c.Throw("DataCloneError", "structuredClone: "+what+" cannot be cloned")
}

// The types that objects of the class Object export as: what they hold inside.
var (
	ordinaryType = reflect.TypeFor[map[string]any]()
	mapType      = reflect.TypeFor[[][2]any]()
	setType      = reflect.TypeFor[[]any]()
)

// errorNames are the classes of errors that are kept.
var errorNames = []string{"EvalError", "RangeError", "ReferenceError", "SyntaxError", "TypeError", "URIError"}

func (c *cloner) clone(v goja.Value) goja.Value {
	original, ok := v.(*goja.Object)
	if !ok {
		if _, ok := v.(*goja.Symbol); ok {
			c.fail("a symbol")
		}
		return v
	}
	if copied, ok := c.seen[original]; ok {
		return copied
	}
	if *c.depth >= maxDepth {
		c.RangeError("structuredClone: values are nested too deeply")
	}
	if len(c.seen)%checkEvery == 0 {
		c.Check()
	}
	*c.depth++
	defer func() { *c.depth-- }()
	if bytes, ok := ecma.Bytes(c.VM, original); ok {
		return c.buffer(original, bytes)
	}
	if name, message, ok := c.AsException(original); ok {
		return c.keep(original, c.Exception(name, message))
	}
	if original.ExportType() == ecma.ProxyType || c.Slot(original) != nil {
		c.fail("an object of this kind")
	}
	switch class := original.ClassName(); class {
	case "Function":
		c.fail("a function")
	case "Boolean", "Number", "String":
		value, err := c.Builtin(class, "valueOf")(original)
		if err != nil {
			c.fail("an object of this kind")
		}
		return c.keep(original, value.ToObject(c.VM))
	case "Date":
		time, err := c.Builtin(class, "getTime")(original)
		if err != nil {
			c.fail("an object of this kind")
		}
		return c.keep(original, c.construct(class, time))
	case "RegExp":
		return c.keep(original, c.construct(class, c.own(original, "source"), c.own(original, "flags")))
	case "Error":
		return c.error(original)
	case "Array":
		return c.array(original)
	case "Object", "Arguments":
		switch kind := original.ExportType(); {
		case kind == mapType:
			return c.collection(original, "Map")
		case kind == setType && class == "Object":
			return c.collection(original, "Set")
		case kind == ordinaryType && c.special(original):
		case kind == ordinaryType || class == "Arguments":
			copied := c.keep(original, c.VM.NewObject())
			c.properties(original, copied)
			return copied
		}
	}
	c.fail("an object of this kind")
	return nil
}

// special reports whether an object claims to be of a builtin class whose
// contents the engine shows in no other way.
func (c *cloner) special(object *goja.Object) bool {
	prototype := object.Prototype()
	if prototype == nil || prototype.Prototype() == nil {
		return false
	}
	tag := object.GetSymbol(goja.SymToStringTag)
	if tag == nil || !goja.IsString(tag) {
		return false
	}
	switch tag.String() {
	case "WeakMap", "WeakSet", "Generator", "Array Iterator", "Map Iterator", "Set Iterator", "String Iterator":
		return true
	}
	return false
}

func (c *cloner) keep(original, copied *goja.Object) *goja.Object {
	c.seen[original] = copied
	return copied
}

// construct makes an object of a builtin class.
func (c *cloner) construct(class string, args ...goja.Value) *goja.Object {
	object, err := c.VM.New(ecma.OrUndefined(c.VM.GlobalObject().Get(class)), args...)
	if err != nil {
		panic(err)
	}
	return object
}

func (c *cloner) own(object *goja.Object, name string) goja.Value {
	return ecma.OrUndefined(object.Get(name))
}

// properties copies an object's own enumerable properties.
func (c *cloner) properties(original, copied *goja.Object) {
	for _, name := range original.Keys() {
		if value := original.Get(name); value != nil { // nil if a getter has deleted it
			c.Put(copied, name, c.clone(value))
		}
	}
}

func (c *cloner) array(original *goja.Object) goja.Value {
	copied := c.keep(original, c.VM.NewArray())
	if err := copied.Set("length", c.own(original, "length")); err != nil {
		panic(err)
	}
	c.properties(original, copied)
	return copied
}

// buffer copies a buffer, or a view together with its buffer.
func (c *cloner) buffer(original *goja.Object, bytes []byte) goja.Value {
	if ecma.IsBuffer(original) {
		return c.keep(original, c.Buffer(append([]byte(nil), bytes...)).(*goja.Object))
	}
	class, length := "DataView", len(bytes)
	if element := ecma.TypedArray(original); element != nil {
		class, length = c.ArrayName(original), length/int(element.Size())
	}
	buffer, offset := c.View(original)
	copied := c.clone(buffer)
	return c.keep(original, c.construct(class, copied, c.VM.ToValue(offset), c.VM.ToValue(length)))
}

func (c *cloner) error(original *goja.Object) goja.Value {
	name := "Error"
	if text := c.String(c.own(original, "name")); slices.Contains(errorNames, text) {
		name = text
	}
	var args []goja.Value
	if message := original.Get("message"); message != nil && !goja.IsUndefined(message) {
		args = append(args, realm.Text(c.String(message)))
	}
	copied := c.keep(original, c.construct(name, args...))
	if stack := original.Get("stack"); stack != nil && goja.IsString(stack) {
		c.Hide(copied, "stack", stack)
	}
	if cause := original.Get("cause"); cause != nil && !goja.IsUndefined(cause) {
		c.Hide(copied, "cause", c.clone(cause))
	}
	return copied
}

// collection copies a Map or a Set. It lists the contents before it clones any of
// them, because cloning runs code of the script.
func (c *cloner) collection(original *goja.Object, class string) goja.Value {
	type entry struct{ key, value goja.Value }
	var entries []entry
	collect := c.VM.ToValue(func(call goja.FunctionCall) goja.Value {
		entries = append(entries, entry{call.Argument(1), call.Argument(0)})
		return goja.Undefined()
	})
	if _, err := c.Builtin(class, "forEach")(original, collect); err != nil {
		c.fail("an object of this kind")
	}
	copied := c.keep(original, c.construct(class))
	add := "add"
	if class == "Map" {
		add = "set"
	}
	method := c.Builtin(class, add)
	for _, e := range entries {
		key := c.clone(e.key)
		if class == "Map" {
			_, _ = method(copied, key, c.clone(e.value))
		} else {
			_, _ = method(copied, key)
		}
	}
	return copied
}
