package callback_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// TestRedirectKeepsTheMethod follows redirects as browsers do: of 301 and 302
// only a POST becomes a GET, of 303 everything.
func TestRedirectKeepsTheMethod(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/end" {
			w.Header().Set("Location", "/end")
			w.WriteHeader(map[string]int{"/301": 301, "/302": 302, "/303": 303, "/307": 307, "/308": 308}[r.URL.Path])
			return
		}
		body, _ := io.ReadAll(r.Body)
		_, _ = io.WriteString(w, r.Method+" "+r.Header.Get("Content-Type")+" "+string(body))
	}))
	defer upstream.Close()
	client := &callback.HTTPClient{DangerouslyAllowPrivate: true}
	defer client.CloseIdleConnections()
	for _, test := range []struct{ send, status, want string }{
		{`putString("b")`, "301", "PUT text/plain; charset=utf-8 b"},
		{`putString("b")`, "302", "PUT text/plain; charset=utf-8 b"},
		{`putString("b")`, "303", "GET  "},
		{`putString("b")`, "307", "PUT text/plain; charset=utf-8 b"},
		{`postString("b")`, "301", "GET  "},
		{`postString("b")`, "302", "GET  "},
		{`postString("b")`, "308", "POST text/plain; charset=utf-8 b"},
		{`delete()`, "301", "DELETE  "},
		{`delete()`, "303", "GET  "},
		{`get()`, "302", "GET  "},
	} {
		h := &callback.Handler{
			Runner: &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {Data: []byte(
				`Spark.setScriptData("RESPONSE_RAW", Spark.getHttp("` + upstream.URL + `/` + test.status + `").` + test.send + `.getResponseString())`)}}},
			Secrets: callback.SecretMap{"E3/hello": "s3cret"},
			HTTP:    client,
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/callback/E3/hello/s3cret", nil))
		require.Equal(t, test.want, w.Body.String(), test.status+" "+test.send)
	}
}
