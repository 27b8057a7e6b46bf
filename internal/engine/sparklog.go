package engine

import (
	"log/slog"
	"strings"

	"github.com/dop251/goja"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/lazy"
	"example.com/callback/internal/limit"
)

// logging is the state of what a run has logged and may still log.
type logging struct {
	level slog.Level // lines below it are dropped
	lines int
	bytes int  // of the lines so far
	full  bool // further lines are dropped
}

var logClass = lazy.Class[*run]{
	Name: "SparkLog",
	Members: []lazy.Member[*run]{
		lazy.Func("debug", logMember(slog.LevelDebug)),
		lazy.Func("info", logMember(slog.LevelInfo)),
		lazy.Func("warn", logMember(slog.LevelWarn)),
		lazy.Func("error", logMember(slog.LevelError)),
		lazy.Func("getLevel", func(r *run, _ lazy.Call) goja.Value { return r.vm.ToValue(r.logging.level.String()) }),
		lazy.Func("setLevel", (*run).setLogLevel),
	},
}

// logMember makes a function that logs its arguments, separated by blanks.
func logMember(level slog.Level) func(*run, lazy.Call) goja.Value {
	return func(r *run, call lazy.Call) goja.Value {
		if level >= r.logging.level && r.call.Logger.Enabled(r.ctx, level) {
			var text strings.Builder
			for i := range max(len(call.Arguments), 1) {
				if i > 0 {
					text.WriteByte(' ')
				}
				text.WriteString(r.logText(call.Argument(i)))
				if text.Len() > limit.LogLine {
					break
				}
			}
			r.logLine(level, limit.Text(text.String(), limit.LogLine))
		}
		return goja.Undefined()
	}
}

func (r *run) setLogLevel(call lazy.Call) goja.Value {
	switch call.Text(0, "level") {
	case "DEBUG":
		r.logging.level = slog.LevelDebug
	case "INFO":
		r.logging.level = slog.LevelInfo
	case "WARN":
		r.logging.level = slog.LevelWarn
	case "ERROR":
		r.logging.level = slog.LevelError
	default:
		call.Throw("level", "must be DEBUG, INFO, WARN or ERROR")
	}
	return goja.Undefined()
}

// logLine logs a line of the script, or a line of the library about the script's
// present line.
func (r *run) logLine(level slog.Level, message string, attrs ...any) {
	r.logAt(r.position(), level, message, attrs...)
}

// logError logs a fault of the host's code.
func (r *run) logError(message string, attrs ...any) {
	r.logAt(Position{Script: r.script}, slog.LevelError, message, attrs...)
}

// logAt logs a line about a position in a script, within the limits of a run. It
// leaves out a line or column of zero.
func (r *run) logAt(at Position, level slog.Level, message string, attrs ...any) {
	if r.logging.full {
		return
	}
	r.logging.lines++
	r.logging.bytes += len(message)
	for _, a := range attrs {
		if text, ok := a.(string); ok {
			r.logging.bytes += len(text)
		}
	}
	if r.logging.lines == limit.LogLines || r.logging.bytes > limit.LogBytes {
		r.logging.full = true
		level, message, attrs = slog.LevelWarn, "callback: script logs too much, the rest is dropped", nil
	}
	all := append(make([]any, 0, 12), "script", at.Script)
	if r.tree.Version != "" {
		all = append(all, "version", r.tree.Version)
	}
	if at.Line > 0 {
		all = append(all, "line", at.Line)
	}
	if at.Column > 0 {
		all = append(all, "column", at.Column)
	}
	r.call.Logger.Log(r.ctx, level, message, append(all, attrs...)...)
}

// position is the line of a script that is being executed. Without one, its line
// is zero.
func (r *run) position() Position {
	const depth = 6 // the native function that logs, and its callers
	var frames [depth]goja.StackFrame
	for _, f := range r.vm.CaptureCallStack(depth, frames[:0]) {
		if at := f.Position(); at.Line > 0 && cloudcode.IsScript(at.Filename) {
			return Position{Script: at.Filename, Line: at.Line}
		}
	}
	return Position{Script: r.script}
}

// logText is the text of a value in the log: a string itself, else JSON.
func (r *run) logText(v goja.Value) (text string) {
	object, ok := v.(*goja.Object)
	if !ok {
		return v.String()
	}
	text = "[object]" // a cycle, a getter that throws, a proxy that is revoked
	r.vm.Try(func() {
		text = "[" + object.ClassName() + "]" // a function
		if stack := object.Get("stack"); object.ClassName() == "Error" && stack != nil {
			text = sayNull(stack.String())
		} else if json, ok := r.toJSON(object); ok {
			text = string(json)
		}
	})
	return text
}
