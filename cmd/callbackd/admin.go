package main

import (
	"errors"
	"fmt"
	"log"
	"net/http"
	"time"

	"example.com/callback"
	"example.com/callback/console"
)

// adminServer serves what operators need, apart from the public address.
func (s *server) adminServer() *http.Server {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", s.metrics.serve())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintln(w, "ok") // the process answers
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, r *http.Request) {
		if err := s.ready(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "ok")
	})
	if s.console != nil {
		mux.Handle("/", s.console)
	}
	return &http.Server{
		Handler:           mux,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       30 * time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(errorLog{s.log}, "", 0),
	}
}

// keptLog is how many bytes of a run's log the console retains and authors' mode
// shows.
const keptLog = 64 << 10

// hasConsole reports whether the server has a console: if only this machine can
// reach it.
func (s *server) hasConsole() bool {
	return s.admin != nil && isLoopback(s.admin.Addr().String())
}

// kept returns KeepLog and KeepBodies for every Handler, also for that of
// deferred runs.
func (s *server) kept() (log, bodies int) {
	if s.hasConsole() || s.o.dev {
		log = keptLog
	}
	if s.hasConsole() && s.o.recordBodies {
		bodies = int(2 * s.o.maxBody)
	}
	return log, bodies
}

// openConsole makes the console.
func (s *server) openConsole() {
	if !s.hasConsole() {
		return
	}
	s.console = &console.Console{Handler: s.handler, Trees: s.backend.trees, Tree: s.backend.tree, Check: s.backend.check}
	if s.queue != nil {
		s.console.Queue = consoleQueue{s.queue}
	}
	if s.o.record > 0 {
		s.console.Recorder = &callback.Recorder{MaxRuns: s.o.record, Requests: s.o.recordBodies}
	}
}

// ready returns the reason why the server should get no traffic, or nil.
func (s *server) ready() error {
	if s.metrics.stopping.Load() {
		return errors.New("shutting down")
	}
	return s.backend.ready()
}
