package callback

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"example.com/callback/internal/host"
)

// A Run is the record of an authorised call. It never holds the callback's URL or
// its secret. Call and the Exchanges hold what callers and other servers sent,
// which may be secret.
type Run struct {
	// Call is the call, without the fields that JSON leaves out.
	Call *Call

	// Start is when the request arrived, and Duration the time from then until
	// the answer was written.
	Start    time.Time
	Duration time.Duration

	// Status is that of the answer; 0 if there was none, as for
	// [Handler.RunScript].
	Status int

	// Outcome classifies the run. Err is nil if Outcome is "ok", and is a
	// [*ScriptError] if the script is at fault.
	Outcome Outcome
	Err     error

	// BytesIn counts the bytes of the request's body that were read, BytesOut
	// the bytes of the answer's body that were written.
	BytesIn  int64
	BytesOut int64

	// Usage is filled in by the runner.
	Usage

	// Outbound are the outbound requests and Functions the calls of host
	// functions. Each has the first 1000 that ended, in the order of their end.
	Outbound  []Outbound
	Functions []FunctionCall

	// LogLines counts the log records of the call at every level, including
	// levels that Handler.Logger does not log. Log holds the first of them, up
	// to Handler.KeepLog bytes.
	LogLines int
	Log      []LogLine

	// Exchange is the request and its answer, or nil unless Handler.KeepBodies
	// is set. It holds what the caller sent: that may be personal or secret.
	Exchange *Exchange
}

// An Exchange is a request and its answer, as far as Handler.KeepBodies allows.
type Exchange struct {
	// URL is the URL of an outbound request. For the call's own request it is
	// only the query, with its "?", because the path holds the secret.
	URL string

	// Header is complete for an outbound request. For the call's own request it
	// has the headers that scripts see and those that describe the body.
	Header http.Header
	Body   []byte

	AnswerHeader http.Header
	Answer       []byte

	// Cut means that Body or Answer is incomplete, because KeepBodies was used
	// up.
	Cut bool
}

// An Outbound is an outbound request of a run.
type Outbound struct {
	Method   string
	Host     string // with the port, if the URL names one
	Start    time.Time
	Duration time.Duration
	Status   int   // 0 without an answer
	Bytes    int64 // of the answer's body

	// Err is why there is no answer, and nil if there is one. It may be
	// [ErrBlocked], [context.DeadlineExceeded] or, if the run has ended,
	// [context.Canceled]. Its text holds no URL.
	Err error

	// Exchange is nil unless Handler.KeepBodies is set. It holds the URL, which
	// may hold a secret.
	Exchange *Exchange
}

// A FunctionCall is a call of a host function by a script.
type FunctionCall struct {
	Name     string // of the member or, with a dot, of one of its Funcs
	Start    time.Time
	Duration time.Duration
	Err      error // what the host function returned
}

// A LogLine is a log record of a run.
type LogLine struct {
	Time    time.Time
	Level   slog.Level
	Message string
	Attrs   []slog.Attr // without the call's own: apiKey, credential, run
}

// maxRecorded bounds each list of a Run.
const maxRecorded = 1000

// An account collects a Run while its call is under way. A run that its runner
// has abandoned may still write to the account. Once the Run is handed over, the
// account drops what it gets.
type account struct {
	usage Usage // written by the runner

	mu   sync.Mutex
	over bool // run is handed over
	run  Run
	call Call // of run
	logs int  // bytes that Log may still take
	keep int  // bytes that the Exchanges may still take

	keeps bool // whether there are Exchanges
}

// record lets f change the Run unless it has been handed over.
func (r *account) record(f func(*Run)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !r.over {
		f(&r.run)
	}
}

func (r *account) outbound(o Outbound) {
	r.record(func(run *Run) {
		if len(run.Outbound) < maxRecorded {
			run.Outbound = append(run.Outbound, o)
		}
	})
}

func (r *account) function(c FunctionCall) {
	r.record(func(run *Run) {
		if len(run.Functions) < maxRecorded {
			run.Functions = append(run.Functions, c)
		}
	})
}

// Observe implements [calllog.Observer].
func (r *account) Observe(record slog.Record, attrs []slog.Attr) {
	r.record(func(run *Run) {
		run.LogLines++
		if r.logs <= 0 {
			return
		}
		line := LogLine{Time: record.Time, Level: record.Level, Message: record.Message, Attrs: attrs[:len(attrs):len(attrs)]}
		record.Attrs(func(a slog.Attr) bool {
			line.Attrs = append(line.Attrs, a)
			return true
		})
		size := len(line.Message)
		for _, a := range line.Attrs {
			size += len(a.Key) + len(a.Value.String())
		}
		if r.logs -= size; r.logs >= 0 {
			run.Log = append(run.Log, line)
		}
	})
}

// kept returns a copy of as much of body as the Exchanges may still take, and
// whether that is all of it.
func (r *account) kept(body []byte) (copied []byte, whole bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	n := min(len(body), r.keep)
	r.keep -= n
	return slices.Clone(body[:n]), n == len(body)
}

// exchange makes an Exchange of copies.
func (r *account) exchange(url string, header http.Header, body []byte, answerHeader http.Header, answer []byte) *Exchange {
	e := &Exchange{URL: url, Header: header.Clone(), AnswerHeader: answerHeader.Clone()}
	var wholeBody, wholeAnswer bool
	e.Body, wholeBody = r.kept(body)
	e.Answer, wholeAnswer = r.kept(answer)
	e.Cut = !wholeBody || !wholeAnswer
	return e
}

// finish completes the Run of a call and hands it over. f is nil if the call
// succeeded.
func (r *account) finish(call *Call, f *failure) *Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.over = true
	r.call = *call
	r.call.Members, r.call.Globals, r.call.HTTP, r.call.Logger, r.call.Usage = nil, nil, nil, nil, nil
	r.call.HTTPTimeout, r.call.equipped = 0, nil
	r.run.Call = &r.call
	r.run.Usage = r.usage
	r.run.Duration = time.Since(r.run.Start)
	r.run.Outcome = OutcomeOK
	if f != nil {
		r.run.Outcome, r.run.Err = f.outcome, f.err
	}
	return &r.run
}

// Bounds on the Runs whose Observe has not returned.
const (
	maxObserving      = 16384
	maxObservingBytes = 64 << 20
)

// observerPatience is how long an answered request waits for its observer.
const observerPatience = 50 * time.Millisecond

// observe calls h.Observe on a goroutine of its own. It waits until that returns,
// so that a call that has ended has been observed. Slow observers must not delay
// the connection's next request: observe waits for observerPatience at most, and
// not at all while another observer has exceeded it.
func (h *Handler) observe(ctx context.Context, run *Run) {
	size := run.BytesIn + int64(h.KeepLog) + int64(h.KeepBodies)
	count, bytes := h.observing.Add(1), h.observingBytes.Add(size)
	release := func() {
		h.observing.Add(-1)
		h.observingBytes.Add(-size)
	}
	ctx = context.WithoutCancel(ctx)
	if count > maxObserving || bytes > maxObservingBytes && count > 1 {
		release()
		h.logger().WarnContext(ctx, "callback: run not observed: Handler.Observe is too slow", "run", run.Call.RunID, "pending", count-1)
		return
	}
	const running, returned, overdue = 0, 1, 2
	var state atomic.Int32
	done := make(chan struct{})
	go func() {
		defer func() {
			if v := recover(); v != nil {
				logPanic(ctx, h.logger(), "callback: panic in Handler.Observe", v, "run", run.Call.RunID)
			}
			release()
			if state.Swap(returned) == overdue {
				h.overdue.Add(-1)
			}
			close(done)
		}()
		h.Observe(ctx, run)
	}()
	if h.overdue.Load() > 0 {
		return
	}
	patience := time.NewTimer(observerPatience)
	defer patience.Stop()
	select {
	case <-done:
	case <-patience.C:
		if state.CompareAndSwap(running, overdue) {
			h.overdue.Add(1)
		}
	}
}

// observed returns Members whose functions record their calls.
func (ms Members) observed() Members {
	observed := make(Members, len(ms))
	for name, m := range ms {
		m.Func = m.Func.observed(name)
		if m.Funcs != nil {
			funcs := make(map[string]HostFunc, len(m.Funcs))
			for function, f := range m.Funcs {
				funcs[function] = f.observed(name + "." + function)
			}
			m.Funcs = funcs
		}
		observed[name] = m
	}
	return observed
}

func (f HostFunc) observed(name string) HostFunc {
	if f == nil {
		return nil
	}
	return func(ctx context.Context, call *Call, args Args) (result any, err error) {
		if call.equipped == nil || call.equipped.account == nil {
			return f(ctx, call, args)
		}
		c := FunctionCall{Name: name, Start: time.Now(), Err: errHostPanic}
		defer func() {
			c.Duration = time.Since(c.Start)
			call.equipped.account.function(c)
		}()
		result, err = f(ctx, call, args)
		c.Err = err
		return result, err
	}
}

var errHostPanic = errors.New("callback: panic in a host function")

// A recordingDoer records the outbound requests of a run.
type recordingDoer struct {
	doer    *limitedDoer
	account *account
}

// Do implements [HTTPDoer].
func (d *recordingDoer) Do(req *http.Request) (*http.Response, error) {
	o := Outbound{Method: req.Method, Host: req.URL.Host, Start: time.Now(), Err: outboundError(host.ErrPanic)}
	defer func() {
		o.Duration = time.Since(o.Start)
		d.account.outbound(o)
	}()
	resp, body, err := d.doer.do(req)
	var header http.Header
	o.Err = nil
	if err != nil {
		o.Err = outboundError(err)
	} else {
		o.Status, o.Bytes, header = resp.StatusCode, int64(len(body)), resp.Header
	}
	if d.account.keeps {
		o.Exchange = d.account.exchange(req.URL.String(), req.Header, sentBody(req), header, body)
	}
	return resp, err
}

// sentBody is the body of a request that the library has made.
func sentBody(req *http.Request) []byte {
	if req.GetBody == nil {
		return nil
	}
	reader, err := req.GetBody()
	if err != nil {
		return nil
	}
	body, _ := io.ReadAll(reader) // from memory
	return body
}

// outboundError is an error of an outbound request without its URL.
func outboundError(err error) error {
	return host.WithCause(fmt.Errorf("callback: outbound request: %s", host.Reason(err)), err)
}
