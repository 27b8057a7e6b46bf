package encoding

import (
	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/web/realm"
)

// encoder is the slot of a TextEncoder, which has no state.
type encoder struct{}

// NewGlobals makes the classes TextEncoder and TextDecoder.
func NewGlobals(r *realm.Realm) (textEncoder, textDecoder *realm.Made) {
	textEncoder = realm.Make(r, &realm.Class[*encoder]{
		Name: "TextEncoder",
		New:  func(*realm.Realm, goja.FunctionCall) *encoder { return &encoder{} },
		Members: []realm.Member[*encoder]{
			realm.Getter("encoding", func(*realm.Realm, *encoder) goja.Value { return realm.Text("utf-8") }),
			realm.Method("encode", 0, func(r *realm.Realm, _ *encoder, call goja.FunctionCall) goja.Value {
				text := ""
				if v := call.Argument(0); !ecma.IsUndefined(v) {
					text = r.String(v)
				}
				return ecma.NewUint8Array(r.VM, []byte(text))
			}),
			realm.Method("encodeInto", 2, func(r *realm.Realm, _ *encoder, call goja.FunctionCall) goja.Value {
				text := r.String(call.Argument(0))
				if destination := call.Argument(1); ecma.TypedArray(destination) == nil || r.ArrayName(destination.(*goja.Object)) != "Uint8Array" {
					r.TypeError("TextEncoder.encodeInto: destination must be a Uint8Array")
				}
				read, written := EncodeInto(r.Bytes(call.Argument(1), "destination"), text)
				result := r.VM.NewObject()
				r.Put(result, "read", r.VM.ToValue(read))
				r.Put(result, "written", r.VM.ToValue(written))
				return result
			}),
		},
	})
	textDecoder = realm.Make(r, &realm.Class[*Decoder]{
		Name: "TextDecoder",
		New: func(r *realm.Realm, call goja.FunctionCall) *Decoder {
			label := "utf-8"
			if v := call.Argument(0); !ecma.IsUndefined(v) {
				label = r.String(v)
			}
			options := r.Options(call.Argument(1), "TextDecoder: options")
			fatal := realm.Flag(options, "fatal")
			decoder, err := New(label, fatal, realm.Flag(options, "ignoreBOM"))
			if err != nil {
				r.RangeError("TextDecoder: label names no encoding")
			}
			return decoder
		},
		Members: []realm.Member[*Decoder]{
			realm.Getter("encoding", func(_ *realm.Realm, d *Decoder) goja.Value { return realm.Text(d.Name()) }),
			realm.Getter("fatal", func(r *realm.Realm, d *Decoder) goja.Value { return r.VM.ToValue(d.Fatal()) }),
			realm.Getter("ignoreBOM", func(r *realm.Realm, d *Decoder) goja.Value { return r.VM.ToValue(d.IgnoreBOM()) }),
			realm.Method("decode", 0, func(r *realm.Realm, d *Decoder, call goja.FunctionCall) goja.Value {
				var chunk []byte
				input := call.Argument(0)
				if !ecma.IsUndefined(input) {
					r.Bytes(input, "TextDecoder.decode: input") // checks the type before the options are read
				}
				stream := realm.Flag(r.Options(call.Argument(1), "TextDecoder.decode: options"), "stream")
				if !ecma.IsUndefined(input) {
					chunk = r.Bytes(input, "TextDecoder.decode: input")
				}
				text, err := d.Decode(chunk, stream)
				if err != nil {
					r.TypeError("TextDecoder.decode: %s", err.Error())
				}
				return realm.Text(text)
			}),
		},
	})
	return textEncoder, textDecoder
}
