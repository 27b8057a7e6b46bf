package work

import (
	"fmt"
	"net/http"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"syscall"
	"time"
)

// A Case is a workload served one way, ready to be measured.
type Case struct {
	Workload *Workload
	Variant  string
	client   *Client
	batch    int // requests that take about one slice

	samples []sample
	floors  []sample // of the floor, each taken directly before or after
}

// A sample holds the means of a slice for one request: times in ns, allocations and
// bytes. cpu includes the request's share of a collection, wall does not.
type sample struct{ wall, cpu, allocs, bytes float64 }

// A Set is the cases of one workload; the first is the floor.
type Set []*Case

// NewSet makes the cases of a workload and checks that each of them answers
// as the first one does.
func NewSet(w *Workload, variants []Variant) (set Set, clean func(), err error) {
	var dirs []string
	var handlers []http.Handler
	clean = func() {
		for _, h := range handlers {
			Close(h)
		}
		for _, dir := range dirs {
			_ = os.RemoveAll(dir)
		}
	}
	want := ""
	for _, v := range variants {
		dir, err := os.MkdirTemp("", "callback-bench-")
		if err != nil {
			return nil, clean, err
		}
		dirs = append(dirs, dir)
		h, err := v.New(w, dir)
		if err != nil {
			return nil, clean, err
		}
		handlers = append(handlers, h)
		c := &Case{Workload: w, Variant: v.Name, client: w.NewClient(h)}
		status := c.client.Do()
		_, body := c.client.Answer()
		if want == "" {
			want = body
		}
		if status != http.StatusOK || body != want {
			return nil, clean, fmt.Errorf("%s, %s: answered %d %s, want %s", w.Name, v.Name, status, body, want)
		}
		set = append(set, c)
	}
	return set, clean, nil
}

// Measure runs the cases in turn, for the given number of rounds of about slice
// each. The floor runs before or after each other case, so that other load on the
// machine slows both.
//
// The collector is off during a slice, which is too short for it. What a
// collection of HeapSize takes is measured before each slice. A request is charged
// for it by the bytes that it allocates: with GOGC at 100 there is a collection
// each time that as much is allocated as is alive.
func (set Set) Measure(rounds int, slice time.Duration) {
	live := NewHeap(HeapSize)
	defer runtime.KeepAlive(live)
	defer debug.SetGCPercent(debug.SetGCPercent(-1))
	for _, c := range set {
		c.calibrate(slice)
	}
	floor := set[0]
	for round := range rounds {
		order := slices.Clone(set[1:])
		if round%2 == 1 {
			slices.Reverse(order)
		}
		for _, c := range order {
			var s, f sample
			if round%2 == 0 {
				f, s = floor.run(), c.run()
			} else {
				s, f = c.run(), floor.run()
			}
			c.samples = append(c.samples, s)
			c.floors = append(c.floors, f)
			floor.samples = append(floor.samples, f)
			floor.floors = append(floor.floors, f)
		}
	}
}

// calibrate finds how many requests take about a slice of CPU time. By wall time it
// would find too few on a machine with other load.
func (c *Case) calibrate(slice time.Duration) {
	n := 1
	for {
		start := cpuTime()
		for range n {
			c.client.Do()
		}
		took := cpuTime() - start
		if took > slice/4 || n > 1<<22 {
			c.batch = max(1, int(float64(n)*float64(slice)/float64(took)))
			return
		}
		n *= 4
	}
}

func (c *Case) run() sample {
	cpu := cpuTime()
	runtime.GC()
	collection := cpuTime() - cpu
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	cpu = cpuTime()
	start := time.Now()
	for range c.batch {
		if status := c.client.Do(); status != http.StatusOK {
			panic(fmt.Sprintf("%s, %s: status %d", c.Workload.Name, c.Variant, status))
		}
	}
	wall := time.Since(start)
	cpu = cpuTime() - cpu
	runtime.ReadMemStats(&after)
	n := float64(c.batch)
	bytes := float64(after.TotalAlloc-before.TotalAlloc) / n
	return sample{
		wall:   float64(wall) / n,
		cpu:    float64(cpu)/n + float64(collection)*bytes/HeapSize,
		allocs: float64(after.Mallocs-before.Mallocs) / n,
		bytes:  bytes,
	}
}

// cpuTime is the time that the process has spent on all cores.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// A Figure holds the medians of a case over its rounds.
type Figure struct {
	Workload     string  `json:"workload"`
	Variant      string  `json:"variant"`
	CPURatio     float64 `json:"cpuRatio"`               // of the process's CPU time to the floor's in the same round
	CPU          float64 `json:"-"`                      // µs
	TimeRatio    float64 `json:"-"`                      // of wall time, without collections
	Instructions float64 `json:"instructions,omitempty"` // zero if they were not counted
	Allocs       float64 `json:"allocs"`
	Bytes        float64 `json:"bytes"`
}

// Figures are the results of the rounds so far.
func (set Set) Figures() []Figure {
	list := make([]Figure, 0, len(set))
	for _, c := range set {
		over := func(f func(s, floor sample) float64) float64 {
			values := make([]float64, len(c.samples))
			for i := range values {
				values[i] = f(c.samples[i], c.floors[i])
			}
			return median(values)
		}
		list = append(list, Figure{
			Workload: c.Workload.Name, Variant: c.Variant,
			CPURatio:  over(func(s, floor sample) float64 { return s.cpu / floor.cpu }),
			CPU:       over(func(s, _ sample) float64 { return s.cpu / 1000 }),
			TimeRatio: over(func(s, floor sample) float64 { return s.wall / floor.wall }),
			Allocs:    over(func(s, _ sample) float64 { return s.allocs }),
			Bytes:     over(func(s, _ sample) float64 { return s.bytes }),
		})
	}
	return list
}

func median(values []float64) float64 {
	if len(values) == 0 {
		return 0
	}
	v := slices.Sorted(slices.Values(values))
	if n := len(v); n%2 == 0 {
		return (v[n/2-1] + v[n/2]) / 2
	}
	return v[len(v)/2]
}
