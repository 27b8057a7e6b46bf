package fair

import "time"

const (
	slowAfter   = 500 * time.Millisecond
	remainsSlow = 5 * time.Minute
)

// A class says how long the calls of a credential typically take. Credentials of a
// lower class are served first.
type class int

const (
	light   class = iota // at most lightUpTo
	unknown              // so that the first call is served soon
	short                // at most shortUpTo
	long                 // at most slowAfter
	slow                 // longer, or longer in the last minutes
	classes
)

const (
	lightUpTo = 10 * time.Millisecond
	shortUpTo = 4 * lightUpTo
)

// A pace is how long the calls of a credential typically take.
type pace struct {
	known     bool
	typical   time.Duration
	slowUntil time.Duration // since Open
}

// note records that a call has taken d.
func (p *pace) note(d, now time.Duration) {
	if p.class(now) == unknown {
		p.known, p.typical = true, d
	}
	p.typical += (d - p.typical) / 4
	if p.typical > slowAfter {
		p.slowUntil = now + remainsSlow
	}
}

func (p *pace) class(now time.Duration) class {
	switch {
	case now < p.slowUntil:
		return slow
	case !p.known || p.typical > slowAfter: // slow long ago
		return unknown
	case p.typical <= lightUpTo:
		return light
	case p.typical <= shortUpTo:
		return short
	}
	return long
}

func (p *pace) isQuick(now time.Duration) bool {
	c := p.class(now)
	return c != unknown && c != slow
}

// whole is a whole processor, in thousandths.
const whole = 1000

// noteShare records for how much of the time a call has needed a processor. It is
// called before the pace is noted.
func (o *owner) noteShare(needed, held, now time.Duration) {
	share := whole
	if held > 0 {
		share = int(float64(needed) / float64(held) * whole)
	}
	if o.computes.class(now) == unknown {
		o.share = share
	}
	o.share += (share - o.share) / 4
}
