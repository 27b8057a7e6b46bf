package callback_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"example.com/callback"
	"example.com/callback/internal/testkit"
)

// Answers of longLength bytes are longer than what the buffers of a connection take.
const longLength = 128 << 10

// heldAnswers is a server whose Handler holds so many bytes of answers. A call with
// a player gets a long answer, and other credentials than "hello" get a short one.
func heldAnswers(t *testing.T, maxHeld int64) (*callback.Handler, *httptest.Server) {
	t.Helper()
	h, _ := httpHandler(``)
	h.Secrets = callback.SecretMap{"E3/hello": "s3cret", "E3/other": "s3cret"}
	h.Timeout, h.WriteTimeout, h.MaxHeld = time.Minute, time.Minute, maxHeld
	h.Runner = callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
		result := new(callback.Result)
		if call.PlayerID == "" {
			return result, nil
		}
		return result, result.Set("RESPONSE_RAW", strings.Repeat("x", longLength))
	})
	server := httptest.NewUnstartedServer(h)
	server.Listener = smallBuffers{server.Listener}
	return h, server
}

// awaitHeld waits until the Handler holds so many bytes.
func awaitHeld(t *testing.T, h *callback.Handler, bodies, answers int64) {
	t.Helper()
	require.Eventually(t, func() bool {
		b, a := h.Held()
		return b == bodies && a == answers
	}, 20*time.Second, time.Millisecond)
}

// TestMaxHeldAnswers: at the bound all callers may be slow. Past it the one that has
// been slow for the longest must go, and the others get the whole of their answers.
func TestMaxHeldAnswers(t *testing.T) {
	t.Parallel()
	h, server := heldAnswers(t, 3*longLength)
	server.Start()
	t.Cleanup(server.Close)
	var slow []*rawConn
	for i := range 3 {
		slow = append(slow, &rawConn{Conn: dialSmall(t, server)})
		slow[i].send(t, "GET "+helloURL+"/p HTTP/1.1\r\nHost: x\r\n\r\n")
		awaitHeld(t, h, 0, int64(i+1)*longLength)
	}
	require.Equal(t, 200, do2(t, server, helloURL), "a short answer does not count")
	awaitHeld(t, h, 0, 3*longLength)

	_, body := do(t, server.Client(), newGet(t, server.URL+"/callback/E3/other/s3cret/p"))
	require.Len(t, body, longLength)
	awaitHeld(t, h, 0, 2*longLength)
	got, _ := io.Copy(io.Discard, slow[0])
	require.Less(t, got, int64(longLength))
	for _, c := range slow[1:] {
		require.NoError(t, c.Conn.(*net.TCPConn).SetReadBuffer(1<<20))
		got, err := io.CopyN(io.Discard, c, longLength)
		require.NoError(t, err)
		require.EqualValues(t, longLength, got)
	}
	awaitHeld(t, h, 0, 0)
}

func newGet(t *testing.T, url string) *http.Request {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	require.NoError(t, err)
	return req
}

// TestHTTP2MaxHeldAnswers: of one connection's streams the oldest is reset, and the
// connection goes on.
func TestHTTP2MaxHeldAnswers(t *testing.T) {
	t.Parallel()
	h, server := heldAnswers(t, 2*longLength)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	c := dialHTTP2(t, server)
	for i, held := range []int64{1, 2, 2} {
		c.get(t, uint32(2*i+1), helloURL+"/p")
		awaitHeld(t, h, 0, held*longLength)
	}
	for {
		frame, err := c.ReadFrame()
		require.NoError(t, err)
		if reset, ok := frame.(*http2.RSTStreamFrame); ok {
			require.EqualValues(t, 1, reset.StreamID)
			break
		}
	}
	require.NoError(t, c.WriteRSTStream(3, http2.ErrCodeCancel))
	require.NoError(t, c.WriteRSTStream(5, http2.ErrCodeCancel))
	awaitHeld(t, h, 0, 0)
}

// TestMaxHeldMemory: many callers that do not read take no more memory than MaxHeld,
// because an answer is in memory once, also in a charset of its own. It is not
// parallel, so that nothing else is.
func TestMaxHeldMemory(t *testing.T) {
	const (
		callers = 40
		most    = 5
		length  = 4 << 20
	)
	h, _ := httpHandler(``)
	h.WriteTimeout, h.MaxHeld = time.Minute, most*length
	h.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
		text := append(bytes.Repeat([]byte("x"), length/2+1), '"')
		text[0] = '"'
		return &callback.Result{Data: []callback.Field{{Name: "RESPONSE_RAW", Value: text}}}, nil
	})
	var calls atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls.Add(1)
		defer calls.Add(-1)
		h.ServeHTTP(w, r)
	}))
	server.Listener = smallBuffers{server.Listener}
	server.Start()
	defer server.Close()
	before := testkit.Heap()
	for i := range callers {
		c := &rawConn{Conn: dialSmall(t, server)}
		defer c.Close()
		c.send(t, "GET "+helloURL+"?characterEncoding=utf-16le HTTP/1.1\r\nHost: x\r\n\r\n")
		awaitHeld(t, h, 0, int64(min(i+1, most))*length)
	}
	require.Eventually(t, func() bool { return calls.Load() == most }, 20*time.Second, time.Millisecond)
	require.Eventually(t, func() bool { return testkit.Heap()-before < int64(h.MaxHeld+length) }, 20*time.Second, time.Millisecond,
		"with what goes on besides, once those that were cut have ended")
}

// heldBodies is a server whose Handler holds so many bytes of bodies. Scripts of calls
// with a player send on runs, and run until leave is called.
func heldBodies(t *testing.T, maxHeld int64) (h *callback.Handler, server *httptest.Server, runs chan struct{}, leave func()) {
	t.Helper()
	h, _ = httpHandler(``)
	h.Secrets = callback.SecretMap{"E3/hello": "s3cret", "E3/other": "s3cret"}
	h.Timeout, h.MaxHeld = time.Minute, maxHeld
	runs = make(chan struct{}, 10)
	ended := make(chan struct{})
	h.Runner = callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
		if call.PlayerID != "" {
			runs <- struct{}{}
			<-ended
		}
		return nil, nil
	})
	server = serve(t, h)
	leave = sync.OnceFunc(func() { close(ended) })
	t.Cleanup(leave) // before the server's
	return h, server, runs, leave
}

const longBody = 1 << 20

// post sends the head of a request and n bytes of its body.
func post(t *testing.T, server *httptest.Server, path, header string, n int) *rawConn {
	t.Helper()
	return dial(t, server, fmt.Sprintf("POST %s HTTP/1.1\r\nHost: x\r\n%sContent-Length: %d\r\n\r\n%s", path, header, longBody, strings.Repeat("x", n)))
}

// TestMaxHeldBodies: past the bound the caller that has been sending for the longest
// gets a 503, and all others can send the rest.
func TestMaxHeldBodies(t *testing.T) {
	t.Parallel()
	h, server, _, _ := heldBodies(t, 3*longBody)
	var slow []*rawConn
	for i := range 3 {
		slow = append(slow, post(t, server, helloURL, "", longBody-1))
		awaitHeld(t, h, int64(i+1)*longBody-int64(i+1), 0)
	}
	req, err := http.NewRequest(http.MethodPost, server.URL+helloURL, strings.NewReader(strings.Repeat("x", 16<<10)))
	require.NoError(t, err)
	resp, _ := do(t, server.Client(), req)
	require.Equal(t, 200, resp.StatusCode, "a short body does not count")

	other := post(t, server, "/callback/E3/other/s3cret", "", longBody)
	status, _ := other.answer(t)
	require.Equal(t, 200, status)
	resp, err = http.ReadResponse(slow[0].in, nil)
	require.NoError(t, err)
	require.Equal(t, 503, resp.StatusCode)
	require.Equal(t, "1", resp.Header.Get("Retry-After"))
	for _, c := range slow[1:] {
		c.send(t, "x")
		status, _ := c.answer(t)
		require.Equal(t, 200, status)
	}
	awaitHeld(t, h, 0, 0)
}

// TestMaxHeldWhileScriptsRun: a script that runs is not cut. A new body gets the 503,
// and a request without one is served.
func TestMaxHeldWhileScriptsRun(t *testing.T) {
	t.Parallel()
	h, server, runs, leave := heldBodies(t, 2*longBody)
	var running []*rawConn
	for i := range 2 {
		running = append(running, post(t, server, helloURL+"/p", "", longBody))
		<-runs
		awaitHeld(t, h, int64(i+1)*longBody, 0)
	}
	for name, header := range map[string]string{
		"plain":     "",
		"multipart": "Content-Type: multipart/form-data; boundary=b\r\n",
		"chunked":   "Transfer-Encoding: chunked\r\n",
	} {
		begin := map[string]string{
			"plain":     strings.Repeat("x", 17<<10),
			"multipart": "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" + strings.Repeat("x", 17<<10),
			"chunked":   "5000\r\n" + strings.Repeat("x", 0x5000) + "\r\n",
		}[name]
		if name != "chunked" {
			header += fmt.Sprintf("Content-Length: %d\r\n", longBody)
		}
		refused := dial(t, server, "POST /callback/E3/other/s3cret HTTP/1.1\r\nHost: x\r\n"+header+"\r\n"+begin)
		status, body := refused.answer(t)
		require.Equal(t, 503, status, name)
		require.Equal(t, `{"error":"overloaded"}`, body)
	}
	require.Equal(t, 200, get(t, h, helloURL).Code)
	leave()
	for _, c := range running {
		status, _ := c.answer(t)
		require.Equal(t, 200, status)
	}
	awaitHeld(t, h, 0, 0)
}

// TestMaxHeldOfBoth: while an answer is not read, the body of its request is held,
// too, and may be what has to go.
func TestMaxHeldOfBoth(t *testing.T) {
	t.Parallel()
	h, server := heldAnswers(t, 2*longBody)
	server.Start()
	t.Cleanup(server.Close)
	slow := &rawConn{Conn: dialSmall(t, server)}
	slow.send(t, fmt.Sprintf("POST %s/p HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", helloURL, longBody, strings.Repeat("x", longBody)))
	awaitHeld(t, h, longBody, longLength)
	post(t, server, "/callback/E3/other/s3cret", "", longBody-1)
	awaitHeld(t, h, 2*longBody-1, longLength)
	other := post(t, server, "/callback/E3/other/s3cret", "", longBody)
	status, _ := other.answer(t)
	require.Equal(t, 200, status)
	awaitHeld(t, h, longBody-1, 0)
	got, _ := io.Copy(io.Discard, slow)
	require.Less(t, got, int64(longLength))
}
