// Package lazy makes JavaScript objects whose members are made when a script
// first reads them, so that an unread member costs nothing. A class of such
// objects is a table in which each JavaScript name stands once, beside the
// function that makes it.
package lazy

import (
	"slices"
	"sync"
	"unicode/utf16"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
)

// A Class is a kind of JavaScript object. Its objects have an owner, of which
// their members are made. The fields must not change once there is an object.
type Class[T any] struct {
	// Name is the class's name in error messages. The class of the global names
	// has none.
	Name string

	// Members are in the order of enumeration.
	Members []Member[T]

	// Override, if not nil, makes members that take precedence over those of the
	// class, and OverrideNames lists them. Override returns nil for any other
	// name.
	Override      func(owner T, name string) goja.Value
	OverrideNames func(owner T) []string

	// Fallback, if not nil, makes the member for any other name, or returns nil
	// for undefined. Enumerations do not show such members.
	Fallback func(owner T, name string) goja.Value

	once sync.Once // makes the members' nameValue
}

// A Member is a member of a class: a function or another value.
type Member[T any] struct {
	name      string
	function  func(owner T, call Call) goja.Value
	value     func(owner T) goja.Value
	nameValue goja.Value // name, for all runtimes
}

// Func is a member that is a function.
func Func[T any](name string, f func(owner T, call Call) goja.Value) Member[T] {
	return Member[T]{name: name, function: f}
}

// Value is a member whose value f returns when a script first reads it.
func Value[T any](name string, f func(owner T) goja.Value) Member[T] {
	return Member[T]{name: name, value: f}
}

// Names lists the members of the class.
func (c *Class[T]) Names() []string {
	names := make([]string, len(c.Members))
	for i := range c.Members {
		names[i] = c.Members[i].name
	}
	return names
}

// find returns the index of a member, or -1.
func (c *Class[T]) find(name string) int {
	for i := range c.Members {
		if c.Members[i].name == name {
			return i
		}
	}
	return -1
}

// makeNames makes the members' names as values that all runtimes can share.
func (c *Class[T]) makeNames() {
	for i := range c.Members {
		m := &c.Members[i]
		m.nameValue = goja.StringFromUTF16(utf16.Encode([]rune(m.name)))
	}
}

// A Call is a call of a member that is a function.
type Call struct {
	goja.FunctionCall
	vm            *goja.Runtime
	class, member string
}

// Member is the function's name for error messages, with its class.
func (c *Call) Member() string {
	if c.class == "" {
		return c.member
	}
	return c.class + "." + c.member
}

// Text is argument i as a string. Numbers and booleans are converted; any other
// value is a TypeError that names the argument.
func (c *Call) Text(i int, arg string) string {
	text, ok := ecma.Scalar(c.Argument(i))
	if !ok {
		c.Throw(arg, "must be a string")
	}
	return text
}

// Throw throws a TypeError about an argument.
func (c *Call) Throw(arg, problem string) {
	panic(c.vm.NewTypeError("%s", c.Member()+": "+arg+" "+problem))
}

// An Object is an object of a class. A script may overwrite, add and delete its
// members like those of any other object.
type Object[T any] struct {
	vm     *goja.Runtime
	class  *Class[T]
	owner  T
	values []value  // of members that have been made, overwritten, added or deleted
	inline [2]value // memory for the first values
}

// A value is the value of an object's member; nil if the script has deleted it.
type value struct {
	name  string
	value goja.Value
	set   bool // by the script
}

// New makes an object.
func New[T any](vm *goja.Runtime, class *Class[T], owner T) *goja.Object {
	return new(Object[T]).Init(vm, class, owner)
}

// Init is [New] in the caller's memory.
func (o *Object[T]) Init(vm *goja.Runtime, class *Class[T], owner T) *goja.Object {
	*o = Object[T]{vm: vm, class: class, owner: owner}
	return vm.NewDynamicObject(o)
}

func (o *Object[T]) find(name string) *value {
	for i := range o.values {
		if o.values[i].name == name {
			return &o.values[i]
		}
	}
	return nil
}

func (o *Object[T]) add(v value) {
	if o.values == nil {
		o.values = o.inline[:0]
	}
	o.values = append(o.values, v)
}

// Get implements [goja.DynamicObject].
func (o *Object[T]) Get(name string) goja.Value {
	if v := o.find(name); v != nil {
		return v.value
	}
	made := o.make(name)
	if made != nil {
		o.add(value{name: name, value: made})
	}
	return made
}

// make makes a member, or returns nil if there is no such member.
func (o *Object[T]) make(name string) goja.Value {
	c := o.class
	if c.Override != nil {
		if value := c.Override(o.owner, name); value != nil {
			return value
		}
	}
	i := c.find(name)
	switch {
	case i < 0 && c.Fallback != nil:
		return c.Fallback(o.owner, name)
	case i < 0:
		return nil
	case c.Members[i].value != nil:
		return c.Members[i].value(o.owner)
	}
	c.once.Do(c.makeNames)
	return function(o.vm, c.Members[i].nameValue, bind(o, i))
}

// A caller calls member i of an object.
type caller interface {
	call(i int, call goja.FunctionCall) goja.Value
}

// bind makes a function of member i. It is neither generic nor part of a generic
// function: the engine asks for the Go name of each function, and making the name
// of a generic one takes two allocations.
//
//go:noinline
func bind(o caller, i int) func(goja.FunctionCall) goja.Value {
	return func(call goja.FunctionCall) goja.Value { return o.call(i, call) }
}

func (o *Object[T]) call(i int, call goja.FunctionCall) goja.Value {
	m := &o.class.Members[i]
	return m.function(o.owner, Call{call, o.vm, o.class.Name, m.name})
}

// Set implements [goja.DynamicObject].
func (o *Object[T]) Set(name string, to goja.Value) bool {
	if v := o.find(name); v != nil {
		v.value, v.set = to, true
	} else {
		o.add(value{name, to, true})
	}
	return true
}

// Has implements [goja.DynamicObject].
func (o *Object[T]) Has(name string) bool {
	if v := o.find(name); v != nil {
		return v.value != nil
	}
	return o.class.find(name) >= 0 || o.Get(name) != nil
}

// Delete implements [goja.DynamicObject].
func (o *Object[T]) Delete(name string) bool { return o.Set(name, nil) }

// Keys implements [goja.DynamicObject]. It makes no members.
func (o *Object[T]) Keys() []string {
	keys := o.class.Names()
	if o.class.OverrideNames != nil {
		for _, name := range o.class.OverrideNames(o.owner) {
			if !slices.Contains(keys, name) {
				keys = append(keys, name)
			}
		}
	}
	for _, v := range o.values {
		switch i := slices.Index(keys, v.name); {
		case v.value == nil && i >= 0:
			keys = slices.Delete(keys, i, i+1)
		case v.value != nil && i < 0 && v.set:
			keys = append(keys, v.name)
		}
	}
	return keys
}

// Function makes a JavaScript function. Stack traces show its name; by default
// the engine would show the name of the Go function.
func Function(vm *goja.Runtime, name string, f func(goja.FunctionCall) goja.Value) *goja.Object {
	return function(vm, vm.ToValue(name), f)
}

func function(vm *goja.Runtime, name goja.Value, f func(goja.FunctionCall) goja.Value) *goja.Object {
	function := vm.ToValue(f).(*goja.Object)
	_ = function.DefineDataProperty("name", name, goja.FLAG_FALSE, goja.FLAG_TRUE, goja.FLAG_FALSE)
	return function
}

// Method gives object a function that is not enumerable.
func Method(vm *goja.Runtime, object *goja.Object, name string, f func(goja.FunctionCall) goja.Value) {
	_ = object.DefineDataProperty(name, Function(vm, name, f), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE)
}
