package callback

import (
	"cmp"
	"context"
	"net/http"
	"net/url"
	"path"
	"strings"
)

// Conceal hides the URLs of callbacks, which hold their secrets, from next: a
// router, or middleware that logs, measures or traces requests. Requests below
// prefix reach next with a URL that is only the prefix. A [Handler] that is
// mounted there in next answers by the URL that was sent, whatever its own
// Prefix. prefix is a path with its slashes; empty means "/callback/".
//
//	http.ListenAndServe(addr, callback.Conceal("/callback/", logging(tracing(mux))))
//
// So next can neither record a secret nor redirect to a URL with one. The server
// in front of Conceal still sees the URL.
func Conceal(prefix string, next http.Handler) http.Handler {
	prefix = cmp.Or(prefix, DefaultPrefix)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		below := strings.HasPrefix(r.URL.Path, prefix) ||
			strings.HasPrefix(path.Clean("/"+r.URL.Path)+"/", prefix) // where a router would redirect it to
		if !below {
			next.ServeHTTP(w, r)
			return
		}
		hidden := r.WithContext(context.WithValue(r.Context(), concealedKey{}, &concealed{r.URL, prefix}))
		hidden.URL = &url.URL{Path: prefix}
		hidden.RequestURI = prefix
		next.ServeHTTP(w, hidden)
	})
}

// A concealed holds the URL of a request that came through [Conceal].
type concealed struct {
	url    *url.URL
	prefix string
}

type concealedKey struct{}

// revealed returns the request as it was sent, and its target.
func revealed(r *http.Request) (*http.Request, target, bool) {
	c, ok := r.Context().Value(concealedKey{}).(*concealed)
	if !ok {
		return r, target{}, false
	}
	sent := *r // the middleware's request stays as it is
	sent.URL = c.url
	t, ok := parseTarget(escapedPath(c.url), c.prefix)
	return &sent, t, ok
}
