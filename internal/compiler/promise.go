package compiler

import (
	"reflect"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/unistring"

	"example.com/callback/internal/jsast"
)

// PromiseName is a global constructor that scripts use in place of Promise, so
// that the run knows where a promise was made. With made for a name that no
// script can write, new Promise(f) becomes new made(Promise, f).
const PromiseName = "\x00Promise"

// tellPromises changes the expressions of a tree that make promises.
func tellPromises(tree *ast.Program, source string) {
	if strings.Contains(source, "Promise") {
		new(promiseTeller).children(reflect.ValueOf(tree.Body))
	}
}

type promiseTeller struct{ depth int }

func (t *promiseTeller) children(v reflect.Value) {
	if t.depth++; t.depth <= maxHoistDepth {
		jsast.Children(v, t.visit)
	}
	t.depth--
}

func (t *promiseTeller) visit(v reflect.Value) {
	if n, ok := v.Interface().(*ast.NewExpression); ok {
		if name, ok := n.Callee.(*ast.Identifier); ok && name.Name == "Promise" {
			n.Callee = &ast.Identifier{Name: unistring.NewFromString(PromiseName), Idx: name.Idx}
			n.ArgumentList = append([]ast.Expression{name}, n.ArgumentList...)
		}
	}
	t.children(v)
}
