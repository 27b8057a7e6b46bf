package callbacktest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
)

// A message is a request or a response of a case file.
type message struct {
	first   string   // line
	header  []string // lines, "Name: value" or "no Name"
	body    string
	hasBody bool // there is an empty line
}

func parseMessage(text string, quoted bool) (message, error) {
	head, body, hasBody := strings.Cut(text, "\n\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	m := message{first: lines[0], header: lines[1:], hasBody: hasBody}
	if m.first == "" {
		return m, errors.New("is empty")
	}
	for _, line := range m.header {
		name, _, ok := cutHeader(line)
		if name, absent := strings.CutPrefix(line, "no "); !ok && !(absent && httpguts.ValidHeaderFieldName(name)) {
			return m, fmt.Errorf("%q is not a header line", line)
		}
		if ok && !httpguts.ValidHeaderFieldName(name) {
			return m, fmt.Errorf("%q is not a header name", name)
		}
	}
	if !quoted {
		m.body = strings.TrimSuffix(body, "\n")
		return m, nil
	}
	for line := range strings.Lines(body) {
		part, err := strconv.Unquote(strings.TrimSpace(line))
		if err != nil {
			return m, fmt.Errorf("%s is not a Go string literal", strings.TrimSpace(line))
		}
		m.body += part
	}
	return m, nil
}

func cutHeader(line string) (name, value string, ok bool) {
	name, value, ok = strings.Cut(line, ":")
	return name, strings.TrimSpace(value), ok
}

// values returns the values of the header lines with the given name.
func (m message) values(name string) []string {
	var values []string
	for _, line := range m.header {
		if n, value, ok := cutHeader(line); ok && strings.EqualFold(n, name) {
			values = append(values, value)
		}
	}
	return values
}

func (m message) has(name string) bool { return m.values(name) != nil }

// format writes the message as a section's text.
func (m message) format(quoted bool) string {
	var text strings.Builder
	for _, line := range append([]string{m.first}, m.header...) {
		text.WriteString(line + "\n")
	}
	if m.body == "" {
		return text.String()
	}
	text.WriteString("\n")
	if !quoted && !m.needsQuotes() {
		return text.String() + m.body + "\n"
	}
	for line := range strings.Lines(m.body) {
		text.WriteString(strconv.Quote(line) + "\n")
	}
	return text.String()
}

// needsQuotes reports whether the body cannot be written or read as plain text.
func (m message) needsQuotes() bool {
	if !utf8.ValidString(m.body) || strings.HasPrefix(m.body, "-- ") || strings.Contains(m.body, "\n-- ") {
		return true
	}
	return strings.ContainsFunc(m.body, func(r rune) bool {
		return r != '\n' && r != '\t' && !unicode.IsPrint(r)
	})
}

func (m message) equal(other message) bool {
	return m.first == other.first && m.body == other.body && slices.Equal(m.header, other.header)
}

// normal returns a response in the form in which responses are compared: headers
// are sorted by name, and usual ones are left out.
func (m message) normal() message {
	usual := m.usualHeaders()
	m.header = slices.DeleteFunc(slices.Clone(m.header), func(line string) bool {
		return slices.Contains(usual, line)
	})
	slices.SortStableFunc(m.header, func(a, b string) int { return strings.Compare(sortKey(a), sortKey(b)) })
	return m
}

func sortKey(line string) string {
	name, _, ok := cutHeader(line)
	if !ok {
		name = strings.TrimPrefix(line, "no ")
	}
	return strings.ToLower(name)
}

// usualHeaders returns the header lines that a case file may leave out.
func (m message) usualHeaders() []string {
	length := "Content-Length: " + strconv.Itoa(len(m.body))
	if strings.HasPrefix(m.first, "204") || strings.HasPrefix(m.first, "304") {
		length = "no Content-Length"
	}
	return []string{
		length,
		"Cache-Control: no-store",
		"Referrer-Policy: no-referrer",
		"X-Content-Type-Options: nosniff",
	}
}

// toRequest makes a server's request of the message.
func (m message) toRequest() (*http.Request, error) {
	var text bytes.Buffer
	text.WriteString(m.first)
	if strings.Count(m.first, " ") == 1 {
		text.WriteString(" HTTP/1.1")
	}
	text.WriteString("\r\n")
	for _, line := range m.header {
		text.WriteString(line + "\r\n")
	}
	if !m.has("Host") {
		text.WriteString("Host: callback.example\r\n")
	}
	if m.hasBody && !m.has("Content-Length") && !m.has("Transfer-Encoding") {
		text.WriteString("Content-Length: " + strconv.Itoa(len(m.body)) + "\r\n")
	}
	text.WriteString("\r\n" + m.body)
	r, err := http.ReadRequest(bufio.NewReader(&text))
	if err != nil {
		return nil, fmt.Errorf("request %q: %w", m.first, err)
	}
	r.RemoteAddr = "192.0.2.1:1234"
	return r, nil
}

// A recorder is a ResponseWriter that keeps the answer and reports what net/http
// would silently correct.
type recorder struct {
	header http.Header
	head   bool // the request is a HEAD
	status int
	sent   http.Header // header at the time of WriteHeader
	body   bytes.Buffer
	faults []error
}

func (r *recorder) Header() http.Header { return r.header }

func (r *recorder) WriteHeader(status int) {
	if r.status != 0 {
		r.faults = append(r.faults, fmt.Errorf("WriteHeader called twice, with %d and %d", r.status, status))
		return
	}
	r.status, r.sent = status, r.header.Clone()
	for name, values := range r.sent {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				r.faults = append(r.faults, fmt.Errorf("header %q: %q cannot be sent", name, value))
			}
		}
	}
}

func (r *recorder) Write(body []byte) (int, error) {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK)
	}
	if r.head || r.status == http.StatusNoContent || r.status == http.StatusNotModified {
		r.faults = append(r.faults, errors.New("a body was written where there is none"))
		return 0, http.ErrBodyNotAllowed
	}
	return r.body.Write(body)
}

// message returns the answer. It has a line "no Name" for each usual header that
// is missing.
func (r *recorder) message() message {
	if r.status == 0 {
		r.WriteHeader(http.StatusOK) // net/http does the same
	}
	m := message{
		first: strings.TrimSpace(strconv.Itoa(r.status) + " " + http.StatusText(r.status)),
		body:  r.body.String(),
	}
	for name, values := range r.sent {
		for _, value := range values {
			m.header = append(m.header, name+": "+value)
		}
	}
	for _, name := range []string{"Content-Length", "Cache-Control", "Referrer-Policy", "X-Content-Type-Options"} {
		if len(r.sent[name]) == 0 {
			m.header = append(m.header, "no "+name)
		}
	}
	return m
}
