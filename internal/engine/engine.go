// Package engine runs scripts on goja: each call in a runtime of its own, with
// Spark, require and the standard globals. It knows nothing of HTTP requests that
// come in and of their answers: a [Call] brings what a script sees, and an
// [Outcome] has what it has set.
package engine

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"runtime"
	"sync/atomic"
	"time"

	"example.com/callback/internal/fair"
)

// An Engine runs scripts. It is used by pointer and safe for concurrent use.
type Engine struct {
	limits Limits

	cache      scriptCache
	places     fair.Places
	coroutines coroutines
	stuck      atomic.Int64
}

// Limits are those of callback.GojaRunner, which describes them. Zero is none.
type Limits struct {
	MaxScriptSize int64
	MaxRunning    int // zero or below means GOMAXPROCS
	Reserve       int // zero means the default for MaxRunning
	MaxQueue      int
	MaxStuck      int64

	// RunInline runs a script on its caller's goroutine and abandons no run.
	RunInline bool

	// ManyTrees means that calls may come with different trees.
	ManyTrees bool
}

// A Tree has the scripts of a call, as callback.Tree describes it.
type Tree struct {
	FS      fs.FS
	Version string
}

// A Call is one call of a script, as callback.Call describes it.
type Call struct {
	APIKey, Credential string
	Script             string // the main script's module; empty means that of Credential

	Host             Host
	Members, Globals Members

	HTTP        Doer // may be nil
	HTTPTimeout time.Duration
	MaxArgs     int64
	MaxResult   int64
	Logger      *slog.Logger // may be nil

	Now  time.Time // zero means the present
	Seed uint64    // zero means a random one

	Measure bool // whether the Outcome has Queued and Computed
}

// A Host made the Call. It is handed to the functions of Members.
type Host interface {
	// Request returns what a script may ask of its call. A run does not keep it:
	// most scripts ask for a little, once.
	Request() Request
}

// A Request is the part of a Call that only the script reads.
type Request struct {
	PlayerID, RunID, ClientIP, Method string

	Data    Params
	Headers Params // nil means none
	Input   json.RawMessage
	Body    []byte
	HasBody bool // a request of this Method has a body
}

// Params are names with their values.
type Params interface {
	Len() int
	At(i int) (name string, values []string)
}

// Members are the host's additions to an object, by name.
type Members interface {
	// Names returns the names, sorted.
	Names() []string

	// Script returns the script that makes a member. It is empty for a member
	// that is a function.
	Script(name string) (script string, ok bool)

	// Functions returns the names of the functions for a member's script.
	Functions(member string) []string

	// Call calls a member or, if function is not empty, one of its functions.
	Call(ctx context.Context, host Host, member, function string, args []json.RawMessage) (any, error)
}

// A Doer makes outbound requests, as callback.HTTPDoer does.
type Doer interface {
	Do(req *http.Request) (*http.Response, error)
}

// An Outcome is what a run came to.
type Outcome struct {
	Result Result // if Err is nil
	Err    error  // may be a *ScriptError, a *Refusal, a *FileError or ErrNoScript

	Script, Version string
	Queued          time.Duration
	Computed        time.Duration
}

// A Result is what a script has set, as callback.Result describes it.
type Result struct {
	Data, Errors []Field
	Raw          []byte
	Where        map[string]Position
}

// A Field is a name with its value in JSON.
type Field struct {
	Name  string
	Value json.RawMessage
}

// A Position is a position in a script. Line and Column count from 1.
type Position struct {
	Script string
	Line   int
	Column int
}

// ErrNoScript means that there is no main script.
var ErrNoScript = errors.New("callback: no script")

// A Refusal means that the Engine is at its capacity and has not begun the run.
type Refusal struct{ Reason error }

func (r *Refusal) Error() string { return r.Reason.Error() }

// A FileError means that the file of a main script cannot be read, although it may
// exist.
type FileError struct {
	Name string
	Err  error
}

func (e *FileError) Error() string { return "cannot read " + e.Name + ": " + e.Err.Error() }

// Unwrap returns e.Err.
func (e *FileError) Unwrap() error { return e.Err }

// A ScriptError is an error of a script, as callback.ScriptError describes it.
type ScriptError struct {
	Script  string
	Line    int
	Column  int
	Message string
	Stack   string
	Version string
	Err     error
}

// Error returns the position and the message, without the stack.
func (e *ScriptError) Error() string {
	switch {
	case e.Script == "":
		return "callback: " + e.Message
	case e.Line == 0:
		return fmt.Sprintf("callback: %s: %s", e.Script, e.Message)
	}
	return fmt.Sprintf("callback: %s:%d:%d: %s", e.Script, e.Line, e.Column, e.Message)
}

// Open sets the limits. It must be called before anything else.
func (e *Engine) Open(limits Limits) {
	e.limits = limits
	running := limits.MaxRunning
	if running <= 0 {
		running = runtime.GOMAXPROCS(0)
	}
	e.places.Open(running, cmp.Or(limits.Reserve, fair.DefaultReserve(running)), runtime.GOMAXPROCS(0))
}

// Refuses returns why no call is run at the moment, or nil.
func (e *Engine) Refuses() error {
	if stuck := e.stuck.Load(); !e.limits.RunInline && stuck >= e.limits.MaxStuck {
		return &Refusal{fmt.Errorf("%d runs are stuck past their deadline", stuck)}
	}
	return nil
}

// Stuck is the number of abandoned runs that have not ended.
func (e *Engine) Stuck() int64 { return e.stuck.Load() }

// Run runs the main script of a call. Unless RunInline is set, it does so on a
// coroutine and returns soon after ctx is done, whatever the script does.
func (e *Engine) Run(ctx context.Context, call Call, tree Tree) Outcome {
	r := newRun(ctx, e, call, tree)
	if err := r.enter(); err != nil {
		return Outcome{Err: err}
	}
	if e.limits.RunInline {
		return r.runInline()
	}
	c := e.coroutines.take(ctx)
	r.tools, c.run = &c.tools, r
	r.released.Add(1)
	c.resume()
	if c.kept && r.outcome.returned {
		e.coroutines.park(c)
	}
	r.released.Done()
	return r.tell(r.outcome)
}
