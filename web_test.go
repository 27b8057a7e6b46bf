package callback_test

import (
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/sandbox"
)

// inBothRunners calls f with a runner of each kind over scripts.
func inBothRunners(t *testing.T, scripts fstest.MapFS, f func(t *testing.T, runner callback.ScriptRunner)) {
	t.Run("process", func(t *testing.T) {
		t.Parallel()
		f(t, &callback.GojaRunner{Scripts: scripts})
	})
	t.Run("sandbox", func(t *testing.T) {
		t.Parallel()
		runner := &sandbox.Runner{Scripts: scripts}
		t.Cleanup(func() { _ = runner.Close() })
		f(t, runner)
	})
}

// Requests of fetch are under way at the same time: the upstream answers none before
// all have arrived.
func TestFetchConcurrently(t *testing.T) {
	t.Parallel()
	scripts := fstest.MapFS{"callbacks/all.js": {Data: []byte(`
		Promise.all([0, 1, 2].map(async function (i) {
			const answer = await fetch("https://api.example/" + i);
			return answer.text();
		})).then(function (texts) { Spark.setScriptData("texts", texts) });
	`)}}
	inBothRunners(t, scripts, func(t *testing.T, runner callback.ScriptRunner) {
		var arrived sync.WaitGroup
		arrived.Add(3)
		h := &callback.Handler{
			Runner:  runner,
			Secrets: callback.SecretMap{"E3/all": "s3cret"},
			HTTP: callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
				arrived.Done()
				arrived.Wait()
				answer := httptest.NewRecorder()
				answer.WriteString("answer " + req.URL.Path)
				return answer.Result(), nil
			}),
		}
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/callback/E3/all/s3cret", nil))
		require.JSONEq(t, `{"texts": ["answer /0", "answer /1", "answer /2"]}`, answer.Body.String())
	})
}

// A run has one limit on outbound requests, however many are under way.
func TestFetchBudget(t *testing.T) {
	t.Parallel()
	scripts := fstest.MapFS{"callbacks/all.js": {Data: []byte(`
		var requests = [];
		for (var i = 0; i < 100; i++) requests.push(fetch("https://api.example/" + i));
		Promise.allSettled(requests).then(function (all) {
			Spark.setScriptData("answered", all.filter(function (r) { return r.status === "fulfilled" }).length);
			Spark.setScriptData("why", all.find(function (r) { return r.status === "rejected" }).reason.message);
		});
	`)}}
	inBothRunners(t, scripts, func(t *testing.T, runner callback.ScriptRunner) {
		h := &callback.Handler{
			Runner:       runner,
			Secrets:      callback.SecretMap{"E3/all": "s3cret"},
			MaxHTTPCalls: 50,
			HTTP: callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
				return httptest.NewRecorder().Result(), nil
			}),
		}
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/callback/E3/all/s3cret", nil))
		require.JSONEq(t, `{"answered": 50, "why": "fetch failed: too many outbound requests in one run"}`, answer.Body.String())
	})
}

// A run that waits for an answer or a timer holds no place: with one place, the
// second run answers the request for which the first one waits.
func TestWaitingRunsLeaveTheirPlace(t *testing.T) {
	t.Parallel()
	runner := &callback.GojaRunner{MaxRunning: 1, Scripts: fstest.MapFS{
		"callbacks/first.js":  {Data: []byte(`fetch("https://api.example/").then(function (r) { Spark.setScriptData("status", r.status) })`)},
		"callbacks/second.js": {Data: []byte(`Spark.setScriptData("second", true)`)},
	}}
	h := &callback.Handler{Runner: runner, Secrets: callback.SecretMap{"E3/first": "s3cret", "E3/second": "s3cret"}}
	get := func(name string) string {
		answer := httptest.NewRecorder()
		h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/callback/E3/"+name+"/s3cret", nil))
		return answer.Body.String()
	}
	h.HTTP = callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
		if body := get("second"); body != `{"second":true}` {
			return nil, http.ErrServerClosed
		}
		return httptest.NewRecorder().Result(), nil
	})
	require.JSONEq(t, `{"status": 200}`, get("first"))
}
