package engine

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dop251/goja"
	"golang.org/x/net/http/httpguts"

	"example.com/callback/internal/charset"
	"example.com/callback/internal/ecma"
	"example.com/callback/internal/headers"
	"example.com/callback/internal/host"
	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/lazy"
	"example.com/callback/internal/limit"
	weburl "example.com/callback/internal/web/url"
	"example.com/callback/internal/xmltree"
)

var httpClass = lazy.Class[*sparkHTTP]{
	Name: "SparkHttp",
	Members: []lazy.Member[*sparkHTTP]{
		lazy.Func("setBasicAuth", (*sparkHTTP).setBasicAuth),
		lazy.Func("setHeaders", (*sparkHTTP).setHeaders),
		lazy.Func("get", sendNothing(http.MethodGet)),
		lazy.Func("head", sendNothing(http.MethodHead)),
		lazy.Func("delete", sendNothing(http.MethodDelete)),
		lazy.Func("postForm", sendBody(http.MethodPost, form)),
		lazy.Func("postJson", sendBody(http.MethodPost, jsonText)),
		lazy.Func("postString", sendBody(http.MethodPost, plainText)),
		lazy.Func("postXml", sendBody(http.MethodPost, xmlText)),
		lazy.Func("putForm", sendBody(http.MethodPut, form)),
		lazy.Func("putJson", sendBody(http.MethodPut, jsonText)),
		lazy.Func("putString", sendBody(http.MethodPut, plainText)),
		lazy.Func("putXml", sendBody(http.MethodPut, xmlText)),
		lazy.Func("patchForm", sendBody(http.MethodPatch, form)),
		lazy.Func("patchJson", sendBody(http.MethodPatch, jsonText)),
		lazy.Func("patchString", sendBody(http.MethodPatch, plainText)),
		lazy.Func("patchXml", sendBody(http.MethodPatch, xmlText)),
	},
}

// A bodyKind makes a body of the value that a script sends.
type bodyKind struct {
	contentType string
	encode      func(h *sparkHTTP, v goja.Value, call lazy.Call) string
}

var (
	form      = bodyKind{"application/x-www-form-urlencoded", (*sparkHTTP).form}
	jsonText  = bodyKind{"application/json", (*sparkHTTP).json}
	plainText = bodyKind{"text/plain; charset=utf-8", (*sparkHTTP).string}
	xmlText   = bodyKind{"text/xml", (*sparkHTTP).xml}
)

func sendNothing(method string) func(*sparkHTTP, lazy.Call) goja.Value {
	return func(h *sparkHTTP, _ lazy.Call) goja.Value { return h.send(method, "", "") }
}

func sendBody(method string, kind bodyKind) func(*sparkHTTP, lazy.Call) goja.Value {
	return func(h *sparkHTTP, call lazy.Call) goja.Value {
		return h.send(method, kind.encode(h, call.Argument(0), call), kind.contentType)
	}
}

// A sparkHTTP is the result of Spark.getHttp: an outbound request that the script
// can send any number of times.
type sparkHTTP struct {
	*run
	url     string
	timeout time.Duration
	header  http.Header
	self    goja.Value
}

func (r *run) getHTTP(call lazy.Call) goja.Value {
	h := &sparkHTTP{
		run:     r,
		url:     call.Text(0, "url"),
		timeout: r.call.HTTPTimeout,
		header:  http.Header{},
	}
	if v := call.Argument(1); !ecma.IsNothing(v) {
		ms := v.ToFloat()
		if !goja.IsNumber(v) || !(ms >= 1) {
			call.Throw("timeoutMs", "must be a number of at least 1")
		}
		h.timeout = time.Duration(min(ms, 1e9)) * time.Millisecond
	}
	h.self = lazy.New(r.vm, &httpClass, h)
	return h.self
}

func (h *sparkHTTP) setBasicAuth(call lazy.Call) goja.Value {
	user, password := call.Text(0, "user"), call.Text(1, "password")
	if strings.Contains(user, ":") {
		call.Throw("user", "must not contain a colon")
	}
	r := http.Request{Header: h.header}
	r.SetBasicAuth(user, password)
	return h.self
}

func (h *sparkHTTP) setHeaders(call lazy.Call) goja.Value {
	refuse := func(name string, _ goja.Value) string {
		call.Throw("headers", fmt.Sprintf("has a value for %q that is not a string, number or boolean", limit.Text(name, 100)))
		return ""
	}
	h.eachPair(call, "headers", refuse, func(name, value string, repeat bool) {
		if !httpguts.ValidHeaderFieldName(name) {
			call.Throw("headers", fmt.Sprintf("has %q, which is not a header name", limit.Text(name, 100)))
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			call.Throw("headers", fmt.Sprintf("has a value for %s that no header can have", name))
		}
		if headers.IsClients(name) {
			return
		}
		if !repeat {
			h.header.Del(name)
		}
		h.header.Add(name, value)
	})
	return h.self
}

// eachPair calls f for each property of the call's first argument, an object. It
// converts values to text: scalars as they are, null to the empty text, and other
// values by other. For an array it calls f for each element; repeat is set for
// all but the first.
func (h *sparkHTTP) eachPair(call lazy.Call, arg string, other func(name string, v goja.Value) string, f func(name, value string, repeat bool)) {
	object, ok := call.Argument(0).(*goja.Object)
	if !ok || object.ClassName() == "Array" || object.ClassName() == "Function" {
		call.Throw(arg, "must be an object of names to values")
	}
	for _, name := range object.Keys() {
		value := object.Get(name)
		values := []goja.Value{value}
		if array, ok := value.(*goja.Object); ok && array.ClassName() == "Array" {
			values = nil
			h.vm.ForOf(array, func(item goja.Value) bool {
				values = append(values, item)
				return true
			})
		}
		for i, value := range values {
			text, ok := ecma.Scalar(value)
			if !ok && !ecma.IsNothing(value) {
				text = other(name, value)
			}
			f(name, text, i > 0)
		}
	}
}

// form is an application/x-www-form-urlencoded body.
func (h *sparkHTTP) form(v goja.Value, call lazy.Call) string {
	var body strings.Builder
	if ecma.IsNothing(v) {
		return ""
	}
	encode := func(name string, v goja.Value) string {
		text, ok := h.toJSON(v)
		if !ok {
			call.Throw("form", fmt.Sprintf("has a value for %q that is not JSON", limit.Text(name, 100)))
		}
		return string(text)
	}
	h.eachPair(call, "form", encode, func(name, value string, _ bool) {
		if body.Len() > 0 {
			body.WriteByte('&')
		}
		body.WriteString(url.QueryEscape(name))
		body.WriteByte('=')
		body.WriteString(url.QueryEscape(value))
	})
	return body.String()
}

func (h *sparkHTTP) json(v goja.Value, call lazy.Call) string {
	text, ok := h.toJSON(v)
	if !ok {
		call.Throw("value", "is not JSON")
	}
	return string(text)
}

func (h *sparkHTTP) string(v goja.Value, call lazy.Call) string {
	text, ok := ecma.Scalar(v)
	if !ok {
		call.Throw("text", "must be a string")
	}
	return text
}

// xml is the markup of a string, or of a value from getResponseXml.
func (h *sparkHTTP) xml(v goja.Value, call lazy.Call) string {
	if text, ok := ecma.Scalar(v); ok {
		return text
	}
	if object, ok := v.(*goja.Object); ok {
		if markup, ok := goja.AssertFunction(object.Get("toXMLString")); ok {
			text, err := markup(object)
			if err != nil {
				panic(err)
			}
			return text.String()
		}
	}
	call.Throw("xml", "must be a string or an XML value")
	return ""
}

// send sends the request. If there is no answer, it returns null and logs the
// reason.
func (h *sparkHTTP) send(verb, body, contentType string) goja.Value {
	var answer host.Response
	var err error
	h.wait(func() { answer, err = h.roundTrip(verb, body, contentType) })
	if err != nil {
		to := ""
		if u, err := url.Parse(weburl.ForRequest(h.url)); err == nil {
			to = u.Host // only the host, because the rest of a URL may hold a secret
		}
		h.explainHTTP(to, err)
		return goja.Null()
	}
	return lazy.New(h.vm, &responseClass, &httpResponse{run: h.run, Response: answer})
}

// roundTrip sends the request and reads the answer. It does not use the runtime.
func (h *sparkHTTP) roundTrip(verb, body, contentType string) (host.Response, error) {
	if h.call.HTTP == nil {
		return host.Response{}, host.ErrNoDoer
	}
	ctx, cancel := context.WithTimeout(h.ctx, h.timeout)
	defer cancel()
	header := h.header.Clone()
	var reader io.Reader
	if contentType != "" {
		reader = strings.NewReader(body)
		if header.Get("Content-Type") == "" {
			header.Set("Content-Type", contentType)
		}
	}
	req, err := host.NewRequest(ctx, verb, weburl.ForRequest(h.url), header, reader)
	if err != nil {
		return host.Response{}, err
	}
	// The Call's HTTPDoer bounds the length of the answer.
	return host.Send(h.call.HTTP.Do, req, math.MaxInt64, h.logError)
}

// An httpResponse is a SparkHttpResponse.
type httpResponse struct {
	*run
	host.Response
}

var responseClass = lazy.Class[*httpResponse]{
	Name: "SparkHttpResponse",
	Members: []lazy.Member[*httpResponse]{
		lazy.Func("getResponseCode", func(p *httpResponse, _ lazy.Call) goja.Value { return p.vm.ToValue(p.Status) }),
		lazy.Func("getResponseString", func(p *httpResponse, _ lazy.Call) goja.Value { return p.vm.ToValue(p.text()) }),
		lazy.Func("getResponseJson", (*httpResponse).json),
		lazy.Func("getResponseXml", (*httpResponse).xml),
		lazy.Func("getHeaders", (*httpResponse).headers),
		lazy.Func("getCookies", func(p *httpResponse, _ lazy.Call) goja.Value { return p.strings(p.Header.Values("Set-Cookie")) }),
	},
}

// json is the body as a JSON value, or null if it is not JSON.
func (p *httpResponse) json(lazy.Call) goja.Value {
	value, err := jsjson.Parse(p.vm, strings.TrimPrefix(p.text(), "\ufeff"))
	if err != nil {
		return goja.Null()
	}
	return value
}

// text is the body, decoded by its charset.
func (p *httpResponse) text() string {
	_, params := headers.ParseMediaType(p.Header.Get("Content-Type"))
	enc, _ := charset.Lookup(cmp.Or(params["charset"], "utf-8")) // unknown: UTF-8
	return charset.Decode(string(p.Body), enc)
}

func (p *httpResponse) headers(lazy.Call) goja.Value {
	object := p.vm.NewObject()
	for _, name := range slices.Sorted(maps.Keys(p.Header)) {
		ecma.Define(object, http.CanonicalHeaderKey(name), p.vm.ToValue(charset.ValidUTF8(strings.Join(p.Header[name], ", "))))
	}
	return object
}

// xml is the body as an XML value, or null if it is not XML.
func (p *httpResponse) xml(lazy.Call) goja.Value {
	return p.parsed(p.xmlText(), "callback: answer is not XML")
}

// parseXML is Spark.parseXml. It returns the same kind of value as
// getResponseXml, or null if the text is not XML.
func (r *run) parseXML(call lazy.Call) goja.Value {
	return r.parsed(strings.TrimPrefix(call.Text(0, "text"), "\ufeff"), "callback: text is not XML")
}

// parsed returns the XML value of a text. If there is none, it logs the problem
// and returns null.
func (r *run) parsed(text, problem string) goja.Value {
	node, err := xmltree.Parse(text)
	if err != nil {
		r.logLine(slog.LevelWarn, problem, "reason", err.Error())
		return goja.Null()
	}
	return node.Value(r.vm)
}

// xmlText is the body, decoded by the charset of the answer or, if it has none,
// by the encoding that the XML declares.
func (p *httpResponse) xmlText() string {
	if _, params := headers.ParseMediaType(p.Header.Get("Content-Type")); params["charset"] == "" {
		if enc, ok := charset.Lookup(xmltree.Encoding(p.Body)); ok {
			return charset.Decode(string(p.Body), enc)
		}
	}
	return p.text()
}
