// Package host runs the host's own code for a script: its functions and its
// HTTPDoer. A panic of that code is logged and becomes an error without the
// panic's value, which may hold a secret.
package host

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"runtime/debug"

	"example.com/callback/internal/limit"
)

// A Log logs what is wrong with the host's code, at the level of an error.
type Log func(message string, attrs ...any)

// Call calls a function of the host and returns its result as JSON. The error is
// what the script gets: f's own, or one that names the function.
func Call(name string, f func() (any, error), log Log) (result []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			logPanic("callback: panic in a host function", v, log, "function", name)
			result, err = nil, fmt.Errorf("%s failed", name)
		}
	}()
	value, err := f()
	if err != nil {
		return nil, err
	}
	result, err = json.Marshal(value)
	if err != nil {
		log("callback: host function returned no JSON", "function", name, "error", err)
		return nil, fmt.Errorf("%s failed", name)
	}
	return result, nil
}

// NotSupplied is the error of a function that the host left out.
func NotSupplied(name string) error {
	return fmt.Errorf("%s is not supplied by the host", name)
}

// NewRequest makes an outbound request. A body that is nil is none; else it is one
// of those whose length net/http knows. The error is [ErrURL] or
// [ErrRequestTooLarge].
func NewRequest(ctx context.Context, method, url string, header http.Header, body io.Reader) (*http.Request, error) {
	head := len(url)
	for name, values := range header {
		for _, value := range values {
			head += len(name) + len(value)
		}
	}
	if head > limit.RequestHead {
		return nil, ErrRequestTooLarge
	}
	req, err := http.NewRequestWithContext(ctx, method, url, body)
	if err != nil || req.URL.Scheme != "http" && req.URL.Scheme != "https" || req.URL.Host == "" {
		return nil, ErrURL
	}
	if req.ContentLength > limit.RequestBody {
		return nil, ErrRequestTooLarge
	}
	req.Header = header
	return req, nil
}

// A Response is the answer to an outbound request, read in full.
type Response struct {
	Status int
	Header http.Header
	Body   []byte
}

// A Body is the body of an answer that is in memory. [Send] does not copy it.
type Body struct {
	*bytes.Reader
	text []byte
}

// NewBody returns text as a Body.
func NewBody(text []byte) *Body { return &Body{bytes.NewReader(text), text} }

// Close implements [io.Closer].
func (b *Body) Close() error { return nil }

// Send sends a request by an HTTPDoer and reads the answer, whose body may have
// maxBody bytes.
func Send(do func(*http.Request) (*http.Response, error), req *http.Request, maxBody int64, log Log) (answer Response, err error) {
	defer func() {
		if v := recover(); v != nil {
			logPanic("callback: panic in the HTTPDoer", v, log)
			answer, err = Response{}, ErrPanic
		}
	}()
	resp, err := do(req)
	if err != nil {
		return Response{}, err
	}
	defer resp.Body.Close()
	if b, ok := resp.Body.(*Body); ok && int64(len(b.text)) <= maxBody {
		return Response{resp.StatusCode, resp.Header, b.text}, nil
	}
	body, ok, err := limit.ReadAll(resp.Body, maxBody)
	if err != nil {
		return Response{}, err
	}
	if !ok {
		return Response{}, ErrTooLarge
	}
	return Response{resp.StatusCode, resp.Header, body}, nil
}

// logPanic logs the type of v and not v: to print it may run script code.
func logPanic(message string, v any, log Log, attrs ...any) {
	log(message, append(attrs, "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))...)
}
