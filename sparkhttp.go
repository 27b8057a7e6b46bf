package callback

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
	"regexp"
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
	"example.com/callback/internal/limit"
	"example.com/callback/internal/xmltree"
)

var httpClass = class{"SparkHttp", []string{
	"setBasicAuth", "setHeaders", "get", "delete",
	"postForm", "postJson", "postString", "postXml",
	"putForm", "putJson", "putString", "putXml",
}}

// A sparkHTTP is the object that Spark.getHttp returns: an outbound request to
// be sent, as often as the script likes.
type sparkHTTP struct {
	*run
	url     string
	timeout time.Duration
	header  http.Header
	self    goja.Value
}

// getHTTP is Spark.getHttp.
func (r *run) getHTTP(call goja.FunctionCall) goja.Value {
	h := &sparkHTTP{
		run:     r,
		url:     r.text(call, 0, "Spark.getHttp", "url"),
		timeout: cmp.Or(r.call.HTTPTimeout, DefaultHTTPTimeout),
		header:  http.Header{},
	}
	if v := call.Argument(1); !ecma.IsNothing(v) {
		ms := v.ToFloat()
		if !goja.IsNumber(v) || !(ms >= 1) {
			r.throwArg("Spark.getHttp", "timeoutMs", "must be a number of at least 1")
		}
		h.timeout = time.Duration(min(ms, 1e9)) * time.Millisecond
	}
	h.self = r.object(&httpClass, h)
	return h.self
}

func (h *sparkHTTP) member(name string) goja.Value {
	switch name {
	case "setBasicAuth":
		return h.function(name, h.setBasicAuth)
	case "setHeaders":
		return h.function(name, h.setHeaders)
	case "get", "delete":
		return h.function(name, func(goja.FunctionCall) goja.Value {
			return h.send(strings.ToUpper(name), "", "")
		})
	}
	verb, kind := "POST", strings.TrimPrefix(name, "post")
	if strings.HasPrefix(name, "put") {
		verb, kind = "PUT", strings.TrimPrefix(name, "put")
	}
	var body func(v goja.Value, member string) string
	var contentType string
	switch kind {
	case "Form":
		body, contentType = h.form, "application/x-www-form-urlencoded"
	case "Json":
		body, contentType = h.json, "application/json"
	case "String":
		body, contentType = h.string, "text/plain; charset=utf-8"
	case "Xml":
		body, contentType = h.xml, "text/xml"
	default:
		return h.missing("SparkHttp", name)
	}
	return h.function(name, func(call goja.FunctionCall) goja.Value {
		return h.send(verb, body(call.Argument(0), "SparkHttp."+name), contentType)
	})
}

func (h *sparkHTTP) setBasicAuth(call goja.FunctionCall) goja.Value {
	user := h.text(call, 0, "SparkHttp.setBasicAuth", "user")
	password := h.text(call, 1, "SparkHttp.setBasicAuth", "password")
	if strings.Contains(user, ":") {
		h.throwArg("SparkHttp.setBasicAuth", "user", "must not contain a colon")
	}
	r := http.Request{Header: h.header}
	r.SetBasicAuth(user, password)
	return h.self
}

func (h *sparkHTTP) setHeaders(call goja.FunctionCall) goja.Value {
	const member = "SparkHttp.setHeaders"
	h.eachPair(call.Argument(0), member, "headers", func(name, value string, repeat bool) {
		if !httpguts.ValidHeaderFieldName(name) {
			h.throwArg(member, "headers", fmt.Sprintf("has %q, which is not a header name", limit.Text(name, 100)))
		}
		if !httpguts.ValidHeaderFieldValue(value) {
			h.throwArg(member, "headers", fmt.Sprintf("has a value for %s that no header can have", name))
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

// eachPair calls f for each property of an object of scalars, null, or arrays
// of them; repeat tells the later elements of an array.
func (h *sparkHTTP) eachPair(v goja.Value, member, arg string, f func(name, value string, repeat bool)) {
	object, ok := v.(*goja.Object)
	if !ok || object.ClassName() == "Array" || object.ClassName() == "Function" {
		h.throwArg(member, arg, "must be an object of names to values")
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
			text, ok := scalarText(value)
			if !ok && !ecma.IsNothing(value) {
				h.throwArg(member, arg, fmt.Sprintf("has a value for %q that is not a string, number or boolean", limit.Text(name, 100)))
			}
			f(name, text, i > 0)
		}
	}
}

// form is an application/x-www-form-urlencoded body.
func (h *sparkHTTP) form(v goja.Value, member string) string {
	var body strings.Builder
	if ecma.IsNothing(v) {
		return ""
	}
	h.eachPair(v, member, "form", func(name, value string, _ bool) {
		if body.Len() > 0 {
			body.WriteByte('&')
		}
		body.WriteString(url.QueryEscape(name))
		body.WriteByte('=')
		body.WriteString(url.QueryEscape(value))
	})
	return body.String()
}

func (h *sparkHTTP) json(v goja.Value, member string) string {
	text, ok := h.toJSON(v)
	if !ok {
		h.throwArg(member, "value", "is not JSON")
	}
	return string(text)
}

func (h *sparkHTTP) string(v goja.Value, member string) string {
	text, ok := scalarText(v)
	if !ok {
		h.throwArg(member, "text", "must be a string")
	}
	return text
}

// xml is the markup of a string or of a value that getResponseXml returned.
func (h *sparkHTTP) xml(v goja.Value, member string) string {
	if text, ok := scalarText(v); ok {
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
	h.throwArg(member, "xml", "must be a string or an XML value")
	return ""
}

// send sends the request. Without an answer it returns null, and the log says
// why.
func (h *sparkHTTP) send(verb, body, contentType string) goja.Value {
	var answer host.Response
	var err error
	h.outside(func() { answer, err = h.exchange(verb, body, contentType) })
	if err != nil {
		to := ""
		if u, err := url.Parse(h.url); err == nil {
			to = u.Host // and no more: the rest of a URL may hold a secret
		}
		h.logLine(slog.LevelWarn, "callback: outbound request failed", "host", limit.Text(to, 100), "reason", httpFailure(err))
		return goja.Null()
	}
	return h.object(&responseClass, &httpResponse{run: h.run, Response: answer})
}

// exchange sends the request and reads the answer. It touches nothing of the
// runtime.
func (h *sparkHTTP) exchange(verb, body, contentType string) (host.Response, error) {
	if h.call.HTTP == nil {
		return host.Response{}, errNoHTTP
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
	req, err := host.NewRequest(ctx, verb, h.url, header, reader)
	if err != nil {
		return host.Response{}, err
	}
	// How much of the answer is read is for the Call's HTTPDoer to bound.
	return host.Send(h.call.HTTP.Do, req, math.MaxInt64, h.logError)
}

var responseClass = class{"SparkHttpResponse", []string{
	"getResponseCode", "getResponseString", "getResponseJson", "getResponseXml", "getHeaders", "getCookies",
}}

// An httpResponse is a SparkHttpResponse.
type httpResponse struct {
	*run
	host.Response
}

func (p *httpResponse) member(name string) goja.Value {
	var f func() goja.Value
	switch name {
	case "getResponseCode":
		f = func() goja.Value { return p.vm.ToValue(p.Status) }
	case "getResponseString":
		f = func() goja.Value { return p.vm.ToValue(p.text()) }
	case "getResponseJson":
		f = func() goja.Value {
			value, err := jsjson.Parse(p.vm, strings.TrimPrefix(p.text(), "\ufeff"))
			if err != nil {
				return goja.Null()
			}
			return value
		}
	case "getResponseXml":
		f = p.xml
	case "getHeaders":
		f = p.headers
	case "getCookies":
		f = func() goja.Value { return p.strings(p.Header.Values("Set-Cookie")) }
	default:
		return p.missing("SparkHttpResponse", name)
	}
	return p.function(name, func(goja.FunctionCall) goja.Value { return f() })
}

// text is the body, decoded with the charset it came with.
func (p *httpResponse) text() string {
	_, params := headers.ParseMediaType(p.Header.Get("Content-Type"))
	enc, _ := charset.Lookup(cmp.Or(params["charset"], "utf-8")) // unknown: UTF-8
	return charset.Decode(string(p.Body), enc)
}

func (p *httpResponse) headers() goja.Value {
	object := p.vm.NewObject()
	for _, name := range slices.Sorted(maps.Keys(p.Header)) {
		p.define(object, http.CanonicalHeaderKey(name), p.vm.ToValue(charset.ValidUTF8(strings.Join(p.Header[name], ", "))))
	}
	return object
}

// xml is the body as an XML value, or null if it is not XML.
func (p *httpResponse) xml() goja.Value {
	node, err := xmltree.Parse(p.xmlText())
	if err != nil {
		p.logLine(slog.LevelWarn, "callback: answer is not XML", "reason", err.Error())
		return goja.Null()
	}
	return p.xmlValue(node)
}

// xmlEncoding matches an XML declaration that names an encoding.
var xmlEncoding = regexp.MustCompile(`^<\?xml[^>]{0,100}\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// xmlText is the body, decoded with the charset that the answer or, if it has
// none, the XML itself declares.
func (p *httpResponse) xmlText() string {
	if _, params := headers.ParseMediaType(p.Header.Get("Content-Type")); params["charset"] == "" {
		if label := xmlEncoding.FindSubmatch(p.Body); label != nil {
			if enc, ok := charset.Lookup(string(label[1])); ok {
				return charset.Decode(string(p.Body), enc)
			}
		}
	}
	return p.text()
}

// xmlValue makes the object of an XML element: child elements by name (an
// array when repeated), attributes under "@name", and two methods.
func (r *run) xmlValue(node *xmltree.Node) goja.Value {
	object := r.vm.NewObject()
	for _, a := range node.Attrs {
		r.define(object, "@"+a.Name, r.vm.ToValue(a.Value))
	}
	for _, group := range node.Groups() {
		var value goja.Value
		if len(group.Nodes) == 1 {
			value = r.xmlValue(group.Nodes[0])
		} else {
			items := make([]any, len(group.Nodes))
			for i, n := range group.Nodes {
				items[i] = r.xmlValue(n)
			}
			value = r.vm.NewArray(items...)
		}
		r.define(object, group.Name, value)
	}
	r.method(object, "toString", func(goja.FunctionCall) goja.Value { return r.vm.ToValue(node.Text()) })
	r.method(object, "toXMLString", func(goja.FunctionCall) goja.Value { return r.vm.ToValue(node.Markup()) })
	return object
}
