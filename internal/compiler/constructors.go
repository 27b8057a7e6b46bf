package compiler

import (
	"reflect"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/unistring"

	"example.com/callback/internal/jsast"
)

// The names of global constructors that replace the engine's: new Promise(f) becomes
// new made(Promise, f), with PromiseName instead of made. No identifier of a script
// is such a name. A script can still read the constructors from globalThis.
const (
	PromiseName = "\x00Promise" // so that the run knows where each promise was made
	RegExpName  = "\x00RegExp"  // for [ExpandProperties] in a pattern that is computed
)

// replaceConstructors changes the expressions of a tree that make promises, and
// regular expressions of a pattern that is computed.
func replaceConstructors(tree *ast.Program, source string) {
	if strings.Contains(source, "Promise") || strings.Contains(source, "RegExp") {
		c := new(constructorReplacer)
		c.Children(reflect.ValueOf(tree.Body), c.visit)
	}
}

type constructorReplacer struct{ jsast.Walker }

func (c *constructorReplacer) visit(v reflect.Value) {
	switch n := v.Interface().(type) {
	case *ast.NewExpression:
		replace(&n.Callee, &n.ArgumentList, isNamed(n.Callee, "Promise"), isNamed(n.Callee, "RegExp") && isComputed(n.ArgumentList))
	case *ast.CallExpression:
		replace(&n.Callee, &n.ArgumentList, false, isNamed(n.Callee, "RegExp") && isComputed(n.ArgumentList))
	}
	c.Children(v, c.visit)
}

func replace(callee *ast.Expression, args *[]ast.Expression, promise, regexp bool) {
	name := PromiseName
	switch {
	case regexp:
		name = RegExpName
	case !promise:
		return
	}
	original := *callee
	*callee = &ast.Identifier{Name: unistring.NewFromString(name), Idx: original.Idx0()}
	*args = append([]ast.Expression{original}, *args...)
}

func isNamed(e ast.Expression, name unistring.String) bool {
	n, ok := e.(*ast.Identifier)
	return ok && n.Name == name
}

// isComputed reports whether arguments of RegExp may be a pattern with properties
// that is not in the source, where expandProperties finds it.
func isComputed(args []ast.Expression) bool {
	for i, arg := range args {
		_, spread := arg.(*ast.SpreadElement)
		_, text := arg.(*ast.StringLiteral)
		switch {
		case spread:
			return true
		case i == 0 && text:
			return false
		case i == 1:
			flags, text := arg.(*ast.StringLiteral)
			return !text || strings.ContainsAny(flags.Value.String(), "uv")
		}
	}
	return false
}
