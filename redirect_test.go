package callback_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
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

// TestHTTPClientRedirectToOtherScheme: the script's headers are dropped when a
// redirect changes the scheme, in either direction.
func TestHTTPClientRedirectToOtherScheme(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	defer certified.Close()
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		fmt.Fprintf(w, "%t %q", r.TLS != nil, r.Header.Get("X-Key"))
	}))
	config := certified.TLS.Clone()
	config.NextProtos = nil
	upstream.Listener = bothProtocols{upstream.Listener, config}
	upstream.Start()
	defer upstream.Close()
	secure := strings.Replace(upstream.URL, "http:", "https:", 1)
	for _, test := range []struct{ from, to, want string }{
		{upstream.URL, upstream.URL, `false "key"`},
		{secure, secure, `true "key"`},
		{secure, upstream.URL, `false ""`},
		{upstream.URL, secure, `true ""`},
	} {
		h, log := outboundHandler(t, `
			var answer = Spark.getHttp(Spark.getData().url).setHeaders({"X-Key": "key"}).get();
			Spark.setScriptData("RESPONSE_RAW", String(answer && answer.getResponseString()));
		`, &callback.HTTPClient{DangerouslyAllowPrivate: true, Transport: trusting(certified)})
		rec := callHello(h, "url", test.from+"/?"+url.Values{"to": {test.to}}.Encode())
		require.Equal(t, test.want, rec.Body.String(), log)
	}
}

func TestHTTPClientRedirectChain(t *testing.T) {
	var requests atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		hops, _ := strconv.Atoi(r.URL.Query().Get("left"))
		if hops == 0 {
			fmt.Fprint(w, "arrived")
			return
		}
		http.Redirect(w, r, fmt.Sprintf("/?left=%d", hops-1), http.StatusFound)
	}))
	defer upstream.Close()
	for _, c := range []struct {
		redirects int
		want      fetched
		requests  int64
	}{
		{0, fetched{Code: 200, Text: "arrived"}, 1},
		{5, fetched{Code: 200, Text: "arrived"}, 6},
		{6, fetched{Null: true}, 6},
		{1000, fetched{Null: true}, 6},
	} {
		requests.Store(0)
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		assert.Equal(t, c.want, fetch(t, h, "url", fmt.Sprintf("%s/?left=%d", upstream.URL, c.redirects)))
		assert.Equal(t, c.requests, requests.Load(), "%d redirects", c.redirects)
		assert.Equal(t, c.want.Null, strings.Contains(log.String(), `reason="too many redirects"`), log)
	}
}

func TestHTTPClientRedirectTargets(t *testing.T) {
	var location string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.WriteHeader(http.StatusFound)
	}))
	defer upstream.Close()
	for _, location = range []string{
		"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "javascript:alert(1)", "data:,x",
		"unix:///var/run/docker.sock", "http://", "https://[", "http://%zz/", ":", "http://a b/",
	} {
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		assert.True(t, fetch(t, h, "url", upstream.URL).Null, location)
		assert.Contains(t, log.String(), "callback: outbound request failed", location)
		assert.NotContains(t, log.String(), "docker.sock")
	}
	location = "" // without one the redirect is an answer like any other
	h, _ := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
	assert.Equal(t, fetched{Code: 302}, fetch(t, h, "url", upstream.URL))
}

// After a redirect to another host, port or scheme, the script's headers are never
// sent again, not even to the first host.
func TestHTTPClientRedirectDropsHeaders(t *testing.T) {
	type hop struct {
		at     string
		header http.Header
		body   string
		method string
	}
	var mu sync.Mutex
	var hops []hop
	upstream := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			hops = append(hops, hop{name, r.Header.Clone(), string(body), r.Method})
			mu.Unlock()
			to := r.URL.Query()["to"]
			if len(to) == 0 {
				fmt.Fprint(w, "arrived")
				return
			}
			code, next, _ := strings.Cut(to[0], " ")
			status, _ := strconv.Atoi(code)
			if rest := to[1:]; len(rest) > 0 {
				next += "?" + url.Values{"to": rest}.Encode()
			}
			w.Header().Set("Location", next)
			w.WriteHeader(status)
		}))
		t.Cleanup(s.Close)
		return s
	}
	a, b := upstream("a"), upstream("b")
	_, portA, _ := net.SplitHostPort(a.Listener.Addr().String())
	const script = `
		var http = Spark.getHttp(Spark.getData().url).setHeaders({
			"X-Api-Key": "key-0001", Cookie: "session=cookie-0001", "X-Custom": ["custom-0001", "custom-0002"],
			"Content-Type": "application/x-mine", "User-Agent": "agent-0001", Referer: "https://referer-0001/",
			"WWW-Authenticate": "www-0001", "Proxy-Authorization": "proxy-0001", "Cookie2": "cookie-0002",
		}).setBasicAuth("user-0001", "password-0001");
		var answer = http[Spark.getData().method]("body-0001");
		Spark.setScriptData("text", answer && answer.getResponseString());
	`
	for _, c := range []struct {
		name, method string
		to           []string // after a
		at           string   // the servers' names in turn
		kept         int      // how many requests have the script's headers
		bodies       int      // how many have the body
	}{
		{name: "same host", method: "get", to: []string{"302 /x"}, at: "aa", kept: 2},
		{name: "other port", method: "get", to: []string{"302 " + b.URL + "/x"}, at: "ab", kept: 1},
		{name: "away and back", method: "get", to: []string{"302 " + b.URL + "/x", "302 " + a.URL + "/x"}, at: "aba", kept: 1},
		{name: "other name", method: "get", to: []string{"302 http://other.test:" + portA + "/x"}, at: "aa", kept: 1},
		{name: "subdomain", method: "get", to: []string{"302 http://localhost.test:" + portA + "/x", "302 /y"}, at: "aaa", kept: 1},
		{name: "with credentials", method: "get", to: []string{"302 http://someone:else@127.0.0.1:" + portA + "/x"}, at: "aa", kept: 2},
		{name: "307 here", method: "postString", to: []string{"307 /x"}, at: "aa", kept: 2, bodies: 2},
		{name: "307 away", method: "postString", to: []string{"307 " + b.URL + "/x"}, at: "ab", kept: 1, bodies: 2},
		{name: "308 away and back", method: "postString", to: []string{"308 " + b.URL + "/x", "308 " + a.URL + "/x"}, at: "aba", kept: 1, bodies: 3},
		{name: "302 of a POST", method: "postString", to: []string{"302 /x"}, at: "aa", kept: 2, bodies: 1},
		{name: "303 of a PUT away", method: "putString", to: []string{"303 " + b.URL + "/x"}, at: "ab", kept: 1, bodies: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			hops = nil
			h, log := outboundHandler(t, script, &callback.HTTPClient{DangerouslyAllowPrivate: true})
			rec := callHello(h, "url", a.URL+"/?"+url.Values{"to": c.to}.Encode(), "method", c.method)
			require.JSONEq(t, `{"text":"arrived"}`, rec.Body.String(), log)
			at := ""
			for i, hop := range hops {
				at += hop.at
				_, told := hop.header["X-Api-Key"]
				if i < c.kept {
					assert.True(t, told, "request %d lacks the headers", i)
					assert.Equal(t, []string{"custom-0001", "custom-0002"}, hop.header["X-Custom"])
				} else {
					var text strings.Builder
					_ = hop.header.Write(&text)
					assert.NotContains(t, text.String(), "-000", "request %d", i)
					assert.NotContains(t, hop.header, "Authorization", "request %d", i)
				}
				if i > 0 {
					assert.NotContains(t, hop.header, "Referer", "request %d", i)
				}
				if i < c.bodies {
					assert.Equal(t, "body-0001", hop.body, "request %d", i)
					assert.Equal(t, "application/x-mine", hop.header.Get("Content-Type"), "request %d", i)
				} else {
					assert.Empty(t, hop.body, "request %d", i)
				}
			}
			assert.Equal(t, c.at, at)
		})
	}
}
