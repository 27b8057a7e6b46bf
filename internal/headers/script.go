package headers

import (
	"bytes"
	"net/http"
	"slices"
	"strings"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/text/encoding"

	"example.com/callback/internal/charset"
	"example.com/callback/internal/rawjson"
)

// scriptData is the script data that holds the headers.
const scriptData = "RESPONSE_HEADERS"

// Limits of the headers that a script may set. Headers beyond them are dropped.
const (
	MaxScriptHeaders     = 100
	MaxScriptHeaderBytes = 64 << 10
)

// A Script sets the headers that a script gives for an answer. It drops invalid
// ones; the answer is sent without them.
type Script struct {
	Header  http.Header // of the answer; if nil, Set only checks
	Allowed []string    // headers that the script may set although they act beyond the answer

	Charset encoding.Encoding // of the body, which Content-Type changes
	Typed   bool              // the script has set Content-Type
	Dropped []Drop            // at most MaxScriptHeaders

	count, bytes int
	full         bool // one more would have been dropped: the rest of the headers is ignored
}

// A Drop is a header that is left out, and why. The name is RESPONSE_HEADERS if
// the value is not an object at all.
type Drop struct{ Name, Reason string }

// Set sets the headers in value, the compact JSON of an object of names to values. A
// value is a string, number or boolean, or an array of such values.
func (s *Script) Set(value []byte) {
	if value[0] != '{' {
		s.drop(scriptData, "not an object of names to values")
		return
	}
	for rest := value[1:]; rest[0] != '}'; {
		var name, value []byte
		var ok bool
		if name, value, rest, ok = rawjson.CutMember(rest); !ok {
			s.drop(scriptData, "not an object of names to values")
			return
		}
		s.set(name, value)
	}
}

func (s *Script) drop(name, reason string) {
	if s.full = len(s.Dropped) == MaxScriptHeaders; !s.full {
		s.Dropped = append(s.Dropped, Drop{name, reason})
	}
}

func (s *Script) set(name, value []byte) {
	switch {
	case s.full:
		return
	case !httpguts.ValidHeaderFieldName(string(name)):
		s.drop(string(name), "not a header name")
		return
	case IsFraming(string(name)):
		s.drop(string(name), "not a script's to set")
		return
	case ActsBeyond(string(name)) && !slices.ContainsFunc(s.Allowed, func(allowed string) bool { return strings.EqualFold(allowed, string(name)) }):
		s.drop(string(name), "acts beyond the answer, and the host does not allow it")
		return
	}
	if value[0] != '[' {
		s.add(name, value, false)
		return
	}
	repeated := false
	for rest := value[1:]; rest[0] != ']' && !s.full; {
		var value []byte
		var ok bool
		if value, rest, ok = rawjson.CutElement(rest); !ok {
			return
		}
		if s.add(name, value, repeated) {
			repeated = true
		}
	}
}

// add sets a header, or adds a value to it if repeat is set. It reports whether it
// has.
func (s *Script) add(name, value []byte, repeat bool) bool {
	if value[0] == '{' || value[0] == '[' || string(value) == "null" {
		s.drop(http.CanonicalHeaderKey(string(name)), "value is not a string, number or boolean")
		return false
	}
	text := rawjson.Text(value)
	if !httpguts.ValidHeaderFieldValue(string(text)) {
		s.drop(http.CanonicalHeaderKey(string(name)), "not a header value")
		return false
	}
	s.count++
	s.bytes += len(name) + len(text)
	if s.count > MaxScriptHeaders || s.bytes > MaxScriptHeaderBytes {
		s.drop(http.CanonicalHeaderKey(string(name)), "too many headers")
		return false
	}
	if strings.EqualFold(string(name), "Content-Type") && !s.setContentType(text) {
		return false
	}
	if s.Header == nil {
		return true
	}
	key := http.CanonicalHeaderKey(string(name))
	if repeat {
		s.Header[key] = append(s.Header[key], string(text))
	} else {
		s.Header[key] = []string{string(text)}
	}
	return true
}

// setContentType makes the charset of a Content-Type that of the body. It reports
// whether the header may be set.
func (s *Script) setContentType(text []byte) bool {
	if s.Typed {
		s.drop("Content-Type", "set twice")
		return false
	}
	var enc encoding.Encoding
	if bytes.IndexByte(text, ';') >= 0 { // it has parameters
		if _, params := ParseMediaType(string(text)); params != nil {
			if label, ok := params["charset"]; ok {
				if enc, ok = charset.Lookup(label); !ok {
					s.drop("Content-Type", "unknown charset")
					return false
				}
			}
		}
	}
	s.Charset, s.Typed = enc, true
	return true
}
