package callback_test

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/fstest"

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
			begun, left, ended := make(chan struct{}), make(chan struct{}), make(chan *callback.Run, 1)
			h := &callback.Handler{
				Runner: &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {
					Data: []byte(`Spark.waitForCaller(); Spark.setScriptData("done", true);`),
				}}},
				Secrets:       callback.SecretMap{"E3/hello": "s3cret"},
				StopAbandoned: test.stop,
				Observe:       func(_ context.Context, run *callback.Run) { ended <- run },
				Members: callback.Members{"waitForCaller": {Func: func(ctx context.Context, _ *callback.Call, _ callback.Args) (any, error) {
					close(begun)
					<-left
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
			close(left)
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

func TestClientIPOnUnixSocket(t *testing.T) {
	t.Parallel()
	h := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: script(`Spark.setScriptData("ip", Spark.getClientIp())`)},
		Secrets: callback.SecretMap{"E3/hello": "s3cret"},
	}
	for remote, want := range map[string]string{"@": "", "": "", "192.0.2.1:80": "192.0.2.1", "[2001:db8::1]:80": "2001:db8::1"} {
		w := httptest.NewRecorder()
		r := httptest.NewRequest("GET", "/callback/E3/hello/s3cret", nil)
		r.RemoteAddr = remote
		h.ServeHTTP(w, r)
		require.Equal(t, `{"ip":"`+want+`"}`, w.Body.String())
	}
}

// Integers over 2^53 are not exact in JavaScript: a host passes them as strings.
func TestLargeIntegersCrossAsStrings(t *testing.T) {
	t.Parallel()
	const large = math.MaxInt64
	var number int64
	var text string
	h := &callback.Handler{
		Runner: &callback.GojaRunner{Scripts: script(`
			Spark.setScriptData("number", Spark.number() === 9223372036854775807);
			Spark.setScriptData("rounded", String(Spark.number()));
			Spark.setScriptData("text", Spark.text());
			Spark.take(9007199254740993, Spark.text());`)},
		Secrets: callback.SecretMap{"E3/hello": "s3cret"},
		Members: callback.Members{
			"number": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { return int64(large), nil }},
			"text": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				return fmt.Sprint(int64(large)), nil
			}},
			"take": {Func: func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
				return nil, args.Scan(&number, &text)
			}},
		},
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/callback/E3/hello/s3cret", nil))
	require.JSONEq(t, `{"number":true,"rounded":"9223372036854776000","text":"9223372036854775807"}`, w.Body.String())
	require.EqualValues(t, int64(9007199254740992), number) // not the 9007199254740993 of the source
	require.Equal(t, "9223372036854775807", text)
}
