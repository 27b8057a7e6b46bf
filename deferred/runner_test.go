package deferred_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/deferred/queuetest"
	"example.com/callback/internal/testkit"
)

// direct is a runner whose answer shows that the call was not deferred.
var direct = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
	return result("direct", true), nil
})

// A switching source gives one tree after the other.
type switching struct {
	tree callback.Tree
	err  error
}

func (s *switching) Scripts(context.Context, *callback.Call) (callback.Tree, error) {
	return s.tree, s.err
}

func tree(version string, files map[string]string) callback.Tree {
	return callback.Tree{FS: testkit.Tree(files), Version: version}
}

// post sends a webhook and returns status and body of the answer.
func post(h http.Handler, path, id string) (int, string) {
	r := httptest.NewRequest("POST", "/callback/"+path, strings.NewReader(`{"amount":5}`))
	r.Header.Set("Content-Type", "application/json")
	if id != "" {
		r.Header.Set("Webhook-Id", id)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w.Code, w.Body.String()
}

func TestRunnerDefersByTheFirstLine(t *testing.T) {
	t.Parallel()
	for line, deferredCall := range map[string]bool{
		"// callback: deferred":            true,
		"//callback:deferred\r":            true,
		"\ufeff  //  callback :  deferred": true,
		"// callback: deferred, please":    false,
		"/* callback: deferred */":         false,
		"callback: deferred":               false,
		"":                                 false,
		"\n// callback: deferred":          false,
		"// callback: deferred" + strings.Repeat(" ", 300):     true,
		"//" + strings.Repeat(" ", 300) + "callback: deferred": false,
	} {
		for _, version := range []string{"", "v1"} { // without a version it is read each time
			runner := &deferred.Runner{
				Next:   direct,
				Queue:  new(queuetest.Memory),
				Source: tree(version, map[string]string{"callbacks/hello.js": line + "\nSpark.getData()"}),
			}
			for range 2 {
				got, err := runner.RunScript(t.Context(), &callback.Call{Credential: "hello", RunID: "run-1"})
				require.NoError(t, err)
				require.Equal(t, deferredCall, got.Data[0].Name == "RESPONSE_STATUS", "%q", line)
			}
		}
	}
}

func TestRunnerFindsTheMainScript(t *testing.T) {
	t.Parallel()
	mark := "// callback: deferred\n"
	for _, test := range []struct {
		name         string
		call         callback.Call
		file         string
		deferredCall bool
	}{
		{"credential", callback.Call{Credential: "hello"}, "callbacks/hello.js", true},
		{"another's", callback.Call{Credential: "hello"}, "callbacks/other.js", false},
		{"server", callback.Call{}, "system/GS_CALLBACK_URL.js", true},
		{"server, old", callback.Call{}, "callbacks/server.js", true},
		{"module", callback.Call{Credential: "hello", Script: "MODULE"}, "modules/MODULE.js", true},
		{"module, not credential", callback.Call{Credential: "hello", Script: "MODULE"}, "callbacks/hello.js", false},
		{"no file's name", callback.Call{Credential: "../hello"}, "hello.js", false},
	} {
		test.call.RunID = "run-1"
		runner := &deferred.Runner{Next: direct, Queue: new(queuetest.Memory), Source: tree("", map[string]string{test.file: mark})}
		got, err := runner.RunScript(t.Context(), &test.call)
		require.NoError(t, err)
		require.Equal(t, test.deferredCall, got.Data[0].Name == "RESPONSE_STATUS", test.name)
	}
}

func TestRunnerAnswers202AfterTheCommit(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	source := &switching{tree: tree("v1", map[string]string{"callbacks/pay.js": "// callback: deferred"})}
	handler := &callback.Handler{
		Runner:         &deferred.Runner{Next: direct, Queue: queue, Source: source, Key: deferred.HeaderKey("Webhook-ID")},
		Secrets:        callback.SecretMap{"E3/pay": "s", "E3/other": "s"},
		RequestHeaders: []string{"Webhook-Id"},
		RunID:          func(r *http.Request) string { return "run-" + r.Header.Get("Webhook-Id") },
		Logger:         quiet,
	}
	status, body := post(handler, "E3/pay/s", "1")
	require.Equal(t, 202, status)
	require.Equal(t, `{"run":"run-1"}`, body)
	s, err := queue.Status(t.Context(), "run-1")
	require.NoError(t, err)
	require.Equal(t, "v1", s.Version)
	require.Equal(t, deferred.DefaultMaxAttempts, s.MaxAttempts)
	require.Contains(t, string(s.Call), `"version":"v1"`)
	require.Contains(t, string(s.Call), `{\"amount\":5}`)

	source.tree.Version = "v2"
	_, body = post(handler, "E3/pay/s", "2")
	require.Equal(t, `{"run":"run-2"}`, body)
	s, err = queue.Status(t.Context(), "run-2")
	require.NoError(t, err)
	require.Equal(t, "v2", s.Version)

	status, body = post(handler, "E3/other/s", "3")
	require.Equal(t, 200, status)
	require.Equal(t, `{"direct":true}`, body)

	for err, want := range map[error]int{errIll: 503, callback.ErrUnavailable: 503, callback.ErrNoScript: 404} {
		source.err = err
		status, _ = post(handler, "E3/pay/s", "4")
		require.Equal(t, want, status, err)
	}
	counts, err := queue.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[deferred.State]int{deferred.Queued: 2}, counts)
}

func TestRunnerKnowsDuplicates(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	runs := 0
	handler := &callback.Handler{
		Runner: &deferred.Runner{
			Next:  direct,
			Queue: queue,
			Defer: func(context.Context, *callback.Call) bool { return true },
			Key:   deferred.HeaderKey("webhook-id"),
		},
		Secrets:        callback.SecretMap{"E3/pay": "s", "E3/other": "s", "E4/pay": "s"},
		RequestHeaders: []string{"Webhook-Id"},
		RunID:          func(*http.Request) string { runs++; return "run-" + string(rune('0'+runs)) },
		Logger:         quiet,
	}
	for _, test := range []struct{ path, id, want string }{
		{"E3/pay/s", "a", "run-1"},
		{"E3/pay/s", "a", "run-1"},
		{"E3/pay/s", "b", "run-3"},
		{"E3/other/s", "a", "run-4"},
		{"E4/pay/s", "a", "run-5"},
		{"E3/pay/s", "", "run-6"},
		{"E3/pay/s", "", "run-7"},
	} {
		status, body := post(handler, test.path, test.id)
		require.Equal(t, 202, status)
		require.Equal(t, `{"run":"`+test.want+`"}`, body)
	}
}

func TestRunnerPinsOrNot(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name string
		live bool
		call string
		want string
	}{
		{"accepted version", false, "", "v1"},
		{"the call's own", false, "v0", "v0"},
		{"live", true, "", ""},
		{"live, the call's own", true, "v0", "v0"},
	} {
		queue := new(queuetest.Memory)
		runner := &deferred.Runner{Next: direct, Queue: queue, Live: test.live,
			Source: tree("v1", map[string]string{"callbacks/hello.js": "// callback: deferred"})}
		_, err := runner.RunScript(t.Context(), &callback.Call{Credential: "hello", RunID: "run-1", Version: test.call})
		require.NoError(t, err)
		s, err := queue.Status(t.Context(), "run-1")
		require.NoError(t, err)
		require.Equal(t, test.want, s.Version, test.name)
	}
}

// A broken queue fails.
type broken struct{ queuetest.Memory }

func (*broken) Enqueue(context.Context, *deferred.Job) (string, error) {
	return "", errors.New("connection refused")
}

func (*broken) Cancel(context.Context, string) (int, error) {
	return 0, errors.New("connection refused")
}

func TestRunnerValidate(t *testing.T) {
	t.Parallel()
	h := &callback.Handler{Runner: new(deferred.Runner), Secrets: callback.SecretMap{}}
	err := h.Validate()
	require.ErrorContains(t, err, "deferred.Runner.Next is missing")
	require.ErrorContains(t, err, "deferred.Runner.Queue is missing")
	require.ErrorContains(t, err, "deferred.Runner has neither Source nor Defer")

	source := tree("v1", map[string]string{"callbacks/pay.js": ""})
	h.Runner = &deferred.Runner{Next: new(callback.GojaRunner), Queue: new(queuetest.Memory), Source: source}
	require.EqualError(t, h.Validate(), "callback: GojaRunner has no Scripts")
	h.Runner = &deferred.Runner{Next: &callback.GojaRunner{Source: source}, Queue: new(queuetest.Memory), Source: source}
	require.NoError(t, h.Validate())
}

func TestRunnerOfABrokenQueue(t *testing.T) {
	t.Parallel()
	handler := &callback.Handler{
		Runner: &deferred.Runner{
			Next:  direct,
			Queue: new(broken),
			Defer: func(context.Context, *callback.Call) bool { return true },
		},
		Secrets: callback.SecretMap{"E3/pay": "s"},
		Logger:  quiet,
	}
	status, body := post(handler, "E3/pay/s", "")
	require.Equal(t, 503, status)
	require.NotContains(t, body, "run")
}

func TestRunnerOfABrokenTree(t *testing.T) {
	t.Parallel()
	runner := &deferred.Runner{Next: direct, Queue: new(queuetest.Memory), Source: callback.Tree{FS: brokenFS{}}}
	_, err := runner.RunScript(t.Context(), &callback.Call{Credential: "hello", RunID: "run-1"})
	require.ErrorIs(t, err, fs.ErrPermission)
	require.ErrorIs(t, err, callback.ErrUnavailable)
	runner = &deferred.Runner{Next: direct, Queue: new(queuetest.Memory)}
	_, err = runner.RunScript(t.Context(), &callback.Call{Credential: "hello", RunID: "run-1"})
	require.ErrorContains(t, err, "neither Source nor Defer")
}

type brokenFS struct{ fstest.MapFS }

func (brokenFS) Open(string) (fs.File, error) { return nil, fs.ErrPermission }

// A countingFS counts the files that are opened.
type countingFS struct {
	fs.FS
	opened *int
}

func (f countingFS) Open(name string) (fs.File, error) {
	*f.opened++
	return f.FS.Open(name)
}

// TestRunnerReadsAVersionOnce: the first lines of a version are read once, and those
// of old versions take a bounded memory.
func TestRunnerReadsAVersionOnce(t *testing.T) {
	t.Parallel()
	opened := 0
	runner := &deferred.Runner{Next: direct, Queue: new(queuetest.Memory)}
	run := func(version string) {
		scripts := tree(version, map[string]string{"callbacks/hello.js": ""})
		scripts.FS = countingFS{scripts.FS, &opened}
		runner.Source = scripts
		_, err := runner.RunScript(t.Context(), &callback.Call{Credential: "hello", RunID: "run-1"})
		require.NoError(t, err)
	}
	for range 10 {
		run("v1")
	}
	require.Equal(t, 1, opened)
	for range 2 {
		run("")
	}
	require.Equal(t, 3, opened, "without a version it is read each time")
	for i := range 5000 {
		run(fmt.Sprint(i))
	}
	require.LessOrEqual(t, runner.Marked(), 4096)
}
