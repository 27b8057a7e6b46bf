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

	"github.com/dop251/goja"

	"example.com/callback/internal/host"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/web"
	"example.com/callback/internal/web/fetch"
)

// standardGlobal makes the standard global of a name, or returns nil if there is
// none.
func (r *run) standardGlobal(name string) goja.Value {
	if !web.Has(name) {
		return nil
	}
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
	return r.web.Get(name)
}

// send sends a request of fetch. It touches nothing of the runtime; what it has to
// log, report does.
func (r *run) send(ctx context.Context, out *fetch.Outbound) (_ fetch.Answer, err error, report func()) {
	var failures []func()
	report = func() {
		for _, log := range failures {
			log()
		}
	}
	if r.call.HTTP == nil {
		return fetch.Answer{}, errNoHTTP, report
	}
	var body io.Reader
	if out.Body != nil {
		body = bytes.NewReader(out.Body)
	}
	req, err := host.NewRequest(ctx, out.Method, out.URL, out.Header, body)
	if err != nil {
		return fetch.Answer{}, err, report
	}
	answer, err := host.Send(r.call.HTTP.Do, req, math.MaxInt64, func(message string, attrs ...any) {
		failures = append(failures, func() { r.logError(message, attrs...) })
	})
	return fetch.Answer{Status: answer.Status, Header: answer.Header, Body: answer.Body}, err, report
}

// explainHTTP logs why an outbound request has no answer, and returns it in words.
func (r *run) explainHTTP(to string, err error) string {
	reason := httpFailure(err)
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
// outbound requests. The error is that of the script so far, or the first of a
// task.
func (r *run) runLoop(err error) error {
	loop := r.web.Loop
	defer loop.Close(r.ctx)
	for err == nil && loop.Pending() {
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
