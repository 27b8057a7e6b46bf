package callback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"code.dny.dev/ssrf"

	"example.com/callback/internal/host"
	"example.com/callback/internal/limit"
)

// An HTTPDoer makes the outbound requests of scripts. An [*http.Client] is one.
// Do must honour the request's context, which carries the time-out, and be safe
// for concurrent use.
//
// A host that supplies its own decides where scripts may connect to. The
// Handler's limits of time, size and number still hold.
type HTTPDoer interface {
	Do(req *http.Request) (*http.Response, error)
}

// HTTPDoerFunc is a function as an [HTTPDoer].
type HTTPDoerFunc func(req *http.Request) (*http.Response, error)

// Do calls f.
func (f HTTPDoerFunc) Do(req *http.Request) (*http.Response, error) { return f(req) }

// HTTPClient is the default [HTTPDoer]. It is used by pointer and safe for
// concurrent use. The zero value:
//   - connects to public addresses only, at any port. It checks the address
//     after the name is resolved;
//   - uses no proxy, whatever the environment says;
//   - follows at most 5 redirects, and drops the script's headers once one leads
//     to another scheme, host or port.
type HTTPClient struct {
	// DangerouslyAllowPrivate lets scripts connect to every address, also to
	// the host itself, its private network and the cloud's metadata service.
	DangerouslyAllowPrivate bool

	once   sync.Once
	client *http.Client
}

// Limits of HTTPClient that no host needs to change.
const (
	maxRedirects       = 5
	maxConnsPerHost    = 512
	maxHTTPHeaderBytes = 64 << 10
)

// Do sends req.
func (c *HTTPClient) Do(req *http.Request) (*http.Response, error) {
	c.once.Do(c.open)
	return c.client.Do(req)
}

// CloseIdleConnections closes the connections that are kept for later use.
func (c *HTTPClient) CloseIdleConnections() {
	c.once.Do(c.open)
	c.client.CloseIdleConnections()
}

func (c *HTTPClient) open() {
	dialer := &net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}
	if !c.DangerouslyAllowPrivate {
		dialer.Control = ssrf.New(ssrf.WithAnyPort()).Safe
	}
	c.client = &http.Client{
		Transport: &http.Transport{
			Proxy:                  nil, // a proxy would dial without the guard
			DialContext:            dialer.DialContext,
			ForceAttemptHTTP2:      true,
			MaxIdleConns:           256,
			MaxIdleConnsPerHost:    32,
			MaxConnsPerHost:        maxConnsPerHost,
			IdleConnTimeout:        90 * time.Second,
			TLSHandshakeTimeout:    10 * time.Second,
			MaxResponseHeaderBytes: maxHTTPHeaderBytes,
		},
		CheckRedirect: checkRedirect,
	}
}

// checkRedirect follows redirects as browsers do. It sends the script's headers
// to no other host.
func checkRedirect(req *http.Request, via []*http.Request) error {
	if len(via) > maxRedirects {
		return errRedirects
	}
	req.Header.Del("Referer") // it would carry the URL
	last := via[len(via)-1]
	if status := req.Response.StatusCode; (status == http.StatusMovedPermanently || status == http.StatusFound) &&
		last.Method != http.MethodPost && last.Method != req.Method {
		// net/http changes every method to GET, browsers only POST.
		req.Method, req.GetBody, req.ContentLength = last.Method, last.GetBody, last.ContentLength
		if last.GetBody != nil {
			var err error
			if req.Body, err = last.GetBody(); err != nil {
				return err
			}
			req.Header["Content-Type"] = last.Header["Content-Type"]
		}
	}
	for _, earlier := range via {
		if earlier.URL.Scheme != req.URL.Scheme || earlier.URL.Host != req.URL.Host {
			contentType := req.Header.Get("Content-Type")
			clear(req.Header)
			if req.Body != nil && contentType != "" {
				req.Header.Set("Content-Type", contentType)
			}
			break
		}
	}
	return nil
}

var (
	errRedirects = errors.New("callback: too many redirects")
	errHTTPCalls = errors.New("callback: too many outbound requests in one run")
	errNoHTTP    = errors.New("callback: the call has no HTTPDoer")
)

// limitedDoer applies a run's limits to an HTTPDoer. The answers it returns are
// read in full.
type limitedDoer struct {
	doer     HTTPDoer
	maxBody  int64
	maxCalls int64
	calls    atomic.Int64
}

func (d *limitedDoer) Do(req *http.Request) (*http.Response, error) {
	if d.calls.Add(1) > d.maxCalls {
		return nil, errHTTPCalls
	}
	resp, err := d.doer.Do(req)
	if err != nil {
		return nil, err
	}
	if resp == nil {
		return nil, errors.New("callback: HTTPDoer returned neither answer nor error")
	}
	if resp.Body == nil {
		resp.Body = http.NoBody
	}
	defer resp.Body.Close()
	size := 0
	for name, values := range resp.Header {
		for _, value := range values {
			size += len(name) + len(value)
		}
	}
	if size > maxHTTPHeaderBytes {
		return nil, host.ErrTooLarge
	}
	body, ok, err := limit.ReadAll(resp.Body, d.maxBody)
	if err != nil {
		return nil, err
	}
	if !ok {
		return nil, host.ErrTooLarge
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, nil
}

// httpFailure describes the failure of an outbound request for the log. It
// repeats no error of net/http: those hold the URL, which may hold a secret.
func httpFailure(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	for _, known := range []error{errRedirects, errHTTPCalls, host.ErrTooLarge, host.ErrPanic, errNoHTTP, host.ErrURL} {
		if errors.Is(err, known) || err.Error() == known.Error() { // by text: from a sandbox's child
			return strings.TrimPrefix(known.Error(), "callback: ")
		}
	}
	switch {
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timed out"
	case errors.Is(err, context.Canceled):
		return "cancelled with the run"
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork), errors.Is(err, ssrf.ErrProhibitedPort):
		return "address not allowed"
	case errors.As(err, &dns):
		return "host name not found"
	case errors.As(err, &op):
		return fmt.Sprintf("%s failed: %v", op.Op, op.Err)
	}
	return "request failed"
}
