package compiler

import (
	"errors"
	"fmt"
	"strings"

	"github.com/dop251/goja/ast"
)

// HandlerName is the global variable that holds what a script exports.
const HandlerName = "$entry"

// The engine has no modules. The compiler replaces the statement
//
//	export default { async fetch(request, env) { … } }
//
// by the declaration of a variable that has the same length, so that all
// positions stay the same:
//
//	var    $entry= { async fetch(request, env) { … } }
//
// It finds the statement soundly: the parser's error has the position of the word
// export, and the new tree must declare the variable at the top level.
const (
	exportWord, exportAs   = "export", "var   "
	defaultWord, defaultAs = "default", HandlerName + "="
)

// exportOffset is the offset of the word export if a parser's error is about it,
// or negative.
func exportOffset(source string, err error) int {
	at := errorOffset(source, err)
	if at < 0 || !strings.HasPrefix(source[at:], exportWord) {
		return -1
	}
	return at
}

// declareExport replaces the statement export default at an offset by a
// declaration. It returns false if there is another statement.
func declareExport(source string, at int) (string, bool) {
	next := at + len(exportWord)
	next += blankLength(source[next:])
	if !strings.HasPrefix(source[next:], defaultWord) || strings.Contains(source, HandlerName) {
		return "", false
	}
	return source[:at] + exportAs + source[at+len(exportWord):next] + defaultAs + source[next+len(defaultWord):], true
}

// blankLength is the length of the white space and comments at the beginning of
// s.
func blankLength(s string) int {
	rest := s
	for {
		rest = strings.TrimLeft(rest, " \t\r\n\v\f\u00a0\ufeff\u2028\u2029")
		switch {
		case strings.HasPrefix(rest, "/*"):
			_, after, ok := strings.Cut(rest[2:], "*/")
			if !ok {
				return len(s) - len(rest)
			}
			rest = after
		case strings.HasPrefix(rest, "//"):
			_, after, ok := strings.Cut(rest, "\n")
			if !ok {
				return len(s) - len(rest)
			}
			rest = after
		default:
			return len(s) - len(rest)
		}
	}
}

// errExport is the error of an export default of something else.
var errExport = errors.New("`export default` is followed by an object here: `export default { async fetch(request, env) { … } }`")

// exported reports whether a tree declares the exported variable. The error means
// that the declaration is not at the top level, or that a function or class is
// exported, which would have to be declared as well.
func exported(tree *ast.Program) (bool, error) {
	found := 0
	for _, statement := range tree.Body {
		s, ok := statement.(*ast.VariableStatement)
		if !ok || len(s.List) == 0 {
			continue
		}
		name, ok := s.List[0].Target.(*ast.Identifier)
		if !ok || name.Name.String() != HandlerName {
			continue
		}
		found++
		switch s.List[0].Initializer.(type) {
		case *ast.ObjectLiteral, *ast.Identifier, *ast.NewExpression, *ast.CallExpression:
		default:
			return false, errExport
		}
		if len(s.List) != 1 {
			return false, errExport
		}
	}
	declared := 0
	for _, declaration := range tree.DeclarationList {
		for _, binding := range declaration.List {
			if name, ok := binding.Target.(*ast.Identifier); ok && name.Name.String() == HandlerName {
				declared++
			}
		}
	}
	if found != declared || found > 1 {
		return false, errExport
	}
	return found == 1, nil
}

// explainExport makes a Fault of errExport.
func explainExport(source string, at int) *Fault {
	f := &Fault{Message: fmt.Sprintf("SyntaxError: %v", errExport)}
	f.Line, f.Column = positionOf(source, at)
	return f
}

// declared lists the names that a tree declares with var at the top level.
func declared(tree *ast.Program) (names []string) {
	for _, declaration := range tree.DeclarationList {
		for _, binding := range declaration.List {
			if name, ok := binding.Target.(*ast.Identifier); ok {
				names = append(names, name.Name.String())
			}
		}
	}
	return names
}
