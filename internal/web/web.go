// Package web has the standard globals of scripts: those of the WinterTC Minimum
// Common API that a webhook script needs. Each is made when a script first reads
// it. The subjects are packages of their own; this package combines them.
package web

import (
	"context"
	"io"
	"log/slog"
	"maps"
	"slices"

	"github.com/dop251/goja"

	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/web/base64"
	"example.com/callback/internal/web/clone"
	"example.com/callback/internal/web/console"
	"example.com/callback/internal/web/crypto"
	"example.com/callback/internal/web/encoding"
	"example.com/callback/internal/web/fetch"
	"example.com/callback/internal/web/loop"
	"example.com/callback/internal/web/realm"
	"example.com/callback/internal/web/url"
)

// A Host is what the globals need from a run.
type Host struct {
	VM     *goja.Runtime
	Random io.Reader

	// For console: Log logs a line, LogTakes reports whether lines of a level are
	// logged, Describe formats a value, and Stack is the script's stack.
	Log      func(level slog.Level, text string)
	LogTakes func(level slog.Level) bool
	Describe func(goja.Value) string
	Stack    func() string

	Client fetch.Client
}

// Globals are the standard globals of a run, with the tasks that remain when its
// script has run.
type Globals struct {
	Loop *loop.Loop

	host  Host
	realm *realm.Realm
	made  map[string]goja.Value // by name, of globals that are made together

	messages *fetch.Globals // nil until they are made
}

// New prepares the globals of a run, whose context is ctx.
func New(ctx context.Context, host Host) *Globals {
	return &Globals{
		Loop:  loop.New(ctx),
		host:  host,
		realm: realm.New(ctx, host.VM),
		made:  map[string]goja.Value{},
	}
}

// makers make the globals by their names.
var makers = map[string]func(g *Globals, name string) goja.Value{
	"DOMException":    func(g *Globals, _ string) goja.Value { return g.realm.Exceptions().Constructor },
	"URL":             (*Globals).url,
	"URLSearchParams": (*Globals).url,
	"TextEncoder":     (*Globals).encoding,
	"TextDecoder":     (*Globals).encoding,
	"atob":            (*Globals).base64,
	"btoa":            (*Globals).base64,
	"structuredClone": func(g *Globals, _ string) goja.Value { return clone.NewGlobals(g.realm) },
	"crypto":          (*Globals).crypto,
	"Crypto":          (*Globals).crypto,
	"CryptoKey":       (*Globals).crypto,
	"SubtleCrypto":    (*Globals).crypto,
	"console":         (*Globals).console,
	"setTimeout":      (*Globals).timers,
	"setInterval":     (*Globals).timers,
	"clearTimeout":    (*Globals).timers,
	"clearInterval":   (*Globals).timers,
	"fetch":           (*Globals).fetch,
	"Headers":         (*Globals).fetch,
	"Request":         (*Globals).fetch,
	"Response":        (*Globals).fetch,
	"AbortController": (*Globals).fetch,
	"AbortSignal":     (*Globals).fetch,
	"queueMicrotask":  (*Globals).microtasks,
	"self":            func(g *Globals, _ string) goja.Value { return g.host.VM.GlobalObject() },
}

// Names are the names of all globals, sorted.
func Names() []string { return slices.Sorted(maps.Keys(makers)) }

// Has reports whether there is a global of this name.
func Has(name string) bool { return makers[name] != nil }

// Get makes the global of a name for which [Has] is true.
func (g *Globals) Get(name string) goja.Value {
	if g.made[name] == nil {
		g.made[name] = makers[name](g, name)
	}
	return g.made[name]
}

func (g *Globals) url(name string) goja.Value {
	made := url.NewGlobals(g.realm)
	g.made["URL"], g.made["URLSearchParams"] = made.URL.Constructor, made.URLSearchParams.Constructor
	return g.made[name]
}

func (g *Globals) encoding(name string) goja.Value {
	encoder, decoder := encoding.NewGlobals(g.realm)
	g.made["TextEncoder"], g.made["TextDecoder"] = encoder.Constructor, decoder.Constructor
	return g.made[name]
}

func (g *Globals) base64(name string) goja.Value {
	g.made["atob"], g.made["btoa"] = base64.NewGlobals(g.realm)
	return g.made[name]
}

func (g *Globals) crypto(name string) goja.Value {
	made := crypto.NewGlobals(g.realm, g.host.Random)
	g.made["crypto"], g.made["Crypto"] = made.Crypto, made.CryptoClass.Constructor
	g.made["CryptoKey"], g.made["SubtleCrypto"] = made.CryptoKeys.Constructor, made.SubtleCrypto.Constructor
	return g.made[name]
}

func (g *Globals) console(string) goja.Value {
	c := &console.Console{Log: g.host.Log, Enabled: g.host.LogTakes, Describe: g.host.Describe, Stack: g.host.Stack}
	return c.NewGlobal(g.realm)
}

// classes are those of package fetch, made once.
func (g *Globals) classes() *fetch.Globals {
	if g.messages == nil {
		g.messages = fetch.NewGlobals(g.realm, g.Loop, g.host.Client)
	}
	return g.messages
}

func (g *Globals) fetch(name string) goja.Value {
	made := g.classes()
	g.made["fetch"], g.made["Headers"] = made.Fetch, made.Headers.Constructor
	g.made["Request"], g.made["Response"] = made.Request.Constructor, made.Response.Constructor
	g.made["AbortController"], g.made["AbortSignal"] = made.AbortController.Constructor, made.AbortSignal.Constructor
	return g.made[name]
}

func (g *Globals) timers(name string) goja.Value { return g.Loop.Global(g.realm, name) }

// withoutArguments wraps a function into one that calls it without arguments.
var withoutArguments = goja.MustCompile(jsjson.OwnProgram, `(function (f) { return function () { f() } })`, true)

// microtasks makes queueMicrotask. It resolves a promise with an object that has
// a method then. The engine calls that method in a microtask. If the method
// throws, the promise is rejected without a handler.
func (g *Globals) microtasks(name string) goja.Value {
	r := g.realm
	made, err := r.VM.RunProgram(withoutArguments)
	if err != nil {
		panic(err)
	}
	wrap, _ := goja.AssertFunction(made)
	return r.Function(name, 1, func(call goja.FunctionCall) goja.Value {
		if _, ok := goja.AssertFunction(call.Argument(0)); !ok {
			r.TypeError("queueMicrotask: callback must be a function")
		}
		then, err := wrap(goja.Undefined(), call.Argument(0))
		if err != nil {
			panic(err)
		}
		thenable := r.VM.CreateObject(nil)
		r.Hide(thenable, "then", then)
		_, resolve, _ := r.VM.NewPromise()
		if err := resolve(thenable); err != nil {
			panic(err)
		}
		return goja.Undefined()
	})
}
