package sandbox

import (
	"bufio"
	"context"
	"errors"
	"log/slog"
	"math"
	"os"
	"os/signal"
	"runtime/debug"
	"runtime/metrics"
	"syscall"
	"time"

	"example.com/callback"
	"example.com/callback/internal/deadline"
)

// Main turns the process into a child if a [Runner] started it as one, and then
// does not return. In any other process it does nothing. It must be the first
// statement of main, and in a test program the first of TestMain.
func Main() {
	if inChild() {
		os.Exit(childMain())
	}
}

// childMain runs a child until its standard input ends, which is at the latest
// when the parent ends. It returns the exit status.
func childMain() int {
	// A signal that stops the parent may go to its whole process group. The
	// parent decides when calls end.
	signal.Ignore(os.Interrupt, syscall.SIGTERM, hangup)
	debug.SetTraceback("none") // the parent logs the first line of a fatal error only
	quietStderr()
	w, err := newWorker()
	if err != nil {
		return 1
	}
	return w.serve()
}

// newWorker confines the process as the parent's setup says.
func newWorker() (*worker, error) {
	in, err := newPipe(os.Stdin)
	if err != nil {
		return nil, err
	}
	stdout, err := unblocked(os.Stdout)
	if err != nil {
		return nil, err
	}
	out, err := newPipe(stdout)
	if err != nil {
		return nil, err
	}
	os.Stdout = os.Stderr // so that prints of other packages do not get among the frames
	if _, err := out.Write(greeting); err != nil {
		return nil, err
	}
	from := bufio.NewReaderSize(quietReader{in}, 16<<10)
	k, payload, err := readFrame(from, fromParent)
	if err != nil || k != kindSetup {
		return nil, errFrame
	}
	var s setup
	s.decode(&decoder{b: payload, trusted: true})
	var e encoder
	if err := e.send(out, s.apply(), limits{}.of); err != nil {
		return nil, err
	}
	w := &worker{
		inbox:         newInbox(),
		from:          from,
		out:           out,
		maxScriptSize: s.MaxScriptSize,
		liveHeap:      []metrics.Sample{{Name: "/gc/heap/live:bytes"}},
		maxLiveHeap:   uint64(s.MaxMemory / 2),
		lastResort:    time.AfterFunc(math.MaxInt64, func() { os.Exit(1) }),
	}
	w.runner = callback.GojaRunner{
		Source:        w,
		MaxScriptSize: s.MaxScriptSize,
		MaxRunning:    1,
		RunInline:     true, // the parent kills what does not stop
	}
	return w, nil
}

// A worker is the child's side of the conversation. It is the Source of its
// runner.
type worker struct {
	from  *bufio.Reader
	inbox *inbox
	out   pipe

	runner        callback.GojaRunner
	maxScriptSize int64
	liveHeap      []metrics.Sample
	maxLiveHeap   uint64

	lastResort *time.Timer // ends the process
	calls      int

	members callback.Members // of the last call
	globals callback.Members // of the last call
	task    *task            // the call under way
}

// A task is the child's side of one call.
type task struct {
	w       *worker
	ctx     context.Context
	cancel  context.CancelFunc
	call    *callback.Call
	limits  limits
	levels  uint64
	tree    treeName
	files   []fileState // as they are for this call
	asked   int         // questions about files
	compile bool        // the call has read a script
}

// serve serves calls until the parent closes the pipe, and returns the exit
// status. Its goroutine does everything, including scripts. A second goroutine
// for reading or writing would cost more than all other work of a small call.
func (w *worker) serve() int {
	for {
		k, payload, err := readFrame(w.from, fromParent)
		if err != nil {
			return 0
		}
		if k != kindCall {
			return 1
		}
		t, err := w.newTask(payload)
		if err != nil {
			return 1
		}
		w.task = t
		if !t.run() {
			return 0
		}
	}
}

// newTask decodes a call.
func (w *worker) newTask(payload []byte) (*task, error) {
	var m callMessage
	d := &decoder{b: payload, trusted: true}
	if m.decode(d); d.done() != nil {
		return nil, errFrame
	}
	t := &task{w: w, call: m.Call, limits: limitsOf(m.Call), levels: m.Levels, tree: m.Tree, files: m.Files}
	if m.Members != nil {
		var list memberList
		d := &decoder{b: m.Members, trusted: true}
		if list.decode(d); d.done() != nil {
			return nil, errFrame
		}
		w.members, w.globals = w.newMembers(list)
	}
	t.call.Members, t.call.Globals = w.members, w.globals
	if m.HasUsage {
		t.call.Usage = new(callback.Usage)
	}
	if m.HasHTTP {
		t.call.HTTP = callback.HTTPDoerFunc(t.do)
	}
	t.call.Logger = slog.New(&logHandler{task: t})
	if m.Remaining > 0 {
		ctx := deadline.New(context.Background(), m.Remaining)
		t.ctx, t.cancel = ctx, ctx.Cancel
	} else {
		t.ctx, t.cancel = context.WithCancel(context.Background())
	}
	return t, nil
}

// hangup is SIGHUP, which package syscall lacks for js/wasm.
const hangup = syscall.Signal(1)

// parentGrace is how long after the deadline a child ends by itself. By then its
// parent has killed it, if the parent is alive.
const parentGrace = time.Second

// run runs the script and sends the result. It reports whether the child can
// serve another call.
func (t *task) run() bool {
	defer t.cancel()
	if end, ok := t.ctx.Deadline(); ok {
		t.w.lastResort.Reset(min(time.Until(end), math.MaxInt64-parentGrace) + parentGrace)
		defer t.w.lastResort.Stop()
	}
	t.w.inbox.open()
	result, err := t.w.runner.RunScript(t.ctx, t.call)
	t.w.inbox.close()
	spent := t.w.bloated(t.compile)
	m := &resultMessage{Spent: spent, Err: err, Result: result}
	if t.call.Usage != nil {
		m.Computed, m.Version = t.call.Usage.Computed, t.call.Usage.Version
	}
	var e encoder
	return e.send(t.w.out, m, t.limits.of) == nil && !spent
}

// callsPerLook is the number of calls that compile nothing between two checks of
// the memory.
const callsPerLook = 16

// bloated reports whether the memory that outlives calls, mostly compiled
// scripts, leaves too little for a call. compiled means that the last call has
// compiled a script.
func (w *worker) bloated(compiled bool) bool {
	if w.calls++; !compiled && w.calls%callsPerLook != 0 {
		return false
	}
	metrics.Read(w.liveHeap)
	return w.liveHeap[0].Value.Uint64() > w.maxLiveHeap
}

// ask sends a question to the parent and decodes the reply. It returns
// errTooLarge or the context's error; without a parent the process ends.
func (t *task) ask(question message, reply interface{ decode(*decoder) }) error {
	var e encoder
	if err := e.send(t.w.out, question, t.limits.of); err != nil {
		if !errors.Is(err, errTooLarge) {
			os.Exit(1)
		}
		return err
	}
	f := t.w.await(t.w.inbox.reply)
	switch f.kind {
	case kindReply:
		d := &decoder{b: f.payload, trusted: true}
		reply.decode(d)
		return d.done()
	case kindCancel:
		t.cancel() // which stops the script
		return t.ctx.Err()
	}
	os.Exit(1)
	return nil
}

// tell sends a notice to the parent, unless it is too large.
func (t *task) tell(notice message) {
	var e encoder
	if err := e.send(t.w.out, notice, t.limits.of); err != nil && !errors.Is(err, errTooLarge) {
		os.Exit(1)
	}
}
