// Package realm has the tools for the standard globals: classes with internal
// slots, the conversions of Web IDL, DOMException. What it makes works whatever a
// script has done to the builtins, and gives no access to Go values.
package realm

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"unicode/utf16"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/jsjson"
)

// A Realm is the standard globals' view of one runtime. It belongs to the
// goroutine of the runtime.
type Realm struct {
	VM  *goja.Runtime
	Ctx context.Context // of the run

	slotsGet, slotsSet goja.Callable           // of slots
	slots              *goja.Object            // a WeakMap of objects to their slots
	builtins           *goja.Runtime           // a second runtime, whose builtins no script can replace
	exceptions         *Made                   // DOMException
	getters            *goja.Object            // of views
	iterators          map[string]*goja.Object // prototypes, by their class
}

// New makes a realm.
func New(ctx context.Context, vm *goja.Runtime) *Realm {
	r := &Realm{VM: vm, Ctx: ctx, builtins: goja.New()}
	r.slots, _ = r.builtins.New(r.builtins.Get("WeakMap"))
	r.slotsGet, _ = goja.AssertFunction(r.slots.Get("get"))
	r.slotsSet, _ = goja.AssertFunction(r.slots.Get("set"))
	return r
}

// Builtin returns a method of a builtin class's prototype that can be called on
// objects of any runtime. It reads internal slots, and no property.
func (r *Realm) Builtin(class, method string) goja.Callable {
	prototype := r.builtins.Get(class).(*goja.Object).Get("prototype").(*goja.Object)
	callable, ok := goja.AssertFunction(prototype.Get(method))
	if !ok {
		panic("no builtin " + class + ".prototype." + method)
	}
	return callable
}

// View returns the buffer of a typed array or a DataView, and the offset of its
// first byte.
func (r *Realm) View(view *goja.Object) (buffer goja.Value, offset int) {
	class := "DataView"
	if ecma.TypedArray(view) != nil {
		class = "TypedArray"
	}
	at, err := r.getter(class, "byteOffset")(view)
	must(err)
	buffer, err = r.getter(class, "buffer")(view)
	must(err)
	return buffer, int(at.ToInteger())
}

// ArrayName is the class name of a typed array.
func (r *Realm) ArrayName(array *goja.Object) string {
	name, err := r.getter("TypedArray", "tag")(array)
	must(err)
	return name.String()
}

// getter returns a builtin getter of views.
func (r *Realm) getter(class, name string) goja.Callable {
	if r.getters == nil {
		made, err := r.builtins.RunProgram(viewGetters())
		must(err)
		r.getters = made.(*goja.Object)
	}
	get, _ := goja.AssertFunction(r.getters.Get(class).(*goja.Object).Get(name))
	return get
}

var viewGetters = sync.OnceValue(func() *goja.Program {
	return goja.MustCompile("getters", `(function () {
		var array = Object.getPrototypeOf(Uint8Array.prototype), view = DataView.prototype;
		function getter(of, name) { return Object.getOwnPropertyDescriptor(of, name).get; }
		return {
			TypedArray: { buffer: getter(array, "buffer"), byteOffset: getter(array, "byteOffset"), tag: getter(array, Symbol.toStringTag) },
			DataView: { buffer: getter(view, "buffer"), byteOffset: getter(view, "byteOffset") },
		};
	})()`, true)
})

// Stopped reports whether the run must end.
func (r *Realm) Stopped() bool { return r.Ctx.Err() != nil }

// Check ends the run from inside a long native call if its time is over.
func (r *Realm) Check() {
	if r.Stopped() {
		panic(&goja.InterruptedError{}) // the engine takes it for an interrupt, which no script can catch
	}
}

// A slot is the internal state of an object. A script can reach neither the slot
// nor the map that holds it.
type slot struct{ value any }

func (s *slot) Get(string) goja.Value       { return nil }
func (s *slot) Set(string, goja.Value) bool { return false }
func (s *slot) Has(string) bool             { return false }
func (s *slot) Delete(string) bool          { return true }
func (s *slot) Keys() []string              { return nil }

// SetSlot gives an object its slot.
func (r *Realm) SetSlot(object *goja.Object, value any) {
	if _, err := r.slotsSet(r.slots, object, r.VM.NewDynamicObject(&slot{value})); err != nil {
		panic(err)
	}
}

// Slot returns the slot of an object, or nil.
func (r *Realm) Slot(v goja.Value) any {
	object, ok := v.(*goja.Object)
	if !ok {
		return nil
	}
	held, err := r.slotsGet(r.slots, object)
	if err != nil {
		return nil
	}
	if holder, ok := held.(*goja.Object); ok {
		return holder.Export().(*slot).value
	}
	return nil
}

// Is returns the slot of v if it is a T.
func Is[T any](r *Realm, v goja.Value) (T, bool) {
	value, ok := r.Slot(v).(T)
	return value, ok
}

// A Class describes a class whose objects have a T as their slot.
type Class[T any] struct {
	Name   string
	Length int // minimum number of arguments of the constructor

	// New makes the slot of a new object. Without New the constructor throws.
	New func(r *Realm, call goja.FunctionCall) T

	// Error makes the objects errors, with a stack.
	Error bool

	Members []Member[T]
	Static  []Static
}

// A Member is a property of a class's prototype.
type Member[T any] struct {
	name   string
	length int
	get    func(*Realm, T) goja.Value
	set    func(*Realm, T, goja.Value)
	method func(*Realm, T, goja.FunctionCall) goja.Value
}

// Getter is a read-only property.
func Getter[T any](name string, get func(*Realm, T) goja.Value) Member[T] {
	return Member[T]{name: name, get: get}
}

// Attribute is a property that can be assigned.
func Attribute[T any](name string, get func(*Realm, T) goja.Value, set func(*Realm, T, goja.Value)) Member[T] {
	return Member[T]{name: name, get: get, set: set}
}

// Method is a function; length is its minimum number of arguments.
func Method[T any](name string, length int, method func(*Realm, T, goja.FunctionCall) goja.Value) Member[T] {
	return Member[T]{name: name, length: length, method: method}
}

// A Static is a property of a class's constructor: a function, or a number, which
// the prototype has as well.
type Static struct {
	Name     string
	Length   int
	Function func(*Realm, goja.FunctionCall) goja.Value
	Number   int
}

// A Made is a class in a realm.
type Made struct {
	Constructor, Prototype *goja.Object
}

// Make makes a class.
func Make[T any](r *Realm, class *Class[T]) *Made {
	m := &Made{Constructor: r.classOf(func(object *goja.Object, args []goja.Value) *goja.Object {
		if class.New == nil {
			r.TypeError("Illegal constructor")
		}
		if len(args) < class.Length {
			r.missing(class.Name, class.Length, len(args))
		}
		if class.Error {
			object = r.errorLike(object.Prototype())
		}
		r.SetSlot(object, class.New(r, goja.FunctionCall{This: object, Arguments: args}))
		return object
	})}
	r.describe(m.Constructor, class.Name, class.Length)
	m.Prototype = m.Constructor.Get("prototype").(*goja.Object)
	r.Tag(m.Prototype, class.Name)
	for i := range class.Members {
		define(r, m.Prototype, class.Name, &class.Members[i])
	}
	for _, s := range class.Static {
		if s.Function == nil {
			for _, holder := range []*goja.Object{m.Constructor, m.Prototype} {
				must(holder.DefineDataProperty(s.Name, r.VM.ToValue(s.Number), goja.FLAG_FALSE, goja.FLAG_FALSE, goja.FLAG_TRUE))
			}
			continue
		}
		must(m.Constructor.DefineDataProperty(s.Name, r.Function(s.Name, s.Length, func(call goja.FunctionCall) goja.Value {
			return s.Function(r, call)
		}), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE))
	}
	return m
}

// newClass makes a JavaScript class, which cannot be called without new and can
// be extended. A Go function cannot tell how it is called.
var newClass = goja.MustCompile(jsjson.OwnProgram, `(function (init) {
	return class { constructor(...args) { return init(this, args) } };
})`, true)

func (r *Realm) classOf(init func(object *goja.Object, args []goja.Value) *goja.Object) *goja.Object {
	made, err := r.VM.RunProgram(newClass)
	must(err)
	wrap, _ := goja.AssertFunction(made)
	class, err := wrap(goja.Undefined(), r.VM.ToValue(func(call goja.FunctionCall) goja.Value {
		list := call.Argument(1).(*goja.Object)
		args := make([]goja.Value, ecma.Length(list))
		for i := range args {
			args[i] = ecma.OrUndefined(list.Get(strconv.Itoa(i)))
		}
		return init(call.Argument(0).(*goja.Object), args)
	}))
	must(err)
	return class.(*goja.Object)
}

// define adds a member to a prototype. Its functions throw for an object of
// another class.
func define[T any](r *Realm, prototype *goja.Object, class string, m *Member[T]) {
	this := func(v goja.Value) T {
		held, ok := r.Slot(v).(T)
		if !ok {
			r.TypeError("Illegal invocation of %s.%s", class, m.name)
		}
		return held
	}
	if m.method != nil {
		must(prototype.DefineDataProperty(m.name, r.Function(m.name, m.length, func(call goja.FunctionCall) goja.Value {
			held := this(call.This)
			if len(call.Arguments) < m.length {
				r.missing(class+"."+m.name, m.length, len(call.Arguments))
			}
			return m.method(r, held, call)
		}), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE))
		return
	}
	get := r.Function("get "+m.name, 0, func(call goja.FunctionCall) goja.Value { return m.get(r, this(call.This)) })
	var set goja.Value
	if m.set != nil {
		set = r.Function("set "+m.name, 1, func(call goja.FunctionCall) goja.Value {
			m.set(r, this(call.This), call.Argument(0))
			return goja.Undefined()
		})
	}
	must(prototype.DefineAccessorProperty(m.name, get, set, goja.FLAG_TRUE, goja.FLAG_TRUE))
}

// Object makes an object of the class with a slot.
func (r *Realm) Object(m *Made, slot any) *goja.Object {
	object := r.VM.CreateObject(m.Prototype)
	r.SetSlot(object, slot)
	return object
}

// Function makes a function.
func (r *Realm) Function(name string, length int, f func(goja.FunctionCall) goja.Value) *goja.Object {
	function := r.VM.ToValue(f).(*goja.Object)
	r.describe(function, name, length)
	return function
}

func (r *Realm) describe(function *goja.Object, name string, length int) {
	must(function.DefineDataProperty("name", Text(name), goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE))
	must(function.DefineDataProperty("length", r.VM.ToValue(length), goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE))
}

// Tag sets what Object.prototype.toString returns for an object.
func (r *Realm) Tag(object *goja.Object, name string) {
	must(object.DefineDataPropertySymbol(goja.SymToStringTag, Text(name), goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE))
}

// Hide gives object a property that is not enumerable.
func (r *Realm) Hide(object *goja.Object, name string, value goja.Value) {
	must(object.DefineDataProperty(name, value, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE))
}

// Put gives object an ordinary property of its own.
func (r *Realm) Put(object *goja.Object, name string, value goja.Value) {
	must(object.DefineDataProperty(name, value, goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_TRUE))
}

func must(err error) {
	if err != nil {
		panic(err)
	}
}

// Text is a string value.
func Text(s string) goja.Value {
	return goja.StringFromUTF16(utf16.Encode([]rune(s)))
}

// missing throws for a call with too few arguments.
func (r *Realm) missing(function string, want, got int) {
	r.TypeError("%s: %d argument(s) required, but only %d present", function, want, got)
}

// TypeError throws one.
func (r *Realm) TypeError(format string, args ...any) {
	panic(r.VM.NewTypeError("%s", fmt.Sprintf(format, args...)))
}

// RangeError throws one.
func (r *Realm) RangeError(format string, args ...any) {
	panic(ecma.NewRangeError(r.VM, fmt.Sprintf(format, args...)))
}
