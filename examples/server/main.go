// Command server is a first look: it serves a folder of callback scripts, or the
// samples that it carries, and a console to try them on.
//
//	go run ./examples/server
//	go run ./examples/server -scripts cloudcode -secrets secrets.json
//	go run ./examples/server -scripts cloudcode -check
//
// It prints a curl line for each script, the address of the console, and last the
// address that it listens on. It has no TLS and reads its secrets once: the server
// for production is cmd/callbackd.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"example.com/callback"
	"example.com/callback/console"
	"example.com/callback/sandbox"
)

func main() {
	sandbox.Main()        // with -sandbox, the children of this process begin and end here
	time.Local = time.UTC // the zone of scripts, as it was the original's

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// options are the command's flags.
type options struct {
	addr, scripts, secrets       string
	timeout, httpTimeout         time.Duration
	allowPrivate, sandbox, check bool
}

// run is the command. It ends when ctx is done and returns the exit code: 2 if a
// flag, or what it names, is wrong.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	opts, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return 0
	}
	var tree *scriptTree
	if err == nil {
		tree, err = openScripts(opts.scripts)
	}
	if err == nil && opts.check {
		return check(tree, stdout, stderr)
	}
	var secrets secretLists
	if err == nil {
		secrets, err = openSecrets(opts.secrets, tree)
	}
	var listener, consoleListener net.Listener
	if err == nil {
		listener, err = listen("-addr", opts.addr)
	}
	if err == nil {
		defer listener.Close()
		consoleListener, err = listen("console", "127.0.0.1:0")
	}
	if err != nil {
		fmt.Fprintln(stderr, "server:", err)
		return 2
	}
	defer consoleListener.Close()

	logger := slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: slog.LevelDebug}))
	var runner callback.ScriptRunner = &callback.GojaRunner{Scripts: tree.fs}
	if opts.sandbox {
		pool := &sandbox.Runner{Scripts: tree.fs, Logger: logger}
		defer pool.Close()
		runner = pool
	}
	handler := &callback.Handler{
		Runner:      runner,
		Secrets:     secrets,
		HTTP:        &callback.HTTPClient{DangerouslyAllowPrivate: opts.allowPrivate},
		Timeout:     opts.timeout,
		HTTPTimeout: opts.httpTimeout,
		Logger:      logger,
		KeepLog:     64 << 10,
	}
	pages := &console.Console{Handler: handler, Recorder: &callback.Recorder{}, Trees: func(context.Context) ([]console.Tree, error) {
		var trees []console.Tree
		for apiKey := range secrets {
			trees = append(trees, console.Tree{APIKey: apiKey, FS: tree.fs})
		}
		return trees, nil
	}}
	handler.Observe = pages.Observe
	if err := handler.Validate(); err != nil {
		fmt.Fprintln(stderr, "server:", err)
		return 2
	}

	base := "http://" + strings.Replace(listener.Addr().String(), "[::]", "localhost", 1)
	for _, line := range tree.curlLines(base) {
		fmt.Fprintln(stdout, line)
	}
	fmt.Fprintf(stdout, "console on http://%s\n", consoleListener.Addr())
	fmt.Fprintln(stdout, "listening on", base)
	consoleServer := &http.Server{Handler: pages, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: 2 * time.Minute}
	go consoleServer.Serve(consoleListener)
	defer consoleServer.Close()
	return serve(ctx, listener, handler, opts.timeout, logger)
}

// parseOptions reads the flags. For -h it prints them and returns flag.ErrHelp.
func parseOptions(args []string, stderr io.Writer) (opts options, err error) {
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.StringVar(&opts.addr, "addr", "127.0.0.1:8080", "`host:port` to listen on; port 0 picks a free one")
	flags.StringVar(&opts.scripts, "scripts", "", "`folder` with callbacks/*.js, modules/*.js and system/GS_CALLBACK_URL.js (default: samples)")
	flags.StringVar(&opts.secrets, "secrets", "", "JSON `file` of secrets (default: random ones for the API key \""+demoKey+"\", printed once):\n"+secretsShape)
	flags.DurationVar(&opts.timeout, "timeout", callback.DefaultTimeout, "longest time of a call")
	flags.DurationVar(&opts.httpTimeout, "http-timeout", callback.DefaultHTTPTimeout, "longest time of an outbound request for which the script names none")
	flags.BoolVar(&opts.allowPrivate, "allow-private", false, "let scripts connect to private addresses, this machine's own included")
	flags.BoolVar(&opts.sandbox, "sandbox", false, "run scripts in child processes, for untrusted authors")
	flags.BoolVar(&opts.check, "check", false, "say which scripts cannot run, and why; serve nothing, and exit with 1 if there is one")
	flags.SetOutput(io.Discard) // its errors are returned
	err = flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stderr)
		flags.Usage()
	case err != nil:
	case flags.NArg() > 0:
		err = fmt.Errorf("unexpected argument %q: there are flags only, see -h", flags.Arg(0))
	case opts.timeout <= 0 || opts.httpTimeout <= 0:
		err = errors.New("-timeout and -http-timeout must be more than zero")
	}
	flags.Visit(func(f *flag.Flag) { // an empty value may be that of a shell variable that is not set
		if f.Value.String() == "" && err == nil {
			err = fmt.Errorf("-%s: must not be empty", f.Name)
		}
	})
	return opts, err
}

func listen(name, addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("%s %s: %w", name, addr, err)
	}
	return listener, nil
}

// serve serves until ctx is done, then lets the calls under way end.
func serve(ctx context.Context, listener net.Listener, handler http.Handler, timeout time.Duration, logger *slog.Logger) int {
	server := &http.Server{
		Handler:           handler, // without a mux: http.ServeMux redirects a path with "//" in it, and repeats the secret
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       timeout + 5*time.Second, // after the Handler's own time-out, which sends an answer
		WriteTimeout:      timeout + 15*time.Second,
		ErrorLog:          slog.NewLogLogger(logger.Handler(), slog.LevelError),
	}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		logger.Error("server failed", "error", err)
		return 1
	case <-ctx.Done():
	}
	logger.Info("shutting down")
	grace, cancel := context.WithTimeout(context.WithoutCancel(ctx), timeout+5*time.Second)
	defer cancel()
	if err := server.Shutdown(grace); err != nil {
		logger.Error("calls still under way are cut off", "error", errors.Join(err, server.Close()))
		return 1
	}
	return 0
}

// check says what is wrong with the scripts.
func check(tree *scriptTree, stdout, stderr io.Writer) int {
	report, err := callback.Check(tree.fs, callback.CheckOptions{})
	if err == nil {
		err = report.WriteText(stdout, false)
	}
	switch {
	case err != nil:
		fmt.Fprintln(stderr, "server: -check:", err)
		return 2
	case !report.Run():
		return 1
	}
	return 0
}
