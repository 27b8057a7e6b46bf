package crypto_test

import (
	"context"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"encoding/hex"
	"math/big"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/web/crypto"
)

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	require.NoError(t, err)
	return b
}

var (
	signing   = []string{"sign"}
	verifying = []string{"verify"}
	both      = []string{"sign", "verify"}
)

func importKey(t *testing.T, format string, data []byte, algorithm crypto.Algorithm, usages []string) *crypto.Key {
	t.Helper()
	k, err := crypto.Import(format, data, nil, algorithm, false, usages)
	require.NoError(t, err)
	return k
}

// The vectors of RFC 4231 (HMAC), RFC 8032 (Ed25519) and FIPS 180 (digests).
func TestVectors(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"SHA-1":   "a9993e364706816aba3e25717850c26c9cd0d89d",
		"SHA-256": "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		"SHA-384": "cb00753f45a35e8bb5a03d699ac65007272c32ab0eded1631a8b605a43ff5bed8086072ba1e7cc2358baeca134c825a7",
		"SHA-512": "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f",
	} {
		sum, err := crypto.Digest(context.Background(), name, []byte("abc"))
		require.NoError(t, err)
		require.Equal(t, want, hex.EncodeToString(sum))
	}

	hmac := crypto.Algorithm{Name: crypto.HMAC, Hash: "SHA-256"}
	for _, v := range []struct{ key, data, want string }{
		{strings.Repeat("0b", 20), "4869205468657265", "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"},
		{"4a656665", "7768617420646f2079612077616e7420666f72206e6f7468696e673f", "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"},
		{strings.Repeat("aa", 20), strings.Repeat("dd", 50), "773ea91e36800e46854db8ebd09181a72959098b3ef8c122d9635514ced565fe"},
	} {
		k := importKey(t, "raw", unhex(t, v.key), hmac, both)
		got, err := k.Sign(context.Background(), hmac, unhex(t, v.data))
		require.NoError(t, err)
		require.Equal(t, v.want, hex.EncodeToString(got))
	}

	ed := crypto.Algorithm{Name: crypto.Ed25519}
	for _, v := range []struct{ key, data, signature string }{
		{"d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a", "", "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e065224901555fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"},
		{"3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c", "72", "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"},
	} {
		k := importKey(t, "raw", unhex(t, v.key), ed, verifying)
		ok, err := k.Verify(context.Background(), ed, unhex(t, v.signature), unhex(t, v.data))
		require.NoError(t, err)
		require.True(t, ok)
	}
}

// A pair is a key pair with how to use it.
type pair struct {
	name            string
	private, public *crypto.Key
	use             crypto.Algorithm
}

func pairs(t *testing.T) []pair {
	t.Helper()
	made := []pair{}
	add := func(name string, private, public any, algorithm, use crypto.Algorithm) {
		pkcs8, err := x509.MarshalPKCS8PrivateKey(private)
		require.NoError(t, err)
		spki, err := x509.MarshalPKIXPublicKey(public)
		require.NoError(t, err)
		made = append(made, pair{name, importKey(t, "pkcs8", pkcs8, algorithm, signing), importKey(t, "spki", spki, algorithm, verifying), use})
	}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	ed := crypto.Algorithm{Name: crypto.Ed25519}
	add("Ed25519", private, public, ed, ed)
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for _, hash := range []string{"SHA-1", "SHA-256", "SHA-384", "SHA-512"} {
		add("RSA "+hash, key, &key.PublicKey, crypto.Algorithm{Name: crypto.RSA, Hash: hash}, crypto.Algorithm{Name: crypto.RSA})
		add("RSA-PSS "+hash, key, &key.PublicKey, crypto.Algorithm{Name: crypto.RSAPSS, Hash: hash}, crypto.Algorithm{Name: crypto.RSAPSS, SaltLength: 20})
	}
	for name, curve := range map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()} {
		key, err := ecdsa.GenerateKey(curve, rand.Reader)
		require.NoError(t, err)
		add("ECDSA "+name, key, &key.PublicKey, crypto.Algorithm{Name: crypto.ECDSA, Curve: name}, crypto.Algorithm{Name: crypto.ECDSA, Hash: "SHA-256"})
	}
	return made
}

// What is signed is verified; nothing else is.
func TestSignAndVerify(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	for _, p := range pairs(t) {
		data := []byte("the data")
		signature, err := p.private.Sign(ctx, p.use, data)
		require.NoError(t, err, p.name)
		verify := func(signature, data []byte) bool {
			ok, err := p.public.Verify(ctx, p.use, signature, data)
			require.NoError(t, err, p.name)
			return ok
		}
		require.True(t, verify(signature, data), p.name)
		require.False(t, verify(signature, []byte("other data")), p.name)
		require.False(t, verify(nil, data), p.name)
		require.False(t, verify(append(slices.Clone(signature), 0), data), p.name)
		require.False(t, verify(signature[1:], data), p.name)
		require.False(t, verify(make([]byte, len(signature)), data), p.name)
		for _, i := range []int{0, len(signature) / 2, len(signature) - 1} {
			changed := slices.Clone(signature)
			changed[i] ^= 1
			require.False(t, verify(changed, data), "%s, byte %d", p.name, i)
		}

		var known *crypto.Error
		_, err = p.public.Sign(ctx, p.use, data)
		require.ErrorAs(t, err, &known, p.name)
		require.Equal(t, "InvalidAccessError", known.Name)
		_, err = p.private.Verify(ctx, p.use, signature, data)
		require.ErrorAs(t, err, &known, p.name)
		_, err = p.public.Verify(ctx, crypto.Algorithm{Name: crypto.HMAC}, signature, data)
		require.ErrorAs(t, err, &known, p.name)
	}
}

// Signatures that a careless check accepts.
func TestForgedSignatures(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	spki, err := x509.MarshalPKIXPublicKey(&key.PublicKey)
	require.NoError(t, err)
	ec := crypto.Algorithm{Name: crypto.ECDSA, Curve: "P-256", Hash: "SHA-256"}
	public := importKey(t, "spki", spki, ec, verifying)
	order := elliptic.P256().Params().N
	one, size := big.NewInt(1), 32
	for name, rs := range map[string][2]*big.Int{
		"r 0":         {new(big.Int), one},
		"s 0":         {one, new(big.Int)},
		"both 0":      {new(big.Int), new(big.Int)},
		"r the order": {order, one},
		"s the order": {one, order},
	} {
		signature := append(rs[0].FillBytes(make([]byte, size)), rs[1].FillBytes(make([]byte, size))...)
		ok, err := public.Verify(ctx, ec, signature, nil)
		require.NoError(t, err)
		require.False(t, ok, name)
	}
	der, err := ecdsa.SignASN1(rand.Reader, key, make([]byte, 32))
	require.NoError(t, err)
	ok, err := public.Verify(ctx, ec, der, nil)
	require.NoError(t, err)
	require.False(t, ok, "DER is not what Web Crypto takes")

	// With a key of small order a signature of zeros is one of anything.
	ed := crypto.Algorithm{Name: crypto.Ed25519}
	for _, point := range []string{
		"0000000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000000",
		"0100000000000000000000000000000000000000000000000000000000000080",
		"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
		"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	} {
		k := importKey(t, "raw", unhex(t, point), ed, verifying)
		signature := append(unhex(t, "0100000000000000000000000000000000000000000000000000000000000000"), make([]byte, 32)...)
		ok, err := k.Verify(ctx, ed, signature, []byte("anything"))
		require.NoError(t, err)
		require.False(t, ok, point)
	}
}

func b64(b []byte) string { return base64.RawURLEncoding.EncodeToString(b) }

func TestJWK(t *testing.T) {
	t.Parallel()
	ctx := context.Background()
	ed := crypto.Algorithm{Name: crypto.Ed25519}
	public, private, err := ed25519.GenerateKey(rand.Reader)
	require.NoError(t, err)
	jwk := crypto.JWK{Kty: "OKP", Crv: "Ed25519", X: b64(public)}
	k, err := crypto.Import("jwk", nil, &jwk, ed, true, verifying)
	require.NoError(t, err)
	ok, err := k.Verify(ctx, ed, ed25519.Sign(private, []byte("a")), []byte("a"))
	require.NoError(t, err)
	require.True(t, ok)

	key, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	rs := crypto.Algorithm{Name: crypto.RSA, Hash: "SHA-256"}
	rsaJWK := crypto.JWK{
		Kty: "RSA", Alg: "RS256", N: b64(key.N.Bytes()), E: "AQAB", HasD: true, HasPrimes: true,
		D: b64(key.D.Bytes()), P: b64(key.Primes[0].Bytes()), Q: b64(key.Primes[1].Bytes()),
		DP: b64(key.Precomputed.Dp.Bytes()), DQ: b64(key.Precomputed.Dq.Bytes()), QI: b64(key.Precomputed.Qinv.Bytes()),
	}
	k, err = crypto.Import("jwk", nil, &rsaJWK, rs, false, signing)
	require.NoError(t, err)
	signature, err := k.Sign(ctx, rs, []byte("a"))
	require.NoError(t, err)
	publicJWK := crypto.JWK{Kty: "RSA", N: rsaJWK.N, E: rsaJWK.E, KeyOps: verifying, HasKeyOps: true, Use: "sig"}
	k, err = crypto.Import("jwk", nil, &publicJWK, rs, false, verifying)
	require.NoError(t, err)
	ok, err = k.Verify(ctx, rs, signature, []byte("a"))
	require.NoError(t, err)
	require.True(t, ok)

	other, err := rsa.GenerateKey(rand.Reader, 2048)
	require.NoError(t, err)
	for name, change := range map[string]func(*crypto.JWK){
		"kind":             func(j *crypto.JWK) { j.Kty = "EC" },
		"algorithm":        func(j *crypto.JWK) { j.Alg = "RS512" },
		"use":              func(j *crypto.JWK) { j.Use = "enc" },
		"operations":       func(j *crypto.JWK) { j.KeyOps, j.HasKeyOps = verifying, true },
		"operation twice":  func(j *crypto.JWK) { j.KeyOps, j.HasKeyOps = []string{"sign", "sign"}, true },
		"no modulus":       func(j *crypto.JWK) { j.N = "" },
		"padded":           func(j *crypto.JWK) { j.N += "=" },
		"not Base64":       func(j *crypto.JWK) { j.N = "+" },
		"even exponent":    func(j *crypto.JWK) { j.E = "AQAA" },
		"exponent 1":       func(j *crypto.JWK) { j.E = "AQ" },
		"huge exponent":    func(j *crypto.JWK) { j.E = j.N },
		"short modulus":    func(j *crypto.JWK) { j.N = "AQAB" },
		"huge modulus":     func(j *crypto.JWK) { j.N = b64(append([]byte{1}, make([]byte, 8192/8)...)) },
		"other's prime":    func(j *crypto.JWK) { j.P = b64(other.Primes[0].Bytes()) },
		"other's exponent": func(j *crypto.JWK) { j.D = b64(other.D.Bytes()) },
		"wrong dp":         func(j *crypto.JWK) { j.DP = j.DQ },
		"no primes":        func(j *crypto.JWK) { j.HasPrimes = false },
		"more primes":      func(j *crypto.JWK) { j.HasOth = true },
	} {
		changed := rsaJWK
		change(&changed)
		_, err := crypto.Import("jwk", nil, &changed, rs, false, signing)
		var known *crypto.Error
		require.ErrorAs(t, err, &known, name)
	}
}

func TestImportRefuses(t *testing.T) {
	t.Parallel()
	hmac, ed := crypto.Algorithm{Name: crypto.HMAC, Hash: "SHA-256"}, crypto.Algorithm{Name: crypto.Ed25519}
	ec := crypto.Algorithm{Name: crypto.ECDSA, Curve: "P-256"}
	small, err := rsa.GenerateKey(rand.Reader, 1024)
	require.NoError(t, err)
	smallSPKI, err := x509.MarshalPKIXPublicKey(&small.PublicKey)
	require.NoError(t, err)
	notOnCurve := make([]byte, 65)
	notOnCurve[0], notOnCurve[64] = 4, 1
	for _, test := range []struct {
		name, format string
		data         []byte
		algorithm    crypto.Algorithm
		usages       []string
		want         string
	}{
		{name: "empty HMAC key", format: "raw", algorithm: hmac, usages: both, want: "DataError"},
		{name: "no usage", format: "raw", data: []byte("k"), algorithm: hmac, want: "SyntaxError"},
		{name: "foreign usage", format: "raw", data: []byte("k"), algorithm: hmac, usages: []string{"encrypt"}, want: "SyntaxError"},
		{name: "format", format: "spki", data: []byte("k"), algorithm: hmac, usages: both, want: "NotSupportedError"},
		{name: "longer than its data", format: "raw", data: []byte("k"), algorithm: crypto.Algorithm{Name: crypto.HMAC, Hash: "SHA-256", Length: 9, HasLength: true}, usages: both, want: "DataError"},
		{name: "shorter by a byte", format: "raw", data: []byte("kk"), algorithm: crypto.Algorithm{Name: crypto.HMAC, Hash: "SHA-256", Length: 8, HasLength: true}, usages: both, want: "DataError"},
		{name: "too long", format: "raw", data: make([]byte, 1<<20+1), algorithm: hmac, usages: both, want: "DataError"},
		{name: "short Ed25519", format: "raw", data: make([]byte, 31), algorithm: ed, usages: verifying, want: "DataError"},
		{name: "public key to sign", format: "raw", data: make([]byte, 32), algorithm: ed, usages: signing, want: "SyntaxError"},
		{name: "not DER", format: "spki", data: []byte("x"), algorithm: ed, usages: verifying, want: "DataError"},
		{name: "other kind", format: "spki", data: smallSPKI, algorithm: ed, usages: verifying, want: "DataError"},
		{name: "not on the curve", format: "raw", data: notOnCurve, algorithm: ec, usages: verifying, want: "DataError"},
		{name: "infinity", format: "raw", data: []byte{0}, algorithm: ec, usages: verifying, want: "DataError"},
		{name: "RSA raw", format: "raw", data: []byte("x"), algorithm: crypto.Algorithm{Name: crypto.RSA, Hash: "SHA-256"}, usages: verifying, want: "NotSupportedError"},
		{name: "huge DER", format: "pkcs8", data: make([]byte, 64<<10+1), algorithm: ec, usages: signing, want: "DataError"},
	} {
		_, err := crypto.Import(test.format, test.data, nil, test.algorithm, false, test.usages)
		var known *crypto.Error
		require.ErrorAs(t, err, &known, test.name)
		require.Equal(t, test.want, known.Name, test.name)
	}
	importKey(t, "spki", smallSPKI, crypto.Algorithm{Name: crypto.RSA, Hash: "SHA-256"}, verifying) // 1024 bits are enough
}

// A run whose time is over ends in the midst of a digest.
func TestDigestStops(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	_, err := crypto.Digest(ctx, "SHA-256", []byte("a"))
	require.ErrorIs(t, err, context.Canceled)
}
