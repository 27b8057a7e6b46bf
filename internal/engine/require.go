package engine

import (
	"errors"
	"io/fs"
	"log/slog"
	"slices"

	"github.com/dop251/goja"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/ecma"
	"example.com/callback/internal/lazy"
	"example.com/callback/internal/limit"
)

// modules are the modules that a run has required.
type modules struct {
	ran   map[string]*program
	chain []string // modules that have run in the outermost call of require
}

// require runs a module in the global scope. Within one outermost call of require
// each module runs only once, so that cycles end.
func (r *run) require(call lazy.Call, once bool) goja.Value {
	code := call.Text(0, "shortCode")
	if !cloudcode.IsName(code) {
		ecma.Throw(r.vm, "%s: no module %q", call.Member(), limit.Text(code, 100))
	}
	m := &r.modules
	if slices.Contains(m.chain, code) || once && m.ran[code] != nil {
		return goja.Undefined()
	}
	module, err := r.load(cloudcode.Module(code))
	var script *ScriptError
	switch {
	case r.stopped():
		r.halt()
	case errors.As(err, &script):
		ecma.Throw(r.vm, "%s: module %q does not compile: %s:%d:%d: %s",
			call.Member(), code, script.Script, script.Line, script.Column, script.Message)
	case errors.Is(err, fs.ErrNotExist):
		ecma.Throw(r.vm, "%s: no module %q", call.Member(), code)
	case err != nil:
		r.logLine(slog.LevelError, "callback: cannot read module", "module", code, "error", err)
		ecma.Throw(r.vm, "%s: module %q cannot be read", call.Member(), code)
	}
	if m.ran == nil {
		m.ran = map[string]*program{}
	}
	m.ran[code] = module
	if len(m.chain) == 0 { // this is the outermost call
		defer func() { m.chain = nil }()
	}
	m.chain = append(m.chain, code)
	if _, err := r.vm.RunProgram(r.prepare(module)); err != nil {
		panic(err) // for the engine: an exception, which must not be read here
	}
	return goja.Undefined()
}
