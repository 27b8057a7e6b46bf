// Package sandbox runs untrusted scripts: a [Runner] is a [callback.ScriptRunner]
// over a pool of child processes.
//
//	func main() {
//		sandbox.Main() // in a child process it does not return
//
//		runner := &sandbox.Runner{Scripts: os.DirFS("cloudcode")}
//		defer runner.Close()
//		server := &http.Server{
//			Addr:              ":8080",
//			Handler:           &callback.Handler{Runner: runner, Secrets: secrets},
//			ReadHeaderTimeout: 5 * time.Second,
//			IdleTimeout:       2 * time.Minute,
//		}
//		server.ListenAndServe()
//	}
//
// The children are this same program, started ahead of the calls they serve.
// A child runs one call at a time. It compiles and runs the script itself, with
// the engine and the limits of [callback.GojaRunner]. Everything else that a
// script does goes through the parent: outbound requests, log lines, the host's
// members of Spark, the scripts' own files. A child that does
// not stop at the deadline is killed and another takes its place.
//
// A test program is a program like any other: its TestMain needs the line, too.
//
//	func TestMain(m *testing.M) {
//		sandbox.Main()
//		os.Exit(m.Run())
//	}
//
// # Security considerations
//
// A script can make its child slow, large or dead, and its own call with it. It
// harms neither the host nor another call. On Linux a child
//
//   - has an empty environment, and no file or socket but the pipes to its parent,
//   - has a limit on its memory,
//   - can call what it needs of the kernel to compute and to use the pipes, and
//     nothing else (on amd64 and arm64, see RequireSeccomp),
//   - ends when its parent ends.
//
// The parent takes everything from a child for hostile. So an attacker who finds
// a way past the JavaScript engine and runs machine code in a child cannot open
// a file or a socket, start a process, signal or read another process, or get
// more memory. Such an attacker can still
//
//   - use the processors, with as many threads as the system allows its user, for
//     as long as the child lives: until it misses a deadline or MaxCalls replaces it,
//   - read the scripts, and have an edit of one refused as broken,
//   - see and falsify later calls of the same child, unless MaxCalls is 1,
//   - ask the parent for what any script may ask: outbound requests, the host's
//     functions, log lines, all within the limits of the call,
//   - read the clock, and learn of the machine's load from it.
//
// Another user or a container for the whole program adds to this.
//
// On other systems children end at the deadline all the same, and nothing else is
// enforced; the log says so when the first child starts.
//
// The packages of the program are initialised in a child too, before main: what
// they do there happens once for each child.
package sandbox

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os/exec"
	"runtime"
	"sync"
	"time"

	"example.com/callback"
	"example.com/callback/internal/fair"
)

// Defaults of the [Runner]'s limits.
const (
	DefaultMaxMemory = 512 << 20
	DefaultMaxCalls  = 100_000
	DefaultMaxQueue  = callback.DefaultMaxQueue
)

// A Runner is a [callback.ScriptRunner] that runs each script in one of a pool
// of child processes. It is used by pointer and its fields must not change once
// it runs. The program's main must begin with [Main], and the Runner must be
// closed when it is of no more use.
//
// It reads the same tree as [callback.GojaRunner], and edits are live in the same
// way. One call can require at least 2,000 modules.
type Runner struct {
	// Scripts holds the tree of scripts. Either it or Source is required.
	Scripts fs.FS

	// Source supplies the tree of each call, instead of Scripts. All trees share
	// the children, which keep compiled scripts by the Version of their tree.
	Source callback.ScriptSource

	// Processes is the number of children, and so of calls under way: a call that
	// waits for an outbound request keeps its child. Zero means 4 times
	// GOMAXPROCS. Children are started when they are needed; Start starts all of
	// them.
	//
	// On Linux, calls that compute for long leave processors to those that do
	// not, as [callback.GojaRunner.MaxRunning] says. A call that waits does not
	// compute.
	//
	// Of each call, this process holds at most 64 MiB of bodies of outbound
	// requests, and the answers to them that a captured child does not read: by
	// the Handler's limits, MaxHTTPCalls times MaxHTTPBody, by default 80 MiB.
	// Then there is the script's result, at most 3 times MaxResponse.
	Processes int

	// Reserve is how many children there may be beyond Processes, each for a
	// credential that has no other call under way. So a busy credential does not
	// keep others waiting, and alone it may have all of Processes. Half of these
	// are kept for credentials whose calls have lately taken at most 500 ms, so
	// that many busy ones do not keep them waiting. A child that becomes free goes
	// to the waiting credential that has the fewest, and among those to one whose
	// calls take less time. Zero means a quarter of Processes and at least 2,
	// below zero means none.
	Reserve int

	// MaxMemory bounds the memory of a child, in bytes, in addition to what the
	// program takes when it starts. A child that needs more dies, and its call
	// fails. Zero means DefaultMaxMemory. Below 128 MiB little can run.
	MaxMemory int64

	// MaxCalls is how many calls a child serves before a new one replaces it.
	// Zero means DefaultMaxCalls.
	MaxCalls int

	// MaxQueue is how many calls may wait for a child, each until its deadline.
	// Zero means DefaultMaxQueue, below zero none. As many as Reserve may wait in
	// addition, each of a credential that has no other call. If too many wait, or
	// a call has waited in vain, RunScript returns [callback.ErrOverloaded].
	MaxQueue int

	// MaxScriptSize is the longest script or module, in bytes. Zero means
	// [callback.DefaultMaxScriptSize]. A longer one fails as if it did not
	// compile.
	MaxScriptSize int64

	// Zone is the local time zone of scripts. nil means UTC, whatever the host's
	// zone is. A child loads it by its name. If it cannot, it knows only the
	// offset that the zone has when the child starts.
	Zone *time.Location

	// RequireSeccomp refuses to run scripts if the kernel does not restrict the
	// system calls of children: RunScript and Start then return [ErrNoSeccomp].
	// Otherwise the log says so once, and calls are served. Restricting them
	// takes Linux on amd64 or arm64, with seccomp filters.
	RequireSeccomp bool

	// Logger takes what goes wrong with children. nil means [slog.Default].
	Logger *slog.Logger

	command func() *exec.Cmd // for tests; nil means this program
	lib     library          // of Scripts

	libraries libraries // of the Source
	texts     texts     // of the Source

	places fair.Places // one for each call under way

	mu           sync.Mutex
	begun        bool
	closing      bool
	failed       error               // permanently: the program does not call Main
	proved       bool                // the program calls Main
	greetTimeout time.Duration       // for the next child
	orders       chan struct{}       // children to start; nil until begun
	ordered      int                 // children on order or starting up
	live         int                 // children that have started up
	all          map[*child]struct{} // processes, starting up or live
	idle         []*child            // the most recently used is last
	waiting      []chan delivery     // calls that have a place and no child yet, in order; each is buffered
	busy         int                 // calls under way
	drained      chan struct{}       // closed when closing and no call is under way
	ended        chan struct{}       // closed when the Runner has ended
	warnOnce     sync.Once           // that system calls are not restricted
	children     sync.WaitGroup      // goroutines that start up or end a child
}

var (
	// ErrNoMain means that a process that was started as a child did not become
	// one, because the program's main, or a test's TestMain, does not begin with
	// Main.
	ErrNoMain = errors.New("callback/sandbox: child process did not reach sandbox.Main: call it first in main, or in TestMain")

	// ErrNoSeccomp means that the Runner requires restricted system calls, and
	// the kernel cannot restrict them.
	ErrNoSeccomp = errors.New("callback/sandbox: system calls of child processes cannot be restricted")

	// ErrClosed is the error of a closed [Runner]. It is a
	// [callback.ErrUnavailable], so the caller gets a 503.
	ErrClosed = fmt.Errorf("%w: sandbox.Runner is closed", callback.ErrUnavailable)

	errNoScripts  = errors.New("callback/sandbox: Runner has no Scripts and no Source")
	errTwoSources = errors.New("callback/sandbox: Runner has both Scripts and a Source")
)

// RunScript runs the script of call's credential in a child.
func (r *Runner) RunScript(ctx context.Context, call *callback.Call) (*callback.Result, error) {
	if err := r.begin(); err != nil {
		return nil, err
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var start time.Time
	if call.Usage != nil {
		start = time.Now()
	}
	name, scripts, err := r.scriptsOf(ctx, call)
	if err != nil {
		return nil, err
	}
	main, files, err := scripts.states(call)
	switch {
	case errors.Is(err, callback.ErrNoScript):
		return nil, err
	case err != nil:
		return nil, fmt.Errorf("%w: cannot read %s: %w", callback.ErrUnavailable, main, err)
	}
	for {
		c, place, err := r.acquire(ctx, fair.Key{APIKey: call.APIKey, Credential: call.Credential})
		if err != nil {
			return nil, err
		}
		s := &session{runner: r, child: c, ctx: ctx, call: call, tree: name, scripts: scripts, main: main}
		if call.Usage != nil {
			s.meter = &meter{usage: callback.Usage{Script: main, Version: name.Version, Queued: time.Since(start)}, process: c.process.Process.Pid}
			s.meter.begin()
		}
		result, end, err := r.runIn(s, place, files)
		if end != neverBegan || err != nil {
			return result, err
		}
	}
}

// runIn runs the session in its child and gives back the child and the place, even
// if code of the host panics.
func (r *Runner) runIn(s *session, place fair.Place, files []fileState) (result *callback.Result, end ending, err error) {
	c := s.child
	end = childSpent // after a panic
	defer func() {
		if s.meter != nil {
			*s.call.Usage = s.meter.end()
		}
		c.calls++
		computed := c.computed()
		switch {
		case end == neverBegan:
			r.retire(c, "none")
		case end == childDied:
			r.retire(c, s.main)
		case end == childSpent || c.calls >= cmp.Or(r.MaxCalls, DefaultMaxCalls):
			r.retire(c, "")
		default:
			r.release(c)
		}
		r.places.LeaveComputed(place, computed, s.outbound.waited())
	}()
	return s.run(files)
}

// Start starts all children and returns when the first one is ready, or with the
// reason why it is not. Calling it is optional: it shows early whether the Runner
// can work, and saves the first calls a wait.
func (r *Runner) Start(ctx context.Context) error {
	if err := r.begin(); err != nil {
		return err
	}
	c, place, err := r.acquire(ctx, fair.Key{}) // for any credential
	if err != nil {
		return err
	}
	r.release(c)
	r.places.Cancel(place)
	r.mu.Lock()
	defer r.mu.Unlock()
	for range r.processes() {
		r.order()
	}
	return nil
}

// Validate reports a Runner without scripts, or with limits under which nothing
// could run. It starts no child and does not call the Source.
func (r *Runner) Validate() error {
	errs := []error{callback.ValidateScripts("sandbox.Runner", r.Scripts, r.Source)}
	for _, limit := range [...]struct {
		field string
		n     int64
	}{
		{"Processes", int64(r.Processes)}, {"MaxMemory", r.MaxMemory},
		{"MaxCalls", int64(r.MaxCalls)}, {"MaxScriptSize", r.MaxScriptSize},
	} {
		if limit.n < 0 {
			errs = append(errs, fmt.Errorf("callback/sandbox: Runner.%s is negative: no script could run", limit.field))
		}
	}
	return errors.Join(errs...)
}

// Close waits for the calls under way, refuses new ones, and ends all
// children. A Runner that was never used can be closed, and one can be closed
// twice.
func (r *Runner) Close() error { return r.Shutdown(context.Background()) }

func (r *Runner) processes() int { return cmp.Or(r.Processes, 4*runtime.GOMAXPROCS(0)) }

func (r *Runner) reserve() int { return max(0, cmp.Or(r.Reserve, fair.DefaultReserve(r.processes()))) }

func (r *Runner) logger() *slog.Logger {
	if r.Logger != nil {
		return r.Logger
	}
	return slog.Default()
}
