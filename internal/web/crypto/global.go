package crypto

import (
	"context"
	"crypto/subtle"
	"encoding/hex"
	"errors"
	"io"
	"math"
	"reflect"
	"slices"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/web/realm"
)

// Globals are the objects and classes of this package in a realm.
type Globals struct {
	Crypto                                *goja.Object
	CryptoClass, SubtleCrypto, CryptoKeys *realm.Made
}

// api is the slot of crypto, subtle that of crypto.subtle.
type api struct {
	*Globals
	random io.Reader
	subtle *goja.Object
}

type subtleAPI struct{ *Globals }

// key is the slot of a CryptoKey, with the objects that it shows.
type key struct {
	*Key
	algorithm, usages goja.Value
}

// maxRandom is how many bytes getRandomValues fills.
const maxRandom = 65536

// NewGlobals makes the object crypto. It takes random bytes from random.
func NewGlobals(r *realm.Realm, random io.Reader) *Globals {
	g := &Globals{}
	g.CryptoKeys = realm.Make(r, &realm.Class[*key]{Name: "CryptoKey", Members: []realm.Member[*key]{
		realm.Getter("type", func(_ *realm.Realm, k *key) goja.Value { return realm.Text(k.Type) }),
		realm.Getter("extractable", func(r *realm.Realm, k *key) goja.Value { return r.VM.ToValue(k.Extractable) }),
		realm.Getter("algorithm", func(r *realm.Realm, k *key) goja.Value {
			if k.algorithm == nil {
				k.algorithm = describe(r, k.Algorithm)
			}
			return k.algorithm
		}),
		realm.Getter("usages", func(r *realm.Realm, k *key) goja.Value {
			if k.usages == nil {
				list := make([]any, len(k.Usages))
				for i := range list {
					list[i] = realm.Text(k.Usages[i])
				}
				k.usages = r.VM.NewArray(list...)
			}
			return k.usages
		}),
	}})
	g.SubtleCrypto = realm.Make(r, &realm.Class[*subtleAPI]{Name: "SubtleCrypto", Members: []realm.Member[*subtleAPI]{
		method("digest", 2, digest),
		method("importKey", 5, importKey),
		method("sign", 3, sign),
		method("verify", 4, verify),
	}})
	g.CryptoClass = realm.Make(r, &realm.Class[*api]{Name: "Crypto", Members: []realm.Member[*api]{
		realm.Getter("subtle", func(r *realm.Realm, a *api) goja.Value {
			if a.subtle == nil {
				a.subtle = r.Object(a.SubtleCrypto, &subtleAPI{a.Globals})
			}
			return a.subtle
		}),
		realm.Method("getRandomValues", 1, getRandomValues),
		realm.Method("randomUUID", 0, randomUUID),
		realm.Method("timingSafeEqual", 2, func(r *realm.Realm, _ *api, call goja.FunctionCall) goja.Value {
			a := r.Bytes(call.Argument(0), "crypto.timingSafeEqual: a")
			b := r.Bytes(call.Argument(1), "crypto.timingSafeEqual: b")
			if len(a) != len(b) {
				r.TypeError("crypto.timingSafeEqual: a and b must have the same length")
			}
			return r.VM.ToValue(subtle.ConstantTimeCompare(a, b) == 1)
		}),
	}})
	g.Crypto = r.Object(g.CryptoClass, &api{Globals: g, random: random})
	return g
}

// method makes a method that returns a promise. If f throws, the promise is
// rejected.
func method(name string, length int, f func(r *realm.Realm, g *Globals, call goja.FunctionCall) goja.Value) realm.Member[*subtleAPI] {
	return realm.Method(name, 0, func(r *realm.Realm, s *subtleAPI, call goja.FunctionCall) goja.Value {
		return r.Promise(func() goja.Value {
			if len(call.Arguments) < length {
				r.TypeError("SubtleCrypto.%s: %d arguments required, but only %d present", name, length, len(call.Arguments))
			}
			return f(r, s.Globals, call)
		})
	})
}

// fail throws the error of a call. It ends the run if its time is over.
func fail(r *realm.Realm, name string, err error) {
	if errors.Is(err, context.DeadlineExceeded) || errors.Is(err, context.Canceled) {
		r.Check()
	}
	var known *Error
	if !errors.As(err, &known) {
		known = &Error{operationError, "failed"}
	}
	r.Throw(known.Name, name+": "+known.Message)
}

func fill(r *realm.Realm, a *api, b []byte) {
	if _, err := io.ReadFull(a.random, b); err != nil {
		r.Throw(operationError, "no random bytes")
	}
}

func getRandomValues(r *realm.Realm, a *api, call goja.FunctionCall) goja.Value {
	array := call.Argument(0)
	switch element := ecma.TypedArray(array); {
	case element == nil && !ecma.IsDataView(array):
		r.TypeError("crypto.getRandomValues: array must be a typed array")
	case element == nil, element.Kind() == reflect.Float32, element.Kind() == reflect.Float64:
		r.Throw(typeMismatchError, "crypto.getRandomValues: array must be one of integers")
	}
	b := r.Bytes(array, "crypto.getRandomValues: array")
	if len(b) > maxRandom {
		r.Throw("QuotaExceededError", "crypto.getRandomValues: array has more than 65536 bytes")
	}
	fill(r, a, b)
	return array
}

func randomUUID(r *realm.Realm, a *api, _ goja.FunctionCall) goja.Value {
	var b [16]byte
	fill(r, a, b[:])
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80
	text := hex.EncodeToString(b[:])
	return realm.Text(text[:8] + "-" + text[8:12] + "-" + text[12:16] + "-" + text[16:20] + "-" + text[20:])
}

// describe makes the object that a key shows as its algorithm.
func describe(r *realm.Realm, a Algorithm) goja.Value {
	object := r.VM.NewObject()
	r.Put(object, "name", realm.Text(a.Name))
	if a.Curve != "" {
		r.Put(object, "namedCurve", realm.Text(a.Curve))
	}
	if a.Hash != "" {
		hash := r.VM.NewObject()
		r.Put(hash, "name", realm.Text(a.Hash))
		r.Put(object, "hash", hash)
	}
	switch a.Name {
	case HMAC:
		r.Put(object, "length", r.VM.ToValue(a.Length))
	case RSA, RSAPSS:
		r.Put(object, "modulusLength", r.VM.ToValue(a.Length))
	}
	return object
}

// algorithmName returns the name in an AlgorithmIdentifier, and its other
// members.
func algorithmName(r *realm.Realm, v goja.Value, what string) (name string, options *goja.Object) {
	if object, ok := v.(*goja.Object); ok {
		value, ok := realm.Option(object, "name")
		if !ok {
			r.TypeError("%s needs a name", what)
		}
		return r.String(value), object
	}
	return r.String(v), nil
}

// hashOption reads the required member hash.
func hashOption(r *realm.Realm, options *goja.Object) string {
	value, ok := realm.Option(options, "hash")
	if !ok {
		r.TypeError("algorithm needs a hash")
	}
	text, _ := algorithmName(r, value, "hash")
	name, ok := HashName(text)
	if !ok {
		r.Throw(notSupported, "the hash must be SHA-1, SHA-256, SHA-384 or SHA-512")
	}
	return name
}

// readAlgorithm normalises the algorithm of importKey, sign or verify.
func readAlgorithm(r *realm.Realm, v goja.Value, importing bool) Algorithm {
	text, options := algorithmName(r, v, "algorithm")
	name, ok := SignatureName(text)
	if !ok {
		r.Throw(notSupported, "the algorithm must be HMAC, Ed25519, RSASSA-PKCS1-v1_5, RSA-PSS or ECDSA")
	}
	a := Algorithm{Name: name}
	switch {
	case importing && name == ECDSA:
		value, ok := realm.Option(options, "namedCurve")
		if !ok {
			r.TypeError("algorithm needs a namedCurve")
		}
		if a.Curve = r.String(value); !IsCurve(a.Curve) {
			r.Throw(notSupported, "namedCurve must be P-256, P-384 or P-521")
		}
	case importing && name != Ed25519, name == ECDSA:
		a.Hash = hashOption(r, options)
	}
	if value, ok := realm.Option(options, "length"); ok && importing && name == HMAC {
		a.Length, a.HasLength = natural(r, value, "length"), true
		if a.Length == 0 {
			r.Throw(dataError, "length must not be 0")
		}
	}
	if !importing && name == RSAPSS {
		value, ok := realm.Option(options, "saltLength")
		if !ok {
			r.TypeError("algorithm needs a saltLength")
		}
		a.SaltLength = natural(r, value, "saltLength")
	}
	return a
}

// natural is Web IDL's conversion to an unsigned long with [EnforceRange].
func natural(r *realm.Realm, v goja.Value, what string) int {
	f := math.Trunc(v.ToFloat())
	if !(f >= 0 && f <= math.MaxUint32) {
		r.TypeError("%s must be a number of at least 0", what)
	}
	return int(f)
}

func digest(r *realm.Realm, _ *Globals, call goja.FunctionCall) goja.Value {
	text, _ := algorithmName(r, call.Argument(0), "algorithm")
	data := slices.Clone(r.Bytes(call.Argument(1), "SubtleCrypto.digest: data"))
	name, ok := HashName(text)
	if !ok {
		r.Throw(notSupported, "SubtleCrypto.digest: the algorithm must be SHA-1, SHA-256, SHA-384 or SHA-512")
	}
	sum, err := Digest(r.Ctx, name, data)
	if err != nil {
		fail(r, "SubtleCrypto.digest", err)
	}
	return r.Buffer(sum)
}

func importKey(r *realm.Realm, g *Globals, call goja.FunctionCall) goja.Value {
	const name = "SubtleCrypto.importKey"
	format := r.String(call.Argument(0))
	switch format {
	case "raw", "raw-public", "raw-secret", "spki", "pkcs8", "jwk":
	default:
		r.TypeError("%s: format must be raw, jwk, spki or pkcs8", name)
	}
	var data []byte
	var jwk *JWK
	if bytes, ok := ecma.Bytes(r.VM, call.Argument(1)); ok {
		data = slices.Clone(bytes)
	} else if object, ok := call.Argument(1).(*goja.Object); ok {
		jwk = readJWK(r, object)
	} else {
		r.TypeError("%s: keyData must be bytes or a JWK", name)
	}
	if (jwk != nil) != (format == "jwk") {
		r.TypeError("%s: keyData is not in the format %s", name, format)
	}
	algorithm := readAlgorithm(r, call.Argument(2), true)
	extractable := call.Argument(3).ToBoolean()
	var wanted []string
	for _, item := range r.List(call.Argument(4), 64, name+": keyUsages") {
		usage := r.String(item)
		if !IsUsage(usage) {
			r.TypeError("%s: keyUsages has %q, which is none", name, usage)
		}
		wanted = append(wanted, usage)
	}
	imported, err := Import(format, data, jwk, algorithm, extractable, wanted)
	if err != nil {
		fail(r, name, err)
	}
	return r.Object(g.CryptoKeys, &key{Key: imported})
}

// readJWK reads the members of a JsonWebKey, in their order.
func readJWK(r *realm.Realm, object *goja.Object) *JWK {
	jwk := &JWK{}
	text := func(to *string) func(goja.Value) {
		return func(v goja.Value) { *to = r.String(v) }
	}
	for _, member := range []struct {
		name string
		read func(goja.Value)
	}{
		{"alg", text(&jwk.Alg)}, {"crv", text(&jwk.Crv)},
		{"d", func(v goja.Value) { jwk.D, jwk.HasD = r.String(v), true }},
		{"dp", text(&jwk.DP)}, {"dq", text(&jwk.DQ)}, {"e", text(&jwk.E)},
		{"ext", func(v goja.Value) { jwk.Ext, jwk.HasExt = v.ToBoolean(), true }},
		{"k", text(&jwk.K)},
		{"key_ops", func(v goja.Value) {
			jwk.HasKeyOps = true
			for _, op := range r.List(v, 64, "key_ops") {
				jwk.KeyOps = append(jwk.KeyOps, r.String(op))
			}
		}},
		{"kty", text(&jwk.Kty)}, {"n", text(&jwk.N)},
		{"oth", func(goja.Value) { jwk.HasOth = true }},
		{"p", func(v goja.Value) { jwk.P, jwk.HasPrimes = r.String(v), true }},
		{"q", text(&jwk.Q)}, {"qi", text(&jwk.QI)}, {"use", text(&jwk.Use)}, {"x", text(&jwk.X)}, {"y", text(&jwk.Y)},
	} {
		if value, ok := realm.Option(object, member.name); ok {
			member.read(value)
		}
	}
	return jwk
}

// keyArgument is argument i as a CryptoKey.
func keyArgument(r *realm.Realm, call goja.FunctionCall, i int) *key {
	k, ok := realm.Is[*key](r, call.Argument(i))
	if !ok {
		r.TypeError("key must be a CryptoKey")
	}
	return k
}

func sign(r *realm.Realm, _ *Globals, call goja.FunctionCall) goja.Value {
	algorithm := readAlgorithm(r, call.Argument(0), false)
	k := keyArgument(r, call, 1)
	signature, err := k.Sign(r.Ctx, algorithm, slices.Clone(r.Bytes(call.Argument(2), "data")))
	if err != nil {
		fail(r, "SubtleCrypto.sign", err)
	}
	return r.Buffer(signature)
}

func verify(r *realm.Realm, _ *Globals, call goja.FunctionCall) goja.Value {
	algorithm := readAlgorithm(r, call.Argument(0), false)
	k := keyArgument(r, call, 1)
	signature := r.Bytes(call.Argument(2), "signature")
	ok, err := k.Verify(r.Ctx, algorithm, signature, r.Bytes(call.Argument(3), "data"))
	if err != nil {
		fail(r, "SubtleCrypto.verify", err)
	}
	return r.VM.ToValue(ok)
}
