// Package callback runs small JavaScript handlers when an outside server calls
// a secret URL: payment notices, webhooks, chat bots, leaderboard pulls. It
// brings back the external HTTP callbacks of GameSparks as an [http.Handler]
// for any Go server.
//
//	mux.Handle("/callback/", &callback.Handler{
//		Runner:  &callback.GojaRunner{Scripts: os.DirFS("cloudcode")},
//		Secrets: callback.SecretMap{"E300018ZDdAx/hello": "s3cret"},
//	})
//
// A request for /callback/E300018ZDdAx/hello/s3cret now runs
// callbacks/hello.js of that folder, in a fresh world of its own, and answers
// with the script data it has set as one JSON object.
//
// A [Handler] turns a request into a [Call] once the secret in its URL is
// right. A [ScriptRunner] turns the Call into a [Result] by running JavaScript.
// The Handler writes the Result as HTTP. Nothing below the Handler sees the
// [http.ResponseWriter], and no type of the JavaScript engine is exported.
//
// # Security considerations
//
// The URL of a callback is a password. The Handler never logs it, never
// repeats it and never redirects; make sure that access logs, proxies and
// traces in front of it do the same, and serve it over TLS.
//
// [GojaRunner] runs scripts inside the process. It bounds their time and
// answers for them when they overrun, but a script written to do harm can
// still take the process down by allocating memory. It is meant for authors who
// are trusted not to be hostile.
//
// Outbound requests go to public addresses only, unless the host supplies its
// own [HTTPDoer]: then its policy is the host's.
package callback

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"reflect"
	"sync"
	"sync/atomic"
	"time"

	"example.com/callback/internal/deadline"
)

// Defaults of the [Handler]'s limits: what a field that is zero means.
const (
	DefaultPrefix       = "/callback/"
	DefaultTimeout      = 10 * time.Second
	DefaultHTTPTimeout  = 5 * time.Second
	DefaultMaxBody      = 4 << 20
	DefaultMaxParams    = 1000
	DefaultMaxResponse  = 4 << 20
	DefaultMaxHTTPBody  = 4 << 20
	DefaultMaxHTTPCalls = 20
	DefaultMaxInFlight  = 16384
)

// A Handler serves callback URLs. It is an [http.Handler] for any mux, used by
// pointer. Its fields must not change once it serves; all of its work is safe
// for concurrent use, and so must be what the fields hold. A limit that is zero
// means its default; one below zero allows nothing.
//
// Below Prefix it answers these URLs, each with or without a final slash:
//
//	{apiKey}/{serverSecret}                        the game's own script
//	{apiKey}/{serverSecret}/{playerId}
//	{apiKey}/{credential}/{secret}                 that credential's script
//	{apiKey}/{credential}/{secret}/{playerId}
type Handler struct {
	// Runner runs the scripts. It is required: without one every authorised
	// request is a 500 and [ErrNoRunner] in the log.
	Runner ScriptRunner

	// Secrets says which secrets open a credential. nil refuses everybody.
	Secrets SecretStore

	// HTTP makes the scripts' outbound requests. nil means a client of the
	// Handler's own, as the zero [HTTPClient]: public addresses only. Limits
	// of time, size and number hold for either.
	HTTP HTTPDoer

	// Members are the host's additions to the script's Spark object, by name.
	Members Members

	// Prefix is the part of the escaped URL path before the API key, with its
	// slashes. Empty means DefaultPrefix. Under [http.StripPrefix] it is "/".
	Prefix string

	// Timeout bounds a whole call, from its authorisation to its answer. Zero
	// means DefaultTimeout. A deadline of the request's context that is
	// earlier counts.
	Timeout time.Duration

	// HTTPTimeout bounds an outbound request for which the script names no
	// time-out. Zero means DefaultHTTPTimeout. No outbound request outlives
	// the call.
	HTTPTimeout time.Duration

	// MaxBody is the longest request body, in bytes. Zero means
	// DefaultMaxBody. A longer one is a 413.
	MaxBody int64

	// MaxParams is how many parameters, fields and parts a request may have in
	// all. Zero means DefaultMaxParams. More are a 413.
	MaxParams int

	// MaxResponse is the longest response body, in bytes, before it is encoded
	// in the answer's charset. Zero means DefaultMaxResponse. A longer one is
	// a fault of the script: a 500.
	MaxResponse int64

	// MaxHTTPBody is the longest answer to an outbound request, in bytes, after
	// inflation. Zero means DefaultMaxHTTPBody. The script gets null for a
	// longer one.
	MaxHTTPBody int64

	// MaxHTTPCalls is how many outbound requests a run may make. Zero means
	// DefaultMaxHTTPCalls. The script gets null for those past it.
	MaxHTTPCalls int

	// MaxInFlight is how many calls may be under way at once, counted from
	// their authorisation. Zero means DefaultMaxInFlight. More are a 503.
	MaxInFlight int

	// RequestHeaders names the request headers that scripts see, as
	// Spark.getData().REQUEST_HEADERS with lower-case names. Empty means none,
	// and REQUEST_HEADERS is then absent. The original never showed any.
	RequestHeaders []string

	// ClientIP finds the caller's address. nil means the host part of
	// RemoteAddr: behind a proxy, supply a function that knows whose headers
	// to trust.
	ClientIP func(*http.Request) string

	// Logger takes what scripts log and what goes wrong. nil means
	// [slog.Default]. No secret and no URL of a callback is ever logged.
	Logger *slog.Logger

	inFlight   atomic.Int64
	clientOnce sync.Once
	client     *HTTPClient
	buffers    sync.Pool // of *bytes.Buffer, for bodies
}

// A ScriptRunner runs the script of a [Call].
//
// RunScript must be safe for concurrent use and return when ctx is done. It
// keeps nothing of call after it has returned, but for a run that it had to
// leave behind. What it returns
// decides the answer: a Result is written as HTTP; an error that is
// [ErrNoScript] is a 404, one that is [ErrOverloaded] a 503, one that is
// [context.DeadlineExceeded] a 504, any other a 500. The error's text goes to
// the log, never to the caller; a [*ScriptError] is logged with its position
// and stack.
type ScriptRunner interface {
	RunScript(ctx context.Context, call *Call) (*Result, error)
}

// ScriptRunnerFunc is a function as a [ScriptRunner].
type ScriptRunnerFunc func(ctx context.Context, call *Call) (*Result, error)

// RunScript calls f.
func (f ScriptRunnerFunc) RunScript(ctx context.Context, call *Call) (*Result, error) {
	return f(ctx, call)
}

// A Call is one authorised request to run a script. The Handler makes it and
// nobody changes it afterwards.
type Call struct {
	// APIKey names the game, Credential whose script runs; Credential is empty
	// when the URL carried the game's server secret.
	APIKey     string
	Credential string

	// PlayerID is the player named by the URL, or empty.
	PlayerID string

	// RunID is unique to this call: it is in every log line and is what the
	// script gets from Spark.getSessionId().
	RunID string

	// ClientIP is the caller's address.
	ClientIP string

	// Data is what the script gets from Spark.getData(), in order, each name
	// once.
	Data []Param

	// RequestHeaders is what the script sees as REQUEST_HEADERS: nil if the
	// host exposes none. Names are in lower case.
	RequestHeaders []Param

	// Members are the host's additions to Spark.
	Members Members

	// HTTP makes outbound requests, within the Handler's limits of number and
	// size. nil means that the script cannot make any.
	HTTP HTTPDoer

	// HTTPTimeout bounds an outbound request that names no time-out itself.
	// Zero means DefaultHTTPTimeout.
	HTTPTimeout time.Duration

	// Logger takes the script's log lines; it carries API key, credential and
	// run id. nil means that they are dropped.
	Logger *slog.Logger

	// Now, if not zero, is the time at which the script's clock stands still,
	// and Seed, if not zero, makes Math.random repeatable. Both are for tests;
	// the Handler leaves them zero.
	Now  time.Time
	Seed uint64
}

// A Param is a name of a request with its values, at least one: a script sees
// a string if there is one value, else an array.
type Param struct {
	Name   string
	Values []string
}

// A SecretStore knows the secrets of API keys and their credentials.
//
// Secrets returns those valid now: several while one is being rotated, none
// (and no error) for a key or credential it does not know. An empty credential
// asks for the server secrets of the API key. The Handler compares, in constant
// time. Both names are parts of a URL that nobody has vouched for: a credential
// has the characters A-Z a-z 0-9 _ - only and at most 128 of them, but an
// apiKey may be anything, with "/", "..", zero bytes or invalid UTF-8, so look
// it up and build no path or query of it. An error means that the store
// is broken: it is logged and the caller gets a 503, so its text must not hold
// a secret. Secrets must be safe for concurrent use and return when ctx is done.
type SecretStore interface {
	Secrets(ctx context.Context, apiKey, credential string) ([]Secret, error)
}

// SecretMap is a [SecretStore] of one secret per credential. The keys are
// "apiKey/credential" for a credential and "apiKey/" for the server secret of
// an API key. An empty secret opens nothing.
type SecretMap map[string]string

// Secrets returns the one secret of the credential, if there is one.
func (m SecretMap) Secrets(_ context.Context, apiKey, credential string) ([]Secret, error) {
	secret := NewSecret(m[apiKey+"/"+credential]) // the same work whether known or not
	if secret == (Secret{}) {
		return nil, nil
	}
	return []Secret{secret}, nil
}

// ErrNoRunner is logged when a [Handler] without a Runner is called.
var ErrNoRunner = errors.New("callback: Handler has no Runner")

// ErrNoScript means that a call's credential has no script.
var ErrNoScript = errors.New("callback: no script")

// ErrOverloaded means that a [ScriptRunner] is at its capacity and has not
// begun to run the script.
var ErrOverloaded = errors.New("callback: overloaded")

// A ScriptError is what went wrong in a script.
type ScriptError struct {
	// Script is the file's name in the runner's scripts, such as
	// "callbacks/hello.js".
	Script string

	// Line and Column count from 1; zero means unknown.
	Line   int
	Column int

	// Message is the script's own, cut at 4 KiB, such as
	// "TypeError: Cannot read property 'x' of undefined".
	Message string

	// Stack is the script's call stack, a frame a line, or empty.
	Stack string

	// Err, if not nil, is the cause: [context.DeadlineExceeded] for a script
	// that ran out of time.
	Err error
}

// Error returns the position and the message, without the stack.
func (e *ScriptError) Error() string {
	if e.Line == 0 {
		return fmt.Sprintf("callback: %s: %s", e.Script, e.Message)
	}
	return fmt.Sprintf("callback: %s:%d:%d: %s", e.Script, e.Line, e.Column, e.Message)
}

// Unwrap returns e.Err.
func (e *ScriptError) Unwrap() error { return e.Err }

// ServeHTTP answers one callback.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{responseWriter: responseWriter{
		w:      w,
		head:   r.Method == http.MethodHead,
		unread: r.ContentLength != 0 && r.Body != nil,
	}}
	defer func() { x.w = nil }() // whoever keeps the Call does not keep the ResponseWriter
	defer func() {
		if v := recover(); v != nil {
			if v == http.ErrAbortHandler {
				panic(v)
			}
			h.logPanic(v)
			x.fail(http.StatusInternalServerError, "script failed")
		}
	}()
	if status, message := h.serve(x, r); status != 0 {
		x.fail(status, message)
	}
}

// An exchange is what answering one request needs, made at once.
type exchange struct {
	responseWriter
	call   Call
	log    callLog
	logger slog.Logger
	http   limitedDoer
	data   paramRoom
}

// logPanic logs a panic without its value, which may hold a secret; and to
// print one of the engine's runs script code.
func (h *Handler) logPanic(v any) {
	defer func() { _ = recover() }() // it may be the logger that panics
	h.logger().Error("callback: panic", "type", fmt.Sprintf("%T", v), "stack", stack())
}

// serve answers r, or returns the status and the message to refuse it with.
func (h *Handler) serve(x *exchange, r *http.Request) (status int, message string) {
	if r.Method != http.MethodGet && r.Method != http.MethodHead && r.Method != http.MethodPost {
		x.w.Header().Set("Allow", "GET, HEAD, POST")
		return http.StatusMethodNotAllowed, "method not allowed"
	}
	target, ok := parseTarget(escapedPath(r.URL), cmp.Or(h.Prefix, DefaultPrefix))
	if !ok {
		return http.StatusNotFound, "not found"
	}
	ctx := deadline.New(r.Context(), cmp.Or(h.Timeout, DefaultTimeout))
	defer ctx.Cancel()

	call := &x.call
	ok, err := h.authorize(ctx, target, call)
	if err != nil && r.Context().Err() != nil {
		return http.StatusServiceUnavailable, "cancelled" // the caller went away
	}
	if err != nil {
		h.logger().Error("callback: secret store failed", "error", err)
		return http.StatusServiceUnavailable, "unavailable"
	}
	if !ok {
		return http.StatusForbidden, "forbidden"
	}
	if h.inFlight.Add(1) > int64(cmp.Or(h.MaxInFlight, DefaultMaxInFlight)) {
		h.inFlight.Add(-1)
		return http.StatusServiceUnavailable, "overloaded"
	}
	defer h.inFlight.Add(-1)

	call.RunID = rand.Text()
	call.ClientIP = h.clientIP(r)
	x.log = callLog{base: h.logger().Handler(), call: call}
	x.logger = *slog.New(&x.log) // a copy needs no allocation of its own
	call.Logger = &x.logger
	call.HTTPTimeout = cmp.Or(h.HTTPTimeout, DefaultHTTPTimeout)
	x.http.doer = h.httpDoer()
	x.http.maxBody = cmp.Or(h.MaxHTTPBody, DefaultMaxHTTPBody)
	x.http.maxCalls = int64(cmp.Or(h.MaxHTTPCalls, DefaultMaxHTTPCalls))
	call.HTTP = &x.http
	call.Members = h.Members
	if err := h.readData(ctx, x, r); err != nil {
		bad := requestFault(err)
		return bad.status, bad.message
	}
	x.unread = x.unread && r.Method != http.MethodPost
	format, err := requestedFormat(call.Data)
	if err != nil {
		return http.StatusBadRequest, err.Error()
	}
	if h.Runner == nil {
		call.Logger.Error("callback: cannot run the script", "error", ErrNoRunner)
		return http.StatusInternalServerError, "script failed"
	}
	result, err := h.Runner.RunScript(ctx, call)
	if err != nil {
		return h.explain(ctx, call, err)
	}
	if err := x.write(result, format, cmp.Or(h.MaxResponse, DefaultMaxResponse), call.Logger); err != nil {
		return h.explain(ctx, call, err)
	}
	return 0, ""
}

// explain logs why a call failed and returns what its caller may know of it.
func (h *Handler) explain(ctx context.Context, call *Call, err error) (status int, message string) {
	switch {
	case errors.Is(err, ErrNoScript):
		return http.StatusNotFound, "no script"
	case errors.Is(err, ErrOverloaded):
		call.Logger.Warn(err.Error())
		return http.StatusServiceUnavailable, "overloaded"
	}
	if errors.Is(ctx.Err(), context.Canceled) {
		call.Logger.Info("callback: caller went away")
		return http.StatusServiceUnavailable, "cancelled"
	}
	status, message = http.StatusInternalServerError, "script failed"
	if errors.Is(err, context.DeadlineExceeded) {
		status, message = http.StatusGatewayTimeout, "script timed out"
	}
	attrs := []any{"error", err}
	var script *ScriptError
	if errors.As(err, &script) {
		attrs = []any{"script", script.Script, "line", script.Line, "column", script.Column, "error", script.Message}
		if script.Stack != "" {
			attrs = append(attrs, "stack", script.Stack)
		}
	}
	call.Logger.Error("callback: script failed", attrs...)
	return status, message
}

func (h *Handler) logger() *slog.Logger {
	if h.Logger != nil {
		return h.Logger
	}
	return slog.Default()
}

// callLog adds to every record which call it belongs to. Most calls log
// nothing, so the attributes are made when a record is.
type callLog struct {
	base slog.Handler
	call *Call
}

func (l *callLog) full() slog.Handler {
	return l.base.WithAttrs([]slog.Attr{
		slog.String("apiKey", l.call.APIKey),
		slog.String("credential", l.call.credentialType()),
		slog.String("run", l.call.RunID),
	})
}

func (l *callLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.base.Enabled(ctx, level)
}
func (l *callLog) Handle(ctx context.Context, r slog.Record) error { return l.full().Handle(ctx, r) }
func (l *callLog) WithAttrs(attrs []slog.Attr) slog.Handler        { return l.full().WithAttrs(attrs) }
func (l *callLog) WithGroup(name string) slog.Handler              { return l.full().WithGroup(name) }

func (h *Handler) httpDoer() HTTPDoer {
	if h.HTTP != nil {
		return h.HTTP
	}
	h.clientOnce.Do(func() { h.client = new(HTTPClient) })
	return h.client
}

func (h *Handler) clientIP(r *http.Request) string {
	if h.ClientIP != nil {
		return h.ClientIP(r)
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// credentialType is what Spark.getCredentialType() returns.
func (c *Call) credentialType() string { return cmp.Or(c.Credential, "server") }

// A Member is one the host adds to the script's Spark object. Only JSON crosses
// between a script and its host, so that a member works alike in process and
// in a sandbox.
type Member struct {
	// Func, if Script is empty, is the member: a function of the script's that
	// calls it.
	Func HostFunc

	// Script, if not empty, is a JavaScript function expression. It is called
	// when a run first reads the member, with an object of Funcs and with
	// Spark, and what it returns is the member:
	//
	//	function (host, Spark) {
	//		return function loadPlayer(id) { return { getPlayerId: function () { return id } } }
	//	}
	Script string

	// Funcs are the host functions that Script gets, by name.
	Funcs map[string]HostFunc
}

// Members are host-supplied members of Spark by name. One that has the name of
// a member the library carries takes its place; Spark.player is what the host's
// getPlayer returns.
type Members map[string]Member

// A HostFunc is a function of the host that a script can call. Its arguments
// are the script's, as JSON (undefined is null as an argument, and left out of
// an object); what it returns is given to the script by way of [json.Marshal],
// nil as null. ctx is done when the call ends, at the latest. An error is thrown in the script as an Error
// with the error's text, which the script may pass on to its caller: it must
// hold nothing secret. A panic is thrown without its value. HostFuncs must be
// safe for concurrent use and return when ctx is done.
type HostFunc func(ctx context.Context, call *Call, args Args) (any, error)

// Args are the arguments of a [HostFunc], each as JSON; undefined is null.
type Args []json.RawMessage

// Scan decodes the arguments into the values that dst points to, in order, as
// [json.Unmarshal] does. A missing argument leaves its value as it is, one too
// many is ignored. The error names the argument by its number.
func (a Args) Scan(dst ...any) error {
	for i, d := range dst {
		if i >= len(a) {
			break
		}
		if err := json.Unmarshal(a[i], d); err != nil {
			var typeErr *json.UnmarshalTypeError
			if errors.As(err, &typeErr) {
				what := fmt.Sprintf("argument %d", i+1)
				if typeErr.Field != "" {
					what += ": " + typeErr.Field
				}
				return fmt.Errorf("%s is a %s, not %s", what, typeErr.Value, jsonKind(typeErr.Type.Kind()))
			}
			return fmt.Errorf("argument %d is not as expected", i+1)
		}
	}
	return nil
}

// jsonKind is what a script author calls the kind of a Go value.
func jsonKind(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "a number"
}
