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

// CronAfterJump returns the time that runs now, which may be zero, and the next one
// of an entry that began at the time start. The clock has jumped to now by that much;
// zero is no jump.
func CronAfterJump(entry CronEntry, start, now time.Time, by time.Duration) (due, next time.Time, err error) {
	c, err := newCronJob(entry, DefaultKeep)
	if err != nil {
		return due, next, err
	}
	q := &Queue{options: Options{Keep: DefaultKeep}, cron: []*cronJob{c}}
	next = c.Next(start)
	if by != 0 {
		q.periodic(by)
		next = c.Next(now)
	}
	return c.due(now), next, nil
}
