package main

import (
	"context"
	"errors"
	"fmt"
	"log"
	"log/slog"
	"maps"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/callback"
	"example.com/callback/console"
	"example.com/callback/deferred"
	"example.com/callback/rivercallback"
	"example.com/callback/sandbox"
)

// serve is "callbackd serve". It ends when ctx is done.
func serve(ctx context.Context, args []string, std stdio, environ []string) error {
	o, err := parseServe(args, environ, std.out)
	if err != nil {
		return err
	}
	return startServer(ctx, o, std)
}

// work is "callbackd worker". It ends when ctx is done and the runs under way
// have ended.
func work(ctx context.Context, args []string, std stdio, environ []string) error {
	o, err := parseWorker(args, environ, std.out)
	if err != nil {
		return err
	}
	return startServer(ctx, o, std)
}

func startServer(ctx context.Context, o *serveOptions, std stdio) error {
	logger := o.logger(std.err)
	time.Local = o.location // before any other goroutine runs
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // halves the processor time of small calls; see docs/hosting.md
	}
	s := &server{o: o, log: logger}
	if err := s.open(ctx); err != nil {
		if ctx.Err() != nil {
			return nil // it was told to end before it served
		}
		return err
	}
	defer s.close()
	return s.run(ctx, std)
}

// A server is one "callbackd serve" or "callbackd worker".
type server struct {
	o   *serveOptions
	log *slog.Logger

	backend backend
	queue   queue // nil if there is none
	cert    certificate
	files   []*watchedFile

	main, admin net.Listener // main is nil in a worker, admin if it is off
	metrics     *metrics
	handler     *callback.Handler // serves the public address; in a worker, runs the jobs
	worker      *deferred.Worker  // nil if the server works no queue
	console     *console.Console  // nil if there is none
}

// A queue has the methods of a queue that a server needs.
type queue interface {
	deferred.Queue
	deferred.Operator
}

// open loads every file and opens every socket, so that a problem with them is an
// error before the first call.
func (s *server) open(ctx context.Context) (err error) {
	o := s.o
	if o.tlsCert != "" {
		s.cert = certificate{certPath: o.tlsCert, keyPath: o.tlsKey}
		s.files = append(s.files,
			&watchedFile{flag: "tls-cert", path: o.tlsCert, load: s.cert.load},
			&watchedFile{flag: "tls-key", path: o.tlsKey, load: s.cert.load})
	}
	var folder *files
	if o.database == "" {
		var watched []*watchedFile
		if folder, watched, err = openFiles(o); err != nil {
			return err
		}
		s.backend, s.files = folder, append(watched, s.files...)
	}
	for _, f := range s.files {
		if err := f.first(); err != nil {
			return err
		}
	}
	if folder != nil {
		folder.warnUnreachable(s.log)
	}
	if err := s.listen(); err != nil {
		return err
	}
	switch {
	case o.database != "":
		var d *database
		if d, err = openDatabase(ctx, o, s.log); err == nil {
			s.backend, s.queue = d, d.queue
		}
	case o.queue != "":
		err = s.openQueueFile(ctx)
	}
	if err != nil {
		s.close()
	}
	return err
}

// openQueueFile opens the queue of -queue. At a restart the previous process may
// still have it open, for as long as its runs take.
func (s *server) openQueueFile(ctx context.Context) error {
	options, err := s.o.queueOptions(s.log, s.backend.source())
	if err != nil {
		return err
	}
	patience, cancel := context.WithTimeout(ctx, options.MaxRun)
	defer cancel()
	queue, err := rivercallback.OpenSQLite(ctx, s.o.queue, options)
	if errors.Is(err, rivercallback.ErrInUse) {
		s.log.WarnContext(ctx, "another process has the queue open: waiting for its end", "queue", s.o.queue, "wait", options.MaxRun)
	}
	for errors.Is(err, rivercallback.ErrInUse) && patience.Err() == nil {
		select {
		case <-patience.Done():
		case <-time.After(50 * time.Millisecond):
		}
		queue, err = rivercallback.OpenSQLite(ctx, s.o.queue, options)
	}
	if err != nil {
		return usagef("-queue %s: %w", s.o.queue, err)
	}
	s.queue = queue
	return nil
}

// listen opens the sockets.
func (s *server) listen() error {
	o := s.o
	sockets, err := activatedListeners(os.Getenv, os.Getpid())
	if err != nil {
		return usageError{err}
	}
	if s.main = sockets["main"]; s.main == nil && !o.worker {
		if s.main, err = net.Listen("tcp", o.addr); err != nil {
			return usagef("-addr %s: %w", o.addr, err)
		}
	}
	if s.admin = sockets["admin"]; s.admin == nil && o.admin != "off" {
		if s.admin, err = net.Listen("tcp", o.admin); err != nil {
			s.close()
			return usagef("-admin %s: %w", o.admin, err)
		}
	}
	return nil
}

// close closes what open has opened.
func (s *server) close() {
	for _, listener := range []net.Listener{s.main, s.admin} {
		if listener != nil {
			listener.Close()
		}
	}
	if file, ok := s.queue.(*rivercallback.Queue); ok {
		if err := file.Close(); err != nil {
			s.log.Error("the queue cannot be closed", "error", err)
		}
	}
	if s.backend != nil {
		s.backend.close()
	}
}

// run serves until ctx is done, then lets the calls under way end.
func (s *server) run(ctx context.Context, std stdio) error {
	o := s.o
	runner, closeRunner, err := s.newRunner(ctx)
	if err != nil {
		return err
	}
	defer closeRunner()
	client := &callback.HTTPClient{DangerouslyAllowPrivate: o.allowPrivate}
	defer client.CloseIdleConnections()
	s.metrics = newMetrics(s.files)
	s.metrics.registry.MustRegister(s.backend.collectors()...)
	members := s.backend.members()
	if s.queue != nil {
		s.metrics.registry.MustRegister(newQueueDepth(s.queue))
		maps.Copy(members, (&deferred.Scheduler{Queue: s.queue, Source: s.backend.source(), MaxAttempts: o.attempts}).Members())
	}
	keepLog, keepBodies := s.kept()
	newHandler := func(runner callback.ScriptRunner, timeout time.Duration) *callback.Handler {
		return &callback.Handler{
			Runner:         runner,
			Secrets:        s.backend.secrets(),
			HTTP:           client,
			Members:        members,
			Prefix:         o.prefix,
			Timeout:        timeout,
			HTTPTimeout:    o.httpTimeout,
			MaxBody:        o.maxBody,
			MaxInFlight:    o.maxInFlight,
			Methods:        o.methods,
			KeepMultipart:  true,
			RequestHeaders: o.headers,
			ClientIP:       o.proxies.clientIP,
			RunID:          runID,
			RunIDHeader:    o.runIDHeader,
			Logger:         s.log,
			Observe:        s.observe,
			KeepLog:        keepLog,
			KeepBodies:     keepBodies,
		}
	}
	s.handler = newHandler(s.deferring(runner), o.timeout)
	if o.worker || o.queue != "" {
		worked := s.handler
		if !o.worker {
			worked = newHandler(runner, o.deferredTimeout)
		}
		s.worker = &deferred.Worker{
			Queue:                s.queue,
			Runner:               worked,
			DangerouslyInProcess: o.dangerouslyInProcess,
			MaxPerCredential:     o.perCredential,
			Judge:                s.metrics.judge,
			Logger:               s.log,
		}
	}
	s.openConsole()
	if err := s.handler.Validate(); err != nil {
		return usageError{err}
	}

	var background sync.WaitGroup
	defer background.Wait()
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	hup := make(chan os.Signal, 1)
	signal.Notify(hup, syscall.SIGHUP)
	defer signal.Stop(hup)
	background.Go(func() { watch(ctx, s.files, hup, s.log) })
	ended := make(chan error, 4) // of each server, of the backend and of the worker
	background.Go(func() {
		if err := s.backend.run(ctx); err != nil {
			ended <- err
		}
	})
	if s.worker != nil {
		background.Go(func() {
			if err := s.worker.Run(ctx); err != nil {
				ended <- err
			}
		})
	}
	if folder, ok := s.backend.(*files); ok && o.dev {
		background.Go(func() { s.checkOnSave(ctx, folder) })
	}

	var servers []*http.Server
	var listening sync.WaitGroup
	fresh := new(freshConns)
	if s.main != nil {
		public := s.publicServer()
		fresh.watch(public)
		servers = append(servers, public)
		listening.Go(func() {
			if public.TLSConfig != nil {
				ended <- public.ServeTLS(s.main, "", "")
			} else {
				ended <- public.Serve(s.main)
			}
		})
		scheme := "http"
		if o.tlsCert != "" {
			scheme = "https"
		}
		fmt.Fprintln(std.out, "listening on", baseURL(scheme, s.main.Addr()))
		if !isLoopback(s.main.Addr().String()) && scheme == "http" {
			s.log.Warn("other machines can reach this server over plain HTTP: put TLS in front of it, for the URL is a password", "addr", s.main.Addr().String())
		}
	} else {
		fmt.Fprintf(std.out, "working, %d runs at once\n", o.places)
	}
	if s.admin != nil {
		admin := s.adminServer()
		servers = append(servers, admin)
		listening.Go(func() { ended <- admin.Serve(s.admin) })
		fmt.Fprintln(std.out, "admin on", baseURL("http", s.admin.Addr()))
	}
	if err := notify(os.Getenv, "READY=1"); err != nil {
		s.log.Warn("cannot tell systemd that the server is ready", "error", err)
	}

	select {
	case err = <-ended:
		err = fmt.Errorf("server failed: %w", err)
	case <-ctx.Done():
	}
	s.log.Info("shutting down")
	if err := notify(os.Getenv, "STOPPING=1"); err != nil {
		s.log.Warn("cannot tell systemd that the server stops", "error", err)
	}
	s.metrics.stopping.Store(true)
	// Nothing may be accepted once Shutdown has begun, because it would be lost.
	for _, listener := range []net.Listener{s.main, s.admin} {
		if listener != nil {
			listener.Close()
		}
	}
	listening.Wait()
	fresh.wait()
	grace, cancelGrace := context.WithTimeout(context.WithoutCancel(ctx), o.timeout+5*time.Second)
	defer cancelGrace()
	for _, server := range servers {
		if shutdownErr := server.Shutdown(grace); shutdownErr != nil {
			err = errors.Join(err, fmt.Errorf("calls still under way are cut off: %w", shutdownErr), server.Close())
		}
	}
	cancel()
	return err
}

// publicServer serves the public address.
func (s *server) publicServer() *http.Server {
	public := &http.Server{
		Handler:           s.publicHandler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       s.o.timeout + 5*time.Second, // the Handler's own limit is earlier, and answers
		WriteTimeout:      2*s.o.timeout + 15*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		HTTP2:             &http.HTTP2Config{WriteByteTimeout: 10 * time.Second},
		ErrorLog:          log.New(errorLog{s.log}, "", 0),
	}
	if s.o.tlsCert != "" {
		public.TLSConfig = s.cert.config()
	}
	return public
}

// deferring wraps a runner so that it uses the queue, if there is one. A worker
// runs the calls that it gets.
func (s *server) deferring(runner callback.ScriptRunner) callback.ScriptRunner {
	if s.queue == nil || s.o.worker {
		return runner
	}
	return &deferred.Runner{
		Next:        runner,
		Queue:       s.queue,
		Source:      s.backend.source(),
		Key:         eventKey(s.o.eventKeys),
		MaxAttempts: s.o.attempts,
	}
}

// newRunner makes the runner of the scripts and the function that ends it.
func (s *server) newRunner(ctx context.Context) (callback.ScriptRunner, func(), error) {
	if !s.o.sandbox {
		if !s.o.inProcess {
			s.log.WarnContext(ctx, "this system does not enforce the sandbox's limits: scripts run in this process")
		}
		return &callback.GojaRunner{Source: s.backend.source()}, func() {}, nil
	}
	pool := &sandbox.Runner{
		Source:    s.backend.source(),
		Processes: s.o.processes,
		MaxMemory: s.o.maxMemory,
		Zone:      s.o.location,
		Logger:    s.log,
	}
	if err := pool.Start(ctx); err != nil {
		return nil, nil, fmt.Errorf("sandbox: %w", err)
	}
	return pool, func() { pool.Close() }, nil
}

// baseURL is a URL that reaches addr from this machine.
func baseURL(scheme string, addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return addr.Network() + ":" + addr.String() // a Unix socket
	}
	if ip := net.ParseIP(host); ip != nil && ip.IsUnspecified() {
		host = "localhost"
	}
	return scheme + "://" + net.JoinHostPort(host, port)
}

// isLoopback reports whether only this machine can reach a host:port.
func isLoopback(addr string) bool {
	host, _, err := net.SplitHostPort(addr)
	if err != nil {
		return strings.HasPrefix(addr, "/") || strings.HasPrefix(addr, "@") // a Unix socket
	}
	return isLoopbackHost(host)
}

func isLoopbackHost(host string) bool {
	ip, err := netip.ParseAddr(host)
	return host == "localhost" || err == nil && ip.Unmap().IsLoopback()
}

// environValue is the value of the environment variable that stands for a flag.
func environValue(environ []string, name string) string {
	for _, entry := range environ {
		if value, ok := strings.CutPrefix(entry, envPrefix+name+"="); ok {
			return value
		}
	}
	return ""
}
