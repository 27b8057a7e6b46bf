package callback_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// TestRunScript: a Call that did not come by HTTP gets everything that the Call of a
// request gets.
func TestRunScript(t *testing.T) {
	t.Parallel()
	h, log := httpHandler(`
		Spark.getLog().info("by " + Spark.getSessionId());
		Spark.setScriptData("answers", [Spark.double(21), Spark.getHttp("http://api.example/").get().getResponseString(), Spark.getHttp("http://api.example/").get()]);
	`)
	h.Members = callback.Members{"double": {Func: func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
		var n int
		err := args.Scan(&n)
		return 2 * n, err
	}}}
	h.HTTP = callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("body"))}, nil
	})
	h.MaxHTTPCalls = 1
	runs := observe(h)
	var admitted *callback.Call
	h.Admit = func(_ context.Context, call *callback.Call) (func(), error) {
		admitted = call
		return nil, nil
	}
	call := &callback.Call{APIKey: "E3", Credential: "hello"}
	result, err := h.RunScript(context.Background(), call)
	require.NoError(t, err)
	require.Equal(t, `[42,"body",null]`, string(result.Data[0].Value))
	run := runs.next(t)
	require.Equal(t, callback.OutcomeOK, run.Outcome)
	require.Zero(t, run.Status)
	require.Len(t, run.Outbound, 2)
	require.Len(t, run.Functions, 1)
	require.NotEmpty(t, run.Call.RunID)
	require.Equal(t, run.Call.RunID, admitted.RunID)
	require.Contains(t, log.String(), `msg="by `+run.Call.RunID+`" apiKey=E3 credential=hello run=`+run.Call.RunID)
	require.Equal(t, &callback.Call{APIKey: "E3", Credential: "hello"}, call, "the caller's is left alone")

	call.RunID = "job-7"
	_, err = h.RunScript(context.Background(), call)
	require.NoError(t, err)
	require.Equal(t, "job-7", runs.next(t).Call.RunID)
}

func TestRunScriptFailures(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		change  func(*callback.Handler)
		is      error
		outcome callback.Outcome
	}{
		{"timeout", func(h *callback.Handler) { h.Timeout = 20 * time.Millisecond }, context.DeadlineExceeded, callback.OutcomeTimeout},
		{"MaxInFlight", func(h *callback.Handler) { h.MaxInFlight = -1 }, callback.ErrOverloaded, callback.OutcomeOverloaded},
		{"not admitted", func(h *callback.Handler) {
			h.Admit = func(context.Context, *callback.Call) (func(), error) { return nil, errors.New("no") }
		}, callback.ErrUnavailable, callback.OutcomeUnavailable},
		{"not admitted, as a look-up found nothing", func(h *callback.Handler) {
			h.Admit = func(context.Context, *callback.Call) (func(), error) { return nil, callback.ErrNoScript }
		}, callback.ErrUnavailable, callback.OutcomeUnavailable},
		{"not admitted, with an error of the host", func(h *callback.Handler) {
			h.Admit = func(context.Context, *callback.Call) (func(), error) {
				return nil, &fs.PathError{Op: "open", Path: "plans.json", Err: fs.ErrNotExist}
			}
		}, fs.ErrNotExist, callback.OutcomeUnavailable},
		{"no script", func(h *callback.Handler) { h.Runner = &callback.GojaRunner{Scripts: fstest.MapFS{}} }, callback.ErrNoScript, callback.OutcomeNoScript},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(`for (;;) {}`)
			test.change(h)
			runs := observe(h)
			_, err := h.RunScript(context.Background(), &callback.Call{APIKey: "E3", Credential: "hello"})
			require.ErrorIs(t, err, test.is)
			require.Equal(t, test.outcome == callback.OutcomeNoScript, errors.Is(err, callback.ErrNoScript))
			run := runs.next(t)
			require.Equal(t, test.outcome, run.Outcome)
			require.Equal(t, err, run.Err)
			if test.outcome == callback.OutcomeTimeout {
				require.Contains(t, log.String(), "callback: script failed")
			}
		})
	}
}

func TestRunScriptPanic(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.Runner = runnerFunc(func(context.Context, *callback.Call) error { panic("value") })
	runs := observe(h)
	require.PanicsWithValue(t, "value", func() { _, _ = h.RunScript(context.Background(), new(callback.Call)) })
	require.Equal(t, callback.OutcomePanic, runs.next(t).Outcome)

	h.Runner = runnerFunc(func(context.Context, *callback.Call) error {
		runtime.Goexit()
		return nil
	})
	go func() { _, _ = h.RunScript(context.Background(), new(callback.Call)) }()
	require.Equal(t, callback.OutcomePanic, runs.next(t).Outcome)
}

// TestRunScriptOfItself: a Handler that runs itself is refused, directly or through
// others, for requests and for RunScript.
func TestRunScriptOfItself(t *testing.T) {
	t.Parallel()
	for name, wrap := range map[string]func(*callback.Handler) callback.ScriptRunner{
		"directly": func(h *callback.Handler) callback.ScriptRunner { return h },
		"by a wrapper": func(h *callback.Handler) callback.ScriptRunner {
			return callback.ScriptRunnerFunc(func(ctx context.Context, call *callback.Call) (*callback.Result, error) {
				return h.RunScript(ctx, call)
			})
		},
		"by a wrapper that copies the call and drops the context": func(h *callback.Handler) callback.ScriptRunner {
			return callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
				other := *call
				other.RunID = ""
				return h.RunScript(context.Background(), &other)
			})
		},
		"by another Handler": func(h *callback.Handler) callback.ScriptRunner { return &callback.Handler{Runner: h} },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(``)
			h.Runner = wrap(h)
			h.MaxInFlight = 3 // a recursion would meet it
			_, err := h.RunScript(context.Background(), &callback.Call{APIKey: "E3", Credential: "hello"})
			require.EqualError(t, err, "callback: Handler runs itself")
			require.Equal(t, 500, get(t, h, helloURL).Code)
			require.Contains(t, log.String(), "callback: Handler runs itself")
		})
	}
}

// TestRunScriptOfAnother: a Handler may be the Runner of another; both sets of
// limits hold.
func TestRunScriptOfAnother(t *testing.T) {
	t.Parallel()
	inner, _ := httpHandler(`Spark.setScriptData("a", Spark.f())`)
	inner.Members = callback.Members{"f": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { return "inner's", nil }}}
	outer, _ := httpHandler(``)
	outer.Runner = inner
	outerRuns, innerRuns := observe(outer), observe(inner)
	require.Equal(t, `{"a":"inner's"}`, get(t, outer, helloURL).Body.String())
	require.Equal(t, outerRuns.next(t).Call.RunID, innerRuns.next(t).Call.RunID)
}

// TestCallJSON: a Call that a Handler has made survives JSON.
func TestCallJSON(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(`Spark.setScriptData("seen", [Spark.getData(), Spark.getPlayer().getPlayerId(), Spark.getSessionId(), Spark.getClientIp()])`)
	h.RequestHeaders = []string{"X-Bytes", "X-None"}
	h.ClientIP = func(*http.Request) string { return "bad\xff" }
	runner := h.Runner
	var queued []byte
	h.Runner = callback.ScriptRunnerFunc(func(ctx context.Context, call *callback.Call) (*callback.Result, error) {
		var err error
		queued, err = json.Marshal(call)
		require.NoError(t, err)
		return runner.RunScript(ctx, call)
	})
	w := httptest.NewRecorder()
	r := httptest.NewRequest(http.MethodPost, helloURL+"/pl%ff?a=%ff%00&b=&b=2&=x", strings.NewReader("body \xfe\xff"))
	r.Header.Set("X-Bytes", "\xe9")
	h.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
	require.NotContains(t, string(queued), "s3cret")

	var call callback.Call
	require.NoError(t, json.Unmarshal(queued, &call))
	again, err := json.Marshal(call)
	require.NoError(t, err)
	require.Equal(t, string(queued), string(again))
	h.Runner = runner
	result, err := h.RunScript(context.Background(), &call)
	require.NoError(t, err)
	require.Equal(t, w.Body.String(), `{"seen":`+string(result.Data[0].Value)+`}`)

	// Empty and absent stay apart.
	for _, call := range []callback.Call{
		{APIKey: "K", RequestHeaders: []callback.Param{}, Body: []byte{}},
		{APIKey: "K", Input: json.RawMessage("null"), Script: "NIGHTLY", Now: time.Unix(1, 0).UTC(), Seed: 7},
	} {
		text, err := json.Marshal(call)
		require.NoError(t, err)
		var same callback.Call
		require.NoError(t, json.Unmarshal(text, &same))
		require.Equal(t, call, same, string(text))
	}
}

func TestAdmit(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		err        error
		status     int
		body       string
		retryAfter string
	}{
		{callback.ErrTooMany, 429, `{"error":"too many calls"}`, "1"},
		{callback.RetryAfter(callback.ErrTooMany, 90*time.Second), 429, `{"error":"too many calls"}`, "90"},
		{callback.RetryAfter(callback.ErrTooMany, 1001*time.Millisecond), 429, `{"error":"too many calls"}`, "2"},
		{callback.RetryAfter(fmt.Errorf("credential hello: %w", callback.ErrTooMany), time.Nanosecond), 429, `{"error":"too many calls"}`, "1"},
		{callback.RetryAfter(callback.ErrUnavailable, -time.Second), 503, `{"error":"unavailable"}`, "1"},
		{fmt.Errorf("limiter: %w", callback.RetryAfter(callback.ErrUnavailable, time.Minute)), 503, `{"error":"unavailable"}`, "60"},
		{callback.ErrOverloaded, 503, `{"error":"overloaded"}`, "1"},
		{errors.New("redis is down"), 503, `{"error":"unavailable"}`, "1"},
		{fmt.Errorf("plans: %w", callback.ErrNoScript), 503, `{"error":"unavailable"}`, "1"},
		{callback.RetryAfter(callback.ErrNoVersion, time.Minute), 503, `{"error":"unavailable"}`, "60"},
		{context.DeadlineExceeded, 503, `{"error":"unavailable"}`, "1"},
	} {
		t.Run(test.err.Error(), func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(``)
			h.RunIDHeader = "Run-Id"
			h.Runner = runnerFunc(func(context.Context, *callback.Call) error { panic("run") })
			h.Admit = func(_ context.Context, call *callback.Call) (func(), error) {
				require.Equal(t, "hello", call.Credential)
				return func() { panic("not admitted") }, test.err
			}
			body := &unreadBody{}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, helloURL, body))
			require.Equal(t, test.status, w.Code)
			require.Equal(t, test.body, w.Body.String())
			require.Equal(t, test.retryAfter, w.Header().Get("Retry-After"))
			require.NotEmpty(t, w.Header().Get("Run-Id"))
			require.Contains(t, log.String(), test.err.Error())
			require.Zero(t, body.reads)
		})
	}
}

// An unreadBody counts how often it is read.
type unreadBody struct{ reads int }

func (b *unreadBody) Read([]byte) (int, error) {
	b.reads++
	return 0, io.EOF
}

// TestAdmitDone: done is called once, after the run, however that ended.
func TestAdmitDone(t *testing.T) {
	t.Parallel()
	for name, script := range map[string]string{"ok": ``, "fails": `throw 1`} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := httpHandler(script)
			var order []string
			runner := h.Runner
			h.Runner = callback.ScriptRunnerFunc(func(ctx context.Context, call *callback.Call) (*callback.Result, error) {
				defer func() { order = append(order, "run") }()
				return runner.RunScript(ctx, call)
			})
			h.Admit = func(context.Context, *callback.Call) (func(), error) {
				order = append(order, "admitted")
				return func() { order = append(order, "done") }, nil
			}
			get(t, h, helloURL)
			require.Equal(t, []string{"admitted", "run", "done"}, order)
		})
	}
}

func TestRunID(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		id    string
		valid bool
	}{
		{"", false},
		{"0af7651916cd43dd8448eb211c80319c", true},
		{"a.b_c-d:E9", true},
		{strings.Repeat("x", 128), true},
		{strings.Repeat("x", 129), false},
		{"a b", false},
		{"a\r\nSet-Cookie: b", false},
		{"é", false},
		{"a/b", false},
		{`"`, false},
	} {
		h, log := httpHandler(`Spark.setScriptData("id", Spark.getSessionId()); Spark.getLog().info("line")`)
		h.RunID = func(*http.Request) string { return test.id }
		h.RunIDHeader = "X-Run-Id"
		w := get(t, h, helloURL)
		id := w.Header().Get("X-Run-Id")
		require.NotEmpty(t, id)
		require.Equal(t, test.valid, id == test.id, "%q", test.id)
		require.Equal(t, `{"id":"`+id+`"}`, w.Body.String())
		require.Contains(t, log.String(), "run="+id)
	}
}

// TestVersionHeader: the answer and the Run have the version that the runner reports,
// also after a failure.
func TestVersionHeader(t *testing.T) {
	t.Parallel()
	for _, fail := range []error{nil, &callback.ScriptError{Script: "callbacks/hello.js", Line: 1, Column: 2, Version: "v7", Message: "no"}} {
		h, log := httpHandler(``)
		h.VersionHeader = "Script-Version"
		h.Runner = runnerFunc(func(_ context.Context, call *callback.Call) error {
			call.Usage.Script, call.Usage.Version = "callbacks/hello.js", "v7"
			return fail
		})
		require.Equal(t, "v7", get(t, h, helloURL).Header().Get("Script-Version"))
		runs := observe(h)
		get(t, h, helloURL)
		run := runs.next(t)
		require.Equal(t, "v7", run.Version)
		require.Equal(t, "callbacks/hello.js", run.Script)
		if fail != nil {
			require.Contains(t, log.String(), "version=v7")
		}
	}
}

// TestRunScriptResult: RunScript returns an error for a result that could not be the
// answer to a request.
func TestRunScriptResult(t *testing.T) {
	t.Parallel()
	for script, want := range map[string]string{
		`Spark.setScriptData("a", "1234567")`:                     "",
		`Spark.setScriptData("a", "12345678")`:                    "callback: callbacks/hello.js: response body is over the limit of 15 bytes",
		`Spark.setScriptData("RESPONSE_RAW", "é34567890123é")`:    "",
		`Spark.setScriptData("RESPONSE_RAW", "é345678901234é")`:   "callback: callbacks/hello.js: response body is over the limit of 15 bytes",
		`Spark.setScriptData("RESPONSE_RAW", new Uint8Array(16))`: "callback: callbacks/hello.js: response body is over the limit of 15 bytes",
		"\n" + `Spark.setScriptData("RESPONSE_STATUS", "200")`:    "callback: callbacks/hello.js:2:20: RESPONSE_STATUS is not an integer from 200 to 599",
	} {
		h, log := httpHandler(script)
		h.MaxResponse = 15
		runs := observe(h)
		result, err := h.RunScript(t.Context(), &callback.Call{APIKey: "E3", Credential: "hello"})
		run := runs.next(t)
		if want == "" {
			require.NoError(t, err, script)
			require.NotNil(t, result)
			require.Equal(t, callback.OutcomeOK, run.Outcome)
			continue
		}
		require.EqualError(t, err, want)
		require.Nil(t, result)
		require.Equal(t, callback.OutcomeScriptError, run.Outcome)
		require.Contains(t, log.String(), "callback: script failed")
	}
}
