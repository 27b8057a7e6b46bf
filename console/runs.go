package console

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"time"
	"unicode/utf8"

	"example.com/callback"
	"example.com/callback/callbacktest"
	"example.com/callback/internal/excerpt"
)

// A summary is a run in the list.
type summary struct {
	ID         string    `json:"id"`
	Time       time.Time `json:"time"`
	APIKey     string    `json:"apiKey"`
	Credential string    `json:"credential"`
	Status     int       `json:"status"`
	Outcome    string    `json:"outcome"`
	Millis     float64   `json:"ms"`
	Script     string    `json:"script,omitempty"`
	Message    string    `json:"message,omitempty"` // of the error
}

// A detail is a run on a page of its own.
type detail struct {
	summary
	Origin         string         `json:"origin"`
	Player         string         `json:"player,omitempty"`
	Client         string         `json:"client,omitempty"`
	Method         string         `json:"method,omitempty"`
	Version        string         `json:"version,omitempty"`
	QueuedMillis   float64        `json:"queuedMs"`
	ComputedMillis float64        `json:"computedMs"`
	ChildCPUMillis float64        `json:"childCpuMs,omitempty"`
	ChildMemory    int64          `json:"childMemory,omitempty"`
	BytesIn        int64          `json:"bytesIn"`
	BytesOut       int64          `json:"bytesOut"`
	Outbound       []span         `json:"outbound"`
	Functions      []span         `json:"functions"`
	Log            []logLine      `json:"log"`
	Error          *errorDetail   `json:"error,omitempty"`
	Request        *requestDetail `json:"request,omitempty"`
	Answer         *answerDetail  `json:"answer,omitempty"`
	Curl           string         `json:"curl,omitempty"`
	Replayable     bool           `json:"replayable"`
}

// A span is an outbound request or a call of a host function.
type span struct {
	Name   string  `json:"name,omitempty"`
	Method string  `json:"method,omitempty"`
	Host   string  `json:"host,omitempty"`
	Start  float64 `json:"startMs"`
	Millis float64 `json:"ms"`
	Status int     `json:"status,omitempty"`
	Bytes  int64   `json:"bytes"`
	Error  string  `json:"error,omitempty"`
}

type logLine struct {
	Millis  float64     `json:"ms"` // since the start of the run
	Level   string      `json:"level"`
	Message string      `json:"message"`
	Attrs   [][2]string `json:"attrs,omitempty"`
	Script  string      `json:"script,omitempty"`
	Line    int64       `json:"line,omitempty"`
}

type errorDetail struct {
	Script  string         `json:"script,omitempty"`
	Line    int            `json:"line,omitempty"`
	Column  int            `json:"column,omitempty"`
	Message string         `json:"message"`
	Stack   string         `json:"stack,omitempty"`
	Excerpt []excerpt.Line `json:"excerpt,omitempty"`
}

type requestDetail struct {
	Data    json.RawMessage `json:"data"`
	Headers [][2]string     `json:"headers"`
}

type answerDetail struct {
	Headers [][2]string `json:"headers"`
	Text    string      `json:"text"`
	Bytes   int64       `json:"bytes"`
	Binary  bool        `json:"binary"`
}

// Observe retains the run in the Recorder and shows it on the open pages. It is
// for [callback.Handler].Observe.
func (c *Console) Observe(ctx context.Context, run *callback.Run) {
	if c.Recorder != nil {
		c.Recorder.Observe(ctx, run)
	}
	c.mu.Lock()
	awaited := c.awaited[run.Call.RunID]
	c.mu.Unlock()
	if awaited != nil {
		select {
		case awaited <- run:
		default: // a second run with the same id
		}
	}
	c.publish(summarise(run))
}

func summarise(run *callback.Run) summary {
	s := summary{
		ID: run.Call.RunID, Time: run.Start, APIKey: run.Call.APIKey, Credential: run.Call.Credential,
		Status: run.Status, Outcome: string(run.Outcome), Millis: millis(run.Duration), Script: run.Script,
	}
	if run.Err != nil {
		s.Message = messageOf(run.Err)
	}
	return s
}

// messageOf is the text of an error without the parts that are shown beside it.
func messageOf(err error) string {
	var script *callback.ScriptError
	if errors.As(err, &script) {
		return script.Message
	}
	return err.Error()
}

func millis(d time.Duration) float64 { return float64(d.Microseconds()) / 1000 }

// explain makes the detail of a run.
func (c *Console) explain(ctx context.Context, run *callback.Run) *detail {
	call := run.Call
	d := &detail{
		summary: summarise(run), Origin: originOf(run), Player: call.PlayerID, Client: call.ClientIP, Method: call.Method,
		Version: run.Version, QueuedMillis: millis(run.Queued), ComputedMillis: millis(run.Computed),
		ChildCPUMillis: millis(run.ChildCPU), ChildMemory: run.ChildMemory,
		BytesIn: run.BytesIn, BytesOut: run.BytesOut,
		Outbound: []span{}, Functions: []span{}, Log: []logLine{},
		Replayable: run.Exchange != nil && !run.Exchange.Cut,
	}
	for _, o := range run.Outbound {
		d.Outbound = append(d.Outbound, span{
			Method: o.Method, Host: o.Host, Start: millis(o.Start.Sub(run.Start)), Millis: millis(o.Duration),
			Status: o.Status, Bytes: o.Bytes, Error: errorText(o.Err),
		})
	}
	for _, f := range run.Functions {
		d.Functions = append(d.Functions, span{
			Name: f.Name, Start: millis(f.Start.Sub(run.Start)), Millis: millis(f.Duration), Error: errorText(f.Err),
		})
	}
	for _, line := range run.Log {
		d.Log = append(d.Log, showLine(run, line))
	}
	if run.Err != nil {
		d.Error = c.explainError(ctx, run)
	}
	if e := run.Exchange; e != nil {
		d.Answer = showAnswer(e.AnswerHeader, e.Answer)
		d.Request = showRequest(call)
		d.Curl = c.curl(call, e)
	}
	return d
}

func errorText(err error) string {
	if err == nil {
		return ""
	}
	return err.Error()
}

func showLine(run *callback.Run, line callback.LogLine) logLine {
	shown := logLine{Millis: millis(line.Time.Sub(run.Start)), Level: line.Level.String(), Message: line.Message}
	for _, a := range line.Attrs {
		switch a.Key {
		case "script":
			shown.Script = a.Value.String()
		case "line":
			shown.Line, _ = a.Value.Any().(int64)
		case "stack":
		default:
			shown.Attrs = append(shown.Attrs, [2]string{a.Key, a.Value.String()})
		}
	}
	return shown
}

// explainError adds the source around an error.
func (c *Console) explainError(ctx context.Context, run *callback.Run) *errorDetail {
	e := &errorDetail{Message: messageOf(run.Err)}
	var script *callback.ScriptError
	if errors.As(run.Err, &script) {
		e.Script, e.Line, e.Column, e.Stack = script.Script, script.Line, script.Column, script.Stack
		if tree, err := c.tree(ctx, run.Call.APIKey); err == nil && (tree.Version == "" || run.Version == tree.Version) {
			e.Excerpt = excerpt.Of(tree.FS, script.Script, script.Line)
		}
	}
	return e
}

func showAnswer(header http.Header, body []byte) *answerDetail {
	a := &answerDetail{Headers: pairs(header), Bytes: int64(len(body)), Binary: !utf8.Valid(body)}
	if !a.Binary {
		a.Text = string(body)
	}
	return a
}

func showRequest(call *callback.Call) *requestDetail {
	r := &requestDetail{Data: call.Input, Headers: [][2]string{}}
	for _, p := range call.RequestHeaders {
		for _, value := range p.Values {
			r.Headers = append(r.Headers, [2]string{p.Name, value})
		}
	}
	if r.Data == nil {
		r.Data = dataJSON(call.Data)
	}
	return r
}

// dataJSON is the object that a script gets for data, in the same order.
func dataJSON(data []callback.Param) json.RawMessage {
	b := []byte{'{'}
	for i, p := range data {
		if i > 0 {
			b = append(b, ',')
		}
		var value any = p.Values
		if len(p.Values) == 1 {
			value = p.Values[0]
		}
		name, _ := json.Marshal(p.Name) // a string always has JSON
		text, _ := json.Marshal(value)
		b = append(append(append(b, name...), ':'), text...)
	}
	return append(b, '}')
}

func (c *Console) getRuns(w http.ResponseWriter, r *http.Request) {
	runs := []summary{}
	if c.Recorder != nil {
		for _, run := range c.Recorder.Runs() {
			runs = append(runs, summarise(run))
		}
	}
	writeJSON(w, map[string]any{"runs": runs})
}

// find returns the run that the path names, or answers that there is none.
func (c *Console) find(w http.ResponseWriter, r *http.Request) *callback.Run {
	var run *callback.Run
	if c.Recorder != nil {
		run = c.Recorder.Find(r.PathValue("id"))
	}
	if run == nil {
		writeError(w, http.StatusNotFound, "the run is not retained any more")
	}
	return run
}

func (c *Console) getRun(w http.ResponseWriter, r *http.Request) {
	if run := c.find(w, r); run != nil {
		writeJSON(w, c.explain(r.Context(), run))
	}
}

// caseSecret is the secret in saved case files.
const caseSecret = "s3cret"

func (c *Console) getCase(w http.ResponseWriter, r *http.Request) {
	run := c.find(w, r)
	if run == nil {
		return
	}
	var text bytes.Buffer
	if err := callbacktest.WriteCase(&text, run, caseSecret); err != nil {
		writeError(w, http.StatusConflict, fmt.Sprintf("the run has no whole record: %v", err))
		return
	}
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	_, _ = w.Write(text.Bytes()) // fails only if the reader is gone
}
