//go:build unix

package queuetest

import (
	"bufio"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

// Parts are what a front or worker of a [Faults] test is made of.
type Parts struct {
	// Queue is what is tested.
	Queue Queue

	// Source, if not nil, gives the scripts of [Scripts]. Secrets has the secrets of
	// the callback "E3/event"; one of them is "s".
	Source  callback.ScriptSource
	Secrets callback.SecretStore

	// Close closes the parts.
	Close func()
}

// An Open opens the parts of a process. The address is that of Faults.
type Open func(ctx context.Context, address string) (*Parts, error)

// Main must be the first statement of TestMain in a package with a [Faults] test: the
// fronts and workers of the test are processes of the same binary. In any other
// process it returns.
func Main(open Open) {
	sandbox.Main()
	role := os.Getenv("QUEUETEST_ROLE")
	if role == "" {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	go func() { // the test's end closes the pipe, however it ends
		_, _ = io.Copy(io.Discard, os.Stdin)
		stop()
	}()
	if err := serve(ctx, open, role, os.Getenv("QUEUETEST_DIR")); err != nil {
		fmt.Fprintln(os.Stderr, role, err)
		os.Exit(1)
	}
	os.Exit(0)
}

// Faults sends events to fronts that defer them to a queue, kills and stops the
// processes meanwhile, and checks each event:
//   - An acknowledged event is done, or it is dead if its script is poison.
//   - All attempts of an event have one run id, which is the acknowledged one.
//   - All attempts run one version of the scripts, even if the live one changes.
//   - An event that is sent again with the same key does not run again.
//   - The number of effects that happen twice is at most the number of times that a
//     worker, or the database, was killed with runs under way.
type Faults struct {
	// Address is given to Open.
	Address string

	// Server is the queue's server. nil means that the queue lives in the
	// process that uses it: then one process is front and worker.
	Server interface {
		Kill()
		Restart() error
		Signal(syscall.Signal) error
	}

	// Fronts is how many there are, if Server is not nil. Zero means 2.
	Fronts int

	// SetVersion makes the version "v1" or "v2" of [Scripts] live, if the Parts
	// have a Source.
	SetVersion func(version string) error

	// Long has 640 events and an outage of 60 seconds, instead of 160 and 3.
	Long bool

	// Chaos, if not zero, is how long events are sent while faults happen at random.
	// Seed decides which faults.
	Chaos time.Duration
	Seed  uint64
}

// The events, by number: every 10th is sent twice, every 20th fails at first,
// and a few are poison.
const (
	rate         = 20 // events a second
	places       = 8  // of each worker
	maxAttempts  = 8
	failures     = 2 // of an event that fails at first
	runTime      = 100 * time.Millisecond
	runTimeout   = 4 * time.Second // of the Handler
	sendTimeout  = 5 * time.Second
	drainTimeout = 150 * time.Second // and the outage
)

func isTwice(i int) bool  { return i%10 == 3 }
func isFlaky(i int) bool  { return i%20 == 7 }
func isPoison(i int) bool { return i%53 == 30 && i < 8*rate }

// script is what the workers run. The effects are requests to the test.
const script = `// callback: deferred
var d = Spark.getData();
function step(path) {
	var r = Spark.getHttp(d.effects + path + "?k=" + d.k + "&run=" + Spark.getSessionId() + "&version=VERSION").get();
	if (r === null || r.getResponseCode() !== 200) throw new Error("not now: " + path);
}
step("/begin");
if (d.poison) for (var s = "x";;) s += s;
step("/work");
step("/done");
`

// Scripts returns the scripts of a version: "v1" or "v2".
func Scripts(version string) fs.FS {
	return fstest.MapFS{"callbacks/event.js": {Data: []byte(strings.ReplaceAll(script, "VERSION", version))}}
}

// A versionFile is a ScriptSource in which a file tells which version is live.
type versionFile string

func (f versionFile) Scripts(_ context.Context, call *callback.Call) (callback.Tree, error) {
	version := call.Version
	if version == "" {
		live, err := os.ReadFile(string(f))
		if err != nil {
			return callback.Tree{}, err
		}
		version = string(live)
	}
	return callback.Tree{FS: Scripts(version), Version: version}, nil
}

func (f versionFile) set(version string) error {
	if err := os.WriteFile(string(f)+".new", []byte(version), 0o600); err != nil {
		return err
	}
	return os.Rename(string(f)+".new", string(f))
}

func versionFileIn(dir string) versionFile { return versionFile(filepath.Join(dir, "version")) }

// serve is a front, a worker, or both.
func serve(ctx context.Context, open Open, role, dir string) error {
	logger := slog.New(slog.NewTextHandler(os.Stderr, nil))
	parts, err := open(ctx, os.Getenv("QUEUETEST_ADDRESS"))
	for err != nil && ctx.Err() == nil { // the database may be gone just now
		logger.Error("open", "error", err)
		time.Sleep(100 * time.Millisecond)
		parts, err = open(ctx, os.Getenv("QUEUETEST_ADDRESS"))
	}
	if err != nil {
		return err
	}
	defer parts.Close()
	queue := parts.Queue
	if parts.Source == nil {
		parts.Source = versionFileIn(dir)
		parts.Secrets = callback.SecretMap{"E3/event": "s"}
	}
	runner := &sandbox.Runner{Source: parts.Source, Processes: places, MaxMemory: 128 << 20}
	defer runner.Close()
	handler := &callback.Handler{
		Runner: &deferred.Runner{
			Next:        runner,
			Queue:       queue,
			Source:      parts.Source,
			Key:         deferred.HeaderKey("Webhook-Id"),
			MaxAttempts: maxAttempts,
		},
		Secrets:        parts.Secrets,
		RequestHeaders: []string{"Webhook-Id"},
		HTTP:           &callback.HTTPClient{DangerouslyAllowPrivate: true},
		Timeout:        runTimeout,
		Logger:         logger,
	}
	var ended sync.WaitGroup
	defer ended.Wait()
	if strings.Contains(role, "worker") {
		worker := &deferred.Worker{
			Queue:   queue,
			Runner:  handler,
			Backoff: func(attempt int) time.Duration { return min(time.Duration(attempt)*250*time.Millisecond, time.Second) },
			Logger:  logger,
		}
		ended.Go(func() {
			if err := worker.Run(ctx); err != nil {
				logger.Error("worker", "error", err)
			}
		})
	}
	if strings.Contains(role, "front") {
		socket := filepath.Join(dir, role)
		_ = os.Remove(socket)
		listener, err := net.Listen("unix", socket)
		if err != nil {
			return err
		}
		mux := http.NewServeMux()
		mux.Handle("/callback/", handler)
		mux.HandleFunc("/state", func(w http.ResponseWriter, r *http.Request) {
			s, err := queue.Status(r.Context(), r.FormValue("run"))
			if err != nil {
				http.Error(w, err.Error(), http.StatusServiceUnavailable)
				return
			}
			fmt.Fprint(w, s.State)
		})
		server := &http.Server{Handler: mux}
		defer context.AfterFunc(ctx, func() { _ = server.Close() })()
		if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
			return err
		}
	}
	return nil
}

// A process is a front or a worker.
type process struct {
	role, dir, address string

	mu    sync.Mutex
	cmd   *exec.Cmd
	stdin io.Closer
}

func (p *process) start() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	log, err := os.OpenFile(filepath.Join(p.dir, p.role+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer log.Close()
	p.cmd = exec.Command(os.Args[0])
	p.cmd.Env = append(os.Environ(), "QUEUETEST_ROLE="+p.role, "QUEUETEST_DIR="+p.dir, "QUEUETEST_ADDRESS="+p.address)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	if p.stdin, err = p.cmd.StdinPipe(); err != nil {
		return err
	}
	return p.cmd.Start()
}

func (p *process) kill() {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Kill()
	_ = p.cmd.Wait()
}

func (p *process) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_ = p.cmd.Process.Signal(s)
}

// An event is what the test knows of one event.
type event struct {
	number   int
	posts    int
	acks     []string // run ids
	ackTime  time.Time
	begins   int
	begun    time.Time // first
	dones    []time.Time
	runs     map[string]bool
	versions map[string]bool
}

// A scene is a test under way.
type scene struct {
	Faults
	t         *testing.T
	dir       string
	roles     []string // workers first
	workers   int
	processes map[string]*process
	ledger    *ledger
	kills     int // kills and stops of processes with runs under way
}

// Run runs the test.
func (f Faults) Run(t *testing.T) {
	s := &scene{Faults: f, t: t, dir: t.TempDir(), processes: map[string]*process{}, ledger: &ledger{events: map[string]*event{}}}
	effects := httptest.NewServer(s.ledger)
	defer effects.Close()
	s.setVersion("v1")
	fronts := s.start()
	t.Cleanup(func() {
		if t.Failed() {
			for _, role := range s.roles {
				t.Logf("log of %s:\n%s", role, tail(filepath.Join(s.dir, role+".log")))
			}
		}
	})

	length, outage := 8*time.Second, 3*time.Second
	if f.Long {
		length, outage = 32*time.Second, time.Minute
	}
	length = cmp.Or(f.Chaos, length)
	s.ledger.start()
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		s.ledger.send(rate*int(length/time.Second), effects.URL, fronts)
	}()
	if f.Chaos > 0 {
		s.chaos(length)
	} else {
		s.plan(length, outage)
	}
	s.log("no more faults")
	<-sent
	s.log("all are sent")
	require.Eventually(t, func() bool { return s.ledger.isDrained(fronts) }, drainTimeout+max(outage, f.Chaos), 100*time.Millisecond,
		"all that was acknowledged comes to an end")
	s.log("all are done or dead")
	s.ledger.account(t, s.kills*places*s.workers)
}

func (s *scene) log(format string, args ...any) {
	s.t.Helper()
	s.t.Logf("%5.1f s: %s", s.ledger.elapsed(), fmt.Sprintf(format, args...))
}

// start starts the processes and returns a client of each front.
func (s *scene) start() (fronts []*http.Client) {
	s.roles, s.workers = []string{"front-worker"}, 1
	if s.Server != nil {
		s.roles, s.workers = []string{"worker-0", "worker-1"}, 2
		for i := range cmp.Or(s.Fronts, 2) {
			s.roles = append(s.roles, fmt.Sprint("front-", i))
		}
	}
	for _, role := range s.roles {
		p := &process{role: role, dir: s.dir, address: s.Address}
		require.NoError(s.t, p.start())
		s.t.Cleanup(p.kill)
		s.processes[role] = p
		if !strings.HasPrefix(role, "front") {
			continue
		}
		front := &http.Client{Timeout: sendTimeout, Transport: &http.Transport{
			DisableKeepAlives: true,
			DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
				return new(net.Dialer).DialContext(ctx, "unix", filepath.Join(s.dir, role))
			},
		}}
		fronts = append(fronts, front)
		require.Eventually(s.t, func() bool {
			resp, err := front.Get("http://front/state")
			if err == nil {
				resp.Body.Close()
			}
			return err == nil
		}, time.Minute, 20*time.Millisecond, "%s starts", role)
	}
	return fronts
}

// plan has each fault once, at even intervals.
func (s *scene) plan(length, outage time.Duration) {
	last := len(s.roles) - 1
	plan := []func(){
		func() { s.kill(s.roles[0], 0) },
		func() { s.setVersion("v2") },
		func() { s.kill(s.roles[last], 0) },
		func() { s.setVersion("v1") },
	}
	if s.Server != nil {
		plan = append(plan,
			func() { s.killServer(outage) },
			func() { s.stopServer(outage / 2) },
			func() { s.kill(s.roles[1], 0) },
		)
	}
	for i, fault := range plan {
		time.Sleep(time.Until(s.ledger.began.Add(length * time.Duration(i+1) / time.Duration(len(plan)+1))))
		fault()
	}
}

// chaos has faults at random.
func (s *scene) chaos(length time.Duration) {
	random := rand.New(rand.NewPCG(s.Seed, 0))
	upTo := func(d time.Duration) time.Duration { return time.Duration(random.Int64N(int64(d))) }
	for time.Since(s.ledger.began) < length {
		time.Sleep(time.Second + upTo(5*time.Second))
		role := s.roles[random.IntN(len(s.roles))]
		kinds := 4
		if s.Server != nil {
			kinds = 6
		}
		switch random.IntN(kinds) {
		case 0, 1:
			s.kill(role, upTo(3*time.Second))
		case 2:
			s.stop(role, upTo(30*time.Second))
		case 3:
			s.setVersion([]string{"v1", "v2"}[random.IntN(2)])
		case 4:
			s.killServer(upTo(8 * time.Second))
		case 5:
			s.stopServer(upTo(8 * time.Second))
		}
	}
}

func (s *scene) setVersion(version string) {
	s.log("%s is live", version)
	if s.SetVersion != nil {
		require.NoError(s.t, s.SetVersion(version))
		return
	}
	require.NoError(s.t, versionFileIn(s.dir).set(version))
}

// kill kills a process and starts it again after a time.
func (s *scene) kill(role string, pause time.Duration) {
	s.log("kill -9 %s, which is gone for %v", role, pause)
	s.kills++
	s.processes[role].kill()
	time.Sleep(pause)
	require.NoError(s.t, s.processes[role].start())
}

// stop stops a process for a time. Meanwhile the others take it for dead.
func (s *scene) stop(role string, pause time.Duration) {
	s.log("SIGSTOP %s, for %v", role, pause)
	s.kills++
	s.processes[role].signal(syscall.SIGSTOP)
	time.Sleep(pause)
	s.processes[role].signal(syscall.SIGCONT)
}

func (s *scene) killServer(outage time.Duration) {
	s.log("kill -9 of the database, which is gone for %v", outage)
	s.kills++
	s.Server.Kill()
	time.Sleep(outage)
	require.NoError(s.t, s.Server.Restart())
}

func (s *scene) stopServer(outage time.Duration) {
	s.log("SIGSTOP of the database, for %v", outage)
	s.kills++
	require.NoError(s.t, s.Server.Signal(syscall.SIGSTOP))
	time.Sleep(outage)
	require.NoError(s.t, s.Server.Signal(syscall.SIGCONT))
}

// A ledger sends the events and receives their effects.
type ledger struct {
	began time.Time

	mu     sync.Mutex
	events map[string]*event
	order  []int // events in the order in which they first began
}

func (l *ledger) start() { l.began = time.Now() }

func (l *ledger) elapsed() float64 {
	if l.began.IsZero() {
		return 0
	}
	return time.Since(l.began).Seconds()
}

// ServeHTTP receives an effect.
func (l *ledger) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	l.mu.Lock()
	e := l.events[r.FormValue("k")]
	if e == nil {
		l.mu.Unlock()
		http.Error(w, "no such event", http.StatusNotFound)
		return
	}
	switch r.URL.Path {
	case "/begin":
		if e.begins == 0 {
			e.begun = time.Now()
			l.order = append(l.order, e.number)
		}
		e.begins++
		e.runs[r.FormValue("run")] = true
		e.versions[r.FormValue("version")] = true
		if isFlaky(e.number) && e.begins <= failures {
			w.WriteHeader(http.StatusInternalServerError)
		}
	case "/done":
		e.dones = append(e.dones, time.Now())
	}
	l.mu.Unlock()
	if r.URL.Path == "/work" {
		time.Sleep(runTime)
	}
}

// send sends events at a steady rate, each until it is acknowledged.
func (l *ledger) send(n int, effects string, fronts []*http.Client) {
	var senders sync.WaitGroup
	for i := range n {
		time.Sleep(time.Until(l.began.Add(time.Duration(i) * time.Second / rate)))
		e := &event{number: i, runs: map[string]bool{}, versions: map[string]bool{}}
		key := fmt.Sprintf("event-%d", i)
		l.mu.Lock()
		l.events[key] = e
		l.mu.Unlock()
		form := url.Values{"k": {key}, "effects": {effects}}
		if isPoison(i) {
			form.Set("poison", "1")
		}
		times := 1
		if isTwice(i) {
			times = 2
		}
		for j := range times {
			senders.Go(func() {
				for try := 0; ; try++ {
					id := testkit.PostEvent(fronts[(i+j+try)%len(fronts)], "http://front/callback/E3/event/s", key, form)
					l.mu.Lock()
					e.posts++
					if id != "" {
						e.acks = append(e.acks, id)
						e.ackTime = time.Now()
					}
					l.mu.Unlock()
					if id != "" || try == 60 {
						return
					}
					time.Sleep(min(2*time.Second, 250*time.Millisecond<<min(try, 8)))
				}
			})
		}
	}
	senders.Wait()
}

// isDrained reports whether each acknowledged event is done or, if it is poison,
// dead, and the queue knows that.
func (l *ledger) isDrained(fronts []*http.Client) bool {
	l.mu.Lock()
	ids := map[string]deferred.State{}
	drained := true
	for _, e := range l.events {
		if len(e.acks) == 0 {
			continue
		}
		want := deferred.Finished
		if isPoison(e.number) {
			want = deferred.Dead
		} else if len(e.dones) == 0 {
			drained = false
		}
		ids[e.acks[0]] = want
	}
	l.mu.Unlock()
	if !drained {
		return false
	}
	for id, want := range ids {
		if stateOf(fronts[0], id) != want {
			return false
		}
	}
	return true
}

func stateOf(front *http.Client, id string) deferred.State {
	resp, err := front.Get("http://front/state?run=" + url.QueryEscape(id))
	if err != nil {
		return ""
	}
	defer resp.Body.Close()
	state, err := io.ReadAll(resp.Body)
	if err != nil {
		return ""
	}
	return deferred.State(state)
}

// account accounts for the events. twiceAllowed is how many effects may have
// happened twice.
func (l *ledger) account(t *testing.T, twiceAllowed int) {
	l.mu.Lock()
	defer l.mu.Unlock()
	var acknowledged, again, lost, twice, dead, late int
	var waits, runs []time.Duration
	for key, e := range l.events {
		if e.posts > 1 {
			again++
		}
		if len(e.acks) == 0 {
			if len(e.dones) > 0 {
				late++
			}
			continue
		}
		acknowledged++
		for _, id := range e.acks {
			require.Equal(t, e.acks[0], id, "%s: a duplicate is the same run", key)
		}
		if e.begins > 0 {
			require.Equal(t, map[string]bool{e.acks[0]: true}, e.runs, "%s: each attempt is the run that was acknowledged", key)
			require.Len(t, e.versions, 1, "%s: each attempt has one version", key)
			waits = append(waits, e.begun.Sub(e.ackTime))
		}
		require.LessOrEqual(t, e.begins, maxAttempts, key)
		switch {
		case isPoison(e.number):
			dead++
			require.Empty(t, e.dones, key)
		case len(e.dones) == 0:
			lost++
		default:
			runs = append(runs, e.dones[0].Sub(e.ackTime))
		}
		if len(e.dones) > 1 {
			twice++
		}
	}
	t.Logf("%d events, %d acknowledged, %d sent more than once; %d lost, %d done twice, %d dead, %d done without acknowledgement",
		len(l.events), acknowledged, again, lost, twice, dead, late)
	t.Logf("begun after acknowledgement: %s; done: %s", quantiles(waits), quantiles(runs))
	inversions := 0
	for i := 1; i < len(l.order); i++ {
		if l.order[i] < l.order[i-1] {
			inversions++
		}
	}
	t.Logf("%d of %d events began before one that was sent earlier", inversions, len(l.order))
	require.Equal(t, len(l.events), acknowledged, "senders try until they are heard")
	require.Zero(t, lost)
	require.NotZero(t, dead)
	require.LessOrEqual(t, twice, twiceAllowed)
}

func quantiles(d []time.Duration) string {
	slices.Sort(d)
	if len(d) == 0 {
		return "none"
	}
	q := func(p float64) time.Duration { return d[int(p*float64(len(d)-1))].Round(time.Millisecond) }
	return fmt.Sprintf("p50 %v, p90 %v, max %v", q(.5), q(.9), q(1))
}

// tail returns the last lines of a log.
func tail(file string) string {
	f, err := os.Open(file)
	if err != nil {
		return err.Error()
	}
	defer f.Close()
	var lines []string
	for scanner := bufio.NewScanner(f); scanner.Scan(); {
		if lines = append(lines, scanner.Text()); len(lines) > 30 {
			lines = lines[1:]
		}
	}
	return strings.Join(lines, "\n")
}
