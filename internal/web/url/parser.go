package url

import (
	"strconv"
	"strings"
)

// A state is a state of the URL Standard's basic URL parser.
type state int

const (
	noOverride state = iota
	schemeStart
	scheme
	noScheme
	specialRelativeOrAuthority
	pathOrAuthority
	relative
	relativeSlash
	specialAuthoritySlashes
	specialAuthorityIgnoreSlashes
	authority
	host
	hostname
	port
	file
	fileSlash
	fileHost
	pathStart
	path
	opaquePath
	query
	fragment
)

// end stands for the end of the input.
const end rune = -1

// A parser is one run of the basic URL parser. With an override it implements a
// setter: it begins in that state, changes the existing URL, and ends when it has
// parsed the part that the setter sets.
type parser struct {
	url      *URL
	base     *URL
	input    []rune
	override state

	state             state
	at                int // index in input
	buffer            strings.Builder
	text              []rune // the buffer, while an authority or a query is parsed
	atSign            bool
	passwordToken     bool
	brackets          bool
	username, passwd  strings.Builder
	opaque, fragments strings.Builder
}

// A step is a state's decision: continue, succeed or fail.
type step int

const (
	next step = iota
	done
	failed
)

// run parses the whole input, and reports whether it is a URL.
func (p *parser) run(from state) bool {
	p.state = from
	for {
		c := end
		if p.at < len(p.input) {
			c = p.input[p.at]
		}
		switch p.step(c) {
		case done:
			return true
		case failed:
			return false
		}
		if p.at >= len(p.input) && c == end {
			p.flush()
			return true
		}
		p.at++
	}
}

// flush writes what the last state has collected.
func (p *parser) flush() {
	if p.opaque.Len() > 0 {
		p.url.opaquePath = p.opaque.String()
	}
	if p.fragments.Len() > 0 {
		text := p.fragments.String()
		p.url.fragment = &text
	}
}

// remaining reports whether the code point after the current one is c.
func (p *parser) remaining(c rune) bool { return p.at+1 < len(p.input) && p.input[p.at+1] == c }

// goTo continues in another state with the same code point.
func (p *parser) goTo(s state) step {
	p.state = s
	p.at--
	return next
}

// then continues in state s with the next code point.
func (p *parser) then(s state) step {
	p.state = s
	return next
}

// startQuery and startFragment begin an empty query and an empty fragment.
func (p *parser) startQuery() step {
	p.url.query = new(string)
	return p.then(query)
}

func (p *parser) startFragment() step {
	p.url.fragment = new(string)
	return p.then(fragment)
}

// slash reports whether c separates segments.
func (p *parser) slash(c rune) bool { return c == '/' || c == '\\' && p.url.special() }

func (p *parser) step(c rune) step {
	u := p.url
	switch p.state {
	case schemeStart:
		switch {
		case isAlpha(c):
			p.buffer.WriteRune(c | 0x20)
			return p.then(scheme)
		case p.override == noOverride:
			return p.goTo(noScheme)
		}
		return failed
	case scheme:
		return p.scheme(c)
	case noScheme:
		switch {
		case p.base == nil || p.base.opaque && c != '#':
			return failed
		case p.base.opaque:
			u.scheme, u.opaque, u.opaquePath, u.query = p.base.scheme, true, p.base.opaquePath, p.base.query
			return p.startFragment()
		case p.base.scheme == "file":
			return p.goTo(file)
		}
		return p.goTo(relative)
	case specialRelativeOrAuthority:
		if c == '/' && p.remaining('/') {
			p.at++
			return p.then(specialAuthorityIgnoreSlashes)
		}
		return p.goTo(relative)
	case pathOrAuthority:
		if c == '/' {
			return p.then(authority)
		}
		return p.goTo(path)
	case relative:
		u.scheme = p.base.scheme
		if p.slash(c) {
			return p.then(relativeSlash)
		}
		u.username, u.password, u.host, u.port = p.base.username, p.base.password, p.base.host, p.base.port
		u.path, u.query = append([]string(nil), p.base.path...), p.base.query
		switch c {
		case '?':
			return p.startQuery()
		case '#':
			return p.startFragment()
		case end:
			return next
		}
		u.query = nil
		u.shorten()
		return p.goTo(path)
	case relativeSlash:
		switch {
		case u.special() && p.slash(c):
			return p.then(specialAuthorityIgnoreSlashes)
		case c == '/':
			return p.then(authority)
		}
		u.username, u.password, u.host, u.port = p.base.username, p.base.password, p.base.host, p.base.port
		return p.goTo(path)
	case specialAuthoritySlashes:
		if c == '/' && p.remaining('/') {
			p.at++
			return p.then(specialAuthorityIgnoreSlashes)
		}
		return p.goTo(specialAuthorityIgnoreSlashes)
	case specialAuthorityIgnoreSlashes:
		if c == '/' || c == '\\' {
			return next
		}
		return p.goTo(authority)
	case authority:
		return p.authority(c)
	case host, hostname:
		return p.host(c)
	case port:
		return p.port(c)
	case file:
		return p.file(c)
	case fileSlash:
		if c == '/' || c == '\\' {
			return p.then(fileHost)
		}
		if p.base != nil && p.base.scheme == "file" {
			u.host = p.base.host
			if !p.atDrive() && len(p.base.path) > 0 && isNormalDrive(p.base.path[0]) {
				u.path = append(u.path, p.base.path[0])
			}
		}
		return p.goTo(path)
	case fileHost:
		return p.fileHost(c)
	case pathStart:
		switch {
		case u.special():
			if c == '/' || c == '\\' {
				return p.then(path)
			}
			return p.goTo(path)
		case p.override == noOverride && c == '?':
			return p.startQuery()
		case p.override == noOverride && c == '#':
			return p.startFragment()
		case c == '/':
			return p.then(path)
		case c != end:
			return p.goTo(path)
		case p.override != noOverride && u.host == nil:
			u.path = append(u.path, "")
		}
		return next
	case path:
		return p.path(c)
	case opaquePath:
		switch c {
		case '?':
			return p.startQuery()
		case '#':
			return p.startFragment()
		case ' ':
			if p.remaining('?') || p.remaining('#') {
				p.opaque.WriteString("%20")
			} else {
				p.opaque.WriteByte(' ')
			}
		case end:
		default:
			encodeRune(&p.opaque, c, controlSet)
		}
		return next
	case query:
		if c == end || c == '#' && p.override == noOverride {
			set := querySet
			if u.special() {
				set = specialQuerySet
			}
			text := *u.query + percentEncode(string(p.text), set)
			u.query, p.text = &text, nil
			if c == '#' {
				return p.startFragment()
			}
			return next
		}
		p.text = append(p.text, c)
	case fragment:
		if c != end {
			encodeRune(&p.fragments, c, fragmentSet)
		}
	}
	return next
}

func (p *parser) scheme(c rune) step {
	u := p.url
	switch {
	case isAlpha(c):
		p.buffer.WriteRune(c | 0x20)
		return next
	case isDigit(c) || c == '+' || c == '-' || c == '.':
		p.buffer.WriteRune(c)
		return next
	case c == ':':
		name := p.buffer.String()
		if p.override != noOverride {
			if isSpecial(name) != u.special() ||
				(u.hasCredentials() || u.port != noPort) && name == "file" ||
				u.scheme == "file" && deref(u.host) == "" {
				return done
			}
			u.scheme = name
			if u.port == defaultPorts[name] {
				u.port = noPort
			}
			return done
		}
		u.scheme = name
		p.buffer.Reset()
		switch {
		case name == "file":
			return p.then(file)
		case u.special() && p.base != nil && p.base.scheme == name:
			return p.then(specialRelativeOrAuthority)
		case u.special():
			return p.then(specialAuthoritySlashes)
		case p.remaining('/'):
			p.at++
			return p.then(pathOrAuthority)
		}
		u.opaque = true
		return p.then(opaquePath)
	case p.override == noOverride:
		p.buffer.Reset()
		p.at = -1
		return p.then(noScheme)
	}
	return failed
}

// authorityEnds reports whether c follows an authority.
func (p *parser) authorityEnds(c rune) bool {
	return c == end || c == '?' || c == '#' || p.slash(c)
}

func (p *parser) authority(c rune) step {
	switch {
	case c == '@':
		if p.atSign {
			p.text = append([]rune("%40"), p.text...)
		}
		p.atSign = true
		for _, r := range p.text {
			switch {
			case r == ':' && !p.passwordToken:
				p.passwordToken = true
			case p.passwordToken:
				encodeRune(&p.passwd, r, userinfoSet)
			default:
				encodeRune(&p.username, r, userinfoSet)
			}
		}
		p.text = nil
	case p.authorityEnds(c):
		if p.atSign && len(p.text) == 0 {
			return failed
		}
		p.url.username, p.url.password = p.username.String(), p.passwd.String()
		p.at -= len(p.text) + 1
		p.text = nil
		p.state = host
	default:
		p.text = append(p.text, c)
	}
	return next
}

func (p *parser) host(c rune) step {
	u := p.url
	switch {
	case p.override != noOverride && u.scheme == "file":
		return p.goTo(fileHost)
	case c == ':' && !p.brackets:
		if p.buffer.Len() == 0 || p.override == hostname || !p.setHost() {
			return failed
		}
		return p.then(port)
	case p.authorityEnds(c):
		if p.buffer.Len() == 0 && (u.special() || p.override != noOverride && (u.hasCredentials() || u.port != noPort)) {
			return failed
		}
		if !p.setHost() {
			return failed
		}
		if p.override != noOverride {
			return done
		}
		return p.goTo(pathStart)
	}
	switch c {
	case '[':
		p.brackets = true
	case ']':
		p.brackets = false
	}
	p.buffer.WriteRune(c)
	return next
}

func (p *parser) setHost() bool {
	name, ok := parseHost(p.buffer.String(), !p.url.special())
	p.buffer.Reset()
	if ok {
		p.url.host = &name
	}
	return ok
}

func (p *parser) port(c rune) step {
	switch {
	case isDigit(c):
		if p.buffer.String() == "0" {
			p.buffer.Reset()
		}
		if p.buffer.Len() < len("65535")+1 { // else it is too large as it is
			p.buffer.WriteRune(c)
		}
		return next
	case p.authorityEnds(c) || p.override != noOverride:
		if p.buffer.Len() > 0 {
			number, err := strconv.Atoi(p.buffer.String())
			if err != nil || number > 65535 {
				return failed
			}
			p.url.port = number
			if defaultPort, ok := defaultPorts[p.url.scheme]; ok && number == defaultPort {
				p.url.port = noPort
			}
			p.buffer.Reset()
			if p.override != noOverride {
				return done
			}
		}
		if p.override != noOverride {
			return failed
		}
		return p.goTo(pathStart)
	}
	return failed
}

// atDrive reports whether a drive letter follows.
func (p *parser) atDrive() bool {
	rest := p.input[min(p.at, len(p.input)):]
	if len(rest) < 2 || !isAlpha(rest[0]) || rest[1] != ':' && rest[1] != '|' {
		return false
	}
	return len(rest) == 2 || rest[2] == '/' || rest[2] == '\\' || rest[2] == '?' || rest[2] == '#'
}

func (p *parser) file(c rune) step {
	u := p.url
	u.scheme, u.host = "file", new(string)
	if c == '/' || c == '\\' {
		return p.then(fileSlash)
	}
	if p.base == nil || p.base.scheme != "file" {
		return p.goTo(path)
	}
	u.host, u.path, u.query = p.base.host, append([]string(nil), p.base.path...), p.base.query
	switch c {
	case '?':
		return p.startQuery()
	case '#':
		return p.startFragment()
	case end:
		return next
	}
	u.query = nil
	if p.atDrive() {
		u.path = nil
	} else {
		u.shorten()
	}
	return p.goTo(path)
}

func (p *parser) fileHost(c rune) step {
	if c != end && c != '/' && c != '\\' && c != '?' && c != '#' {
		p.buffer.WriteRune(c)
		return next
	}
	text := p.buffer.String()
	switch {
	case p.override == noOverride && isDrive(text): // the buffer is the path's first segment
		return p.goTo(path)
	case text == "":
		p.url.host = new(string)
		if p.override != noOverride {
			return done
		}
		return p.goTo(pathStart)
	}
	if !p.setHost() {
		return failed
	}
	if *p.url.host == "localhost" {
		p.url.host = new(string)
	}
	if p.override != noOverride {
		return done
	}
	return p.goTo(pathStart)
}

func (p *parser) path(c rune) step {
	u := p.url
	slash := p.slash(c)
	if c != end && !slash && (p.override != noOverride || c != '?' && c != '#') {
		encodeRune(&p.buffer, c, pathSet)
		return next
	}
	segment := p.buffer.String()
	p.buffer.Reset()
	switch strings.ToLower(segment) {
	case "..", ".%2e", "%2e.", "%2e%2e":
		u.shorten()
		if !slash {
			u.path = append(u.path, "")
		}
	case ".", "%2e":
		if !slash {
			u.path = append(u.path, "")
		}
	default:
		if u.scheme == "file" && len(u.path) == 0 && isDrive(segment) {
			segment = segment[:1] + ":"
		}
		u.path = append(u.path, segment)
	}
	switch c {
	case '?':
		if p.override == noOverride {
			return p.startQuery()
		}
	case '#':
		if p.override == noOverride {
			return p.startFragment()
		}
	}
	return next
}
