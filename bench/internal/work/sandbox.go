package work

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"os"
	"time"

	"example.com/callback"
	"example.com/callback/sandbox"
)

// Sandbox is the variant whose scripts run in child processes: W6. The
// program's main must begin with sandbox.Main.
const Sandbox = "Handler, sandbox"

// closing is a handler that must be closed.
type closing struct {
	http.Handler
	io.Closer
}

// Close closes the handler of a variant, if it must be closed.
func Close(h http.Handler) {
	if c, ok := h.(io.Closer); ok {
		_ = c.Close()
	}
}

func newSandbox(w *Workload, dir string) (http.Handler, error) {
	if err := WriteTree(dir, w.Files); err != nil {
		return nil, err
	}
	h := NewHandler(os.DirFS(dir))
	return intoSandbox(h)
}

// intoSandbox makes h run its scripts in child processes, already started.
func intoSandbox(h *callback.Handler) (http.Handler, error) {
	runner := &sandbox.Runner{
		Scripts: h.Runner.(*callback.GojaRunner).Scripts,
		Logger:  slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := runner.Start(ctx); err != nil {
		return nil, err
	}
	h.Runner = runner
	return closing{h, runner}, nil
}
