// Package url implements the URL Standard: URLs as browsers parse and write them,
// and the pairs of their queries. It is plain Go. URL and URLSearchParams of
// scripts use it, and so does the parsing of every URL that a script gives to the
// library.
package url

import (
	"errors"
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"
)

// MaxLength bounds a URL, in bytes. Longer ones are invalid.
const MaxLength = 1 << 20

// ErrInvalid is the error of [Parse]. It does not hold the input, which may be a
// secret.
var ErrInvalid = errors.New("invalid URL")

// A URL is a URL record. [Parse] makes one.
type URL struct {
	scheme             string
	username, password string
	host               *string
	port               int // noPort if it is absent or the scheme's default
	path               []string
	opaque             bool   // the path is in opaquePath
	opaquePath         string // as in mailto:someone
	query, fragment    *string
}

const noPort = -1

// defaultPorts are the ports of the special schemes; file has none.
var defaultPorts = map[string]int{"ftp": 21, "file": noPort, "http": 80, "https": 443, "ws": 80, "wss": 443}

// Parse parses a URL. If base is not nil, the URL may be relative to it.
func Parse(input string, base *URL) (*URL, error) {
	if len(input) > MaxLength {
		return nil, ErrInvalid
	}
	u := &URL{port: noPort}
	input = strings.TrimFunc(input, func(r rune) bool { return r <= ' ' })
	p := parser{url: u, base: base, input: codePoints(input)}
	if !p.run(schemeStart) {
		return nil, ErrInvalid
	}
	return u, nil
}

// codePoints returns the code points of s without tabs and line ends, which URLs
// ignore.
func codePoints(s string) []rune {
	return slices.DeleteFunc([]rune(s), func(r rune) bool { return r == '\t' || r == '\n' || r == '\r' })
}

// Clone returns a copy of u.
func (u *URL) Clone() *URL {
	copied := *u
	copied.path = slices.Clone(u.path)
	return &copied
}

func (u *URL) special() bool { return isSpecial(u.scheme) }

func isSpecial(scheme string) bool {
	_, ok := defaultPorts[scheme]
	return ok
}

func (u *URL) hasCredentials() bool { return u.username != "" || u.password != "" }

// takesAuthority reports whether the URL may have a user, a password and a port.
func (u *URL) takesAuthority() bool {
	return u.host != nil && *u.host != "" && u.scheme != "file"
}

// shorten removes the last segment of the path, unless it is a drive letter.
func (u *URL) shorten() {
	if u.scheme == "file" && len(u.path) == 1 && isNormalDrive(u.path[0]) {
		return
	}
	if len(u.path) > 0 {
		u.path = u.path[:len(u.path)-1]
	}
}

// Href is the whole URL.
func (u *URL) Href() string {
	var text strings.Builder
	text.WriteString(u.scheme)
	text.WriteByte(':')
	if u.host != nil {
		text.WriteString("//")
		if u.hasCredentials() {
			text.WriteString(u.username)
			if u.password != "" {
				text.WriteByte(':')
				text.WriteString(u.password)
			}
			text.WriteByte('@')
		}
		text.WriteString(u.Host())
	} else if !u.opaque && len(u.path) > 1 && u.path[0] == "" {
		text.WriteString("/.") // or the path would be read as a host
	}
	text.WriteString(u.Pathname())
	if u.query != nil {
		text.WriteByte('?')
		text.WriteString(*u.query)
	}
	if u.fragment != nil {
		text.WriteByte('#')
		text.WriteString(*u.fragment)
	}
	return text.String()
}

// Origin is the scheme, host and port, or "null" for a URL without an origin.
func (u *URL) Origin() string {
	switch u.scheme {
	case "blob":
		if inner, err := Parse(u.Pathname(), nil); err == nil && (inner.scheme == "http" || inner.scheme == "https") {
			return inner.Origin()
		}
	case "ftp", "http", "https", "ws", "wss":
		return u.scheme + "://" + u.Host()
	}
	return "null"
}

// Protocol is the scheme with its colon.
func (u *URL) Protocol() string { return u.scheme + ":" }

// Username is percent-encoded.
func (u *URL) Username() string { return u.username }

// Password is percent-encoded.
func (u *URL) Password() string { return u.password }

// Host is the host with its port, without a port that is the scheme's default.
func (u *URL) Host() string {
	if u.host == nil {
		return ""
	}
	if u.port == noPort {
		return *u.host
	}
	return *u.host + ":" + strconv.Itoa(u.port)
}

// Hostname is the host without its port; an IPv6 address is in brackets.
func (u *URL) Hostname() string { return deref(u.host) }

// Port is empty if it is the scheme's default.
func (u *URL) Port() string {
	if u.port == noPort {
		return ""
	}
	return strconv.Itoa(u.port)
}

// Pathname is percent-encoded.
func (u *URL) Pathname() string {
	if u.opaque {
		return u.opaquePath
	}
	if len(u.path) == 0 {
		return ""
	}
	return "/" + strings.Join(u.path, "/")
}

// Search is the query with its question mark, or empty.
func (u *URL) Search() string { return prefixed('?', u.query) }

// Hash is the fragment with its number sign, or empty.
func (u *URL) Hash() string { return prefixed('#', u.fragment) }

// Query is the query without its question mark.
func (u *URL) Query() string { return deref(u.query) }

func deref(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

func prefixed(mark byte, s *string) string {
	if s == nil || *s == "" {
		return ""
	}
	return string(mark) + *s
}

// The setters are those of the standard's URL class. They ignore invalid values.

// SetProtocol sets the scheme.
func (u *URL) SetProtocol(value string) { u.set(value+":", schemeStart) }

// SetUsername sets the user and percent-encodes it.
func (u *URL) SetUsername(value string) {
	if u.takesAuthority() && len(value) <= MaxLength {
		u.username = percentEncode(value, userinfoSet)
	}
}

// SetPassword sets the password and percent-encodes it.
func (u *URL) SetPassword(value string) {
	if u.takesAuthority() && len(value) <= MaxLength {
		u.password = percentEncode(value, userinfoSet)
	}
}

// SetHost sets the host and, if value has one, the port.
func (u *URL) SetHost(value string) {
	if !u.opaque {
		u.set(value, host)
	}
}

// SetHostname sets the host alone.
func (u *URL) SetHostname(value string) {
	if !u.opaque {
		u.set(value, hostname)
	}
}

// SetPort sets the port, or the scheme's default if value is empty.
func (u *URL) SetPort(value string) {
	switch {
	case !u.takesAuthority():
	case value == "":
		u.port = noPort
	default:
		u.set(value, port)
	}
}

// SetPathname sets the path.
func (u *URL) SetPathname(value string) {
	if !u.opaque && len(value) <= MaxLength {
		u.path = nil
		u.set(value, pathStart)
	}
}

// SetSearch sets the query, with or without its question mark.
func (u *URL) SetSearch(value string) {
	if value == "" {
		u.query = nil
		return
	}
	if len(value) <= MaxLength {
		u.query = new(string)
		u.set(strings.TrimPrefix(value, "?"), query)
	}
}

// SetQuery sets the percent-encoded query, or removes it if encoded is empty.
func (u *URL) SetQuery(encoded string) {
	u.query = nil
	if encoded != "" {
		u.query = &encoded
	}
}

// SetHash sets the fragment, with or without its number sign.
func (u *URL) SetHash(value string) {
	if value == "" {
		u.fragment = nil
		return
	}
	if len(value) <= MaxLength {
		u.fragment = new(string)
		u.set(strings.TrimPrefix(value, "#"), fragment)
	}
}

func (u *URL) set(value string, from state) {
	if len(value) <= MaxLength+1 {
		p := parser{url: u, input: codePoints(value), override: from}
		p.run(from)
	}
}

// isDrive reports whether s is a Windows drive letter with a colon or a bar.
// isNormalDrive requires the colon.
func isDrive(s string) bool {
	return len(s) == 2 && isAlpha(rune(s[0])) && (s[1] == ':' || s[1] == '|')
}

func isNormalDrive(s string) bool { return isDrive(s) && s[1] == ':' }

func isAlpha(r rune) bool { return r|0x20 >= 'a' && r|0x20 <= 'z' && r < utf8.RuneSelf }
func isDigit(r rune) bool { return r >= '0' && r <= '9' }
func isHex(r rune) bool   { return isDigit(r) || r|0x20 >= 'a' && r|0x20 <= 'f' && r < utf8.RuneSelf }
