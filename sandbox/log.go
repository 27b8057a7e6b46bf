package sandbox

import (
	"context"
	"log/slog"

	"example.com/callback/internal/limit"
)

// logLevels are the levels that scripts and the library log at.
var logLevels = [...]slog.Level{slog.LevelDebug, slog.LevelInfo, slog.LevelWarn, slog.LevelError}

const (
	maxLogAttrs = 16
	maxLogKey   = 100
	maxLogText  = 64 << 10

	// The child's library counts the lines that it logs for the script, without
	// the name of the script.
	maxLogBytes = 2 * limit.LogBytes
)

// A logHandler is a child's [slog.Handler]: it sends records to the parent.
type logHandler struct {
	task  *task
	attrs []slog.Attr
}

func (h *logHandler) Enabled(_ context.Context, level slog.Level) bool {
	return h.task.levels&(1<<levelIndex(level)) != 0
}

// levelIndex is the index of the highest of logLevels that level reaches.
func levelIndex(level slog.Level) int {
	for i := len(logLevels) - 1; i > 0; i-- {
		if level >= logLevels[i] {
			return i
		}
	}
	return 0
}

func (h *logHandler) Handle(_ context.Context, record slog.Record) error {
	m := logMessage{Level: uint64(levelIndex(record.Level)), Message: record.Message}
	add := func(a slog.Attr) bool {
		if len(m.Attrs) == maxLogAttrs {
			return false
		}
		attr := logAttr{Key: a.Key}
		if value := a.Value.Resolve(); value.Kind() == slog.KindInt64 {
			attr.IsNumber, attr.Number = true, value.Int64()
		} else {
			attr.Text = value.String()
		}
		m.Attrs = append(m.Attrs, attr)
		return true
	}
	for _, a := range h.attrs {
		add(a)
	}
	record.Attrs(add)
	h.task.tell(&m)
	return nil
}

func (h *logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	return &logHandler{task: h.task, attrs: append(append([]slog.Attr(nil), h.attrs...), attrs...)}
}

func (h *logHandler) WithGroup(string) slog.Handler { return h } // the library uses none

// enabledLevels returns the set of levels that the call's Logger takes, by index
// in logLevels.
func (s *session) enabledLevels() (set uint64) {
	if s.call.Logger == nil {
		return 0
	}
	for i, level := range logLevels {
		if s.call.Logger.Enabled(s.ctx, level) {
			set |= 1 << i
		}
	}
	return set
}

// log logs a line of the child.
func (s *session) log(m *logMessage) error {
	if m.Level >= uint64(len(logLevels)) || len(m.Attrs) > maxLogAttrs {
		return errFrame
	}
	s.logged.lines++
	s.logged.bytes += len(m.Message)
	for i := range m.Attrs {
		s.logged.bytes += len(m.Attrs[i].Key) + len(m.Attrs[i].Text)
	}
	if s.logged.lines > limit.LogLines || s.logged.bytes > maxLogBytes {
		return errFrame
	}
	if s.call.Logger == nil {
		return nil
	}
	attrs := make([]slog.Attr, len(m.Attrs))
	for i, a := range m.Attrs {
		attrs[i].Key = limit.Text(a.Key, maxLogKey)
		if a.IsNumber {
			attrs[i].Value = slog.Int64Value(a.Number)
		} else {
			attrs[i].Value = slog.StringValue(limit.Text(a.Text, maxLogText))
		}
	}
	s.call.Logger.LogAttrs(s.ctx, logLevels[m.Level], limit.Text(m.Message, maxLogText), attrs...)
	return nil
}

// logHostFault logs what is wrong with the host's own code, as the library does
// in process.
func (s *session) logHostFault(message string, attrs ...any) {
	if s.call.Logger != nil && s.faults.Add(1) <= limit.LogLines {
		s.call.Logger.ErrorContext(s.ctx, message, append([]any{"script", s.main}, attrs...)...)
	}
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
