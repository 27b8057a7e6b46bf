// Package charset translates between UTF-8 and the encodings of the WHATWG
// encoding standard. A nil [encoding.Encoding] means UTF-8.
package charset

import (
	"bytes"
	"strings"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/htmlindex"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/unicode"
)

// Lookup finds an encoding by one of its labels. Labels of the standard's
// "replacement" encoding, which carries no text, are unknown.
func Lookup(label string) (charset encoding.Encoding, ok bool) {
	charset, name, ok := Named(label)
	if name == "utf-8" {
		return nil, true
	}
	return charset, ok
}

// Named finds an encoding as [Lookup] does, UTF-8 too, and its name.
func Named(label string) (charset encoding.Encoding, name string, ok bool) {
	switch strings.ToLower(label) { // which htmlindex lacks
	case "csunicode", "iso-10646-ucs-2", "ucs-2", "unicode", "unicodefeff":
		label = "utf-16le"
	case "unicodefffe":
		label = "utf-16be"
	}
	charset, err := htmlindex.Get(label)
	if err != nil || charset == encoding.Replacement {
		return nil, "", false
	}
	name, err = htmlindex.Name(charset)
	return charset, name, err == nil
}

// maxLabel is longer than any label, in bytes. A sender may write a longer one, for
// many fields.
const maxLabel = 64

// LookupLoosely finds an encoding as [Lookup] does, also by labels as senders
// write them: in quotes, with "_" for "-", with a "-" too many ("latin-1"). The
// empty label means UTF-8.
func LookupLoosely(label string) (charset encoding.Encoding, ok bool) {
	label = strings.Trim(label, " \t\"'")
	if label == "" {
		return nil, true
	}
	if len(label) > maxLabel {
		return nil, false
	}
	for _, spelling := range []string{label, strings.ReplaceAll(label, "_", "-"), strings.NewReplacer("_", "", "-", "").Replace(label)} {
		if charset, ok := Lookup(spelling); ok {
			return charset, true
		}
	}
	return nil, false
}

var (
	littleEndian = unicode.UTF16(unicode.LittleEndian, unicode.IgnoreBOM)
	bigEndian    = unicode.UTF16(unicode.BigEndian, unicode.IgnoreBOM)
)

// OfMark is the charset of a text with the byte order mark of UTF-16, which says
// more than the charset that is declared, if that is UTF-16 or none. For any other
// text it is the one declared.
func OfMark(s string, declared encoding.Encoding) encoding.Encoding {
	if declared != nil && declared != littleEndian && declared != bigEndian {
		return declared
	}
	switch {
	case strings.HasPrefix(s, "\xff\xfe"):
		return littleEndian
	case strings.HasPrefix(s, "\xfe\xff"):
		return bigEndian
	}
	return declared
}

// Decode decodes bytes in charset to valid UTF-8. Each part that cannot be
// decoded becomes U+FFFD.
func Decode(s string, charset encoding.Encoding) string {
	if charset != nil {
		if decoded, err := charset.NewDecoder().String(s); err == nil {
			s = decoded
		}
	}
	return ValidUTF8(s)
}

// ValidUTF8 replaces each byte that is not UTF-8 by U+FFFD.
func ValidUTF8(s string) string {
	if utf8.ValidString(s) {
		return s
	}
	return string([]rune(s)) // strings.ToValidUTF8 would replace several bytes in a row by a single U+FFFD
}

// Encode encodes UTF-8 in charset, which is not nil. A character that charset
// lacks becomes "?". In a charset with states, so does a character that would
// switch the state and change what follows.
func Encode(text []byte, charset encoding.Encoding) []byte {
	if charset == japanese.ISO2022JP { // the only charset here with states
		text = bytes.Map(func(r rune) rune {
			if r == '\x1b' || r == '\x0e' || r == '\x0f' {
				return '?'
			}
			return r
		}, text)
	}
	if encoded, err := charset.NewEncoder().Bytes(text); err == nil {
		return encoded
	}
	// Missing runes are replaced first and the whole text is encoded at once,
	// because some encoders keep state between characters.
	has := map[rune]bool{}
	known := strings.Map(func(r rune) rune {
		ok, seen := has[r]
		if !seen {
			_, err := charset.NewEncoder().String(string(r))
			ok = err == nil
			has[r] = ok
		}
		if !ok {
			return '?'
		}
		return r
	}, string(text))
	encoded, err := charset.NewEncoder().String(known)
	if err != nil {
		return []byte(known) // not reached: every rune has been tried
	}
	return []byte(encoded)
}
