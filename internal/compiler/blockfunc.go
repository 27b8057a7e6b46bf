package compiler

import (
	"maps"
	"reflect"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/token"
	"github.com/dop251/goja/unistring"

	"example.com/callback/internal/jsast"
)

// hoistBlockFunctions gives functions that sloppy code declares in blocks the
// meaning that they have in browsers (ECMA-262, Annex B.3.3): the declaration is
// also a var of the enclosing function, and running it assigns the var. The
// engine has only the block scope. With set for a name that no script can write,
//
//	{ function f() {} }
//
// becomes
//
//	const set = v => f = v
//	var f
//	{ function f() {} set(f) }
//
// and outside of functions, where a var is a property of this,
//
//	var f
//	{ function f() {} this["f"] = f }
func hoistBlockFunctions(tree *ast.Program) {
	if isStrict(tree.Body) {
		return
	}
	h := &hoister{blocked: lexicalNames(tree.Body), hoisted: map[unistring.String]bool{}}
	h.statements(tree.Body)
	for name := range h.hoisted {
		tree.DeclarationList = append(tree.DeclarationList, varOf(name))
	}
}

// A hoister hoists the functions in blocks of one function, or of a program.
type hoister struct {
	inFunction bool
	depth      int
	blocked    names // names with which a var would collide
	hoisted    names
}

type names map[unistring.String]bool

// function hoists the functions in blocks of a function.
func (h *hoister) function(params *ast.ParameterList, body *ast.BlockStatement, vars *[]*ast.VariableDeclaration) {
	if isStrict(body.List) {
		return
	}
	inner := &hoister{inFunction: true, depth: h.depth, blocked: lexicalNames(body.List), hoisted: names{}}
	for _, p := range params.List {
		addBound(inner.blocked, p.Target)
	}
	if rest, ok := params.Rest.(ast.Node); ok {
		addBound(inner.blocked, rest)
	}
	inner.blocked["arguments"] = true // the engine resolves it to its own object
	inner.children(reflect.ValueOf(params))
	inner.statements(body.List)
	for name := range inner.hoisted {
		*vars = append(*vars, varOf(name))
		body.List = append([]ast.Statement{setterOf(name, body.LeftBrace)}, body.List...)
	}
}

func (h *hoister) statements(list []ast.Statement) {
	for _, s := range list {
		h.visit(reflect.ValueOf(s))
	}
}

func (h *hoister) children(v reflect.Value) { jsast.Children(v, h.visit) }

func (h *hoister) visit(v reflect.Value) {
	if h.depth++; h.depth > jsast.MaxDepth {
		h.depth--
		return
	}
	defer func() { h.depth-- }()
	switch n := v.Interface().(type) {
	case *ast.FunctionLiteral:
		h.function(n.ParameterList, n.Body, &n.DeclarationList)
	case *ast.ArrowFunctionLiteral:
		if body, ok := n.Body.(*ast.BlockStatement); ok {
			h.function(n.ParameterList, body, &n.DeclarationList)
			return
		}
		h.children(v)
	case *ast.ClassLiteral: // strict
	case *ast.BlockStatement:
		h.block([]*[]ast.Statement{&n.List})
	case *ast.SwitchStatement:
		h.visit(reflect.ValueOf(n.Discriminant))
		var lists []*[]ast.Statement
		for _, c := range n.Body {
			if c.Test != nil {
				h.visit(reflect.ValueOf(c.Test))
			}
			lists = append(lists, &c.Consequent)
		}
		h.block(lists)
	case *ast.IfStatement:
		n.Consequent, n.Alternate = inBlock(n.Consequent), inBlock(n.Alternate)
		h.children(v)
	case *ast.ForStatement:
		head := names{}
		if let, ok := n.Initializer.(*ast.ForLoopInitializerLexicalDecl); ok {
			addLexical(head, &let.LexicalDeclaration)
		}
		h.blocking(head, func() { h.children(v) })
	case *ast.ForInStatement:
		h.blocking(intoNames(n.Into), func() { h.children(v) })
	case *ast.ForOfStatement:
		h.blocking(intoNames(n.Into), func() { h.children(v) })
	case *ast.CatchStatement:
		pattern := names{}
		if _, simple := n.Parameter.(*ast.Identifier); !simple && n.Parameter != nil {
			addBound(pattern, n.Parameter)
		}
		h.blocking(pattern, func() { h.children(v) })
	default:
		h.children(v)
	}
}

// blocking calls f with more added to h.blocked, and then restores h.blocked.
func (h *hoister) blocking(more names, f func()) {
	if len(more) == 0 {
		f()
		return
	}
	before := h.blocked
	h.blocked = maps.Clone(before)
	maps.Copy(h.blocked, more)
	f()
	h.blocked = before
}

// block hoists the functions of a block: of a list of statements, or of the lists
// of a switch.
func (h *hoister) block(lists []*[]ast.Statement) {
	declared := names{} // by let, const, class or function in the block
	for _, list := range lists {
		maps.Copy(declared, lexicalNames(*list))
		for _, s := range *list {
			if f, ok := s.(*ast.FunctionDeclaration); ok && (f.Function.Async || f.Function.Generator) {
				declared[f.Function.Name.Name] = true
			}
		}
	}
	h.blocking(declared, func() {
		for _, list := range lists {
			h.statements(*list)
		}
	})
	for _, list := range lists {
		var all []ast.Statement
		for i, s := range *list {
			f, ok := s.(*ast.FunctionDeclaration)
			if ok && !f.Function.Async && !f.Function.Generator && !h.blocked[f.Function.Name.Name] {
				if all == nil {
					all = append(make([]ast.Statement, 0, len(*list)+1), (*list)[:i]...)
				}
				name := f.Function.Name.Name
				h.hoisted[name] = true
				all = append(all, s, h.assignment(name, f.Function.Idx0()))
			} else if all != nil {
				all = append(all, s)
			}
		}
		if all != nil {
			*list = all
		}
	}
}

// assignment assigns the function of a block to the var of the same name.
func (h *hoister) assignment(name unistring.String, at file.Idx) ast.Statement {
	value := &ast.Identifier{Name: name, Idx: at}
	if h.inFunction {
		return &ast.ExpressionStatement{Expression: &ast.CallExpression{
			Callee:       &ast.Identifier{Name: setterName(name), Idx: at},
			ArgumentList: []ast.Expression{value},
		}}
	}
	return &ast.ExpressionStatement{Expression: &ast.AssignExpression{
		Operator: token.ASSIGN,
		Left: &ast.BracketExpression{
			Left:   &ast.ThisExpression{Idx: at},
			Member: &ast.StringLiteral{Idx: at, Value: name},
		},
		Right: value,
	}}
}

// setterName is a name that no source can contain.
func setterName(name unistring.String) unistring.String {
	return unistring.NewFromString("\x00" + name.String())
}

// setterOf declares the function that assigns the var of a name.
func setterOf(name unistring.String, at file.Idx) ast.Statement {
	value := unistring.NewFromString("\x00")
	return &ast.LexicalDeclaration{Idx: at, Token: token.CONST, List: []*ast.Binding{{
		Target: &ast.Identifier{Name: setterName(name), Idx: at},
		Initializer: &ast.ArrowFunctionLiteral{
			Start:         at,
			ParameterList: &ast.ParameterList{List: []*ast.Binding{{Target: &ast.Identifier{Name: value, Idx: at}}}},
			Body: &ast.ExpressionBody{Expression: &ast.AssignExpression{
				Operator: token.ASSIGN,
				Left:     &ast.Identifier{Name: name, Idx: at},
				Right:    &ast.Identifier{Name: value, Idx: at},
			}},
		},
	}}}
}

func varOf(name unistring.String) *ast.VariableDeclaration {
	return &ast.VariableDeclaration{List: []*ast.Binding{{Target: &ast.Identifier{Name: name}}}}
}

// inBlock puts a function that is the body of an if into a block.
func inBlock(s ast.Statement) ast.Statement {
	f, ok := s.(*ast.FunctionDeclaration)
	if !ok || f.Function.Async || f.Function.Generator {
		return s
	}
	return &ast.BlockStatement{LeftBrace: f.Idx0(), List: []ast.Statement{f}, RightBrace: f.Idx1()}
}

// isStrict reports whether code begins with a directive to be strict.
func isStrict(list []ast.Statement) bool {
	for _, s := range list {
		e, ok := s.(*ast.ExpressionStatement)
		if !ok {
			return false
		}
		text, ok := e.Expression.(*ast.StringLiteral)
		if !ok {
			return false
		}
		if text.Literal == `"use strict"` || text.Literal == `'use strict'` {
			return true
		}
	}
	return false
}

// lexicalNames are the names that statements declare by let, const and class.
func lexicalNames(list []ast.Statement) names {
	declared := names{}
	for _, s := range list {
		switch n := s.(type) {
		case *ast.LexicalDeclaration:
			addLexical(declared, n)
		case *ast.ClassDeclaration:
			declared[n.Class.Name.Name] = true
		}
	}
	return declared
}

func addLexical(to names, n *ast.LexicalDeclaration) {
	for _, b := range n.List {
		addBound(to, b.Target)
	}
}

// intoNames are the names that the head of a for loop declares by let and const.
func intoNames(into ast.ForInto) names {
	declared := names{}
	if n, ok := into.(*ast.ForDeclaration); ok {
		addBound(declared, n.Target)
	}
	return declared
}

// addBound adds the names that a name or a pattern binds, including those in its
// defaults.
func addBound(to names, target ast.Node) {
	switch n := target.(type) {
	case *ast.Identifier:
		to[n.Name] = true
		return
	case *ast.PropertyShort:
		to[n.Name.Name] = true
	}
	jsast.Children(reflect.ValueOf(target), func(v reflect.Value) {
		if n, ok := v.Interface().(ast.Node); ok {
			addBound(to, n)
		}
	})
}
