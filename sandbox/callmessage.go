package sandbox

import (
	"time"

	"example.com/callback"
	"example.com/callback/internal/limit"
)

// A callMessage begins a call.
type callMessage struct {
	Call      *callback.Call // without HTTP, Logger, Members, Globals and Usage
	Tree      treeName       // of the scripts
	HasHTTP   bool           // Call.HTTP is not nil
	HasUsage  bool           // Call.Usage is not nil
	Remaining time.Duration  // until the deadline; zero means that there is none
	Levels    uint64         // set of the levels that Call.Logger takes, by index in logLevels
	Files     []fileState    // files that the script is known to need

	// Members is an encoded memberList. nil means the list of the previous call.
	Members []byte
}

func (m *callMessage) kind() kind { return kindCall }

func (m *callMessage) encode(e *encoder) {
	e.int(int64(m.Remaining))
	e.uint(m.Levels)
	e.string(m.Call.APIKey)
	e.string(m.Call.Credential)
	e.string(m.Call.PlayerID)
	e.string(m.Call.RunID)
	e.string(m.Call.ClientIP)
	encodeParams(e, m.Call.Data)
	encodeParams(e, m.Call.RequestHeaders)
	e.string(m.Call.Method)
	e.string(m.Call.Script)
	e.string(m.Call.Version)
	e.optional(m.Call.Input)
	e.optional(m.Call.Body)
	e.int(m.Call.MaxArgs)
	e.int(m.Call.MaxResult)
	m.Tree.encode(e)
	e.bool(m.HasHTTP)
	e.bool(m.HasUsage)
	e.int(int64(m.Call.HTTPTimeout))
	e.bool(!m.Call.Now.IsZero())
	e.time(m.Call.Now)
	e.uint(m.Call.Seed)
	e.uint(uint64(len(m.Files)))
	for i := range m.Files {
		m.Files[i].encode(e)
	}
	e.optional(m.Members)
}

func (m *callMessage) decode(d *decoder) {
	m.Remaining = time.Duration(d.int())
	m.Levels = d.uint()
	m.Call = &callback.Call{
		APIKey:         d.string(),
		Credential:     d.string(),
		PlayerID:       d.string(),
		RunID:          d.string(),
		ClientIP:       d.string(),
		Data:           decodeParams(d),
		RequestHeaders: decodeParams(d),
		Method:         d.string(),
		Script:         d.string(),
		Version:        d.string(),
		Input:          d.optional(),
		Body:           d.optional(),
		MaxArgs:        d.int(),
		MaxResult:      d.int(),
	}
	m.Tree.decode(d)
	m.HasHTTP = d.bool()
	m.HasUsage = d.bool()
	m.Call.HTTPTimeout = time.Duration(d.int())
	hasNow, now := d.bool(), d.time()
	if hasNow {
		m.Call.Now = now
	}
	m.Call.Seed = d.uint()
	m.Files = make([]fileState, d.count())
	for i := range m.Files {
		m.Files[i].decode(d)
	}
	m.Members = d.optional()
}

// encodeParams keeps nil and empty apart.
func encodeParams(e *encoder, params []callback.Param) {
	e.bool(params != nil)
	e.uint(uint64(len(params)))
	for i := range params {
		e.string(params[i].Name)
		e.strings(params[i].Values)
	}
}

func decodeParams(d *decoder) []callback.Param {
	notNil, n := d.bool(), d.count()
	if !notNil {
		return nil
	}
	params := make([]callback.Param, n)
	for i := range params {
		params[i].Name = d.string()
		params[i].Values = d.strings()
	}
	return params
}

// A cancelMessage replaces a reply when the call is cancelled. The child then
// stops the script. It has no fields.
type cancelMessage struct{}

func (*cancelMessage) kind() kind      { return kindCancel }
func (*cancelMessage) encode(*encoder) {}

// A resultMessage ends a call.
type resultMessage struct {
	Spent  bool             // the child has to be replaced
	Err    error            // why there is no Result
	Result *callback.Result // nil if and only if Err is not

	// As in callback.Usage. They are zero unless the call HasUsage.
	Computed time.Duration
	Version  string
}

func (m *resultMessage) kind() kind { return kindResult }

func (m *resultMessage) encode(e *encoder) {
	e.bool(m.Spent)
	e.int(int64(m.Computed))
	e.string(m.Version)
	encodeError(e, m.Err)
	if m.Err == nil {
		encodeFields(e, m.Result.Data)
		encodeFields(e, m.Result.Errors)
		e.optional(m.Result.Raw)
		e.uint(uint64(len(m.Result.Where)))
		for name, at := range m.Result.Where {
			e.string(name)
			e.string(at.Script)
			e.int(int64(at.Line))
			e.int(int64(at.Column))
		}
	}
}

func (m *resultMessage) decode(d *decoder) {
	m.Spent = d.bool()
	m.Computed = time.Duration(d.int())
	m.Version = d.string()
	if m.Err = decodeError(d); m.Err == nil && !d.bad {
		m.Result = &callback.Result{Data: decodeFields(d), Errors: decodeFields(d), Raw: d.optional()}
		m.Result.Where = decodePositions(d)
	}
}

// decodePositions decodes Result.Where.
func decodePositions(d *decoder) map[string]callback.Position {
	const reserved = 2 // number of names that may have one
	n := d.count()
	switch {
	case n == 0:
		return nil
	case n > reserved:
		d.fail()
		return nil
	}
	where := make(map[string]callback.Position, n)
	for range n {
		where[d.string()] = callback.Position{Script: limit.Text(d.string(), maxErrorText), Line: int(d.int()), Column: int(d.int())}
	}
	return where
}

func encodeFields(e *encoder, fields []callback.Field) {
	e.uint(uint64(len(fields)))
	for i := range fields {
		e.string(fields[i].Name)
		e.bytes(fields[i].Value)
	}
}

func decodeFields(d *decoder) []callback.Field {
	n := d.count()
	if n == 0 {
		return nil
	}
	fields := make([]callback.Field, n)
	for i := range fields {
		fields[i] = callback.Field{Name: d.string(), Value: d.bytes()}
	}
	return fields
}
