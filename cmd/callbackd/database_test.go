//go:build unix

package main

import (
	"errors"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/pgtest"
	"example.com/callback/pgcallback"
	"example.com/callback/rivercallback"
)

// postgres starts a server that ends with the test.
func postgres(t *testing.T) *pgtest.Server {
	t.Helper()
	server, err := pgtest.Start()
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, server.Close()) })
	return server
}

// newDatabase makes a database and returns its address.
func newDatabase(t *testing.T, server *pgtest.Server) string {
	t.Helper()
	address, err := server.NewDatabase()
	require.NoError(t, err)
	return address
}

// onDatabase runs a command with -database.
func onDatabase(t *testing.T, address string, want int, args ...string) string {
	t.Helper()
	return onDatabaseWith(t, "", address, want, args...)
}

func onDatabaseWith(t *testing.T, stdin, address string, want int, args ...string) string {
	t.Helper()
	var out, errs lockedBuffer
	cmd := callbackd(t, args...)
	if address != "" {
		cmd.Env = append(cmd.Env, "CALLBACKD_DATABASE="+address)
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &out, &errs
	_ = cmd.Run()
	require.Equal(t, want, cmd.ProcessState.ExitCode(), "%v: %s%s", args, &out, &errs)
	if want == exitUsage {
		require.Equal(t, 1, strings.Count(errs.String(), "\n"), "one line: %s", &errs)
	}
	if want != exitOK {
		return out.String() + errs.String()
	}
	return out.String()
}

// version is a tree whose scripts say which version they are.
func version(t *testing.T, name string) string {
	return folder(t, map[string]string{
		"callbacks/hello.js": `requireOnce("PART"); Spark.setScriptData("main", "` + name + `"); Spark.setScriptData("part", part)`,
		"callbacks/event.js": "// callback: deferred\n" + `requireOnce("PART"); Spark.getLog().info("ran " + part); Spark.setScriptData("part", part)`,
		"modules/PART.js":    `var part = "` + name + `"`,
	})
}

func TestDatabase(t *testing.T) {
	t.Parallel()
	server := postgres(t)
	t.Run("commands", func(t *testing.T) { testDatabaseCommands(t, server) })
	t.Run("servers", func(t *testing.T) { testDatabaseServers(t, server) })
	t.Run("bad input", func(t *testing.T) { testDatabaseUsage(t, server) })
}

func testDatabaseCommands(t *testing.T, server *pgtest.Server) {
	address := newDatabase(t, server)
	run := func(want int, args ...string) string { return onDatabase(t, address, want, args...) }
	publish := func(name string) string {
		out := run(exitOK, "publish", "-key", "KEY", "-author", "ann", "-message", "the "+name, version(t, name))
		require.Regexp(t, `^KEY [0-9a-f]{32}\n$`, out)
		return strings.Fields(out)[1]
	}
	one, two := publish("one"), publish("two")
	require.Equal(t, one, publish("one"), "a tree has one name")
	list := run(exitOK, "versions", "KEY")
	require.Regexp(t, `(?m)\A`+two[:12]+` .* ann .* the two\n`+one[:12]+` .* ann .* the one\n\z`, list)

	require.Contains(t, run(exitUsage, "promote", "KEY", "0000"), `no such version: "0000"`)
	require.Contains(t, run(exitUsage, "rollback", "KEY"), "no such stage")
	require.Equal(t, "KEY live is at "+one+"\n", run(exitOK, "promote", "KEY", one[:6]))
	require.Contains(t, run(exitUsage, "rollback", "KEY"), "no version before")
	require.Equal(t, "KEY live is at "+two+", rollback goes to "+one[:12]+"\n", run(exitOK, "promote", "-message", "better", "KEY", two))
	require.Contains(t, run(exitOK, "versions", "KEY"), "live")
	require.Contains(t, run(exitUsage, "rollback", "-from", one, "KEY"), "the stage has moved")
	require.Equal(t, "KEY live is at "+one+"\n", run(exitOK, "rollback", "-from", two, "KEY"))
	require.Contains(t, run(exitOK, "versions", "-moves", "KEY"), "better")
	require.Contains(t, run(exitOK, "diff", "KEY", two), "--- modules/PART.js\n+++ modules/PART.js\n@@ -1,1 +1,1 @@\n-var part = \"one\"\n\\ No newline at end of file\n+var part = \"two\"\n")
	require.Empty(t, run(exitOK, "diff", "KEY", "live", one[:8]))

	// The environment may name the stage.
	onPreview := func(args ...string) string {
		cmd := callbackd(t, args...)
		cmd.Env = append(cmd.Env, "CALLBACKD_DATABASE="+address, "CALLBACKD_STAGE=preview")
		out, err := cmd.Output()
		require.NoError(t, err, "%v: %s", args, out)
		return string(out)
	}
	require.Equal(t, "KEY preview is at "+two+"\n", onPreview("promote", "KEY", two))
	require.Contains(t, onPreview("diff", "KEY", one), "+var part = \"one\"")
	require.Equal(t, "KEY live is at "+one+"\n", onPreview("promote", "-stage", "live", "KEY", one))

	broken := folder(t, map[string]string{"callbacks/hello.js": "var a = ;"})
	out := run(exitFailed, "publish", "-key", "KEY", "-promote", "live", broken)
	require.Contains(t, out, "callbacks/hello.js:1:9")
	require.Contains(t, out, "KEY: not published")
	require.Len(t, strings.Split(strings.TrimSpace(run(exitOK, "versions", "KEY")), "\n"), 2)

	trees := folder(t, map[string]string{"A/callbacks/x.js": "1", "B/callbacks/x.js": "2"})
	require.Regexp(t, `^A [0-9a-f]+\nB [0-9a-f]+\n$`, run(exitOK, "publish", "-promote", "preview", trees))
	require.Contains(t, run(exitOK, "versions", "B"), "preview")

	// Secrets.
	require.Contains(t, run(exitUsage, "secret", "rotate", "KEY/hello"), "has no secret: use new")
	require.Len(t, strings.TrimSpace(run(exitOK, "secret", "new", "KEY/hello")), 26)
	require.Contains(t, run(exitUsage, "secret", "new", "KEY/hello"), "has a secret already")
	run(exitOK, "secret", "rotate", "KEY/hello")
	require.Equal(t, "KEY/hello\t2\n", run(exitOK, "secret", "list", "KEY"))
	for range pgcallback.MaxSecrets - 2 {
		run(exitOK, "secret", "rotate", "KEY/hello")
	}
	require.Contains(t, run(exitUsage, "secret", "rotate", "KEY/hello"), "16 secrets that have not ended")
	run(exitOK, "secret", "revoke", "KEY/hello")
	require.Equal(t, "KEY/hello\t1\n", run(exitOK, "secret", "list", "KEY"))
	require.Contains(t, run(exitUsage, "secret", "revoke", "KEY/hello"), "one secret only")
	run(exitOK, "secret", "revoke", "-all", "KEY/hello")
	require.Empty(t, run(exitOK, "secret", "list", "KEY"))
	file := filepath.Join(folder(t, map[string]string{"secrets.json": `{"KEY": {"hello": ["s3cret"], "": ["server"]}}`}), "secrets.json")
	for range 2 { // again, nothing changes
		run(exitOK, "secret", "load", "-secrets", file)
		require.Equal(t, "KEY/\t1\nKEY/hello\t1\n", run(exitOK, "secret", "list", "KEY"))
	}

	// Variables.
	require.Empty(t, onDatabaseWith(t, `"signing-key"`+"\n", address, exitOK, "vars", "set", "KEY/hello", "GITHUB_SECRET"))
	file = filepath.Join(folder(t, map[string]string{"vars.json": `{"KEY": {"": {"SHOP": {"id": 7}, "OLD": 1}}}`}), "vars.json")
	run(exitOK, "vars", "load", file)
	run(exitOK, "vars", "unset", "KEY/", "OLD")
	require.Equal(t, "KEY/\tSHOP\nKEY/hello\tGITHUB_SECRET\n", run(exitOK, "vars", "list", "KEY"))
	out = onDatabaseWith(t, "very-secret", address, exitUsage, "vars", "set", "KEY/hello", "GITHUB_SECRET")
	require.Contains(t, out, "not JSON: a string needs its quotes")
	require.NotContains(t, out, "very-secret")
}

func testDatabaseServers(t *testing.T, server *pgtest.Server) {
	address := newDatabase(t, server)
	run := func(args ...string) string { return onDatabase(t, address, exitOK, args...) }
	front, admin, worker := startDatabase(t, address, "serve"), "", startDatabase(t, address, "worker")
	admin = front.admin
	eventually(t, func() bool { status, _ := get(t, admin+"/readyz"); return status == 200 }, "ready")
	secret := strings.TrimSpace(run("secret", "new", "KEY/hello"))
	eventSecret := strings.TrimSpace(run("secret", "new", "KEY/event"))
	status, _ := get(t, front.url+"/callback/KEY/hello/"+secret)
	require.Equal(t, 404, status, "nothing is promoted")

	says := func(want string) func() bool {
		return func() bool {
			_, body := get(t, front.url+"/callback/KEY/hello/"+secret)
			return body == want
		}
	}
	run("publish", "-key", "KEY", "-promote", "live", version(t, "one"))
	eventually(t, says(`{"main":"one","part":"one"}`), "first version")
	run("publish", "-key", "KEY", "-promote", "live", version(t, "two"))
	eventually(t, says(`{"main":"two","part":"two"}`), "second version")
	run("rollback", "KEY")
	eventually(t, says(`{"main":"one","part":"one"}`), "rolled back")

	// A deferred call is answered by the front and run by the worker, once.
	ids := map[string]bool{}
	for range 2 {
		status, body := send(t, http.DefaultClient, "POST", front.url+"/callback/KEY/event/"+eventSecret, "x", http.Header{"X-Github-Delivery": {"d-1"}})
		require.Equal(t, 202, status, body)
		ids[body] = true
	}
	require.Len(t, ids, 1, "a duplicate is the same run")
	eventually(t, func() bool { return strings.Contains(worker.log.String(), "ran one") }, "deferred run")
	metrics := func() string { _, text := get(t, worker.admin+"/metrics"); return text }
	eventually(t, func() bool { return strings.Contains(metrics(), `callbackd_queue_jobs{state="finished"} 1`) }, "metrics")
	for _, want := range []string{`callbackd_queue_jobs{state="dead"} 0`, "callbackd_queue_up 1", `callbackd_deferred_attempts_total{verdict="done"} 1`, "callbackd_scripts_age_seconds"} {
		require.Contains(t, metrics(), want)
	}
	require.NotContains(t, front.log.String(), "ran one")
	for body := range ids { // its result is readable by run id
		id := regexp.MustCompile(`"run":"(\w+)"`).FindStringSubmatch(body)[1]
		status, body = get(t, admin+"/api/queue/"+id)
		require.Equal(t, 200, status, body)
		require.Contains(t, body, `"state":"finished"`)
		require.Contains(t, body, `"result":{"part":"one"}`)
	}
	status, body := get(t, admin+"/api/queue/NOSUCH")
	require.Equal(t, 404, status, body)

	// A version that is promoted in the stage "preview" is served by the fronts of that
	// stage, and by no others.
	previewed := strings.Fields(run("publish", "-key", "KEY", "-promote", "preview", version(t, "three")))[1]
	preview := startDatabase(t, address, "serve", "-stage", "preview")
	eventually(t, func() bool {
		_, body := get(t, preview.url+"/callback/KEY/hello/"+secret)
		return body == `{"main":"three","part":"three"}`
	}, "preview")
	require.True(t, says(`{"main":"one","part":"one"}`)(), "live stays")
	require.Contains(t, run("versions", "KEY"), previewed[:12])
	require.Equal(t, exitOK, preview.stop(t))
	require.Equal(t, exitOK, worker.stop(t), worker.log)

	// Without a worker the console of a front shows the jobs that wait.
	status, body = get(t, front.url+"/callback/KEY/event/"+eventSecret)
	require.Equal(t, 202, status, body)
	_, queue := get(t, admin+"/api/queue")
	require.Contains(t, queue, `"queued":1`)
	require.Regexp(t, `"version":"\w+"`, queue)
	id := regexp.MustCompile(`"run":"(\w+)"`).FindStringSubmatch(body)[1]
	status, body = send(t, http.DefaultClient, "POST", admin+"/api/queue/"+id, `{"action":"drop"}`, http.Header{"Content-Type": {"application/json"}})
	require.Equal(t, 200, status, body)
	_, queue = get(t, admin+"/api/queue")
	require.Contains(t, queue, `"queued":0`)
	_, state := get(t, admin+"/api/state")
	require.Contains(t, state, `"KEY"`)

	// A revoked secret is refused after its time to live.
	run("secret", "revoke", "-all", "KEY/hello")
	eventually(t, func() bool { status, _ := get(t, front.url+"/callback/KEY/hello/"+secret); return status == 403 }, "revoked")
	require.Equal(t, exitOK, front.stop(t), front.log)
	for _, s := range []string{secret, eventSecret} {
		require.NotContains(t, front.log.String()+worker.log.String(), s)
	}
}

// startDatabase starts a front or a worker on a database.
func startDatabase(t *testing.T, address, command string, args ...string) *process {
	t.Helper()
	args = append([]string{command, "-admin", "127.0.0.1:0"}, args...)
	if command == "serve" {
		args = append(args, "-addr", "127.0.0.1:0", "-secret-ttl", "1s")
	}
	cmd := callbackd(t, append(args, "-processes", "2")...)
	cmd.Env = append(cmd.Env, "CALLBACKD_DATABASE="+address, "CALLBACKD_METHODS=PUT") // the last is for fronts only
	return startCommand(t, cmd)
}

func testDatabaseUsage(t *testing.T, server *pgtest.Server) {
	address := newDatabase(t, server)
	scripts, secrets := site(t, nil)
	wrong := strings.Replace(address, "user=postgres", "user=nobody", 1)
	for _, test := range []struct {
		name, address string
		args          []string
		want          string
	}{
		{"worker without a database", "", []string{"worker"}, "-database: name the database"},
		{"publish without a database", "", []string{"publish", "-key", "KEY", scripts}, "-database: name the database"},
		{"no URL", "postgres://:very-secret@:port/x", []string{"serve"}, "-database: not a URL of Postgres"},
		{"a slash in the password", "postgres://127.0.0.1:1/very-secret@127.0.0.1/d", []string{"serve"}, "-database: not a URL of Postgres"},
		{"a slash and a question mark", "postgres://127.0.0.1:1/very?secret@127.0.0.1/d", []string{"serve"}, "-database: not a URL of Postgres"},
		{"an @ and a question mark", "postgresql://u:p@127.0.0.1:1?a=b&very-secret@127.0.0.1/d", []string{"versions", "KEY"}, "-database: not a URL of Postgres"},
		{"an @ and a hash", "postgres://u:p@127.0.0.1:1#very-secret@127.0.0.1/d", []string{"versions", "KEY"}, "-database: not a URL of Postgres"},
		{"no scheme of Postgres", "postgress://u:very@secret@h/d", []string{"serve"}, "-database: not a URL of Postgres"},
		{"no sslmode", "host=db password = very-secret sslmode=bogus", []string{"versions", "KEY"}, "-database: not a URL of Postgres"},
		{"no such database", strings.Replace(address, "///", "///no", 1), []string{"serve", "-addr", "127.0.0.1:0", "-admin", "off"}, "does not exist"},
		{"no such user", wrong, []string{"worker", "-admin", "off"}, `role "nobody" does not exist`},
		{"no such user, for a command", wrong, []string{"versions", "KEY"}, `role "nobody" does not exist`},
		{"scripts twice", address, []string{"serve", "-scripts", scripts}, "-scripts and -database"},
		{"secrets twice", address, []string{"secret", "new", "-secrets", secrets, "KEY/x"}, "give one"},
		{"queue twice", address, []string{"serve", "-queue", "q.db"}, "-queue and -database"},
		{"authors' mode", address, []string{"serve", "-dev"}, "-dev: is for a folder"},
		{"worker in process", address, []string{"worker", "-in-process"}, "deferred runs need the sandbox"},
		{"queue in process", "", []string{"serve", "-scripts", scripts, "-secrets", secrets, "-queue", filepath.Join(t.TempDir(), "q.db"), "-in-process"}, "deferred runs need the sandbox"},
		{"queue in no folder", "", []string{"serve", "-scripts", scripts, "-secrets", secrets, "-queue", filepath.Join(t.TempDir(), "no", "q.db"), "-addr", "127.0.0.1:0", "-admin", "off"}, "-queue "},
		{"queue of something else", "", []string{"serve", "-scripts", scripts, "-secrets", secrets, "-queue", secrets, "-addr", "127.0.0.1:0", "-admin", "off"}, "-queue " + secrets},
		{"cron of a front", address, []string{"serve", "-cron", secrets}, "-cron: is for"},
		{"no such cron", address, []string{"worker", "-cron", filepath.Join(scripts, "none"), "-admin", "off"}, "no such file"},
		{"broken cron", address, []string{"worker", "-cron", secrets, "-admin", "off"}, "line 1: want MINUTE HOUR"},
		{"places", address, []string{"worker", "-places", "-1"}, "-places -1: must be"},
		{"attempts", address, []string{"worker", "-attempts", "0"}, "-attempts 0: must be"},
		{"time of a deferred run", address, []string{"worker", "-deferred-timeout", "0s"}, "-deferred-timeout 0s: must be"},
		{"time that runs are kept", address, []string{"worker", "-keep", "1s"}, "-keep 1s: must be"},
		{"time to live", address, []string{"serve", "-secret-ttl", "0s"}, "-secret-ttl 0s: must be"},
		{"runs of a credential", address, []string{"worker", "-per-credential", "-1"}, "-per-credential -1: must"},
		{"unknown flag of a worker", address, []string{"worker", "-addr", "127.0.0.1:0"}, "not defined: -addr"},
		{"no key", address, []string{"publish", scripts}, "-key: name the API key"},
		{"no folder", address, []string{"publish", "-key", "KEY"}, "want one folder"},
		{"no version", address, []string{"promote", "KEY"}, "want an API key and a version"},
		{"stage", address, []string{"promote", "-stage", "a/b", "KEY", "live"}, `-stage "a/b": want`},
		{"stage of a server", address, []string{"serve", "-stage", "a/b"}, `-stage "a/b": want`},
		{"verb of vars", address, []string{"vars", "get", "KEY/"}, "want set, unset, list or load"},
		{"arguments of vars", address, []string{"vars", "unset", "KEY/"}, "wrong number of arguments"},
		{"file of vars", address, []string{"vars", "load", secrets}, "line 1"},
		{"list without a key", address, []string{"secret", "list"}, "want an API key"},
		{"load without a file", address, []string{"secret", "load"}, "want -database and -secrets"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			out := onDatabase(t, test.address, exitUsage, test.args...)
			require.Contains(t, out, test.want)
			require.NotContains(t, out, "very-secret")
		})
	}
}

// A server that starts while its database is down is not ready, and becomes so.
// One whose database goes away goes on with what it has.
func TestDatabaseGone(t *testing.T) {
	t.Parallel()
	server := postgres(t)
	address := newDatabase(t, server)
	onDatabase(t, address, exitOK, "publish", "-key", "KEY", "-promote", "live", version(t, "one"))
	secret := strings.TrimSpace(onDatabase(t, address, exitOK, "secret", "new", "KEY/"))
	event := strings.TrimSpace(onDatabase(t, address, exitOK, "secret", "new", "KEY/event"))
	server.Kill()
	front := startDatabase(t, address, "serve", "-secret-stale", "1h")
	worker := startDatabase(t, address, "worker")
	for _, p := range []*process{front, worker} {
		status, body := get(t, p.admin+"/readyz")
		require.Equal(t, 503, status, body)
		status, _ = get(t, p.admin+"/healthz")
		require.Equal(t, 200, status)
		_, metrics := get(t, p.admin+"/metrics")
		require.Contains(t, metrics, "callbackd_queue_up 0")
		require.NotContains(t, metrics, "callbackd_queue_jobs{")
		require.Contains(t, p.log.String(), "the database cannot be reached yet")
	}
	status, _ := get(t, front.url+"/callback/KEY/event/"+event)
	require.Equal(t, 503, status, "never 403")
	require.Contains(t, onDatabase(t, address, exitFailed, "versions", "KEY"), "callbackd versions: -database: ")

	require.NoError(t, server.Restart())
	eventually(t, func() bool { status, _ := get(t, front.admin+"/readyz"); return status == 200 }, "ready")
	eventually(t, func() bool { status, _ := get(t, worker.admin+"/readyz"); return status == 200 }, "ready")
	eventually(t, func() bool { status, _ := get(t, front.url+"/callback/KEY/event/"+event); return status == 202 }, "accepted")
	eventually(t, func() bool { return strings.Contains(worker.log.String(), "ran one") }, "deferred run")
	status, _ = get(t, front.url+"/callback/KEY/"+secret)
	require.Equal(t, 404, status, "its secret is known now, it has no script")

	server.Kill()
	age := regexp.MustCompile(`callbackd_scripts_age_seconds ([2-9]|\d\d)`)
	eventually(t, func() bool { _, metrics := get(t, front.admin+"/metrics"); return age.MatchString(metrics) }, "the scripts' age grows")
	eventually(t, func() bool { return strings.Contains(front.log.String(), "the last versions known stay live") }, "log")
	status, _ = get(t, front.admin+"/readyz")
	require.Equal(t, 200, status, "it serves what it can")
	status, _ = get(t, front.url+"/callback/KEY/"+secret)
	require.Equal(t, 404, status, "the last good scripts and secrets")
	status, _ = get(t, front.url+"/callback/KEY/event/"+event)
	require.Equal(t, 503, status, "nothing is acknowledged that is not stored")
	require.NoError(t, server.Restart())
	eventually(t, func() bool { status, _ := get(t, front.url+"/callback/KEY/event/"+event); return status == 202 }, "accepted again")
	require.Equal(t, exitOK, front.stop(t))
	require.Equal(t, exitOK, worker.stop(t))
}

// A queue in a file is worked by the server itself.
func TestQueueFile(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, map[string]string{
		"scripts/callbacks/later.js": "// callback: deferred\n" + `
			var d = Spark.getData();
			if (d.fail) throw new Error("no");
			Spark.getScheduler().inSeconds("AFTER", 0, {from: Spark.getSessionId()});`,
		"scripts/modules/TICK.js":  `Spark.getLog().info("tick " + Spark.getData().tick)`,
		"scripts/modules/AFTER.js": `Spark.getLog().info("after " + Spark.getData().from)`,
		"secrets.json":             `{"KEY": {"hello": ["s3cret"], "later": ["s3cret"]}}`,
	})
	file, cron := filepath.Join(filepath.Dir(secrets), "queue.db"), filepath.Join(filepath.Dir(secrets), "cron")
	write(t, cron, "# every second\n\n@every 1s  KEY TICK {\"tick\": 7}\nCRON_TZ=Europe/Vienna 0 3 * * 1\tKEY AFTER\n")
	p := start(t, "-scripts", scripts, "-secrets", secrets, "-queue", file, "-cron", cron, "-attempts", "1", "-processes", "2")
	status, body := get(t, p.url+"/callback/KEY/hello/s3cret")
	require.Equal(t, 200, status, "not every script is deferred")
	require.Equal(t, `{"hello":"world"}`, body)
	status, body = get(t, p.url+"/callback/KEY/later/s3cret")
	require.Equal(t, 202, status)
	id := regexp.MustCompile(`^{"run":"(\w+)"}$`).FindStringSubmatch(body)
	require.NotNil(t, id, body)
	eventually(t, func() bool { return strings.Contains(p.log.String(), "after "+id[1]) }, "deferred and scheduled run")
	eventually(t, func() bool { return strings.Contains(p.log.String(), "tick 7") }, "run of cron")
	eventually(t, func() bool { return strings.Contains(logsOfRuns(t, p), `"message":"tick 7"`) }, "log of a deferred run in the console")

	status, _ = get(t, p.url+"/callback/KEY/later/s3cret?fail=1")
	require.Equal(t, 202, status)
	queue := func() string { _, text := get(t, p.admin+"/api/queue"); return text }
	eventually(t, func() bool { return strings.Contains(queue(), `"dead":1`) }, "dead letter")
	require.Contains(t, queue(), "callbacks/later.js:4:")
	require.NotContains(t, queue(), `"version"`, "a folder has none")
	id = regexp.MustCompile(`"id":"(\w+)"`).FindStringSubmatch(queue())
	_, body = get(t, p.admin+"/api/queue/"+id[1])
	require.Contains(t, body, `"errors":[{"attempt":1,`)
	write(t, filepath.Join(scripts, "callbacks/later.js"), "// callback: deferred\n")
	dead := regexp.MustCompile(`"id":"(\w+)"`).FindStringSubmatch(queue())[1]
	status, body = send(t, http.DefaultClient, "POST", p.admin+"/api/queue/"+dead, `{"action":"retry"}`, http.Header{"Content-Type": {"application/json"}})
	require.Equal(t, 200, status, body)
	eventually(t, func() bool {
		_, text := get(t, p.admin+"/api/queue/"+dead)
		return strings.Contains(text, `"state":"finished"`)
	}, "retried and done")
	require.Equal(t, exitOK, p.stop(t))
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.Positive(t, info.Size())
}

// logsOfRuns returns what the console knows of each recorded run.
func logsOfRuns(t *testing.T, p *process) string {
	_, list := get(t, p.admin+"/api/runs")
	var all strings.Builder
	for _, id := range regexp.MustCompile(`"id":"([^"]+)"`).FindAllStringSubmatch(list, -1) {
		_, run := get(t, p.admin+"/api/runs/"+url.PathEscape(id[1]))
		all.WriteString(run)
	}
	return all.String()
}

// A file is the queue of one process. At a restart the new process waits for the
// end of the old one.
func TestQueueFileOfOneProcess(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, nil)
	file := filepath.Join(filepath.Dir(secrets), "queue.db")
	args := []string{"-scripts", scripts, "-secrets", secrets, "-queue", file, "-processes", "1"}
	old := start(t, args...)
	code, _, stderr := output(t, append([]string{"serve", "-addr", "127.0.0.1:0", "-admin", "off", "-deferred-timeout", "1ms"}, args...)...)
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "-queue "+file+": ")
	require.Contains(t, stderr, "in use by another process")

	var out lockedBuffer
	waiting := func() *exec.Cmd {
		next := callbackd(t, append([]string{"serve", "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0"}, args...)...)
		var log lockedBuffer
		next.Stdout, next.Stderr = &out, &log
		require.NoError(t, next.Start())
		t.Cleanup(func() {
			_ = next.Process.Kill()
			_ = next.Wait()
		})
		eventually(t, func() bool { return strings.Contains(log.String(), "waiting for its end") }, "the new process waits")
		return next
	}
	stopped := waiting()
	require.NoError(t, stopped.Process.Signal(syscall.SIGTERM))
	require.NoError(t, stopped.Wait(), "it ends cleanly")
	waiting()
	require.Equal(t, exitOK, old.stop(t))
	eventually(t, func() bool { return strings.Contains(out.String(), "admin on") }, "the new process serves")
}

func TestCronFile(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"\n0 3 * * KEY MODULE":          "line 2: want MINUTE HOUR DAY MONTH WEEKDAY APIKEY MODULE [JSON]",
		"61 * * * * KEY MODULE":         "line 1: cron entry of module MODULE: ",
		"CRON_TZ=Mars/X @daily KEY M":   "line 1: cron entry of module M: ",
		"@daily KEY ../M":               `line 1: cron entry "@daily": "../M" is not the short code`,
		"@daily KEY M {":                "line 1: cron entry of module M: data are not JSON",
		"@every KEY MODULE":             "line 1: want",
		"# comment\n\n@hourly\tKEY M x": "line 3: cron entry of module M: data are not JSON",
	} {
		_, err := parseCron([]byte(text))
		require.ErrorContains(t, err, want, text)
	}
	entries, err := parseCron([]byte("@every 90s KEY M\nCRON_TZ=Europe/Vienna 0\t3 * * 1 KEY N [1, 2]\n"))
	require.NoError(t, err)
	require.Equal(t, []rivercallback.CronEntry{
		{Schedule: "@every 90s", APIKey: "KEY", Module: "M"},
		{Schedule: "CRON_TZ=Europe/Vienna 0 3 * * 1", APIKey: "KEY", Module: "N", Data: []byte("[1, 2]")},
	}, entries)
}
