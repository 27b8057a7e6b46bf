package callback_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

// hostileServerEnv makes this program a server for the hostile scripts. Its
// value is the runner: "process" or "sandbox".
const hostileServerEnv = "CALLBACK_HOSTILE_SERVER"

// serveHostile serves the hostile scripts until standard input ends.
func serveHostile(mode string) error {
	corpus, err := readHostile()
	if err != nil {
		return err
	}
	files := map[string]string{
		"callbacks/honest.js": honestScript,
		"modules/SELF.js":     `require = requireOnce; for (;;) require("SELF")`,
	}
	secrets := callback.SecretMap{"E3/honest": "s3cret"}
	for _, script := range corpus {
		files["callbacks/"+script.name+".js"] = script.source
		secrets["E3/"+script.name] = "s3cret"
	}
	var runner callback.ScriptRunner
	stuck := func() int64 { return 0 }
	if mode == "sandbox" {
		pool := &sandbox.Runner{Scripts: testkit.Tree(files)}
		defer pool.Close()
		if testkit.Race { // the race detector's memory would count as the child's
			pool.MaxMemory = 2 << 30
		}
		runner = pool
	} else {
		inProcess := &callback.GojaRunner{Scripts: testkit.Tree(files)}
		runner, stuck = inProcess, inProcess.Stuck
	}
	handler := func(prefix string, timeout time.Duration) http.Handler {
		return &callback.Handler{
			Secrets: secrets, Runner: runner, Prefix: prefix, Timeout: timeout,
			Logger: slog.New(slog.NewJSONHandler(io.Discard, nil)),
		}
	}
	clock, stopClock := testkit.NewClock()
	defer stopClock()
	mux := http.NewServeMux()
	mux.Handle("/hasty/", timed(clock, handler("/hasty/", hostileTimeout)))
	mux.Handle("/patient/", timed(clock, handler("/patient/", hostilePatience)))
	mux.HandleFunc("/stuck", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, stuck()) })
	mux.HandleFunc("/state", func(w http.ResponseWriter, _ *http.Request) {
		debug.FreeOSMemory()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		_ = json.NewEncoder(w).Encode(hostileState{m.HeapAlloc, goroutinesInCallback()})
	})
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	server := &http.Server{Handler: mux}
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		_ = server.Close()
	}()
	fmt.Printf("listening %s\n", listener.Addr())
	_ = server.Serve(listener)
	return nil
}

// goroutinesInCallback counts the goroutines with a method of package callback on
// their stacks: calls, and runs that were abandoned.
func goroutinesInCallback() int {
	stacks := make([]byte, 4<<20)
	stacks = stacks[:runtime.Stack(stacks, true)]
	n := 0
	for stack := range bytes.SplitSeq(stacks, []byte("\n\n")) {
		if bytes.Contains(stack, []byte("example.com/callback.(*")) {
			n++
		}
	}
	return n
}

// tookHeader says how long a call took, in nanoseconds of the server's Clock.
const tookHeader = "X-Took"

// timed sets tookHeader.
func timed(clock *testkit.Clock, h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(&timedWriter{ResponseWriter: w, clock: clock, begin: clock.Now()}, r)
	})
}

type timedWriter struct {
	http.ResponseWriter
	clock *testkit.Clock
	begin time.Duration
}

func (w *timedWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

func (w *timedWriter) WriteHeader(status int) {
	w.Header().Set(tookHeader, strconv.FormatInt(int64(w.clock.Now()-w.begin), 10))
	w.ResponseWriter.WriteHeader(status)
}

// hostileState is what a server tells about itself.
type hostileState struct {
	Heap  uint64
	Calls int // and runs that are under way
}

// A hostileServer is a server process.
type hostileServer struct {
	cmd    *exec.Cmd
	stdin  io.Closer
	stderr bytes.Buffer // to be read once died is closed
	url    string
	client *http.Client
	died   chan struct{}
}

func startHostile(t *testing.T, mode string) *hostileServer {
	t.Helper()
	exe, err := os.Executable()
	require.NoError(t, err)
	s := &hostileServer{
		client: &http.Client{Transport: &http.Transport{}, Timeout: hostilePatience + 30*time.Second},
		died:   make(chan struct{}),
	}
	s.cmd = exec.Command("/bin/sh", "-c", `ulimit -d `+strconv.Itoa(hostileData)+` && exec "$0"`, exe)
	s.cmd.Env = append(os.Environ(), hostileServerEnv+"="+mode)
	s.cmd.Stderr = &s.stderr
	s.cmd.WaitDelay = time.Second
	s.stdin, err = s.cmd.StdinPipe()
	require.NoError(t, err)
	stdout, err := s.cmd.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, s.cmd.Start())
	lines := bufio.NewScanner(stdout)
	for lines.Scan() {
		if addr, ok := strings.CutPrefix(lines.Text(), "listening "); ok {
			s.url = "http://" + addr
			break
		}
	}
	go func() {
		_, _ = io.Copy(io.Discard, stdout)
		_ = s.cmd.Wait()
		close(s.died)
	}()
	if s.url == "" {
		<-s.died
		require.FailNow(t, "the server does not start", s.stderr.String())
	}
	for range 3 { // it is warm then
		require.Equal(t, http.StatusOK, s.call("patient", "honest").status)
	}
	return s
}

func (s *hostileServer) stop() {
	s.client.CloseIdleConnections()
	_ = s.stdin.Close()
	select {
	case <-s.died:
	case <-time.After(2 * time.Second): // a script still computes, and only a kill ends it
		_ = s.cmd.Process.Kill()
		<-s.died
	}
}

// dead reports whether the server has died, or is about to.
func (s *hostileServer) dead() bool {
	select {
	case <-s.died:
		return true
	case <-time.After(time.Second):
		return false
	}
}

// hostileAnswer is the answer to a call. Its status is 0 if there was none.
type hostileAnswer struct {
	status int
	body   string
	took   time.Duration // by the server's Clock
}

func (s *hostileServer) call(path, script string) hostileAnswer {
	resp, err := s.client.Get(s.url + "/" + path + "/E3/" + script + "/s3cret")
	if err != nil {
		return hostileAnswer{body: err.Error()}
	}
	defer resp.Body.Close()
	body, _ := io.ReadAll(resp.Body)
	took, _ := strconv.ParseInt(resp.Header.Get(tookHeader), 10, 64)
	return hostileAnswer{resp.StatusCode, string(body), time.Duration(took)}
}

// settle waits until nothing runs in the server, and returns the server's state then.
// It reports false if something still runs after that time.
func (s *hostileServer) settle() (state hostileState, ok bool) {
	for end := time.Now().Add(hostileBurn); time.Now().Before(end); time.Sleep(2 * time.Millisecond) {
		// Reading the state stops all goroutines, so it waits until the number of
		// stuck runs is zero.
		stuck, err := s.get("/stuck")
		if err != nil {
			return state, false
		}
		if string(stuck) != "0" {
			continue
		}
		text, err := s.get("/state")
		if err != nil || json.Unmarshal(text, &state) != nil {
			return state, false
		}
		if state.Calls == 0 {
			return state, true
		}
	}
	return state, false
}

func (s *hostileServer) get(path string) ([]byte, error) {
	resp, err := s.client.Get(s.url + path)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	return io.ReadAll(resp.Body)
}

// cause is the last message of a server that has died.
func (s *hostileServer) cause() string {
	<-s.died
	text := s.stderr.String()
	for line := range strings.Lines(text) {
		if strings.Contains(line, "fatal error") || strings.Contains(line, "exceeds") || strings.Contains(line, "panic:") {
			return strings.TrimSpace(line)
		}
	}
	return text[:min(len(text), 300)]
}

// hostileServers are the servers of a test. Each is used by one subtest at a
// time, and there are as many as subtests run in parallel.
type hostileServers struct {
	mode string
	mu   sync.Mutex
	idle []*hostileServer
}

func (p *hostileServers) take(t *testing.T) *hostileServer {
	p.mu.Lock()
	n := len(p.idle)
	if n == 0 {
		p.mu.Unlock()
		return startHostile(t, p.mode)
	}
	s := p.idle[n-1]
	p.idle = p.idle[:n-1]
	p.mu.Unlock()
	return s
}

func (p *hostileServers) put(s *hostileServer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.idle = append(p.idle, s)
}

func (p *hostileServers) stop() {
	for _, s := range p.idle {
		s.stop()
	}
}
