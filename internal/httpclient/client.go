// Package httpclient makes the client for outbound requests of scripts: it
// connects to public addresses only, uses no proxy of the environment and follows
// redirects as browsers do.
package httpclient

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"sync"
	"time"

	"code.dny.dev/ssrf"

	"example.com/callback/internal/host"
	"example.com/callback/internal/netguard"
)

// MaxHeaderBytes bounds the header of an answer.
const MaxHeaderBytes = 64 << 10

const (
	maxRedirects    = 5
	maxConnsPerHost = 512
)

// Options are the fields of callback.HTTPClient.
type Options struct {
	AllowPrivate bool
	Allow        func(*url.URL) error
	Transport    func(*http.Transport)
}

// New returns a client.
func New(o Options) *http.Client {
	transport := &http.Transport{
		ForceAttemptHTTP2:      true,
		MaxIdleConns:           256,
		MaxIdleConnsPerHost:    32,
		MaxConnsPerHost:        maxConnsPerHost,
		IdleConnTimeout:        90 * time.Second,
		TLSHandshakeTimeout:    10 * time.Second,
		MaxResponseHeaderBytes: MaxHeaderBytes,
	}
	if o.Transport != nil {
		o.Transport(transport)
	}
	d := &guardedDialer{plain: net.Dialer{Timeout: 30 * time.Second, KeepAlive: 30 * time.Second}}
	d.guarded = d.plain
	if !o.AllowPrivate {
		d.guard = netguard.New(net.InterfaceAddrs)
		d.guarded.Control = d.guard.Control
	}
	if transport.Proxy != nil {
		transport.Proxy = d.watchProxy(transport.Proxy)
	}
	transport.DialContext = d.dial
	//lint:ignore SA1019 the host may have set them
	transport.Dial, transport.DialTLS, transport.DialTLSContext = nil, nil, nil
	return &http.Client{
		Transport:     &allowingTransport{transport, o.Allow},
		CheckRedirect: checkRedirect,
	}
}

// An allowingTransport asks the host about each request first.
type allowingTransport struct {
	*http.Transport
	allow func(*url.URL) error // nil allows all
}

// RoundTrip implements [http.RoundTripper].
func (t *allowingTransport) RoundTrip(req *http.Request) (*http.Response, error) {
	if t.allow != nil {
		target := *req.URL // the host must not change the request's
		if err := t.allow(&target); err != nil {
			return nil, host.ErrNotAllowed // and not err: its text may hold the URL
		}
	}
	if req.URL.Scheme != "https" { // HTTP/2 is by TLS only
		return t.Transport.RoundTrip(req)
	}
	return roundTrip(t.Transport, req)
}

// A guardedDialer dials the addresses that its guard allows and those of the
// host's proxies.
type guardedDialer struct {
	plain, guarded net.Dialer
	guard          *netguard.Guard // nil allows all
	proxies        sync.Map        // addresses of proxies in use, "host:port"
}

func (d *guardedDialer) dial(ctx context.Context, network, address string) (net.Conn, error) {
	dialer := &d.guarded
	if _, ok := d.proxies.Load(address); ok {
		dialer = &d.plain
	}
	c, err := dialer.DialContext(ctx, network, address)
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c}, nil
}

// watchProxy wraps the Proxy of an [http.Transport]. It notes the addresses of
// proxies. Of the addresses that a proxy connects to, it checks those that stand
// in the URL as numbers.
func (d *guardedDialer) watchProxy(proxy func(*http.Request) (*url.URL, error)) func(*http.Request) (*url.URL, error) {
	return func(req *http.Request) (*url.URL, error) {
		by, err := proxy(req)
		if err != nil || d.guard == nil {
			return by, err
		}
		target := dialAddress(req.URL)
		if by == nil {
			if _, ok := d.proxies.Load(target); ok {
				return nil, ssrf.ErrProhibitedIP // no request may go to the proxy itself
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
		return host.ErrRedirects
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
