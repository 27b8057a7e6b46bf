package callback_test

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/sandbox"
)

// hostileUpstream is a server whose answers are hostile, each at its path.
func hostileUpstream(t *testing.T) string {
	t.Helper()
	stop := make(chan struct{})
	t.Cleanup(func() { close(stop) })
	trickle := func(conn net.Conn, begin, piece string) {
		_, err := io.WriteString(conn, begin)
		for err == nil {
			select {
			case <-stop:
				return
			case <-time.After(5 * time.Millisecond):
				_, err = io.WriteString(conn, piece)
			}
		}
	}
	flood := func(conn net.Conn, begin, piece string) {
		_, err := io.WriteString(conn, begin)
		for err == nil {
			_, err = io.WriteString(conn, piece)
		}
	}
	raw := map[string]func(net.Conn){
		"trickling body":   func(c net.Conn) { trickle(c, "HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n", "x") },
		"trickling chunks": func(c net.Conn) { trickle(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1\r\nx\r\n") },
		"trickling header": func(c net.Conn) { trickle(c, "HTTP/1.1 200 OK\r\nX: ", "x") },
		"informational":    func(c net.Conn) { flood(c, "", "HTTP/1.1 103 Early Hints\r\nLink: </x>\r\n\r\n") },
		"header":           func(c net.Conn) { flood(c, "HTTP/1.1 200 OK\r\n", "X: "+strings.Repeat("x", 1000)+"\r\n") },
		"trailer": func(c net.Conn) {
			flood(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: X\r\n\r\n1\r\nx\r\n0\r\n", "X: "+strings.Repeat("x", 1000)+"\r\n")
		},
		"body": func(c net.Conn) { flood(c, "HTTP/1.0 200 OK\r\n\r\n", strings.Repeat("x", 10000)) },
		"huge chunk": func(c net.Conn) {
			flood(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n7fffffffffffffff\r\n", strings.Repeat("x", 10000))
		},
		"long length": func(c net.Conn) {
			flood(c, "HTTP/1.1 200 OK\r\nContent-Length: 9223372036854775807\r\n\r\n", strings.Repeat("x", 10000))
		},
		"chunk extensions": func(c net.Conn) {
			flood(c, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", "1;"+strings.Repeat("x", 1000)+"\r\nx\r\n")
		},
	}
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch path := strings.TrimPrefix(r.URL.Path, "/"); path {
		case "bomb":
			w.Header().Set("Content-Encoding", "gzip")
			for range 1024 { // 1 GiB
				if _, err := w.Write(gzipBomb()); err != nil {
					return
				}
			}
		case "redirects":
			http.Redirect(w, r, "/redirects?"+r.URL.RawQuery+"x", http.StatusFound)
		case "redirect with a body":
			w.Header().Set("Location", "/bomb")
			w.WriteHeader(http.StatusFound)
			for {
				if _, err := w.Write(gzipBomb()); err != nil {
					return
				}
			}
		default:
			conn, _, err := http.NewResponseController(w).Hijack()
			if err != nil {
				return
			}
			defer conn.Close()
			raw[path](conn)
		}
	}))
	t.Cleanup(server.Close)
	return server.URL
}

// TestHostileUpstreams: whatever a server answers, the script has null within its
// time-out, the log says why, and the memory that it took is bounded. Both
// runners agree.
func TestHostileUpstreams(t *testing.T) {
	upstream := hostileUpstream(t)
	scripts := fstest.MapFS{"callbacks/hello.js": {Data: []byte(fetchScript)}}
	sandboxed := &sandbox.Runner{Scripts: scripts, Processes: 2}
	defer sandboxed.Close()
	client := &callback.HTTPClient{DangerouslyAllowPrivate: true}
	for name, runner := range map[string]callback.ScriptRunner{"in process": &callback.GojaRunner{Scripts: scripts}, "in sandbox": sandboxed} {
		h, log := outboundHandler(t, "", client)
		h.Runner, h.Timeout, h.HTTPTimeout = runner, time.Minute, 30*time.Second
		callHello(h, "url", "x:") // a child has been started
		for _, test := range []struct{ path, timeout, reason string }{
			{"trickling body", "100", "timed out"},
			{"trickling chunks", "100", "timed out"},
			{"trickling header", "100", "timed out"},
			{"informational", "", "request failed"},
			{"header", "", "request failed"},
			{"trailer", "", "request failed"},
			{"body", "", "answer too large"},
			{"huge chunk", "", "answer too large"},
			{"long length", "", "answer too large"},
			{"chunk extensions", "", "request failed"},
			{"bomb", "", "answer too large"},
			{"redirects", "", "too many redirects"},
			{"redirect with a body", "", "answer too large"},
		} {
			t.Run(name+" "+test.path, func(t *testing.T) {
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				told := len(log.String())
				got := fetch(t, h, "url", upstream+"/"+strings.ReplaceAll(test.path, " ", "%20"), "timeout", test.timeout)
				runtime.ReadMemStats(&after)
				require.True(t, got.Null)
				require.Contains(t, log.String()[told:], fmt.Sprintf(`reason=%q`, test.reason))
				require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(128<<20), "with what the upstream allocates here")
			})
		}
	}
}

// TestUpstreamsAtOnce: an upstream that hangs does not delay requests to others.
func TestUpstreamsAtOnce(t *testing.T) {
	hang := make(chan struct{})
	hanging := rawUpstream(t, func(net.Conn) { <-hang })
	t.Cleanup(func() { close(hang) })
	good := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "good") }))
	defer good.Close()
	h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
	h.Timeout, h.HTTPTimeout = time.Minute, time.Minute
	h.Runner.(*callback.GojaRunner).MaxRunning = 1
	var calls sync.WaitGroup
	for range 20 {
		calls.Go(func() { callHello(h, "url", hanging, "timeout", "1000") })
	}
	for range 20 {
		require.Equal(t, fetched{Code: 200, Text: "good"}, fetch(t, h, "url", good.URL))
	}
	calls.Wait()
	require.Equal(t, 20, strings.Count(log.String(), `reason="timed out"`))
}
