package check

import (
	"reflect"

	"example.com/callback/internal/jsast"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/token"
)

// A scope has the names that a function, a block or a script declares.
type scope struct {
	parent    *scope // nil for the scope of a script
	script    *script
	variables map[string]*variable
}

// A variable is a name with everything that is assigned to it.
type variable struct {
	writes  []write
	opaque  bool // its value may also be something unknown
	looking bool // classOf is at work on it
}

type write struct {
	value ast.Expression
	in    *scope
}

func (sc *scope) declare(names map[string]bool) {
	for name := range names {
		if sc.variables[name] == nil {
			sc.variables[name] = &variable{}
		}
	}
}

// local finds a name below the scope of the script.
func (sc *scope) local(name string) *variable {
	for ; sc.parent != nil; sc = sc.parent {
		if v := sc.variables[name]; v != nil {
			return v
		}
	}
	return nil
}

// top is the scope of the script.
func (sc *scope) top() *scope {
	for sc.parent != nil {
		sc = sc.parent
	}
	return sc
}

// at finds the variable that a name refers to. An undeclared name is global.
func (sc *scope) at(name string) *variable {
	if v := sc.local(name); v != nil {
		return v
	}
	top := sc.top()
	top.declare(map[string]bool{name: true})
	return top.variables[name]
}

// A resolver makes the scopes of a script and notes the assignments in them.
type resolver struct {
	script *script
	scope  *scope
	depth  int
}

func (r *resolver) within(n ast.Node, names map[string]bool, f func()) {
	sc := &scope{parent: r.scope, script: r.script, variables: map[string]*variable{}}
	sc.declare(names)
	r.script.scopes[n] = sc
	r.scope = sc
	f()
	r.scope = sc.parent
}

func (r *resolver) assign(target ast.Node, value ast.Expression) {
	if name, ok := target.(*ast.Identifier); ok && value != nil {
		v := r.scope.at(name.Name.String())
		v.writes = append(v.writes, write{value, r.scope})
		return
	}
	r.opaque(target)
}

func (r *resolver) opaque(target ast.Node) {
	names := map[string]bool{}
	addNames(names, target)
	for name := range names {
		r.scope.at(name).opaque = true
	}
}

func (r *resolver) walk(v reflect.Value) {
	if r.depth > maxDepth {
		return
	}
	r.depth++
	jsast.Children(v, r.visit)
	r.depth--
}

func (r *resolver) visit(v reflect.Value) {
	switch n := v.Interface().(type) {
	case *ast.FunctionLiteral:
		names := declaredIn(n.Body.List, n.DeclarationList)
		if n.Name != nil {
			addNames(names, n.Name)
			r.opaque(n.Name)
		}
		r.function(n, names, n.ParameterList, v)
		return
	case *ast.ArrowFunctionLiteral:
		names := map[string]bool{}
		if block, ok := n.Body.(*ast.BlockStatement); ok {
			names = declaredIn(block.List, n.DeclarationList)
		}
		r.function(n, names, n.ParameterList, v)
		return
	case *ast.BlockStatement:
		r.within(n, declaredIn(n.List, nil), func() { r.walk(v) })
		return
	case *ast.SwitchStatement:
		r.within(n, declaredIn(statementsOf(n.Body), nil), func() { r.walk(v) })
		return
	case *ast.CatchStatement:
		names := map[string]bool{}
		addNames(names, n.Parameter)
		r.within(n, names, func() {
			if n.Parameter != nil {
				r.opaque(n.Parameter)
			}
			r.walk(v)
		})
		return
	case *ast.ForStatement:
		names := map[string]bool{}
		if head, ok := n.Initializer.(*ast.ForLoopInitializerLexicalDecl); ok {
			for _, binding := range head.LexicalDeclaration.List {
				addNames(names, binding.Target)
			}
		}
		r.within(n, names, func() { r.walk(v) })
		return
	case *ast.ForInStatement:
		r.loop(n, n.Into, v)
		return
	case *ast.ForOfStatement:
		r.loop(n, n.Into, v)
		return
	case *ast.ClassLiteral:
		if n.Name != nil {
			r.opaque(n.Name)
		}
	case *ast.Binding:
		if n.Initializer != nil {
			r.assign(n.Target, n.Initializer)
		} else if _, ok := n.Target.(*ast.Identifier); !ok {
			r.opaque(n.Target)
		}
	case *ast.AssignExpression:
		r.assignment(n)
	case *ast.CallExpression:
		if code, ok := requiredBy(n, r.scope); ok {
			r.script.codes = append(r.script.codes, code)
		}
	case *ast.UnaryExpression:
		if name, ok := n.Operand.(*ast.Identifier); ok && (n.Operator == token.INCREMENT || n.Operator == token.DECREMENT) {
			r.opaque(name)
		}
	}
	r.walk(v)
}

func (r *resolver) function(n ast.Node, names map[string]bool, params *ast.ParameterList, v reflect.Value) {
	for _, binding := range params.List {
		addNames(names, binding.Target)
	}
	r.within(n, names, func() {
		for _, binding := range params.List {
			r.opaque(binding.Target)
		}
		if params.Rest != nil {
			r.opaque(params.Rest)
		}
		r.walk(v)
	})
}

// loop is for the heads of for-in and for-of.
func (r *resolver) loop(n ast.Node, into ast.ForInto, v reflect.Value) {
	names := map[string]bool{}
	if declaration, ok := into.(*ast.ForDeclaration); ok {
		addNames(names, declaration.Target)
	}
	r.within(n, names, func() {
		switch into := into.(type) {
		case *ast.ForDeclaration:
			r.opaque(into.Target)
		case *ast.ForIntoVar:
			r.opaque(into.Binding.Target)
		case *ast.ForIntoExpression:
			if name, ok := into.Expression.(*ast.Identifier); ok {
				r.opaque(name)
			}
		}
		r.walk(v)
	})
}

func (r *resolver) assignment(n *ast.AssignExpression) {
	switch left := n.Left.(type) {
	case *ast.Identifier:
		if n.Operator == token.ASSIGN {
			r.assign(left, n.Right)
		} else {
			r.opaque(left)
		}
	case *ast.ObjectPattern, *ast.ArrayPattern:
		r.opaque(left)
	case *ast.DotExpression, *ast.BracketExpression:
		if object, member, _ := memberOf(left); member != "" {
			r.script.defined[member] = true
			if name, ok := object.(*ast.Identifier); ok && name.Name == "Spark" {
				r.script.supplied[member] = true
			}
		}
	}
}
