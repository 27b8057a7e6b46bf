package callback_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

// A sourceFunc is a function as a ScriptSource.
type sourceFunc func(ctx context.Context, call *callback.Call) (callback.Tree, error)

func (f sourceFunc) Scripts(ctx context.Context, call *callback.Call) (callback.Tree, error) {
	return f(ctx, call)
}

// A countingFS counts the files that are opened.
type countingFS struct {
	fs.FS
	opened *atomic.Int64
}

func (c countingFS) Open(name string) (fs.File, error) {
	c.opened.Add(1)
	return c.FS.Open(name)
}

// release is a tree whose main script and module tell their version.
func release(version string) callback.Tree {
	return callback.Tree{Version: version, FS: fstest.MapFS{
		"callbacks/hello.js": {Data: []byte(`requireOnce("LIB"); Spark.setScriptData("v", "` + version + ` " + lib)`)},
		"modules/LIB.js":     {Data: []byte(`var lib = "` + version + `"`)},
	}}
}

func runOf(t *testing.T, r callback.ScriptRunner, call *callback.Call) (string, callback.Usage) {
	t.Helper()
	call.Usage = new(callback.Usage)
	result, err := r.RunScript(t.Context(), call)
	require.NoError(t, err)
	require.Len(t, result.Data, 1)
	return string(result.Data[0].Value), *call.Usage
}

// TestSourceByCall: each call has the tree of its API key, and its version.
func TestSourceByCall(t *testing.T) {
	t.Parallel()
	r := &callback.GojaRunner{Source: sourceFunc(func(_ context.Context, call *callback.Call) (callback.Tree, error) {
		if call.APIKey == "none" {
			return callback.Tree{}, callback.ErrNoScript
		}
		return release(call.APIKey), nil
	})}
	for range 2 {
		for _, key := range []string{"v1", "v2"} {
			got, usage := runOf(t, r, &callback.Call{APIKey: key, Credential: "hello"})
			require.Equal(t, fmt.Sprintf("%q", key+" "+key), got)
			require.Equal(t, "callbacks/hello.js", usage.Script)
			require.Equal(t, key, usage.Version)
			require.Positive(t, usage.Computed)
		}
	}
	_, err := r.RunScript(t.Context(), &callback.Call{APIKey: "none", Credential: "hello"})
	require.ErrorIs(t, err, callback.ErrNoScript)
}

// TestVersionNeverChanges: in a tree with a version each script is read once, even if
// it does not compile.
func TestVersionNeverChanges(t *testing.T) {
	t.Parallel()
	var opened atomic.Int64
	tree := release("v1")
	tree.FS = countingFS{tree.FS, &opened}
	r := &callback.GojaRunner{Source: tree}
	for range 3 {
		runOf(t, r, &callback.Call{Credential: "hello"})
	}
	require.EqualValues(t, 2, opened.Load())

	broken := callback.Tree{FS: countingFS{fstest.MapFS{"callbacks/hello.js": {Data: []byte("var = ;")}}, &opened}, Version: "v2"}
	r.Source = broken
	for range 2 {
		_, err := r.RunScript(t.Context(), &callback.Call{Credential: "hello"})
		var script *callback.ScriptError
		require.ErrorAs(t, err, &script)
		require.Equal(t, "v2", script.Version)
		require.Equal(t, "callbacks/hello.js", script.Script)
	}
	require.EqualValues(t, 3, opened.Load())
}

// TestOneVersionPerRun: while releases are swapped under load, no answer mixes two
// versions or reports the wrong one.
func TestOneVersionPerRun(t *testing.T) {
	t.Parallel()
	var trees [20]callback.Tree
	for i := range trees {
		trees[i] = release(fmt.Sprintf("v%02d", i))
	}
	var asked atomic.Int64
	h := &callback.Handler{
		Secrets: callback.SecretMap{"E3/hello": "s3cret"},
		Runner: &callback.GojaRunner{Source: sourceFunc(func(context.Context, *callback.Call) (callback.Tree, error) {
			return trees[asked.Add(1)/3%int64(len(trees))], nil
		})},
		VersionHeader: "X-Version",
	}
	const callers, calls = 4, 2500
	var group sync.WaitGroup
	for range callers {
		group.Go(func() {
			seen := map[string]bool{}
			for range calls {
				w := get(t, h, helloURL)
				version := w.Header().Get("X-Version")
				seen[version] = true
				if !assert.Equal(t, fmt.Sprintf(`{"v":"%s %s"}`, version, version), w.Body.String()) {
					return
				}
			}
			assert.Len(t, seen, len(trees))
		})
	}
	group.Wait()
}

// TestVersionInScriptError: an error of a script names the version that it ran in.
func TestVersionInScriptError(t *testing.T) {
	t.Parallel()
	const endless = `for (;;) {}`
	for _, source := range []string{`null.x`, `Promise.reject(new Error("x"))`, endless} {
		ctx := context.Context(t.Context())
		if source == endless {
			var cancel context.CancelFunc
			ctx, cancel = context.WithTimeout(ctx, 20*time.Millisecond)
			defer cancel()
		}
		r := &callback.GojaRunner{Source: callback.Tree{FS: fstest.MapFS{"callbacks/hello.js": {Data: []byte(source)}}, Version: "v7"}}
		_, err := r.RunScript(ctx, &callback.Call{Credential: "hello"})
		var script *callback.ScriptError
		require.ErrorAs(t, err, &script, source)
		require.Equal(t, "v7", script.Version, source)
	}
}

// TestVersionOfFailures: in a tree with a version, the Run, the answer, the error and the
// log have the version, however the call ends. Both runners agree.
func TestVersionOfFailures(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		script string
		file   string // Run.Script
		change func(h *callback.Handler)
		logged bool
	}{
		"ok":              {"", "callbacks/hello.js", nil, false},
		"header dropped":  {`Spark.setScriptData("RESPONSE_HEADERS", {"Content-Length": 1})`, "callbacks/hello.js", nil, true},
		"throws":          {`throw new Error("no")`, "callbacks/hello.js", nil, true},
		"no syntax":       {`var = ;`, "callbacks/hello.js", nil, true},
		"native loop":     {`/^(?=(a+)+$)(a+)+$/.test("a".repeat(60) + "b")`, "callbacks/hello.js", func(h *callback.Handler) { h.Timeout = 200 * time.Millisecond }, true},
		"RESPONSE_STATUS": {`Spark.setScriptData("RESPONSE_STATUS", 1)`, "callbacks/hello.js", nil, true},
		"MaxResponse":     {`Spark.setScriptData("a", "123456789")`, "callbacks/hello.js", func(h *callback.Handler) { h.MaxResponse = 5 }, true},
		"no script":       {"-", "", nil, false},
	}
	for _, runner := range []string{"process", "sandbox"} {
		for name, test := range tests {
			t.Run(runner+"/"+name, func(t *testing.T) {
				t.Parallel()
				files := fstest.MapFS{}
				if test.script != "-" {
					files["callbacks/hello.js"] = &fstest.MapFile{Data: []byte(test.script)}
				}
				source := callback.Tree{FS: files, Version: "v7"}
				h, log := httpHandler("")
				h.Timeout, h.VersionHeader = time.Minute, "Script-Version"
				h.Runner = &callback.GojaRunner{Source: source}
				if runner == "sandbox" {
					r := &sandbox.Runner{Source: source, Processes: 1}
					t.Cleanup(func() { _ = r.Close() })
					require.NoError(t, r.Start(t.Context()))
					h.Runner = r
				}
				if test.change != nil {
					test.change(h)
				}
				runs := observe(h)
				require.Equal(t, "v7", get(t, h, helloURL).Header().Get("Script-Version"))
				run := runs.next(t)
				require.Equal(t, "v7", run.Version)
				require.Equal(t, test.file, run.Script)
				var fault *callback.ScriptError
				if errors.As(run.Err, &fault) {
					require.Equal(t, "v7", fault.Version)
					require.Equal(t, test.file, fault.Script)
				}
				require.Equal(t, test.logged, strings.Contains(log.String(), " version=v7"), log)
			})
		}
	}
}

// A failingFS is a tree whose files cannot be read while it fails.
type failingFS struct {
	fstest.MapFS
	fails atomic.Bool
}

func (f *failingFS) Open(name string) (fs.File, error) {
	if f.fails.Load() {
		return nil, &fs.PathError{Op: "open", Path: name, Err: errors.New("input/output error")}
	}
	return f.MapFS.Open(name)
}

func (f *failingFS) Stat(name string) (fs.FileInfo, error) {
	file, err := f.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	return file.Stat()
}

// TestUnreadableFiles: while the files of a tree cannot be read, a call is a 503 and the
// log names the file. Afterwards the calls succeed again. Both runners agree.
func TestUnreadableFiles(t *testing.T) {
	t.Parallel()
	for _, runner := range []string{"process", "sandbox"} {
		t.Run(runner, func(t *testing.T) {
			t.Parallel()
			files := &failingFS{MapFS: fstest.MapFS{
				"callbacks/hello.js": {Data: []byte(`require("M")`), ModTime: time.Unix(1, 0)},
				"modules/M.js":       {Data: []byte(`Spark.setScriptData("a", 1)`), ModTime: time.Unix(1, 0)},
			}}
			h, log := httpHandler("")
			h.Timeout = time.Minute
			h.Runner = &callback.GojaRunner{Scripts: files}
			if runner == "sandbox" {
				r := &sandbox.Runner{Scripts: files, Processes: 1}
				t.Cleanup(func() { _ = r.Close() })
				h.Runner = r
			}
			runs := observe(h)
			for _, fails := range []bool{true, false, true, false} {
				files.fails.Store(fails)
				testkit.AwaitEdit() // the last look at the files is no longer valid
				w := get(t, h, helloURL)
				run := runs.next(t)
				if !fails {
					require.Equal(t, `{"a":1}`, w.Body.String())
					continue
				}
				require.Equal(t, 503, w.Code)
				require.Equal(t, "1", w.Header().Get("Retry-After"))
				require.Equal(t, callback.OutcomeUnavailable, run.Outcome)
				require.EqualError(t, run.Err, "callback: unavailable: cannot read callbacks/hello.js: open callbacks/hello.js: input/output error")
				require.Contains(t, log.String(), run.Err.Error())
			}
		})
	}
}

// TestFileVersion: without a version of the tree, that of the main script is a
// hash of it.
func TestFileVersion(t *testing.T) {
	t.Parallel()
	version := func(source string) string {
		r := &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {Data: []byte(source)}}}
		_, usage := runOf(t, r, &callback.Call{Credential: "hello"})
		require.Len(t, usage.Version, 32)
		return usage.Version
	}
	require.Equal(t, version(`Spark.setScriptData("a", 1)`), version(`Spark.setScriptData("a", 1)`))
	require.NotEqual(t, version(`Spark.setScriptData("a", 1)`), version(`Spark.setScriptData("a", 2)`))
}

// TestModuleAsMainScript: Call.Script names a module to run.
func TestModuleAsMainScript(t *testing.T) {
	t.Parallel()
	r := &callback.GojaRunner{Scripts: fstest.MapFS{
		"callbacks/hello.js": {Data: []byte(`Spark.setScriptData("v", 1)`)},
		"modules/JOB.js":     {Data: []byte(`const v = 2; Spark.setScriptData("v", v)`)},
	}}
	got, usage := runOf(t, r, &callback.Call{Credential: "hello", Script: "JOB"})
	require.Equal(t, "2", got)
	require.Equal(t, "modules/JOB.js", usage.Script)
	for _, name := range []string{"NONE", "../callbacks/hello"} {
		_, err := r.RunScript(t.Context(), &callback.Call{Credential: "hello", Script: name})
		require.ErrorIs(t, err, callback.ErrNoScript, name)
	}
}

// TestBrokenSource: a source that does not work is a 503, and the log names it.
func TestBrokenSource(t *testing.T) {
	t.Parallel()
	for want, source := range map[string]callback.ScriptSource{
		"callback: unavailable: script source: no database": sourceFunc(func(context.Context, *callback.Call) (callback.Tree, error) {
			return callback.Tree{}, errors.New("no database")
		}),
		"callback: unavailable: script source returned a Tree without FS":                               callback.Tree{Version: "v1"},
		"callback: unavailable: script source returned a Tree with neither Version nor a comparable FS": callback.Tree{FS: fstest.MapFS{}},
	} {
		log := new(testkit.Log)
		h := &callback.Handler{
			Runner:  &callback.GojaRunner{Source: source},
			Secrets: callback.SecretMap{"E3/hello": "s3cret"},
			Logger:  log.Logger(),
		}
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest("GET", "/callback/E3/hello/s3cret", nil))
		require.Equal(t, 503, w.Code)
		require.Contains(t, log.String(), want)
	}
	for _, r := range []*callback.GojaRunner{{}, {Scripts: fstest.MapFS{}, Source: release("v1")}} {
		_, err := r.RunScript(t.Context(), &callback.Call{Credential: "hello"})
		require.ErrorContains(t, err, "callback: the runner has ")
	}
}

// TestFoldersOfASource: trees without a version are distinguished by their FS, and
// edits in them are live.
func TestFoldersOfASource(t *testing.T) {
	t.Parallel()
	dirs := map[string]string{"a": t.TempDir(), "b": t.TempDir()}
	write := func(key, text string) {
		file := filepath.Join(dirs[key], "callbacks", "hello.js")
		require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o700))
		require.NoError(t, os.WriteFile(file, []byte(`Spark.setScriptData("v", "`+text+`")`), 0o600))
	}
	write("a", "one")
	write("b", "two")
	r := &callback.GojaRunner{Source: sourceFunc(func(_ context.Context, call *callback.Call) (callback.Tree, error) {
		return callback.Tree{FS: os.DirFS(dirs[call.APIKey])}, nil
	})}
	want := func(key, text string) {
		t.Helper()
		got, _ := runOf(t, r, &callback.Call{APIKey: key, Credential: "hello"})
		require.Equal(t, `"`+text+`"`, got)
	}
	want("a", "one")
	want("b", "two")
	write("a", "three")
	testkit.AwaitEdit()
	want("a", "three")
	want("b", "two")
}

// TestOneLookAMillisecond: a runner looks at a file once in a millisecond at most,
// and an edit is live for runs that begin a millisecond after it.
func TestOneLookAMillisecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var opened atomic.Int64
		files := fstest.MapFS{}
		write := func(v string) {
			files["callbacks/hello.js"] = &fstest.MapFile{Data: []byte(`Spark.setScriptData("v", ` + v + `)`), ModTime: time.Now()}
		}
		r := &callback.GojaRunner{Scripts: countingFS{files, &opened}}
		want := func(v string, looks int64) {
			t.Helper()
			got, _ := runOf(t, r, &callback.Call{Credential: "hello"})
			require.Equal(t, v, got)
			require.Equal(t, looks, opened.Swap(0))
		}
		write("1")
		want("1", 2) // one of them reads it
		want("1", 0)
		time.Sleep(time.Millisecond - time.Nanosecond)
		want("1", 0)
		time.Sleep(time.Nanosecond)
		want("1", 1)
		write("2")
		want("1", 0)
		time.Sleep(time.Millisecond)
		want("2", 2)
		delete(files, "callbacks/hello.js")
		want("2", 0)
		time.Sleep(time.Millisecond)
		_, err := r.RunScript(t.Context(), &callback.Call{Credential: "hello"})
		require.ErrorIs(t, err, callback.ErrNoScript)
	})
}

// TestEditWithoutTimes: an edit in a tree that tells no times is live, also one of
// the same size.
func TestEditWithoutTimes(t *testing.T) {
	eachRunner(t, func(f *scriptFolder) {
		for _, v := range []string{"1", "2", "3"} {
			f.files["callbacks/hello.js"] = &fstest.MapFile{Data: []byte(`require("LIB"); Spark.setScriptData("v", lib)`)}
			f.files["modules/LIB.js"] = &fstest.MapFile{Data: []byte(`var lib = ` + v)}
			testkit.AwaitEdit()
			f.want(`{"v":` + v + `}`)
		}
	})
}

func TestVersionedFS(t *testing.T) {
	t.Parallel()
	tree, err := callback.VersionedFS(fstest.MapFS{"callbacks/hello.js": {Data: []byte(`Spark.setScriptData("v", 1)`)}})
	require.NoError(t, err)
	got, usage := runOf(t, &callback.GojaRunner{Source: tree}, &callback.Call{Credential: "hello"})
	require.Equal(t, "1", got)
	require.Equal(t, tree.Version, usage.Version)
	_, err = callback.VersionedFS(fstest.MapFS{})
	require.ErrorIs(t, err, fs.ErrNotExist)
	require.ErrorContains(t, err, "callback: cannot read the scripts: no callbacks, modules or system folder")
}
