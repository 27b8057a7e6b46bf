// Package headers has what the library knows of HTTP headers.
package headers

import (
	"mime"
	"net/http"
	"strings"

	"golang.org/x/net/http/httpguts"
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
	case "Accept-Ch", "Alt-Svc", "Attribution-Reporting-Register-Source", "Attribution-Reporting-Register-Trigger",
		"Clear-Site-Data", "Expect-Ct", "Idp-Signin-Status", "Nel", "Public-Key-Pins", "Public-Key-Pins-Report-Only", "Report-To",
		"Sec-Session-Registration", "Secure-Session-Registration", "Service-Worker-Allowed", "Set-Cookie",
		"Set-Cookie2", "Set-Login", "Strict-Transport-Security", "Use-As-Dictionary":
		return true
	}
	for _, server := range [...]string{
		"X-Accel-",     // nginx: internal redirects, rates, caching
		"X-Envoy-",     // Envoy: the health of the server
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

// IsClients reports whether only the client may set a header of an outbound request.
// Those of the connection and the host belong to it, as in a browser. A script that
// set Accept-Encoding would get answers that the client has not inflated.
func IsClients(name string) bool {
	switch http.CanonicalHeaderKey(name) {
	case "Accept-Encoding", "Host":
		return true
	}
	return IsFraming(name)
}

// FormName returns the name of a part of a form, by its Content-Disposition. The
// name may be empty; ok is false if there is none. What is no proper header, such as
// a file name with blanks and no quotes, is read as far as it makes sense. Browsers
// write quotes and line breaks in a name as escapes, which are undone.
func FormName(disposition string) (name string, ok bool) {
	name, ok = rawFormName(disposition)
	return browserEscapes.Replace(name), ok
}

var browserEscapes = strings.NewReplacer("%22", `"`, "%0D", "\r", "%0A", "\n")

func rawFormName(disposition string) (name string, ok bool) {
	if _, params, err := mime.ParseMediaType(disposition); err == nil {
		name, ok = params["name"]
		return name, ok
	}
	rest := disposition
	for {
		_, after, ok := strings.Cut(rest, ";")
		if !ok {
			return "", false
		}
		i := strings.IndexAny(after, "=;")
		if i < 0 || after[i] == ';' { // no parameter
			rest = after
			continue
		}
		name, value := after[:i], after[i+1:]
		if strings.EqualFold(strings.TrimSpace(name), "name") {
			value, _ = cutValue(value)
			return value, true
		}
		_, rest = cutValue(value)
	}
}

// cutValue splits the value of a parameter from what follows it. A quote ends a
// quoted value only in front of a semicolon or of the end.
func cutValue(text string) (value, rest string) {
	text = strings.TrimLeft(text, " \t")
	quoted, ok := strings.CutPrefix(text, `"`)
	if !ok {
		i := strings.IndexByte(text, ';')
		if i < 0 {
			i = len(text)
		}
		return strings.TrimSpace(text[:i]), text[i:]
	}
	for i := 0; i < len(quoted); i++ {
		if quoted[i] != '"' {
			continue
		}
		after := strings.TrimLeft(quoted[i+1:], " \t")
		if after == "" || after[0] == ';' {
			return quoted[:i], after
		}
	}
	return quoted, ""
}

// ParseMediaType parses a Content-Type as the WHATWG does: the first parameter of a
// name counts, and a value without quotes extends to the semicolon. It also reads
// types with a blank or a comma where the semicolon should be. Of a text that is no
// media type it returns nothing.
func ParseMediaType(text string) (mediaType string, params map[string]string) {
	text = strings.Trim(text, " \t\r\n")
	end := strings.IndexAny(text, "; \t\r\n,")
	if end < 0 {
		end = len(text)
	}
	mediaType = strings.ToLower(text[:end])
	kind, subtype, ok := strings.Cut(mediaType, "/")
	if !ok || !isToken(kind) || !isToken(subtype) {
		return "", nil
	}
	for rest := text[end:]; rest != ""; {
		rest = strings.TrimLeft(rest, "; \t\r\n,")
		i := strings.IndexAny(rest, "=;")
		if i < 0 {
			break
		}
		name := strings.ToLower(rest[:i])
		if rest[i] == ';' { // no parameter
			rest = rest[i:]
			continue
		}
		var value string
		value, rest = cutParameter(rest[i+1:])
		if _, repeated := params[name]; value != "" && !repeated && isToken(name) {
			if params == nil {
				params = map[string]string{}
			}
			params[name] = value
		}
	}
	return mediaType, params
}

// cutParameter splits the value of a parameter of a media type from the semicolon
// behind it. Quotes are removed.
func cutParameter(text string) (value, rest string) {
	quoted, ok := strings.CutPrefix(text, `"`)
	if !ok {
		i := strings.IndexByte(text, ';')
		if i < 0 {
			i = len(text)
		}
		return strings.TrimRight(text[:i], " \t\r\n"), text[i:]
	}
	var b strings.Builder
	for i := 0; i < len(quoted); i++ {
		switch quoted[i] {
		case '"':
			_, rest, _ = strings.Cut(quoted[i:], ";")
			return b.String(), rest
		case '\\':
			i = min(i+1, len(quoted)-1)
		}
		b.WriteByte(quoted[i])
	}
	return b.String(), ""
}

// isToken reports whether s is a token of HTTP.
func isToken(s string) bool { return httpguts.ValidHeaderFieldName(s) }
