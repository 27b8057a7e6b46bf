// Package gate bounds how many runs compute at once.
package gate

import (
	"context"
	"errors"
	"fmt"
	"runtime"
	"sync"
	"sync/atomic"
)

// A Gate has places, each for one run that computes. To take a free place and to
// give one back takes no lock.
type Gate struct {
	once sync.Once
	free atomic.Int64  // free places; below zero, how many wait
	wake chan struct{} // hands a place to one that waits
}

// Open sets the number of places: GOMAXPROCS if places is not above zero. Only the
// first call counts.
func (g *Gate) Open(places int) {
	g.once.Do(func() {
		if places <= 0 {
			places = runtime.GOMAXPROCS(0)
		}
		g.free.Store(int64(places))
		g.wake = make(chan struct{})
	})
}

// Full reports whether there is no free place.
func (g *Gate) Full() bool { return g.free.Load() <= 0 }

// Enter takes a place. If none is free it waits until ctx is done, unless queue
// others wait already.
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
	// Stop waiting. If a Leave has already counted on this one, take the place
	// that it hands over and pass it on.
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
