package callback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"example.com/callback/internal/engine"
)

// A ScriptRunner runs the script of a [Call].
//
// RunScript must be safe for concurrent use and must return when ctx is done.
// It must not retain call after it returns, except in a run that it has
// abandoned. What it returns decides the answer:
//   - a Result is written as HTTP;
//   - [ErrNoScript] is a 404;
//   - [ErrOverloaded] and [ErrUnavailable] are a 503, [ErrTooMany] a 429, each
//     with Retry-After (see [RetryAfter]);
//   - [context.DeadlineExceeded] is a 504;
//   - any other error is a 500.
//
// The error's text is logged and never sent to the caller. A [*ScriptError] is
// logged with its position and its stack.
type ScriptRunner interface {
	RunScript(ctx context.Context, call *Call) (*Result, error)
}

// ScriptRunnerFunc is a function as a [ScriptRunner].
type ScriptRunnerFunc func(ctx context.Context, call *Call) (*Result, error)

// RunScript calls f.
func (f ScriptRunnerFunc) RunScript(ctx context.Context, call *Call) (*Result, error) {
	return f(ctx, call)
}

// A Call is one authorised request to run a script. The [Handler] makes it, or
// the host for [Handler.RunScript]. It is immutable afterwards.
//
// A Call can be stored and queued as JSON. That leaves out the fields that the
// Handler supplies when it runs the Call: Members, Globals, HTTP, the limits,
// Logger and Usage. All text in a Handler's Call is valid UTF-8.
type Call struct {
	// APIKey names the game and Credential the script. Credential is empty
	// when the URL held the game's server secret.
	APIKey     string `json:"apiKey"`
	Credential string `json:"credential,omitempty"`

	// PlayerID is the player named by the URL, or empty.
	PlayerID string `json:"playerId,omitempty"`

	// RunID is unique to this call. Every log line has it, and
	// Spark.getSessionId() returns it.
	RunID string `json:"runId,omitempty"`

	// ClientIP is the caller's address.
	ClientIP string `json:"clientIp,omitempty"`

	// Method is the request's method; empty reads as GET.
	Method string `json:"method,omitempty"`

	// Script, if not empty, names a module to run as the main script, instead
	// of the credential's script. It is for calls of a scheduler or a queue.
	Script string `json:"script,omitempty"`

	// Version, if not empty, is the version of the scripts that must run,
	// whichever is live: for a retry, or for a test of one that is not live. A
	// [ScriptSource] gives that version or fails with [ErrNoVersion].
	Version string `json:"version,omitempty"`

	// Data is what Spark.getData() returns, in order, each name once.
	Data []Param `json:"data,omitempty"`

	// Input, if not nil, is valid JSON, which Spark.getData() returns instead of
	// Data.
	Input json.RawMessage `json:"input,omitempty"`

	// Body holds the bytes of the request's body, after inflation. nil means that
	// there was no body or that the Handler has not kept it.
	Body []byte `json:"body,omitzero"`

	// RequestHeaders is REQUEST_HEADERS in the script's data, with names in
	// lower case. nil means that there is no such member.
	RequestHeaders []Param `json:"requestHeaders,omitzero"`

	// Members are the host's additions to Spark.
	Members Members `json:"-"`

	// Globals are the host's additions to the global object.
	Globals Members `json:"-"`

	// HTTP makes outbound requests, within the Handler's limits of number and
	// size. nil means that the script can make none.
	HTTP HTTPDoer `json:"-"`

	// HTTPTimeout bounds an outbound request for which the script names no
	// time-out. Zero means [DefaultHTTPTimeout].
	HTTPTimeout time.Duration `json:"-"`

	// MaxArgs bounds the JSON of the arguments of one call of a host function,
	// in bytes. Zero means 1 MiB. The script gets an error for more.
	MaxArgs int64 `json:"-"`

	// MaxResult bounds the Result, in bytes of its names and their JSON. A larger
	// one is a [*ScriptError]. Zero means enough for an answer of 4 MiB.
	MaxResult int64 `json:"-"`

	// Logger takes the script's log lines. The Handler's carries the API key,
	// the credential and the run id. nil means that the lines are dropped.
	Logger *slog.Logger `json:"-"`

	// Usage, if not nil, is filled in by the runner before RunScript returns. A
	// run that the runner has abandoned must not write to it.
	Usage *Usage `json:"-"`

	// Now, if not zero, is the time that the script's clock always shows.
	// Seed, if not zero, makes Math.random repeatable. Both are for tests; the
	// Handler leaves them zero.
	Now  time.Time `json:"now,omitzero"`
	Seed uint64    `json:"seed,omitempty"`

	equipped *equipment // by the Handlers that run this call; nil without one
}

// A Usage is what only the [ScriptRunner] can tell of a run.
type Usage struct {
	// Script is the main script's file, such as "callbacks/hello.js", and
	// Version that of its tree or, if the tree has none, of the file. Both are
	// empty if the run was refused before they were known.
	Script  string
	Version string

	// Queued is the time that the call waited for its turn, and Computed the
	// time that the script ran. Neither includes the time that the script
	// waited for outbound requests or host functions.
	Queued   time.Duration
	Computed time.Duration

	// ChildCPU is the processor time that a sandbox's child used for the call,
	// and ChildMemory the most memory that the child has ever had, in bytes.
	// Other runners leave both zero, and so does the sandbox on systems other
	// than Linux. ChildMemory is also zero if the child ended by itself.
	ChildCPU    time.Duration
	ChildMemory int64
}

// A Param is a name of a request with its values, at least one. A script sees
// one value as a string and several as an array.
type Param struct {
	Name   string   `json:"name"`
	Values []string `json:"values"`
}

// A Result is what a script has set: its script data and its script errors, each
// in the order first set. The zero Result is of a script that set nothing.
//
// The names RESPONSE_RAW, RESPONSE_HEADERS and RESPONSE_STATUS in Data are
// reserved: they make the answer's body, headers and status.
type Result struct {
	Data   []Field
	Errors []Field

	// Raw, if not nil, is the body of the answer, and Data has no RESPONSE_RAW. A
	// script that sets RESPONSE_RAW to bytes sets Raw.
	Raw []byte

	// Where holds, by name, where the script has set RESPONSE_STATUS or
	// RESPONSE_HEADERS, if the Handler may refuse the value. It may be nil.
	Where map[string]Position
}

// A Position is a position in a script. Line and Column count from 1.
type Position struct {
	Script string // the file, as in [ScriptError]
	Line   int
	Column int
}

// A Field is a name with a value, which is valid JSON without white space
// between its tokens.
type Field struct {
	Name  string
	Value json.RawMessage
}

// Set encodes value with [json.Marshal] and makes it the script data called
// name. The error is json.Marshal's; the Result is then unchanged. Set is for
// runners written in Go.
func (r *Result) Set(name string, value any) error {
	text, err := json.Marshal(value)
	if err != nil {
		return fmt.Errorf("callback: script data %q: %w", name, err)
	}
	for i := range r.Data {
		if r.Data[i].Name == name {
			r.Data[i].Value = text
			return nil
		}
	}
	r.Data = append(r.Data, Field{name, text})
	return nil
}

// ErrNoScript means that a call's credential has no script. The caller gets a 404.
var ErrNoScript = errors.New("callback: no script")

// ErrOverloaded means that a [ScriptRunner] is at its capacity and has not
// started the script. The caller gets a 503.
var ErrOverloaded = errors.New("callback: overloaded")

// ErrUnavailable means that something that a call needs is out of order for the
// moment. The caller gets a 503.
var ErrUnavailable = errors.New("callback: unavailable")

// ErrNoVersion means that the scripts have no version with the name in
// [Call].Version. It is a 500, with [OutcomeInternal].
var ErrNoVersion = errors.New("callback: no such version")

// ErrTooMany means that the caller makes more calls than it may. It gets a 429.
var ErrTooMany = errors.New("callback: too many calls")

// RetryAfter returns err with a time after which the caller may try again. The
// answer's Retry-After is d, rounded up to whole seconds and at least 1. Without
// RetryAfter it is 1.
func RetryAfter(err error, d time.Duration) error { return &retryAfterError{err, d} }

type retryAfterError struct {
	error
	after time.Duration
}

func (e *retryAfterError) Unwrap() error { return e.error }

// errNoRunner is logged when a [Handler] without a Runner is called.
var errNoRunner = errors.New("callback: Handler has no Runner")

// A ScriptError is an error of a script.
type ScriptError struct {
	// Script is the file's name in the runner's scripts, such as
	// "callbacks/hello.js"; empty means unknown.
	Script string

	// Line and Column count from 1; zero means unknown.
	Line   int
	Column int

	// Message is what the script threw, cut at 4 KiB, such as
	// "TypeError: Cannot read property 'x' of undefined".
	Message string

	// Stack is the script's call stack, one frame a line, or empty.
	Stack string

	// Version is that of the script's [Tree], or empty.
	Version string

	// Err, if not nil, is the cause: [context.DeadlineExceeded] for a script
	// that ran out of time.
	Err error
}

// Error returns the position and the message, without the stack.
func (e *ScriptError) Error() string {
	return (*engine.ScriptError)(e).Error()
}

// Unwrap returns e.Err.
func (e *ScriptError) Unwrap() error { return e.Err }
