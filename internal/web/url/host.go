package url

import (
	"errors"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"

	"example.com/callback/internal/web/encoding"
)

// forbidden are code points that no host may have. A domain may have neither
// controls nor a percent sign either.
const forbidden = "\x00\t\n\r #/:<>?@[\\]^|"

func isForbiddenInDomain(c rune) bool {
	return c <= 0x1f || c == 0x7f || c == '%' || strings.ContainsRune(forbidden, c)
}

// parseHost parses a host. opaque means that the scheme is not special.
func parseHost(input string, opaque bool) (string, bool) {
	if strings.HasPrefix(input, "[") {
		if !strings.HasSuffix(input, "]") {
			return "", false
		}
		address, ok := parseIPv6(input[1 : len(input)-1])
		return "[" + address + "]", ok
	}
	if opaque {
		if strings.ContainsAny(input, forbidden) {
			return "", false
		}
		return percentEncode(input, controlSet), true
	}
	domain, ok := toASCII(encoding.DecodeUTF8([]byte(percentDecode(input))))
	if !ok {
		return "", false
	}
	if endsInNumber(domain) {
		return parseIPv4(domain)
	}
	return domain, true
}

// domains is UTS #46 with the options of the URL Standard.
var domains = idna.New(
	idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true), idna.CheckHyphens(false),
	idna.StrictDomainName(false), idna.Transitional(false), idna.VerifyDNSLength(false),
)

// toASCII is the standard's domain to ASCII. An ASCII domain is left as it is:
// whether its labels decode matters only when it is resolved.
func toASCII(domain string) (string, bool) {
	name := strings.ToLower(domain)
	if !isASCII(domain) {
		var err error
		if name, err = domains.ToASCII(domain); err != nil {
			return "", false
		}
	}
	return name, name != "" && strings.IndexFunc(name, isForbiddenInDomain) < 0
}

func isASCII(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// endsInNumber reports whether a domain must be parsed as an IPv4 address.
func endsInNumber(domain string) bool {
	parts := strings.Split(strings.TrimSuffix(domain, "."), ".")
	last := parts[len(parts)-1]
	if last == "" {
		return false
	}
	if strings.Trim(last, "0123456789") == "" {
		return true
	}
	_, ok := parseIPv4Number(last)
	return ok
}

// parseIPv4Number parses a part of an address: decimal, octal or hexadecimal. For
// a number over 32 bits it returns some number over 32 bits.
func parseIPv4Number(s string) (uint64, bool) {
	base := 10
	switch {
	case s == "":
		return 0, false
	case len(s) >= 2 && (s[:2] == "0x" || s[:2] == "0X"):
		s, base = s[2:], 16
	case len(s) >= 2 && s[0] == '0':
		s, base = s[1:], 8
	}
	if s == "" {
		return 0, true
	}
	n, err := strconv.ParseUint(s, base, 64)
	return n, err == nil || errors.Is(err, strconv.ErrRange)
}

func parseIPv4(s string) (string, bool) {
	parts := strings.Split(strings.TrimSuffix(s, "."), ".")
	if len(parts) > 4 {
		return "", false
	}
	var address uint64
	for i, part := range parts {
		n, ok := parseIPv4Number(part)
		limit := uint64(256)
		if i == len(parts)-1 {
			limit = 1 << (8 * (5 - len(parts)))
		}
		if !ok || n >= limit {
			return "", false
		}
		if i < len(parts)-1 {
			n <<= 8 * (3 - i)
		}
		address |= n
	}
	text := make([]byte, 0, 15)
	for shift := 24; shift >= 0; shift -= 8 {
		text = strconv.AppendUint(text, address>>shift&255, 10)
		if shift > 0 {
			text = append(text, '.')
		}
	}
	return string(text), true
}

// parseIPv6 parses an address without its brackets.
func parseIPv6(s string) (string, bool) {
	var address [8]uint16
	piece, compress := 0, -1
	at := 0
	peek := func(i int) byte {
		if at+i < len(s) {
			return s[at+i]
		}
		return 0
	}
	if peek(0) == ':' {
		if peek(1) != ':' {
			return "", false
		}
		at = 2
		piece, compress = 1, 1
	}
	for at < len(s) {
		if piece == 8 {
			return "", false
		}
		if s[at] == ':' {
			if compress >= 0 {
				return "", false
			}
			at++
			piece++
			compress = piece
			continue
		}
		value, length := uint16(0), 0
		for length < 4 && at < len(s) && isHex(rune(s[at])) {
			value = value<<4 | uint16(unhex(s[at]))
			at++
			length++
		}
		if peek(0) == '.' {
			at -= length
			if length == 0 || piece > 6 || !parseEmbeddedIPv4(s[at:], &address, piece) {
				return "", false
			}
			piece += 2
			at = len(s)
			break
		}
		if at < len(s) {
			if s[at] != ':' || at+1 == len(s) {
				return "", false
			}
			at++
		}
		address[piece] = value
		piece++
	}
	switch {
	case compress >= 0:
		last := 7
		for swaps := piece - compress; last != 0 && swaps > 0; swaps-- {
			address[last], address[compress+swaps-1] = address[compress+swaps-1], address[last]
			last--
		}
	case piece != 8:
		return "", false
	}
	return formatIPv6(address), true
}

// parseEmbeddedIPv4 parses the dotted end of an IPv6 address into two pieces.
func parseEmbeddedIPv4(s string, address *[8]uint16, piece int) bool {
	parts := strings.Split(s, ".")
	if len(parts) != 4 {
		return false
	}
	for i, part := range parts {
		n, err := strconv.ParseUint(part, 10, 8)
		if err != nil || part != strconv.FormatUint(n, 10) {
			return false
		}
		address[piece+i/2] = address[piece+i/2]<<8 | uint16(n)
	}
	return true
}

// formatIPv6 leaves out the first longest run of zeros.
func formatIPv6(address [8]uint16) string {
	from, length := -1, 1
	for i := 0; i < 8; i++ {
		n := 0
		for i+n < 8 && address[i+n] == 0 {
			n++
		}
		if n > length {
			from, length = i, n
		}
		i += n
	}
	var text []byte
	for i := 0; i < 8; i++ {
		if i == from {
			if i == 0 {
				text = append(text, ':')
			}
			text = append(text, ':')
			i += length - 1
			continue
		}
		text = strconv.AppendUint(text, uint64(address[i]), 16)
		if i < 7 {
			text = append(text, ':')
		}
	}
	return string(text)
}
