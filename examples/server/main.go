// Command server serves a folder of callback scripts: the tree of a game's
// exported cloud code, or without flags the samples it carries.
//
//	go run ./examples/server
//	go run ./examples/server -scripts cloudcode -secrets secrets.json
//	go run ./examples/server -scripts cloudcode -check
//
// It prints a curl line for each script to stdout, then the address it listens
// on, and logs to stderr. It speaks plain HTTP: put TLS in front of it, for a
// callback's URL is a password.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"

	"example.com/callback"
	"example.com/callback/sandbox"
)

func main() {
	sandbox.Main()        // with -sandbox, the children of this process begin and end here
	time.Local = time.UTC // the zone of scripts, as it was the original's

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // the second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

// Exit codes of the command.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2 // a flag, or what it names, is no good
)

// run is the command. It ends when ctx is done.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	logger := newLogger(stderr)
	opts, err := parseOptions(args, stderr)
	if errors.Is(err, flag.ErrHelp) {
		return exitOK
	}
	var tree *scriptTree
	if err == nil {
		tree, err = openScripts(opts.scripts, logger)
	}
	if err == nil && opts.check {
		return check(opts, tree, stdout, stderr)
	}
	if err == nil && len(tree.credentials) == 0 {
		err = fmt.Errorf("-scripts %s: holds neither callbacks/*.js nor system/GS_CALLBACK_URL.js", opts.scripts)
	}
	var secrets *secrets
	if err == nil {
		secrets, err = openSecrets(opts.secrets, tree, logger)
	}
	var listener net.Listener
	if err == nil {
		listener, err = listen(opts.addr)
	}
	if err != nil {
		fmt.Fprintln(stderr, "server:", err)
		return exitUsage
	}

	var runner callback.ScriptRunner = &callback.GojaRunner{Scripts: tree.fs}
	if opts.sandbox {
		pool := &sandbox.Runner{Scripts: tree.fs, Logger: logger}
		defer pool.Close()
		if err := pool.Start(ctx); err != nil {
			logger.Error("sandbox failed", "error", err)
			return exitFailed
		}
		runner = pool
	}

	client := &callback.HTTPClient{DangerouslyAllowPrivate: opts.allowPrivate}
	defer client.CloseIdleConnections()
	handler := &callback.Handler{
		Runner:      noteCalls(runner),
		Secrets:     secrets.store,
		HTTP:        client,
		Timeout:     opts.timeout,
		HTTPTimeout: opts.httpTimeout,
		Logger:      logger,
	}
	if err := handler.Validate(); err != nil {
		fmt.Fprintln(stderr, "server:", err)
		return exitUsage
	}
	server := newServer(opts, handler, logger)

	base := baseURL(listener.Addr())
	for _, line := range curlLines(base, tree, secrets) {
		fmt.Fprintln(stdout, line)
	}
	fmt.Fprintln(stdout, "listening on", base)
	if addr, ok := listener.Addr().(*net.TCPAddr); ok && !addr.IP.IsLoopback() {
		logger.Warn("others can reach this server: put TLS in front of it", "addr", addr.String())
	}
	if err := serve(ctx, server, listener, opts.timeout+5*time.Second, logger); err != nil {
		logger.Error("server failed", "error", err)
		return exitFailed
	}
	return exitOK
}

// newLogger logs at all levels: the scripts' debug lines are their authors'.
func newLogger(w io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(w, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// options are the command's flags.
type options struct {
	addr, scripts, secrets string
	timeout, httpTimeout   time.Duration
	allowPrivate           bool
	sandbox                bool

	check, all, verbose, json bool
	members                   string
}

// parseOptions reads the flags. For -h it prints them and returns flag.ErrHelp.
func parseOptions(args []string, stderr io.Writer) (options, error) {
	var opts options
	flags := flag.NewFlagSet("server", flag.ContinueOnError)
	flags.StringVar(&opts.addr, "addr", "127.0.0.1:8080", "`host:port` to listen on; port 0 picks a free one")
	flags.StringVar(&opts.scripts, "scripts", "", "`folder` with callbacks/*.js, modules/*.js and system/GS_CALLBACK_URL.js (default: built-in samples)")
	flags.StringVar(&opts.secrets, "secrets", "", "JSON `file` of secrets (default: random ones for the API key \""+demoKey+"\", printed once):\n"+secretsShape)
	flags.DurationVar(&opts.timeout, "timeout", callback.DefaultTimeout, "longest time a call may take")
	flags.DurationVar(&opts.httpTimeout, "http-timeout", callback.DefaultHTTPTimeout, "longest time an outbound request of a script may take, unless the script says otherwise")
	flags.BoolVar(&opts.allowPrivate, "allow-private", false, "let scripts connect to private addresses, this machine's own included")
	flags.BoolVar(&opts.sandbox, "sandbox", false, "run each script in a child process, for scripts nobody has to trust")
	flags.BoolVar(&opts.check, "check", false, "report what is wrong with the scripts, serve nothing, and exit with 1 if one cannot run")
	flags.BoolVar(&opts.all, "all", false, "with -check: also the folders whose scripts no callback runs, such as event and request")
	flags.BoolVar(&opts.verbose, "v", false, "with -check: also a line for each place")
	flags.BoolVar(&opts.json, "json", false, "with -check: all of it as JSON")
	flags.StringVar(&opts.members, "members", "", "with -check: `names`, with commas between, of the members that your server adds to Spark")
	flags.SetOutput(io.Discard) // its errors are returned, and one line long
	err := flags.Parse(args)
	switch {
	case errors.Is(err, flag.ErrHelp):
		flags.SetOutput(stderr)
		flags.Usage()
		return opts, err
	case err != nil:
		return opts, err
	case flags.NArg() > 0:
		return opts, fmt.Errorf("unexpected argument %q: everything is said by flags, see -h", flags.Arg(0))
	case emptyFlag(flags) != "":
		return opts, fmt.Errorf("-%s: must not be empty", emptyFlag(flags))
	case !opts.check && (opts.all || opts.verbose || opts.json || opts.members != ""):
		return opts, errors.New("-all, -v, -json and -members are for -check")
	case opts.timeout <= 0:
		return opts, fmt.Errorf("-timeout %v: must be more than zero", opts.timeout)
	case opts.httpTimeout <= 0:
		return opts, fmt.Errorf("-http-timeout %v: must be more than zero", opts.httpTimeout)
	}
	return opts, nil
}

// emptyFlag is the name of a flag that was given an empty value, as by a shell
// variable that is not set: the default is not what was meant.
func emptyFlag(flags *flag.FlagSet) string {
	var name string
	flags.Visit(func(f *flag.Flag) {
		if f.Value.String() == "" {
			name = f.Name
		}
	})
	return name
}

func listen(addr string) (net.Listener, error) {
	listener, err := net.Listen("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("-addr %s: %w", addr, err)
	}
	return listener, nil
}

// baseURL is a URL that reaches addr from this machine.
func baseURL(addr net.Addr) string {
	host, port, err := net.SplitHostPort(addr.String())
	if err != nil {
		return "http://" + addr.String()
	}
	if net.ParseIP(host).IsUnspecified() {
		host = "localhost"
	}
	return "http://" + net.JoinHostPort(host, port)
}

// newServer makes a server that no slow client can hold up. The handler is
// mounted without a mux: http.ServeMux redirects a path with "//" in it, and
// would repeat a secret.
func newServer(opts options, handler http.Handler, logger *slog.Logger) *http.Server {
	return &http.Server{
		Handler:           logAccess(handler, logger),
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       opts.timeout + 5*time.Second, // the Handler's own is earlier, and answers
		WriteTimeout:      opts.timeout + 15*time.Second,
		IdleTimeout:       time.Minute,
		MaxHeaderBytes:    64 << 10,
		ErrorLog:          log.New(errorLog{logger}, "", 0),
	}
}

// serve serves until ctx is done, then lets the calls under way end, for at
// most as long as grace.
func serve(ctx context.Context, server *http.Server, listener net.Listener, grace time.Duration, logger *slog.Logger) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return err
	case <-ctx.Done():
	}
	logger.Info("shutting down")
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), grace)
	defer cancel()
	err := server.Shutdown(ctx)
	if err != nil {
		err = fmt.Errorf("calls still under way are cut off: %w", errors.Join(err, server.Close()))
	}
	<-failed // http.ErrServerClosed
	return err
}

// check reports what is wrong with the scripts: as a summary, or for programs as
// JSON.
func check(opts options, tree *scriptTree, stdout, stderr io.Writer) int {
	report, err := callback.Check(tree.fs, callback.CheckOptions{
		Members: strings.FieldsFunc(opts.members, func(r rune) bool { return r == ',' }),
		All:     opts.all,
	})
	if err != nil {
		fmt.Fprintln(stderr, "server: -check:", err)
		return exitUsage
	}
	if opts.json {
		encoder := json.NewEncoder(stdout)
		encoder.SetIndent("", "  ")
		err = encoder.Encode(report)
	} else {
		err = report.WriteText(stdout, opts.verbose)
	}
	if err != nil {
		fmt.Fprintln(stderr, "server: -check:", err)
		return exitFailed
	}
	if !report.Run() {
		return exitFailed
	}
	return exitOK
}
