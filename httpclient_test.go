package callback_test

import (
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"golang.org/x/net/dns/dnsmessage"

	"example.com/callback"
	"example.com/callback/internal/testkit"
)

// testNames are the names that exist in these tests. No query leaves the process. A C
// library reads names such as 0x7f000001 as addresses, Go looks them up. Here they
// have the addresses that a C library reads.
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
	var asked []string
	client := &callback.HTTPClient{DangerouslyAllowPrivate: true, Allow: func(u *url.URL) error {
		asked = append(asked, u.Host)
		u.Path = "/changed"
		if u.Host != allowed {
			return errors.New("s3cret: " + u.String())
		}
		return nil
	}}
	for _, test := range []struct {
		url, other string
		asked      []string
	}{
		{upstream.URL + "/here", "", []string{allowed}},
		{upstream.URL + "/away", upstream.URL + "/here", []string{allowed, allowed}},
		{elsewhere.URL, "", []string{strings.TrimPrefix(elsewhere.URL, "http://")}},
		{upstream.URL + "/away", elsewhere.URL, []string{allowed, strings.TrimPrefix(elsewhere.URL, "http://")}},
		{"http://nowhere.test/", "", []string{"nowhere.test"}},
		{upstream.URL + "/away", "http://nowhere.test/", []string{allowed, "nowhere.test"}},
	} {
		asked, other = nil, test.other
		h, log := outboundHandler(t, fetchScript, client)
		got := fetch(t, h, "url", test.url)
		require.Equal(t, test.asked, asked)
		if asked[len(asked)-1] == allowed {
			require.Equal(t, fetched{Code: 200, Text: "at /here"}, got)
			continue
		}
		require.True(t, got.Null)
		require.Contains(t, log.String(), `reason="URL not allowed by the host"`)
		require.NotContains(t, log.String(), "s3cret")
	}
	require.Zero(t, reached)
}

// One KiB that inflates to one MiB, again and again.
var gzipBomb = sync.OnceValue(func() []byte {
	var buf bytes.Buffer
	w, _ := gzip.NewWriterLevel(&buf, gzip.BestCompression)
	_, _ = w.Write(make([]byte, 1<<20))
	_ = w.Close()
	return buf.Bytes()
})

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
