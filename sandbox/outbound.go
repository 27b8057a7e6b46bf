package sandbox

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net/http"
	"net/url"
	"os"
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
		timeout = maxHTTPTimeout // the parent ends it with the call
	}
	number, mine, ok := t.w.inbox.begin()
	if !ok {
		return nil, context.Canceled
	}
	defer t.w.inbox.end(number)
	var e encoder
	err := e.send(t.w.out, &httpQuestion{
		Number:  number,
		Method:  req.Method,
		URL:     req.URL.String(),
		Timeout: max(timeout, 0),
		Header:  req.Header,
		HasBody: req.Body != nil,
		Body:    body,
	}, t.limits.of)
	if errors.Is(err, errTooLarge) {
		return nil, err
	}
	if err != nil {
		os.Exit(1)
	}
	reply := t.awaitAnswer(req.Context(), number, mine)
	if reply.CallCancelled {
		t.cancel() // which stops the script
		return nil, t.ctx.Err()
	}
	if err := req.Context().Err(); err != nil && errors.Is(reply.Err, context.Canceled) {
		return nil, err // why the request has been dropped
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

// awaitAnswer returns the reply to a request. The parent drops the request when
// the context ends.
func (t *task) awaitAnswer(ctx context.Context, number uint64, mine chan frame) *httpReply {
	dropped := make(chan struct{})
	stop := context.AfterFunc(ctx, func() {
		defer close(dropped)
		t.tell(&dropMessage{number})
	})
	f := t.w.await(mine)
	if !stop() {
		<-dropped
	}
	reply := new(httpReply)
	d := &decoder{b: f.payload, trusted: true}
	if reply.decode(d); d.done() != nil {
		os.Exit(1)
	}
	return reply
}

var errBadRequest = errors.New("request of the child process is not allowed")

// answerHTTP begins an outbound request of a child.
func (s *session) answerHTTP(m *httpQuestion) error {
	if s.call.HTTP == nil {
		return errFrame // the child knows that there is no HTTPDoer
	}
	ctx, cancel := context.WithTimeout(s.ctx, min(max(m.Timeout, 0), maxHTTPTimeout))
	if err := s.outbound.begin(m.Number, &outboundRequest{cancel, len(m.Body)}); err != nil {
		cancel()
		if err == errFrame {
			return err
		}
		return s.send(&httpReply{Number: m.Number, Err: err})
	}
	go func() {
		defer cancel()
		s.endHTTP(s.roundTrip(ctx, m))
	}()
	return nil
}

// roundTrip makes the outbound request of a child by the call's HTTPDoer.
func (s *session) roundTrip(ctx context.Context, m *httpQuestion) *httpReply {
	if err := ctx.Err(); err != nil {
		return &httpReply{Number: m.Number, Err: err}
	}
	req, err := newRequest(ctx, m)
	if err != nil {
		return &httpReply{Number: m.Number, Err: err}
	}
	answer, err := host.Send(s.call.HTTP.Do, req, maxHTTPBody, s.logHostFault)
	if err != nil {
		return &httpReply{Number: m.Number, Err: withoutURL(err)}
	}
	return &httpReply{Number: m.Number, Status: answer.Status, Header: answer.Header, Body: answer.Body}
}

// endHTTP replies to a child's request. If sending fails, the child is gone, and
// reading from it fails as well.
func (s *session) endHTTP(reply *httpReply) {
	_ = s.outbound.end(reply.Number, func() error {
		if errors.Is(s.ctx.Err(), context.Canceled) {
			reply = &httpReply{Number: reply.Number, CallCancelled: true}
		}
		return s.child.out.send(s.child.in, reply, fromParent)
	})
}

// dropHTTP replies at once to a request that the child has given up.
func (s *session) dropHTTP(m *dropMessage) error {
	s.endHTTP(&httpReply{Number: m.Number, Err: context.Canceled})
	return nil
}

// newRequest returns an error for a request that the library's own code in a
// child does not make.
func newRequest(ctx context.Context, m *httpQuestion) (*http.Request, error) {
	switch m.Method {
	case http.MethodConnect, http.MethodTrace, "TRACK":
		return nil, errBadRequest
	}
	if !httpguts.ValidHeaderFieldName(m.Method) { // both are tokens
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

// withoutURL returns the part of an error that a child may know. Errors of net/http
// hold URLs. Those of redirects must not reach the script.
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

// An httpQuestion asks for an outbound request. Before the reply comes, the child
// may ask for other requests and other questions.
type httpQuestion struct {
	Number  uint64 // of this child's requests, over all calls
	Method  string
	URL     string
	Timeout time.Duration // at least zero
	Header  http.Header
	HasBody bool
	Body    []byte
}

func (m *httpQuestion) kind() kind { return kindHTTP }

func (m *httpQuestion) encode(e *encoder) {
	e.uint(m.Number)
	e.string(m.Method)
	e.string(m.URL)
	e.int(int64(m.Timeout))
	encodeHeader(e, m.Header)
	e.bool(m.HasBody)
	e.bytes(m.Body)
}

func (m *httpQuestion) decode(d *decoder) {
	m.Number = d.uint()
	m.Method = d.string()
	m.URL = d.text(maxURL)
	m.Timeout = time.Duration(d.int())
	m.Header = decodeHeader(d)
	m.HasBody = d.bool()
	m.Body = d.bytes()
}

type httpReply struct {
	Number        uint64
	CallCancelled bool // the script is to stop

	Err    error // the other fields are zero if it is not nil
	Status int
	Header http.Header
	Body   []byte
}

func (m *httpReply) kind() kind { return kindHTTPReply }

func (m *httpReply) encode(e *encoder) {
	e.uint(m.Number)
	e.bool(m.CallCancelled)
	encodeError(e, m.Err)
	e.uint(uint64(max(m.Status, 0)))
	encodeHeader(e, m.Header)
	e.bytes(m.Body)
}

func (m *httpReply) decode(d *decoder) {
	m.Number = d.uint()
	m.CallCancelled = d.bool()
	m.Err = decodeError(d)
	m.Status = int(d.uint())
	m.Header = decodeHeader(d)
	m.Body = d.bytes()
}

// A dropMessage gives up an outbound request, to which the parent then replies at
// once. The parent ignores it if it has replied already.
type dropMessage struct{ Number uint64 }

func (m *dropMessage) kind() kind        { return kindDrop }
func (m *dropMessage) encode(e *encoder) { e.uint(m.Number) }
func (m *dropMessage) decode(d *decoder) { m.Number = d.uint() }

func encodeHeader(e *encoder, header http.Header) {
	e.uint(uint64(len(header)))
	for name, values := range header {
		e.string(name)
		e.strings(values)
	}
}

func decodeHeader(d *decoder) http.Header {
	n := d.count()
	header := make(http.Header, n)
	for range n {
		name := d.string()
		header[name] = d.strings()
	}
	return header
}
