package calllog_test

import (
	"log/slog"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/calllog"
)

type call struct{}

func (call) LogAttrs() []slog.Attr { return []slog.Attr{slog.Int("run", 1)} }

// TestHandler: a record has the call's attributes once, in front of all groups.
func TestHandler(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct {
		with func(slog.Handler) slog.Handler
		want string
	}{
		"plain":       {func(h slog.Handler) slog.Handler { return h }, "run=1 a=2"},
		"attrs":       {func(h slog.Handler) slog.Handler { return h.WithAttrs([]slog.Attr{slog.Int("b", 3)}) }, "run=1 b=3 a=2"},
		"no attrs":    {func(h slog.Handler) slog.Handler { return h.WithAttrs(nil) }, "run=1 a=2"},
		"group":       {func(h slog.Handler) slog.Handler { return h.WithGroup("g") }, "run=1 g.a=2"},
		"empty group": {func(h slog.Handler) slog.Handler { return h.WithGroup("").WithAttrs([]slog.Attr{slog.Int("b", 3)}) }, "run=1 b=3 a=2"},
	} {
		var log strings.Builder
		base := slog.NewTextHandler(&log, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey || a.Key == slog.LevelKey || a.Key == slog.MessageKey {
				return slog.Attr{}
			}
			return a
		}})
		seen := new(observer)
		slog.New(test.with(&calllog.Handler{Base: base, Call: call{}, Observer: seen})).Info("m", "a", 2)
		require.Equal(t, test.want+"\n", log.String(), name)
		require.Equal(t, strings.Contains(test.want, "b="), seen.attrs["b"], name)
	}
}

// An observer notes the names of the attributes that it gets from WithAttrs.
type observer struct{ attrs map[string]bool }

func (o *observer) Observe(_ slog.Record, attrs []slog.Attr) {
	o.attrs = map[string]bool{}
	for _, a := range attrs {
		o.attrs[a.Key] = true
	}
}
