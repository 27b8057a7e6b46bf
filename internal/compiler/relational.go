package compiler

import (
	"reflect"
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"

	"example.com/callback/internal/jsast"
)

// groupRelational groups a < b < c as (a < b) < c, as the language does. The parser
// groups relational operators from the right.
func groupRelational(tree *ast.Program) {
	g := relationalGrouper{base: tree.File.Base(), text: tree.File.Source()}
	g.Children(reflect.ValueOf(tree.Body), g.visit)
}

type relationalGrouper struct {
	jsast.Walker
	base int // of positions in text
	text string
	read int // bytes of text, some of them several times
}

// maxRead bounds the bytes that are read to find parentheses, because operands may be
// nested.
const maxRead = 16 << 20

func (g *relationalGrouper) visit(v reflect.Value) {
	if e, ok := v.Interface().(*ast.BinaryExpression); ok {
		g.group(e)
	}
	g.Children(v, g.visit)
}

// group changes the tree of a < (b < c) into that of (a < b) < c, with any
// relational operators, until e's right operand is no such expression.
func (g *relationalGrouper) group(e *ast.BinaryExpression) {
	before := e.Left // the operand in front of the first operator of e.Right
	for isRelational(e.Operator) {
		right, ok := e.Right.(*ast.BinaryExpression)
		if !ok || !isRelational(right.Operator) || g.inParentheses(before, right) {
			return
		}
		before = right.Left
		left := &ast.BinaryExpression{Operator: e.Operator, Left: e.Left, Right: right.Left, Comparison: e.Comparison}
		e.Operator, e.Comparison, e.Left, e.Right = right.Operator, right.Comparison, left, right.Right
	}
}

func isRelational(operator token.Token) bool {
	switch operator {
	case token.LESS, token.LESS_OR_EQUAL, token.GREATER, token.GREATER_OR_EQUAL, token.INSTANCEOF, token.IN:
		return true
	}
	return false
}

// inParentheses reports whether e, which follows left, is in parentheses. The tree
// does not have them, so it looks in the source for one that opens after left and
// is still open at e's operator. It returns true if it cannot tell.
func (g *relationalGrouper) inParentheses(left ast.Expression, e *ast.BinaryExpression) bool {
	begin, from := int(left.Idx0())-g.base, int(left.Idx1())-g.base
	operand, to := int(e.Left.Idx1())-g.base, int(e.Right.Idx0())-g.base
	if begin < 0 || from < begin || to < from || to > len(g.text) {
		return true
	}
	if g.read += to - begin; g.read > maxRead || !isASCII(g.text[begin:to]) {
		return true
	}
	open := 0
	for i := from; i < to; i++ {
		rest := g.text[i:to]
		size := 0
		switch c := rest[0]; {
		case strings.HasPrefix(rest, "//"):
			size = strings.IndexAny(rest, "\n\r")
		case strings.HasPrefix(rest, "/*"):
			size = 3 + strings.Index(rest[2:], "*/")
		case strings.ContainsRune(" \t\n\v\f\r", rune(c)):
		case c == ')':
			open = max(0, open-1) // else it belongs to left
		case i >= operand: // the operator
			return open > 0
		case c == '(':
			open++
		case c == '"', c == '\'':
			size = stringLength(rest) - 1
		case c == '/', c == '`': // perhaps a regular expression
			return open > 0 || strings.ContainsAny(rest, "()")
		}
		if size < 0 {
			return true
		}
		i += size
	}
	return true
}

// stringLength is the length of the string literal at the beginning of s, or zero.
func stringLength(s string) int {
	for i := 1; i < len(s); i++ {
		switch s[i] {
		case '\\':
			i++
		case s[0]:
			return i + 1
		}
	}
	return 0
}

func isASCII(s string) bool {
	return strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) < 0
}
