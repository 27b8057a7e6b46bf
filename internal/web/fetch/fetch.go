package fetch

import (
	"context"
	"net/http"
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/headers"
	"example.com/callback/internal/web/loop"
	"example.com/callback/internal/web/realm"
)

// An Outbound is a request for the host's client.
type Outbound struct {
	Method, URL, Host string
	Header            http.Header
	Body              []byte // nil means none
}

// An Answer is the answer to an Outbound.
type Answer struct {
	Status int
	Header http.Header
	Body   []byte
}

// A Client sends requests.
type Client struct {
	// Send sends a request until the context ends. It is called on several
	// goroutines at once. report is called on the run's goroutine after Send has
	// returned.
	Send func(context.Context, *Outbound) (answer Answer, report func(), err error)

	// ToJSON is the JSON of a value. It returns false if there is none.
	ToJSON func(goja.Value) (text []byte, ok bool)

	// Explain logs why there is no answer, and returns it as a text for the
	// script.
	Explain func(host string, err error) string

	// Timeout bounds a request without a signal.
	Timeout time.Duration
}

// Globals are the classes of this package in a realm, and fetch.
type Globals struct {
	Headers, Request, Response, AbortSignal, AbortController *realm.Made
	Fetch                                                    *goja.Object

	loop   *loop.Loop
	client Client
}

// NewGlobals makes the classes and the function fetch.
func NewGlobals(r *realm.Realm, l *loop.Loop, client Client) *Globals {
	g := &Globals{loop: l, client: client}
	g.Headers = headersClass(r)
	g.AbortSignal, g.AbortController = g.signalClass(r), g.controllerClass(r)
	g.Request, g.Response = g.requestClass(r), g.responseClass(r)
	g.Fetch = r.Function("fetch", 1, func(call goja.FunctionCall) goja.Value { return g.fetch(r, call) })
	return g
}

// fetch sends a request. The loop settles the promise.
func (g *Globals) fetch(r *realm.Realm, call goja.FunctionCall) goja.Value {
	var q *request
	if thrown := r.VM.Try(func() {
		if len(call.Arguments) == 0 {
			r.TypeError("fetch: 1 argument required, but only 0 present")
		}
		q = g.newRequest(r, call) // a copy of the argument of fetch
		if scheme := q.url.Protocol(); scheme != "http:" && scheme != "https:" {
			r.TypeError("fetch failed: the URL is not one of http or https")
		}
		if q.signal != nil && q.signal.aborted {
			panic(q.signal.reason)
		}
	}); thrown != nil {
		return r.Rejected(thrown.Value())
	}
	promise, resolve, reject := r.VM.NewPromise()
	failure := r.VM.NewTypeError("") // made here, so that it has the stack of the call
	settled := false
	out := &Outbound{Method: q.method, URL: q.url.Href(), Host: q.url.Host(), Header: q.headers.toHTTP()}
	for name := range out.Header {
		if headers.IsClients(name) {
			delete(out.Header, name)
		}
	}
	if !q.none {
		out.Body = append([]byte{}, q.bytes...)
	}
	timeout := g.client.Timeout
	ctx, cancel := context.WithCancel(g.loop.Context())
	stop := func() {}
	if q.signal != nil {
		timeout = 0
		stop = q.signal.onAbort(func() {
			settled = true
			cancel()
			must(reject(q.signal.reason))
		})
	}
	g.loop.Go(func() loop.Task {
		defer cancel()
		if timeout > 0 {
			limited, end := context.WithTimeout(ctx, timeout)
			defer end()
			ctx = limited
		}
		answer, report, err := g.client.Send(ctx, out)
		return func() error {
			report()
			if settled {
				return nil
			}
			settled = true
			stop()
			if err != nil {
				r.Hide(failure, "message", realm.Text("fetch failed: "+g.client.Explain(out.Host, err)))
				return reject(failure)
			}
			return resolve(r.Object(g.Response, &response{
				body:       body{bytes: answer.Body, none: bodyless(q.method, answer.Status)},
				kind:       "basic",
				status:     answer.Status,
				statusText: http.StatusText(answer.Status),
				url:        out.URL,
				headers:    fromHTTP(answer.Header),
			}))
		}
	})
	return r.VM.ToValue(promise)
}

// bodyless reports whether an answer has no body, not even an empty one.
func bodyless(method string, status int) bool {
	return method == http.MethodHead || status == http.StatusNoContent || status == http.StatusResetContent || status == http.StatusNotModified
}
