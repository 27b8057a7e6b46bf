package check

import (
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/compiler"
	"example.com/callback/internal/limit"
)

// A script is one of the tree.
type script struct {
	*checker
	name     string
	tree     *ast.Program // nil if it does not compile
	problems []Problem
	fatal    bool

	// Set by resolve.
	top      *scope
	scopes   map[ast.Node]*scope
	codes    []string // of required modules
	reached  []*script
	supplied map[string]bool
	defined  map[string]bool

	// The state of check.
	scope    *scope
	asked    map[string]int               // names that an enclosing test, such as typeof, has found absent
	unused   map[*ast.CallExpression]bool // calls whose result is not used
	requires []requiredModule
	depth    int
	shallow  bool // some nodes were too deep to be checked
}

type requiredModule struct {
	code     string
	function string
	at       file.Idx
	certain  bool
}

// read reads and compiles the scripts.
func (c *checker) read(fsys fs.FS) error {
	entries, err := fs.ReadDir(fsys, ".")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		if !entry.IsDir() {
			continue
		}
		if err := c.readFolder(fsys, entry.Name()); err != nil {
			return err
		}
	}
	if len(c.scripts) == 0 && len(c.skipped) == 0 {
		return noScripts(fsys, entries)
	}
	return nil
}

// readFolder reads the scripts of a folder that callbacks run, or counts them.
func (c *checker) readFolder(fsys fs.FS, folder string) error {
	entries, err := fs.ReadDir(fsys, folder)
	if err != nil {
		return err
	}
	skipped := 0
	for _, entry := range entries {
		name := path.Join(folder, entry.Name())
		if entry.IsDir() || path.Ext(name) != ".js" {
			continue
		}
		runs := folder == cloudcode.Callbacks || folder == cloudcode.Modules || name == cloudcode.ServerScript
		if !runs && !c.All {
			skipped++
			continue
		}
		source, err := readScript(fsys, name, c.MaxScriptSize)
		if err != nil {
			return err
		}
		c.add(name, source)
	}
	if skipped > 0 {
		c.skipped = append(c.skipped, Folder{folder, skipped})
	}
	return nil
}

// noScripts is the error of a tree without scripts. An export has its tree below
// a folder with the name of the game.
func noScripts(fsys fs.FS, entries []fs.DirEntry) error {
	for _, entry := range entries {
		scripts, _ := fs.Glob(fsys, entry.Name()+"/*/*.js")
		if len(scripts) > 0 {
			return fmt.Errorf("callback: no scripts here, but in %s: %w", entry.Name(), fs.ErrNotExist)
		}
	}
	return fmt.Errorf("callback: no folder with scripts to check: %w", fs.ErrNotExist)
}

// readScript reads a file, but at most one byte more than a script may have.
func readScript(fsys fs.FS, name string, size int64) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	source, _, err := limit.ReadAll(f, size)
	return source, err
}

func (c *checker) add(name string, source []byte) {
	folder, base := path.Split(name)
	code, module := strings.TrimSuffix(base, ".js"), folder == cloudcode.Modules+"/"
	s := &script{
		checker:  c,
		name:     name,
		scopes:   map[ast.Node]*scope{},
		supplied: map[string]bool{},
		defined:  map[string]bool{},
		asked:    map[string]int{},
		unused:   map[*ast.CallExpression]bool{},
	}
	s.top = &scope{script: s, variables: map[string]*variable{}}
	s.scope = s.top
	s.parse(source, code, module)
	c.scripts = append(c.scripts, s)
	if module {
		c.modules[code] = s
	}
}

// parse compiles the script, to find out whether it compiles, and parses it
// again, because the compiler changes the tree.
func (s *script) parse(source []byte, code string, module bool) {
	if !cloudcode.IsName(code) {
		s.add(Problem{Kind: Name, Message: fmt.Sprintf("nothing can run a script of the name %q: it may have A-Z a-z 0-9 _ - only", code), Fatal: true})
		return
	}
	if int64(len(source)) > s.MaxScriptSize {
		s.add(Problem{Kind: Size, Message: compiler.TooLong(s.MaxScriptSize).Message, Fatal: true})
		return
	}
	if _, fault := compiler.Compile(s.name, string(source), module); fault != nil {
		s.add(Problem{Line: fault.Line, Column: fault.Column, Kind: Syntax, Message: fault.Message, Fatal: true})
		return
	}
	s.tree, _ = compiler.Parse(s.name, string(source))
}

func (s *script) add(p Problem) {
	p.Script = s.name
	s.fatal = s.fatal || p.Fatal
	s.problems = append(s.problems, p)
}

// report adds a problem at a place.
func (s *script) report(at file.Idx, p Problem) {
	place := s.tree.File.Position(int(at) - s.tree.File.Base())
	p.Line, p.Column = place.Line, place.Column
	s.add(p)
}

// inherit reports required modules that are missing or cannot run. It returns
// whether the script cannot run because of them.
func (s *script) inherit() bool {
	was := s.fatal
	s.requires = slices.DeleteFunc(s.requires, func(r requiredModule) bool {
		module := s.modules[r.code]
		p := Problem{Kind: Module, Name: r.code, Fatal: r.certain, because: module}
		switch {
		case s.required:
			return true
		case module == nil:
			p.Message = fmt.Sprintf("%s: no module %q", r.function, r.code)
		case module.tree == nil:
			p.Message = fmt.Sprintf("%s: module %q does not compile", r.function, r.code)
		case module.fatal && module != s:
			p.Message = fmt.Sprintf("%s: module %q cannot run", r.function, r.code)
		default:
			return false
		}
		s.report(r.at, p)
		return true
	})
	return s.fatal != was
}
