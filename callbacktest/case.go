package callbacktest

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing/fstest"
	"time"

	"example.com/callback"
	"golang.org/x/tools/txtar"
)

// A testCase is a parsed case file.
type testCase struct {
	archive   *txtar.Archive
	steps     []step
	scripts   fstest.MapFS
	upstreams []expectation
	handler   handlerFields
	log       []string
	hasLog    bool
}

// A step is a request and the response that it must get.
type step struct {
	request     message
	response    message
	hasResponse bool
}

func parseCase(text []byte) (*testCase, error) {
	c := &testCase{archive: txtar.Parse(text), scripts: fstest.MapFS{}}
	seen := map[string]bool{}
	for _, file := range c.archive.Files {
		if err := c.add(file, seen); err != nil {
			return nil, fmt.Errorf("section %q: %w", file.Name, err)
		}
	}
	if len(c.steps) == 0 {
		return nil, errors.New("the case has no request")
	}
	return c, nil
}

// add adds a section.
func (c *testCase) add(file txtar.File, seen map[string]bool) error {
	section, quoted := strings.CutSuffix(file.Name, " quoted")
	switch section {
	case "request":
		m, err := parseMessage(string(file.Data), quoted)
		if err != nil {
			return err
		}
		if n := len(c.steps); n > 0 && !c.steps[n-1].hasResponse {
			return errors.New("follows a request without a response")
		}
		c.steps = append(c.steps, step{request: m})
		return nil
	case "response":
		m, err := parseMessage(string(file.Data), quoted)
		if err != nil {
			return err
		}
		n := len(c.steps)
		if n == 0 || c.steps[n-1].hasResponse {
			return errors.New("follows no request")
		}
		c.steps[n-1].response, c.steps[n-1].hasResponse = m, true
		return nil
	case "upstream":
		e, err := parseExpectation(string(file.Data), quoted)
		if err != nil {
			return err
		}
		c.upstreams = append(c.upstreams, e)
		return nil
	}
	if seen[file.Name] {
		return errors.New("is there twice")
	}
	seen[file.Name] = true
	folder, name, _ := strings.Cut(file.Name, "/")
	switch {
	case file.Name == "log":
		c.hasLog = true
		if text := strings.TrimSuffix(string(file.Data), "\n"); text != "" {
			c.log = strings.Split(text, "\n")
		}
		return nil
	case file.Name == "handler":
		return c.handler.parse(file.Data)
	case name != "" && (folder == "callbacks" || folder == "modules" || folder == "system"):
		c.scripts[file.Name] = &fstest.MapFile{Data: file.Data}
		return nil
	}
	return errors.New("unknown section")
}

// compare returns an error that joins all differences.
func (c *testCase) compare(got outcome) error {
	var errs []error
	for i, response := range got.responses {
		want := c.steps[i]
		if !want.hasResponse {
			errs = append(errs, fmt.Errorf("request %d has no response section; this is the response:\n%s", i+1, response.format(false)))
			continue
		}
		a, b := want.response.normal(), response.normal()
		if !a.equal(b) {
			errs = append(errs, fmt.Errorf("response %d is not as expected\nwant:\n%s\ngot:\n%s", i+1,
				indent(a.format(false)), indent(b.format(false))))
		}
	}
	switch {
	case c.hasLog && !slices.Equal(c.log, got.log):
		errs = append(errs, fmt.Errorf("log is not as expected\nwant:\n%s\ngot:\n%s",
			indent(strings.Join(c.log, "\n")), indent(strings.Join(got.log, "\n"))))
	case !c.hasLog && len(errs) > 0 && len(got.log) > 0: // it says why
		errs = append(errs, fmt.Errorf("log:\n%s", indent(strings.Join(got.log, "\n"))))
	}
	return errors.Join(errs...)
}

func indent(text string) string {
	lines := strings.Split(strings.TrimSuffix(text, "\n"), "\n")
	for i, line := range lines {
		if line != "" {
			lines[i] = "\t" + line
		}
	}
	return strings.Join(lines, "\n")
}

// update returns the text of the file with the actual responses and log.
func (c *testCase) update(got outcome) []byte {
	var files []txtar.File
	responses := got.responses
	put := func(quoted bool) {
		if len(responses) == 0 {
			return
		}
		file := txtar.File{Name: "response"}
		m := responses[0].normal()
		if quoted = quoted || m.needsQuotes(); quoted {
			file.Name = "response quoted"
		}
		file.Data = []byte(m.format(quoted))
		files, responses = append(files, file), responses[1:]
	}
	for _, file := range c.archive.Files {
		switch file.Name {
		case "response", "response quoted":
			put(file.Name == "response quoted")
			continue
		case "log":
			file.Data = nil
			if len(got.log) > 0 {
				file.Data = []byte(strings.Join(got.log, "\n") + "\n")
			}
		}
		files = append(files, file)
	}
	put(false) // the last request, or the only one, had no response yet
	return txtar.Format(&txtar.Archive{Comment: c.archive.Comment, Files: files})
}

// handlerFields are the fields of the Handler that a case changes.
type handlerFields struct {
	Prefix         string
	Timeout        duration
	HTTPTimeout    duration
	MaxBody        int64
	MaxParams      int
	MaxResponse    int64
	MaxArgs        int64
	MaxHTTPBody    int64
	MaxHTTPCalls   int
	MaxInFlight    int
	RequestHeaders []string
	Methods        []string
	KeepMultipart  bool
	AllowHeaders   []string
	Secrets        callback.SecretMap
}

type duration time.Duration

func (d *duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	*d = duration(parsed)
	return err
}

func (f *handlerFields) parse(text []byte) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	decoder.DisallowUnknownFields()
	if err := decoder.Decode(f); err != nil {
		return err
	}
	if _, err := decoder.Token(); err != io.EOF {
		return errors.New("more than one JSON value")
	}
	return nil
}

func (f *handlerFields) apply(h *callback.Handler) {
	set(&h.Prefix, f.Prefix)
	set(&h.Timeout, time.Duration(f.Timeout))
	set(&h.HTTPTimeout, time.Duration(f.HTTPTimeout))
	set(&h.MaxBody, f.MaxBody)
	set(&h.MaxParams, f.MaxParams)
	set(&h.MaxResponse, f.MaxResponse)
	set(&h.MaxArgs, f.MaxArgs)
	set(&h.MaxHTTPBody, f.MaxHTTPBody)
	set(&h.MaxHTTPCalls, f.MaxHTTPCalls)
	set(&h.MaxInFlight, f.MaxInFlight)
	if f.RequestHeaders != nil {
		h.RequestHeaders = f.RequestHeaders
	}
	if f.AllowHeaders != nil {
		h.AllowHeaders = f.AllowHeaders
	}
	if f.Methods != nil {
		h.Methods = f.Methods
	}
	set(&h.KeepMultipart, f.KeepMultipart)
	if f.Secrets != nil {
		h.Secrets = f.Secrets
	}
}

// set sets a field to the value in the case.
func set[T comparable](field *T, value T) {
	var zero T
	if value != zero {
		*field = value
	}
}
