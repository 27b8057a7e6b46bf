// Package console has the global console, whose lines go to the log.
package console

import (
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/web/realm"
)

// A Console is what console needs from its run.
type Console struct {
	Log      func(level slog.Level, text string)
	Enabled  func(level slog.Level) bool
	Describe func(goja.Value) string // formats a value for the log
	Stack    func() string           // of the script

	counts map[string]int
	timers map[string]time.Time
	indent int
}

// Limits of what a run may keep in its console.
const (
	maxLabels = 1000
	maxIndent = 20
	maxLine   = 64 << 10
)

// NewGlobal makes the object console.
func (c *Console) NewGlobal(r *realm.Realm) goja.Value {
	c.counts, c.timers = map[string]int{}, map[string]time.Time{}
	object := r.VM.NewObject()
	r.Tag(object, "console")
	method := func(name string, f func(args []goja.Value)) {
		r.Put(object, name, r.Function(name, 0, func(call goja.FunctionCall) goja.Value {
			f(call.Arguments)
			return goja.Undefined()
		}))
	}
	for _, m := range []struct {
		name  string
		level slog.Level
	}{
		{"debug", slog.LevelDebug}, {"log", slog.LevelInfo}, {"info", slog.LevelInfo}, {"dir", slog.LevelInfo},
		{"table", slog.LevelInfo}, {"warn", slog.LevelWarn}, {"error", slog.LevelError},
	} {
		method(m.name, func(args []goja.Value) { c.print(m.level, args) })
	}
	method("trace", func(args []goja.Value) {
		if c.Enabled(slog.LevelDebug) {
			c.line(slog.LevelDebug, strings.TrimSpace("Trace: "+c.format(args))+"\n"+c.Stack())
		}
	})
	method("assert", func(args []goja.Value) {
		if len(args) > 0 && args[0].ToBoolean() {
			return
		}
		text := "Assertion failed"
		if len(args) > 1 {
			text += ": " + c.format(args[1:])
		}
		c.line(slog.LevelError, text)
	})
	method("group", func(args []goja.Value) {
		if len(args) > 0 {
			c.print(slog.LevelInfo, args)
		}
		c.indent = min(c.indent+1, maxIndent)
	})
	method("groupCollapsed", func(args []goja.Value) {
		if len(args) > 0 {
			c.print(slog.LevelInfo, args)
		}
		c.indent = min(c.indent+1, maxIndent)
	})
	method("groupEnd", func([]goja.Value) { c.indent = max(c.indent-1, 0) })
	method("count", func(args []goja.Value) {
		name := c.label(r, args)
		if len(c.counts) < maxLabels || c.counts[name] > 0 {
			c.counts[name]++
		}
		c.line(slog.LevelInfo, name+": "+strconv.Itoa(c.counts[name]))
	})
	method("countReset", func(args []goja.Value) { delete(c.counts, c.label(r, args)) })
	method("time", func(args []goja.Value) {
		if name := c.label(r, args); len(c.timers) < maxLabels {
			if _, ok := c.timers[name]; !ok {
				c.timers[name] = time.Now()
			}
		}
	})
	method("timeLog", func(args []goja.Value) { c.elapsed(c.label(r, args), args) })
	method("timeEnd", func(args []goja.Value) {
		name := c.label(r, args)
		c.elapsed(name, nil)
		delete(c.timers, name)
	})
	return object
}

// label returns the first of args, or the default label.
func (c *Console) label(r *realm.Realm, args []goja.Value) string {
	if len(args) == 0 || ecma.IsUndefined(args[0]) {
		return "default"
	}
	text := r.String(args[0])
	return text[:min(len(text), 200)]
}

func (c *Console) elapsed(name string, args []goja.Value) {
	start, ok := c.timers[name]
	if !ok {
		c.line(slog.LevelWarn, "Timer "+strconv.Quote(name)+" does not exist")
		return
	}
	text := name + ": " + strconv.FormatFloat(float64(time.Since(start).Microseconds())/1000, 'f', 3, 64) + "ms"
	if len(args) > 1 {
		text += " " + c.format(args[1:])
	}
	c.line(slog.LevelInfo, text)
}

func (c *Console) print(level slog.Level, args []goja.Value) {
	if c.Enabled(level) {
		c.line(level, c.format(args))
	}
}

func (c *Console) line(level slog.Level, text string) {
	if c.Enabled(level) {
		c.Log(level, strings.Repeat("  ", c.indent)+text)
	}
}

// format joins args with blanks. If the first is a string with format specifiers,
// they consume the following arguments.
func (c *Console) format(args []goja.Value) string {
	if len(args) == 0 {
		return ""
	}
	var text strings.Builder
	rest := args
	if goja.IsString(args[0]) && len(args) > 1 {
		rest = args[1:]
		pattern := args[0].String()
		for {
			before, after, found := strings.Cut(pattern, "%")
			text.WriteString(before)
			if !found {
				break
			}
			pattern = after
			if after == "" {
				text.WriteByte('%')
				break
			}
			verb := after[0]
			switch {
			case verb == '%':
				text.WriteByte('%')
				pattern = after[1:]
			case len(rest) > 0 && strings.IndexByte("sdifoOjc", verb) >= 0:
				pattern = after[1:]
				text.WriteString(c.argument(verb, rest[0]))
				rest = rest[1:]
			default:
				text.WriteByte('%')
			}
		}
		if len(rest) > 0 {
			text.WriteByte(' ')
		}
	}
	for i, arg := range rest {
		if text.Len() > maxLine {
			break
		}
		if i > 0 {
			text.WriteByte(' ')
		}
		text.WriteString(c.Describe(arg))
	}
	return text.String()
}

// argument formats a value as a format specifier demands.
func (c *Console) argument(verb byte, v goja.Value) string {
	_, isObject := v.(*goja.Object)
	_, isSymbol := v.(*goja.Symbol)
	switch verb {
	case 'c': // a style
		return ""
	case 'd', 'i', 'f':
		if isObject || isSymbol {
			return "NaN"
		}
		if number := v.ToNumber(); verb == 'f' || number.ToFloat() != number.ToFloat() {
			return number.String()
		} else if verb == 'i' {
			return strconv.FormatInt(number.ToInteger(), 10)
		} else {
			return number.String()
		}
	}
	return c.Describe(v)
}
