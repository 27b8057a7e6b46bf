package callback_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// A caller that leaves, or that only closes its sending side, does not stop its run,
// unless StopAbandoned is set.
func TestCallerLeaves(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name      string
		stop      bool
		halfClose bool
	}{
		{name: "closes"},
		{name: "half-closes", halfClose: true},
		{name: "closes, and the run stops", stop: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			begun, departed, ended := make(chan struct{}), make(chan struct{}), make(chan *callback.Run, 1)
			h := &callback.Handler{
				Runner: &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {
					Data: []byte(`Spark.waitForCaller(); Spark.setScriptData("done", true);`),
				}}},
				Secrets:       callback.SecretMap{"E3/hello": "s3cret"},
				StopAbandoned: test.stop,
				Observe:       func(_ context.Context, run *callback.Run) { ended <- run },
				Members: callback.Members{"waitForCaller": {Func: func(ctx context.Context, _ *callback.Call, _ callback.Args) (any, error) {
					close(begun)
					<-departed
					if test.stop {
						<-ctx.Done()
					}
					return nil, ctx.Err()
				}}},
			}
			gone := make(chan struct{})
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				context.AfterFunc(r.Context(), func() { close(gone) })
				h.ServeHTTP(w, r)
			}))
			defer server.Close()
			conn, err := net.Dial("tcp", server.Listener.Addr().String())
			require.NoError(t, err)
			defer conn.Close()
			fmt.Fprint(conn, "GET /callback/E3/hello/s3cret HTTP/1.1\r\nHost: x\r\n\r\n")
			<-begun
			if test.halfClose {
				require.NoError(t, conn.(*net.TCPConn).CloseWrite())
			} else {
				require.NoError(t, conn.Close())
			}
			<-gone // the server knows
			close(departed)
			run := <-ended
			if test.stop {
				require.Equal(t, callback.OutcomeCanceled, run.Outcome)
				return
			}
			require.Equal(t, callback.OutcomeOK, run.Outcome, "%v", run.Err)
			if test.halfClose {
				resp, err := http.ReadResponse(bufio.NewReader(conn), nil)
				require.NoError(t, err)
				body, err := io.ReadAll(resp.Body)
				require.NoError(t, err)
				require.Equal(t, `{"done":true}`, string(body))
			}
		})
	}
}

// TestClientGone cancels a run whose caller has hung up, also after a body was
// read under a deadline of its own.
func TestClientGone(t *testing.T) {
	t.Parallel()
	for method, rest := range map[string]string{"GET": "\r\n", "POST": "Content-Length: 3\r\n\r\nabc"} {
		t.Run(method, func(t *testing.T) {
			t.Parallel()
			running, ended := make(chan struct{}), make(chan error, 1)
			h, _ := httpHandler(``)
			h.Timeout, h.StopAbandoned = time.Minute, true
			h.Runner = callback.ScriptRunnerFunc(func(ctx context.Context, _ *callback.Call) (*callback.Result, error) {
				close(running)
				<-ctx.Done()
				ended <- context.Cause(ctx)
				return nil, ctx.Err()
			})
			c := dial(t, serve(t, h), method+" "+helloURL+" HTTP/1.1\r\nHost: x\r\n"+rest)
			<-running
			require.NoError(t, c.Close())
			select {
			case err := <-ended:
				require.ErrorIs(t, err, context.Canceled)
			case <-time.After(time.Minute):
				t.Fatal("the run goes on")
			}
		})
	}
}

// TestClientGoneStopsScript does the same for a script that computes.
func TestClientGoneStopsScript(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(`Spark.started(); for (;;) {}`)
	h.Timeout, h.StopAbandoned = time.Minute, true
	goja := h.Runner
	started, ended := make(chan struct{}), make(chan error, 1)
	h.Members = callback.Members{"started": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
		close(started)
		return nil, nil
	}}}
	h.Runner = callback.ScriptRunnerFunc(func(ctx context.Context, call *callback.Call) (*callback.Result, error) {
		result, err := goja.RunScript(ctx, call)
		ended <- err
		return result, err
	})
	c := dial(t, serve(t, h), "GET "+helloURL+" HTTP/1.1\r\nHost: x\r\n\r\n")
	<-started
	require.NoError(t, c.Close())
	select {
	case err := <-ended:
		require.Error(t, err)
	case <-time.After(time.Minute):
		t.Fatal("the script goes on")
	}
}

// TestCallerGoneIsNoFailure: a caller that goes away is logged as that, and not as an
// error of the script or of the store.
func TestCallerGoneIsNoFailure(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(h *callback.Handler, leave func()){
		"in the run": func(h *callback.Handler, leave func()) {
			h.Runner = callback.ScriptRunnerFunc(func(ctx context.Context, _ *callback.Call) (*callback.Result, error) {
				leave()
				<-ctx.Done()
				return nil, fmt.Errorf("interrupted: %w", ctx.Err())
			})
		},
		"in the store": func(h *callback.Handler, leave func()) {
			h.Secrets = storeFunc(func(ctx context.Context, _, _ string) ([]callback.Secret, error) {
				leave()
				<-ctx.Done()
				return nil, ctx.Err()
			})
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(``)
			h.StopAbandoned = true
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			change(h, cancel)
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, helloURL, nil).WithContext(ctx))
			require.Equal(t, 503, w.Code)
			require.Equal(t, `{"error":"cancelled"}`, w.Body.String())
			require.NotContains(t, log.String(), "ERROR")
			require.NotContains(t, log.String(), "failed")
			require.Equal(t, name == "in the run", strings.Contains(log.String(), "level=INFO"), log)
		})
	}
}
