package rivercallback

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"example.com/callback/internal/clock"
)

// clockEvery is how often Work looks whether the wall clock has jumped. River
// looks at its tables no more often, except for new jobs.
const clockEvery = 100 * time.Millisecond

// followClock keeps the queue right when the wall clock jumps, until ctx is done or
// stopped is closed. River compares the wall clock with the times that it has
// stored.
func (q *Queue) followClock(ctx context.Context, stopped <-chan struct{}, client client) {
	ticker := time.NewTicker(clockEvery)
	defer ticker.Stop()
	var watch clock.Watch
	for {
		if by := watch.Jumped(time.Now()); by != 0 {
			q.clockJumped(ctx, client, by)
		}
		select {
		case <-ctx.Done():
			return
		case <-stopped:
			return
		case <-ticker.C:
		}
	}
}

// clockJumped moves all that waits by as much as the clock has jumped, and computes
// the next times of Options.Cron anew.
func (q *Queue) clockJumped(ctx context.Context, client client, by time.Duration) {
	if q.dialect.moveTimes != nil {
		if err := q.dialect.moveTimes(ctx, by); err != nil {
			q.logger.ErrorContext(ctx, "callback: queue: the clock has jumped, and the times of jobs cannot be moved", "by", by, "error", err)
		}
	}
	if len(q.cron) == 0 {
		return
	}
	client.PeriodicJobs().Clear()
	if _, err := client.PeriodicJobs().AddManySafely(q.periodic(by)); err != nil {
		q.logger.ErrorContext(ctx, "callback: queue: the clock has jumped, and cron entries cannot be moved", "by", by, "error", err)
	}
}

// moveTimes moves the times in the tables of SQLite, which are those of this
// machine's clock, so that what is to happen in a minute happens in a minute. In
// Postgres they are those of the database's clock.
func moveTimes(ctx context.Context, db *sql.DB, by time.Duration) error {
	move := fmt.Sprintf("%+.3f seconds", by.Seconds())
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range []string{
		`update river_job set scheduled_at = datetime(scheduled_at, 'subsec', @by),
			attempted_at = datetime(attempted_at, 'subsec', @by), finalized_at = datetime(finalized_at, 'subsec', @by)`,
		"update river_leader set expires_at = datetime(expires_at, 'subsec', @by)",
		"update river_queue set updated_at = datetime(updated_at, 'subsec', @by)",
	} {
		if _, err := tx.ExecContext(ctx, statement, sql.Named("by", move)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// settleTimes prepares the tables of SQLite for this process, the only one that uses
// them. No other process leads. Jobs that could run, and jobs that were running, get
// the present time, because the clock may have gone back since.
func settleTimes(ctx context.Context, db *sql.DB) error {
	_, err := db.ExecContext(ctx, `
delete from river_leader;
update river_job set scheduled_at = datetime('now', 'subsec') where state = 'available' and scheduled_at > datetime('now', 'subsec');
update river_job set attempted_at = datetime('now', 'subsec') where state = 'running' and attempted_at > datetime('now', 'subsec');`)
	return err
}
