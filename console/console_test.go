package console_test

import (
	"bufio"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/callbacktest"
	"example.com/callback/console"
)

var scripts = fstest.MapFS{
	"callbacks/hello.js":  {Data: []byte("Spark.getLog().info('greets', {n: 1});\nSpark.setScriptData('hello', Spark.getData().name || 'world');\n")},
	"callbacks/broken.js": {Data: []byte("var p = null;\np.getPlayerId();\n")},
	"callbacks/typo.js":   {Data: []byte("Spark.setScriptdata('a', 1);\n")},
	"callbacks/body.js":   {Data: []byte("Spark.setScriptData('got', [Spark.getRequestMethod(), Spark.getData(), Spark.getPlayer() && Spark.getPlayer().getPlayerId()]);\n")},
	"modules/MONEY.js":    {Data: []byte("var cents = 100;\n")},
}

// newConsole is a console over a Handler that retains requests.
func newConsole(t *testing.T) (*console.Console, *callback.Handler) {
	h := &callback.Handler{
		Runner:         &callback.GojaRunner{Scripts: scripts},
		Secrets:        callback.SecretMap{"KEY/hello": "top-secret", "KEY/broken": "top-secret"},
		RequestHeaders: []string{"X-Signature-Ed25519", "X-Signature-Timestamp", "X-Console-Public-Key", "X-A"},
		Methods:        []string{"PUT"},
		KeepBodies:     1 << 20,
		KeepLog:        1 << 16,
		Logger:         slog.New(slog.DiscardHandler),
	}
	c := &console.Console{
		Handler:  h,
		Recorder: &callback.Recorder{Requests: true},
		Trees: func(context.Context) ([]console.Tree, error) {
			return []console.Tree{{APIKey: "KEY", FS: scripts}}, nil
		},
		Hosts: []string{"console.example"},
	}
	h.Observe = c.Observe
	require.NoError(t, h.Validate())
	return c, h
}

// ask sends a request to the console and decodes its answer.
func ask(t *testing.T, c *console.Console, method, path, body string, header ...string) (int, map[string]any) {
	t.Helper()
	r := httptest.NewRequest(method, "http://localhost:8081"+path, strings.NewReader(body))
	for i := 0; i < len(header); i += 2 {
		r.Header.Set(header[i], header[i+1])
		if header[i] == "Host" {
			r.Host = header[i+1]
		}
	}
	w := httptest.NewRecorder()
	c.ServeHTTP(w, r)
	var answer map[string]any
	if strings.HasPrefix(w.Header().Get("Content-Type"), "application/json") {
		require.NoError(t, json.Unmarshal(w.Body.Bytes(), &answer))
	}
	return w.Code, answer
}

func call(h *callback.Handler, method, path, body string) string {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, path, strings.NewReader(body)))
	return w.Body.String()
}

func TestState(t *testing.T) {
	t.Parallel()
	c, _ := newConsole(t)
	status, answer := ask(t, c, "GET", "/api/state", "")
	require.Equal(t, 200, status)
	key := answer["keys"].([]any)[0].(map[string]any)
	require.Equal(t, "KEY", key["apiKey"])
	names := []string{}
	for _, s := range key["scripts"].([]any) {
		script := s.(map[string]any)
		names = append(names, script["credential"].(string))
		require.Equal(t, "/callback/KEY/"+script["credential"].(string)+"/•••", script["url"])
		_, run := ask(t, c, "POST", "/api/try", `{"apiKey":"KEY","credential":"`+script["credential"].(string)+`","method":"GET"}`)
		require.NotEmpty(t, script["version"])
		require.Equal(t, run["version"], script["version"], "of a run")
		if script["credential"] == "typo" {
			require.Len(t, script["problems"], 1)
		}
	}
	require.Equal(t, []string{"body", "broken", "hello", "typo"}, names)
	require.Len(t, key["modules"], 1)

	status, answer = ask(t, c, "GET", "/api/source?apiKey=KEY&file=callbacks/typo.js", "")
	require.Equal(t, 200, status)
	require.Contains(t, answer["text"], "setScriptdata")
	require.Len(t, answer["problems"], 1)
	for _, file := range []string{"callbacks/none.js", "../secrets.json", "secrets.json", "callbacks/../callbacks/hello.js"} {
		status, _ = ask(t, c, "GET", "/api/source?apiKey=KEY&file="+file, "")
		require.Equal(t, 404, status, file)
	}
	status, _ = ask(t, c, "GET", "/api/source?apiKey=OTHER&file=callbacks/hello.js", "")
	require.Equal(t, 404, status)
}

// A tree that cannot be read does not hide the others. A request about one tree
// reads no other tree.
func TestTreesOfADatabase(t *testing.T) {
	t.Parallel()
	c, _ := newConsole(t)
	listed, errBroken := 0, errors.New("the database is away")
	c.Trees = func(context.Context) ([]console.Tree, error) {
		listed++
		return []console.Tree{{APIKey: "AWAY", Version: "v1", Err: errBroken}, {APIKey: "KEY", FS: scripts}}, nil
	}
	status, answer := ask(t, c, "GET", "/api/state", "")
	require.Equal(t, 200, status)
	keys := answer["keys"].([]any)
	require.Equal(t, map[string]any{"apiKey": "AWAY", "version": "v1", "error": "the database is away", "scripts": []any{}, "modules": []any{}}, keys[0])
	require.Len(t, keys[1].(map[string]any)["scripts"], 4)
	const source = "/api/source?file=callbacks/hello.js&apiKey="
	status, answer = ask(t, c, "GET", source+"AWAY", "")
	require.Equal(t, 404, status)
	require.Equal(t, "the database is away", answer["error"])

	listed = 0
	c.Tree = func(_ context.Context, apiKey string) (console.Tree, error) {
		if apiKey != "KEY" {
			return console.Tree{}, errBroken
		}
		return console.Tree{APIKey: "KEY", FS: scripts}, nil
	}
	status, _ = ask(t, c, "GET", source+"KEY", "")
	require.Equal(t, 200, status)
	status, _ = ask(t, c, "GET", source+"AWAY", "")
	require.Equal(t, 404, status)
	status, answer = ask(t, c, "POST", "/api/try", `{"apiKey":"KEY","credential":"broken","method":"GET"}`)
	require.Equal(t, 200, status)
	require.NotEmpty(t, answer["error"].(map[string]any)["excerpt"])
	require.Zero(t, listed)
}

// The scripts of a version are read and checked once.
func TestTreesWithVersions(t *testing.T) {
	t.Parallel()
	c, _ := newConsole(t)
	version, read, checked := "v1", 0, 0
	c.Trees = func(context.Context) ([]console.Tree, error) {
		return []console.Tree{{APIKey: "KEY", Version: version}}, nil
	}
	c.Tree = func(_ context.Context, apiKey string) (console.Tree, error) {
		if read++; version == "away" {
			return console.Tree{}, errors.New("the database is away")
		}
		return console.Tree{APIKey: apiKey, FS: scripts, Version: version}, nil
	}
	c.Check = func(context.Context, console.Tree) ([]callback.Problem, error) {
		checked++
		return nil, nil
	}
	for i, test := range []struct{ version, problem string }{{"v1", ""}, {"v1", ""}, {"away", "the database is away"}, {"away", "the database is away"}, {"v2", ""}} {
		version = test.version
		status, answer := ask(t, c, "GET", "/api/state", "")
		require.Equal(t, 200, status)
		key := answer["keys"].([]any)[0].(map[string]any)
		require.Equal(t, "KEY", key["apiKey"])
		require.Equal(t, test.version, key["version"])
		if test.problem != "" {
			require.Equal(t, test.problem, key["error"])
		} else {
			require.Len(t, key["scripts"], 4)
		}
		require.Equal(t, []int{1, 1, 2, 3, 4}[i], read)
	}
	require.Equal(t, 2, checked)
}

func TestTry(t *testing.T) {
	t.Parallel()
	c, _ := newConsole(t)
	status, run := ask(t, c, "POST", "/api/try", `{"apiKey":"KEY","credential":"body","method":"PUT","query":"?a=1","contentType":"application/x-www-form-urlencoded","headers":"X-A: 1\n","body":"b=2","player":"p1"}`)
	require.Equal(t, 200, status, run)
	answer := run["answer"].(map[string]any)
	require.Equal(t, `{"got":["PUT",{"a":"1","b":"2","REQUEST_BODY":"b=2","REQUEST_HEADERS":{"x-a":"1"}},"p1"]}`, answer["text"])
	require.Equal(t, "try", run["origin"])
	require.Contains(t, run["curl"], `"https://HOST/callback/KEY/body/$SECRET/p1?a=1"`)

	_, run = ask(t, c, "POST", "/api/try", `{"apiKey":"KEY","credential":"broken","method":"GET"}`)
	fault := run["error"].(map[string]any)
	require.EqualValues(t, 2, fault["line"])
	require.Equal(t, "script_error", run["outcome"])
	excerpt := fault["excerpt"].([]any)
	require.Equal(t, map[string]any{"n": 2.0, "text": "p.getPlayerId();", "hit": true}, excerpt[1])

	_, run = ask(t, c, "POST", "/api/try", `{"apiKey":"KEY","credential":"hello","method":"GET"}`)
	require.Equal(t, "greets", strings.Fields(run["log"].([]any)[0].(map[string]any)["message"].(string))[0])
	_, runs := ask(t, c, "GET", "/api/runs", "")
	require.Len(t, runs["runs"], 3)

	for body, want := range map[string]int{
		`{"apiKey":"KEY","credential":"hello","method":"GET","headers":"no header"}`:             422,
		`{"apiKey":"KEY","credential":"hello","method":"GET","headers":"A: b\r\nC"}`:             422,
		`{"apiKey":"KEY","credential":"hello","method":"G T"}`:                                   422,
		`{"apiKey":"OTHER","credential":"hello","method":"GET"}`:                                 422,
		`{"apiKey":"KEY","credential":"hello","method":"POST","preset":"nosuch"}`:                422,
		`{"apiKey":"KEY","credential":"hello","method":"POST","preset":"discord","key":"short"}`: 422,
		`{"nosuch":1}`: 400,
		`broken`:       400,
	} {
		status, answer := ask(t, c, "POST", "/api/try", body)
		require.Equal(t, want, status, "%s: %v", body, answer)
		require.NotEmpty(t, answer["error"])
	}
}

// A request of each preset can be tried. Discord's signature, the only one with a
// key pair, is verified here; scripts in examples/signatures verify the others.
func TestPresets(t *testing.T) {
	t.Parallel()
	c, _ := newConsole(t)
	_, answer := ask(t, c, "GET", "/api/presets", "")
	for _, p := range answer["presets"].([]any) {
		preset := p.(map[string]any)
		request, err := json.Marshal(map[string]any{
			"apiKey": "KEY", "credential": "body", "method": "POST", "preset": preset["name"], "key": preset["key"],
			"contentType": preset["contentType"], "headers": preset["headers"], "body": preset["body"],
		})
		require.NoError(t, err)
		status, run := ask(t, c, "POST", "/api/try", string(request))
		require.Equal(t, 200, status, run)
		require.Equal(t, "ok", run["outcome"], preset["name"])
		if preset["name"] != "discord" {
			continue
		}
		header := map[string]string{}
		for _, pair := range run["request"].(map[string]any)["headers"].([]any) {
			header[pair.([]any)[0].(string)] = pair.([]any)[1].(string)
		}
		public, err := hex.DecodeString(header["x-console-public-key"])
		require.NoError(t, err)
		signature, err := hex.DecodeString(header["x-signature-ed25519"])
		require.NoError(t, err)
		require.True(t, ed25519.Verify(public, []byte(header["x-signature-timestamp"]+preset["body"].(string)), signature))
	}
}

func TestReplayAndCase(t *testing.T) {
	t.Parallel()
	c, h := newConsole(t)
	call(h, "POST", "/callback/KEY/hello/top-secret?name=Ada", "text")
	_, runs := ask(t, c, "GET", "/api/runs", "")
	id := runs["runs"].([]any)[0].(map[string]any)["id"].(string)

	_, run := ask(t, c, "GET", "/api/runs/"+id, "")
	require.Equal(t, true, run["replayable"])
	require.Equal(t, "http", run["origin"])
	status, again := ask(t, c, "POST", "/api/runs/"+id+"/replay", "{}")
	require.Equal(t, 200, status, again)
	require.Equal(t, run["answer"].(map[string]any)["text"], again["answer"].(map[string]any)["text"])
	require.Equal(t, "replay", again["origin"])

	w := httptest.NewRecorder()
	c.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost/api/runs/"+id+"/case", nil))
	require.Equal(t, 200, w.Code)
	require.NotContains(t, w.Body.String(), "top-secret")
	other := &callback.Handler{Runner: &callback.GojaRunner{Scripts: scripts}, Secrets: callback.SecretMap{"KEY/hello": "s3cret"}}
	require.NoError(t, callbacktest.RunCase(other, w.Body.Bytes()))

	status, _ = ask(t, c, "GET", "/api/runs/none", "")
	require.Equal(t, 404, status)
	status, _ = ask(t, c, "POST", "/api/runs/none/replay", "{}")
	require.Equal(t, 404, status)
}

// Requests from pages of other origins are refused, and so are requests to another
// host name that resolves to this machine.
func TestGuards(t *testing.T) {
	t.Parallel()
	c, h := newConsole(t)
	call(h, "GET", "/callback/KEY/hello/top-secret", "")
	for host, want := range map[string]int{
		"localhost:8081": 200, "127.0.0.1:8081": 200, "[::1]:8081": 200, "127.9.9.9": 200, "console.example": 200, "LOCALHOST.": 200,
		"evil.example": 421, "evil.example:8081": 421, "localhost.evil.example": 421, "10.0.0.1": 421, "": 421,
	} {
		status, answer := ask(t, c, "GET", "/api/state", "", "Host", host)
		require.Equal(t, want, status, host)
		require.Equal(t, want == 200, answer["keys"] != nil)
	}
	try := `{"apiKey":"KEY","credential":"hello","method":"GET"}`
	for origin, want := range map[string]int{"http://localhost:8081": 200, "": 200, "http://evil.example": 403, "null": 403, "http://localhost:9999": 403} {
		header := []string{}
		if origin != "" {
			header = append(header, "Origin", origin)
		}
		status, _ := ask(t, c, "POST", "/api/try", try, header...)
		require.Equal(t, want, status, origin)
	}
	status, _ := ask(t, c, "POST", "/api/try", try, "Sec-Fetch-Site", "cross-site")
	require.Equal(t, 403, status)

	for _, path := range []string{"/", "/app.js", "/api/runs", "/api/state"} {
		w := httptest.NewRecorder()
		c.ServeHTTP(w, httptest.NewRequest("GET", "http://localhost"+path, nil))
		require.Equal(t, 200, w.Code, path)
		require.Contains(t, w.Header().Get("Content-Security-Policy"), "default-src 'none'")
		require.Equal(t, "nosniff", w.Header().Get("X-Content-Type-Options"))
		require.NotContains(t, w.Body.String(), "top-secret")
	}
}

func TestEvents(t *testing.T) {
	t.Parallel()
	c, h := newConsole(t)
	server := httptest.NewServer(c)
	defer server.Close()
	resp, err := http.Get(server.URL + "/api/events")
	require.NoError(t, err)
	defer resp.Body.Close()
	require.Equal(t, "text/event-stream", resp.Header.Get("Content-Type"))
	lines := bufio.NewReader(resp.Body)
	_, err = lines.ReadString('\n') // the connection stands
	require.NoError(t, err)
	call(h, "GET", "/callback/KEY/hello/top-secret", "")
	for {
		line, err := lines.ReadString('\n')
		require.NoError(t, err)
		if data, ok := strings.CutPrefix(line, "data: "); ok {
			require.Contains(t, data, `"credential":"hello"`)
			break
		}
	}
}

// A page that does not read is cut off, and the others are served.
func TestEventsOfASlowPage(t *testing.T) {
	t.Parallel()
	c, _ := newConsole(t)
	blocked := &blockedWriter{header: http.Header{}, begun: make(chan struct{}), release: make(chan struct{})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		c.ServeHTTP(blocked, httptest.NewRequest("GET", "http://localhost/api/events", nil))
	}()
	<-blocked.begun
	for range 1000 {
		c.Observe(context.Background(), &callback.Run{Call: &callback.Call{RunID: "x"}})
	}
	close(blocked.release)
	<-ended
}

type blockedWriter struct {
	header         http.Header
	begun, release chan struct{}
	writes         int
}

func (w *blockedWriter) Header() http.Header { return w.header }
func (w *blockedWriter) WriteHeader(int)     {}
func (w *blockedWriter) Flush()              {}
func (w *blockedWriter) Write(p []byte) (int, error) {
	if w.writes++; w.writes == 2 {
		<-w.release
	}
	if w.writes == 1 {
		close(w.begun)
	}
	return len(p), nil
}

var _ io.Writer = (*blockedWriter)(nil)
