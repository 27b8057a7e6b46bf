// Package check finds what is wrong with the scripts of a tree without running
// any.
package check

import (
	"cmp"
	"io/fs"
	"reflect"
	"slices"
)

// Options are what the scripts are checked against.
type Options struct {
	Members []string // members that the host adds to Spark
	Globals []string // global names that the host adds
	All     bool     // also check the folders whose scripts no callback runs

	// Carried lists the members of a class that the library has. For the empty
	// class it lists the global names.
	Carried func(class string) []string

	MaxScriptSize int64 // of a script, in bytes
}

// A Kind says what a problem is about.
type Kind string

// The kinds.
const (
	Syntax  Kind = "syntax"
	Name    Kind = "name"    // a file name that nothing can run
	Size    Kind = "size"    // a file over the size limit
	Module  Kind = "module"  // a module that is missing or cannot run
	Member  Kind = "member"  // a member that the host must supply
	Unknown Kind = "unknown" // a member that does not exist
	Clash   Kind = "clash"   // a name that two scripts declare
	Old     Kind = "old"     // an extension of JavaScript that only the original's engine had
	Foreign Kind = "foreign" // an extension of JavaScript that only other engines have
	Depth   Kind = "depth"   // code nested too deeply to be checked
)

// A Problem is one place in a script.
type Problem struct {
	Script  string
	Line    int
	Column  int
	Kind    Kind
	Name    string // the member, module or other name that the problem is about; or empty
	Message string
	Fatal   bool

	because *script // the module whose own problems these are
}

// A Script is a script that was checked.
type Script struct {
	Name string
	Runs bool // it has no fatal problem
}

// A Folder is a folder whose scripts were not checked.
type Folder struct {
	Name    string
	Scripts int
}

// A Report is what Check finds.
type Report struct {
	Scripts  []Script
	Skipped  []Folder
	Problems []Problem
	Causes   []Cause
	Missing  []Missing
}

// maxDepth is how deeply nodes may be nested for Check, which recurses, to look
// at them. A sum of n parts is n levels deep.
const maxDepth = 10_000

// A checker is one call of Check.
type checker struct {
	Options
	scripts  []*script
	skipped  []Folder
	modules  map[string]*script // by short code
	supplied map[string]bool    // members of Spark: the host's, and those that a script sets
	declared map[string]bool    // global names that the host or any script declares or assigns
	defined  map[string]bool    // names of properties that any script sets
	required bool               // a script replaces require or requireOnce
	uses     map[string]map[string]int
	near     map[string]string // results of meant
}

// Check checks the scripts of a tree.
func Check(fsys fs.FS, options Options) (*Report, error) {
	c := &checker{
		Options:  options,
		modules:  map[string]*script{},
		supplied: set(options.Members),
		declared: set(options.Globals),
		defined:  map[string]bool{},
		uses:     map[string]map[string]int{},
		near:     map[string]string{},
	}
	for _, name := range c.carried("") {
		c.declared[name] = true
	}
	if err := c.read(fsys); err != nil {
		return nil, err
	}
	for _, s := range c.scripts {
		s.resolve()
	}
	c.required = c.declared["require"] || c.declared["requireOnce"]
	for _, s := range c.scripts {
		s.check()
	}
	for _, s := range c.scripts {
		s.clashes()
	}
	for again := true; again; { // a script that requires one that cannot run cannot run either
		again = false
		for _, s := range c.scripts {
			again = s.inherit() || again
		}
	}
	return c.report(), nil
}

func (c *checker) report() *Report {
	r := &Report{Skipped: c.skipped}
	for _, s := range c.scripts {
		slices.SortStableFunc(s.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		r.Problems = append(r.Problems, s.problems...)
		r.Scripts = append(r.Scripts, Script{s.name, !s.fatal})
	}
	r.Causes, r.Missing = c.summarize()
	return r
}

func set(names []string) map[string]bool {
	m := make(map[string]bool, len(names))
	for _, name := range names {
		m[name] = true
	}
	return m
}

// resolve notes which names the script declares and assigns, and which modules it
// requires.
func (s *script) resolve() {
	if s.tree == nil {
		return
	}
	s.top.declare(declaredIn(s.tree.Body, s.tree.DeclarationList))
	(&resolver{script: s, scope: s.top}).walk(reflect.ValueOf(s.tree))
	for name := range s.top.variables {
		s.checker.declared[name] = true
	}
	for name := range s.supplied {
		s.checker.supplied[name] = true
	}
	for name := range s.defined {
		s.checker.defined[name] = true
	}
}

// withRequired returns the script and the modules that it requires, and those
// that they require.
func (s *script) withRequired() []*script {
	if s.reached == nil {
		s.reached = []*script{s}
		for i := 0; i < len(s.reached); i++ {
			for _, code := range s.reached[i].codes {
				if m := s.modules[code]; m != nil && !slices.Contains(s.reached, m) {
					s.reached = append(s.reached, m)
				}
			}
		}
	}
	return s.reached
}
