package callback

import (
	"log/slog"

	"example.com/callback/internal/host"
)

// callHost calls a function of the host and returns its result as JSON.
func (r *run) callHost(name string, f HostFunc, args Args) ([]byte, error) {
	if f == nil {
		return nil, host.NotSupplied(name)
	}
	return host.Call(name, func() (any, error) { return f(r.ctx, r.call, args) }, r.logError)
}

// logError logs what is wrong with the host's code.
func (r *run) logError(message string, attrs ...any) {
	r.logLine(slog.LevelError, message, attrs...)
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
