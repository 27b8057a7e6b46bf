package callback

import (
	"context"
	crand "crypto/rand"
	"encoding/binary"
	"errors"
	"io"
	"log/slog"
	"math/rand/v2"

	"github.com/dop251/goja"

	"example.com/callback/internal/limit"
	"example.com/callback/internal/web"
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
		})
	}
	return r.web.Get(name)
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
	e := &ScriptError{Script: r.script, Message: errWaited.Error(), Err: r.ctx.Err()}
	if !errors.Is(e.Err, context.DeadlineExceeded) {
		e.Message = "interrupted while it waited for timers or outbound requests"
	}
	return e
}
