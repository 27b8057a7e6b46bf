// Neighbours measures how much hostile tenants slow down a tenant that is not
// hostile: its p50 and p99 during the attack, and as multiples of those without it.
// The server is a child process, once for each runner. There are four kinds of
// hostile tenants, a quarter each:
//
//   - loop,
//   - wait for an upstream that never answers,
//   - answer 4 MB,
//   - answer 4 MB to callers that do not read.
package main

import (
	"bufio"
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
	flag.StringVar(&o.runners, "runners", "process,sandbox", "which runners")
	flag.Parse()
	var err error
	if *serve != "" {
		err = o.serveAs(*serve, *upstream)
	} else {
		err = o.run()
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "neighbours:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds, rate, tenants, callers int
	reserve, running               int
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
	mux := http.NewServeMux()
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
	fmt.Printf("%s, %d cores shared by server and callers, %d hostile tenants with %d callers each (%s), GOMAXPROCS %d, Timeout %v,\n"+
		"neighbour at %d requests/s, medians of %d rounds of %v\n\n", runtime.Version(), runtime.NumCPU(), o.tenants, o.callers, o.kinds,
		runtime.GOMAXPROCS(0), o.timeout, o.rate, o.rounds, o.slice)
	fmt.Println("| runner | p50 alone µs | p50 attacked µs | ratio | p99 alone µs | p99 attacked µs | ratio | refused of | hostile calls | memory MiB | places lost |")
	fmt.Println("|---|--:|--:|--:|--:|--:|--:|--:|--:|--:|--:|")
	for runner := range strings.SplitSeq(o.runners, ",") {
		if err := o.measure(runner, silent.URL); err != nil {
			return fmt.Errorf("%s: %w", runner, err)
		}
	}
	return nil
}

func (o *options) measure(runner, upstream string) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	cmd := exec.Command(self, "-serve", runner, "-upstream", upstream, "-reserve", strconv.Itoa(o.reserve), "-running", strconv.Itoa(o.running),
		"-timeout", o.timeout.String(), "-tenants", strconv.Itoa(o.tenants), "-kinds", o.kinds)
	if _, err := cmd.StdinPipe(); err != nil { // the child ends when the pipe closes, also by the end of this process
		return err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return err
	}
	defer func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	}()
	address, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		return fmt.Errorf("the server printed no address: %w", err)
	}
	address = strings.TrimSpace(address)
	o.ask(address, time.Second) // warm up
	var alone, attacked quantiles
	var refused, asked int
	var hostile atomic.Int64
	for range o.rounds {
		calls := o.ask(address, o.slice)
		if calls.refused > 0 {
			return fmt.Errorf("%d calls refused while nobody attacks", calls.refused)
		}
		alone.add(calls)
		ctx, cancel := context.WithCancel(context.Background())
		var attack sync.WaitGroup
		o.attack(ctx, &attack, address, &hostile)
		time.Sleep(o.slice / 5) // until all attackers call
		calls = o.ask(address, o.slice)
		cancel()
		attack.Wait()
		attacked.add(calls)
		refused, asked = refused+calls.refused, asked+calls.refused+len(calls.times)
		time.Sleep(o.timeout + time.Second) // until the last call of the attack has ended
	}
	memory := peakMemory(cmd.Process.Pid)
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
	fmt.Printf("| %s | %.0f | %.0f | %.1f | %.0f | %.0f | %.1f | %d of %d | %d | %d | %s |\n", runner,
		median(alone.p50), median(attacked.p50), ratio(attacked.p50, alone.p50),
		median(alone.p99), median(attacked.p99), ratio(attacked.p99, alone.p99), refused, asked, hostile.Load(), memory>>20, lost)
	return nil
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

// attack makes the hostile callers call without a pause until ctx is done.
func (o *options) attack(ctx context.Context, attack *sync.WaitGroup, address string, count *atomic.Int64) {
	list := strings.Split(o.kinds, ",")
	client := &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 1000}}
	for i := range o.tenants {
		for range o.callers {
			attack.Go(func() {
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
				client.CloseIdleConnections()
			})
		}
	}
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
