package callback

import (
	"context"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// A gate bounds how many runs compute at once. Taking a free place and giving
// one back touch no lock.
type gate struct {
	once sync.Once
	free atomic.Int64  // places, less those who wait
	wake chan struct{} // a place, for one who waits
}

// open sets the number of places; GOMAXPROCS if it is not above zero.
func (g *gate) open(places int) {
	g.once.Do(func() {
		if places <= 0 {
			places = runtime.GOMAXPROCS(0)
		}
		g.free.Store(int64(places))
		g.wake = make(chan struct{})
	})
}

func (g *gate) full() bool { return g.free.Load() <= 0 }

// enter takes a place. If there is none it waits until ctx is done, unless
// queue others do already.
func (g *gate) enter(ctx context.Context, queue int) error {
	for {
		free := g.free.Load()
		if free <= -int64(queue) {
			return fmt.Errorf("%w: %d calls wait to run", ErrOverloaded, queue)
		}
		if g.free.CompareAndSwap(free, free-1) {
			if free > 0 {
				return nil
			}
			break
		}
	}
	select {
	case <-g.wake:
		return nil
	case <-ctx.Done():
	}
	// Wait no more, unless somebody has counted on it: then take the place that
	// is on its way and pass it on.
	for {
		free := g.free.Load()
		if free >= 0 {
			<-g.wake
			g.leave()
			break
		}
		if g.free.CompareAndSwap(free, free+1) {
			break
		}
	}
	return fmt.Errorf("%w: no place to run in time", ErrOverloaded)
}

// leave gives a place back.
func (g *gate) leave() {
	if g.free.Add(1) <= 0 {
		g.wake <- struct{}{}
	}
}
