package url

import (
	"net/url"
	"strings"
)

// ForRequest reads a URL as a browser does and returns it without its fragment, in
// a form that net/url reads as well: net/url takes no "%" in a path that begins no
// escape. A text that is no URL it returns unchanged.
func ForRequest(text string) string {
	u, err := Parse(text, nil)
	if err != nil {
		return text
	}
	href, _, _ := strings.Cut(u.Href(), "#")
	path, query, hasQuery := strings.Cut(href, "?")
	path = escapeBareSigns(path)
	if hasQuery {
		path += "?" + query
	}
	return path
}

// escapeBareSigns escapes each "%" that begins no escape.
func escapeBareSigns(s string) string {
	for from := 0; ; from++ {
		i := strings.IndexByte(s[from:], '%')
		if i < 0 {
			return s
		}
		from += i
		if _, err := url.PathUnescape(s[from:min(from+3, len(s))]); err != nil {
			s = s[:from] + "%25" + s[from+1:]
		}
	}
}
