package callback_test

import (
	"bufio"
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// trusting is for an HTTPClient that trusts the certificate of server.
func trusting(server *httptest.Server) func(*http.Transport) {
	return func(transport *http.Transport) {
		transport.TLSClientConfig = server.Client().Transport.(*http.Transport).TLSClientConfig.Clone()
	}
}

// TestHTTPClientTransport: the host chooses the certificates to trust, and the client
// uses HTTP/2.
func TestHTTPClientTransport(t *testing.T) {
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.Proto) }))
	upstream.EnableHTTP2 = true
	upstream.Config.ErrorLog = log.New(io.Discard, "", 0) // of the client that does not trust it
	upstream.StartTLS()
	defer upstream.Close()
	h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true, Transport: trusting(upstream)})
	require.Equal(t, fetched{Code: 200, Text: "HTTP/2.0"}, fetch(t, h, "url", upstream.URL), log)
	h, _ = outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
	require.True(t, fetch(t, h, "url", upstream.URL).Null)

	calls := 0
	client := &callback.HTTPClient{Transport: func(transport *http.Transport) {
		calls++
		require.Nil(t, transport.Proxy)
		require.Equal(t, 512, transport.MaxConnsPerHost)
		require.EqualValues(t, 64<<10, transport.MaxResponseHeaderBytes)
	}}
	requireGuard(t, client)
	require.Equal(t, 1, calls)
}

// TestHTTPClientTransportKeepsTheGuard: none of the dial functions that a host sets
// is used.
func TestHTTPClientTransportKeepsTheGuard(t *testing.T) {
	trap := newTrap(t)
	dialled := 0
	client := &callback.HTTPClient{Transport: func(transport *http.Transport) {
		dial := func(network, address string) (net.Conn, error) { dialled++; return net.Dial(network, address) }
		dialContext := func(_ context.Context, network, address string) (net.Conn, error) { return dial(network, address) }
		//lint:ignore SA1019 a host may set them
		transport.Dial, transport.DialTLS = dial, dial
		transport.DialContext, transport.DialTLSContext = dialContext, dialContext
	}}
	for _, scheme := range []string{"http", "https"} {
		h, log := outboundHandler(t, fetchScript, client)
		require.True(t, fetch(t, h, "url", scheme+"://127.0.0.1:"+trap.port).Null)
		require.Contains(t, log.String(), "address not allowed")
	}
	require.Zero(t, dialled)
	trap.assertUntouched(t)
}

// TestHTTPClientProxy: a host's proxy may have any address. No request may go to the
// proxy itself. An address that stands in a URL is checked even with a proxy.
func TestHTTPClientProxy(t *testing.T) {
	var got []string
	proxy := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got = append(got, r.Method+" "+r.RequestURI)
		if r.Method == http.MethodConnect {
			http.Error(w, "not to there", http.StatusForbidden)
			return
		}
		fmt.Fprint(w, "by proxy")
	}))
	defer proxy.Close()
	at, err := url.Parse(proxy.URL)
	require.NoError(t, err)
	client := &callback.HTTPClient{Transport: func(transport *http.Transport) {
		transport.Proxy = func(r *http.Request) (*url.URL, error) {
			if r.URL.Host == at.Host {
				return nil, nil
			}
			return at, nil
		}
	}}
	for _, test := range []struct{ url, got, reason string }{
		{"http://public.test/", "GET http://public.test/", ""},
		{"http://" + publicIPv4 + "/", "GET http://" + publicIPv4 + "/", ""},
		{"http://metadata.test/", "GET http://metadata.test/", ""}, // the proxy's to refuse
		{"https://public.test/", "CONNECT public.test:443", "request failed"},
		{"http://127.0.0.1/", "", "address not allowed"},
		{"http://[::1]:8080/", "", "address not allowed"},
		{"http://169.254.169.254/", "", "address not allowed"},
		{"https://10.0.0.1/", "", "address not allowed"},
		{proxy.URL, "", "address not allowed"},
	} {
		got = nil
		h, log := outboundHandler(t, fetchScript, client)
		answer := fetch(t, h, "url", test.url)
		require.Equal(t, test.got, strings.Join(got, "\n"), test.url)
		require.Equal(t, test.reason == "", answer.Text == "by proxy", test.url)
		require.Contains(t, log.String(), test.reason, test.url)
	}
}

// bothProtocols is a listener for plain HTTP and for TLS, by the first byte that
// a client sends.
type bothProtocols struct {
	net.Listener
	tls *tls.Config
}

type peekedConn struct {
	net.Conn
	in *bufio.Reader
}

func (c peekedConn) Read(p []byte) (int, error) { return c.in.Read(p) }

func (l bothProtocols) Accept() (net.Conn, error) {
	conn, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	peeked := peekedConn{conn, bufio.NewReader(conn)}
	if first, err := peeked.in.Peek(1); err == nil && first[0] == 0x16 {
		return tls.Server(peeked, l.tls), nil
	}
	return peeked, nil
}

// The client uses no proxy from the environment. The variables are set in a process
// of their own, because net/http reads them only once.
func TestHTTPClientIgnoresProxies(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "direct") }))
	defer upstream.Close()
	const inside = "CALLBACK_TEST_PROXY"
	if os.Getenv(inside) == "" {
		trap := newTrap(t)
		cmd := exec.Command(os.Args[0], "-test.run=^TestHTTPClientIgnoresProxies$", "-test.v")
		proxy := "http://127.0.0.1:" + trap.port
		cmd.Env = append(os.Environ(), inside+"=1")
		for _, name := range []string{"HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"} {
			cmd.Env = append(cmd.Env, name+"="+proxy, strings.ToLower(name)+"="+proxy)
		}
		cmd.Env = append(cmd.Env, "NO_PROXY=", "no_proxy=", "REQUEST_METHOD=")
		out, err := cmd.CombinedOutput()
		require.NoError(t, err, "%s", out)
		require.Contains(t, string(out), "--- PASS")
		trap.assertUntouched(t)
		return
	}
	_, port, _ := net.SplitHostPort(upstream.Listener.Addr().String())
	target := "http://upstream.test:" + port + "/"
	// To show that the variables work, a client that reads the environment connects
	// to the trap.
	req := httptest.NewRequest("GET", target, nil)
	proxy, err := http.ProxyFromEnvironment(req)
	require.NoError(t, err)
	require.NotNil(t, proxy)

	h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
	assert.Equal(t, fetched{Code: 200, Text: "direct"}, fetch(t, h, "url", target), log)
	h, log = outboundHandler(t, fetchScript, new(callback.HTTPClient))
	assert.True(t, fetch(t, h, "url", target).Null)
	assert.True(t, fetch(t, h, "url", "https://upstream.test:"+port).Null)
	assert.Equal(t, 2, strings.Count(log.String(), "address not allowed"), log)
}

// Connections are reused, also after answers that the script does not read.
func TestHTTPClientReusesConnections(t *testing.T) {
	var opened atomic.Int64
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/404":
			http.NotFound(w, r)
		case "/302":
			http.Redirect(w, r, "/", http.StatusFound)
		case "/gzip":
			w.Header().Set("Content-Encoding", "gzip")
			_, _ = w.Write(gzipBomb())
		default:
			fmt.Fprint(w, "ok")
		}
	}))
	upstream.Config.ConnState = func(_ net.Conn, state http.ConnState) {
		if state == http.StateNew {
			opened.Add(1)
		}
	}
	upstream.Start()
	defer upstream.Close()
	h, log := outboundHandler(t, `
		for (var i = 0; i < 5; i++) {
			["/", "/404", "/302", "/gzip"].forEach(function (path) {
				if (Spark.getHttp(Spark.getData().url + path).get() === null) throw "null";
			});
		}
	`, &callback.HTTPClient{DangerouslyAllowPrivate: true})
	for range 5 {
		require.Equal(t, 200, callHello(h, "url", upstream.URL).Code, log)
	}
	// A few more on a busy machine: net/http drops a connection whose request took
	// long to be written. One path that is not reused alone would take 25.
	assert.Less(t, opened.Load(), int64(10))
}
