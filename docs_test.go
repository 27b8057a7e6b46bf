package callback

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/engine"
	"example.com/callback/internal/headers"
	"example.com/callback/internal/jsjson"
	scriptlimit "example.com/callback/internal/limit"
	"example.com/callback/internal/testkit"
	"example.com/callback/internal/web/loop"
)

// A docExample is a fenced js block of docs/scripts.md.
type docExample struct {
	line   int // of docs/scripts.md
	source string
	answer string // the http block that follows, if there is one
}

// docExamples reads the examples of docs/scripts.md. A block that begins with
// the name of a module is that module and no example.
func docExamples(t *testing.T) (examples []docExample, modules map[string]string) {
	t.Helper()
	page, err := os.ReadFile("docs/scripts.md")
	require.NoError(t, err)
	modules = map[string]string{}
	fence := regexp.MustCompile("(?ms)^```(\\w+)\n(.*?)^```$")
	end := 0
	for _, m := range fence.FindAllSubmatchIndex(page, -1) {
		language, source := string(page[m[2]:m[3]]), string(page[m[4]:m[5]])
		first, _, _ := strings.Cut(source, "\n")
		module, isModule := strings.CutPrefix(first, "// modules/")
		switch {
		case language == "js" && isModule:
			modules["modules/"+module] = source
		case language == "js":
			examples = append(examples, docExample{line: 1 + bytes.Count(page[:m[0]], []byte("\n")), source: source})
		case language == "http":
			require.Empty(t, strings.TrimSpace(string(page[end:m[0]])), "an http block belongs right behind its script")
			examples[len(examples)-1].answer = source
		}
		end = m[1]
	}
	require.NotEmpty(t, examples)
	return examples, modules
}

// request makes the request that an example begins with:
// "// GET /player?query" or "// POST ?query type; x-signature=… body".
func (e docExample) request(t *testing.T) *http.Request {
	t.Helper()
	first, _, _ := strings.Cut(e.source, "\n")
	const url = "/callback/E3/example/s3cret"
	if rest, ok := strings.CutPrefix(first, "// POST "); ok {
		query := ""
		if strings.HasPrefix(rest, "?") {
			query, rest, _ = strings.Cut(rest, " ")
		}
		contentType, body, _ := strings.Cut(rest, " ")
		header := http.Header{}
		if bare, ok := strings.CutSuffix(contentType, ";"); ok {
			var set string
			set, body, _ = strings.Cut(body, " ")
			name, value, _ := strings.Cut(set, "=")
			header.Set(name, value)
			contentType = bare
		}
		r := httptest.NewRequest(http.MethodPost, url+query, strings.NewReader(body))
		r.Header = header
		r.Header.Set("Content-Type", contentType)
		return r
	}
	target, _ := strings.CutPrefix(first, "// GET ")
	if target == first {
		target = ""
	}
	return httptest.NewRequest(http.MethodGet, url+target, nil)
}

// comments gives what stands behind the marker in the example's comments.
func (e docExample) comments(marker string) []string {
	var found []string
	for line := range strings.Lines(e.source) {
		if _, comment, ok := strings.Cut(line, "// "+marker+" "); ok {
			found = append(found, strings.TrimSuffix(comment, "\n"))
		}
	}
	return found
}

// TestScriptsPage runs each example of docs/scripts.md and compares the answer
// with the one that the page gives.
func TestScriptsPage(t *testing.T) {
	t.Parallel()
	examples, modules := docExamples(t)
	for _, example := range examples {
		t.Run(fmt.Sprintf("line %d", example.line), func(t *testing.T) {
			t.Parallel()
			files := map[string]string{"callbacks/example.js": example.source}
			for name, source := range modules {
				files[name] = source
			}
			var log logLines
			h := &Handler{
				Runner:  &GojaRunner{Scripts: testkit.Tree(files)},
				Secrets: SecretMap{"E3/example": "s3cret"},
				HTTP:    fakeUpstream(),
				Members: docMembers(),
				Logger:  slog.New(&log),
			}
			if strings.Contains(example.source, "REQUEST_HEADERS") {
				h.RequestHeaders = []string{"X-Signature"}
			}
			w := httptest.NewRecorder()
			h.ServeHTTP(w, example.request(t))

			if want := example.comments("log:"); want != nil {
				require.Equal(t, want, log.lines)
			}
			if example.answer != "" {
				head, body, _ := strings.Cut(example.answer, "\n\n")
				status, fields, _ := strings.Cut(head, "\n")
				require.Equal(t, status, fmt.Sprint(w.Code), log.lines)
				require.Equal(t, strings.TrimSuffix(body, "\n"), w.Body.String())
				want := http.Header{}
				for field := range strings.Lines(fields + "\n") {
					name, value, _ := strings.Cut(strings.TrimSpace(field), ": ")
					want.Add(name, value)
				}
				for name, values := range want {
					require.Equal(t, values, w.Header().Values(name))
				}
				return
			}
			want := example.comments("→")
			require.Len(t, want, 1, "an example says what it answers")
			require.Equal(t, want[0], w.Body.String(), log.lines)
		})
	}
}

// TestScriptsPageIsComplete compares the page with the members that exist.
func TestScriptsPageIsComplete(t *testing.T) {
	t.Parallel()
	examples, _ := docExamples(t)
	var all strings.Builder
	for _, e := range examples {
		all.WriteString(e.source)
	}
	for _, class := range []string{"Spark", "SparkPlayer", "SparkLog", "SparkHttp", "SparkHttpResponse"} {
		for _, name := range engine.Carried(class) {
			require.Regexp(t, `\.`+name+`\b`, all.String(), "%s.%s has no example", class, name)
		}
	}
	page, err := os.ReadFile("docs/scripts.md")
	require.NoError(t, err)
	for _, name := range engine.Carried("") {
		switch name {
		case "Crypto", "CryptoKey", "SubtleCrypto", "DOMException": // classes of what others return
		default:
			require.Contains(t, string(page), "`"+name+"`", "the page does not name the global %s", name)
		}
	}
}

// TestScriptsPageLimits compares the page's table with the limits in the code.
func TestScriptsPageLimits(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/scripts.md")
	require.NoError(t, err)
	for of, limit := range map[string]string{
		"a run, waiting included":                              fmt.Sprintf("%g s", DefaultTimeout.Seconds()),
		"an outbound request":                                  fmt.Sprintf("%g s, changed by the second argument of `getHttp`", DefaultHTTPTimeout.Seconds()),
		"outbound requests of a run":                           fmt.Sprint(defaultMaxHTTPCalls),
		"an outbound answer":                                   fmt.Sprintf("%d MiB", defaultMaxHTTPBody>>20),
		"the request's body":                                   fmt.Sprintf("%d MiB", defaultMaxBody>>20),
		"parameters, fields and parts of the request together": fmt.Sprint(defaultMaxParams),
		"objects and arrays in one text of JSON":               fmt.Sprint(jsjson.MaxNodes),
		"headers that a script sets":                           fmt.Sprintf("%d, of %d KiB together", headers.MaxScriptHeaders, headers.MaxScriptHeaderBytes>>10),
		"timers that wait":                                     fmt.Sprint(loop.MaxTimers),
		"the answer's body":                                    fmt.Sprintf("%d MiB", defaultMaxResponse>>20),
		"a script or module":                                   fmt.Sprintf("%d MiB", DefaultMaxScriptSize>>20),
		"nested calls":                                         fmt.Sprint(engine.MaxCallStack),
		"arguments of one call of a host's function":           fmt.Sprintf("%d MiB of JSON, %d arguments", scriptlimit.ArgBytes>>20, scriptlimit.Args),
		"an outbound request's URL with its headers":           fmt.Sprintf("%d KiB", scriptlimit.RequestHead>>10),
		"an outbound request's body":                           fmt.Sprintf("%d MiB", scriptlimit.RequestBody>>20),
		"script data and script errors":                        fmt.Sprintf("%d names", scriptlimit.ResultNames),
		"log lines of a run":                                   fmt.Sprintf("%d, each of %d KiB, %d KiB together", scriptlimit.LogLines, scriptlimit.LogLine>>10, scriptlimit.LogBytes>>10),
	} {
		require.Contains(t, string(page), "\n| "+of+" | "+limit+" | ")
	}
}

// TestScriptsPageLinks follows the links inside the page.
func TestScriptsPageLinks(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/scripts.md")
	require.NoError(t, err)
	anchors := []string{}
	for _, heading := range regexp.MustCompile(`(?m)^#+ (.*)$`).FindAllSubmatch(page, -1) {
		text := regexp.MustCompile(`[^a-z0-9 _-]`).ReplaceAllString(strings.ToLower(string(heading[1])), "")
		anchors = append(anchors, "#"+strings.ReplaceAll(text, " ", "-"))
	}
	for _, link := range regexp.MustCompile(`\]\(([^)]*)\)`).FindAllSubmatch(page, -1) {
		target := string(link[1])
		if strings.HasPrefix(target, "#") {
			require.Contains(t, anchors, target)
			continue
		}
		_, err := os.Stat("docs/" + target)
		require.NoError(t, err)
	}
}

// TestDeclarations compares spark.d.ts with the members that exist, in their order.
func TestDeclarations(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("spark.d.ts")
	require.NoError(t, err)
	declared := map[string][]string{}
	for _, m := range regexp.MustCompile(`(?ms)^interface (\w+) \{\n(.*?)^\}`).FindAllSubmatch(text, -1) {
		names := []string{}
		for _, member := range regexp.MustCompile(`(?m)^\t(\w+)\??[(:]`).FindAllSubmatch(m[2], -1) {
			names = append(names, string(member[1]))
		}
		names = slices.Compact(names) // overloads
		declared[string(m[1])] = names
		for _, name := range names {
			require.Regexp(t, `(?m)^\t/\*\* .+\. \*/\n\t`+name+`\b`, string(m[2]), "%s.%s has no line of documentation", m[1], name)
		}
	}
	for _, class := range []string{"Spark", "SparkPlayer", "SparkHttp", "SparkHttpResponse", "SparkLog", "SparkDigest"} {
		require.ElementsMatch(t, engine.Carried(class), declared[class], class)
		delete(declared, class)
	}
	require.Equal(t, map[string][]string{
		"SparkPairs":   {},
		"SparkData":    {"REQUEST_BODY", "REQUEST_HEADERS"},
		"SparkXml":     {"toString", "toXMLString"},
		"SparkRequest": {"Send", "Execute", "SendAs", "ExecuteAs"},
	}, declared)
	var globals []string
	for _, m := range regexp.MustCompile(`(?m)^declare var (\w+):`).FindAllSubmatch(text, -1) {
		globals = append(globals, string(m[1]))
	}
	require.Equal(t, []string{"Spark", "require", "requireOnce", "SparkRequests"}, globals)
}

// A diagnostic is a line of the TypeScript compiler's.
var diagnostic = regexp.MustCompile(`(?m)^(\S+)\(\d+,\d+\): error (TS\d+): (.*)$`)

// typeCheck runs the TypeScript compiler over the files and gives what it says by
// file name.
func typeCheck(t *testing.T, files ...string) map[string][]string {
	t.Helper()
	const compiler = "docs/typescript/node_modules/typescript/lib/tsc.js"
	if _, err := os.Stat(compiler); err != nil {
		t.Skip("no TypeScript compiler: run npm ci in docs/typescript")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("no TypeScript compiler: node is not installed")
	}
	args := []string{compiler, "--noEmit", "--allowJs", "--checkJs", "--pretty", "false", "--target", "es2022", "--lib", "es2022"}
	for _, name := range []string{"spark.d.ts", "globals.d.ts"} {
		declarations, err := filepath.Abs(name)
		require.NoError(t, err)
		args = append(args, declarations)
	}
	output, err := exec.CommandContext(t.Context(), node, append(args, files...)...).CombinedOutput()
	said := map[string][]string{}
	for _, m := range diagnostic.FindAllStringSubmatch(string(output), -1) {
		said[filepath.Base(m[1])] = append(said[filepath.Base(m[1])], m[2]+" "+m[3])
	}
	if err != nil {
		require.NotEmpty(t, diagnostic.FindString(string(output)), "%v: %s", err, output)
	}
	return said
}

// TestDeclarationsFitThePage compiles the page's examples against spark.d.ts.
func TestDeclarationsFitThePage(t *testing.T) {
	t.Parallel()
	examples, modules := docExamples(t)
	dir := t.TempDir()
	var files []string
	write := func(name, source string) {
		file := filepath.Join(dir, name)
		require.NoError(t, os.WriteFile(file, []byte(source), 0o600))
		files = append(files, file)
	}
	page, err := os.ReadFile("docs/scripts.md")
	require.NoError(t, err)
	added := regexp.MustCompile("(?ms)^```ts\n(.*?)^```$").FindSubmatch(page)
	require.NotNil(t, added)
	write("host.d.ts", string(added[1])+"\ndeclare var total: number; declare var loads: number;\n") // variables that are assigned without a declaration
	for name, source := range modules {
		write(strings.ReplaceAll(name, "/", "-"), source)
	}
	want := map[string][]string{}
	for _, e := range examples {
		name := fmt.Sprintf("example%d.js", e.line)
		write(name, "(function () {\n"+e.source+"\n})();\n")
		// These examples are wrong on purpose.
		if strings.Contains(e.source, "Spark.setScriptData({}, 1)") {
			want[name] = []string{"TS2769 No overload matches this call."}
		}
		if strings.Contains(e.source, "Spark.runtimeCollection") {
			want[name] = []string{"TS2339 Property 'runtimeCollection' does not exist on type 'Spark'."}
		}
	}
	require.Len(t, want, 2)
	require.Equal(t, want, typeCheck(t, files...))
}

// TestSampleScripts checks the scripts of the examples, by Check and by the
// TypeScript compiler.
func TestSampleScripts(t *testing.T) {
	t.Parallel()
	trees := map[string]bool{}
	for _, pattern := range []string{"examples/*/callbacks", "examples/*/*/callbacks"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		for _, dir := range found {
			trees[filepath.Dir(dir)] = true
		}
	}
	require.NotEmpty(t, trees)
	for root := range trees {
		members := addedMembers(t, root)
		report, err := Check(os.DirFS(root), CheckOptions{Members: members})
		require.NoError(t, err)
		require.Empty(t, report.Problems, root)

		added := filepath.Join(t.TempDir(), "host.d.ts")
		declaration := "interface Spark {\n"
		for _, name := range members {
			if !slices.Contains(engine.Carried("Spark"), name) {
				declaration += "\t" + name + ": any;\n"
			}
		}
		declaration += "}\n"
		if slices.Contains(members, "getPlayer") {
			declaration += "interface SparkPlayer { [name: string]: any }\n"
		}
		require.NoError(t, os.WriteFile(added, []byte(declaration), 0o600))
		shared, err := filepath.Glob(root + "/modules/*.js")
		require.NoError(t, err)
		scripts, err := filepath.Glob(root + "/[cs]*/*.js") // callbacks, system
		require.NoError(t, err)
		for _, script := range scripts {
			t.Run(script, func(t *testing.T) {
				t.Parallel()
				require.Empty(t, typeCheck(t, append([]string{added, script}, shared...)...))
			})
		}
	}
}

// addedMembers finds what the host of a sample adds to Spark: any name in
// quotes in its Go files may be one.
func addedMembers(t *testing.T, root string) []string {
	t.Helper()
	sources, err := filepath.Glob(strings.Join(strings.Split(filepath.ToSlash(root), "/")[:2], "/") + "/*.go")
	require.NoError(t, err)
	var names []string
	for _, source := range sources {
		text, err := os.ReadFile(source)
		require.NoError(t, err)
		for _, m := range regexp.MustCompile(`"([a-z]\w+)"`).FindAllSubmatch(text, -1) {
			if name := string(m[1]); !slices.Contains(names, name) {
				names = append(names, name)
			}
		}
	}
	return names
}

// logLines is a slog.Handler that keeps what scripts log.
type logLines struct{ lines []string }

func (l *logLines) Enabled(context.Context, slog.Level) bool { return true }
func (l *logLines) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *logLines) WithGroup(string) slog.Handler            { return l }
func (l *logLines) Handle(_ context.Context, r slog.Record) error {
	l.lines = append(l.lines, r.Level.String()+" "+r.Message)
	return nil
}

// docMembers are what the page says its host has added.
func docMembers() Members {
	return Members{"loadPlayer": {
		Script: `function (host) {
			return function loadPlayer(id) {
				return {
					getPlayerId: function () { return id; },
					getDisplayName: function () { return host.name(id); }
				};
			};
		}`,
		Funcs: map[string]HostFunc{"name": func(_ context.Context, _ *Call, args Args) (any, error) {
			var id string
			if err := args.Scan(&id); err != nil {
				return nil, err
			}
			if id == "p0" {
				return nil, errors.New("no such player")
			}
			return "Player " + id, nil
		}},
	}}
}

// fakeUpstream answers the outbound requests of the page's examples.
func fakeUpstream() HTTPDoer {
	return HTTPDoerFunc(func(r *http.Request) (*http.Response, error) {
		switch r.URL.Host {
		case "down.example":
			return nil, errors.New("connection refused")
		case "slow.example":
			select {
			case <-r.Context().Done():
				return nil, r.Context().Err()
			case <-time.After(time.Minute):
				return nil, errors.New("not awaited")
			}
		}
		w := httptest.NewRecorder()
		switch r.URL.Path {
		case "/":
			io.WriteString(w, "<a/>")
		case "/rates":
			io.WriteString(w, `{"EUR":1,"USD":1.1}`)
		case "/feed":
			io.WriteString(w, `<feed><title>Arms &amp; more</title><item id="1">Sword</item><item id="2">Bow</item></feed>`)
		case "/missing":
			w.WriteHeader(http.StatusNotFound)
			io.WriteString(w, "no such thing")
		case "/login":
			w.Header()["X-Shop"] = []string{"a", "b"}
			w.Header()["Set-Cookie"] = []string{"sid=1; Path=/", "lang=en"}
		case "/headers":
			headers := map[string]string{}
			for _, name := range []string{"Authorization", "X-Key"} {
				headers[name] = r.Header.Get(name)
			}
			w.Write(mustJSON(headers))
		default:
			said := []string{r.Method, r.URL.Path}
			if r.Body != nil {
				body, err := io.ReadAll(r.Body)
				if err != nil {
					return nil, err
				}
				said = append(said, r.Header.Get("Content-Type"), string(body))
			}
			io.WriteString(w, strings.Join(slices.DeleteFunc(said, func(s string) bool { return s == "" }), " "))
		}
		return w.Result(), nil
	})
}

// Each test and case that SECURITY.md names exists, and its table has each direct
// dependency.
func TestSecurityPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("SECURITY.md")
	require.NoError(t, err)
	page := string(text)
	tests := map[string]bool{}
	require.NoError(t, filepath.WalkDir(".", func(path string, _ fs.DirEntry, err error) error {
		if err != nil || !strings.HasSuffix(path, ".go") {
			return err
		}
		source, err := os.ReadFile(path)
		if !strings.HasSuffix(path, "_test.go") {
			for _, m := range regexp.MustCompile(`(?m)^\t"golang\.org/x/net/(.+)"$`).FindAllStringSubmatch(string(source), -1) {
				require.Contains(t, page, "`"+m[1]+"`", path)
			}
			return err
		}
		for _, m := range regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`).FindAllStringSubmatch(string(source), -1) {
			tests[m[1]] = true
		}
		return err
	}))
	named := regexp.MustCompile("`((?:Test|Fuzz)\\w+)(…|/[^`]+)?`").FindAllStringSubmatch(page, -1)
	require.Greater(t, len(named), 50)
	for _, m := range named {
		name, rest := m[1], m[2]
		if rest == "…" {
			require.Condition(t, func() bool {
				for test := range tests {
					if strings.HasPrefix(test, name) {
						return true
					}
				}
				return false
			}, name)
			continue
		}
		require.Contains(t, tests, name)
		if name == "TestCases" && rest != "" {
			require.FileExists(t, filepath.Join("testdata", rest+".txtar"))
		}
	}
	module, err := os.ReadFile("go.mod")
	require.NoError(t, err)
	_, direct, ok := strings.Cut(string(module), "require (")
	require.True(t, ok)
	direct, _, _ = strings.Cut(direct, ")")
	_, table, ok := strings.Cut(page, "| module | what it is here for | who keeps it |\n|---|---|---|\n")
	require.True(t, ok)
	table, _, _ = strings.Cut(table, "\n\n")
	var want, rows []string
	for line := range strings.Lines(strings.TrimSpace(direct)) {
		want = append(want, strings.Fields(line)[0])
	}
	for row := range strings.Lines(table) {
		modules := strings.Split(row, "|")[1]
		for _, m := range regexp.MustCompile("`([^`]+)`").FindAllStringSubmatch(modules, -1) {
			rows = append(rows, m[1])
		}
	}
	require.ElementsMatch(t, want, rows, "the direct dependencies in go.mod, and the rows of the table")
}

// Each server in the documentation and the examples sets its time-outs.
func TestServersHaveTimeouts(t *testing.T) {
	t.Parallel()
	files := []string{"README.md", "sandbox/sandbox.go"}
	for _, pattern := range []string{"examples/*/*.go", "cmd/*/*.go", "docs/*.md"} {
		found, err := filepath.Glob(pattern)
		require.NoError(t, err)
		files = append(files, found...)
	}
	servers := 0
	closing := regexp.MustCompile(`^[^\n]*\}|\n[/\s]*\}`) // on the line of the opening one, or on its own
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		require.NotContains(t, string(text), "http.ListenAndServe(", file)
		if strings.Contains(string(text), "ServeTLS(") {
			require.Contains(t, string(text), "WriteByteTimeout:", file)
		}
		for _, literal := range strings.Split(string(text), "http.Server{")[1:] {
			servers++
			if end := closing.FindStringIndex(literal); end != nil {
				literal = literal[:end[1]]
			}
			require.Contains(t, literal, "ReadHeaderTimeout:", file)
			require.Regexp(t, `\b(Idle|Read)Timeout:`, literal, file) // IdleTimeout is ReadTimeout unless it is set
		}
	}
	require.Greater(t, servers, 5)
}
