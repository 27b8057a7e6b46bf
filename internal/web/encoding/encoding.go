// Package encoding implements the Encoding Standard: the decoders of TextDecoder
// for every label, over golang.org/x/text. It is plain Go.
package encoding

import (
	"errors"
	"strings"
	"unicode/utf16"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/unicode"
	"golang.org/x/text/transform"

	"example.com/callback/internal/charset"
)

// ErrLabel means that a label names no encoding, or one that carries no text.
// ErrMalformed is the error of a fatal decoder.
var (
	ErrLabel     = errors.New("not the label of an encoding")
	ErrMalformed = errors.New("the data is not valid in its encoding")
)

// DecodeUTF8 decodes UTF-8. Each malformed part becomes one U+FFFD.
func DecodeUTF8(b []byte) string {
	if utf8.Valid(b) {
		return string(b)
	}
	text, err := unicode.UTF8.NewDecoder().Bytes(b)
	if err != nil {
		return strings.ToValidUTF8(string(b), "\ufffd")
	}
	return string(text)
}

// A Decoder is the state of a TextDecoder. It is not safe for concurrent use.
type Decoder struct {
	name             string
	fatal, ignoreBOM bool
	charset          encoding.Encoding // nil means UTF-16

	transformer transform.Transformer
	pending     []byte // bytes of earlier chunks that have not been decoded
	streaming   bool   // more chunks follow the last one
	started     bool   // text has been decoded, so no byte order mark follows
}

// asciiSpace is the white space that may surround a label.
const asciiSpace = "\t\n\f\r "

// New makes a decoder for an encoding by its label. A fatal decoder refuses what
// is malformed. A byte order mark is no part of the text unless ignoreBOM is set.
func New(label string, fatal, ignoreBOM bool) (*Decoder, error) {
	label = strings.Trim(label, asciiSpace)
	if strings.TrimSpace(label) != label {
		return nil, ErrLabel // htmlindex would strip more
	}
	enc, name, ok := charset.Named(label)
	if !ok {
		return nil, ErrLabel
	}
	d := &Decoder{name: name, fatal: fatal, ignoreBOM: ignoreBOM, charset: enc}
	switch name {
	case "utf-16le", "utf-16be":
		d.charset = nil
	case "gbk":
		d.charset = simplifiedchinese.GB18030
	case "iso-8859-8-i":
		d.charset = charmap.ISO8859_8
	}
	return d, nil
}

// Name is the encoding's name in lower case.
func (d *Decoder) Name() string { return d.name }

// Fatal and IgnoreBOM return the arguments of New.
func (d *Decoder) Fatal() bool     { return d.fatal }
func (d *Decoder) IgnoreBOM() bool { return d.ignoreBOM }

// Decode decodes a chunk. stream means that another chunk follows, in which a
// character may continue.
func (d *Decoder) Decode(chunk []byte, stream bool) (string, error) {
	if !d.streaming {
		d.transformer, d.pending, d.started = nil, nil, false
	}
	d.streaming = stream
	if len(d.pending) > 0 {
		chunk = append(d.pending, chunk...)
		d.pending = nil
	}
	var text string
	var rest []byte
	var valid bool
	switch {
	case d.charset == nil:
		text, rest, valid = d.utf16(chunk, stream)
	case d.name == "utf-8":
		text, rest, valid = decodeUTF8(chunk, stream)
	default:
		if table, ok := d.charset.(*charmap.Charmap); ok {
			text, valid = decodeSingle(chunk, table)
		} else {
			text, rest, valid = d.multi(chunk, stream)
		}
	}
	if d.fatal && !valid {
		return "", ErrMalformed
	}
	d.pending = append([]byte(nil), rest...)
	if text != "" && !d.started {
		d.started = true
		if !d.ignoreBOM && (d.charset == nil || d.name == "utf-8") {
			text = strings.TrimPrefix(text, "\ufeff")
		}
	}
	return text, nil
}

// decodeUTF8 keeps the incomplete character at the end of a chunk for the next
// one.
func decodeUTF8(chunk []byte, stream bool) (text string, rest []byte, valid bool) {
	if stream {
		for n := 1; n < utf8.UTFMax && n <= len(chunk); n++ {
			if tail := chunk[len(chunk)-n:]; utf8.RuneStart(tail[0]) {
				if tail[0] >= utf8.RuneSelf && !utf8.FullRune(tail) {
					chunk, rest = chunk[:len(chunk)-n], tail
				}
				break
			}
		}
	}
	return DecodeUTF8(chunk), rest, utf8.Valid(chunk)
}

func (d *Decoder) utf16(chunk []byte, stream bool) (text string, rest []byte, valid bool) {
	unit := func(i int) rune {
		if d.name == "utf-16le" {
			return rune(chunk[i]) | rune(chunk[i+1])<<8
		}
		return rune(chunk[i])<<8 | rune(chunk[i+1])
	}
	var b strings.Builder
	b.Grow(len(chunk)/2 + utf8.UTFMax)
	valid = true
	i := 0
	for ; i+1 < len(chunk); i += 2 {
		r := unit(i)
		if utf16.IsSurrogate(r) {
			if r < 0xdc00 && i+3 >= len(chunk) {
				break
			}
			pair := rune(utf8.RuneError)
			if i+3 < len(chunk) {
				pair = utf16.DecodeRune(r, unit(i+2))
			}
			if r = pair; r == utf8.RuneError {
				valid = false
			} else {
				i += 2
			}
		}
		b.WriteRune(r)
	}
	if i < len(chunk) && !stream { // half a unit, or half a pair and half a unit
		b.WriteRune(utf8.RuneError)
		return b.String(), nil, false
	}
	return b.String(), chunk[i:], valid
}

// decodeSingle decodes an encoding with one byte a character. Where the table is
// empty, the standard has C1 controls.
func decodeSingle(chunk []byte, table *charmap.Charmap) (text string, valid bool) {
	var b strings.Builder
	b.Grow(len(chunk))
	valid = true
	for _, c := range chunk {
		r := table.DecodeByte(c)
		if r == utf8.RuneError {
			if c >= 0x80 && c < 0xa0 {
				r = rune(c)
			} else {
				valid = false
			}
		}
		b.WriteRune(r)
	}
	return b.String(), valid
}

// multi decodes by x/text, whose decoders write U+FFFD for malformed input. Of
// these encodings only gb18030 can encode U+FFFD itself.
func (d *Decoder) multi(chunk []byte, stream bool) (text string, rest []byte, valid bool) {
	if d.transformer == nil {
		d.transformer = d.charset.NewDecoder().Transformer
	}
	out := make([]byte, 0, 2*len(chunk)+16)
	for {
		if cap(out)-len(out) < 16 {
			out = append(out, make([]byte, len(out)+16)...)[:len(out)]
		}
		wrote, read, err := d.transformer.Transform(out[len(out):cap(out)], chunk, !stream)
		out, chunk = out[:len(out)+wrote], chunk[read:]
		if err != transform.ErrShortDst {
			break
		}
	}
	if !stream && len(chunk) > 0 {
		out, chunk = append(out, "\ufffd"...), nil
	}
	text = string(out)
	return text, chunk, !strings.ContainsRune(text, utf8.RuneError)
}

// EncodeInto copies as much of s, as UTF-8, as fits into dst. It returns the
// number of UTF-16 code units that it has read and of bytes that it has written.
func EncodeInto(dst []byte, s string) (read, written int) {
	for _, r := range s {
		if written+utf8.RuneLen(r) > len(dst) {
			break
		}
		written += utf8.EncodeRune(dst[written:], r)
		read += utf16.RuneLen(r)
	}
	return read, written
}
