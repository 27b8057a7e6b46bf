package sandbox

import (
	"net/http"
	"time"

	"example.com/callback"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/tree"
)

// A kind is the kind of a message.
type kind byte

const (
	// To the child.
	kindSetup     kind = 's' // setup; once, after the greeting
	kindCall      kind = 'c' // callMessage
	kindReply     kind = 'a' // the reply to the last question without a number
	kindCancel    kind = 'x' // cancelMessage; in place of a reply
	kindHTTPReply kind = 'h' // httpReply, by number, because several requests are under way

	// To the parent: the reply to setup.
	kindReady kind = 'y' // readyMessage

	// To the parent: the end of a call.
	kindResult kind = 'r' // resultMessage

	// To the parent: notices.
	kindLog     kind = 'l' // logMessage
	kindVerdict kind = 'v' // verdictMessage
	kindDrop    kind = 'd' // dropMessage

	// To the parent: questions, which the parent replies to.
	kindStat   kind = 'i' // statQuestion, statReply
	kindRead   kind = 'f' // readQuestion, readReply
	kindHTTP   kind = 'w' // httpQuestion
	kindInvoke kind = 'm' // invokeQuestion, invokeReply
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

// A statQuestion asks for the version of a file to run.
type statQuestion struct{ Name string }

func (m *statQuestion) kind() kind        { return kindStat }
func (m *statQuestion) encode(e *encoder) { e.string(m.Name) }
func (m *statQuestion) decode(d *decoder) { m.Name = d.string() }

type statReply struct {
	Err   error // the other field is meaningless if it is not nil
	Stamp tree.Stamp
}

func (m *statReply) kind() kind { return kindReply }

func (m *statReply) encode(e *encoder) {
	encodeError(e, m.Err)
	encodeStamp(e, &m.Stamp)
}

func (m *statReply) decode(d *decoder) {
	m.Err = decodeError(d)
	decodeStamp(d, &m.Stamp)
}

// A readQuestion asks for the text of a file.
type readQuestion struct{ Name string }

func (m *readQuestion) kind() kind        { return kindRead }
func (m *readQuestion) encode(e *encoder) { e.string(m.Name) }
func (m *readQuestion) decode(d *decoder) { m.Name = d.string() }

type readReply struct {
	Err  error // the other fields are meaningless if it is not nil
	File fileText

	// OnTrial means that no child has compiled File yet. This child compiles it
	// and sends a verdictMessage. If File does not compile, the child runs
	// Previous, if there is one.
	OnTrial  bool
	Previous *fileText
}

func (m *readReply) kind() kind { return kindReply }

func (m *readReply) encode(e *encoder) {
	encodeError(e, m.Err)
	m.File.encode(e)
	e.bool(m.OnTrial)
	e.bool(m.Previous != nil)
	if m.Previous != nil {
		m.Previous.encode(e)
	}
}

func (m *readReply) decode(d *decoder) {
	m.Err = decodeError(d)
	m.File.decode(d)
	m.OnTrial = d.bool()
	if d.bool() {
		m.Previous = new(fileText)
		m.Previous.decode(d)
	}
}

// A verdictMessage says whether the version on trial compiles.
type verdictMessage struct{ Err error } // nil means that it does

func (m *verdictMessage) kind() kind        { return kindVerdict }
func (m *verdictMessage) encode(e *encoder) { encodeError(e, m.Err) }
func (m *verdictMessage) decode(d *decoder) { m.Err = decodeError(d) }

func encodeStamp(e *encoder, s *tree.Stamp) {
	for _, part := range []int64{s.Sec, s.Nsec, s.Size, int64(s.Device), int64(s.Inode), s.ChangeSec, s.ChangeNsec} {
		e.int(part)
	}
	e.bytes(s.Sum[:])
}

func decodeStamp(d *decoder, s *tree.Stamp) {
	s.Sec, s.Nsec, s.Size = d.int(), d.int(), d.int()
	s.Device, s.Inode = uint64(d.int()), uint64(d.int())
	s.ChangeSec, s.ChangeNsec = d.int(), d.int()
	copy(s.Sum[:], d.bytes())
}

// A fileState is the state of a file of the scripts at one time.
type fileState struct {
	name   string
	absent bool
	stamp  tree.Stamp // zero if absent
}

func (f *fileState) encode(e *encoder) {
	e.string(f.name)
	e.bool(f.absent)
	encodeStamp(e, &f.stamp)
}

func (f *fileState) decode(d *decoder) {
	f.name = d.string()
	f.absent = d.bool()
	decodeStamp(d, &f.stamp)
}

// A fileText is one version of a file of the scripts.
type fileText struct {
	stamp tree.Stamp
	text  []byte // at most one byte more than MaxScriptSize
}

func (f *fileText) encode(e *encoder) {
	encodeStamp(e, &f.stamp)
	e.bytes(f.text)
}

func (f *fileText) decode(d *decoder) {
	decodeStamp(d, &f.stamp)
	f.text = d.bytes()
}

// A logMessage is a line for the call's Logger.
type logMessage struct {
	Level   uint64 // index in logLevels
	Message string
	Attrs   []logAttr
}

// A logAttr is a [slog.Attr] whose value is a number or a string.
type logAttr struct {
	Key      string
	IsNumber bool
	Number   int64  // if IsNumber
	Text     string // if not
}

func (m *logMessage) kind() kind { return kindLog }

func (m *logMessage) encode(e *encoder) {
	e.uint(m.Level)
	e.string(m.Message)
	e.uint(uint64(len(m.Attrs)))
	for i := range m.Attrs {
		a := &m.Attrs[i]
		e.string(a.Key)
		e.bool(a.IsNumber)
		if a.IsNumber {
			e.int(a.Number)
		} else {
			e.string(a.Text)
		}
	}
}

func (m *logMessage) decode(d *decoder) {
	m.Level = d.uint()
	m.Message = d.string()
	m.Attrs = make([]logAttr, d.count())
	for i := range m.Attrs {
		a := &m.Attrs[i]
		a.Key = d.string()
		if a.IsNumber = d.bool(); a.IsNumber {
			a.Number = d.int()
		} else {
			a.Text = d.string()
		}
	}
}

// An httpQuestion asks for an outbound request. Before the reply comes, the child
// may ask for other requests and other questions.
type httpQuestion struct {
	Number  uint64 // of this child's requests, over all calls
	Method  string
	URL     string
	Timeout time.Duration // at least zero
	Header  http.Header
	HasBody bool
	Body    []byte
}

func (m *httpQuestion) kind() kind { return kindHTTP }

func (m *httpQuestion) encode(e *encoder) {
	e.uint(m.Number)
	e.string(m.Method)
	e.string(m.URL)
	e.int(int64(m.Timeout))
	encodeHeader(e, m.Header)
	e.bool(m.HasBody)
	e.bytes(m.Body)
}

func (m *httpQuestion) decode(d *decoder) {
	m.Number = d.uint()
	m.Method = d.string()
	m.URL = d.text(maxURL)
	m.Timeout = time.Duration(d.int())
	m.Header = decodeHeader(d)
	m.HasBody = d.bool()
	m.Body = d.bytes()
}

type httpReply struct {
	Number        uint64
	CallCancelled bool // the script is to stop

	Err    error // the other fields are zero if it is not nil
	Status int
	Header http.Header
	Body   []byte
}

func (m *httpReply) kind() kind { return kindHTTPReply }

func (m *httpReply) encode(e *encoder) {
	e.uint(m.Number)
	e.bool(m.CallCancelled)
	encodeError(e, m.Err)
	e.uint(uint64(max(m.Status, 0)))
	encodeHeader(e, m.Header)
	e.bytes(m.Body)
}

func (m *httpReply) decode(d *decoder) {
	m.Number = d.uint()
	m.CallCancelled = d.bool()
	m.Err = decodeError(d)
	m.Status = int(d.uint())
	m.Header = decodeHeader(d)
	m.Body = d.bytes()
}

// A dropMessage gives up an outbound request, to which the parent then replies at
// once. The parent ignores it if it has replied already.
type dropMessage struct{ Number uint64 }

func (m *dropMessage) kind() kind        { return kindDrop }
func (m *dropMessage) encode(e *encoder) { e.uint(m.Number) }
func (m *dropMessage) decode(d *decoder) { m.Number = d.uint() }

func encodeHeader(e *encoder, header http.Header) {
	e.uint(uint64(len(header)))
	for name, values := range header {
		e.string(name)
		e.strings(values)
	}
}

func decodeHeader(d *decoder) http.Header {
	n := d.count()
	header := make(http.Header, n)
	for range n {
		name := d.string()
		header[name] = d.strings()
	}
	return header
}

// An invokeQuestion asks for a call of a host function.
type invokeQuestion struct {
	Function uint64 // index in the functions of the memberList
	Args     callback.Args
}

func (m *invokeQuestion) kind() kind { return kindInvoke }

func (m *invokeQuestion) encode(e *encoder) {
	e.uint(m.Function)
	e.uint(uint64(len(m.Args)))
	for _, arg := range m.Args {
		e.bytes(arg)
	}
}

func (m *invokeQuestion) decode(d *decoder) {
	m.Function = d.uint()
	m.Args = make(callback.Args, d.count())
	for i := range m.Args {
		m.Args[i] = d.bytes()
	}
}

type invokeReply struct {
	Failed bool
	Error  string // if Failed
	Value  []byte // JSON, if not
}

func (m *invokeReply) kind() kind { return kindReply }

func (m *invokeReply) encode(e *encoder) {
	e.bool(m.Failed)
	e.string(m.Error)
	e.bytes(m.Value)
}

func (m *invokeReply) decode(d *decoder) {
	m.Failed = d.bool()
	m.Error = d.string()
	m.Value = d.bytes()
}
