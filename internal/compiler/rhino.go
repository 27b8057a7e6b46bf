package compiler

import "strings"

// explainRhino improves f if the syntax error is a form that JavaScript does not
// have: one of Rhino, the original's engine, or one of JavaScript modules. The
// message then names the form, and the position is the form's. source is the text
// that was parsed.
func explainRhino(source string, f *Fault) {
	if !strings.HasPrefix(f.Message, "SyntaxError: Unexpected ") || f.Line == 0 {
		return
	}
	offset := offsetOf(source, f.Line, f.Column)
	if offset < 0 {
		return
	}
	at, message := rhinoForm(source, offset)
	if message == "" {
		return
	}
	f.Message = "SyntaxError: " + message
	f.Line, f.Column = positionOf(source, at)
}

// rhinoForm finds a form that explains a syntax error at offset. The message is
// empty if there is none.
func rhinoForm(source string, offset int) (at int, message string) {
	const e4x = "E4X is not JavaScript any more: "
	rest := source[offset:]
	tokens, k := tokenize(source, offset) // tokens[k] is the first at offset or after it
	before := func(i int) string {        // the text of the i-th token before the error
		if k-i < 0 {
			return ""
		}
		return tokens[k-i].text
	}
	start := func(i int) int { return tokens[k-i].at }
	word := ""
	if k < len(tokens) {
		word = tokens[k].text
	}

	switch {
	case word == "import":
		return offset, "there is no `import` here: write `require(\"CODE\")`, after which the names that the module declares are global"
	case word == "export":
		return offset, "there is no `export` here: the names that a module declares are global"
	case word == "await" && before(1) == "for":
		return offset, "`for await` belongs in an `async function`"
	case before(1) == "await":
		return start(1), "`await` belongs in an `async function`, such as `(async () => { … })()`; the members of Spark need none"
	case word == "each" && before(1) == "for":
		return start(1), "`for each (… in …)` is not JavaScript any more: write `for (const x of Object.values(y))`"
	case word == "if" && before(2) == "(" && before(3) == "catch":
		return start(3), "`catch (e if …)` is not JavaScript any more: write `catch (e) { if (…) {…} else throw e }`"
	case word == "for":
		if open := enclosing(tokens, k); open >= 0 && isComprehension(tokens, k, open) {
			if tokens[open].text == "[" {
				return tokens[open].at, "`[… for (x in y)]` is not JavaScript any more: write `Object.keys(y).map(x => …)`"
			}
			return tokens[open].at, "`(… for (x in y))` is not JavaScript any more: write a `function*` or `Object.keys(y).map(x => …)`"
		}
	case word == "xml" && before(1) == "default", word == "default" && k+1 < len(tokens) && tokens[k+1].text == "xml":
		return offset, e4x + "there is no `default xml namespace`"
	case strings.HasPrefix(rest, "<!--") && !isOperand(before(1)):
		return offset, "`<!--` is no comment here: write `//`"
	case strings.HasPrefix(rest, ">") && strings.HasSuffix(source[:offset], "--") && isLineStart(source, offset-2):
		return offset - 2, "`-->` is no comment here: write `//`"
	case len(rest) > 1 && rest[0] == '<' && (isWordByte(rest[1]) || strings.IndexByte(">/!?{", rest[1]) >= 0):
		return offset, e4x + "write the markup as a string, for SparkHttp.postXml as it is"
	case strings.HasPrefix(rest, ".."):
		return offset, e4x + "`x..name` has no short form, go down with `x.a.b.name`"
	case strings.HasPrefix(rest, "@") && before(1) == ".":
		return start(1), e4x + "write `x[\"@name\"]` for `x.@name`"
	case strings.HasPrefix(rest, "@"):
		return offset, e4x + "write `x[\"@name\"]` for an attribute"
	case strings.HasPrefix(rest, "(") && before(1) == ".":
		return start(1), e4x + "write `x.filter(e => …)` for `x.(…)`"
	case strings.HasPrefix(rest, "*") && before(1) == ".":
		return start(1), e4x + "write `Object.values(x)` for `x.*`"
	case strings.HasPrefix(rest, "::"):
		return offset, e4x + "write `x[\"ns:name\"]` for `x.ns::name`"
	case strings.HasPrefix(rest, ":") && before(1) == ":":
		return start(1), e4x + "write `x[\"ns:name\"]` for `x.ns::name`"
	case len(rest) > 1 && rest[0] == '0' && rest[1] >= '0' && rest[1] <= '9':
		return offset, "a number does not start with 0"
	case before(1) == "yield":
		return start(1), "`yield` belongs in a `function*`"
	case before(1) == ")":
		open := opening(tokens, k-1)
		if open < 1 {
			break
		}
		head := tokens[open-1].text
		if head == "let" && word == "{" {
			return tokens[open-1].at, "`let (x = …) {…}` is not JavaScript any more: write `{ let x = …; … }`"
		}
		if head == "let" {
			return tokens[open-1].at, "`let (x = …) …` is not JavaScript any more: write `(x => …)(…)`"
		}
		for i := open - 1; i >= 0 && i >= open-2; i-- {
			if tokens[i].text == "function" {
				return tokens[i].at, "`function (x) x * 2` is not JavaScript any more: write `x => x * 2`, or braces and `return`"
			}
		}
	}
	return 0, ""
}

// isOperand reports whether an operator can follow the token.
func isOperand(text string) bool {
	switch text {
	case "", ";", "}", "{":
		return false
	}
	return true
}

// isLineStart reports whether there is only white space between offset and the
// start of its line.
func isLineStart(source string, offset int) bool {
	line := source[strings.LastIndexAny(source[:offset], "\r\n")+1 : offset]
	return strings.TrimSpace(line) == "" || strings.HasSuffix(strings.TrimSpace(line), ";")
}

// isComprehension reports whether the for at tokens[k] belongs to [x for (… in
// …)] or (x for (… in …)).
func isComprehension(tokens []sourceToken, k, open int) bool {
	if tokens[open].text == "(" {
		if open+1 == k {
			return false
		}
		if open > 0 {
			switch tokens[open-1].text {
			case "if", "while", "for", "switch", "with", "catch":
				return false
			}
		}
	}
	return true
}

// enclosing finds the innermost ( or [ that is open at tokens[k].
func enclosing(tokens []sourceToken, k int) int {
	depth := 0
	for i := k - 1; i >= 0; i-- {
		switch tokens[i].text {
		case ")", "]", "}":
			depth++
		case "(", "[":
			if depth == 0 {
				return i
			}
			depth--
		case "{":
			if depth == 0 {
				return -1
			}
			depth--
		}
	}
	return -1
}

// opening finds the bracket that tokens[k] closes.
func opening(tokens []sourceToken, k int) int {
	depth := 0
	for i := k; i >= 0; i-- {
		switch tokens[i].text {
		case ")", "]", "}":
			depth++
		case "(", "[", "{":
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return -1
}

// A sourceToken is a word or a single other byte. A string, template or regular
// expression is one token, whose text is its first byte.
type sourceToken struct {
	at   int
	text string
}

// tokenize splits source up to the second token after offset, and returns the
// index of the first of these two.
//
// The parser has accepted the text before offset, so tokenize can be simple. If
// it misreads a slash, it recovers in the next line.
func tokenize(source string, offset int) (tokens []sourceToken, k int) {
	k = -1
	for i := 0; i < len(source); {
		c := source[i]
		end := i + 1
		text := source[i:end]
		switch {
		case c == ' ' || c == '\t' || c == '\n' || c == '\r':
			i++
			continue
		case strings.HasPrefix(source[i:], "//"):
			i = endOfLine(source, i)
			continue
		case strings.HasPrefix(source[i:], "/*"):
			j := strings.Index(source[i+2:], "*/")
			if j < 0 {
				i = len(source)
				continue
			}
			i += j + 4
			continue
		case c == '"' || c == '\'':
			end = endOfQuote(source, i, c)
		case c == '`':
			end = endOfTemplate(source, i)
		case c == '/' && startsRegExp(tokens):
			end = endOfRegExp(source, i)
		case isWordByte(c):
			for end < len(source) && isWordByte(source[end]) {
				end++
			}
			text = source[i:end]
		}
		if k < 0 && end > offset {
			k = len(tokens)
		}
		tokens = append(tokens, sourceToken{i, text})
		if k >= 0 && len(tokens) > k+1 {
			return tokens, k
		}
		i = end
	}
	if k < 0 {
		k = len(tokens)
	}
	return tokens, k
}

// isWordByte reports whether c may be part of a name or number. Every byte beyond
// ASCII may.
func isWordByte(c byte) bool {
	return c == '_' || c == '$' || c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z' || c >= 0x80
}

func startsRegExp(before []sourceToken) bool {
	if len(before) == 0 {
		return true
	}
	switch last := before[len(before)-1].text; last {
	case "return", "typeof", "case", "in", "of", "delete", "void", "throw", "new", "else", "do", "instanceof":
		return true
	case ")", "]", "}", `"`, "'", "`", "/":
		return false
	default:
		return !isWordByte(last[0])
	}
}

func endOfLine(source string, i int) int {
	if j := strings.IndexAny(source[i:], "\r\n"); j >= 0 {
		return i + j
	}
	return len(source)
}

func endOfQuote(source string, i int, quote byte) int {
	for i++; i < len(source); i++ {
		switch source[i] {
		case '\\':
			i++
		case quote:
			return i + 1
		case '\n':
			return i
		}
	}
	return len(source)
}

func endOfRegExp(source string, i int) int {
	class := false
	for i++; i < len(source); i++ {
		switch source[i] {
		case '\\':
			i++
		case '[':
			class = true
		case ']':
			class = false
		case '\n':
			return i
		case '/':
			if !class {
				return i + 1
			}
		}
	}
	return len(source)
}

func endOfTemplate(source string, i int) int {
	depth := 0
	for i++; i < len(source); i++ {
		switch c := source[i]; {
		case c == '\\':
			i++
		case c == '`' && depth == 0:
			return i + 1
		case c == '`':
			i = endOfTemplate(source, i) - 1
		case depth > 0 && (c == '"' || c == '\''):
			i = endOfQuote(source, i, c) - 1
		case c == '$' && depth == 0 && strings.HasPrefix(source[i:], "${"):
			depth = 1
			i++
		case c == '{' && depth > 0:
			depth++
		case c == '}' && depth > 0:
			depth--
		}
	}
	return len(source)
}

// offsetOf is the offset of a position of the parser, or -1 if there is none. The
// parser's lines end as JavaScript's do.
func offsetOf(source string, line, column int) int {
	offset := 0
	for range line - 1 {
		n := lineLength(source[offset:])
		if n < 0 {
			return -1
		}
		offset += n
	}
	if offset += column - 1; offset < 0 || offset >= len(source) {
		return -1
	}
	return offset
}

// positionOf is the parser's position for an offset.
func positionOf(source string, offset int) (line, column int) {
	line = 1
	start := 0
	for {
		n := lineLength(source[start:])
		if n < 0 || start+n > offset {
			return line, offset - start + 1
		}
		start += n
		line++
	}
}

// lineLength is the length of the first line with its end, or -1 if it is the
// last.
func lineLength(s string) int {
	i := strings.IndexAny(s, "\n\r\u2028\u2029")
	if i < 0 {
		return -1
	}
	switch {
	case strings.HasPrefix(s[i:], "\r\n"):
		return i + 2
	case s[i] == '\n' || s[i] == '\r':
		return i + 1
	}
	return i + len("\u2028")
}
