package callback_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"mime/multipart"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httptrace"
	"os"
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

// These tests show what case files cannot: how the Handler behaves over a real
// connection, and with hosts that are incomplete or fail.

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

// TestRefusalReadsNoBody sends only the header of a request. The answer must come
// without the body, and without a 100 Continue.
func TestRefusalReadsNoBody(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	server := serve(t, h)
	for _, test := range []struct {
		line   string
		header string
		status int
	}{
		{"POST /callback/E3/hello/wrong", "", 403},
		{"POST /callback/E4/hello/s3cret", "", 403},
		{"POST /callback/E3", "", 404},
		{"PUT " + helloURL, "", 405},
		{"POST " + helloURL, "Content-Encoding: nonsense\r\n", 415},
	} {
		for _, header := range []string{
			"Content-Length: 1000000\r\nExpect: 100-continue\r\n",
			"Content-Length: 1000000\r\n",
			"Transfer-Encoding: chunked\r\n",
		} {
			t.Run(fmt.Sprint(test.line, " ", test.header, header), func(t *testing.T) {
				t.Parallel()
				c := dial(t, server, test.line+" HTTP/1.1\r\nHost: x\r\n"+test.header+header+"\r\n")
				status, _ := c.answer(t)
				require.Equal(t, test.status, status)
			})
		}
	}
	t.Run("an authorised one does", func(t *testing.T) {
		t.Parallel()
		c := dial(t, server, "POST "+helloURL+" HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
		line, err := c.in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
		_, err = c.in.ReadString('\n')
		require.NoError(t, err)
		c.send(t, "abc")
		status, _ := c.answer(t)
		require.Equal(t, 200, status)
	})
}

// TestSlowBody: the reading of a body ends at the deadline.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.Timeout = 100 * time.Millisecond
	server := serve(t, h)
	for _, header := range []string{
		"Content-Type: text/plain\r\nContent-Length: 10\r\n\r\nabc",
		"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\n",
		"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\nContent-Dis",
		"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\nabc",
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			c := dial(t, server, "POST "+helloURL+" HTTP/1.1\r\nHost: x\r\n"+header)
			status, body := c.answer(t)
			require.Equal(t, 408, status)
			require.Equal(t, `{"error":"request body too slow"}`, body)
			_, err := c.in.ReadByte()
			require.ErrorIs(t, err, io.EOF, "the connection cannot be used further")
		})
	}
}

// TestBodyTooLarge stops reading where the limit is.
func TestBodyTooLarge(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.MaxBody = 1000
	server := serve(t, h)
	for name, rest := range map[string]string{
		"declared, and not sent": "Content-Length: 1001\r\n\r\n",
		"declared, to be asked":  "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
		"chunked":                "Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + strings.Repeat("x", 2000) + "\r\n",
		"chunked form":           "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + strings.Repeat("x", 2000) + "\r\n",
		"chunked part": "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
			"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" + strings.Repeat("x", 2000),
		"chunked header of a part": "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
			"--b\r\n" + strings.Repeat("x", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, server, "POST "+helloURL+" HTTP/1.1\r\nHost: x\r\n"+rest)
			status, body := c.answer(t)
			require.Equal(t, 413, status)
			require.Equal(t, `{"error":"request body too large"}`, body)
		})
	}
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

// TestClientGone cancels a run whose caller has hung up, also after a body was
// read under a deadline of its own.
func TestClientGone(t *testing.T) {
	t.Parallel()
	for method, rest := range map[string]string{"GET": "\r\n", "POST": "Content-Length: 3\r\n\r\nabc"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			running, ended := make(chan struct{}), make(chan error, 1)
			h, _ := httpHandler(``)
			h.Timeout, h.StopAbandoned = time.Minute, true
			h.Runner = callback.ScriptRunnerFunc(func(ctx context.Context, _ *callback.Call) (*callback.Result, error) {
				close(running)
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return nil, ctx.Err()
			})
			c := dial(t, serve(t, h), method+" "+helloURL+" HTTP/1.1\r\nHost: x\r\n"+rest)
			<-running
			require.NoError(t, c.Close())
			select {
			case err := <-ended:
				require.ErrorIs(t, err, context.Canceled)
			case <-time.After(time.Minute):
				t.Fatal("the run goes on")
			}
		})
	}
}

// TestClientGoneStopsScript does the same for a script that computes.
func TestClientGoneStopsScript(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(`Spark.started(); for (;;) {}`)
	h.Timeout, h.StopAbandoned = time.Minute, true
	goja := h.Runner
	started, ended := make(chan struct{}), make(chan error, 1)
	h.Members = callback.Members{"started": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
		close(started)
		return nil, nil
	}}}
	h.Runner = callback.ScriptRunnerFunc(func(ctx context.Context, call *callback.Call) (*callback.Result, error) {
		result, err := goja.RunScript(ctx, call)
		ended <- err
		return result, err
	})
	c := dial(t, serve(t, h), "GET "+helloURL+" HTTP/1.1\r\nHost: x\r\n\r\n")
	<-started
	require.NoError(t, c.Close())
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(time.Minute):
		t.Fatal("the script goes on")
	}
}

// TestCallerGoneIsNoFailure: a caller that goes away is logged as that, and not as an
// error of the script or of the store.
func TestCallerGoneIsNoFailure(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(h *callback.Handler, leave func()){
		"in the run": func(h *callback.Handler, leave func()) {
			h.Runner = callback.ScriptRunnerFunc(func(ctx context.Context, _ *callback.Call) (*callback.Result, error) {
				leave()
				<-ctx.Done()
				return nil, fmt.Errorf("interrupted: %w", ctx.Err())
			})
		},
		"in the store": func(h *callback.Handler, leave func()) {
			h.Secrets = storeFunc(func(ctx context.Context, _, _ string) ([]callback.Secret, error) {
				leave()
				<-ctx.Done()
				return nil, ctx.Err()
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(``)
			h.StopAbandoned = true
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			change(h, cancel)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, helloURL, nil).WithContext(ctx))
			require.Equal(t, 503, w.Code)
			require.Equal(t, `{"error":"cancelled"}`, w.Body.String())
			require.NotContains(t, log.String(), "ERROR")
			require.NotContains(t, log.String(), "failed")
			require.Equal(t, name == "in the run", strings.Contains(log.String(), "level=INFO"), log)
		})
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

// TestRunnerPanics: a runner that panics is a 500, and neither the answer nor the log
// has the value of the panic.
func TestRunnerPanics(t *testing.T) {
	t.Parallel()
	h, log := httpHandler(``)
	h.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
		panic("the value, s3cret")
	})
	w := get(t, h, helloURL)
	require.Equal(t, 500, w.Code)
	require.Equal(t, `{"error":"script failed"}`, w.Body.String())
	require.Contains(t, log.String(), "panic")
	require.Contains(t, log.String(), "TestRunnerPanics", "the stack")
	require.NotContains(t, log.String(), "the value")
	require.NotContains(t, log.String(), "s3cret")

	h.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
		panic(http.ErrAbortHandler)
	})
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { get(t, h, helloURL) })
}

// TestOthersPanic shows the same for the host's other functions.
func TestOthersPanic(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*callback.Handler){
		"store": func(h *callback.Handler) {
			h.Secrets = storeFunc(func(context.Context, string, string) ([]callback.Secret, error) { panic("s3cret") })
		},
		"client IP": func(h *callback.Handler) { h.ClientIP = func(*http.Request) string { panic("s3cret") } },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(``)
			change(h)
			w := get(t, h, helloURL)
			require.Equal(t, 500, w.Code)
			require.Equal(t, `{"error":"script failed"}`, w.Body.String())
			require.NotContains(t, log.String(), "s3cret")
		})
	}
}

// TestHTTPDoerPanics gives a script null for a client that panics.
func TestHTTPDoerPanics(t *testing.T) {
	t.Parallel()
	for name, doer := range map[string]callback.HTTPDoerFunc{
		"panic":   func(*http.Request) (*http.Response, error) { panic("s3cret") },
		"nothing": func(*http.Request) (*http.Response, error) { return nil, nil },
		"bad body": func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(brokenReader{})}, nil
		},
		"URL error": func(*http.Request) (*http.Response, error) {
			return nil, errors.New("Get http://api.example/token: s3cret")
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(`Spark.setScriptData("r", Spark.getHttp("http://api.example/token").get())`)
			h.HTTP = doer
			w := get(t, h, helloURL)
			require.Equal(t, `{"r":null}`, w.Body.String())
			require.NotContains(t, log.String(), "s3cret")
			require.NotContains(t, log.String(), "/token")
			require.NotEmpty(t, log.String())
		})
	}
	h, _ := httpHandler(`Spark.setScriptData("r", Spark.getHttp("http://api.example/").get().getHeaders())`)
	h.HTTP = callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200}, nil // no header and no body
	})
	require.Equal(t, `{"r":{}}`, get(t, h, helloURL).Body.String())
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("s3cret") }

// TestIncompleteHost: a Handler works without each optional field, and refuses calls
// without a required one.
func TestIncompleteHost(t *testing.T) {
	t.Parallel()
	w := get(t, new(callback.Handler), helloURL)
	require.Equal(t, 403, w.Code, "nil Secrets refuse everybody")

	h, log := httpHandler(``)
	h.Runner = nil
	w = get(t, h, helloURL)
	require.Equal(t, 500, w.Code)
	require.Equal(t, `{"error":"script failed"}`, w.Body.String())
	require.Contains(t, log.String(), "callback: Handler has no Runner")

	h, log = httpHandler(``)
	h.Runner = new(callback.GojaRunner)
	require.Equal(t, 500, get(t, h, helloURL).Code)
	require.Contains(t, log.String(), "the runner has no Scripts")

	h, _ = httpHandler(`
		Spark.getLog().debug("dropped by the default logger")
		Spark.setScriptData("ip", Spark.getClientIp())
	`)
	h.Logger = nil
	require.Equal(t, `{"ip":"192.0.2.1"}`, get(t, h, helloURL).Body.String())

	r := httptest.NewRequest(http.MethodPost, helloURL, nil)
	r.Body, r.RemoteAddr = nil, "no port" // as that of a Unix socket, "@"
	w = httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, `{"ip":""}`, w.Body.String())
}

// TestRunnerErrors shows which error is which answer.
func TestRunnerErrors(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err    error
		status int
		body   string
	}{
		{callback.ErrNoScript, 404, `{"error":"no script"}`},
		{fmt.Errorf("remote: %w", callback.ErrNoScript), 404, `{"error":"no script"}`},
		{fmt.Errorf("remote: %w", callback.ErrOverloaded), 503, `{"error":"overloaded"}`},
		{fmt.Errorf("remote: %w", context.DeadlineExceeded), 504, `{"error":"script timed out"}`},
		{&callback.ScriptError{Script: "a.js", Message: "late", Err: context.DeadlineExceeded}, 504, `{"error":"script timed out"}`},
		{&callback.ScriptError{Script: "a.js", Line: 7, Column: 3, Message: "wrong", Stack: "at f"}, 500, `{"error":"script failed"}`},
		{errors.New("wrong"), 500, `{"error":"script failed"}`},
		{nil, 200, `{}`},
	} {
		h, log := httpHandler(``)
		h.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) { return nil, test.err })
		w := get(t, h, helloURL)
		require.Equal(t, test.status, w.Code, "%v", test.err)
		require.Equal(t, test.body, w.Body.String(), "%v", test.err)
		if test.status == 503 {
			require.Equal(t, "1", w.Header().Get("Retry-After"))
		}
		if test.status == 500 {
			require.Contains(t, log.String(), "error=")
		}
		var script *callback.ScriptError
		if errors.As(test.err, &script) && script.Stack != "" {
			require.Contains(t, log.String(), `script=a.js line=7 column=3 error=wrong stack="at f"`)
		}
	}
}

// TestStoreFails: every error of a store is a 503, so that the sender of a webhook
// tries again.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		errors.New("connection lost"), callback.ErrNoScript, callback.ErrNoVersion,
		fmt.Errorf("vault: %w", callback.RetryAfter(callback.ErrTooMany, time.Second)),
	} {
		t.Run(err.Error(), func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(``)
			h.Secrets = storeFunc(func(context.Context, string, string) ([]callback.Secret, error) { return nil, err })
			for _, target := range []string{helloURL, "/callback/E3/srv/", "/callback/E3/hello/s3cret/p1"} {
				w := get(t, h, target)
				require.Equal(t, 503, w.Code)
				require.Equal(t, `{"error":"unavailable"}`, w.Body.String())
				require.Equal(t, "1", w.Header().Get("Retry-After"))
			}
			require.Contains(t, log.String(), err.Error())
			require.NotContains(t, log.String(), "s3cret")
			require.NotContains(t, log.String(), "srv")
		})
	}
}

// TestSecretsAsked shows with which names a store is asked.
func TestSecretsAsked(t *testing.T) {
	t.Parallel()
	var asked []string
	h, _ := httpHandler(``)
	h.Secrets = storeFunc(func(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
		asked = append(asked, apiKey+"|"+credential)
		return callback.SecretMap{"E3/hello": "s3cret", "E3/": "srv"}.Secrets(t.Context(), apiKey, credential)
	})
	for _, test := range []struct {
		target string
		asked  []string
	}{
		{"/callback/E3/srv/", []string{"E3|"}},
		{"/callback/E3/srv/p1", []string{"E3|"}}, // a valid server secret is no look-up key
		{"/callback/E3/hello/s3cret", []string{"E3|", "E3|hello"}},
		{"/callback/E3/hello/s3cret/p1", []string{"E3|", "E3|hello"}},
		{"/callback/E3/srv/p1/more", []string{"E3|", "E3|-"}},
		{"/callback/E3/srv/p1//", []string{"E3|", "E3|-"}},
		{"/callback/E3/nobody/s3cret", []string{"E3|", "E3|nobody"}},
		{"/callback/E3/no.body/s3cret", []string{"E3|", "E3|-"}}, // the same work
		{"/callback/E3/no%2Fbody/s3cret/p1", []string{"E3|", "E3|-"}},
	} {
		asked = nil
		get(t, h, test.target)
		require.Equal(t, test.asked, asked, test.target)
	}
}

// TestSecretRotation accepts each of several secrets.
func TestSecretRotation(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.Secrets = storeFunc(func(_ context.Context, _, credential string) ([]callback.Secret, error) {
		if credential == "" {
			return nil, nil
		}
		return []callback.Secret{callback.NewSecret("old"), {}, callback.NewSecret("new")}, nil
	})
	require.Equal(t, 200, get(t, h, "/callback/E3/hello/old").Code)
	require.Equal(t, 200, get(t, h, "/callback/E3/hello/new").Code)
	require.Equal(t, 403, get(t, h, "/callback/E3/hello/other").Code)
	require.Equal(t, 403, get(t, h, "/callback/E3/hello//").Code)
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

// TestMultipartLeavesNoFiles is not parallel: it moves the temporary folder.
func TestMultipartLeavesNoFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	const size = 48 << 20 // over what net/http keeps in memory by itself
	h, _ := httpHandler(``)
	h.MaxBody = 64 << 20
	h.Runner = callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, files)
		require.Len(t, call.Data[0].Values[0], size)
		panic("and a runner that panics leaves none")
	})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("f", "large.bin")
	require.NoError(t, err)
	_, err = part.Write(bytes.Repeat([]byte("x"), size))
	require.NoError(t, err)
	require.NoError(t, form.Close())
	r := httptest.NewRequest(http.MethodPost, helloURL, &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 500, w.Code)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files)
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
