package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"example.com/callback"
	"example.com/callback/internal/headers"
	"example.com/callback/internal/host"
)

const (
	maxHTTPTimeout = 24 * time.Hour // longer than any call should take
	maxHTTPBody    = 64 << 20       // of an answer; the Handler's limit is lower
)

// do is the [callback.HTTPDoer] of a child's calls: it has the parent make the
// request.
func (t *task) do(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	timeout, untilCallEnds := callback.DefaultHTTPTimeout, false
	if own, ok := req.Context().Deadline(); ok {
		end, limited := t.ctx.Deadline()
		timeout, untilCallEnds = time.Until(own), limited && end.Equal(own)
	}
	if untilCallEnds {
		timeout = maxHTTPTimeout // the parent's clock ends it, with the call
	}
	var reply httpReply
	err := t.ask(&httpQuestion{
		Method:  req.Method,
		URL:     req.URL.String(),
		Timeout: max(timeout, 0),
		Header:  req.Header,
		HasBody: req.Body != nil,
		Body:    body,
	}, &reply)
	if err != nil {
		return nil, err
	}
	if reply.Err != nil {
		if untilCallEnds && errors.Is(reply.Err, context.DeadlineExceeded) {
			<-t.ctx.Done() // the child's deadline is a little later than the parent's
		}
		return nil, reply.Err
	}
	return &http.Response{
		StatusCode: reply.Status,
		Header:     reply.Header,
		Body:       io.NopCloser(bytes.NewReader(reply.Body)),
		Request:    req,
	}, nil
}

var errBadRequest = errors.New("request of the child process is not allowed")

// answerHTTP makes the outbound request of a child by the call's HTTPDoer.
func (s *session) answerHTTP(m *httpQuestion) error {
	if s.call.HTTP == nil {
		return errFrame // the child was told
	}
	reply := httpReply{Err: context.DeadlineExceeded}
	err := s.waitForHost(func() {
		ctx, cancel := context.WithTimeout(s.ctx, min(max(m.Timeout, 0), maxHTTPTimeout))
		defer cancel()
		req, err := newRequest(ctx, m)
		if err != nil {
			reply = httpReply{Err: err}
			return
		}
		answer, err := host.Send(s.call.HTTP.Do, req, maxHTTPBody, s.logHostFault)
		if err != nil {
			reply = httpReply{Err: withoutURL(err)}
			return
		}
		reply = httpReply{Status: answer.Status, Header: answer.Header, Body: answer.Body}
	})
	if err != nil {
		return err
	}
	return s.reply(&reply)
}

// newRequest returns an error for a request that the library's own code in a
// child does not make.
func newRequest(ctx context.Context, m *httpQuestion) (*http.Request, error) {
	switch m.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
	default:
		return nil, errBadRequest
	}
	for name, values := range m.Header {
		if !httpguts.ValidHeaderFieldName(name) || headers.IsClients(name) {
			return nil, errBadRequest
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return nil, errBadRequest
			}
		}
	}
	var body io.Reader
	if m.HasBody {
		body = bytes.NewReader(m.Body)
	}
	return host.NewRequest(ctx, m.Method, m.URL, m.Header, body)
}

// withoutURL returns what a child may know of why a request failed. Errors of
// net/http hold URLs, also those of redirects, which the script must not learn.
func withoutURL(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	if errorKindOf(err) == textError && !strings.HasPrefix(err.Error(), "callback: ") {
		return errors.New("request failed")
	}
	return err
}
