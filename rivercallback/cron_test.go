//go:build unix

package rivercallback_test

import (
	"context"
	"encoding/json"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/rivercallback"
)

// work runs a worker until the test ends, and returns what it was given.
func work(t *testing.T, q *rivercallback.Queue) <-chan callback.Call {
	t.Helper()
	calls := make(chan callback.Call, 100)
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() {
		ended <- q.Work(ctx, func(_ context.Context, job *deferred.Job) deferred.Verdict {
			var call callback.Call
			if err := json.Unmarshal(job.Call, &call); err != nil {
				return deferred.Verdict{Err: err}
			}
			calls <- call
			return deferred.Verdict{Action: deferred.Done}
		})
	}()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	return calls
}

func TestCron(t *testing.T) {
	t.Parallel()
	for name, open := range drivers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			q := open(t, rivercallback.Options{
				Source: callback.Tree{Version: "v1"},
				Cron:   []rivercallback.CronEntry{{Schedule: "@every 1s", APIKey: "E3", Module: "TICK", Data: json.RawMessage(`{"a":1}`)}},
			})
			first, second := work(t, q), work(t, q) // of which one makes the runs
			seen := map[string]bool{}
			for range 3 {
				var call callback.Call
				select {
				case call = <-first:
				case call = <-second:
				}
				require.True(t, strings.HasPrefix(call.RunID, "cron-"))
				require.False(t, seen[call.RunID], "each time is one run")
				seen[call.RunID] = true
				call.RunID = ""
				require.Equal(t, callback.Call{APIKey: "E3", Script: "TICK", Version: "v1", Input: []byte(`{"a":1}`)}, call)
			}
		})
	}
}

func TestCronCatchesUp(t *testing.T) {
	t.Parallel()
	entry := rivercallback.CronEntry{Schedule: "0 0 1 1 *", APIKey: "E3", Module: "YEARLY", CatchUp: 366 * 24 * time.Hour}
	q := openSQLite(t, rivercallback.Options{Keep: 400 * 24 * time.Hour, Cron: []rivercallback.CronEntry{entry}})
	call := <-work(t, q)
	require.Equal(t, "YEARLY", call.Script)
	require.Equal(t, "null", string(call.Input))
	var list []deferred.Status
	require.Eventually(t, func() bool {
		var err error
		list, err = q.List(t.Context(), deferred.Finished, 10)
		return err == nil && len(list) > 0
	}, 30*time.Second, 10*time.Millisecond)
	require.Equal(t, time.Date(time.Now().UTC().Year(), 1, 1, 0, 0, 0, 0, time.UTC), list[0].Created.UTC(), "the last time that was missed")
	require.Len(t, list, 1)

	entry.CatchUp = 0
	q = openSQLite(t, rivercallback.Options{Cron: []rivercallback.CronEntry{entry, {Schedule: "@every 1s", APIKey: "E3", Module: "TICK"}}})
	require.Equal(t, "TICK", (<-work(t, q)).Script, "what was missed does not run")
}

// A jump forward does not begin the interval of "@every" again, and what it skips
// runs once. Times that come late run, as long as no jump could be the reason.
func TestCronAfterAJump(t *testing.T) {
	t.Parallel()
	start := time.Date(2026, 3, 1, 2, 0, 0, 0, time.UTC)
	at := func(after time.Duration) time.Time { return start.Add(after) }
	for _, test := range []struct {
		name, schedule string
		by, now        time.Duration
		due, next      time.Duration // zero due: none
	}{
		{"every, still to come", "@every 20h", 9 * time.Hour, 10 * time.Hour, 0, 20 * time.Hour},
		{"every, skipped", "@every 20h", 9 * time.Hour, 24 * time.Hour, 20 * time.Hour, 44 * time.Hour},
		{"every, back", "@every 20h", -9 * time.Hour, -8 * time.Hour, 0, 12 * time.Hour},
		{"nightly, still to come", "0 3 * * *", 30 * time.Minute, 31 * time.Minute, 0, time.Hour},
		{"nightly, skipped", "0 3 * * *", 9 * time.Hour, 10 * time.Hour, time.Hour, 25 * time.Hour},
		{"a little late", "@every 1s", 0, 4 * time.Second, time.Second, time.Second},
		{"jump not yet noticed", "@every 1s", 0, time.Hour, 0, time.Second},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			entry := rivercallback.CronEntry{Schedule: test.schedule, APIKey: "E3", Module: "A"}
			due, next, err := rivercallback.CronAfterJump(entry, start, at(test.now), test.by)
			require.NoError(t, err)
			require.Equal(t, at(test.next), next.UTC())
			if test.due == 0 {
				require.Zero(t, due)
			} else {
				require.Equal(t, at(test.due), due.UTC())
			}
		})
	}
}

func TestCronRefuses(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		entry rivercallback.CronEntry
		want  string
	}{
		{rivercallback.CronEntry{Schedule: "61 * * * *", Module: "A"}, "callback: queue: cron entry of module A: "},
		{rivercallback.CronEntry{Schedule: "", Module: "A"}, "callback: queue: cron entry of module A: "},
		{rivercallback.CronEntry{Schedule: "@daily", Module: "../A"}, `callback: queue: cron entry "@daily": "../A" is not the short code of a module`},
		{rivercallback.CronEntry{Schedule: "@daily", Module: "A", Data: json.RawMessage("{")}, "callback: queue: cron entry of module A: data are not JSON"},
		{rivercallback.CronEntry{Schedule: "@daily", Module: "A", CatchUp: 24 * time.Hour}, "callback: queue: cron entry of module A: CatchUp is not shorter than Keep"},
	} {
		_, err := rivercallback.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "q.db"), rivercallback.Options{Cron: []rivercallback.CronEntry{test.entry}})
		require.ErrorContains(t, err, test.want)
	}
}
