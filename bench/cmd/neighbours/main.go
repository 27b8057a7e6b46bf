// Neighbours measures how much hostile tenants slow down a tenant that is not
// hostile: its p50 and p99 during the attack, and as multiples of those without it.
// The server is a child process, once for each runner, and so are the hostile
// callers. There are four kinds of hostile tenants, a quarter each:
//
//   - loop,
//   - wait for an upstream that never answers,
//   - answer 4 MB,
//   - answer 4 MB to callers that do not read.
package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/callback"
	"example.com/callback/bench/internal/work"
	"example.com/callback/sandbox"
)

func main() {
	sandbox.Main()
	serve := flag.String("serve", "", "(for the child) serve by this runner: process or sandbox")
	upstream := flag.String("upstream", "", "(for the child) URL of the upstream that never answers")
	attack := flag.String("attack", "", "(for the child) attack the server at this address until standard input ends")
	o := options{}
	flag.IntVar(&o.rounds, "rounds", 5, "rounds, each alone and under attack")
	flag.DurationVar(&o.slice, "slice", 5*time.Second, "time for one measurement")
	flag.IntVar(&o.rate, "rate", 50, "requests per second of the neighbour")
	flag.IntVar(&o.tenants, "tenants", 15, "hostile tenants")
	flag.IntVar(&o.callers, "callers", 4, "callers of each hostile tenant, each without a pause")
	flag.IntVar(&o.reserve, "reserve", 0, "Reserve of the runner; 0 is its default")
	flag.IntVar(&o.running, "running", 0, "MaxRunning, or Processes, of the runner; 0 is its default")
	flag.DurationVar(&o.timeout, "timeout", callback.DefaultTimeout, "Timeout of the Handler")
	flag.StringVar(&o.kinds, "kinds", strings.Join(kinds, ","), "what the hostile tenants do, in turn")
	flag.IntVar(&o.nice, "nice", 19, "niceness of the callers of the hostile tenants")
	flag.StringVar(&o.runners, "runners", "process,sandbox", "which runners; plain is plain Go that gives the same answers")
	flag.Parse()
	var err error
	switch {
	case *serve != "":
		err = o.serveAs(*serve, *upstream)
	case *attack != "":
		err = o.attack(*attack)
	default:
		err = o.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "neighbours:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds, rate, tenants, callers int
	reserve, running, nice         int
	slice, timeout                 time.Duration
	kinds, runners                 string
}

// kinds are the kinds of hostile tenants. Each is the name of its script.
var kinds = []string{"loop", "upstream", "large", "unread"}

func scripts(upstream string) map[string]string {
	large := `Spark.setScriptData("RESPONSE_RAW", "x".repeat((1 << 22) - 1))`
	return map[string]string{
		"loop":     `for (;;) {}`,
		"upstream": fmt.Sprintf(`Spark.getHttp(%q).get()`, upstream),
		"large":    large,
		"unread":   large,
	}
}

const neighbour = "neighbour"

func tenant(i int) string { return "tenant" + strconv.Itoa(i) }

func path(credential string) string {
	return "/callback/" + work.APIKey + "/" + credential + "/" + work.Secret
}

// serveAs serves all tenants, prints its address and ends with its standard input.
func (o *options) serveAs(runner, upstream string) error {
	mux := http.NewServeMux()
	if runner == "plain" {
		o.servePlain(mux)
	} else if err := o.serveScripts(mux, runner, upstream); err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, mux)
}

// servePlain serves all tenants by plain Go. It gives the answers that the scripts
// would give, but nothing computes: a call that would loop waits.
func (o *options) servePlain(mux *http.ServeMux) {
	mux.Handle(path(neighbour), work.All("")[0].Plain)
	large := bytes.Repeat([]byte("x"), 1<<22-1)
	list := strings.Split(o.kinds, ",")
	for i := range o.tenants {
		mux.HandleFunc(path(tenant(i)), func(w http.ResponseWriter, r *http.Request) {
			switch list[i%len(list)] {
			case "loop", "upstream":
				select {
				case <-time.After(o.timeout):
				case <-r.Context().Done():
				}
				w.WriteHeader(http.StatusGatewayTimeout)
			default:
				_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(10 * time.Second)) // as the Handler
				_, _ = w.Write(large)
			}
		})
	}
	mux.HandleFunc("/lost", func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, 0) })
}

// serveScripts serves all tenants by a runner.
func (o *options) serveScripts(mux *http.ServeMux, runner, upstream string) error {
	files := map[string]string{"callbacks/" + neighbour + ".js": work.All("")[0].Script}
	secrets := callback.SecretMap{work.APIKey + "/" + neighbour: work.Secret}
	list := strings.Split(o.kinds, ",")
	for i := range o.tenants {
		files["callbacks/"+tenant(i)+".js"] = scripts(upstream)[list[i%len(list)]]
		secrets[work.APIKey+"/"+tenant(i)] = work.Secret
	}
	hold := holder{arrived: make(chan struct{}, 1000), release: make(chan struct{})}
	h := &callback.Handler{
		Secrets: secrets,
		Timeout: o.timeout,
		HTTP:    callback.HTTPDoerFunc(http.DefaultClient.Do), // to loopback
		Logger:  slog.New(hold),
	}
	places := 0
	for i := range 1000 { // enough for all places
		name := "hold" + strconv.Itoa(i)
		files["callbacks/"+name+".js"] = `Spark.getLog().info("hold")`
		secrets[work.APIKey+"/"+name] = work.Secret
	}
	if runner == "sandbox" {
		r := &sandbox.Runner{Scripts: work.MapFS(files), Processes: o.running, Reserve: o.reserve, Logger: slog.New(slog.DiscardHandler)}
		if err := r.Start(context.Background()); err != nil {
			return err
		}
		places = cmp.Or(o.running, 4*runtime.GOMAXPROCS(0))
		h.Runner = r
	} else {
		h.Runner = &callback.GojaRunner{Scripts: work.MapFS(files), MaxRunning: o.running, Reserve: o.reserve}
		places = cmp.Or(o.running, runtime.GOMAXPROCS(0))
	}
	mux.Handle("/callback/", h)
	// /lost tells how many shared places are not free after the attack. It counts how
	// many calls run at the same time.
	mux.HandleFunc("/lost", func(w http.ResponseWriter, r *http.Request) {
		for i := range places {
			go h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", path("hold"+strconv.Itoa(i)), nil))
		}
		late := time.After(o.timeout)
		for held := range places {
			select {
			case <-hold.arrived:
			case <-late:
				fmt.Fprint(w, places-held)
				return
			}
		}
		close(hold.release)
		fmt.Fprint(w, 0)
	})
	return nil
}

// A holder is a [slog.Handler] that blocks calls that log "hold".
type holder struct{ arrived, release chan struct{} }

func (h holder) Enabled(context.Context, slog.Level) bool { return true }
func (h holder) WithAttrs([]slog.Attr) slog.Handler       { return h }
func (h holder) WithGroup(string) slog.Handler            { return h }

func (h holder) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "hold" {
		h.arrived <- struct{}{}
		<-h.release
	}
	return nil
}

func (o *options) run() error {
	forever := make(chan struct{})
	silent := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		select {
		case <-r.Context().Done():
		case <-forever:
		}
	}))
	defer silent.Close()
	defer close(forever)
	fmt.Printf("%s, %d cores shared by server and callers, %d hostile tenants with %d callers each (%s) at niceness %d,\n"+
		"GOMAXPROCS %d, Timeout %v, neighbour at %d requests/s, medians of %d rounds of %v\n\n", runtime.Version(), runtime.NumCPU(),
		o.tenants, o.callers, o.kinds, o.nice, runtime.GOMAXPROCS(0), o.timeout, o.rate, o.rounds, o.slice)
	fmt.Println("| runner | p50 alone µs | p50 attacked µs | ratio | p99 alone µs | p99 attacked µs | ratio | refused of | hostile calls | processors of the callers | memory MiB | places lost |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for runner := range strings.SplitSeq(o.runners, ",") {
		if err := o.measure(runner, silent.URL); err != nil {
			return fmt.Errorf("%s: %w", runner, err)
		}
	}
	return nil
}

func (o *options) measure(runner, upstream string) error {
	server, err := o.startChild(0, "-serve", runner, "-upstream", upstream)
	if err != nil {
		return err
	}
	defer func() {
		_ = server.Process.Kill()
		_ = server.Wait()
	}()
	address, err := server.out.ReadString('\n')
	if err != nil {
		return fmt.Errorf("the server printed no address: %w", err)
	}
	address = strings.TrimSpace(address)
	o.ask(address, time.Second) // warm up
	var alone, attacked quantiles
	var refused, asked, hostile int
	var took, within time.Duration // processor time of the callers
	for range o.rounds {
		calls := o.ask(address, o.slice)
		if calls.refused > 0 {
			return fmt.Errorf("%d calls refused while nobody attacks", calls.refused)
		}
		alone.add(calls)
		start := time.Now()
		callers, err := o.startChild(o.nice, "-attack", address)
		if err != nil {
			return err
		}
		time.Sleep(o.slice / 5) // until all attackers call
		calls = o.ask(address, o.slice)
		callers.in.Close()
		var count int
		if _, err := fmt.Fscan(callers.out, &count); err != nil {
			return fmt.Errorf("the callers printed no count: %w", err)
		}
		_ = callers.Wait()
		hostile += count
		took += callers.ProcessState.UserTime() + callers.ProcessState.SystemTime()
		within += time.Since(start)
		attacked.add(calls)
		refused, asked = refused+calls.refused, asked+calls.refused+len(calls.times)
		time.Sleep(o.timeout + time.Second) // until the last call of the attack has ended
	}
	memory := peakMemory(server.Process.Pid)
	resp, err := http.Get("http://" + address + "/lost")
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	lost, err := io.ReadAll(resp.Body)
	if err != nil {
		return err
	}
	ratio := func(a, b []float64) float64 { return median(a) / median(b) }
	fmt.Printf("| %s | %.0f | %.0f | %.1f | %.0f | %.0f | %.1f | %d of %d | %d | %.2f | %d | %s |\n", runner,
		median(alone.p50), median(attacked.p50), ratio(attacked.p50, alone.p50),
		median(alone.p99), median(attacked.p99), ratio(attacked.p99, alone.p99), refused, asked,
		hostile, took.Seconds()/within.Seconds(), memory>>20, lost)
	return nil
}

// A child is this program as another process. It ends with its standard input,
// and so at the latest with this process.
type child struct {
	*exec.Cmd
	in  io.Closer
	out *bufio.Reader
}

// startChild starts a child that has the options, with a niceness.
func (o *options) startChild(nice int, args ...string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	args = append(args, "-reserve", strconv.Itoa(o.reserve), "-running", strconv.Itoa(o.running),
		"-timeout", o.timeout.String(), "-tenants", strconv.Itoa(o.tenants), "-callers", strconv.Itoa(o.callers), "-kinds", o.kinds)
	cmd := exec.Command(self, args...)
	if nice != 0 {
		cmd = exec.Command("nice", append([]string{"-n", strconv.Itoa(nice), self}, args...)...)
	}
	cmd.Stderr = os.Stderr
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	return &child{cmd, in, bufio.NewReader(out)}, cmd.Start()
}

// calls holds the results of the neighbour's calls.
type calls struct {
	times   []time.Duration // of those answered
	refused int
}

// ask makes the neighbour's calls at a constant rate, without waiting for answers.
func (o *options) ask(address string, d time.Duration) (got calls) {
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	defer client.CloseIdleConnections()
	var mu sync.Mutex
	var asking sync.WaitGroup
	ticker := time.NewTicker(time.Second / time.Duration(o.rate))
	defer ticker.Stop()
	for end := time.Now().Add(d); time.Now().Before(end); {
		start := <-ticker.C
		asking.Go(func() {
			resp, err := client.Get("http://" + address + path(neighbour) + "?" + work.All("")[0].Query)
			if err == nil {
				_, err = io.Copy(io.Discard, resp.Body)
				resp.Body.Close()
			}
			mu.Lock()
			defer mu.Unlock()
			if err != nil || resp.StatusCode != http.StatusOK {
				got.refused++
				return
			}
			got.times = append(got.times, time.Since(start))
		})
	}
	asking.Wait()
	return got
}

// attack makes the hostile callers call without a pause until standard input
// ends, and prints how often they have called.
func (o *options) attack(address string) error {
	ctx, cancel := context.WithCancel(context.Background())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		cancel()
	}()
	list := strings.Split(o.kinds, ",")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	var count atomic.Int64
	var callers sync.WaitGroup
	for i := range o.tenants {
		for range o.callers {
			callers.Go(func() {
				for ctx.Err() == nil {
					count.Add(1)
					if list[i%len(list)] == "unread" {
						callUnread(ctx, address, path(tenant(i)))
						continue
					}
					req, err := http.NewRequestWithContext(ctx, "GET", "http://"+address+path(tenant(i)), nil)
					if err != nil {
						return
					}
					if resp, err := client.Do(req); err == nil {
						_, _ = io.Copy(io.Discard, resp.Body)
						resp.Body.Close()
					}
				}
			})
		}
	}
	callers.Wait()
	_, err := fmt.Println(count.Load())
	return err
}

// callUnread makes a call and reads nothing until the server closes the connection.
// It notices that when a write fails.
func callUnread(ctx context.Context, address, path string) {
	conn, err := net.Dial("tcp", address)
	if err != nil {
		return
	}
	defer conn.Close()
	_ = conn.(*net.TCPConn).SetReadBuffer(4096)
	_, _ = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path)
	for ctx.Err() == nil {
		time.Sleep(100 * time.Millisecond)
		if _, err := conn.Write([]byte("\r\n")); err != nil {
			return
		}
	}
}

// quantiles holds the quantiles of each round, in µs.
type quantiles struct{ p50, p99 []float64 }

func (q *quantiles) add(c calls) {
	if len(c.times) == 0 {
		return
	}
	slices.Sort(c.times)
	at := func(share float64) float64 {
		return float64(c.times[min(len(c.times)-1, int(share*float64(len(c.times))))].Microseconds())
	}
	q.p50, q.p99 = append(q.p50, at(0.5)), append(q.p99, at(0.99))
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return v[len(v)/2]
}

// peakMemory is the most that the process has had in memory, in bytes, or zero
// where the system does not tell.
func peakMemory(pid int) int64 {
	status, _ := os.ReadFile(filepath.Join("/proc", strconv.Itoa(pid), "status"))
	for line := range strings.Lines(string(status)) {
		var kib int64
		if n, _ := fmt.Sscanf(line, "VmHWM: %d kB", &kib); n == 1 {
			return kib << 10
		}
	}
	return 0
}
