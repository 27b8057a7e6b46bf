package fetch

import (
	"strings"

	"github.com/dop251/goja"
	"golang.org/x/net/http/httpguts"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/web/realm"
	"example.com/callback/internal/web/url"
)

// A request is the slot of a Request.
type request struct {
	body
	method  string
	url     *url.URL
	headers *headerList
	signal  *signal // nil means none

	headersObject *goja.Object
}

func (q *request) content() *body { return &q.body }

// A response is the slot of a Response.
type response struct {
	body
	kind       string // default, basic or error
	status     int
	statusText string
	url        string
	headers    *headerList

	headersObject *goja.Object
}

func (p *response) content() *body { return &p.body }

// method normalises a method.
func (g *Globals) method(r *realm.Realm, text string) string {
	upper := strings.ToUpper(text)
	switch upper {
	case "DELETE", "GET", "HEAD", "OPTIONS", "POST", "PUT":
		return upper
	case "CONNECT", "TRACE", "TRACK":
		r.TypeError("Request: the method %s is not allowed", upper)
	}
	if !httpguts.ValidHeaderFieldName(text) {
		r.TypeError("Request: method is not one of HTTP")
	}
	return text
}

// newRequest makes a request from the arguments of fetch or of Request.
func (g *Globals) newRequest(r *realm.Realm, call goja.FunctionCall) *request {
	q := &request{body: body{none: true}, method: "GET", headers: &headerList{}}
	from, isRequest := realm.Is[*request](r, call.Argument(0))
	if isRequest {
		q.method, q.url, q.headers, q.signal = from.method, from.url, from.headers.clone(), from.signal
	} else {
		u, err := url.Parse(r.String(call.Argument(0)), nil)
		if err != nil {
			r.TypeError("Request: the URL is not valid, or relative")
		}
		if u.Username() != "" || u.Password() != "" {
			r.TypeError("Request: the URL has a user or a password: set the header Authorization instead")
		}
		q.url = u
	}
	init := r.Options(call.Argument(1), "Request: init")
	if v, ok := realm.Option(init, "method"); ok {
		q.method = g.method(r, r.String(v))
	}
	if v, ok := realm.Option(init, "headers"); ok {
		q.headers = &headerList{}
		q.headers.fill(r, v)
	}
	if v, ok := realm.Option(init, "signal"); ok {
		q.signal = nil
		if !goja.IsNull(v) {
			if q.signal, ok = realm.Is[*signal](r, v); !ok {
				r.TypeError("Request: signal must be an AbortSignal")
			}
		}
	}
	if v, ok := realm.Option(init, "redirect"); ok {
		if text := r.String(v); text != "follow" {
			r.TypeError("Request: redirect must be follow, which is what always happens here")
		}
	}
	v, ok := realm.Option(init, "body")
	switch {
	case ok && !goja.IsNull(v):
		var contentType string
		if q.body, contentType = readBody(r, v); contentType != "" {
			if _, ok := q.headers.get("content-type"); !ok {
				q.headers.list = append(q.headers.list, Header{"content-type", contentType})
			}
		}
	case isRequest && !from.none:
		if from.used {
			r.TypeError("Request: the body has been read")
		}
		q.body = from.body
		from.used = true
	}
	if !q.none && (q.method == "GET" || q.method == "HEAD") {
		r.TypeError("Request: a request with the method %s has no body", q.method)
	}
	return q
}

func (g *Globals) requestClass(r *realm.Realm) *realm.Made {
	return realm.Make(r, &realm.Class[*request]{
		Name:   "Request",
		Length: 1,
		New:    g.newRequest,
		Members: append([]realm.Member[*request]{
			realm.Getter("method", func(_ *realm.Realm, q *request) goja.Value { return realm.Text(q.method) }),
			realm.Getter("url", func(_ *realm.Realm, q *request) goja.Value { return realm.Text(q.url.Href()) }),
			realm.Getter("headers", func(r *realm.Realm, q *request) goja.Value {
				if q.headersObject == nil {
					q.headersObject = r.Object(g.Headers, q.headers)
				}
				return q.headersObject
			}),
			realm.Getter("redirect", func(*realm.Realm, *request) goja.Value { return realm.Text("follow") }),
			realm.Getter("signal", func(r *realm.Realm, q *request) goja.Value {
				if q.signal == nil {
					q.signal = &signal{}
				}
				if q.signal.object == nil {
					q.signal.object = r.Object(g.AbortSignal, q.signal)
				}
				return q.signal.object
			}),
			realm.Method("clone", 0, func(r *realm.Realm, q *request, _ goja.FunctionCall) goja.Value {
				copied := &request{body: q.body.clone(r, "Request"), method: q.method, url: q.url, headers: q.headers.clone(), signal: q.signal}
				return r.Object(g.Request, copied)
			}),
		}, bodyMembers[*request]("Request")...),
	})
}

// newResponse makes a response from a body and the options of Response.
func (g *Globals) newResponse(r *realm.Realm, content body, contentType string, init *goja.Object) *response {
	p := &response{body: content, kind: "default", status: 200, headers: &headerList{}}
	if v, ok := realm.Option(init, "status"); ok {
		f := v.ToFloat()
		if p.status = int(f); !(f >= 200 && f < 600) {
			r.RangeError("Response: status must be from 200 to 599")
		}
	}
	if v, ok := realm.Option(init, "statusText"); ok {
		if p.statusText = r.String(v); !httpguts.ValidHeaderFieldValue(p.statusText) {
			r.TypeError("Response: statusText has a character that no status can have")
		}
	}
	if v, ok := realm.Option(init, "headers"); ok {
		p.headers.fill(r, v)
	}
	if !content.none {
		if p.status == 204 || p.status == 205 || p.status == 304 {
			r.TypeError("Response: an answer with the status %d has no body", p.status)
		}
		if _, ok := p.headers.get("content-type"); !ok && contentType != "" {
			p.headers.list = append(p.headers.list, Header{"content-type", contentType})
		}
	}
	return p
}

func (g *Globals) responseClass(r *realm.Realm) *realm.Made {
	return realm.Make(r, &realm.Class[*response]{
		Name: "Response",
		New: func(r *realm.Realm, call goja.FunctionCall) *response {
			init := r.Options(call.Argument(1), "Response: init")
			content, contentType := readBody(r, call.Argument(0))
			return g.newResponse(r, content, contentType, init)
		},
		Members: append([]realm.Member[*response]{
			realm.Getter("type", func(_ *realm.Realm, p *response) goja.Value { return realm.Text(p.kind) }),
			realm.Getter("url", func(_ *realm.Realm, p *response) goja.Value { return realm.Text(p.url) }),
			realm.Getter("redirected", func(r *realm.Realm, _ *response) goja.Value { return r.VM.ToValue(false) }),
			realm.Getter("status", func(r *realm.Realm, p *response) goja.Value { return r.VM.ToValue(p.status) }),
			realm.Getter("ok", func(r *realm.Realm, p *response) goja.Value {
				return r.VM.ToValue(p.status >= 200 && p.status < 300)
			}),
			realm.Getter("statusText", func(_ *realm.Realm, p *response) goja.Value { return realm.Text(p.statusText) }),
			realm.Getter("headers", func(r *realm.Realm, p *response) goja.Value {
				if p.headersObject == nil {
					p.headersObject = r.Object(g.Headers, p.headers)
				}
				return p.headersObject
			}),
			realm.Method("clone", 0, func(r *realm.Realm, p *response, _ goja.FunctionCall) goja.Value {
				copied := *p
				copied.body, copied.headersObject = p.body.clone(r, "Response"), nil
				copied.headers = p.headers.clone()
				copied.headers.immutable = p.headers.immutable
				return r.Object(g.Response, &copied)
			}),
		}, bodyMembers[*response]("Response")...),
		Static: []realm.Static{
			{Name: "error", Function: func(r *realm.Realm, _ goja.FunctionCall) goja.Value {
				return r.Object(g.Response, &response{body: body{none: true}, kind: "error", headers: &headerList{immutable: true}})
			}},
			{Name: "redirect", Length: 1, Function: g.redirect},
			{Name: "json", Length: 1, Function: g.json},
		},
	})
}

func (g *Globals) redirect(r *realm.Realm, call goja.FunctionCall) goja.Value {
	u, err := url.Parse(r.String(call.Argument(0)), nil)
	if err != nil {
		r.TypeError("Response.redirect: the URL is not valid, or relative")
	}
	status := 302
	if v := call.Argument(1); !ecma.IsUndefined(v) {
		status = int(v.ToInteger())
	}
	switch status {
	case 301, 302, 303, 307, 308:
	default:
		r.RangeError("Response.redirect: status must be 301, 302, 303, 307 or 308")
	}
	headers := &headerList{immutable: true, list: []Header{{"location", u.Href()}}}
	return r.Object(g.Response, &response{body: body{none: true}, kind: "default", status: status, headers: headers})
}

func (g *Globals) json(r *realm.Realm, call goja.FunctionCall) goja.Value {
	text, ok := g.client.ToJSON(call.Argument(0))
	if !ok {
		r.TypeError("Response.json: data is not JSON")
	}
	init := r.Options(call.Argument(1), "Response.json: init")
	return r.Object(g.Response, g.newResponse(r, body{bytes: text}, "application/json", init))
}

// An Incoming is the request that a script's handler gets.
type Incoming struct {
	Method  string
	URL     string
	Headers []Header
	Body    []byte // nil means none
}

// NewIncoming makes a Request of the request that a script's handler gets. Its
// headers are read-only.
func (g *Globals) NewIncoming(r *realm.Realm, in *Incoming) *goja.Object {
	q := &request{method: in.Method, body: body{bytes: in.Body, none: in.Body == nil}, headers: &headerList{immutable: true, list: in.Headers}}
	u, err := url.Parse(in.URL, nil)
	if err != nil {
		u, _ = url.Parse("https://callback.invalid/", nil) // a query that is too long
	}
	q.url = u
	return r.Object(g.Request, q)
}

// ReadResponse reads the Response of a script's handler. It returns false for
// another value and for the result of Response.error.
func ReadResponse(r *realm.Realm, v goja.Value) (status int, headers []Header, bytes []byte, used, ok bool) {
	p, ok := realm.Is[*response](r, v)
	if !ok || p.kind == "error" {
		return 0, nil, nil, false, false
	}
	for i := 0; ; i++ {
		name, value, more := p.headers.at(i)
		if !more {
			break
		}
		headers = append(headers, Header{name, value})
	}
	return p.status, headers, append([]byte{}, p.bytes...), p.used, true
}
