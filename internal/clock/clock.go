// Package clock notices jumps of the wall clock: somebody has set it, or the
// machine has slept.
package clock

import "time"

// Least is the shortest jump that is noticed. Services that keep the time right
// move the clock by less, and slowly.
const Least = 2 * time.Second

// A Watch compares the wall clock with the monotonic one. Its zero value is ready
// to use. It is not safe for concurrent use.
type Watch struct{ last time.Time }

// Jumped returns how far the wall clock has jumped since the previous call. now is
// the result of [time.Now]. Jumped is negative if the clock went back, and zero at
// the first call.
func (w *Watch) Jumped(now time.Time) time.Duration {
	last := w.last
	w.last = now
	if last.IsZero() {
		return 0
	}
	if by := now.Round(0).Sub(last.Round(0)) - now.Sub(last); by.Abs() >= Least {
		return by
	}
	return 0
}
