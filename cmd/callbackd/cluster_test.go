//go:build unix

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"example.com/callback/deferred"
	"example.com/callback/internal/pgtest"
	"example.com/callback/internal/testkit"
	"example.com/callback/rivercallback"
)

// The fault tests of callbackd. CHAOS is how long they last, such as
// 5m, and CHAOS_SEED decides their faults.
const (
	chaosLength  = 12 * time.Second // the default
	eventRate    = 20               // events a second
	workTime     = 100 * time.Millisecond
	sendPatience = 5 * time.Second
	clusterTTL   = time.Second // of secrets
	places       = 4           // of a worker
	maxRun       = 4 * time.Second
)

func chaosSettings(t *testing.T) (length time.Duration, random *rand.Rand) {
	length, seed := chaosLength, uint64(1)
	var err error
	if text := os.Getenv("CHAOS"); text != "" {
		length, err = time.ParseDuration(text)
		require.NoError(t, err)
	}
	if text := os.Getenv("CHAOS_SEED"); text != "" {
		seed, err = strconv.ParseUint(text, 10, 64)
		require.NoError(t, err)
	}
	return length, rand.New(rand.NewPCG(seed, 0))
}

// clusterVersion returns a tree of scripts. Each run reports its progress to the
// test, and the version of each file that it has loaded.
func clusterVersion(name string) map[string]string {
	const script = `
		requireOnce("PART");
		var d = Spark.getData();
		function tell(path) {
			var r = Spark.getHttp(d.effects + path + "?k=" + d.k + "&run=" + Spark.getSessionId() + "&main=VERSION&part=" + part).get();
			if (r === null || r.getResponseCode() !== 200) throw new Error("not now");
		}
		tell("/begin");
		tell("/work");
		tell("/done");`
	direct := `requireOnce("PART"); Spark.setScriptData("main", "` + name + `"); Spark.setScriptData("part", part)`
	return map[string]string{
		"callbacks/event.js":  "// callback: deferred\n" + strings.ReplaceAll(script, "VERSION", name),
		"callbacks/direct.js": direct,
		"callbacks/temp.js":   direct,
		"modules/PART.js":     `var part = "` + name + `"`,
	}
}

// A member is a front or a worker of a cluster. It may be killed and started
// again, with other addresses.
type member struct {
	name  string
	start func() *process

	mu      sync.Mutex
	process *process
}

func (m *member) now() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process
}

func (m *member) restart(end func(*process), pause time.Duration) {
	end(m.now())
	time.Sleep(pause)
	p := m.start()
	m.mu.Lock()
	defer m.mu.Unlock()
	m.process = p
}

func kill(p *process) {
	_ = p.cmd.Process.Kill()
	_ = p.wait()
}

// An effect counts what was seen of one event.
type effect struct {
	acks     []string // run ids
	begins   int
	dones    int
	runs     map[string]bool
	versions map[string]bool
	mixed    string
}

// A ledger sends events and direct calls, and receives what the events do.
type ledger struct {
	t       *testing.T
	began   time.Time
	effects *httptest.Server
	fronts  []*member

	mu     sync.Mutex
	events map[string]*effect
	direct map[string]int // answers of direct calls, by what they were
}

func newLedger(t *testing.T, fronts []*member) *ledger {
	l := &ledger{t: t, began: time.Now(), fronts: fronts, events: map[string]*effect{}, direct: map[string]int{}}
	l.effects = httptest.NewServer(l)
	t.Cleanup(l.effects.Close)
	return l
}

func (l *ledger) log(format string, args ...any) {
	l.t.Helper()
	l.t.Logf("%5.1f s: %s", time.Since(l.began).Seconds(), fmt.Sprintf(format, args...))
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
	e.runs[r.FormValue("run")] = true
	e.versions[r.FormValue("main")] = true
	if r.FormValue("main") != r.FormValue("part") {
		e.mixed = r.URL.RawQuery
	}
	switch r.URL.Path {
	case "/begin":
		e.begins++
	case "/done":
		e.dones++
	}
	l.mu.Unlock()
	if r.URL.Path == "/work" {
		time.Sleep(workTime)
	}
}

// client gives up in time, and has no connection that outlasts a process.
var client = &http.Client{Timeout: sendPatience, Transport: &http.Transport{DisableKeepAlives: true}}

// send sends events at a steady rate until the time is over, each until it is
// acknowledged, and every tenth twice.
func (l *ledger) send(length time.Duration, secret string) {
	var senders sync.WaitGroup
	defer senders.Wait()
	for i := 0; time.Since(l.began) < length; i++ {
		time.Sleep(time.Until(l.began.Add(time.Duration(i) * time.Second / eventRate)))
		key := fmt.Sprint("event-", i)
		e := &effect{runs: map[string]bool{}, versions: map[string]bool{}}
		l.mu.Lock()
		l.events[key] = e
		l.mu.Unlock()
		form := url.Values{"k": {key}, "effects": {l.effects.URL}}
		times := 1
		if i%10 == 3 {
			times = 2
		}
		for j := range times {
			senders.Go(func() {
				for try := range 100 {
					front := l.fronts[(i+j+try)%len(l.fronts)]
					if id := testkit.PostEvent(client, front.now().url+"/callback/KEY/event/"+secret, key, form); id != "" {
						l.mu.Lock()
						e.acks = append(e.acks, id)
						l.mu.Unlock()
						return
					}
					time.Sleep(min(2*time.Second, 250*time.Millisecond<<min(try, 8)))
				}
			})
		}
	}
}

// call makes a direct call and returns its status, 0 without an answer.
func (l *ledger) call(base, credential, secret string) (status int) {
	resp, err := client.Get(base + "/callback/KEY/" + credential + "/" + secret)
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		return 0
	}
	var answer struct{ Main, Part string }
	kind := strconv.Itoa(resp.StatusCode)
	if resp.StatusCode == 200 && (json.Unmarshal(body, &answer) != nil || answer.Main == "" || answer.Main != answer.Part) {
		kind = "mixed: " + string(body)
	}
	if credential == "direct" || strings.HasPrefix(kind, "mixed") {
		l.mu.Lock()
		defer l.mu.Unlock()
		l.direct[kind]++
	}
	return resp.StatusCode
}

// callDirectly makes direct calls until ctx is done.
func (l *ledger) callDirectly(ctx context.Context, secret string) {
	for i := 0; ctx.Err() == nil; i++ {
		l.call(l.fronts[i%len(l.fronts)].now().url, "direct", secret)
		time.Sleep(100 * time.Millisecond)
	}
}

// isDone reports whether each acknowledged event is done.
func (l *ledger) isDone() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, e := range l.events {
		if len(e.acks) > 0 && e.dones == 0 {
			return false
		}
	}
	return true
}

// judge checks all events. Each must be acknowledged and done. No run may mix two
// versions. At most twiceAllowed events may be done twice.
func (l *ledger) judge(operator deferred.Operator, twiceAllowed int) {
	t := l.t
	l.mu.Lock()
	defer l.mu.Unlock()
	acknowledged, lost, twice, begins := 0, 0, 0, 0
	versions := map[string]int{}
	for key, e := range l.events {
		require.Empty(t, e.mixed, "%s: no run mixes versions", key)
		begins += e.begins
		if len(e.acks) == 0 {
			continue
		}
		acknowledged++
		for _, id := range e.acks {
			require.Equal(t, e.acks[0], id, "%s: a duplicate is the same run", key)
		}
		require.Equal(t, map[string]bool{e.acks[0]: true}, e.runs, "%s: each attempt is the acknowledged run", key)
		require.Len(t, e.versions, 1, "%s: each attempt has one version", key)
		for v := range e.versions {
			versions[v]++
		}
		if e.dones == 0 {
			lost++
		}
		if e.dones > 1 {
			twice++
		}
		if operator != nil {
			status, err := operator.Status(t.Context(), e.acks[0])
			require.NoError(t, err, key)
			require.Equal(t, deferred.Finished, status.State, key)
		}
	}
	t.Logf("%d events, %d acknowledged, %d lost, %d done twice, begun %d times; versions %v; direct calls by status: %v",
		len(l.events), acknowledged, lost, twice, begins, versions, l.direct)
	require.Equal(t, len(l.events), acknowledged, "senders try until they are heard")
	require.Zero(t, lost)
	require.LessOrEqual(t, twice, twiceAllowed)
	for status := range l.direct {
		require.Contains(t, []string{"200", "503", "504"}, status, "a direct call is answered by one version, or refused as long as the database is down")
	}
}

// Three fronts and two workers on one Postgres: load, and everything is killed
// and stopped at random, while versions are promoted and rolled back and secrets
// revoked.
func TestCluster(t *testing.T) {
	t.Parallel()
	length, random := chaosSettings(t)
	server := postgres(t)
	address := newDatabase(t, server)
	for _, name := range []string{"v1", "v2", "v3"} {
		onDatabase(t, address, exitOK, "publish", "-key", "KEY", "-promote", "live", folder(t, clusterVersion(name)))
	}
	eventSecret := strings.TrimSpace(onDatabase(t, address, exitOK, "secret", "new", "KEY/event"))
	directSecret := strings.TrimSpace(onDatabase(t, address, exitOK, "secret", "new", "KEY/direct"))

	c := &cluster{t: t, server: server, address: address, random: random}
	common := []string{"-allow-private", "-deferred-timeout", fmt.Sprint(maxRun - 2*time.Second), "-places", fmt.Sprint(places),
		"-per-credential", fmt.Sprint(places), "-attempts", "20", "-log-level", "WARN"}
	for i := range 5 {
		name, command := fmt.Sprint("front ", i+1), "serve"
		if i >= 3 {
			name, command = fmt.Sprint("worker ", i-2), "worker"
		}
		m := &member{name: name, start: func() *process { return startDatabase(t, address, command, common...) }}
		m.process = m.start()
		c.members = append(c.members, m)
	}
	l := newLedger(t, c.members[:3])
	c.ledger = l
	for _, m := range c.members {
		eventually(t, func() bool { status, _ := get(t, m.now().admin+"/readyz"); return status == 200 }, m.name)
	}
	l.began = time.Now()

	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	load.Go(func() { l.send(length, eventSecret) })
	load.Go(func() { l.callDirectly(ctx, directSecret) })
	load.Go(func() { c.release(length) })
	load.Go(func() { c.revoke(length) })
	c.faults(length)
	l.log("no more faults")
	time.Sleep(time.Until(l.began.Add(length)))
	// The runs of a worker that was killed begin again when the leader of the workers
	// looks for them. A new leader does so at once. So the workers are restarted, as
	// for an upgrade, when these runs are due.
	time.Sleep(time.Until(c.lastKill.Add(maxRun + 11*time.Second)))
	for _, m := range c.members[3:] {
		m.restart(func(p *process) { p.stop(t) }, 0)
	}
	l.log("the workers are restarted")
	require.Eventually(t, l.isDone, 2*time.Minute+length, 100*time.Millisecond, "all that was acknowledged is done")
	l.log("all events are done")
	cancel()
	load.Wait()

	pool, err := pgxpool.New(t.Context(), address)
	require.NoError(t, err)
	defer pool.Close()
	queue, err := rivercallback.OpenPostgres(t.Context(), pool, rivercallback.Options{})
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		counts, err := queue.Counts(t.Context())
		return err == nil && counts[deferred.Running]+counts[deferred.Queued]+counts[deferred.Retrying] == 0
	}, 2*time.Minute, 100*time.Millisecond, "the queue is empty")
	l.log("the queue is empty")
	l.judge(queue, c.kills*2*places)
	require.Positive(t, l.direct["200"])
	require.Positive(t, c.revoked)
	require.GreaterOrEqual(t, c.moves, 2)

	// All fronts end with what was promoted last.
	list := onDatabase(t, address, exitOK, "versions", "KEY")
	for _, m := range c.members[:3] {
		eventually(t, func() bool {
			_, body := get(t, m.now().url+"/callback/KEY/direct/"+directSecret)
			for _, line := range strings.Split(list, "\n") {
				if fields := strings.Fields(line); len(fields) > 4 && slices.Contains(fields, "live") {
					return strings.Contains(body, c.names[fields[0]])
				}
			}
			return false
		}, m.name)
	}
}

// One process with its queue in a file: it is killed and stopped at random.
func TestQueueFileFaults(t *testing.T) {
	t.Parallel()
	length, random := chaosSettings(t)
	length = max(length*2/3, 8*time.Second)
	tree := clusterVersion("v1")
	files := map[string]string{"secrets.json": `{"KEY": {"event": ["s3cret"], "direct": ["s3cret"]}}`}
	for name, text := range tree {
		files["scripts/"+name] = text
	}
	dir := folder(t, files)
	file := filepath.Join(dir, "queue.db")
	m := &member{name: "server", start: func() *process {
		return start(t, "-scripts", filepath.Join(dir, "scripts"), "-secrets", filepath.Join(dir, "secrets.json"), "-queue", file, "-allow-private",
			"-deferred-timeout", fmt.Sprint(maxRun-2*time.Second), "-places", fmt.Sprint(places), "-attempts", "20", "-processes", "2", "-log-level", "WARN")
	}}
	m.process = m.start()
	l := newLedger(t, []*member{m})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var load sync.WaitGroup
	load.Go(func() { l.send(length, "s3cret") })
	load.Go(func() { l.callDirectly(ctx, "s3cret") })
	kills := 0
	for time.Since(l.began) < length-time.Second {
		time.Sleep(time.Second + time.Duration(random.Int64N(int64(3*time.Second))))
		pause := time.Duration(random.Int64N(int64(2 * time.Second)))
		kills++
		if kills%4 == 0 {
			l.log("SIGSTOP, for %v", pause)
			require.NoError(t, m.now().cmd.Process.Signal(syscall.SIGSTOP))
			time.Sleep(pause)
			require.NoError(t, m.now().cmd.Process.Signal(syscall.SIGCONT))
			continue
		}
		l.log("kill -9, gone for %v", pause)
		m.restart(kill, pause)
	}
	time.Sleep(maxRun + 11*time.Second) // as in TestCluster
	m.restart(func(p *process) { p.stop(t) }, 0)
	require.Eventually(t, l.isDone, 2*time.Minute+length, 100*time.Millisecond, "all that was acknowledged is done")
	cancel()
	load.Wait()
	require.Eventually(t, func() bool {
		_, text := get(t, m.now().admin+"/api/queue")
		return strings.Contains(text, `"counts":{"dead":0,"queued":0,"retrying":0,"running":0}`)
	}, 2*time.Minute, 100*time.Millisecond, "the queue is empty")
	require.Equal(t, exitOK, m.now().stop(t))
	queue, err := rivercallback.OpenSQLite(t.Context(), file, rivercallback.Options{})
	require.NoError(t, err)
	defer queue.Close()
	l.judge(queue, kills*2*places)
}

// A cluster is the processes of one installation.
type cluster struct {
	t       *testing.T
	server  *pgtest.Server
	address string
	random  *rand.Rand
	members []*member // three fronts, two workers
	ledger  *ledger

	kills    int // of processes with runs under way
	lastKill time.Time
	moves    int // of the stage
	revoked  int // secrets
	names    map[string]string
}

func (c *cluster) upTo(d time.Duration) time.Duration {
	return time.Duration(c.random.Int64N(int64(d)))
}

// faults has each fault once, and then faults at random until the time is over.
func (c *cluster) faults(length time.Duration) {
	killMember := func(i int, pause time.Duration) {
		c.ledger.log("kill -9 of %s, which is gone for %v", c.members[i].name, pause)
		c.kills++
		c.lastKill = time.Now()
		c.members[i].restart(kill, pause)
	}
	stopMember := func(i int, pause time.Duration) {
		c.ledger.log("SIGSTOP of %s, for %v", c.members[i].name, pause)
		c.kills++ // the other processes take a stopped one for dead
		process := c.members[i].now().cmd.Process
		require.NoError(c.t, process.Signal(syscall.SIGSTOP))
		time.Sleep(pause)
		require.NoError(c.t, process.Signal(syscall.SIGCONT))
		c.lastKill = time.Now()
	}
	killServer := func(pause time.Duration) {
		c.ledger.log("kill -9 of the database, which is gone for %v", pause)
		c.kills++
		c.lastKill = time.Now()
		c.server.Kill()
		time.Sleep(pause)
		require.NoError(c.t, c.server.Restart())
	}
	stopServer := func(pause time.Duration) {
		c.ledger.log("SIGSTOP of the database, for %v", pause)
		c.kills++
		require.NoError(c.t, c.server.Signal(syscall.SIGSTOP))
		time.Sleep(pause)
		require.NoError(c.t, c.server.Signal(syscall.SIGCONT))
		c.lastKill = time.Now()
	}
	plan := []func(){
		func() { killMember(3, 0) },
		func() { killMember(0, 500*time.Millisecond) },
		func() { killServer(time.Second) },
		func() { killMember(4, 0) },
		func() { stopServer(time.Second) },
	}
	for i, fault := range plan {
		time.Sleep(time.Until(c.ledger.began.Add(min(length, chaosLength) * time.Duration(i+1) / time.Duration(len(plan)+1))))
		fault()
	}
	for time.Since(c.ledger.began) < length-2*time.Second {
		time.Sleep(time.Second + c.upTo(4*time.Second))
		i := c.random.IntN(len(c.members))
		switch c.random.IntN(10) {
		case 0, 1:
			killMember(i, c.upTo(3*time.Second))
		case 2:
			stopMember(i, c.upTo(20*time.Second))
		case 3:
			killServer(c.upTo(8 * time.Second))
		case 4:
			stopServer(c.upTo(8 * time.Second))
		case 5:
			c.ledger.log("restart of %s", c.members[i].name)
			c.members[i].restart(func(p *process) { p.stop(c.t) }, 0)
		case 6:
			c.killChildren(c.members[i])
		case 7:
			c.ledger.log("all connections are cut")
			c.kills++
			c.sql(cutConnections)
		case 8:
			c.readOnly(c.upTo(8 * time.Second))
		case 9:
			c.lockQueue(c.upTo(8 * time.Second))
		}
	}
}

const cutConnections = "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid() and datname = current_database()"

// sql runs statements on the database, each in a transaction of its own, over one
// connection.
func (c *cluster) sql(statements ...string) {
	conn, err := pgx.Connect(c.t.Context(), c.address)
	require.NoError(c.t, err)
	defer conn.Close(context.Background())
	for _, statement := range statements {
		_, err := conn.Exec(c.t.Context(), statement)
		require.NoError(c.t, err)
	}
}

// readOnly makes the database read-only for a time, like a standby to which the
// connections lead after a failover.
func (c *cluster) readOnly(pause time.Duration) {
	c.ledger.log("the database is read-only for %v", pause)
	c.kills++
	var name string
	conn, err := pgx.Connect(c.t.Context(), c.address)
	require.NoError(c.t, err)
	require.NoError(c.t, conn.QueryRow(c.t.Context(), "select quote_ident(current_database())").Scan(&name))
	require.NoError(c.t, conn.Close(c.t.Context()))
	c.sql("alter database "+name+" set default_transaction_read_only = on", cutConnections)
	time.Sleep(pause)
	c.sql("set default_transaction_read_only = off", "alter database "+name+" reset default_transaction_read_only", cutConnections)
	c.lastKill = time.Now()
}

// lockQueue locks the table of the queue for a time, as a careless operator does.
func (c *cluster) lockQueue(pause time.Duration) {
	c.ledger.log("the table of the queue is locked for %v", pause)
	c.kills++
	c.sql("begin", "lock table callback_queue.river_job", fmt.Sprintf("select pg_sleep(%f)", pause.Seconds()), "commit")
	c.lastKill = time.Now()
}

// killChildren kills the processes in which a member runs scripts.
func (c *cluster) killChildren(m *member) {
	parent := m.now().cmd.Process.Pid
	lists, err := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/children", parent))
	require.NoError(c.t, err)
	killed := 0
	for _, list := range lists {
		text, err := os.ReadFile(list)
		if err != nil {
			continue // the thread has ended
		}
		for _, field := range strings.Fields(string(text)) {
			pid, err := strconv.Atoi(field)
			require.NoError(c.t, err)
			_ = syscall.Kill(pid, syscall.SIGKILL)
			killed++
		}
	}
	c.ledger.log("kill -9 of %d children of %s", killed, m.name)
	c.kills++
}

// command runs a command until it succeeds, or is refused: the database may have
// done it before it was killed.
func (c *cluster) command(args ...string) string {
	for {
		var out lockedBuffer
		cmd := callbackd(c.t, args...)
		cmd.Env = append(cmd.Env, "CALLBACKD_DATABASE="+c.address)
		cmd.Stdout = &out
		_ = cmd.Run()
		if code := cmd.ProcessState.ExitCode(); code != exitFailed {
			return out.String()
		}
		time.Sleep(200 * time.Millisecond)
	}
}

// release promotes versions and rolls back until the time is over.
func (c *cluster) release(length time.Duration) {
	ids := map[string]string{}
	c.names = map[string]string{}
	for _, name := range []string{"v1", "v2", "v3"} {
		id := strings.Fields(c.command("publish", "-key", "KEY", folder(c.t, clusterVersion(name))))[1]
		ids[name], c.names[short(id)] = id, name
	}
	for i := 0; ; i++ {
		time.Sleep(min(length/6, 5*time.Second))
		if time.Since(c.ledger.began) > length-time.Second {
			return
		}
		name := []string{"v1", "v2", "v3"}[i%3]
		out := c.command("promote", "KEY", ids[name])
		c.ledger.log("promote %s: %s", name, strings.TrimSpace(out))
		time.Sleep(min(length/6, 5*time.Second))
		out = c.command("rollback", "-from", ids[name], "KEY")
		c.ledger.log("rollback: %s", strings.TrimSpace(out))
		c.moves += 2
	}
}

// revoke makes secrets, uses each on all fronts and revokes it. It is an error if a
// front accepts a revoked secret after its time to live.
func (c *cluster) revoke(length time.Duration) {
	for i := 0; time.Since(c.ledger.began) < length-3*time.Second; i++ {
		secret := strings.TrimSpace(c.command("secret", "new", "KEY/temp"))
		if secret == "" { // the database made one and was killed before it said so
			c.command("secret", "revoke", "-all", "KEY/temp")
			continue
		}
		ctx, cancel := context.WithCancel(c.t.Context())
		var mu sync.Mutex
		last := time.Time{} // start of the last call for which the secret was accepted
		opened := 0
		var probes sync.WaitGroup
		for _, front := range c.members[:3] {
			probes.Go(func() {
				for ctx.Err() == nil {
					start := time.Now()
					if c.ledger.call(front.now().url, "temp", secret) == 200 {
						mu.Lock()
						opened++
						if start.After(last) {
							last = start
						}
						mu.Unlock()
					}
					time.Sleep(50 * time.Millisecond)
				}
			})
		}
		time.Sleep(time.Second)
		c.command("secret", "revoke", "-all", "KEY/temp")
		revoked := time.Now()
		time.Sleep(3 * clusterTTL)
		cancel()
		probes.Wait()
		if opened == 0 { // the database was gone all the time
			continue
		}
		c.revoked++
		c.ledger.log("secret opened %d calls, the last %v after it was revoked", opened, last.Sub(revoked).Round(time.Millisecond))
		if after := last.Sub(revoked); after > clusterTTL {
			c.t.Errorf("a revoked secret opened a call %v after it was revoked", after)
		}
	}
}
