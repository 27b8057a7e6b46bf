// Package digest has the methods of SparkDigest.
package digest

import (
	"context"
	"crypto/hmac"
	"crypto/md5"
	"crypto/sha1"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/base64"
	"encoding/hex"
	"hash"
	"strings"
)

// A Member is a method of SparkDigest.
type Member struct {
	Name    string
	newHash func() hash.Hash
	form    *form
}

// Args are the names of the arguments, for error messages.
func (m *Member) Args() []string { return m.form.args }

// Sum takes as many strings as there are Args, in that order, and digests their
// bytes. Its error is an argError. Once ctx is done it returns soon, with a
// meaningless sum.
func (m *Member) Sum(ctx context.Context, args []string) (string, error) {
	return m.form.sum(ctx, m.newHash, args)
}

// argError says which argument of a Member is wrong. It does not hold the
// argument, which is a key. Its text is the end of a TypeError of the script, so
// it does not begin with "callback: ".
type argError struct {
	arg, msg string
}

func (e argError) Error() string { return e.arg + " " + e.msg }

// Members are the methods of SparkDigest in documented order.
func Members() []Member { return members[:] }

var members = [...]Member{
	{"hmacMd5Hex", md5.New, &hmacToHex},
	{"hmacMd5Base64", md5.New, &hmacToBase64},
	{"hmacMd5HexWithHexKey", md5.New, &hmacHexToHex},
	{"hmacMd5Base64WithBase64Key", md5.New, &hmacBase64ToBase64},
	{"hmacMd5Base64WithHexKey", md5.New, &hmacHexToBase64},
	{"hmacMd5HexWithBase64Key", md5.New, &hmacBase64ToHex},
	{"hmacSha1Hex", sha1.New, &hmacToHex},
	{"hmacSha1Base64", sha1.New, &hmacToBase64},
	{"hmacSha1HexWithHexKey", sha1.New, &hmacHexToHex},
	{"hmacSha1Base64WithBase64Key", sha1.New, &hmacBase64ToBase64},
	{"hmacSha1Base64WithHexKey", sha1.New, &hmacHexToBase64},
	{"hmacSha1HexWithBase64Key", sha1.New, &hmacBase64ToHex},
	{"hmacSha256Hex", sha256.New, &hmacToHex},
	{"hmacSha256Base64", sha256.New, &hmacToBase64},
	{"hmacSha256HexWithHexKey", sha256.New, &hmacHexToHex},
	{"hmacSha256Base64WithBase64Key", sha256.New, &hmacBase64ToBase64},
	{"hmacSha256Base64WithHexKey", sha256.New, &hmacHexToBase64},
	{"hmacSha256HexWithBase64Key", sha256.New, &hmacBase64ToHex},
	{"hmacSha384Hex", sha512.New384, &hmacToHex},
	{"hmacSha384Base64", sha512.New384, &hmacToBase64},
	{"hmacSha384HexWithHexKey", sha512.New384, &hmacHexToHex},
	{"hmacSha384Base64WithBase64Key", sha512.New384, &hmacBase64ToBase64},
	{"hmacSha384Base64WithHexKey", sha512.New384, &hmacHexToBase64},
	{"hmacSha384HexWithBase64Key", sha512.New384, &hmacBase64ToHex},
	{"hmacSha512Hex", sha512.New, &hmacToHex},
	{"hmacSha512Base64", sha512.New, &hmacToBase64},
	{"hmacSha512HexWithHexKey", sha512.New, &hmacHexToHex},
	{"hmacSha512Base64WithBase64Key", sha512.New, &hmacBase64ToBase64},
	{"hmacSha512Base64WithHexKey", sha512.New, &hmacHexToBase64},
	{"hmacSha512HexWithBase64Key", sha512.New, &hmacBase64ToHex},
	{"md2Hex", newMD2, &hashToHex},
	{"md2Base64", newMD2, &hashToBase64},
	{"md5Hex", md5.New, &hashToHex},
	{"md5Base64", md5.New, &hashToBase64},
	{"sha1Hex", sha1.New, &hashToHex},
	{"sha1Base64", sha1.New, &hashToBase64},
	{"sha256Hex", sha256.New, &hashToHex},
	{"sha256Base64", sha256.New, &hashToBase64},
	{"sha384Hex", sha512.New384, &hashToHex},
	{"sha384Base64", sha512.New384, &hashToBase64},
	{"sha512Hex", sha512.New, &hashToHex},
	{"sha512Base64", sha512.New, &hashToBase64},
}

// form is how a method reads its arguments and writes its result.
type form struct {
	args   []string
	key    func(string) (key []byte, problem string) // nil for a plain hash
	encode func([]byte) string
}

var (
	hashToHex          = form{[]string{"data"}, nil, hex.EncodeToString}
	hashToBase64       = form{[]string{"data"}, nil, encodeBase64}
	hmacToHex          = form{[]string{"key", "data"}, plainKey, hex.EncodeToString}
	hmacToBase64       = form{[]string{"key", "data"}, plainKey, encodeBase64}
	hmacHexToHex       = form{[]string{"hexKey", "data"}, hexKey, hex.EncodeToString}
	hmacHexToBase64    = form{[]string{"hexKey", "data"}, hexKey, encodeBase64}
	hmacBase64ToHex    = form{[]string{"base64Key", "data"}, base64Key, hex.EncodeToString}
	hmacBase64ToBase64 = form{[]string{"base64Key", "data"}, base64Key, encodeBase64}
)

func (f *form) sum(ctx context.Context, newHash func() hash.Hash, args []string) (string, error) {
	var h hash.Hash
	if f.key == nil {
		h = newHash()
	} else {
		key, problem := f.key(args[0])
		if problem != "" {
			return "", argError{f.args[0], problem}
		}
		h = hmac.New(newHash, key)
		args = args[1:]
	}
	writeString(ctx, h, args[0])
	return f.encode(h.Sum(nil)), nil
}

// writeString writes s in pieces until ctx is done. io.WriteString would copy all
// of s to the heap, because no hash has a WriteString method.
func writeString(ctx context.Context, h hash.Hash, s string) {
	buf := make([]byte, min(len(s), 1024))
	for len(s) > 0 && ctx.Err() == nil {
		n := copy(buf, s)
		h.Write(buf[:n])
		s = s[n:]
	}
}

func encodeBase64(b []byte) string { return base64.StdEncoding.EncodeToString(b) }

func plainKey(s string) ([]byte, string) { return []byte(s), "" }

func hexKey(s string) ([]byte, string) {
	key, err := hex.DecodeString(s)
	if err != nil {
		return nil, "is not valid hex"
	}
	return key, ""
}

// base64Key decodes the standard alphabet, with all of its padding or none.
func base64Key(s string) ([]byte, string) {
	encoding := base64.RawStdEncoding
	if strings.HasSuffix(s, "=") {
		encoding = base64.StdEncoding
	}
	key, err := encoding.DecodeString(s)
	// The decoder skips line breaks, but in a key they are a mistake.
	if err != nil || strings.ContainsAny(s, "\r\n") {
		return nil, "is not valid Base64"
	}
	return key, ""
}

// md2 is the hash of RFC 1319, which the standard library does not have.
type md2 struct {
	state    [16]byte
	checksum [16]byte
	block    [16]byte
	n        int // bytes of block in use, always fewer than its length
}

func newMD2() hash.Hash { return new(md2) }

func (d *md2) Reset()         { *d = md2{} }
func (d *md2) Size() int      { return len(d.state) }
func (d *md2) BlockSize() int { return len(d.block) }

func (d *md2) Write(p []byte) (int, error) {
	written := len(p)
	for len(p) > 0 {
		n := copy(d.block[d.n:], p)
		p = p[n:]
		if d.n += n; d.n == len(d.block) {
			d.mix()
			d.n = 0
		}
	}
	return written, nil
}

func (d *md2) Sum(b []byte) []byte {
	last := *d // the caller may go on writing to d
	padding := len(last.block) - last.n
	for i := last.n; i < len(last.block); i++ {
		last.block[i] = byte(padding)
	}
	last.mix()
	last.block = last.checksum
	last.mix()
	return append(b, last.state[:]...)
}

// mix adds the full block to the checksum and to the state.
func (d *md2) mix() {
	sum := d.checksum[15]
	for i, b := range d.block {
		// The RFC's text says "set" here. Its code says xor, and is right.
		d.checksum[i] ^= md2Table[b^sum]
		sum = d.checksum[i]
	}

	var x [48]byte
	copy(x[:], d.state[:])
	copy(x[16:], d.block[:])
	for i := range d.block {
		x[32+i] = d.state[i] ^ d.block[i]
	}
	var t byte
	for round := range 18 {
		for i := range x {
			x[i] ^= md2Table[t]
			t = x[i]
		}
		t += byte(round)
	}
	copy(d.state[:], x[:])
}

// md2Table is the permutation of the bytes that RFC 1319 makes from the
// digits of pi.
var md2Table = [256]byte{
	41, 46, 67, 201, 162, 216, 124, 1, 61, 54, 84, 161, 236, 240, 6, 19,
	98, 167, 5, 243, 192, 199, 115, 140, 152, 147, 43, 217, 188, 76, 130, 202,
	30, 155, 87, 60, 253, 212, 224, 22, 103, 66, 111, 24, 138, 23, 229, 18,
	190, 78, 196, 214, 218, 158, 222, 73, 160, 251, 245, 142, 187, 47, 238, 122,
	169, 104, 121, 145, 21, 178, 7, 63, 148, 194, 16, 137, 11, 34, 95, 33,
	128, 127, 93, 154, 90, 144, 50, 39, 53, 62, 204, 231, 191, 247, 151, 3,
	255, 25, 48, 179, 72, 165, 181, 209, 215, 94, 146, 42, 172, 86, 170, 198,
	79, 184, 56, 210, 150, 164, 125, 182, 118, 252, 107, 226, 156, 116, 4, 241,
	69, 157, 112, 89, 100, 113, 135, 32, 134, 91, 207, 101, 230, 45, 168, 2,
	27, 96, 37, 173, 174, 176, 185, 246, 28, 70, 97, 105, 52, 64, 126, 15,
	85, 71, 163, 35, 221, 81, 175, 58, 195, 92, 249, 206, 186, 197, 234, 38,
	44, 83, 13, 110, 133, 40, 132, 9, 211, 223, 205, 244, 65, 129, 77, 82,
	106, 220, 55, 200, 108, 193, 171, 250, 36, 225, 123, 8, 12, 189, 177, 74,
	120, 136, 149, 139, 227, 99, 232, 109, 233, 203, 213, 254, 59, 0, 29, 57,
	242, 239, 183, 14, 102, 88, 208, 228, 166, 119, 114, 248, 235, 117, 75, 10,
	49, 68, 80, 180, 143, 237, 31, 26, 219, 153, 141, 51, 159, 17, 131, 20,
}
