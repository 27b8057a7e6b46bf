package callback_test

import (
	"bytes"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"

	"example.com/callback"
)

// Floods by HTTP/2, against a server with the time-outs that the documentation
// names. After each, others are served and no place is lost.

// floodServer is a server for floods. It counts the requests that it has at once, and
// says when it has closed a connection.
func floodServer(t *testing.T, h *callback.Handler) (server *trackedServer, most *atomic.Int64, closed chan struct{}) {
	t.Helper()
	most, closed = new(atomic.Int64), make(chan struct{}, 100)
	var inside atomic.Int64
	counted := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		n := inside.Add(1)
		defer inside.Add(-1)
		for m := most.Load(); n > m && !most.CompareAndSwap(m, n); m = most.Load() {
		}
		h.ServeHTTP(w, r)
	})
	server = track(t, counted, func(s *httptest.Server) {
		s.Listener = smallBuffers{s.Listener}
		s.EnableHTTP2 = true
		s.Config.IdleTimeout = 500 * time.Millisecond
		s.Config.HTTP2 = &http.HTTP2Config{WriteByteTimeout: time.Second}
		s.Config.ConnState = func(_ net.Conn, state http.ConnState) {
			if state == http.StateClosed {
				closed <- struct{}{}
			}
		}
		s.StartTLS()
	})
	return server, most, closed
}

// frames returns the bytes of frames.
func frames(t *testing.T, write func(*http2.Framer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	require.NoError(t, write(http2.NewFramer(&b, nil)))
	return b.Bytes()
}

// TestHTTP2FloodOfFrames: frames that a server has to answer, or to keep, end the
// connection of a caller that sends them without end.
func TestHTTP2FloodOfFrames(t *testing.T) {
	t.Parallel()
	for name, flood := range map[string]struct {
		first, then []byte
		idle        bool // costs no memory, so that only the server's IdleTimeout ends it
	}{
		"pings": {
			then: frames(t, func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }),
		},
		"settings": {
			then: frames(t, func(f *http2.Framer) error { return f.WriteSettings() }),
			idle: true,
		},
		"continuations": {
			first: frames(t, func(f *http2.Framer) error {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: http2Fields("GET", helloURL)})
			}),
			then: frames(t, func(f *http2.Framer) error {
				return f.WriteContinuation(1, false, bytes.Repeat([]byte{0x00, 0x01, 'x', 0x01, 'y'}, 100)) // x: y
			}),
		},
		"empty continuations": {
			first: frames(t, func(f *http2.Framer) error {
				return f.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: http2Fields("GET", helloURL)})
			}),
			then: frames(t, func(f *http2.Framer) error { return f.WriteContinuation(1, false, nil) }),
			idle: true,
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, runner := places(t, 2)
			server, _, closed := floodServer(t, h)
			c := dialHTTP2(t, server.Server)
			_, err := c.conn.Write(flood.first)
			require.NoError(t, err)
			batch := bytes.Repeat(flood.then, 16<<10/len(flood.then))
			var flooder sync.WaitGroup
			flooder.Go(func() {
				for sent := 0; err == nil && (flood.idle || sent < 16<<20); sent += len(batch) {
					if flood.idle {
						time.Sleep(5 * time.Millisecond)
					}
					_, err = c.conn.Write(batch)
				}
			})
			select {
			case <-closed:
			case <-time.After(20 * time.Second):
				t.Error("the server takes all of it")
			}
			_ = c.conn.Close()
			flooder.Wait()
			require.Equal(t, 403, do2(t, server.Server, "/callback/E3/hello/wrong"), "others are served")
			server.end(t, c)
			require.Empty(t, runner.entered)
			runner.requirePlaces(t, h, 2)
		})
	}
}

// TestHTTP2FloodOfStreams: streams that end at once, by the caller's reset or because
// it has the server reset them, do not become more requests at a time than a server
// takes.
func TestHTTP2FloodOfStreams(t *testing.T) {
	t.Parallel()
	for name, reset := range map[string]func(*http2.Framer, uint32) error{
		"reset":   func(f *http2.Framer, stream uint32) error { return f.WriteRSTStream(stream, http2.ErrCodeCancel) },
		"made to": func(f *http2.Framer, stream uint32) error { return f.WriteWindowUpdate(stream, 1<<31-1) },
		"made to by 0": func(f *http2.Framer, stream uint32) error {
			return f.WriteRawFrame(http2.FrameWindowUpdate, 0, stream, make([]byte, 4))
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			const n, streamsAtOnce = 8, 250 // net/http's
			h, runner := places(t, n)
			server, most, _ := floodServer(t, h)
			c := dialHTTP2(t, server.Server)
			go func() { _, _ = io.Copy(io.Discard, c.conn) }()
			for stream := uint32(1); stream < 6000; stream += 2 {
				err := errors.Join(
					c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: http2Fields("GET", helloURL), EndHeaders: true, EndStream: true}),
					reset(c.Framer, stream),
				)
				if err != nil {
					break // the server has had enough
				}
			}
			require.LessOrEqual(t, runner.most.Load(), int64(n))
			require.LessOrEqual(t, most.Load(), int64(streamsAtOnce+1))
			require.Equal(t, 403, do2(t, server.Server, "/callback/E3/hello/wrong"), "others are served")
			close(runner.leave)
			server.end(t, c)
			runner.requirePlaces(t, h, n)
		})
	}
}

// TestHTTP2ZeroWindow: callers that allow not one byte of an answer keep their places
// for WriteTimeout, however short the answer is.
func TestHTTP2ZeroWindow(t *testing.T) {
	t.Parallel()
	const n = 8
	h, runner := places(t, n)
	h.WriteTimeout = 100 * time.Millisecond
	close(runner.leave)
	server, _, _ := floodServer(t, h)
	c := dialHTTP2(t, server.Server)
	require.NoError(t, c.WriteSettings(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0}))
	for stream := range uint32(n) {
		c.get(t, 2*stream+1, helloURL)
	}
	resets := 0
	for resets < n {
		frame, err := c.ReadFrame()
		require.NoError(t, err)
		if _, ok := frame.(*http2.RSTStreamFrame); ok {
			resets++
		}
	}
	server.end(t, c)
	runner.requirePlaces(t, h, n)
}

// TestHTTP2EmptyData sends frames without data instead of a body. The call ends at its
// deadline.
func TestHTTP2EmptyData(t *testing.T) {
	t.Parallel()
	h, runner := places(t, 1)
	h.Timeout = 200 * time.Millisecond
	server, _, _ := floodServer(t, h)
	c := dialHTTP2(t, server.Server)
	require.NoError(t, c.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: http2Fields("POST", helloURL), EndHeaders: true}))
	over, flooded := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(flooded)
		for {
			select {
			case <-over:
				return
			default:
				if c.WriteData(1, false, nil) != nil {
					return
				}
			}
		}
	}()
	for {
		frame, err := c.ReadFrame()
		if err != nil {
			break // the server has had enough
		}
		if data, ok := frame.(*http2.DataFrame); ok {
			require.Contains(t, string(data.Data()), "too slow")
			break
		}
	}
	close(over)
	<-flooded
	server.end(t, c)
	h.Timeout = time.Minute
	require.Empty(t, runner.entered)
	runner.requirePlaces(t, h, 1)
}
