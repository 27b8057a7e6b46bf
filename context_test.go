package callback

import (
	"context"
	"errors"
	"runtime"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
)

// TestCallContext: it behaves as one of context.WithTimeout, waited for or not.
func TestCallContext(t *testing.T) {
	type key struct{}
	errWhy := errors.New("why")
	for name, test := range map[string]struct {
		do    func(ctx *callContext, cancelParent context.CancelCauseFunc)
		err   error
		cause error
	}{
		"nothing happens": {do: func(*callContext, context.CancelCauseFunc) {}},
		"the time is up": {
			do:  func(*callContext, context.CancelCauseFunc) { time.Sleep(2 * time.Second) },
			err: context.DeadlineExceeded, cause: context.DeadlineExceeded,
		},
		"the request ends": {
			do:  func(_ *callContext, cancel context.CancelCauseFunc) { cancel(errWhy) },
			err: context.Canceled, cause: errWhy,
		},
		"the call ends": {
			do:  func(ctx *callContext, _ context.CancelCauseFunc) { ctx.end(); ctx.end() },
			err: context.Canceled, cause: context.Canceled,
		},
		"the time is up, then the request ends": {
			do: func(ctx *callContext, cancel context.CancelCauseFunc) {
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
				ctx := newCallContext(parent, 2*time.Second)
				defer ctx.end()
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

// TestCallContextDeadline: the earlier of both counts.
func TestCallContextDeadline(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for _, limit := range []time.Duration{time.Second, 3 * time.Second} {
			parent, cancel := context.WithTimeout(t.Context(), 2*time.Second)
			defer cancel()
			ctx := newCallContext(parent, limit)
			defer ctx.end()
			deadline, ok := ctx.Deadline()
			require.True(t, ok)
			require.Equal(t, min(limit, 2*time.Second), time.Until(deadline))
		}
	})
}

// TestCallContextDerived: contexts that are derived from it end with it and take
// no goroutine.
func TestCallContextDerived(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx := newCallContext(t.Context(), time.Second)
		before := runtime.NumGoroutine()
		child, cancel := context.WithTimeout(ctx, time.Hour)
		defer cancel()
		called := false
		context.AfterFunc(ctx, func() { called = true })
		require.Equal(t, before, runtime.NumGoroutine())
		time.Sleep(time.Second)
		synctest.Wait()
		require.ErrorIs(t, child.Err(), context.DeadlineExceeded)
		require.True(t, called)
	})
}

// TestCallContextConcurrent is for the race detector.
func TestCallContextConcurrent(t *testing.T) {
	ctx := newCallContext(t.Context(), time.Minute)
	var users sync.WaitGroup
	for range 8 {
		users.Go(func() { _ = ctx.Err() })
		users.Go(func() { <-ctx.Done() })
		users.Go(func() { _ = ctx.Value("key") })
		users.Go(ctx.end)
	}
	users.Wait()
	require.ErrorIs(t, ctx.Err(), context.Canceled)
}
