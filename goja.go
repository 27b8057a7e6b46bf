package callback

import (
	"cmp"
	"context"
	"errors"
	"io/fs"
	"sync"

	"example.com/callback/internal/engine"
)

// Defaults of the [GojaRunner]'s limits.
const (
	DefaultMaxScriptSize = 1 << 20
	DefaultMaxStuck      = 16
	DefaultMaxQueue      = 16384
)

// GojaRunner is a [ScriptRunner] that runs scripts inside the process on goja,
// each in a fresh runtime. It is used by pointer and its fields must not change
// once it runs.
//
// It reads the tree of a game's exported cloud code: callbacks/{credential}.js,
// system/GS_CALLBACK_URL.js (else callbacks/server.js) for the server secret,
// and modules/{SHORTCODE}.js for require. A [Call] with a Script runs that module
// instead. At most 16,384 compiled scripts, of 64 MiB of source together, are kept.
// Others are compiled again when they run.
//
// An edit is live for calls that begin a millisecond after it. An edit that does not
// compile is logged once and the working script stays.
//
// The zone of a script's local time is [time.Local]. Scripts of the original ran in
// UTC: a program that runs such sets time.Local to [time.UTC] when it starts.
//
// A script that computes beyond its deadline is interrupted, but not in its first
// ten milliseconds. Where the engine cannot be interrupted (in a long native call)
// the caller still gets its answer in time; the run is abandoned and counted.
type GojaRunner struct {
	// Scripts holds the tree of all calls: an [os.DirFS], an embed.FS, a
	// testing/fstest.MapFS. The runner detects an edit by what the file system
	// tells of a file: its modification time and size and, for the system's own
	// files on Unix, its identity and change time. A file without a modification
	// time is read in each run and compared by content; [VersionedFS] avoids
	// that.
	Scripts fs.FS

	// Source supplies the tree of each call. Either it or Scripts is required.
	Source ScriptSource

	// MaxScriptSize is the longest script or module, in bytes. Zero means
	// DefaultMaxScriptSize. A longer one fails as if it did not compile.
	MaxScriptSize int64

	// MaxRunning is how many scripts may compute at the same time. Zero or below
	// means GOMAXPROCS. A script that waits for an outbound request, for a host
	// function or for another call that compiles it does not count while it
	// waits.
	//
	// Scripts that compute for long leave processors to others. A credential is
	// light if its scripts typically compute for at most 10 ms, slow if they
	// typically compute for more than 500 ms, and medium in between. While a light
	// credential calls, and for a minute after that,
	//   - slow ones together use at most half of GOMAXPROCS,
	//   - slow and medium ones together leave one processor free,
	//   - but each of these two kinds may use one processor. So with GOMAXPROCS at 2
	//     both can be busy. GOMAXPROCS=3 leaves one free on such a machine.
	MaxRunning int

	// Reserve is how many scripts may compute beyond MaxRunning. Zero means a
	// quarter of MaxRunning and at least 2, below zero means none. Each of these
	// places is for a credential of which no other script computes. So a busy
	// credential does not keep others waiting, and alone it may have all of
	// MaxRunning.
	//
	// Half of the places in reserve are kept for credentials whose scripts have
	// lately computed for at most 500 ms, so that many busy ones do not keep them
	// waiting. A place that becomes free goes to the waiting credential that has
	// the fewest, and among those to one whose scripts take less time.
	Reserve int

	// MaxQueue is how many calls may wait for a place. Each waits for at most
	// half of its time. Zero means DefaultMaxQueue, below zero none. As many as
	// Reserve may wait in addition, each of a credential that has no other call.
	// If too many wait, or a call has waited in vain, RunScript returns
	// ErrOverloaded.
	MaxQueue int

	// MaxStuck is how many abandoned runs may be busy past their deadline before
	// RunScript refuses every call with ErrOverloaded until one of them ends.
	// Zero means DefaultMaxStuck, below zero means 1.
	MaxStuck int

	// RunInline runs the script on its caller's goroutine and never abandons a
	// run: RunScript returns when the script has ended, however late. A small
	// script takes a tenth less time that way. It is for a process that another
	// process ends if it hangs. A host function that calls [runtime.Goexit] ends
	// the caller's goroutine.
	RunInline bool

	once   sync.Once
	engine engine.Engine
}

// RunScript runs the script of call's credential on a goroutine of its own,
// unless RunInline is set. For requests of an HTTP server that goroutine is kept
// for the next call, for at most 50 ms.
//
// Without RunInline, the calling goroutine must not be locked to its thread;
// those of an HTTP server are not. Nor may a host function leave the script's
// goroutine locked ([runtime.LockOSThread]). Otherwise the Go runtime could end
// the process.
func (g *GojaRunner) RunScript(ctx context.Context, call *Call) (*Result, error) {
	g.once.Do(g.open)
	if err := g.engine.Refuses(); err != nil {
		return nil, runError(err)
	}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	tree, err := TreeOf(ctx, call, g.Scripts, g.Source)
	if err != nil {
		return nil, err
	}
	o := g.engine.Run(ctx, engineCall(call), engine.Tree(tree))
	if u := call.Usage; u != nil {
		u.Script, u.Version, u.Queued, u.Computed = o.Script, cmp.Or(o.Version, tree.Version), o.Queued, o.Computed
	}
	if o.Err != nil {
		return nil, runError(o.Err)
	}
	return newResult(o.Result), nil
}

// open opens the engine with the limits and their defaults.
func (g *GojaRunner) open() {
	g.engine.Open(engine.Limits{
		MaxScriptSize: cmp.Or(g.MaxScriptSize, DefaultMaxScriptSize),
		MaxRunning:    g.MaxRunning,
		Reserve:       g.Reserve,
		MaxQueue:      cmp.Or(g.MaxQueue, DefaultMaxQueue),
		MaxStuck:      int64(max(1, cmp.Or(g.MaxStuck, DefaultMaxStuck))),
		RunInline:     g.RunInline,
		ManyTrees:     g.Source != nil,
	})
}

// Validate reports a GojaRunner without scripts, and one that could compile none. It
// does not ask its Source.
func (g *GojaRunner) Validate() error {
	if g.MaxScriptSize < 0 {
		return errors.New("callback: GojaRunner.MaxScriptSize is negative: no script could run")
	}
	return ValidateScripts("GojaRunner", g.Scripts, g.Source)
}
