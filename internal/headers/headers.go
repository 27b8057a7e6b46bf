// Package headers knows the headers that are not a script's to set.
package headers

import "net/http"

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
