package callback

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"example.com/callback/internal/engine"
	"example.com/callback/internal/host"
	"example.com/callback/internal/limit"
)

// The functions below give the engine what a script's Spark object shows of a
// call, and take what the script has set. The Spark object itself is in
// internal/engine/spark.go.

// engineCall is a call as the engine gets it.
func engineCall(call *Call) engine.Call {
	return engine.Call{
		APIKey:     call.APIKey,
		Credential: call.Credential,
		Script:     call.Script,

		Host:    (*engineHost)(call),
		Members: engineMembers(call.Members),
		Globals: engineMembers(call.Globals),

		HTTP:        call.HTTP,
		HTTPTimeout: cmp.Or(call.HTTPTimeout, DefaultHTTPTimeout),
		MaxArgs:     cmp.Or(call.MaxArgs, limit.ArgBytes),
		MaxResult:   cmp.Or(call.MaxResult, limit.ResultBytes(defaultMaxResponse)),
		Logger:      call.Logger,

		Now:  call.Now,
		Seed: call.Seed,

		Measure: call.Usage != nil,
	}
}

// An engineHost is a Call as an [engine.Host].
type engineHost Call

func (h *engineHost) Request() engine.Request {
	r := engine.Request{
		PlayerID: h.PlayerID,
		RunID:    h.RunID,
		ClientIP: h.ClientIP,
		Method:   h.Method,

		Data:    (*params)(&h.Data),
		Input:   h.Input,
		Body:    h.Body,
		HasBody: hasBody(h.Method),
	}
	if h.RequestHeaders != nil {
		r.Headers = (*params)(&h.RequestHeaders)
	}
	return r
}

// params implement [engine.Params].
type params []Param

func (p *params) Len() int { return len(*p) }

func (p *params) At(i int) (name string, values []string) { return (*p)[i].Name, (*p)[i].Values }

// engineMembers implement [engine.Members].
type engineMembers Members

func (ms engineMembers) Names() []string { return slices.Sorted(maps.Keys(ms)) }

func (ms engineMembers) Script(name string) (script string, ok bool) {
	m, ok := ms[name]
	return m.Script, ok
}

func (ms engineMembers) Functions(member string) []string {
	return slices.Sorted(maps.Keys(ms[member].Funcs))
}

func (ms engineMembers) Call(ctx context.Context, of engine.Host, member, function string, args []json.RawMessage) (any, error) {
	name, f := member, ms[member].Func
	if function != "" {
		name, f = function, ms[member].Funcs[function]
	}
	if f == nil {
		return nil, host.NotSupplied(name)
	}
	return f(ctx, (*Call)(of.(*engineHost)), Args(args))
}

// newResult makes a Result, with memory for the fields of most.
func newResult(of engine.Result) *Result {
	r := new(struct {
		Result
		fields [3]Field
	})
	r.Data, r.Raw = appendFields(r.fields[:0], of.Data), of.Raw
	r.Errors = appendFields(nil, of.Errors)
	for name, at := range of.Where {
		if r.Where == nil {
			r.Where = map[string]Position{}
		}
		r.Where[name] = Position(at)
	}
	return &r.Result
}

func appendFields(dst []Field, fields []engine.Field) []Field {
	if len(fields) == 0 {
		return nil
	}
	dst = slices.Grow(dst, len(fields))
	for i := range fields {
		dst = append(dst, Field(fields[i]))
	}
	return dst
}

// runError is an error of the engine as a [ScriptRunner] returns it.
func runError(err error) error {
	switch e := err.(type) {
	case *engine.ScriptError:
		return (*ScriptError)(e)
	case *engine.Refusal:
		return fmt.Errorf("%w: %w", ErrOverloaded, e.Reason)
	case *engine.FileError:
		return fmt.Errorf("%w: %w", ErrUnavailable, e)
	}
	if err == engine.ErrNoScript {
		return ErrNoScript
	}
	return err
}
