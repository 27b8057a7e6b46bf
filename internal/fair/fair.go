// Package fair shares the places in which scripts run among the credentials that
// ask for them.
package fair

import (
	"context"
	"errors"
	"fmt"
	"sync"
)

// A Key is a credential: who holds a place or waits for one.
type Key struct{ APIKey, Credential string }

// Places are places for runs, some of them in reserve.
//   - A shared place that is free goes to anybody: one credential may hold all.
//   - A place in reserve goes only to a credential that holds none.
//   - A place that becomes free goes to the waiting credential that holds the
//     fewest, and among those to the one that has waited longest.
//
// Open must be called first.
type Places struct {
	once    sync.Once
	shared  int
	reserve int

	mu      sync.Mutex
	used    int            // places, of both kinds
	owners  map[Key]*owner // those that hold or want places, and some idle ones
	waiting int            // waiters of all owners
	first   *owner         // of a list of the owners that have waiters
	last    *owner
}

// An owner is a credential.
type owner struct {
	held    int
	waiters []*waiter // the first has waited longest

	previous, next *owner // in the list, if it has waiters
}

// A waiter is a call that waits for a place.
type waiter struct{ granted chan struct{} } // closed when it has the place

// maxIdle is how many credentials that hold and want nothing are remembered, so
// that their next call allocates nothing.
const maxIdle = 1024

// Open sets the numbers of places. Only the first call counts.
func (p *Places) Open(shared, reserve int) {
	p.once.Do(func() {
		p.shared, p.reserve = shared, max(reserve, 0)
		p.owners = map[Key]*owner{}
	})
}

// DefaultReserve is how many places are in reserve unless the host says otherwise.
func DefaultReserve(shared int) int { return max(2, shared/4) }

// TryEnter takes a place if there is one for the credential now.
func (p *Places) TryEnter(key Key) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.take(p.owner(key))
}

// Enter takes a place. If there is none it waits until ctx is done. If queue others
// wait already it is an error, except for the first waiters, up to the number of
// places in reserve, of credentials that hold no place.
func (p *Places) Enter(ctx context.Context, key Key, queue int) error {
	p.mu.Lock()
	o := p.owner(key)
	if p.take(o) {
		p.mu.Unlock()
		return nil
	}
	newcomer := o.held == 0 && len(o.waiters) == 0
	if p.waiting >= queue && !(newcomer && p.waiting-queue < p.reserve) {
		p.mu.Unlock()
		return fmt.Errorf("%d calls wait to run", queue)
	}
	w := &waiter{make(chan struct{})}
	p.wait(o, w)
	p.mu.Unlock()

	select {
	case <-w.granted:
		return nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-w.granted: // in the meantime
		p.leave(o)
	default:
		p.giveUp(o, w)
	}
	return errors.New("no place to run in time")
}

// Leave gives a place back.
func (p *Places) Leave(key Key) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(p.owners[key])
}

// Waiting returns how many calls wait for a place, and how many hold one.
func (p *Places) Waiting() (waiting, used int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting, p.used
}

// The methods below are called with p.mu held.

// owner returns the owner of a credential.
func (p *Places) owner(key Key) *owner {
	o, ok := p.owners[key]
	if !ok {
		if len(p.owners) >= maxIdle+p.shared+p.reserve+p.waiting {
			p.forgetIdle()
		}
		o = new(owner)
		p.owners[key] = o
	}
	return o
}

func (p *Places) forgetIdle() {
	for key, o := range p.owners {
		if o.held == 0 && len(o.waiters) == 0 {
			delete(p.owners, key)
		}
	}
}

// free reports whether there is a place for the owner.
func (p *Places) free(o *owner) bool {
	return p.used < p.shared || o.held == 0 && p.used < p.shared+p.reserve
}

// take gives the owner a place if there is one.
func (p *Places) take(o *owner) bool {
	if !p.free(o) {
		return false
	}
	o.held++
	p.used++
	return true
}

func (p *Places) leave(o *owner) {
	o.held--
	p.used--
	p.grant()
}

// grant gives free places to those who wait.
func (p *Places) grant() {
	for {
		// Owners that hold something are no more than the places, so that the
		// search is short.
		var best *owner
		for o := p.first; o != nil; o = o.next {
			if best == nil || o.held < best.held {
				best = o
			}
			if best.held == 0 {
				break
			}
		}
		if best == nil || !p.take(best) {
			return
		}
		w := best.waiters[0]
		best.waiters[0] = nil
		best.waiters = best.waiters[1:]
		p.waiting--
		p.unlink(best)
		if len(best.waiters) > 0 {
			p.append(best) // after those that hold as few
		}
		close(w.granted)
	}
}

// wait adds a waiter to the owner's.
func (p *Places) wait(o *owner, w *waiter) {
	if len(o.waiters) == 0 {
		p.append(o)
	}
	o.waiters = append(o.waiters, w)
	p.waiting++
}

// giveUp removes a waiter from the owner's.
func (p *Places) giveUp(o *owner, w *waiter) {
	for i := range o.waiters {
		if o.waiters[i] == w {
			o.waiters = append(o.waiters[:i], o.waiters[i+1:]...)
			break
		}
	}
	p.waiting--
	if len(o.waiters) == 0 {
		p.unlink(o)
	}
}

// append makes the owner the last of the list.
func (p *Places) append(o *owner) {
	o.previous, o.next = p.last, nil
	if p.last != nil {
		p.last.next = o
	} else {
		p.first = o
	}
	p.last = o
}

// unlink takes the owner out of the list.
func (p *Places) unlink(o *owner) {
	if o.previous != nil {
		o.previous.next = o.next
	} else {
		p.first = o.next
	}
	if o.next != nil {
		o.next.previous = o.previous
	} else {
		p.last = o.previous
	}
	o.previous, o.next = nil, nil
}
