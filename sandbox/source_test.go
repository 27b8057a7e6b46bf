package sandbox_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

type sourceFunc func(ctx context.Context, call *callback.Call) (callback.Tree, error)

func (f sourceFunc) Scripts(ctx context.Context, call *callback.Call) (callback.Tree, error) {
	return f(ctx, call)
}

func newSourceRunner(t *testing.T, source callback.ScriptSource) *sandbox.Runner {
	r := newRunner(t, nil)
	r.Source, r.Processes, r.Reserve = source, 1, -1
	return r
}

// sayTo runs a call of a tenant and returns what it says and in which version.
func sayTo(t *testing.T, r callback.ScriptRunner, apiKey, credential string) (said, version string, err error) {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var usage callback.Usage
	result, err := r.RunScript(ctx, &callback.Call{APIKey: apiKey, Credential: credential, Usage: &usage})
	if err != nil {
		return "", usage.Version, err
	}
	return string(result.Data[0].Value), usage.Version, nil
}

func release(n int) callback.Tree {
	return callback.Tree{Version: fmt.Sprint("v", n), FS: tree(
		"callbacks/x.js", fmt.Sprintf(`require("M"); Spark.setScriptData("say", [%d, m, typeof absent])`, n),
		"modules/M.js", fmt.Sprintf(`var m = %d; try { require("NONE") } catch (e) {}`, n),
		"callbacks/broken.js", "\n  var = ",
		"system/GS_CALLBACK_URL.js", fmt.Sprintf(`Spark.setScriptData("say", "server %d")`, n),
	)}
}

// Tenants share a child, and each has its own version of scripts and modules.
func TestVersions(t *testing.T) {
	t.Parallel()
	r := newSourceRunner(t, sourceFunc(func(_ context.Context, call *callback.Call) (callback.Tree, error) {
		switch call.APIKey {
		case "one":
			return release(1), nil
		case "two":
			return release(2), nil
		case "none":
			return callback.Tree{}, callback.ErrNoScript
		case "empty":
			return callback.Tree{Version: "v1"}, nil
		case "map":
			return callback.Tree{FS: tree()}, nil
		}
		return callback.Tree{}, errors.New("the source is down")
	}))
	for range 3 {
		for n, apiKey := range []string{"one", "two"} {
			said, version, err := sayTo(t, r, apiKey, "x")
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf(`[%d,%d,"undefined"]`, n+1, n+1), said)
			require.Equal(t, fmt.Sprint("v", n+1), version)
			said, _, err = sayTo(t, r, apiKey, "")
			require.NoError(t, err)
			require.Equal(t, fmt.Sprintf(`"server %d"`, n+1), said)

			_, _, err = sayTo(t, r, apiKey, "absent")
			require.ErrorIs(t, err, callback.ErrNoScript)
			_, _, err = sayTo(t, r, apiKey, "broken")
			var script *callback.ScriptError
			require.ErrorAs(t, err, &script)
			require.Equal(t, 2, script.Line)
			require.Equal(t, fmt.Sprint("v", n+1), script.Version)
		}
	}
	require.Len(t, r.Pids(), 1)
	for apiKey, want := range map[string]error{
		"none": callback.ErrNoScript, "down": callback.ErrUnavailable,
		"empty": callback.ErrUnavailable, "map": callback.ErrUnavailable,
	} {
		_, _, err := sayTo(t, r, apiKey, "x")
		require.ErrorIs(t, err, want, apiKey)
	}
}

// Trees without a version are told apart too, and edits of each are live.
func TestFoldersOfTenants(t *testing.T) {
	t.Parallel()
	folders := map[string]string{}
	trees := map[string]fs.FS{}
	for _, apiKey := range []string{"a", "b"} {
		folders[apiKey] = testkit.Folder(t, map[string]string{
			"callbacks/x.js": `require("M"); Spark.setScriptData("say", m)`,
			"modules/M.js":   fmt.Sprintf("var m = %q", apiKey),
		})
		trees[apiKey] = os.DirFS(folders[apiKey])
	}
	r := newSourceRunner(t, sourceFunc(func(_ context.Context, call *callback.Call) (callback.Tree, error) {
		return callback.Tree{FS: trees[call.APIKey]}, nil
	}))
	want := map[string]string{"a": `"a"`, "b": `"b"`}
	check := func() {
		t.Helper()
		for range 2 {
			for apiKey := range trees {
				said, _, err := sayTo(t, r, apiKey, "x")
				require.NoError(t, err)
				require.Equal(t, want[apiKey], said)
			}
		}
	}
	check()
	testkit.WriteFile(t, folders["b"], "modules/M.js", `var m = "edited"`)
	testkit.AwaitEdit()
	want["b"] = `"edited"`
	check()
	testkit.WriteFile(t, folders["b"], "modules/M.js", "var = ")
	testkit.AwaitEdit()
	check() // the broken edit leaves the one before
	require.Len(t, r.Pids(), 1)
}

// No answer mixes two versions, however often they change.
func TestVersionsNeverMix(t *testing.T) {
	t.Parallel()
	var asked atomic.Int64
	r := newSourceRunner(t, sourceFunc(func(context.Context, *callback.Call) (callback.Tree, error) {
		return release(int(asked.Add(1) / 3 % 20)), nil
	}))
	r.Processes, r.MaxCalls = 3, 50
	h := &callback.Handler{Runner: r, Secrets: callback.SecretMap{"k/x": "s3cret"}, VersionHeader: "X-Version", Timeout: time.Minute}
	var calls sync.WaitGroup
	for range 4 {
		calls.Go(func() {
			for range 250 {
				w := httptest.NewRecorder()
				h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/callback/k/x/s3cret", nil))
				number := strings.TrimPrefix(w.Header().Get("X-Version"), "v")
				if !assert.Equal(t, fmt.Sprintf(`{"say":[%s,%s,"undefined"]}`, number, number), w.Body.String()) {
					return
				}
			}
		})
	}
	calls.Wait()
}

// A call that asks for a version gets that one or none.
func TestVersionOfCall(t *testing.T) {
	t.Parallel()
	ask := func(r callback.ScriptRunner, version string) error {
		_, err := r.RunScript(t.Context(), &callback.Call{Credential: "x", Version: version})
		return err
	}
	r := newSourceRunner(t, release(1))
	require.NoError(t, ask(r, "v1"))
	require.ErrorIs(t, ask(r, "v2"), callback.ErrNoVersion)
	require.ErrorIs(t, ask(newRunner(t, tree("callbacks/x.js", "")), "v1"), callback.ErrNoVersion)
}

func TestTwoSources(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree())
	r.Source = release(1)
	_, err := run(t, r, "x")
	require.ErrorContains(t, err, "both Scripts and a Source")
}
