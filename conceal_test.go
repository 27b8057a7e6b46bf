package callback_test

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

func TestConceal(t *testing.T) {
	t.Parallel()
	const script = `Spark.setScriptData("q", Spark.getData().q)`
	for _, test := range []struct {
		name    string
		prefix  string // of Conceal
		handler string // Handler.Prefix
		mount   func(http.Handler) http.Handler
	}{
		{"on a mux", "", "", func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/callback/", h)
			return mux
		}},
		{"stripped", "/api/callback/", "/", func(h http.Handler) http.Handler {
			mux := http.NewServeMux()
			mux.Handle("/api/callback/", http.StripPrefix("/api/callback", h))
			return mux
		}},
		{"another prefix than the Handler's", "/hooks/", "/callback/", func(h http.Handler) http.Handler { return h }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, _ := httpHandler(script)
			h.Prefix = test.handler
			var seen string
			mounted := test.mount(h)
			concealing := callback.Conceal(test.prefix, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				mounted.ServeHTTP(w, r)
				seen = fmt.Sprintf("%+v %s %s %v", r, r.URL, r.RequestURI, r.Context())
			}))
			prefix := test.prefix
			if prefix == "" {
				prefix = "/callback/"
			}
			for path, want := range map[string]string{
				"E3/hello/s3cret?q=t0ken":           `200 {"q":"t0ken"}`,
				"E3/hello/s3cret/?q=t0ken":          `200 {"q":"t0ken"}`,
				"E3/hello/wrong?q=t0ken":            `403 {"error":"forbidden"}`,
				"E3//hello/s3cret?q=t0ken":          `403 {"error":"forbidden"}`,
				"E3/hello/../hello/s3cret?q=t0ken":  `404 {"error":"not found"}`,
				"E3/hello/s3cret/p/too/deep?q=0ken": `404 {"error":"not found"}`,
				"":                                  `404 {"error":"not found"}`,
			} {
				r := httptest.NewRequest(http.MethodGet, prefix+path, nil)
				sent := r.URL.String()
				w := httptest.NewRecorder()
				concealing.ServeHTTP(w, r)
				require.Equal(t, want, fmt.Sprint(w.Code, " ", w.Body), path)
				require.NotContains(t, seen, "s3cret")
				require.NotContains(t, seen, "t0ken")
				require.Empty(t, w.Header().Get("Location"))
				require.Equal(t, sent, r.URL.String(), "the request of whoever is in front stays as it is")
			}
		})
	}
}

// TestConcealElsewhere: a request that is not below the prefix is passed on
// unchanged, unless a router would redirect it to the prefix.
func TestConcealElsewhere(t *testing.T) {
	t.Parallel()
	var seen string
	h := callback.Conceal("", http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { seen = r.URL.Path }))
	for path, want := range map[string]string{
		"/":                             "/",
		"/health":                       "/health",
		"/callbacks/x":                  "/callbacks/x",
		"/docs/callback/x":              "/docs/callback/x",
		"/callback":                     "/callback/",
		"//callback/E3/hello/s3cret":    "/callback/",
		"/x/../callback/E3/hello/s":     "/callback/",
		"/callback/../x":                "/callback/",
		"/%63allback/E3/hello/s3cret":   "/callback/",
		"/callback%2fE3%2fhello/s3cret": "/callback/",
	} {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, path, nil))
		require.Equal(t, want, seen, path)
	}
}
