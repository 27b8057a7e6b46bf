package callback_test

import (
	"bytes"
	"context"
	"net"
	"net/http"
	"runtime"
	"runtime/pprof"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// servedContext returns a context as an HTTP server makes it for a request to addr.
func servedContext(parent context.Context, addr net.Addr) context.Context {
	ctx := context.WithValue(parent, http.ServerContextKey, new(http.Server))
	if addr != nil {
		ctx = context.WithValue(ctx, http.LocalAddrContextKey, addr)
	}
	return ctx
}

// TestCoroutinesEnd: a coroutine that a server's runner keeps ends after 50 ms
// without a run, however its runs end. A bubble fails if a goroutine outlives it.
func TestCoroutinesEnd(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		ctx := servedContext(t.Context(), &net.TCPAddr{})
		r := &callback.GojaRunner{Scripts: fstest.MapFS{
			"callbacks/well.js":  {Data: []byte(`Spark.setScriptData("v", 1)`)},
			"callbacks/ends.js":  {Data: []byte(`Spark.end()`)},
			"callbacks/hangs.js": {Data: []byte(`Spark.hang()`)},
		}}
		hung, release := make(chan struct{}), make(chan struct{})
		call := func(ctx context.Context, credential string) error {
			_, err := r.RunScript(ctx, &callback.Call{Credential: credential, Members: callback.Members{
				"end": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
					runtime.Goexit()
					return nil, nil
				}},
				"hang": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
					close(hung)
					<-release
					return nil, nil
				}},
			}})
			return err
		}
		require.NoError(t, call(ctx, "well"))
		require.NoError(t, call(ctx, "well"))
		require.ErrorContains(t, call(ctx, "ends"), "the run's goroutine was ended")
		require.NoError(t, call(ctx, "well"))
		deadline, cancel := context.WithTimeout(ctx, time.Second)
		defer cancel()
		require.ErrorIs(t, call(deadline, "hangs"), context.DeadlineExceeded)
		<-hung
		require.NoError(t, call(ctx, "well"), "not on the coroutine of the abandoned run")
		close(release)
		time.Sleep(50 * time.Millisecond)
		synctest.Wait()
	})
}

// TestNoCoroutineOutlivesItsTest: a server without a network is a test's, and so is
// a call without a server.
func TestNoCoroutineOutlivesItsTest(t *testing.T) {
	t.Parallel()
	pipe, other := net.Pipe()
	defer pipe.Close()
	defer other.Close()
	for _, served := range []func(context.Context) context.Context{
		func(ctx context.Context) context.Context { return servedContext(ctx, pipe.LocalAddr()) },
		func(ctx context.Context) context.Context { return ctx },
	} {
		synctest.Test(t, func(t *testing.T) {
			r := &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/x.js": {Data: []byte(`Spark.setScriptData("v", 1)`)}}}
			for range 2 {
				_, err := r.RunScript(served(t.Context()), &callback.Call{Credential: "x"})
				require.NoError(t, err)
			}
		})
	}
}

// TestCoroutinesAreKept: a call of a server takes the coroutine of the one before.
func TestCoroutinesAreKept(t *testing.T) {
	r := &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/x.js": {Data: []byte(`Spark.setScriptData("v", 1)`), ModTime: time.Unix(1, 0)}}}
	allocations := func(ctx context.Context) float64 {
		call := &callback.Call{Credential: "x"}
		return testing.AllocsPerRun(200, func() {
			if _, err := r.RunScript(ctx, call); err != nil {
				t.Error(err)
			}
		})
	}
	kept, fresh := allocations(servedContext(t.Context(), nil)), allocations(t.Context())
	require.Less(t, kept, fresh)
}

// TestCoroutineLabels: the goroutine of a run has the profiler labels of its call,
// also when it is kept from an earlier call.
func TestCoroutineLabels(t *testing.T) {
	t.Parallel()
	r := &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/x.js": {Data: []byte("Spark.profile()")}}}
	var profile bytes.Buffer
	call := &callback.Call{Credential: "x", Members: callback.Members{
		"profile": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			profile.Reset()
			return nil, pprof.Lookup("goroutine").WriteTo(&profile, 1)
		}},
	}}
	run := func(labels ...string) {
		pprof.Do(servedContext(t.Context(), nil), pprof.Labels(labels...), func(ctx context.Context) {
			_, err := r.RunScript(ctx, call)
			require.NoError(t, err)
		})
	}
	run("tenant", "label of the first")
	require.Contains(t, profile.String(), "label of the first")
	run("tenant", "label of the second")
	require.Contains(t, profile.String(), "label of the second")
	require.NotContains(t, profile.String(), "label of the first")
	run()
	require.NotContains(t, profile.String(), "label of the")
}
