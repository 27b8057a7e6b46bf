package rivercallback

import (
	"context"
	"database/sql"
	"fmt"
	"sync"
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
		q.followJump(ctx)
		if by := watch.Jumped(time.Now()); by != 0 && len(q.cron) > 0 {
			client.PeriodicJobs().Clear()
			if _, err := client.PeriodicJobs().AddManySafely(q.periodic(by)); err != nil {
				q.logger.ErrorContext(ctx, "callback: queue: the clock has jumped, and cron entries cannot be moved", "by", by, "error", err)
			}
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

// jumps are the jumps of the clock that a queue follows.
type jumps struct {
	mu    sync.Mutex
	watch clock.Watch
	owed  time.Duration // by which stored times have not been moved yet
}

// followJump moves the stored times if the clock has jumped since the last call. It
// is also called before a time is stored, because a time of the new clock must not
// be moved.
func (q *Queue) followJump(ctx context.Context) {
	if q.dialect.moveTimes == nil {
		return
	}
	q.jumps.mu.Lock()
	defer q.jumps.mu.Unlock()
	by := q.jumps.watch.Jumped(time.Now())
	q.jumps.owed += by
	if q.jumps.owed == 0 {
		return
	}
	err := q.dialect.moveTimes(context.WithoutCancel(ctx), q.jumps.owed)
	if err == nil {
		q.jumps.owed = 0
	} else if by != 0 { // the next call tries again
		q.logger.ErrorContext(ctx, "callback: queue: the clock has jumped, and the times of jobs cannot be moved", "by", by, "error", err)
	}
}

// moveTimes moves the times in the tables of SQLite, which are those of this
// machine's clock, so that what is to happen in a minute happens in a minute. In
// Postgres they are those of the database's clock.
//
// A time of the past remains one, also if it was stored after the jump.
func moveTimes(ctx context.Context, db *sql.DB, by time.Duration) error {
	move := fmt.Sprintf("%+.3f seconds", by.Seconds())
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback()
	for _, statement := range []string{
		`update river_job set
			scheduled_at = case when state = 'available' then min(datetime(scheduled_at, 'subsec', @by), datetime('now', 'subsec'))
				else datetime(scheduled_at, 'subsec', @by) end,
			created_at = min(datetime(created_at, 'subsec', @by), datetime('now', 'subsec')),
			attempted_at = min(datetime(attempted_at, 'subsec', @by), datetime('now', 'subsec')),
			finalized_at = min(datetime(finalized_at, 'subsec', @by), datetime('now', 'subsec'))`,
		"update river_leader set expires_at = datetime(expires_at, 'subsec', @by)",
		"update river_queue set updated_at = min(datetime(updated_at, 'subsec', @by), datetime('now', 'subsec'))",
	} {
		if _, err := tx.ExecContext(ctx, statement, sql.Named("by", move)); err != nil {
			return err
		}
	}
	return tx.Commit()
}

// settleTimes prepares the tables of SQLite for this process, the only one that uses
// them. No other process leads. If the clock has gone back since they were used, by
// what the newest times in them show, all times move back with it. Jobs that could
// run, and jobs that were running, get the present time at the latest.
func settleTimes(ctx context.Context, db *sql.DB) error {
	var ahead sql.NullFloat64 // of the clock, in seconds
	err := db.QueryRowContext(ctx, `
select unixepoch(max(at), 'subsec') - unixepoch('now', 'subsec') from (
	select created_at as at from river_job where id = (select max(id) from river_job)
	union all select max(finalized_at) from river_job where finalized_at is not null
	union all select max(updated_at) from river_queue
)`).Scan(&ahead)
	if err != nil {
		return err
	}
	if by := time.Duration(ahead.Float64 * float64(time.Second)); by >= clock.Least {
		if err := moveTimes(ctx, db, -by); err != nil {
			return err
		}
	}
	_, err = db.ExecContext(ctx, `
delete from river_leader;
update river_job set scheduled_at = datetime('now', 'subsec') where state = 'available' and scheduled_at > datetime('now', 'subsec');
update river_job set attempted_at = datetime('now', 'subsec') where state = 'running' and attempted_at > datetime('now', 'subsec');`)
	return err
}
