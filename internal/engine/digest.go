package engine

import (
	"github.com/dop251/goja"

	"example.com/callback/internal/digest"
	"example.com/callback/internal/ecma"
	"example.com/callback/internal/lazy"
)

func (r *run) getDigester(lazy.Call) goja.Value {
	if r.objects.digest == nil {
		r.objects.digest = lazy.New(r.vm, &digestClass, r)
	}
	return r.objects.digest
}

var digestClass = lazy.Class[*run]{Name: "SparkDigest", Members: digestMembers()}

func digestMembers() []lazy.Member[*run] {
	var members []lazy.Member[*run]
	for _, m := range digest.Members() {
		members = append(members, lazy.Func(m.Name, func(r *run, call lazy.Call) goja.Value { return r.digest(m, call) }))
	}
	return members
}

func (r *run) digest(m digest.Member, call lazy.Call) goja.Value {
	args := make([]string, len(m.Args()))
	for i, arg := range m.Args() {
		if raw, ok := ecma.Bytes(r.vm, call.Argument(i)); ok {
			args[i] = string(raw)
		} else if text, ok := ecma.Scalar(call.Argument(i)); ok {
			args[i] = text
		} else {
			call.Throw(arg, "must be a string or bytes")
		}
	}
	sum, err := m.Sum(r.ctx, args)
	if r.stopped() {
		r.halt()
	}
	if err != nil {
		panic(r.vm.NewTypeError("%s", call.Member()+": "+err.Error()))
	}
	return r.vm.ToValue(sum)
}
