package host_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/host"
)

// recorder keeps what is logged, a line each.
type recorder []string

func (r *recorder) log(message string, attrs ...any) {
	*r = append(*r, message+" "+fmt.Sprint(attrs...))
}

func TestCall(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name, result, err, log string
		f                      func() (any, error)
	}{
		{name: "value", result: `{"a":1}`, f: func() (any, error) { return map[string]int{"a": 1}, nil }},
		{name: "nothing", result: "null", f: func() (any, error) { return nil, nil }},
		{name: "error", err: "no such player", f: func() (any, error) { return 1, errors.New("no such player") }},
		{name: "no JSON", err: "f failed", log: "callback: host function returned no JSON", f: func() (any, error) { return func() {}, nil }},
		{name: "panic", err: "f failed", log: "callback: panic in a host function", f: func() (any, error) { panic("s3cret") }},
		{name: "panic in MarshalJSON", err: "f failed", log: "callback: panic in a host function", f: func() (any, error) { return bomb{}, nil }},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var logged recorder
			result, err := host.Call("f", test.f, logged.log)
			require.Equal(t, test.result, string(result))
			if test.err == "" {
				require.NoError(t, err)
				require.Empty(t, logged)
				return
			}
			require.EqualError(t, err, test.err)
			require.Equal(t, test.log != "", len(logged) == 1)
			require.Contains(t, strings.Join(logged, "\n"), test.log)
			require.NotContains(t, strings.Join(logged, "\n"), "s3cret")
		})
	}
}

type bomb struct{}

func (bomb) MarshalJSON() ([]byte, error) { panic("s3cret") }

func TestNewRequest(t *testing.T) {
	t.Parallel()
	for _, url := range []string{"", "x", "/x", "ftp://a/b", "file:///etc/passwd", "http:", "http:///x", "http://a\x00b/", "https:a"} {
		_, err := host.NewRequest(context.Background(), "GET", url, nil, nil)
		require.ErrorIs(t, err, host.ErrURL, "%q", url)
	}
	header := http.Header{"X": {"1"}}
	req, err := host.NewRequest(context.Background(), "PUT", "https://a.example/b", header, strings.NewReader("c"))
	require.NoError(t, err)
	require.Equal(t, header, req.Header)
	require.NotNil(t, req.GetBody)
}

func TestSend(t *testing.T) {
	t.Parallel()
	answer := func(body string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 201, Header: http.Header{"X": {"1"}}, Body: io.NopCloser(strings.NewReader(body))}, nil
		}
	}
	inMemory := func(body string) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 201, Header: http.Header{"X": {"1"}}, Body: host.NewBody([]byte(body))}, nil
		}
	}
	broken := errors.New("broken")
	for _, test := range []struct {
		name string
		do   func(*http.Request) (*http.Response, error)
		err  error
		log  string
	}{
		{name: "at the limit", do: answer("12345")},
		{name: "past it", do: answer("123456"), err: host.ErrTooLarge},
		{name: "in memory, at the limit", do: inMemory("12345")},
		{name: "in memory, past it", do: inMemory("123456"), err: host.ErrTooLarge},
		{name: "error", do: func(*http.Request) (*http.Response, error) { return nil, broken }, err: broken},
		{name: "broken body", do: func(*http.Request) (*http.Response, error) {
			return &http.Response{Body: io.NopCloser(io.MultiReader(strings.NewReader("1"), failing{broken}))}, nil
		}, err: broken},
		{name: "panic", do: func(*http.Request) (*http.Response, error) { panic("s3cret") }, err: host.ErrPanic, log: "callback: panic in the HTTPDoer"},
		{name: "neither answer nor error", do: func(*http.Request) (*http.Response, error) { return nil, nil }, err: host.ErrPanic, log: "callback: panic in the HTTPDoer"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var logged recorder
			got, err := host.Send(test.do, new(http.Request), 5, logged.log)
			require.Contains(t, strings.Join(logged, "\n"), test.log)
			require.NotContains(t, strings.Join(logged, "\n"), "s3cret")
			if test.err != nil {
				require.ErrorIs(t, err, test.err)
				require.Zero(t, got)
				return
			}
			require.NoError(t, err)
			require.Equal(t, host.Response{Status: 201, Header: http.Header{"X": {"1"}}, Body: []byte("12345")}, got)
		})
	}
}

type failing struct{ err error }

func (f failing) Read([]byte) (int, error) { return 0, f.err }
