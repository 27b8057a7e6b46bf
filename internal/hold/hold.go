// Package hold bounds the bytes that a server holds for its callers. If they become
// too many, callers that send or read slowly must go.
package hold

import (
	"container/list"
	"sync"
)

// A Budget bounds the bytes of its Holds. The zero Budget is ready to use. It is
// safe for concurrent use.
type Budget struct {
	mu     sync.Mutex
	bytes  int64
	owners map[Owner]*owned
}

// An Owner is the credential of a call.
type Owner struct{ APIKey, Credential string }

// owned are the Holds of one owner.
type owned struct {
	bytes   int64
	holds   int
	waiting list.List // of Holds that wait for their callers, the oldest first
}

// A Hold is what one call holds of a Budget. Its methods may be called by one
// goroutine at a time.
type Hold struct {
	budget *Budget
	owner  Owner

	// Below, fields belong to the mutex of the Budget.
	bytes int64
	cut   func()        // ends the wait for the caller; nil if there is none
	given bool          // up, by a cut
	in    *list.Element // of those of the owner that wait; nil if there is none
}

// New returns a Hold of no bytes. Release must be called.
func (b *Budget) New(owner Owner) *Hold {
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.owners[owner]
	if o == nil {
		if b.owners == nil {
			b.owners = map[Owner]*owned{}
		}
		o = new(owned)
		b.owners[owner] = o
	}
	o.holds++
	return &Hold{budget: b, owner: owner}
}

// Take adds n bytes to the Hold, if the Budget then has at most limit bytes. To that
// end it cuts others that wait for their callers: first the oldest of the owner that
// holds the most. It reports false if that is not enough, or the Hold was cut.
func (h *Hold) Take(n, limit int64) bool {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.given {
		return false
	}
	for b.bytes+n > limit {
		victim := b.victim(h)
		if victim == nil {
			return false
		}
		victim.cut()
		b.owners[victim.owner].remove(victim)
		b.add(victim, -victim.bytes)
		victim.given = true
	}
	b.add(h, n)
	return true
}

// Wait says that the call waits for its caller from now on. cut must end that wait
// soon, must not block, and is called at most once and never after Resume. If the
// Hold was cut before, Wait does nothing.
func (h *Hold) Wait(cut func()) {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.given || h.cut != nil {
		return
	}
	h.cut, h.in = cut, b.owners[h.owner].waiting.PushBack(h)
}

// Resume ends what Wait began. It reports false if the Hold was cut.
func (h *Hold) Resume() bool {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	if h.cut != nil {
		b.owners[h.owner].remove(h)
	}
	return !h.given
}

// Release gives back what the Hold has.
func (h *Hold) Release() {
	b := h.budget
	b.mu.Lock()
	defer b.mu.Unlock()
	o := b.owners[h.owner]
	if h.cut != nil {
		o.remove(h)
	}
	b.add(h, -h.bytes)
	if o.holds--; o.holds == 0 {
		delete(b.owners, h.owner)
	}
}

// Bytes returns how many bytes all Holds have.
func (b *Budget) Bytes() int64 {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.bytes
}

func (b *Budget) add(h *Hold, n int64) {
	h.bytes += n
	b.owners[h.owner].bytes += n
	b.bytes += n
}

// victim returns the Hold to cut for h, or nil.
func (b *Budget) victim(h *Hold) *Hold {
	var victim *Hold
	most := int64(-1)
	for _, o := range b.owners {
		oldest := o.waiting.Front()
		if oldest != nil && oldest == h.in {
			oldest = oldest.Next()
		}
		if oldest != nil && o.bytes > most {
			victim, most = oldest.Value.(*Hold), o.bytes
		}
	}
	return victim
}

func (o *owned) remove(h *Hold) {
	o.waiting.Remove(h.in)
	h.cut, h.in = nil, nil
}
