package sandbox

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math"
	"net/http"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"

	"example.com/callback"
	"example.com/callback/internal/compiler"
	"example.com/callback/internal/deadline"
)

// Main turns the process into a child if that is what it was started as, and
// then does not return. In any other process it does nothing. It must be the
// first thing that main does, and in a test program that TestMain does.
func Main() {
	if inChild() {
		os.Exit(childMain())
	}
}

// childMain is the life of a child: it ends with its standard input, that is,
// with the parent at the latest.
func childMain() int {
	// Whoever stops the parent may signal all of its processes: that calls
	// under way get their answers is the parent's affair.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	debug.SetTraceback("none") // of a fatal error, its name is enough
	quietStderr()
	in, out := os.Stdin, os.Stdout
	os.Stdout = os.Stderr // what others print must not be taken for frames
	if _, err := out.Write(greeting); err != nil {
		return 1
	}
	from := bufio.NewReaderSize(in, 16<<10)
	kind, payload, err := readFrame(from, maxCall)
	if err != nil || kind != kindSetup {
		return 1
	}
	var s setup
	s.decode(&decoder{b: payload})
	s.setZone()
	runtime.GOMAXPROCS(childProcs)
	debug.SetGCPercent(childGCPercent)
	debug.SetMemoryLimit(s.maxMemory / 4 * 3)
	if err := limitMemory(s.maxMemory); err != nil {
		fmt.Fprintln(os.Stderr, "fatal error: cannot set limits:", err)
		return 1
	}
	w := &worker{
		from:          from,
		out:           out,
		maxScriptSize: s.maxScriptSize,
		heap:          []metrics.Sample{{Name: "/gc/heap/live:bytes"}},
		maxHeap:       uint64(s.maxMemory / 2),
		end:           time.AfterFunc(math.MaxInt64, func() { os.Exit(1) }),
	}
	w.runner = callback.GojaRunner{
		Scripts:       w,
		MaxScriptSize: s.maxScriptSize,
		MaxRunning:    1,
		MaxStuck:      -1, // the parent kills what does not stop
	}
	return w.serve()
}

const (
	// A child needs one processor. With a second one idle the runtime leaves
	// the first alone while the child waits for its parent; without, it takes
	// it away within 20 µs and has to give it back for each call.
	childProcs     = 2
	childGCPercent = 400
)

// setZone makes local time what it is in the parent, while files can still be
// opened.
func (s *setup) setZone() {
	if s.zone != "Local" {
		location, err := time.LoadLocation(s.zone)
		if err != nil {
			location = time.FixedZone(s.zone, int(s.zoneOffset))
		}
		time.Local = location
		return
	}
	if s.hasTZ {
		os.Setenv("TZ", s.tz)
	}
	_, _ = time.Now().Zone() // reads it, once and for all
	os.Unsetenv("TZ")
}

// A worker is the child's side. It is the fs.FS of its runner.
type worker struct {
	from *bufio.Reader
	out  *os.File

	runner        callback.GojaRunner
	maxScriptSize int64
	heap          []metrics.Sample
	maxHeap       uint64

	end   *time.Timer // ends the process
	calls int

	members callback.Members // of the last call
	task    *task            // the call under way
}

// A task is the child's side of one call.
type task struct {
	w      *worker
	ctx    context.Context
	cancel context.CancelFunc
	call   *callback.Call
	levels uint64
	files  []fileState // as they are for this call
	opened bool        // a script, to compile it
}

// serve serves calls until there is no parent any more. All of it is done by
// this goroutine, scripts included: to have another one read or write would cost
// a call more than all the rest of the way.
func (w *worker) serve() int {
	for {
		kind, payload, err := readFrame(w.from, maxCall)
		if err != nil {
			return 0
		}
		t := &task{w: w}
		if kind != kindCall || t.decode(payload) != nil {
			return 1
		}
		w.task = t
		if !t.run() {
			return 0
		}
	}
}

// decode makes the call of its frame.
func (t *task) decode(payload []byte) (err error) {
	d := &decoder{b: payload}
	call, left, levels, hasHTTP, files := decodeCall(d)
	if d.bool() {
		members := &decoder{b: d.bytes()}
		if t.w.members, err = t.w.decodeMembers(members); err != nil {
			return err
		}
	}
	if err := d.done(); err != nil {
		return err
	}
	t.call, t.levels, t.files = call, levels, files
	call.Members = t.w.members
	if hasHTTP {
		call.HTTP = callback.HTTPDoerFunc(t.do)
	}
	call.Logger = slog.New(&logHandler{task: t})
	if left > 0 {
		ctx := deadline.New(context.Background(), left)
		t.ctx, t.cancel = ctx, ctx.Cancel
	} else {
		t.ctx, t.cancel = context.WithCancel(context.Background())
	}
	return nil
}

// decodeMembers makes Members whose functions are the parent's.
func (w *worker) decodeMembers(d *decoder) (callback.Members, error) {
	if len(d.b) == 0 {
		return nil, nil
	}
	number := uint64(0)
	function := func() (name string, f callback.HostFunc) {
		name = d.string()
		if d.bool() {
			f = w.hostFunc(number)
		}
		number++
		return name, f
	}
	n := d.count()
	members := make(callback.Members, n)
	for range n {
		name, f := function()
		m := callback.Member{Func: f, Script: d.string(), Funcs: map[string]callback.HostFunc{}}
		for range d.count() {
			name, f := function()
			m.Funcs[name] = f
		}
		members[name] = m
	}
	return members, d.done()
}

// parentGrace is how long after the deadline a child ends by itself: the parent
// has killed it long before, if there still is one.
const parentGrace = time.Second

// run runs the script and sends the result. It reports whether there can be
// another call.
func (t *task) run() bool {
	defer t.cancel()
	if end, ok := t.ctx.Deadline(); ok {
		t.w.end.Reset(min(time.Until(end), math.MaxInt64-parentGrace) + parentGrace)
		defer t.w.end.Stop()
	}
	result, err := t.w.runner.RunScript(t.ctx, t.call)
	spent := t.w.bloated(t.opened)
	var e encoder
	e.begin(kindResult)
	encodeResult(&e, result, err, spent)
	err = e.send(t.w.out, maxFrame)
	if errors.Is(err, errTooLarge) {
		e.begin(kindResult)
		encodeResult(&e, nil, errors.New("callback/sandbox: script data is too large"), spent)
		err = e.send(t.w.out, maxFrame)
	}
	return err == nil && !spent
}

// callsPerLook is how many calls there are for one look at the memory, unless a
// call brings a script.
const callsPerLook = 16

// bloated reports whether what outlives the calls, compiled scripts above all,
// takes so much of the memory that a call might not find enough. The call that
// has just ended may have opened a script.
func (w *worker) bloated(opened bool) bool {
	if w.calls++; !opened && w.calls%callsPerLook != 0 {
		return false
	}
	metrics.Read(w.heap)
	return w.heap[0].Value.Uint64() > w.maxHeap
}

// ask sends a question to the parent and returns the answer.
func (t *task) ask(question *encoder) (*decoder, error) {
	if err := question.send(t.w.out, maxFrame); err != nil {
		if !errors.Is(err, errTooLarge) {
			os.Exit(1)
		}
		return nil, err
	}
	kind, payload, err := readFrame(t.w.from, maxCall)
	switch {
	case err == nil && kind == kindReply:
		return &decoder{b: payload}, nil
	case err == nil && kind == kindCancel:
		t.cancel() // which is what stops the script
		return nil, t.ctx.Err()
	}
	os.Exit(1)
	return nil, nil
}

// tell sends something to the parent that has no answer.
func (t *task) tell(e *encoder) {
	if err := e.send(t.w.out, maxFrame); err != nil && !errors.Is(err, errTooLarge) {
		os.Exit(1)
	}
}

// hostFunc makes a function that calls one of the parent's.
func (w *worker) hostFunc(number uint64) callback.HostFunc {
	return func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
		var e encoder
		e.begin(kindInvoke)
		e.uint(number)
		e.uint(uint64(len(args)))
		for _, arg := range args {
			e.bytes(arg)
		}
		d, err := w.task.ask(&e)
		if err != nil {
			return nil, err
		}
		if d.bool() {
			return nil, errors.New(d.string())
		}
		return json.RawMessage(d.bytes()), nil
	}
}

// do has the parent make an outbound request.
func (t *task) do(req *http.Request) (*http.Response, error) {
	var body []byte
	if req.Body != nil {
		var err error
		if body, err = io.ReadAll(req.Body); err != nil {
			return nil, err
		}
	}
	timeout, toTheEnd := callback.DefaultHTTPTimeout, false
	if own, ok := req.Context().Deadline(); ok {
		end, limited := t.ctx.Deadline()
		timeout, toTheEnd = time.Until(own), limited && end.Equal(own)
	}
	if toTheEnd {
		timeout = maxHTTPTimeout // what ends it is the call's end, by the parent's clock
	}
	var e encoder
	e.begin(kindHTTP)
	e.string(req.Method)
	e.string(req.URL.String())
	e.int(int64(timeout))
	encodeHeader(&e, req.Header)
	e.bool(req.Body != nil)
	e.bytes(body)
	d, err := t.ask(&e)
	if err != nil {
		return nil, err
	}
	if err := decodeError(d); err != nil {
		if toTheEnd && errors.Is(err, context.DeadlineExceeded) {
			<-t.ctx.Done() // by the child's clock, which is a little behind
		}
		return nil, err
	}
	status := int(d.uint())
	header := decodeHeader(d)
	return &http.Response{
		StatusCode: status,
		Header:     header,
		Body:       io.NopCloser(bytes.NewReader(d.bytes())),
		Request:    req,
	}, d.done()
}

// A logHandler sends records to the parent.
type logHandler struct {
	task  *task
	attrs []slog.Attr
}

func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return h.task.levels&(1<<levelIndex(level)) != 0
}

func levelIndex(level slog.Level) int {
	for i := len(logLevels) - 1; i > 0; i-- {
		if level >= logLevels[i] {
			return i
		}
	}
	return 0
}

func (h *logHandler) Handle(_ context.Context, record slog.Record) error {
	attrs := append([]slog.Attr(nil), h.attrs...)
	record.Attrs(func(a slog.Attr) bool {
		attrs = append(attrs, a)
		return true
	})
	attrs = attrs[:min(len(attrs), maxLogAttrs)]
	var e encoder
	e.begin(kindLog)
	e.uint(uint64(levelIndex(record.Level)))
	e.string(record.Message)
	e.uint(uint64(len(attrs)))
	for _, a := range attrs {
		e.string(a.Key)
		value := a.Value.Resolve()
		e.bool(value.Kind() == slog.KindInt64)
		if value.Kind() == slog.KindInt64 {
			e.int(value.Int64())
		} else {
			e.string(value.String())
		}
	}
	h.task.tell(&e)
	return nil
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{task: h.task, attrs: append(append([]slog.Attr(nil), h.attrs...), attrs...)}
}

func (h *logHandler) WithGroup(string) slog.Handler { return h } // the library uses none

// Stat implements [fs.StatFS]: mostly, the call has come with the answer.
func (w *worker) Stat(name string) (fs.FileInfo, error) {
	t := w.task
	for i := range t.files {
		if f := &t.files[i]; f.name == name {
			if f.absent {
				return nil, fs.ErrNotExist
			}
			return f, nil
		}
	}
	var e encoder
	e.begin(kindStat)
	e.string(name)
	d, err := t.ask(&e)
	if err != nil {
		return nil, err
	}
	state := fileState{name: name}
	if err := decodeError(d); err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		state.absent = true
	}
	state.stamp = decodeStamp(d)
	t.files = append(t.files, state)
	if state.absent {
		return nil, fs.ErrNotExist
	}
	return &state, d.done()
}

// Open implements [fs.FS]. If the version is one that no child has compiled
// before, this one tells the parent how it goes, and falls back on the version
// before if it must.
func (w *worker) Open(name string) (fs.File, error) {
	t := w.task
	t.opened = true
	var e encoder
	e.begin(kindRead)
	e.string(name)
	d, err := t.ask(&e)
	if err != nil {
		return nil, err
	}
	if err := decodeError(d); err != nil {
		return nil, err
	}
	v := newOpenFile(name, d)
	trial := d.bool()
	before := v
	if d.bool() {
		before = newOpenFile(name, d)
	}
	if err := d.done(); err != nil {
		return nil, err
	}
	if trial {
		err := w.try(name, v.text)
		e.begin(kindJudged)
		encodeError(&e, err)
		t.tell(&e)
		if err != nil {
			return before, nil
		}
	}
	return v, nil
}

// try compiles a script to see whether it can be.
func (w *worker) try(name string, text []byte) error {
	var fault *compiler.Fault
	if int64(len(text)) > w.maxScriptSize {
		fault = compiler.TooLong(w.maxScriptSize)
	} else {
		_, fault = compiler.Compile(name, string(text), false)
	}
	if fault == nil {
		return nil
	}
	return &callback.ScriptError{Script: name, Line: fault.Line, Column: fault.Column, Message: fault.Message}
}

// An openFile is a script that has come from the parent.
type openFile struct {
	fileState
	*bytes.Reader
	text []byte
}

func newOpenFile(name string, d *decoder) *openFile {
	f := &openFile{fileState: fileState{name: name, stamp: decodeStamp(d)}, text: d.bytes()}
	f.Reader = bytes.NewReader(f.text)
	return f
}

func (f *openFile) Stat() (fs.FileInfo, error) { return &f.fileState, nil }
func (f *openFile) Close() error               { return nil }
func (f *openFile) Size() int64                { return f.stamp.size } // of two, this one

// A fileState is the fs.FileInfo of a script.
func (f *fileState) Name() string       { return f.name }
func (f *fileState) Size() int64        { return f.stamp.size }
func (f *fileState) Mode() fs.FileMode  { return 0o444 }
func (f *fileState) ModTime() time.Time { return f.stamp.modTime }
func (f *fileState) IsDir() bool        { return false }
func (f *fileState) Sys() any           { return nil }
