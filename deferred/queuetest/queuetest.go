package queuetest

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred"
)

// A Queue is what Run tests.
type Queue interface {
	deferred.Queue
	deferred.Operator
}

// Run tests a queue against what [deferred.Queue] and [deferred.Operator] say. open
// returns a new and empty one, and closes it with t.Cleanup.
func Run(t *testing.T, open func(t *testing.T) Queue) {
	for _, test := range []struct {
		name string
		run  func(t *testing.T, q Queue)
	}{
		{"Done", testDone},
		{"Retry", testRetry},
		{"Later", testLater},
		{"Drop", testDrop},
		{"Key", testKey},
		{"SameID", testSameID},
		{"NotBefore", testNotBefore},
		{"Label", testLabel},
		{"OperatorRetry", testOperatorRetry},
		{"OperatorOnRunning", testOperatorOnRunning},
		{"UnknownJob", testUnknownJob},
		{"List", testList},
		{"Stop", testStop},
		{"TwoWorkers", testTwoWorkers},
		{"AnyText", testAnyText},
		{"CancelledContext", testCancelledContext},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			test.run(t, open(t))
		})
	}
}

// patience bounds how long a test waits for what must happen.
const patience = 30 * time.Second

// newJob returns a job for a call of this run id.
func newJob(t *testing.T, id string) *deferred.Job {
	t.Helper()
	job, err := deferred.NewJob(&callback.Call{
		APIKey:     "E3",
		Credential: "hello",
		RunID:      id,
		Version:    "v1",
		Data:       []callback.Param{{Name: "REQUEST_BODY", Values: []string{"zero \x00 and ü"}}},
		Body:       []byte("\x00\xff"),
	}, 3)
	require.NoError(t, err)
	return job
}

func enqueue(t *testing.T, q Queue, job *deferred.Job) {
	t.Helper()
	id, err := q.Enqueue(t.Context(), job)
	require.NoError(t, err)
	require.Equal(t, job.ID, id)
}

// work runs a worker until the test ends, or until the function that it returns
// is called.
func work(t *testing.T, q Queue, f func(ctx context.Context, job *deferred.Job) deferred.Verdict) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- q.Work(ctx, f) }()
	stop = sync.OnceFunc(func() {
		cancel()
		require.NoError(t, <-ended)
	})
	t.Cleanup(stop)
	return stop
}

// await waits until a job is in a state, and returns what is known of it then.
func await(t *testing.T, q Queue, id string, state deferred.State) *deferred.Status {
	t.Helper()
	var s *deferred.Status
	require.Eventually(t, func() bool {
		var err error
		s, err = q.Status(t.Context(), id)
		return err == nil && s.State == state
	}, patience, 5*time.Millisecond, "job %s is to be %s", id, state)
	return s
}

func done(context.Context, *deferred.Job) deferred.Verdict {
	return deferred.Verdict{Action: deferred.Done}
}

func testDone(t *testing.T, q Queue) {
	job := newJob(t, "run-1")
	job.Script = "MODULE"
	enqueue(t, q, job)
	s, err := q.Status(t.Context(), "run-1")
	require.NoError(t, err)
	require.Equal(t, deferred.Queued, s.State)

	seen := make(chan deferred.Job, 1)
	work(t, q, func(_ context.Context, job *deferred.Job) deferred.Verdict {
		seen <- *job
		var result callback.Result
		err := result.Set("a", "b\x00c")
		return deferred.Verdict{Action: deferred.Done, Result: &result, Err: err}
	})
	got := <-seen
	require.Equal(t, "run-1", got.ID)
	require.Equal(t, "E3 hello MODULE v1", strings.Join([]string{got.APIKey, got.Credential, got.Script, got.Version}, " "))
	require.JSONEq(t, string(job.Call), string(got.Call))
	require.Equal(t, 1, got.Attempt)
	require.Equal(t, 3, got.MaxAttempts)
	require.False(t, got.Live)
	require.WithinDuration(t, job.Created, got.Created, time.Millisecond)

	s = await(t, q, "run-1", deferred.Finished)
	require.Equal(t, []callback.Field{{Name: "a", Value: []byte(`"b\u0000c"`)}}, s.Result.Data)
	require.Empty(t, s.Errors)
	require.WithinDuration(t, time.Now(), s.Ended, time.Minute)
}

func testRetry(t *testing.T, q Queue) {
	enqueue(t, q, newJob(t, "run-1"))
	seen := make(chan deferred.Job, 10)
	work(t, q, func(_ context.Context, job *deferred.Job) deferred.Verdict {
		seen <- *job
		return deferred.Verdict{Action: deferred.Retry, Delay: time.Millisecond, Err: fmt.Errorf("attempt %d", job.Attempt)}
	})
	s := await(t, q, "run-1", deferred.Dead)
	for attempt := 1; attempt <= 3; attempt++ {
		got := <-seen
		require.Equal(t, attempt, got.Attempt)
		require.Equal(t, "run-1 v1", got.ID+" "+got.Version)
	}
	require.Empty(t, seen, "three attempts and no more")
	require.Len(t, s.Errors, 3)
	for i, e := range s.Errors {
		require.Equal(t, i+1, e.Attempt)
		require.Equal(t, fmt.Sprintf("attempt %d", i+1), e.Err)
	}
	require.Contains(t, string(s.Call), `"run-1"`, "a dead job keeps its call")
}

func testLater(t *testing.T, q Queue) {
	enqueue(t, q, newJob(t, "run-1"))
	var times atomic.Int64
	work(t, q, func(_ context.Context, job *deferred.Job) deferred.Verdict {
		if job.Attempt != 1 {
			return deferred.Verdict{Action: deferred.Drop, Err: errors.New("an attempt that did not run was counted")}
		}
		if times.Add(1) <= 5 { // more than its attempts
			return deferred.Verdict{Action: deferred.Later, Delay: time.Duration(times.Load()-2) * time.Millisecond, Err: errors.New("overloaded")}
		}
		return deferred.Verdict{Action: deferred.Done}
	})
	s := await(t, q, "run-1", deferred.Finished)
	require.EqualValues(t, 6, times.Load())
	require.Empty(t, s.Errors)
}

func testDrop(t *testing.T, q Queue) {
	enqueue(t, q, newJob(t, "run-1"))
	var times atomic.Int64
	work(t, q, func(context.Context, *deferred.Job) deferred.Verdict {
		times.Add(1)
		return deferred.Verdict{Action: deferred.Drop, Err: errors.New("no script")}
	})
	s := await(t, q, "run-1", deferred.Dead)
	require.EqualValues(t, 1, times.Load())
	require.Len(t, s.Errors, 1)
	require.Equal(t, "no script", s.Errors[0].Err)
}

func testKey(t *testing.T, q Queue) {
	key := deferred.NewKey("event", "1")
	ids := make([]string, 8)
	errs := make([]error, len(ids))
	var fronts sync.WaitGroup
	for i := range ids {
		job := newJob(t, fmt.Sprintf("run-%d", i))
		job.Key = key
		fronts.Go(func() { ids[i], errs[i] = q.Enqueue(t.Context(), job) })
	}
	fronts.Wait()
	for i := range ids {
		require.NoError(t, errs[i])
		require.Equal(t, ids[0], ids[i], "all get the run id of the one that is stored")
	}
	first := ids[0]

	var runs atomic.Int64
	work(t, q, func(context.Context, *deferred.Job) deferred.Verdict {
		runs.Add(1)
		return deferred.Verdict{Action: deferred.Done}
	})
	await(t, q, first, deferred.Finished)
	late := newJob(t, "late")
	late.Key = key
	id, err := q.Enqueue(t.Context(), late)
	require.NoError(t, err)
	require.Equal(t, first, id, "a finished job still refuses duplicates")
	require.EqualValues(t, 1, runs.Load())

	other := newJob(t, "other")
	other.Key = deferred.NewKey("event", "2")
	enqueue(t, q, other)
	await(t, q, "other", deferred.Finished)

	require.NoError(t, q.Drop(t.Context(), first))
	id, err = q.Enqueue(t.Context(), late)
	require.NoError(t, err)
	require.Equal(t, "late", id, "what was dropped is forgotten")
}

// A host may take run ids from its callers, so they are not unique.
func testSameID(t *testing.T, q Queue) {
	enqueue(t, q, newJob(t, "run-1"))
	enqueue(t, q, newJob(t, "run-1"))
	var runs atomic.Int64
	work(t, q, func(context.Context, *deferred.Job) deferred.Verdict {
		runs.Add(1)
		return deferred.Verdict{Action: deferred.Done}
	})
	require.Eventually(t, func() bool {
		counts, err := q.Counts(t.Context())
		return err == nil && counts[deferred.Finished] == 2
	}, patience, 5*time.Millisecond)
	require.EqualValues(t, 2, runs.Load())
}

func testNotBefore(t *testing.T, q Queue) {
	soon, never := newJob(t, "soon"), newJob(t, "never")
	soon.NotBefore = time.Now().Add(500 * time.Millisecond)
	never.NotBefore = time.Now().Add(time.Hour)
	enqueue(t, q, never)
	enqueue(t, q, soon)
	began := make(chan time.Time, 2)
	work(t, q, func(context.Context, *deferred.Job) deferred.Verdict {
		began <- time.Now()
		return deferred.Verdict{Action: deferred.Done}
	})
	await(t, q, "soon", deferred.Finished)
	require.False(t, (<-began).Before(soon.NotBefore.Add(-time.Millisecond)))
	s := await(t, q, "never", deferred.Queued)
	require.WithinDuration(t, never.NotBefore, s.Due, time.Millisecond)
	require.Empty(t, began)
}

func testLabel(t *testing.T, q Queue) {
	label := deferred.NewKey("label", "a")
	for i := range 3 {
		job := newJob(t, fmt.Sprintf("mine-%d", i))
		job.Label = label
		job.NotBefore = time.Now().Add(time.Hour)
		enqueue(t, q, job)
	}
	other := newJob(t, "other")
	other.Label = deferred.NewKey("label", "b")
	other.NotBefore = time.Now().Add(time.Hour)
	enqueue(t, q, other)

	n, err := q.Cancel(t.Context(), label)
	require.NoError(t, err)
	require.Equal(t, 3, n)
	n, err = q.Cancel(t.Context(), label)
	require.NoError(t, err)
	require.Zero(t, n)
	_, err = q.Status(t.Context(), "mine-0")
	require.ErrorIs(t, err, deferred.ErrNoJob)
	await(t, q, "other", deferred.Queued)
}

func testOperatorRetry(t *testing.T, q Queue) {
	enqueue(t, q, newJob(t, "run-1"))
	var well atomic.Bool
	seen := make(chan deferred.Job, 10)
	work(t, q, func(_ context.Context, job *deferred.Job) deferred.Verdict {
		if !well.Load() {
			return deferred.Verdict{Action: deferred.Retry, Delay: time.Millisecond, Err: errors.New("ill")}
		}
		seen <- *job
		return deferred.Verdict{Action: deferred.Done}
	})
	await(t, q, "run-1", deferred.Dead)
	well.Store(true)
	require.NoError(t, q.Retry(t.Context(), "run-1", false))
	s := await(t, q, "run-1", deferred.Finished)
	got := <-seen
	require.Equal(t, 4, got.Attempt)
	require.Equal(t, "v1", got.Version)
	require.False(t, got.Live)
	require.Len(t, s.Errors, 3)

	require.NoError(t, q.Retry(t.Context(), "run-1", true), "a finished job can be run again, and with the live version")
	got = <-seen
	require.True(t, got.Live)
	s = await(t, q, "run-1", deferred.Finished)
	require.True(t, s.Live)

	require.NoError(t, q.Retry(t.Context(), "run-1", false))
	got = <-seen
	require.False(t, got.Live, "each retry says which version")
	require.Equal(t, "v1", got.Version)
	await(t, q, "run-1", deferred.Finished)
}

func testOperatorOnRunning(t *testing.T, q Queue) {
	job := newJob(t, "run-1")
	job.Label = deferred.NewKey("a")
	enqueue(t, q, job)
	began, end := make(chan bool), make(chan bool)
	work(t, q, func(_ context.Context, job *deferred.Job) deferred.Verdict {
		began <- job.Live
		<-end
		return deferred.Verdict{Action: deferred.Retry, Delay: time.Millisecond, Err: errors.New("ill")}
	})
	require.False(t, <-began)
	require.ErrorIs(t, q.Drop(t.Context(), "run-1"), deferred.ErrRunning)
	require.ErrorIs(t, q.Retry(t.Context(), "run-1", true), deferred.ErrRunning)
	n, err := q.Cancel(t.Context(), job.Label)
	require.NoError(t, err)
	require.Zero(t, n)
	await(t, q, "run-1", deferred.Running)
	for range 2 {
		end <- true
		require.False(t, <-began, "what was refused changes nothing")
	}
	end <- true
	await(t, q, "run-1", deferred.Dead)
}

func testUnknownJob(t *testing.T, q Queue) {
	for _, id := range []string{"nosuch", "", "a\x00b", "\xff", `"'; drop table river_job`} {
		_, err := q.Status(t.Context(), id)
		require.ErrorIs(t, err, deferred.ErrNoJob, "%q", id)
		require.ErrorIs(t, q.Retry(t.Context(), id, false), deferred.ErrNoJob, "%q", id)
		require.ErrorIs(t, q.Drop(t.Context(), id), deferred.ErrNoJob, "%q", id)
	}
}

func testList(t *testing.T, q Queue) {
	for i := range 5 {
		job := newJob(t, fmt.Sprintf("waits-%d", i))
		job.NotBefore = time.Now().Add(time.Hour)
		enqueue(t, q, job)
	}
	enqueue(t, q, newJob(t, "fails"))
	enqueue(t, q, newJob(t, "retries"))
	enqueue(t, q, newJob(t, "succeeds"))
	work(t, q, func(_ context.Context, job *deferred.Job) deferred.Verdict {
		switch job.ID {
		case "fails":
			return deferred.Verdict{Action: deferred.Drop, Err: errors.New("ill")}
		case "retries":
			return deferred.Verdict{Action: deferred.Retry, Delay: time.Hour, Err: errors.New("ill")}
		}
		var result callback.Result
		return deferred.Verdict{Action: deferred.Done, Result: &result, Err: result.Set("a", 1)}
	})
	await(t, q, "fails", deferred.Dead)
	await(t, q, "succeeds", deferred.Finished)
	s := await(t, q, "retries", deferred.Retrying)
	require.WithinDuration(t, time.Now().Add(time.Hour), s.Due, time.Minute)

	counts, err := q.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[deferred.State]int{deferred.Queued: 5, deferred.Retrying: 1, deferred.Dead: 1, deferred.Finished: 1}, counts)
	for state, want := range map[deferred.State][]string{
		deferred.Queued:   {"waits-4", "waits-3", "waits-2"},
		deferred.Retrying: {"retries"},
		deferred.Dead:     {"fails"},
		deferred.Finished: {"succeeds"},
		deferred.Running:  nil,
	} {
		list, err := q.List(t.Context(), state, 3)
		require.NoError(t, err)
		var ids []string
		for _, s := range list {
			ids = append(ids, s.ID)
			require.Equal(t, state, s.State)
			require.Equal(t, "E3 hello v1", s.APIKey+" "+s.Credential+" "+s.Version)
			require.Nil(t, s.Call)
			require.Nil(t, s.Result)
		}
		require.Equal(t, want, ids, "%s", state)
	}
	list, err := q.List(t.Context(), deferred.Queued, 0)
	require.NoError(t, err)
	require.Empty(t, list)
}

func testStop(t *testing.T, q Queue) {
	enqueue(t, q, newJob(t, "run-1"))
	began, end := make(chan error, 1), make(chan bool)
	stop := work(t, q, func(ctx context.Context, _ *deferred.Job) deferred.Verdict {
		began <- nil
		<-end
		began <- ctx.Err()
		return deferred.Verdict{Action: deferred.Done}
	})
	<-began
	stopped := make(chan bool)
	go func() {
		stop()
		close(stopped)
	}()
	end <- true // which is received only if Work waits
	<-stopped
	require.NoError(t, <-began, "a run that is under way is not cancelled")
	await(t, q, "run-1", deferred.Finished)

	enqueue(t, q, newJob(t, "run-2"))
	work(t, q, done)
	await(t, q, "run-2", deferred.Finished)
}

func testTwoWorkers(t *testing.T, q Queue) {
	const jobs = 100
	var mu sync.Mutex
	runs := map[string]int{}
	for range 2 {
		work(t, q, func(_ context.Context, job *deferred.Job) deferred.Verdict {
			mu.Lock()
			defer mu.Unlock()
			runs[job.ID]++
			return deferred.Verdict{Action: deferred.Done}
		})
	}
	for i := range jobs {
		enqueue(t, q, newJob(t, fmt.Sprintf("run-%d", i)))
	}
	require.Eventually(t, func() bool {
		counts, err := q.Counts(t.Context())
		return err == nil && counts[deferred.Finished] == jobs
	}, patience, 10*time.Millisecond)
	require.Len(t, runs, jobs)
	for id, n := range runs {
		require.Equal(t, 1, n, id)
	}
}

func testAnyText(t *testing.T, q Queue) {
	job, err := deferred.NewJob(&callback.Call{APIKey: "\x00\xff/..", RunID: "run-1", Input: []byte(`"\u0000"`)}, 1)
	require.NoError(t, err)
	enqueue(t, q, job)
	work(t, q, func(context.Context, *deferred.Job) deferred.Verdict {
		return deferred.Verdict{Err: errors.New("zero \x00, invalid \xff, long " + strings.Repeat("x", 1<<20))}
	})
	s := await(t, q, "run-1", deferred.Dead)
	require.Equal(t, "\x00\ufffd/..", strings.ToValidUTF8(s.APIKey, "\ufffd"))
	require.Len(t, s.Errors, 1)
	require.Contains(t, s.Errors[0].Err, "zero ")
}

func testCancelledContext(t *testing.T, q Queue) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := q.Enqueue(ctx, newJob(t, "run-1"))
	require.ErrorIs(t, err, context.Canceled)
}
