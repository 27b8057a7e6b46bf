// Package compiler compiles scripts, and tells their authors why one does not
// compile. Both runners use it, so that both accept the same scripts.
package compiler

import (
	"errors"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf8"

	"github.com/dop251/goja"
	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/parser"
	"github.com/dop251/goja/token"

	"example.com/callback/internal/limit"
)

// A Fault says why a script does not compile. Line and Column count from 1; zero
// means unknown.
type Fault struct {
	Line, Column int
	Message      string // at most 4 KiB; begins with "SyntaxError: " if the source is at fault
}

// maxMessage bounds messages, because they quote names and a name can be long.
const maxMessage = 4 << 10

// TooLong is the fault of a script that is longer than limit bytes.
func TooLong(limit int64) *Fault {
	return &Fault{Message: fmt.Sprintf("script is over the limit of %d bytes", limit)}
}

// ParserOptions are the options of every parse. Source maps are disabled: with
// them a comment in the source would make the parser open any file or URL.
var ParserOptions = []parser.Option{parser.WithDisableSourceMaps}

// Parse parses a source without its byte order mark. As in [Compile], an export
// becomes a variable.
func Parse(name, source string) (*ast.Program, error) {
	tree, err := parse(name, source)
	if at := exportOffset(strings.TrimPrefix(source, "\ufeff"), err); at >= 0 {
		if exporting, fault := parseExport(name, source, at, err); fault == nil {
			return exporting, nil
		}
	}
	return tree, err
}

func parse(name, source string) (*ast.Program, error) {
	source = strings.TrimPrefix(source, "\ufeff")
	tree, err := parser.ParseFile(nil, name, source, 0, ParserOptions...)
	for parsed := len(source); parsed <= maxParsedAgain; parsed += len(source) {
		at := errorOffset(source, err)
		if at < 0 {
			break
		}
		for at > 0 && isDigit(source[at-1]) { // as a key, the number has an error behind its octal digits
			at--
		}
		number := decimalWithZeros.FindString(source[at:])
		if number == "" || at > 0 && isWordByte(source[at-1]) {
			break
		}
		digits := strings.TrimLeft(number, "0")
		source = source[:at] + strings.Repeat(" ", len(number)-len(digits)) + source[at+len(number)-len(digits):]
		tree, err = parser.ParseFile(nil, name, source, 0, ParserOptions...)
	}
	return tree, err
}

// decimalWithZeros matches a number that is decimal because it has a digit that no
// octal number has. The parser refuses it, so that its zeros become blanks.
var decimalWithZeros = regexp.MustCompile(`^0[0-9]*[89][0-9]*`)

// maxParsedAgain bounds the bytes of a script that are parsed for such numbers,
// because each takes a parse.
const maxParsedAgain = 4 << 20

func isDigit(c byte) bool { return '0' <= c && c <= '9' }

// errorOffset is the offset of the first error of the parser, or negative.
func errorOffset(source string, err error) int {
	var list parser.ErrorList
	if !errors.As(err, &list) || len(list) == 0 {
		return -1
	}
	return offsetOf(source, list[0].Position.Line, list[0].Position.Column)
}

// A Script is a compiled source.
type Script struct {
	Program *goja.Program

	// Source is what has been compiled, for [ReceiverOf].
	Source *file.File

	// Handler is whether the script exports an object, which [HandlerName] holds
	// once the program has run.
	Handler bool

	// Variables are the names that the script declares with var at its top level.
	Variables []string

	// JSONCalls is whether all that the script does with JSON is to call its
	// functions, by [ParseName] and [StringifyName].
	JSONCalls bool
}

// Compile compiles a source. A module is compiled so that it can run twice in one
// global scope, and it exports nothing.
func Compile(name, source string, module bool) (s *Script, fault *Fault) {
	defer func() {
		if v := recover(); v != nil {
			s, fault = nil, &Fault{Message: fmt.Sprintf("the compiler failed with a %T", v)}
		}
	}()
	if nesting(source) > maxNesting {
		return nil, &Fault{Message: fmt.Sprintf("SyntaxError: brackets are nested more than %d deep", maxNesting)}
	}
	s = &Script{}
	tree, err := parse(name, source)
	if at := exportOffset(strings.TrimPrefix(source, "\ufeff"), err); at >= 0 && !module {
		if tree, fault = parseExport(name, source, at, err); fault != nil {
			return nil, fault
		}
		s.Handler, err = true, nil
	}
	if err != nil {
		return nil, explain(source, err)
	}
	if fault := expandProperties(tree, source); fault != nil {
		return nil, fault
	}
	groupRelational(tree)
	replaceConstructors(tree, source)
	s.JSONCalls = replaceJSON(tree, source)
	if !s.Handler { // scripts that export are strict
		hoistBlockFunctions(tree)
	}
	if module {
		hoistLexical(tree)
	}
	s.Source, s.Variables = tree.File, declared(tree)
	s.Program, err = goja.CompileAST(tree, s.Handler)
	if err != nil {
		return nil, explain(source, err)
	}
	return s, nil
}

// parseExport parses a source that has the word export at an offset, where the
// parser failed with err.
func parseExport(name, source string, at int, err error) (*ast.Program, *Fault) {
	text := strings.TrimPrefix(source, "\ufeff")
	changed, ok := declareExport(text, at)
	if !ok {
		return nil, explain(source, err)
	}
	tree, err := parse(name, changed)
	if err != nil {
		return nil, explain(source, err)
	}
	if ok, err := exported(tree); !ok || err != nil {
		return nil, explainExport(text, at)
	}
	return tree, nil
}

// maxNesting bounds the nesting of brackets in a script. The parser and the
// compiler recurse, and a stack overflow would end the process.
const maxNesting = 1000

// nesting is the depth of the brackets in a source. It does not parse, so it
// counts brackets in strings and comments as well.
func nesting(source string) (deepest int) {
	depth := 0
	for i := 0; i < len(source); i++ {
		switch source[i] {
		case '(', '[', '{':
			depth++
			deepest = max(deepest, depth)
		case ')', ']', '}':
			depth = max(0, depth-1)
		}
	}
	return deepest
}

// explainQuote names a typographic quote, which word processors write in place of
// a plain one.
func explainQuote(source string, f *Fault) {
	if !strings.HasSuffix(f.Message, "ILLEGAL") {
		return
	}
	offset := offsetOf(source, f.Line, f.Column)
	if offset < 0 {
		return
	}
	switch c, _ := utf8.DecodeRuneInString(source[offset:]); c {
	case '“', '”', '„', '«', '»':
		f.Message = fmt.Sprintf("SyntaxError: %c is a typographic quote: write \"", c)
	case '‘', '’', '‚':
		f.Message = fmt.Sprintf("SyntaxError: %c is a typographic quote: write '", c)
	}
}

// explain turns an error of the parser or the compiler into a Fault.
func explain(source string, err error) *Fault {
	f := &Fault{Message: "SyntaxError: " + err.Error()}
	var at file.Position
	var list parser.ErrorList
	var syntax *goja.CompilerSyntaxError
	switch {
	case errors.As(err, &list) && len(list) > 0:
		f.Message, at = list[0].Message, list[0].Position
	case errors.As(err, &syntax):
		f.Message = syntax.Message
		if syntax.File != nil {
			at = syntax.File.Position(syntax.Offset)
		}
	}
	if !strings.HasPrefix(f.Message, "SyntaxError") {
		f.Message = "SyntaxError: " + f.Message
	}
	f.Message = limit.Text(f.Message, maxMessage)
	f.Line, f.Column = at.Line, at.Column
	source = strings.TrimPrefix(source, "\ufeff")
	explainQuote(source, f)
	explainRhino(source, f)
	return f
}

// hoistLexical turns the top-level let, const and class of a module into var: the
// engine refuses to declare them again when a module runs again.
func hoistLexical(tree *ast.Program) {
	for i, statement := range tree.Body {
		var list []*ast.Binding
		switch s := statement.(type) {
		case *ast.LexicalDeclaration:
			for _, binding := range s.List {
				if binding.Initializer == nil { // let x; sets x, var x; does not
					binding.Initializer = &ast.UnaryExpression{
						Operator: token.VOID,
						Idx:      binding.Idx0(),
						Operand:  &ast.NumberLiteral{Idx: binding.Idx0(), Literal: "0", Value: int64(0)},
					}
				}
			}
			list = s.List
		case *ast.ClassDeclaration:
			list = []*ast.Binding{{Target: s.Class.Name, Initializer: s.Class}}
		default:
			continue
		}
		tree.Body[i] = &ast.VariableStatement{Var: statement.Idx0(), List: list}
		tree.DeclarationList = append(tree.DeclarationList, &ast.VariableDeclaration{Var: statement.Idx0(), List: list})
	}
}
