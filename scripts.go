package callback

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"sync/atomic"
	"time"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/parser"
	"github.com/dop251/goja/token"
)

// nameOf is the file name of the call's main script, as far as it is known
// without looking.
func (g *GojaRunner) nameOf(call *Call) string {
	if call.Credential == "" {
		return "system/GS_CALLBACK_URL.js"
	}
	return "callbacks/" + call.Credential + ".js"
}

// mainProgram loads the script of the run's credential.
func (g *GojaRunner) mainProgram(r *run) (*program, error) {
	if r.call.Credential != "" && !isName(r.call.Credential) {
		return nil, ErrNoScript
	}
	names := []string{g.nameOf(r.call)}
	if r.call.Credential == "" {
		names = append(names, "callbacks/server.js")
	}
	for _, name := range names {
		r.name = name
		program, err := g.load(r, name, false)
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
		goesOn := r.wait(func() {
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
		r.log.Error("callback: changed script does not compile, the one before it stays",
			"script", broken.Script, "line", broken.Line, "column", broken.Column, "error", broken.Message)
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
	limit := or(g.MaxScriptSize, DefaultMaxScriptSize)
	source, ok, err := readAtMost(file, limit)
	if err != nil {
		return nil, err
	}
	if !ok {
		v.err = &ScriptError{Script: name, Message: fmt.Sprintf("script is over the limit of %d bytes", limit)}
		return v, nil
	}
	v.program, v.err = compile(name, string(source), module)
	return v, nil
}

// parserOptions are those of every parse. Source maps are off: the comment that
// names one makes the parser open any file or URL it likes.
var parserOptions = []parser.Option{parser.WithDisableSourceMaps}

// compile compiles a source. A module is compiled so that it can run twice in
// one global scope. The error is a *ScriptError.
func compile(name, source string, module bool) (p *program, err error) {
	defer func() {
		if v := recover(); v != nil {
			p, err = nil, &ScriptError{Script: name, Message: fmt.Sprintf("the compiler failed with a %T", v)}
		}
	}()
	source = strings.TrimPrefix(source, "\ufeff")
	if nesting(source) > maxNesting {
		return nil, &ScriptError{Script: name, Message: fmt.Sprintf("SyntaxError: brackets are nested more than %d deep", maxNesting)}
	}
	tree, err := parser.ParseFile(nil, name, source, 0, parserOptions...)
	if err != nil {
		return nil, compileError(name, source, err)
	}
	if module {
		hoistLexical(tree)
	}
	compiled, err := goja.CompileAST(tree, false)
	if err != nil {
		return nil, compileError(name, source, err)
	}
	return &program{compiled: compiled, traits: traitsOf(source)}, nil
}

// maxNesting is how deep brackets may be nested in a script: the parser and the
// compiler recurse, and a stack that overflows takes the process down.
const maxNesting = 1000

// nesting is how deep brackets are nested in a source, told without a parser:
// those in strings and comments count too.
func nesting(source string) (deepest int) {
	depth := 0
	for i := 0; i < len(source); i++ {
		switch source[i] {
		case '(', '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
	}
	return deepest
}

// compileError makes a ScriptError of what the parser or the compiler says.
// Both are plain Go: nothing of a script has run.
func compileError(name, source string, err error) error {
	e := &ScriptError{Script: name, Message: "SyntaxError: " + err.Error()}
	var at file.Position
	var list parser.ErrorList
	var syntax *goja.CompilerSyntaxError
	switch {
	case errors.As(err, &list) && len(list) > 0:
		e.Message, at = list[0].Message, list[0].Position
	case errors.As(err, &syntax):
		e.Message = syntax.Message
		if syntax.File != nil {
			at = syntax.File.Position(syntax.Offset)
		}
	}
	if !strings.HasPrefix(e.Message, "SyntaxError") {
		e.Message = "SyntaxError: " + e.Message
	}
	e.Message = cut(e.Message, maxMessage)
	e.Line, e.Column = at.Line, at.Column
	explainSyntax(source, e)
	return e
}

// hoistLexical makes var of the top-level let, const and class of a module:
// the engine would refuse to declare them again when a module runs again.
func hoistLexical(tree *ast.Program) {
	for i, statement := range tree.Body {
		var list []*ast.Binding
		switch s := statement.(type) {
		case *ast.LexicalDeclaration:
			for _, binding := range s.List {
				if binding.Initializer == nil { // let x; sets x, var x; does not
					binding.Initializer = &ast.UnaryExpression{
						Operator: token.VOID,
						Idx:      binding.Idx0(),
						Operand:  &ast.NumberLiteral{Idx: binding.Idx0(), Literal: "0", Value: int64(0)},
					}
				}
			}
			list = s.List
		case *ast.ClassDeclaration:
			list = []*ast.Binding{{Target: s.Class.Name, Initializer: s.Class}}
		default:
			continue
		}
		tree.Body[i] = &ast.VariableStatement{Var: statement.Idx0(), List: list}
		tree.DeclarationList = append(tree.DeclarationList, &ast.VariableDeclaration{Var: statement.Idx0(), List: list})
	}
}
