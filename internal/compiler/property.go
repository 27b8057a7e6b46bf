package compiler

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/dop251/goja/ast"
	"github.com/dop251/goja/file"
	"github.com/dop251/goja/unistring"

	"example.com/callback/internal/jsast"
)

// expandProperties replaces \p{…} and \P{…} in regular expressions with the flag
// u by the characters that they match, because the engine does not know them. It
// changes literals and the string literals that are arguments of RegExp.
func expandProperties(tree *ast.Program, source string) *Fault {
	if !hasProperty(source) {
		return nil
	}
	x := &expander{tree: tree}
	x.children(reflect.ValueOf(tree.Body))
	return x.fault
}

type expander struct {
	jsast.Walker
	tree  *ast.Program
	bytes int // of what properties have become
	fault *Fault
}

// maxExpanded bounds what the properties in one script become, or in a pattern that
// is computed: \p{L} becomes 8 KB.
const maxExpanded = 1 << 20

func (x *expander) children(v reflect.Value) {
	if x.fault == nil {
		x.Children(v, x.visit)
	}
}

func (x *expander) visit(v reflect.Value) {
	switch n := v.Interface().(type) {
	case *ast.RegExpLiteral:
		n.Pattern = x.expand(n.Pattern, n.Flags, n.Idx)
		return
	case *ast.NewExpression:
		x.arguments(n.Callee, n.ArgumentList)
	case *ast.CallExpression:
		x.arguments(n.Callee, n.ArgumentList)
	}
	x.children(v)
}

func (x *expander) arguments(callee ast.Expression, args []ast.Expression) {
	if name, ok := callee.(*ast.Identifier); !ok || name.Name != "RegExp" || len(args) < 2 {
		return
	}
	pattern, ok := args[0].(*ast.StringLiteral)
	flags, isText := args[1].(*ast.StringLiteral)
	if ok && isText {
		pattern.Value = unistring.NewFromString(x.expand(pattern.Value.String(), flags.Value.String(), pattern.Idx))
	}
}

// expand expands the properties of a pattern in the script.
func (x *expander) expand(pattern, flags string, at file.Idx) string {
	expanded, err := expand(pattern, flags, maxExpanded-x.bytes)
	if err == nil {
		x.bytes += len(expanded) - len(pattern)
		return expanded
	}
	if x.fault == nil {
		p := x.tree.File.Position(int(at) - x.tree.File.Base())
		x.fault = &Fault{Line: p.Line, Column: p.Column, Message: "SyntaxError: " + err.Error()}
	}
	return pattern
}

// ExpandProperties replaces \p{…} and \P{…} in a pattern as in the literals of a
// script. The error is the message of a SyntaxError.
func ExpandProperties(pattern, flags string) (string, error) {
	return expand(pattern, flags, maxExpanded)
}

// expand expands the properties of a pattern, which may become growth bytes longer.
func expand(pattern, flags string, growth int) (string, error) {
	if !strings.ContainsAny(flags, "uv") || !hasProperty(pattern) {
		return pattern, nil
	}
	var b strings.Builder
	class := false
	for i := 0; i < len(pattern); i++ {
		c := pattern[i]
		switch {
		case c == '[':
			class = true
		case c == ']':
			class = false
		case c == '\\' && i+1 < len(pattern):
			end := strings.IndexByte(pattern[i:], '}')
			if next := pattern[i+1]; next != 'p' && next != 'P' || !strings.HasPrefix(pattern[i+2:], "{") || end < 0 {
				b.WriteString(pattern[i : i+2])
				i++
				continue
			}
			set, ok := propertySet(pattern[i+3 : i+end])
			if !ok {
				return "", fmt.Errorf("%.100s in a regular expression is not known here", pattern[i:i+end+1])
			}
			if pattern[i+1] == 'P' {
				set = complement(set)
			}
			writeSet(&b, set, class)
			if b.Len()-len(pattern) > growth {
				return "", errors.New("the properties in regular expressions are too many")
			}
			i += end
			continue
		}
		b.WriteByte(c)
	}
	return b.String(), nil
}

// hasProperty reports whether a text may have a property in it.
func hasProperty(text string) bool {
	return strings.Contains(text, `\p{`) || strings.Contains(text, `\P{`)
}

// A span is a range of characters.
type span struct{ from, to rune }

// propertySet is the set of characters with a property, such as L, Script=Greek
// or Alphabetic.
func propertySet(text string) ([]span, bool) {
	name, value, pair := strings.Cut(text, "=")
	switch {
	case pair && (name == "Script" || name == "sc"):
		return spansOf(unicode.Scripts[value])
	case pair && (name == "General_Category" || name == "gc"):
		return categorySet(value)
	case pair:
		return nil, false
	}
	switch name {
	case "Any":
		return []span{{0, unicode.MaxRune}}, true
	case "ASCII":
		return []span{{0, unicode.MaxASCII}}, true
	case "Alphabetic", "Alpha":
		return spansOf(unicode.L, unicode.Nl, unicode.Other_Alphabetic)
	case "Uppercase", "Upper":
		return spansOf(unicode.Lu, unicode.Other_Uppercase)
	case "Lowercase", "Lower":
		return spansOf(unicode.Ll, unicode.Other_Lowercase)
	case "White_Space", "space":
		return spansOf(unicode.White_Space)
	}
	if table, ok := unicode.Properties[name]; ok && !strings.HasPrefix(name, "Other_") {
		return spansOf(table)
	}
	return categorySet(name)
}

func categorySet(name string) ([]span, bool) {
	if short, ok := unicode.CategoryAliases[name]; ok {
		name = short
	}
	return spansOf(unicode.Categories[name])
}

// spansOf is the union of tables. It returns false if a table is nil.
func spansOf(tables ...*unicode.RangeTable) ([]span, bool) {
	var set []span
	add := func(lo, hi, stride rune) {
		if stride == 1 {
			set = append(set, span{lo, hi})
			return
		}
		for c := lo; c <= hi; c += stride {
			set = append(set, span{c, c})
		}
	}
	for _, table := range tables {
		if table == nil {
			return nil, false
		}
		for _, r := range table.R16 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
		for _, r := range table.R32 {
			add(rune(r.Lo), rune(r.Hi), rune(r.Stride))
		}
	}
	slices.SortFunc(set, func(a, b span) int { return int(a.from - b.from) })
	merged := set[:0]
	for _, s := range set {
		if n := len(merged); n > 0 && s.from <= merged[n-1].to+1 {
			merged[n-1].to = max(merged[n-1].to, s.to)
		} else {
			merged = append(merged, s)
		}
	}
	return merged, true
}

// complement is the set of characters that are not in set.
func complement(set []span) []span {
	var rest []span
	next := rune(0)
	for _, s := range set {
		if s.from > next {
			rest = append(rest, span{next, s.from - 1})
		}
		next = s.to + 1
	}
	if next <= unicode.MaxRune {
		rest = append(rest, span{next, unicode.MaxRune})
	}
	return rest
}

// writeSet writes a set as a character class, or as a part of one.
func writeSet(b *strings.Builder, set []span, inClass bool) {
	if !inClass {
		b.WriteByte('[')
		defer b.WriteByte(']')
	}
	for _, s := range set {
		fmt.Fprintf(b, `\u{%x}`, s.from)
		if s.to > s.from {
			fmt.Fprintf(b, `-\u{%x}`, s.to)
		}
	}
}
