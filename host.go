package callback

import (
	"encoding/json"
	"fmt"
	"log/slog"
)

// callHost calls a function of the host's and returns its result as JSON. A
// panic of the host's is an error without the panic's value.
func callHost(r *run, name string, f HostFunc, args Args) (result []byte, err error) {
	defer func() {
		if v := recover(); v != nil {
			r.logLine(slog.LevelError, "callback: panic in a host function", "function", name, "type", fmt.Sprintf("%T", v), "stack", stack())
			result, err = nil, fmt.Errorf("%s failed", name)
		}
	}()
	if f == nil {
		return nil, fmt.Errorf("%s is not supplied by the host", name)
	}
	value, err := f(r.ctx, r.call, args)
	if err != nil {
		return nil, err
	}
	result, err = json.Marshal(value)
	if err != nil {
		r.logLine(slog.LevelError, "callback: host function returned no JSON", "function", name, "error", err)
		return nil, fmt.Errorf("%s failed", name)
	}
	return result, nil
}

// memberProgram returns the compiled script of a host's member. There are as
// many as the host has written, so all are kept.
func (g *GojaRunner) memberProgram(name, source string) (*program, error) {
	if p, ok := g.members.Load(source); ok {
		return p.(*program), nil
	}
	p, err := compile("Spark."+name, "("+source+"\n)", false)
	if err != nil {
		return nil, err
	}
	g.members.Store(source, p)
	return p, nil
}
