package callback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"code.dny.dev/ssrf"

	"example.com/callback/internal/host"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/netguard"
)

// An HTTPDoer makes the outbound requests of scripts. An [*http.Client] is one.
// Do must honour the request's context, which carries the time-out, and be safe
// for concurrent use.
//
// A host that supplies its own decides where scripts may connect to. The
// Handler's limits of time, size and number still hold. One that wraps another
// sees the first URL alone: the client inside follows redirects by itself. To
// judge those too, set [HTTPClient].Allow.
//
// The script gets null for an error. The log gets its text as the reason, unless
// it is an error of net/http or holds a part of the request's URL or headers.
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
//     after the name is resolved. The addresses of this machine and those that a
//     cloud keeps for its platform are not public;
//   - uses no proxy, whatever the environment says;
//   - follows at most 5 redirects, and drops the script's headers once one leads
//     to another scheme, host or port.
//
// An address that a router or load balancer maps to this machine is not known as
// its own: refuse its names by Allow.
type HTTPClient struct {
	// DangerouslyAllowPrivate lets scripts connect to every address, also to
	// the host itself, its private network and the cloud's metadata service.
	DangerouslyAllowPrivate bool

	// Allow judges the URL of each request before its host is looked up, also of
	// those that follow a redirect. An error refuses the request: the script
	// gets null. nil allows all. Allow must be safe for concurrent use.
	Allow func(*url.URL) error

	// Transport, if not nil, is called once, before the first request, to adjust
	// how the client connects: TLS roots and client certificates, limits of
	// connections, a proxy. How to dial stays the client's: DialContext and the
	// like are replaced afterwards.
	//
	// With a Proxy, which may have any address, it is the proxy that looks up the
	// host and connects to it. So the proxy must refuse private addresses: the
	// client refuses only those that stand in the URL as numbers.
	Transport func(*http.Transport)

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
	transport := &http.Transport{
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    32,
		MaxConnsPerHost:        maxConnsPerHost,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: maxHTTPHeaderBytes,
	}
	if c.Transport != nil {
		c.Transport(transport)
	}
	d := &guardedDialer{plain: net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}}
	d.guarded = d.plain
	if !c.DangerouslyAllowPrivate {
		d.guard = netguard.New(net.InterfaceAddrs)
		d.guarded.Control = d.guard.Control
	}
	if transport.Proxy != nil {
		transport.Proxy = d.watchProxy(transport.Proxy)
	}
	transport.DialContext = d.dial
	//lint:ignore SA1019 the host may have set them
	transport.Dial, transport.DialTLS, transport.DialTLSContext = nil, nil, nil
	c.client = &http.Client{
		Transport:     &allowingTransport{transport, c.Allow},
		CheckRedirect: checkRedirect,
	}
}

// An allowingTransport is a transport that judges each request first.
type allowingTransport struct {
	*http.Transport
	allow func(*url.URL) error
}

// RoundTrip implements [http.RoundTripper].
func (t *allowingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.allow != nil {
		target := *req.URL // the host must not change the request's
		if err := t.allow(&target); err != nil {
			return nil, errNotAllowed // and not err: its text may hold the URL
		}
	}
	return t.Transport.RoundTrip(req)
}

// A guardedDialer dials what its guard allows, and the host's proxies.
type guardedDialer struct {
	plain, guarded net.Dialer
	guard          *netguard.Guard // nil allows all
	proxies        sync.Map        // of addresses, "host:port", in use
}

func (d *guardedDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	if _, ok := d.proxies.Load(address); ok {
		return d.plain.DialContext(ctx, network, address)
	}
	return d.guarded.DialContext(ctx, network, address)
}

// watchProxy makes of a [http.Transport]'s Proxy one that notes which addresses
// are those of proxies, and that checks what it can of the address behind one.
func (d *guardedDialer) watchProxy(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		by, err := proxy(req)
		if err != nil || d.guard == nil {
			return by, err
		}
		target := dialAddress(req.URL)
		if by == nil {
			if _, ok := d.proxies.Load(target); ok {
				return nil, ssrf.ErrProhibitedIP // a proxy is for requests by it, not to it
			}
			return nil, nil
		}
		if at, err := netip.ParseAddrPort(target); err == nil {
			network := "tcp4"
			if at.Addr().Is6() {
				network = "tcp6"
			}
			if err := d.guard.Control(network, target, nil); err != nil {
				return nil, err
			}
		}
		d.proxies.Store(dialAddress(by), nil)
		return by, nil
	}
}

// dialAddress is the address that a transport dials for a URL.
func dialAddress(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443", "socks5": "1080", "socks5h": "1080"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
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
	if req.Method != last.Method { // the body is gone: net/http of Go 1.25 still sends its headers
		for _, name := range []string{"Content-Encoding", "Content-Language", "Content-Location", "Content-Type"} {
			req.Header.Del(name)
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
	errNoAnswer  = errors.New("callback: the HTTPDoer returned neither answer nor error")

	errNotAllowed = errors.New("callback: URL not allowed by the host")
	errFailed     = errors.New("callback: request failed")
)

// limitedDoer applies a run's limits to an HTTPDoer. The answers it returns are
// read in full.
type limitedDoer struct {
	doer     HTTPDoer
	maxBody  int64
	maxCalls int64
	calls    atomic.Int64
	account  *account // nil if nobody observes
}

// Do implements [HTTPDoer].
func (d *limitedDoer) Do(req *http.Request) (*http.Response, error) {
	if d.account == nil {
		resp, _, err := d.do(req)
		return resp, err
	}
	o := Outbound{Method: req.Method, Host: req.URL.Host, Start: time.Now(), Err: outboundError(host.ErrPanic)}
	defer func() {
		o.Duration = time.Since(o.Start)
		d.account.outbound(o)
	}()
	resp, body, err := d.do(req)
	o.Err = outboundError(err)
	var header http.Header
	if err == nil {
		o.Status, o.Bytes, header = resp.StatusCode, int64(len(body)), resp.Header
	}
	if d.account.keeps {
		o.Exchange = d.account.exchange(req.URL.String(), req.Header, sentBody(req), header, body)
	}
	return resp, err
}

// sentBody is the body of a request that the library has made.
func sentBody(req *http.Request) []byte {
	if req.GetBody == nil {
		return nil
	}
	reader, err := req.GetBody()
	if err != nil {
		return nil
	}
	body, _ := io.ReadAll(reader) // from memory
	return body
}

// do sends the request. It returns the answer and its body.
func (d *limitedDoer) do(req *http.Request) (*http.Response, []byte, error) {
	if d.calls.Add(1) > d.maxCalls {
		return nil, nil, errHTTPCalls
	}
	resp, err := d.doer.Do(req)
	if err != nil {
		return nil, nil, doerFailure(req, err)
	}
	if resp == nil {
		return nil, nil, errNoAnswer
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
		return nil, nil, host.ErrTooLarge
	}
	body, ok, err := limit.ReadAll(resp.Body, d.maxBody)
	if err != nil {
		return nil, nil, err
	}
	if !ok {
		return nil, nil, host.ErrTooLarge
	}
	resp.Body = io.NopCloser(bytes.NewReader(body))
	return resp, body, nil
}

// doerFailure returns the error of a host's HTTPDoer in a form that may be logged:
// one that is known, or its own words if they hold nothing of the request.
func doerFailure(req *http.Request, err error) error {
	var ofClient *url.Error
	if errors.As(err, &ofClient) || knownFailure(err) != "" {
		return err
	}
	text := strings.TrimPrefix(err.Error(), "callback: ")
	if text == "" || strings.Contains(text, "://") {
		return errFailed
	}
	for _, secret := range requestSecrets(req) {
		if strings.Contains(text, secret) {
			return errFailed
		}
	}
	return errors.New("callback: " + limit.Text(text, 200))
}

// requestSecrets returns the parts of a request that are not for the log, as far
// as they are long enough to be a secret.
func requestSecrets(req *http.Request) []string {
	parts := strings.Split(req.URL.Path, "/")
	parts = append(parts, strings.Split(req.URL.EscapedPath(), "/")...)
	parts = append(parts, req.URL.RawQuery, req.URL.Opaque, req.URL.Fragment)
	for _, values := range req.URL.Query() {
		parts = append(parts, values...)
	}
	if password, ok := req.URL.User.Password(); ok {
		parts = append(parts, password)
	}
	parts = append(parts, req.URL.User.Username())
	for _, values := range req.Header {
		parts = append(parts, values...)
	}
	return slices.DeleteFunc(parts, func(part string) bool { return len(part) < 4 })
}

// httpFailure describes the failure of an outbound request for the log. It
// repeats no error of net/http: those hold the URL, which may hold a secret.
func httpFailure(err error) string {
	if known := knownFailure(err); known != "" {
		return known
	}
	if own, ok := strings.CutPrefix(err.Error(), "callback: "); ok {
		return own // of doerFailure, or from a sandbox's child
	}
	return "request failed"
}

// knownFailure is httpFailure for errors that are known by their type, or empty.
func knownFailure(err error) string {
	var op *net.OpError
	var dns *net.DNSError
	for _, own := range []error{errRedirects, errHTTPCalls, host.ErrTooLarge, host.ErrPanic, errNoHTTP, host.ErrURL, host.ErrRequestTooLarge, errNoAnswer, errNotAllowed} {
		if errors.Is(err, own) {
			return strings.TrimPrefix(own.Error(), "callback: ")
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
	return ""
}
