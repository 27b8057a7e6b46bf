// Package coding inflates request bodies.
package coding

import (
	"bufio"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"errors"
	"io"
	"strings"

	"example.com/callback/internal/charset"
)

// ErrUnsupported means that a body has an unknown coding.
var ErrUnsupported = errors.New("callback: content encoding not supported")

// maxCodings bounds the number of codings of one body.
const maxCodings = 4

// Reader returns a reader that decodes body by the values of its
// Content-Encoding. Values that name no coding but occur in practice ("identity",
// "none", a charset) are ignored. An empty body needs no decoding. inflated
// reports whether there is anything to decode. The reader does not bound the
// length of what it inflates.
func Reader(contentEncoding []string, body io.Reader) (reader io.Reader, inflated bool, err error) {
	var codings []string
	for _, value := range contentEncoding {
		for name := range strings.SplitSeq(value, ",") {
			switch name = strings.ToLower(strings.TrimSpace(name)); name {
			case "gzip", "x-gzip", "deflate":
				codings = append(codings, name)
			default:
				if !isNone(name) {
					return nil, false, ErrUnsupported
				}
			}
		}
	}
	if len(codings) > maxCodings {
		return nil, false, ErrUnsupported
	}
	for i := len(codings) - 1; i >= 0; i-- { // the last coding was applied last
		body = &inflater{coding: codings[i], from: body}
	}
	return body, len(codings) > 0, nil
}

// isNone reports whether a name stands for no coding.
func isNone(name string) bool {
	switch name {
	case "", "identity", "none", "binary", "7bit", "8bit", "utf8mb4":
		return true
	}
	_, ok := charset.LookupLoosely(name)
	return ok
}

// An inflater begins to inflate when it is first read.
type inflater struct {
	coding string
	from   io.Reader
	to     io.Reader
}

func (f *inflater) Read(p []byte) (int, error) {
	if f.to == nil {
		to, err := f.begin()
		if err != nil {
			return 0, err
		}
		f.to = to
	}
	return f.to.Read(p)
}

func (f *inflater) begin() (io.Reader, error) {
	buffered := bufio.NewReader(f.from)
	head, err := buffered.Peek(2)
	switch {
	case len(head) == 0:
		return nil, err // io.EOF: an empty body
	case f.coding != "deflate":
		return gzip.NewReader(buffered)
	case len(head) == 2 && head[0]&0x0f == 8 && (int(head[0])<<8|int(head[1]))%31 == 0:
		return zlib.NewReader(buffered)
	}
	return flate.NewReader(buffered), nil // some senders leave out zlib's header
}
