package engine

import (
	"bytes"
	"cmp"
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"iter"
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
	"example.com/callback/internal/reserved"
	"example.com/callback/internal/web"
	"example.com/callback/internal/web/fetch"
	"example.com/callback/internal/web/url"
)

// standardGlobal makes a standard global, or returns nil if there is none of that
// name.
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
			LogTakes: func(level slog.Level) bool { return level >= r.logging.level && r.call.Logger.Enabled(r.ctx, level) },
			Describe: r.logText,
			Stack:    r.currentStack,
			Client: fetch.Client{
				Send:    r.send,
				ToJSON:  r.toJSON,
				Explain: r.explainHTTP,
				Timeout: r.call.HTTPTimeout,
			},
		})
	}
	return r.web
}

// send sends a request of fetch. It does not use the runtime; report logs
// afterwards what there is to log.
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

// explainHTTP logs and returns the reason why an outbound request has no answer.
func (r *run) explainHTTP(to string, err error) string {
	reason := host.Reason(err)
	r.logLine(slog.LevelWarn, "callback: outbound request failed", "host", limit.Text(to, 100), "reason", reason)
	return reason
}

// random is the source of random bytes for crypto. A Call with a Seed always gets
// the same bytes.
func (r *run) random() io.Reader {
	if r.call.Seed == 0 {
		return crand.Reader
	}
	var seed [32]byte
	binary.LittleEndian.PutUint64(seed[:], r.call.Seed)
	return rand.NewChaCha8(seed)
}

// runLoop runs the remaining tasks of the script, timers and outbound requests,
// until done returns true. Its error is err, or that of the first task that
// fails.
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

// finish runs what remains when the script has run, including its handler.
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

// handle calls the handler that the script exports, and answers with its
// Response. Everything else that the script has begun ends with it.
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
		return nil // reported as a rejection without a handler
	}
	answer, err := globals.Answer(promise.Result())
	if err != nil {
		return err
	}
	r.answer(answer)
	return nil
}

// answer turns a handler's answer into script data.
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
	r.data.set(reserved.Status, strconv.AppendInt(nil, int64(a.Status), 10))
	r.data.set(reserved.Headers, append(headers, '}'))
	r.data.remove(reserved.Raw)
	r.where = nil
	r.raw = a.Body
}

// incoming is the request for a script's handler. Its URL has no secret: the path
// is the name of the script.
func (r *run) incoming() *fetch.Incoming {
	request := r.request()
	in := &fetch.Incoming{Method: cmp.Or(request.Method, http.MethodGet)}
	multipart := isMultipart(request.Data)
	var query []url.Pair
	var fields map[string]int // number of values by name that are from the body; they are the last of each name
	if request.HasBody {
		in.Body = append([]byte{}, r.requestBody()...)
		fields = formFields(string(in.Body), request.Data)
	}
	for name, values := range all(request.Data) {
		if in.Body != nil && (name == reserved.RequestBody || multipart) {
			continue
		}
		for _, value := range values[:len(values)-fields[name]] {
			query = append(query, url.Pair{Name: name, Value: value})
		}
	}
	in.URL = "https://callback.invalid/" + cmp.Or(r.call.Credential, "server")
	if len(query) > 0 {
		in.URL += "?" + url.EncodePairs(query)
	}
	for name, values := range all(request.Headers) {
		for _, value := range values {
			in.Headers = append(in.Headers, fetch.Header{Name: name, Value: value})
		}
	}
	return in
}

// isMultipart reports whether the body of a POST is multipart, by its data. Only
// such a body is not in the data as text, and its fields cannot be told from the
// query's.
func isMultipart(data Params) bool {
	for name := range all(data) {
		if name == reserved.RequestBody {
			return false
		}
	}
	return true
}

// all ranges over params, which may be nil.
func all(params Params) iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		for i := 0; params != nil && i < params.Len(); i++ {
			if !yield(params.At(i)) {
				return
			}
		}
	}
}

// formFields counts, by name, the values in data that come from body, if that is
// a form. It returns nil if they do not.
func formFields(body string, data Params) map[string]int {
	values := map[string][]string{}
	for _, pair := range url.ParsePairs(body) {
		values[pair.Name] = append(values[pair.Name], pair.Value)
	}
	fields := map[string]int{}
	for name, has := range all(data) {
		of := values[name]
		if n := len(has) - len(of); n >= 0 && slices.Equal(has[n:], of) {
			fields[name] = len(of)
			delete(values, name)
		}
	}
	if len(values) > 0 {
		return nil
	}
	return fields
}

// errWaited means that the time of a run was over while it waited for timers or
// outbound requests.
var errWaited = errors.New("waited past its deadline for timers or outbound requests")

// explainWait makes the error of the run for errWaited.
func (r *run) explainWait() error {
	e := &ScriptError{Script: r.script, Version: r.tree.Version, Message: errWaited.Error(), Err: r.ctx.Err()}
	if !errors.Is(e.Err, context.DeadlineExceeded) {
		e.Message = "interrupted while it waited for timers or outbound requests"
	}
	return e
}
