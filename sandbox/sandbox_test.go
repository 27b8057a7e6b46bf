package sandbox_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
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

func TestMain(m *testing.M) {
	beginTestProcess()
	sandbox.Main()
	goleak.VerifyTestMain(m, goleak.Cleanup(func(code int) {
		if alive := children(); len(alive) > 0 {
			fmt.Println("processes left behind:", alive)
			code = max(code, 1)
		}
		os.Exit(code)
	}))
}

// tree is a tree of scripts, in pairs of name and source.
func tree(files ...string) fstest.MapFS {
	m := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		m[files[i]] = &fstest.MapFile{Data: []byte(files[i+1]), ModTime: time.Unix(1, 0)}
	}
	return m
}

func newRunner(t testing.TB, scripts fs.FS) *sandbox.Runner {
	r := &sandbox.Runner{Scripts: scripts, Processes: 2, Logger: slog.New(slog.DiscardHandler)}
	t.Cleanup(func() { assert.NoError(t, r.Close()) })
	return r
}

// run runs the credential's script, with all the time it may need.
func run(t testing.TB, r callback.ScriptRunner, credential string) (*callback.Result, error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	return r.RunScript(ctx, &callback.Call{Credential: credential})
}

// say runs the script and returns what it has set as "say".
func say(t testing.TB, r callback.ScriptRunner, credential string) string {
	result, err := run(t, r, credential)
	if err != nil {
		return err.Error()
	}
	for _, f := range result.Data {
		if f.Name == "say" {
			return string(f.Value)
		}
	}
	return ""
}

// What a script does must not depend on the runner.
func TestSameAsInProcess(t *testing.T) {
	t.Parallel()
	modules := []string{
		"modules/GREET.js", "const greeting = 'hi '; function greet(x) { return greeting + x }",
		"modules/BROKEN.js", "\n\nvar = 1",
		"modules/LOOP_A.js", "require('LOOP_B'); var a = 'a'", "modules/LOOP_B.js", "require('LOOP_A'); var b = 'b'",
		"modules/THROWS.js", "\nfunction thrower() {\n  throw new TypeError('deep')\n}\nthrower()",
	}
	for name, source := range map[string]string{
		"data":              `Spark.setScriptData("all", Spark.getData()); Spark.setScriptData("b", [1, null, {"ü": "\u0000"}]); Spark.setScriptError("e", {x: 1})`,
		"nothing":           ``,
		"call":              `Spark.setScriptData("c", [Spark.getCredentialType(), Spark.getSessionId(), Spark.getClientIp(), Spark.getPlayer().getPlayerId(), new Date().getTime(), Math.random(), Math.random()])`,
		"time zone":         `Spark.setScriptData("t", [new Date(2024, 6, 1, 12).toISOString(), new Date(0).getTimezoneOffset()])`,
		"modules":           `requireOnce("GREET"); require("GREET"); requireOnce("GREET"); Spark.setScriptData("say", greet("you"))`,
		"module cycle":      `require("LOOP_A"); Spark.setScriptData("say", a + b)`,
		"no module":         "\n require('NONE')",
		"no module, caught": `try { require("NONE") } catch (e) { Spark.setScriptData("say", String(e)) }`,
		"no such name":      `try { require("../callbacks/x") } catch (e) { Spark.setScriptData("say", String(e)) }`,
		"broken module":     "\n\n   require('BROKEN')",
		"throwing module":   "\n require('THROWS')",
		"exit":              `Spark.setScriptData("a", 1); try { Spark.exit() } finally { Spark.setScriptData("b", 1) }`,
		"throw":             "function f() {\n  null.x\n}\nf()",
		"throw object":      "throw {code: 7}",
		"throw text":        "throw 'text'",
		"rejection":         "Promise.reject(new Error('no'))",
		"syntax":            "var a = 1;\nvar b = ;",
		"stack":             "function f() { return f() + 1 }\nf()",
		"hostile error":     "var o = {toString() { throw o }, get message() { throw o }}; throw o",
		"unknown member":    "Spark.loadPlayer('x')",
		"log":               `var l = Spark.getLog(); l.debug("d"); l.info({a: 1}); l.warn(null); l.error("über"); l.setLevel("ERROR"); l.warn("not seen")`,
		"log bytes":         `var l = Spark.getLog(); for (var i = 0; i < 100; i++) l.info(i + "x".repeat(20000))`,
		"many names":        `for (var i = 0; i < 65537; i++) Spark.setScriptData("n" + i, 1)`,
		"large result":      `Spark.setScriptData("a", "x".repeat(13e6))`,
		"large arguments":   `try { Spark.nothing("x".repeat(2**20)) } catch (e) { Spark.setScriptData("say", String(e)) }`,
		"many arguments":    `try { Spark.nothing.apply(null, new Array(1001)) } catch (e) { Spark.setScriptData("say", String(e)) }`,
		"http large":        `Spark.setScriptData("r", Spark.getHttp("http://up.example/").postString("x".repeat(2**20).repeat(16) + "x"))`,
		"http get":          `var r = Spark.getHttp("http://up.example/a?b=c").setHeaders({"X-A": ["1", "2"]}).get(); Spark.setScriptData("r", [r.getResponseCode(), r.getResponseString(), r.getHeaders(), r.getCookies()])`,
		"http post":         `var r = Spark.getHttp("https://up.example/p").postJson({a: "ü"}); Spark.setScriptData("r", r.getResponseJson())`,
		"http binary":       `var r = Spark.getHttp("https://up.example/p").postString("\u0000\u00ff"); Spark.setScriptData("r", r.getResponseString())`,
		"http empty body":   `var r = Spark.getHttp("https://up.example/p").postForm(null); Spark.setScriptData("r", r.getResponseString())`,
		"http timeout":      `Spark.setScriptData("r", Spark.getHttp("http://slow.example/", 20).get())`,
		"http dns":          `Spark.setScriptData("r", Spark.getHttp("http://nohost.example/").get())`,
		"http refused":      `Spark.setScriptData("r", Spark.getHttp("http://refused.example/").get())`,
		"http bad url":      `Spark.setScriptData("r", Spark.getHttp("file:///etc/passwd").get())`,
		"host function":     `Spark.setScriptData("r", Spark.add(1, 2, undefined))`,
		"host nil":          `Spark.setScriptData("r", Spark.nothing())`,
		"host error":        "\nSpark.fails('x')",
		"host panic":        `try { Spark.panics() } catch (e) { Spark.setScriptData("say", String(e)) }`,
		"host no json":      `try { Spark.chan() } catch (e) { Spark.setScriptData("say", String(e)) }`,
		"host missing":      `try { Spark.missing() } catch (e) { Spark.setScriptData("say", String(e)) }`,
		"host script":       `Spark.setScriptData("r", [Spark.player2("p").load().name, Spark.player2("q").load().name])`,
		"host broken":       `try { Spark.broken } catch (e) { Spark.setScriptData("say", String(e)) }`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			scripts := tree(append(modules, "callbacks/x.js", source)...)
			type outcome struct {
				result *callback.Result
				err    error
				log    string
				asked  []string
			}
			try := func(r callback.ScriptRunner) (o outcome) {
				ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
				defer cancel()
				var log testkit.Log
				call := &callback.Call{
					APIKey: "key", Credential: "x", PlayerID: "player", RunID: "run", ClientIP: "192.0.2.7",
					Data: []callback.Param{
						{Name: "one", Values: []string{"1"}}, {Name: "__proto__", Values: []string{"ü", "\xff", ""}},
					},
					RequestHeaders: []callback.Param{{Name: "x-sig", Values: []string{"s"}}},
					Members:        members(),
					HTTPTimeout:    time.Second,
					HTTP:           upstream(&o.asked),
					Logger:         slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: plain})),
					Now:            time.Unix(1700000000, 123e6),
					Seed:           7,
				}
				o.result, o.err = r.RunScript(ctx, call)
				o.log = log.String()
				return o
			}
			want := try(&callback.GojaRunner{Scripts: scripts})
			r := newRunner(t, scripts)
			r.Processes, r.Zone = 1, time.Local
			for range 3 { // fresh, and with all in its caches
				require.Equal(t, want, try(r))
			}
		})
	}
}

// A run logs 256 KiB, and one line that says that it would have logged more.
func TestLogBytes(t *testing.T) {
	t.Parallel()
	scripts := tree("callbacks/x.js", `for (var i = 0; i < 100; i++) Spark.getLog().info("x".repeat(20000))`)
	for _, r := range []callback.ScriptRunner{&callback.GojaRunner{Scripts: scripts}, newRunner(t, scripts)} {
		var log testkit.Log
		_, err := r.RunScript(t.Context(), &callback.Call{Credential: "x", Logger: slog.New(slog.NewTextHandler(&log, nil))})
		require.NoError(t, err)
		require.Equal(t, 15, strings.Count(log.String(), strings.Repeat("x", 16<<10)), "of 16 KiB and 3 bytes each")
		require.Equal(t, 1, strings.Count(log.String(), "script logs too much"))
	}
}

// plain drops what differs from one run to the next.
func plain(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey || a.Key == "stack" {
		return slog.Attr{}
	}
	return a
}

// upstream answers with what it was asked.
func upstream(asked *[]string) callback.HTTPDoerFunc {
	return func(req *http.Request) (*http.Response, error) {
		var body []byte
		if req.Body != nil {
			body, _ = io.ReadAll(req.Body)
		}
		deadline, _ := req.Context().Deadline()
		*asked = append(*asked, fmt.Sprintln(req.Method, req.URL, req.Header, req.Body != nil, time.Until(deadline) > 900*time.Millisecond))
		switch req.URL.Host {
		case "slow.example":
			<-req.Context().Done()
			return nil, req.Context().Err()
		case "nohost.example":
			return nil, &net.DNSError{Name: "secret"}
		case "refused.example":
			return nil, &net.OpError{Op: "dial", Err: errors.New("connection refused")}
		}
		return &http.Response{
			StatusCode: 201,
			Header:     http.Header{"Content-Type": {"text/plain; charset=utf-8"}, "Set-Cookie": {"a=1", "b=2"}},
			Body:       io.NopCloser(bytes.NewReader(append([]byte{}, body...))),
		}, nil
	}
}

func members() callback.Members {
	return callback.Members{
		"add": {Func: func(_ context.Context, call *callback.Call, args callback.Args) (any, error) {
			var a, b int
			if err := args.Scan(&a, &b); err != nil {
				return nil, err
			}
			return []any{a + b, call.RunID, len(args), string(args[2])}, nil
		}},
		"nothing": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { return nil, nil }},
		"fails": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			return nil, errors.New("out of stock")
		}},
		"panics":  {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { panic("secret") }},
		"chan":    {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { return make(chan int), nil }},
		"missing": {},
		"broken":  {Script: "function ("},
		"player2": {
			Script: `function (host, Spark) { return function (id) { return { load: function () { return host.load(id) } } } }`,
			Funcs: map[string]callback.HostFunc{
				"load": func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
					return map[string]string{"name": "player " + string(args[0])}, nil
				},
			},
		},
	}
}

func TestServerScript(t *testing.T) {
	t.Parallel()
	scripts := tree("callbacks/server.js", `Spark.setScriptData("say", "server")`)
	r := newRunner(t, scripts)
	require.Equal(t, `"server"`, say(t, r, ""))
	scripts["system/GS_CALLBACK_URL.js"] = &fstest.MapFile{Data: []byte(`Spark.setScriptData("say", "system")`)}
	require.Equal(t, `"system"`, say(t, r, ""))
	delete(scripts, "system/GS_CALLBACK_URL.js")
	require.Equal(t, `"server"`, say(t, r, ""))
	for _, name := range []string{"none", "../modules/x", "a/b", "ü", "x.js"} {
		_, err := run(t, r, name)
		require.ErrorIs(t, err, callback.ErrNoScript)
	}
}

func TestEdits(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	version := 0
	write := func(name, source string) {
		path := filepath.Join(dir, name)
		require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o777))
		require.NoError(t, os.WriteFile(path, []byte(source), 0o666))
		version++
		require.NoError(t, os.Chtimes(path, time.Time{}, time.Unix(int64(version), 0)))
		testkit.AwaitEdit()
	}
	const main = `require("M"); Spark.setScriptData("say", "%s " + m)`
	write("callbacks/x.js", fmt.Sprintf(main, "one"))
	write("modules/M.js", "var m = 1")
	r := newRunner(t, os.DirFS(dir))
	r.MaxCalls = 3 // so that new and used children take part
	always := func(want string) {
		t.Helper()
		for range 7 {
			require.Equal(t, want, say(t, r, "x"))
		}
	}
	always(`"one 1"`)
	write("modules/M.js", "var m = 2")
	always(`"one 2"`)
	write("callbacks/x.js", "var = ")
	always(`"one 2"`)
	write("modules/M.js", "function {")
	always(`"one 2"`)
	write("callbacks/x.js", "also broken (")
	always(`"one 2"`)
	write("callbacks/x.js", fmt.Sprintf(main, "two"))
	always(`"two 2"`)
	write("modules/M.js", "var m = 3")
	always(`"two 3"`)
	require.NoError(t, os.Remove(filepath.Join(dir, "callbacks/x.js")))
	testkit.AwaitEdit()
	_, err := run(t, r, "x")
	require.ErrorIs(t, err, callback.ErrNoScript)

	// A script that has never compiled is an error, until it is repaired.
	write("callbacks/y.js", "\n  var = ")
	for range 4 {
		_, err := run(t, r, "y")
		var script *callback.ScriptError
		require.ErrorAs(t, err, &script)
		require.Equal(t, 2, script.Line)
		require.Contains(t, script.Message, "SyntaxError")
	}
	write("callbacks/y.js", `Spark.setScriptData("say", 1)`)
	require.Equal(t, "1", say(t, r, "y"))
}

// A broken edit is logged once, however many children compile it.
func TestBrokenEditIsLoggedOnce(t *testing.T) {
	t.Parallel()
	scripts := tree("callbacks/x.js", "var a")
	r := newRunner(t, scripts)
	r.MaxCalls = 1
	var log testkit.Log
	call := &callback.Call{Credential: "x", Logger: slog.New(slog.NewTextHandler(&log, nil))}
	_, err := r.RunScript(t.Context(), call)
	require.NoError(t, err)
	scripts["callbacks/x.js"] = &fstest.MapFile{Data: []byte("\nvar x = <a/>;"), ModTime: time.Unix(2, 0)}
	testkit.AwaitEdit()
	for range 4 {
		_, err := r.RunScript(t.Context(), call)
		require.NoError(t, err)
	}
	require.Equal(t, 1, strings.Count(log.String(), "does not compile"))
	require.Contains(t, log.String(), "script=callbacks/x.js line=2 column=9")
	require.Contains(t, log.String(), "E4X is not JavaScript any more", "as in process, the author reads what to write instead")
}

func TestScriptSize(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", strings.Repeat(" ", 200), "secret.txt", "x"))
	r.MaxScriptSize = 100
	_, err := run(t, r, "x")
	require.ErrorContains(t, err, "over the limit of 100 bytes")
}

// A script that exceeds a limit affects no other call.
func TestHostile(t *testing.T) {
	t.Parallel()
	clock := testkit.StartClock(t)
	const timeout = 300 * time.Millisecond
	for name, c := range map[string]struct {
		source string
		memory bool // may end by the memory limit as well
	}{
		"loop":            {source: "for (;;);"},
		"loop in getter":  {source: "Spark.setScriptData('x', {get a() { for (;;); }})"},
		"loop in finally": {source: "try { for (;;); } finally { for (;;); }"},
		"promises":        {source: "function f() { Promise.resolve().then(f) } f()"},
		"native":          {source: "Array.prototype.indexOf.call({length: 2**53-1}, 1)", memory: true},
		"join":            {source: "for (;;) new Array(1e9).join('x')", memory: true},
		"sort":            {source: "var a = []; a[4294967294] = 1; a.sort()", memory: true},
		"repeat":          {source: "var a = []; for (;;) a.push('xy'.repeat(2**20) + a.length)", memory: true},
		"one string":      {source: "var s = 'x'.repeat(2**30); s.split('')", memory: true},
		"buffer":          {source: "var a = []; for (;;) a.push(new Uint8Array(1e8).fill(1))", memory: true},
		"bigint":          {source: "var a = 1n << 100000n; for (;;) a *= a", memory: true},
		"compile":         {source: "var x = 1n << (1n << 40n)", memory: true},
		"brackets":        {source: strings.Repeat("[", 1e5), memory: true},
		"unary":           {source: strings.Repeat("!", 9e5) + "1", memory: true},
		"flat":            {source: "var a = []; a[0] = a; a.flat(Infinity)", memory: true},
		"regexp":          {source: "/^(?=(a+)+$)(a+)+$/.test('a'.repeat(40) + 'b')"},
		"hostile throw":   {source: "var o = {toString() { throw o }}; throw o", memory: true},
		"slow throw":      {source: "throw {get message() { for (;;); }}", memory: true},
		"proxy":           {source: "var p = new Proxy({}, {}); Object.setPrototypeOf(p, p); p.x", memory: true},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRunner(t, tree("callbacks/x.js", c.source, "callbacks/y.js", `Spark.setScriptData("say", "fine")`))
			require.Equal(t, `"fine"`, say(t, r, "y"))
			ctx, cancel := context.WithTimeout(t.Context(), timeout)
			defer cancel()
			before := clock.Now()
			result, err := r.RunScript(ctx, &callback.Call{Credential: "x"})
			assert.Less(t, clock.Now()-before, timeout+slack)
			require.Nil(t, result)
			var script *callback.ScriptError
			require.ErrorAs(t, err, &script)
			require.Equal(t, "callbacks/x.js", script.Script)
			if !c.memory {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			t.Log(err)
			require.Equal(t, `"fine"`, say(t, r, "y"))
		})
	}
}

// slack is how long after the deadline the answer may come.
const slack = 2 * time.Second

// A child that can be interrupted reports where the script was. On a slow machine the
// report may be too late, so the test tries again.
func TestDeadlinePosition(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", "var a = 1;\nfunction f() {\n  for (;;) a++\n}\nf()"))
	require.NoError(t, r.Start(t.Context()))
	require.Eventually(t, func() bool {
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		defer cancel()
		_, err := r.RunScript(ctx, &callback.Call{Credential: "x"})
		var script *callback.ScriptError
		return errors.As(err, &script) && errors.Is(err, context.DeadlineExceeded) &&
			script.Line == 3 && strings.Contains(script.Stack, "at f (callbacks/x.js:3:")
	}, time.Minute, time.Millisecond)
}

func TestCancel(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree(
		"callbacks/loop.js", "Spark.begun(); for (;;);",
		"callbacks/http.js", "Spark.getHttp('http://x.example').get(); Spark.begun()",
		"callbacks/y.js", `Spark.setScriptData("say", "fine")`))
	for name, stays := range map[string]bool{"loop": false, "http": true} {
		ctx, cancel := context.WithCancel(t.Context())
		require.Equal(t, `"fine"`, say(t, r, "y"))
		before := r.Pids()
		call := &callback.Call{
			Credential: name,
			Members: callback.Members{"begun": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				cancel()
				return nil, nil
			}}},
			HTTP: callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
				cancel()
				<-req.Context().Done()
				return nil, req.Context().Err()
			}),
		}
		_, err := r.RunScript(ctx, call)
		require.ErrorIs(t, err, context.Canceled)
		if stays {
			require.Equal(t, before, r.Pids())
		}
	}
}

// A caller gets its answer in time even if the host's code ignores its context.
func TestHostOverruns(t *testing.T) {
	t.Parallel()
	release := make(chan struct{})
	defer close(release)
	r := newRunner(t, tree("callbacks/x.js", "Spark.hangs()"))
	require.NoError(t, r.Start(t.Context()))
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	_, err := r.RunScript(ctx, &callback.Call{Credential: "x", Members: callback.Members{
		"hangs": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			<-release
			return nil, nil
		}},
	}})
	require.ErrorIs(t, err, context.DeadlineExceeded)
}

func TestQueue(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", "Spark.wait()"))
	r.Processes, r.MaxQueue = 1, 1
	require.NoError(t, r.Start(t.Context()))
	release := make(chan struct{})
	call := &callback.Call{Credential: "x", Members: callback.Members{
		"wait": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			<-release
			return nil, nil
		}},
	}}
	var calls sync.WaitGroup
	for want := range 2 {
		calls.Go(func() {
			_, err := r.RunScript(t.Context(), call)
			assert.NoError(t, err)
		})
		require.Eventually(t, func() bool {
			waiting, busy := r.Waiting()
			return waiting == want && busy == 1
		}, 10*time.Second, time.Millisecond)
	}
	_, err := r.RunScript(t.Context(), call)
	require.ErrorIs(t, err, callback.ErrOverloaded)
	close(release)
	calls.Wait()

	release = make(chan struct{})
	calls.Go(func() { _, _ = r.RunScript(t.Context(), call) })
	require.Eventually(t, func() bool { _, busy := r.Waiting(); return busy == 1 }, 10*time.Second, time.Millisecond)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	_, err = r.RunScript(ctx, call)
	require.ErrorIs(t, err, callback.ErrOverloaded)
	close(release)
	calls.Wait()
}

func TestClose(t *testing.T) {
	t.Parallel()
	t.Run("unused", func(t *testing.T) {
		r := &sandbox.Runner{Scripts: tree()}
		require.NoError(t, r.Close())
		require.NoError(t, r.Close())
		_, err := run(t, r, "x")
		require.ErrorIs(t, err, sandbox.ErrClosed)
		require.ErrorIs(t, err, callback.ErrUnavailable)
		require.ErrorIs(t, r.Start(t.Context()), sandbox.ErrClosed)
	})
	t.Run("waits", func(t *testing.T) {
		r := newRunner(t, tree("callbacks/x.js", "Spark.begun(); Spark.setScriptData('say', 1)"))
		closed := make(chan error, 1)
		result, err := r.RunScript(t.Context(), &callback.Call{Credential: "x", Members: callback.Members{
			"begun": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				go func() { closed <- r.Close() }()
				for {
					if _, err := run(t, r, "x"); errors.Is(err, sandbox.ErrClosed) {
						return nil, nil
					}
				}
			}},
		}})
		require.NoError(t, err)
		require.Len(t, result.Data, 1)
		require.NoError(t, <-closed)
		require.Empty(t, r.Pids())
	})
	t.Run("kills", func(t *testing.T) {
		r := newRunner(t, tree("callbacks/x.js", "Spark.begun(); for (;;);"))
		closed := make(chan error, 1)
		_, err := r.RunScript(t.Context(), &callback.Call{Credential: "x", Members: callback.Members{
			"begun": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				over, cancel := context.WithCancel(context.Background())
				cancel()
				go func() { closed <- r.Shutdown(over) }()
				return nil, nil
			}},
		}})
		require.ErrorIs(t, err, sandbox.ErrClosed)
		require.ErrorIs(t, <-closed, context.Canceled)
		require.Empty(t, r.Pids())
	})
	t.Run("starting", func(t *testing.T) {
		r := &sandbox.Runner{Scripts: tree("callbacks/x.js", "")}
		var calls sync.WaitGroup
		for range 16 {
			calls.Go(func() {
				if _, err := run(t, r, "x"); err != nil {
					assert.ErrorIs(t, err, sandbox.ErrClosed)
				}
			})
		}
		require.NoError(t, r.Close())
		calls.Wait()
		require.Empty(t, r.Pids())
	})
}

// A child serves MaxCalls calls, and not one more.
func TestReplaced(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", "Spark.note()"))
	r.Processes, r.Reserve, r.MaxCalls = 1, -1, 2
	var pids []int
	for range 6 {
		_, err := r.RunScript(t.Context(), &callback.Call{Credential: "x", Members: callback.Members{
			"note": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				pids = append(pids, r.Pids()...)
				return nil, nil
			}},
		}})
		require.NoError(t, err)
	}
	require.Len(t, pids, 6)
	for i := 0; i < 6; i += 2 {
		require.Equal(t, pids[i], pids[i+1])
		if i > 0 {
			require.NotEqual(t, pids[i-1], pids[i])
		}
	}
}

func TestNoScripts(t *testing.T) {
	t.Parallel()
	_, err := run(t, new(sandbox.Runner), "x")
	require.ErrorContains(t, err, "no Scripts")
}

// In the Handler, a sandbox is like any runner.
func TestManyAtOnce(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", `Spark.setScriptData("say", Spark.getData().n * 2)`))
	r.Processes, r.MaxCalls = 4, 50
	var calls sync.WaitGroup
	for i := range 16 {
		calls.Go(func() {
			for j := range 100 {
				n := i*100 + j
				result, err := r.RunScript(t.Context(), &callback.Call{
					Credential: "x",
					Data:       []callback.Param{{Name: "n", Values: []string{fmt.Sprint(n)}}},
				})
				if !assert.NoError(t, err) {
					return
				}
				assert.Equal(t, fmt.Sprint(n*2), string(result.Data[0].Value))
			}
		})
	}
	calls.Wait()
}

// Callers of one credential that take all they can get do not keep those of another
// waiting, in either runner.
func TestFairness(t *testing.T) {
	t.Parallel()
	scripts := tree("callbacks/a.js", "for (;;);", "callbacks/b.js", `Spark.setScriptData("say", 1)`)
	sandboxed := newRunner(t, scripts)
	sandboxed.Reserve = 1
	for name, r := range map[string]callback.ScriptRunner{
		"process": &callback.GojaRunner{Scripts: scripts, MaxRunning: 2, Reserve: 1},
		"sandbox": sandboxed,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			ctx, cancel := context.WithCancel(t.Context())
			var calls sync.WaitGroup
			for range 16 {
				calls.Go(func() {
					_, err := r.RunScript(ctx, &callback.Call{APIKey: "k", Credential: "a"})
					assert.Error(t, err)
				})
			}
			for range 20 {
				require.Equal(t, "1", say(t, r, "b"))
			}
			cancel()
			calls.Wait()
		})
	}
}

// A script that asks for too many files gets an error, and its child serves on.
func TestTooManyFiles(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", `
		var n = 0;
		for (;;) try { require("M" + n); } catch (e) {
			if (!/no module/.test(e)) { Spark.setScriptData("say", n + " " + e); break; }
			n++;
		}`))
	r.Processes, r.Reserve = 1, -1
	require.Equal(t, `"4095 Error: require: module \"M4095\" cannot be read"`, say(t, r, "x"))
	pids := r.Pids()
	require.Equal(t, `"4096 Error: require: module \"M4096\" cannot be read"`, say(t, r, "x"))
	require.Equal(t, pids, r.Pids())
}

// A brokenFS is a tree whose files panic when they are first read.
type brokenFS struct {
	fstest.MapFS
	works atomic.Bool
}

func (b *brokenFS) Open(name string) (fs.File, error) {
	if !b.works.Swap(true) {
		panic("broken")
	}
	return b.MapFS.Open(name)
}

// A call in which code of the host panics gives back its child and its place.
func TestHostPanics(t *testing.T) {
	t.Parallel()
	r := newRunner(t, &brokenFS{MapFS: tree("callbacks/x.js", `Spark.setScriptData("say", 1)`)})
	r.Processes, r.Reserve = 1, -1
	require.PanicsWithValue(t, "broken", func() { _, _ = run(t, r, "x") })
	waiting, busy := r.Waiting()
	require.Zero(t, waiting+busy)
	require.Equal(t, "1", say(t, r, "x"))
}

// A credential whose calls compute does not get all processors while another calls
// whose calls do not. One whose calls wait for most of the time may have more calls.
func TestLeavesAProcessor(t *testing.T) {
	t.Parallel()
	const computes = `
		if (!Spark.getData().hold) for (var sum = 0, i = 0; i < 1e6; i++) sum += i;
		Spark.hold();`
	r := newRunner(t, tree("callbacks/light.js", `Spark.setScriptData("say", 1)`,
		"callbacks/computes.js", computes, "callbacks/waits.js", computes))
	most := max(1, runtime.GOMAXPROCS(0)-1)
	r.Processes, r.Reserve, r.MaxQueue = most+2, -1, -1
	require.NoError(t, r.Start(t.Context()))
	call := func(credential string, hold func(), data ...callback.Param) error {
		_, err := r.RunScript(t.Context(), &callback.Call{Credential: credential, Data: data, Members: callback.Members{
			"hold": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				hold()
				return nil, nil
			}},
		}})
		return err
	}
	begin := time.Now()
	require.NoError(t, call("waits", func() { <-time.After(3 * time.Since(begin)) }))
	require.NoError(t, call("computes", func() {}))
	for range 10 {
		require.NoError(t, call("light", func() {}))
	}

	// atOnce returns how many of most+1 calls may be under way at once.
	atOnce := func(credential string) (n int) {
		held, refused, release := make(chan struct{}), make(chan error), make(chan struct{})
		var calls sync.WaitGroup
		for range most + 1 {
			calls.Go(func() {
				err := call(credential, func() { held <- struct{}{}; <-release }, callback.Param{Name: "hold", Values: []string{"1"}})
				if err != nil {
					refused <- err
				}
			})
			select {
			case <-held:
				n++
			case err := <-refused:
				assert.ErrorIs(t, err, callback.ErrOverloaded)
			}
		}
		close(release)
		calls.Wait()
		return n
	}
	require.Equal(t, most+1, atOnce("waits"))
	computing := atOnce("computes")
	require.Positive(t, computing)
	require.LessOrEqual(t, computing, most)
}

// One credential alone has every child.
func TestAloneHasAll(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/a.js", "Spark.meet()"))
	r.Processes, r.Reserve = 3, 1
	var met sync.WaitGroup
	met.Add(r.Processes)
	var calls sync.WaitGroup
	for range r.Processes {
		calls.Go(func() {
			_, err := r.RunScript(t.Context(), &callback.Call{Credential: "a", Members: callback.Members{
				"meet": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
					met.Done()
					met.Wait() // for all the others
					return nil, nil
				}},
			}})
			assert.NoError(t, err)
		})
	}
	calls.Wait()
	require.Len(t, r.Pids(), 3)
}

// Scripts have the zone of the Runner, which is UTC unless it says so.
func TestZone(t *testing.T) {
	t.Parallel()
	vienna, err := time.LoadLocation("Europe/Vienna")
	require.NoError(t, err)
	for want, zone := range map[string]*time.Location{
		`"2024-07-01T12:00:00.000Z"`: nil,
		`"2024-07-01T10:00:00.000Z"`: vienna,
		`"2024-07-01T08:30:00.000Z"`: time.FixedZone("nowhere", 3*3600+1800),
	} {
		r := newRunner(t, tree("callbacks/x.js", `Spark.setScriptData("say", new Date(2024, 6, 1, 12).toISOString())`))
		r.Processes, r.Zone = 1, zone
		require.Equal(t, want, say(t, r, "x"))
	}
}
