package callback_test

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// TestReservedParameters: a caller cannot set the names that the library sets.
func TestReservedParameters(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, method string
		headers      []string
		want         []string
	}{
		{name: "GET", method: "GET", want: []string{"REQUEST_BODY", "REQUEST_HEADERS", "a"}},
		{name: "GET with headers", method: "GET", headers: []string{"A"}, want: []string{"REQUEST_BODY", "a"}},
		{name: "POST", method: "POST", want: []string{"REQUEST_HEADERS", "a", "REQUEST_BODY"}},
		{name: "POST with headers", method: "POST", headers: []string{"A"}, want: []string{"a", "REQUEST_BODY"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, _ := httpHandler("")
			h.RequestHeaders = test.headers
			var got []string
			h.Runner = callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
				for _, p := range call.Data {
					got = append(got, p.Name)
					require.Equal(t, p.Name == "REQUEST_BODY" && test.method == "POST", p.Values[0] == "", p.Name)
				}
				return nil, nil
			})
			r := httptest.NewRequest(test.method, helloURL+"?REQUEST_BODY=1&REQUEST_HEADERS=2&a=3", nil)
			h.ServeHTTP(httptest.NewRecorder(), r)
			require.Equal(t, test.want, got)
		})
	}
}

// A countedBody is a request's body that notes the sizes of the buffers into which it
// is read.
type countedBody struct {
	io.Reader
	offered int
}

func (b *countedBody) Read(p []byte) (int, error) {
	b.offered = max(b.offered, len(p))
	return b.Reader.Read(p)
}

// TestMemoryForBodies: neither an announced length nor an earlier request makes the
// Handler allocate more than a small body needs.
func TestMemoryForBodies(t *testing.T) {
	t.Parallel()
	const small, large = 64 << 10, 4 << 20
	h, _ := httpHandler(`Spark.setScriptData("n", Spark.getData().REQUEST_BODY.length)`)
	send := func(body string, announced int64) (answer string, offered int) {
		counted := &countedBody{Reader: strings.NewReader(body)}
		r := httptest.NewRequest("POST", helloURL, counted)
		r.ContentLength = announced
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w.Body.String(), counted.offered
	}
	for _, announced := range []int64{large, small, -1} {
		answer, offered := send("", announced)
		require.Equal(t, `{"n":0}`, answer)
		require.LessOrEqual(t, offered, 2*small, "%d are announced", announced)
	}
	answer, offered := send(strings.Repeat("x", large), large)
	require.Equal(t, `{"n":4194304}`, answer)
	require.Greater(t, offered, 2*small)
	for range 10 {
		_, offered = send("x", 1)
		require.LessOrEqual(t, offered, 2*small, "the memory of the large body is kept")
	}
}

// A readDeadlines is a ResponseWriter that notes the read deadlines that are set.
type readDeadlines struct {
	*httptest.ResponseRecorder
	set []time.Time
}

func (w *readDeadlines) SetReadDeadline(t time.Time) error {
	w.set = append(w.set, t)
	return nil
}

// TestReadDeadline: the body is read under a deadline. It is removed before the
// script runs, because net/http goes on reading to notice when the caller leaves.
func TestReadDeadline(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler("")
	w := &readDeadlines{ResponseRecorder: httptest.NewRecorder()}
	h.Runner = callback.ScriptRunnerFunc(func(ctx context.Context, _ *callback.Call) (*callback.Result, error) {
		end, _ := ctx.Deadline()
		require.Equal(t, []time.Time{end, {}}, w.set)
		return nil, nil
	})
	h.ServeHTTP(w, httptest.NewRequest("POST", helloURL, strings.NewReader("a=1")))
	require.Equal(t, 200, w.Code)
}

// TestKeepMultipartToItsEnd: the bytes of a multipart body include what follows its
// last part.
func TestKeepMultipartToItsEnd(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler("")
	h.KeepMultipart = true
	body := "--b\r\nContent-Disposition: form-data; name=a\r\n\r\n1\r\n--b--\r\n" + strings.Repeat("x", 64<<10)
	h.Runner = callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
		require.Equal(t, body, string(call.Body))
		return nil, nil
	})
	r := httptest.NewRequest("POST", helloURL, strings.NewReader(body))
	r.Header.Set("Content-Type", "multipart/form-data; boundary=b")
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 200, w.Code)
}
