package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"runtime/debug"
	"slices"
	"strings"
	"sync/atomic"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"example.com/callback"
	"example.com/callback/internal/headers"
	"example.com/callback/internal/limit"
)

// killGrace is what a child gets after the end of a call's time: to interrupt
// the script by itself, which tells where it was.
const killGrace = 50 * time.Millisecond

// A session is the parent's side of one call in one child. What comes from the
// child is taken for hostile.
type session struct {
	runner *Runner
	child  *child
	ctx    context.Context
	call   *callback.Call
	main   string
	out    encoder
	funcs  []hostFunc
	logged atomic.Int64 // work of the host's that was left behind may still log

	answered atomic.Bool // or the child is dead
	killed   bool        // by the watch

	trial     *version // that the child is to judge
	trialFile *file
	trialName string
}

// A hostFunc is a function of the host's by the number the child knows it by.
type hostFunc struct {
	name string
	f    callback.HostFunc
}

// A protocolError is what a child did that none of ours does.
type protocolError struct{ what string }

func (e *protocolError) Error() string {
	return "callback/sandbox: child process broke the protocol: " + e.what
}

// The ways a call ends for its child.
type ending int

const (
	absent   ending = iota // it was dead before, and knows nothing of the call
	died                   // it is gone, or to be killed
	spent                  // it has answered and is fit for nothing more
	reusable               // it has answered and is fit for another call
)

// run does the call.
func (s *session) run(files []fileState) (*callback.Result, ending, error) {
	s.child.watch.Start(s.ctx, s.kill)
	result, end, err := s.converse(files)
	s.answered.Store(true)
	s.child.watch.Stop()
	if end != died && end != absent {
		if s.killed {
			end = spent
		}
		return result, end, err
	}
	var broke *protocolError
	switch {
	case end == absent && s.ctx.Err() == nil && !s.child.closed.Load():
		return nil, absent, nil
	case s.ctx.Err() != nil: // whatever way the child went, that is why
		err = &callback.ScriptError{
			Script:  s.main,
			Message: "still running past its deadline, in a native call or the compiler",
			Err:     s.ctx.Err(),
		}
	case s.child.closed.Load():
		err = fmt.Errorf("%w with a call under way", ErrClosed)
	case errors.As(err, &broke):
	default:
		err = &callback.ScriptError{Script: s.main, Message: "killed: out of memory or fatal error of the engine"}
	}
	if s.trial != nil && !errors.Is(s.ctx.Err(), context.Canceled) && !s.child.closed.Load() {
		// It was compiling. Whoever compiles that version again ends the same way.
		s.pronounce(&callback.ScriptError{Script: s.trialName, Message: "the compiler ran out of time or memory"})
	}
	return nil, died, err
}

// kill kills the child unless it answers shortly. An answer in between is noticed
// within a sixteenth of that.
func (s *session) kill() {
	for start := time.Now(); !s.answered.Load(); time.Sleep(killGrace / 16) {
		if time.Since(start) > killGrace {
			s.killed = true
			s.child.kill()
			return
		}
	}
}

// maxCall bounds frames to the child, whose header cannot tell more.
const maxCall = 1<<32 - 1

// converse sends the call and serves the child until it has the result.
func (s *session) converse(files []fileState) (*callback.Result, ending, error) {
	s.out = s.child.out
	defer func() { s.child.out = s.out }()
	s.out.begin(kindCall)
	var left time.Duration
	if deadline, ok := s.ctx.Deadline(); ok {
		left = max(time.Until(deadline), 1)
	}
	encodeCall(&s.out, s.call, left, s.levels(), files)
	s.encodeMembers()
	if err := s.out.send(s.child.in, maxCall); err != nil {
		if errors.Is(err, syscall.EPIPE) {
			return nil, absent, err
		}
		return nil, died, err
	}
	for {
		kind, payload, err := readFrame(s.child.from, maxFrame)
		if err != nil {
			return nil, died, err
		}
		d := &decoder{b: payload}
		switch kind {
		case kindResult:
			return s.result(d)
		case kindLog:
			err = s.log(d)
		case kindJudged:
			err = s.judged(d)
		case kindStat:
			err = s.stat(d)
		case kindRead:
			err = s.read(d)
		case kindHTTP:
			err = s.http(d)
		case kindInvoke:
			err = s.invoke(d)
		default:
			err = errFrame
		}
		if errors.Is(err, errFrame) {
			return nil, died, &protocolError{fmt.Sprintf("frame of kind %q is not as it should be", kind)}
		}
		if err != nil {
			return nil, died, err
		}
	}
}

// levels tells which levels the call's Logger takes, a bit for each.
func (s *session) levels() (set uint64) {
	if s.call.Logger == nil {
		return 0
	}
	for i, level := range logLevels {
		if s.call.Logger.Enabled(s.ctx, level) {
			set |= 1 << i
		}
	}
	return set
}

// logLevels are the levels that scripts and the library log at.
var logLevels = [...]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

// encodeMembers adds the Members to a call: mostly just that they are those of
// the call before.
func (s *session) encodeMembers() {
	if len(s.call.Members) == 0 {
		s.out.bool(true)
		s.out.bytes(nil)
		s.child.members = nil
		return
	}
	names := make([]string, 0, len(s.call.Members))
	for name := range s.call.Members {
		names = append(names, name)
	}
	slices.Sort(names)
	var e encoder
	add := func(name string, f callback.HostFunc) {
		e.string(name)
		e.bool(f != nil)
		s.funcs = append(s.funcs, hostFunc{name, f})
	}
	e.uint(uint64(len(names)))
	for _, name := range names {
		m := s.call.Members[name]
		add(name, m.Func)
		e.string(m.Script)
		functions := make([]string, 0, len(m.Funcs))
		for function := range m.Funcs {
			functions = append(functions, function)
		}
		slices.Sort(functions)
		e.uint(uint64(len(functions)))
		for _, function := range functions {
			add(function, m.Funcs[function])
		}
	}
	if bytes.Equal(e.b, s.child.members) {
		s.out.bool(false)
		return
	}
	s.out.bool(true)
	s.out.bytes(e.b)
	s.child.members = e.b
}

// result decodes the end of the call.
func (s *session) result(d *decoder) (*callback.Result, ending, error) {
	end := reusable
	if d.bool() {
		end = spent
	}
	if err := decodeError(d); err != nil || d.bad {
		if d.done() != nil {
			return nil, died, &protocolError{"malformed error"}
		}
		return nil, end, err
	}
	result := &callback.Result{Data: decodeFields(d), Errors: decodeFields(d)}
	if d.done() != nil {
		return nil, died, &protocolError{"malformed result"}
	}
	return result, end, nil
}

// decodeFields decodes script data and checks what the Handler relies on.
func decodeFields(d *decoder) []callback.Field {
	n := d.count()
	if n == 0 {
		return nil
	}
	fields := make([]callback.Field, n)
	for i := range fields {
		name, value := d.string(), d.bytes()
		if !utf8.ValidString(name) || !utf8.Valid(value) || !json.Valid(value) {
			d.fail()
			return nil
		}
		fields[i] = callback.Field{Name: name, Value: value}
	}
	return fields
}

// Limits of what a call may log: more than the library itself allows a script.
const (
	maxLogRecords = 4096
	maxLogAttrs   = 16
	maxLogText    = 64 << 10
)

func (s *session) log(d *decoder) error {
	level := d.uint()
	message := d.string()
	n := d.count()
	if level >= uint64(len(logLevels)) || n > maxLogAttrs {
		return errFrame
	}
	attrs := make([]slog.Attr, n)
	for i := range attrs {
		attrs[i].Key = limit.Text(d.string(), 100)
		if d.bool() {
			attrs[i].Value = slog.Int64Value(d.int())
		} else {
			attrs[i].Value = slog.StringValue(limit.Text(d.string(), maxLogText))
		}
	}
	if err := d.done(); err != nil {
		return err
	}
	if s.mayLog() {
		s.call.Logger.LogAttrs(s.ctx, logLevels[level], limit.Text(message, maxLogText), attrs...)
	}
	return nil
}

func (s *session) mayLog() bool {
	return s.call.Logger != nil && s.logged.Add(1) <= maxLogRecords
}

// judged takes the child's word on the version it was to try.
func (s *session) judged(d *decoder) error {
	verdict := decodeError(d)
	if err := d.done(); err != nil {
		return err
	}
	if s.trial == nil {
		return errFrame
	}
	s.pronounce(verdict)
	return nil
}

// pronounce settles how the version on trial compiles.
func (s *session) pronounce(verdict error) {
	if s.trialFile.judge(s.trial, verdict) && s.call.Logger != nil {
		var at callback.ScriptError
		if e, ok := verdict.(*callback.ScriptError); ok {
			at = *e
		}
		s.call.Logger.Error("callback: changed script does not compile, the one before it stays",
			"script", s.trialName, "line", at.Line, "column", at.Column, "error", at.Message)
	}
	s.trial = nil
}

func (s *session) stat(d *decoder) error {
	name := d.string()
	if err := d.done(); err != nil {
		return err
	}
	stamp, err := s.runner.lib.stat(name)
	if err == nil && name != s.main {
		s.runner.lib.learn(s.main, name)
	}
	s.out.begin(kindReply)
	encodeError(&s.out, err)
	stamp.encode(&s.out)
	return s.reply()
}

func (s *session) read(d *decoder) error {
	name := d.string()
	if err := d.done(); err != nil {
		return err
	}
	f, v, before, trial, err := s.runner.lib.read(name)
	if trial {
		s.trial, s.trialFile, s.trialName = v, f, name
	}
	s.out.begin(kindReply)
	encodeFile(&s.out, v, before, trial, err)
	return s.reply()
}

// reply sends an answer. If nobody waits for the call's end any more the answer
// is that the script is to stop. Of its deadline a child knows by itself.
func (s *session) reply() error {
	if errors.Is(s.ctx.Err(), context.Canceled) {
		s.out.begin(kindCancel)
	}
	return s.out.send(s.child.in, maxCall)
}

// outside does f, which is the host's work, as long as the call lasts. Work
// that goes on after it is left behind, as it is in process.
func (s *session) outside(f func()) error {
	done := make(chan struct{})
	go func() {
		defer close(done)
		f()
	}()
	select {
	case <-done:
		return nil
	case <-s.child.dead:
		return io.ErrUnexpectedEOF
	}
}

// An httpAnswer is what an outbound request came to.
type httpAnswer struct {
	status int
	header http.Header
	body   []byte
	err    error
}

var (
	errBadRequest = errors.New("request of the child process is not allowed")
	errHTTPPanic  = errors.New("callback: the HTTPDoer panicked")
)

// maxHTTPTimeout is longer than any call should take.
const maxHTTPTimeout = 24 * time.Hour

func (s *session) http(d *decoder) error {
	method, target := d.string(), d.string()
	timeout := time.Duration(d.int())
	header := decodeHeader(d)
	hasBody, body := d.bool(), d.bytes()
	if err := d.done(); err != nil {
		return err
	}
	if s.call.HTTP == nil {
		return errFrame // the child knew
	}
	var answer httpAnswer
	err := s.outside(func() {
		ctx, cancel := context.WithTimeout(s.ctx, min(max(timeout, 0), maxHTTPTimeout))
		defer cancel()
		var reader io.Reader
		if hasBody {
			reader = bytes.NewReader(body)
		}
		req, err := http.NewRequestWithContext(ctx, method, target, reader)
		if err != nil || !allowed(req, header) {
			answer.err = errBadRequest
			return
		}
		req.Header = header
		answer = s.exchange(req)
	})
	if err != nil {
		return err
	}
	s.out.begin(kindReply)
	encodeError(&s.out, answer.err)
	s.out.uint(uint64(max(answer.status, 0)))
	encodeHeader(&s.out, answer.header)
	s.out.bytes(answer.body)
	return s.reply()
}

// allowed reports whether a request is one that the library's own code in the
// child would make.
func allowed(req *http.Request, header http.Header) bool {
	switch req.Method {
	case http.MethodGet, http.MethodPost, http.MethodPut, http.MethodDelete:
	default:
		return false
	}
	if req.URL.Scheme != "http" && req.URL.Scheme != "https" || req.URL.Host == "" {
		return false
	}
	for name, values := range header {
		if !httpguts.ValidHeaderFieldName(name) || headers.IsClients(name) {
			return false
		}
		for _, value := range values {
			if !httpguts.ValidHeaderFieldValue(value) {
				return false
			}
		}
	}
	return true
}

// exchange sends the request by the call's HTTPDoer and reads the answer.
func (s *session) exchange(req *http.Request) (answer httpAnswer) {
	defer func() {
		if v := recover(); v != nil {
			s.report("callback: panic in the HTTPDoer", "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			answer = httpAnswer{err: errHTTPPanic}
		}
	}()
	resp, err := s.call.HTTP.Do(req)
	if err != nil {
		return httpAnswer{err: discreet(err)}
	}
	defer resp.Body.Close()
	body, ok, err := limit.ReadAll(resp.Body, maxFrame-1)
	if err == nil && !ok {
		err = errTooLarge
	}
	if err != nil {
		return httpAnswer{err: discreet(err)}
	}
	return httpAnswer{status: resp.StatusCode, header: resp.Header, body: body}
}

// discreet is what a child may know of an outbound request's failure. The
// errors of net/http hold URLs, also those of redirects, which are not the
// script's to know.
func discreet(err error) error {
	var at *url.Error
	if errors.As(err, &at) {
		err = at.Err
	}
	var e encoder
	if encodeError(&e, err); e.b[0] == textError && !strings.HasPrefix(err.Error(), "callback: ") {
		return errors.New("request failed")
	}
	return err
}

// report logs what is wrong with the host's own work, as the library does in
// process.
func (s *session) report(message string, attrs ...any) {
	if s.mayLog() {
		s.call.Logger.Error(message, append([]any{"script", s.main}, attrs...)...)
	}
}

func (s *session) invoke(d *decoder) error {
	number := d.uint()
	args := make(callback.Args, d.count())
	for i := range args {
		args[i] = d.bytes()
		if !json.Valid(args[i]) {
			return errFrame
		}
	}
	if err := d.done(); err != nil {
		return err
	}
	if number >= uint64(len(s.funcs)) || s.funcs[number].f == nil {
		return errFrame
	}
	var value []byte
	var failure error
	err := s.outside(func() { value, failure = s.callHost(s.funcs[number], args) })
	if err != nil {
		return err
	}
	s.out.begin(kindReply)
	s.out.bool(failure != nil)
	if failure != nil {
		s.out.string(failure.Error())
	} else {
		s.out.bytes(value)
	}
	return s.reply()
}

// callHost calls a function of the host's, as the library does in process.
func (s *session) callHost(f hostFunc, args callback.Args) (value []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			s.report("callback: panic in a host function", "function", f.name, "type", fmt.Sprintf("%T", v), "stack", string(debug.Stack()))
			value, err = nil, fmt.Errorf("%s failed", f.name)
		}
	}()
	result, err := f.f(s.ctx, s.call, args)
	if err != nil {
		return nil, err
	}
	value, err = json.Marshal(result)
	if err != nil {
		s.report("callback: host function returned no JSON", "function", f.name, "error", err)
		return nil, fmt.Errorf("%s failed", f.name)
	}
	return value, nil
}
