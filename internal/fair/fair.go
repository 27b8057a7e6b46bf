// Package fair shares the places in which scripts run among the credentials that
// ask for them.
package fair

import (
	"container/list"
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
// A place is of little use without a processor. So those that compute for long
// leave processors to those that do not, as long as these call: see mayCompute.
//
// Open must be called first.
type Places struct {
	once       sync.Once
	opened     time.Time
	shared     int
	reserve    int
	processors int

	mu        sync.Mutex
	used      int                         // of both kinds
	computing [classes]int                // processors that owners of each class need, in thousandths
	lightBy   *owner                      // the last that called and computes little, or nil
	lightAt   time.Duration               // since Open; when it called
	owners    map[Key]*owner              // that hold or want places, and some idle ones
	waiting   int                         // number of waiters of all owners
	lists     [classes][classes]list.List // of owners that have waiters
	quickAt   time.Duration               // since Open; no owner in a list is less slow before
}

// A Place is a place that a credential holds.
type Place struct {
	owner    *owner
	since    time.Duration // since Open
	computes class         // when it got the place
	share    int           // of a processor that it needs, in thousandths
}

// An owner is a credential.
type owner struct {
	held     int
	holds    pace      // a place
	computes pace      // while it holds a place
	share    int       // of that time in which it needs a processor, in thousandths
	waiters  []*waiter // the first has waited longest

	list *list.List    // nil if it has no waiters
	in   *list.Element // of list
}

// A waiter is a call that waits for a place.
type waiter struct {
	granted chan struct{} // closed when it has the place
	place   Place
}

const (
	// maxIdle is how many credentials that neither hold nor want a place are
	// remembered, so that their next call allocates nothing.
	maxIdle = 1024

	// lightLasts is for how long after a call of a light credential processors are
	// left free.
	lightLasts = time.Minute

	never = math.MaxInt64
)

// Open sets the numbers of places, and of the processors on which the runs
// compute. Only the first call counts.
func (p *Places) Open(shared, reserve, processors int) {
	p.once.Do(func() {
		p.opened = time.Now()
		p.shared, p.reserve = shared, max(reserve, 0)
		p.processors = processors
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
	return p.take(p.caller(key, now), now)
}

// Enter takes a place. If there is none, it waits until ctx is done. If as many
// calls as queue says wait already, it returns an error. The exception is the
// first waiter of a credential that holds no place: as many of these as there are
// places in reserve may wait in addition.
func (p *Places) Enter(ctx context.Context, key Key, queue int) (Place, error) {
	queue = max(queue, 0)
	now := p.now()
	p.mu.Lock()
	o := p.caller(key, now)
	if place, ok := p.take(o, now); ok {
		p.mu.Unlock()
		return place, nil
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
		return w.place, nil
	case <-ctx.Done():
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	select {
	case <-w.granted: // in the meantime
		p.leave(w.place, p.now())
	default:
		p.giveUp(o, w)
	}
	return Place{}, errors.New("no place to run in time")
}

// Restart counts the time for which the place is held from now.
func (p *Places) Restart(place *Place) { place.since = p.now() }

// Held is the time for which the place is held.
func (p *Places) Held(place Place) time.Duration { return p.now() - place.since }

// Leave gives back a place in which a run has computed all the time.
func (p *Places) Leave(place Place) { p.LeaveComputed(place, math.MaxInt64, 0) }

// LeaveComputed gives back a place in which a run has computed for some of the
// time, and waited for the host for some. For the rest it has waited for a
// processor.
func (p *Places) LeaveComputed(place Place, computed, waited time.Duration) {
	now := p.now()
	p.mu.Lock()
	defer p.mu.Unlock()
	o, held := place.owner, now-place.since
	o.holds.note(held, now)
	computed = min(computed, held)
	o.noteShare(max(computed, held-waited), held, now)
	o.computes.note(computed, now)
	if o == p.lightBy && o.computes.class(now) != light {
		p.lightBy = nil // it needs no processor left free for itself
	}
	p.move(o, now)
	p.leave(place, now)
}

// Cancel gives back a place in which nothing has run. The time for which it was
// held says nothing of the credential.
func (p *Places) Cancel(place Place) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.leave(place, p.now())
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

// caller returns the owner of a credential that calls.
func (p *Places) caller(key Key, now time.Duration) *owner {
	o, ok := p.owners[key]
	if !ok {
		if most := maxIdle + p.shared + p.reserve + p.waiting; len(p.owners) >= most {
			p.forgetIdle(func(o *owner) bool { return o.holds.class(now) != slow })
			if len(p.owners) >= most {
				p.forgetIdle(func(*owner) bool { return true })
			}
		}
		o = &owner{}
		p.owners[key] = o
	}
	if o.computes.class(now) == light {
		p.lightBy, p.lightAt = o, now
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

// hasPlace reports whether there is a place for the owner.
func (p *Places) hasPlace(o *owner, now time.Duration) bool {
	switch {
	case p.used < p.shared:
		return true
	case o.held > 0:
		return false
	case !o.holds.isQuick(now):
		return p.used < p.shared+p.reserve-p.reserve/2
	}
	return p.used < p.shared+p.reserve
}

// mayCompute reports whether the owner may compute beside those that do. For a
// minute after a call of a light owner
//   - slow ones together have half of the processors, and at least one,
//   - those between light and slow have what the slow ones leave of all processors
//     but one, and at least one.
//
// One that waits for the host for some of the time needs only a share of a
// processor. One may begin while half a processor is left.
func (p *Places) mayCompute(o *owner, now time.Duration) bool {
	if p.lightBy == nil || now-p.lightAt >= lightLasts {
		return true
	}
	slower, others := p.computing[slow], p.computing[short]+p.computing[long]
	switch o.computes.class(now) {
	case slow:
		return isRoom(max(1, p.processors/2), slower)
	case short, long:
		return others == 0 || isRoom(max(1, p.processors-1), slower+others)
	}
	return true
}

// isRoom reports whether half of one of the processors is left. used is in
// thousandths.
func isRoom(processors, used int) bool { return used <= processors*whole-whole/2 }

// take gives the owner a place if there is one.
func (p *Places) take(o *owner, now time.Duration) (Place, bool) {
	if !p.hasPlace(o, now) || !p.mayCompute(o, now) {
		return Place{}, false
	}
	place := Place{o, now, o.computes.class(now), max(1, o.share)}
	o.held++
	p.used++
	p.computing[place.computes] += place.share
	return place, true
}

func (p *Places) leave(place Place, now time.Duration) {
	place.owner.held--
	p.used--
	p.computing[place.computes] -= place.share
	p.grant(now)
}

// grant gives free places to those who wait.
func (p *Places) grant(now time.Duration) {
	if now >= p.quickAt {
		p.moveQuick(now)
	}
	for p.waiting > 0 {
		best := p.best(now)
		if best == nil {
			return
		}
		w := best.waiters[0]
		w.place, _ = p.take(best, now)
		best.waiters[0] = nil
		best.waiters = best.waiters[1:]
		p.waiting--
		best.remove()
		if len(best.waiters) > 0 {
			p.append(best, now) // after others that hold as few
		}
		close(w.granted)
	}
}

// best returns the waiting owner that gets the next place, or nil. If the best
// of a list may not have one, nor may the others in the list.
func (p *Places) best(now time.Duration) (best *owner) {
	for i := range p.lists {
		for j := range p.lists[i] {
			o := fewest(&p.lists[i][j])
			if o != nil && (best == nil || o.held < best.held) && p.hasPlace(o, now) && p.mayCompute(o, now) {
				best = o
			}
		}
	}
	return best
}

// fewest returns the owner in a list that holds the fewest places, or nil. The search
// is short, because only as many owners hold something as there are places.
func fewest(l *list.List) (best *owner) {
	for e := l.Front(); e != nil; e = e.Next() {
		if o := e.Value.(*owner); best == nil || o.held < best.held {
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
		o.remove()
	}
}

// listOf is the list for an owner that has waiters.
func (p *Places) listOf(o *owner, now time.Duration) *list.List {
	return &p.lists[o.holds.class(now)][o.computes.class(now)]
}

// append adds an owner to its list.
func (p *Places) append(o *owner, now time.Duration) {
	o.list = p.listOf(o, now)
	o.in = o.list.PushBack(o)
	p.watchSlow(o, now)
}

// remove takes the owner out of its list.
func (o *owner) remove() {
	o.list.Remove(o.in)
	o.list, o.in = nil, nil
}

// watchSlow notes when an owner in a list will no longer be slow.
func (p *Places) watchSlow(o *owner, now time.Duration) {
	for _, until := range [...]time.Duration{o.holds.slowUntil, o.computes.slowUntil} {
		if now < until {
			p.quickAt = min(p.quickAt, until)
		}
	}
}

// move puts an owner that has waiters into the list of its classes. In another
// list it could keep others from a place that it may not have itself.
func (p *Places) move(o *owner, now time.Duration) {
	if o.list != nil && o.list != p.listOf(o, now) {
		o.remove()
		p.append(o, now)
	}
}

// moveQuick moves the owners that are no longer slow.
func (p *Places) moveQuick(now time.Duration) {
	p.quickAt = never
	for i := range p.lists {
		for j := range p.lists[i] {
			var next *list.Element
			for e := p.lists[i][j].Front(); e != nil; e = next {
				next = e.Next()
				o := e.Value.(*owner)
				p.watchSlow(o, now)
				p.move(o, now)
			}
		}
	}
}
