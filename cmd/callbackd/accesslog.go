package main

import (
	"context"
	"log/slog"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/callback"
	"example.com/callback/deferred"
)

// publicHandler serves callbacks. Each request is logged as one line and counted
// once in the metrics: by observe if it is authorised, else here.
//
// Nothing that an unauthenticated client has sent is logged. A URL that is
// refused may hold a secret with a letter missing.
func (s *server) publicHandler() http.Handler {
	var callbacks http.Handler = s.handler
	if s.o.dev {
		callbacks = s.explainFailures(callbacks)
	}
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		a := &access{ResponseWriter: w}
		start := time.Now()
		s.metrics.inFlight.Inc()
		defer func() {
			s.metrics.inFlight.Dec()
			s.metrics.requests.WithLabelValues(strconv.Itoa(a.status)).Inc()
			if a.authorised {
				return
			}
			s.log.LogAttrs(r.Context(), slog.LevelInfo, "request",
				slog.String("method", knownMethod(r.Method)),
				slog.Int("status", a.status),
				slog.Duration("duration", time.Since(start).Round(time.Microsecond)),
				slog.String("client", s.o.proxies.clientIP(r)))
		}()
		callbacks.ServeHTTP(a, r.WithContext(context.WithValue(r.Context(), accessKey{}, a)))
	})
}

type accessKey struct{}

// An access is one request to the public address.
type access struct {
	http.ResponseWriter
	status     int
	authorised bool
}

func (a *access) WriteHeader(status int) {
	if a.status == 0 && status >= 200 {
		a.status = status
	}
	a.ResponseWriter.WriteHeader(status)
}

func (a *access) Write(p []byte) (int, error) {
	if a.status == 0 {
		a.status = http.StatusOK
	}
	return a.ResponseWriter.Write(p)
}

// Unwrap lets [http.ResponseController] reach the connection.
func (a *access) Unwrap() http.ResponseWriter { return a.ResponseWriter }

// runID leaves the choice of an id to the Handler. The Handler calls it when a
// call is authorised, so it notes that.
func runID(r *http.Request) string {
	if a, ok := r.Context().Value(accessKey{}).(*access); ok {
		a.authorised = true
	}
	return ""
}

// observe logs and counts an authorised call, or an attempt of a deferred run.
func (s *server) observe(ctx context.Context, run *callback.Run) {
	attempt := deferred.RunName(ctx) != ""
	s.metrics.observe(run, attempt)
	attrs := []slog.Attr{
		slog.Duration("duration", run.Duration.Round(time.Microsecond)),
		slog.String("client", run.Call.ClientIP),
		slog.String("apiKey", run.Call.APIKey),
		slog.String("credential", run.Call.Credential),
		slog.String("run", run.Call.RunID),
		slog.String("outcome", string(run.Outcome)),
	}
	if run.Version != "" {
		attrs = append(attrs, slog.String("version", run.Version))
	}
	if attempt {
		s.log.LogAttrs(ctx, slog.LevelInfo, "deferred run", attrs...)
	} else {
		s.log.LogAttrs(ctx, slog.LevelInfo, "request", slices.Concat([]slog.Attr{
			slog.String("method", run.Call.Method),
			slog.Int("status", run.Status),
			slog.Int64("bytes", run.BytesOut),
		}, attrs)...)
	}
	if s.console != nil {
		s.console.Observe(ctx, run)
	}
	noteForDev(ctx, run)
}

func knownMethod(method string) string {
	switch method {
	case http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodPatch,
		http.MethodDelete, http.MethodConnect, http.MethodOptions, http.MethodTrace:
		return method
	}
	return "other"
}

// errorLog logs the messages of net/http. It leaves out the value of a panic,
// which may hold anything, even a URL.
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
