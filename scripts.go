package callback

import (
	"cmp"
	"errors"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/compiler"
	"example.com/callback/internal/guard"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/web"
)

// mainProgram loads the script of the run's credential.
func (r *run) mainProgram() (*program, error) {
	if r.call.Credential != "" && !cloudcode.IsName(r.call.Credential) {
		return nil, ErrNoScript
	}
	for _, name := range cloudcode.MainScripts(r.call.Credential) {
		r.script = name
		program, err := r.runner.load(r, name, false)
		if !errors.Is(err, fs.ErrNotExist) {
			return program, err
		}
	}
	return nil, ErrNoScript
}

// maxCached is how many compiled scripts are kept.
const maxCached = 16384

// A script is a file with what it last compiled to.
type script struct {
	busy    chan struct{} // full while somebody compiles
	version atomic.Pointer[version]
}

// A version is what one state of a script's file compiles to: a program, or an
// error if no earlier state did either.
type version struct {
	modTime time.Time
	size    int64
	program *program
	err     error
}

// A program is a compiled script.
type program struct {
	compiled *goja.Program
	traits   traits
}

// load returns the program of a file. The error is fs.ErrNotExist, a
// *ScriptError if it does not compile, or that of the file system.
func (g *GojaRunner) load(r *run, name string, module bool) (*program, error) {
	info, err := fs.Stat(g.Scripts, name)
	if err == nil && info.IsDir() {
		err = fs.ErrNotExist
	}
	if errors.Is(err, fs.ErrNotExist) {
		g.forget(name) // it must not come back as what stays when an edit is broken
	}
	if err != nil {
		return nil, err
	}
	entry, ok := g.scripts.Load(name)
	if !ok {
		entry, ok = g.scripts.LoadOrStore(name, &script{busy: make(chan struct{}, 1)})
		if !ok && g.cached.Add(1) > maxCached {
			g.evict()
		}
	}
	s := entry.(*script)
	if v := s.version.Load(); v != nil && v.is(info) {
		return v.program, v.err
	}
	select {
	case s.busy <- struct{}{}:
	default:
		// Somebody compiles. Until that has come to something the version
		// before will do, if there is one.
		if v := s.version.Load(); v != nil && v.program != nil {
			return v.program, nil
		}
		mine := false
		goesOn := r.yieldPlace(func() {
			select {
			case s.busy <- struct{}{}:
				mine = true
			case <-r.ctx.Done():
			}
		})
		if mine && !goesOn {
			<-s.busy
		}
		if !goesOn {
			return nil, r.ctx.Err()
		}
	}
	defer func() { <-s.busy }()
	old := s.version.Load()
	if old != nil && old.is(info) {
		return old.program, old.err
	}
	v, err := g.read(name, module)
	if err != nil {
		return nil, err
	}
	if v.err != nil && old != nil && old.program != nil {
		var broken *ScriptError
		errors.As(v.err, &broken)
		cloudcode.LogBrokenEdit(r.ctx, r.log, broken.Script, broken.Line, broken.Column, broken.Message)
		v.program, v.err = old.program, nil
	}
	s.version.Store(v)
	return v.program, v.err
}

func (v *version) is(info fs.FileInfo) bool {
	return v.size == info.Size() && v.modTime.Equal(info.ModTime())
}

// evict forgets some scripts: those that a map happens to give first.
func (g *GojaRunner) evict() {
	g.scripts.Range(func(name, _ any) bool {
		g.forget(name.(string))
		return g.cached.Load() > maxCached*3/4
	})
}

func (g *GojaRunner) forget(name string) {
	if _, ok := g.scripts.LoadAndDelete(name); ok {
		g.cached.Add(-1)
	}
}

// read compiles the file as it is now. The error is the file system's; that of
// the compiler is in the version.
func (g *GojaRunner) read(name string, module bool) (*version, error) {
	file, err := g.Scripts.Open(name)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	v := &version{modTime: info.ModTime(), size: info.Size()}
	maxSize := cmp.Or(g.MaxScriptSize, DefaultMaxScriptSize)
	source, ok, err := limit.ReadAll(file, maxSize)
	if err != nil {
		return nil, err
	}
	if !ok {
		v.err = brokenScript(name, compiler.TooLong(maxSize))
		return v, nil
	}
	v.program, v.err = compile(name, string(source), module)
	return v, nil
}

// compile compiles a source. The error is a *ScriptError.
func compile(name, source string, module bool) (*program, error) {
	compiled, fault := compiler.Compile(name, source, module)
	if fault != nil {
		return nil, brokenScript(name, fault)
	}
	return &program{compiled: compiled, traits: traitsOf(source)}, nil
}

// brokenScript says which script the compiler refuses, and why.
func brokenScript(name string, f *compiler.Fault) *ScriptError {
	return &ScriptError{Script: name, Line: f.Line, Column: f.Column, Message: f.Message}
}

// memberProgram returns the compiled script of a host's member. There are as
// many as the host has written, so all are kept.
func (g *GojaRunner) memberProgram(name, source string) (*program, error) {
	if p, ok := g.members.Load(source); ok {
		return p.(*program), nil
	}
	p, err := compile("Spark."+name, "("+source+"\n)", false)
	if err != nil {
		return nil, err
	}
	g.members.Store(source, p)
	return p, nil
}

// traits are what a program needs of its world beyond the members of Spark, told
// by its text: what it does not name costs nothing.
type traits struct {
	parse     bool      // JSON.parse of the library's own: faster, and bounded
	stringify bool      // likewise
	guards    guard.Set // builtins that are held to a limit
	own       bool      // our names as properties of the global object itself
	declared  []string  // those of the standard globals that it declares, likewise
}

// declaresOurs matches where it matters to a program that our names are only
// inherited by the global object: a var of the same name would hide them, and
// strict code could not assign to them.
var declaresOurs = regexp.MustCompile(`use strict|\bvar\s+(Spark|require|requireOnce)\b`)

// declaresVar matches the declaration of a variable.
var declaresVar = regexp.MustCompile(`\bvar\s+(\w+)\b`)

// declaredGlobals are the standard globals that a source declares as variables.
func declaredGlobals(source string) (names []string) {
	for _, match := range declaresVar.FindAllStringSubmatch(source, -1) {
		if name := match[1]; web.Has(name) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return names
}

func traitsOf(source string) traits {
	json, parse, stringify := strings.Contains(source, "JSON"), strings.Contains(source, "parse"), strings.Contains(source, "stringify")
	if guard.IsDynamic(source) {
		json, parse, stringify = true, true, true
	}
	return traits{
		parse:     json && (parse || !stringify),
		stringify: json && (stringify || !parse),
		guards:    guard.For(source),
		own:       declaresOurs.MatchString(source),
		declared:  declaredGlobals(source),
	}
}
