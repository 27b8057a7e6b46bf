package callback_test

import (
	"bytes"
	"context"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/testkit"
)

// TestReplacedValuesAreFreed: a script that updates one key in a loop keeps one
// value, not all of them.
func TestReplacedValuesAreFreed(t *testing.T) {
	runner := &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {Data: []byte(`
		var s = new Array(100001).join("x");
		for (var i = 0; i < 1000; i++) Spark.setScriptData("a", s);
	`)}}}
	var result *callback.Result
	require.Less(t, heapGrowth(func() {
		var err error
		result, err = runner.RunScript(t.Context(), &callback.Call{Credential: "hello"})
		require.NoError(t, err)
	}), int64(20<<20))
	require.Len(t, result.Data[0].Value, 100002)
}

// heapGrowth is how many bytes are still in use after f that were not before.
func heapGrowth(f func()) int64 {
	var before, after runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&before)
	f()
	runtime.GC()
	runtime.GC()
	runtime.ReadMemStats(&after)
	return int64(after.HeapAlloc) - int64(before.HeapAlloc)
}

// TestWhatIsKeptIsSmall: a host that retains results or headers does not retain the
// runtime of a script or a body with them.
func TestWhatIsKeptIsSmall(t *testing.T) {
	runner := &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {Data: []byte(`
		var s = []; for (var i = 0; i < 20000; i++) s.push({i: i});
		Spark.setScriptData("a", 1);
	`)}}}
	var kept []any
	h := &callback.Handler{
		Runner: callback.ScriptRunnerFunc(func(ctx context.Context, call *callback.Call) (*callback.Result, error) {
			result, err := runner.RunScript(ctx, call)
			require.NoError(t, err)
			kept = append(kept, result, result.Data, result.Data[0].Value)
			return result, err
		}),
		Secrets: callback.SecretMap{"E3/hello": "s3cret"},
	}
	one := func() {
		recorder := httptest.NewRecorder()
		h.ServeHTTP(recorder, httptest.NewRequest("POST", "/callback/E3/hello/s3cret", strings.NewReader(strings.Repeat("x", 100<<10))))
		require.Equal(t, 200, recorder.Code)
		kept = append(kept, recorder.Header())
	}
	one()
	const times = 20
	require.Less(t, heapGrowth(func() {
		for range times {
			one()
		}
	}), int64(times*20<<10))
	runtime.KeepAlive(kept)
}

// A heavyWriter is a ResponseWriter of many bytes, so that the heap shows whether it
// is retained.
type heavyWriter struct {
	httptest.ResponseRecorder
	_ [1 << 20]byte
}

// TestCallKeepsNoResponseWriter: neither a Call nor a part of it that a host may
// retain keeps the ResponseWriter in memory.
func TestCallKeepsNoResponseWriter(t *testing.T) {
	var kept []*callback.Call
	h := &callback.Handler{
		Runner: callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
			kept = append(kept, call)
			return nil, nil
		}),
		Secrets: callback.SecretMap{"E3/hello": "s3cret"},
	}
	const times = 20
	require.Less(t, heapGrowth(func() {
		for range times {
			h.ServeHTTP(new(heavyWriter), httptest.NewRequest("GET", "/callback/E3/hello/s3cret", nil))
		}
	}), int64(times<<19))
	require.Len(t, kept, times)
	runtime.KeepAlive(kept)
}

// TestFunctionNamesInStacksAreCut: the name is the script's to choose.
func TestFunctionNamesInStacksAreCut(t *testing.T) {
	var log bytes.Buffer
	h := &callback.Handler{
		Runner: &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {Data: []byte(`
			var name = new Array(1000001).join("x");
			var o = {}; o[name] = function (n) { if (n) o[name](n - 1); else throw new Error("deep") };
			eval("function " + name + "(n) { if (n) " + name + "(n - 1); else throw new Error('deep') } " + name + "(50)");
		`)}}},
		Secrets: callback.SecretMap{"E3/hello": "s3cret"},
		Logger:  slog.New(slog.NewTextHandler(&log, nil)),
	}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/callback/E3/hello/s3cret", nil))
	require.Contains(t, log.String(), "deep")
	require.Less(t, log.Len(), 32<<10)
}

// A hangingFS does not open one of its files until the test allows it.
type hangingFS struct {
	fstest.MapFS
	name string
	hang chan struct{}
}

func (f hangingFS) Open(name string) (fs.File, error) {
	if name == f.name {
		<-f.hang
	}
	return f.MapFS.Open(name)
}

func (f hangingFS) Stat(name string) (fs.FileInfo, error) { return f.MapFS.Stat(name) }

// TestHangingScriptFileHoldsUpNobodyElse: several calls wait for a file that cannot be
// read. One of them counts as stuck. The others hold no place and do not count.
func TestHangingScriptFileHoldsUpNobodyElse(t *testing.T) {
	files := hangingFS{
		MapFS: fstest.MapFS{"callbacks/slow.js": {}, "callbacks/hello.js": {Data: []byte(`Spark.setScriptData("v", 1)`)}},
		name:  "callbacks/slow.js",
		hang:  make(chan struct{}),
	}
	runner := &callback.GojaRunner{Scripts: files, MaxRunning: 2, MaxStuck: 2}
	ended := make(chan error, 20)
	deadline := testkit.NewDeadline(t.Context())
	for range cap(ended) {
		go func() {
			_, err := runner.RunScript(deadline, &callback.Call{Credential: "slow"})
			ended <- err
		}()
	}
	hello := func() {
		_, err := runner.RunScript(t.Context(), &callback.Call{Credential: "hello"})
		require.NoError(t, err)
	}
	hello() // while they wait
	deadline.Pass()
	for range cap(ended) {
		require.Error(t, <-ended)
	}
	hello() // and one of them is stuck
	close(files.hang)
}

// TestStoppedAtTheDeadline: the error and the log say where the script was. The
// runs are inline, because a busy machine may abandon others before they stop.
func TestStoppedAtTheDeadline(t *testing.T) {
	for name, test := range map[string]struct{ script, at string }{
		"a loop":              {script: `Spark.begun(); for (;;) ;`, at: "line=1 column=1"},
		"a loop in finally":   {script: `Spark.begun(); try { for (;;) ; } finally { for (;;) ; }`, at: "line=1 "},
		"a host function":     {script: `Spark.hang()`, at: "line=1 column=11"},
		"an outbound request": {script: `Spark.getHttp("http://api.example/", 60000).get()`, at: "line=1 column=48"},
	} {
		deadline := testkit.NewDeadline(t.Context())
		h, log := httpHandler(test.script)
		h.Runner.(*callback.GojaRunner).RunInline = true
		h.Timeout, h.StopAbandoned = time.Minute, true // by the deadline alone
		h.Members = callback.Members{
			"begun": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				deadline.Pass()
				return nil, nil
			}},
			"hang": {Func: func(ctx context.Context, _ *callback.Call, _ callback.Args) (any, error) {
				deadline.Pass()
				<-ctx.Done()
				return nil, nil
			}},
		}
		h.HTTP = callback.HTTPDoerFunc(func(r *http.Request) (*http.Response, error) {
			deadline.Pass()
			<-r.Context().Done()
			return nil, r.Context().Err()
		})
		rec := httptest.NewRecorder()
		h.ServeHTTP(rec, httptest.NewRequestWithContext(deadline, "GET", helloURL, nil))
		require.Equal(t, 504, rec.Code, name)
		require.Equal(t, `{"error":"script timed out"}`, rec.Body.String(), name)
		require.Contains(t, log.String(), `msg="callback: script failed"`, name)
		require.Contains(t, log.String(), "script=callbacks/hello.js "+test.at, name)
		require.Contains(t, log.String(), `error="ran past its deadline"`, name)
	}
}

// TestCallersGoroutineSurvives: a host function that ends its goroutine, or locks it to
// its thread, does not end the goroutine of the caller.
func TestCallersGoroutineSurvives(t *testing.T) {
	members := callback.Members{
		"end": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			runtime.Goexit()
			return nil, nil
		}},
		"lock": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			runtime.LockOSThread()
			defer runtime.UnlockOSThread()
			return nil, nil
		}},
	}
	_, err := runUnder(t.Context(), members, `Spark.end()`)
	require.ErrorContains(t, err, "goroutine")
	_, err = runUnder(t.Context(), members, `Spark.lock()`)
	require.NoError(t, err)

	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	_, err = runUnder(t.Context(), members, `Spark.lock()`)
	require.NoError(t, err)
}

// TestNoneLeftBehind: RunInline means that RunScript returns when the
// script has ended.
func TestNoneLeftBehind(t *testing.T) {
	ended := false
	deadline := testkit.NewDeadline(t.Context())
	call := &callback.Call{Credential: "hello", Members: callback.Members{
		"hang": {Func: func(ctx context.Context, _ *callback.Call, _ callback.Args) (any, error) {
			deadline.Pass()
			<-ctx.Done()
			time.Sleep(200 * time.Millisecond) // longer than a caller waits for a run that it abandons
			ended = true
			return nil, nil
		}},
	}}
	runner := &callback.GojaRunner{
		Scripts:   fstest.MapFS{"callbacks/hello.js": {Data: []byte(`Spark.hang()`)}},
		RunInline: true,
	}
	_, err := runner.RunScript(deadline, call)
	require.True(t, ended)
	require.ErrorContains(t, err, "callbacks/hello.js:1:11: ran past its deadline")
}

// TestGoexitOnCallersGoroutine: with RunInline, a host function runs on the caller's
// goroutine and may end it.
func TestGoexitOnCallersGoroutine(t *testing.T) {
	call := &callback.Call{Credential: "hello", Members: callback.Members{
		"end": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			runtime.Goexit()
			return nil, nil
		}},
	}}
	runner := &callback.GojaRunner{
		Scripts:    fstest.MapFS{"callbacks/hello.js": {Data: []byte(`Spark.end()`)}},
		MaxRunning: 1,
		RunInline:  true,
	}
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	for range 2 { // the place is free again
		returned := false
		ended := make(chan struct{})
		go func() {
			defer close(ended)
			_, _ = runner.RunScript(ctx, call)
			returned = true
		}()
		<-ended
		require.False(t, returned)
	}
}

// runUnder runs a script under ctx.
func runUnder(ctx context.Context, members callback.Members, script string) (*callback.Result, error) {
	runner := &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {Data: []byte(script)}}}
	return runner.RunScript(ctx, &callback.Call{Credential: "hello", Members: members})
}
