package callback_test

import (
	"bytes"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

// A scriptFolder is a Handler over files that a test edits.
type scriptFolder struct {
	*testing.T
	files   fstest.MapFS
	handler *callback.Handler
	log     bytes.Buffer
	edits   int
}

// eachRunner runs a test in both runners.
func eachRunner(t *testing.T, test func(f *scriptFolder)) {
	t.Helper()
	run := func(name string, newRunner func(files fstest.MapFS) callback.ScriptRunner) {
		t.Run(name, func(t *testing.T) {
			f := &scriptFolder{T: t, files: fstest.MapFS{}}
			f.handler = &callback.Handler{
				Runner:  newRunner(f.files),
				Secrets: callback.SecretMap{"E3/hello": "s3cret"},
				Logger:  slog.New(slog.NewTextHandler(&f.log, nil)),
			}
			test(f)
		})
	}
	run("in process", func(files fstest.MapFS) callback.ScriptRunner {
		return &callback.GojaRunner{Scripts: files, MaxScriptSize: 1000}
	})
	run("sandbox", func(files fstest.MapFS) callback.ScriptRunner {
		r := &sandbox.Runner{Scripts: files, MaxScriptSize: 1000, Processes: 1}
		t.Cleanup(func() { require.NoError(t, r.Close()) })
		return r
	})
}

// edit writes a file, a second later each time, and waits until the edit is live.
func (f *scriptFolder) edit(name, source string) {
	f.edits++
	f.files[name] = &fstest.MapFile{Data: []byte(source), ModTime: time.Unix(1e9+int64(f.edits), 0)}
	testkit.AwaitEdit()
}

// call returns the answer to a call, and what it has logged.
func (f *scriptFolder) call() (body, log string) {
	f.log.Reset()
	w := httptest.NewRecorder()
	f.handler.ServeHTTP(w, httptest.NewRequest("GET", "/callback/E3/hello/s3cret", nil))
	return w.Body.String(), f.log.String()
}

func (f *scriptFolder) want(body string) {
	f.Helper()
	got, log := f.call()
	require.Equal(f.T, body, got)
	require.Empty(f.T, log)
}

func TestEditsAreLive(t *testing.T) {
	eachRunner(t, func(f *scriptFolder) {
		f.want(`{"error":"no script"}`)
		f.edit("callbacks/hello.js", `Spark.setScriptData("v", 1)`)
		f.want(`{"v":1}`)
		f.edit("callbacks/hello.js", `Spark.setScriptData("v", 2)`)
		f.want(`{"v":2}`)
		f.edit("modules/LIB.js", `var lib = 3`)
		f.edit("callbacks/hello.js", `require("LIB"); Spark.setScriptData("v", lib)`)
		f.want(`{"v":3}`)
		f.edit("modules/LIB.js", `var lib = 4`)
		f.want(`{"v":4}`)
		delete(f.files, "callbacks/hello.js")
		testkit.AwaitEdit()
		f.want(`{"error":"no script"}`)
	})
}

func TestBrokenEditDoesNotReplaceTheScript(t *testing.T) {
	eachRunner(t, func(f *scriptFolder) {
		f.edit("callbacks/hello.js", `requireOnce("LIB"); Spark.setScriptData("v", lib)`)
		f.edit("modules/LIB.js", `var lib = 1`)
		f.want(`{"v":1}`)

		for _, name := range []string{"callbacks/hello.js", "modules/LIB.js"} {
			f.edit(name, "var ok = 1;\nvar broken = ;")
			body, log := f.call()
			require.Equal(f.T, `{"v":1}`, body)
			require.Equal(f.T, 1, strings.Count(log, "changed script does not compile"), log)
			require.Contains(f.T, log, "script="+name+" line=2 column=14")
			f.want(`{"v":1}`) // logged once per change
		}
		f.edit("callbacks/hello.js", `Spark.setScriptData("v", "mended")`)
		f.want(`{"v":"mended"}`)
	})
}

// A removed script does not come back when a broken script takes its name.
func TestRemovedScriptDoesNotComeBack(t *testing.T) {
	eachRunner(t, func(f *scriptFolder) {
		f.edit("callbacks/hello.js", `Spark.setScriptData("v", "removed")`)
		f.want(`{"v":"removed"}`)
		delete(f.files, "callbacks/hello.js")
		testkit.AwaitEdit()
		f.want(`{"error":"no script"}`)
		f.edit("callbacks/hello.js", "var broken = ;")
		for range 2 {
			body, log := f.call()
			require.Equal(f.T, `{"error":"script failed"}`, body)
			require.Contains(f.T, log, "line=1 column=14")
		}
	})
}

// TestEditThatKillsTheCompiler: an edit whose compilation ends the process costs one
// call in the sandbox. In process it would end the server.
func TestEditThatKillsTheCompiler(t *testing.T) {
	f := &scriptFolder{T: t, files: fstest.MapFS{}}
	runner := &sandbox.Runner{Scripts: f.files, Processes: 1}
	defer runner.Close()
	f.handler = &callback.Handler{
		Runner:  runner,
		Secrets: callback.SecretMap{"E3/hello": "s3cret"},
		Logger:  slog.New(slog.NewTextHandler(&f.log, nil)),
	}
	f.edit("callbacks/hello.js", `Spark.setScriptData("v", 1)`)
	f.want(`{"v":1}`)
	f.edit("callbacks/hello.js", `var x = 1n << (1n << 40n)`)
	body, log := f.call()
	require.Equal(t, `{"error":"script failed"}`, body)
	require.Contains(t, log, "changed script does not compile")
	f.want(`{"v":1}`)
}

func TestScriptThatNeverCompiled(t *testing.T) {
	eachRunner(t, func(f *scriptFolder) {
		f.edit("callbacks/hello.js", "\n  var broken = ;")
		for range 2 {
			body, log := f.call()
			require.Equal(f.T, `{"error":"script failed"}`, body)
			require.Contains(f.T, log, "script=callbacks/hello.js line=2 column=16")
		}
		f.edit("callbacks/hello.js", ``)
		f.want(`{}`)
	})
}

func TestScriptSizeLimit(t *testing.T) {
	eachRunner(t, func(f *scriptFolder) {
		f.edit("callbacks/hello.js", strings.Repeat(" ", 1001))
		body, log := f.call()
		require.Equal(f.T, `{"error":"script failed"}`, body)
		require.Contains(f.T, log, "over the limit of 1000 bytes")
		f.edit("callbacks/hello.js", strings.Repeat(" ", 1000))
		f.want(`{}`)
	})
}

func TestNestingLimit(t *testing.T) {
	answer := func(depth int) string {
		source := strings.Repeat("[", depth) + strings.Repeat("]", depth)
		h := &callback.Handler{
			Runner:  &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {Data: []byte(source)}}},
			Secrets: callback.SecretMap{"E3/hello": "s3cret"},
			Logger:  slog.New(slog.DiscardHandler),
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/callback/E3/hello/s3cret", nil))
		return w.Body.String()
	}
	require.Equal(t, `{}`, answer(1000))
	require.Equal(t, `{"error":"script failed"}`, answer(1001))
}

// TestLongBodyBothWays: a request and an answer at their limits pass through the
// sandbox.
func TestLongBodyBothWays(t *testing.T) {
	eachRunner(t, func(f *scriptFolder) {
		f.edit("callbacks/hello.js", `Spark.setScriptData("RESPONSE_RAW", Spark.getData().REQUEST_BODY)`)
		body := strings.Repeat("0123456789abcdef", 4<<20/16)
		w := httptest.NewRecorder()
		f.handler.ServeHTTP(w, httptest.NewRequest("POST", "/callback/E3/hello/s3cret", strings.NewReader(body)))
		require.Equal(f.T, 200, w.Code)
		require.True(f.T, body == w.Body.String())
	})
}
