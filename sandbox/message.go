package sandbox

import (
	"context"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"time"

	"code.dny.dev/ssrf"

	"example.com/callback"
	"example.com/callback/internal/limit"
)

// A setup tells a child, once, what it works under.
type setup struct {
	maxMemory     int64
	maxScriptSize int64
	zone          string // the name of time.Local
	zoneOffset    int64  // seconds, for a zone that only the host knows
	hasTZ         bool   // the host's environment has a TZ: a child's is empty
	tz            string
}

func (s *setup) encode(e *encoder) {
	e.int(s.maxMemory)
	e.int(s.maxScriptSize)
	e.string(s.zone)
	e.int(s.zoneOffset)
	e.bool(s.hasTZ)
	e.string(s.tz)
}

func (s *setup) decode(d *decoder) {
	s.maxMemory = d.int()
	s.maxScriptSize = d.int()
	s.zone = d.string()
	s.zoneOffset = d.int()
	s.hasTZ = d.bool()
	s.tz = d.string()
}

// A stamp tells versions of a file apart, as [callback.GojaRunner] does.
type stamp struct {
	modTime time.Time
	size    int64
}

func stampOf(info fs.FileInfo) stamp { return stamp{info.ModTime(), info.Size()} }

func (s stamp) equal(t stamp) bool { return s.size == t.size && s.modTime.Equal(t.modTime) }

func (s stamp) encode(e *encoder) {
	e.time(s.modTime)
	e.int(s.size)
}

func decodeStamp(d *decoder) stamp { return stamp{d.time(), d.int()} }

// A fileState is what a call says in advance of a file of the scripts.
type fileState struct {
	name   string
	absent bool
	stamp  stamp
}

// encodeCall encodes what a call consists of, but for its Members.
func encodeCall(e *encoder, call *callback.Call, left time.Duration, levels uint64, files []fileState) {
	e.int(int64(left)) // until the deadline; 0: none
	e.uint(levels)
	e.string(call.APIKey)
	e.string(call.Credential)
	e.string(call.PlayerID)
	e.string(call.RunID)
	e.string(call.ClientIP)
	encodeParams(e, call.Data)
	encodeParams(e, call.RequestHeaders)
	e.bool(call.HTTP != nil)
	e.int(int64(call.HTTPTimeout))
	e.bool(!call.Now.IsZero())
	e.time(call.Now)
	e.uint(call.Seed)
	e.uint(uint64(len(files)))
	for i := range files {
		e.string(files[i].name)
		e.bool(files[i].absent)
		files[i].stamp.encode(e)
	}
}

// decodeCall decodes what encodeCall has encoded. HTTP, if there is one, and
// Members are for the caller to fill in.
func decodeCall(d *decoder) (call *callback.Call, left time.Duration, levels uint64, hasHTTP bool, files []fileState) {
	left = time.Duration(d.int())
	levels = d.uint()
	call = &callback.Call{
		APIKey:         d.string(),
		Credential:     d.string(),
		PlayerID:       d.string(),
		RunID:          d.string(),
		ClientIP:       d.string(),
		Data:           decodeParams(d),
		RequestHeaders: decodeParams(d),
	}
	hasHTTP = d.bool()
	call.HTTPTimeout = time.Duration(d.int())
	hasNow, now := d.bool(), d.time()
	if hasNow {
		call.Now = now
	}
	call.Seed = d.uint()
	files = make([]fileState, d.count())
	for i := range files {
		files[i] = fileState{d.string(), d.bool(), decodeStamp(d)}
	}
	return call, left, levels, hasHTTP, files
}

// encodeParams keeps nil and empty apart.
func encodeParams(e *encoder, params []callback.Param) {
	e.bool(params != nil)
	e.uint(uint64(len(params)))
	for i := range params {
		e.string(params[i].Name)
		e.uint(uint64(len(params[i].Values)))
		for _, value := range params[i].Values {
			e.string(value)
		}
	}
}

func decodeParams(d *decoder) []callback.Param {
	some, n := d.bool(), d.count()
	if !some {
		return nil
	}
	params := make([]callback.Param, n)
	for i := range params {
		params[i].Name = d.string()
		params[i].Values = make([]string, d.count())
		for j := range params[i].Values {
			params[i].Values[j] = d.string()
		}
	}
	return params
}

// encodeHeader encodes the fields of an HTTP message.
func encodeHeader(e *encoder, header http.Header) {
	e.uint(uint64(len(header)))
	for name, values := range header {
		e.string(name)
		e.uint(uint64(len(values)))
		for _, value := range values {
			e.string(value)
		}
	}
}

func decodeHeader(d *decoder) http.Header {
	n := d.count()
	header := make(http.Header, n)
	for range n {
		name := d.string()
		values := make([]string, d.count())
		for i := range values {
			values[i] = d.string()
		}
		header[name] = values
	}
	return header
}

// The errors that must be told apart on the other side.
const (
	noError = iota
	textError
	scriptError
	noScriptError
	overloadedError
	deadlineError
	canceledError
	notExistError
	noHostError // net.DNSError
	netError    // net.OpError
	addressError
)

// encodeError encodes what the other side must know of err.
func encodeError(e *encoder, err error) {
	var script *callback.ScriptError
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case err == nil:
		e.uint(noError)
	case errors.As(err, &script):
		e.uint(scriptError)
		e.string(script.Script)
		e.int(int64(script.Line))
		e.int(int64(script.Column))
		e.string(script.Message)
		e.string(script.Stack)
		if inner, ok := script.Err.(*callback.ScriptError); ok {
			encodeError(e, errors.New(inner.Message)) // one inside the other: not one of the library's
		} else {
			encodeError(e, script.Err)
		}
	case errors.Is(err, callback.ErrNoScript):
		e.uint(noScriptError)
	case errors.Is(err, callback.ErrOverloaded):
		e.uint(overloadedError)
	case errors.Is(err, context.DeadlineExceeded):
		e.uint(deadlineError)
	case errors.Is(err, context.Canceled):
		e.uint(canceledError)
	case errors.Is(err, fs.ErrNotExist):
		e.uint(notExistError)
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork), errors.Is(err, ssrf.ErrProhibitedPort):
		e.uint(addressError)
	case errors.As(err, &dns):
		e.uint(noHostError)
	case errors.As(err, &op) && op.Err != nil:
		e.uint(netError)
		e.string(op.Op)
		e.string(op.Err.Error())
	default:
		e.uint(textError)
		e.string(err.Error())
	}
}

// Limits of what a child's errors may say.
const (
	maxErrorText  = 8 << 10
	maxErrorStack = 64 << 10
)

// decodeError makes an error again.
func decodeError(d *decoder) error { return decodeErrorAt(d, 0) }

func decodeErrorAt(d *decoder, depth int) error {
	switch kind := d.uint(); kind {
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

func encodeResult(e *encoder, result *callback.Result, err error, spent bool) {
	e.bool(spent)
	encodeError(e, err)
	if err != nil {
		return
	}
	encodeFields(e, result.Data)
	encodeFields(e, result.Errors)
}

func encodeFields(e *encoder, fields []callback.Field) {
	e.uint(uint64(len(fields)))
	for i := range fields {
		e.string(fields[i].Name)
		e.bytes(fields[i].Value)
	}
}
