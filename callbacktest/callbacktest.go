// Package callbacktest runs the callbacks of a host from case files, inside
// go test. A case file shows one thing: a request, the scripts it runs, what
// the services they call answer, what is logged, and the response.
//
//	func TestCallbacks(t *testing.T) {
//		callbacktest.Run(t, newHandler(), "testdata/*.txtar")
//	}
//
// # Case files
//
// A case file is a txtar archive: a comment that says what it shows, then
// sections, each under a line "-- name --".
//
//	A name that is given twice is an array.
//	-- request --
//	POST /callback/E3/hello/s3cret?a=1
//	Content-Type: application/x-www-form-urlencoded
//
//	a=2
//	-- callbacks/hello.js --
//	Spark.setScriptData("a", Spark.getData().a)
//	-- response --
//	200 OK
//	Content-Type: application/json; charset=utf-8
//
//	{"a":["1","2"]}
//
// A request and a response are a first line, header lines, and, after an empty
// line, a body. The line feed that ends the section is not part of the body.
// Under the headings "request quoted", "response quoted" and "upstream quoted"
// the body is written as Go string literals, one a line, which are joined. That is
// for bytes that are not text, for CR LF, and for a line that looks like a heading.
//
//   - request: what is sent, from 192.0.2.1. HTTP/1.1, a Host and the
//     Content-Length are added where they are missing. A file may hold several,
//     each followed by its response; they are sent one after the other.
//   - callbacks/*, modules/*, system/*: the scripts. If there are any, the case
//     runs these files and no others; if there are none, the Handler's own
//     Runner runs.
//   - upstream: an expected outbound request, a line "=>", and its answer.
//     Several are expected in their order. Header lines and a body are
//     compared where they are given; "no Name" says that a header must not be
//     there. The answer is written like a response; or it is "error timeout",
//     "error refused", "error unknown host", or "error hang", which waits for
//     the request's own time-out. A case never reaches the network: an
//     outbound request that is not expected is an error, and so is an expected
//     one that is not sent.
//   - log: what is logged, a line each, as LEVEL message key=value, without the
//     attributes run and stack. Messages and values that would be unclear are
//     quoted as Go does. Without this section the log may be anything.
//   - handler: a JSON object of the fields of [callback.Handler] that this case
//     changes: Prefix, Timeout, HTTPTimeout (such as "50ms"), MaxBody,
//     MaxParams, MaxResponse, MaxArgs, MaxHTTPBody, MaxHTTPCalls, MaxInFlight,
//     RequestHeaders, AllowHeaders, Methods, KeepMultipart, and Secrets, an
//     object that is a [callback.SecretMap].
//   - response: what must come back, to the byte. Headers are compared in any
//     order of names. The headers that every answer has (Content-Length,
//     Cache-Control: no-store, Referrer-Policy: no-referrer,
//     X-Content-Type-Options: nosniff) may be left out. An answer that lacks
//     one of them matches only a file that says so, as "no Cache-Control"; 204
//     and 304 have no Content-Length, and need not say it.
//
// Any other section is an error.
//
// In every case the time is 2022-09-30T12:00:00Z and does not advance, the random
// numbers are the same, and the session id is "RUN".
//
// # Writing the responses
//
// Run fills in the response and log sections, and does not compare them, if the
// test binary has a flag -update that is set. Your test declares the flag:
//
//	var _ = flag.Bool("update", false, "rewrite the case files")
//
// # Other implementations
//
// [TestSecretStore] and [TestScriptRunner] test whether your implementation of an
// interface keeps to its contract.
package callbacktest

import (
	"context"
	"errors"
	"flag"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"example.com/callback"
)

// An Option changes how cases are run.
type Option func(*options)

type options struct {
	newRunner func(fs.FS) callback.ScriptRunner
	now       time.Time
}

// NewRunner sets the function that makes the runner for the scripts of a case
// file. The default makes a [callback.GojaRunner]. A runner that is an
// [io.Closer] is closed at the end of its case.
func NewRunner(newRunner func(scripts fs.FS) callback.ScriptRunner) Option {
	return func(o *options) { o.newRunner = newRunner }
}

// Now sets the time that scripts see.
func Now(now time.Time) Option {
	return func(o *options) { o.now = now }
}

func makeOptions(opts []Option) options {
	o := options{
		newRunner: func(scripts fs.FS) callback.ScriptRunner { return &callback.GojaRunner{Scripts: scripts} },
		now:       time.Date(2022, 9, 30, 12, 0, 0, 0, time.UTC),
	}
	for _, opt := range opts {
		opt(&o)
	}
	return o
}

// Run runs every case file that matches pattern, as [filepath.Glob] does, as a
// parallel subtest. If no file matches, the test fails. The cases run on copies
// of h with their own HTTP and Logger: h itself is not changed.
func Run(t *testing.T, h *callback.Handler, pattern string, opts ...Option) {
	t.Helper()
	files, err := filepath.Glob(pattern)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) == 0 {
		t.Fatalf("no case file matches %s", pattern)
	}
	for _, file := range files {
		t.Run(caseName(pattern, file), func(t *testing.T) {
			t.Parallel()
			runFile(t, h, file, opts)
		})
	}
}

// caseName returns the file's name without its extension and without the folders
// that all files of the pattern share.
func caseName(pattern, file string) string {
	name := filepath.ToSlash(file)
	shared := filepath.ToSlash(pattern)
	if i := strings.IndexAny(shared, `*?[\`); i >= 0 {
		shared = shared[:i]
	}
	name = name[strings.LastIndexByte(shared, '/')+1:]
	return strings.TrimSuffix(name, filepath.Ext(name))
}

func runFile(t *testing.T, h *callback.Handler, file string, opts []Option) {
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	c, err := parseCase(text)
	if err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	got, err := c.run(h, makeOptions(opts))
	if err != nil {
		t.Errorf("%s: %v", file, err)
	}
	if !updating() {
		if err := c.compare(got); err != nil {
			t.Errorf("%s: %v", file, err)
		}
		if t.Failed() {
			t.Logf("what was logged:\n%s", strings.Join(got.log, "\n"))
		}
		return
	}
	if err := os.WriteFile(file, c.update(got), 0o666); err != nil {
		t.Error(err)
	}
}

// updating reports whether the test binary has a flag -update that is set. The
// package does not declare the flag, because many test binaries have one already.
func updating() bool {
	f := flag.Lookup("update")
	if f == nil {
		return false
	}
	value, ok := f.Value.(flag.Getter)
	return ok && value.Get() == true
}

// RunCase runs one case, given as the text of its file, outside of go test. It
// returns an error that joins all differences from what the case expects. It
// ignores the flag -update.
func RunCase(h *callback.Handler, text []byte, opts ...Option) error {
	c, err := parseCase(text)
	if err != nil {
		return err
	}
	got, err := c.run(h, makeOptions(opts))
	return errors.Join(err, c.compare(got))
}

// UpdateCase runs one case, given as the text of its file, outside of go test. It
// returns the text with the actual responses and log. The error is for faults
// that no case can expect, such as an outbound request that the case does not
// answer.
func UpdateCase(h *callback.Handler, text []byte, opts ...Option) ([]byte, error) {
	c, err := parseCase(text)
	if err != nil {
		return nil, err
	}
	got, err := c.run(h, makeOptions(opts))
	if err != nil {
		return nil, err
	}
	return c.update(got), nil
}

// An outcome holds the responses and the log of a case.
type outcome struct {
	responses []message
	log       []string
}

// run sends the requests of the case. The error is for faults that no case can
// expect, such as an outbound request that the case does not answer.
func (c *testCase) run(host *callback.Handler, o options) (got outcome, err error) {
	h := clone(host)
	c.handler.apply(h)
	if len(c.scripts) > 0 {
		h.Runner = o.newRunner(c.scripts)
		if closer, ok := h.Runner.(io.Closer); ok {
			defer func() { err = errors.Join(err, closer.Close()) }()
		}
	}
	if h.Runner != nil {
		h.Runner = stillRunner{h.Runner, o.now}
	}
	upstream := &upstream{expected: c.upstreams}
	h.HTTP = upstream
	log := new(logRecorder)
	h.Logger = slog.New(log)

	var faults []error
	for _, step := range c.steps {
		request, err := step.request.toRequest()
		if err != nil {
			return got, err
		}
		answer := recorder{header: http.Header{}, head: request.Method == http.MethodHead}
		h.ServeHTTP(&answer, request)
		got.responses = append(got.responses, answer.message())
		faults = append(faults, answer.faults...)
	}
	got.log = log.lines()
	return got, errors.Join(append(faults, upstream.finish())...)
}

// clone returns a new Handler with the exported fields of h.
func clone(h *callback.Handler) *callback.Handler {
	c := new(callback.Handler)
	from, to := reflect.ValueOf(h).Elem(), reflect.ValueOf(c).Elem()
	for i := range from.NumField() {
		if from.Type().Field(i).IsExported() {
			to.Field(i).Set(from.Field(i))
		}
	}
	return c
}

// A stillRunner gives every call the same run id, time and random seed.
type stillRunner struct {
	runner callback.ScriptRunner
	now    time.Time
}

func (s stillRunner) RunScript(ctx context.Context, call *callback.Call) (*callback.Result, error) {
	still := *call
	still.RunID, still.Now, still.Seed = "RUN", s.now, 1
	return s.runner.RunScript(ctx, &still)
}
