package main

import (
	"cmp"
	"io"
	"log/slog"
	"net/http"
	"runtime"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/pgcallback"
	"example.com/callback/rivercallback"
)

const serveSynopsis = `callbackd serve -scripts DIR -secrets FILE [flags]
callbackd serve -database URL [flags]

Serves callback URLs: /callback/{apiKey}/{credential}/{secret} runs
callbacks/{credential}.js of the folder. With -queue or -database, a script whose
first line is "// callback: deferred" is answered at once with 202 and its run's
id, and runs afterwards: with -database in a "callbackd worker". It prints the
addresses that it listens on to standard output, and logs to standard error.`

const workerSynopsis = `callbackd worker -database URL [flags]

Runs the deferred calls that "callbackd serve -database URL" has accepted. Any
number of workers can share a database. A queue in a file needs none: "callbackd
serve -queue FILE" works it itself.`

// serveOptions are the flags of "callbackd serve" and "callbackd worker".
type serveOptions struct {
	worker bool // the command

	scripts, secrets, vars string
	dev                    bool

	database, stage        string
	secretTTL, secretStale time.Duration

	queue, cron                     string
	eventKeys                       list
	deferredTimeout, keep           time.Duration
	attempts, places, perCredential int

	headers, methods, trustProxy list

	addr, prefix, tlsCert, tlsKey string

	timeout, httpTimeout time.Duration
	maxBody              int64
	maxInFlight          int
	allowPrivate         bool

	sandbox, inProcess   bool
	dangerouslyInProcess bool
	processes            int
	maxMemory            int64
	zone                 string

	admin        string
	record       int
	recordBodies bool
	logFormat    string
	logLevel     slog.Level
	runIDHeader  string

	proxies  trustedProxies
	location *time.Location
}

// checkStage reports the value of a flag that does not name a stage.
func checkStage(flag, stage string) error {
	if !pgcallback.IsStage(stage) {
		return usagef("-%s %q: want 1 to 64 of A-Z a-z 0-9 _ . -", flag, stage)
	}
	return nil
}

// sandboxWorks reports whether this system holds the sandbox's children to all
// of their limits.
const sandboxWorks = runtime.GOOS == "linux"

// parseServe reads the flags of serve. What is wrong is a usageError.
func parseServe(args, environ []string, help io.Writer) (*serveOptions, error) {
	return parseOptions(&serveOptions{}, args, environ, help)
}

// parseWorker reads the flags of worker. What is wrong is a usageError.
func parseWorker(args, environ []string, help io.Writer) (*serveOptions, error) {
	return parseOptions(&serveOptions{worker: true}, args, environ, help)
}

func parseOptions(o *serveOptions, args, environ []string, help io.Writer) (*serveOptions, error) {
	f := o.flags()
	// Fronts and workers may share a file of variables.
	f.elsewhere = (&serveOptions{worker: !o.worker}).flags().FlagSet
	rest, err := f.parse(args, environ, help)
	if err != nil {
		return nil, err
	}
	if len(rest) > 0 {
		return nil, usagef("unexpected argument %q: there are flags only, see -h", rest[0])
	}
	return o, o.check()
}

// flags defines the flags of the command.
func (o *serveOptions) flags() *flagSet {
	if o.worker {
		f := newFlagSet(workerSynopsis)
		f.useEnv = true
		f.in("Database", func() { o.databaseFlags(f) })
		f.in("Deferred runs", func() { o.workFlags(f) })
		f.in("Limits", func() { o.outboundFlags(f) })
		f.in("Running scripts", func() { o.runnerFlags(f) })
		f.in("Operation", func() { o.operationFlags(f) })
		return f
	}
	f := newFlagSet(serveSynopsis)
	f.useEnv = true
	f.in("Scripts and secrets", func() {
		f.StringVar(&o.scripts, "scripts", "", "`folder` of callbacks/*.js, modules/*.js and system/GS_CALLBACK_URL.js,\nor of one such folder for each API key (required without -database)")
		f.StringVar(&o.secrets, "secrets", "", "JSON `file` of secrets, loaded again on a change and on SIGHUP (required without\n-database): "+secretsShape)
		f.StringVar(&o.vars, "vars", "", "JSON `file` of what scripts read by Spark.getProperties().getProperty(name),\nsigning keys above all, loaded again on a change and on SIGHUP:\n"+varsShape)
		f.BoolVar(&o.dev, "dev", false, "for authors, on loopback only: answer a failing call with its error, log and\nsource, and check scripts as they are saved")
	})
	f.in("Database", func() {
		o.databaseFlags(f)
		f.DurationVar(&o.secretTTL, "secret-ttl", 30*time.Second, "how long secrets of the database are remembered: a revoked one opens nothing after\nthat (see -secret-stale)")
		f.DurationVar(&o.secretStale, "secret-stale", 0, "how long beyond that they open while the database is down, revoked ones included")
	})
	f.in("Deferred runs", func() {
		f.StringVar(&o.queue, "queue", "", "`file` of the queue of deferred calls, made if it is missing, which this process\nalso works. With -database the queue is there")
		o.eventKeys = slices.Clone(eventHeaders)
		f.Var(&o.eventKeys, "event-key", "request headers, a `list`, in which senders name an event: deferred calls of a\ncredential with the same name are one run. \"none\" for none")
		f.Lookup("event-key").DefValue = "those of the common providers"
		o.workFlags(f)
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
		o.outboundFlags(f)
		f.Int64Var(&o.maxBody, "max-body", 4<<20, "longest request body, in `bytes`")
		f.IntVar(&o.maxInFlight, "max-in-flight", 16384, "`calls` under way at once; more get 503")
	})
	f.in("Running scripts", func() { o.runnerFlags(f) })
	f.in("Operation", func() { o.operationFlags(f) })
	return f
}

func (o *serveOptions) databaseFlags(f *flagSet) {
	f.StringVar(&o.database, "database", "", databaseUsage)
	f.StringVar(&o.stage, "stage", pgcallback.DefaultStage, "`stage` of the database whose versions are served")
}

func (o *serveOptions) workFlags(f *flagSet) {
	f.DurationVar(&o.deferredTimeout, "deferred-timeout", 30*time.Second, "longest time of a deferred run. The runs of a worker that was killed begin again\nafter that and 12 to 42 seconds")
	f.IntVar(&o.attempts, "attempts", deferred.DefaultMaxAttempts, "`number` of times that a deferred run is begun before it is dead")
	f.IntVar(&o.places, "places", 0, "deferred `runs` at once (default as many as -processes; with -queue half of them, so\nthat direct calls have the others)")
	f.IntVar(&o.perCredential, "per-credential", 0, "deferred `runs` of one credential at once (default half of -places)")
	f.StringVar(&o.cron, "cron", "", "`file` of modules that run at set times, in UTC; the same for all workers. A line is\n"+cronShape)
	f.DurationVar(&o.keep, "keep", rivercallback.DefaultKeep, "how long a run that is done is remembered, with its result and the name of its\nevent")
}

func (o *serveOptions) outboundFlags(f *flagSet) {
	f.DurationVar(&o.httpTimeout, "http-timeout", 5*time.Second, "longest time of an outbound request for which the script names none")
	f.BoolVar(&o.allowPrivate, "allow-private", false, "let scripts connect to private addresses, this machine's own included")
}

func (o *serveOptions) runnerFlags(f *flagSet) {
	f.BoolVar(&o.sandbox, "sandbox", sandboxWorks, "run scripts in child processes, for untrusted authors\n(default true where the system enforces the limits: Linux)")
	f.BoolVar(&o.inProcess, "in-process", false, "run scripts in this process: for trusted authors, and faster")
	f.BoolVar(&o.dangerouslyInProcess, "dangerously-in-process", false, "run deferred calls in this process, too, although one script can end it together\nwith all others, again and again")
	f.IntVar(&o.processes, "processes", 0, "`number` of child processes of the sandbox (default 4 for each processor)")
	f.Int64Var(&o.maxMemory, "max-memory", 512<<20, "memory of a child process, in `bytes`")
	f.StringVar(&o.zone, "zone", "UTC", "time `zone` of the scripts, such as Europe/Vienna")
}

func (o *serveOptions) operationFlags(f *flagSet) {
	admin := "127.0.0.1:8081"
	if o.worker {
		admin = "127.0.0.1:8082" // beside a front on the same machine
	}
	f.StringVar(&o.admin, "admin", admin, "`host:port` of /metrics, /healthz, /readyz and, on loopback only, the console;\n\"off\" for none")
	f.IntVar(&o.record, "record", 1000, "`runs` that the console can show, retained in memory; 0 for none")
	f.BoolVar(&o.recordBodies, "record-bodies", false, "retain the data and body of those runs, so that they can be replayed")
	f.StringVar(&o.logFormat, "log-format", "text", "`form` of the log: text or json")
	f.TextVar(&o.logLevel, "log-level", slog.LevelInfo, "lowest `level` that is logged: DEBUG, INFO, WARN or ERROR")
}

// check finds problems with the options that show without opening anything.
func (o *serveOptions) check() (err error) {
	if o.worker {
		o.prefix, o.timeout, o.maxBody, o.maxInFlight = callback.DefaultPrefix, o.deferredTimeout, 4<<20, 1<<20 // the queue's places bound the runs
	}
	if o.database == "" {
		switch {
		case o.worker:
			return usagef("-database: name the database (a queue in a file is worked by \"callbackd serve -queue FILE\")")
		case o.scripts == "":
			return usagef("-scripts: name the folder of scripts, or the -database that has them")
		case o.secrets == "":
			return usagef("-secrets: name the file of secrets, or make one with \"callbackd secret new\"")
		}
	}
	for flag, value := range map[string]string{"scripts": o.scripts, "secrets": o.secrets, "vars": o.vars, "queue": o.queue} {
		if o.database != "" && value != "" {
			return usagef("-%s and -database: the database has it; \"callbackd publish\", \"secret load\" and \"vars load\" put it there", flag)
		}
	}
	if o.places == 0 {
		o.places = cmp.Or(o.processes, 4*runtime.GOMAXPROCS(0)) // as the sandbox has it
		if !o.worker {
			o.places /= 2
		}
		o.places = max(o.places, 1)
	}
	if o.perCredential == 0 {
		o.perCredential = max(o.places/2, 1)
	}
	if o.inProcess || o.dangerouslyInProcess {
		o.sandbox = false
	}
	if err := checkStage("stage", o.stage); err != nil {
		return err
	}
	switch {
	case o.dev && o.database != "":
		return usagef("-dev: is for a folder of scripts, not for a -database")
	case (o.worker || o.queue != "") && !o.sandbox && !o.dangerouslyInProcess:
		return usagef("deferred runs need the sandbox: without it one script can end all that run beside it, again and again (-dangerously-in-process allows it)")
	case o.cron != "" && !o.worker && o.queue == "":
		return usagef("-cron: is for a server with a -queue, or for a worker")
	case o.deferredTimeout <= 0:
		return usagef("-deferred-timeout %v: must be more than zero", o.deferredTimeout)
	case o.keep < time.Minute:
		return usagef("-keep %v: must be at least a minute", o.keep)
	case o.attempts < 1:
		return usagef("-attempts %d: must be at least 1", o.attempts)
	case o.places < 1 || o.places > 10_000:
		return usagef("-places %d: must be from 1 to 10000", o.places)
	case o.perCredential < 0:
		return usagef("-per-credential %d: must not be negative", o.perCredential)
	case !o.worker && o.secretTTL <= 0:
		return usagef("-secret-ttl %v: must be more than zero", o.secretTTL)
	case o.secretStale < 0:
		return usagef("-secret-stale %v: must not be negative", o.secretStale)
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
	for flag, names := range map[string]list{"headers": o.headers, "event-key": o.eventKeys, "run-id-header": {cmp.Or(o.runIDHeader, "none")}} {
		for _, name := range names {
			if !httpguts.ValidHeaderFieldName(name) {
				return usagef("-%s: %q is no name of a header", flag, name)
			}
		}
	}
	if slices.Equal(o.headers, list{"none"}) {
		o.headers = nil
	}
	if slices.Equal(o.eventKeys, list{"none"}) {
		o.eventKeys = nil
	}
	if o.queue != "" || o.database != "" {
		for _, name := range o.eventKeys {
			if !slices.ContainsFunc(o.headers, func(seen string) bool { return strings.EqualFold(seen, name) }) {
				o.headers = append(o.headers, name)
			}
		}
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

// supplied are the members of Spark that the server supplies.
func (o *serveOptions) supplied() []string {
	switch {
	case o.database != "":
		return databaseMembers
	case o.queue != "":
		return queueMembers
	}
	return suppliedMembers
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
