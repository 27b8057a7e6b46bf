// Package crypto is the Web Cryptography API as far as checking and making
// signatures needs it: digests, keys, and HMAC, Ed25519, RSASSA-PKCS1-v1_5,
// RSA-PSS and ECDSA. The mathematics is Go's.
package crypto

import (
	"context"
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/hmac"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"hash"
	"math/big"
	"strings"
)

// An Error is a DOMException with a name, with which a promise is rejected.
type Error struct{ Name, Message string }

func (e *Error) Error() string { return e.Message }

// The names of errors, as the standard has them.
const (
	dataError         = "DataError"
	invalidAccess     = "InvalidAccessError"
	notSupported      = "NotSupportedError"
	operationError    = "OperationError"
	syntaxError       = "SyntaxError"
	typeMismatchError = "TypeMismatchError"
)

// The names of algorithms, as the standard spells them.
const (
	HMAC    = "HMAC"
	Ed25519 = "Ed25519"
	RSA     = "RSASSA-PKCS1-v1_5"
	RSAPSS  = "RSA-PSS"
	ECDSA   = "ECDSA"
)

// hashes are the digest algorithms.
var hashes = map[string]struct {
	id  crypto.Hash
	new func() hash.Hash
	jwk string // the digits after HS, RS and PS in the name of a JWK's algorithm
}{
	"SHA-1":   {crypto.SHA1, sha1.New, "1"},
	"SHA-256": {crypto.SHA256, sha256.New, "256"},
	"SHA-384": {crypto.SHA384, sha512.New384, "384"},
	"SHA-512": {crypto.SHA512, sha512.New, "512"},
}

// An Algorithm is a normalised AlgorithmIdentifier.
type Algorithm struct {
	Name       string
	Hash       string // empty if not given
	Curve      string // empty if not given
	Length     int    // of an HMAC key, in bits; zero means the length of its data
	SaltLength int    // of RSA-PSS
	HasLength  bool
}

// canonical finds a name regardless of its case.
func canonical(name string, names ...string) (string, bool) {
	for _, known := range names {
		if strings.EqualFold(name, known) {
			return known, true
		}
	}
	return "", false
}

// HashName finds a digest algorithm by its name.
func HashName(name string) (string, bool) {
	return canonical(name, "SHA-1", "SHA-256", "SHA-384", "SHA-512")
}

// SignatureName finds a signature algorithm by its name.
func SignatureName(name string) (string, bool) {
	return canonical(name, HMAC, Ed25519, RSA, RSAPSS, ECDSA)
}

// A Key is a CryptoKey.
type Key struct {
	Type        string // secret, public or private
	Extractable bool
	Algorithm   Algorithm
	Usages      []string // in the order of [usages]

	secret  []byte
	edwards ed25519.PublicKey
	edwardd ed25519.PrivateKey
	rsa     *rsa.PublicKey
	rsad    *rsa.PrivateKey
	ecdsa   *ecdsa.PublicKey
	ecdsad  *ecdsa.PrivateKey
}

// write feeds data to a hash until the context ends.
func write(ctx context.Context, h hash.Hash, data []byte) ([]byte, error) {
	const piece = 1 << 20
	for len(data) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(piece, len(data))
		h.Write(data[:n])
		data = data[n:]
	}
	return h.Sum(nil), nil
}

// Digest is the digest of data by an algorithm that [HashName] has found.
func Digest(ctx context.Context, name string, data []byte) ([]byte, error) {
	return write(ctx, hashes[name].new(), data)
}

// allow returns an error if the key must not be used in this way.
func (k *Key) allow(algorithm Algorithm, usage string) error {
	if algorithm.Name != k.Algorithm.Name {
		return &Error{invalidAccess, "the key is for " + k.Algorithm.Name}
	}
	for _, u := range k.Usages {
		if u == usage {
			return nil
		}
	}
	return &Error{invalidAccess, "the key may not " + usage}
}

// hashName is the digest to sign. For ECDSA each call names it.
func (k *Key) hashName(algorithm Algorithm) string {
	if k.Algorithm.Name == ECDSA {
		return algorithm.Hash
	}
	return k.Algorithm.Hash
}

// Sign signs data.
func (k *Key) Sign(ctx context.Context, algorithm Algorithm, data []byte) ([]byte, error) {
	if err := k.allow(algorithm, "sign"); err != nil {
		return nil, err
	}
	switch k.Algorithm.Name {
	case HMAC:
		return write(ctx, hmac.New(hashes[k.Algorithm.Hash].new, k.secret), data)
	case Ed25519:
		return ed25519.Sign(k.edwardd, data), nil
	}
	name := k.hashName(algorithm)
	sum, err := Digest(ctx, name, data)
	if err != nil {
		return nil, err
	}
	var signature []byte
	switch k.Algorithm.Name {
	case RSA:
		signature, err = rsa.SignPKCS1v15(nil, k.rsad, hashes[name].id, sum)
	case RSAPSS:
		if algorithm.SaltLength == 0 {
			return nil, errSalt
		}
		signature, err = rsa.SignPSS(rand.Reader, k.rsad, hashes[name].id, sum, &rsa.PSSOptions{SaltLength: algorithm.SaltLength})
	case ECDSA:
		var r, s *big.Int
		if r, s, err = ecdsa.Sign(rand.Reader, k.ecdsad, sum); err == nil {
			size := (k.ecdsad.Curve.Params().N.BitLen() + 7) / 8
			signature = make([]byte, 2*size)
			r.FillBytes(signature[:size])
			s.FillBytes(signature[size:])
		}
	}
	if err != nil {
		return nil, &Error{operationError, "the key cannot sign this"}
	}
	return signature, nil
}

var errSalt = &Error{notSupported, "a saltLength of 0 is not supported"}

// Verify reports whether signature is a signature of data.
func (k *Key) Verify(ctx context.Context, algorithm Algorithm, signature, data []byte) (bool, error) {
	if err := k.allow(algorithm, "verify"); err != nil {
		return false, err
	}
	switch k.Algorithm.Name {
	case HMAC:
		sum, err := write(ctx, hmac.New(hashes[k.Algorithm.Hash].new, k.secret), data)
		return err == nil && hmac.Equal(sum, signature), err
	case Ed25519:
		return len(signature) == ed25519.SignatureSize &&
			!smallOrder(k.edwards) && !smallOrder(signature[:32]) &&
			ed25519.Verify(k.edwards, data, signature), nil
	}
	name := k.hashName(algorithm)
	sum, err := Digest(ctx, name, data)
	if err != nil {
		return false, err
	}
	switch k.Algorithm.Name {
	case RSA:
		return rsa.VerifyPKCS1v15(k.rsa, hashes[name].id, sum, signature) == nil, nil
	case RSAPSS:
		if algorithm.SaltLength == 0 {
			return false, errSalt
		}
		return rsa.VerifyPSS(k.rsa, hashes[name].id, sum, signature, &rsa.PSSOptions{SaltLength: algorithm.SaltLength}) == nil, nil
	}
	size := (k.ecdsa.Curve.Params().N.BitLen() + 7) / 8
	if len(signature) != 2*size {
		return false, nil
	}
	r, s := new(big.Int).SetBytes(signature[:size]), new(big.Int).SetBytes(signature[size:])
	return ecdsa.Verify(k.ecdsa, sum, r, s), nil
}

// smallOrder reports whether a point of Ed25519 has an order of at most 8. A
// signature with such a key says nothing about its data.
func smallOrder(point []byte) bool {
	for _, small := range smallPoints {
		if string(point[:31]) == small[:31] && point[31]&0x7f == small[31]&0x7f {
			return true
		}
	}
	return false
}

// smallPoints are the encodings of the points of small order, without their sign.
var smallPoints = []string{
	strings.Repeat("\x00", 32),
	"\x01" + strings.Repeat("\x00", 31),
	"\x26\xe8\x95\x8f\xc2\xb2\x27\xb0\x45\xc3\xf4\x89\xf2\xef\x98\xf0\xd5\xdf\xac\x05\xd3\xc6\x33\x39\xb1\x38\x02\x88\x6d\x53\xfc\x05",
	"\xc7\x17\x6a\x70\x3d\x4d\xd8\x4f\xba\x3c\x0b\x76\x0d\x10\x67\x0f\x2a\x20\x53\xfa\x2c\x39\xcc\xc6\x4e\xc7\xfd\x77\x92\xac\x03\x7a",
	"\xec" + strings.Repeat("\xff", 30) + "\x7f",
	"\xed" + strings.Repeat("\xff", 30) + "\x7f",
	"\xee" + strings.Repeat("\xff", 30) + "\x7f",
}
