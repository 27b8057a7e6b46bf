package deferred_test

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/deferred/queuetest"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// start runs a worker until the test ends.
func start(t *testing.T, w *deferred.Worker) {
	t.Helper()
	if w.Logger == nil {
		w.Logger = quiet
	}
	if w.Backoff == nil {
		w.Backoff = func(int) time.Duration { return time.Millisecond }
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- w.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		require.NoError(t, <-ended)
	})
}

// await waits until a job is in a state, and returns what is known of it then.
func await(t *testing.T, q *queuetest.Memory, id string, state deferred.State) *deferred.Status {
	t.Helper()
	var s *deferred.Status
	require.Eventually(t, func() bool {
		var err error
		s, err = q.Status(t.Context(), id)
		return err == nil && s.State == state
	}, 30*time.Second, time.Millisecond, "job %s is to be %s", id, state)
	return s
}

// result returns the result of a script that has set one name.
func result(name string, value any) *callback.Result {
	r := new(callback.Result)
	if err := r.Set(name, value); err != nil {
		panic(err)
	}
	return r
}

// job enqueues a call of this run id.
func job(t *testing.T, q deferred.Queue, id string, maxAttempts int) {
	t.Helper()
	j, err := deferred.NewJob(&callback.Call{APIKey: "E3", Credential: "hello", RunID: id}, maxAttempts)
	require.NoError(t, err)
	_, err = q.Enqueue(t.Context(), j)
	require.NoError(t, err)
}

var errIll = errors.New("ill")
