package realm

import (
	"math"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
)

// String is Web IDL's conversion to a USVString: a lone surrogate becomes U+FFFD.
func (r *Realm) String(v goja.Value) string { return ecma.ToString(r.VM, v).String() }

// Options is Web IDL's conversion to a dictionary. It returns nil for undefined
// and null.
func (r *Realm) Options(v goja.Value, what string) *goja.Object {
	if ecma.IsUndefined(v) || goja.IsNull(v) {
		return nil
	}
	object, ok := v.(*goja.Object)
	if !ok {
		r.TypeError("%s must be an object", what)
	}
	return object
}

// Option returns a member of a dictionary, which may be nil; ok is false if the
// member is absent.
func Option(options *goja.Object, name string) (v goja.Value, ok bool) {
	if options == nil {
		return nil, false
	}
	v = options.Get(name)
	return v, !ecma.IsUndefined(v)
}

// Flag returns a boolean member of a dictionary, or false if it is absent.
func Flag(options *goja.Object, name string) bool {
	v, ok := Option(options, name)
	return ok && v.ToBoolean()
}

// Bytes returns the bytes of a buffer source. They are the script's own: a caller
// that keeps them, or that runs code of the script, must copy them.
func (r *Realm) Bytes(v goja.Value, what string) []byte {
	b, ok := ecma.Bytes(r.VM, v)
	if !ok {
		r.TypeError("%s must be an ArrayBuffer, a typed array or a DataView", what)
	}
	return b
}

// Buffer makes an ArrayBuffer of b, which becomes the script's.
func (r *Realm) Buffer(b []byte) goja.Value { return r.VM.ToValue(r.VM.NewArrayBuffer(b)) }

// Method returns the method of an object for a symbol, or nil.
func (r *Realm) Method(object *goja.Object, symbol *goja.Symbol, what string) goja.Callable {
	v := object.GetSymbol(symbol)
	if v == nil || ecma.IsNothing(v) {
		return nil
	}
	method, ok := goja.AssertFunction(v)
	if !ok {
		r.TypeError("%s is not iterable", what)
	}
	return method
}

// List is Web IDL's conversion to a sequence of at most limit elements.
func (r *Realm) List(v goja.Value, limit int, what string) []goja.Value {
	object, ok := v.(*goja.Object)
	if !ok || r.Method(object, goja.SymIterator, what) == nil {
		r.TypeError("%s must be iterable", what)
	}
	var list []goja.Value
	r.VM.ForOf(object, func(item goja.Value) bool {
		if len(list) >= limit {
			r.RangeError("%s is too long", what)
		}
		list = append(list, item)
		return true
	})
	return list
}

// Long is Web IDL's conversion to a long.
func Long(v goja.Value) int32 {
	f := v.ToFloat()
	if math.IsNaN(f) || math.IsInf(f, 0) {
		return 0
	}
	return int32(uint32(int64(math.Mod(math.Trunc(f), 1<<32))))
}

// Resolved and Rejected make settled promises.
func (r *Realm) Resolved(v goja.Value) goja.Value {
	promise, resolve, _ := r.VM.NewPromise()
	must(resolve(v))
	return r.VM.ToValue(promise)
}

func (r *Realm) Rejected(reason goja.Value) goja.Value {
	promise, _, reject := r.VM.NewPromise()
	must(reject(reason))
	return r.VM.ToValue(promise)
}

// Promise makes a promise that is settled by what f returns or throws.
func (r *Realm) Promise(f func() goja.Value) goja.Value {
	var value goja.Value
	if thrown := r.VM.Try(func() { value = f() }); thrown != nil {
		return r.Rejected(thrown.Value())
	}
	return r.Resolved(ecma.OrUndefined(value))
}
