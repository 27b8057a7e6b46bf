package callback_test

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/callback"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

// An HTTPDoer that breaks its contract harms only its own call: the caller gets an
// answer, the server goes on, and no run remains once the HTTPDoer has returned.
func TestHTTPDoerMisbehaves(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	body := func(r io.Reader) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(r)}, nil
		}
	}
	for _, c := range []struct {
		name   string
		do     callback.HTTPDoerFunc
		status int
		body   string
		log    string
	}{
		{name: "panics", do: func(*http.Request) (*http.Response, error) { panic("panic-0001") },
			status: 200, body: `{"null":true}`, log: "callback: panic in the HTTPDoer"},
		{name: "panics with nil", do: func(*http.Request) (*http.Response, error) { panic(nil) },
			status: 200, body: `{"null":true}`, log: "callback: panic in the HTTPDoer"},
		{name: "dereferences nil", do: func(*http.Request) (*http.Response, error) { var r *http.Response; return nil, errors.New(r.Status) },
			status: 200, body: `{"null":true}`, log: "callback: panic in the HTTPDoer"},
		{name: "aborts", do: func(*http.Request) (*http.Response, error) { panic(http.ErrAbortHandler) },
			status: 200, body: `{"null":true}`, log: "callback: panic in the HTTPDoer"},
		{name: "nothing", do: func(*http.Request) (*http.Response, error) { return nil, nil },
			status: 200, body: `{"null":true}`, log: "callback: outbound request failed"},
		{name: "an error with the URL", do: func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("GET %s: %v", r.URL, r.Header)
		}, status: 200, body: `{"null":true}`, log: "callback: outbound request failed"},
		{name: "an error and an answer", do: func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200}, errors.New("both")
		}, status: 200, body: `{"null":true}`, log: "callback: outbound request failed"},
		{name: "no body", do: func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 204}, nil },
			status: 200, body: `{"null":false,"code":204,"text":""}`},
		{name: "no header", do: body(strings.NewReader("text")), status: 200, body: `{"null":false,"code":200,"text":"text"}`},
		{name: "body fails", do: body(io.MultiReader(strings.NewReader("text"), readerFunc(func([]byte) (int, error) { return 0, errors.New("broken") }))),
			status: 200, body: `{"null":true}`, log: "callback: outbound request failed"},
		{name: "body panics", do: body(readerFunc(func([]byte) (int, error) { panic("panic-0001") })),
			status: 200, body: `{"null":true}`, log: "callback: panic in the HTTPDoer"},
		{name: "body without end", do: body(readerFunc(func(p []byte) (int, error) { return len(p), nil })),
			status: 200, body: `{"null":true}`, log: `reason="answer too large"`},
		{name: "status below zero", do: func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: -5}, nil },
			status: 200, body: `{"null":false,"code":-5,"text":""}`},
		{name: "ends its goroutine", do: func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil },
			status: 500, body: `{"error":"script failed"}`, log: "callback: script failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, log := outboundHandler(t, fetchScript, c.do)
			rec := callHello(h, "url", "http://user:password-0001@upstream.test/path-0001?query-0001")
			assert.Equal(t, c.status, rec.Code)
			assert.JSONEq(t, c.body, rec.Body.String())
			assert.Contains(t, log.String(), c.log)
			assert.NotContains(t, log.String(), "-0001")
			if c.log == "" {
				assert.Empty(t, log.String())
			}
		})
	}
}

// TestHTTPDoerReasons: the log has the text of an HTTPDoer's error, unless it holds a
// part of the request. Both runners agree.
func TestHTTPDoerReasons(t *testing.T) {
	const script = `
		Spark.getHttp("http://user-0001:pass-0001@api.example/path-0001?q=query-0001#part-0001")
			.setHeaders({"X-Key": "header-0001"}).postString("body");
	`
	scripts := fstest.MapFS{"callbacks/hello.js": {Data: []byte(script)}}
	sandboxed := &sandbox.Runner{Scripts: scripts, Processes: 1}
	defer sandboxed.Close()
	for name, runner := range map[string]callback.ScriptRunner{"in process": &callback.GojaRunner{Scripts: scripts}, "in sandbox": sandboxed} {
		for _, test := range []struct{ err, reason string }{
			{"circuit open", `"circuit open"`},
			{"callback: circuit open", `"circuit open"`},
			{strings.Repeat("x", 200), strings.Repeat("x", 200) + "\n"},
			{strings.Repeat("x", 201), strings.Repeat("x", 200) + "…\n"},
			{"", `"request failed"`},
			{"no route to path-0001", `"request failed"`},
			{"no query-0001", `"request failed"`},
			{"not user-0001", `"request failed"`},
			{"not pass-0001", `"request failed"`},
			{"callback: not pass-0001", `"request failed"`},
			{"key header-0001 is not known", `"request failed"`},
			{"see http://proxy.example/x", `"request failed"`},
		} {
			h, log := outboundHandler(t, "", callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New(test.err) }))
			h.Runner, h.Timeout = runner, time.Minute
			require.Equal(t, "{}", callHello(h).Body.String(), name)
			require.Contains(t, log.String(), "host=api.example reason="+test.reason, name)
			require.NotContains(t, log.String(), "0001")
		}
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// An HTTPDoer, or the body of its answer, may hang and ignore its context. The caller
// gets its 504 at the deadline all the same, and the place is free for others.
func TestHTTPDoerHangs(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, where := range []string{"Do", "Body"} {
		t.Run(where, func(t *testing.T) {
			release, ended := make(chan struct{}), make(chan struct{})
			deadline := testkit.NewDeadline(t.Context())
			doer := callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
				if where == "Do" {
					defer close(ended)
					deadline.Pass()
					<-release
					return nil, errors.New("late")
				}
				return &http.Response{StatusCode: 200, Body: io.NopCloser(readerFunc(func([]byte) (int, error) {
					defer close(ended)
					deadline.Pass()
					<-release
					return 0, io.EOF
				}))}, nil
			})
			h, log := outboundHandler(t, `if (Spark.getData().url) Spark.getHttp(Spark.getData().url).get()`, doer)
			h.Timeout, h.StopAbandoned = time.Minute, true // it ends with deadline
			h.Runner.(*callback.GojaRunner).MaxRunning = 1
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequestWithContext(deadline, "GET", "/callback/E3/hello/s3cret?url=http://upstream.test/", nil))
			assert.Equal(t, 504, rec.Code)
			assert.Contains(t, log.String(), "callback: script failed")
			assert.Equal(t, 200, callHello(h).Code, "the place is not free")
			close(release)
			<-ended
		})
	}
}
