package callback

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"
	"slices"
	"strings"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/token"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/compiler"
	"example.com/callback/internal/limit"
)

// A Problem is what [Check] finds in a script.
type Problem struct {
	// Script is the file's name, such as "callbacks/hello.js".
	Script string

	// Line and Column count from 1, columns in bytes; zero means the script as
	// a whole.
	Line   int
	Column int

	// Message says what is wrong.
	Message string

	// Fatal reports that the script cannot run: it does not compile, or no run
	// of it gets past this place. Other problems are met, if ever, on some path
	// only.
	Fatal bool
}

// String returns the position and the message, like a compiler.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.Script + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.Script, p.Line, p.Column, p.Message)
}

// Check reads the scripts that a [GojaRunner] would run from fsys, without
// running any, and returns what is wrong with them, sorted by script and
// position: syntax errors; members of Spark that neither the library carries
// nor the host supplies; misspelt ones; modules that do not exist; and what
// the original's engine, Rhino, had beside JavaScript. A script without a
// Problem that is Fatal can run.
//
// The scripts are those in callbacks and modules, and system/GS_CALLBACK_URL.js.
// members are the names that the host adds to Spark, as in [Handler].Members.
//
// Check follows names, not values: Spark under another name, a computed member
// or a module code put together at run time escape it. The error is one of
// fsys.
func Check(fsys fs.FS, members ...string) ([]Problem, error) {
	c := &checker{
		supplied: map[string]bool{},
		modules:  map[string]*checkedScript{},
		declared: map[string]bool{},
		defined:  map[string]bool{},
	}
	for _, name := range members {
		c.supplied[name] = true
	}
	if err := c.read(fsys); err != nil {
		return nil, err
	}
	for _, s := range c.scripts {
		c.collect(reflect.ValueOf(s.tree), 0)
	}
	for _, s := range c.scripts {
		s.check()
	}
	for again := true; again; { // who requires what cannot run cannot run
		again = false
		for _, s := range c.scripts {
			again = s.inherit() || again
		}
	}
	var problems []Problem
	for _, s := range c.scripts {
		slices.SortStableFunc(s.problems, func(a, b Problem) int {
			return cmp.Or(cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column))
		})
		problems = append(problems, s.problems...)
	}
	return problems, nil
}

// maxCheckDepth is how deep nodes may be inside each other for Check to see
// them, which recurses: a sum of that many parts is that deep.
const maxCheckDepth = 10_000

// A checker is one call of Check.
type checker struct {
	scripts  []*checkedScript
	modules  map[string]*checkedScript // by short code
	supplied map[string]bool           // members of Spark: the host's, and those that a script sets
	declared map[string]bool           // identifiers that any script declares or assigns, anywhere
	defined  map[string]bool           // names of properties that any script sets
	required bool                      // a script replaces require or requireOnce
}

// read reads and compiles the scripts.
func (c *checker) read(fsys fs.FS) error {
	found := false
	for _, dir := range []string{cloudcode.Callbacks, cloudcode.Modules, cloudcode.System} {
		entries, err := fs.ReadDir(fsys, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		found = true
		for _, entry := range entries {
			name := path.Join(dir, entry.Name())
			if entry.IsDir() || path.Ext(name) != ".js" || dir == cloudcode.System && name != cloudcode.ServerScript {
				continue
			}
			source, err := readScript(fsys, name)
			if err != nil {
				return err
			}
			code := strings.TrimSuffix(entry.Name(), ".js")
			s := &checkedScript{checker: c, name: name, hidden: map[string]int{}}
			s.parse(source, code, dir == cloudcode.Modules)
			c.scripts = append(c.scripts, s)
			if dir == cloudcode.Modules {
				c.modules[code] = s
			}
		}
	}
	if !found {
		return fmt.Errorf("callback: no callbacks, modules or system folder to check: %w", fs.ErrNotExist)
	}
	return nil
}

// readScript reads a file, up to one byte more than a script may have.
func readScript(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	source, _, err := limit.ReadAll(f, DefaultMaxScriptSize)
	return source, err
}

// collect notes what a script declares and sets.
func (c *checker) collect(v reflect.Value, depth int) {
	if depth > maxCheckDepth {
		return
	}
	children(v, func(node reflect.Value) {
		switch n := node.Interface().(type) {
		case *ast.Binding:
			c.declare(n.Target)
		case *ast.FunctionLiteral:
			if n.Name != nil {
				c.declare(n.Name)
			}
		case *ast.ClassLiteral:
			if n.Name != nil {
				c.declare(n.Name)
			}
		case *ast.CatchStatement:
			if n.Parameter != nil {
				c.declare(n.Parameter)
			}
		case *ast.ForDeclaration:
			c.declare(n.Target)
		case *ast.PropertyKeyed:
			if key, ok := n.Key.(*ast.StringLiteral); ok {
				c.defined[key.Value.String()] = true
			}
		case *ast.AssignExpression:
			if name, ok := n.Left.(*ast.Identifier); ok {
				c.declare(name)
				c.required = c.required || isRequire(name.Name.String())
			}
			if object, member, _ := memberOf(n.Left); member != "" {
				c.defined[member] = true
				if name, ok := object.(*ast.Identifier); ok && name.Name == "Spark" {
					c.supplied[member] = true
				}
			}
		}
		c.collect(node, depth+1)
	})
}

func (c *checker) declare(target ast.Node) {
	for _, name := range boundNames(reflect.ValueOf(target), nil) {
		c.declared[name] = true
	}
}

// A checkedScript is a script of the tree.
type checkedScript struct {
	*checker
	name     string
	tree     *ast.Program // nil if it does not compile
	problems []Problem
	fatal    bool
	requires []requiredModule
	hidden   map[string]int // Spark and require, while a local name hides them
	depth    int            // of the node being looked at
	shallow  bool           // some nodes were too deep to look at
}

type requiredModule struct {
	code     string
	function string
	at       file.Idx
	sure     bool
}

// parse compiles the script, which the program cache would keep, and parses it
// again for its tree, which the compiler changes.
func (s *checkedScript) parse(source []byte, code string, module bool) {
	if !cloudcode.IsName(code) {
		s.add(Problem{Message: fmt.Sprintf("nothing can run a script of the name %q: it may have A-Z a-z 0-9 _ - only", code), Fatal: true})
		return
	}
	if len(source) > DefaultMaxScriptSize {
		s.add(Problem{Message: compiler.TooLong(DefaultMaxScriptSize).Message, Fatal: true})
		return
	}
	if _, fault := compiler.Compile(s.name, string(source), module); fault != nil {
		s.add(Problem{Line: fault.Line, Column: fault.Column, Message: fault.Message, Fatal: true})
		return
	}
	s.tree, _ = compiler.Parse(s.name, string(source))
}

func (s *checkedScript) add(p Problem) {
	p.Script = s.name
	s.fatal = s.fatal || p.Fatal
	s.problems = append(s.problems, p)
}

func (s *checkedScript) report(at file.Idx, fatal bool, format string, args ...any) {
	p := s.tree.File.Position(int(at) - s.tree.File.Base())
	s.add(Problem{Line: p.Line, Column: p.Column, Message: fmt.Sprintf(format, args...), Fatal: fatal})
}

func (s *checkedScript) check() {
	if s.tree == nil {
		return
	}
	// At the top of a script, the names are the global ones, unless declared.
	if names := declaredIn(s.tree.Body, s.tree.DeclarationList); names["require"] || names["requireOnce"] {
		s.required = true
	}
	s.walk(reflect.ValueOf(s.tree.Body), true)
}

// inherit reports the required modules that are missing or cannot run. It
// returns whether that has made the script one that cannot run either.
func (s *checkedScript) inherit() bool {
	was := s.fatal
	s.requires = slices.DeleteFunc(s.requires, func(r requiredModule) bool {
		module := s.modules[r.code]
		switch {
		case s.required:
		case module == nil:
			s.report(r.at, r.sure, "%s: no module %q", r.function, r.code)
		case module.tree == nil:
			s.report(r.at, r.sure, "%s: module %q does not compile", r.function, r.code)
		case module.fatal && module != s:
			s.report(r.at, r.sure, "%s: module %q cannot run", r.function, r.code)
		default:
			return false
		}
		return true
	})
	return s.fatal != was
}

// walk looks at a node and what is in it. sure tells that a run which gets so
// far evaluates it, and that nothing catches what it throws.
func (s *checkedScript) walk(v reflect.Value, sure bool) {
	children(v, func(node reflect.Value) { s.visit(node, sure) })
}

func (s *checkedScript) each(sure bool, nodes ...ast.Node) {
	for _, node := range nodes {
		if v := reflect.ValueOf(node); v.IsValid() && !v.IsNil() {
			s.visit(v, sure)
		}
	}
}

func (s *checkedScript) visit(v reflect.Value, sure bool) {
	if s.depth > maxCheckDepth {
		if !s.shallow {
			s.shallow = true
			s.add(Problem{Message: fmt.Sprintf("what is nested more than %d deep is not checked", maxCheckDepth)})
		}
		return
	}
	s.depth++
	defer func() { s.depth-- }()
	switch n := v.Interface().(type) {
	case *ast.Identifier:
		s.global(n, sure)
		return
	case *ast.DotExpression, *ast.BracketExpression:
		s.member(n.(ast.Expression), false, sure)
		return
	case *ast.CallExpression:
		s.call(n, sure)
		return
	case *ast.AssignExpression:
		s.assign(n, sure)
		return
	case *ast.UnaryExpression:
		if name, ok := n.Operand.(*ast.Identifier); ok && n.Operator == token.TYPEOF && name.Name != "Spark" {
			return // asks whether it is there
		}
		if object, _, _ := memberOf(n.Operand); object != nil && n.Operator == token.TYPEOF {
			s.each(sure, object)
			return
		}
	case *ast.Binding:
		s.each(sure, n.Initializer)
		s.pattern(n.Target)
		return
	case *ast.PropertyKeyed:
		if key, ok := n.Key.(*ast.StringLiteral); ok && key.Value == "__noSuchMethod__" {
			s.report(n.Idx0(), false, "__noSuchMethod__ is never called: use a Proxy")
		}
	case *ast.PropertyShort:
		s.global(&n.Name, sure)
	case *ast.FunctionLiteral:
		s.function(declaredIn(n.Body.List, n.DeclarationList), n.ParameterList, n.Body, false)
		return
	case *ast.ArrowFunctionLiteral:
		s.arrow(n, false)
		return
	case *ast.BlockStatement:
		s.hiding(declaredIn(n.List, nil), func() { s.walk(v, sure) })
		return
	case *ast.OptionalChain:
		sure = false
	case *ast.BinaryExpression:
		if n.Operator == token.LOGICAL_AND || n.Operator == token.LOGICAL_OR || n.Operator == token.COALESCE {
			s.each(sure, n.Left)
			s.each(false, n.Right)
			return
		}
	case *ast.ConditionalExpression:
		s.each(sure, n.Test)
		s.each(false, n.Consequent, n.Alternate)
		return
	case *ast.IfStatement:
		s.each(sure, n.Test)
		s.each(false, n.Consequent, n.Alternate)
		return
	case *ast.SwitchStatement:
		s.each(sure, n.Discriminant)
		for _, c := range n.Body {
			s.walk(reflect.ValueOf(c), false)
		}
		return
	case *ast.WhileStatement:
		s.each(sure, n.Test)
		s.each(false, n.Body)
		return
	case *ast.ForStatement:
		s.walkIn(n.Initializer, sure)
		s.each(sure, n.Test)
		s.each(false, n.Update, n.Body)
		return
	case *ast.ForInStatement:
		if into, ok := n.Into.(*ast.ForIntoVar); ok {
			s.destructuringForIn(into.Binding.Target)
		} else if into, ok := n.Into.(*ast.ForDeclaration); ok {
			s.destructuringForIn(into.Target)
		}
		s.walkIn(n.Into, false)
		s.each(sure, n.Source)
		s.each(false, n.Body)
		return
	case *ast.ForOfStatement:
		s.walkIn(n.Into, false)
		s.each(sure, n.Source)
		s.each(false, n.Body)
		return
	case *ast.ForDeclaration:
		s.pattern(n.Target)
		return
	case *ast.TryStatement:
		s.each(sure && n.Catch == nil, n.Body)
		if n.Catch != nil {
			s.hiding(namesOf(n.Catch.Parameter), func() { s.each(false, n.Catch.Body) })
		}
		if n.Finally != nil {
			s.each(sure, n.Finally)
		}
		return
	case *ast.LabelledStatement:
		s.each(sure, n.Statement)
		return
	case *ast.BranchStatement, *ast.MetaProperty:
		return
	}
	s.walk(v, sure)
}

// walkIn is walk for what may be nil, such as a part of a loop's head.
func (s *checkedScript) walkIn(n ast.Node, sure bool) {
	if v := reflect.ValueOf(n); v.IsValid() && !v.IsNil() {
		s.walk(v, sure)
	}
}

// pattern looks at the defaults in a destructuring pattern, not at its names.
func (s *checkedScript) pattern(target ast.Node) {
	if _, ok := target.(*ast.Identifier); !ok {
		s.walkIn(target, false)
	}
}

// function looks at a function; called tells that it is called where it stands.
func (s *checkedScript) function(names map[string]bool, params *ast.ParameterList, body ast.Node, sure bool) {
	for _, binding := range params.List {
		for name := range namesOf(binding.Target) {
			names[name] = true
		}
	}
	s.hiding(names, func() {
		s.walk(reflect.ValueOf(params), false)
		s.each(sure, body)
	})
}

func (s *checkedScript) arrow(n *ast.ArrowFunctionLiteral, sure bool) {
	names := map[string]bool{}
	if block, ok := n.Body.(*ast.BlockStatement); ok {
		names = declaredIn(block.List, n.DeclarationList)
	}
	s.function(names, n.ParameterList, n.Body, sure)
}

// hiding does f while the names hide those of the global object.
func (s *checkedScript) hiding(names map[string]bool, f func()) {
	for name := range names {
		s.hidden[name]++
	}
	f()
	for name := range names {
		s.hidden[name]--
	}
}

func (s *checkedScript) assign(n *ast.AssignExpression, sure bool) {
	if object, name, at := memberOf(n.Left); object != nil {
		if name == "__noSuchMethod__" {
			s.report(at, false, "__noSuchMethod__ is never called: use a Proxy")
		}
		s.each(sure, object)
		if bracket, ok := n.Left.(*ast.BracketExpression); ok {
			s.each(sure, bracket.Member)
		}
	} else {
		s.pattern(n.Left)
	}
	switch n.Operator {
	case token.LOGICAL_AND, token.LOGICAL_OR, token.COALESCE:
		sure = false
	}
	s.each(sure, n.Right)
}

func (s *checkedScript) destructuringForIn(target ast.BindingTarget) {
	if pattern, ok := target.(*ast.ArrayPattern); ok {
		s.report(pattern.LeftBracket, false, "a pattern in `for (… in …)` takes the name apart, not a pair: write `for (const [k, v] of Object.entries(o))`")
	}
}

// global looks at a name on its own.
func (s *checkedScript) global(n *ast.Identifier, sure bool) {
	name := n.Name.String()
	if s.hidden[name] > 0 || s.declared[name] {
		return
	}
	switch name {
	case "Packages", "java", "javax", "JavaImporter", "JavaAdapter", "importPackage", "importClass":
		s.report(n.Idx, sure, "%s: there is no Java here", name)
	case "XML", "XMLList", "QName", "Namespace":
		s.report(n.Idx, sure, "%s: E4X is not JavaScript any more", name)
	case "Iterator", "StopIteration":
		s.report(n.Idx, sure, "%s is not JavaScript any more: use for … of, Object.entries and generators", name)
	case "SparkRequests":
		s.report(n.Idx, sure, "SparkRequests is not carried: a module can define it")
	case "console":
		s.report(n.Idx, sure, "there is no console: use Spark.getLog()")
	case "setTimeout", "setInterval":
		s.report(n.Idx, sure, "there is no %s: a run ends when the script has ended", name)
	}
}

func isRequire(name string) bool { return name == "require" || name == "requireOnce" }

func (s *checkedScript) call(n *ast.CallExpression, sure bool) {
	switch callee := n.Callee.(type) {
	case *ast.FunctionLiteral:
		if !callee.Async && !callee.Generator { // runs here and now
			s.walk(reflect.ValueOf(n.ArgumentList), sure)
			s.function(declaredIn(callee.Body.List, callee.DeclarationList), callee.ParameterList, callee.Body, sure)
			return
		}
	case *ast.ArrowFunctionLiteral:
		if !callee.Async {
			s.walk(reflect.ValueOf(n.ArgumentList), sure)
			s.arrow(callee, sure)
			return
		}
	case *ast.Identifier:
		name := callee.Name.String()
		if isRequire(name) && s.hidden[name] == 0 && len(n.ArgumentList) > 0 {
			if code, ok := n.ArgumentList[0].(*ast.StringLiteral); ok {
				s.requires = append(s.requires, requiredModule{code.Value.String(), name, n.Idx0(), sure})
			}
		}
	case *ast.DotExpression, *ast.BracketExpression:
		_, name, at := memberOf(callee)
		if (name == "quote" || name == "toSource") && len(n.ArgumentList) == 0 && !s.defined[name] {
			s.report(at, sure, "%s() is not JavaScript any more: use JSON.stringify", name)
		}
		s.member(callee, true, sure)
		s.walk(reflect.ValueOf(n.ArgumentList), sure)
		return
	}
	s.walk(reflect.ValueOf(n), sure)
}

// member looks at x.name or x["name"], which may be called.
func (s *checkedScript) member(n ast.Expression, called, sure bool) {
	object, name, at := memberOf(n)
	class := s.class(object, 0)
	switch {
	case class == "" || name == "" || slices.Contains(carriedBy(class), name) || isObjectMember(name):
	case class == "Spark" && s.supplied[name]:
	case cloudcode.Has(class, name):
		s.report(at, sure && called, "%s.%s is not supplied: the host of these scripts can supply it", class, name)
	default:
		hint := ""
		if near := nearest(name, cloudcode.Members(class), carriedBy(class)); near != "" {
			hint = ": did you mean " + near + "?"
		}
		s.report(at, sure && called, "%s has no member %s%s", class, name, hint)
	}
	s.walk(reflect.ValueOf(n), sure)
}

// maxChain is how many calls on each other's results class follows.
const maxChain = 32

// class is the class of what an expression gives, as far as that is plain: of
// Spark, and of calls of its members that the library carries.
func (s *checkedScript) class(e ast.Expression, depth int) string {
	if depth > maxChain {
		return ""
	}
	switch n := e.(type) {
	case *ast.Identifier:
		if n.Name == "Spark" && s.hidden["Spark"] == 0 && !s.declared["Spark"] {
			return "Spark"
		}
	case *ast.DotExpression:
		if n.Identifier.Name == "player" && s.class(n.Left, depth+1) == "Spark" && !s.supplied["player"] {
			return "SparkPlayer"
		}
	case *ast.CallExpression:
		object, name, _ := memberOf(n.Callee)
		switch s.class(object, depth+1) {
		case "Spark":
			if s.supplied[name] {
				return ""
			}
			switch name {
			case "getPlayer":
				return "SparkPlayer"
			case "getHttp":
				return "SparkHttp"
			case "getLog":
				return "SparkLog"
			case "getDigester":
				return "SparkDigest"
			}
		case "SparkHttp":
			switch {
			case name == "setHeaders" || name == "setBasicAuth":
				return "SparkHttp"
			case slices.Contains(httpClass.Names(), name):
				return "SparkHttpResponse"
			}
		}
	}
	return ""
}

// carriedBy lists the members of a class that the library carries.
func carriedBy(class string) []string {
	switch class {
	case "Spark":
		return sparkClass.Names()
	case "SparkHttp":
		return httpClass.Names()
	case "SparkHttpResponse":
		return responseClass.Names()
	case "SparkLog":
		return logClass.Names()
	case "SparkDigest":
		return digestClass.Names()
	case "SparkPlayer":
		return playerClass.Names()
	}
	return nil
}

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

// nearest finds the name that was meant by a misspelt one.
func nearest(name string, lists ...[]string) (near string) {
	best := 1 + min(len(name)/4, 3)
	for _, list := range lists {
		for _, known := range list {
			if d := distance(strings.ToLower(name), strings.ToLower(known)); d < best {
				best, near = d, known
			}
		}
	}
	return near
}

// distance is the number of bytes to insert, drop or change to make b of a.
func distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			diagonal, row[j+1] = row[j+1], min(diagonal+cost, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}

// declaredIn lists the names that statements declare, those of functions and
// of var among them.
func declaredIn(statements []ast.Statement, vars []*ast.VariableDeclaration) map[string]bool {
	names := map[string]bool{}
	add := func(target ast.Node) {
		for name := range namesOf(target) {
			names[name] = true
		}
	}
	for _, statement := range statements {
		switch n := statement.(type) {
		case *ast.LexicalDeclaration:
			for _, binding := range n.List {
				add(binding.Target)
			}
		case *ast.FunctionDeclaration:
			add(n.Function.Name)
		case *ast.ClassDeclaration:
			add(n.Class.Name)
		}
	}
	for _, declaration := range vars {
		for _, binding := range declaration.List {
			add(binding.Target)
		}
	}
	return names
}

func namesOf(target ast.Node) map[string]bool {
	names := map[string]bool{}
	if v := reflect.ValueOf(target); v.IsValid() && !v.IsNil() {
		for _, name := range boundNames(v, nil) {
			names[name] = true
		}
	}
	return names
}

// boundNames appends the names that a name or a pattern binds; those in its
// defaults count as well.
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
