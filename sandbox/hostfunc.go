package sandbox

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"maps"
	"slices"

	"example.com/callback"
	"example.com/callback/internal/host"
	"example.com/callback/internal/limit"
)

// A memberList describes the call's Members and Globals to a child. It has names
// in place of functions. A function's position is the number by which the child
// asks for it.
type memberList []memberEntry

type memberEntry struct {
	Global bool      // of Globals, not of Members
	Func   funcEntry // the member's own; its name is the member's
	Script string
	Funcs  []funcEntry
}

// A funcEntry is a function of the host. Functions are numbered from zero in the
// order of the list, missing ones included.
type funcEntry struct {
	Name    string
	Missing bool // the host's function is nil
}

func (list memberList) encode(e *encoder) {
	e.uint(uint64(len(list)))
	for i := range list {
		m := &list[i]
		e.bool(m.Global)
		m.Func.encode(e)
		e.string(m.Script)
		e.uint(uint64(len(m.Funcs)))
		for j := range m.Funcs {
			m.Funcs[j].encode(e)
		}
	}
}

func (list *memberList) decode(d *decoder) {
	*list = make(memberList, d.count())
	for i := range *list {
		m := &(*list)[i]
		m.Global = d.bool()
		m.Func.decode(d)
		m.Script = d.string()
		m.Funcs = make([]funcEntry, d.count())
		for j := range m.Funcs {
			m.Funcs[j].decode(d)
		}
	}
}

func (f *funcEntry) encode(e *encoder) {
	e.string(f.Name)
	e.bool(f.Missing)
}

func (f *funcEntry) decode(d *decoder) {
	f.Name = d.string()
	f.Missing = d.bool()
}

// A hostFunc is a function that a child can ask for.
type hostFunc struct {
	name string
	f    callback.HostFunc // may be nil
}

// listMembers returns the list of the call's members and their functions by
// number.
func listMembers(call *callback.Call) (memberList, []hostFunc) {
	n := len(call.Members) + len(call.Globals)
	list := make(memberList, 0, n)
	functions := make([]hostFunc, 0, n)
	entry := func(name string, f callback.HostFunc) funcEntry {
		functions = append(functions, hostFunc{name, f})
		return funcEntry{Name: name, Missing: f == nil}
	}
	add := func(members callback.Members, global bool) {
		for _, name := range slices.Sorted(maps.Keys(members)) {
			m := members[name]
			e := memberEntry{Global: global, Func: entry(name, m.Func), Script: m.Script}
			for _, name := range slices.Sorted(maps.Keys(m.Funcs)) {
				e.Funcs = append(e.Funcs, entry(name, m.Funcs[name]))
			}
			list = append(list, e)
		}
	}
	add(call.Members, false)
	add(call.Globals, true)
	return list, functions
}

// newMembers makes Members and Globals of a list: their functions ask the parent.
func (w *worker) newMembers(list memberList) (members, globals callback.Members) {
	number := uint64(0)
	function := func(e funcEntry) (f callback.HostFunc) {
		if !e.Missing {
			f = w.hostFunc(number)
		}
		number++
		return f
	}
	members, globals = callback.Members{}, callback.Members{}
	for _, entry := range list {
		m := callback.Member{
			Func:   function(entry.Func),
			Script: entry.Script,
			Funcs:  make(map[string]callback.HostFunc, len(entry.Funcs)),
		}
		for _, f := range entry.Funcs {
			m.Funcs[f.Name] = function(f)
		}
		if entry.Global {
			globals[entry.Func.Name] = m
		} else {
			members[entry.Func.Name] = m
		}
	}
	return members, globals
}

// hostFunc returns a function that has the parent call one of the host's.
func (w *worker) hostFunc(number uint64) callback.HostFunc {
	return func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
		var reply invokeReply
		if err := w.task.ask(&invokeQuestion{Function: number, Args: args}, &reply); err != nil {
			return nil, err
		}
		if reply.Failed {
			return nil, errors.New(reply.Error)
		}
		return json.RawMessage(reply.Value), nil
	}
}

// encodeMembers returns the encoded list of the call's Members, or nil if the
// child's last call had the same list.
func (s *session) encodeMembers() []byte {
	if len(s.call.Members)+len(s.call.Globals) == 0 && len(s.child.members) == 1 {
		return nil // the encoded list is the number of its entries: zero
	}
	list, functions := listMembers(s.call)
	s.functions = functions
	var e encoder
	list.encode(&e)
	if bytes.Equal(e.b, s.child.members) {
		return nil
	}
	s.child.members = e.b
	return e.b
}

// answerInvoke calls a function of the host.
func (s *session) answerInvoke(m *invokeQuestion) error {
	if len(m.Args) > limit.Args {
		return errFrame
	}
	remaining := s.limits.args
	for _, arg := range m.Args {
		if remaining -= int64(len(arg)); remaining < 0 || !compactJSON(arg) {
			return errFrame
		}
	}
	if m.Function >= uint64(len(s.functions)) || s.functions[m.Function].f == nil {
		return errFrame
	}
	f := s.functions[m.Function]
	reply := invokeReply{Failed: true, Error: context.DeadlineExceeded.Error()}
	err := s.waitForHost(func() {
		value, err := host.Call(f.name, func() (any, error) { return f.f(s.ctx, s.call, m.Args) }, s.logHostFault)
		if err != nil {
			reply = invokeReply{Failed: true, Error: err.Error()}
			return
		}
		reply = invokeReply{Value: value}
	})
	if err != nil {
		return err
	}
	return s.reply(&reply)
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
