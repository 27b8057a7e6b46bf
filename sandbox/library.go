package sandbox

import (
	"errors"
	"io/fs"
	"slices"
	"strings"
	"sync"

	"example.com/callback"
	"example.com/callback/internal/limit"
)

// A library is the parent's side of the scripts. Children have no access to
// them but through it, and it makes all children agree on one rule: a changed
// script that does not compile does not replace the one before it. A child may
// be younger than the last change, so none can keep the rule by itself. Here,
// a version of a file is on trial until a child has said how it compiled; one
// that did not is never shown to a child again while there is one that did.
//
// Nothing is compiled in the parent: compiling untrusted source can end a
// process.
type library struct {
	scripts fs.FS
	maxSize int64

	files    sync.Map // of *file by name
	requires sync.Map // of *required by main script: what it has asked for so far
}

// A file is one of the scripts, as far as children have asked for it.
type file struct {
	mu   sync.Mutex
	now  *version // as last read
	good *version // the last one that compiled, if any
}

// A version is one state of a file. All but verdict is immutable; verdict
// belongs to the file's mutex.
type version struct {
	number  int // counts the file's versions
	stamp   stamp
	text    []byte // at most one byte more than the limit
	verdict verdict
}

type verdict byte

const (
	onTrial verdict = iota
	compiles
	broken
)

// mainNames are the files that may be the call's main script, the first that
// exists is.
func mainNames(call *callback.Call) []string {
	if call.Credential == "" {
		return []string{"system/GS_CALLBACK_URL.js", "callbacks/server.js"}
	}
	return []string{"callbacks/" + call.Credential + ".js"}
}

// isScript reports whether name is of a file that may be a script: a child
// must not read whatever else lies beside them.
func isScript(name string) bool {
	dir, base, _ := strings.Cut(name, "/")
	base, isJS := strings.CutSuffix(base, ".js")
	if !isJS || base == "" || dir != "callbacks" && dir != "modules" && dir != "system" {
		return false
	}
	for i := range len(base) {
		c := base[i]
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '_' && c != '-' {
			return false
		}
	}
	return true
}

// stat returns the stamp of the version that children are to run.
func (l *library) stat(name string) (stamp, error) {
	if !isScript(name) {
		return stamp{}, fs.ErrNotExist
	}
	info, err := fs.Stat(l.scripts, name)
	if err != nil {
		return stamp{}, err
	}
	if info.IsDir() {
		return stamp{}, fs.ErrNotExist
	}
	s := stampOf(info)
	if f, ok := l.files.Load(name); ok {
		f := f.(*file)
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.good != nil && f.now.verdict == broken && f.now.stamp.equal(s) {
			return f.good.stamp, nil
		}
	}
	return s, nil
}

// read returns the version of a file to run. If it is on trial, the child is to
// say how it compiled, and to use instead, if it does not, the version before.
func (l *library) read(name string) (f *file, v, before *version, trial bool, err error) {
	if !isScript(name) {
		return nil, nil, nil, false, fs.ErrNotExist
	}
	entry, ok := l.files.Load(name)
	if !ok {
		// Only what exists gets an entry.
		if _, err := fs.Stat(l.scripts, name); err != nil {
			return nil, nil, nil, false, err
		}
		entry, _ = l.files.LoadOrStore(name, new(file))
	}
	f = entry.(*file)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := l.refresh(f, name); err != nil {
		return nil, nil, nil, false, err
	}
	switch {
	case f.now.verdict == onTrial:
		return f, f.now, f.good, true, nil
	case f.now.verdict == broken && f.good != nil:
		return f, f.good, nil, false, nil
	}
	return f, f.now, nil, false, nil
}

// refresh reads the file if it has changed. It is called with f.mu held.
func (l *library) refresh(f *file, name string) error {
	opened, err := l.scripts.Open(name)
	if err != nil {
		return err
	}
	defer opened.Close()
	info, err := opened.Stat()
	if err != nil {
		return err
	}
	if f.now != nil && f.now.stamp.equal(stampOf(info)) {
		return nil
	}
	text, _, err := limit.ReadAll(opened, l.maxSize)
	if err != nil {
		return err
	}
	number := 0
	if f.now != nil {
		number = f.now.number + 1
	}
	f.now = &version{number: number, stamp: stampOf(info), text: text}
	return nil
}

// judge notes how a version has compiled. It reports whether this is news and
// an earlier version takes its place.
func (f *file) judge(v *version, err error) (replaced bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if v.verdict != onTrial {
		return false
	}
	if err == nil {
		v.verdict = compiles
		if f.good == nil || f.good.number < v.number {
			f.good = v
		}
		return false
	}
	v.verdict = broken
	return f.good != nil
}

// A required is the list of modules that a main script has asked for, so that
// its next call can say in advance how they are. It only grows, to a limit:
// what is not in it costs a round trip.
type required struct {
	mu    sync.Mutex
	names []string // never changed in place
}

const maxRequired = 32

// modules returns the modules that the main script has asked for so far.
func (l *library) modules(main string) []string {
	entry, ok := l.requires.Load(main)
	if !ok {
		return nil
	}
	r := entry.(*required)
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.names
}

// learn adds a module to those of the main script.
func (l *library) learn(main, module string) {
	entry, ok := l.requires.Load(main)
	if !ok {
		entry, _ = l.requires.LoadOrStore(main, new(required))
	}
	r := entry.(*required)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.names) < maxRequired && !slices.Contains(r.names, module) {
		r.names = append(slices.Clip(r.names), module)
	}
}

// states tells what a call needs to know of its files in advance, and its main
// script. The error is what the call ends with.
func (l *library) states(call *callback.Call) (main string, files []fileState, err error) {
	for _, name := range mainNames(call) {
		s, err := l.stat(name)
		if err == nil {
			files = append(files, fileState{name: name, stamp: s})
			main = name
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return "", nil, err
		}
		files = append(files, fileState{name: name, absent: true})
	}
	if main == "" {
		return "", nil, callback.ErrNoScript
	}
	for _, name := range l.modules(main) {
		if s, err := l.stat(name); err == nil {
			files = append(files, fileState{name: name, stamp: s})
		} else {
			files = append(files, fileState{name: name, absent: true})
		}
	}
	return main, files, nil
}

// encodeFile encodes the answer to a request for a file.
func encodeFile(e *encoder, v, before *version, trial bool, err error) {
	encodeError(e, err)
	if err != nil {
		return
	}
	v.stamp.encode(e)
	e.bytes(v.text)
	e.bool(trial)
	e.bool(before != nil)
	if before != nil {
		before.stamp.encode(e)
		e.bytes(before.text)
	}
}
