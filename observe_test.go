package callback_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/testkit"
)

// runs collects what a Handler's Observe gets.
type runs struct {
	mu  sync.Mutex
	all []*callback.Run
	got chan struct{} // one for each
}

func observe(h *callback.Handler) *runs {
	r := &runs{got: make(chan struct{}, 1000)}
	h.Observe = func(_ context.Context, run *callback.Run) {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.all = append(r.all, run)
		r.got <- struct{}{}
	}
	return r
}

// next waits for a Run and returns it. There must be no other.
func (r *runs) next(t *testing.T) *callback.Run {
	t.Helper()
	<-r.got
	r.mu.Lock()
	defer r.mu.Unlock()
	require.Len(t, r.all, 1)
	run := r.all[0]
	r.all = nil
	return run
}

// runnerFunc is a runner for tests that need no script.
func runnerFunc(f func(ctx context.Context, call *callback.Call) error) callback.ScriptRunner {
	return callback.ScriptRunnerFunc(func(ctx context.Context, call *callback.Call) (*callback.Result, error) {
		return nil, f(ctx, call)
	})
}

func TestObserveOutcomes(t *testing.T) {
	t.Parallel()
	fails := func(err error) func(*callback.Handler) {
		return func(h *callback.Handler) {
			h.Runner = runnerFunc(func(context.Context, *callback.Call) error { return err })
		}
	}
	for _, test := range []struct {
		name    string
		script  string
		change  func(*callback.Handler)
		path    string // after the prefix; empty: the credential hello's
		body    string // of a POST
		status  int
		outcome callback.Outcome
		err     string // empty: none
	}{
		{name: "ok", script: `Spark.setScriptData("a", 1)`, status: 200, outcome: callback.OutcomeOK},
		{name: "exit", script: `Spark.exit()`, status: 200, outcome: callback.OutcomeOK},
		{name: "status of the script", script: `Spark.setScriptData("RESPONSE_STATUS", 503)`, status: 503, outcome: callback.OutcomeOK},
		{name: "script throws", script: "\n throw new Error('no')", status: 500, outcome: callback.OutcomeScriptError, err: "callback: callbacks/hello.js:2:8: Error: no"},
		{name: "script does not compile", script: `var x = ;`, status: 500, outcome: callback.OutcomeScriptError, err: "callback: callbacks/hello.js:1:9: "},
		{name: "RESPONSE_STATUS", script: `Spark.setScriptData("RESPONSE_STATUS", 99)`, status: 500, outcome: callback.OutcomeScriptError, err: "RESPONSE_STATUS"},
		{name: "answer too long", script: `Spark.setScriptData("a", "12345678901234567890")`, change: func(h *callback.Handler) { h.MaxResponse = 10 },
			status: 500, outcome: callback.OutcomeScriptError, err: "over the limit of 10 bytes"},
		{name: "timeout", script: `for (;;) {}`, change: func(h *callback.Handler) { h.Timeout = 50 * time.Millisecond },
			status: 504, outcome: callback.OutcomeTimeout, err: "callbacks/hello.js"},
		{name: "no script", path: "E3/srv", status: 404, outcome: callback.OutcomeNoScript, err: "callback: no script"},
		{name: "no runner", change: func(h *callback.Handler) { h.Runner = nil }, status: 500, outcome: callback.OutcomeInternal, err: "no Runner"},
		{name: "runner fails", change: fails(errors.New("broken")), status: 500, outcome: callback.OutcomeInternal, err: "broken"},
		{name: "runner overloaded", change: fails(callback.ErrOverloaded), status: 503, outcome: callback.OutcomeOverloaded, err: "overloaded"},
		{name: "runner unavailable", change: fails(callback.ErrUnavailable), status: 503, outcome: callback.OutcomeUnavailable, err: "unavailable"},
		{name: "runner too many", change: fails(callback.ErrTooMany), status: 429, outcome: callback.OutcomeTooMany, err: "too many"},
		{name: "runner panics", change: func(h *callback.Handler) {
			h.Runner = runnerFunc(func(context.Context, *callback.Call) error { panic("s3cret") })
		}, status: 500, outcome: callback.OutcomePanic, err: "callback: panic of type string"},
		{name: "ClientIP panics", change: func(h *callback.Handler) { h.ClientIP = func(*http.Request) string { panic("s3cret") } },
			status: 500, outcome: callback.OutcomePanic, err: "callback: panic of type string"},
		{name: "MaxInFlight", change: func(h *callback.Handler) { h.MaxInFlight = -1 }, status: 503, outcome: callback.OutcomeOverloaded, err: "MaxInFlight"},
		{name: "admitted to none", change: func(h *callback.Handler) {
			h.Admit = func(context.Context, *callback.Call) (func(), error) { return nil, callback.ErrTooMany }
		}, status: 429, outcome: callback.OutcomeTooMany, err: "callback: Handler.Admit: callback: too many calls"},
		{name: "admitted later", change: func(h *callback.Handler) {
			h.Admit = func(context.Context, *callback.Call) (func(), error) { return nil, callback.ErrUnavailable }
		}, status: 503, outcome: callback.OutcomeUnavailable, err: "callback: Handler.Admit: callback: unavailable"},
		{name: "Admit fails", change: func(h *callback.Handler) {
			h.Admit = func(context.Context, *callback.Call) (func(), error) { return nil, errors.New("down") }
		}, status: 503, outcome: callback.OutcomeUnavailable, err: "callback: unavailable: Handler.Admit: down"},
		{name: "body too long", change: func(h *callback.Handler) { h.MaxBody = 3 }, body: "1234", status: 413, outcome: callback.OutcomeTooLarge, err: "callback: request body too large"},
		{name: "too many parameters", change: func(h *callback.Handler) { h.MaxParams = 1 }, path: "E3/hello/s3cret?a=1&b=2", status: 413, outcome: callback.OutcomeTooLarge, err: "callback: too many parameters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(test.script)
			if test.change != nil {
				test.change(h)
			}
			runs := observe(h)
			method, path := http.MethodGet, test.path
			if test.body != "" {
				method = http.MethodPost
			}
			if path == "" {
				path = "E3/hello/s3cret"
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(method, "/callback/"+path, strings.NewReader(test.body)))
			require.Equal(t, test.status, w.Code, w.Body)
			run := runs.next(t)
			require.Equal(t, test.status, run.Status)
			require.Equal(t, test.outcome, run.Outcome)
			if test.err == "" {
				require.NoError(t, run.Err)
			} else {
				require.ErrorContains(t, run.Err, test.err)
				require.NotContains(t, run.Err.Error(), "s3cret")
			}
			require.Equal(t, "E3", run.Call.APIKey)
			require.Equal(t, method, run.Call.Method)
			require.EqualValues(t, w.Body.Len(), run.BytesOut)
			require.Positive(t, run.Duration)
			require.WithinDuration(t, time.Now(), run.Start, time.Hour)
			require.Equal(t, strings.Count(log.String(), "\n"), run.LogLines)
			for line := range strings.Lines(log.String()) {
				require.Contains(t, line, " run="+run.Call.RunID)
			}
		})
	}
}

// TestObserveNobody: a request that is not authorised has no Run.
func TestObserveNobody(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := httpHandler(``)
		h.RunIDHeader, h.VersionHeader = "Run-Id", "Script-Version"
		runs := observe(h)
		for _, path := range []string{"E3/hello/wrong", "E3/hello/", "E4/hello/s3cret", "E3/wrong", "E3/none/s3cret", "E3", "E3/hello/s3cret/p/q"} {
			w := get(t, h, "/callback/"+path)
			require.Contains(t, []int{403, 404}, w.Code)
			require.Empty(t, w.Header().Get("Run-Id"))
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodPut, helloURL, nil))
		require.Equal(t, 405, w.Code)
		h.Secrets = storeFunc(func(context.Context, string, string) ([]callback.Secret, error) { return nil, errors.New("broken") })
		require.Equal(t, 503, get(t, h, helloURL).Code)
		synctest.Wait()
		require.Empty(t, runs.all)
	})
}

func TestObserveRun(t *testing.T) {
	t.Parallel()
	h, log := httpHandler(`
		Spark.getLog().debug("first " + Spark.getData().REQUEST_BODY);
		Spark.getHttp("https://user:password@api.example:8443/path?query").postString("12345");
		Spark.getHttp("http://down.example/").get();
		Spark.hello(1);
		try { Spark.fails() } catch (e) {}
		Spark.tools.inner();
		Spark.setScriptData("a", 1);
	`)
	h.HTTP = callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
		if req.URL.Host == "down.example" {
			return nil, errors.New("down")
		}
		return &http.Response{StatusCode: 201, Body: io.NopCloser(strings.NewReader("1234567"))}, nil
	})
	nothing := func(context.Context, *callback.Call, callback.Args) (any, error) { return nil, nil }
	h.Members = callback.Members{
		"hello": {Func: nothing},
		"fails": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { return nil, errors.New("no") }},
		"tools": {Script: `function (host) { return host }`, Funcs: map[string]callback.HostFunc{"inner": nothing}},
	}
	h.KeepLog = 1000
	runs := observe(h)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, helloURL, strings.NewReader("body")))
	require.Equal(t, `{"a":1}`, w.Body.String())
	run := runs.next(t)

	require.EqualValues(t, 4, run.BytesIn)
	require.Nil(t, run.Call.HTTP)
	require.Nil(t, run.Call.Logger)
	require.Nil(t, run.Call.Members)
	require.Nil(t, run.Call.Usage)
	text, err := json.Marshal(run.Call)
	require.NoError(t, err)
	require.NotContains(t, string(text), "s3cret")

	require.Len(t, run.Outbound, 2)
	out := run.Outbound[0]
	require.Equal(t, callback.Outbound{Method: "POST", Host: "api.example:8443", Status: 201, Bytes: 7, Start: out.Start, Duration: out.Duration}, out)
	out = run.Outbound[1]
	require.Equal(t, "down.example", out.Host)
	require.Zero(t, out.Status)
	require.ErrorContains(t, out.Err, "down")

	var names []string
	for _, f := range run.Functions {
		names = append(names, f.Name)
		require.Equal(t, f.Name == "fails", f.Err != nil, f.Name)
	}
	require.Equal(t, []string{"hello", "fails", "tools.inner"}, names)

	require.Equal(t, 2, run.LogLines)
	require.Len(t, run.Log, 2)
	require.Equal(t, "first body", run.Log[0].Message)
	require.Equal(t, slog.LevelDebug, run.Log[0].Level)
	require.Equal(t, "script", run.Log[0].Attrs[0].Key)
	require.Contains(t, log.String(), "first body")
}

// TestObserveLog: the observer counts levels that the Logger does not take, and
// the Logger gets none of them.
func TestObserveLog(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(`
		var log = Spark.getLog();
		for (var i = 0; i < 10; i++) log.debug("0123456789");
		log.error("last");
	`)
	var text testkit.Log
	h.Logger = slog.New(slog.NewTextHandler(&text, &slog.HandlerOptions{Level: slog.LevelError}))
	h.KeepLog = 100
	runs := observe(h)
	require.Equal(t, 200, get(t, h, helloURL).Code)
	run := runs.next(t)
	require.Equal(t, 11, run.LogLines)
	require.Less(t, len(run.Log), 5)
	require.NotEmpty(t, run.Log)
	require.NotContains(t, text.String(), "0123456789")
	require.Contains(t, text.String(), "msg=last apiKey=E3 credential=hello run="+run.Call.RunID)
}

// TestKeepLog keeps the lines that fit, at their size and just below it.
func TestKeepLog(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) { // no answer overtakes its observer
		h, _ := httpHandler(`Spark.getLog().info("x")`)
		kept := func(keep int) []callback.LogLine {
			h.KeepLog = keep
			var run *callback.Run
			h.Observe = func(_ context.Context, r *callback.Run) { run = r }
			require.Equal(t, 200, get(t, h, helloURL).Code)
			require.Equal(t, 1, run.LogLines)
			return run.Log
		}
		line := kept(1000)[0]
		size := len(line.Message)
		for _, a := range line.Attrs {
			size += len(a.Key) + len(a.Value.String())
		}
		require.Len(t, kept(size), 1)
		require.Empty(t, kept(size-1))
		require.Empty(t, kept(0))
	})
}

// TestObserveSlow: an observer that does not return delays no answer of the same
// connection.
func TestObserveSlow(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(`Spark.setScriptData("a", 1)`)
	begun, release := make(chan string, 10), make(chan struct{})
	h.Observe = func(_ context.Context, run *callback.Run) {
		begun <- run.Call.RunID
		<-release
	}
	server := serve(t, h)
	seen := map[string]bool{}
	for range 3 {
		resp, err := server.Client().Get(server.URL + helloURL)
		require.NoError(t, err)
		body, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, `{"a":1}`, string(body))
		seen[<-begun] = true
	}
	close(release)
	require.Len(t, seen, 3)
}

// TestObserverPatience: an answer waits for its observer for 50 ms, and not at all
// while another is overdue.
func TestObserverPatience(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := httpHandler(``)
		release := make(chan struct{})
		h.Observe = func(context.Context, *callback.Run) { <-release }
		took := func() time.Duration {
			begin := time.Now()
			require.Equal(t, 200, get(t, h, helloURL).Code)
			return time.Since(begin)
		}
		require.Equal(t, 50*time.Millisecond, took())
		require.Zero(t, took())
		require.Zero(t, took())
		close(release)
		synctest.Wait()
		require.Zero(t, took(), "it returns at once")
		release = make(chan struct{})
		require.Equal(t, 50*time.Millisecond, took(), "nobody is overdue any more")
		close(release)
		synctest.Wait()
	})
}

// TestObserveDurations: the durations of a run and of its parts are right, to the
// millisecond.
func TestObserveDurations(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, _ := httpHandler(`Spark.wait(); Spark.getHttp("http://api.example/").get()`)
		h.Members = callback.Members{"wait": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			time.Sleep(30 * time.Millisecond)
			return nil, nil
		}}}
		h.HTTP = callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
			time.Sleep(70 * time.Millisecond)
			return &http.Response{StatusCode: 200}, nil
		})
		var run *callback.Run
		h.Observe = func(_ context.Context, r *callback.Run) { run = r }
		begin := time.Now()
		require.Equal(t, 200, get(t, h, helloURL).Code)
		require.Equal(t, begin, run.Start)
		require.Equal(t, 100*time.Millisecond, run.Duration)
		require.Equal(t, begin, run.Functions[0].Start)
		require.Equal(t, 30*time.Millisecond, run.Functions[0].Duration)
		require.Equal(t, begin.Add(30*time.Millisecond), run.Outbound[0].Start)
		require.Equal(t, 70*time.Millisecond, run.Outbound[0].Duration)
	})
}

func TestObservePanics(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h, log := httpHandler(`Spark.setScriptData("a", 1)`)
		h.Observe = func(context.Context, *callback.Run) { panic("s3cret") }
		for range 2 {
			require.Equal(t, `{"a":1}`, get(t, h, helloURL).Body.String())
		}
		synctest.Wait()
		require.Equal(t, 2, strings.Count(log.String(), `msg="callback: panic in Handler.Observe" run=`))
		require.NotContains(t, log.String(), "s3cret")

		h.Logger = slog.New(panickingLog{})
		require.Equal(t, `{"a":1}`, get(t, h, helloURL).Body.String())
	})
}

// TestObserveBounded: if an observer hangs, Runs are dropped, and the log says so.
// Memory does not grow without bound.
func TestObserveBounded(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name    string
		keepLog int
		kept    int
	}{
		{"runs", 0, 16384},
		{"bytes", 32 << 20, 2},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				log, release := new(testkit.Log), make(chan struct{})
				h := &callback.Handler{
					Runner:  runnerFunc(func(context.Context, *callback.Call) error { return nil }),
					Secrets: callback.SecretMap{"E3/hello": "s3cret"},
					Logger:  log.Logger(),
					KeepLog: test.keepLog,
					Observe: func(context.Context, *callback.Run) { <-release },
				}
				for range test.kept {
					require.Equal(t, 200, get(t, h, helloURL).Code)
				}
				require.Empty(t, log.String())
				require.Equal(t, 200, get(t, h, helloURL).Code)
				require.Contains(t, log.String(), "callback: run not observed: Handler.Observe is too slow")
				close(release)
				synctest.Wait()
				require.Equal(t, 200, get(t, h, helloURL).Code)
				require.Equal(t, 1, strings.Count(log.String(), "\n"), "there is room again")
			})
		})
	}
}

// TestObserveAbandoned: an abandoned run cannot change its Run after that was handed
// over. The race detector checks it.
func TestObserveAbandoned(t *testing.T) {
	t.Parallel()
	release, done := make(chan struct{}), make(chan struct{})
	h, _ := httpHandler(``)
	h.HTTP = callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200}, nil
	})
	h.Members = callback.Members{"f": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { return nil, nil }}}
	h.KeepLog = 1000
	h.Runner = runnerFunc(func(ctx context.Context, call *callback.Call) error {
		call.Usage.Script = "callbacks/hello.js"
		work := func() {
			call.Logger.Info("line")
			_, _ = call.Members["f"].Func(ctx, call, nil)
			req, _ := http.NewRequest(http.MethodGet, "http://x/", nil)
			_, _ = call.HTTP.Do(req)
		}
		work()
		go func() {
			defer close(done)
			<-release
			work()
		}()
		return &callback.ScriptError{Script: "callbacks/hello.js", Message: "still running", Err: context.DeadlineExceeded}
	})
	runs := observe(h)
	require.Equal(t, 504, get(t, h, helloURL).Code)
	run := runs.next(t)
	close(release)
	<-done
	require.Equal(t, callback.OutcomeTimeout, run.Outcome)
	require.Equal(t, "callbacks/hello.js", run.Script)
	require.Len(t, run.Outbound, 1)
	require.Len(t, run.Functions, 1)
	require.Equal(t, 2, run.LogLines, "the line, and that the run failed")
	require.Len(t, run.Log, 2)
}

// TestObserveAborted: a host that aborts the connection is observed as well.
func TestObserveAborted(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.Runner = runnerFunc(func(context.Context, *callback.Call) error { panic(http.ErrAbortHandler) })
	runs := observe(h)
	require.PanicsWithValue(t, http.ErrAbortHandler, func() { get(t, h, helloURL) })
	run := runs.next(t)
	require.Equal(t, callback.OutcomePanic, run.Outcome)
	require.Zero(t, run.Status)
}

func TestObserveContext(t *testing.T) {
	t.Parallel()
	type key struct{}
	h, _ := httpHandler(``)
	got := make(chan context.Context, 1)
	h.Observe = func(ctx context.Context, _ *callback.Run) { got <- ctx }
	ctx, cancel := context.WithCancel(context.WithValue(context.Background(), key{}, "trace"))
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, helloURL, nil).WithContext(ctx))
	cancel()
	ctx = <-got
	require.Equal(t, "trace", ctx.Value(key{}))
	require.NoError(t, ctx.Err())
}

// TestObserveOutboundCause: an observer can tell why an outbound request has no
// answer, and the text never holds the URL.
func TestObserveOutboundCause(t *testing.T) {
	t.Parallel()
	wrap := func(cause error) callback.HTTPDoer {
		return callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("%w: %s", cause, req.URL)
		})
	}
	for name, test := range map[string]struct {
		doer callback.HTTPDoer
		is   error
		text string
	}{
		"address":         {new(callback.HTTPClient), callback.ErrBlocked, "address not allowed"},
		"Allow":           {&callback.HTTPClient{Allow: func(*url.URL) error { return errors.New("no") }}, callback.ErrBlocked, "URL not allowed by the host"},
		"the host's own":  {callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) { return nil, callback.ErrBlocked }), callback.ErrBlocked, "outbound request blocked"},
		"own, with a URL": {wrap(callback.ErrBlocked), callback.ErrBlocked, "request failed"},
		"time-out":        {wrap(context.DeadlineExceeded), context.DeadlineExceeded, "timed out"},
		"canceled":        {wrap(context.Canceled), context.Canceled, "cancelled with the run"},
		"other":           {wrap(errors.New("down")), nil, "request failed"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, _ := httpHandler(`Spark.getHttp("http://127.0.0.1:1/s3cret").get()`)
			h.HTTP = test.doer
			runs := observe(h)
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest(http.MethodGet, helloURL, nil))
			err := runs.next(t).Outbound[0].Err
			require.EqualError(t, err, "callback: outbound request: "+test.text)
			for _, cause := range []error{callback.ErrBlocked, context.DeadlineExceeded, context.Canceled} {
				require.Equal(t, cause == test.is, errors.Is(err, cause), cause)
			}
		})
	}
}
