package url

import (
	"strings"
	"unicode/utf8"
)

// An encodeSet is a percent-encode set. It lists ASCII code points; all sets also
// have the C0 controls, DEL and everything that is not ASCII.
type encodeSet string

const (
	controlSet      encodeSet = ""
	fragmentSet     encodeSet = " \"<>`"
	querySet        encodeSet = " \"#<>"
	specialQuerySet           = querySet + "'"
	pathSet                   = querySet + "?^`{}"
	userinfoSet               = pathSet + "/:;=@[\\]|"
)

const upperHex = "0123456789ABCDEF"

func encodeByte(b *strings.Builder, c byte) {
	b.WriteByte('%')
	b.WriteByte(upperHex[c>>4])
	b.WriteByte(upperHex[c&15])
}

func encodeRune(b *strings.Builder, r rune, set encodeSet) {
	if r > 0x1f && r < 0x7f && strings.IndexByte(string(set), byte(r)) < 0 {
		b.WriteByte(byte(r))
		return
	}
	var bytes [utf8.UTFMax]byte
	for _, c := range bytes[:utf8.EncodeRune(bytes[:], r)] {
		encodeByte(b, c)
	}
}

func percentEncode(s string, set encodeSet) string {
	var b strings.Builder
	for _, r := range s {
		encodeRune(&b, r, set)
	}
	return b.String()
}

func unhex(c byte) byte {
	if c <= '9' {
		return c - '0'
	}
	return c | 0x20 - 'a' + 10
}

// percentDecode decodes percent escapes. A "%" that begins no escape stays.
func percentDecode(s string) string {
	if strings.IndexByte(s, '%') < 0 {
		return s
	}
	decoded := make([]byte, 0, len(s))
	for i := 0; i < len(s); i++ {
		if s[i] == '%' && i+2 < len(s) && isHex(rune(s[i+1])) && isHex(rune(s[i+2])) {
			decoded = append(decoded, unhex(s[i+1])<<4|unhex(s[i+2]))
			i += 2
		} else {
			decoded = append(decoded, s[i])
		}
	}
	return string(decoded)
}
