// Package check finds what is wrong with scripts without running them. It follows
// names, not values: Spark under another name, a computed member or a module code
// put together at run time are not seen.
package check

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

// A Problem is a finding in a script.
type Problem struct {
	Script       string // the file's name
	Line, Column int    // from 1, columns in bytes; zero: the script as a whole
	Message      string
	Fatal        bool // no run gets past this place
}

// Options are what Scripts knows of the runner and its host.
type Options struct {
	// Members are the names that the host adds to Spark.
	Members []string

	// Carried lists the members of a class that the library carries.
	Carried func(class string) []string

	// MaxScriptSize is the longest script, in bytes.
	MaxScriptSize int64
}

// Scripts checks the scripts in fsys, without running any. The problems are sorted
// by script and position. The error is one of fsys.
func Scripts(fsys fs.FS, o Options) ([]Problem, error) {
	c := &checker{
		Options:  o,
		supplied: map[string]bool{},
		modules:  map[string]*script{},
		declared: map[string]bool{},
		defined:  map[string]bool{},
	}
	for _, name := range o.Members {
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
	for again := true; again; { // a script that requires one that cannot run cannot run
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

// maxDepth is how deep nodes may be nested to be checked, which recurses: a sum of
// that many parts is that deep.
const maxDepth = 10_000

// A checker is one call of Scripts.
type checker struct {
	Options
	scripts  []*script
	modules  map[string]*script // by short code
	supplied map[string]bool    // members of Spark: the host's, and those that a script sets
	declared map[string]bool    // identifiers that any script declares or assigns, anywhere
	defined  map[string]bool    // names of properties that any script sets
	required bool               // a script replaces require or requireOnce
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
			source, err := c.readScript(fsys, name)
			if err != nil {
				return err
			}
			code := strings.TrimSuffix(entry.Name(), ".js")
			s := &script{checker: c, name: name, hidden: map[string]int{}}
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
func (c *checker) readScript(fsys fs.FS, name string) ([]byte, error) {
	f, err := fsys.Open(name)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	source, _, err := limit.ReadAll(f, c.MaxScriptSize)
	return source, err
}

// collect notes what a script declares and sets.
func (c *checker) collect(v reflect.Value, depth int) {
	if depth > maxDepth {
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

// A script is a script of the tree.
type script struct {
	*checker
	name     string
	tree     *ast.Program // nil if it does not compile
	problems []Problem
	fatal    bool
	requires []requiredModule
	hidden   map[string]int // global names, while as many local ones hide them
	depth    int            // of the node that is checked
	tooDeep  bool           // some nodes were not checked
}

type requiredModule struct {
	code     string
	function string
	at       file.Idx
	certain  bool
}

// parse compiles the script, and parses it again for its tree: the compiler changes
// the one it gets.
func (s *script) parse(source []byte, code string, module bool) {
	if !cloudcode.IsName(code) {
		s.add(Problem{Message: fmt.Sprintf("nothing can run a script of the name %q: it may have A-Z a-z 0-9 _ - only", code), Fatal: true})
		return
	}
	if int64(len(source)) > s.MaxScriptSize {
		s.add(Problem{Message: compiler.TooLong(s.MaxScriptSize).Message, Fatal: true})
		return
	}
	if _, fault := compiler.Compile(s.name, string(source), module); fault != nil {
		s.add(Problem{Line: fault.Line, Column: fault.Column, Message: fault.Message, Fatal: true})
		return
	}
	s.tree, _ = compiler.Parse(s.name, string(source))
}

func (s *script) add(p Problem) {
	p.Script = s.name
	s.fatal = s.fatal || p.Fatal
	s.problems = append(s.problems, p)
}

func (s *script) report(at file.Idx, fatal bool, format string, args ...any) {
	p := s.tree.File.Position(int(at) - s.tree.File.Base())
	s.add(Problem{Line: p.Line, Column: p.Column, Message: fmt.Sprintf(format, args...), Fatal: fatal})
}

func (s *script) check() {
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
func (s *script) inherit() bool {
	was := s.fatal
	s.requires = slices.DeleteFunc(s.requires, func(r requiredModule) bool {
		module := s.modules[r.code]
		switch {
		case s.required:
		case module == nil:
			s.report(r.at, r.certain, "%s: no module %q", r.function, r.code)
		case module.tree == nil:
			s.report(r.at, r.certain, "%s: module %q does not compile", r.function, r.code)
		case module.fatal && module != s:
			s.report(r.at, r.certain, "%s: module %q cannot run", r.function, r.code)
		default:
			return false
		}
		return true
	})
	return s.fatal != was
}

// walk visits the children of a node. certain means that a run which gets so far
// evaluates them, and that nothing catches what they throw.
func (s *script) walk(v reflect.Value, certain bool) {
	children(v, func(node reflect.Value) { s.visit(node, certain) })
}

func (s *script) each(certain bool, nodes ...ast.Node) {
	for _, node := range nodes {
		if v := reflect.ValueOf(node); v.IsValid() && !v.IsNil() {
			s.visit(v, certain)
		}
	}
}

func (s *script) visit(v reflect.Value, certain bool) {
	if s.depth > maxDepth {
		if !s.tooDeep {
			s.tooDeep = true
			s.add(Problem{Message: fmt.Sprintf("what is nested more than %d deep is not checked", maxDepth)})
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
	case *ast.AssignExpression:
		s.assign(n, certain)
		return
	case *ast.UnaryExpression:
		if name, ok := n.Operand.(*ast.Identifier); ok && n.Operator == token.TYPEOF && name.Name != "Spark" {
			return // a test for whether there is one
		}
		if object, _, _ := memberOf(n.Operand); object != nil && n.Operator == token.TYPEOF {
			s.each(certain, object)
			return
		}
	case *ast.Binding:
		s.each(certain, n.Initializer)
		s.pattern(n.Target)
		return
	case *ast.PropertyKeyed:
		if key, ok := n.Key.(*ast.StringLiteral); ok && key.Value == "__noSuchMethod__" {
			s.report(n.Idx0(), false, "__noSuchMethod__ is never called: use a Proxy")
		}
	case *ast.PropertyShort:
		s.global(&n.Name, certain)
	case *ast.FunctionLiteral:
		s.function(declaredIn(n.Body.List, n.DeclarationList), n.ParameterList, n.Body, false)
		return
	case *ast.ArrowFunctionLiteral:
		s.arrow(n, false)
		return
	case *ast.BlockStatement:
		s.hiding(declaredIn(n.List, nil), func() { s.walk(v, certain) })
		return
	case *ast.OptionalChain:
		certain = false
	case *ast.BinaryExpression:
		if n.Operator == token.LOGICAL_AND || n.Operator == token.LOGICAL_OR || n.Operator == token.COALESCE {
			s.each(certain, n.Left)
			s.each(false, n.Right)
			return
		}
	case *ast.ConditionalExpression:
		s.each(certain, n.Test)
		s.each(false, n.Consequent, n.Alternate)
		return
	case *ast.IfStatement:
		s.each(certain, n.Test)
		s.each(false, n.Consequent, n.Alternate)
		return
	case *ast.SwitchStatement:
		s.each(certain, n.Discriminant)
		for _, c := range n.Body {
			s.walk(reflect.ValueOf(c), false)
		}
		return
	case *ast.WhileStatement:
		s.each(certain, n.Test)
		s.each(false, n.Body)
		return
	case *ast.ForStatement:
		s.walkIn(n.Initializer, certain)
		s.each(certain, n.Test)
		s.each(false, n.Update, n.Body)
		return
	case *ast.ForInStatement:
		if into, ok := n.Into.(*ast.ForIntoVar); ok {
			s.destructuringForIn(into.Binding.Target)
		} else if into, ok := n.Into.(*ast.ForDeclaration); ok {
			s.destructuringForIn(into.Target)
		}
		s.walkIn(n.Into, false)
		s.each(certain, n.Source)
		s.each(false, n.Body)
		return
	case *ast.ForOfStatement:
		s.walkIn(n.Into, false)
		s.each(certain, n.Source)
		s.each(false, n.Body)
		return
	case *ast.ForDeclaration:
		s.pattern(n.Target)
		return
	case *ast.TryStatement:
		s.each(certain && n.Catch == nil, n.Body)
		if n.Catch != nil {
			s.hiding(namesOf(n.Catch.Parameter), func() { s.each(false, n.Catch.Body) })
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

// walkIn is walk for a node that may be nil, such as a part of a loop's head.
func (s *script) walkIn(n ast.Node, certain bool) {
	if v := reflect.ValueOf(n); v.IsValid() && !v.IsNil() {
		s.walk(v, certain)
	}
}

// pattern visits the defaults in a destructuring pattern, not its names.
func (s *script) pattern(target ast.Node) {
	if _, ok := target.(*ast.Identifier); !ok {
		s.walkIn(target, false)
	}
}

// function visits a function; certain means that it is called where it stands.
func (s *script) function(names map[string]bool, params *ast.ParameterList, body ast.Node, certain bool) {
	for _, binding := range params.List {
		for name := range namesOf(binding.Target) {
			names[name] = true
		}
	}
	s.hiding(names, func() {
		s.walk(reflect.ValueOf(params), false)
		s.each(certain, body)
	})
}

func (s *script) arrow(n *ast.ArrowFunctionLiteral, certain bool) {
	names := map[string]bool{}
	if block, ok := n.Body.(*ast.BlockStatement); ok {
		names = declaredIn(block.List, n.DeclarationList)
	}
	s.function(names, n.ParameterList, n.Body, certain)
}

// hiding calls f while the names hide those of the global object.
func (s *script) hiding(names map[string]bool, f func()) {
	for name := range names {
		s.hidden[name]++
	}
	f()
	for name := range names {
		s.hidden[name]--
	}
}

func (s *script) assign(n *ast.AssignExpression, certain bool) {
	if object, name, at := memberOf(n.Left); object != nil {
		if name == "__noSuchMethod__" {
			s.report(at, false, "__noSuchMethod__ is never called: use a Proxy")
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

func (s *script) destructuringForIn(target ast.BindingTarget) {
	if pattern, ok := target.(*ast.ArrayPattern); ok {
		s.report(pattern.LeftBracket, false, "a pattern in `for (… in …)` takes the name apart, not a pair: write `for (const [k, v] of Object.entries(o))`")
	}
}

// global visits a name that is no member.
func (s *script) global(n *ast.Identifier, certain bool) {
	name := n.Name.String()
	if s.hidden[name] > 0 || s.declared[name] {
		return
	}
	switch name {
	case "Packages", "java", "javax", "JavaImporter", "JavaAdapter", "importPackage", "importClass":
		s.report(n.Idx, certain, "%s: there is no Java here", name)
	case "XML", "XMLList", "QName", "Namespace":
		s.report(n.Idx, certain, "%s: E4X is not JavaScript any more", name)
	case "Iterator", "StopIteration":
		s.report(n.Idx, certain, "%s is not JavaScript any more: use for … of, Object.entries and generators", name)
	case "SparkRequests":
		s.report(n.Idx, certain, "SparkRequests is not carried: a module can define it")
	case "console":
		s.report(n.Idx, certain, "there is no console: use Spark.getLog()")
	case "setTimeout", "setInterval":
		s.report(n.Idx, certain, "there is no %s: a run ends when the script has ended", name)
	}
}

func isRequire(name string) bool { return name == "require" || name == "requireOnce" }

func (s *script) call(n *ast.CallExpression, certain bool) {
	switch callee := n.Callee.(type) {
	case *ast.FunctionLiteral:
		if !callee.Async && !callee.Generator { // called where it stands
			s.walk(reflect.ValueOf(n.ArgumentList), certain)
			s.function(declaredIn(callee.Body.List, callee.DeclarationList), callee.ParameterList, callee.Body, certain)
			return
		}
	case *ast.ArrowFunctionLiteral:
		if !callee.Async {
			s.walk(reflect.ValueOf(n.ArgumentList), certain)
			s.arrow(callee, certain)
			return
		}
	case *ast.Identifier:
		name := callee.Name.String()
		if isRequire(name) && s.hidden[name] == 0 && len(n.ArgumentList) > 0 {
			if code, ok := n.ArgumentList[0].(*ast.StringLiteral); ok {
				s.requires = append(s.requires, requiredModule{code.Value.String(), name, n.Idx0(), certain})
			}
		}
	case *ast.DotExpression, *ast.BracketExpression:
		_, name, at := memberOf(callee)
		if (name == "quote" || name == "toSource") && len(n.ArgumentList) == 0 && !s.defined[name] {
			s.report(at, certain, "%s() is not JavaScript any more: use JSON.stringify", name)
		}
		s.member(callee, true, certain)
		s.walk(reflect.ValueOf(n.ArgumentList), certain)
		return
	}
	s.walk(reflect.ValueOf(n), certain)
}

// member visits x.name or x["name"], which may be called.
func (s *script) member(n ast.Expression, called, certain bool) {
	object, name, at := memberOf(n)
	class := s.class(object, 0)
	switch {
	case class == "" || name == "" || slices.Contains(s.Carried(class), name) || isObjectMember(name):
	case class == "Spark" && s.supplied[name]:
	case cloudcode.Has(class, name):
		s.report(at, certain && called, "%s.%s is not supplied: the host of these scripts can supply it", class, name)
	default:
		hint := ""
		if near := nearest(name, cloudcode.Members(class), s.Carried(class)); near != "" {
			hint = ": did you mean " + near + "?"
		}
		s.report(at, certain && called, "%s has no member %s%s", class, name, hint)
	}
	s.walk(reflect.ValueOf(n), certain)
}

// maxChain is how many chained calls class follows.
const maxChain = 32

// class is the class of an expression's value, or empty if that is not known. It
// is known of Spark, and of calls of its members that the library carries.
func (s *script) class(e ast.Expression, depth int) string {
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
			case slices.Contains(s.Carried("SparkHttp"), name):
				return "SparkHttpResponse"
			}
		}
	}
	return ""
}

// isObjectMember reports whether every object has the member.
func isObjectMember(name string) bool {
	switch name {
	case "constructor", "hasOwnProperty", "isPrototypeOf", "propertyIsEnumerable", "toLocaleString", "toString", "valueOf":
		return true
	}
	return strings.HasPrefix(name, "__")
}

// memberOf returns the parts of x.name or x["name"]. The name is empty if it is
// computed; x is nil if e is neither.
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

// nearest finds the name that a misspelt one is closest to, or none.
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

// declaredIn lists the names that statements and vars declare.
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

// children calls f with the nodes directly below v, which is a node or a list of
// nodes. It gives them as pointers.
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
			case "DeclarationList", "File": // is in the body as well; is no node
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
