// Package work holds the workloads W1 to W6 and their variants: the Handler, plain
// Go, and JavaScript engines without the Handler. All variants give the same
// answer to the same request.
package work

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
)

// The callback that every workload calls.
const (
	APIKey     = "E300018ZDdAx"
	Credential = "hello"
	Secret     = "s3cretS3cretS3cret"
	Path       = "/callback/" + APIKey + "/" + Credential + "/" + Secret
)

// A Workload is one request and the script that answers it.
type Workload struct {
	Name   string
	Doc    string
	Method string
	Query  string
	Body   string
	Script string
	Lib    string            // the source of module LIB, if the script requires it
	Plain  http.HandlerFunc  // the same in Go
	Files  map[string]string // of the scripts' tree
}

// HMACKey signs W3.
const HMACKey = "w3-signing-key"

const scriptW1 = `var data = Spark.getData();
Spark.setScriptData("attr1", data.attr1);
Spark.setScriptData("attr2", data.attr2);
Spark.setScriptData("RESPONSE_HEADERS", {"X-Game": "E300018ZDdAx"});
`

const scriptW2 = `var body = JSON.parse(Spark.getData().REQUEST_BODY);
var paid = body.items.filter(function (item) { return item.paid; });
Spark.setScriptData("count", paid.length);
Spark.setScriptData("names", paid.map(function (item) { return item.name; }));
Spark.setScriptData("total", paid.reduce(function (sum, item) { return sum + item.cents * item.quantity; }, 0));
`

const scriptW3 = `var body = Spark.getData().REQUEST_BODY;
Spark.setScriptData("signature", Spark.getDigester().hmacSha256Hex("` + HMACKey + `", body));
`

const queryW1 = "attr1=abc&attr2=bcd&attr2=cde"

// All returns W1 to W6. W5's upstream is at the given URL; without one it is
// left out.
func All(upstream string) []*Workload {
	list := []*Workload{
		{Name: "W1", Doc: "GET, three setScriptData", Method: "GET", Query: queryW1, Script: scriptW1, Plain: plainW1},
		{Name: "W2", Doc: "POST 2 KB JSON, parse, filter, map, reduce", Method: "POST", Body: Items(20), Script: scriptW2, Plain: plainW2},
		{Name: "W3", Doc: "POST 2 KB, hex HMAC-SHA256", Method: "POST", Body: Items(20), Script: scriptW3, Plain: plainW3},
		{Name: "W4", Doc: "W1 after requireOnce of 100 KB", Method: "GET", Query: queryW1,
			Script: "requireOnce(\"LIB\");\n" + scriptW1, Lib: Library(100 << 10), Plain: plainW1},
	}
	if upstream != "" {
		list = append(list, &Workload{Name: "W5", Doc: "W1 with one getHttp to loopback", Method: "GET", Query: queryW1,
			Script: "var answer = Spark.getHttp(\"" + upstream + "\").get();\n" + scriptW1 +
				"Spark.setScriptData(\"code\", answer.getResponseCode());\nSpark.setScriptData(\"text\", answer.getResponseString());\n",
			Plain: plainW5(upstream)})
	}
	list = append(list, &Workload{Name: "W6", Doc: "W1 in the sandbox", Method: "GET", Query: queryW1, Script: scriptW1, Plain: plainW1})
	for _, w := range list {
		w.Files = map[string]string{"callbacks/" + Credential + ".js": w.Script}
		if w.Lib != "" {
			w.Files["modules/LIB.js"] = w.Lib
		}
	}
	return list
}

// ByName returns the workload of list that has the name, or nil.
func ByName(list []*Workload, name string) *Workload {
	for _, w := range list {
		if w.Name == name {
			return w
		}
	}
	return nil
}

// Items is a JSON document of n items, about 100 bytes each.
func Items(n int) string {
	var b strings.Builder
	b.WriteString(`{"event":"order.paid","id":"evt_7f3a","items":[`)
	for i := range n {
		if i > 0 {
			b.WriteByte(',')
		}
		fmt.Fprintf(&b, `{"id":%d,"name":"Item number %d","sku":"SKU-%04d-XX","cents":%d,"quantity":%d,"paid":%t,"note":null}`,
			1000+i, i, i*37, 199+i*50, 1+i%4, i%3 != 0)
	}
	b.WriteString(`],"currency":"EUR"}`)
	return b.String()
}

// Library is a module of about size bytes: functions and a table, as in the
// cloud code of a game, most of which a run does not call.
func Library(size int) string {
	var b strings.Builder
	b.WriteString("var LIB = LIB || {};\n")
	for i := 0; b.Len() < size; i++ {
		fmt.Fprintf(&b, `
// computes the reward of tier %[1]d
LIB.reward%[1]d = function (player, level) {
	var base = level * %[2]d + 10;
	if (!player || player.banned) {
		return { ok: false, reason: "no player for tier %[1]d" };
	}
	for (var i = 0; i < player.items.length; i++) {
		if (player.items[i].tier === %[1]d) { base += player.items[i].bonus; }
	}
	return { ok: true, gold: base, gems: Math.floor(base / 7) };
};

function isTier%[1]d(value) { return value >= %[2]d && value < %[2]d + 100; }
`, i, i*100)
	}
	return b.String()
}

// Upstream starts the server that W5 calls, on loopback.
func Upstream() *httptest.Server {
	return httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		_, _ = io.WriteString(w, "hello from upstream")
	}))
}

// A Client calls a handler repeatedly with one request and one recorder, so that
// little else is measured. It is not safe for concurrent use.
type Client struct {
	handler  http.Handler
	request  *http.Request
	cancel   context.CancelFunc // of the request's context: nothing calls it
	body     *bytes.Reader
	recorder httptest.ResponseRecorder
	buffer   *bytes.Buffer
	header   http.Header
	target   string
}

// serverContext returns a context such as net/http's server gives a request.
func serverContext() (context.Context, context.CancelFunc) {
	ctx := context.WithValue(context.Background(), http.ServerContextKey, new(http.Server))
	ctx = context.WithValue(ctx, http.LocalAddrContextKey, &net.TCPAddr{IP: net.IPv4(127, 0, 0, 1), Port: 80})
	return context.WithCancel(ctx)
}

// Fresh makes clients use a new request and a new recorder for each call, as
// handler benchmarks often do. Every figure then includes their cost.
var Fresh bool

type nopCloser struct{ *bytes.Reader }

func (nopCloser) Close() error { return nil }

// NewClient returns a client of the workload at the usual path.
func (w *Workload) NewClient(h http.Handler) *Client { return w.NewClientAt(h, Path) }

// NewClientAt returns a client of the workload at any path.
func (w *Workload) NewClientAt(h http.Handler, path string) *Client {
	c := &Client{handler: h, buffer: new(bytes.Buffer), header: http.Header{}, body: bytes.NewReader([]byte(w.Body))}
	target := path
	if w.Query != "" {
		target += "?" + w.Query
	}
	c.target = target
	ctx, cancel := serverContext()
	c.cancel = cancel
	c.request = httptest.NewRequestWithContext(ctx, w.Method, target, nil)
	if w.Method == "POST" {
		c.request.Header.Set("Content-Type", "application/json")
		c.request.ContentLength = int64(len(w.Body))
	}
	return c
}

// Do makes the request once and returns its status. The answer is in Answer
// until the next one.
func (c *Client) Do() int {
	if Fresh {
		return c.doFresh()
	}
	clear(c.header)
	c.buffer.Reset()
	//lint:ignore SA1019 the map is reused so that the recorder costs next to nothing
	c.recorder = httptest.ResponseRecorder{HeaderMap: c.header, Body: c.buffer, Code: 200}
	if c.request.Method == "POST" {
		_, _ = c.body.Seek(0, io.SeekStart)
		c.request.Body = nopCloser{c.body}
	}
	c.handler.ServeHTTP(&c.recorder, c.request)
	return c.recorder.Code
}

func (c *Client) doFresh() int {
	var body io.Reader
	if c.request.Method == "POST" {
		_, _ = c.body.Seek(0, io.SeekStart)
		body = c.body
	}
	request := httptest.NewRequestWithContext(c.request.Context(), c.request.Method, c.target, body)
	if body != nil {
		request.Header.Set("Content-Type", "application/json")
	}
	recorder := httptest.NewRecorder()
	c.handler.ServeHTTP(recorder, request)
	c.header, c.buffer = recorder.Header(), recorder.Body
	return recorder.Code
}

// Answer returns headers and body of the last answer.
func (c *Client) Answer() (http.Header, string) { return c.header, c.buffer.String() }
