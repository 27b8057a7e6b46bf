package sandbox

import (
	"errors"
	"io/fs"
	"slices"
	"sync"
	"time"

	"example.com/callback"
	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/tree"
)

// A library gives children access to the scripts. It keeps the rule that a changed
// script which does not compile does not replace the previous version. A child
// cannot keep this rule alone, because it may have started after the change. So a
// new version is on trial until a child reports whether it compiles. If it does not,
// children get the last version that did.
//
// The parent compiles nothing, because compiling an untrusted source can end the
// process.
type library struct {
	scripts fs.FS
	maxSize int64

	files    sync.Map // of *file by name
	requires sync.Map // of *required by name of the main script
}

// A file is a script that a child has asked for.
type file struct {
	mu     sync.Mutex
	latest *version // as last read
	good   *version // the last that compiled; or nil
	look   *look    // the last one; or nil
}

// A look is a look at the file system for the stamp of a file. Calls that begin
// within lookEvery share one, also while it is under way.
type look struct {
	began time.Time
	done  chan struct{}
	found tree.Stamp
	err   error
}

// lookEvery is how long a look at a file is valid, as in process.
const lookEvery = time.Millisecond

// A version is one state of a file. All fields but verdict are immutable; the
// file's mutex guards verdict.
type version struct {
	number  int // counts the file's versions
	content fileText
	verdict verdict
}

type verdict byte

const (
	onTrial verdict = iota
	compiles
	broken
)

// A trial is a version that a child is compiling for the first time.
type trial struct {
	name    string
	file    *file
	version *version
}

func (l *library) stat(main, name string) (tree.Stamp, error) {
	stamp, err := l.look(name)
	if err == nil && name != main {
		l.addModule(main, name)
	}
	return stamp, err
}

// look returns the stamp of the version that children are to run.
func (l *library) look(name string) (tree.Stamp, error) {
	if !cloudcode.IsScript(name) {
		return tree.Stamp{}, fs.ErrNotExist
	}
	entry, ok := l.files.Load(name)
	if !ok {
		return tree.Look(l.scripts, name, l.maxSize)
	}
	f := entry.(*file)
	found, err := l.lookAt(f, name)
	if err != nil {
		l.failed(name, err)
		return tree.Stamp{}, err
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.good != nil && f.latest.verdict == broken && f.latest.content.stamp == found {
		return f.good.content.stamp, nil
	}
	return found, nil
}

// lookAt returns the present stamp of the file. It does not hold f.mu while it
// looks: the file system may be slow.
func (l *library) lookAt(f *file, name string) (tree.Stamp, error) {
	now := time.Now()
	f.mu.Lock()
	if last := f.look; last != nil && now.Sub(last.began) < lookEvery {
		f.mu.Unlock()
		<-last.done
		return last.found, last.err
	}
	mine := &look{began: now, done: make(chan struct{}), err: errors.New("callback/sandbox: panic in the file system of the scripts")}
	f.look = mine
	f.mu.Unlock()
	defer close(mine.done)
	mine.found, mine.err = tree.Look(l.scripts, name, l.maxSize)
	return mine.found, mine.err
}

// failed forgets a file that does not exist any more. Otherwise its last version
// would remain in use if a new file of that name does not compile.
func (l *library) failed(name string, err error) {
	if errors.Is(err, fs.ErrNotExist) {
		l.files.Delete(name)
	}
}

func (l *library) read(name string) (*readReply, *trial) {
	if !cloudcode.IsScript(name) {
		return &readReply{Err: fs.ErrNotExist}, nil
	}
	entry, ok := l.files.Load(name)
	if !ok {
		// Only an existing file gets an entry.
		if _, err := fs.Stat(l.scripts, name); err != nil {
			return &readReply{Err: err}, nil
		}
		entry, _ = l.files.LoadOrStore(name, new(file))
	}
	f := entry.(*file)
	f.mu.Lock()
	defer f.mu.Unlock()
	if err := l.refresh(f, name); err != nil {
		l.failed(name, err)
		return &readReply{Err: err}, nil
	}
	switch {
	case f.latest.verdict == onTrial:
		reply := &readReply{File: f.latest.content, OnTrial: true}
		if f.good != nil {
			reply.Previous = &f.good.content
		}
		return reply, &trial{name, f, f.latest}
	case f.latest.verdict == broken && f.good != nil:
		return &readReply{File: f.good.content}, nil
	}
	return &readReply{File: f.latest.content}, nil
}

// refresh reads the file if it has changed. It is called with f.mu held.
func (l *library) refresh(f *file, name string) error {
	text, stamp, err := tree.Read(l.scripts, name, l.maxSize)
	if err != nil {
		return err
	}
	if f.latest != nil && f.latest.content.stamp == stamp {
		return nil
	}
	number := 0
	if f.latest != nil {
		number = f.latest.number + 1
	}
	f.latest = &version{number: number, content: fileText{stamp: stamp, text: text}}
	return nil
}

// end notes whether the version compiles. It returns true if the version has just
// been found broken and a previous one stays in its place.
func (t *trial) end(err error) (previousStays bool) {
	f, v := t.file, t.version
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

// A required lists the modules that a main script has asked for. The next call of
// the script sends their states along. The list only grows, up to a limit; a module
// that is not listed costs a round trip.
type required struct {
	mu    sync.Mutex
	names []string // replaced, never changed
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

// addModule adds a module to those of the main script.
func (l *library) addModule(main, module string) {
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

func (l *library) states(call *callback.Call) (main string, files []fileState, err error) {
	for _, name := range cloudcode.MainScripts(call.Credential, call.Script) {
		s, err := l.look(name)
		if err == nil {
			files = append(files, fileState{name: name, stamp: s})
			main = name
			break
		}
		if !errors.Is(err, fs.ErrNotExist) {
			return name, nil, err
		}
		files = append(files, fileState{name: name, absent: true})
	}
	if main == "" {
		return "", nil, callback.ErrNoScript
	}
	for _, name := range l.modules(main) {
		switch s, err := l.look(name); {
		case err == nil:
			files = append(files, fileState{name: name, stamp: s})
		case errors.Is(err, fs.ErrNotExist):
			files = append(files, fileState{name: name, absent: true})
		default: // the child asks for it, and gets the error
		}
	}
	return main, files, nil
}
