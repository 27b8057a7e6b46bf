package callbacktest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// An expectation is an outbound request and its answer.
type expectation struct {
	request message
	failure string // the text after "error", or empty
	status  int
	answer  message
}

func parseExpectation(text string, quoted bool) (expectation, error) {
	var e expectation
	request, answer, ok := strings.Cut(text, "\n=>\n")
	if !ok {
		return e, errors.New(`has no line "=>"`)
	}
	var err error
	if e.request, err = parseMessage(request+"\n", quoted); err != nil {
		return e, err
	}
	if e.answer, err = parseMessage(answer, quoted); err != nil {
		return e, err
	}
	if failure, ok := strings.CutPrefix(e.answer.first, "error "); ok {
		e.failure = failure
		switch failure {
		case "timeout", "refused", "unknown host", "hang":
			return e, nil
		}
		return e, fmt.Errorf("unknown error %q", failure)
	}
	status, _, _ := strings.Cut(e.answer.first, " ")
	e.status, err = strconv.Atoi(status)
	if err != nil || e.status < 100 || e.status > 999 {
		return e, fmt.Errorf("%q is not a status line", e.answer.first)
	}
	return e, nil
}

// An upstream answers the outbound requests of a case.
type upstream struct {
	mu       sync.Mutex
	expected []expectation
	faults   []error
}

// Do implements callback.HTTPDoer.
func (u *upstream) Do(req *http.Request) (*http.Response, error) {
	e, ok := u.next(req)
	if !ok {
		return nil, u.fail(req, syscall.ECONNREFUSED)
	}
	if err := req.Context().Err(); err != nil {
		return nil, u.fail(req, err)
	}
	switch e.failure {
	case "timeout":
		return nil, u.fail(req, context.DeadlineExceeded)
	case "refused":
		return nil, u.fail(req, &net.OpError{Op: "dial", Net: "tcp", Err: os.NewSyscallError("connect", syscall.ECONNREFUSED)})
	case "unknown host":
		return nil, u.fail(req, &net.DNSError{Err: "no such host", Name: req.URL.Hostname(), IsNotFound: true})
	case "hang":
		<-req.Context().Done()
		return nil, u.fail(req, req.Context().Err())
	}
	header := http.Header{}
	for _, line := range e.answer.header {
		if name, value, ok := cutHeader(line); ok {
			header.Add(name, value)
		}
	}
	return &http.Response{
		Status:        e.answer.first,
		StatusCode:    e.status,
		Proto:         "HTTP/1.1",
		ProtoMajor:    1,
		ProtoMinor:    1,
		Header:        header,
		Body:          io.NopCloser(strings.NewReader(e.answer.body)),
		ContentLength: int64(len(e.answer.body)),
		Request:       req,
	}, nil
}

// fail makes an error as http.Client does.
func (u *upstream) fail(req *http.Request, err error) error {
	return &url.Error{Op: req.Method, URL: req.URL.String(), Err: err}
}

// next removes the first expectation and compares req with it.
func (u *upstream) next(req *http.Request) (expectation, bool) {
	var body []byte
	var readErr error
	if req.Body != nil {
		body, readErr = io.ReadAll(req.Body)
		req.Body.Close()
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	first := req.Method + " " + req.URL.String()
	if len(u.expected) == 0 {
		u.faults = append(u.faults, fmt.Errorf("unexpected outbound request %s", first))
		return expectation{}, false
	}
	e := u.expected[0]
	u.expected = u.expected[1:]
	fault := func(format string, args ...any) {
		u.faults = append(u.faults, fmt.Errorf("outbound request %s: %s", first, fmt.Sprintf(format, args...)))
	}
	if readErr != nil {
		fault("%v", readErr)
	}
	if e.request.first != first {
		fault("want %s", e.request.first)
	}
	for _, line := range e.request.header {
		if name, ok := strings.CutPrefix(line, "no "); ok && !strings.Contains(name, ":") {
			if values := req.Header.Values(name); len(values) > 0 {
				fault("has %s: %q, want none", name, values)
			}
			continue
		}
		name, _, _ := cutHeader(line)
		got := req.Header.Values(name)
		if strings.EqualFold(name, "Host") {
			got = []string{req.Host}
		}
		if want := e.request.values(name); !slices.Equal(got, want) {
			fault("has %s: %q, want %q", name, got, want)
		}
	}
	if e.request.hasBody && string(body) != e.request.body {
		fault("has the body %q, want %q", body, e.request.body)
	}
	return e, true
}

// finish returns an error that joins all differences from what was expected.
func (u *upstream) finish() error {
	u.mu.Lock()
	defer u.mu.Unlock()
	for _, e := range u.expected {
		u.faults = append(u.faults, fmt.Errorf("missing outbound request %s", e.request.first))
	}
	u.expected = nil
	return errors.Join(u.faults...)
}
