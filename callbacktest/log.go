package callbacktest

import (
	"context"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"unicode"
)

// A logRecorder is a slog.Handler that keeps a line for every record: its
// level, its message and its attributes, except those that differ in every run.
type logRecorder struct {
	mu   sync.Mutex
	text []string
}

func (l *logRecorder) lines() []string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return slices.Clone(l.text)
}

func (l *logRecorder) Enabled(context.Context, slog.Level) bool { return true }

func (l *logRecorder) Handle(ctx context.Context, r slog.Record) error {
	return logWith{to: l}.Handle(ctx, r)
}

func (l *logRecorder) WithAttrs(attrs []slog.Attr) slog.Handler {
	return logWith{to: l}.WithAttrs(attrs)
}
func (l *logRecorder) WithGroup(name string) slog.Handler { return logWith{to: l}.WithGroup(name) }

// logWith adds attributes to the records of a logRecorder.
type logWith struct {
	to    *logRecorder
	attrs string // formatted
	group string // prefix of the names of further attributes
}

func (l logWith) Enabled(context.Context, slog.Level) bool { return true }

func (l logWith) Handle(_ context.Context, r slog.Record) error {
	line := r.Level.String() + " " + readable(r.Message, "\n") + l.attrs
	r.Attrs(func(a slog.Attr) bool {
		line += formatAttr(l.group, a)
		return true
	})
	l.to.mu.Lock()
	defer l.to.mu.Unlock()
	l.to.text = append(l.to.text, line)
	return nil
}

func (l logWith) WithAttrs(attrs []slog.Attr) slog.Handler {
	for _, a := range attrs {
		l.attrs += formatAttr(l.group, a)
	}
	return l
}

func (l logWith) WithGroup(name string) slog.Handler {
	if name != "" {
		l.group += name + "."
	}
	return l
}

func formatAttr(group string, a slog.Attr) string {
	value := a.Value.Resolve()
	if value.Kind() == slog.KindGroup {
		if a.Key != "" {
			group += a.Key + "."
		}
		text := ""
		for _, member := range value.Group() {
			text += formatAttr(group, member)
		}
		return text
	}
	if a.Key == "run" || a.Key == "stack" || a.Equal(slog.Attr{}) {
		return ""
	}
	return " " + group + a.Key + "=" + readable(value.String(), " =")
}

// readable quotes text that is empty, looks quoted, holds one of the special
// characters, or has a character that is not printable.
func readable(text, special string) string {
	if text == "" || text[0] == '"' || strings.ContainsAny(text, special) || strings.TrimSpace(text) != text ||
		strings.ContainsFunc(text, func(r rune) bool { return r == unicode.ReplacementChar || !unicode.IsPrint(r) }) {
		return strconv.Quote(text)
	}
	return text
}
