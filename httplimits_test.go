package callback_test

import (
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/callback"
)

func TestHTTPClientGzipBomb(t *testing.T) {
	var sent atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		for range 1024 { // 1 GiB
			if _, err := w.Write(gzipBomb()); err != nil {
				return
			}
			sent.Add(1)
		}
	}))
	defer upstream.Close()
	h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
	_ = callHello(h, "url", "x:") // warm up
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := fetch(t, h, "url", upstream.URL)
	runtime.ReadMemStats(&after)
	assert.True(t, got.Null)
	assert.Contains(t, log.String(), `reason="answer too large"`)
	// 4 MiB are read. Growing a buffer to that size allocates about four times as
	// much.
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
}

func TestHTTPClientBodyLimit(t *testing.T) {
	const limit = 100_000
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.Query().Get("size"))
		body := io.Writer(w)
		if r.URL.Path == "/gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			body = z
		}
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		_, _ = io.WriteString(body, strings.Repeat("x", size))
	}))
	defer upstream.Close()
	for _, path := range []string{"/gzip", "/length", "/chunked"} {
		for _, size := range []int{0, limit - 1, limit, limit + 1, 2 * limit} {
			h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
			h.MaxHTTPBody = limit
			got := fetch(t, h, "url", fmt.Sprintf("%s%s?size=%d", upstream.URL, path, size))
			if size <= limit {
				assert.Equal(t, size, len(got.Text), path)
				assert.Empty(t, log.String())
			} else {
				assert.True(t, got.Null, path)
				assert.Contains(t, log.String(), `reason="answer too large"`, path)
			}
		}
	}
	h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
	h.MaxHTTPBody = math.MaxInt64 // no limit
	assert.Equal(t, "xxxx", fetch(t, h, "url", upstream.URL+"/length?size=4").Text, log)
}

// rawUpstream answers each connection's first request with what answer writes.
func rawUpstream(t *testing.T, answer func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 4096))
				answer(conn)
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return "http://" + l.Addr().String()
}

func TestHTTPClientHeaderFlood(t *testing.T) {
	flood := func(line func(i int) string, sent *atomic.Int64) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for i := 0; i < 1<<20; i++ {
				n, err := io.WriteString(conn, line(i))
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}
	}
	long := strings.Repeat("x", 1<<10)
	for name, line := range map[string]func(int) string{
		"many":     func(i int) string { return fmt.Sprintf("X-%d: %s\r\n", i, long) },
		"repeated": func(int) string { return "Set-Cookie: " + long + "\r\n" },
		"one line": func(i int) string { return map[bool]string{true: "X: "}[i == 0] + long },
		"folded":   func(i int) string { return map[bool]string{true: "X: "}[i == 0] + long + "\r\n " },
	} {
		t.Run(name, func(t *testing.T) {
			var sent atomic.Int64
			h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
			assert.True(t, fetch(t, h, "url", rawUpstream(t, flood(line, &sent))).Null)
			assert.Contains(t, log.String(), "callback: outbound request failed")
			assert.Less(t, sent.Load(), int64(64<<20), "read on past the limit") // what the sockets' buffers take
		})
	}
	t.Run("stopped at the limit", func(t *testing.T) {
		hang := make(chan struct{})
		upstream := rawUpstream(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+strings.Repeat("X: "+long+"\r\n", 256))
			<-hang // a client that reads on waits for more
		})
		t.Cleanup(func() { close(hang) })
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		assert.True(t, fetch(t, h, "url", upstream).Null)
		assert.Contains(t, log.String(), `reason="request failed"`)
	})
	t.Run("just below", func(t *testing.T) {
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		got := fetch(t, h, "url", rawUpstream(t, func(conn net.Conn) {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nX: %s\r\nContent-Length: 2\r\n\r\nok", strings.Repeat("x", 60<<10))
		}))
		assert.Equal(t, fetched{Code: 200, Text: "ok"}, got, log)
	})
	// A host's own HTTPDoer may have no limit. The Handler's limit holds for it.
	h, log := outboundHandler(t, fetchScript, callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"X": {strings.Repeat("x", 64<<10)}}}, nil
	}))
	assert.True(t, fetch(t, h, "url", "http://upstream.test/").Null)
	assert.Contains(t, log.String(), `reason="answer too large"`)
}

func TestHTTPClientBrokenAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"none":                  "",
		"not HTTP":              "SSH-2.0-OpenSSH_9.6\r\n",
		"no headers' end":       "HTTP/1.1 200 OK\r\nX: y\r\n",
		"short body":            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
		"two lengths":           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"negative length":       "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"bad chunk":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"huge chunk size":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"not gzip":              "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
		"status 0":              "HTTP/1.1 000 Nothing\r\n\r\n",
		"status -1":             "HTTP/1.1 -12 Nothing\r\n\r\n",
		"informational forever": strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", 10_000),
		"header name":           "HTTP/1.1 200 OK\r\n\x00: y\r\n\r\n",
	} {
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		url := rawUpstream(t, func(conn net.Conn) { _, _ = io.WriteString(conn, answer) })
		if name == "status 0" {
			assert.Zero(t, fetch(t, h, "url", url).Code, name) // net/http lets it pass
			continue
		}
		assert.True(t, fetch(t, h, "url", url).Null, name)
		assert.Contains(t, log.String(), "callback: outbound request failed", name)
	}
}

// There are three time-outs: of the script, of the Handler and of the run. Each ends
// a request that hangs before its header or in its body. The other two are so long
// that the test would not end.
func TestHTTPClientTimeouts(t *testing.T) {
	hang := make(chan struct{})
	slowHeader := rawUpstream(t, func(conn net.Conn) { <-hang })
	slowBody := rawUpstream(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin")
		<-hang
	})
	slowLine := rawUpstream(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: ")
		<-hang
	})
	t.Cleanup(func() { close(hang) }) // before rawUpstream waits for it
	for _, upstream := range []string{slowHeader, slowBody, slowLine} {
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		h.Timeout, h.HTTPTimeout = time.Hour, time.Hour
		assert.True(t, fetch(t, h, "url", upstream, "timeout", "50").Null)
		assert.Contains(t, log.String(), `reason="timed out"`)

		h, log = outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		h.Timeout, h.HTTPTimeout = time.Hour, 50*time.Millisecond
		assert.True(t, fetch(t, h, "url", upstream).Null)
		assert.Contains(t, log.String(), `reason="timed out"`)

		h, _ = outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		h.Timeout, h.HTTPTimeout = 50*time.Millisecond, time.Hour
		rec := callHello(h, "url", upstream, "timeout", "3600000")
		assert.Equal(t, 504, rec.Code)
		assert.JSONEq(t, `{"error":"script timed out"}`, rec.Body.String())
	}
}

// The HTTPDoer sees the deadline that a request has from its time-outs.
func TestGetHttpTimeout(t *testing.T) {
	var remaining time.Duration
	doer := callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
		deadline, ok := req.Context().Deadline()
		if !ok {
			return nil, errors.New("no deadline")
		}
		remaining = time.Until(deadline)
		return &http.Response{StatusCode: 200}, nil
	})
	const slack = 10 * time.Second
	for _, c := range []struct {
		arg         string
		host, call  time.Duration // Handler.HTTPTimeout, Handler.Timeout
		want        time.Duration
		isTypeError bool
	}{
		{call: time.Hour, want: callback.DefaultHTTPTimeout},
		{arg: ", null", call: time.Hour, want: callback.DefaultHTTPTimeout},
		{arg: ", undefined", host: time.Minute, call: time.Hour, want: time.Minute},
		{arg: ", 120000", host: time.Minute, call: time.Hour, want: 2 * time.Minute},
		{arg: ", 120000.9", call: time.Hour, want: 2 * time.Minute},
		{arg: ", 1e300", call: time.Hour, want: time.Hour},
		{arg: ", Infinity", call: time.Hour, want: time.Hour},
		{arg: ", 3600000", call: time.Minute, want: time.Minute},
		{host: time.Hour, call: time.Minute, want: time.Minute},
		{arg: ", 0", isTypeError: true},
		{arg: ", -1", isTypeError: true},
		{arg: ", NaN", isTypeError: true},
		{arg: ", '500'", isTypeError: true},
		{arg: ", {}", isTypeError: true},
		{arg: ", true", isTypeError: true},
	} {
		remaining = 0
		h, log := outboundHandler(t, `
			try { Spark.getHttp("http://upstream.test/"`+c.arg+`).get() } catch (e) { Spark.setScriptData("error", String(e)) }
		`, doer)
		h.Timeout, h.HTTPTimeout = c.call, c.host
		rec := callHello(h)
		if c.isTypeError {
			assert.JSONEq(t, `{"error":"TypeError: Spark.getHttp: timeoutMs must be a number of at least 1"}`, rec.Body.String(), c.arg)
			continue
		}
		assert.Equal(t, "{}", rec.Body.String(), "%s: %s", c.arg, log)
		assert.LessOrEqual(t, remaining, c.want, c.arg)
		assert.Greater(t, remaining, c.want-min(slack, c.want), c.arg)
	}
}

func TestHTTPCallsPerRun(t *testing.T) {
	var sent atomic.Int64
	doer := callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
		sent.Add(1)
		return &http.Response{StatusCode: 200}, nil
	})
	const script = `
		var nulls = 0;
		for (var i = 0; i < Number(Spark.getData().n); i++) {
			if (Spark.getHttp("http://upstream.test/").get() === null) nulls++;
		}
		Spark.setScriptData("nulls", nulls);
	`
	for _, c := range []struct{ max, calls, sent int }{{0, 20, 20}, {0, 21, 20}, {3, 10, 3}, {0, 0, 0}} {
		sent.Store(0)
		h, log := outboundHandler(t, script, doer)
		h.MaxHTTPCalls = c.max
		rec := callHello(h, "n", strconv.Itoa(c.calls))
		assert.JSONEq(t, fmt.Sprintf(`{"nulls":%d}`, c.calls-c.sent), rec.Body.String())
		assert.EqualValues(t, c.sent, sent.Load())
		assert.Equal(t, c.calls-c.sent, strings.Count(log.String(), `reason="too many outbound requests in one run"`))
		// The next run has its own count.
		assert.JSONEq(t, `{"nulls":0}`, callHello(h, "n", strconv.Itoa(c.sent)).Body.String())
	}
}
