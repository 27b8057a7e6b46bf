package check

import (
	"reflect"
	"strings"

	"example.com/callback/internal/jsast"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
)

// isObjectMember reports whether every JavaScript object has the member.
func isObjectMember(name string) bool {
	switch name {
	case "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf":
		return true
	}
	return strings.HasPrefix(name, "__")
}

// memberOf splits x.name and x["name"]. The name is empty if it is computed; x is
// nil if e has neither form.
func memberOf(e ast.Node) (x ast.Expression, name string, at file.Idx) {
	switch n := e.(type) {
	case *ast.DotExpression:
		return n.Left, n.Identifier.Name.String(), n.Identifier.Idx
	case *ast.BracketExpression:
		if member, ok := n.Member.(*ast.StringLiteral); ok {
			name = member.Value.String()
		}
		return n.Left, name, n.Member.Idx0()
	}
	return nil, "", 0
}

// declaredIn lists the names that statements declare, including functions and
// var.
func declaredIn(statements []ast.Statement, vars []*ast.VariableDeclaration) map[string]bool {
	names := lexicalIn(statements)
	for _, statement := range statements {
		if n, ok := statement.(*ast.FunctionDeclaration); ok {
			addNames(names, n.Function.Name)
		}
	}
	for _, declaration := range vars {
		for _, binding := range declaration.List {
			addNames(names, binding.Target)
		}
	}
	return names
}

// lexicalIn lists the names that statements declare by let, const and class.
func lexicalIn(statements []ast.Statement) map[string]bool {
	names := map[string]bool{}
	for _, statement := range statements {
		switch n := statement.(type) {
		case *ast.LexicalDeclaration:
			for _, binding := range n.List {
				addNames(names, binding.Target)
			}
		case *ast.ClassDeclaration:
			addNames(names, n.Class.Name)
		}
	}
	return names
}

// addNames adds the names that a name or a pattern binds, including those in its
// defaults.
func addNames(names map[string]bool, target ast.Node) {
	if v := reflect.ValueOf(target); v.IsValid() && !v.IsNil() {
		for _, name := range boundNames(v, nil) {
			names[name] = true
		}
	}
}

func boundNames(v reflect.Value, names []string) []string {
	switch n := v.Interface().(type) {
	case *ast.Identifier:
		return append(names, n.Name.String())
	case *ast.PropertyShort:
		names = append(names, n.Name.Name.String())
	}
	jsast.Children(v, func(node reflect.Value) { names = boundNames(node, names) })
	return names
}

// statementsOf returns the statements of a switch.
func statementsOf(cases []*ast.CaseStatement) []ast.Statement {
	var all []ast.Statement
	for _, c := range cases {
		all = append(all, c.Consequent...)
	}
	return all
}

// isNil reports whether a node is absent, as parts of a for loop may be.
func isNil(n ast.Node) bool {
	v := reflect.ValueOf(n)
	return !v.IsValid() || v.IsNil()
}
