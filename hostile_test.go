package callback_test

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/sandbox"
)

// These tests run the scripts of testdata/hostile, each in a server that is a
// process of its own: this test program, started once more. So a script that
// ends its server is told by name.

const (
	hostileTimeout  = 100 * time.Millisecond // of a call that is to run into it
	hostilePatience = 30 * time.Second       // of one that is to end by itself
	hostileGrace    = 200 * time.Millisecond // for its answer after that
	hostileNoise    = 9 * time.Second        // of a machine that does other things, too
	hostileData     = 3 << 20                // KiB: what a server may allocate before it dies
	hostileHeap     = 192 << 20              // bytes: what a server may keep of all that it ran
)

// A hostileScript is a file of testdata/hostile.
type hostileScript struct {
	name, class string
	expect      []string // statuses, or "any"
	sandbox     bool     // nothing in process contains it
	source      string
}

// readHostile reads testdata/hostile. A file begins with comments:
//
//	// class: the heading of THREATS it is counted under
//	// expect: 500|504
//	// needs: sandbox
//	// repeat: 1000 "text"
//
// Expect says which statuses are right, or any. Needs is there if a
// [callback.GojaRunner] cannot contain it: the script ends the process or goes
// on after its deadline. Lines with repeat are the script, if there are any: a
// quoted text so many times, in which {i} stands for the number of the
// repetition.
func readHostile(t *testing.T) []hostileScript {
	t.Helper()
	files, err := filepath.Glob("testdata/hostile/*.js")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	var scripts []hostileScript
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		s := hostileScript{name: strings.TrimSuffix(filepath.Base(file), ".js")}
		var made strings.Builder
		rest := string(text)
		for {
			line, more, _ := strings.Cut(rest, "\n")
			key, value, ok := strings.Cut(strings.TrimPrefix(line, "// "), ": ")
			if !ok || !strings.HasPrefix(line, "// ") || !slices.Contains([]string{"class", "expect", "needs", "repeat"}, key) {
				break
			}
			switch key {
			case "class":
				s.class = value
			case "expect":
				s.expect = strings.Split(value, "|")
			case "needs":
				require.Equal(t, "sandbox", value, file)
				s.sandbox = true
			case "repeat":
				count, quoted, _ := strings.Cut(value, " ")
				n, err := strconv.Atoi(count)
				require.NoError(t, err, file)
				text, err := strconv.Unquote(quoted)
				require.NoError(t, err, file)
				for i := range n {
					made.WriteString(strings.ReplaceAll(text, "{i}", strconv.Itoa(i)))
				}
			}
			rest = more
		}
		require.NotEmpty(t, s.class, file)
		require.NotEmpty(t, s.expect, file)
		s.source = made.String() + rest
		scripts = append(scripts, s)
	}
	return scripts
}

func (s *hostileScript) accepts(status int) bool {
	return s.expect[0] == "any" && status != 0 && status != http.StatusServiceUnavailable ||
		slices.Contains(s.expect, strconv.Itoa(status)) ||
		status == http.StatusGatewayTimeout && raceDetector() // all is slow then
}

// endsByItself reports whether the script is to end before any deadline.
func (s *hostileScript) endsByItself() bool {
	return s.expect[0] != "any" && !slices.Contains(s.expect, "504")
}

const honestScript = `
	var parts = "a-b-c".split("-").map(function (s) { return s.toUpperCase() });
	Spark.setScriptData("honest", JSON.parse(JSON.stringify({ parts: parts, n: parts.length })));
`

// hostileServerEnv makes a server of this program: it says which runner.
const hostileServerEnv = "CALLBACK_HOSTILE_SERVER"

// TestHostileServer is the server of the tests below. It serves until its
// standard input ends.
func TestHostileServer(t *testing.T) {
	mode := os.Getenv(hostileServerEnv)
	if mode == "" {
		t.Skip("for the other tests of hostile scripts")
	}
	scripts := fstest.MapFS{
		"callbacks/honest.js": {Data: []byte(honestScript)},
		"modules/SELF.js":     {Data: []byte(`require = requireOnce; for (;;) require("SELF")`)},
	}
	secrets := callback.SecretMap{"E3/honest": "s3cret"}
	for _, s := range readHostile(t) {
		scripts["callbacks/"+s.name+".js"] = &fstest.MapFile{Data: []byte(s.source)}
		secrets["E3/"+s.name] = "s3cret"
	}
	h := &callback.Handler{Secrets: secrets, Timeout: hostileTimeout, Logger: slog.New(slog.NewJSONHandler(io.Discard, nil))}
	if mode == "sandbox" {
		runner := &sandbox.Runner{Scripts: scripts}
		defer runner.Close()
		h.Runner = runner
	} else {
		h.Runner = &callback.GojaRunner{Scripts: scripts}
	}
	mux := http.NewServeMux()
	mux.Handle("/callback/", h)
	mux.Handle("/patient/", &callback.Handler{Secrets: secrets, Runner: h.Runner, Prefix: "/patient/", Timeout: hostilePatience, Logger: h.Logger})
	mux.HandleFunc("/stuck", func(w http.ResponseWriter, _ *http.Request) {
		n := int64(0)
		if g, ok := h.Runner.(*callback.GojaRunner); ok {
			n = g.Stuck()
		}
		fmt.Fprint(w, n)
	})
	mux.HandleFunc("/state", func(w http.ResponseWriter, _ *http.Request) {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		stacks := make([]byte, 4<<20)
		stacks = stacks[:runtime.Stack(stacks, true)]
		_ = json.NewEncoder(w).Encode(hostileState{m.HeapAlloc, bytes.Count(stacks, []byte("callback.(*run).run("))})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	server := &http.Server{Handler: mux}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	fmt.Printf("listening %s\n", listener.Addr())
	_ = server.Serve(listener)
}

// hostileState is what a server says of itself.
type hostileState struct {
	Heap uint64
	Runs int // that are under way
}

// A hostileServer is a server process.
type hostileServer struct {
	t      *testing.T
	mode   string
	cmd    *exec.Cmd
	stdin  io.Closer
	errors *bytes.Buffer
	url    string
	client *http.Client
	died   chan struct{}
}

func startHostile(t *testing.T, mode string) *hostileServer {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	s := &hostileServer{t: t, mode: mode, errors: new(bytes.Buffer), died: make(chan struct{})}
	s.cmd = exec.Command("/bin/sh", "-c", `ulimit -d `+strconv.Itoa(hostileData)+`; exec "$0" "$@"`,
		exe, "-test.run=^TestHostileServer$", "-test.timeout=0")
	s.cmd.Env = append(os.Environ(), hostileServerEnv+"="+mode)
	s.cmd.Stderr = s.errors
	s.cmd.WaitDelay = time.Second
	stdin, err := s.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	s.stdin = stdin
	out := bufio.NewScanner(stdout)
	for out.Scan() {
		if addr, ok := strings.CutPrefix(out.Text(), "listening "); ok {
			s.url = "http://" + addr
			break
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		_ = s.cmd.Wait()
		close(s.died)
	}()
	require.NotEmpty(t, s.url, "no server")
	s.client = &http.Client{Transport: &http.Transport{}, Timeout: 60 * time.Second}
	for range 3 {
		status, _, _ := s.call("patient", "honest") // warm
		require.Equal(t, http.StatusOK, status)
	}
	return s
}

func (s *hostileServer) stop() {
	s.client.CloseIdleConnections()
	_ = s.stdin.Close()
	select {
	case <-s.died:
	case <-time.After(2 * time.Second):
		_ = s.cmd.Process.Kill()
		<-s.died
	}
}

func (s *hostileServer) alive(wait time.Duration) bool {
	select {
	case <-s.died:
		return false
	case <-time.After(wait): // it may be about to
		return true
	}
}

// call returns status, body and duration of a call; no status, if none came.
func (s *hostileServer) call(path, script string) (int, string, time.Duration) {
	start := time.Now()
	ctx, cancel := context.WithTimeout(context.Background(), 40*time.Second)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url+"/"+path+"/E3/"+script+"/s3cret", nil)
	require.NoError(s.t, err)
	resp, err := s.client.Do(req)
	if err != nil {
		return 0, err.Error(), time.Since(start)
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	return resp.StatusCode, string(body), time.Since(start)
}

// state returns how the server is after a call, once nothing runs any more; ok
// is false if something still does.
func (s *hostileServer) state() (state hostileState, ok bool) {
	for start := time.Now(); time.Since(start) < hostilePatience; {
		if resp, err := s.client.Get(s.url + "/stuck"); err != nil {
			return state, false
		} else {
			n, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if string(n) != "0" {
				time.Sleep(5 * time.Millisecond)
				continue
			}
		}
		resp, err := s.client.Get(s.url + "/state")
		if err != nil {
			return state, false
		}
		err = json.NewDecoder(resp.Body).Decode(&state)
		resp.Body.Close()
		if err == nil && state.Runs == 0 {
			return state, true
		}
		time.Sleep(2 * time.Millisecond)
	}
	return state, false
}

// cause is what a dead server has said last.
func (s *hostileServer) cause() string {
	text := s.errors.String()
	for line := range strings.Lines(text) {
		if strings.Contains(line, "fatal error") || strings.Contains(line, "exceeds") || strings.Contains(line, "panic:") {
			return strings.TrimSpace(line)
		}
	}
	return text[:min(len(text), 300)]
}

// outcome of one script.
type hostileOutcome struct {
	script            *hostileScript
	dead, late, burns bool
	status            int
	took              time.Duration
	heap              uint64
	honest            string // what was wrong with the next caller's answer
	cause             string
}

func (o *hostileOutcome) held() bool {
	return !o.dead && !o.late && !o.burns && o.honest == "" && o.heap < hostileHeap && o.script.accepts(o.status)
}

func (o *hostileOutcome) String() string {
	return fmt.Sprintf("%-45s status=%d took=%v dead=%t late=%t burning=%t heap=%dMiB %s %s", o.script.name,
		o.status, o.took.Round(time.Millisecond), o.dead, o.late, o.burns, o.heap>>20, o.honest, o.cause)
}

// try runs one script, and then an honest one, in a server that lives. It
// returns a server that still does.
func (s *hostileServer) try(script *hostileScript) (*hostileServer, *hostileOutcome) {
	o := &hostileOutcome{script: script}
	path := "callback"
	if script.endsByItself() {
		path = "patient"
	}
	o.status, _, o.took = s.call(path, script.name)
	o.late = path == "callback" && o.took > hostileTimeout+hostileGrace+hostileNoise
	if o.dead = o.status == 0 && !s.alive(time.Second); !o.dead {
		status, body, took := s.call("patient", "honest")
		switch {
		case status == 0 && !s.alive(time.Second):
			o.dead = true
		case status != http.StatusOK || body != `{"honest":{"parts":["A","B","C"],"n":3}}`:
			o.honest = fmt.Sprintf("next caller: %d %q", status, body)
		case took > hostilePatience:
			o.honest = fmt.Sprintf("next caller: after %v", took)
		}
	}
	if !o.dead {
		began := time.Now()
		state, ok := s.state()
		o.cause = fmt.Sprintf("state=%d", time.Since(began).Milliseconds())
		o.heap, o.burns = state.Heap, !ok
		o.dead = !ok && !s.alive(time.Second)
	}
	if o.dead {
		o.burns = false
		s.stop()
		o.cause = s.cause()
	}
	if o.dead || o.burns || !o.held() {
		s.stop()
		return startHostile(s.t, s.mode), o
	}
	return s, o
}

// heavyClasses are those of which the race detector makes something else.
var heavyClasses = map[string]bool{
	"growing-allocation": true, "single-allocation": true, "native-loops": true,
	"parser": true, "recursion": true, "regex": true,
}

// raceDetector reports whether this program was built with the race detector.
func raceDetector() bool {
	info, ok := debug.ReadBuildInfo()
	return ok && slices.Contains(info.Settings, debug.BuildSetting{Key: "-race", Value: "true"})
}

func TestHostileInProcess(t *testing.T) { t.Parallel(); testHostile(t, "process") }

func TestHostileInSandbox(t *testing.T) { t.Parallel(); testHostile(t, "sandbox") }

// testHostile runs the scripts that a runner is to hold. CALLBACK_HOSTILE can
// have a part of their names, CALLBACK_HOSTILE_ALL=1 makes it run them all, and
// tell how they end without a failure.
func testHostile(t *testing.T, mode string) {
	if testing.Short() {
		t.Skip("takes minutes")
	}
	if runtime.GOOS != "linux" {
		t.Skip("for Linux")
	}
	all := os.Getenv("CALLBACK_HOSTILE_ALL") != ""
	server := startHostile(t, mode)
	defer func() { server.stop() }()
	type tally struct{ scripts, marked, held, burning, dead int }
	classes := map[string]*tally{}
	var total tally
	for i, script := range readHostile(t) {
		if !strings.Contains(script.name, os.Getenv("CALLBACK_HOSTILE")) {
			continue
		}
		if os.Getenv("CALLBACK_HOSTILE_TIER") != "" && !script.endsByItself() && i%4 != 0 {
			continue
		}
		if raceDetector() && (i%8 != 0 || heavyClasses[script.class]) {
			continue // it is slow, and allocates on its own account
		}
		class := classes[script.class]
		if class == nil {
			class = new(tally)
			classes[script.class] = class
		}
		class.scripts++
		if script.sandbox {
			class.marked++
		}
		if mode == "process" && script.sandbox && !all {
			continue
		}
		var o *hostileOutcome
		for range 3 { // a busy machine makes anything late
			if server, o = server.try(&script); o.held() || all || o.dead || o.burns {
				break
			}
		}
		switch {
		case o.held():
			class.held++
		case o.dead:
			class.dead++
		case o.burns:
			class.burning++
		}
		if all || os.Getenv("CALLBACK_HOSTILE_LOG") != "" {
			t.Log(o)
		}
		if !all && !o.held() {
			t.Errorf("%s: expected %s", o, strings.Join(script.expect, "|"))
		}
	}
	names := make([]string, 0, len(classes))
	for name := range classes {
		names = append(names, name)
	}
	slices.SortFunc(names, cmp.Compare[string])
	var table strings.Builder
	line := func(name string, c *tally) {
		fmt.Fprintf(&table, "| %-18s | %7d | %13d | %4d | %7d | %4d |\n", name, c.scripts, c.marked, c.held, c.burning, c.dead)
	}
	fmt.Fprintf(&table, "hostile scripts, runner: %s\n| class              | scripts | needs sandbox | held | burning | dead |\n", mode)
	for _, name := range names {
		c := classes[name]
		line(name, c)
		total.scripts += c.scripts
		total.marked += c.marked
		total.held += c.held
		total.burning += c.burning
		total.dead += c.dead
	}
	line("all", &total)
	t.Log(table.String())
}
