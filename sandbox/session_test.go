package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// replies decodes what a parent has sent after the call itself.
func replies(t *testing.T, sent []byte) (payloads [][]byte) {
	r := bytes.NewReader(sent)
	k, _, err := readFrame(r, fromParent)
	require.NoError(t, err)
	require.Equal(t, kindCall, k)
	for {
		k, payload, err := readFrame(r, fromParent)
		if err == io.EOF {
			return payloads
		}
		require.NoError(t, err)
		require.Equal(t, kindReply, k)
		payloads = append(payloads, payload)
	}
}

// The parent makes no request that the library in a child would not make.
func TestRequestsOfAttackers(t *testing.T) {
	t.Parallel()
	const to = "http://x.example/"
	for name, q := range map[string]*httpQuestion{
		"CONNECT":           {Method: "CONNECT", URL: to},
		"TRACE":             {Method: "TRACE", URL: to},
		"no method":         {Method: "", URL: to},
		"a line as method":  {Method: "GET / HTTP/1.1\r\nX: ", URL: to},
		"file":              {Method: "GET", URL: "file:///etc/passwd"},
		"no scheme":         {Method: "GET", URL: "//x.example/"},
		"no host":           {Method: "GET", URL: "http:///x"},
		"Host":              {Method: "GET", URL: to, Header: http.Header{"Host": {"other.example"}}},
		"Content-Length":    {Method: "GET", URL: to, Header: http.Header{"Content-Length": {"7"}}},
		"Transfer-Encoding": {Method: "GET", URL: to, Header: http.Header{"Transfer-Encoding": {"chunked"}}},
		"Connection":        {Method: "GET", URL: to, Header: http.Header{"connection": {"close"}}},
		"name of a header":  {Method: "GET", URL: to, Header: http.Header{"A b": {"1"}}},
		"value of a header": {Method: "GET", URL: to, Header: http.Header{"A": {"1\r\nB: 2"}}},
		"long header":       {Method: "GET", URL: to, Header: http.Header{"A": {strings.Repeat("x", 64<<10)}}},
		"long URL":          {Method: "GET", URL: to + strings.Repeat("x", 64<<10)},
		"long body":         {Method: "POST", URL: to, HasBody: true, Body: make([]byte, 16<<20+1)},
	} {
		s, _ := hostileSession(t, nil)
		s.call.HTTP = callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
			t.Error("made:", name)
			return nil, errors.New("made")
		})
		require.Error(t, s.roundTrip(t.Context(), q).Err, name)
	}
	s, _ := hostileSession(t, nil)
	s.call.HTTP = callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
		require.Equal(t, http.Header{"A": {"1"}}, req.Header)
		return &http.Response{StatusCode: 204, Body: http.NoBody}, nil
	})
	reply := s.roundTrip(t.Context(), &httpQuestion{Method: "GET", URL: to, Header: http.Header{"A": {"1"}}})
	require.NoError(t, reply.Err)
	require.Equal(t, 204, reply.Status)
}

// A child learns why a request failed, but no URL and nothing of the host's.
func TestErrorsWithoutURL(t *testing.T) {
	t.Parallel()
	for _, failure := range []error{
		errors.New("s3cret"),
		&url.Error{Op: "Get", URL: "http://x.example/s3cret", Err: errors.New("s3cret")},
		&url.Error{Op: "Get", URL: "http://y.example/s3cret", Err: context.DeadlineExceeded},
		&url.Error{Op: "Get", URL: "http://y.example/s3cret", Err: errors.New("callback: too many redirects")},
		nil, // a panic
	} {
		s, _ := hostileSession(t, nil)
		s.call.HTTP = callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
			if failure == nil {
				panic("s3cret")
			}
			return nil, failure
		})
		reply := s.roundTrip(t.Context(), &httpQuestion{Method: "GET", URL: "http://x.example/"})
		require.Error(t, reply.Err)
		require.NotContains(t, string(encoded(reply)), "s3cret")
	}
}

// A child gets nothing of a file that is no script.
func TestFilesOfAttackers(t *testing.T) {
	t.Parallel()
	end := encoded(&resultMessage{Result: new(callback.Result)})
	for _, name := range []string{"secret.txt", "../secret.txt", "callbacks/../secret.txt", "/etc/passwd", ".", "callbacks", ""} {
		for _, q := range []message{&statQuestion{name}, &readQuestion{name}} {
			s, sent := hostileSession(t, append(encoded(q), end...))
			_, _, err := s.run(nil)
			require.NoError(t, err)
			answers := replies(t, sent())
			require.Len(t, answers, 1)
			d := &decoder{b: answers[0], trusted: true}
			require.ErrorIs(t, decodeError(d), os.ErrNotExist, "%T of %q", q, name)
			require.NotContains(t, string(sent()), "secret\n")
		}
	}
}

// A child that the watch has killed gets no other call, even if its answer came.
func TestKilledIsSpent(t *testing.T) {
	t.Parallel()
	s, _ := hostileSession(t, encoded(&resultMessage{Result: new(callback.Result)}))
	s.killed = true
	_, fate, err := s.run(nil)
	require.NoError(t, err)
	require.Equal(t, childSpent, fate)
}

// A passingContext is done. It runs pass when a caller begins to wait for it.
type passingContext struct {
	context.Context
	pass func()
}

func (c passingContext) Done() <-chan struct{} {
	c.pass()
	return c.Context.Done()
}

// A child that comes as the call that waits for it gives up is idle afterwards.
func TestChildOfOneThatGivesUp(t *testing.T) {
	t.Parallel()
	done, cancel := context.WithCancel(t.Context())
	cancel()
	gaveUp := 0
	for range 200 { // which of two channels select takes is random
		r := &Runner{ordered: 1}
		r.orders = make(chan struct{}, 1)
		c := new(child)
		got, err := r.takeChild(passingContext{done, func() {
			r.mu.Lock()
			r.offer(c)
			r.mu.Unlock()
		}})
		if err == nil {
			require.Same(t, c, got)
			require.Equal(t, 1, r.busy)
			continue
		}
		gaveUp++
		require.ErrorIs(t, err, callback.ErrOverloaded)
		require.Equal(t, []*child{c}, r.idle)
		require.Zero(t, r.busy)
		require.Empty(t, r.waiting)
	}
	require.Positive(t, gaveUp)
	require.Less(t, gaveUp, 200)
}

// A child that dies as it starts fails one call. For the others there is another.
func TestFailedStart(t *testing.T) {
	t.Parallel()
	r := &Runner{proved: true, ordered: 1, orders: make(chan struct{}, 4), Processes: 4, Logger: slog.New(slog.DiscardHandler)}
	first, second := make(chan delivery, 1), make(chan delivery, 1)
	r.waiting = []chan delivery{first, second}
	failure := errors.New("it died")
	r.arrived(nil, failure)
	require.Equal(t, failure, (<-first).err)
	require.Empty(t, second)
	require.Equal(t, []chan delivery{second}, r.waiting)
	require.Equal(t, 1, r.ordered)
	require.Len(t, r.orders, 1)
}
