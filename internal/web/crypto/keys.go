package crypto

import (
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/x509"
	"encoding/base64"
	"math/big"
	"slices"
)

// usages are all key usages, in the order in which a key lists its own.
var usages = []string{"encrypt", "decrypt", "sign", "verify", "deriveKey", "deriveBits", "wrapKey", "unwrapKey"}

// IsUsage reports whether a word is a KeyUsage.
func IsUsage(word string) bool { return slices.Contains(usages, word) }

// Limits of keys. Larger ones would take too long to use.
const (
	maxKeyData  = 64 << 10 // bytes
	maxRSABits  = 8192
	minRSABits  = 1024    // below it Go refuses to work
	maxRSAPKCS8 = 5 << 10 // bytes of a key of maxRSABits
	maxHMACData = 1 << 20
)

// A JWK is a JSON Web Key. Absent members are empty.
type JWK struct {
	Kty, Use, Alg, Crv      string
	KeyOps                  []string
	HasKeyOps               bool
	Ext, HasExt             bool
	K, X, Y, D              string
	N, E, P, Q, DP, DQ, QI  string
	HasD, HasOth, HasPrimes bool
}

var (
	errKey    = &Error{dataError, "the key data is not valid"}
	errFormat = &Error{notSupported, "the key cannot be imported from this format"}
)

// Import imports a key from data or, if the format is jwk, from a JWK.
func Import(format string, data []byte, jwk *JWK, algorithm Algorithm, extractable bool, wanted []string) (*Key, error) {
	k := &Key{Extractable: extractable, Algorithm: algorithm}
	for _, usage := range usages {
		if slices.Contains(wanted, usage) {
			k.Usages = append(k.Usages, usage)
		}
	}
	if len(data) > maxKeyData && algorithm.Name != HMAC || len(data) > maxHMACData {
		return nil, &Error{dataError, "the key data is too long"}
	}
	if jwk != nil {
		if err := k.checkJWK(jwk); err != nil {
			return nil, err
		}
	}
	var err error
	switch algorithm.Name {
	case HMAC:
		err = k.importHMAC(format, data, jwk)
	case Ed25519:
		err = k.importEd25519(format, data, jwk)
	case RSA, RSAPSS:
		err = k.importRSA(format, data, jwk)
	case ECDSA:
		err = k.importECDSA(format, data, jwk)
	}
	if err != nil {
		return nil, err
	}
	if k.Type != "public" && len(k.Usages) == 0 {
		return nil, &Error{syntaxError, "a " + k.Type + " key needs a usage"}
	}
	return k, nil
}

// is sets the type of the key, unless its usages do not suit that type.
func (k *Key) is(kind string) error {
	may := map[string][]string{"public": {"verify"}, "private": {"sign"}, "secret": {"sign", "verify"}}[kind]
	for _, usage := range k.Usages {
		if !slices.Contains(may, usage) {
			return &Error{syntaxError, "a " + kind + " key of " + k.Algorithm.Name + " is not for " + usage}
		}
	}
	k.Type = kind
	return nil
}

// checkJWK checks what a JWK says about the use of its key.
func (k *Key) checkJWK(jwk *JWK) error {
	if jwk.Use != "" && jwk.Use != "sig" && len(k.Usages) > 0 {
		return &Error{dataError, "the key is not for signatures"}
	}
	if jwk.HasKeyOps {
		for i, op := range jwk.KeyOps {
			if slices.Contains(jwk.KeyOps[:i], op) {
				return &Error{dataError, "key_ops has an operation twice"}
			}
		}
		for _, usage := range k.Usages {
			if !slices.Contains(jwk.KeyOps, usage) {
				return &Error{dataError, "key_ops does not have " + usage}
			}
		}
	}
	if jwk.HasExt && !jwk.Ext && k.Extractable {
		return &Error{dataError, "the key is not extractable"}
	}
	return nil
}

// decode decodes a required member of a JWK.
func decode(member string) ([]byte, error) {
	if member == "" {
		return nil, errKey
	}
	b, err := base64.RawURLEncoding.Strict().DecodeString(member)
	if err != nil || len(b) > maxKeyData {
		return nil, errKey
	}
	return b, nil
}

func (k *Key) importHMAC(format string, data []byte, jwk *JWK) error {
	if err := k.is("secret"); err != nil {
		return err
	}
	switch format {
	case "raw", "raw-secret":
	case "jwk":
		if jwk.Kty != "oct" || jwk.Alg != "" && jwk.Alg != "HS"+hashes[k.Algorithm.Hash].jwk {
			return errKey
		}
		var err error
		if data, err = decode(jwk.K); err != nil {
			return err
		}
	default:
		return errFormat
	}
	bits := len(data) * 8
	switch {
	case bits == 0:
		return &Error{dataError, "the key is empty"}
	case !k.Algorithm.HasLength:
		k.Algorithm.Length = bits
	case k.Algorithm.Length > bits || k.Algorithm.Length <= bits-8:
		return &Error{dataError, "the key does not have the length that is asked for"}
	}
	k.secret = slices.Clone(data)
	if spare := bits - k.Algorithm.Length; spare > 0 {
		k.secret[len(data)-1] &= 0xff << spare
	}
	return nil
}

func (k *Key) importEd25519(format string, data []byte, jwk *JWK) error {
	switch format {
	case "raw", "raw-public":
		return k.setEd25519(data)
	case "spki":
		public, err := x509.ParsePKIXPublicKey(data)
		key, ok := public.(ed25519.PublicKey)
		if err != nil || !ok {
			return errKey
		}
		return k.setEd25519(key)
	case "pkcs8":
		private, err := x509.ParsePKCS8PrivateKey(data)
		key, ok := private.(ed25519.PrivateKey)
		if err != nil || !ok {
			return errKey
		}
		k.edwardd = key
		return k.is("private")
	case "jwk":
		if jwk.Kty != "OKP" || jwk.Crv != Ed25519 || jwk.Alg != "" && jwk.Alg != Ed25519 && jwk.Alg != "EdDSA" {
			return errKey
		}
		x, err := decode(jwk.X)
		if err != nil {
			return err
		}
		if !jwk.HasD {
			return k.setEd25519(x)
		}
		if err := k.is("private"); err != nil {
			return err
		}
		seed, err := decode(jwk.D)
		if err != nil || len(seed) != ed25519.SeedSize {
			return errKey
		}
		k.edwardd = ed25519.NewKeyFromSeed(seed)
		if !k.edwardd.Public().(ed25519.PublicKey).Equal(ed25519.PublicKey(x)) {
			return errKey
		}
		return nil
	}
	return errFormat
}

func (k *Key) setEd25519(key []byte) error {
	if err := k.is("public"); err != nil {
		return err
	}
	if len(key) != ed25519.PublicKeySize {
		return errKey
	}
	k.edwards = slices.Clone(key)
	return nil
}

func (k *Key) importRSA(format string, data []byte, jwk *JWK) error {
	switch format {
	case "spki":
		if err := k.is("public"); err != nil {
			return err
		}
		public, err := x509.ParsePKIXPublicKey(data)
		key, ok := public.(*rsa.PublicKey)
		if err != nil || !ok {
			return errKey
		}
		return k.setRSA(key)
	case "pkcs8":
		if err := k.is("private"); err != nil {
			return err
		}
		if len(data) > maxRSAPKCS8 {
			return errKey
		}
		private, err := x509.ParsePKCS8PrivateKey(data)
		key, ok := private.(*rsa.PrivateKey)
		if err != nil || !ok {
			return errKey
		}
		k.rsad = key
		return k.setRSA(&key.PublicKey)
	case "jwk":
		return k.importRSAJWK(jwk)
	}
	return errFormat
}

func (k *Key) setRSA(key *rsa.PublicKey) error {
	if bits := key.N.BitLen(); bits < minRSABits || bits > maxRSABits {
		return &Error{notSupported, "RSA keys have from 1024 to 8192 bits"}
	}
	k.rsa, k.Algorithm.Length = key, key.N.BitLen()
	return nil
}

func (k *Key) importRSAJWK(jwk *JWK) error {
	prefix := "RS"
	if k.Algorithm.Name == RSAPSS {
		prefix = "PS"
	}
	if jwk.Kty != "RSA" || jwk.Alg != "" && jwk.Alg != prefix+hashes[k.Algorithm.Hash].jwk {
		return errKey
	}
	kind := "public"
	if jwk.HasD {
		kind = "private"
	}
	if err := k.is(kind); err != nil {
		return err
	}
	number := func(member string) *big.Int {
		b, err := decode(member)
		if err != nil || len(b) > maxRSABits/8 {
			return nil
		}
		return new(big.Int).SetBytes(b)
	}
	n, e := number(jwk.N), number(jwk.E)
	if n == nil || e == nil || !e.IsInt64() || e.Int64() < 3 || e.Int64() > 1<<31-1 || e.Bit(0) == 0 {
		return errKey
	}
	key := &rsa.PrivateKey{PublicKey: rsa.PublicKey{N: n, E: int(e.Int64())}}
	if err := k.setRSA(&key.PublicKey); err != nil || !jwk.HasD {
		return err
	}
	if jwk.HasOth || !jwk.HasPrimes {
		return &Error{notSupported, "a private RSA key needs two primes and what follows from them"}
	}
	key.D = number(jwk.D)
	key.Primes = []*big.Int{number(jwk.P), number(jwk.Q)}
	dp, dq, qi := number(jwk.DP), number(jwk.DQ), number(jwk.QI)
	for _, part := range []*big.Int{key.D, key.Primes[0], key.Primes[1], dp, dq, qi} {
		if part == nil || part.Sign() == 0 {
			return errKey
		}
	}
	if key.Validate() != nil {
		return errKey
	}
	key.Precompute()
	if key.Precomputed.Dp.Cmp(dp) != 0 || key.Precomputed.Dq.Cmp(dq) != 0 || key.Precomputed.Qinv.Cmp(qi) != 0 {
		return errKey
	}
	k.rsad = key
	return nil
}

var curves = map[string]elliptic.Curve{"P-256": elliptic.P256(), "P-384": elliptic.P384(), "P-521": elliptic.P521()}

// IsCurve reports whether a name is that of a curve that keys can be on.
func IsCurve(name string) bool { return curves[name] != nil }

func (k *Key) importECDSA(format string, data []byte, jwk *JWK) error {
	curve := curves[k.Algorithm.Curve]
	switch format {
	case "raw", "raw-public":
		return k.setECDSA(curve, data)
	case "spki":
		if err := k.is("public"); err != nil {
			return err
		}
		public, err := x509.ParsePKIXPublicKey(data)
		key, ok := public.(*ecdsa.PublicKey)
		if err != nil || !ok || key.Curve != curve {
			return errKey
		}
		k.ecdsa = key
		return nil
	case "pkcs8":
		if err := k.is("private"); err != nil {
			return err
		}
		private, err := x509.ParsePKCS8PrivateKey(data)
		key, ok := private.(*ecdsa.PrivateKey)
		if err != nil || !ok || key.Curve != curve {
			return errKey
		}
		k.ecdsad = key
		return nil
	case "jwk":
		alg := map[string]string{"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}[k.Algorithm.Curve]
		if jwk.Kty != "EC" || jwk.Crv != k.Algorithm.Curve || jwk.Alg != "" && jwk.Alg != alg {
			return errKey
		}
		size := (curve.Params().BitSize + 7) / 8
		x, errX := decode(jwk.X)
		y, errY := decode(jwk.Y)
		if errX != nil || errY != nil || len(x) != size || len(y) != size {
			return errKey
		}
		point := slices.Concat([]byte{4}, x, y)
		if !jwk.HasD {
			return k.setECDSA(curve, point)
		}
		if err := k.is("private"); err != nil {
			return err
		}
		d, err := decode(jwk.D)
		if err != nil || len(d) != size {
			return errKey
		}
		key, err := ecdsa.ParseRawPrivateKey(curve, d)
		if err != nil {
			return errKey
		}
		public, err := key.PublicKey.Bytes()
		if err != nil || !slices.Equal(public, point) {
			return errKey
		}
		k.ecdsad = key
		return nil
	}
	return errFormat
}

func (k *Key) setECDSA(curve elliptic.Curve, point []byte) error {
	if err := k.is("public"); err != nil {
		return err
	}
	key, err := ecdsa.ParseUncompressedPublicKey(curve, point)
	if err != nil {
		return errKey
	}
	k.ecdsa = key
	return nil
}
