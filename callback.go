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
// traces in front of it do the same ([Conceal] helps), and serve it over TLS.
// SECURITY.md has the lines for nginx.
//
// Serve callbacks on an origin of their own, such as hooks.example.com, because a
// browser trusts what a script answers as a page of that origin. If the caller has
// chosen the content type, the answer has a policy that forbids the browser to
// run anything in it.
//
// Anyone who has the URL can run its script, and can be slow. The Handler bounds
// the reading of a body by the call's deadline and the writing of an answer by
// WriteTimeout, and MaxHeld bounds the memory of both. For the rest, set
// ReadHeaderTimeout and IdleTimeout of the [http.Server], and WriteByteTimeout of
// its HTTP2 if it speaks HTTP/2.
//
// [GojaRunner] runs scripts inside the process. It bounds their time and
// answers for them when they overrun. A hostile script can still end the
// process by allocating memory. It is meant for authors whom the host trusts.
//
// Outbound requests go to public addresses only. If the host supplies an
// [HTTPDoer], that decides instead.
package callback

import (
	"cmp"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"net"
	"net/http"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/callback/internal/calllog"
	"example.com/callback/internal/charset"
	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/deadline"
	"example.com/callback/internal/hold"
	"example.com/callback/internal/limit"
)

// Defaults of the fields of [Handler].
const (
	DefaultTimeout     = 10 * time.Second
	DefaultHTTPTimeout = 5 * time.Second

	defaultMaxBody      = 4 << 20
	defaultMaxParams    = 1000
	defaultMaxResponse  = 4 << 20
	defaultMaxHTTPBody  = 4 << 20
	defaultMaxHTTPCalls = 20
	defaultMaxInFlight  = 16384
	defaultMaxLookups   = 1024
	defaultMaxHeld      = 128 << 20

	defaultWriteTimeout = 10 * time.Second
)

// maxUncounted is the length of the longest bodies and answers that MaxHeld does not
// count.
const maxUncounted = 16 << 10

// A Handler serves callback URLs. It is an [http.Handler] for any mux, used by
// pointer. Its fields must not change once it serves. It is safe for concurrent
// use, and what its fields hold must be too. A limit that is zero means its
// default and a negative one allows nothing, unless its comment says otherwise.
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

	// Globals are the host's global names beside Spark. One with the name of a
	// standard global replaces it.
	Globals Members

	// Prefix is the part of the escaped URL path before the API key, with its
	// slashes. Empty means "/callback/". Under [http.StripPrefix] it is "/".
	Prefix string

	// Timeout bounds a whole call, from the look-up of its secrets to its answer.
	// Zero means 10 seconds. An earlier deadline of the request's context holds as
	// well.
	Timeout time.Duration

	// HTTPTimeout bounds an outbound request for which the script names no
	// time-out. Zero means 5 seconds. No outbound request outlives the call.
	HTTPTimeout time.Duration

	// MaxBody is the longest request body, in bytes. Zero means 4 MiB. A
	// longer one is a 413. Whatever MaxBody is, JSON.parse in scripts takes at
	// most 131072 objects and arrays in one text, because each of them takes
	// hundreds of bytes of memory.
	MaxBody int64

	// MaxParams is how many parameters, fields and parts a request may have
	// together. Zero means 1000. More are a 413.
	MaxParams int

	// MaxResponse is the longest response body, in bytes, before it is encoded
	// in the answer's charset. Zero means 4 MiB. A longer one is an error of
	// the script: a 500.
	MaxResponse int64

	// MaxArgs bounds the JSON of the arguments of one call of a host function,
	// in bytes. Zero means 1 MiB. The script gets an error for more.
	MaxArgs int64

	// MaxHTTPBody is the longest answer to an outbound request, in bytes, after
	// inflation. Zero means 4 MiB. The script gets null for a longer one.
	MaxHTTPBody int64

	// MaxHTTPCalls is how many outbound requests a run may make. Zero means
	// 20. The script gets null for more. All of their answers can be in memory at
	// once: MaxHTTPCalls times MaxHTTPBody for each run, by default 80 MiB.
	MaxHTTPCalls int

	// MaxInFlight is how many calls may be under way at once, counted from
	// their authorisation. Zero means 16384. More are a 503. MaxHeld bounds the
	// memory of their bodies and answers. The Runner bounds how many scripts run,
	// and so the memory for their outbound requests.
	MaxInFlight int

	// MaxHeld is how many bytes of request bodies the Handler holds at once, and
	// how many bytes of answers that are not sent yet. Bodies and answers of at
	// most 16 KiB do not count: MaxInFlight bounds them. Zero means 128 MiB, or
	// twice MaxBody or MaxResponse if that is more.
	//
	// To stay below it, the Handler ends calls that wait for their callers: first
	// the oldest one of the credential that holds the most. A caller that is
	// still sending its body gets a 503. The connection of one that does not read
	// its answer is closed, under HTTP/2 the stream. If no call waits for its
	// caller, it is the new body that gets a 503.
	MaxHeld int64

	// MaxLookups is how many calls may wait for Secrets at once. Zero means
	// 1024. More are a 503, whatever their secret.
	MaxLookups int

	// WriteTimeout bounds the writing of an answer to a caller that is slow to
	// read it. After it the connection is closed, under HTTP/2 the stream. Zero
	// means 10 seconds, below zero there is no bound. A shorter WriteTimeout of
	// the [http.Server] takes precedence. The [http.ResponseWriter] must support
	// write deadlines, as a server's does; one that wraps it needs an Unwrap
	// method.
	//
	// A stream of HTTP/2 cannot be closed while its connection takes no bytes at
	// all. So set WriteByteTimeout of [http.HTTP2Config] in the server, too. If it
	// is not set, the log says so at the first request by HTTP/2.
	WriteTimeout time.Duration

	// AllowHeaders names response headers that scripts may set although they act
	// beyond the answer: on a proxy in front, such as X-Accel-Redirect, or on
	// all of the origin, such as Set-Cookie or Strict-Transport-Security. Others
	// of that kind are dropped and logged. Empty means none.
	AllowHeaders []string

	// Methods names the methods to serve beside GET, HEAD and POST. PUT, PATCH
	// and DELETE are read as POST is, OPTIONS as GET is, and
	// Spark.getRequestMethod() tells them apart. Others are not served, and Validate
	// reports them. Empty means none. The original served GET and POST.
	Methods []string

	// KeepMultipart keeps the bytes of a multipart body for
	// Spark.getRequestBytes, in addition to its fields. By default that is
	// empty for such a body.
	KeepMultipart bool

	// StopAbandoned stops a run whose caller has closed the connection, or only
	// its sending side. By default the run is finished, since a sender that
	// times out and tries again must not leave half of the work done.
	StopAbandoned bool

	// RequestHeaders names the request headers that scripts see, as
	// Spark.getData().REQUEST_HEADERS with lower-case names. Empty means none,
	// and no REQUEST_HEADERS. The original never showed any.
	RequestHeaders []string

	// ClientIP finds the caller's address. nil means the host part of
	// RemoteAddr, which is empty on a Unix socket. Behind a proxy, supply a
	// function that knows which headers to trust.
	ClientIP func(*http.Request) string

	// Logger takes what scripts log and what goes wrong. nil means
	// [slog.Default]. No secret and no URL of a callback is ever logged.
	Logger *slog.Logger

	// RunID chooses a call's run id. nil, or an id that is not 1 to 128
	// characters of A-Z a-z 0-9 . _ : - means a random one.
	RunID func(*http.Request) string

	// RunIDHeader and VersionHeader name response headers for the run id and
	// for the version of the scripts. Empty means no header. Answers to
	// unauthenticated requests have neither.
	RunIDHeader   string
	VersionHeader string

	// Admit, if not nil, is for the host's own limits. It is called after the
	// authorisation of a call and before its body is read: in a request, Call.Data
	// is still empty. An error refuses the call: with a 429 if it is [ErrTooMany],
	// else with a 503. [RetryAfter] says when to try again. done, if not nil, is
	// called when the call has ended.
	Admit func(ctx context.Context, call *Call) (done func(), err error)

	// Observe, if not nil, gets one Run for each authorised call, after its
	// answer is written. That includes refusals, such as a 413, and runs that the
	// runner has abandoned. It must be safe for concurrent use. ctx has the
	// values of the request's context and is never done.
	//
	// ServeHTTP waits for Observe, for 50 ms at most, and not at all while the
	// Observe of another call takes longer than that. While 16384 Runs, or Runs
	// with 64 MiB of bodies, have not been observed to their end, further ones
	// are dropped and logged.
	Observe func(ctx context.Context, run *Run)

	// KeepLog is how many bytes of a call's log records Run.Log keeps. Zero
	// means none.
	KeepLog int

	// KeepBodies is how many bytes of bodies the Exchanges of a Run keep: of its
	// request, its answer and its outbound requests together. Zero means that
	// there are no Exchanges. They hold what callers and other servers send.
	KeepBodies int

	bodies, answers hold.Budget // each of MaxHeld
	warnHTTP2       sync.Once

	inFlight        atomic.Int64
	lookups         atomic.Int64
	observing       atomic.Int64
	observingBytes  atomic.Int64
	overdue         atomic.Int64 // observers that have taken longer than observerPatience
	clientOnce      sync.Once
	client          *HTTPClient
	observedOnce    sync.Once
	observedMembers Members
	observedGlobals Members
	buffers         sync.Pool             // of *bytes.Buffer, for bodies
	equal           func(a, b Secret) int // constantTimeEqual, unless a test counts
}

// ServeHTTP answers one callback. An authorised request gets the status of its
// [Outcome]. Any other gets
//   - 405 for a method that is not served;
//   - 404 for a path that does not have the form of a callback;
//   - 403 for an unknown API key or credential, or a wrong secret;
//   - 503 if its secrets cannot be looked up, and 500 if the store panics.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) { h.respond(w, r, nil) }

// ServeCall answers r as ServeHTTP does, for a caller that the host has
// authorised in a way of its own, such as by a session or a client certificate.
// It uses neither Secrets nor the path of r: as names the API key, the credential
// and the player, and may set RunID, Script, Now and Seed. Its other fields are
// ignored. ServeCall does not change it. If as is nil, r must be authorised by its
// path, as for ServeHTTP.
func (h *Handler) ServeCall(w http.ResponseWriter, r *http.Request, as *Call) { h.respond(w, r, as) }

// respond answers r. If as is nil, the path of r must authorise it.
func (h *Handler) respond(w http.ResponseWriter, r *http.Request, as *Call) {
	x := &inbound{responseWriter: responseWriter{
		w:      w,
		head:   r.Method == http.MethodHead,
		unread: r.ContentLength != 0 && r.Body != nil,

		settings: h,
		request:  r,
	}}
	x.responseWriter.call = &x.call
	if h.Observe != nil {
		x.start = time.Now()
	}
	defer func() {
		v := recover()
		if v != nil && v != http.ErrAbortHandler {
			logPanic(r.Context(), cmp.Or(x.call.Logger, h.logger()), "callback: panic", v)
			x.fail(panicked(v))
		}
		if x.held != nil {
			x.held.Release()
		}
		if x.account != nil {
			if !x.written && x.failure == nil { // http.ErrAbortHandler or runtime.Goexit
				x.failure = panicked(v)
			}
			if x.written {
				_ = http.NewResponseController(x.w).Flush() // the answer does not wait for the observer
			}
			if x.account.keeps {
				x.account.run.Exchange = x.exchange()
			}
			run := x.account.finish(&x.call, x.failure)
			run.Status, run.BytesIn, run.BytesOut = x.status, x.body.n, x.bytes
			h.observe(r.Context(), run)
		}
		x.w, x.request = nil, nil // a Call that is retained must not retain them
		if v == http.ErrAbortHandler {
			panic(v)
		}
	}()
	if f := h.serve(x, as); f != nil {
		x.fail(f)
	}
}

// An inbound holds the state of one request in one allocation.
type inbound struct {
	responseWriter
	equipment
	call    Call
	start   time.Time        // set only for an observer
	ctx     deadline.Context // of the call
	data    paramBuffer
	body    countingReader
	failure *failure // why the script does not answer; or nil
}

// fail answers with a failure, unless an answer has been written.
func (x *inbound) fail(f *failure) {
	x.failure = f
	if !x.written {
		x.writeError(f.status, f.message, f.err)
	}
}

// exchange makes the Exchange of the call's own request.
func (x *inbound) exchange() *Exchange {
	r, header := x.request, http.Header{}
	for _, name := range []string{"Content-Type", "Content-Encoding"} {
		if values := r.Header.Values(name); len(values) > 0 {
			header[name] = values
		}
	}
	for _, shown := range x.call.RequestHeaders {
		header[http.CanonicalHeaderKey(shown.Name)] = shown.Values
	}
	query := ""
	if r.URL.RawQuery != "" {
		query = "?" + r.URL.RawQuery
	}
	var answer []byte
	if !x.head {
		answer = x.responseWriter.body
	}
	return x.account.exchange(query, header, x.body.kept, x.w.Header(), answer)
}

// equipment is the state that a Handler keeps for one call.
type equipment struct {
	handler *Handler
	outer   *equipment // of the Handler that has handler as its Runner, or nil
	account *account   // nil without an observer
	log     calllog.Handler
	logger  slog.Logger
	http    limitedDoer
	version string // of the tree that the runner has got, or empty
}

// equip adds to call what does not come from its request.
func (h *Handler) equip(e *equipment, call *Call, start time.Time) {
	e.handler, e.outer = h, call.equipped
	call.equipped = e
	call.Usage = nil
	call.Members, call.Globals = h.Members, h.Globals
	if h.Observe != nil {
		e.account = &account{run: Run{Start: start}, logs: h.KeepLog, keep: h.KeepBodies, keeps: h.KeepBodies > 0}
		call.Usage = &e.account.usage
		h.observedOnce.Do(func() { h.observedMembers, h.observedGlobals = h.Members.observed(), h.Globals.observed() })
		call.Members, call.Globals = h.observedMembers, h.observedGlobals
	} else if h.VersionHeader != "" {
		call.Usage = new(Usage)
	}
	e.log = calllog.Handler{Base: h.logger().Handler(), Call: (*loggedCall)(call)}
	if e.account != nil {
		e.log.Observer = e.account
	}
	e.logger = *slog.New(&e.log) // a copy needs no allocation of its own
	call.Logger = &e.logger
	call.HTTPTimeout = cmp.Or(h.HTTPTimeout, DefaultHTTPTimeout)
	call.MaxArgs = h.MaxArgs
	call.MaxResult = limit.ResultBytes(h.maxResponse())
	e.http.doer = h.httpDoer()
	e.http.maxBody = cmp.Or(h.MaxHTTPBody, defaultMaxHTTPBody)
	e.http.maxCalls = int64(cmp.Or(h.MaxHTTPCalls, defaultMaxHTTPCalls))
	call.HTTP = &e.http
	if e.account != nil {
		call.HTTP = &recordingDoer{&e.http, e.account}
	}
}

// RunScript runs a Call that did not come by HTTP, such as a queue's or a
// scheduler's. The Call gets what a request's Call gets: the Handler's members,
// outbound client, Logger, Timeout and limits, Admit and Observe, and a run id if
// it has none. A Result that could be no answer to a request, such as one over
// MaxResponse, is an error. An error is logged and returned.
//
// So a Handler is a [ScriptRunner]. It refuses to run a call that it is running
// already, which happens if it is, directly or not, its own Runner.
func (h *Handler) RunScript(ctx context.Context, call *Call) (*Result, error) {
	for e := call.equipped; e != nil; e = e.outer {
		if e.handler == h {
			return nil, errRunsItself
		}
	}
	limited := deadline.New(ctx, cmp.Or(h.Timeout, DefaultTimeout))
	defer limited.Cancel()
	e, equipped := new(equipment), *call
	call = &equipped
	call.RunID = cmp.Or(call.RunID, rand.Text())
	h.equip(e, call, time.Now())
	var failed *failure
	if e.account != nil {
		failed = panicked(nil) // until the call returns: the runner may call runtime.Goexit
		defer func() {
			v := recover()
			if v != nil {
				failed = panicked(v)
			}
			h.observe(ctx, e.account.finish(call, failed))
			if v != nil {
				panic(v)
			}
		}()
	}
	var result *Result
	err := h.whileAdmitted(limited, call, func() (err error) {
		if result, err = h.run(limited, call); err == nil {
			_, err = result.answer(h.maxResponse())
			call.blame(err)
		}
		return err
	})
	if err != nil {
		failed = explain(limited, call, err)
		return nil, err
	}
	failed = nil
	return result, nil
}

var errRunsItself = errors.New("callback: Handler runs itself")

// whileAdmitted calls f while the call has one of the MaxInFlight places and is
// admitted by the host.
func (h *Handler) whileAdmitted(ctx context.Context, call *Call, f func() error) error {
	defer h.inFlight.Add(-1)
	if h.inFlight.Add(1) > int64(cmp.Or(h.MaxInFlight, defaultMaxInFlight)) {
		return fmt.Errorf("%w: MaxInFlight calls are under way", ErrOverloaded)
	}
	if h.Admit != nil {
		done, err := h.Admit(ctx, call)
		if err != nil {
			return &unavailableError{part: "Handler.Admit", err: err, mayRefuse: true}
		}
		if done != nil {
			defer done()
		}
	}
	return f()
}

func (h *Handler) run(ctx context.Context, call *Call) (*Result, error) {
	if h.Runner == nil {
		return nil, errNoRunner
	}
	return h.Runner.RunScript(ctx, call)
}

// logPanic logs a panic without its value. The value may hold a secret, and
// printing one of the engine's runs script code.
func logPanic(ctx context.Context, logger *slog.Logger, message string, v any, attrs ...any) {
	defer func() { _ = recover() }() // it may be the logger that panics
	logger.ErrorContext(ctx, message, append(attrs, "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))...)
}

// serve answers the request, or returns why it is refused.
func (h *Handler) serve(x *inbound, as *Call) *failure {
	r := x.request
	if !h.serves(r.Method) {
		x.w.Header().Set("Allow", strings.Join(append([]string{"GET", "HEAD", "POST"}, h.Methods...), ", "))
		return &failure{status: http.StatusMethodNotAllowed, message: "method not allowed"}
	}
	timeout := cmp.Or(h.Timeout, DefaultTimeout)
	ctx := &x.ctx
	ctx.Init(r.Context(), timeout, !h.StopAbandoned)
	defer ctx.Cancel()
	call := &x.call
	if as != nil {
		call.APIKey, call.Credential, call.PlayerID = as.APIKey, as.Credential, as.PlayerID
		call.Script, call.RunID, call.Now, call.Seed = as.Script, as.RunID, as.Now, as.Seed
	} else if f := h.authenticate(ctx, x); f != nil {
		return f
	}
	r = x.request
	h.equip(&x.equipment, call, x.start)
	x.identified = true
	call.Method = r.Method
	call.RunID = cmp.Or(call.RunID, h.runID(r))
	call.ClientIP = h.clientIP(r)
	err := h.whileAdmitted(ctx, call, func() error { return h.answer(ctx, x, r) })
	if err != nil {
		return explain(ctx, call, err)
	}
	return nil
}

// serves reports whether requests of a method are answered.
func (h *Handler) serves(method string) bool {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost:
		return true
	}
	return mayServe(method) && slices.Contains(h.Methods, method)
}

// mayServe reports whether Methods may have a method.
func mayServe(method string) bool {
	switch method {
	case http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
		return true
	}
	return false
}

// authenticate finds the credential whose secret is in the path of the request,
// or returns why the call is refused.
func (h *Handler) authenticate(ctx context.Context, x *inbound) *failure {
	r := x.request
	target, ok := parseTarget(escapedPath(r.URL), cmp.Or(h.Prefix, DefaultPrefix))
	if !ok {
		x.request, target, ok = revealed(r)
	}
	if !ok {
		return &failure{status: http.StatusNotFound, message: "not found"}
	}
	ok, err := h.authorizeBounded(ctx, target, &x.call)
	switch {
	case err != nil && r.Context().Err() != nil:
		return &failure{status: http.StatusServiceUnavailable, message: "cancelled"} // the caller went away
	case errors.Is(err, errMaxLookups):
		return failureOf(ctx, err)
	case err != nil:
		h.logger().ErrorContext(ctx, "callback: secret store failed", "error", err)
		return failureOf(ctx, &unavailableError{part: "Handler.Secrets", err: err})
	case !ok:
		return &failure{status: http.StatusForbidden, message: "forbidden"}
	}
	return nil
}

// answer reads the request, runs the script and writes its result.
func (h *Handler) answer(ctx context.Context, x *inbound, r *http.Request) error {
	if err := h.readData(ctx, x, r); err != nil {
		return requestFault(err)
	}
	x.unread = x.unread && !hasBody(r.Method)
	format := requestedFormat(ctx, x.call.Data, x.call.Logger)
	result, err := h.run(ctx, &x.call)
	if err != nil {
		return err
	}
	err = x.write(ctx, result, format, h.maxResponse(), &x.call)
	x.call.blame(err)
	if x.cut {
		x.call.Logger.WarnContext(ctx, "callback: answer cut: its caller reads slowly, and MaxHeld bytes are held")
	}
	return err
}

// blame completes an error about a Result: it gets the main script, if that is known,
// and the version of its tree.
func (c *Call) blame(err error) {
	fault, ok := err.(*ScriptError)
	if !ok {
		return
	}
	if c.Usage != nil {
		fault.Script = cmp.Or(fault.Script, c.Usage.Script)
	}
	fault.Version = c.equipped.version
}

func (h *Handler) maxBody() int64 { return cmp.Or(h.MaxBody, defaultMaxBody) }

func (h *Handler) maxResponse() int64 { return cmp.Or(h.MaxResponse, defaultMaxResponse) }

func (h *Handler) maxHeld() int64 {
	if h.MaxHeld != 0 {
		return h.MaxHeld
	}
	return max(defaultMaxHeld, 2*min(max(h.maxBody(), h.maxResponse()), math.MaxInt64/2))
}

// writeTimeout bounds the writing of the answer to r. Zero means no bound.
func (h *Handler) writeTimeout(r *http.Request) time.Duration {
	limit := cmp.Or(h.WriteTimeout, defaultWriteTimeout)
	if server, ok := r.Context().Value(http.ServerContextKey).(*http.Server); ok {
		if limit > 0 && r.ProtoMajor == 2 && (server.HTTP2 == nil || server.HTTP2.WriteByteTimeout <= 0) {
			h.warnHTTP2.Do(func() {
				h.logger().WarnContext(r.Context(), "callback: a caller by HTTP/2 can keep its place without end: set HTTP2.WriteByteTimeout of the http.Server")
			})
		}
		if server.WriteTimeout > 0 && server.WriteTimeout <= limit {
			return 0
		}
	}
	return max(0, limit)
}

// identify sets the headers for the run id and the version.
func (h *Handler) identify(call *Call, header http.Header) {
	if h.RunIDHeader != "" && call.RunID != "" {
		header.Set(h.RunIDHeader, call.RunID)
	}
	if h.VersionHeader != "" && call.Usage.Version != "" {
		header.Set(h.VersionHeader, call.Usage.Version)
	}
}

// runID is the host's choice for a request, if it is valid, or random.
func (h *Handler) runID(r *http.Request) string {
	if h.RunID != nil {
		if id := h.RunID(r); isRunID(id) {
			return id
		}
	}
	return rand.Text()
}

func isRunID(s string) bool {
	for i := range len(s) {
		c := s[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("._:-", rune(c)) {
			return false
		}
	}
	return s != "" && len(s) <= 128
}

func (h *Handler) logger() *slog.Logger {
	if h.Logger != nil {
		return h.Logger
	}
	return slog.Default()
}

// A loggedCall is a Call as a [calllog.Call].
type loggedCall Call

func (c *loggedCall) LogAttrs() []slog.Attr {
	return []slog.Attr{
		slog.String("apiKey", c.APIKey),
		slog.String("credential", cloudcode.CredentialType(c.Credential)),
		slog.String("run", c.RunID),
	}
}

func (h *Handler) httpDoer() HTTPDoer {
	if h.HTTP != nil {
		return h.HTTP
	}
	h.clientOnce.Do(func() { h.client = new(HTTPClient) })
	return h.client
}

func (h *Handler) clientIP(r *http.Request) string {
	if h.ClientIP != nil {
		return charset.ValidUTF8(h.ClientIP(r))
	}
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return "" // a Unix socket
	}
	return host
}
