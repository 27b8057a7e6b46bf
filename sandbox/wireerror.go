package sandbox

import (
	"context"
	"errors"
	"io/fs"
	"net"

	"code.dny.dev/ssrf"

	"example.com/callback"
	"example.com/callback/internal/limit"
)

// An errorKind is an error that the other process must recognise.
type errorKind uint64

const (
	noError         errorKind = iota
	textError                 // any other; followed by its text
	scriptError               // *callback.ScriptError; followed by its fields
	noScriptError             // callback.ErrNoScript
	overloadedError           // callback.ErrOverloaded
	deadlineError             // context.DeadlineExceeded
	canceledError             // context.Canceled
	notExistError             // fs.ErrNotExist
	noHostError               // *net.DNSError
	netError                  // *net.OpError; followed by its operation and text
	addressError              // of the guard against addresses that are not public
)

func errorKindOf(err error) errorKind {
	var script *callback.ScriptError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case err == nil:
		return noError
	case errors.As(err, &script):
		return scriptError
	case errors.Is(err, callback.ErrNoScript):
		return noScriptError
	case errors.Is(err, callback.ErrOverloaded):
		return overloadedError
	case errors.Is(err, context.DeadlineExceeded):
		return deadlineError
	case errors.Is(err, context.Canceled):
		return canceledError
	case errors.Is(err, fs.ErrNotExist):
		return notExistError
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork), errors.Is(err, ssrf.ErrProhibitedPort):
		return addressError
	case errors.As(err, &dns):
		return noHostError
	case errors.As(err, &op) && op.Err != nil:
		return netError
	}
	return textError
}

// encodeError encodes what the other process needs to know of err.
func encodeError(e *encoder, err error) {
	k := errorKindOf(err)
	e.uint(uint64(k))
	switch k {
	case textError:
		e.string(err.Error())
	case scriptError:
		var script *callback.ScriptError
		errors.As(err, &script)
		e.string(script.Script)
		e.int(int64(script.Line))
		e.int(int64(script.Column))
		e.string(script.Message)
		e.string(script.Stack)
		e.string(script.Version)
		if inner, ok := script.Err.(*callback.ScriptError); ok {
			encodeError(e, errors.New(inner.Message)) // the library nests none; decodeError refuses it
		} else {
			encodeError(e, script.Err)
		}
	case netError:
		var op *net.OpError
		errors.As(err, &op)
		e.string(op.Op)
		e.string(op.Err.Error())
	}
}

// Limits of the errors of a child.
const (
	maxErrorText  = 8 << 10
	maxErrorStack = 64 << 10
	maxVersion    = 256
)

// decodeError returns the error that encodeError was given, as far as it was
// encoded.
func decodeError(d *decoder) error { return decodeErrorAt(d, 0) }

func decodeErrorAt(d *decoder, depth int) error {
	switch errorKind(d.uint()) {
	case noError:
		return nil
	case textError:
		return errors.New(limit.Text(d.string(), maxErrorText))
	case scriptError:
		if depth > 0 {
			break
		}
		return &callback.ScriptError{
			Script:  limit.Text(d.string(), maxErrorText),
			Line:    int(d.int()),
			Column:  int(d.int()),
			Message: limit.Text(d.string(), maxErrorText),
			Stack:   limit.Text(d.string(), maxErrorStack),
			Version: limit.Text(d.string(), maxVersion),
			Err:     decodeErrorAt(d, depth+1),
		}
	case noScriptError:
		return callback.ErrNoScript
	case overloadedError:
		return callback.ErrOverloaded
	case deadlineError:
		return context.DeadlineExceeded
	case canceledError:
		return context.Canceled
	case notExistError:
		return fs.ErrNotExist
	case noHostError:
		return &net.DNSError{}
	case netError:
		return &net.OpError{Op: limit.Text(d.string(), maxErrorText), Err: errors.New(limit.Text(d.string(), maxErrorText))}
	case addressError:
		return ssrf.ErrProhibitedIP
	}
	d.fail()
	return errFrame
}
