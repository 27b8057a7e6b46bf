package main

import (
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"example.com/callback"
)

const serveSynopsis = `callbackd serve -scripts DIR -secrets FILE [flags]

Serves callback URLs: /callback/{apiKey}/{credential}/{secret} runs
callbacks/{credential}.js of the folder. It prints the addresses that it listens
on to standard output, and logs to standard error.`

// serveOptions are the flags of "callbackd serve".
type serveOptions struct {
	scripts, secrets, vars string
	dev                    bool

	headers, methods, trustProxy list

	addr, prefix, tlsCert, tlsKey string

	timeout, httpTimeout time.Duration
	maxBody              int64
	maxInFlight          int
	allowPrivate         bool

	sandbox, inProcess bool
	processes          int
	maxMemory          int64
	zone               string

	admin        string
	record       int
	recordBodies bool
	logFormat    string
	logLevel     slog.Level
	runIDHeader  string

	proxies  trustedProxies
	location *time.Location
}

// sandboxWorks reports whether this system holds the sandbox's children to all
// of their limits.
const sandboxWorks = runtime.GOOS == "linux"

// parseServe reads the flags of serve. What is wrong is a usageError.
func parseServe(args, environ []string, help io.Writer) (*serveOptions, error) {
	o := &serveOptions{}
	f := newFlagSet(serveSynopsis)
	f.useEnv = true
	f.in("Scripts and secrets", func() {
		f.StringVar(&o.scripts, "scripts", "", "`folder` of callbacks/*.js, modules/*.js and system/GS_CALLBACK_URL.js,\nor of one such folder for each API key (required)")
		f.StringVar(&o.secrets, "secrets", "", "JSON `file` of secrets, loaded again on a change and on SIGHUP (required):\n"+secretsShape)
		f.StringVar(&o.vars, "vars", "", "JSON `file` of what scripts read by Spark.getProperties().getProperty(name),\nsigning keys above all, loaded again on a change and on SIGHUP:\n"+varsShape)
		f.BoolVar(&o.dev, "dev", false, "for authors, on loopback only: answer a failing call with its error, log and\nsource, and check scripts as they are saved")
	})
	f.in("Requests", func() {
		o.headers = slices.Clone(providerHeaders)
		f.Var(&o.headers, "headers", "request headers that scripts see as Spark.getData().REQUEST_HEADERS, a comma-\nseparated `list`, or \"none\"")
		f.Lookup("headers").DefValue = "those of the common providers' signatures"
		f.Var(&o.methods, "methods", "methods to serve beside GET, HEAD and POST, a `list` of PUT, PATCH, DELETE, OPTIONS")
		f.Var(&o.trustProxy, "trust-proxy", "addresses and networks, a `list`, whose Forwarded and X-Forwarded-For are believed")
		f.StringVar(&o.prefix, "prefix", callback.DefaultPrefix, "`path` before the API key, with its slashes")
		f.StringVar(&o.runIDHeader, "run-id-header", "", "response `header` that tells the caller the run's id (default none)")
	})
	f.in("Listening", func() {
		f.StringVar(&o.addr, "addr", "127.0.0.1:8080", "`host:port` to listen on; port 0 picks a free one. A socket of systemd comes first")
		f.StringVar(&o.tlsCert, "tls-cert", "", "PEM `file` of the certificate chain, loaded again on a change")
		f.StringVar(&o.tlsKey, "tls-key", "", "PEM `file` of the certificate's key")
	})
	f.in("Limits", func() {
		f.DurationVar(&o.timeout, "timeout", 10*time.Second, "longest time of a call")
		f.DurationVar(&o.httpTimeout, "http-timeout", 5*time.Second, "longest time of an outbound request for which the script names none")
		f.Int64Var(&o.maxBody, "max-body", 4<<20, "longest request body, in `bytes`")
		f.IntVar(&o.maxInFlight, "max-in-flight", 16384, "`calls` under way at once; more get 503")
		f.BoolVar(&o.allowPrivate, "allow-private", false, "let scripts connect to private addresses, this machine's own included")
	})
	f.in("Running scripts", func() {
		f.BoolVar(&o.sandbox, "sandbox", sandboxWorks, "run scripts in child processes, for authors nobody has to trust\n(default true where the system enforces the limits: Linux)")
		f.BoolVar(&o.inProcess, "in-process", false, "run scripts in this process: for trusted authors, and faster")
		f.IntVar(&o.processes, "processes", 0, "`number` of child processes of the sandbox (default 4 for each processor)")
		f.Int64Var(&o.maxMemory, "max-memory", 512<<20, "memory of a child process, in `bytes`")
		f.StringVar(&o.zone, "zone", "UTC", "time `zone` of the scripts, such as Europe/Vienna")
	})
	f.in("Operation", func() {
		f.StringVar(&o.admin, "admin", "127.0.0.1:8081", "`host:port` of /metrics, /healthz, /readyz and, on loopback only, the console;\n\"off\" for none")
		f.IntVar(&o.record, "record", 1000, "`runs` that the console can show, retained in memory; 0 for none")
		f.BoolVar(&o.recordBodies, "record-bodies", false, "retain the data and body of those runs, so that they can be replayed")
		f.StringVar(&o.logFormat, "log-format", "text", "`form` of the log: text or json")
		f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "lowest `level` that is logged: DEBUG, INFO, WARN or ERROR")
	})
	rest, err := f.parse(args, environ, help)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, usagef("unexpected argument %q: serve takes flags only, see -h", rest[0])
	}
	return o, o.check()
}

// check finds what is wrong with the options that can be told without opening
// anything.
func (o *serveOptions) check() (err error) {
	switch {
	case o.scripts == "":
		return usagef("-scripts: name the folder of scripts")
	case o.secrets == "":
		return usagef("-secrets: name the file of secrets, or make one with \"callbackd secret new\"")
	case o.timeout <= 0:
		return usagef("-timeout %v: must be more than zero", o.timeout)
	case o.httpTimeout <= 0:
		return usagef("-http-timeout %v: must be more than zero", o.httpTimeout)
	case o.maxBody <= 0:
		return usagef("-max-body %d: must be more than zero", o.maxBody)
	case o.maxInFlight <= 0:
		return usagef("-max-in-flight %d: must be more than zero", o.maxInFlight)
	case o.processes < 0:
		return usagef("-processes %d: must not be negative", o.processes)
	case o.maxMemory < 128<<20:
		return usagef("-max-memory %d: must be at least %d (128 MiB)", o.maxMemory, 128<<20)
	case o.record < 0:
		return usagef("-record %d: must not be negative", o.record)
	case !strings.HasPrefix(o.prefix, "/") || !strings.HasSuffix(o.prefix, "/"):
		return usagef("-prefix %q: must begin and end with a slash", o.prefix)
	case (o.tlsCert == "") != (o.tlsKey == ""):
		return usagef("-tls-cert and -tls-key: give both or none")
	case o.logFormat != "text" && o.logFormat != "json":
		return usagef("-log-format %q: want text or json", o.logFormat)
	}
	if o.inProcess {
		o.sandbox = false
	}
	if slices.Equal(o.headers, list{"none"}) {
		o.headers = nil
	}
	for i, method := range o.methods {
		switch method = strings.ToUpper(method); method {
		case http.MethodPut, http.MethodPatch, http.MethodDelete, http.MethodOptions:
			o.methods[i] = method
		default:
			return usagef("-methods %q: want some of PUT, PATCH, DELETE, OPTIONS", method)
		}
	}
	if o.proxies, err = parseProxies(o.trustProxy); err != nil {
		return usagef("-trust-proxy: %w", err)
	}
	if o.location, err = time.LoadLocation(o.zone); err != nil {
		return usagef("-zone: %w", err)
	}
	if o.dev {
		for flag, addr := range map[string]string{"addr": o.addr, "admin": o.admin} {
			if addr != "off" && !isLoopback(addr) {
				return usagef("-dev with -%s %s: authors' mode shows errors and source, so it needs a loopback address", flag, addr)
			}
		}
	}
	return nil
}

// logger makes the logger of the process.
func (o *serveOptions) logger(w io.Writer) *slog.Logger {
	options := &slog.HandlerOptions{Level: o.logLevel}
	if o.dev {
		options.Level = slog.LevelDebug
	}
	if o.logFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}
