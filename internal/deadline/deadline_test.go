package deadline

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestContext: it behaves as one of context.WithTimeout, whether or not Done is
// called.
func TestContext(t *testing.T) {
	type key struct{}
	errWhy := errors.New("why")
	for name, test := range map[string]struct {
		do    func(ctx *Context, cancelParent context.CancelCauseFunc)
		err   error
		cause error
	}{
		"nothing happens": {do: func(*Context, context.CancelCauseFunc) {}},
		"the time is up": {
			do:  func(*Context, context.CancelCauseFunc) { time.Sleep(2 * time.Second) },
			err: context.DeadlineExceeded, cause: context.DeadlineExceeded,
		},
		"the parent ends": {
			do:  func(_ *Context, cancel context.CancelCauseFunc) { cancel(errWhy) },
			err: context.Canceled, cause: errWhy,
		},
		"it is cancelled": {
			do:  func(ctx *Context, _ context.CancelCauseFunc) { ctx.Cancel(); ctx.Cancel() },
			err: context.Canceled, cause: context.Canceled,
		},
		"it is cancelled, then the time is up": {
			do: func(ctx *Context, _ context.CancelCauseFunc) {
				ctx.Cancel()
				time.Sleep(3 * time.Second)
			},
			err: context.Canceled, cause: context.Canceled,
		},
		"it is cancelled, then the parent ends": {
			do:  func(ctx *Context, cancel context.CancelCauseFunc) { ctx.Cancel(); cancel(errWhy) },
			err: context.Canceled, cause: context.Canceled,
		},
		"the time is up, which somebody sees, then the parent ends": {
			do: func(ctx *Context, cancel context.CancelCauseFunc) {
				time.Sleep(3 * time.Second)
				_ = ctx.Err()
				cancel(errWhy)
			},
			err: context.DeadlineExceeded, cause: context.DeadlineExceeded,
		},
	} {
		for _, waited := range []bool{false, true} {
			synctest.Test(t, func(t *testing.T) {
				parent, cancel := context.WithCancelCause(context.WithValue(t.Context(), key{}, "value"))
				defer cancel(nil)
				ctx := New(parent, 2*time.Second)
				defer ctx.Cancel()
				if waited {
					_ = ctx.Done()
				}
				test.do(ctx, cancel)
				synctest.Wait()
				require.Equal(t, test.err, ctx.Err(), "%s, waited for: %t", name, waited)
				require.Equal(t, test.cause, context.Cause(ctx), "%s, waited for: %t", name, waited)
				require.Equal(t, "value", ctx.Value(key{}))
				select {
				case <-ctx.Done():
					require.Error(t, test.err, name)
				default:
					require.NoError(t, test.err, name)
				}
			})
		}
	}
}

// TestContextDeadline: the earlier of both counts.
func TestContextDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []time.Duration{time.Second, 3 * time.Second} {
			parent, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			ctx := New(parent, limit)
			defer ctx.Cancel()
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, min(limit, 2*time.Second), time.Until(deadline))
		}
	})
}

// TestContextCause is the parent's, if its deadline is the earlier one.
func TestContextCause(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		errWhy := errors.New("why")
		parent, cancel := context.WithTimeoutCause(t.Context(), time.Second, errWhy)
		defer cancel()
		ctx := New(parent, 2*time.Second)
		defer ctx.Cancel()
		<-ctx.Done()
		require.Equal(t, errWhy, context.Cause(ctx))
	})
}

// TestContextString: printing a context is no data race.
func TestContextString(t *testing.T) {
	ctx := New(t.Context(), time.Minute)
	var users sync.WaitGroup
	users.Go(ctx.Cancel)
	require.Contains(t, fmt.Sprint(ctx), "WithDeadline")
	users.Wait()

	type named struct {
		context.Context
		secrets map[string]string
	}
	ctx = New(named{t.Context(), map[string]string{"key": "s3cret"}}, time.Minute)
	defer ctx.Cancel()
	require.Contains(t, fmt.Sprint(ctx), "named.WithDeadline")
	require.NotContains(t, fmt.Sprint(ctx), "s3cret")
}

// TestContextDerived: contexts that are derived from it end with it and take
// no goroutine.
func TestContextDerived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := New(t.Context(), time.Second)
		before := runtime.NumGoroutine()
		child, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		called := false
		context.AfterFunc(ctx, func() { called = true })
		require.LessOrEqual(t, runtime.NumGoroutine(), before)
		time.Sleep(time.Second)
		synctest.Wait()
		require.ErrorIs(t, child.Err(), context.DeadlineExceeded)
		require.True(t, called)
	})
}

// TestContextConcurrent is for the race detector.
func TestContextConcurrent(t *testing.T) {
	ctx := New(t.Context(), time.Minute)
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() { _ = ctx.Err() })
		users.Go(func() { <-ctx.Done() })
		users.Go(func() { _ = ctx.Value("key") })
		users.Go(ctx.Cancel)
	}
	users.Wait()
	require.ErrorIs(t, ctx.Err(), context.Canceled)
}

func TestWatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Watch
		calls := 0
		for name, test := range map[string]struct {
			limit, stop time.Duration // from the start
			calls       int
		}{
			"over at once":                       {time.Second, 0, 0},
			"over in time":                       {time.Second, 999 * time.Millisecond, 0},
			"done before":                        {time.Second, 1001 * time.Millisecond, 1},
			"over before it is looked at":        {time.Microsecond, watchAfter / 2, 0},
			"done before it is looked at":        {time.Microsecond, 2 * watchAfter, 1},
			"done at the start":                  {0, 2 * watchAfter, 1},
			"stopped while the function goes on": {time.Second, 2 * time.Second, 1},
		} {
			calls = 0
			ctx := New(t.Context(), test.limit)
			w.Start(ctx, func() {
				time.Sleep(2 * time.Second)
				calls++
			})
			time.Sleep(test.stop)
			w.Stop()
			require.Equal(t, test.calls, calls, name)
			ctx.Cancel()
		}
	})
}

// TestWatchLateTimer: a timer that fires late, when the watch is off or on for the
// next context.
func TestWatchLateTimer(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var w Watch
		var calls []string
		first, second := New(t.Context(), time.Second), New(t.Context(), time.Second)
		w.Start(first, func() { calls = append(calls, "first") })
		w.Stop()
		w.look()
		w.Start(second, func() { calls = append(calls, "second") })
		w.look()
		w.look()
		time.Sleep(2 * watchAfter)
		first.Cancel()
		second.Cancel()
		synctest.Wait()
		w.Stop()
		require.Equal(t, []string{"second"}, calls)
	})
}

// TestWatchConcurrent is for the race detector: timers that fire late, for many
// contexts one after another.
func TestWatchConcurrent(t *testing.T) {
	t.Parallel()
	var w Watch
	for i := range 60 {
		ctx := New(t.Context(), time.Duration(i%4)*watchAfter/2)
		called := false
		w.Start(ctx, func() { called = true })
		time.Sleep(time.Duration(i%3) * watchAfter)
		w.Stop()
		_ = called
		ctx.Cancel()
	}
}
