package main

import (
	"context"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"time"

	"example.com/callback"
)

// logAccess logs a line for each request. Nothing a client has sent is in it
// but for what the Handler has vouched for: a URL holds a secret, and one that
// is refused may hold a secret with a letter missing.
func logAccess(next http.Handler, logger *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &access{ResponseWriter: w}
		start := time.Now()
		defer func() {
			attrs := []slog.Attr{
				slog.String("method", knownMethod(r.Method)),
				slog.Int("status", a.status),
				slog.Int64("bytes", a.bytes),
				slog.Duration("duration", time.Since(start).Round(time.Microsecond)),
				slog.String("client", host(r.RemoteAddr)),
			}
			logger.LogAttrs(r.Context(), slog.LevelInfo, "request", append(attrs, a.call...)...)
		}()
		next.ServeHTTP(a, r.WithContext(context.WithValue(r.Context(), accessKey{}, a)))
	})
}

type accessKey struct{}

// An access is what the log tells of a request.
type access struct {
	http.ResponseWriter
	status int
	bytes  int64
	call   []slog.Attr // once authorised
}

func (a *access) WriteHeader(status int) {
	a.status = status
	a.ResponseWriter.WriteHeader(status)
}

func (a *access) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	n, err := a.ResponseWriter.Write(p)
	a.bytes += int64(n)
	return n, err
}

// Unwrap lets [http.ResponseController] reach the connection.
func (a *access) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// noteCalls adds to a request's log line whose script it runs. A call that gets
// here is authorised.
func noteCalls(next callback.ScriptRunner) callback.ScriptRunner {
	return callback.ScriptRunnerFunc(func(ctx context.Context, call *callback.Call) (*callback.Result, error) {
		if a, ok := ctx.Value(accessKey{}).(*access); ok {
			a.call = []slog.Attr{
				slog.String("apiKey", call.APIKey),
				slog.String("credential", call.Credential),
				slog.String("run", call.RunID),
			}
		}
		return next.RunScript(ctx, call)
	})
}

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "other"
}

func host(addr string) string {
	if host, _, err := net.SplitHostPort(addr); err == nil {
		return host
	}
	return addr
}

// errorLog takes what net/http has to say. The value of a panic may hold
// anything, a URL too, and is left out.
type errorLog struct{ logger *slog.Logger }

func (l errorLog) Write(p []byte) (int, error) {
	message, _, _ := strings.Cut(string(p), "\n")
	const panicked = "http: panic serving "
	if rest, ok := strings.CutPrefix(message, panicked); ok {
		client, _, _ := strings.Cut(rest, ": ")
		message = panicked + client
	}
	l.logger.Error(message)
	return len(p), nil
}
