package check

import (
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/token"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/jsast"
)

// check checks the whole script.
func (s *script) check() {
	if s.tree == nil {
		return
	}
	s.walk(reflect.ValueOf(s.tree.Body), true)
}

// clashes finds names that the script declares with let, const or class and that
// a required module declares as well. Both are global, so the module cannot run.
// (A module may declare its own names again.)
func (s *script) clashes() {
	if s.tree == nil || strings.HasPrefix(s.name, cloudcode.Modules+"/") {
		return
	}
	certain := s.surelyRequired()
	for _, statement := range s.tree.Body {
		for _, name := range slices.Sorted(maps.Keys(lexicalIn([]ast.Statement{statement}))) {
			for _, m := range s.withRequired()[1:] {
				if m.tree != nil && declaredIn(m.tree.Body, m.tree.DeclarationList)[name] {
					s.report(statement.Idx0(), Problem{Kind: Clash, Name: name, Fatal: certain[m],
						Message: fmt.Sprintf("%s is declared in %s, too, which then cannot run: declare it with var here", name, m.name)})
					break
				}
			}
		}
	}
}

// surelyRequired returns the modules that the script requires in every run that
// gets that far.
func (s *script) surelyRequired() map[*script]bool {
	certain := map[*script]bool{}
	var add func(s *script)
	add = func(s *script) {
		for _, r := range s.requires {
			if m := s.modules[r.code]; m != nil && r.certain && !certain[m] {
				certain[m] = true
				add(m)
			}
		}
	}
	add(s)
	return certain
}

// walk looks at a node and what is in it. certain tells that a run which gets so
// far evaluates it, and that nothing catches what it throws.
func (s *script) walk(v reflect.Value, certain bool) {
	jsast.Children(v, func(node reflect.Value) { s.visit(node, certain) })
}

func (s *script) each(certain bool, nodes ...ast.Node) {
	for _, node := range nodes {
		if !isNil(node) {
			s.visit(reflect.ValueOf(node), certain)
		}
	}
}

// within does f in the scope of a node.
func (s *script) within(n ast.Node, f func()) {
	outer := s.scope
	if inner := s.scopes[n]; inner != nil {
		s.scope = inner
	}
	f()
	s.scope = outer
}

func (s *script) visit(v reflect.Value, certain bool) {
	if s.depth > maxDepth {
		if !s.shallow {
			s.shallow = true
			s.add(Problem{Kind: Depth, Message: fmt.Sprintf("what is nested more than %d deep is not checked", maxDepth)})
		}
		return
	}
	s.depth++
	defer func() { s.depth-- }()
	switch n := v.Interface().(type) {
	case *ast.Identifier:
		s.global(n, certain)
		return
	case *ast.DotExpression, *ast.BracketExpression:
		s.member(n.(ast.Expression), false, certain)
		return
	case *ast.CallExpression:
		s.call(n, certain)
		return
	case *ast.NewExpression:
		if object, _, _ := memberOf(n.Callee); object != nil {
			s.member(n.Callee, true, certain)
			s.walk(reflect.ValueOf(n.ArgumentList), certain)
			return
		}
	case *ast.AssignExpression:
		s.assign(n, certain)
		return
	case *ast.UnaryExpression:
		if name, ok := n.Operand.(*ast.Identifier); ok && n.Operator == token.TYPEOF && name.Name != "Spark" {
			return // the code asks whether it exists
		}
		if object, _, _ := memberOf(n.Operand); object != nil && n.Operator == token.TYPEOF {
			s.each(certain, object)
			return
		}
	case *ast.ExpressionStatement:
		s.dropResult(n.Expression)
	case *ast.Binding:
		s.each(certain, n.Initializer)
		s.pattern(n.Target)
		return
	case *ast.PropertyKeyed:
		if key, ok := n.Key.(*ast.StringLiteral); ok && key.Value == "__noSuchMethod__" {
			s.noSuchMethod(n.Idx0())
		}
	case *ast.PropertyShort:
		s.global(&n.Name, certain)
	case *ast.FunctionLiteral:
		s.within(n, func() { s.function(n.ParameterList, n.Body, false) })
		return
	case *ast.ArrowFunctionLiteral:
		s.within(n, func() { s.function(n.ParameterList, n.Body, false) })
		return
	case *ast.ExpressionBody:
		s.dropResult(n.Expression)
	case *ast.BlockStatement:
		s.within(n, func() { s.walk(v, certain) })
		return
	case *ast.OptionalChain:
		certain = false
	case *ast.BinaryExpression:
		if n.Operator == token.LOGICAL_AND || n.Operator == token.LOGICAL_OR || n.Operator == token.COALESCE {
			s.each(certain, n.Left)
			s.asking(n.Left, func() { s.each(false, n.Right) })
			return
		}
	case *ast.ConditionalExpression:
		s.each(certain, n.Test)
		s.asking(n.Test, func() { s.each(false, n.Consequent, n.Alternate) })
		return
	case *ast.IfStatement:
		s.each(certain, n.Test)
		s.asking(n.Test, func() { s.each(false, n.Consequent, n.Alternate) })
		return
	case *ast.SwitchStatement:
		s.each(certain, n.Discriminant)
		s.within(n, func() {
			for _, c := range n.Body {
				s.walk(reflect.ValueOf(c), false)
			}
		})
		return
	case *ast.WhileStatement:
		s.each(certain, n.Test)
		s.each(false, n.Body)
		return
	case *ast.ForStatement:
		s.within(n, func() {
			s.head(n.Initializer, certain)
			s.each(certain, n.Test)
			s.each(false, n.Update, n.Body)
		})
		return
	case *ast.ForInStatement:
		if into, ok := n.Into.(*ast.ForIntoVar); ok {
			s.destructuringForIn(into.Binding.Target)
		} else if into, ok := n.Into.(*ast.ForDeclaration); ok {
			s.destructuringForIn(into.Target)
		}
		s.loop(n, n.Into, n.Source, n.Body, certain)
		return
	case *ast.ForOfStatement:
		s.loop(n, n.Into, n.Source, n.Body, certain)
		return
	case *ast.ForDeclaration:
		s.pattern(n.Target)
		return
	case *ast.TryStatement:
		s.each(certain && n.Catch == nil, n.Body)
		if n.Catch != nil {
			s.within(n.Catch, func() { s.each(false, n.Catch.Body) })
		}
		if n.Finally != nil {
			s.each(certain, n.Finally)
		}
		return
	case *ast.LabelledStatement:
		s.each(certain, n.Statement)
		return
	case *ast.BranchStatement, *ast.MetaProperty:
		return
	}
	s.walk(v, certain)
}

// head visits the head of a loop, which may be absent.
func (s *script) head(n ast.Node, certain bool) {
	if !isNil(n) {
		s.walk(reflect.ValueOf(n), certain)
	}
}

func (s *script) loop(n ast.Node, into ast.ForInto, source ast.Expression, body ast.Statement, certain bool) {
	s.within(n, func() {
		s.head(into, false)
		s.each(certain, source)
		s.each(false, body)
	})
}

// pattern visits the defaults in a destructuring pattern, but not its names.
func (s *script) pattern(target ast.Node) {
	if _, ok := target.(*ast.Identifier); !ok {
		s.head(target, false)
	}
}

// function looks at a function; certain tells that it is called where it stands.
func (s *script) function(params *ast.ParameterList, body ast.Node, certain bool) {
	s.walk(reflect.ValueOf(params), false)
	s.each(certain, body)
}

// asking calls f while names that the test checks for, by typeof, count as
// present.
func (s *script) asking(test ast.Expression, f func()) {
	var names []string
	askedFor(test, &names)
	for _, name := range names {
		s.asked[name]++
	}
	f()
	for _, name := range names {
		s.asked[name]--
	}
}

func askedFor(test ast.Expression, names *[]string) {
	switch n := test.(type) {
	case *ast.BinaryExpression:
		askedFor(n.Left, names)
		askedFor(n.Right, names)
	case *ast.UnaryExpression:
		if name, ok := n.Operand.(*ast.Identifier); ok && n.Operator == token.TYPEOF {
			*names = append(*names, name.Name.String())
		} else {
			askedFor(n.Operand, names)
		}
	}
}

// dropResult notes the call whose result a statement drops.
func (s *script) dropResult(e ast.Expression) {
	switch n := e.(type) {
	case *ast.CallExpression:
		s.unused[n] = true
	case *ast.BinaryExpression:
		s.dropResult(n.Right)
	case *ast.ConditionalExpression:
		s.dropResult(n.Consequent)
		s.dropResult(n.Alternate)
	case *ast.SequenceExpression:
		for _, e := range n.Sequence {
			s.dropResult(e)
		}
	case *ast.UnaryExpression:
		s.dropResult(n.Operand)
	}
}

func (s *script) assign(n *ast.AssignExpression, certain bool) {
	if object, name, at := memberOf(n.Left); object != nil {
		if name == "__noSuchMethod__" {
			s.noSuchMethod(at)
		}
		s.each(certain, object)
		if bracket, ok := n.Left.(*ast.BracketExpression); ok {
			s.each(certain, bracket.Member)
		}
	} else {
		s.pattern(n.Left)
	}
	switch n.Operator {
	case token.LOGICAL_AND, token.LOGICAL_OR, token.COALESCE:
		certain = false
	}
	s.each(certain, n.Right)
}

func (s *script) noSuchMethod(at file.Idx) {
	s.report(at, Problem{Kind: Old, Name: "__noSuchMethod__", Message: "__noSuchMethod__ is never called: use a Proxy"})
}

func (s *script) destructuringForIn(target ast.BindingTarget) {
	if pattern, ok := target.(*ast.ArrayPattern); ok {
		s.report(pattern.LeftBracket, Problem{Kind: Old, Name: "for in",
			Message: "a pattern in `for (… in …)` takes the name apart, not a pair: write `for (const [k, v] of Object.entries(o))`"})
	}
}

// global checks a name that stands alone.
func (s *script) global(n *ast.Identifier, certain bool) {
	name := n.Name.String()
	if s.asked[name] > 0 || s.declared[name] || s.scope.local(name) != nil {
		return
	}
	if kind, message := foreignGlobal(name); message != "" {
		s.report(n.Idx, Problem{Kind: kind, Name: name, Message: message, Fatal: certain})
	}
}

// foreignGlobal says what to do about a global name that other engines have.
func foreignGlobal(name string) (Kind, string) {
	switch name {
	case "Packages", "java", "javax", "JavaImporter", "JavaAdapter", "importPackage", "importClass":
		return Old, name + ": there is no Java here"
	case "XML", "XMLList", "QName", "Namespace":
		return Old, name + ": E4X is not JavaScript any more"
	case "Iterator", "StopIteration":
		return Old, name + " is not JavaScript any more: use for … of, Object.entries and generators"
	case "module", "exports":
		return Foreign, "there is no " + name + ": the names that a module declares are global"
	case "process", "Buffer", "global", "__dirname", "__filename":
		return Foreign, name + ": there is no Node.js here"
	case "window", "document", "localStorage", "XMLHttpRequest", "alert":
		return Foreign, name + ": there is no browser here"
	case "await":
		return Foreign, "await belongs in an async function; the members of Spark need none"
	}
	return "", ""
}

func isRequire(name string) bool { return name == "require" || name == "requireOnce" }

// requiredBy is the short code of a call of require.
func requiredBy(n *ast.CallExpression, sc *scope) (code string, ok bool) {
	callee, ok := n.Callee.(*ast.Identifier)
	if !ok || !isRequire(callee.Name.String()) || sc.local(callee.Name.String()) != nil || len(n.ArgumentList) == 0 {
		return "", false
	}
	literal, ok := n.ArgumentList[0].(*ast.StringLiteral)
	if !ok {
		return "", false
	}
	return literal.Value.String(), true
}

func (s *script) call(n *ast.CallExpression, certain bool) {
	switch callee := n.Callee.(type) {
	case *ast.FunctionLiteral:
		if !callee.Async && !callee.Generator { // runs at this point
			s.walk(reflect.ValueOf(n.ArgumentList), certain)
			s.within(callee, func() { s.function(callee.ParameterList, callee.Body, certain) })
			return
		}
	case *ast.ArrowFunctionLiteral:
		if !callee.Async {
			s.walk(reflect.ValueOf(n.ArgumentList), certain)
			s.within(callee, func() { s.function(callee.ParameterList, callee.Body, certain) })
			return
		}
	case *ast.Identifier:
		if code, ok := requiredBy(n, s.scope); ok {
			name := callee.Name.String()
			s.requires = append(s.requires, requiredModule{code, name, n.Idx0(), certain})
			if !s.unused[n] && !s.required && s.modules[code] != nil {
				s.report(n.Idx0(), Problem{Kind: Foreign, Name: name,
					Message: fmt.Sprintf("%s returns nothing: the names that module %q declares are global", name, code)})
			}
		}
	case *ast.DotExpression, *ast.BracketExpression:
		_, name, at := memberOf(callee)
		if (name == "quote" || name == "toSource") && len(n.ArgumentList) == 0 && !s.checker.defined[name] {
			s.report(at, Problem{Kind: Old, Name: name, Fatal: certain,
				Message: fmt.Sprintf("%s() is not JavaScript any more: use JSON.stringify", name)})
		}
		s.member(callee, true, certain)
		s.walk(reflect.ValueOf(n.ArgumentList), certain)
		return
	}
	s.walk(reflect.ValueOf(n), certain)
}

// member checks x.name or x["name"], which may be called.
func (s *script) member(n ast.Expression, called, certain bool) {
	object, name, at := memberOf(n)
	on := s.classOf(object, s.scope)
	carried := s.carried(on.name)
	p := Problem{Name: on.name + "." + name, Fatal: certain && called}
	switch {
	case on.name == "" || name == "" || slices.Contains(carried, name) || isObjectMember(name):
	case on.name == requests:
		near := s.meant(requests, name)
		switch p.Kind = Unknown; {
		case cloudcode.Has(requests, name), isRequest(name) && near == "":
		case near != "":
			p.Fatal = p.Fatal && !isRequest(name)
			p.Message = fmt.Sprintf("%s is no request of the original: did you mean %s?", name, near)
			s.report(at, p)
		default:
			p.Message = fmt.Sprintf("%s has no %s: its names end in Request", requests, name)
			s.report(at, p)
		}
	case strings.HasPrefix(on.name, requests+"."):
		if member := sender(name); member != "" && !s.checker.supplied[member] {
			p.Kind, p.Name = Member, "Spark."+member
			p.Message = fmt.Sprintf("%s needs %s, which is not supplied: the host of these scripts can supply it", name, p.Name)
			s.report(at, p)
			s.use(p.Name, strings.TrimPrefix(on.name, requests+"."))
		}
	case on.name == "Spark" && s.checker.supplied[name]:
	case on.from != "":
		if called {
			s.use(on.from, name)
		}
	case cloudcode.Has(on.name, name), cloudcode.Has(on.name, getter(name)):
		p.Kind = Member
		p.Message = fmt.Sprintf("%s is not supplied: the host of these scripts can supply it", p.Name)
		s.report(at, p)
	case on.name != "Spark" && s.checker.defined[name]:
	default:
		p.Kind = Unknown
		p.Message = fmt.Sprintf("%s has no member %s", on.name, name)
		if near := s.meant(on.name, name); near != "" {
			p.Message += ": did you mean " + near + "?"
		}
		s.report(at, p)
	}
	s.walk(reflect.ValueOf(n), certain)
}

// meant finds the member of a class that a misspelt name most likely means.
func (c *checker) meant(class, name string) string {
	key := class + "." + name
	near, ok := c.near[key]
	if !ok {
		carried := c.carried(class)
		near = cloudcode.Nearest(name, cloudcode.Members(class), carried)
		if slices.Contains(carried, getter(name)) {
			near = getter(name) + "()"
		}
		c.near[key] = near
	}
	return near
}

// getter is the getter that the original's engine called for x.name if x had no
// such member: for x.displayName it called x.getDisplayName().
func getter(name string) string {
	return "get" + strings.ToUpper(name[:min(1, len(name))]) + name[min(1, len(name)):]
}

// use counts a member that is called on the result of a missing one.
func (c *checker) use(of, name string) {
	if c.uses[of] == nil {
		c.uses[of] = map[string]int{}
	}
	c.uses[of][name]++
}
