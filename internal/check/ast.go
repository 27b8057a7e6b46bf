package check

import (
	"reflect"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
)

// isObjectMember reports whether every object has the member.
func isObjectMember(name string) bool {
	switch name {
	case "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf":
		return true
	}
	return strings.HasPrefix(name, "__")
}

// memberOf takes x.name and x["name"] apart. The name is empty if it is
// computed, x is nil if e is neither.
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

// declaredIn lists the names that statements declare, those of functions and
// of var among them.
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

// addNames adds the names that a name or a pattern binds; those in its defaults
// count as well.
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
	children(v, func(node reflect.Value) { names = boundNames(node, names) })
	return names
}

// children calls f with the nodes, as pointers, that are directly below v: a
// node or a list of nodes.
func children(v reflect.Value, f func(node reflect.Value)) {
	switch v.Kind() {
	case reflect.Pointer, reflect.Interface:
		if !v.IsNil() {
			children(v.Elem(), f)
		}
	case reflect.Slice:
		for i := range v.Len() {
			child(v.Index(i), f)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			switch name := v.Type().Field(i).Name; name {
			case "DeclarationList", "File": // what is in the body once more; not a node
			default:
				child(v.Field(i), f)
			}
		}
	}
}

func child(v reflect.Value, f func(node reflect.Value)) {
	switch v.Kind() {
	case reflect.Interface:
		if !v.IsNil() {
			child(v.Elem(), f)
		}
	case reflect.Pointer:
		if v.IsNil() {
			return
		}
		if _, ok := v.Interface().(ast.Node); ok {
			f(v)
		} else {
			children(v, f)
		}
	case reflect.Slice:
		if v.Type().Elem().Kind() != reflect.Uint8 {
			children(v, f)
		}
	case reflect.Struct:
		// A struct in a struct: the Identifier of x.name, which is no reference,
		// or the head of a for loop.
		if v.CanAddr() && v.Type() != reflect.TypeFor[ast.Identifier]() {
			children(v, f)
		}
	}
}

// statementsOf returns the statements of a switch.
func statementsOf(cases []*ast.CaseStatement) []ast.Statement {
	var all []ast.Statement
	for _, c := range cases {
		all = append(all, c.Consequent...)
	}
	return all
}

// isNil reports whether a node is absent, as a part of a loop's head may be.
func isNil(n ast.Node) bool {
	v := reflect.ValueOf(n)
	return !v.IsValid() || v.IsNil()
}
