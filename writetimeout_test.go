package callback_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"example.com/callback"
)

// A deadlineWriter is a ResponseWriter that supports write deadlines, as a server's
// does, and lists what is done with it.
type deadlineWriter struct {
	*httptest.ResponseRecorder
	did []string
	end time.Time // the deadline
}

func (w *deadlineWriter) SetWriteDeadline(end time.Time) error {
	w.did = append(w.did, "deadline")
	w.end = end
	return nil
}

func (w *deadlineWriter) WriteHeader(status int) {
	w.did = append(w.did, "header")
	w.ResponseRecorder.WriteHeader(status)
}

func (w *deadlineWriter) Write(p []byte) (int, error) {
	w.did = append(w.did, "body")
	return w.ResponseRecorder.Write(p)
}

// TestWriteTimeout shows which deadline an answer is written under.
func TestWriteTimeout(t *testing.T) {
	t.Parallel()
	limited, unlimited := []string{"deadline", "header", "body"}, []string{"header", "body"}
	for _, test := range []struct {
		name   string
		field  time.Duration // Handler.WriteTimeout
		server time.Duration // http.Server.WriteTimeout
		target string
		want   time.Duration
		did    []string
	}{
		{name: "by default", target: helloURL, want: 10 * time.Second, did: limited},
		{name: "as set", field: time.Minute, target: helloURL, want: time.Minute, did: limited},
		{name: "a refusal", field: time.Minute, target: "/callback/E3/hello/wrong", want: time.Minute, did: limited},
		{name: "none", field: -1, target: helloURL, did: unlimited},
		{name: "the server's is shorter", field: time.Minute, server: time.Second, target: helloURL, did: unlimited},
		{name: "the server's is as long", field: time.Minute, server: time.Minute, target: helloURL, did: unlimited},
		{name: "the server's is longer", field: time.Minute, server: time.Hour, target: helloURL, want: time.Minute, did: limited},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, _ := httpHandler(``)
			h.WriteTimeout = test.field
			ctx := context.WithValue(t.Context(), http.ServerContextKey, &http.Server{WriteTimeout: test.server})
			r := httptest.NewRequest("GET", test.target, nil).WithContext(ctx)
			w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
			begin := time.Now()
			h.ServeHTTP(w, r)
			require.Equal(t, test.did, w.did)
			if test.want > 0 {
				require.WithinRange(t, w.end, begin.Add(test.want), time.Now().Add(test.want))
			}
		})
	}
}

// wrapped is a ResponseWriter around another, as a host's middleware has it.
type wrapped struct{ http.ResponseWriter }

func (w wrapped) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// TestWriteTimeoutOfWrapped finds the server's ResponseWriter in others.
func TestWriteTimeoutOfWrapped(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	w := &deadlineWriter{ResponseRecorder: httptest.NewRecorder()}
	h.ServeHTTP(wrapped{wrapped{w}}, httptest.NewRequest("GET", helloURL, nil))
	require.Equal(t, []string{"deadline", "header", "body"}, w.did)
}

// smallBuffers is a listener whose connections buffer little.
type smallBuffers struct{ net.Listener }

func (l smallBuffers) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err == nil {
		_ = conn.(*net.TCPConn).SetWriteBuffer(4 << 10)
	}
	return conn, err
}

// longAnswers is a server with one place, whose answers are longer than what the
// buffers of a connection take.
func longAnswers(t *testing.T, timeout time.Duration) (server *httptest.Server, ended chan struct{}) {
	t.Helper()
	h, _ := httpHandler(``)
	h.MaxInFlight = 1
	h.WriteTimeout = timeout
	long := strings.Repeat("x", 4<<20-10)
	h.Runner = callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
		result := new(callback.Result)
		if call.PlayerID == "short" {
			return result, nil
		}
		return result, result.Set("RESPONSE_RAW", long)
	})
	ended = make(chan struct{}, 10)
	server = httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() { ended <- struct{}{} }()
		h.ServeHTTP(w, r)
	}))
	server.Listener = smallBuffers{server.Listener}
	return server, ended
}

// placeIsFree waits for the end of the previous call, and makes another.
func placeIsFree(t *testing.T, server *httptest.Server, ended chan struct{}) {
	t.Helper()
	select {
	case <-ended:
	case <-time.After(20 * time.Second):
		t.Fatal("the caller that does not read keeps its place")
	}
	resp, err := server.Client().Get(server.URL + helloURL + "/short")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, 200, resp.StatusCode)
}

// dialSmall connects with a small receive buffer.
func dialSmall(t *testing.T, server *httptest.Server) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", server.Listener.Addr().String())
	require.NoError(t, err)
	t.Cleanup(func() { _ = conn.Close() })
	require.NoError(t, conn.(*net.TCPConn).SetReadBuffer(4<<10))
	require.NoError(t, conn.SetDeadline(time.Now().Add(30*time.Second)))
	return conn
}

// TestCallerThatDoesNotRead: its place becomes free, and its connection is closed.
func TestCallerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	server, ended := longAnswers(t, 100*time.Millisecond)
	server.Start()
	t.Cleanup(server.Close)
	for range 2 {
		conn := dialSmall(t, server)
		_, err := io.WriteString(conn, "GET "+helloURL+" HTTP/1.1\r\nHost: x\r\n\r\n")
		require.NoError(t, err)
		placeIsFree(t, server, ended)
		<-ended
		got, _ := io.Copy(io.Discard, conn)
		require.Less(t, got, int64(4<<20), "and the rest is not sent")
	}
}

// TestCallerThatReads: a slow caller that reads gets all of the answer.
func TestCallerThatReads(t *testing.T) {
	t.Parallel()
	server, _ := longAnswers(t, time.Minute)
	server.Start()
	t.Cleanup(server.Close)
	resp, err := server.Client().Get(server.URL + helloURL)
	require.NoError(t, err)
	got, err := io.Copy(io.Discard, resp.Body)
	require.NoError(t, errors.Join(err, resp.Body.Close()))
	require.EqualValues(t, 4<<20-10, got)
}

// TestHTTP2CallerThatDoesNotRead opens no window for the answer. Its stream is reset,
// and the other streams of the connection go on.
func TestHTTP2CallerThatDoesNotRead(t *testing.T) {
	t.Parallel()
	server, ended := longAnswers(t, 100*time.Millisecond)
	server.EnableHTTP2 = true
	server.StartTLS()
	t.Cleanup(server.Close)
	c := dialHTTP2(t, server)
	c.get(t, 1, helloURL)
	placeIsFree(t, server, ended)
	<-ended
	c.get(t, 3, helloURL+"/short")
	reset := false
	for {
		frame, err := c.ReadFrame()
		require.NoError(t, err)
		switch f := frame.(type) {
		case *http2.RSTStreamFrame:
			require.EqualValues(t, 1, f.StreamID)
			reset = true
		case *http2.DataFrame:
			if f.StreamID == 3 && f.StreamEnded() {
				require.True(t, reset)
				return
			}
		}
	}
}

// TestHTTP2CallerThatTakesNothing opens large windows and does not read at all, so
// that no frame can be written, not even the one that resets the stream. The server
// closes the connection by its WriteByteTimeout.
func TestHTTP2CallerThatTakesNothing(t *testing.T) {
	t.Parallel()
	server, ended := longAnswers(t, 100*time.Millisecond)
	server.EnableHTTP2 = true
	server.Config.HTTP2 = &http.HTTP2Config{WriteByteTimeout: 100 * time.Millisecond}
	server.StartTLS()
	t.Cleanup(server.Close)
	c := dialHTTP2(t, server)
	require.NoError(t, c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1}))
	require.NoError(t, c.WriteWindowUpdate(0, 1<<30))
	for stream := range uint32(3) {
		c.get(t, 2*stream+1, helloURL)
	}
	<-ended
	<-ended // two of them were refused, and could not be told so
	placeIsFree(t, server, ended)
}

// TestHTTP2WithoutWriteByteTimeout: the log says once what the server lacks, and says
// nothing if it lacks nothing, or if no caller speaks HTTP/2.
func TestHTTP2WithoutWriteByteTimeout(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		http2  bool
		config *http.HTTP2Config
		warned int
	}{
		{"HTTP/1.1", false, nil, 0},
		{"without", true, nil, 1},
		{"with others", true, &http.HTTP2Config{SendPingTimeout: time.Second}, 1},
		{"with it", true, &http.HTTP2Config{WriteByteTimeout: time.Second}, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(``)
			server := httptest.NewUnstartedServer(h)
			server.EnableHTTP2, server.Config.HTTP2 = test.http2, test.config
			server.StartTLS()
			defer server.Close()
			for range 2 {
				require.Equal(t, 200, do2(t, server, helloURL))
			}
			require.Equal(t, test.warned, strings.Count(log.String(), "set HTTP2.WriteByteTimeout of the http.Server"))
		})
	}
}

// A http2Conn is an HTTP/2 connection of which a test writes every frame.
type http2Conn struct {
	*http2.Framer
	conn net.Conn
}

func dialHTTP2(t *testing.T, server *httptest.Server) *http2Conn {
	t.Helper()
	config := server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	config.NextProtos, config.ServerName = []string{"h2"}, "example.com"
	conn := tls.Client(dialSmall(t, server), config)
	require.NoError(t, conn.Handshake())
	_, err := io.WriteString(conn, http2.ClientPreface)
	require.NoError(t, err)
	c := &http2Conn{http2.NewFramer(conn, conn), conn}
	require.NoError(t, c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1 << 10}))
	require.NoError(t, c.WriteSettingsAck())
	return c
}

// get sends the request of a stream.
func (c *http2Conn) get(t *testing.T, stream uint32, path string) {
	t.Helper()
	require.NoError(t, c.WriteHeaders(http2.HeadersFrameParam{
		StreamID: stream, BlockFragment: http2Fields(http.MethodGet, path), EndHeaders: true, EndStream: true,
	}))
}

func http2Fields(method, path string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for _, field := range [][2]string{{":method", method}, {":scheme", "https"}, {":authority", "x"}, {":path", path}} {
		_ = encoder.WriteField(hpack.HeaderField{Name: field[0], Value: field[1]})
	}
	return block.Bytes()
}

// TestWriteTimeoutIsOfOneAnswer: the deadline does not remain on a connection that is
// kept. The answer of another handler may come later.
func TestWriteTimeoutIsOfOneAnswer(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.WriteTimeout = 20 * time.Millisecond
	var connections atomic.Int64
	mux := http.NewServeMux()
	mux.Handle("/callback/", h)
	mux.HandleFunc("/late", func(w http.ResponseWriter, r *http.Request) {
		<-time.After(2 * h.WriteTimeout)
		_, _ = io.WriteString(w, "late")
	})
	server := httptest.NewUnstartedServer(mux)
	server.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	server.Start()
	t.Cleanup(server.Close)
	for range 3 {
		for path, want := range map[string]string{helloURL: "{}", "/late": "late"} {
			resp, err := server.Client().Get(server.URL + path)
			require.NoError(t, err)
			body, err := io.ReadAll(resp.Body)
			require.NoError(t, errors.Join(err, resp.Body.Close()))
			require.Equal(t, want, string(body))
		}
	}
	require.EqualValues(t, 1, connections.Load())
}
