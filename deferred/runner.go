package deferred

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"strings"
	"sync"

	"example.com/callback"
	"example.com/callback/internal/cloudcode"
)

// DefaultMaxAttempts is how often a call is tried if nobody says otherwise.
const DefaultMaxAttempts = 8

// A Runner is a ScriptRunner that defers calls: it enqueues them and answers
// with status 202 and {"run": id}, once the queue has committed. If the queue
// fails, the error is [callback.ErrUnavailable], so that the sender tries again.
// Calls that are not deferred, and those that a [Worker] runs, it passes on.
//
// The Usage of a deferred call names the script and the version that will run, as far
// as they are known.
//
// It is used by pointer and safe for concurrent use. Its fields must not change once
// it is used.
type Runner struct {
	// Next runs the calls. It is required.
	Next callback.ScriptRunner

	// Queue takes the deferred calls. It is required.
	Queue Queue

	// Source gives the scripts that Next runs, for their versions and first
	// lines. If it is nil, a deferred call runs with the version that is live
	// when it runs, and Defer is required.
	Source callback.ScriptSource

	// Defer says which calls are deferred. nil means those whose main script
	// has this as its first line:
	//
	//	// callback: deferred
	Defer func(ctx context.Context, call *callback.Call) bool

	// Key, if not nil, returns what the sender calls the event, such as the
	// value of its Webhook-Id header (see [HeaderKey]). Two calls of a credential
	// with the same key are one event: the second gets the run id of the first
	// and does not run. An empty key is none.
	Key func(call *callback.Call) string

	// Live has a call run with the version that is live when it runs, instead
	// of the one that was live when it was accepted.
	Live bool

	// MaxAttempts is how often a call may be begun. Zero means
	// DefaultMaxAttempts.
	MaxAttempts int

	mu     sync.Mutex
	marked map[markedKey]bool // whether a script of a version is deferred
}

// HeaderKey returns a function for Runner.Key: the value of a request header,
// which must be among [callback.Handler].RequestHeaders.
func HeaderKey(name string) func(*callback.Call) string {
	name = strings.ToLower(name)
	return func(call *callback.Call) string {
		for _, h := range call.RequestHeaders {
			if h.Name == name {
				return h.Values[0]
			}
		}
		return ""
	}
}

// RunScript defers the call or passes it on.
func (r *Runner) RunScript(ctx context.Context, call *callback.Call) (*callback.Result, error) {
	if runOf(ctx) != nil {
		return r.Next.RunScript(ctx, call)
	}
	var tree callback.Tree
	if r.Source != nil {
		var err error
		if tree, err = r.Source.Scripts(ctx, call); err != nil {
			if ctx.Err() == nil && !errors.Is(err, callback.ErrNoScript) && !errors.Is(err, callback.ErrNoVersion) {
				err = fmt.Errorf("%w: script source: %w", callback.ErrUnavailable, err)
			}
			return nil, err
		}
	}
	deferred, script, err := r.defers(ctx, call, tree)
	if err != nil {
		return nil, err
	}
	if !deferred {
		return r.Next.RunScript(ctx, call)
	}
	accepted := *call
	if !r.Live {
		accepted.Version = cmp.Or(call.Version, tree.Version)
	}
	if call.Usage != nil {
		call.Usage.Script, call.Usage.Version = script, accepted.Version
	}
	job, err := NewJob(&accepted, cmp.Or(r.MaxAttempts, DefaultMaxAttempts))
	if err != nil {
		return nil, err
	}
	if r.Key != nil {
		if key := r.Key(call); key != "" {
			job.Key = NewKey("event", call.APIKey, call.Credential, key)
		}
	}
	id, err := r.Queue.Enqueue(ctx, job)
	if err != nil {
		return nil, fmt.Errorf("%w: cannot be enqueued: %w", callback.ErrUnavailable, err)
	}
	if id != job.ID && call.Logger != nil {
		call.Logger.InfoContext(ctx, "callback: event is a duplicate", "first", id)
	}
	var result callback.Result
	if err := errors.Join(result.Set("RESPONSE_STATUS", http.StatusAccepted), result.Set("run", id)); err != nil {
		return nil, err
	}
	return &result, nil
}

// Validate reports fields that are missing, and what Next reports if it has a
// Validate method.
func (r *Runner) Validate() error {
	var errs []error
	if r.Next == nil {
		errs = append(errs, errors.New("callback: deferred.Runner.Next is missing"))
	}
	if r.Queue == nil {
		errs = append(errs, errors.New("callback: deferred.Runner.Queue is missing"))
	}
	if r.Source == nil && r.Defer == nil {
		errs = append(errs, errNeither)
	}
	if next, ok := r.Next.(interface{ Validate() error }); ok {
		errs = append(errs, next.Validate())
	}
	return errors.Join(errs...)
}

var errNeither = errors.New("callback: deferred.Runner has neither Source nor Defer")

// defers reports whether a call is deferred. script is the file of its main script,
// if that had to be read.
func (r *Runner) defers(ctx context.Context, call *callback.Call, tree callback.Tree) (deferred bool, script string, err error) {
	if r.Defer != nil {
		return r.Defer(ctx, call), "", nil
	}
	if tree.FS == nil {
		return false, "", errNeither
	}
	for _, name := range cloudcode.MainScripts(call.Credential, call.Script) {
		marked, err := r.isMarked(tree, name)
		switch {
		case err == nil:
			return marked, name, nil
		case !errors.Is(err, fs.ErrNotExist):
			return false, "", fmt.Errorf("%w: cannot read %s: %w", callback.ErrUnavailable, name, err)
		}
	}
	return false, "", nil // Next says that there is no script
}

type markedKey struct{ version, name string }

// isMarked reports whether a script's first line defers it. Files of a tree that
// has a version are read once.
func (r *Runner) isMarked(tree callback.Tree, name string) (bool, error) {
	if !cloudcode.IsScript(name) {
		return false, fs.ErrNotExist
	}
	key := markedKey{tree.Version, name}
	if tree.Version != "" {
		r.mu.Lock()
		marked, ok := r.marked[key]
		r.mu.Unlock()
		if ok {
			return marked, nil
		}
	}
	file, err := tree.FS.Open(name)
	if err != nil {
		return false, err
	}
	defer file.Close()
	line, err := bufio.NewReader(io.LimitReader(file, maxFirstLine)).ReadBytes('\n')
	if err != nil && err != io.EOF {
		return false, err
	}
	marked := isMark(line)
	if tree.Version != "" {
		r.mu.Lock()
		if r.marked == nil || len(r.marked) == maxMarked {
			r.marked = map[markedKey]bool{}
		}
		r.marked[key] = marked
		r.mu.Unlock()
	}
	return marked, nil
}

const (
	maxFirstLine = 256
	maxMarked    = 4096
)

// isMark reports whether a line is the comment "callback: deferred", with blanks
// or without.
func isMark(line []byte) bool {
	text := bytes.TrimPrefix(line, []byte("\ufeff"))
	text, isComment := bytes.CutPrefix(bytes.TrimSpace(text), []byte("//"))
	key, value, _ := strings.Cut(string(text), ":")
	return isComment && strings.TrimSpace(key) == "callback" && strings.TrimSpace(value) == "deferred"
}
