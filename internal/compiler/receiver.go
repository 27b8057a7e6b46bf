package compiler

import (
	"reflect"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"

	"example.com/callback/internal/jsast"
)

// A Receiver is what a script reads a property of: null, or a global variable and
// properties from there on.
type Receiver struct {
	Null    bool
	Path    []string
	Lexical bool // the variable is one of let or const, and not a property of the global object
}

// maxReceiverSource bounds the sources that ReceiverOf parses, which takes a few
// milliseconds for 100 KB.
const maxReceiverSource = 128 << 10

// ReceiverOf finds what a compiled source reads a property of, at the position of
// the error about it. ok is false inside a function, and wherever a block may have a
// variable of the same name.
func ReceiverOf(property string, source *file.File, module bool, line, column int) (receiver Receiver, ok bool) {
	text := source.Source()
	offset := offsetOf(text, line, column)
	if offset < 0 || len(text) > maxReceiverSource {
		return Receiver{}, false
	}
	tree, err := parse(source.Name(), text)
	if err != nil {
		return Receiver{}, false
	}
	f := &receiverFinder{property: property, at: file.Idx(tree.File.Base() + offset), locals: names{}}
	for _, s := range tree.Body {
		if _, ok := s.(*ast.LexicalDeclaration); ok {
			jsast.Children(reflect.ValueOf(s), f.visit)
		} else {
			f.visit(reflect.ValueOf(s))
		}
	}
	if len(f.found) != 1 || f.uncertain {
		return Receiver{}, false
	}
	if _, ok := f.found[0].(*ast.NullLiteral); ok {
		return Receiver{Null: true}, true
	}
	variable, path := pathOf(f.found[0])
	if variable == nil || f.locals[variable.Name] {
		return Receiver{}, false
	}
	lexical := !module && lexicalNames(tree.Body)[variable.Name] // those of a module are hoisted
	return Receiver{Path: path, Lexical: lexical}, true
}

// pathOf is the variable with which an expression of names and dots begins, and all
// of its names. The variable of another expression is nil.
func pathOf(e ast.Expression) (variable *ast.Identifier, path []string) {
	switch n := e.(type) {
	case *ast.Identifier:
		return n, []string{n.Name.String()}
	case *ast.DotExpression:
		variable, path = pathOf(n.Left)
		return variable, append(path, n.Identifier.Name.String())
	}
	return nil, nil
}

type receiverFinder struct {
	jsast.Walker
	property  string
	at        file.Idx
	found     []ast.Expression
	locals    names // of blocks
	uncertain bool
}

func (f *receiverFinder) visit(v reflect.Value) {
	switch n := v.Interface().(type) {
	case *ast.FunctionLiteral, *ast.ArrowFunctionLiteral, *ast.ClassLiteral:
		return
	case *ast.DotExpression:
		if n.Identifier.Name.String() == f.property {
			f.consider(n.Left, n.Identifier.Idx)
		}
	case *ast.LexicalDeclaration:
		addLexical(f.locals, n)
	case *ast.ForLoopInitializerLexicalDecl:
		addLexical(f.locals, &n.LexicalDeclaration)
	case *ast.ForDeclaration:
		addBound(f.locals, n.Target)
	case *ast.CatchStatement:
		if n.Parameter != nil {
			addBound(f.locals, n.Parameter)
		}
	case *ast.WithStatement:
		f.uncertain = true
	}
	before := len(f.found)
	f.Children(v, f.visit)
	if _, ok := v.Interface().(*ast.TryStatement); ok && len(f.found) > before { // what follows may change the variable
		f.uncertain = true
	}
}

// consider finds a receiver if the error is at the property or, as in a call, at the
// receiver.
func (f *receiverFinder) consider(receiver ast.Expression, property file.Idx) {
	at := property
	switch n := receiver.(type) {
	case *ast.Identifier:
		at = n.Idx
	case *ast.DotExpression:
		at = n.Identifier.Idx
	}
	if f.at == property || f.at == at {
		f.found = append(f.found, receiver)
	}
}
