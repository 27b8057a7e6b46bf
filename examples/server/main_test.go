package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

// A command is the server running as its user starts it, on a free port.
type command struct {
	base    string   // its URL
	console string   // that of its console
	lines   []string // the curl lines that it has printed before these
	logs    *testkit.Log
	stop    func() int // as a signal does; returns the exit code
}

func start(t *testing.T, args ...string) *command {
	t.Helper()
	c := &command{logs: new(testkit.Log)}
	ctx, cancel := context.WithCancel(context.Background())
	stdout, printed := io.Pipe()
	exited := make(chan int, 1)
	go func() {
		exited <- run(ctx, append([]string{"-addr", "127.0.0.1:0"}, args...), printed, c.logs)
		_ = printed.Close()
	}()
	c.stop = sync.OnceValue(func() int {
		cancel()
		return <-exited
	})
	t.Cleanup(func() { require.Zero(t, c.stop(), "exit code") })

	out := readUntil(t, stdout, "listening on ")
	c.lines = strings.Split(strings.TrimSpace(out), "\n")
	last := len(c.lines) - 1
	c.base = strings.TrimPrefix(c.lines[last], "listening on ")
	c.console = strings.TrimPrefix(c.lines[last-1], "console on ")
	c.lines = c.lines[:last-1]
	return c
}

// readUntil reads lines up to the one that begins with prefix.
func readUntil(t *testing.T, r io.Reader, prefix string) string {
	t.Helper()
	var out bytes.Buffer
	buf := make([]byte, 4<<10)
	for !regexp.MustCompile(`(?m)^` + prefix + `.*\n`).MatchString(out.String()) {
		n, err := r.Read(buf)
		out.Write(buf[:n])
		require.NoError(t, err, "it ended before it listened")
	}
	return out.String()
}

// An answer is what a request got.
type answer struct {
	status int
	header http.Header
	body   string
}

func do(t *testing.T, req *http.Request) answer {
	t.Helper()
	resp, err := http.DefaultClient.Do(req)
	require.NoError(t, err)
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	require.NoError(t, err)
	return answer{resp.StatusCode, resp.Header, string(body)}
}

func get(t *testing.T, url string) answer {
	t.Helper()
	req, err := http.NewRequest("GET", url, nil)
	require.NoError(t, err)
	return do(t, req)
}

// paste runs a printed line as curl would: -d makes it a POST of a form.
func paste(t *testing.T, line string) answer {
	t.Helper()
	words := regexp.MustCompile(`"([^"]*)"|(\S+)`).FindAllStringSubmatch(line, -1)
	require.Equal(t, "curl", words[0][2])
	var url string
	var form []string
	for i := 1; i < len(words); i++ {
		switch word := words[i][1] + words[i][2]; word {
		case "-i":
		case "-d":
			i++
			form = append(form, words[i][1])
		default:
			url = word
		}
	}
	if form == nil {
		return get(t, url)
	}
	req, err := http.NewRequest("POST", url, strings.NewReader(strings.Join(form, "&")))
	require.NoError(t, err)
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	return do(t, req)
}

// secretsIn are the random secrets of printed lines.
func secretsIn(lines []string) []string {
	return regexp.MustCompile(`[A-Z2-7]{26}`).FindAllString(strings.Join(lines, "\n"), -1)
}

func TestSamples(t *testing.T) {
	t.Parallel()
	c := start(t)
	want := map[string]string{
		"/hello/":    `{"message":"Hello, Ada!","data":{"name":"Ada"}}`,
		"/raw/":      "You carry sword and shield.\n",
		"/headers/":  `{"accepted":true}`,
		"/verify/":   "1158201444",
		"/player-1":  `{"player":"player-1"}`,
		"/outbound/": "", // depends on the network
	}
	require.Len(t, c.lines, len(want))
	for part, body := range want {
		i := slices.IndexFunc(c.lines, func(line string) bool { return strings.Contains(line, part) })
		require.GreaterOrEqual(t, i, 0, part)
		got := paste(t, c.lines[i])
		switch part {
		case "/headers/":
			require.Equal(t, 202, got.status)
			require.Equal(t, "application/vnd.example+json", got.header.Get("Content-Type"))
			require.NotEmpty(t, got.header.Get("X-Session"))
		case "/outbound/":
			body = `{"url":"https://example.com/","reached":false}`
			if strings.Contains(got.body, `"reached":true`) {
				body = `{"url":"https://example.com/","reached":true,"status":200}`
			}
			require.Equal(t, 200, got.status)
		default:
			require.Equal(t, 200, got.status)
		}
		require.Equal(t, body, got.body)
	}

	require.Zero(t, c.stop())
	require.Len(t, secretsIn(c.lines), len(want))
	for _, secret := range secretsIn(c.lines) {
		require.NotContains(t, c.logs.String(), secret)
	}
}

// TestNoSecretIsLogged sends requests that fail in every way there is, each
// with a secret in its URL.
func TestNoSecretIsLogged(t *testing.T) {
	t.Parallel()
	dir := testkit.Folder(t, map[string]string{
		"callbacks/throws.js":  `throw new Error("broken")`,
		"callbacks/loops.js":   `for (;;) {}`,
		"callbacks/broken.js":  `var = ;`,
		"callbacks/headers.js": `Spark.setScriptData("RESPONSE_HEADERS", {"Content-Length": 1})`,
	})
	c := start(t, "-scripts", dir, "-timeout", "300ms")
	secrets := secretsIn(c.lines)
	require.Len(t, secrets, 4)
	for _, line := range c.lines {
		paste(t, line)
		target := regexp.MustCompile(`"(.*)"`).FindStringSubmatch(line)[1]
		for _, url := range []string{
			target + "?q=%zz",                        // broken
			target + "?contentType=nonsense",         // refused after authorisation
			strings.Replace(target, "demo", "x", 1),  // another key
			target + "x",                             // one letter too many
			strings.Replace(target, "/demo", "/", 1), // without the form of a callback
			target + "?a=1;b=2",                      // net/http itself logs a line
		} {
			get(t, url)
		}
		for _, method := range []string{"PUT", "HEAD", "POST", secrets[0]} {
			req, err := http.NewRequest(method, target, nil)
			require.NoError(t, err)
			do(t, req)
		}
		raw(t, c.base, "GET "+target+" HTTP/9.9\r\n\r\n")
		raw(t, c.base, "GET "+target+" HTTP/1.1\r\nHost: a\r\nBroken\r\n\r\n")
		raw(t, c.base, "POST "+target+" HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n")
	}
	require.Zero(t, c.stop())
	logs := c.logs.String()
	for _, secret := range secrets {
		require.NotContains(t, logs, secret)
	}
	require.Contains(t, logs, "broken")
	require.Contains(t, logs, "ran past its deadline")
}

// raw sends bytes that are not a valid request.
func raw(t *testing.T, base, request string) {
	t.Helper()
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	_, _ = io.ReadAll(io.LimitReader(conn, 12)) // the status, so that it has been handled
}

func TestSecretsFile(t *testing.T) {
	t.Parallel()
	dir := testkit.Folder(t, map[string]string{
		"callbacks/hello.js":        `Spark.setScriptData("type", Spark.getCredentialType())`,
		"callbacks/unreachable.js":  ``,
		"system/GS_CALLBACK_URL.js": `Spark.setScriptData("type", Spark.getCredentialType())`,
		"secrets.json":              `{"game": {"hello": ["old", "new/é"], "": ["server"], "nobody": ["x"]}, "other": {"hello": ["third"]}}`,
	})
	c := start(t, "-scripts", dir, "-secrets", filepath.Join(dir, "secrets.json"))
	require.Empty(t, c.lines, "secrets of a file are not printed")
	tests := []struct {
		path   string
		status int
		body   string
	}{
		{"game/hello/old", 200, `{"type":"hello"}`},
		{"game/hello/new%2F%C3%A9", 200, `{"type":"hello"}`},
		{"other/hello/third/", 200, `{"type":"hello"}`},
		{"game/server/", 200, `{"type":"server"}`},
		{"game/nobody/x", 404, `{"error":"no script"}`},
		{"other/hello/old", 403, `{"error":"forbidden"}`},
		{"other/server", 403, `{"error":"forbidden"}`},
		{"game/unreachable/x", 403, `{"error":"forbidden"}`},
		{"demo/hello/old", 403, `{"error":"forbidden"}`},
	}
	for _, tt := range tests {
		got := get(t, c.base+"/callback/"+tt.path)
		require.Equal(t, tt.status, got.status, tt.path)
		require.Equal(t, tt.body, got.body, tt.path)
	}
}

func TestScriptsFolder(t *testing.T) {
	t.Parallel()
	dir := testkit.Folder(t, map[string]string{
		"callbacks/good_1-A.js":   `requireOnce("SHARED"); Spark.setScriptData("shared", shared)`,
		"callbacks/two words.js":  ``,
		"callbacks/été.js":        ``,
		"callbacks/README.md":     ``,
		"modules/SHARED.js":       `var shared = 1`,
		"modules/not callable.js": ``,
	})
	c := start(t, "-scripts", dir)
	require.Len(t, c.lines, 1)
	require.Equal(t, `{"shared":1}`, paste(t, c.lines[0]).body)

	testkit.WriteFile(t, dir, "modules/SHARED.js", `var shared = "edited"`)
	testkit.AwaitEdit()
	require.Equal(t, `{"shared":"edited"}`, paste(t, c.lines[0]).body)
}

func TestPrivateAddresses(t *testing.T) {
	t.Parallel()
	private := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer private.Close()
	dir := testkit.Folder(t, map[string]string{
		"callbacks/ask.js": fmt.Sprintf(`Spark.setScriptData("reached", Spark.getHttp(%q).get() !== null)`, private.URL),
	})
	guarded := start(t, "-scripts", dir)
	require.Equal(t, `{"reached":false}`, paste(t, guarded.lines[0]).body)
	require.Contains(t, guarded.logs.String(), `reason="address not allowed"`)

	allowed := start(t, "-scripts", dir, "-allow-private")
	require.Equal(t, `{"reached":true}`, paste(t, allowed.lines[0]).body)
}

// TestShutdown stops the server while a call is under way: the call ends first.
func TestShutdown(t *testing.T) {
	t.Parallel()
	asked, reply := make(chan struct{}), make(chan struct{})
	slow := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {
		close(asked)
		<-reply
	}))
	defer slow.Close()
	dir := testkit.Folder(t, map[string]string{
		"callbacks/ask.js": fmt.Sprintf(`Spark.setScriptData("reached", Spark.getHttp(%q).get() !== null)`, slow.URL),
	})
	c := start(t, "-scripts", dir, "-allow-private")
	got := make(chan answer, 1)
	go func() { got <- paste(t, c.lines[0]) }()
	<-asked
	exit := make(chan int, 1)
	go func() { exit <- c.stop() }()
	require.Eventually(t, func() bool { return strings.Contains(c.logs.String(), "shutting down") }, time.Minute, time.Millisecond)
	close(reply)
	require.Equal(t, `{"reached":true}`, (<-got).body)
	require.Zero(t, <-exit)
}

// TestUsage breaks every flag: each time one line says what is wrong.
func TestUsage(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	t.Cleanup(func() { _ = taken.Close() })
	dir := testkit.Folder(t, map[string]string{
		"file":                 ``,
		"empty/modules/A.js":   ``,
		"odd/callbacks/a b.js": ``,
		"good/callbacks/a.js":  ``,
		"broken.json":          "{\n  \"k\": {\"c\": [s3cret]}\n}",
		"number.json":          `{"k": {"c": [271828]}}`,
		"none.json":            `{}`,
		"odd.json":             `{"k": {"a b": ["s3cret"]}}`,
		"key.json":             `{"": {"c": ["s3cret"]}}`,
		"list.json":            `{"k": {"c": []}}`,
		"empty.json":           `{"k": {"": ["s3cret", ""]}}`,
	})
	file := func(name string) string { return filepath.Join(dir, name) }
	const shape = `want {"apiKey": {"credential": ["secret", …], "": ["serverSecret"]}}`
	tests := []struct {
		args []string
		want string
	}{
		{[]string{"-nonsense"}, "flag provided but not defined: -nonsense"},
		{[]string{"stray"}, `unexpected argument "stray": there are flags only, see -h`},
		{[]string{"-timeout", "fast"}, `invalid value "fast" for flag -timeout: parse error`},
		{[]string{"-timeout", "0"}, "-timeout and -http-timeout must be more than zero"},
		{[]string{"-http-timeout", "-1s"}, "-timeout and -http-timeout must be more than zero"},
		{[]string{"-allow-private=maybe"}, `invalid boolean value "maybe" for -allow-private: parse error`},
		{[]string{"-addr", ""}, "-addr: must not be empty"},
		{[]string{"-scripts", ""}, "-scripts: must not be empty"},
		{[]string{"-secrets", ""}, "-secrets: must not be empty"},
		{[]string{"-secrets"}, "flag needs an argument: -secrets"},
		{[]string{"-addr", "nonsense"}, "-addr nonsense: listen tcp: address nonsense: missing port in address"},
		{[]string{"-addr", taken.Addr().String()}, "-addr ADDR: listen tcp ADDR: bind: address already in use"},
		{[]string{"-scripts", file("absent")}, "-scripts DIR/absent: no such folder"},
		{[]string{"-scripts", file("file")}, "-scripts DIR/file: no such folder"},
		{[]string{"-scripts", file("empty")}, "-scripts: the folder holds neither callbacks/*.js nor system/GS_CALLBACK_URL.js"},
		{[]string{"-scripts", file("odd")}, "-scripts: the folder holds neither callbacks/*.js nor system/GS_CALLBACK_URL.js"},
		{[]string{"-secrets", file("absent")}, "-secrets: open DIR/absent: no such file or directory"},
		{[]string{"-secrets", file("broken.json")}, "-secrets DIR/broken.json: " + shape},
		{[]string{"-secrets", file("number.json")}, "-secrets DIR/number.json: " + shape},
		{[]string{"-secrets", file("none.json")}, "-secrets DIR/none.json: " + shape},
		{[]string{"-secrets", file("odd.json")}, `-secrets DIR/odd.json: API key "k": credential "a b" must be of the characters A-Z a-z 0-9 _ -`},
		{[]string{"-secrets", file("key.json")}, "-secrets DIR/key.json: an API key is empty"},
		{[]string{"-secrets", file("list.json")}, `-secrets DIR/list.json: API key "k", credential "c": no secret`},
		{[]string{"-secrets", file("empty.json")}, `-secrets DIR/empty.json: API key "k", credential "": a secret is empty`},
		{[]string{"-check", "-scripts", file("odd/callbacks")}, "-check: callback: no folder with scripts to check"},
	}
	for _, tt := range tests {
		t.Run(strings.ReplaceAll(strings.Join(tt.args, " "), dir, "DIR"), func(t *testing.T) {
			t.Parallel()
			var stdout, stderr bytes.Buffer
			require.Equal(t, 2, run(t.Context(), tt.args, &stdout, &stderr))
			require.Empty(t, stdout.String())
			got := strings.NewReplacer(dir, "DIR", taken.Addr().String(), "ADDR").Replace(stderr.String())
			require.True(t, strings.HasPrefix(got, "server: "+tt.want), got)
			require.Equal(t, 1, strings.Count(got, "\n"), got)
		})
	}
}

func TestHelp(t *testing.T) {
	t.Parallel()
	var stdout, stderr bytes.Buffer
	require.Equal(t, 0, run(t.Context(), []string{"-h"}, &stdout, &stderr))
	require.Empty(t, stdout.String())
	for _, name := range []string{"addr", "scripts", "secrets", "timeout", "http-timeout", "allow-private"} {
		require.Contains(t, stderr.String(), "  -"+name)
	}
}

// TestMain begins with sandbox.Main, as main must: this binary is also the program
// of the sandbox's children.
func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

func TestSandbox(t *testing.T) {
	dir := testkit.Folder(t, map[string]string{
		"callbacks/loop.js":  `/^(?=(a+)+$)(a+)+$/.test("a".repeat(40) + "b")`,
		"callbacks/hello.js": `Spark.setScriptData("hello", Spark.getData().name)`,
	})
	server := start(t, "-sandbox", "-scripts", dir, "-timeout", "300ms")
	urls := map[string]string{}
	for _, line := range server.lines {
		url := regexp.MustCompile(`http://[^"]+`).FindString(line)
		urls[strings.Split(url, "/")[5]] = url
	}
	require.Equal(t, 504, get(t, urls["loop"]).status, "a native call that no interrupt reaches")
	require.Eventually(t, func() bool { // another child has to start, and the time-out is short
		return get(t, urls["hello"]+"?name=Ada").body == `{"hello":"Ada"}`
	}, time.Minute, time.Millisecond)
}

func TestConsole(t *testing.T) {
	t.Parallel()
	c := start(t)
	require.Regexp(t, `^http://127\.0\.0\.1:[1-9]\d*$`, c.console)
	require.Contains(t, get(t, c.console+"/").body, "callback console")
	require.Contains(t, get(t, c.console+"/api/state").body, `"url":"/callback/demo/hello/•••"`)
	paste(t, c.lines[slices.IndexFunc(c.lines, func(line string) bool { return strings.Contains(line, "/hello/") })])
	require.Eventually(t, func() bool { return strings.Contains(get(t, c.console+"/api/runs").body, `"credential":"hello"`) }, time.Minute, time.Millisecond)
}

func TestCheck(t *testing.T) {
	t.Parallel()
	check := func(files map[string]string) (int, string) {
		var stdout, stderr bytes.Buffer
		code := run(t.Context(), []string{"-check", "-scripts", testkit.Folder(t, files)}, &stdout, &stderr)
		require.Empty(t, stderr.String())
		return code, stdout.String()
	}
	code, out := check(map[string]string{"callbacks/good.js": `require("LIB")`, "modules/LIB.js": `var lib = 1`})
	require.Equal(t, 0, code)
	require.Equal(t, "2 scripts checked: 2 can run, 0 cannot\n", out)
	code, out = check(map[string]string{"callbacks/lost.js": `require("NOPE")`, "callbacks/good.js": ``})
	require.Equal(t, 1, code)
	require.Contains(t, out, `callbacks/lost.js:1:1: require: no module "NOPE"`)
}
