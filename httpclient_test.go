package callback_test

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"
	"golang.org/x/net/dns/dnsmessage"

	"example.com/callback"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

// The names that exist in these tests. No query leaves the process. Names that look
// like numbers are addresses to a C library and names to Go. In these tests they
// resolve to what a C library would make of them.
var testNames = map[string][]string{
	"upstream.test.":      {"127.0.0.1"},
	"other.test.":         {"127.0.0.1"},
	"metadata.test.":      {"169.254.169.254", "fd00:ec2::254"},
	"private.test.":       {"10.0.0.1"},
	"several.test.":       {"127.0.0.1", "10.1.2.3", "::1"},
	"mapped.test.":        {"::ffff:127.0.0.1"},
	"0x7f000001.":         {"127.0.0.1"},
	"0x7f.0.0.0x1.":       {"127.0.0.1"},
	"0xa9fea9fe.":         {"169.254.169.254"},
	"localhost.":          {"127.0.0.1"}, // if no file says so
	"localhost.test.":     {"127.0.0.1"},
	"public.test.":        {publicIPv4},
	"both.test.":          {"127.0.0.1", publicIPv4},
	"later-private.test.": nil, // see answerName
}

// laterPrivate counts the look-ups of a name that is public only once.
var laterPrivate atomic.Int64

func init() {
	net.DefaultResolver = &net.Resolver{
		PreferGo: true,
		Dial: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			go serveNames(server)
			return client, nil
		},
	}
}

// serveNames answers DNS queries as they come over TCP.
func serveNames(conn net.Conn) {
	defer conn.Close()
	for {
		var size uint16
		if binary.Read(conn, binary.BigEndian, &size) != nil {
			return
		}
		query := make([]byte, size)
		if _, err := io.ReadFull(conn, query); err != nil {
			return
		}
		var msg dnsmessage.Message
		if msg.Unpack(query) != nil || len(msg.Questions) != 1 {
			return
		}
		msg.Response, msg.RCode, msg.Additionals = true, dnsmessage.RCodeNameError, nil
		question := msg.Questions[0]
		if addrs, ok := answerName(question); ok {
			msg.RCode = dnsmessage.RCodeSuccess
			for _, addr := range addrs {
				head := dnsmessage.ResourceHeader{Name: question.Name, Class: question.Class}
				ip, isV4 := net.ParseIP(addr), !strings.Contains(addr, ":")
				if isV4 && question.Type == dnsmessage.TypeA {
					msg.Answers = append(msg.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AResource{A: [4]byte(ip.To4())}})
				}
				if !isV4 && question.Type == dnsmessage.TypeAAAA {
					msg.Answers = append(msg.Answers, dnsmessage.Resource{Header: head, Body: &dnsmessage.AAAAResource{AAAA: [16]byte(ip.To16())}})
				}
			}
		}
		answer, err := msg.Pack()
		if err != nil {
			return
		}
		if _, err := conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...)); err != nil {
			return
		}
	}
}

func answerName(q dnsmessage.Question) ([]string, bool) {
	name := strings.ToLower(q.Name.String())
	addrs, ok := testNames[name]
	if name == "later-private.test." && q.Type == dnsmessage.TypeA {
		addrs = []string{"127.0.0.1"}
		if laterPrivate.Add(1) == 1 {
			addrs = []string{publicIPv4}
		}
	}
	return addrs, ok
}

// fetchScript sends one request and reports its result.
const fetchScript = `
	var data = Spark.getData();
	var http = data.timeout ? Spark.getHttp(data.url, Number(data.timeout)) : Spark.getHttp(data.url);
	var answer = http.get();
	Spark.setScriptData("null", answer === null);
	if (answer) {
		Spark.setScriptData("code", answer.getResponseCode());
		Spark.setScriptData("text", answer.getResponseString());
	}
`

// A fetched is what fetchScript reports.
type fetched struct {
	Null bool
	Code int
	Text string
}

// outboundHandler serves one script, called hello.
func outboundHandler(t *testing.T, script string, doer callback.HTTPDoer) (*callback.Handler, *testkit.Log) {
	t.Helper()
	if c, ok := doer.(*callback.HTTPClient); ok {
		t.Cleanup(c.CloseIdleConnections)
	}
	log := new(testkit.Log)
	return &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {Data: []byte(script)}}},
		Secrets: callback.SecretMap{"E3/hello": "s3cret"},
		HTTP:    doer,
		Logger:  log.Logger(),
	}, log
}

// callHello calls the script with parameters, given as pairs.
func callHello(h http.Handler, params ...string) *httptest.ResponseRecorder {
	query := url.Values{}
	for i := 0; i < len(params); i += 2 {
		query.Add(params[i], params[i+1])
	}
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", "/callback/E3/hello/s3cret?"+query.Encode(), nil))
	return rec
}

func fetch(t *testing.T, h http.Handler, params ...string) (f fetched) {
	t.Helper()
	rec := callHello(h, params...)
	require.Equal(t, 200, rec.Code, rec.Body)
	require.NoError(t, json.Unmarshal(rec.Body.Bytes(), &f))
	return f
}

// A trap is a listener on this machine to which nothing may connect.
type trap struct {
	port     string
	listener []net.Listener
	accepted chan string // remote addresses
}

func newTrap(t *testing.T) *trap {
	t.Helper()
	v4, err := net.Listen("tcp4", "127.0.0.1:0")
	require.NoError(t, err)
	tr := &trap{accepted: make(chan string, 1000), listener: []net.Listener{v4}}
	_, tr.port, _ = net.SplitHostPort(v4.Addr().String())
	if v6, err := net.Listen("tcp6", "[::1]:"+tr.port); err == nil {
		tr.listener = append(tr.listener, v6)
	}
	var accepting sync.WaitGroup
	for _, l := range tr.listener {
		t.Cleanup(func() { l.Close() })
		accepting.Go(func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				conn.Close()
				tr.accepted <- conn.RemoteAddr().String()
			}
		})
	}
	t.Cleanup(func() {
		for _, l := range tr.listener {
			l.Close()
		}
		accepting.Wait()
	})
	return tr
}

// assertUntouched connects to the trap itself: on each of its addresses that
// connection must be the first one.
func (tr *trap) assertUntouched(t *testing.T) {
	t.Helper()
	for _, l := range tr.listener {
		conn, err := net.Dial("tcp", l.Addr().String())
		require.NoError(t, err)
		defer conn.Close()
		assert.Equal(t, conn.LocalAddr().String(), <-tr.accepted, "somebody connected before")
	}
}

// The default client connects to no address that is not public, in whatever form it
// is written. The guard refuses it before a packet is sent.
func TestHTTPClientRefusesAddresses(t *testing.T) {
	trap := newTrap(t)
	const refused, unknown = "address not allowed", "host name not found"
	cases := []struct{ host, reason string }{
		// This machine.
		{"127.0.0.1", refused},
		{"127.0.0.2", refused},
		{"127.255.255.254", refused},
		{"0.0.0.0", refused},
		{"0.1.2.3", refused},
		{"[::1]", refused},
		{"[::]", refused},
		{"[0:0:0:0:0:0:0:1]", refused},
		{"localhost", refused},
		{"LocalHost", refused},
		{"localhost.", refused},
		{"localhost.test", refused},
		{"several.test", refused},
		{"SEVERAL.TEST.", refused},
		{"127.0.0.1.", refused},
		// Its numbers in other notations: names to Go, addresses to C.
		{"2130706433", refused},
		{"017700000001", refused},
		{"0177.0.0.1", refused},
		{"127.1", refused},
		{"127.0.1", refused},
		{"0x7f000001", refused},
		{"0x7f.0.0.0x1", refused},
		{"①②⑦.⓪.⓪.①", refused},
		{"127。0。0。1", refused},
		// IPv4 in IPv6.
		{"[::ffff:127.0.0.1]", refused},
		{"[::ffff:7f00:1]", refused},
		{"[0:0:0:0:0:ffff:169.254.169.254]", refused},
		{"[::ffff:10.0.0.1]", refused},
		{"mapped.test", refused},
		{"[::127.0.0.1]", refused},          // compatible
		{"[::a9fe:a9fe]", refused},          // compatible
		{"[::ffff:0:127.0.0.1]", refused},   // translated
		{"[64:ff9b::127.0.0.1]", refused},   // NAT64
		{"[64:ff9b::a9fe:a9fe]", refused},   // NAT64
		{"[64:ff9b:1::7f00:1]", refused},    // NAT64, local
		{"[2002:7f00:1::]", refused},        // 6to4
		{"[2002:a9fe:a9fe::1]", refused},    // 6to4
		{"[2001:0:7f00:1::]", refused},      // Teredo, server
		{"[2001::5efe:80ff:fffe]", refused}, // Teredo, client
		{"[fe80::5efe:127.0.0.1]", refused}, // ISATAP
		{"[2001:db8::1]", refused},          // documentation
		{"[3fff::1]", refused},              // documentation
		{"[100::1]", refused},               // discard
		{"[2001:2::1]", refused},            // benchmarks
		{"[2001:10::1]", refused},           // ORCHID
		{"[5f00::1]", refused},              // segment routing
		{"[4000::1]", refused},              // not handed out
		{"[fc00::1]", refused},              // unique local
		{"[fdff:ffff::1]", refused},         // unique local
		{"[fe80::1]", refused},              // link-local
		{"[fe80::1%25lo]", refused},         // with a zone
		{"[::1%25lo]", refused},             // with a zone
		{"[fec0::1]", refused},              // site-local
		{"[ff02::1]", refused},              // multicast
		{"[ff0e::1]", refused},              // multicast
		// Private networks.
		{"10.0.0.1", refused},
		{"10.255.255.255", refused},
		{"172.16.0.1", refused},
		{"172.31.255.255", refused},
		{"192.168.0.1", refused},
		{"192.168.255.255", refused},
		{"private.test", refused},
		{"100.64.0.1", refused}, // carrier-grade NAT
		{"100.127.255.254", refused},
		{"169.254.1.1", refused}, // link-local
		// Cloud metadata.
		{"169.254.169.254", refused},
		{"169.254.170.2", refused},
		{"100.100.100.200", refused},
		{"192.0.0.192", refused},
		{"[fd00:ec2::254]", refused},
		{"[fd20:ce::254]", refused},
		{"0xa9fea9fe", refused},
		{"metadata.test", refused},
		{"metadata.google.internal", unknown},
		// Addresses that no client may connect to.
		{"192.0.0.8", refused},
		{"192.0.2.1", refused},
		{"198.18.0.1", refused},
		{"198.51.100.1", refused},
		{"203.0.113.1", refused},
		{"192.88.99.1", refused},
		{"224.0.0.1", refused},
		{"240.0.0.1", refused},
		{"255.255.255.255", refused},
		{"nowhere.test", unknown},
	}
	client := new(callback.HTTPClient)
	requireGuard(t, client)
	for _, c := range cases {
		h, log := outboundHandler(t, fetchScript, client)
		got := fetch(t, h, "url", "http://"+c.host+":"+trap.port+"/")
		assert.True(t, got.Null, c.host)
		assert.Contains(t, log.String(), `reason="`+c.reason+`"`, c.host)
	}
	trap.assertUntouched(t)
}

// requireGuard ends the test if the client has no guard, so that no later request
// leaves the machine. It tries an address of this machine.
func requireGuard(t *testing.T, client *callback.HTTPClient) {
	t.Helper()
	for _, url := range []string{"http://127.0.0.1:1/", "http://[::1]:1/", "http://localhost:1/"} {
		h, log := outboundHandler(t, fetchScript, client)
		require.True(t, fetch(t, h, "url", url).Null)
		require.Contains(t, log.String(), "address not allowed")
	}
}

// The guard also protects TLS connections, and all ports.
func TestHTTPClientRefusesPortsAndSchemes(t *testing.T) {
	requireGuard(t, new(callback.HTTPClient))
	trap := newTrap(t)
	for raw, reason := range map[string]string{
		"https://127.0.0.1:" + trap.port:               "address not allowed",
		"https://[::1]:" + trap.port:                   "address not allowed",
		"http://127.0.0.1":                             "address not allowed",
		"https://localhost":                            "address not allowed",
		"http://169.254.169.254:443":                   "address not allowed",
		"HTTP://127.0.0.1:1":                           "address not allowed",
		"":                                             "not an http or https URL",
		"//127.0.0.1/":                                 "not an http or https URL",
		"127.0.0.1:" + trap.port:                       "not an http or https URL",
		"http:127.0.0.1":                               "address not allowed",
		"http:///127.0.0.1/etc/passwd":                 "address not allowed",
		"file:///etc/passwd":                           "not an http or https URL",
		"ftp://127.0.0.1/":                             "not an http or https URL",
		"gopher://127.0.0.1:6379/_PING":                "not an http or https URL",
		"unix:///var/run/docker.sock":                  "not an http or https URL",
		"data:text/plain,x":                            "not an http or https URL",
		"http://127.0.0.1:99999999999/":                "",
		"http://127.0.0.1\r\nX: y/":                    "not an http or https URL",
		"http://127.0.0.1\x00/":                        "not an http or https URL",
		"http://[::1/":                                 "not an http or https URL",
		"http://[::1]x/":                               "not an http or https URL",
		"http://%31%32%37.0.0.1:" + trap.port:          "address not allowed",
		"http://%zz/":                                  "not an http or https URL",
		"http://[fe80::1%lo]/":                         "not an http or https URL",
		"http://" + strings.Repeat("a", 100_000) + "/": "",
	} {
		h, log := outboundHandler(t, fetchScript, new(callback.HTTPClient))
		assert.True(t, fetch(t, h, "url", raw).Null, raw)
		assert.Contains(t, log.String(), "callback: outbound request failed", raw)
		assert.Contains(t, log.String(), reason, raw)
	}
	trap.assertUntouched(t)
}

func TestHTTPClientDangerouslyAllowPrivate(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprint(w, "at ", r.Host)
	}))
	defer upstream.Close()
	_, port, _ := net.SplitHostPort(upstream.Listener.Addr().String())
	for host, read := range map[string]string{
		"127.0.0.1": "127.0.0.1", "localhost": "localhost", "[::ffff:127.0.0.1]": "[::ffff:7f00:1]",
		"upstream.test": "upstream.test", "0x7f000001": "127.0.0.1",
	} {
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		got := fetch(t, h, "url", "http://"+host+":"+port)
		assert.Equal(t, fetched{Code: 200, Text: "at " + read + ":" + port}, got, log)
	}
	// The zero client is the Handler's own.
	h, log := outboundHandler(t, fetchScript, nil)
	assert.True(t, fetch(t, h, "url", upstream.URL).Null)
	assert.Contains(t, log.String(), "address not allowed")
}

// The addresses of TestHTTPClientAcrossPublicAddresses.
const (
	publicIPv4 = "93.184.216.34"
	publicIPv6 = "2606:2800:220:1::1"
	ownIPv4    = "93.184.216.40" // public, and of this machine
)

// In a network namespace whose loopback device has public addresses, the default
// client connects to these. It follows them to no other address, whether by a
// redirect or by a name that changes.
func TestHTTPClientAcrossPublicAddresses(t *testing.T) {
	const inside = "CALLBACK_TEST_NAMESPACE"
	if os.Getenv(inside) == "" {
		setUp := "ip link set lo up"
		for _, addr := range []string{ownIPv4, "169.254.169.254", "10.0.0.1"} {
			setUp += " && ip addr add " + addr + "/32 dev lo"
		}
		// Addresses on which the test can listen, although they are not the machine's
		// own.
		for _, addr := range []string{publicIPv4, "168.63.129.16"} {
			setUp += " && ip route add local " + addr + "/32 dev lo"
		}
		setUp += "; ip -6 route add local " + publicIPv6 + "/128 dev lo"
		cmd := exec.Command("unshare", "-rn", "sh", "-c", setUp+`; exec "$0" "-test.run=^TestHTTPClientAcrossPublicAddresses$" -test.v`, os.Args[0])
		cmd.Env = append(os.Environ(), inside+"=1")
		out, err := cmd.CombinedOutput()
		switch {
		case bytes.Contains(out, []byte("--- SKIP")), err != nil && !bytes.Contains(out, []byte("=== RUN")):
			t.Skipf("needs a network namespace: %v\n%s", err, out)
		case err != nil:
			t.Fatalf("%v\n%s", err, out)
		}
		require.Contains(t, string(out), "--- PASS: TestHTTPClientAcrossPublicAddresses")
		return
	}

	// To listen on the address proves that it is this machine's.
	public, err := net.Listen("tcp", publicIPv4+":80")
	if err != nil {
		t.Skip(err)
	}
	var reached atomic.Int64
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			w.Header().Set("Connection", "close") // the next request looks the name up anew
			http.Redirect(w, r, to, http.StatusTemporaryRedirect)
			return
		}
		fmt.Fprint(w, "public")
	}))
	server.Listener = public
	server.Start()
	defer server.Close()
	for _, addr := range []string{"127.0.0.1:80", "10.0.0.1:80", "169.254.169.254:80", "[::1]:80", ownIPv4 + ":80", "168.63.129.16:80"} {
		l, err := net.Listen("tcp", addr)
		if err != nil {
			continue // no IPv6
		}
		defer l.Close()
		go func() {
			for {
				conn, err := l.Accept()
				if err != nil {
					return
				}
				reached.Add(1)
				_, _ = io.WriteString(conn, "HTTP/1.0 200 OK\r\n\r\nprivate")
				conn.Close()
			}
		}()
	}

	for _, host := range []string{publicIPv4, "[::ffff:" + publicIPv4 + "]", "public.test", "both.test"} {
		h, log := outboundHandler(t, fetchScript, new(callback.HTTPClient))
		assert.Equal(t, fetched{Code: 200, Text: "public"}, fetch(t, h, "url", "http://"+host+"/"), "%s: %s", host, log)
	}
	if v6, err := net.Listen("tcp", "["+publicIPv6+"]:80"); err == nil {
		go func() { _ = http.Serve(v6, server.Config.Handler) }()
		defer v6.Close()
		h, log := outboundHandler(t, fetchScript, new(callback.HTTPClient))
		assert.Equal(t, fetched{Code: 200, Text: "public"}, fetch(t, h, "url", "http://["+publicIPv6+"]/"), log)
	}
	for _, to := range []string{
		"http://127.0.0.1/", "http://localhost/", "http://[::1]/", "http://[::ffff:127.0.0.1]/", "http://10.0.0.1/",
		"http://169.254.169.254/latest/meta-data/", "http://metadata.test/", "http://0x7f000001/", "https://127.0.0.1:80/",
		"//127.0.0.1/", "http://both.test@127.0.0.1/", "http://" + ownIPv4 + "/", "http://[::ffff:" + ownIPv4 + "]/", "http://168.63.129.16/",
	} {
		h, log := outboundHandler(t, fetchScript, new(callback.HTTPClient))
		assert.True(t, fetch(t, h, "url", "http://public.test/?to="+url.QueryEscape(to)).Null, to)
		assert.Contains(t, log.String(), "address not allowed", to)
	}
	// The name has a public address at its first look-up, and a private one
	// afterwards.
	h, log := outboundHandler(t, fetchScript, new(callback.HTTPClient))
	again := "http://later-private.test/?to=" + url.QueryEscape("http://later-private.test/")
	assert.True(t, fetch(t, h, "url", again).Null)
	assert.Contains(t, log.String(), "address not allowed")
	assert.Greater(t, laterPrivate.Load(), int64(1), "the name was not looked up again")
	assert.Zero(t, reached.Load(), "a private address was dialled")
}

// TestHTTPClientAllow: Allow is asked for every hop, before the name is looked up.
func TestHTTPClientAllow(t *testing.T) {
	other, reached := "", 0
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, other, http.StatusFound)
			return
		}
		fmt.Fprint(w, "at ", r.URL.Path)
	}))
	defer upstream.Close()
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { reached++ }))
	defer elsewhere.Close()
	allowed := strings.TrimPrefix(upstream.URL, "http://")
	var judged []string
	client := &callback.HTTPClient{DangerouslyAllowPrivate: true, Allow: func(u *url.URL) error {
		judged = append(judged, u.Host)
		u.Path = "/changed"
		if u.Host != allowed {
			return errors.New("s3cret: " + u.String())
		}
		return nil
	}}
	for _, test := range []struct {
		url, other string
		judged     []string
	}{
		{upstream.URL + "/here", "", []string{allowed}},
		{upstream.URL + "/away", upstream.URL + "/here", []string{allowed, allowed}},
		{elsewhere.URL, "", []string{strings.TrimPrefix(elsewhere.URL, "http://")}},
		{upstream.URL + "/away", elsewhere.URL, []string{allowed, strings.TrimPrefix(elsewhere.URL, "http://")}},
		{"http://nowhere.test/", "", []string{"nowhere.test"}},
		{upstream.URL + "/away", "http://nowhere.test/", []string{allowed, "nowhere.test"}},
	} {
		judged, other = nil, test.other
		h, log := outboundHandler(t, fetchScript, client)
		got := fetch(t, h, "url", test.url)
		require.Equal(t, test.judged, judged)
		if judged[len(judged)-1] == allowed {
			require.Equal(t, fetched{Code: 200, Text: "at /here"}, got)
			continue
		}
		require.True(t, got.Null)
		require.Contains(t, log.String(), `reason="URL not allowed by the host"`)
		require.NotContains(t, log.String(), "s3cret")
	}
	require.Zero(t, reached)
}

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

// TestHTTPClientRedirectToOtherScheme: the script's headers are dropped when a
// redirect changes the scheme, in either direction.
func TestHTTPClientRedirectToOtherScheme(t *testing.T) {
	certified := httptest.NewTLSServer(http.NotFoundHandler())
	defer certified.Close()
	upstream := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if to := r.URL.Query().Get("to"); to != "" {
			http.Redirect(w, r, to, http.StatusFound)
			return
		}
		fmt.Fprintf(w, "%t %q", r.TLS != nil, r.Header.Get("X-Key"))
	}))
	config := certified.TLS.Clone()
	config.NextProtos = nil
	upstream.Listener = bothProtocols{upstream.Listener, config}
	upstream.Start()
	defer upstream.Close()
	secure := strings.Replace(upstream.URL, "http:", "https:", 1)
	for _, test := range []struct{ from, to, want string }{
		{upstream.URL, upstream.URL, `false "key"`},
		{secure, secure, `true "key"`},
		{secure, upstream.URL, `false ""`},
		{upstream.URL, secure, `true ""`},
	} {
		h, log := outboundHandler(t, `
			var answer = Spark.getHttp(Spark.getData().url).setHeaders({"X-Key": "key"}).get();
			Spark.setScriptData("RESPONSE_RAW", String(answer && answer.getResponseString()));
		`, &callback.HTTPClient{DangerouslyAllowPrivate: true, Transport: trusting(certified)})
		rec := callHello(h, "url", test.from+"/?"+url.Values{"to": {test.to}}.Encode())
		require.Equal(t, test.want, rec.Body.String(), log)
	}
}

func TestHTTPClientRedirectChain(t *testing.T) {
	var requests atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		requests.Add(1)
		left, _ := strconv.Atoi(r.URL.Query().Get("left"))
		if left == 0 {
			fmt.Fprint(w, "arrived")
			return
		}
		http.Redirect(w, r, fmt.Sprintf("/?left=%d", left-1), http.StatusFound)
	}))
	defer upstream.Close()
	for _, c := range []struct {
		redirects int
		want      fetched
		requests  int64
	}{
		{0, fetched{Code: 200, Text: "arrived"}, 1},
		{5, fetched{Code: 200, Text: "arrived"}, 6},
		{6, fetched{Null: true}, 6},
		{1000, fetched{Null: true}, 6},
	} {
		requests.Store(0)
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		assert.Equal(t, c.want, fetch(t, h, "url", fmt.Sprintf("%s/?left=%d", upstream.URL, c.redirects)))
		assert.Equal(t, c.requests, requests.Load(), "%d redirects", c.redirects)
		assert.Equal(t, c.want.Null, strings.Contains(log.String(), `reason="too many redirects"`), log)
	}
}

func TestHTTPClientRedirectTargets(t *testing.T) {
	var location string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if location != "" {
			w.Header().Set("Location", location)
		}
		w.WriteHeader(http.StatusFound)
	}))
	defer upstream.Close()
	for _, location = range []string{
		"file:///etc/passwd", "ftp://127.0.0.1/", "gopher://127.0.0.1/", "javascript:alert(1)", "data:,x",
		"unix:///var/run/docker.sock", "http://", "https://[", "http://%zz/", ":", "http://a b/",
	} {
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		assert.True(t, fetch(t, h, "url", upstream.URL).Null, location)
		assert.Contains(t, log.String(), "callback: outbound request failed", location)
		assert.NotContains(t, log.String(), "docker.sock")
	}
	location = "" // without one the redirect is an answer like any other
	h, _ := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
	assert.Equal(t, fetched{Code: 302}, fetch(t, h, "url", upstream.URL))
}

// After a redirect to another host, port or scheme, the script's headers are never
// sent again, not even to the first host.
func TestHTTPClientRedirectDropsHeaders(t *testing.T) {
	type hop struct {
		at     string
		header http.Header
		body   string
		method string
	}
	var mu sync.Mutex
	var hops []hop
	upstream := func(name string) *httptest.Server {
		s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			mu.Lock()
			hops = append(hops, hop{name, r.Header.Clone(), string(body), r.Method})
			mu.Unlock()
			to := r.URL.Query()["to"]
			if len(to) == 0 {
				fmt.Fprint(w, "arrived")
				return
			}
			code, next, _ := strings.Cut(to[0], " ")
			status, _ := strconv.Atoi(code)
			if rest := to[1:]; len(rest) > 0 {
				next += "?" + url.Values{"to": rest}.Encode()
			}
			w.Header().Set("Location", next)
			w.WriteHeader(status)
		}))
		t.Cleanup(s.Close)
		return s
	}
	a, b := upstream("a"), upstream("b")
	_, portA, _ := net.SplitHostPort(a.Listener.Addr().String())
	const script = `
		var http = Spark.getHttp(Spark.getData().url).setHeaders({
			"X-Api-Key": "key-0001", Cookie: "session=cookie-0001", "X-Custom": ["custom-0001", "custom-0002"],
			"Content-Type": "application/x-mine", "User-Agent": "agent-0001", Referer: "https://referer-0001/",
			"WWW-Authenticate": "www-0001", "Proxy-Authorization": "proxy-0001", "Cookie2": "cookie-0002",
		}).setBasicAuth("user-0001", "password-0001");
		var answer = http[Spark.getData().method]("body-0001");
		Spark.setScriptData("text", answer && answer.getResponseString());
	`
	for _, c := range []struct {
		name, method string
		to           []string // after a
		at           string   // the servers' names in turn
		kept         int      // how many requests have the script's headers
		bodies       int      // how many have the body
	}{
		{name: "same host", method: "get", to: []string{"302 /x"}, at: "aa", kept: 2},
		{name: "other port", method: "get", to: []string{"302 " + b.URL + "/x"}, at: "ab", kept: 1},
		{name: "away and back", method: "get", to: []string{"302 " + b.URL + "/x", "302 " + a.URL + "/x"}, at: "aba", kept: 1},
		{name: "other name", method: "get", to: []string{"302 http://other.test:" + portA + "/x"}, at: "aa", kept: 1},
		{name: "subdomain", method: "get", to: []string{"302 http://localhost.test:" + portA + "/x", "302 /y"}, at: "aaa", kept: 1},
		{name: "with credentials", method: "get", to: []string{"302 http://someone:else@127.0.0.1:" + portA + "/x"}, at: "aa", kept: 2},
		{name: "307 here", method: "postString", to: []string{"307 /x"}, at: "aa", kept: 2, bodies: 2},
		{name: "307 away", method: "postString", to: []string{"307 " + b.URL + "/x"}, at: "ab", kept: 1, bodies: 2},
		{name: "308 away and back", method: "postString", to: []string{"308 " + b.URL + "/x", "308 " + a.URL + "/x"}, at: "aba", kept: 1, bodies: 3},
		{name: "302 of a POST", method: "postString", to: []string{"302 /x"}, at: "aa", kept: 2, bodies: 1},
		{name: "303 of a PUT away", method: "putString", to: []string{"303 " + b.URL + "/x"}, at: "ab", kept: 1, bodies: 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			hops = nil
			h, log := outboundHandler(t, script, &callback.HTTPClient{DangerouslyAllowPrivate: true})
			rec := callHello(h, "url", a.URL+"/?"+url.Values{"to": c.to}.Encode(), "method", c.method)
			require.JSONEq(t, `{"text":"arrived"}`, rec.Body.String(), log)
			at := ""
			for i, hop := range hops {
				at += hop.at
				_, told := hop.header["X-Api-Key"]
				if i < c.kept {
					assert.True(t, told, "request %d lacks the headers", i)
					assert.Equal(t, []string{"custom-0001", "custom-0002"}, hop.header["X-Custom"])
				} else {
					var text strings.Builder
					_ = hop.header.Write(&text)
					assert.NotContains(t, text.String(), "-000", "request %d", i)
					assert.NotContains(t, hop.header, "Authorization", "request %d", i)
				}
				if i > 0 {
					assert.NotContains(t, hop.header, "Referer", "request %d", i)
				}
				if i < c.bodies {
					assert.Equal(t, "body-0001", hop.body, "request %d", i)
					assert.Equal(t, "application/x-mine", hop.header.Get("Content-Type"), "request %d", i)
				} else {
					assert.Empty(t, hop.body, "request %d", i)
				}
			}
			assert.Equal(t, c.at, at)
		})
	}
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

// One KiB that inflates to one MiB, again and again.
var gzipBomb = sync.OnceValue(func() []byte {
	var buf bytes.Buffer
	w, _ := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	_, _ = w.Write(make([]byte, 1<<20))
	_ = w.Close()
	return buf.Bytes()
})

func TestHTTPClientGzipBomb(t *testing.T) {
	var sent atomic.Int64
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Encoding", "gzip")
		for range 1024 { // 1 GiB
			if _, err := w.Write(gzipBomb()); err != nil {
				return
			}
			sent.Add(1)
		}
	}))
	defer upstream.Close()
	h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
	_ = callHello(h, "url", "x:") // warm up
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	got := fetch(t, h, "url", upstream.URL)
	runtime.ReadMemStats(&after)
	assert.True(t, got.Null)
	assert.Contains(t, log.String(), `reason="answer too large"`)
	// 4 MiB are read. Growing a buffer to that size allocates about four times as
	// much.
	assert.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(64<<20))
}

func TestHTTPClientBodyLimit(t *testing.T) {
	const limit = 100_000
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		size, _ := strconv.Atoi(r.URL.Query().Get("size"))
		body := io.Writer(w)
		if r.URL.Path == "/gzip" {
			w.Header().Set("Content-Encoding", "gzip")
			z := gzip.NewWriter(w)
			defer z.Close()
			body = z
		}
		if r.URL.Path == "/length" {
			w.Header().Set("Content-Length", strconv.Itoa(size))
		}
		_, _ = io.WriteString(body, strings.Repeat("x", size))
	}))
	defer upstream.Close()
	for _, path := range []string{"/gzip", "/length", "/chunked"} {
		for _, size := range []int{0, limit - 1, limit, limit + 1, 2 * limit} {
			h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
			h.MaxHTTPBody = limit
			got := fetch(t, h, "url", fmt.Sprintf("%s%s?size=%d", upstream.URL, path, size))
			if size <= limit {
				assert.Equal(t, size, len(got.Text), path)
				assert.Empty(t, log.String())
			} else {
				assert.True(t, got.Null, path)
				assert.Contains(t, log.String(), `reason="answer too large"`, path)
			}
		}
	}
	h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
	h.MaxHTTPBody = math.MaxInt64 // no limit
	assert.Equal(t, "xxxx", fetch(t, h, "url", upstream.URL+"/length?size=4").Text, log)
}

// rawUpstream answers each connection's first request with what answer writes.
func rawUpstream(t *testing.T, answer func(conn net.Conn)) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	var serving sync.WaitGroup
	serving.Go(func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			serving.Go(func() {
				defer conn.Close()
				_, _ = conn.Read(make([]byte, 4096))
				answer(conn)
			})
		}
	})
	t.Cleanup(func() { l.Close(); serving.Wait() })
	return "http://" + l.Addr().String()
}

func TestHTTPClientHeaderFlood(t *testing.T) {
	flood := func(line func(i int) string, sent *atomic.Int64) func(net.Conn) {
		return func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n")
			for i := 0; i < 1<<20; i++ {
				n, err := io.WriteString(conn, line(i))
				sent.Add(int64(n))
				if err != nil {
					return
				}
			}
		}
	}
	long := strings.Repeat("x", 1<<10)
	for name, line := range map[string]func(int) string{
		"many":     func(i int) string { return fmt.Sprintf("X-%d: %s\r\n", i, long) },
		"repeated": func(int) string { return "Set-Cookie: " + long + "\r\n" },
		"one line": func(i int) string { return map[bool]string{true: "X: "}[i == 0] + long },
		"folded":   func(i int) string { return map[bool]string{true: "X: "}[i == 0] + long + "\r\n " },
	} {
		t.Run(name, func(t *testing.T) {
			var sent atomic.Int64
			h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
			assert.True(t, fetch(t, h, "url", rawUpstream(t, flood(line, &sent))).Null)
			assert.Contains(t, log.String(), "callback: outbound request failed")
			assert.Less(t, sent.Load(), int64(64<<20), "read on past the limit") // what the sockets' buffers take
		})
	}
	t.Run("stopped at the limit", func(t *testing.T) {
		hang := make(chan struct{})
		upstream := rawUpstream(t, func(conn net.Conn) {
			_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\n"+strings.Repeat("X: "+long+"\r\n", 256))
			<-hang // a client that reads on waits for more
		})
		t.Cleanup(func() { close(hang) })
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		assert.True(t, fetch(t, h, "url", upstream).Null)
		assert.Contains(t, log.String(), `reason="request failed"`)
	})
	t.Run("just below", func(t *testing.T) {
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		got := fetch(t, h, "url", rawUpstream(t, func(conn net.Conn) {
			fmt.Fprintf(conn, "HTTP/1.1 200 OK\r\nX: %s\r\nContent-Length: 2\r\n\r\nok", strings.Repeat("x", 60<<10))
		}))
		assert.Equal(t, fetched{Code: 200, Text: "ok"}, got, log)
	})
	// A host's own HTTPDoer may have no limit. The Handler's limit holds for it.
	h, log := outboundHandler(t, fetchScript, callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"X": {strings.Repeat("x", 64<<10)}}}, nil
	}))
	assert.True(t, fetch(t, h, "url", "http://upstream.test/").Null)
	assert.Contains(t, log.String(), `reason="answer too large"`)
}

func TestHTTPClientBrokenAnswers(t *testing.T) {
	for name, answer := range map[string]string{
		"none":                  "",
		"not HTTP":              "SSH-2.0-OpenSSH_9.6\r\n",
		"no headers' end":       "HTTP/1.1 200 OK\r\nX: y\r\n",
		"short body":            "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nshort",
		"two lengths":           "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab",
		"negative length":       "HTTP/1.1 200 OK\r\nContent-Length: -1\r\n\r\n",
		"bad chunk":             "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
		"huge chunk size":       "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffffff\r\n",
		"not gzip":              "HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 4\r\n\r\nabcd",
		"status 0":              "HTTP/1.1 000 Nothing\r\n\r\n",
		"status -1":             "HTTP/1.1 -12 Nothing\r\n\r\n",
		"informational forever": strings.Repeat("HTTP/1.1 103 Early Hints\r\nX: y\r\n\r\n", 10_000),
		"header name":           "HTTP/1.1 200 OK\r\n\x00: y\r\n\r\n",
	} {
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		url := rawUpstream(t, func(conn net.Conn) { _, _ = io.WriteString(conn, answer) })
		if name == "status 0" {
			assert.Zero(t, fetch(t, h, "url", url).Code, name) // net/http lets it pass
			continue
		}
		assert.True(t, fetch(t, h, "url", url).Null, name)
		assert.Contains(t, log.String(), "callback: outbound request failed", name)
	}
}

// There are three time-outs: of the script, of the Handler and of the run. Each ends
// a request that hangs before its header or in its body. The other two are so long
// that the test would not end.
func TestHTTPClientTimeouts(t *testing.T) {
	hang := make(chan struct{})
	slowHeader := rawUpstream(t, func(conn net.Conn) { <-hang })
	slowBody := rawUpstream(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nbegin")
		<-hang
	})
	slowLine := rawUpstream(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nX: ")
		<-hang
	})
	t.Cleanup(func() { close(hang) }) // before rawUpstream waits for it
	for _, upstream := range []string{slowHeader, slowBody, slowLine} {
		h, log := outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		h.Timeout, h.HTTPTimeout = time.Hour, time.Hour
		assert.True(t, fetch(t, h, "url", upstream, "timeout", "50").Null)
		assert.Contains(t, log.String(), `reason="timed out"`)

		h, log = outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		h.Timeout, h.HTTPTimeout = time.Hour, 50*time.Millisecond
		assert.True(t, fetch(t, h, "url", upstream).Null)
		assert.Contains(t, log.String(), `reason="timed out"`)

		h, _ = outboundHandler(t, fetchScript, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		h.Timeout, h.HTTPTimeout = 50*time.Millisecond, time.Hour
		rec := callHello(h, "url", upstream, "timeout", "3600000")
		assert.Equal(t, 504, rec.Code)
		assert.JSONEq(t, `{"error":"script timed out"}`, rec.Body.String())
	}
}

// The HTTPDoer sees the deadline that a request has from its time-outs.
func TestGetHttpTimeout(t *testing.T) {
	var left time.Duration
	doer := callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
		deadline, ok := req.Context().Deadline()
		if !ok {
			return nil, errors.New("no deadline")
		}
		left = time.Until(deadline)
		return &http.Response{StatusCode: 200}, nil
	})
	const slack = 10 * time.Second
	for _, c := range []struct {
		arg         string
		host, call  time.Duration // Handler.HTTPTimeout, Handler.Timeout
		want        time.Duration
		isTypeError bool
	}{
		{call: time.Hour, want: callback.DefaultHTTPTimeout},
		{arg: ", null", call: time.Hour, want: callback.DefaultHTTPTimeout},
		{arg: ", undefined", host: time.Minute, call: time.Hour, want: time.Minute},
		{arg: ", 120000", host: time.Minute, call: time.Hour, want: 2 * time.Minute},
		{arg: ", 120000.9", call: time.Hour, want: 2 * time.Minute},
		{arg: ", 1e300", call: time.Hour, want: time.Hour},
		{arg: ", Infinity", call: time.Hour, want: time.Hour},
		{arg: ", 3600000", call: time.Minute, want: time.Minute},
		{host: time.Hour, call: time.Minute, want: time.Minute},
		{arg: ", 0", isTypeError: true},
		{arg: ", -1", isTypeError: true},
		{arg: ", NaN", isTypeError: true},
		{arg: ", '500'", isTypeError: true},
		{arg: ", {}", isTypeError: true},
		{arg: ", true", isTypeError: true},
	} {
		left = 0
		h, log := outboundHandler(t, `
			try { Spark.getHttp("http://upstream.test/"`+c.arg+`).get() } catch (e) { Spark.setScriptData("error", String(e)) }
		`, doer)
		h.Timeout, h.HTTPTimeout = c.call, c.host
		rec := callHello(h)
		if c.isTypeError {
			assert.JSONEq(t, `{"error":"TypeError: Spark.getHttp: timeoutMs must be a number of at least 1"}`, rec.Body.String(), c.arg)
			continue
		}
		assert.Equal(t, "{}", rec.Body.String(), "%s: %s", c.arg, log)
		assert.LessOrEqual(t, left, c.want, c.arg)
		assert.Greater(t, left, c.want-min(slack, c.want), c.arg)
	}
}

func TestHTTPCallsPerRun(t *testing.T) {
	var sent atomic.Int64
	doer := callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
		sent.Add(1)
		return &http.Response{StatusCode: 200}, nil
	})
	const script = `
		var nulls = 0;
		for (var i = 0; i < Number(Spark.getData().n); i++) {
			if (Spark.getHttp("http://upstream.test/").get() === null) nulls++;
		}
		Spark.setScriptData("nulls", nulls);
	`
	for _, c := range []struct{ max, calls, sent int }{{0, 20, 20}, {0, 21, 20}, {3, 10, 3}, {0, 0, 0}} {
		sent.Store(0)
		h, log := outboundHandler(t, script, doer)
		h.MaxHTTPCalls = c.max
		rec := callHello(h, "n", strconv.Itoa(c.calls))
		assert.JSONEq(t, fmt.Sprintf(`{"nulls":%d}`, c.calls-c.sent), rec.Body.String())
		assert.EqualValues(t, c.sent, sent.Load())
		assert.Equal(t, c.calls-c.sent, strings.Count(log.String(), `reason="too many outbound requests in one run"`))
		// The next run has its own count.
		assert.JSONEq(t, `{"nulls":0}`, callHello(h, "n", strconv.Itoa(c.sent)).Body.String())
	}
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

// An HTTPDoer that breaks its contract harms only its own call: the caller gets an
// answer, the server goes on, and no run remains once the HTTPDoer has returned.
func TestHTTPDoerMisbehaves(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	body := func(r io.Reader) func(*http.Request) (*http.Response, error) {
		return func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: io.NopCloser(r)}, nil
		}
	}
	for _, c := range []struct {
		name   string
		do     callback.HTTPDoerFunc
		status int
		body   string
		log    string
	}{
		{name: "panics", do: func(*http.Request) (*http.Response, error) { panic("panic-0001") },
			status: 200, body: `{"null":true}`, log: "callback: panic in the HTTPDoer"},
		{name: "panics with nil", do: func(*http.Request) (*http.Response, error) { panic(nil) },
			status: 200, body: `{"null":true}`, log: "callback: panic in the HTTPDoer"},
		{name: "dereferences nil", do: func(*http.Request) (*http.Response, error) { var r *http.Response; return nil, errors.New(r.Status) },
			status: 200, body: `{"null":true}`, log: "callback: panic in the HTTPDoer"},
		{name: "aborts", do: func(*http.Request) (*http.Response, error) { panic(http.ErrAbortHandler) },
			status: 200, body: `{"null":true}`, log: "callback: panic in the HTTPDoer"},
		{name: "nothing", do: func(*http.Request) (*http.Response, error) { return nil, nil },
			status: 200, body: `{"null":true}`, log: "callback: outbound request failed"},
		{name: "an error with the URL", do: func(r *http.Request) (*http.Response, error) {
			return nil, fmt.Errorf("GET %s: %v", r.URL, r.Header)
		}, status: 200, body: `{"null":true}`, log: "callback: outbound request failed"},
		{name: "an error and an answer", do: func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200}, errors.New("both")
		}, status: 200, body: `{"null":true}`, log: "callback: outbound request failed"},
		{name: "no body", do: func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: 204}, nil },
			status: 200, body: `{"null":false,"code":204,"text":""}`},
		{name: "no header", do: body(strings.NewReader("text")), status: 200, body: `{"null":false,"code":200,"text":"text"}`},
		{name: "body fails", do: body(io.MultiReader(strings.NewReader("text"), readerFunc(func([]byte) (int, error) { return 0, errors.New("broken") }))),
			status: 200, body: `{"null":true}`, log: "callback: outbound request failed"},
		{name: "body panics", do: body(readerFunc(func([]byte) (int, error) { panic("panic-0001") })),
			status: 200, body: `{"null":true}`, log: "callback: panic in the HTTPDoer"},
		{name: "body without end", do: body(readerFunc(func(p []byte) (int, error) { return len(p), nil })),
			status: 200, body: `{"null":true}`, log: `reason="answer too large"`},
		{name: "status below zero", do: func(*http.Request) (*http.Response, error) { return &http.Response{StatusCode: -5}, nil },
			status: 200, body: `{"null":false,"code":-5,"text":""}`},
		{name: "ends its goroutine", do: func(*http.Request) (*http.Response, error) { runtime.Goexit(); return nil, nil },
			status: 500, body: `{"error":"script failed"}`, log: "callback: script failed"},
	} {
		t.Run(c.name, func(t *testing.T) {
			h, log := outboundHandler(t, fetchScript, c.do)
			rec := callHello(h, "url", "http://user:password-0001@upstream.test/path-0001?query-0001")
			assert.Equal(t, c.status, rec.Code)
			assert.JSONEq(t, c.body, rec.Body.String())
			assert.Contains(t, log.String(), c.log)
			assert.NotContains(t, log.String(), "-0001")
			if c.log == "" {
				assert.Empty(t, log.String())
			}
		})
	}
}

// TestHTTPDoerReasons: the log has the text of an HTTPDoer's error, unless it holds a
// part of the request. Both runners agree.
func TestHTTPDoerReasons(t *testing.T) {
	const script = `
		Spark.getHttp("http://user-0001:pass-0001@api.example/path-0001?q=query-0001#part-0001")
			.setHeaders({"X-Key": "header-0001"}).postString("body");
	`
	scripts := fstest.MapFS{"callbacks/hello.js": {Data: []byte(script)}}
	sandboxed := &sandbox.Runner{Scripts: scripts, Processes: 1}
	defer sandboxed.Close()
	for name, runner := range map[string]callback.ScriptRunner{"in process": &callback.GojaRunner{Scripts: scripts}, "in sandbox": sandboxed} {
		for _, test := range []struct{ err, reason string }{
			{"circuit open", `"circuit open"`},
			{"callback: circuit open", `"circuit open"`},
			{strings.Repeat("x", 200), strings.Repeat("x", 200) + "\n"},
			{strings.Repeat("x", 201), strings.Repeat("x", 200) + "…\n"},
			{"", `"request failed"`},
			{"no route to path-0001", `"request failed"`},
			{"no query-0001", `"request failed"`},
			{"not user-0001", `"request failed"`},
			{"not pass-0001", `"request failed"`},
			{"callback: not pass-0001", `"request failed"`},
			{"key header-0001 is not known", `"request failed"`},
			{"see http://proxy.example/x", `"request failed"`},
		} {
			h, log := outboundHandler(t, "", callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) { return nil, errors.New(test.err) }))
			h.Runner, h.Timeout = runner, time.Minute
			require.Equal(t, "{}", callHello(h).Body.String(), name)
			require.Contains(t, log.String(), "host=api.example reason="+test.reason, name)
			require.NotContains(t, log.String(), "0001")
		}
	}
}

type readerFunc func(p []byte) (int, error)

func (f readerFunc) Read(p []byte) (int, error) { return f(p) }

// An HTTPDoer, or the body of its answer, may hang and ignore its context. The caller
// gets its 504 at the deadline all the same, and the place is free for others.
func TestHTTPDoerHangs(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, where := range []string{"Do", "Body"} {
		t.Run(where, func(t *testing.T) {
			release, ended := make(chan struct{}), make(chan struct{})
			deadline := testkit.NewDeadline(t.Context())
			doer := callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
				if where == "Do" {
					defer close(ended)
					deadline.Pass()
					<-release
					return nil, errors.New("late")
				}
				return &http.Response{StatusCode: 200, Body: io.NopCloser(readerFunc(func([]byte) (int, error) {
					defer close(ended)
					deadline.Pass()
					<-release
					return 0, io.EOF
				}))}, nil
			})
			h, log := outboundHandler(t, `if (Spark.getData().url) Spark.getHttp(Spark.getData().url).get()`, doer)
			h.Timeout, h.StopAbandoned = time.Minute, true // it ends with deadline
			h.Runner.(*callback.GojaRunner).MaxRunning = 1
			rec := httptest.NewRecorder()
			h.ServeHTTP(rec, httptest.NewRequestWithContext(deadline, "GET", "/callback/E3/hello/s3cret?url=http://upstream.test/", nil))
			assert.Equal(t, 504, rec.Code)
			assert.Contains(t, log.String(), "callback: script failed")
			assert.Equal(t, 200, callHello(h).Code, "the place is not free")
			close(release)
			<-ended
		})
	}
}

// Headers that a script must not set are left out, and the answer is inflated even if
// the script sets Accept-Encoding.
func TestSparkHttpHeadersOfTheConnection(t *testing.T) {
	var got http.Header
	var host string
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		got, host = r.Header.Clone(), r.Host
		w.Header().Set("Content-Encoding", "gzip")
		z := gzip.NewWriter(w)
		_, _ = io.WriteString(z, "inflated")
		_ = z.Close()
	}))
	defer upstream.Close()
	h, log := outboundHandler(t, `
		var answer = Spark.getHttp(Spark.getData().url).setHeaders({
			Host: "evil.test", "Content-Length": "5", "Transfer-Encoding": "chunked", Connection: "X-Kept", Trailer: "X",
			TE: "trailers", Upgrade: "websocket", "Keep-Alive": "x", "Proxy-Connection": "x", "accept-ENCODING": "identity",
			"X-Kept": "kept"
		}).get();
		Spark.setScriptData("text", answer.getResponseString());
	`, &callback.HTTPClient{DangerouslyAllowPrivate: true})
	assert.JSONEq(t, `{"text":"inflated"}`, callHello(h, "url", upstream.URL).Body.String(), log)
	assert.Equal(t, strings.TrimPrefix(upstream.URL, "http://"), host)
	assert.Equal(t, "kept", got.Get("X-Kept"))
	assert.Equal(t, "gzip", got.Get("Accept-Encoding"))
	for _, name := range []string{"Content-Length", "Transfer-Encoding", "Connection", "Trailer", "Te", "Upgrade", "Keep-Alive", "Proxy-Connection"} {
		assert.NotContains(t, got, name)
	}
	for _, bad := range []string{`"a\r\nb": "x"`, `"a": "x\r\nb: y"`, `"a": "x\u0000"`, `"": "x"`, `"a b": "x"`} {
		got = nil
		h, _ := outboundHandler(t, `
			try { Spark.getHttp(Spark.getData().url).setHeaders({`+bad+`}).get() } catch (e) { Spark.setScriptData("name", e.name) }
		`, &callback.HTTPClient{DangerouslyAllowPrivate: true})
		assert.JSONEq(t, `{"name":"TypeError"}`, callHello(h, "url", upstream.URL).Body.String(), bad)
		assert.Nil(t, got, bad)
	}
}

// Credentials in a URL are sent as Basic auth. However a request fails, the log has
// only the host of its URL.
func TestHTTPLogHoldsNoURL(t *testing.T) {
	upstream := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		user, password, _ := r.BasicAuth()
		fmt.Fprint(w, user, " ", password)
	}))
	loop := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, r.URL.String()+"x-0001", http.StatusFound)
	}))
	defer loop.Close()
	open := &callback.HTTPClient{DangerouslyAllowPrivate: true}
	h, _ := outboundHandler(t, fetchScript, open)
	with := func(raw string) string {
		return strings.Replace(raw, "//", "//user-0001:password-0001@", 1) + "/path-0001?query=query-0001#fragment-0001"
	}
	assert.Equal(t, "user-0001 password-0001", fetch(t, h, "url", with(upstream.URL)).Text)
	closed := upstream.URL
	upstream.Close()
	open.CloseIdleConnections() // or a request may meet one that is closing
	hang := make(chan struct{})
	slow := rawUpstream(t, func(net.Conn) { <-hang })
	t.Cleanup(func() { close(hang) })
	broken := rawUpstream(t, func(conn net.Conn) {
		_, _ = io.WriteString(conn, "HTTP/1.1 200 OK\r\nLocation: x-0001\r\nbroken-0001\r\n\r\n")
	})
	cut := rawUpstream(t, func(net.Conn) {})
	notTLS := strings.Replace(loop.URL, "http:", "https:", 1)
	for _, c := range []struct {
		url, reason string
		doer        callback.HTTPDoer
	}{
		{with(closed), "connection refused", open},
		{with(loop.URL), "too many redirects", open},
		{with(notTLS), "request failed", open},
		{with(slow), "timed out", open},
		{with(broken), "request failed", open},
		{with(cut), "", open},
		{with("http://nowhere.test"), "host name not found", open},
		{with("http://127.0.0.1"), "address not allowed", new(callback.HTTPClient)},
		{with("http://[::1%25zone]"), "address not allowed", new(callback.HTTPClient)},
		{with("ftp://upstream.test"), "not an http or https URL", open},
		{with("http://upstream.test:port"), "not an http or https URL", open},
		{with("http://upstream.test") + "%zz", "", open},
		{with("http://upstream.test") + "\x7f", "", open},
		{with("http://%zz"), "not an http or https URL", open},
		{"mailto:opaque-0001", "not an http or https URL", open},
		{with("http://upstream.test"), "request failed", callback.HTTPDoerFunc(func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: errors.New("dial " + r.URL.String())}
		})},
		{with("http://upstream.test"), "dial failed", callback.HTTPDoerFunc(func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: "Get", URL: r.URL.String(), Err: &net.OpError{Op: "dial", Err: errors.New("no route")}}
		})},
	} {
		h, log := outboundHandler(t, `
			Spark.getHttp(Spark.getData().url, Number(Spark.getData().timeout)).setBasicAuth("user-0001", "password-0001")
				.setHeaders({"X-Key": "header-0001"}).postJson({key: "body-0001"});
		`, c.doer)
		timeout := "9000"
		if c.reason == "timed out" {
			timeout = "50"
		}
		rec := callHello(h, "url", c.url, "timeout", timeout)
		assert.Equal(t, 200, rec.Code, c.url)
		assert.Contains(t, log.String(), c.reason, c.url)
		assert.Contains(t, log.String(), "callback: outbound request failed", c.url)
		assert.NotContains(t, log.String(), "0001", c.url)
	}
}
