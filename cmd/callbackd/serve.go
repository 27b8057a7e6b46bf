package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/signal"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"example.com/callback"
	"example.com/callback/console"
	"example.com/callback/sandbox"
)

// serve is "callbackd serve". It ends when ctx is done.
func serve(ctx context.Context, args []string, std stdio, environ []string) error {
	o, err := parseServe(args, environ, std.out)
	if err != nil {
		return err
	}
	logger := o.logger(std.err)
	time.Local = o.location // before any other goroutine runs
	if os.Getenv("GOGC") == "" {
		debug.SetGCPercent(400) // halves the processor time of small calls; see docs/hosting.md
	}
	s := &server{o: o, log: logger}
	if err := s.open(); err != nil {
		return err
	}
	return s.run(ctx, std)
}

// A server is one "callbackd serve".
type server struct {
	o   *serveOptions
	log *slog.Logger

	scripts *scriptFolder
	secrets secretStore
	vars    vars
	cert    certificate
	files   []*watchedFile

	main, admin net.Listener
	metrics     *metrics
	handler     *callback.Handler
	checker     checker
	console     *console.Console // nil if there is none
}

// open loads every file and opens every socket, so that what is wrong with
// them is an error before the first call.
func (s *server) open() (err error) {
	o := s.o
	if s.scripts, err = openScripts(o.scripts); err != nil {
		return err
	}
	s.checker.scripts = s.scripts
	s.files = append(s.files, &watchedFile{flag: "secrets", path: o.secrets, load: s.secrets.load})
	if o.vars != "" {
		s.files = append(s.files, &watchedFile{flag: "vars", path: o.vars, load: s.vars.load})
	}
	if o.tlsCert != "" {
		s.cert = certificate{certPath: o.tlsCert, keyPath: o.tlsKey}
		s.files = append(s.files,
			&watchedFile{flag: "tls-cert", path: o.tlsCert, load: s.cert.load},
			&watchedFile{flag: "tls-key", path: o.tlsKey, load: s.cert.load})
	}
	for _, f := range s.files {
		if err := f.first(); err != nil {
			return err
		}
	}
	s.warnUnreachable()

	sockets, err := activatedListeners(os.Getenv, os.Getpid())
	if err != nil {
		return usageError{err}
	}
	if s.main = sockets["main"]; s.main == nil {
		if s.main, err = net.Listen("tcp", o.addr); err != nil {
			return usagef("-addr %s: %w", o.addr, err)
		}
	}
	if s.admin = sockets["admin"]; s.admin == nil && o.admin != "off" {
		if s.admin, err = net.Listen("tcp", o.admin); err != nil {
			s.main.Close()
			return usagef("-admin %s: %w", o.admin, err)
		}
	}
	return nil
}

// warnUnreachable logs scripts without a secret and secrets without a script.
func (s *server) warnUnreachable() {
	for apiKey, named := range s.secrets.names() {
		tree := s.scripts.tree(apiKey)
		if tree == nil {
			s.log.Warn("API key without scripts: calls get 404", "apiKey", apiKey)
			continue
		}
		present := credentials(tree)
		for _, credential := range present {
			if !slices.Contains(named, credential) && credential != "server" {
				s.log.Warn("script without a secret: it cannot be called", "apiKey", apiKey, "credential", credential)
			}
		}
		for _, credential := range named {
			if !slices.Contains(present, credential) {
				s.log.Warn("secret without a script: calls get 404", "apiKey", apiKey, "credential", credential)
			}
		}
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
	s.handler = &callback.Handler{
		Runner:         runner,
		Secrets:        &s.secrets,
		HTTP:           client,
		Members:        callback.Members{"getProperties": s.vars.member()},
		Prefix:         o.prefix,
		Timeout:        o.timeout,
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
	}
	if o.dev {
		s.handler.KeepLog = devLog
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
	if o.dev {
		background.Go(func() { s.checkOnSave(ctx) })
	}

	public := &http.Server{
		Handler:           s.publicHandler(),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       o.timeout + 5*time.Second, // the Handler's own limit is earlier, and answers
		WriteTimeout:      2*o.timeout + 15*time.Second,
		IdleTimeout:       2 * time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(errorLog{s.log}, "", 0),
	}
	fresh := new(freshConns)
	fresh.watch(public)
	scheme := "http"
	if o.tlsCert != "" {
		scheme, public.TLSConfig = "https", s.cert.config()
	}
	ended := make(chan error, 2) // each server's Serve
	background.Go(func() {
		if public.TLSConfig != nil {
			ended <- public.ServeTLS(s.main, "", "")
		} else {
			ended <- public.Serve(s.main)
		}
	})
	fmt.Fprintln(std.out, "listening on", baseURL(scheme, s.main.Addr()))
	servers := []*http.Server{public}
	if s.admin != nil {
		admin := s.adminServer()
		servers = append(servers, admin)
		background.Go(func() { ended <- admin.Serve(s.admin) })
		fmt.Fprintln(std.out, "admin on", baseURL("http", s.admin.Addr()))
	}
	if !isLoopback(s.main.Addr().String()) && scheme == "http" {
		s.log.Warn("other machines can reach this server over plain HTTP: put TLS in front of it, for the URL is a password", "addr", s.main.Addr().String())
	}
	if err := notify(os.Getenv, "READY=1"); err != nil {
		s.log.Warn("cannot tell systemd that the server is ready", "error", err)
	}

	running := len(servers)
	select {
	case err = <-ended:
		running--
		err = fmt.Errorf("server failed: %w", err)
	case <-ctx.Done():
	}
	s.log.Info("shutting down")
	if err := notify(os.Getenv, "STOPPING=1"); err != nil {
		s.log.Warn("cannot tell systemd that the server stops", "error", err)
	}
	s.metrics.stopping.Store(true)
	// Nothing is accepted any more before Shutdown begins: it would lose what
	// Serve has just accepted.
	s.main.Close()
	if s.admin != nil {
		s.admin.Close()
	}
	for range running {
		<-ended
	}
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

// newRunner makes the runner of the scripts and the function that ends it.
func (s *server) newRunner(ctx context.Context) (callback.ScriptRunner, func(), error) {
	if !s.o.sandbox {
		if !s.o.inProcess {
			s.log.WarnContext(ctx, "this system does not enforce the sandbox's limits: scripts run in this process")
		}
		return &callback.GojaRunner{Source: s.scripts}, func() {}, nil
	}
	pool := &sandbox.Runner{
		Source:    s.scripts,
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
	if host == "localhost" {
		return true
	}
	ip, err := netip.ParseAddr(host)
	return err == nil && ip.Unmap().IsLoopback()
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

// folderHealthy reports whether the folder of scripts is still there.
func (s *server) folderHealthy() error {
	info, err := fs.Stat(os.DirFS(s.scripts.dir), ".")
	if err != nil {
		return fmt.Errorf("-scripts: %w", err)
	}
	if !info.IsDir() {
		return errors.New("-scripts: no folder any more")
	}
	return nil
}
