package callback_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

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

// TestHTTPDoerPanics: a script gets null if the client panics.
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
