package bench

import (
	"bytes"
	"fmt"
	"net/http"
	"runtime"
	"runtime/pprof"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/google/pprof/profile"
)

// Requests that run W1 in parallel wait for a core, not for a lock that all
// requests share.
func TestContention(t *testing.T) {
	if testing.Short() {
		t.Skip("measures")
	}
	const procs, clients, lasts = 4, 16, 2 * time.Second
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(procs))
	w := w1()
	h := newHandler(t, w.Files)
	w.NewClient(h).Do() // compiles
	defer runtime.SetMutexProfileFraction(runtime.SetMutexProfileFraction(1))
	runtime.SetBlockProfileRate(1)
	defer runtime.SetBlockProfileRate(0)

	var group sync.WaitGroup
	var requests [clients]int
	end := time.Now().Add(lasts)
	for i := range clients {
		group.Go(func() {
			c := w.NewClient(h)
			for time.Now().Before(end) {
				if status := c.Do(); status != http.StatusOK {
					t.Errorf("status %d", status)
					return
				}
				requests[i]++
			}
		})
	}
	group.Wait()
	total := 0
	for _, n := range requests {
		total += n
	}
	t.Logf("%d requests by %d clients on %d procs in %v", total, clients, procs, lasts)

	// The mutex profile lists the waits under the function that held the lock.
	mutex := waits(t, "mutex")
	for _, s := range top(mutex, 10) {
		t.Logf("mutex: %s", s)
	}
	for _, s := range top(waits(t, "block"), 10) {
		t.Logf("block: %s", s)
	}
	var waited time.Duration
	for _, s := range mutex {
		if s.library {
			waited += s.delay
		}
	}
	share := float64(waited) / float64(lasts*clients)
	t.Logf("waits for locks under the Handler: %v, %.2f %% of the clients' time", waited, share*100)
	if share > 0.02 {
		t.Errorf("clients wait for locks for %.1f %% of their time", share*100)
	}
}

// A wait is the time that goroutines waited at one place.
type wait struct {
	where   string
	count   int64
	delay   time.Duration
	library bool // ServeHTTP, or a goroutine of the library's, is on the stack
}

func (w wait) String() string {
	return fmt.Sprintf("%9v in %7d waits at %s", w.delay.Round(10*time.Microsecond), w.count, w.where)
}

func waits(t *testing.T, name string) []wait {
	var buf bytes.Buffer
	if err := pprof.Lookup(name).WriteTo(&buf, 0); err != nil {
		t.Fatal(err)
	}
	p, err := profile.Parse(&buf)
	if err != nil {
		t.Fatal(err)
	}
	byPlace := map[string]*wait{}
	for _, sample := range p.Sample {
		var frames []string
		library := false
		for _, location := range sample.Location {
			for _, line := range location.Line {
				frame := line.Function.Name
				library = library || strings.Contains(frame, "example.com/callback.")
				if len(frames) < 5 {
					frames = append(frames, frame[strings.LastIndexByte(frame, '/')+1:])
				}
			}
		}
		where := strings.Join(frames, " < ")
		s := byPlace[where]
		if s == nil {
			s = &wait{where: where, library: library}
			byPlace[where] = s
		}
		s.count += sample.Value[0]
		s.delay += time.Duration(sample.Value[1])
	}
	var list []wait
	for _, s := range byPlace {
		list = append(list, *s)
	}
	return list
}

func top(list []wait, n int) []wait {
	slices.SortFunc(list, func(a, b wait) int { return int(b.delay - a.delay) })
	return list[:min(n, len(list))]
}
