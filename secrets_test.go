package callback_test

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/callback"
	"example.com/callback/internal/testkit"
)

// The secrets of these tests. No other text of them has "zq9" in it, and no run id
// has a 9.
const (
	credentialSecret = "zq9-credential-secret"
	otherSecret      = "zq9-other-credential"
	serverSecret     = "zq9-server-secret"
	guessedSecret    = "zq9-guessed-secret"
	queryToken       = "zq9-query-token"
	bodyToken        = "zq9-body-token"
	headerToken      = "zq9-header-token"
	outboundPath     = "zq9-outbound-path"
	outboundQuery    = "zq9-outbound-query"
	outboundUser     = "zq9-outbound-user"
	outboundPassword = "zq9-outbound-password"
	outboundHeader   = "zq9-outbound-header"
	outboundBody     = "zq9-outbound-body"
	panicValue       = "zq9-panic-value"
)

// leaks returns the forms in which text holds one of the secrets.
func leaks(text string) (found []string) {
	forms := []string{"zq9", url.QueryEscape("zq9-"), hex.EncodeToString([]byte("zq9"))}
	for _, secret := range []string{credentialSecret, otherSecret, serverSecret, guessedSecret} {
		sum := sha256.Sum256([]byte(secret))
		numbers, _ := json.Marshal(sum)
		forms = append(forms, base64.StdEncoding.EncodeToString([]byte(secret)), fmt.Sprintf("%x", sum), fmt.Sprint(sum), string(numbers),
			base64.StdEncoding.EncodeToString(sum[:]))
	}
	forms = append(forms, base64.StdEncoding.EncodeToString([]byte(outboundUser+":"+outboundPassword)))
	for _, form := range forms {
		if strings.Contains(strings.ToLower(text), strings.ToLower(form)) {
			found = append(found, form)
		}
	}
	return found
}

// bothLogs is a slog.Handler that writes every record to two others.
type bothLogs [2]slog.Handler

func (b bothLogs) Enabled(context.Context, slog.Level) bool { return true }

func (b bothLogs) Handle(ctx context.Context, r slog.Record) error {
	return errors.Join(b[0].Handle(ctx, r.Clone()), b[1].Handle(ctx, r.Clone()))
}

func (b bothLogs) WithAttrs(attrs []slog.Attr) slog.Handler {
	return bothLogs{b[0].WithAttrs(attrs), b[1].WithAttrs(attrs)}
}

func (b bothLogs) WithGroup(name string) slog.Handler {
	return bothLogs{b[0].WithGroup(name), b[1].WithGroup(name)}
}

// panickingLog is a slog.Handler that panics with a secret.
type panickingLog struct{}

func (panickingLog) Enabled(context.Context, slog.Level) bool  { return true }
func (panickingLog) Handle(context.Context, slog.Record) error { panic("the log is broken") }
func (panickingLog) WithAttrs([]slog.Attr) slog.Handler        { panic("the log is broken") }
func (l panickingLog) WithGroup(string) slog.Handler           { return l }

// secretScripts are the scripts of TestSecretsAreNeverSeen by their credential.
var secretScripts = map[string]string{
	"hello":     `Spark.setScriptData("ok", true)`,
	"throws":    `throw new TypeError("boom")`,
	"rejects":   `Promise.reject(new Error("boom"))`,
	"broken":    `var x = ;`,
	"forever":   `for (;;) {}`,
	"recurses":  `(function f() { f() })()`,
	"status":    `Spark.setScriptData("RESPONSE_STATUS", 99)`,
	"long":      `Spark.setScriptData("RESPONSE_RAW", new Array(2000).join("x"))`,
	"headers":   `Spark.setScriptData("RESPONSE_HEADERS", {"X-A": "` + headerToken + `\r\nb", "Content-Length": "` + headerToken + `", "X-B": {a: "` + headerToken + `"}, "X-C": null})`,
	"noHeaders": `Spark.setScriptData("RESPONSE_HEADERS", "` + headerToken + `")`,
	"member":    `try { Spark.bad() } catch (e) { Spark.setScriptData("caught", e instanceof Error) }`,
	"uncaught":  `Spark.bad()`,
	"unknown":   `Spark.getChallenge()`,
	"module":    `require("NONE")`,
	"missing":   "",
	"outbound": `
		var http = Spark.getHttp("http://` + outboundUser + ":" + outboundPassword + `@127.0.0.1/` + outboundPath + `?` + outboundQuery + `#` + outboundQuery + `", 50);
		http.setBasicAuth("` + outboundUser + `", "` + outboundPassword + `").setHeaders({"X-Key": "` + outboundHeader + `"});
		Spark.setScriptData("answers", [http.get(), http.postJson({key: "` + outboundBody + `"}), http.putForm({key: "` + outboundBody + `"})]);
	`,
	"badURL": `
		["%zz", "\u0000", "ftp://x/", "x:` + outboundPath + `", "http://[", "http://x:y/"].forEach(function (url) {
			Spark.getHttp(url + "` + outboundPath + `").get();
		})
	`,
	"badHeader": `Spark.getHttp("http://` + outboundPath + `").setHeaders({"X-Key": "` + outboundHeader + `\n"})`,
}

func secretHandler(logger *slog.Logger) *callback.Handler {
	scripts := fstest.MapFS{}
	secrets := callback.SecretMap{"E3/": serverSecret, "E3/other": otherSecret}
	for name, source := range secretScripts {
		secrets["E3/"+name] = credentialSecret
		if source != "" {
			scripts["callbacks/"+name+".js"] = &fstest.MapFile{Data: []byte(source)}
		}
	}
	return &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: scripts},
		Secrets: secrets,
		Logger:  logger,
		Members: callback.Members{"bad": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			return nil, errors.New("no such level")
		}}},
		RequestHeaders: []string{"X-Token"},
	}
}

// These are all ways in which a call can fail, with a secret wherever one can be.
// None is in a log, an answer, or in what net/http prints.
func TestSecretsAreNeverSeen(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	blocked := func(ctx context.Context) { <-ctx.Done() }
	panics := func() { panic(panicValue) }
	member := func(f callback.HostFunc) func(*callback.Handler) {
		return func(h *callback.Handler) { h.Members = callback.Members{"bad": {Func: f}} }
	}
	doer := func(f callback.HTTPDoerFunc) func(*callback.Handler) {
		return func(h *callback.Handler) { h.HTTP = f }
	}
	runner := func(f callback.ScriptRunnerFunc) func(*callback.Handler) {
		return func(h *callback.Handler) { h.Runner = f }
	}
	store := func(f storeFunc) func(*callback.Handler) {
		return func(h *callback.Handler) { h.Secrets = f }
	}
	timeout := func(h *callback.Handler) { h.Timeout = 50 * time.Millisecond }
	const multipart = "Content-Type: multipart/form-data; boundary=b"
	cases := []struct {
		name   string
		change func(*callback.Handler)
		method string
		path   string // after /callback/
		header string
		body   string
		status int // 0: there need not be an answer
	}{
		{name: "refused", method: "GET", path: "E3/hello/" + guessedSecret, status: 403},
		{name: "refused with a body", method: "POST", path: "E3/hello/" + guessedSecret, body: bodyToken, status: 403},
		{name: "unknown key", method: "GET", path: "zz/hello/" + credentialSecret, status: 403},
		{name: "other's secret", method: "GET", path: "E3/other/" + credentialSecret, status: 403},
		{name: "server secret as a credential's", method: "GET", path: "E3/hello/" + serverSecret, status: 403},
		{name: "credential's secret as the server's", method: "GET", path: "E3/" + credentialSecret + "/hello", status: 403},
		{name: "secret as a credential", method: "GET", path: "E3/" + guessedSecret + "/x/y", status: 403},
		{name: "no store", change: func(h *callback.Handler) { h.Secrets = nil }, method: "GET", path: "E3/hello/" + credentialSecret, status: 403},
		{name: "too deep", method: "GET", path: "E3/hello/" + credentialSecret + "/a/b/c", status: 404},
		{name: "broken escape", method: "GET", path: "E3/hello/" + credentialSecret + "%2", status: 400},
		{name: "other prefix", change: func(h *callback.Handler) { h.Prefix = "/else/" }, method: "GET", path: "E3/hello/" + credentialSecret, status: 404},
		{name: "no script", method: "GET", path: "E3/missing/" + credentialSecret, status: 404},
		{name: "no server script", method: "GET", path: "E3/" + serverSecret, status: 404},
		{name: "method", method: "PUT", path: "E3/hello/" + credentialSecret, status: 405},
		{name: "TRACE", method: "TRACE", path: "E3/hello/" + credentialSecret, status: 405},
		{name: "unknown method", method: "BREW", path: "E3/hello/" + credentialSecret, body: bodyToken, status: 405},
		{name: "query", method: "GET", path: "E3/hello/" + credentialSecret + "?a=" + queryToken + "%zz", status: 200},
		{name: "semicolon", method: "GET", path: "E3/hello/" + credentialSecret + "?a=" + queryToken + ";b=%", status: 200},
		{name: "form", method: "POST", path: "E3/hello/" + credentialSecret, header: "Content-Type: application/x-www-form-urlencoded", body: bodyToken + "=%zz", status: 200},
		{name: "multipart", method: "POST", path: "E3/hello/" + credentialSecret, header: multipart, body: bodyToken, status: 400},
		{name: "multipart header", method: "POST", path: "E3/hello/" + credentialSecret, header: multipart, body: "--b\r\n" + bodyToken + "\r\n\r\n" + bodyToken, status: 400},
		{name: "charset", method: "POST", path: "E3/hello/" + credentialSecret, header: "Content-Type: text/plain; charset=" + headerToken, body: bodyToken, status: 200},
		{name: "content coding", method: "POST", path: "E3/hello/" + credentialSecret, header: "Content-Encoding: " + headerToken, body: bodyToken, status: 415},
		{name: "contentType", method: "GET", path: "E3/hello/" + credentialSecret + "?contentType=" + queryToken, status: 200},
		{name: "contentType's charset", method: "GET", path: "E3/hello/" + credentialSecret + "?contentType=text/x;charset%3d" + queryToken, status: 200},
		{name: "characterEncoding", method: "GET", path: "E3/hello/" + credentialSecret + "?characterEncoding=" + queryToken, status: 200},
		{name: "slow body", change: timeout, method: "POST", path: "E3/hello/" + credentialSecret, header: "Content-Length: 1000", body: bodyToken, status: 408},
		{name: "long body", change: func(h *callback.Handler) { h.MaxBody = 5 }, method: "POST", path: "E3/hello/" + credentialSecret, body: bodyToken, status: 413},
		{name: "long chunked body", change: func(h *callback.Handler) { h.MaxBody = 5 }, method: "POST", path: "E3/hello/" + credentialSecret, header: "Transfer-Encoding: chunked", body: "e\r\n" + bodyToken + "\r\n0\r\n\r\n", status: 413},
		{name: "parameters", change: func(h *callback.Handler) { h.MaxParams = 1 }, method: "GET", path: "E3/hello/" + credentialSecret + "?a=" + queryToken + "&b=" + queryToken, status: 413},
		{name: "script throws", method: "POST", path: "E3/throws/" + credentialSecret + "?a=" + queryToken, header: "X-Token: " + headerToken, body: bodyToken, status: 500},
		{name: "script rejects", method: "GET", path: "E3/rejects/" + credentialSecret, status: 500},
		{name: "script does not compile", method: "GET", path: "E3/broken/" + credentialSecret, status: 500},
		{name: "script recurses", method: "GET", path: "E3/recurses/" + credentialSecret, status: 500},
		{name: "script loops", change: timeout, method: "POST", path: "E3/forever/" + credentialSecret + "?a=" + queryToken, header: "X-Token: " + headerToken, body: bodyToken, status: 504},
		{name: "status", method: "GET", path: "E3/status/" + credentialSecret, status: 500},
		{name: "long answer", change: func(h *callback.Handler) { h.MaxResponse = 1000 }, method: "GET", path: "E3/long/" + credentialSecret, status: 500},
		{name: "answer's headers", method: "GET", path: "E3/headers/" + credentialSecret, status: 200},
		{name: "answer's headers are none", method: "GET", path: "E3/noHeaders/" + credentialSecret, status: 200},
		{name: "member", method: "GET", path: "E3/member/" + credentialSecret, status: 200},
		{name: "uncaught member", method: "GET", path: "E3/uncaught/" + credentialSecret, status: 500},
		{name: "unknown member", method: "GET", path: "E3/unknown/" + credentialSecret, status: 500},
		{name: "unknown module", method: "GET", path: "E3/module/" + credentialSecret, status: 500},
		{name: "member panics", change: member(func(context.Context, *callback.Call, callback.Args) (any, error) { panics(); return nil, nil }), method: "GET", path: "E3/uncaught/" + credentialSecret, status: 500},
		{name: "member panics with an error", change: member(func(context.Context, *callback.Call, callback.Args) (any, error) { panic(errors.New(panicValue)) }), method: "GET", path: "E3/member/" + credentialSecret, status: 200},
		{name: "member returns no JSON", change: member(func(context.Context, *callback.Call, callback.Args) (any, error) {
			return map[string]any{panicValue: func() {}}, nil
		}), method: "GET", path: "E3/uncaught/" + credentialSecret, status: 500},
		{name: "member's MarshalJSON panics", change: member(func(context.Context, *callback.Call, callback.Args) (any, error) {
			return marshaler(func() ([]byte, error) { panics(); return nil, nil }), nil
		}), method: "GET", path: "E3/uncaught/" + credentialSecret, status: 500},
		{name: "member without a function", change: func(h *callback.Handler) { h.Members = callback.Members{"bad": {}} }, method: "GET", path: "E3/uncaught/" + credentialSecret, status: 500},
		{name: "member's script is broken", change: func(h *callback.Handler) { h.Members = callback.Members{"bad": {Script: "zq("}} }, method: "GET", path: "E3/uncaught/" + credentialSecret, status: 500},
		{name: "member hangs", change: func(h *callback.Handler) {
			timeout(h)
			member(func(ctx context.Context, _ *callback.Call, _ callback.Args) (any, error) {
				blocked(ctx)
				return nil, ctx.Err()
			})(h)
		}, method: "GET", path: "E3/uncaught/" + credentialSecret, status: 504},
		{name: "outbound refused", method: "GET", path: "E3/outbound/" + credentialSecret, status: 200},
		{name: "outbound fails", change: doer(func(r *http.Request) (*http.Response, error) {
			return nil, &url.Error{Op: r.Method, URL: r.URL.String(), Err: fmt.Errorf("%s %v", r.URL, r.Header)}
		}), method: "GET", path: "E3/outbound/" + credentialSecret, status: 200},
		{name: "outbound panics", change: doer(func(r *http.Request) (*http.Response, error) { panic(r.URL.String()) }), method: "GET", path: "E3/outbound/" + credentialSecret, status: 200},
		{name: "outbound panics with an error", change: doer(func(r *http.Request) (*http.Response, error) { panic(errors.New(r.URL.String())) }), method: "GET", path: "E3/outbound/" + credentialSecret, status: 200},
		{name: "outbound hangs", change: doer(func(r *http.Request) (*http.Response, error) { blocked(r.Context()); return nil, r.Context().Err() }), method: "GET", path: "E3/outbound/" + credentialSecret, status: 200},
		{name: "outbound answers nothing", change: doer(func(*http.Request) (*http.Response, error) { return nil, nil }), method: "GET", path: "E3/outbound/" + credentialSecret, status: 200},
		{name: "outbound URLs", method: "GET", path: "E3/badURL/" + credentialSecret, status: 200},
		{name: "outbound header", method: "GET", path: "E3/badHeader/" + credentialSecret, status: 500},
		{name: "store fails", change: store(func(context.Context, string, string) ([]callback.Secret, error) {
			return nil, errors.New("no connection")
		}), method: "POST", path: "E3/hello/" + credentialSecret, body: bodyToken, status: 503},
		{name: "store hangs", change: func(h *callback.Handler) {
			timeout(h)
			store(func(ctx context.Context, _, _ string) ([]callback.Secret, error) { blocked(ctx); return nil, ctx.Err() })(h)
		}, method: "GET", path: "E3/hello/" + credentialSecret, status: 503},
		{name: "store panics", change: store(func(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
			panic(panicValue + apiKey + credential)
		}), method: "GET", path: "E3/hello/" + credentialSecret, status: 500},
		{name: "store panics with its secrets", change: store(func(context.Context, string, string) ([]callback.Secret, error) {
			panic([]callback.Secret{callback.NewSecret(credentialSecret)})
		}), method: "GET", path: "E3/hello/" + credentialSecret, status: 500},
		{name: "no runner", change: func(h *callback.Handler) { h.Runner = nil }, method: "GET", path: "E3/hello/" + credentialSecret, status: 500},
		{name: "no scripts", change: func(h *callback.Handler) { h.Runner = &callback.GojaRunner{} }, method: "GET", path: "E3/hello/" + credentialSecret, status: 500},
		{name: "runner fails", change: runner(func(context.Context, *callback.Call) (*callback.Result, error) { return nil, errors.New("broken") }), method: "GET", path: "E3/hello/" + credentialSecret + "?a=" + queryToken, status: 500},
		{name: "runner is overloaded", change: runner(func(context.Context, *callback.Call) (*callback.Result, error) {
			return nil, callback.ErrOverloaded
		}), method: "GET", path: "E3/hello/" + credentialSecret, status: 503},
		{name: "runner panics", change: runner(func(context.Context, *callback.Call) (*callback.Result, error) { panics(); return nil, nil }), method: "GET", path: "E3/hello/" + credentialSecret, status: 500},
		{name: "runner panics with the call", change: runner(func(_ context.Context, c *callback.Call) (*callback.Result, error) { panic(c) }), method: "POST", path: "E3/hello/" + credentialSecret + "?a=" + queryToken, header: "X-Token: " + headerToken, body: bodyToken, status: 500},
		{name: "runner returns nothing", change: runner(func(context.Context, *callback.Call) (*callback.Result, error) { return nil, nil }), method: "GET", path: "E3/hello/" + credentialSecret, status: 200},
		{name: "runner returns no JSON", change: runner(func(context.Context, *callback.Call) (*callback.Result, error) {
			return &callback.Result{Data: []callback.Field{{Name: "RESPONSE_HEADERS", Value: json.RawMessage("{")}}}, nil
		}), method: "GET", path: "E3/hello/" + credentialSecret, status: 500},
		{name: "ClientIP panics", change: func(h *callback.Handler) {
			h.ClientIP = func(r *http.Request) string { panic(r.URL.String() + panicValue) }
		}, method: "GET", path: "E3/hello/" + credentialSecret + "?a=" + queryToken, status: 500},
		{name: "log panics when refused", change: func(h *callback.Handler) { h.Logger = slog.New(panickingLog{}) }, method: "GET", path: "E3/hello/" + guessedSecret, status: 403},
		{name: "log panics", change: func(h *callback.Handler) { h.Logger = slog.New(panickingLog{}) }, method: "GET", path: "E3/throws/" + credentialSecret + "?a=" + queryToken, status: 500},
		{name: "log panics in the run", change: func(h *callback.Handler) { h.Logger = slog.New(panickingLog{}) }, method: "GET", path: "E3/outbound/" + credentialSecret, status: 500},
		{name: "log panics after a panic", change: func(h *callback.Handler) {
			h.Logger = slog.New(panickingLog{})
			h.ClientIP = func(*http.Request) string { panic(panicValue) }
		}, method: "GET", path: "E3/hello/" + credentialSecret, status: 500},
		{name: "host aborts", change: runner(func(context.Context, *callback.Call) (*callback.Result, error) { panic(http.ErrAbortHandler) }), method: "GET", path: "E3/hello/" + credentialSecret},
		{name: "no fault", method: "POST", path: "E3/hello/" + credentialSecret + "?a=" + queryToken, header: "X-Token: " + headerToken, body: bodyToken, status: 200},
		{name: "no fault, with the server secret", change: func(h *callback.Handler) {
			h.Runner = &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/server.js": {Data: []byte("for (;;) {}")}}}
			timeout(h)
		}, method: "GET", path: "E3/" + serverSecret + "/player?a=" + queryToken, status: 504},
	}
	seen := map[int]bool{}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var text, jsonText, errorLog testkit.Log
			options := &slog.HandlerOptions{Level: slog.LevelDebug, AddSource: true}
			h := secretHandler(slog.New(bothLogs{slog.NewTextHandler(&text, options), slog.NewJSONHandler(&jsonText, options)}))
			if c.change != nil {
				c.change(h)
			}
			h.RunIDHeader, h.KeepLog = "Run-Id", 1<<20
			runs := observe(h)
			server := httptest.NewUnstartedServer(h)
			server.Config.ErrorLog = log.New(&errorLog, "", 0)
			server.Start()
			defer server.Close()

			request := c.method + " /callback/" + c.path + " HTTP/1.1\r\nHost: x\r\nReferer: http://x/callback/" + c.path + "\r\n"
			if c.header != "" {
				request += c.header + "\r\n"
			}
			if c.body != "" && !strings.Contains(c.header, "Content-Length") && !strings.Contains(c.header, "Transfer-Encoding") {
				request += fmt.Sprintf("Content-Length: %d\r\n", len(c.body))
			}
			answer := exchangeRaw(t, server.Listener.Addr().String(), request+"\r\n"+c.body, c.method)
			if c.status != 0 {
				assert.True(t, strings.HasPrefix(answer, fmt.Sprintf("HTTP/1.1 %d ", c.status)), answer)
			}
			seen[c.status] = true
			server.Close() // ends what is under way
			// An authorised request has the header, and a Run.
			if authorised := strings.Contains(answer, "\r\nRun-Id: "); authorised || c.status == 0 {
				run := runs.next(t)
				run.Call.Data, run.Call.RequestHeaders = nil, nil // they hold what the caller sent
				text, err := json.Marshal(run.Call)
				assert.NoError(t, err)
				assert.Empty(t, leaks(fmt.Sprintf("%s %+v", text, run)), "Run: %s %+v", text, run)
			}
			assert.Empty(t, runs.all)
			for where, text := range map[string]string{
				"answer": answer, "text log": text.String(), "JSON log": jsonText.String(), "ErrorLog": errorLog.String(),
			} {
				assert.Empty(t, leaks(text), "%s: %s", where, text)
			}
		})
	}
	for _, status := range []int{200, 400, 403, 404, 405, 408, 413, 415, 500, 503, 504} {
		assert.True(t, seen[status], "no case for %d", status)
	}
	// The search finds each form of a secret.
	for _, text := range []string{
		"x" + credentialSecret, strings.ToUpper(serverSecret), fmt.Sprintf("%x", outboundPath), "dot" + hex.EncodeToString([]byte(queryToken)),
		"Basic " + base64.StdEncoding.EncodeToString([]byte(outboundUser+":"+outboundPassword)), fmt.Sprint(sha256.Sum256([]byte(serverSecret))),
	} {
		assert.NotEmpty(t, leaks(text), text)
	}
}

type marshaler func() ([]byte, error)

func (f marshaler) MarshalJSON() ([]byte, error) { return f() }

// exchangeRaw sends a request and returns the answer, of which there may be
// none.
func exchangeRaw(t *testing.T, addr, request, method string) string {
	t.Helper()
	conn, err := net.Dial("tcp", addr)
	require.NoError(t, err)
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	_, err = io.WriteString(conn, request)
	require.NoError(t, err)
	var raw bytes.Buffer
	resp, err := http.ReadResponse(bufio.NewReader(io.TeeReader(conn, &raw)), &http.Request{Method: method})
	if err != nil {
		return raw.String()
	}
	_, err = io.Copy(io.Discard, resp.Body)
	assert.NoError(t, err)
	return raw.String()
}

// Calls beyond the limits of a Handler and of a runner: their refusals hold no secret
// either.
func TestSecretsAreNotSeenWhenOverloaded(t *testing.T) {
	for _, limit := range []string{"MaxInFlight", "MaxStuck"} {
		t.Run(limit, func(t *testing.T) {
			defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
			var text testkit.Log
			h := secretHandler(text.Logger())
			entered, release := make(chan struct{}), make(chan struct{})
			h.Members = callback.Members{"bad": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				close(entered)
				<-release
				return nil, nil
			}}}
			call := func(ctx context.Context, credential string) *httptest.ResponseRecorder {
				rec := httptest.NewRecorder()
				h.ServeHTTP(rec, httptest.NewRequestWithContext(ctx, "GET", "/callback/E3/"+credential+"/"+credentialSecret+"?a="+queryToken, nil))
				return rec
			}
			var first sync.WaitGroup
			if limit == "MaxInFlight" {
				h.MaxInFlight = 1
				first.Go(func() { call(t.Context(), "uncaught") })
				<-entered
			} else {
				h.Runner.(*callback.GojaRunner).MaxStuck = 1
				h.StopAbandoned = true // so that it ends with deadline
				deadline := testkit.NewDeadline(t.Context())
				first.Go(func() { assert.Equal(t, 504, call(deadline, "uncaught").Code) })
				<-entered
				deadline.Pass()
				first.Wait()
			}
			rec := call(t.Context(), "hello")
			assert.Equal(t, 503, rec.Code)
			assert.JSONEq(t, `{"error":"overloaded"}`, rec.Body.String())
			assert.NotEmpty(t, rec.Header().Get("Retry-After"))
			close(release)
			first.Wait()
			assert.Empty(t, leaks(text.String()), text.String())
			assert.Empty(t, leaks(rec.Body.String()+fmt.Sprint(rec.Header())))
		})
	}
}

// A Secret is never printed, alone or inside of another value.
func TestSecretIsNotPrinted(t *testing.T) {
	secret := callback.NewSecret(credentialSecret)
	type record struct {
		Name    string
		Secret  callback.Secret
		Pointer *callback.Secret
	}
	var text testkit.Log
	for _, value := range []any{
		secret, &secret, []callback.Secret{secret}, map[string]callback.Secret{"a": secret}, record{"a", secret, &secret}, &record{"a", secret, &secret},
		fmt.Errorf("wrapped %v", secret),
	} {
		for _, verb := range []string{"%v", "%+v", "%s", "%q", "%x", "%X", "%#v"} {
			assert.Empty(t, leaks(fmt.Sprintf(verb, value)), "%s of a %T", verb, value)
		}
		text.Logger().Info("x", "value", value)
	}
	assert.Empty(t, leaks(text.String()))
	assert.Contains(t, text.String(), "REDACTED")
}

// refusals are the reasons for a refusal, by the number of segments after the API
// key. A caller must not be able to distinguish two with the same number.
var refusals = map[int]map[string]string{
	1: {
		"wrong server secret":  "E3/" + guessedSecret,
		"unknown key":          "zz/" + serverSecret,
		"other case":           "e3/" + serverSecret,
		"no server secret":     "NoServer/" + serverSecret,
		"credential's secret":  "E3/" + credentialSecret,
		"almost":               "E3/" + serverSecret[:len(serverSecret)-1],
		"too much":             "E3/" + serverSecret + "x",
		"with a NUL":           "E3/" + serverSecret + "%00",
		"empty":                "E3//",
		"empty key":            "/" + serverSecret,
		"long":                 "E3/" + strings.Repeat("x", 4096),
		"slash in the segment": "E3%2Fhello/" + credentialSecret,
	},
	2: {
		"wrong secret":              "E3/hello/" + guessedSecret,
		"unknown credential":        "E3/nobody/" + credentialSecret,
		"unknown key":               "zz/hello/" + credentialSecret,
		"other's secret":            "E3/other/" + credentialSecret,
		"server secret":             "E3/hello/" + serverSecret,
		"wrong server secret":       "E3/" + guessedSecret + "/player",
		"empty secret":              "E3/hello//",
		"empty secret in the store": "E3/open//",
		"empty credential":          "E3//" + credentialSecret,
		"not a name":                "E3/he%20llo/" + credentialSecret,
		"path":                      "E3/..%2Fhello/" + credentialSecret,
		"NUL":                       "E3/hello%00/" + credentialSecret,
		"other case":                "E3/Hello/" + credentialSecret,
		"almost":                    "E3/hello/" + credentialSecret[:len(credentialSecret)-1],
		"too much":                  "E3/hello/" + credentialSecret + "x",
		"digest":                    "E3/hello/" + fmt.Sprintf("%x", sha256.Sum256([]byte(credentialSecret))),
		"raw digest":                "E3/hello/" + url.PathEscape(string(fmt.Append(nil, sha256.Sum256([]byte(credentialSecret))))),
		"long":                      "E3/hello/" + strings.Repeat("x", 4096),
		"not UTF-8":                 "E3/hello/%ff%fe",
		"retired":                   "E3/rotated/zq9-retired",
	},
	3: {
		"wrong secret":       "E3/hello/" + guessedSecret + "/player",
		"unknown credential": "E3/nobody/" + credentialSecret + "/player",
		"unknown key":        "zz/hello/" + credentialSecret + "/player",
		"empty secret":       "E3/hello//player",
		"not a name":         "E3/he.llo/" + credentialSecret + "/player",
		"server secret":      "E3/" + serverSecret + "/x/player",
	},
}

// countingStore is a store that counts what it is asked.
type countingStore struct {
	mu    sync.Mutex
	asked []string // "server" or "credential"
}

func (s *countingStore) Secrets(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	kind := "server"
	if credential != "" {
		kind = "credential"
	}
	s.asked = append(s.asked, kind)
	switch apiKey + "/" + credential {
	case "E3/":
		return []callback.Secret{callback.NewSecret(serverSecret)}, nil
	case "E3/hello":
		return []callback.Secret{callback.NewSecret(credentialSecret)}, nil
	case "E3/other":
		return []callback.Secret{callback.NewSecret(otherSecret)}, nil
	case "E3/open":
		return []callback.Secret{callback.NewSecret("")}, nil
	case "E3/rotated":
		return []callback.Secret{callback.NewSecret("zq9-new"), callback.NewSecret("zq9-newer")}, nil
	}
	return nil, nil
}

var dateLine = regexp.MustCompile(`(?m)^Date: .*\r\n`)

// Refusals with the same number of segments have the same bytes and the same work:
// the store is asked the same number of times, as many secrets are compared, no
// script runs, and nothing is logged.
func TestRefusalsAreAlike(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	store := new(countingStore)
	var text testkit.Log
	h := secretHandler(text.Logger())
	h.Secrets = store
	h.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
		t.Error("the script ran")
		return nil, nil
	})
	var compared atomic.Int64
	h.CountCompares(func() { compared.Add(1) })
	server := httptest.NewServer(h)
	defer server.Close()
	for _, method := range []string{"GET", "HEAD", "POST", "POST with a body"} {
		method, body, _ := strings.Cut(method, " with a ")
		head := fmt.Sprintf(" HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
		want := ""
		for segments, kinds := range refusals {
			asked := map[int][]string{1: {"server"}, 2: {"server", "credential"}, 3: {"server", "credential"}}[segments]
			for kind, path := range kinds {
				for _, slash := range []string{"", "/"} {
					if slash != "" && strings.HasSuffix(path, "/") {
						continue
					}
					store.asked = nil
					compared.Store(0)
					answer := exchangeRaw(t, server.Listener.Addr().String(), method+" /callback/"+path+slash+head, method)
					answer = dateLine.ReplaceAllString(answer, "")
					if want == "" {
						want = answer
						require.True(t, strings.HasPrefix(want, "HTTP/1.1 403 "), want)
					}
					assert.Equal(t, want, answer, "%s %s", method, kind)
					assert.Equal(t, asked, store.asked, "%s %s", method, kind)
					compares := len(asked) // one for each look-up, whatever it has found
					if kind == "retired" {
						compares++ // both of the secrets that are valid now
					}
					assert.EqualValues(t, compares, compared.Load(), "%s %s", method, kind)
				}
			}
		}
	}
	assert.Empty(t, text.String())
}
