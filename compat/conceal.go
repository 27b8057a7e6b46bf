// Package compat tests that a [callback.Handler] works behind the routers and
// the middleware of others. Its README says where they differ.
package compat

import (
	"context"
	"net/http"
	"net/url"
	"strings"
)

type concealedURL struct{}

// conceal sends what is below prefix to next (a router, or middleware that
// logs, measures and traces) under a URL that is only the prefix, and gives h,
// which is mounted somewhere in next behind [revealed], the request's own URL
// again. So next has nothing secret to log, nothing to clean and nothing to
// redirect.
func conceal(prefix string, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, prefix) {
			next.ServeHTTP(w, r)
			return
		}
		hidden := r.WithContext(context.WithValue(r.Context(), concealedURL{}, r.URL))
		hidden.URL = &url.URL{Path: prefix}
		hidden.RequestURI = prefix
		next.ServeHTTP(w, hidden)
	})
}

// revealed gives h the URL that conceal took away.
func revealed(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if u, ok := r.Context().Value(concealedURL{}).(*url.URL); ok {
			r = r.WithContext(r.Context()) // a copy: r is also that of the middleware
			r.URL = u
		}
		h.ServeHTTP(w, r)
	})
}
