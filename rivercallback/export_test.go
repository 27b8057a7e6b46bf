package rivercallback

import (
	"context"
	"time"
)

// ClockJumped does what Work does when the clock has jumped.
func (q *Queue) ClockJumped(ctx context.Context, by time.Duration) error {
	return q.dialect.moveTimes(ctx, by)
}

// ClockJumps makes the queue believe that the clock has jumped just now.
func (q *Queue) ClockJumps(by time.Duration) {
	q.jumps.mu.Lock()
	defer q.jumps.mu.Unlock()
	q.jumps.owed += by
}
