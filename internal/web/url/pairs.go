package url

import (
	"slices"
	"strings"
	"unicode/utf16"

	"example.com/callback/internal/web/encoding"
)

// A Pair is a name and a value, as in application/x-www-form-urlencoded.
type Pair struct{ Name, Value string }

// ParsePairs parses a form, or a query without its question mark.
func ParsePairs(s string) []Pair {
	var pairs []Pair
	for part := range strings.SplitSeq(s, "&") {
		if part != "" {
			name, value, _ := strings.Cut(part, "=")
			pairs = append(pairs, Pair{encoding.DecodeUTF8([]byte(DecodePart(name))), encoding.DecodeUTF8([]byte(DecodePart(value)))})
		}
	}
	return pairs
}

// DecodePart returns the bytes of a name or a value of a form or a query. A "%"
// that begins no escape stays.
func DecodePart(s string) string {
	if strings.IndexByte(s, '+') >= 0 {
		s = strings.ReplaceAll(s, "+", " ")
	}
	return percentDecode(s)
}

// EncodePairs is the inverse of [ParsePairs].
func EncodePairs(pairs []Pair) string {
	var b strings.Builder
	for i, pair := range pairs {
		if i > 0 {
			b.WriteByte('&')
		}
		encodePart(&b, pair.Name)
		b.WriteByte('=')
		encodePart(&b, pair.Value)
	}
	return b.String()
}

func encodePart(b *strings.Builder, s string) {
	for i := range len(s) {
		switch c := s[i]; {
		case c == ' ':
			b.WriteByte('+')
		case isAlpha(rune(c)) || isDigit(rune(c)) || c == '*' || c == '-' || c == '.' || c == '_':
			b.WriteByte(c)
		default:
			encodeByte(b, c)
		}
	}
}

// SortPairs sorts stably by name, in the order of UTF-16 code units.
func SortPairs(pairs []Pair) {
	slices.SortStableFunc(pairs, func(a, b Pair) int { return compareUTF16(a.Name, b.Name) })
}

func compareUTF16(a, b string) int {
	if isASCII(a) && isASCII(b) {
		return strings.Compare(a, b)
	}
	return slices.Compare(utf16.Encode([]rune(a)), utf16.Encode([]rune(b)))
}
