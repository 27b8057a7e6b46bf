// Package rawjson takes compact JSON apart without decoding it. Compact means
// without white space between tokens. It does not validate: for malformed JSON a
// function returns false or panics.
package rawjson

import (
	"bytes"
	"encoding/json"
)

// Text returns the text of a JSON string, and any other value as it is.
func Text(value []byte) []byte {
	if value[0] != '"' {
		return value
	}
	if inner := value[1 : len(value)-1]; bytes.IndexByte(inner, '\\') < 0 {
		return inner
	}
	var text string
	if json.Unmarshal(value, &text) != nil {
		return value
	}
	return []byte(text)
}

// CutMember returns the first of the members of an object, with its name as text,
// and those that follow.
func CutMember(members []byte) (name, value, rest []byte, ok bool) {
	key, after, ok := cutValue(members)
	if !ok || key[0] != '"' || after[0] != ':' {
		return nil, nil, nil, false
	}
	value, rest, ok = CutElement(after[1:])
	return Text(key), value, rest, ok
}

// CutElement returns the first of the elements of an array, and those that follow.
func CutElement(elements []byte) (value, rest []byte, ok bool) {
	if value, rest, ok = cutValue(elements); ok && rest[0] == ',' {
		rest = rest[1:]
	}
	return value, rest, ok
}

// cutValue splits text after its first value.
func cutValue(text []byte) (value, rest []byte, ok bool) {
	depth := 0
	for i := 0; i < len(text); i++ {
		switch text[i] {
		case '"':
			for i++; i < len(text) && text[i] != '"'; i++ {
				if text[i] == '\\' {
					i++
				}
			}
		case '[', '{':
			depth++
		case ']', '}':
			if depth == 0 {
				return text[:i], text[i:], i > 0
			}
			depth--
		case ',', ':':
			if depth == 0 {
				return text[:i], text[i:], i > 0
			}
		}
	}
	return nil, nil, false
}
