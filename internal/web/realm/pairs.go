package realm

import (
	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
)

// Pairs lists the names and values of an object, for the members that Web IDL
// calls iterable. At returns pair i, or false after the last one.
func Pairs[T any](class string, at func(this T, i int) (name, value string, ok bool)) []Member[T] {
	iterate := func(member string, item func(r *Realm, name, value string) goja.Value) Member[T] {
		return Method(member, 0, func(r *Realm, this T, _ goja.FunctionCall) goja.Value {
			i := 0
			return r.iterator(class, func() (goja.Value, bool) {
				name, value, ok := at(this, i)
				if !ok {
					return nil, false
				}
				i++
				return item(r, name, value), true
			})
		})
	}
	return []Member[T]{
		iterate("entries", func(r *Realm, name, value string) goja.Value { return r.VM.NewArray(Text(name), Text(value)) }),
		iterate("keys", func(_ *Realm, name, _ string) goja.Value { return Text(name) }),
		iterate("values", func(_ *Realm, _, value string) goja.Value { return Text(value) }),
		Method("forEach", 1, func(r *Realm, this T, call goja.FunctionCall) goja.Value {
			callback, ok := goja.AssertFunction(call.Argument(0))
			if !ok {
				r.TypeError("%s.forEach: callback must be a function", class)
			}
			for i := 0; ; i++ {
				name, value, ok := at(this, i)
				if !ok {
					return goja.Undefined()
				}
				if _, err := callback(call.Argument(1), Text(value), Text(name), call.This); err != nil {
					panic(err)
				}
			}
		}),
	}
}

// Iterable adds the iteration members to a class whose objects have [Pairs].
func (r *Realm) Iterable(m *Made) {
	must(m.Prototype.DefineDataPropertySymbol(goja.SymIterator, m.Prototype.Get("entries"), goja.FLAG_TRUE, goja.FLAG_TRUE, goja.FLAG_FALSE))
}

// iterator is the slot of an iterator.
type iterator struct{ next func() (goja.Value, bool) }

// iterator makes an iterator over an object of a class. Next returns false at the
// end.
func (r *Realm) iterator(class string, next func() (goja.Value, bool)) goja.Value {
	prototype := r.iterators[class]
	if prototype == nil {
		prototype = r.iteratorPrototype(class)
		if r.iterators == nil {
			r.iterators = map[string]*goja.Object{}
		}
		r.iterators[class] = prototype
	}
	object := r.VM.CreateObject(prototype)
	r.SetSlot(object, &iterator{next})
	return object
}

func (r *Realm) iteratorPrototype(class string) *goja.Object {
	parent := r.VM.NewObject().Prototype()
	r.VM.Try(func() { // %IteratorPrototype%, unless the script has hidden it
		method, ok := goja.AssertFunction(ecma.OrUndefined(r.VM.NewArray().GetSymbol(goja.SymIterator)))
		if !ok {
			return
		}
		of, err := method(r.VM.NewArray())
		if object, ok := of.(*goja.Object); err == nil && ok && object.Prototype() != nil && object.Prototype().Prototype() != nil {
			parent = object.Prototype().Prototype()
		}
	})
	prototype := r.VM.CreateObject(parent)
	r.Tag(prototype, class+" Iterator")
	r.Put(prototype, "next", r.Function("next", 0, func(call goja.FunctionCall) goja.Value {
		it, ok := Is[*iterator](r, call.This)
		if !ok {
			r.TypeError("Illegal invocation of next")
		}
		value, more := it.next()
		result := r.VM.NewObject()
		r.Put(result, "value", ecma.OrUndefined(value))
		r.Put(result, "done", r.VM.ToValue(!more))
		return result
	}))
	return prototype
}
