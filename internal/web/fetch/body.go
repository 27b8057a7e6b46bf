package fetch

import (
	"slices"
	"strings"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/web/encoding"
	"example.com/callback/internal/web/realm"
)

// A body is the body of a Request or a Response. It is in memory and can be read
// once.
type body struct {
	bytes []byte
	none  bool // null
	used  bool
}

// readBody converts the value that a script gives as a body, and finds its
// content type.
func readBody(r *realm.Realm, v goja.Value) (b body, contentType string) {
	if ecma.IsNothing(v) {
		return body{none: true}, ""
	}
	if bytes, ok := ecma.Bytes(r.VM, v); ok {
		return body{bytes: slices.Clone(bytes)}, ""
	}
	if object, ok := v.(*goja.Object); ok && r.Slot(object) != nil {
		if text, ok := r.Slot(object).(interface{ FormText() string }); ok {
			return body{bytes: []byte(text.FormText())}, "application/x-www-form-urlencoded;charset=UTF-8"
		}
	}
	return body{bytes: []byte(r.String(v))}, "text/plain;charset=UTF-8"
}

// clone copies a body that has not been read.
func (b *body) clone(r *realm.Realm, class string) body {
	if b.used {
		r.TypeError("%s.clone: the body has been read", class)
	}
	return *b
}

// hasBody is the common part of Request and Response.
type hasBody interface{ content() *body }

// bodyMembers are the members that read a body.
func bodyMembers[T hasBody](class string) []realm.Member[T] {
	read := func(name string, make func(r *realm.Realm, bytes []byte) goja.Value) realm.Member[T] {
		return realm.Method(name, 0, func(r *realm.Realm, this T, _ goja.FunctionCall) goja.Value {
			return r.Promise(func() goja.Value {
				b := this.content()
				if b.used {
					r.TypeError("%s.%s: the body has been read", class, name)
				}
				b.used = !b.none
				return make(r, b.bytes)
			})
		})
	}
	text := func(bytes []byte) string {
		return strings.TrimPrefix(encoding.DecodeUTF8(bytes), "\ufeff")
	}
	return []realm.Member[T]{
		realm.Getter("bodyUsed", func(r *realm.Realm, this T) goja.Value { return r.VM.ToValue(this.content().used) }),
		read("arrayBuffer", func(r *realm.Realm, bytes []byte) goja.Value { return r.Buffer(slices.Clone(bytes)) }),
		read("bytes", func(r *realm.Realm, bytes []byte) goja.Value { return ecma.NewUint8Array(r.VM, slices.Clone(bytes)) }),
		read("text", func(_ *realm.Realm, bytes []byte) goja.Value { return realm.Text(text(bytes)) }),
		read("json", func(r *realm.Realm, bytes []byte) goja.Value {
			parse := jsjson.ParseBuiltin(r.VM)
			return parse(goja.FunctionCall{This: goja.Undefined(), Arguments: []goja.Value{realm.Text(text(bytes))}})
		}),
	}
}
