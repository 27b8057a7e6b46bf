package callback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"example.com/callback"
)

// These tests show what callers can do to a server: send slowly, flood it by HTTP/2,
// mix credentials on one connection. After each, no place is lost.

// A placeRunner is a runner whose calls end when the test says so.
type placeRunner struct {
	entered, leave chan struct{}
	atOnce, most   atomic.Int64 // calls at once
}

func (p *placeRunner) RunScript(ctx context.Context, _ *callback.Call) (*callback.Result, error) {
	atOnce := p.atOnce.Add(1)
	defer p.atOnce.Add(-1)
	for most := p.most.Load(); atOnce > most && !p.most.CompareAndSwap(most, atOnce); most = p.most.Load() {
	}
	p.entered <- struct{}{}
	select {
	case <-p.leave:
		return nil, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// places is a Handler with a number of places, in which each call waits.
func places(t *testing.T, n int) (*callback.Handler, *placeRunner) {
	t.Helper()
	runner := &placeRunner{entered: make(chan struct{}, 20000), leave: make(chan struct{})}
	h, _ := httpHandler(``)
	h.Runner, h.MaxInFlight, h.Timeout = runner, n, time.Minute
	return h, runner
}

// requirePlaces takes all places at once, and no more.
func (p *placeRunner) requirePlaces(t *testing.T, h *callback.Handler, n int) {
	t.Helper()
	for len(p.entered) > 0 {
		<-p.entered
	}
	p.leave = make(chan struct{})
	var calls sync.WaitGroup
	for range n {
		calls.Go(func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", helloURL, nil))
			if w.Code != 200 {
				t.Errorf("status %d", w.Code)
			}
		})
	}
	for i := range n {
		select {
		case <-p.entered:
		case <-time.After(20 * time.Second):
			t.Fatalf("%d of %d places are lost", n-i, n)
		}
	}
	require.Equal(t, 503, get(t, h, helloURL).Code)
	close(p.leave)
	calls.Wait()
}

// A trackedServer knows when it has no request under way.
type trackedServer struct {
	*httptest.Server
	requests sync.WaitGroup
}

func track(t *testing.T, h http.Handler, change func(*httptest.Server)) *trackedServer {
	t.Helper()
	s := new(trackedServer)
	s.Server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		s.requests.Add(1)
		defer s.requests.Done()
		h.ServeHTTP(w, r)
	}))
	change(s.Server)
	t.Cleanup(s.Close)
	return s
}

// end ends the connection and waits for all calls.
func (s *trackedServer) end(t *testing.T, c *http2Conn) {
	t.Helper()
	_ = c.conn.Close() // which the server may have closed
	s.Close()
	s.requests.Wait()
}

// TestSlowHeader: a caller that sends its header byte by byte is cut off by the
// server, and reaches no Handler.
func TestSlowHeader(t *testing.T) {
	t.Parallel()
	h, runner := places(t, 2)
	server := track(t, h, func(s *httptest.Server) {
		s.Config.ReadHeaderTimeout = 50 * time.Millisecond
		s.Start()
	})
	for range 4 {
		c := dial(t, server.Server, "GET "+helloURL+" HTTP/1.1\r\nX: ")
		trickled := make(chan struct{})
		go func() {
			defer close(trickled)
			for range time.Tick(5 * time.Millisecond) {
				if _, err := io.WriteString(c, "x"); err != nil {
					return
				}
			}
		}()
		_, err := io.Copy(io.Discard, c.in)
		_ = err // closed or reset
		<-trickled
	}
	require.Empty(t, runner.entered)
	runner.requirePlaces(t, h, 2)
}

// TestTricklingBody is cut at the call's deadline, however steadily it comes.
func TestTricklingBody(t *testing.T) {
	t.Parallel()
	h, runner := places(t, 1)
	h.Timeout = 100 * time.Millisecond
	server := serve(t, h)
	c := dial(t, server, "POST "+helloURL+" HTTP/1.1\r\nHost: x\r\nContent-Length: 100000\r\n\r\n")
	trickled := make(chan struct{})
	go func() {
		defer close(trickled)
		for range time.Tick(5 * time.Millisecond) {
			if _, err := io.WriteString(c, "x"); err != nil {
				return
			}
		}
	}()
	status, body := c.answer(t)
	require.Equal(t, 408, status)
	require.Equal(t, `{"error":"request body too slow"}`, body)
	require.NoError(t, c.Close())
	<-trickled
	h.Timeout = time.Minute
	runner.requirePlaces(t, h, 1)
}

// do2 makes a request on a connection of its own and returns the status.
func do2(t *testing.T, server *httptest.Server, path string) int {
	t.Helper()
	resp, err := server.Client().Get(server.URL + path)
	require.NoError(t, err)
	require.NoError(t, resp.Body.Close())
	return resp.StatusCode
}

// TestUnendingStreams opens as many streams as the server takes, each with a
// body that never ends. The calls end at their deadline.
func TestUnendingStreams(t *testing.T) {
	t.Parallel()
	const n = 8
	h, runner := places(t, n)
	h.Timeout = 200 * time.Millisecond
	server := track(t, h, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.StartTLS()
	})
	c := dialHTTP2(t, server.Server)
	go func() {
		for stream := uint32(1); stream < 2000; stream += 2 {
			err := errors.Join(
				c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: http2Fields("POST", helloURL), EndHeaders: true}),
				c.WriteData(stream, false, []byte("begin")),
			)
			if err != nil {
				return
			}
		}
	}()
	for slow := 0; slow < n; {
		frame, err := c.ReadFrame()
		require.NoError(t, err, "%d were told that they are too slow", slow)
		if data, ok := frame.(*http2.DataFrame); ok && bytes.Contains(data.Data(), []byte("too slow")) {
			slow++
		}
	}
	server.end(t, c)
	h.Timeout = time.Minute
	require.Empty(t, runner.entered)
	runner.requirePlaces(t, h, n)
}

// TestUnreadBodies sends long bodies that are refused over one HTTP/2 connection.
// They do not use up the connection's window, although the Handler reads none of
// them.
func TestUnreadBodies(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	server := track(t, h, func(s *httptest.Server) {
		s.EnableHTTP2 = true
		s.StartTLS()
	})
	body := bytes.Repeat([]byte("x"), 512<<10)
	for i := range 20 {
		for path, status := range map[string]int{"/callback/E3/hello/wrong": 403, helloURL + "?a=b": 200, "/callback/": 404} {
			resp, err := server.Client().Post(server.URL+path, "text/plain", bytes.NewReader(body))
			require.NoError(t, err, "request %d", i)
			require.NoError(t, resp.Body.Close())
			require.Equal(t, 2, resp.ProtoMajor)
			require.Equal(t, status, resp.StatusCode)
		}
	}
}

// TestOneConnectionForAll sends the calls of several callers over one connection,
// before the first is answered. Each gets its own answer, in order. The refusal of
// one does not affect the next.
func TestOneConnectionForAll(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.Secrets = callback.SecretMap{"E3/hello": "s3cret", "E3/other": "0ther", "E3/": "srv"}
	h.Runner = callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
		result := new(callback.Result)
		return result, result.Set("who", call.Credential+call.PlayerID)
	})
	server := serve(t, h)
	steps := []struct {
		path   string
		status int
		body   string
	}{
		{"/callback/E3/hello/s3cret", 200, `{"who":"hello"}`},
		{"/callback/E3/other/s3cret", 403, `{"error":"forbidden"}`},
		{"/callback/E3/other/0ther/p", 200, `{"who":"otherp"}`},
		{"/callback/E3/srv/p", 200, `{"who":"p"}`},
		{"/callback/E3/hello/0ther", 403, `{"error":"forbidden"}`},
		{"/callback/E3/hello/s3cret/q", 200, `{"who":"helloq"}`},
	}
	requests := ""
	for _, step := range steps {
		requests += fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", step.path)
	}
	c := dial(t, server, requests)
	for _, step := range steps {
		status, body := c.answer(t)
		require.Equal(t, step.status, status, step.path)
		require.Equal(t, step.body, body, step.path)
	}
}

// TestRefusalsWithASlowStore: all refusals of URLs with the same form wait equally
// long for a slow store.
func TestRefusalsWithASlowStore(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		h := secretHandler(nil)
		store := new(countingStore)
		h.Secrets = storeFunc(func(ctx context.Context, apiKey, credential string) ([]callback.Secret, error) {
			time.Sleep(time.Second)
			return store.Secrets(ctx, apiKey, credential)
		})
		for segments, kinds := range refusals {
			for kind, path := range kinds {
				begin := time.Now()
				require.Equal(t, 403, get(t, h, "/callback/"+path).Code, kind)
				require.Equal(t, time.Duration(min(segments, 2))*time.Second, time.Since(begin), kind)
			}
		}
	})
}
