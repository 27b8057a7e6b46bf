// Package fair shares the places in which scripts run among the credentials that
// ask for them.
package fair

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"
)

// A Key is a credential that holds a place or waits for one.
type Key struct{ APIKey, Credential string }

// Places are places for runs, some of them in reserve.
//   - A shared place that is free goes to anybody: one credential may hold all.
//   - A place in reserve goes only to a credential that holds none. Half of them go
//     only to one that is quick, too.
//   - A place that becomes free goes to the waiting credential that holds the
//     fewest, among those to one that holds them for less time, and among those to
//     the one that has waited longest.
//
// A credential is quick that typically holds a place for at most slowAfter, and has
// for some minutes. So those that take long, however many they are, leave the others
// a place. One call that takes longer than the others, since the machine is busy,
// makes no credential slow, unless it takes four times slowAfter.
//
// Open must be called first.
type Places struct {
	once    sync.Once
	opened  time.Time
	shared  int
	reserve int

	mu      sync.Mutex
	used    int            // of both kinds
	owners  map[Key]*owner // that hold or want places, and some idle ones
	waiting int            // number of waiters of all owners
	lists   [classes]list  // of the owners that have waiters, by their class
	quickAt time.Duration  // since Open; no owner in the last list becomes quick before
}

const (
	slowAfter   = 500 * time.Millisecond
	remainsSlow = 5 * time.Minute
	never       = math.MaxInt64

	// Quick owners are in classes by the time for which they typically hold a
	// place: up to firstClass, up to four times as long, and so on.
	classes    = 4
	firstClass = 10 * time.Millisecond
)

// A Place is a place that a credential holds.
type Place struct {
	owner *owner
	since time.Duration // since Open
}

// An owner is a credential.
type owner struct {
	held      int
	typical   time.Duration // how long it usually holds a place
	quickFrom time.Duration // since Open
	waiters   []*waiter     // the first has waited longest

	in             *list // nil if it has no waiters
	previous, next *owner
}

// A list is a list of owners that have waiters. The first has waited longest.
type list struct{ first, last *owner }

// A waiter is a call that waits for a place.
type waiter struct {
	granted chan struct{} // closed when it has the place
	since   time.Duration // when it got the place
}

// maxIdle is how many credentials that neither hold nor want a place are
// remembered, so that their next call allocates nothing.
const maxIdle = 1024

// Open sets the numbers of places. Only the first call counts.
func (p *Places) Open(shared, reserve int) {
	p.once.Do(func() {
		p.opened = time.Now()
		p.shared, p.reserve = shared, max(reserve, 0)
		p.owners = map[Key]*owner{}
		p.quickAt = never
	})
}

// DefaultReserve is the number of places in reserve if the host does not set it.
func DefaultReserve(shared int) int { return max(2, shared/4) }

// TryEnter takes a place, if there is one for the credential now.
func (p *Places) TryEnter(key Key) (place Place, ok bool) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	o := p.owner(key, now)
	return Place{o, now}, p.take(o, now)
}

// Enter takes a place. If there is none, it waits until ctx is done. If as many
// calls as queue says wait already, it returns an error. The exception is the
// first waiter of a credential that holds no place: as many of these as there are
// places in reserve may wait in addition.
func (p *Places) Enter(ctx context.Context, key Key, queue int) (Place, error) {
	queue = max(queue, 0)
	now := p.now()
	p.mu.Lock()
	o := p.owner(key, now)
	if p.take(o, now) {
		p.mu.Unlock()
		return Place{o, now}, nil
	}
	newcomer := o.held == 0 && len(o.waiters) == 0
	if p.waiting >= queue && !(newcomer && p.waiting-queue < p.reserve) {
		p.mu.Unlock()
		return Place{}, fmt.Errorf("%d calls wait to run", queue)
	}
	w := &waiter{granted: make(chan struct{})}
	p.wait(o, w, now)
	p.mu.Unlock()

	select {
	case <-w.granted:
		return Place{o, w.since}, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-w.granted: // in the meantime
		p.leave(o, p.now())
	default:
		p.giveUp(o, w)
	}
	return Place{}, errors.New("no place to run in time")
}

// Restart counts the time for which the place is held from now.
func (p *Places) Restart(place *Place) { place.since = p.now() }

// Leave gives a place back.
func (p *Places) Leave(place Place) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	place.owner.note(now-place.since, now)
	p.move(place.owner, now)
	p.leave(place.owner, now)
}

// Cancel gives back a place in which nothing has run. The time for which it was
// held says nothing of the credential.
func (p *Places) Cancel(place Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(place.owner, p.now())
}

// Waiting returns the number of calls that wait for a place, and of those that
// hold one.
func (p *Places) Waiting() (waiting, used int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.waiting, p.used
}

// now is the time since Open.
func (p *Places) now() time.Duration { return time.Since(p.opened) }

// The methods below are called with p.mu held.

// owner returns the owner of a credential.
func (p *Places) owner(key Key, now time.Duration) *owner {
	o, ok := p.owners[key]
	if !ok {
		if most := maxIdle + p.shared + p.reserve + p.waiting; len(p.owners) >= most {
			p.forgetIdle(func(o *owner) bool { return o.isQuick(now) || o.quickFrom == never })
			if len(p.owners) >= most {
				p.forgetIdle(func(*owner) bool { return true })
			}
		}
		o = &owner{quickFrom: never}
		p.owners[key] = o
	}
	return o
}

func (p *Places) forgetIdle(which func(*owner) bool) {
	for key, o := range p.owners {
		if o.held == 0 && len(o.waiters) == 0 && which(o) {
			delete(p.owners, key)
		}
	}
}

// note records how long the owner has held a place.
func (o *owner) note(d, now time.Duration) {
	if o.quickFrom == never || o.isQuick(now) && o.typical > slowAfter { // new, or slow long ago
		o.typical = d
	}
	o.typical += (d - o.typical) / 4
	if o.typical > slowAfter {
		o.quickFrom = now + remainsSlow
	} else if o.quickFrom == never {
		o.quickFrom = now
	}
}

// class is the class of the owner's list. Owners that are not quick have the last
// one.
func (o *owner) class(now time.Duration) int {
	if !o.isQuick(now) {
		return classes - 1
	}
	class := 0
	for bound := firstClass; class < classes-2 && o.typical > bound; class++ {
		bound *= 4
	}
	return class
}

func (o *owner) isQuick(now time.Duration) bool { return now >= o.quickFrom }

// free reports whether there is a place for the owner.
func (p *Places) free(o *owner, now time.Duration) bool {
	switch {
	case p.used < p.shared:
		return true
	case o.held > 0:
		return false
	case !o.isQuick(now):
		return p.used < p.shared+p.reserve-p.reserve/2
	}
	return p.used < p.shared+p.reserve
}

// take gives the owner a place if there is one.
func (p *Places) take(o *owner, now time.Duration) bool {
	if !p.free(o, now) {
		return false
	}
	o.held++
	p.used++
	return true
}

func (p *Places) leave(o *owner, now time.Duration) {
	o.held--
	p.used--
	p.grant(now)
}

// grant gives free places to those who wait.
func (p *Places) grant(now time.Duration) {
	if now >= p.quickAt {
		p.moveQuick(now)
	}
	for {
		var best *owner
		for i := range p.lists {
			if o := p.lists[i].best(); best == nil || o != nil && o.held < best.held {
				best = o
			}
		}
		if best == nil || !p.take(best, now) {
			return
		}
		w := best.waiters[0]
		best.waiters[0] = nil
		best.waiters = best.waiters[1:]
		p.waiting--
		best.in.remove(best)
		if len(best.waiters) > 0 {
			p.append(best, now) // after others that hold as few
		}
		w.since = now
		close(w.granted)
	}
}

// best returns the owner in the list that holds the fewest places. The search is
// short, because only as many owners hold something as there are places.
func (l *list) best() (best *owner) {
	for o := l.first; o != nil; o = o.next {
		if best == nil || o.held < best.held {
			best = o
		}
		if best.held == 0 {
			break
		}
	}
	return best
}

// wait adds a waiter of the owner.
func (p *Places) wait(o *owner, w *waiter, now time.Duration) {
	if len(o.waiters) == 0 {
		p.append(o, now)
	}
	o.waiters = append(o.waiters, w)
	p.waiting++
}

// giveUp removes a waiter of the owner.
func (p *Places) giveUp(o *owner, w *waiter) {
	for i := range o.waiters {
		if o.waiters[i] == w {
			o.waiters = append(o.waiters[:i], o.waiters[i+1:]...)
			break
		}
	}
	p.waiting--
	if len(o.waiters) == 0 {
		o.in.remove(o)
	}
}

// move puts an owner that has waiters into the list of its class. In the list of
// another class it could keep others from a place that it may not have itself.
func (p *Places) move(o *owner, now time.Duration) {
	if o.in != nil && o.in != &p.lists[o.class(now)] {
		o.in.remove(o)
		p.append(o, now)
	}
}

// moveQuick moves the owners that have become quick in the last list.
func (p *Places) moveQuick(now time.Duration) {
	p.quickAt = never
	var next *owner
	for o := p.lists[classes-1].first; o != nil; o = next {
		next = o.next
		if o.isQuick(now) {
			p.move(o, now)
		} else {
			p.quickAt = min(p.quickAt, o.quickFrom)
		}
	}
}

// append makes the owner the last of its list.
func (p *Places) append(o *owner, now time.Duration) {
	l := &p.lists[o.class(now)]
	if l == &p.lists[classes-1] {
		p.quickAt = min(p.quickAt, o.quickFrom)
	}
	o.in, o.previous, o.next = l, l.last, nil
	if l.last != nil {
		l.last.next = o
	} else {
		l.first = o
	}
	l.last = o
}

// remove takes the owner out of the list.
func (l *list) remove(o *owner) {
	if o.previous != nil {
		o.previous.next = o.next
	} else {
		l.first = o.next
	}
	if o.next != nil {
		o.next.previous = o.previous
	} else {
		l.last = o.previous
	}
	o.in, o.previous, o.next = nil, nil, nil
}
