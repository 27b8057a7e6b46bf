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
// callbacks/hello.js of that folder in a new JavaScript runtime. The answer is
// the script data that it has set, as one JSON object.
//
// A [Handler] turns a request into a [Call] once the secret in its URL is
// right. A [ScriptRunner] turns the Call into a [Result] by running JavaScript.
// The Handler writes the Result as HTTP. Nothing below the Handler sees the
// [http.ResponseWriter], and no type of the JavaScript engine is exported.
//
// # Security considerations
//
// The URL of a callback is a password. The Handler never logs it, never
// repeats it and never redirects. Make sure that access logs, proxies and
// traces in front of it do the same, and serve it over TLS.
//
// [GojaRunner] runs scripts inside the process. It bounds their time and
// answers for them when they overrun. A hostile script can still end the
// process by allocating memory. It is meant for authors whom the host trusts.
//
// Outbound requests go to public addresses only, unless the host supplies its
// own [HTTPDoer]: then that decides.
package callback

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"

	"example.com/callback/internal/deadline"
)

// What a field of [Handler] that is zero means.
const (
	DefaultPrefix      = "/callback/"
	DefaultTimeout     = 10 * time.Second
	DefaultHTTPTimeout = 5 * time.Second

	defaultMaxBody      = 4 << 20
	defaultMaxParams    = 1000
	defaultMaxResponse  = 4 << 20
	defaultMaxHTTPBody  = 4 << 20
	defaultMaxHTTPCalls = 20
	defaultMaxInFlight  = 16384
)

// A Handler serves callback URLs. It is an [http.Handler] for any mux, used by
// pointer. Its fields must not change once it serves. It is safe for concurrent
// use, and what its fields hold must be too. A limit that is zero means its
// default; a negative one allows nothing.
//
// Below Prefix it answers these URLs, each with or without a final slash:
//
//	{apiKey}/{serverSecret}                        the game's own script
//	{apiKey}/{serverSecret}/{playerId}
//	{apiKey}/{credential}/{secret}                 that credential's script
//	{apiKey}/{credential}/{secret}/{playerId}
type Handler struct {
	// Runner runs the scripts. It is required: without one, authorised
	// requests get a 500 and the log says so.
	Runner ScriptRunner

	// Secrets knows the secrets. nil refuses every request.
	Secrets SecretStore

	// HTTP makes the scripts' outbound requests. nil means a client of the
	// Handler's own, as the zero [HTTPClient]: public addresses only. The
	// limits of time, size and number hold for both.
	HTTP HTTPDoer

	// Members are the host's additions to the script's Spark object, by name.
	Members Members

	// Prefix is the part of the escaped URL path before the API key, with its
	// slashes. Empty means "/callback/". Under [http.StripPrefix] it is "/".
	Prefix string

	// Timeout bounds a whole call, from its authorisation to its answer. Zero
	// means 10 seconds. An earlier deadline of the request's context holds
	// as well.
	Timeout time.Duration

	// HTTPTimeout bounds an outbound request for which the script names no
	// time-out. Zero means 5 seconds. No outbound request outlives the call.
	HTTPTimeout time.Duration

	// MaxBody is the longest request body, in bytes. Zero means 4 MiB. A
	// longer one is a 413.
	MaxBody int64

	// MaxParams is how many parameters, fields and parts a request may have
	// together. Zero means 1000. More are a 413.
	MaxParams int

	// MaxResponse is the longest response body, in bytes, before it is encoded
	// in the answer's charset. Zero means 4 MiB. A longer one is an error of
	// the script: a 500.
	MaxResponse int64

	// MaxHTTPBody is the longest answer to an outbound request, in bytes, after
	// inflation. Zero means 4 MiB. The script gets null for a longer one.
	MaxHTTPBody int64

	// MaxHTTPCalls is how many outbound requests a run may make. Zero means
	// 20. The script gets null for more.
	MaxHTTPCalls int

	// MaxInFlight is how many calls may be under way at once, counted from
	// their authorisation. Zero means 16384. More are a 503.
	MaxInFlight int

	// RequestHeaders names the request headers that scripts see, as
	// Spark.getData().REQUEST_HEADERS with lower-case names. Empty means none,
	// and no REQUEST_HEADERS. The original never showed any.
	RequestHeaders []string

	// ClientIP finds the caller's address. nil means the host part of
	// RemoteAddr. Behind a proxy, supply a function that knows which headers
	// to trust.
	ClientIP func(*http.Request) string

	// Logger takes what scripts log and what goes wrong. nil means
	// [slog.Default]. No secret and no URL of a callback is ever logged.
	Logger *slog.Logger

	inFlight   atomic.Int64
	clientOnce sync.Once
	client     *HTTPClient
	buffers    sync.Pool             // of *bytes.Buffer, for bodies
	equal      func(a, b Secret) int // constantTimeEqual, unless a test counts
}

// ServeHTTP answers one callback.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	x := &exchange{responseWriter: responseWriter{
		w:      w,
		head:   r.Method == http.MethodHead,
		unread: r.ContentLength != 0 && r.Body != nil,
	}}
	defer func() { x.w = nil }() // a Call that is retained must not retain it
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

// An exchange holds the state of one request in one allocation.
type exchange struct {
	responseWriter
	call   Call
	log    callLog
	logger slog.Logger
	http   limitedDoer
	data   paramBuffer
}

// logPanic logs a panic without its value. The value may hold a secret, and
// printing one of the engine's runs script code.
func (h *Handler) logPanic(v any) {
	defer func() { _ = recover() }() // it may be the logger that panics
	h.logger().Error("callback: panic", "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
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
	if h.inFlight.Add(1) > int64(cmp.Or(h.MaxInFlight, defaultMaxInFlight)) {
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
	x.http.maxBody = cmp.Or(h.MaxHTTPBody, defaultMaxHTTPBody)
	x.http.maxCalls = int64(cmp.Or(h.MaxHTTPCalls, defaultMaxHTTPCalls))
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
		call.Logger.Error("callback: cannot run the script", "error", errNoRunner)
		return http.StatusInternalServerError, "script failed"
	}
	result, err := h.Runner.RunScript(ctx, call)
	if err != nil {
		return h.explain(ctx, call, err)
	}
	if err := x.write(result, format, cmp.Or(h.MaxResponse, defaultMaxResponse), call.Logger); err != nil {
		return h.explain(ctx, call, err)
	}
	return 0, ""
}

// explain logs why a call failed. It returns the status and the message for the
// caller, which tell no more than the kind of failure.
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

// callLog adds the call's attributes to every record. It makes them only when
// there is a record, because most calls log nothing.
type callLog struct {
	base slog.Handler
	call *Call
}

func (l *callLog) withCall() slog.Handler {
	return l.base.WithAttrs([]slog.Attr{
		slog.String("apiKey", l.call.APIKey),
		slog.String("credential", l.call.credentialType()),
		slog.String("run", l.call.RunID),
	})
}

func (l *callLog) Enabled(ctx context.Context, level slog.Level) bool {
	return l.base.Enabled(ctx, level)
}
func (l *callLog) Handle(ctx context.Context, r slog.Record) error {
	return l.withCall().Handle(ctx, r)
}
func (l *callLog) WithAttrs(attrs []slog.Attr) slog.Handler { return l.withCall().WithAttrs(attrs) }
func (l *callLog) WithGroup(name string) slog.Handler       { return l.withCall().WithGroup(name) }

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
