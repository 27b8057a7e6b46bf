// Package calllog has the log handler of a call.
package calllog

import (
	"context"
	"log/slog"
	"slices"
)

// A Handler is a [slog.Handler] that adds the call's attributes to every record
// before it hands the record to Base. It makes the attributes only when there is a
// record, because most calls log nothing.
type Handler struct {
	Base     slog.Handler
	Call     Call
	Observer Observer // gets every record, whatever its level; or nil

	attrs []slog.Attr // added by WithAttrs
	group string      // of further attributes, with a dot at its end
}

// A Call has attributes that tell its records from those of others.
type Call interface{ LogAttrs() []slog.Attr }

// An Observer gets the records of a call. attrs are those that WithAttrs has added.
type Observer interface {
	Observe(record slog.Record, attrs []slog.Attr)
}

// Enabled implements [slog.Handler].
func (h *Handler) Enabled(ctx context.Context, level slog.Level) bool {
	return h.Observer != nil || h.Base.Enabled(ctx, level)
}

// Handle implements [slog.Handler].
func (h *Handler) Handle(ctx context.Context, r slog.Record) error {
	if h.Observer != nil {
		h.Observer.Observe(r, h.attrs)
		if !h.Base.Enabled(ctx, r.Level) {
			return nil
		}
	}
	return h.withCall().Handle(ctx, r)
}

// withCall returns Base with the call's attributes.
func (h *Handler) withCall() slog.Handler {
	if h.attrs != nil || h.group != "" {
		return h.Base // WithAttrs or WithGroup has added them
	}
	return h.Base.WithAttrs(h.Call.LogAttrs())
}

// WithAttrs implements [slog.Handler].
func (h *Handler) WithAttrs(attrs []slog.Attr) slog.Handler {
	if len(attrs) == 0 {
		return h
	}
	with := *h
	with.Base = h.withCall().WithAttrs(attrs)
	with.attrs = slices.Clip(h.attrs)
	for _, a := range attrs {
		with.attrs = append(with.attrs, slog.Attr{Key: h.group + a.Key, Value: a.Value})
	}
	return &with
}

// WithGroup implements [slog.Handler].
func (h *Handler) WithGroup(name string) slog.Handler {
	if name == "" {
		return h
	}
	with := *h
	with.Base = h.withCall().WithGroup(name)
	with.group += name + "."
	return &with
}
