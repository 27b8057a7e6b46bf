package engine

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/web"
)

// Limits of the text of an error.
const (
	maxStackLines = 32
	maxFuncName   = 200 // in a stack
	maxMessage    = 4 << 10
)

// A rejection is a rejected promise with the stack of its rejection.
type rejection struct {
	promise *goja.Promise
	stack   []goja.StackFrame
}

// trackRejection keeps the rejected promises that have no handler.
func (r *run) trackRejection(p *goja.Promise, op goja.PromiseRejectionOperation) {
	if op == goja.PromiseRejectionReject {
		r.rejected = append(r.rejected, rejection{p, r.vm.CaptureCallStack(maxStackLines, nil)})
		return
	}
	for i := range r.rejected {
		if r.rejected[i].promise == p {
			r.rejected = append(r.rejected[:i], r.rejected[i+1:]...)
			return
		}
	}
}

// explain turns an error of the engine into a Go error. An error of the engine is
// never printed, wrapped or compared, because that can run script code without
// end and without a way to recover. explain reads it inside the runtime.
func (r *run) explain(err error) error {
	switch err {
	case errWaited:
		return r.explainWait()
	case web.ErrUnsettled:
		at := r.unsettledAt()
		return &ScriptError{Script: at.Script, Line: at.Line, Column: at.Column, Version: r.tree.Version, Message: err.Error()}
	case web.ErrNoHandler, web.ErrNoResponse, web.ErrBodyUsed:
		return &ScriptError{Script: r.script, Version: r.tree.Version, Message: err.Error()}
	}
	e := &ScriptError{Script: r.script, Version: r.tree.Version}
	switch x := err.(type) {
	case *goja.InterruptedError:
		e.setStack(x.Stack())
		if e.Line == 0 {
			e.setStack(r.haltedAt)
		}
		e.Err = r.ctx.Err()
		e.Message = "interrupted"
		if errors.Is(e.Err, context.DeadlineExceeded) {
			e.Message = "ran past its deadline"
		}
	case *goja.StackOverflowError:
		e.setStack(x.Stack())
		e.Message = "RangeError: Maximum call stack size exceeded"
	case *goja.Exception:
		e.setStack(x.Stack())
		e.Message = r.meant(r.describe(x.Value()))
		r.decideNull(e)
	default:
		e.Message = fmt.Sprintf("failed with a %T", err)
	}
	return e
}

// explainRejection makes the error for a rejected promise.
func (r *run) explainRejection(rejected rejection) error {
	e := &ScriptError{Script: r.script, Version: r.tree.Version}
	reason := rejected.promise.Result()
	if ex := r.vm.Try(func() { panic(reason) }); ex != nil {
		e.setStack(ex.Stack()) // where the script made an Error
	}
	if e.Line == 0 {
		e.setStack(rejected.stack)
	}
	e.Message = r.meant(r.describe(reason))
	return e
}

// describe returns the text of a thrown value. Reading it may run script code,
// which gets half of runGrace.
func (r *run) describe(v goja.Value) string {
	object, ok := v.(*goja.Object)
	if !ok {
		return "Uncaught " + limit.Text(v.String(), maxMessage)
	}
	text := "Uncaught exception"
	if r.stopped() {
		return text
	}
	// An interrupt ends everything that follows.
	defer time.AfterFunc(runGrace/2, func() { r.vm.Interrupt(nil) }).Stop()
	func() {
		defer func() { _ = recover() }() // an interrupt or a panic of the engine
		r.vm.Try(func() {
			name, message := object.Get("name"), object.Get("message")
			if message != nil && !goja.IsUndefined(message) {
				text = limit.Text(message.String(), maxMessage)
				if name != nil && !goja.IsUndefined(name) {
					text = limit.Text(name.String(), 100) + ": " + text
				}
				return
			}
			if json, ok := jsjson.Append(nil, r.vm, object, jsjson.Limits{MaxBytes: maxMessage, Ctx: r.ctx}); ok {
				text = "Uncaught " + string(json)
			}
		})
	}()
	return text
}

// positionOf is the innermost position on a stack that is in a script, or else in
// code of eval or of a host's member.
func positionOf(frames []goja.StackFrame) Position {
	var other Position
	for i := range frames {
		at := frames[i].Position()
		switch {
		case at.Line == 0 || at.Filename == jsjson.OwnProgram: // native
		case cloudcode.IsScript(at.Filename):
			return Position{at.Filename, at.Line, at.Column}
		case other.Line == 0:
			other = Position{at.Filename, at.Line, at.Column}
		}
	}
	return other
}

// setStack sets the position and the stack.
func (e *ScriptError) setStack(frames []goja.StackFrame) {
	if at := positionOf(frames); at.Line != 0 {
		e.Script, e.Line, e.Column = cmp.Or(at.Script, e.Script), at.Line, at.Column
	}
	var text strings.Builder
	for i := range frames[:min(len(frames), maxStackLines)] {
		f := &frames[i]
		if at := f.Position(); at.Line != 0 && at.Filename != jsjson.OwnProgram { // else native
			fmt.Fprintf(&text, "at %s (%s:%d:%d)\n", limit.Text(f.FuncName(), maxFuncName), cmp.Or(at.Filename, "eval"), at.Line, at.Column)
		}
	}
	e.Stack = strings.TrimSuffix(text.String(), "\n")
}

// A member is a member of a class.
type member struct{ class, name string }

// meant adds "did you mean" to the message of an exception, if the exception is
// about the last member that a script looked for in vain.
func (r *run) meant(message string) string {
	message = sayNull(message)
	m := r.missed
	if m == nil || message != "TypeError: Object has no member '"+m.name+"'" {
		return message
	}
	message = "TypeError: " + m.class + " has no member " + m.name
	known := Carried(m.class)
	if m.class == sparkClass.Name {
		known = append(known, r.call.Members.Names()...)
	}
	if near := cloudcode.Nearest(m.name, cloudcode.Members(m.class), known); near != "" {
		message += ": did you mean " + near + "?"
	}
	return message
}
