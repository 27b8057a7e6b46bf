package callbacktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing/fstest"
	"time"

	"example.com/callback"
)

// A KnownSecret is a secret that a store must return: the secret of a credential,
// or, if Credential is empty, the server secret of the API key.
type KnownSecret struct {
	APIKey     string
	Credential string
	Secret     string
}

// TestSecretStore tests whether store keeps to the contract of
// [callback.SecretStore]: it returns each of the known secrets, and none for
// other names, including odd ones. TestSecretStore returns an error that joins
// all failures and holds no secret.
func TestSecretStore(store callback.SecretStore, known ...KnownSecret) error {
	t := &failures{}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()

	given := map[KnownSecret]bool{} // without Secret
	for _, k := range known {
		given[KnownSecret{APIKey: k.APIKey, Credential: k.Credential}] = true
		secrets, err := store.Secrets(ctx, k.APIKey, k.Credential)
		t.expect(err == nil, "Secrets(%q, %q) fails: %v", k.APIKey, k.Credential, err)
		t.expect(err != nil || slices.Contains(secrets, callback.NewSecret(k.Secret)),
			"Secrets(%q, %q) does not give the known secret", k.APIKey, k.Credential)
		t.expect(!slices.Contains(secrets, callback.Secret{}),
			"Secrets(%q, %q) gives the zero Secret, which is that of no secret", k.APIKey, k.Credential)
	}

	// Names that are not among the known ones. An API key is any text; a
	// credential is a name, or empty.
	unknown := []KnownSecret{{}, {Credential: "hello"}}
	for _, key := range append([]string{"nobody's"}, oddKeys()...) {
		unknown = append(unknown, KnownSecret{APIKey: key}, KnownSecret{APIKey: key, Credential: "hello"})
	}
	for _, k := range known {
		unknown = append(unknown,
			KnownSecret{APIKey: k.APIKey, Credential: "no-such-credential"},
			KnownSecret{APIKey: k.APIKey, Credential: strings.Repeat("x", 128)},
			KnownSecret{APIKey: swapCase(k.APIKey), Credential: k.Credential},
			KnownSecret{APIKey: k.APIKey, Credential: swapCase(k.Credential)},
			KnownSecret{APIKey: k.APIKey + "/" + k.Credential},
			KnownSecret{APIKey: k.APIKey + " ", Credential: k.Credential},
			KnownSecret{APIKey: k.APIKey + "\x00", Credential: k.Credential},
			KnownSecret{APIKey: k.APIKey + "/", Credential: k.Credential},
			KnownSecret{APIKey: "%", Credential: k.Credential},
			KnownSecret{APIKey: "*", Credential: k.Credential},
		)
	}
	for _, k := range unknown {
		if given[k] {
			continue
		}
		secrets, err := store.Secrets(ctx, k.APIKey, k.Credential)
		t.expect(err == nil, "Secrets(%.100q, %.100q), which nobody knows, fails: %v", k.APIKey, k.Credential, err)
		t.expect(len(secrets) == 0, "Secrets(%.100q, %.100q) gives secrets that nobody put there", k.APIKey, k.Credential)
	}

	t.within("Secrets with a context that is done", func() {
		done, cancel := context.WithCancel(ctx)
		cancel()
		_, _ = store.Secrets(done, "nobody's", "hello") // an error is fine, but it must return
	})
	var calls sync.WaitGroup
	for range 16 {
		calls.Go(func() {
			t.within("concurrent calls", func() {
				for _, k := range append(slices.Clone(known), KnownSecret{APIKey: "nobody's"}) {
					_, err := store.Secrets(ctx, k.APIKey, k.Credential)
					t.expect(err == nil, "Secrets(%q, %q) fails under concurrent calls: %v", k.APIKey, k.Credential, err)
				}
			})
		})
	}
	calls.Wait()
	return t.err()
}

// oddKeys returns API keys that only an attacker sends.
func oddKeys() []string {
	return []string{
		"..", "../..", "a/b", `a\b`, "a\x00b", "a\nb", "\xff\xfe", "' OR ''='", "$ne", "{}", "Ⓔ③",
		strings.Repeat("k", 64<<10),
	}
}

func swapCase(s string) string {
	if lower := strings.ToLower(s); lower != s {
		return lower
	}
	return strings.ToUpper(s)
}

// TestScriptRunner tests whether the runners that newRunner makes keep to the
// contract of [callback.ScriptRunner] and offer scripts what they need. Each
// runner gets its own tree of scripts. A runner that is an [io.Closer] is closed
// at the end. TestScriptRunner returns an error that joins all failures.
func TestScriptRunner(newRunner func(scripts fs.FS) callback.ScriptRunner) error {
	t := &failures{}
	for _, test := range runnerTests() {
		tree := fstest.MapFS{}
		for name, text := range test.scripts {
			tree[name] = &fstest.MapFile{Data: []byte(text)}
		}
		runner := newRunner(tree)
		t.within(test.name, func() {
			ctx, cancel := context.WithTimeout(context.Background(), patience)
			defer cancel()
			if err := test.run(ctx, runner); err != nil {
				t.expect(false, "%s: %w", test.name, err)
			}
		})
		if closer, ok := runner.(io.Closer); ok {
			if err := closer.Close(); err != nil {
				t.expect(false, "%s: Close: %w", test.name, err)
			}
		}
	}
	return t.err()
}

// A runnerTest tests one property of a runner with one tree of scripts.
type runnerTest struct {
	name    string
	scripts map[string]string
	run     func(ctx context.Context, runner callback.ScriptRunner) error
}

func runnerTests() []runnerTest {
	// hello tests the result of a call of callbacks/hello.js.
	hello := func(name, script string, check func(*callback.Result, error) error, change ...func(*callback.Call)) runnerTest {
		return runnerTest{name, map[string]string{"callbacks/hello.js": script}, func(ctx context.Context, runner callback.ScriptRunner) error {
			call := &callback.Call{APIKey: "E3", Credential: "hello", RunID: "RUN", ClientIP: "192.0.2.1"}
			for _, f := range change {
				f(call)
			}
			return check(runner.RunScript(ctx, call))
		}}
	}
	gives := func(data string) func(*callback.Result, error) error {
		return func(result *callback.Result, err error) error { return wantData(result, err, data) }
	}

	tests := []runnerTest{
		hello("nothing set", `var x = 1`, gives(``)),
		hello("data in the order first set, and compact",
			`Spark.setScriptData("b", [1, {"x": null}]); Spark.setScriptData("a", "é\n"); Spark.setScriptData("b", 2.5)`,
			gives(`b=2.5 a="é\n"`)),
		hello("what the call carries",
			`Spark.setScriptData("all", [Spark.getCredentialType(), Spark.getSessionId(), Spark.getClientIp(), Spark.getPlayer().getPlayerId()])`,
			gives(`all=["hello","RUN","192.0.2.1","p1"]`),
			func(c *callback.Call) { c.PlayerID = "p1" }),
		hello("no player", `Spark.setScriptData("p", Spark.getPlayer())`, gives(`p=null`)),
		hello("data of the request, in order",
			`Spark.setScriptData("d", Spark.getData())`, gives(`d={"b":"1","__proto__":["x","y"],"a":""}`),
			func(c *callback.Call) {
				c.Data = []callback.Param{{Name: "b", Values: []string{"1"}}, {Name: "__proto__", Values: []string{"x", "y"}}, {Name: "a", Values: []string{""}}}
			}),
		hello("headers of the request",
			`Spark.setScriptData("h", Spark.getData().REQUEST_HEADERS)`, gives(`h={"x-a":"1"}`),
			func(c *callback.Call) { c.RequestHeaders = []callback.Param{{Name: "x-a", Values: []string{"1"}}} }),
		hello("a clock that stands still and repeatable randomness",
			`Spark.setScriptData("t", new Date()); Spark.setScriptData("r", Math.random() >= 0)`,
			gives(`t="2022-09-30T12:00:00.000Z" r=true`),
			func(c *callback.Call) { c.Now, c.Seed = time.Date(2022, 9, 30, 12, 0, 0, 0, time.UTC), 1 }),
		hello("exit keeps what was set",
			`Spark.setScriptData("a", 1); try { Spark.exit() } catch (e) { Spark.setScriptData("b", 2) } finally { Spark.setScriptData("c", 3) }`,
			gives(`a=1`)),
		hello("promises are drained",
			`Promise.resolve().then(function () { Spark.setScriptData("a", 1) })`, gives(`a=1`)),
		hello("script errors",
			`Spark.setScriptError("e", {"x": 1}); Spark.setScriptData("a", 1)`,
			func(result *callback.Result, err error) error {
				if err := wantData(result, err, `a=1`); err != nil {
					return err
				}
				return wantFields(result.Errors, `e={"x":1}`)
			}),
		hello("an exception", "var x\n  throw new Error('boom')", wantScriptError("callbacks/hello.js", 2, "boom")),
		hello("an unhandled rejection", "Promise.reject(new Error('boom'))", wantScriptError("callbacks/hello.js", 0, "boom")),
		hello("a syntax error", "var x\nvar = 1", wantScriptError("callbacks/hello.js", 2, "SyntaxError")),
		hello("no way to make outbound requests", `Spark.setScriptData("r", Spark.getHttp("http://api.example/").get())`, gives(`r=null`)),
		hello("an outbound request",
			`Spark.setScriptData("r", Spark.getHttp("http://api.example/x").postString("ping").getResponseString())`,
			gives(`r="POST http://api.example/x ping"`),
			func(c *callback.Call) { c.HTTP = callback.HTTPDoerFunc(echo) }),
		hello("an outbound request that fails",
			`Spark.setScriptData("r", Spark.getHttp("http://api.example/x").get())`, gives(`r=null`),
			func(c *callback.Call) {
				c.HTTP = callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New("down") })
			}),
		hello("a logger that is nil", `Spark.getLog().info("a"); Spark.setScriptData("a", 1)`, gives(`a=1`)),
		hello("a member of the host",
			`Spark.setScriptData("m", Spark.add(1, {"x": 2}))`, gives(`m=["hello",1,{"x":2}]`),
			func(c *callback.Call) {
				c.Members = callback.Members{"add": {Func: func(_ context.Context, call *callback.Call, args callback.Args) (any, error) {
					return []any{call.Credential, args[0], args[1]}, nil
				}}}
			}),
		hello("an error of the host's",
			`try { Spark.fail() } catch (e) { Spark.setScriptData("m", e.message) }`, gives(`m="not today"`),
			func(c *callback.Call) {
				c.Members = callback.Members{"fail": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
					return nil, errors.New("not today")
				}}}
			}),
		{"modules", map[string]string{
			"callbacks/hello.js": `require("A"); require("A"); requireOnce("A"); requireOnce("B"); Spark.setScriptData("s", s)`,
			"modules/A.js":       `var s = (typeof s === "undefined" ? "" : s) + "A"`,
			"modules/B.js":       `s += "B"`,
		}, func(ctx context.Context, runner callback.ScriptRunner) error {
			return runHello(ctx, runner, `s="AAB"`)
		}},
		{"the server secret's script", map[string]string{
			"callbacks/server.js":       `Spark.setScriptData("a", "fallback")`,
			"system/GS_CALLBACK_URL.js": `Spark.setScriptData("a", Spark.getCredentialType())`,
		}, func(ctx context.Context, runner callback.ScriptRunner) error {
			result, err := runner.RunScript(ctx, &callback.Call{APIKey: "E3"})
			return wantData(result, err, `a="server"`)
		}},
		{"log lines", map[string]string{"callbacks/hello.js": `Spark.getLog().warn("careful")`}, func(ctx context.Context, runner callback.ScriptRunner) error {
			log := new(logRecorder)
			_, err := runner.RunScript(ctx, &callback.Call{APIKey: "E3", Credential: "hello", Logger: slog.New(log)})
			if want := []string{"WARN careful script=callbacks/hello.js line=1"}; err == nil && !slices.Equal(log.lines(), want) {
				return fmt.Errorf("logged %q, want %q", log.lines(), want)
			}
			return err
		}},
		{"every call has a world of its own", map[string]string{
			"callbacks/hello.js": `Spark.setScriptData("n", [typeof seen, [].seen === undefined, Spark.seen === undefined]);
				seen = 1; Array.prototype.seen = 1; Spark.seen = 1; JSON.parse = null`,
		}, func(ctx context.Context, runner callback.ScriptRunner) error {
			for range 3 {
				if err := runHello(ctx, runner, `n=["undefined",true,true]`); err != nil {
					return err
				}
			}
			return nil
		}},
		{"concurrent calls", map[string]string{
			"callbacks/hello.js": `Spark.setScriptData("id", Spark.getSessionId())`,
		}, func(ctx context.Context, runner callback.ScriptRunner) error {
			t := &failures{}
			var calls sync.WaitGroup
			for i := range 32 {
				calls.Go(func() {
					id := fmt.Sprint("run", i)
					t.within(id, func() {
						result, err := runner.RunScript(ctx, &callback.Call{APIKey: "E3", Credential: "hello", RunID: id})
						if err := wantData(result, err, `id="`+id+`"`); err != nil {
							t.expect(false, "%w", err)
						}
					})
				})
			}
			calls.Wait()
			return t.err()
		}},
		{"the call stays as it is", map[string]string{
			"callbacks/hello.js": `var d = Spark.getData(); d.a = 1; d.b.push("z"); delete d.c`,
		}, func(ctx context.Context, runner callback.ScriptRunner) error {
			params := func() []callback.Param {
				return []callback.Param{{Name: "a", Values: []string{"1"}}, {Name: "b", Values: []string{"x", "y"}}, {Name: "c", Values: []string{""}}}
			}
			call := &callback.Call{APIKey: "E3", Credential: "hello", Data: params()}
			if _, err := runner.RunScript(ctx, call); err != nil {
				return err
			}
			if !reflect.DeepEqual(call.Data, params()) {
				return errors.New("the script has changed Call.Data")
			}
			return nil
		}},
		{"the deadline", map[string]string{
			"callbacks/hello.js": `for (;;) {}`,
		}, func(ctx context.Context, runner callback.ScriptRunner) error {
			ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
			defer cancel()
			_, err := runner.RunScript(ctx, &callback.Call{APIKey: "E3", Credential: "hello"})
			if !errors.Is(err, context.DeadlineExceeded) {
				return fmt.Errorf("the error is %v, want context.DeadlineExceeded", err)
			}
			return nil
		}},
		{"a caller who goes away", map[string]string{
			"callbacks/hello.js": `Spark.getLog().info("running"); for (;;) {}`,
		}, func(ctx context.Context, runner callback.ScriptRunner) error {
			ctx, cancel := context.WithCancel(ctx)
			defer cancel()
			log := slog.New(onLog{func() { cancel() }})
			if _, err := runner.RunScript(ctx, &callback.Call{APIKey: "E3", Credential: "hello", Logger: log}); err == nil {
				return errors.New("no error")
			}
			return nil
		}},
	}
	for _, credential := range []string{"other", "Hello", "../modules/A", "..", "hello.js", "a/b", "a\x00b"} {
		tests = append(tests, runnerTest{"no script for " + fmt.Sprintf("%q", credential), map[string]string{
			"callbacks/hello.js": ``,
			"modules/A.js":       ``,
		}, func(ctx context.Context, runner callback.ScriptRunner) error {
			_, err := runner.RunScript(ctx, &callback.Call{APIKey: "E3", Credential: credential})
			if !errors.Is(err, callback.ErrNoScript) {
				return fmt.Errorf("the error is %v, want callback.ErrNoScript", err)
			}
			return nil
		}})
	}
	return tests
}

func runHello(ctx context.Context, runner callback.ScriptRunner, want string) error {
	result, err := runner.RunScript(ctx, &callback.Call{APIKey: "E3", Credential: "hello"})
	return wantData(result, err, want)
}

// wantData compares script data, written as name=JSON and separated by spaces.
func wantData(result *callback.Result, err error, want string) error {
	if err != nil {
		return err
	}
	if result == nil {
		result = new(callback.Result)
	}
	return wantFields(result.Data, want)
}

func wantFields(fields []callback.Field, want string) error {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.Name + "=" + string(f.Value)
	}
	if got := strings.Join(parts, " "); got != want {
		return fmt.Errorf("the script has set %s, want %s", got, want)
	}
	return nil
}

// wantScriptError expects a *ScriptError. If line is 0, any line will do.
func wantScriptError(script string, line int, message string) func(*callback.Result, error) error {
	return func(_ *callback.Result, err error) error {
		var e *callback.ScriptError
		switch {
		case !errors.As(err, &e):
			return fmt.Errorf("the error is %T, want *callback.ScriptError", err)
		case e.Script != script:
			return fmt.Errorf("ScriptError.Script is %q, want %q", e.Script, script)
		case line != 0 && e.Line != line:
			return fmt.Errorf("ScriptError.Line is %d, want %d", e.Line, line)
		case !strings.Contains(e.Message, message):
			return fmt.Errorf("ScriptError.Message is %q, want %q in it", e.Message, message)
		}
		return nil
	}
}

// echo answers an outbound request with what was sent.
func echo(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	text := req.Method + " " + req.URL.String() + " " + string(body)
	return &http.Response{StatusCode: http.StatusOK, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(text))}, nil
}

// onLog is a slog.Handler that calls a function for every record.
type onLog struct{ f func() }

func (l onLog) Enabled(context.Context, slog.Level) bool  { return true }
func (l onLog) Handle(context.Context, slog.Record) error { l.f(); return nil }
func (l onLog) WithAttrs([]slog.Attr) slog.Handler        { return l }
func (l onLog) WithGroup(string) slog.Handler             { return l }

// patience bounds operations that should take no time. If it passes, they hang.
const patience = 30 * time.Second

// failures collects errors. It is safe for concurrent use.
type failures struct {
	mu   sync.Mutex
	list []error
}

func (f *failures) expect(ok bool, format string, args ...any) {
	if ok {
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.list = append(f.list, fmt.Errorf(format, args...))
}

// within runs a function that may hang or panic.
func (f *failures) within(name string, do func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if v := recover(); v != nil {
				f.expect(false, "%s: panic of type %T", name, v)
			}
		}()
		do()
	}()
	timer := time.NewTimer(2 * patience)
	defer timer.Stop()
	select {
	case <-done:
	case <-timer.C:
		f.expect(false, "%s: does not return", name)
	}
}

func (f *failures) err() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	return errors.Join(f.list...)
}
