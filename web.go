package callback

import (
	"bytes"
	"cmp"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math"
	"math/rand/v2"
	"net/http"
	"slices"
	"strconv"

	"github.com/dop251/goja"

	"example.com/callback/internal/compiler"
	"example.com/callback/internal/host"
	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/web"
	"example.com/callback/internal/web/fetch"
	"example.com/callback/internal/web/url"
)

// standardGlobal makes the standard global of a name, or returns nil if there is
// none.
func (r *run) standardGlobal(name string) goja.Value {
	if !web.Has(name) {
		return nil
	}
	return r.globals().Get(name)
}

// globals are the run's standard globals.
func (r *run) globals() *web.Globals {
	if r.web == nil {
		r.web = web.New(r.ctx, web.Host{
			VM:       r.vm,
			Random:   r.random(),
			Log:      func(level slog.Level, text string) { r.logLine(level, limit.Text(text, limit.LogLine)) },
			LogTakes: func(level slog.Level) bool { return level >= r.logging.level && r.log.Enabled(r.ctx, level) },
			Describe: r.logText,
			Stack:    r.currentStack,
			Client: fetch.Client{
				Send:    r.send,
				ToJSON:  r.toJSON,
				Explain: r.explainHTTP,
				Timeout: cmp.Or(r.call.HTTPTimeout, DefaultHTTPTimeout),
			},
		})
	}
	return r.web
}

// send sends a request of fetch. It touches nothing of the runtime; what it has to
// log, report does.
func (r *run) send(ctx context.Context, out *fetch.Outbound) (_ fetch.Answer, report func(), _ error) {
	var failures []func()
	report = func() {
		for _, log := range failures {
			log()
		}
	}
	if r.call.HTTP == nil {
		return fetch.Answer{}, report, host.ErrNoDoer
	}
	var body io.Reader
	if out.Body != nil {
		body = bytes.NewReader(out.Body)
	}
	req, err := host.NewRequest(ctx, out.Method, out.URL, out.Header, body)
	if err != nil {
		return fetch.Answer{}, report, err
	}
	answer, err := host.Send(r.call.HTTP.Do, req, math.MaxInt64, func(message string, attrs ...any) {
		failures = append(failures, func() { r.logError(message, attrs...) })
	})
	return fetch.Answer{Status: answer.Status, Header: answer.Header, Body: answer.Body}, report, err
}

// explainHTTP logs why an outbound request has no answer, and returns it in words.
func (r *run) explainHTTP(to string, err error) string {
	reason := host.Reason(err)
	r.logLine(slog.LevelWarn, "callback: outbound request failed", "host", limit.Text(to, 100), "reason", reason)
	return reason
}

// random is where crypto has its bytes from: a Call with a Seed always sees the
// same.
func (r *run) random() io.Reader {
	if r.call.Seed == 0 {
		return crand.Reader
	}
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], r.call.Seed)
	return rand.NewChaCha8(seed)
}

// runLoop does what the script has left to be done: timers, and what waits for
// outbound requests, until done says that it is enough. The error is that of the
// script so far, or the first of a task.
func (r *run) runLoop(err error, done func() bool) error {
	loop := r.web.Loop
	for err == nil && loop.Pending() && !done() {
		task := loop.Ready()
		switch {
		case r.stopped():
			return errWaited
		case task != nil:
			err = task()
		case !r.yieldPlace(loop.Wait):
			return errWaited
		}
	}
	return err
}

// finish does what is left when the script has run, its handler included.
func (r *run) finish(program *program, err error) error {
	if program.handler && err == nil {
		err = r.handle()
	}
	if r.web == nil {
		return err
	}
	defer r.web.Loop.Close(r.ctx)
	if program.handler {
		return err
	}
	return r.runLoop(err, func() bool { return false })
}

// handle calls the handler that the script exports, and answers with its Response.
// What else the script has begun ends with it.
func (r *run) handle() error {
	globals := r.globals()
	promise, err := globals.Handle(r.vm.Get(compiler.HandlerName), r.incoming(), r.makeSpark())
	if err != nil {
		return err
	}
	settled := func() bool { return promise.State() != goja.PromiseStatePending }
	if err := r.runLoop(nil, settled); err != nil {
		return err
	}
	switch {
	case !settled():
		return web.ErrUnsettled
	case promise.State() == goja.PromiseStateRejected:
		return nil // which is a rejection that has no handler
	}
	answer, err := globals.Answer(promise.Result())
	if err != nil {
		return err
	}
	r.answer(answer)
	return nil
}

// answer makes script data of a handler's answer.
func (r *run) answer(a *web.Answer) {
	headers := []byte{'{'}
	for i, h := range a.Headers {
		repeated := i > 0 && a.Headers[i-1].Name == h.Name
		if repeated {
			headers = append(headers[:len(headers)-1], ',')
		} else {
			if i > 0 {
				headers = append(headers, ',')
			}
			headers = append(jsjson.AppendString(headers, h.Name), ":["...)
		}
		headers = append(jsjson.AppendString(headers, h.Value), ']')
	}
	r.data.set(statusData, strconv.AppendInt(nil, int64(a.Status), 10))
	r.data.set(headersData, append(headers, '}'))
	r.data.remove(rawData)
	r.output.Where = nil
	r.raw = a.Body
}

// incoming is the request as a script's handler sees it. Its URL has the name of
// the script for a path, and no secret.
func (r *run) incoming() *fetch.Incoming {
	in := &fetch.Incoming{Method: cmp.Or(r.call.Method, http.MethodGet)}
	multipart := r.multipart()
	var query []url.Pair
	var fields map[string]int // how many values of a name are the body's, which are the last
	if hasBody(in.Method) {
		in.Body = append([]byte{}, r.requestBody()...)
		fields = formFields(string(in.Body), r.call.Data)
	}
	for _, param := range r.call.Data {
		if in.Body != nil && (param.Name == bodyParam || multipart) {
			continue
		}
		for _, value := range param.Values[:len(param.Values)-fields[param.Name]] {
			query = append(query, url.Pair{Name: param.Name, Value: value})
		}
	}
	in.URL = "https://callback.invalid/" + cmp.Or(r.call.Credential, "server")
	if len(query) > 0 {
		in.URL += "?" + url.EncodePairs(query)
	}
	for _, param := range r.call.RequestHeaders {
		for _, value := range param.Values {
			in.Headers = append(in.Headers, fetch.Header{Name: param.Name, Value: value})
		}
	}
	return in
}

// multipart reports whether the body of a POST is multipart, the one kind that is not
// in the data as text. Then nothing tells its fields from the query's.
func (r *run) multipart() bool {
	return !slices.ContainsFunc(r.call.Data, func(p Param) bool { return p.Name == bodyParam })
}

// formFields counts the values of data that body holds as a form, by their names. It
// is nil if body is not the form that they come from.
func formFields(body string, data []Param) map[string]int {
	values := map[string][]string{}
	for _, pair := range url.ParsePairs(body) {
		values[pair.Name] = append(values[pair.Name], pair.Value)
	}
	fields := map[string]int{}
	for i := range data {
		of := values[data[i].Name]
		if n := len(data[i].Values) - len(of); n >= 0 && slices.Equal(data[i].Values[n:], of) {
			fields[data[i].Name] = len(of)
			delete(values, data[i].Name)
		}
	}
	if len(values) > 0 {
		return nil
	}
	return fields
}

// errWaited is the error of a run that waits for timers or outbound requests when
// its time is over.
var errWaited = errors.New("waited past its deadline for timers or outbound requests")

// explainWait makes the error of errWaited.
func (r *run) explainWait() error {
	e := &ScriptError{Script: r.script, Version: r.tree.Version, Message: errWaited.Error(), Err: r.ctx.Err()}
	if !errors.Is(e.Err, context.DeadlineExceeded) {
		e.Message = "interrupted while it waited for timers or outbound requests"
	}
	return e
}
