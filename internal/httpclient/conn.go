package httpclient

import (
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptrace"
	"sync"
)

// A conn is a connection that several requests may use at once. It is closed after a
// request on it has failed, as soon as no other uses it. net/http does so by HTTP/1.1
// only: by HTTP/2 a server could send frames for a cancelled request without end.
type conn struct {
	net.Conn

	mu     sync.Mutex
	users  int
	failed bool
}

func (c *conn) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.users++
}

func (c *conn) end(failed bool) {
	c.mu.Lock()
	c.users--
	c.failed = c.failed || failed
	unwanted := c.failed && c.users == 0
	c.mu.Unlock()
	if unwanted {
		_ = c.Conn.Close() // and not c.Close, which TLS calls with its locks held
	}
}

// A use is what one request does with connections. It may try a second one after
// the first.
type use struct {
	mu    sync.Mutex
	conn  *conn // nil after the end
	ended bool
}

// trace returns a context that notes the connections of its request.
func (u *use) trace(ctx context.Context) context.Context {
	return httptrace.WithClientTrace(ctx, &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
		u.mu.Lock()
		defer u.mu.Unlock()
		if u.conn != nil {
			u.conn.end(true)
			u.conn = nil
		}
		if c := dialed(info.Conn); c != nil && !u.ended {
			c.begin()
			u.conn = c
		}
	}})
}

// dialed is the connection below those of TLS, or nil if the host has dialed it.
func dialed(c net.Conn) *conn {
	for {
		switch layer := c.(type) {
		case *conn:
			return layer
		case *tls.Conn:
			c = layer.NetConn()
		default:
			return nil
		}
	}
}

// end may be called more than once.
func (u *use) end(failed bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	u.ended = true
	if u.conn != nil {
		u.conn.end(failed)
		u.conn = nil
	}
}

// A usedBody is the body of an answer. The request ends with it.
type usedBody struct {
	io.ReadCloser
	use *use
}

func (b *usedBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err != nil {
		b.use.end(err != io.EOF)
	}
	return n, err
}

func (b *usedBody) Close() error {
	err := b.ReadCloser.Close()
	b.use.end(true) // unless it has been read to its end
	return err
}

// roundTrip makes a request and notes how its connection fares.
func roundTrip(t *http.Transport, req *http.Request) (*http.Response, error) {
	u := new(use)
	resp, err := t.RoundTrip(req.WithContext(u.trace(req.Context())))
	if err != nil {
		u.end(true)
		return nil, err
	}
	if resp.Body == http.NoBody {
		u.end(false)
	} else {
		resp.Body = &usedBody{resp.Body, u}
	}
	return resp, nil
}
