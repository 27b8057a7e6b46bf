package callback

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strings"
	"sync"
)

// A Recorder retains the last runs of a [Handler] in memory, for a page that
// shows them or a case file that repeats one (callbacktest.WriteCase):
//
//	recorder := &callback.Recorder{}
//	handler := &callback.Handler{…, Observe: recorder.Observe}
//
// It is used by pointer, its fields must not change once it observes, and it is
// safe for concurrent use.
type Recorder struct {
	// MaxRuns is how many runs are retained. Zero means 1000, below zero none.
	MaxRuns int

	// MaxBytes bounds the memory of the retained runs, by an estimate. Zero means
	// 64 MiB, below zero retains none. The oldest runs are dropped first. A run
	// that takes more by itself is not retained.
	MaxBytes int64

	// Requests retains what callers sent: Call.Data, RequestHeaders, Body and
	// Input, and the Exchanges if Handler.KeepBodies is set. By default they
	// are dropped, since they may be personal or secret.
	Requests bool

	// Redact, if not nil, may change a run before it is retained, to remove
	// secrets. It gets a copy of the Run, so other observers do not see the
	// change. It must be safe for concurrent use.
	Redact func(*Run)

	mu    sync.Mutex
	runs  []recordedRun // the oldest first
	bytes int64
}

// A recordedRun is a Run, which is now immutable, with its size.
type recordedRun struct {
	run  *Run
	size int64
}

// Observe retains run. It is for [Handler].Observe.
func (r *Recorder) Observe(_ context.Context, run *Run) {
	run = run.clone()
	if !r.Requests {
		run.Call.Data, run.Call.RequestHeaders, run.Call.Body, run.Call.Input = nil, nil, nil, nil
		run.Exchange = nil
		for i := range run.Outbound {
			run.Outbound[i].Exchange = nil
		}
	}
	if r.Redact != nil {
		r.Redact(run)
	}
	size, maxBytes, maxRuns := run.size(), cmp.Or(r.MaxBytes, 64<<20), cmp.Or(r.MaxRuns, 1000)
	if size > maxBytes || maxRuns < 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.runs = append(r.runs, recordedRun{run, size})
	r.bytes += size
	gone := 0
	for r.bytes > maxBytes || len(r.runs)-gone > maxRuns {
		r.bytes -= r.runs[gone].size
		r.runs[gone] = recordedRun{}
		gone++
	}
	r.runs = r.runs[gone:]
}

// Runs returns the retained runs, the newest first. The caller must not change
// them.
func (r *Recorder) Runs() []*Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	runs := make([]*Run, 0, len(r.runs))
	for _, recorded := range slices.Backward(r.runs) {
		runs = append(runs, recorded.run)
	}
	return runs
}

// Find returns the newest retained run with an id, or nil. The caller must not
// change it.
func (r *Recorder) Find(runID string) *Run {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, recorded := range slices.Backward(r.runs) {
		if recorded.run.Call.RunID == runID {
			return recorded.run
		}
	}
	return nil
}

// clone copies the run so deeply that Redact can change every part of it.
func (run *Run) clone() *Run {
	c := *run
	call := *run.Call
	c.Call = &call
	call.Data, call.RequestHeaders = cloneParams(call.Data), cloneParams(call.RequestHeaders)
	call.Body, call.Input = slices.Clone(call.Body), slices.Clone(call.Input)
	c.Outbound = slices.Clone(run.Outbound)
	for i := range c.Outbound {
		c.Outbound[i].Exchange = c.Outbound[i].Exchange.clone()
	}
	c.Functions = slices.Clone(run.Functions)
	c.Log = slices.Clone(run.Log)
	for i := range c.Log {
		c.Log[i].Attrs = slices.Clone(c.Log[i].Attrs)
	}
	c.Exchange = run.Exchange.clone()
	if script, ok := run.Err.(*ScriptError); ok {
		copied := *script
		c.Err = &copied
	}
	return &c
}

func cloneParams(params []Param) []Param {
	params = slices.Clone(params)
	for i := range params {
		params[i].Values = slices.Clone(params[i].Values)
	}
	return params
}

func (e *Exchange) clone() *Exchange {
	if e == nil {
		return nil
	}
	c := *e
	c.Header, c.AnswerHeader = e.Header.Clone(), e.AnswerHeader.Clone()
	c.Body, c.Answer = slices.Clone(e.Body), slices.Clone(e.Answer)
	return &c
}

// size estimates the memory of a run, in bytes.
func (run *Run) size() int64 {
	const each = 128 // for an element of a list; 1024 are for the Run and its Call
	n := 1024 + len(run.Call.Body) + len(run.Call.Input) + run.Exchange.size()
	for _, params := range [][]Param{run.Call.Data, run.Call.RequestHeaders} {
		for _, p := range params {
			n += each + len(p.Name)
			for _, value := range p.Values {
				n += 16 + len(value)
			}
		}
	}
	for _, line := range run.Log {
		n += each + len(line.Message)
		for _, a := range line.Attrs {
			n += each + len(a.Key) + len(a.Value.String())
		}
	}
	for _, o := range run.Outbound {
		n += each + len(o.Host) + o.Exchange.size()
	}
	if run.Err != nil {
		n += len(run.Err.Error())
	}
	return int64(n + each*len(run.Functions))
}

func (e *Exchange) size() int {
	if e == nil {
		return 0
	}
	n := 256 + len(e.URL) + len(e.Body) + len(e.Answer)
	for _, header := range []http.Header{e.Header, e.AnswerHeader} {
		for name, values := range header {
			n += 64 + len(name) + len(strings.Join(values, ""))
		}
	}
	return n
}
