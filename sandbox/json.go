package sandbox

import "unicode/utf8"

// maxJSONDepth is that of package encoding/json.
const maxJSONDepth = 10000

// compactJSON reports whether b is valid JSON in valid UTF-8 without white space
// between its tokens. It checks JSON from a child. Package encoding/json would take
// several times as long.
func compactJSON(b []byte) bool {
	var closers []byte // of the arrays and objects around b[i]
	for i := 0; i < len(b); {
		switch b[i] { // the first byte of a value
		case '{', '[':
			closer := b[i] + 2
			i++
			if i < len(b) && b[i] == closer {
				i++
				break
			}
			if len(closers) == maxJSONDepth {
				return false
			}
			closers = append(closers, closer)
			if closer == '}' {
				i = skipKey(b, i)
			}
			continue
		case '"':
			i = skipString(b, i)
		case 't':
			i = skipLiteral(b, i, "true")
		case 'f':
			i = skipLiteral(b, i, "false")
		case 'n':
			i = skipLiteral(b, i, "null")
		default:
			i = skipNumber(b, i)
		}
		for len(closers) > 0 && i < len(b) && b[i] == closers[len(closers)-1] {
			closers = closers[:len(closers)-1]
			i++
		}
		if len(closers) == 0 {
			return i == len(b)
		}
		if i >= len(b) || b[i] != ',' {
			return false
		}
		i++
		if closers[len(closers)-1] == '}' {
			i = skipKey(b, i)
		}
	}
	return false
}

// invalid is what the skip functions return for what is not valid: an index
// beyond every text.
const invalid = 1<<31 - 1

// Each skip function returns the index of the byte after the token at b[i].

func skipLiteral(b []byte, i int, literal string) int {
	if end := i + len(literal); end <= len(b) && string(b[i:end]) == literal {
		return end
	}
	return invalid
}

// skipKey skips a name and its colon.
func skipKey(b []byte, i int) int {
	if i >= len(b) || b[i] != '"' {
		return invalid
	}
	if i = skipString(b, i); i < len(b) && b[i] == ':' {
		return i + 1
	}
	return invalid
}

func skipString(b []byte, i int) int {
	for i++; i < len(b); {
		switch c := b[i]; {
		case c == '"':
			return i + 1
		case c == '\\':
			i = skipEscape(b, i)
		case c < ' ':
			return invalid
		case c < utf8.RuneSelf:
			i++
		default:
			r, size := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && size == 1 {
				return invalid
			}
			i += size
		}
	}
	return invalid
}

func skipEscape(b []byte, i int) int {
	if i+1 >= len(b) {
		return invalid
	}
	switch b[i+1] {
	case '"', '\\', '/', 'b', 'f', 'n', 'r', 't':
		return i + 2
	case 'u':
		if i+6 > len(b) {
			return invalid
		}
		for _, c := range b[i+2 : i+6] {
			if (c < '0' || c > '9') && (c < 'a' || c > 'f') && (c < 'A' || c > 'F') {
				return invalid
			}
		}
		return i + 6
	}
	return invalid
}

func skipNumber(b []byte, i int) int {
	if b[i] == '-' {
		i++
	}
	if i < len(b) && b[i] == '0' {
		i++
	} else {
		i = skipDigits(b, i)
	}
	if i >= len(b) || b[i] == ',' {
		return i // most numbers
	}
	if b[i] == '.' {
		i = skipDigits(b, i+1)
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		if i++; i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		i = skipDigits(b, i)
	}
	return i
}

// skipDigits skips at least one digit.
func skipDigits(b []byte, i int) int {
	start := i
	for i < len(b) && '0' <= b[i] && b[i] <= '9' {
		i++
	}
	if i == start {
		return invalid
	}
	return i
}
