package engine

import (
	"errors"
	"io/fs"
	"sync"
	"sync/atomic"
	"time"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/tree"
)

// mainProgram loads the main script of the run.
func (r *run) mainProgram() (*program, error) {
	for _, name := range cloudcode.MainScripts(r.call.Credential, r.call.Script) {
		r.script = name
		program, err := r.load(name)
		if !errors.Is(err, fs.ErrNotExist) {
			return program, err
		}
	}
	r.script = ""
	return nil, ErrNoScript
}

// Limits of the compiled scripts that a runner keeps.
const (
	maxCached      = 16384
	maxCachedBytes = 64 << 20 // of their sources
)

// A scriptCache keeps compiled scripts.
type scriptCache struct {
	scripts sync.Map // of *script by scriptKey
	count   atomic.Int64
	bytes   atomic.Int64 // of the scripts' sources
	members sync.Map     // the Scripts of the host's members: *program by source
}

// A scriptKey identifies a script by the version of its tree or, if that is
// empty, by the tree itself.
type scriptKey struct {
	tree          fs.FS
	version, name string
}

func (r *run) key(name string) scriptKey {
	if r.tree.Version != "" {
		return scriptKey{version: r.tree.Version, name: name}
	}
	if !r.engine.limits.ManyTrees {
		return scriptKey{name: name}
	}
	return scriptKey{tree: r.tree.FS, name: name}
}

// A script is a file and the result of its last compilation.
type script struct {
	busy    chan struct{} // full while a run reads the script
	version atomic.Pointer[version]
	used    atomic.Bool  // since the last eviction
	bytes   atomic.Int64 // of its source
	gone    atomic.Bool  // from the cache
}

// lookEvery is how long a check of a file is valid: an edit is live for runs that
// begin a millisecond later.
const lookEvery = time.Millisecond

// A version is the result of compiling one state of a file: a program, or an
// error if no earlier state compiled either.
type version struct {
	stamp   tree.Stamp   // zero in a tree that has a Version
	looked  atomic.Int64 // when the file was last found in this state, in Unix nanoseconds
	program *program
	err     error
}

// isCurrent reports whether v is known to be the present state of the file.
func (r *run) isCurrent(v *version, now time.Time) bool {
	if r.tree.Version != "" {
		return true
	}
	if _, told := r.tree.FS.(tree.Told); told {
		return false // checking costs nothing
	}
	age := time.Duration(now.UnixNano() - v.looked.Load())
	return 0 <= age && age < lookEvery
}

// foundAt notes that a check, which began at the given time, found the file in
// this state. It returns the results of load.
func (v *version) foundAt(look time.Time) (*program, error) {
	v.looked.Store(look.UnixNano())
	return v.program, v.err
}

// load returns the program of a file. The error is a *ScriptError if the file does not
// compile, or a *FileError, which is fs.ErrNotExist if there is no such file.
func (r *run) load(name string) (*program, error) {
	cache, key, now := &r.engine.cache, r.key(name), time.Now()
	if s := cache.find(key); s != nil {
		if v := s.version.Load(); v != nil && r.isCurrent(v, now) {
			return v.program, v.err
		}
	}
	var stamp tree.Stamp
	certain := true // the stamp tells whether the file has changed
	if r.tree.Version == "" {
		var err error
		if stamp, certain, err = tree.Stat(r.tree.FS, name); err != nil {
			if errors.Is(err, fs.ErrNotExist) {
				cache.forget(key) // so that a broken edit of a new file does not bring it back
			}
			return nil, &FileError{name, err}
		}
	}
	s := cache.findOrAdd(key)
	for reading := false; !reading; {
		v := s.version.Load()
		if v != nil && certain && v.stamp == stamp {
			return v.foundAt(now)
		}
		select {
		case s.busy <- struct{}{}:
			reading = true
		default:
			// Another run reads the script. Until it has done so, the previous
			// version is used, if there is one.
			if v != nil && v.program != nil {
				return v.program, nil
			}
			if err := r.awaitReader(s); err != nil {
				return nil, err
			}
		}
	}
	defer func() { <-s.busy }()
	old := s.version.Load()
	if old != nil && certain && old.stamp == stamp {
		return old.foundAt(now)
	}
	source, stamp, err := tree.Read(r.tree.FS, name, r.engine.limits.MaxScriptSize)
	if err != nil {
		return nil, &FileError{name, err}
	}
	if r.tree.Version != "" {
		stamp = tree.Stamp{}
	}
	if old != nil && old.stamp == stamp {
		return old.foundAt(now)
	}
	v := &version{stamp: stamp}
	v.program, v.err = r.compile(name, source)
	// A file system that tells the states of its files keeps this rule by itself,
	// and knows which were removed.
	if _, told := r.tree.FS.(tree.Told); v.err != nil && !told && old != nil && old.program != nil {
		var broken *ScriptError
		errors.As(v.err, &broken)
		cloudcode.LogBrokenEdit(r.ctx, r.call.Logger, broken.Script, broken.Line, broken.Column, broken.Message)
		v.program, v.err = old.program, nil
	}
	s.version.Store(v)
	cache.setBytes(s, int64(len(source)))
	return v.foundAt(now)
}

// awaitReader waits, without a place, until no run reads the script. A run that
// has not begun then queues like a new call. Otherwise MaxQueue would not hold
// for the callers of a new script.
func (r *run) awaitReader(s *script) error {
	wait := func() {
		select {
		case s.busy <- struct{}{}:
			<-s.busy
		case <-r.ctx.Done():
		}
	}
	if r.main != nil {
		if !r.yieldPlace(wait) {
			return r.ctx.Err()
		}
		return nil
	}
	r.leave()
	wait()
	if r.stopped() {
		return r.ctx.Err()
	}
	return r.enter()
}

// find returns a script of the cache, or nil.
func (c *scriptCache) find(key scriptKey) *script {
	entry, ok := c.scripts.Load(key)
	if !ok {
		return nil
	}
	s := entry.(*script)
	if !s.used.Load() {
		s.used.Store(true)
	}
	return s
}

// findOrAdd returns a script of the cache, and adds it if necessary.
func (c *scriptCache) findOrAdd(key scriptKey) *script {
	if s := c.find(key); s != nil {
		return s
	}
	entry, ok := c.scripts.LoadOrStore(key, &script{busy: make(chan struct{}, 1)})
	if !ok && c.count.Add(1) > maxCached {
		c.evict()
	}
	return entry.(*script)
}

// setBytes notes the size of a script's source.
func (c *scriptCache) setBytes(s *script, size int64) {
	total := c.bytes.Add(size - s.bytes.Swap(size))
	if s.gone.Load() {
		c.bytes.Add(-s.bytes.Swap(0))
	}
	if total > maxCachedBytes {
		c.evict()
	}
}

// evict removes scripts until a quarter of the cache is free, beginning with
// those that were not used since the last eviction.
func (c *scriptCache) evict() {
	for range 2 {
		c.scripts.Range(func(key, entry any) bool {
			if !entry.(*script).used.Swap(false) {
				c.forget(key.(scriptKey))
			}
			return c.count.Load() > maxCached*3/4 || c.bytes.Load() > maxCachedBytes*3/4
		})
	}
}

func (c *scriptCache) forget(key scriptKey) {
	if entry, ok := c.scripts.LoadAndDelete(key); ok {
		s := entry.(*script)
		c.count.Add(-1)
		s.gone.Store(true)
		c.bytes.Add(-s.bytes.Swap(0))
	}
}

// memberProgram returns the compiled script of a host's member. All are kept:
// there are only those of the host's Members and Globals.
func (c *scriptCache) memberProgram(name, source string) (*program, error) {
	if p, ok := c.members.Load(source); ok {
		return p.(*program), nil
	}
	p, err := compileMember(name, source)
	if err != nil {
		return nil, err
	}
	c.members.Store(source, p)
	return p, nil
}
