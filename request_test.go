package callback_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"mime/multipart"
	"net/http"
	"net/http/httptest"
	"os"
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

// TestRefusalReadsNoBody sends only the header of a request. The answer must come
// without the body, and without a 100 Continue.
func TestRefusalReadsNoBody(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	server := serve(t, h)
	for _, test := range []struct {
		line   string
		header string
		status int
	}{
		{"POST /callback/E3/hello/wrong", "", 403},
		{"POST /callback/E4/hello/s3cret", "", 403},
		{"POST /callback/E3", "", 404},
		{"PUT " + helloURL, "", 405},
		{"POST " + helloURL, "Content-Encoding: nonsense\r\n", 415},
	} {
		for _, header := range []string{
			"Content-Length: 1000000\r\nExpect: 100-continue\r\n",
			"Content-Length: 1000000\r\n",
			"Transfer-Encoding: chunked\r\n",
		} {
			t.Run(fmt.Sprint(test.line, " ", test.header, header), func(t *testing.T) {
				t.Parallel()
				c := dial(t, server, test.line+" HTTP/1.1\r\nHost: x\r\n"+test.header+header+"\r\n")
				status, _ := c.answer(t)
				require.Equal(t, test.status, status)
			})
		}
	}
	t.Run("an authorised one does", func(t *testing.T) {
		t.Parallel()
		c := dial(t, server, "POST "+helloURL+" HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n")
		line, err := c.in.ReadString('\n')
		require.NoError(t, err)
		require.Equal(t, "HTTP/1.1 100 Continue\r\n", line)
		_, err = c.in.ReadString('\n')
		require.NoError(t, err)
		c.send(t, "abc")
		status, _ := c.answer(t)
		require.Equal(t, 200, status)
	})
}

// TestSlowBody: the reading of a body ends at the deadline.
func TestSlowBody(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.Timeout = 100 * time.Millisecond
	server := serve(t, h)
	for _, header := range []string{
		"Content-Type: text/plain\r\nContent-Length: 10\r\n\r\nabc",
		"Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n",
		"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\n",
		"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\nContent-Dis",
		"Content-Type: multipart/form-data; boundary=b\r\nContent-Length: 1000\r\n\r\n--b\r\nContent-Disposition: form-data; name=a\r\n\r\nabc",
	} {
		t.Run(header, func(t *testing.T) {
			t.Parallel()
			c := dial(t, server, "POST "+helloURL+" HTTP/1.1\r\nHost: x\r\n"+header)
			status, body := c.answer(t)
			require.Equal(t, 408, status)
			require.Equal(t, `{"error":"request body too slow"}`, body)
			_, err := c.in.ReadByte()
			require.ErrorIs(t, err, io.EOF, "the connection cannot be used further")
		})
	}
}

// TestBodyTooLarge: the reading of a body ends at the limit.
func TestBodyTooLarge(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.MaxBody = 1000
	server := serve(t, h)
	for name, rest := range map[string]string{
		"declared, and not sent": "Content-Length: 1001\r\n\r\n",
		"declared, to be asked":  "Content-Length: 1001\r\nExpect: 100-continue\r\n\r\n",
		"chunked":                "Transfer-Encoding: chunked\r\n\r\n7d0\r\n" + strings.Repeat("x", 2000) + "\r\n",
		"chunked form":           "Content-Type: application/x-www-form-urlencoded\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" + strings.Repeat("x", 2000) + "\r\n",
		"chunked part": "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
			"--b\r\nContent-Disposition: form-data; name=a\r\n\r\n" + strings.Repeat("x", 2000),
		"chunked header of a part": "Content-Type: multipart/form-data; boundary=b\r\nTransfer-Encoding: chunked\r\n\r\n7d0\r\n" +
			"--b\r\n" + strings.Repeat("x", 2000),
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			c := dial(t, server, "POST "+helloURL+" HTTP/1.1\r\nHost: x\r\n"+rest)
			status, body := c.answer(t)
			require.Equal(t, 413, status)
			require.Equal(t, `{"error":"request body too large"}`, body)
		})
	}
}

// TestMultipartLeavesNoFiles is not parallel: it moves the temporary folder.
func TestMultipartLeavesNoFiles(t *testing.T) {
	dir := t.TempDir()
	t.Setenv("TMPDIR", dir)
	const size = 48 << 20 // over what net/http keeps in memory by itself
	h, _ := httpHandler(``)
	h.MaxBody = 64 << 20
	h.Runner = callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
		files, err := os.ReadDir(dir)
		require.NoError(t, err)
		require.Empty(t, files)
		require.Len(t, call.Data[0].Values[0], size)
		panic("and a runner that panics leaves none")
	})
	var body bytes.Buffer
	form := multipart.NewWriter(&body)
	part, err := form.CreateFormFile("f", "large.bin")
	require.NoError(t, err)
	_, err = part.Write(bytes.Repeat([]byte("x"), size))
	require.NoError(t, err)
	require.NoError(t, form.Close())
	r := httptest.NewRequest(http.MethodPost, helloURL, &body)
	r.Header.Set("Content-Type", form.FormDataContentType())
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	require.Equal(t, 500, w.Code)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	require.Empty(t, files)
}
