package web

import (
	"errors"

	"github.com/dop251/goja"

	"example.com/callback/internal/web/fetch"
)

// An Answer is what a script's handler has answered with.
type Answer struct {
	Status  int
	Headers []fetch.Header // in the order of their names
	Body    []byte         // not nil
}

// Errors of a script's handler.
var (
	ErrNoHandler  = errors.New("`export default` has no method fetch")
	ErrNoResponse = errors.New("the handler has not returned a Response")
	ErrBodyUsed   = errors.New("the handler has returned a Response whose body has been read")
	ErrUnsettled  = errors.New("the handler's promise is never settled: nothing is left that could")
)

// Handle calls the method fetch of a script's handler with a request and env. The
// promise is of its answer, which may be any value yet.
func (g *Globals) Handle(handler goja.Value, request *fetch.Incoming, env goja.Value) (*goja.Promise, error) {
	object, ok := handler.(*goja.Object)
	if !ok {
		return nil, ErrNoHandler
	}
	var method goja.Callable
	if thrown := g.realm.VM.Try(func() {
		if value := object.Get("fetch"); value != nil {
			method, _ = goja.AssertFunction(value)
		}
	}); thrown != nil {
		return nil, thrown
	}
	if method == nil {
		return nil, ErrNoHandler
	}
	classes := g.classes()
	promise, resolve, _ := g.realm.VM.NewPromise()
	answer, err := method(object, classes.NewIncoming(g.realm, request), env)
	if err != nil {
		return nil, err
	}
	return promise, resolve(answer)
}

// Answer reads a Response.
func (g *Globals) Answer(v goja.Value) (*Answer, error) {
	status, headers, body, used, ok := fetch.ReadResponse(g.realm, v)
	switch {
	case !ok:
		return nil, ErrNoResponse
	case used:
		return nil, ErrBodyUsed
	}
	return &Answer{status, headers, body}, nil
}
