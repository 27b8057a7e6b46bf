// Load compares servers over loopback. It prints the requests per second, the CPU
// time of the server's process per request, p50 and p99, and the memory. With -half
// it prints instead p50 and p99 at half of each server's capacity, for several
// numbers of connections.
//
// Each server is a child process. All of them run the same workloads, and Load checks
// that they give the same answers.
package main

import (
	"bufio"
	"flag"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"example.com/callback/bench/internal/work"
	"example.com/callback/sandbox"
)

func main() {
	sandbox.Main()
	serve := flag.String("serve", "", "(for the children) serve as plain, handler or sandbox")
	scripts := flag.String("scripts", "", "(for the children) folder of the scripts")
	o := options{}
	flag.IntVar(&o.rounds, "rounds", 3, "rounds, each of all servers in turn")
	flag.DurationVar(&o.slice, "slice", 2*time.Second, "time for one server in one round, for each of the two measurements")
	flag.IntVar(&o.workers, "workers", 16, "connections of the closed loop")
	flag.IntVar(&o.rate, "rate", 300, "requests per second at which p50 and p99 are taken")
	flag.StringVar(&o.workloads, "workloads", "W1,W2,W3", "which workloads")
	flag.StringVar(&o.skip, "skip", "", "servers to leave out: sandbox, pocketbase, node")
	flag.IntVar(&o.heap, "heap", work.HeapSize>>20, "live heap of each server in Go, in MiB")
	flag.StringVar(&o.gogc, "gogc", "", "also measure the Handler with these values of GOGC, such as 200,400")
	flag.StringVar(&o.half, "half", "", "measure at half load with these numbers of connections, such as 1,16,256")
	flag.Parse()
	var err error
	if *serve != "" {
		err = serveAs(*serve, *scripts)
	} else {
		err = run(o)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "load:", err)
		os.Exit(1)
	}
}

type options struct {
	rounds, workers, rate int
	slice                 time.Duration
	workloads, skip       string
	heap                  int
	gogc, half            string
}

// heapEnv is the live heap of a child, in MiB.
const heapEnv = "CALLBACK_BENCH_HEAP"

// serveAs serves the workloads at /W1 and so on (the Handler at its callback
// URLs), prints its address and ends with its standard input.
func serveAs(kind, dir string) error {
	var h http.Handler
	if kind == "plain" {
		mux := http.NewServeMux()
		for _, w := range work.All("") {
			mux.HandleFunc("/"+w.Name, w.Plain)
		}
		h = mux
	} else {
		mux := http.NewServeMux()
		ch, err := work.ServerHandler(kind, os.DirFS(dir))
		if err != nil {
			return err
		}
		mux.Handle("/callback/", ch)
		h = mux
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	size, err := strconv.Atoi(os.Getenv(heapEnv))
	if err != nil {
		return fmt.Errorf("%s: %w", heapEnv, err)
	}
	live := work.NewHeap(size << 20)
	defer runtime.KeepAlive(live)
	fmt.Println(listener.Addr())
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(0)
	}()
	return http.Serve(listener, h)
}

// A server is a child process that serves the workloads.
type server struct {
	name    string
	lacks   string
	url     func(w *work.Workload) string
	cmd     *exec.Cmd
	results map[string]*result // by workload
}

type result struct {
	rps, cpu, p50, p99 []float64
	memory             float64 // peak of the process, in MiB
}

// start runs a command that prints the address it listens at.
func start(name, lacks string, cmd *exec.Cmd) (*server, error) {
	if _, err := cmd.StdinPipe(); err != nil { // the child ends when the pipe closes, also by the end of this process
		return nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	cmd.Stderr = os.Stderr
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{name: name, lacks: lacks, cmd: cmd, results: map[string]*result{}}
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		s.stop()
		return nil, fmt.Errorf("%s printed no address: %w", name, err)
	}
	base := "http://" + strings.TrimSpace(line)
	s.url = func(w *work.Workload) string { return base + "/" + w.Name }
	return s, nil
}

func (s *server) stop() {
	_ = s.cmd.Process.Kill()
	_ = s.cmd.Wait()
}

func run(o options) error {
	var list []*work.Workload
	tmp, err := os.MkdirTemp("", "callback-load-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(tmp)
	for _, w := range work.All("") {
		if !strings.Contains(o.workloads, w.Name) || w.Name == "W4" || w.Name == "W6" {
			continue
		}
		list = append(list, w)
		files := map[string]string{"callbacks/" + w.Name + ".js": w.Script}
		if err := work.WriteTree(tmp, files); err != nil {
			return err
		}
	}
	servers, err := startAll(o, tmp)
	defer func() {
		for _, s := range servers {
			s.stop()
		}
	}()
	if err != nil {
		return err
	}
	for _, w := range list {
		want := ""
		for _, s := range servers {
			got, err := ask(s.url(w), w)
			if err != nil {
				return fmt.Errorf("%s, %s: %w", s.name, w.Name, err)
			}
			if want == "" {
				want = got
			}
			if got != want {
				return fmt.Errorf("%s, %s: answered %s, want %s", s.name, w.Name, got, want)
			}
			s.results[w.Name] = new(result)
			s.attack(w, o.workers, 0, o.slice/2) // warm up
		}
		if o.half != "" {
			continue
		}
		for round := range o.rounds {
			order := slices.Clone(servers)
			if round%2 == 1 {
				slices.Reverse(order)
			}
			for _, s := range order {
				r := s.results[w.Name]
				cpu := cpuTime(s.cmd.Process.Pid)
				m := s.attack(w, o.workers, 0, o.slice)
				cpu = cpuTime(s.cmd.Process.Pid) - cpu
				if m.Success < 1 {
					return fmt.Errorf("%s, %s: failures: %v %v", s.name, w.Name, m.StatusCodes, m.Errors)
				}
				r.rps = append(r.rps, m.Throughput)
				r.cpu = append(r.cpu, float64(cpu.Microseconds())/float64(m.Requests))
				m = s.attack(w, o.workers, float64(o.rate), o.slice)
				r.p50 = append(r.p50, float64(m.Latencies.P50.Microseconds()))
				r.p99 = append(r.p99, float64(m.Latencies.P99.Microseconds()))
				r.memory = memory(s.cmd.Process.Pid)
			}
		}
	}
	if o.half != "" {
		return atHalfLoad(o, list, servers)
	}
	report(o, list, servers)
	return nil
}

// atHalfLoad prints p50 and p99 at half of each server's capacity: the requests per
// second that it answers in a closed loop over the same number of connections.
func atHalfLoad(o options, list []*work.Workload, servers []*server) error {
	fmt.Printf("\n%s, %s/%s, %d cores shared by server and load generator, medians of %d alternating rounds of %v, live heap %d MiB\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.rounds, o.slice, o.heap)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "| workload\t| connections\t| server\t| requests/s\t| p50 µs\t| p99 µs\t| ratio of p99\t|")
	fmt.Fprintln(table, "|---\t|--:\t|---\t|--:\t|--:\t|--:\t|--:\t|")
	for _, w := range list {
		for _, field := range strings.Split(o.half, ",") {
			connections, err := strconv.Atoi(field)
			if err != nil {
				return err
			}
			results := make([]result, len(servers))
			for range o.rounds {
				for i, s := range servers {
					rate := s.attack(w, connections, 0, o.slice).Throughput / 2
					m := s.attack(w, connections, rate, o.slice)
					if m.Success < 1 {
						return fmt.Errorf("%s, %s: failures: %v %v", s.name, w.Name, m.StatusCodes, m.Errors)
					}
					r := &results[i]
					r.rps = append(r.rps, rate)
					r.p50 = append(r.p50, float64(m.Latencies.P50.Microseconds()))
					r.p99 = append(r.p99, float64(m.Latencies.P99.Microseconds()))
				}
			}
			for i, s := range servers {
				r := &results[i]
				fmt.Fprintf(table, "| %s\t| %d\t| %s\t| %.0f\t| %.0f\t| %.0f\t| %.2f\t|\n",
					w.Name, connections, s.name, median(r.rps), median(r.p50), median(r.p99), median(r.p99)/median(results[0].p99))
			}
		}
	}
	return table.Flush()
}

// startAll starts the servers. It leaves out a server that this machine cannot
// run, and prints why.
func startAll(o options, scripts string) (servers []*server, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	kinds := work.ServerKinds()
	for _, gogc := range strings.FieldsFunc(o.gogc, func(r rune) bool { return r == ',' }) {
		kinds = append(kinds, work.ServerKind{Kind: "handler", Name: "Handler, GOGC=" + gogc, Env: []string{"GOGC=" + gogc}})
	}
	heap := fmt.Sprintf("%s=%d", heapEnv, o.heap)
	for _, kind := range kinds {
		if strings.Contains(o.skip, kind.Kind) && kind.Kind == "sandbox" {
			continue
		}
		cmd := exec.Command(self, "-serve", kind.Kind, "-scripts", scripts)
		cmd.Env = append(append(os.Environ(), heap), kind.Env...)
		s, err := start(kind.Name, kind.Lacks, cmd)
		if err != nil {
			return servers, err
		}
		if kind.Kind != "plain" {
			base := strings.TrimSuffix(s.url(&work.Workload{}), "/")
			s.url = func(w *work.Workload) string {
				return base + "/callback/" + work.APIKey + "/" + w.Name + "/" + work.Secret
			}
		}
		servers = append(servers, s)
	}
	root, err := moduleRoot()
	if err != nil {
		return servers, err
	}
	if strings.Contains(o.skip, "pocketbase") {
		fmt.Println("PocketBase: left out")
	} else if s, err := startPocketBase(filepath.Join(root, "peers", "pocketbase"), scripts, heap); err != nil {
		fmt.Println("PocketBase: left out:", err)
	} else {
		servers = append(servers, s)
	}
	node, err := exec.LookPath("node")
	if strings.Contains(o.skip, "node") || err != nil {
		fmt.Println("node: left out: not installed, or not wanted")
		return servers, nil
	}
	for _, peer := range []struct{ mode, name, lacks string }{
		{"fresh", "node, new vm context", "a context per request, but no auth, limits or time-out; a script can get out of a vm context; one core"},
		{"reuse", "node, plain reuse", "no isolation at all, no auth, limits or time-out; one core"},
	} {
		s, err := start(peer.name, peer.lacks, exec.Command(node, filepath.Join(root, "peers", "node", "server.js"), peer.mode, filepath.Join(scripts, "callbacks")))
		if err != nil {
			return servers, err
		}
		servers = append(servers, s)
	}
	return servers, nil
}

func moduleRoot() (string, error) {
	out, err := exec.Command("go", "env", "GOMOD").Output()
	return filepath.Dir(strings.TrimSpace(string(out))), err
}

// startPocketBase builds and starts PocketBase, whose module is not a
// dependency of this one.
func startPocketBase(source, dir, heap string) (*server, error) {
	fmt.Println("PocketBase: building")
	binary := filepath.Join(dir, "pocketbase")
	build := exec.Command("go", "build", "-o", binary, ".")
	build.Dir = source
	if out, err := build.CombinedOutput(); err != nil {
		return nil, fmt.Errorf("go build: %w: %s", err, out)
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	address := listener.Addr().String()
	listener.Close()
	cmd := exec.Command(binary, filepath.Join(source, "hooks"), "serve", "--http="+address, "--dir="+filepath.Join(dir, "data"))
	cmd.Env = append(os.Environ(), heap)
	if _, err := cmd.StdinPipe(); err != nil { // as in start
		return nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, err
	}
	s := &server{
		name: "PocketBase", cmd: cmd, results: map[string]*result{},
		lacks: "pooled runtimes: what a handler leaves behind is there for the next request; no time-out; no auth by URL (it has an auth of its own, not used here)",
		url:   func(w *work.Workload) string { return "http://" + address + "/" + w.Name },
	}
	for range 200 {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
			return s, nil
		}
		time.Sleep(50 * time.Millisecond)
	}
	s.stop()
	return nil, fmt.Errorf("does not listen at %s", address)
}

func target(url string, w *work.Workload) vegeta.Target {
	t := vegeta.Target{Method: w.Method, URL: url, Header: http.Header{}}
	if w.Query != "" {
		t.URL += "?" + w.Query
	}
	if w.Method == "POST" {
		t.Body = []byte(w.Body)
		t.Header.Set("Content-Type", "application/json")
	}
	return t
}

// ask makes one request and returns the body of the answer.
func ask(url string, w *work.Workload) (string, error) {
	t := target(url, w)
	req, err := t.Request()
	if err != nil {
		return "", err
	}
	resp, err := http.DefaultClient.Do(req)
	if err != nil {
		return "", err
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err == nil && resp.StatusCode != 200 {
		err = fmt.Errorf("status %s: %s", resp.Status, body)
	}
	if err == nil && w.Name == "W1" && resp.Header.Get("X-Game") != work.APIKey {
		err = fmt.Errorf("no header X-Game")
	}
	return strings.TrimSpace(string(body)), err
}

// attack sends requests to the server over a number of connections: rate per second
// or, if rate is zero, as fast as the server answers.
func (s *server) attack(w *work.Workload, connections int, rate float64, d time.Duration) *vegeta.Metrics {
	var pacer vegeta.Pacer = vegeta.Rate{Freq: int(math.Ceil(rate)), Per: time.Second}
	options := []func(*vegeta.Attacker){vegeta.Timeout(10 * time.Second), vegeta.Connections(connections), vegeta.MaxConnections(connections), vegeta.KeepAlive(true)}
	if rate == 0 {
		pacer = vegeta.Rate{}
		options = append(options, vegeta.Workers(uint64(connections)), vegeta.MaxWorkers(uint64(connections)))
	}
	attacker := vegeta.NewAttacker(options...)
	m := new(vegeta.Metrics)
	for r := range attacker.Attack(vegeta.NewStaticTargeter(target(s.url(w), w)), pacer, d, s.name) {
		m.Add(r)
	}
	m.Close()
	return m
}

func report(o options, list []*work.Workload, servers []*server) {
	fmt.Printf("\n%s, %s/%s, %d cores shared by server and load generator, medians of %d alternating rounds of %v, live heap %d MiB;\n"+
		"requests/s and CPU with %d connections in a closed loop, p50 and p99 at %d requests/s, the most memory of the process\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), o.rounds, o.slice, o.heap, o.workers, o.rate)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "| workload\t| server\t| requests/s\t| CPU µs/request\t| ratio of CPU\t| p50 µs\t| p99 µs\t| MiB\t|")
	fmt.Fprintln(table, "|---\t|---\t|--:\t|--:\t|--:\t|--:\t|--:\t|--:\t|")
	for _, w := range list {
		floor := median(servers[0].results[w.Name].cpu)
		for _, s := range servers {
			r := s.results[w.Name]
			fmt.Fprintf(table, "| %s\t| %s\t| %.0f\t| %.0f\t| %.2f\t| %.0f\t| %.0f\t| %.0f\t|\n",
				w.Name, s.name, median(r.rps), median(r.cpu), median(r.cpu)/floor, median(r.p50), median(r.p99), r.memory)
		}
	}
	_ = table.Flush()
	fmt.Println("\nWhat each does not do, that the Handler does:")
	for _, s := range servers {
		if s.lacks != "" {
			fmt.Printf("- %s: %s\n", s.name, s.lacks)
		}
	}
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	return v[len(v)/2]
}
