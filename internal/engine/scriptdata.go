package engine

import (
	"slices"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/lazy"
	"example.com/callback/internal/reserved"
)

func (r *run) setField(fields *orderedFields, call lazy.Call) goja.Value {
	name := call.Text(0, "name")
	if fields == &r.data && name == reserved.Raw {
		r.raw = nil
		if raw, ok := ecma.Bytes(r.vm, call.Argument(1)); ok {
			r.raw = append([]byte{}, raw...)
			fields.remove(name)
			return goja.Undefined()
		}
	}
	value, ok := r.toJSON(call.Argument(1))
	if ok {
		fields.set(name, value)
	} else {
		fields.remove(name)
	}
	if fields == &r.data && reserved.Is(name) {
		r.noteWhere(name, ok && reserved.MayBeRefused(name, value))
	}
	return goja.Undefined()
}

// noteWhere notes where the script sets a reserved name, if the value may be
// refused.
func (r *run) noteWhere(name string, suspect bool) {
	delete(r.where, name)
	if !suspect {
		return
	}
	if r.where == nil {
		r.where = map[string]Position{}
	}
	r.where[name] = positionOf(r.vm.CaptureCallStack(maxStackLines, nil))
}

func (r *run) getField(fields *orderedFields, call lazy.Call) goja.Value {
	name := call.Text(0, "name")
	if fields == &r.data && name == reserved.Raw && r.raw != nil {
		return ecma.NewUint8Array(r.vm, slices.Clone(r.raw))
	}
	i := fields.find(name)
	if i < 0 {
		return goja.Null()
	}
	return r.fromJSON(string(fields.list[i].Value))
}

func (r *run) removeField(fields *orderedFields, call lazy.Call) goja.Value {
	name := call.Text(0, "name")
	if fields == &r.data && name == reserved.Raw {
		r.raw = nil
	}
	fields.remove(name)
	return goja.Undefined()
}

func (r *run) removeFields(fields *orderedFields) goja.Value {
	if fields == &r.data {
		r.raw = nil
	}
	*fields = orderedFields{}
	return goja.Undefined()
}

// orderedFields are named JSON values, in the order in which they were first set.
type orderedFields struct {
	list    []Field
	index   map[string]int // of list by name, once they are many
	removed int            // number of entries in list without a value
}

// manyFields is the number from which on a map is faster than a loop.
const manyFields = 16

// find returns the index of a field in list, or -1.
func (o *orderedFields) find(name string) int {
	if o.index != nil {
		if i, ok := o.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range o.list {
		if o.list[i].Name == name && o.list[i].Value != nil {
			return i
		}
	}
	return -1
}

func (o *orderedFields) set(name string, value []byte) {
	if i := o.find(name); i >= 0 {
		o.list[i].Value = value
		return
	}
	o.list = append(o.list, Field{name, value})
	if o.index != nil {
		o.index[name] = len(o.list) - 1
	} else if len(o.list) > manyFields {
		o.compact()
	}
}

func (o *orderedFields) remove(name string) {
	i := o.find(name)
	if i < 0 {
		return
	}
	o.list[i].Value = nil
	delete(o.index, name)
	if o.removed++; o.removed > len(o.list)/2 {
		o.compact()
	}
}

// compact drops removed entries and indexes the rest.
func (o *orderedFields) compact() {
	o.list = o.fields()
	o.index = make(map[string]int, 2*len(o.list))
	for i := range o.list {
		o.index[o.list[i].Name] = i
	}
}

func (o *orderedFields) len() int { return len(o.list) - o.removed }

// fields drops removed entries and returns the rest.
func (o *orderedFields) fields() []Field {
	if o.removed == 0 {
		return o.list
	}
	kept := o.list[:0]
	for _, f := range o.list {
		if f.Value != nil {
			kept = append(kept, f)
		}
	}
	o.list, o.removed, o.index = kept, 0, nil
	return kept
}
