package callback_test

import (
	"bufio"
	"bytes"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"

	"example.com/callback"
)

// An http2Upstream is a server that writes every frame of its answers, by the path.
// It counts its connections.
type http2Upstream struct {
	*httptest.Server
	open atomic.Int64
}

func newHTTP2Upstream(t *testing.T, answers map[string]func(c *http2Conn, stream uint32) error) *http2Upstream {
	t.Helper()
	u := &http2Upstream{Server: httptest.NewUnstartedServer(http.NotFoundHandler())}
	u.TLS = &tls.Config{NextProtos: []string{"h2"}}
	u.Config.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){
		"h2": func(_ *http.Server, conn *tls.Conn, _ http.Handler) {
			u.open.Add(1)
			defer u.open.Add(-1)
			defer conn.NetConn().Close()
			if _, err := io.ReadFull(conn, make([]byte, len(http2.ClientPreface))); err != nil {
				return
			}
			c := &http2Conn{http2.NewFramer(conn, bufio.NewReader(conn)), conn}
			c.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
			if c.WriteSettings() != nil {
				return
			}
			for {
				frame, err := c.ReadFrame()
				if err != nil {
					return
				}
				if head, ok := frame.(*http2.MetaHeadersFrame); ok {
					answer := answers[strings.TrimPrefix(head.PseudoValue("path"), "/")]
					if answer(c, head.StreamID) != nil {
						return
					}
				}
			}
		},
	}
	u.StartTLS()
	t.Cleanup(u.Close)
	return u
}

// client is a client that trusts the upstream.
func (u *http2Upstream) client() *callback.HTTPClient {
	return &callback.HTTPClient{DangerouslyAllowPrivate: true, Transport: func(transport *http.Transport) {
		transport.TLSClientConfig = u.Server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	}}
}

// answerFields is the header of an answer.
func answerFields(fields ...string) []byte {
	var block bytes.Buffer
	encoder := hpack.NewEncoder(&block)
	for i := 0; i < len(fields); i += 2 {
		_ = encoder.WriteField(hpack.HeaderField{Name: fields[i], Value: fields[i+1]})
	}
	return block.Bytes()
}

// forever writes frames until the client has had enough.
func forever(write func() error) error {
	for {
		if err := write(); err != nil {
			return err
		}
	}
}

// flood answers with the same frame again and again, and reads nothing.
func flood(write func(*http2.Framer) error) func(*http2Conn, uint32) error {
	var batch bytes.Buffer
	for range 1000 {
		_ = write(http2.NewFramer(&batch, nil))
	}
	return func(c *http2Conn, _ uint32) error {
		return forever(func() error {
			_, err := c.conn.Write(batch.Bytes())
			return err
		})
	}
}

// hostileFrames are answers that a script cannot use.
var hostileFrames = map[string]func(c *http2Conn, stream uint32) error{
	"continuations": func(c *http2Conn, stream uint32) error {
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: answerFields(":status", "200")})
		block := bytes.Repeat([]byte{0x00, 0x01, 'x', 0x01, 'y'}, 1000) // x: y
		return forever(func() error { return c.WriteContinuation(stream, false, block) })
	},
	"informational": func(c *http2Conn, stream uint32) error {
		block := answerFields(":status", "103", "link", strings.Repeat("x", 1000))
		return forever(func() error {
			return c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndHeaders: true})
		})
	},
	"body": func(c *http2Conn, stream uint32) error {
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: answerFields(":status", "200"), EndHeaders: true})
		return forever(func() error { return c.WriteData(stream, false, make([]byte, 16<<10)) })
	},
	"trailer": func(c *http2Conn, stream uint32) error {
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: answerFields(":status", "200"), EndHeaders: true})
		block := answerFields("x", strings.Repeat("x", 10000))
		_ = c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: block, EndStream: true})
		return forever(func() error { return c.WriteContinuation(stream, false, block) })
	},
	"reset": func(c *http2Conn, stream uint32) error { return c.WriteRSTStream(stream, http2.ErrCodeInternal) },
	"goaway": func(c *http2Conn, stream uint32) error {
		return c.WriteGoAway(stream, http2.ErrCodeInternal, []byte(strings.Repeat("x", 1000)))
	},
	"pings":    flood(func(f *http2.Framer) error { return f.WritePing(false, [8]byte{}) }),
	"settings": flood(func(f *http2.Framer) error { return f.WriteSettings() }),
	"silence":  func(*http2Conn, uint32) error { return nil },
}

// TestHostileHTTP2Upstreams: the script has null within its time-out, the memory is
// bounded, and the next request to the same server is answered.
// It is not parallel, because it measures memory.
func TestHostileHTTP2Upstreams(t *testing.T) {
	hostileFrames["good"] = func(c *http2Conn, stream uint32) error {
		return c.WriteHeaders(http2.HeadersFrameParam{StreamID: stream, BlockFragment: answerFields(":status", "204"), EndHeaders: true, EndStream: true})
	}
	for name := range hostileFrames {
		if name == "good" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			upstream := newHTTP2Upstream(t, hostileFrames)
			client := upstream.client()
			h, _ := outboundHandler(t, fetchScript, client)
			h.Timeout = time.Minute
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			got := fetch(t, h, "url", upstream.URL+"/"+name, "timeout", "500")
			runtime.ReadMemStats(&after)
			require.True(t, got.Null)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(128<<20), "with what the upstream allocates here")
			require.Eventually(t, func() bool {
				return fetch(t, h, "url", upstream.URL+"/good", "timeout", "200").Code == 204
			}, 20*time.Second, time.Millisecond)
			client.CloseIdleConnections()
			require.Eventually(t, func() bool { return upstream.open.Load() == 0 }, 20*time.Second, time.Millisecond, "a connection is left")
		})
	}
}

// TestHTTP2ConnectionOfAFailedRequest: a connection is closed after a request on it
// has failed, but not while another request uses it.
func TestHTTP2ConnectionOfAFailedRequest(t *testing.T) {
	t.Parallel()
	var connections atomic.Int64
	slow, release := make(chan struct{}), make(chan struct{})
	upstream := &http2Upstream{Server: httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/slow":
			close(slow)
			<-release
		case "/hangs":
			<-r.Context().Done()
		}
		_, _ = io.WriteString(w, r.Proto)
	}))}
	upstream.EnableHTTP2 = true
	upstream.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			connections.Add(1)
		}
	}
	upstream.StartTLS()
	t.Cleanup(upstream.Close)
	h, _ := outboundHandler(t, fetchScript, upstream.client())
	h.Timeout = time.Minute

	answer := make(chan fetched, 1)
	go func() { answer <- fetch(t, h, "url", upstream.URL+"/slow", "timeout", "30000") }()
	<-slow
	require.True(t, fetch(t, h, "url", upstream.URL+"/hangs", "timeout", "50").Null)
	require.Equal(t, "HTTP/2.0", fetch(t, h, "url", upstream.URL+"/quick", "timeout", "30000").Text)
	require.EqualValues(t, 1, connections.Load())
	close(release)
	require.Equal(t, "HTTP/2.0", (<-answer).Text)

	require.Eventually(t, func() bool {
		return fetch(t, h, "url", upstream.URL+"/quick", "timeout", "30000").Text == "HTTP/2.0" && connections.Load() == 2
	}, 20*time.Second, time.Millisecond)
	require.Equal(t, "HTTP/2.0", fetch(t, h, "url", upstream.URL+"/quick", "timeout", "30000").Text)
	require.EqualValues(t, 2, connections.Load(), "a connection that has not failed is kept")
}
