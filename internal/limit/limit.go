// Package limit has the limits of scripts, and cuts texts and streams that may be
// too long.
package limit

import (
	"io"
	"strings"
)

// Text returns s, cut to at most n bytes. A cut text ends in "…" and is valid
// UTF-8 if s is.
func Text(s string, n int) string {
	if len(s) > n {
		s = strings.ToValidUTF8(s[:n], "") + "…"
	}
	return s
}

// ReadAll reads r to its end. If there are more than n bytes, ok is false and
// data holds the first n+1.
func ReadAll(r io.Reader, n int64) (data []byte, ok bool, err error) {
	data, err = io.ReadAll(io.LimitReader(r, max(n, n+1))) // n+1 may overflow
	return data, int64(len(data)) <= n, err
}
