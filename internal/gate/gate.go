package gate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Gate bounds how many runs compute at once. Taking a free place and giving
// one back touch no lock.
type Gate struct {
	once sync.Once
	free atomic.Int64  // places, less those who wait
	wake chan struct{} // a place, for one who waits
}

// Open sets the number of places; GOMAXPROCS if it is not above zero.
func (g *Gate) Open(places int) {
	g.once.Do(func() {
		if places <= 0 {
			places = runtime.GOMAXPROCS(0)
		}
		g.free.Store(int64(places))
		g.wake = make(chan struct{})
	})
}

func (g *Gate) Full() bool { return g.free.Load() <= 0 }

// Enter takes a place. If there is none it waits until ctx is done, unless
// queue others do already.
func (g *Gate) Enter(ctx context.Context, queue int) error {
	for {
		free := g.free.Load()
		if free <= -int64(queue) {
			return fmt.Errorf("%d calls wait to run", queue)
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
			g.Leave()
			break
		}
		if g.free.CompareAndSwap(free, free+1) {
			break
		}
	}
	return errors.New("no place to run in time")
}

// Leave gives a place back.
func (g *Gate) Leave() {
	if g.free.Add(1) <= 0 {
		g.wake <- struct{}{}
	}
}
