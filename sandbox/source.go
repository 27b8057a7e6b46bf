package sandbox

import (
	"context"
	"errors"
	"io/fs"
	"sync"

	"example.com/callback"
	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/tree"
)

// A treeName identifies a tree by its version or, without one, by a number.
type treeName struct {
	Version string
	Number  uint64
}

func (n *treeName) encode(e *encoder) {
	e.string(n.Version)
	e.uint(n.Number)
}

func (n *treeName) decode(d *decoder) {
	n.Version = d.string()
	n.Number = d.uint()
}

// scripts is the parent's access to the tree of one call.
type scripts interface {
	// states returns the name of the call's main script and the states of the
	// files that it is known to need. The error is ErrNoScript, or why main cannot
	// be read.
	states(call *callback.Call) (main string, files []fileState, err error)

	// stat returns the stamp of the version of a file to run. main is the script
	// that needs the file.
	stat(main, name string) (tree.Stamp, error)

	// read returns the version of a file to run, and a trial if the version has
	// not been tried.
	read(name string) (*readReply, *trial)
}

// scriptsOf returns the tree of a call.
func (r *Runner) scriptsOf(ctx context.Context, call *callback.Call) (treeName, scripts, error) {
	t, err := callback.TreeOf(ctx, call, r.Scripts, r.Source)
	switch {
	case err != nil:
		return treeName{}, nil, err
	case r.Source == nil:
		return treeName{}, &r.lib, nil
	case t.Version != "":
		return treeName{Version: t.Version}, &versioned{t, &r.texts, r.lib.maxSize}, nil
	}
	number, lib := r.libraries.of(t.FS, r.lib.maxSize)
	return treeName{Number: number}, lib, nil
}

// libraries are the libraries of trees without a version that a Source has
// returned.
type libraries struct {
	mu   sync.Mutex
	last uint64 // number
	all  map[fs.FS]numbered
}

type numbered struct {
	number uint64
	lib    *library
}

// maxLibraries bounds the number of remembered trees without a version.
const maxLibraries = 1024

func (l *libraries) of(fsys fs.FS, maxSize int64) (number uint64, lib *library) {
	l.mu.Lock()
	defer l.mu.Unlock()
	known, ok := l.all[fsys]
	if !ok {
		if len(l.all) >= maxLibraries || l.all == nil {
			l.all = map[fs.FS]numbered{}
		}
		l.last++
		known = numbered{l.last, &library{scripts: fsys, maxSize: maxSize}}
		l.all[fsys] = known
	}
	return known.number, known.lib
}

// versioned is a tree with a Version. Its files do not change, so they are
// neither checked nor put on trial.
type versioned struct {
	tree    callback.Tree
	texts   *texts
	maxSize int64
}

func (v *versioned) states(call *callback.Call) (main string, files []fileState, err error) {
	for _, name := range cloudcode.MainScripts(call.Credential, call.Script) {
		if _, err = v.text(name); err == nil {
			return name, nil, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return name, nil, err
		}
	}
	return "", nil, callback.ErrNoScript
}

func (v *versioned) stat(_, name string) (tree.Stamp, error) {
	_, err := v.text(name)
	return tree.Stamp{}, err
}

func (v *versioned) read(name string) (*readReply, *trial) {
	text, err := v.text(name)
	return &readReply{File: fileText{text: text}, Err: err}, nil
}

// text returns a file of the tree, but at most one byte more than the limit.
func (v *versioned) text(name string) ([]byte, error) {
	if !cloudcode.IsScript(name) {
		return nil, fs.ErrNotExist
	}
	key := textKey{v.tree.Version, name}
	if text, ok := v.texts.get(key); ok {
		if text == nil {
			return nil, fs.ErrNotExist
		}
		return text, nil
	}
	text, _, err := tree.Read(v.tree.FS, name, v.maxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		v.texts.put(key, nil)
	case err == nil:
		if text == nil {
			text = []byte{}
		}
		v.texts.put(key, text)
	}
	return text, err
}

// texts caches the files of trees with a Version, and which files they lack.
type texts struct {
	mu    sync.Mutex
	bytes int
	all   map[textKey][]byte // nil means that the tree has no such file
}

type textKey struct{ version, name string }

// Limits of the cache. When they are exceeded, everything is read again.
const (
	maxTexts     = 16384
	maxTextBytes = 64 << 20
)

func (t *texts) get(key textKey) (text []byte, ok bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	text, ok = t.all[key]
	return text, ok
}

func (t *texts) put(key textKey, text []byte) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.all == nil || len(t.all) >= maxTexts || t.bytes+len(text) > maxTextBytes {
		t.all, t.bytes = map[textKey][]byte{}, 0
	}
	if _, ok := t.all[key]; !ok {
		t.all[key] = text
		t.bytes += len(text)
	}
}

// Scripts implements [callback.ScriptSource] in a child.
func (w *worker) Scripts(context.Context, *callback.Call) (callback.Tree, error) {
	return callback.Tree{FS: childTree{w, w.task.tree.Number}, Version: w.task.tree.Version}, nil
}

// A childTree is the tree of the call under way. The number tells trees without a
// version apart.
type childTree struct {
	w      *worker
	number uint64
}

func (t childTree) Open(name string) (fs.File, error)     { return t.w.open(name) }
func (t childTree) Told()                                 {}
func (t childTree) Stat(name string) (fs.FileInfo, error) { return t.w.stat(name) }
