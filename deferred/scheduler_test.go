package deferred_test

import (
	"encoding/json"
	"net/http/httptest"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/deferred/queuetest"
	"example.com/callback/internal/testkit"
)

// schedulerHandler runs a script with a scheduler over queue.
func schedulerHandler(s *deferred.Scheduler, script string) *callback.Handler {
	return &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: testkit.Tree(map[string]string{"callbacks/hello.js": script})},
		Secrets: callback.SecretMap{"E3/hello": "s", "E4/hello": "s"},
		Members: s.Members(),
		Logger:  quiet,
	}
}

func get(h *callback.Handler, path string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/callback/"+path, nil))
	return w.Body.String()
}

func TestScheduler(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	handler := schedulerHandler(&deferred.Scheduler{Queue: queue}, `
		var s = Spark.getScheduler();
		Spark.setScriptData("grow", s.inSeconds("GROW", 60, {x: [1]}));
		Spark.setScriptData("key", s.inSeconds("GROW", "0.5", undefined, 7));
		Spark.setScriptData("twice", s.inSeconds("GROW", 3600, null, "7"));
	`)
	before := time.Now()
	require.Equal(t, `{"grow":true,"key":true,"twice":true}`, get(handler, "E3/hello/s/p1"))
	list, err := queue.List(t.Context(), deferred.Queued, 10)
	require.NoError(t, err)
	require.Len(t, list, 3)
	s, err := queue.Status(t.Context(), list[2].ID)
	require.NoError(t, err)
	require.WithinDuration(t, before.Add(time.Minute), s.Due, 10*time.Second)
	var call callback.Call
	require.NoError(t, json.Unmarshal(s.Call, &call))
	require.Equal(t, callback.Call{APIKey: "E3", Credential: "hello", PlayerID: "p1", RunID: s.ID, Script: "GROW", Input: []byte(`{"x":[1]}`)}, call)
	s, err = queue.Status(t.Context(), list[1].ID)
	require.NoError(t, err)
	require.Contains(t, string(s.Call), `"input":null`)

	cancel := schedulerHandler(&deferred.Scheduler{Queue: queue}, `
		Spark.setScriptData("first", Spark.getScheduler().cancel(7));
		Spark.setScriptData("again", Spark.getScheduler().cancel("7"));
	`)
	require.Equal(t, `{"first":false,"again":false}`, get(cancel, "E4/hello/s"), "another API key's")
	require.Equal(t, `{"first":true,"again":false}`, get(cancel, "E3/hello/s"))
	counts, err := queue.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[deferred.State]int{deferred.Queued: 1}, counts)
}

func TestSchedulerRefuses(t *testing.T) {
	t.Parallel()
	handler := schedulerHandler(&deferred.Scheduler{Queue: new(queuetest.Memory)}, `
		[["../A", 1], ["A"], ["A", -1], ["A", "x"], ["A", Infinity], ["A", 31622401], ["A", 1, null, Array(514).join("k")]].forEach(function (args, i) {
			try { Spark.setScriptData(i, Spark.getScheduler().inSeconds.apply(null, args)) }
			catch (e) { Spark.setScriptData(String(i), e.message) }
		});
		Spark.setScriptData("bound", Spark.getScheduler().inSeconds("A", 31622400, null, Array(513).join("k")));
	`)
	require.JSONEq(t, `{
		"0": "inSeconds: argument 1 is not the short code of a module",
		"1": "inSeconds: argument 2 is not from 0 to 31622400 seconds",
		"2": "inSeconds: argument 2 is not from 0 to 31622400 seconds",
		"3": "inSeconds: argument 2 is not from 0 to 31622400 seconds",
		"4": "inSeconds: argument 2 is not from 0 to 31622400 seconds",
		"5": "inSeconds: argument 2 is not from 0 to 31622400 seconds",
		"6": "inSeconds: argument 4 is longer than 512 bytes",
		"bound": true
	}`, get(handler, "E3/hello/s"))

	ill := schedulerHandler(&deferred.Scheduler{Queue: new(broken)}, `
		["inSeconds", "cancel"].forEach(function (f) {
			try { Spark.getScheduler()[f]("A", 1) } catch (e) { Spark.setScriptData(f, e.message) }
		})
	`)
	require.Equal(t, `{"inSeconds":"the queue cannot be reached","cancel":"the queue cannot be reached"}`, get(ill, "E3/hello/s"))
}

func TestSchedulerPins(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	source := &switching{tree: tree("v1", nil)}
	handler := schedulerHandler(&deferred.Scheduler{Queue: queue, Source: source}, `
		try { Spark.getScheduler().inSeconds("GROW", 3600) } catch (e) { Spark.setScriptData("error", e.message) }
	`)
	require.Equal(t, `{}`, get(handler, "E3/hello/s"))
	list, err := queue.List(t.Context(), deferred.Queued, 1)
	require.NoError(t, err)
	require.Equal(t, "v1", list[0].Version)
	source.err = callback.ErrUnavailable
	require.Equal(t, `{"error":"the scripts cannot be reached"}`, get(handler, "E3/hello/s"))
}

// A run that is tried again schedules the same again.
func TestSchedulerInADeferredRun(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	handler := schedulerHandler(&deferred.Scheduler{Queue: queue, MaxAttempts: 1}, `
		Spark.getScheduler().inSeconds("GROW", 3600);
		Spark.getScheduler().inSeconds("GROW", 3600);
		throw new Error("tried again");
	`)
	start(t, &deferred.Worker{Queue: queue, Runner: handler, DangerouslyInProcess: true})
	job(t, queue, "run-1", 3)
	await(t, queue, "run-1", deferred.Dead)
	counts, err := queue.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[deferred.State]int{deferred.Queued: 2, deferred.Dead: 1}, counts)
}
