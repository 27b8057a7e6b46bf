package callback_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/callback"
	"example.com/callback/internal/testkit"
)

const helloURL = "/callback/E3/hello/s3cret"

// A storeFunc is a function as a [callback.SecretStore].
type storeFunc = testkit.StoreFunc[callback.Secret]

// httpHandler is a host with one script, and what it logs.
func httpHandler(script string) (*callback.Handler, *testkit.Log) {
	log := new(testkit.Log)
	return &callback.Handler{
		Runner: &callback.GojaRunner{Scripts: fstest.MapFS{
			"callbacks/hello.js": {Data: []byte(script)},
		}},
		Secrets: callback.SecretMap{"E3/hello": "s3cret", "E3/": "srv"},
		Logger:  log.Logger(),
	}, log
}

func serve(t *testing.T, h http.Handler) *httptest.Server {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	return server
}

// A rawConn is a connection of which a test writes every byte.
type rawConn struct {
	net.Conn
	in *bufio.Reader
}

func dial(t *testing.T, server *httptest.Server, text string) *rawConn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.SetDeadline(time.Now().Add(time.Minute)))
	c := &rawConn{conn, bufio.NewReader(conn)}
	c.send(t, text)
	return c
}

func (c *rawConn) send(t *testing.T, text string) {
	t.Helper()
	_, err := io.WriteString(c, text)
	require.NoError(t, err)
}

// answer reads one answer, a 100 Continue included.
func (c *rawConn) answer(t *testing.T) (status int, body string) {
	t.Helper()
	resp, err := http.ReadResponse(c.in, nil)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

func do(t *testing.T, client *http.Client, req *http.Request) (*http.Response, string) {
	t.Helper()
	resp, err := client.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp, string(body)
}

func get(t *testing.T, h http.Handler, target string) *httptest.ResponseRecorder {
	t.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	return w
}

// TestKeepAlive sends several requests over one connection, one after the other.
func TestKeepAlive(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(`
		var data = Spark.getData()
		Spark.setScriptData("RESPONSE_STATUS", Number(data.status || 200))
		if (data.fail) throw new Error("boom")
	`)
	hasty, _ := httpHandler(`for (;;) {}`)
	hasty.Prefix, hasty.Timeout = "/hasty/", time.Second
	mux := http.NewServeMux()
	mux.Handle("/callback/", h)
	mux.Handle("/hasty/", hasty)
	server := serve(t, mux)
	client := server.Client()
	reused := true
	trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) { reused = info.Reused }}
	ctx := httptrace.WithClientTrace(t.Context(), trace)
	for i, step := range []struct {
		method, target, body string
		status               int
	}{
		{method: "GET", target: helloURL, status: 200},
		{method: "POST", target: helloURL, body: "abc", status: 200},
		{method: "HEAD", target: helloURL, status: 200},
		{method: "POST", target: helloURL + "?fail=1", body: "abc", status: 500},
		{method: "POST", target: helloURL + "?status=404", body: "abc", status: 404},
		{method: "POST", target: helloURL + "?status=204", body: "abc", status: 204},
		{method: "POST", target: helloURL + "?status=304", body: "abc", status: 304},
		{method: "POST", target: helloURL + "?status=205", body: "abc", status: 205},
		{method: "POST", target: "/hasty/E3/hello/s3cret", body: "abc", status: 504},
		{method: "POST", target: helloURL, body: "abc", status: 200},
	} {
		req, err := http.NewRequestWithContext(ctx, step.method, server.URL+step.target, strings.NewReader(step.body))
		require.NoError(t, err)
		resp, body := do(t, client, req)
		require.Equal(t, step.status, resp.StatusCode, step)
		require.Equal(t, i > 0, reused, step)
		if step.method == "HEAD" {
			require.Empty(t, body)
			require.EqualValues(t, 2, resp.ContentLength)
		}
	}
}

// TestContextDeadline shows that an earlier deadline of the request counts.
func TestContextDeadline(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(`for (;;) {}`)
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
	defer cancel()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, helloURL, nil).WithContext(ctx))
	require.Equal(t, 504, w.Code)
}

// TestMaxInFlight: calls beyond the limit are refused, and a call that ends frees its
// place.
func TestMaxInFlight(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.MaxInFlight = 2
	var inside sync.WaitGroup
	inside.Add(2)
	leave := make(chan struct{})
	h.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
		inside.Done()
		<-leave
		return nil, nil
	})
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() { h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, helloURL, nil)) })
	}
	inside.Wait()
	w := get(t, h, helloURL)
	require.Equal(t, 503, w.Code)
	require.Equal(t, `{"error":"overloaded"}`, w.Body.String())
	require.Equal(t, "1", w.Header().Get("Retry-After"))
	require.Equal(t, 403, get(t, h, "/callback/E3/hello/wrong").Code, "who is refused does not count")
	close(leave)
	calls.Wait()
	inside.Add(1)
	require.Equal(t, 200, get(t, h, helloURL).Code)
}

// TestHTTP2 serves over HTTP/2, where a refusal must not disturb the
// connection's other requests.
func TestHTTP2(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(`Spark.setScriptData("n", Spark.getData().REQUEST_BODY.length)`)
	h.MaxBody = 1 << 20
	server := httptest.NewUnstartedServer(h)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	for _, test := range []struct {
		target string
		body   int
		status int
		want   string
	}{
		{helloURL, 100_000, 200, `{"n":100000}`},
		{"/callback/E3/hello/wrong", 1000, 403, `{"error":"forbidden"}`},
		{helloURL, 3, 200, `{"n":3}`},
		{helloURL, 2 << 20, 413, `{"error":"request body too large"}`},
		{helloURL, 4, 200, `{"n":4}`},
	} {
		req, err := http.NewRequest(http.MethodPost, server.URL+test.target, strings.NewReader(strings.Repeat("x", test.body)))
		require.NoError(t, err)
		resp, body := do(t, server.Client(), req)
		require.Equal(t, 2, resp.ProtoMajor)
		require.Equal(t, test.status, resp.StatusCode)
		require.Equal(t, test.want, body)
	}
}

// TestMuxes serves the same Handler from where hosts put it.
func TestMuxes(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(`Spark.setScriptData("p", Spark.getPlayer() && Spark.getPlayer().getPlayerId())`)
	root, _ := httpHandler(`Spark.setScriptData("p", Spark.getPlayer() && Spark.getPlayer().getPlayerId())`)
	root.Prefix = "/"
	mux := http.NewServeMux()
	mux.Handle("/callback/", h)
	mux.Handle("/stripped/", http.StripPrefix("/stripped", root))
	mux.Handle("/stripped2/", http.StripPrefix("/stripped2/", root))
	for target, want := range map[string]string{
		helloURL:                            `{"p":null}`,
		helloURL + "/":                      `{"p":null}`,
		helloURL + "/a%2Fb":                 `{"p":"a/b"}`,
		"/stripped/E3/hello/s3cret":         `{"p":null}`,
		"/stripped/E3/hello/s3cret/a%2Fb/":  `{"p":"a/b"}`,
		"/stripped2/E3/hello/s3cret/a%2Fb/": `{"p":"a/b"}`,
		"/stripped/E3/hello/%733cret/p%25":  `{"p":"p%"}`,
	} {
		w := get(t, mux, target)
		require.Equal(t, 200, w.Code, target)
		require.Equal(t, want, w.Body.String(), target)
	}
}

// TestClientIP asks the host's function, which knows its proxies.
func TestClientIP(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(`Spark.setScriptData("ip", Spark.getClientIp())`)
	h.ClientIP = func(r *http.Request) string { return r.Header.Get("X-Real-Ip") }
	r := httptest.NewRequest(http.MethodGet, helloURL, nil)
	r.Header.Set("X-Real-Ip", "2001:db8::1")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, `{"ip":"2001:db8::1"}`, w.Body.String())
}

// TestRunIDs are unique, and the same in the log and in the script.
func TestRunIDs(t *testing.T) {
	t.Parallel()
	h, log := httpHandler(`Spark.getLog().info("x"); Spark.setScriptData("RESPONSE_RAW", Spark.getSessionId())`)
	seen := map[string]bool{}
	for range 100 {
		id := get(t, h, helloURL).Body.String()
		require.False(t, seen[id])
		require.Greater(t, len(id), 16)
		require.Contains(t, log.String(), "run="+id)
		seen[id] = true
	}
}

// TestRedirects: the default client follows redirects as a browser does, and sends
// the script's headers to no other host. The upstreams of case files cannot show
// this.
func TestRedirects(t *testing.T) {
	t.Parallel()
	echo := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s auth=%t token=%s referer=%s", r.Method, body, r.Header.Get("Authorization") != "", r.Header.Get("X-Token"), r.Header.Get("Referer"))
	})
	other := serve(t, echo)
	api := http.NewServeMux()
	api.Handle("/echo", echo)
	api.HandleFunc("/to/{status}", func(w http.ResponseWriter, r *http.Request) {
		var status int
		fmt.Sscan(r.PathValue("status"), &status)
		w.Header().Set("Location", "/echo")
		w.WriteHeader(status)
	})
	api.HandleFunc("/away", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, other.URL+"/echo?x", http.StatusTemporaryRedirect)
	})
	api.HandleFunc("/hops/{n}", func(w http.ResponseWriter, r *http.Request) {
		var n int
		fmt.Sscan(r.PathValue("n"), &n)
		if n == 0 {
			fmt.Fprint(w, "arrived")
			return
		}
		http.Redirect(w, r, fmt.Sprint("/hops/", n-1), http.StatusFound)
	})
	server := serve(t, api)
	client := &callback.HTTPClient{DangerouslyAllowPrivate: true}
	t.Cleanup(client.CloseIdleConnections)
	for _, test := range []struct{ call, want, log string }{
		{`("/to/301").postString("b")`, "GET  auth=true token=t referer=", ""},
		{`("/to/302").postString("b")`, "GET  auth=true token=t referer=", ""},
		{`("/to/303").putString("b")`, "GET  auth=true token=t referer=", ""},
		{`("/to/307").postString("b")`, "POST b auth=true token=t referer=", ""},
		{`("/to/308").putString("b")`, "PUT b auth=true token=t referer=", ""},
		{`("/away").postString("b")`, "POST b auth=false token= referer=", ""},
		{`("/hops/5").get()`, "arrived", ""},
		{`("/hops/6").get()`, "null", "too many redirects"},
	} {
		h, log := httpHandler(`
			function http(path) { return Spark.getHttp("` + server.URL + `" + path).setHeaders({"X-Token": "t"}).setBasicAuth("u", "p") }
			var r = http` + test.call + `
			Spark.setScriptData("RESPONSE_RAW", r === null ? "null" : r.getResponseString())
		`)
		h.HTTP = client
		require.Equal(t, test.want, get(t, h, helloURL).Body.String(), test.call)
		require.Contains(t, log.String(), test.log)
		require.NotContains(t, log.String(), "/hops")
	}
}

// TestPrivateAddresses are not reached by default.
func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	reached := false
	server := serve(t, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached = true }))
	h, log := httpHandler(`Spark.setScriptData("r", Spark.getHttp("` + server.URL + `").get())`)
	require.Equal(t, `{"r":null}`, get(t, h, helloURL).Body.String())
	require.False(t, reached)
	require.Contains(t, log.String(), "address not allowed")
}

// TestNoGoroutinesLeft is not parallel: it counts what all of the process runs.
func TestNoGoroutinesLeft(t *testing.T) {
	ignore := goleak.IgnoreCurrent()
	h, _ := httpHandler(`
		var d = Spark.getData()
		if (d.loop) for (;;) {}
		if (d.exit) Spark.exit()
		if (d.fail) throw {get message() { for (;;) {} }}
		new Promise(function () {})
	`)
	h.Timeout = 50 * time.Millisecond
	server := httptest.NewServer(h)
	for _, query := range []string{"", "?loop=1", "?exit=1", "?fail=1", "?a=%zz"} {
		req, err := http.NewRequest(http.MethodPost, server.URL+helloURL+query, strings.NewReader("abc"))
		require.NoError(t, err)
		do(t, server.Client(), req)
	}
	server.Close()
	goleak.VerifyNone(t, ignore)
}

func TestClientIPOnUnixSocket(t *testing.T) {
	t.Parallel()
	h := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: script(`Spark.setScriptData("ip", Spark.getClientIp())`)},
		Secrets: callback.SecretMap{"E3/hello": "s3cret"},
	}
	for remote, want := range map[string]string{"@": "", "": "", "192.0.2.1:80": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::1"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/callback/E3/hello/s3cret", nil)
		r.RemoteAddr = remote
		h.ServeHTTP(w, r)
		require.Equal(t, `{"ip":"`+want+`"}`, w.Body.String())
	}
}
