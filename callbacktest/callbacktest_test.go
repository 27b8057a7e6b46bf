package callbacktest_test

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/callback"
	"example.com/callback/callbacktest"
	"example.com/callback/internal/testkit"
)

var update = flag.Bool("update", false, "rewrite the case files")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func handler() *callback.Handler {
	return &callback.Handler{
		Secrets: callback.SecretMap{"E3/hello": "s3cret"},
		Runner: &callback.GojaRunner{Scripts: fstest.MapFS{
			"callbacks/hello.js": {Data: []byte(`Spark.setScriptData("hello", Spark.getData().name)`)},
		}},
	}
}

func TestRun(t *testing.T) {
	t.Parallel()
	h := handler()
	callbacktest.Run(t, h, "testdata/*.txtar")
	require.Nil(t, h.HTTP)
	require.Nil(t, h.Logger)
}

// TestRunUpdates is not parallel, because all tests share the flag.
func TestRunUpdates(t *testing.T) {
	if *update {
		t.Skip("rewriting the case files")
	}
	file := filepath.Join(t.TempDir(), "case.txtar")
	const request, script = "A comment.\n-- request --\nGET /callback/E3/hello/s3cret\n", "-- callbacks/hello.js --\n" +
		"Spark.getLog().info('a'); Spark.setScriptData('RESPONSE_RAW', 'x\\r\\n\\x00')\n"
	for _, test := range []struct{ name, before, after string }{
		{
			"fills in a response", request + script,
			request + script + "-- response quoted --\n200 OK\nContent-Type: text/plain; charset=utf-8\n\n\"x\\r\\n\"\n\"\\x00\"\n",
		},
		{
			"rewrites responses and log where they are",
			request + "-- response --\n500 Wrong\n-- log --\nwrong\n" + strings.ReplaceAll(script, `\r\n\x00`, "y"),
			request + "-- response --\n200 OK\nContent-Type: text/plain; charset=utf-8\n\nxy\n" +
				"-- log --\nINFO a apiKey=E3 credential=hello script=callbacks/hello.js line=1\n" + strings.ReplaceAll(script, `\r\n\x00`, "y"),
		},
	} {
		require.NoError(t, os.WriteFile(file, []byte(test.before), 0o666))
		require.NoError(t, flag.Set("update", "true"))
		t.Run(test.name, func(t *testing.T) { callbacktest.Run(t, handler(), file) })
		require.NoError(t, flag.Set("update", "false"))
		got, err := os.ReadFile(file)
		require.NoError(t, err)
		require.Equal(t, test.after, string(got))
		require.NoError(t, callbacktest.RunCase(handler(), got))
	}
}

// TestRunCaseFails shows that a wrong case does fail, and says why.
func TestRunCaseFails(t *testing.T) {
	t.Parallel()
	const (
		request  = "-- request --\nGET /callback/E3/hello/s3cret\n"
		response = "-- response --\n200 OK\nContent-Type: application/json; charset=utf-8\n\n{}\n"
		get      = "-- callbacks/hello.js --\nSpark.getHttp('http://api.example/x').setHeaders({'X-A': '1'}).postString('b')\n"
	)
	upstream := func(text string) string {
		return request + get + "-- upstream --\n" + text + "\n=>\n200 OK\n" + response
	}
	for _, test := range []struct{ name, text, want string }{
		{"no request", response, "follows no request"},
		{"nothing", "only a comment\n", "no request"},
		{"no response", request, "has no response section"},
		{"two requests in a row", request + request + response, "follows a request without a response"},
		{"unknown section", request + response + "-- script --\n", `section "script": unknown section`},
		{"file elsewhere", request + response + "-- lib/a.js --\n", "unknown section"},
		{"section twice", request + "-- log --\n-- log --\n" + response, "is there twice"},
		{"other status", request + "-- response --\n201 Created\nContent-Type: application/json; charset=utf-8\n\n{}\n", "want:\n\t201 Created"},
		{"other body", request + strings.Replace(response, "{}", `{"a":1}`, 1), `{"a":1}`},
		{"one line feed more in the body", request + strings.Replace(response, "{}", "{}\n", 1), "not as expected"},
		{"header that is missing", request + strings.Replace(response, "\n\n", "\nX-A: 1\n\n", 1), "X-A: 1"},
		{"header too many", request + "-- response --\n200 OK\n\n{}\n", "Content-Type"},
		{"usual header that is other", request + strings.Replace(response, "\n\n", "\nCache-Control: public\n\n", 1), "Cache-Control: public"},
		{"usual header said to be absent", request + strings.Replace(response, "\n\n", "\nno Content-Length\n\n", 1), "no Content-Length"},
		{"usual header that the script changed",
			request + "-- callbacks/hello.js --\nSpark.setScriptData('RESPONSE_HEADERS', {'Cache-Control': 'public'})\n" + response, "Cache-Control: public"},
		{"broken header line", request + strings.Replace(response, "\n\n", "\nX-A\n\n", 1), "not a header line"},
		{"empty response", request + "-- response --\n", "is empty"},
		{"unquoted body", request + "-- response quoted --\n200 OK\n\n{}\n", "not a Go string literal"},
		{"log expected", request + "-- log --\nINFO x\n" + response, "log is not as expected"},
		{"log not expected", request + "-- log --\n-- callbacks/hello.js --\nSpark.getLog().info('x')\n" + response, "INFO x apiKey=E3"},
		{"unknown field", request + "-- handler --\n{\"MaxBodies\": 1}\n" + response, `unknown field "MaxBodies"`},
		{"broken duration", request + "-- handler --\n{\"Timeout\": \"soon\"}\n" + response, "invalid duration"},
		{"two objects", request + "-- handler --\n{} {}\n" + response, "more than one JSON value"},
		{"broken request", "-- request --\nGET / HTTP/x\n" + response, "malformed HTTP version"},
		{"unexpected outbound request", request + get + response, "unexpected outbound request POST http://api.example/x"},
		{"missing outbound request", request + "-- upstream --\nGET http://api.example/x\n=>\n200 OK\n" + response, "missing outbound request"},
		{"other outbound method", upstream("GET http://api.example/x"), "want GET http://api.example/x"},
		{"other outbound URL", upstream("POST http://api.example/y"), "want POST http://api.example/y"},
		{"other outbound header", upstream("POST http://api.example/x\nX-A: 2"), `has X-A: ["1"], want ["2"]`},
		{"outbound header too many", upstream("POST http://api.example/x\nno X-A"), `want none`},
		{"other outbound body", upstream("POST http://api.example/x\n\nc"), `has the body "b", want "c"`},
		{"no answer", request + "-- upstream --\nGET http://api.example/\n" + response, `no line "=>"`},
		{"answer without a status", request + "-- upstream --\nGET http://api.example/\n=>\nOK\n" + response, "not a status line"},
		{"unknown failure", request + "-- upstream --\nGET http://api.example/\n=>\nerror bored\n" + response, "unknown error"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, callbacktest.RunCase(handler(), []byte(test.text)), test.want)
		})
	}
}

// TestRunCaseOptions shows that options are used, and that runners are closed.
func TestRunCaseOptions(t *testing.T) {
	t.Parallel()
	const text = "-- request --\nGET /callback/E3/hello/s3cret\n-- callbacks/hello.js --\n" +
		"Spark.setScriptData('now', new Date())\n-- response --\n200 OK\nContent-Type: application/json; charset=utf-8\n\n"
	closed := 0
	now := time.Date(2001, 2, 3, 4, 5, 6, 7e6, time.UTC)
	require.NoError(t, callbacktest.RunCase(handler(), []byte(text+`{"now":"2001-02-03T04:05:06.007Z"}`), callbacktest.Now(now),
		callbacktest.NewRunner(func(scripts fs.FS) callback.ScriptRunner {
			return &closingRunner{ScriptRunner: &callback.GojaRunner{Scripts: scripts}, closed: &closed}
		})))
	require.Equal(t, 1, closed)
}

type closingRunner struct {
	callback.ScriptRunner
	closed *int
}

func (c *closingRunner) Close() error {
	*c.closed++
	return nil
}

func TestSecretStore(t *testing.T) {
	t.Parallel()
	store := callback.SecretMap{"E3/hello": "s3cret", "E3/": "srv", "empty/x": ""}
	require.NoError(t, callbacktest.TestSecretStore(store,
		callbacktest.KnownSecret{APIKey: "E3", Credential: "hello", Secret: "s3cret"},
		callbacktest.KnownSecret{APIKey: "E3", Secret: "srv"}))

	err := callbacktest.TestSecretStore(store, callbacktest.KnownSecret{APIKey: "E3", Credential: "hello", Secret: "other s3cret"})
	require.ErrorContains(t, err, `Secrets("E3", "hello") does not give the known secret`)
	require.NotContains(t, err.Error(), "s3cret")
}

type storeFunc = testkit.StoreFunc[callback.Secret]

func TestSecretStoreFails(t *testing.T) {
	t.Parallel()
	known := callbacktest.KnownSecret{APIKey: "E3", Credential: "hello", Secret: "s3cret"}
	secret := []callback.Secret{callback.NewSecret("s3cret")}
	for _, test := range []struct {
		name, want string
		store      storeFunc
	}{
		{"fails for the unknown", "which nobody knows, fails", func(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
			if apiKey+"/"+credential != "E3/hello" {
				return nil, fs.ErrNotExist
			}
			return secret, nil
		}},
		{"ignores case", `Secrets("e3", "hello") gives secrets`, func(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
			if strings.EqualFold(apiKey+"/"+credential, "E3/hello") {
				return secret, nil
			}
			return nil, nil
		}},
		{"gives the zero Secret", "gives the zero Secret", func(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
			if apiKey+"/"+credential == "E3/hello" {
				return append([]callback.Secret{{}}, secret...), nil
			}
			return nil, nil
		}},
		{"opens every credential of a key", `Secrets("E3", "no-such-credential") gives secrets`, func(_ context.Context, apiKey, _ string) ([]callback.Secret, error) {
			if apiKey == "E3" {
				return secret, nil
			}
			return nil, nil
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, callbacktest.TestSecretStore(test.store, known), test.want)
		})
	}
}

func TestScriptRunner(t *testing.T) {
	t.Parallel()
	require.NoError(t, callbacktest.TestScriptRunner(func(scripts fs.FS) callback.ScriptRunner {
		return &callback.GojaRunner{Scripts: scripts}
	}))
}

func TestScriptRunnerFails(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, want string
		run        callback.ScriptRunnerFunc
	}{
		{"does nothing", "want b=2.5", func(context.Context, *callback.Call) (*callback.Result, error) { return nil, nil }},
		{"always fails", "broken", func(context.Context, *callback.Call) (*callback.Result, error) { return nil, errors.New("broken") }},
		{"panics", "panic of type string", func(context.Context, *callback.Call) (*callback.Result, error) { panic("at the runner") }},
		{"knows no missing script", "want callback.ErrNoScript", func(context.Context, *callback.Call) (*callback.Result, error) {
			return new(callback.Result), nil
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			require.ErrorContains(t, callbacktest.TestScriptRunner(func(fs.FS) callback.ScriptRunner { return test.run }), test.want)
		})
	}
}
