// Package base64 has atob and btoa: the forgiving Base64 of the Infra Standard.
package base64

import (
	"encoding/base64"
	"errors"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/web/realm"
)

// ErrInvalid is the error of [Decode] for what is not Base64.
var ErrInvalid = errors.New("not Base64")

// Decode decodes Base64 that may have white space, and may lack its padding.
func Decode(s []byte) ([]byte, error) {
	text := make([]byte, 0, len(s))
	for _, c := range s {
		switch c {
		case '\t', '\n', '\f', '\r', ' ':
		default:
			text = append(text, c)
		}
	}
	for n := 0; n < 2 && len(text) > 0 && (len(text)+n)%4 == 0 && text[len(text)-1] == '='; n++ {
		text = text[:len(text)-1]
	}
	decoded := make([]byte, base64.RawStdEncoding.DecodedLen(len(text)))
	n, err := base64.RawStdEncoding.Decode(decoded, text)
	if err != nil {
		return nil, ErrInvalid
	}
	return decoded[:n], nil
}

// NewGlobals makes the functions atob and btoa.
func NewGlobals(r *realm.Realm) (atob, btoa *goja.Object) {
	atob = r.Function("atob", 1, func(call goja.FunctionCall) goja.Value {
		text, ok := latin1(r, call, "atob")
		decoded, err := Decode(text)
		if !ok || err != nil {
			r.Throw("InvalidCharacterError", "atob: the text is not correctly encoded")
		}
		units := make([]uint16, len(decoded))
		for i, c := range decoded {
			units[i] = uint16(c)
		}
		return goja.StringFromUTF16(units)
	})
	btoa = r.Function("btoa", 1, func(call goja.FunctionCall) goja.Value {
		text, ok := latin1(r, call, "btoa")
		if !ok {
			r.Throw("InvalidCharacterError", "btoa: the text has characters beyond U+00FF: encode it with TextEncoder first")
		}
		return r.VM.ToValue(base64.StdEncoding.EncodeToString(text))
	})
	return atob, btoa
}

// latin1 is the call's argument as bytes, if each of its characters is one.
func latin1(r *realm.Realm, call goja.FunctionCall, function string) (text []byte, ok bool) {
	if len(call.Arguments) == 0 {
		r.TypeError("%s: 1 argument required, but only 0 present", function)
	}
	s := ecma.ToString(r.VM, call.Argument(0))
	text = make([]byte, s.Length())
	for i := range text {
		c := s.CharAt(i)
		if c > 0xff {
			return nil, false
		}
		text[i] = byte(c)
	}
	return text, true
}
