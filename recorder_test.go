package callback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/callbacktest"
)

// recordedHandler serves the scripts with a Recorder that retains requests.
func recordedHandler(scripts fstest.MapFS, recorder *callback.Recorder) *callback.Handler {
	return &callback.Handler{
		Runner:         &callback.GojaRunner{Scripts: scripts},
		Secrets:        callback.SecretMap{"E3/hello": "top-secret", "E3/": "server-secret"},
		Observe:        recorder.Observe,
		KeepBodies:     1 << 20,
		KeepLog:        1 << 10,
		RequestHeaders: []string{"X-Signature"},
	}
}

func script(text string) fstest.MapFS {
	return fstest.MapFS{"callbacks/hello.js": {Data: []byte(text)}}
}

func TestRecorder(t *testing.T) {
	t.Parallel()
	recorder := &callback.Recorder{MaxRuns: 3, Requests: true, Redact: func(run *callback.Run) {
		for i := range run.Call.Data {
			if run.Call.Data[i].Name == "card" {
				run.Call.Data[i].Values[0] = "redacted" // in place: the Run is a copy
			}
		}
		run.Log[0].Attrs[0].Value = slog.StringValue("redacted")
	}}
	h := recordedHandler(script(`Spark.getLog().info("called"); Spark.setScriptData("n", Spark.getData().n)`), recorder)
	observed := 0
	h.Observe = func(ctx context.Context, run *callback.Run) {
		recorder.Observe(ctx, run)
		require.Equal(t, "4111", run.Call.Data[1].Values[0]) // the original is as it was
		require.Equal(t, "callbacks/hello.js", run.Log[0].Attrs[0].Value.String())
		observed++
	}
	for n := range 5 {
		h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", fmt.Sprintf("/callback/E3/hello/top-secret?n=%d&card=4111", n), nil))
	}
	require.Equal(t, 5, observed)
	runs := recorder.Runs()
	require.Len(t, runs, 3)
	for i, run := range runs {
		require.Equal(t, fmt.Sprint(4-i), run.Call.Data[0].Values[0])
		require.Equal(t, "redacted", run.Call.Data[1].Values[0])
		require.Equal(t, "called", run.Log[0].Message)
		require.Equal(t, "redacted", run.Log[0].Attrs[0].Value.String())
		require.Equal(t, fmt.Sprintf(`{"n":"%d"}`, 4-i), string(run.Exchange.Answer))
		require.Same(t, run, recorder.Find(run.Call.RunID))
	}
	require.Nil(t, recorder.Find("unknown"))
}

// TestRecorderRedactsErrors: the ScriptError that Redact gets is a copy, too.
func TestRecorderRedactsErrors(t *testing.T) {
	t.Parallel()
	recorder := &callback.Recorder{Redact: func(run *callback.Run) {
		run.Err.(*callback.ScriptError).Message = "redacted"
	}}
	h := recordedHandler(script(`throw "4111"`), recorder)
	observed := 0
	h.Observe = func(ctx context.Context, run *callback.Run) {
		recorder.Observe(ctx, run)
		require.ErrorContains(t, run.Err, "4111")
		observed++
	}
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/callback/E3/hello/top-secret", nil))
	require.Equal(t, 1, observed)
	require.ErrorContains(t, recorder.Runs()[0].Err, "redacted")
}

func TestRecorderDropsRequestsByDefault(t *testing.T) {
	t.Parallel()
	recorder := &callback.Recorder{}
	h := recordedHandler(script(`Spark.setScriptData("a", 1)`), recorder)
	r := httptest.NewRequest("POST", "/callback/E3/hello/top-secret?q=personal", strings.NewReader("personal"))
	r.Header.Set("X-Signature", "personal")
	h.ServeHTTP(httptest.NewRecorder(), r)
	require.Len(t, recorder.Runs(), 1)
	run := recorder.Runs()[0]
	require.NotContains(t, fmt.Sprintf("%+v %+v", *run, *run.Call), "personal")
	require.Nil(t, run.Exchange)
	require.EqualValues(t, 8, run.BytesIn)
	require.ErrorContains(t, callbacktest.WriteCase(new(bytes.Buffer), run, "s3cret"), "no whole record")

	personal := &callback.Exchange{Body: []byte("personal")}
	recorder.Observe(context.Background(), &callback.Run{
		Call: &callback.Call{
			Input: []byte(`"personal"`), Body: personal.Body, Data: []callback.Param{{Name: "personal"}},
			RequestHeaders: []callback.Param{{Name: "personal"}},
		},
		Exchange: personal, Outbound: []callback.Outbound{{Host: "x.example", Exchange: personal}},
	})
	kept := recorder.Runs()[0]
	require.Equal(t, callback.Call{}, *kept.Call)
	require.Nil(t, kept.Exchange)
	require.Equal(t, []callback.Outbound{{Host: "x.example"}}, kept.Outbound)
}

func TestRecorderMaxBytes(t *testing.T) {
	t.Parallel()
	run := func(size int) *callback.Run {
		return &callback.Run{Call: &callback.Call{RunID: fmt.Sprint(size), Body: make([]byte, size)}}
	}
	recorder := &callback.Recorder{MaxBytes: 10_000, Requests: true}
	for _, size := range []int{3000, 3001, 8000, 20_000} {
		recorder.Observe(context.Background(), run(size))
	}
	whole := run(1)
	whole.Exchange = &callback.Exchange{Answer: make([]byte, 20_000)}
	recorder.Observe(context.Background(), whole)
	whole = run(2)
	whole.Outbound = []callback.Outbound{{Exchange: &callback.Exchange{Body: make([]byte, 20_000)}}}
	recorder.Observe(context.Background(), whole)
	runs := recorder.Runs()
	require.Len(t, runs, 1) // the run of 8000 has displaced the two before it; 20,000 is too large
	require.Equal(t, "8000", runs[0].Call.RunID)
}

func TestRecorderRetainsNone(t *testing.T) {
	t.Parallel()
	for name, recorder := range map[string]*callback.Recorder{"MaxRuns": {MaxRuns: -1}, "MaxBytes": {MaxBytes: -1}} {
		for range 2 {
			recorder.Observe(context.Background(), &callback.Run{Call: &callback.Call{RunID: "R"}})
		}
		require.Empty(t, recorder.Runs(), name)
		require.Nil(t, recorder.Find("R"), name)
	}
}

// TestRecorderFind: of two runs with one id, the newer one is found.
func TestRecorderFind(t *testing.T) {
	t.Parallel()
	recorder := &callback.Recorder{}
	for _, credential := range []string{"older", "newer"} {
		recorder.Observe(context.Background(), &callback.Run{Call: &callback.Call{RunID: "R", Credential: credential}})
	}
	require.Equal(t, "newer", recorder.Find("R").Call.Credential)
}

func TestKeepBodies(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name  string
		keep  int
		body  string
		cut   bool
		whole int
	}{
		{name: "none", keep: 0},
		{name: "at the bound", keep: 5 + len(`{}`), body: "12345"},
		{name: "past the bound", keep: 5 + len(`{}`), body: "123456", cut: true},
		{name: "by the body alone", keep: 5, body: "123456", cut: true},
		{name: "much room", keep: 1 << 30, body: strings.Repeat("x", 100_000)},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			recorder := &callback.Recorder{Requests: true}
			h := recordedHandler(script(``), recorder)
			h.KeepBodies = test.keep
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("POST", "/callback/E3/hello/top-secret", strings.NewReader(test.body)))
			e := recorder.Runs()[0].Exchange
			if test.keep == 0 {
				require.Nil(t, e)
				return
			}
			require.Equal(t, test.cut, e.Cut)
			require.Equal(t, test.body[:min(len(test.body), test.keep)], string(e.Body))
		})
	}
}

// A recorded run is a case that passes.
func TestWriteCase(t *testing.T) {
	t.Parallel()
	answers := map[string]func(w http.ResponseWriter){
		"/json": func(w http.ResponseWriter) {
			w.Header().Set("Content-Type", "application/json")
			fmt.Fprint(w, `{"rate":1.5}`)
		},
		"/bytes": func(w http.ResponseWriter) { w.Write([]byte("\xff\x00=>\n-- x --\n")) },
	}
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { answers[r.URL.Path](w) }))
	t.Cleanup(upstream.Close)
	scripts := script(`
		var data = Spark.getData();
		var rate = Spark.getHttp("` + upstream.URL + `/json").postJson({q: data.q}).getResponseJson();
		Spark.setScriptData("bytes", Spark.getHttp("` + upstream.URL + `/bytes").get().getResponseString().length);
		Spark.setScriptData("down", Spark.getHttp("http://127.0.0.1:1/").get());
		Spark.setScriptData("rate", rate.rate);
		Spark.setScriptData("RESPONSE_STATUS", 202);
		Spark.setScriptData("signature", data.REQUEST_HEADERS["x-signature"]);
		Spark.setScriptData("body", data.REQUEST_BODY);
	`)
	for name, body := range map[string]string{
		"plain": `{"a":1}`, "line feed": "a\n", "heading": "a\n-- response --\n", "bytes": "\xff\xfe\x00", "CR LF": "a\r\nb", "empty": "",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			recorder := &callback.Recorder{Requests: true}
			h := recordedHandler(scripts, recorder)
			h.HTTP = &callback.HTTPClient{DangerouslyAllowPrivate: true}
			r := httptest.NewRequest("POST", "/callback/E3/hello/top-secret/player%2F1?q=a%20b&q=c", strings.NewReader(body))
			r.Header.Set("Content-Type", "application/octet-stream")
			r.Header.Set("X-Signature", "abc")
			h.ServeHTTP(httptest.NewRecorder(), r)

			var text bytes.Buffer
			require.NoError(t, callbacktest.WriteCase(&text, recorder.Runs()[0], "s3cret"))
			require.NotContains(t, text.String(), "top-secret")
			again := recordedHandler(scripts, &callback.Recorder{})
			again.Secrets = callback.SecretMap{"E3/hello": "s3cret"}
			require.NoError(t, callbacktest.RunCase(again, text.Bytes()), text.String())
			again.Runner = &callback.GojaRunner{Scripts: script(`Spark.setScriptData("other", true)`)}
			require.Error(t, callbacktest.RunCase(again, text.Bytes()))
		})
	}
}

func TestServeCall(t *testing.T) {
	t.Parallel()
	recorder := &callback.Recorder{Requests: true}
	h := recordedHandler(script(`
		Spark.setScriptData("player", Spark.getPlayer().getPlayerId());
		Spark.setScriptData("run", Spark.getSessionId());
		Spark.setScriptData("now", new Date().getTime());
		Spark.setScriptData("a", Spark.getData().a);`), recorder)
	h.Secrets = callback.SecretMap{} // is not asked
	as := &callback.Call{APIKey: "E3", Credential: "hello", PlayerID: "p1", RunID: "run-1", Now: time.UnixMilli(5)}
	w := httptest.NewRecorder()
	h.ServeCall(w, httptest.NewRequest("POST", "/anything", strings.NewReader("x")), as)
	require.Equal(t, 200, w.Code)
	require.JSONEq(t, `{"player":"p1","run":"run-1","now":5}`, w.Body.String())
	require.Equal(t, "run-1", recorder.Runs()[0].Call.RunID)

	w = httptest.NewRecorder()
	h.ServeCall(w, httptest.NewRequest("DELETE", "/", nil), as)
	require.Equal(t, 405, w.Code)
	w = httptest.NewRecorder()
	h.ServeCall(w, httptest.NewRequest("GET", "/callback/E3/hello/top-secret", nil), nil)
	require.Equal(t, 403, w.Code, "without a Call the path must authorise the request")
	for _, unknown := range []string{"none", "../callbacks/hello", "a/b"} {
		w = httptest.NewRecorder()
		h.ServeCall(w, httptest.NewRequest("GET", "/", nil), &callback.Call{APIKey: "E3", Credential: unknown})
		require.Equal(t, 404, w.Code, unknown)
		require.True(t, errors.Is(recorder.Runs()[0].Err, callback.ErrNoScript))
	}
}
