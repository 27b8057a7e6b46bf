package deferred_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/deferred/queuetest"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

func TestWorkerJudges(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		result *callback.Result
		err    error
		want   string // the states and attempts that follow
	}{
		{"result", result("a", 1), nil, "finished after 1"},
		{"no result", nil, nil, "finished after 1"},
		{"status 404", result("RESPONSE_STATUS", 404), nil, "finished after 1"},
		{"status 429", result("RESPONSE_STATUS", 429), nil, "dead after 3"},
		{"status 499", result("RESPONSE_STATUS", 499), nil, "finished after 1"},
		{"status 500", result("RESPONSE_STATUS", 500), nil, "dead after 3"},
		{"status that is none", result("RESPONSE_STATUS", "no"), nil, "finished after 1"},
		{"script error", nil, &callback.ScriptError{Script: "callbacks/hello.js", Message: "no"}, "dead after 3"},
		{"deadline", nil, context.DeadlineExceeded, "dead after 3"},
		{"other error", nil, errIll, "dead after 3"},
		{"no script", nil, fmt.Errorf("x: %w", callback.ErrNoScript), "dead after 1"},
		{"overloaded", nil, fmt.Errorf("x: %w", callback.ErrOverloaded), "queued after 0"},
		{"outage", nil, fmt.Errorf("x: %w", callback.ErrUnavailable), "queued after 0"},
		{"too many", nil, fmt.Errorf("x: %w", callback.ErrTooMany), "queued after 0"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			queue := new(queuetest.Memory)
			ran := make(chan bool, 10)
			start(t, &deferred.Worker{Queue: queue, Runner: callback.ScriptRunnerFunc(
				func(context.Context, *callback.Call) (*callback.Result, error) {
					ran <- true
					return test.result, test.err
				})})
			job(t, queue, "run-1", 3)
			<-ran
			var state deferred.State
			var attempts int
			_, err := fmt.Sscanf(test.want, "%s after %d", &state, &attempts)
			require.NoError(t, err)
			s := await(t, queue, "run-1", state)
			require.Equal(t, attempts, s.Attempt)
			if state == deferred.Finished {
				require.Equal(t, test.result, s.Result)
				require.Empty(t, s.Errors)
			}
			if state == deferred.Queued {
				require.Greater(t, time.Until(s.Due), 500*time.Millisecond, "an outage is not made worse")
				require.Less(t, time.Until(s.Due), 2*time.Second)
			}
			if state == deferred.Dead {
				require.Len(t, s.Errors, attempts)
			}
		})
	}
}

// A oneJob is a queue of a single job. It keeps the verdict.
type oneJob struct {
	deferred.Queue
	job     *deferred.Job
	verdict deferred.Verdict
}

func (q *oneJob) Work(ctx context.Context, work func(context.Context, *deferred.Job) deferred.Verdict) error {
	q.verdict = work(ctx, q.job)
	return nil
}

// TestWorkerBackoff: the time between attempts triples up to an hour, give or take
// a tenth.
func TestWorkerBackoff(t *testing.T) {
	t.Parallel()
	for attempt, want := range map[int]time.Duration{
		1: 5 * time.Second, 2: 15 * time.Second, 3: 45 * time.Second, 6: 1215 * time.Second,
		7: time.Hour, 8: time.Hour, 1000: time.Hour,
	} {
		j, err := deferred.NewJob(&callback.Call{APIKey: "E3", RunID: "R"}, 2000)
		require.NoError(t, err)
		j.Attempt = attempt
		queue := &oneJob{job: j}
		w := &deferred.Worker{Queue: queue, Logger: new(testkit.Log).Logger(), Runner: callback.ScriptRunnerFunc(
			func(context.Context, *callback.Call) (*callback.Result, error) { return nil, errIll })}
		require.NoError(t, w.Run(t.Context()))
		require.Equal(t, deferred.Retry, queue.verdict.Action)
		require.InDelta(t, want, queue.verdict.Delay, float64(want)/10, attempt)
	}
}

func TestWorkerGivesTheSameRunToEachAttempt(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	var seen []callback.Call
	start(t, &deferred.Worker{Queue: queue, Runner: callback.ScriptRunnerFunc(
		func(_ context.Context, call *callback.Call) (*callback.Result, error) {
			seen = append(seen, *call)
			return nil, errIll
		})})
	call := &callback.Call{
		APIKey: "E3", Credential: "hello", PlayerID: "p", RunID: "run-1", ClientIP: "192.0.2.1", Method: "POST",
		Version: "v1", Data: []callback.Param{{Name: "a", Values: []string{"1", "2"}}}, Body: []byte("\x00\xff"),
		RequestHeaders: []callback.Param{{Name: "webhook-id", Values: []string{"1"}}},
	}
	j, err := deferred.NewJob(call, 3)
	require.NoError(t, err)
	_, err = queue.Enqueue(t.Context(), j)
	require.NoError(t, err)
	await(t, queue, "run-1", deferred.Dead)
	require.Equal(t, []callback.Call{*call, *call, *call}, seen)

	require.NoError(t, queue.Retry(t.Context(), "run-1", true))
	await(t, queue, "run-1", deferred.Dead)
	call.Version = ""
	require.Equal(t, *call, seen[3], "with the live version, if an operator says so")
}

// Two events may have one run id, if the host takes it from its callers.
func TestRunName(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	var mu sync.Mutex
	names := map[string]int{}
	start(t, &deferred.Worker{Queue: queue, Runner: callback.ScriptRunnerFunc(
		func(ctx context.Context, _ *callback.Call) (*callback.Result, error) {
			mu.Lock()
			defer mu.Unlock()
			names[deferred.RunName(ctx)]++
			return nil, errIll
		})})
	job(t, queue, "run-1", 3)
	await(t, queue, "run-1", deferred.Dead)
	job(t, queue, "run-1", 3)
	await(t, queue, "run-1", deferred.Dead)
	require.Len(t, names, 2)
	for name, attempts := range names {
		require.Len(t, name, 64)
		require.Equal(t, 3, attempts)
	}
	require.Empty(t, deferred.RunName(t.Context()))
}

func TestWorkerContainsPanics(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	var log testkit.Log
	start(t, &deferred.Worker{Queue: queue, Logger: log.Logger(), Runner: callback.ScriptRunnerFunc(
		func(context.Context, *callback.Call) (*callback.Result, error) { panic("a secret") })})
	job(t, queue, "run-1", 2)
	s := await(t, queue, "run-1", deferred.Dead)
	require.Equal(t, "callback: panic of type string in a deferred run", s.Errors[0].Err)
	require.Contains(t, log.String(), "run=run-1 api_key=E3 credential=hello attempt=1 of=2 verdict=retry")
	require.NotContains(t, log.String(), "a secret")
}

func TestWorkerDropsWhatIsNoCall(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	start(t, &deferred.Worker{Queue: queue, Runner: direct})
	_, err := queue.Enqueue(t.Context(), &deferred.Job{ID: "run-1", Call: []byte("{"), MaxAttempts: 3})
	require.NoError(t, err)
	s := await(t, queue, "run-1", deferred.Dead)
	require.Contains(t, s.Errors[0].Err, "the job holds no call")
}

func TestWorkerDropsWhatHasWaitedTooLong(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	ill := true
	runner := callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
		if ill {
			return nil, callback.ErrUnavailable
		}
		return nil, nil
	})
	start(t, &deferred.Worker{Queue: queue, Runner: runner, MaxAge: time.Hour})
	enqueue := func(id string, created, notBefore time.Duration) {
		j, err := deferred.NewJob(&callback.Call{RunID: id}, 3)
		require.NoError(t, err)
		j.Created = j.Created.Add(created)
		j.NotBefore = j.Created.Add(notBefore)
		_, err = queue.Enqueue(t.Context(), j)
		require.NoError(t, err)
	}
	enqueue("young", -59*time.Minute, 0)
	enqueue("old", -61*time.Minute, 0)
	enqueue("scheduled", -61*time.Minute, 10*time.Minute)
	s := await(t, queue, "old", deferred.Dead)
	require.Equal(t, "callback: waited past its time: callback: unavailable", s.Errors[0].Err)
	for _, id := range []string{"young", "scheduled"} {
		require.Eventually(t, func() bool {
			s, err := queue.Status(t.Context(), id)
			return err == nil && s.State == deferred.Queued && time.Until(s.Due) > 30*time.Second
		}, 30*time.Second, time.Millisecond, "the longer it has waited, the longer it waits")
	}
	ill = false
	require.NoError(t, queue.Retry(t.Context(), "old", false))
	await(t, queue, "old", deferred.Finished)
}

func TestWorkerJudgeHasTheLastWord(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	start(t, &deferred.Worker{
		Queue:  queue,
		Runner: callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) { return nil, errIll }),
		Judge: func(_ context.Context, job *deferred.Job, v deferred.Verdict) deferred.Verdict {
			if errors.Is(v.Err, errIll) && job.Credential == "hello" {
				v.Action = deferred.Drop
			}
			return v
		},
	})
	job(t, queue, "run-1", 3)
	require.Equal(t, 1, await(t, queue, "run-1", deferred.Dead).Attempt)
}

func TestWorkerRefusesToShareItsProcess(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	goja := &callback.GojaRunner{}
	for _, runner := range []callback.ScriptRunner{
		goja,
		&callback.Handler{Runner: goja},
		&callback.Handler{Runner: &deferred.Runner{Next: goja}},
		&callback.Handler{Runner: wrapper{&deferred.Runner{Next: wrapper{goja}}}},
	} {
		err := (&deferred.Worker{Queue: queue, Runner: runner}).Run(t.Context())
		require.ErrorIs(t, err, deferred.ErrInProcess)
		start(t, &deferred.Worker{Queue: queue, Runner: runner, DangerouslyInProcess: true})
	}
	start(t, &deferred.Worker{Queue: queue, Runner: &callback.Handler{Runner: &sandbox.Runner{}}})
	require.ErrorContains(t, (&deferred.Worker{Queue: queue}).Run(t.Context()), "needs a Queue and a Runner")
	require.ErrorContains(t, (&deferred.Worker{Runner: goja}).Run(t.Context()), "needs a Queue and a Runner")
}

// A wrapper is a runner around another one.
type wrapper struct{ callback.ScriptRunner }

func (w wrapper) Unwrap() callback.ScriptRunner { return w.ScriptRunner }

// One Handler may be front and worker: what a worker runs is not deferred again.
func TestWorkerOfTheFrontsHandler(t *testing.T) {
	t.Parallel()
	queue := new(queuetest.Memory)
	handler := &callback.Handler{
		Runner: &deferred.Runner{
			Next:  direct,
			Queue: queue,
			Defer: func(context.Context, *callback.Call) bool { return true },
		},
		Secrets: callback.SecretMap{"E3/pay": "s"},
		Logger:  quiet,
	}
	start(t, &deferred.Worker{Queue: queue, Runner: handler})
	status, body := post(handler, "E3/pay/s", "")
	require.Equal(t, 202, status)
	var id string
	_, err := fmt.Sscanf(body, `{"run":%q}`, &id)
	require.NoError(t, err)
	require.Equal(t, result("direct", true), await(t, queue, id, deferred.Finished).Result)
}

func TestWorkerLimitsACredential(t *testing.T) {
	t.Parallel()
	const limit, backlog = 2, 60
	queue := &queuetest.Memory{Places: 8}
	var mu sync.Mutex
	var running, most int
	release := make(chan struct{})
	start(t, &deferred.Worker{
		Queue:            queue,
		MaxPerCredential: limit,
		Runner: callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
			if call.Credential != "greedy" {
				return nil, nil
			}
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			<-release
			mu.Lock()
			running--
			mu.Unlock()
			return nil, nil
		}),
	})
	for i := range backlog {
		j, err := deferred.NewJob(&callback.Call{APIKey: "E3", Credential: "greedy", RunID: fmt.Sprint("greedy-", i)}, 1)
		require.NoError(t, err)
		_, err = queue.Enqueue(t.Context(), j)
		require.NoError(t, err)
	}
	job(t, queue, "modest", 1) // which comes last, and is not held up by what does not end
	await(t, queue, "modest", deferred.Finished)
	close(release)
	require.Eventually(t, func() bool {
		counts, err := queue.Counts(t.Context())
		return err == nil && counts[deferred.Finished] == backlog+1
	}, 60*time.Second, 10*time.Millisecond, "what was put off runs, on its first attempt")
	require.Equal(t, limit, most)
}

// TestWorkerForgetsCredentials: a credential without calls takes no memory.
func TestWorkerForgetsCredentials(t *testing.T) {
	t.Parallel()
	w := &deferred.Worker{MaxPerCredential: 1}
	w.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
		require.Equal(t, 1, w.Owners())
		return nil, nil
	})
	for i := range 100 {
		j, err := deferred.NewJob(&callback.Call{APIKey: "E3", Credential: fmt.Sprint(i), RunID: "R"}, 1)
		require.NoError(t, err)
		w.Queue = &oneJob{job: j}
		require.NoError(t, w.Run(t.Context()))
	}
	require.Zero(t, w.Owners())
}

// TestWorkerPutsOffForTenMinutes: however many calls of a credential wait, none is
// put off for longer than ten minutes, give or take a tenth.
func TestWorkerPutsOffForTenMinutes(t *testing.T) {
	t.Parallel()
	began, end := make(chan bool), make(chan bool)
	w := &deferred.Worker{MaxPerCredential: 1, Logger: new(testkit.Log).Logger()}
	w.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
		began <- true
		<-end
		return nil, nil
	})
	j, err := deferred.NewJob(&callback.Call{APIKey: "E3", Credential: "hello", RunID: "R"}, 1)
	require.NoError(t, err)
	queue := &manyJobs{job: j, began: began}
	w.Queue = queue
	require.NoError(t, w.Run(t.Context()))
	close(end)
	queue.first.Wait()
	require.Greater(t, queue.longest, 9*time.Minute)
	require.LessOrEqual(t, queue.longest, 11*time.Minute)
}

// A manyJobs is a queue of one job that runs and many that find no place.
type manyJobs struct {
	deferred.Queue
	job     *deferred.Job
	began   chan bool
	first   sync.WaitGroup
	longest time.Duration // for which one was put off
}

func (q *manyJobs) Work(ctx context.Context, work func(context.Context, *deferred.Job) deferred.Verdict) error {
	q.first.Go(func() { work(ctx, q.job) })
	<-q.began
	for range 70_000 {
		q.longest = max(q.longest, work(ctx, q.job).Delay)
	}
	return nil
}
