// Package headers has what the library knows of HTTP headers.
package headers

import (
	"errors"
	"mime"
	"net/http"
	"strings"
)

// IsFraming reports whether a header belongs to the connection and not to the
// message.
func IsFraming(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Connection", "Content-Length", "Http2-Settings", "Keep-Alive",
		"Proxy-Authenticate", "Proxy-Authorization", "Proxy-Connection",
		"Te", "Trailer", "Transfer-Encoding", "Upgrade":
		return true
	}
	return false
}

// ActsBeyond reports whether a response header does something beyond its answer:
// on a proxy or web server in front, or on all of the origin and longer than the
// answer lasts.
func ActsBeyond(name string) bool {
	switch name = http.CanonicalHeaderKey(name); name {
	case "Alt-Svc", "Clear-Site-Data", "Nel", "Public-Key-Pins", "Public-Key-Pins-Report-Only",
		"Report-To", "Service-Worker-Allowed", "Set-Cookie", "Set-Cookie2", "Strict-Transport-Security":
		return true
	}
	for _, server := range [...]string{
		"X-Accel-",     // nginx: internal redirects, rates, caching
		"X-Lighttpd-",  // lighttpd: files of the server
		"X-Litespeed-", // LiteSpeed: internal redirects, purges of its cache
		"X-Reproxy-",   // Perlbal, and nginx modules: other URLs
		"X-Sendfile",   // Apache, and others: files of the server
	} {
		if strings.HasPrefix(name, server) {
			return true
		}
	}
	return false
}

// IsClients reports whether a header of an outbound request is the client's to
// set: as in a browser those of the connection and the host are, and with
// Accept-Encoding it would hand on answers that it has not inflated.
func IsClients(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Accept-Encoding", "Host":
		return true
	}
	return IsFraming(name)
}

// ParseMediaType is [mime.ParseMediaType] for what senders make of a
// Content-Type: it drops parameters from the first broken one on. Of a text
// that is no media type it returns nothing.
func ParseMediaType(text string) (mediaType string, params map[string]string) {
	for {
		mediaType, params, err := mime.ParseMediaType(text)
		if !errors.Is(err, mime.ErrInvalidMediaParameter) {
			return mediaType, params
		}
		text = text[:strings.LastIndexByte(text, ';')]
	}
}
