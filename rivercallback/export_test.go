package rivercallback

import (
	"context"
	"time"
)

// ClockJumped does what Work does when the clock has jumped.
func (q *Queue) ClockJumped(ctx context.Context, by time.Duration) error {
	return q.dialect.moveTimes(ctx, by)
}
