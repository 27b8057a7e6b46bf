package loop_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/web/loop"
)

// drain runs all remaining tasks, and returns the first error.
func drain(l *loop.Loop) error {
	for l.Pending() {
		task := l.Ready()
		if task == nil {
			l.Wait()
			continue
		}
		if err := task(); err != nil {
			return err
		}
	}
	return nil
}

// note makes a task that notes that it has been done.
func note(to *[]string, what string) loop.Task {
	return func() error {
		*to = append(*to, what)
		return nil
	}
}

func TestTimersInOrder(t *testing.T) {
	t.Parallel()
	l := loop.New(t.Context())
	var done []string
	after := func(delay time.Duration, what string) int {
		id, err := l.After(delay, 0, false, note(&done, what))
		require.NoError(t, err)
		return id
	}
	after(0, "first")
	gone := after(0, "gone")
	after(0, "second")
	after(2*time.Millisecond, "late")
	l.Clear(gone)
	l.Clear(gone)
	l.Clear(-1)
	require.NoError(t, drain(l))
	require.Equal(t, []string{"first", "second", "late"}, done)
}

func TestIntervalUntilCleared(t *testing.T) {
	t.Parallel()
	l := loop.New(t.Context())
	n, id := 0, 0
	id, err := l.After(0, time.Microsecond, false, func() error {
		if n++; n == 3 {
			l.Clear(id)
		}
		return nil
	})
	require.NoError(t, err)
	require.NoError(t, drain(l))
	require.Equal(t, 3, n)
}

func TestErrorEndsTheRun(t *testing.T) {
	t.Parallel()
	l := loop.New(t.Context())
	broken := errors.New("broken")
	_, err := l.After(0, 0, false, func() error { return broken })
	require.NoError(t, err)
	require.ErrorIs(t, drain(l), broken)
}

// A weak timer is done as long as something else keeps the run going.
func TestWeakTimer(t *testing.T) {
	t.Parallel()
	l := loop.New(t.Context())
	var done []string
	_, err := l.After(0, 0, true, note(&done, "weak"))
	require.NoError(t, err)
	require.False(t, l.Pending())
	_, err = l.After(time.Millisecond, 0, false, note(&done, "strong"))
	require.NoError(t, err)
	require.NoError(t, drain(l))
	require.Equal(t, []string{"weak", "strong"}, done)
}

func TestTooManyTimers(t *testing.T) {
	t.Parallel()
	l := loop.New(t.Context())
	for range loop.MaxTimers {
		_, err := l.After(time.Hour, 0, false, nil)
		require.NoError(t, err)
	}
	_, err := l.After(time.Hour, 0, false, nil)
	require.ErrorIs(t, err, loop.ErrTimers)
	l.Clear(1)
	_, err = l.After(time.Hour, 0, false, nil)
	require.NoError(t, err)
}

// Work goes on at the same time, up to a bound; its tasks are done on the run's
// goroutine.
func TestWork(t *testing.T) {
	t.Parallel()
	const parallel, all = 32, 100
	l := loop.New(t.Context())
	begun, proceed := make(chan struct{}, all), make(chan struct{})
	n := 0
	for range all {
		l.Go(func() loop.Task {
			begun <- struct{}{}
			<-proceed
			return func() error { n++; return nil }
		})
	}
	for range parallel {
		<-begun
	}
	require.Empty(t, begun)
	close(proceed)
	require.NoError(t, drain(l))
	require.Equal(t, all, n)
}

// Close ends what is under way.
func TestClose(t *testing.T) {
	t.Parallel()
	l := loop.New(t.Context())
	ended := false
	l.Go(func() loop.Task {
		<-l.Context().Done()
		ended = true
		return nil
	})
	l.Close(context.Background())
	require.True(t, ended)
}

// Past the run's time Close waits for nothing.
func TestCloseAbandons(t *testing.T) {
	t.Parallel()
	run, cancel := context.WithCancel(t.Context())
	l := loop.New(run)
	stuck := make(chan struct{})
	defer close(stuck)
	l.Go(func() loop.Task {
		<-stuck
		return nil
	})
	cancel()
	l.Wait() // returns, since the context has ended
	l.Close(run)
}
