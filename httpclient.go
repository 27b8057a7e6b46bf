package callback

import (
	"net/http"
	"net/url"
	"sync"
	"sync/atomic"

	"example.com/callback/internal/host"
	"example.com/callback/internal/httpclient"
	"example.com/callback/internal/limit"
)

// An HTTPDoer makes the outbound requests of scripts. An [*http.Client] is one.
// Do must honour the request's context, which carries the time-out, and be safe
// for concurrent use.
//
// A host that supplies its own decides where scripts may connect to. The
// Handler's limits of time, size and number still hold. An HTTPDoer that wraps a
// client sees only the first URL, because the client follows redirects by itself.
// To check those too, set [HTTPClient].Allow.
//
// The script gets null for an error. The log has the error's text, unless it is an
// error of net/http or holds a part of the request's URL or headers.
type HTTPDoer interface {
	Do(req *http.Request) (*http.Response, error)
}

// HTTPDoerFunc is a function as an [HTTPDoer].
type HTTPDoerFunc func(req *http.Request) (*http.Response, error)

// Do calls f.
func (f HTTPDoerFunc) Do(req *http.Request) (*http.Response, error) { return f(req) }

// ErrBlocked means that an outbound request was refused because of its address or
// its URL. It is the error of an [HTTPClient], and may be that of an [HTTPDoer] of the
// host's own.
var ErrBlocked = host.ErrBlocked

// HTTPClient is the default [HTTPDoer]. It is used by pointer and safe for
// concurrent use. The zero value:
//   - connects to public addresses only, at any port. It checks the address
//     after the name is resolved. The addresses of this machine and those that
//     clouds reserve for their platforms are not public;
//   - uses no proxy, whatever the environment says;
//   - follows at most 5 redirects, and drops the script's headers once one leads
//     to another scheme, host or port;
//   - accepts at most 64 KiB of headers in an answer, and has at most 512
//     connections to a host. Further requests to it wait.
//
// The client does not know the addresses that a router or load balancer maps to
// this machine: refuse their names with Allow.
type HTTPClient struct {
	// DangerouslyAllowPrivate lets scripts connect to every address, also to
	// the host itself, its private network and the cloud's metadata service.
	DangerouslyAllowPrivate bool

	// Allow is called with the URL of each request, including those that follow
	// a redirect, before its host is looked up. An error refuses the request, and
	// the script gets null. nil allows all. Allow must be safe for concurrent use.
	Allow func(*url.URL) error

	// Transport, if not nil, is called once, before the first request, to adjust
	// how the client connects: TLS roots and client certificates, limits of
	// connections, a proxy. It cannot change how the client dials: DialContext
	// and its relatives are replaced afterwards.
	//
	// With a Proxy, which may have any address, the proxy looks up the host and
	// connects to it. So the proxy must refuse private addresses: the client
	// refuses only those that are written as numbers in the URL.
	Transport func(*http.Transport)

	once   sync.Once
	client *http.Client
}

// Do sends req. The error says why there is no answer. It is [ErrBlocked] if the
// address is not public or Allow has refused the URL. Its text may hold the URL.
func (c *HTTPClient) Do(req *http.Request) (*http.Response, error) {
	c.once.Do(c.open)
	resp, err := c.client.Do(req)
	if err != nil {
		return nil, host.WithCause(err, err)
	}
	return resp, nil
}

// CloseIdleConnections closes the connections that are kept for later use.
func (c *HTTPClient) CloseIdleConnections() {
	c.once.Do(c.open)
	c.client.CloseIdleConnections()
}

func (c *HTTPClient) open() {
	c.client = httpclient.New(httpclient.Options{AllowPrivate: c.DangerouslyAllowPrivate, Allow: c.Allow, Transport: c.Transport})
}

// A limitedDoer applies a run's limits to an HTTPDoer. The answers that it returns
// are in memory.
type limitedDoer struct {
	doer     HTTPDoer
	maxBody  int64
	maxCalls int64
	calls    atomic.Int64
}

// Do implements [HTTPDoer].
func (d *limitedDoer) Do(req *http.Request) (*http.Response, error) {
	resp, _, err := d.do(req)
	return resp, err
}

// do sends the request. It returns the answer, and its body by itself.
func (d *limitedDoer) do(req *http.Request) (*http.Response, []byte, error) {
	if d.calls.Add(1) > d.maxCalls {
		return nil, nil, host.ErrCalls
	}
	resp, err := d.doer.Do(req)
	if err != nil {
		return nil, nil, host.WithoutSecrets(req, err)
	}
	if resp == nil {
		return nil, nil, host.ErrNoAnswer
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
	if size > httpclient.MaxHeaderBytes {
		return nil, nil, host.ErrTooLarge
	}
	body, ok, err := limit.ReadAll(resp.Body, d.maxBody)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, host.ErrTooLarge
	}
	resp.Body = host.NewBody(body)
	return resp, body, nil
}
