package engine

import (
	"cmp"
	"encoding/json"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/host"
	"example.com/callback/internal/lazy"
	"example.com/callback/internal/limit"
)

// hostMember makes a member of the host, or returns nil. Scripts call it
// owner+name.
func (r *run) hostMember(members Members, owner, name string) goja.Value {
	script, ok := members.Script(name)
	if !ok {
		return nil
	}
	if script == "" {
		return r.hostFunction(members, name, "")
	}
	functions := r.vm.NewObject()
	for _, function := range members.Functions(name) {
		ecma.Define(functions, function, r.hostFunction(members, name, function))
	}
	program, err := r.engine.cache.memberProgram(owner+name, script)
	if err != nil {
		ecma.Throw(r.vm, "%s: %s", owner+name, err.Error())
	}
	value, err := r.vm.RunProgram(r.prepare(program))
	if err != nil {
		panic(err)
	}
	function, ok := goja.AssertFunction(value)
	if !ok {
		ecma.Throw(r.vm, "%s: the host's script is not a function expression", owner+name)
	}
	member, err := function(goja.Undefined(), functions, r.objects.spark)
	if err != nil {
		panic(err)
	}
	return member
}

// hostFunction makes a JavaScript function of a host's member or, if function is not
// empty, of one of the member's functions.
func (r *run) hostFunction(members Members, member, function string) goja.Value {
	name := cmp.Or(function, member)
	return lazy.Function(r.vm, name, func(call goja.FunctionCall) goja.Value {
		if len(call.Arguments) > limit.Args {
			ecma.Throw(r.vm, "%s: more than %d arguments", name, limit.Args)
		}
		args := make([]json.RawMessage, len(call.Arguments))
		budget := r.call.MaxArgs
		for i, arg := range call.Arguments {
			text, ok := r.toJSON(arg)
			if !ok {
				text = []byte("null")
			}
			if budget -= int64(len(text)); budget < 0 {
				ecma.Throw(r.vm, "%s: arguments are over the limit of %d bytes", name, r.call.MaxArgs)
			}
			args[i] = text
		}
		var result []byte
		var err error
		r.wait(func() {
			result, err = host.Call(name, func() (any, error) {
				return members.Call(r.ctx, r.call.Host, member, function, args)
			}, r.logError)
		})
		if err != nil {
			ecma.Throw(r.vm, "%s", err.Error())
		}
		return r.fromJSON(string(result))
	})
}
