package engine

import (
	"context"
	"iter"
	"net"
	"net/http"
	"runtime/pprof"
	"slices"
	"sync"
	"time"

	"example.com/callback/internal/deadline"
)

// A coroutine runs scripts, one after the other, in place of their callers.
// Control passes without the scheduler. On an idle machine the scheduler would
// wake a processor for each hand-over, which takes a third of the time of a small
// run.
type coroutine struct {
	resume func() (struct{}, bool)
	end    func()
	kept   bool // it can have further runs
	run    *run // the next one
	tools  tools
	tick   int // the tick in which it was parked
}

// tools are what a run needs, and its coroutine keeps for the next one.
type tools struct {
	watch deadline.Watch
	json  []byte // memory in which values become JSON; nil while one does
}

func newCoroutine(kept bool) *coroutine {
	c := &coroutine{kept: kept}
	c.resume, c.end = iter.Pull(func(yield func(struct{}) bool) {
		for {
			r := c.run
			c.run = nil
			if c.kept {
				pprof.SetGoroutineLabels(r.ctx) // in place of those of the call before
			}
			growStack(false)
			if !r.runCoroutine(yield) || !c.kept || !yield(struct{}{}) {
				return
			}
		}
	})
	return c
}

// growStack grows the stack of the goroutine to the size that most runs need. At
// this point there is almost nothing on it to copy; later each frame would cost a
// hundredth of a run. The size of the frame is enough, it need not be filled.
//
//go:noinline
func growStack(fill bool) {
	if fill {
		var frame [6 << 10]byte
		use(frame[:])
	}
}

//go:noinline
func use([]byte) {}

const (
	// maxParked is how many coroutines of a runner may be parked.
	maxParked = 32

	// parkedTick is half of the longest time for which a coroutine is parked.
	parkedTick = 25 * time.Millisecond
)

// coroutines are the parked coroutines of a runner. Making one and growing its
// stack takes a tenth of a small run. Each ends after at most two ticks without a
// run.
type coroutines struct {
	mu      sync.Mutex
	parked  []*coroutine // in the order in which they were parked
	ticking bool
	tick    int
}

// take returns a coroutine for one run.
func (p *coroutines) take(ctx context.Context) *coroutine {
	if !mayKeep(ctx) {
		return newCoroutine(false)
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if n := len(p.parked); n > 0 {
		c := p.parked[n-1]
		p.parked = p.parked[:n-1]
		return c
	}
	return newCoroutine(true)
}

// mayKeep reports whether a coroutine may outlive its call by a moment. That is
// so in an HTTP server, but not in one without a network: such servers are for
// tests, which may check that all goroutines end with them. The goroutines of a
// server are not locked to threads, so they can resume each other's coroutines.
func mayKeep(ctx context.Context) bool {
	if ctx.Value(http.ServerContextKey) == nil {
		return false
	}
	switch ctx.Value(http.LocalAddrContextKey).(type) {
	case nil, *net.TCPAddr, *net.UnixAddr:
		return true
	}
	return false
}

// park keeps a coroutine, whose run has ended, for another run.
func (p *coroutines) park(c *coroutine) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.parked) == maxParked {
		go c.end()
		return
	}
	c.tick = p.tick
	p.parked = append(p.parked, c)
	if !p.ticking {
		p.ticking = true
		time.AfterFunc(parkedTick, p.endIdle)
	}
}

// endIdle ends the coroutines that were parked before the last tick.
func (p *coroutines) endIdle() {
	p.mu.Lock()
	fresh := slices.IndexFunc(p.parked, func(c *coroutine) bool { return c.tick == p.tick })
	if fresh < 0 {
		fresh = len(p.parked)
	}
	idle := slices.Clone(p.parked[:fresh])
	p.parked = slices.Delete(p.parked, 0, fresh)
	p.tick++
	p.ticking = len(p.parked) > 0
	if p.ticking {
		time.AfterFunc(parkedTick, p.endIdle)
	}
	p.mu.Unlock()
	for _, c := range idle {
		c.end()
	}
}
