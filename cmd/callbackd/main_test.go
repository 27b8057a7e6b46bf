package main

import (
	"bufio"
	"bytes"
	"context"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback/sandbox"
)

// asCallbackd, in the environment of the test program, makes it callbackd.
const asCallbackd = "TEST_AS_CALLBACKD"

func TestMain(m *testing.M) {
	sandbox.Main()
	handOverClock()
	if os.Getenv(asCallbackd) != "" {
		main()
	}
	os.Exit(m.Run())
}

// command prepares a callbackd process.
func callbackd(t testing.TB, args ...string) *exec.Cmd {
	program, err := os.Executable()
	require.NoError(t, err)
	cmd := exec.Command(program, args...)
	cmd.Env = append(os.Environ(), asCallbackd+"=1")
	return cmd
}

// output runs callbackd and returns its exit code and what it printed.
func output(t testing.TB, args ...string) (code int, stdout, stderr string) {
	t.Helper()
	var out, errs bytes.Buffer
	cmd := callbackd(t, args...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	stop := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() }) // it serves, instead of saying what is wrong
	defer stop.Stop()
	err := cmd.Run()
	if _, ok := err.(*exec.ExitError); err != nil && !ok {
		require.NoError(t, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), errs.String()
}

// folder writes files below a new folder.
func folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, filepath.Join(dir, name), text)
	}
	return dir
}

func write(t testing.TB, path, text string) {
	t.Helper()
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, replaceFile(path, []byte(text), 0o644))
}

// A process is a running "callbackd serve".
type process struct {
	cmd       *exec.Cmd
	url       string
	admin     string
	log       *lockedBuffer
	waitOnce  sync.Once
	waitError error
}

// start starts "callbackd serve" and waits until it listens. It is ended with
// the test.
func start(t testing.TB, args ...string) *process {
	t.Helper()
	return startCommand(t, callbackd(t, append([]string{"serve", "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0"}, args...)...))
}

func startCommand(t testing.TB, cmd *exec.Cmd) *process {
	t.Helper()
	p := &process{cmd: cmd, log: new(lockedBuffer)}
	cmd.Stderr = p.log
	stdout, err := cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = p.wait()
		if t.Failed() {
			text := p.log.String()
			t.Logf("end of the log of callbackd:\n%s", text[max(0, len(text)-4000):])
		}
	})
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if url, ok := strings.CutPrefix(lines.Text(), "listening on "); ok {
			p.url = url
		}
		if url, ok := strings.CutPrefix(lines.Text(), "admin on "); ok {
			p.admin = url
			break
		}
	}
	require.NotEmpty(t, p.admin, "callbackd ended: %s", p.log)
	go io.Copy(io.Discard, stdout)
	return p
}

// wait waits for the end of the process.
func (p *process) wait() error {
	p.waitOnce.Do(func() { p.waitError = p.cmd.Wait() })
	return p.waitError
}

// stop ends the process as an operator does, and returns its exit code.
func (p *process) stop(t testing.TB) int {
	t.Helper()
	require.NoError(t, p.cmd.Process.Signal(os.Interrupt))
	_ = p.wait()
	return p.cmd.ProcessState.ExitCode()
}

// get returns the status and the body of an answer.
func get(t testing.TB, url string) (int, string) {
	t.Helper()
	return send(t, http.DefaultClient, "GET", url, "", nil)
}

func send(t testing.TB, client *http.Client, method, url, body string, header http.Header) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(context.Background(), method, url, strings.NewReader(body))
	require.NoError(t, err)
	for name, values := range header {
		r.Header[name] = values
	}
	resp, err := client.Do(r)
	require.NoError(t, err)
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return resp.StatusCode, string(text)
}

type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (b *lockedBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.Write(p)
}

func (b *lockedBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.b.String()
}

// eventually waits until f is true: the state is another process's.
func eventually(t testing.TB, f func() bool, what string, args ...any) {
	t.Helper()
	require.Eventually(t, f, 30e9, 20e6, what, args)
}

const helloScript = `Spark.setScriptData("hello", Spark.getData().name || "world")`

// site makes a folder with one script and a file of secrets for it.
func site(t testing.TB, files map[string]string) (scripts, secrets string) {
	t.Helper()
	all := map[string]string{"scripts/callbacks/hello.js": helloScript, "secrets.json": `{"KEY": {"hello": ["s3cret"]}}`}
	for name, text := range files {
		all[name] = text
	}
	dir := folder(t, all)
	return filepath.Join(dir, "scripts"), filepath.Join(dir, "secrets.json")
}

func TestUsage(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, nil)
	dir := folder(t, map[string]string{
		"broken.json": "{\"KEY\":\n {\"hello\": [7]}}", "syntax.json": "{\"KEY\": {\n\"hello\" [\"very-secret\"]}}", "empty.json": "",
		"odd.json": `{"KEY": {"a/b": ["x"]}}`, "digest.json": `{"KEY": {"hello": ["sha256:abc"]}}`, "empty/x": "", "cert.pem": "no PEM",
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { listener.Close() })
	in := func(name string) string { return filepath.Join(dir, name) }
	good := []string{"-scripts", scripts, "-secrets", secrets}
	for _, test := range []struct {
		name string
		args []string
		want string
	}{
		{"unknown flag", []string{"-nosuch"}, "flag provided but not defined: -nosuch"},
		{"argument", append(good, "extra"), `unexpected argument "extra"`},
		{"no scripts", []string{"-secrets", secrets}, "-scripts: name the folder"},
		{"empty flag", []string{"-scripts", ""}, "-scripts: must not be empty"},
		{"no such folder", []string{"-scripts", in("none"), "-secrets", secrets}, "no such folder"},
		{"a file for a folder", []string{"-scripts", secrets, "-secrets", secrets}, "not a folder"},
		{"folder without scripts", []string{"-scripts", in("empty"), "-secrets", secrets}, "holds neither callbacks"},
		{"no secrets", []string{"-scripts", scripts}, "-secrets: name the file"},
		{"no such file", []string{"-scripts", scripts, "-secrets", in("none.json")}, "no such file"},
		{"secrets of another shape", []string{"-scripts", scripts, "-secrets", in("broken.json")}, "broken.json: line 2, column"},
		{"broken JSON", []string{"-scripts", scripts, "-secrets", in("syntax.json")}, "syntax.json: line 2, column 9: broken JSON"},
		{"empty file", []string{"-scripts", scripts, "-secrets", in("empty.json")}, "is empty: want"},
		{"odd credential", []string{"-scripts", scripts, "-secrets", in("odd.json")}, `credential "a/b" must be`},
		{"bad digest", []string{"-scripts", scripts, "-secrets", in("digest.json")}, "entry 1 is no SHA-256 digest"},
		{"broken vars", append(good, "-vars", in("syntax.json")), "-vars " + in("syntax.json") + ": line 2"},
		{"timeout", append(good, "-timeout", "0s"), "-timeout 0s: must be more than zero"},
		{"no duration", append(good, "-timeout", "fast"), `invalid value "fast" for flag -timeout`},
		{"HTTP timeout", append(good, "-http-timeout", "-1s"), "-http-timeout -1s: must be"},
		{"method", append(good, "-methods", "TRACE"), `-methods "TRACE": want some of`},
		{"proxy", append(good, "-trust-proxy", "10.0.0.0/99"), `-trust-proxy: "10.0.0.0/99" is neither`},
		{"prefix", append(good, "-prefix", "callback"), `-prefix "callback": must begin and end`},
		{"zone", append(good, "-zone", "Mars/Olympus"), "-zone: unknown time zone Mars/Olympus"},
		{"half of TLS", append(good, "-tls-cert", in("cert.pem")), "-tls-cert and -tls-key"},
		{"broken TLS", append(good, "-tls-cert", in("cert.pem"), "-tls-key", in("cert.pem")), "-tls-cert " + in("cert.pem")},
		{"memory", append(good, "-max-memory", "1"), "-max-memory 1: must be at least"},
		{"log format", append(good, "-log-format", "xml"), `-log-format "xml": want text or json`},
		{"log level", append(good, "-log-level", "LOUD"), "-log-level"},
		{"port in use", append(good, "-addr", listener.Addr().String()), "address already in use"},
		{"admin port in use", append(good, "-addr", "127.0.0.1:0", "-admin", listener.Addr().String()), "-admin " + listener.Addr().String()},
		{"address", append(good, "-addr", "nowhere"), "-addr nowhere"},
		{"authors' mode for others", append(good, "-dev", "-addr", "0.0.0.0:0"), "needs a loopback address"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			code, stdout, stderr := output(t, append([]string{"serve"}, test.args...)...)
			require.Equal(t, exitUsage, code, stderr)
			require.Empty(t, stdout)
			require.Contains(t, stderr, test.want)
			require.Equal(t, 1, strings.Count(stderr, "\n"), "one line: %s", stderr)
			require.NotContains(t, stderr, "very-secret")
		})
	}
	t.Run("unknown command", func(t *testing.T) {
		t.Parallel()
		code, _, stderr := output(t, "sreve")
		require.Equal(t, exitUsage, code)
		require.Contains(t, stderr, `unknown command "sreve", want one of: serve, worker, publish`)
	})
	t.Run("environment", func(t *testing.T) {
		t.Parallel()
		for variable, want := range map[string]string{"CALLBACKD_TIMEOUT=fast": "CALLBACKD_TIMEOUT: ", "CALLBACKD_NOSUCH=1": "CALLBACKD_NOSUCH stands for no flag"} {
			cmd := callbackd(t, append([]string{"serve"}, good...)...)
			cmd.Env = append(cmd.Env, variable)
			text, err := cmd.CombinedOutput()
			require.Error(t, err)
			require.Equal(t, exitUsage, cmd.ProcessState.ExitCode())
			require.Contains(t, string(text), want)
		}
	})
}

// Every flag of serve, given a wrong value: one line that names it, and exit code
// 2. The same in an environment variable.
func TestEveryFlagWrong(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, nil)
	wrong := map[string]string{
		"scripts": "/nonexistent", "secrets": "/nonexistent", "vars": "/nonexistent", "dev": "maybe",
		"queue": "/nonexistent/queue.db", "event-key": "a b", "headers": "a b", "methods": "TRACE", "trust-proxy": "nobody",
		"prefix": "callback", "run-id-header": "a b", "addr": "nowhere", "tls-cert": "/nonexistent", "tls-key": "/nonexistent",
		"timeout": "0s", "http-timeout": "-1s", "max-body": "0", "max-in-flight": "many", "allow-private": "maybe",
		"database": "nonsense", "stage": "a/b", "secret-ttl": "0s", "secret-stale": "-1s",
		"cron": "/nonexistent", "deferred-timeout": "0s", "attempts": "0", "places": "-1", "per-credential": "-1", "keep": "1s",
		"sandbox": "maybe", "in-process": "maybe", "dangerously-in-process": "maybe", "processes": "-1", "max-memory": "1", "zone": "Mars",
		"admin": "nowhere", "record": "-1", "record-bodies": "maybe", "log-format": "xml", "log-level": "LOUD",
	}
	_, help, _ := output(t, "serve", "-h")
	flags := regexp.MustCompile(`(?m)^  -([a-z-]+)`).FindAllStringSubmatch(help, -1)
	require.Len(t, flags, len(wrong))
	for _, match := range flags {
		name, value := match[1], wrong[match[1]]
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			require.NotEmpty(t, value, "has no wrong value here")
			args := []string{"serve", "-addr", "127.0.0.1:0", "-admin", "off"}
			if name != "database" {
				args = append(args, "-scripts", scripts, "-secrets", secrets)
			}
			code, stdout, stderr := output(t, append(args, "-"+name+"="+value)...)
			require.Equal(t, exitUsage, code, stderr)
			require.Empty(t, stdout)
			require.Contains(t, stderr, "-"+name)
			require.Equal(t, 1, strings.Count(stderr, "\n"), "one line: %s", stderr)

			variable := "CALLBACKD_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_"))
			cmd := callbackd(t, "serve")
			cmd.Env = append(cmd.Env, "CALLBACKD_ADDR=127.0.0.1:0", "CALLBACKD_ADMIN=off")
			if name != "database" {
				cmd.Env = append(cmd.Env, "CALLBACKD_SCRIPTS="+scripts, "CALLBACKD_SECRETS="+secrets)
			}
			cmd.Env = append(cmd.Env, variable+"="+value) // the last one counts
			var text bytes.Buffer
			cmd.Stdout, cmd.Stderr = &text, &text
			require.NoError(t, cmd.Start())
			stop := time.AfterFunc(time.Minute, func() { _ = cmd.Process.Kill() })
			defer stop.Stop()
			_ = cmd.Wait()
			require.Equal(t, exitUsage, cmd.ProcessState.ExitCode(), text.String())
			require.Regexp(t, "-"+name+"|"+variable, text.String())
			require.Equal(t, 1, strings.Count(text.String(), "\n"), "one line: %s", &text)
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	for _, c := range commands {
		code, stdout, stderr := output(t, c.name, "-h")
		require.Equal(t, exitOK, code, stderr)
		require.Contains(t, stdout, "callbackd "+c.name)
	}
	code, stdout, _ := output(t, "serve", "-h")
	require.Equal(t, exitOK, code)
	for _, heading := range []string{"Scripts and secrets", "Requests", "Listening", "Limits", "Running scripts", "Operation"} {
		require.Contains(t, stdout, "\n"+heading+"\n")
	}
	code, _, _ = output(t)
	require.Equal(t, exitUsage, code)
}
