//go:build unix

package rivercallback_test

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/internal/testkit"
	"example.com/callback/rivercallback"
)

func newJob(t *testing.T, id string) *deferred.Job {
	t.Helper()
	job, err := deferred.NewJob(&callback.Call{APIKey: "E3", Credential: "hello", RunID: id}, 3)
	require.NoError(t, err)
	return job
}

func TestPostgresFromManyProcesses(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	errs := make([]error, 6)
	var processes sync.WaitGroup
	for i := range errs {
		own, err := pgxpool.New(t.Context(), pool.Config().ConnString())
		require.NoError(t, err)
		defer own.Close()
		processes.Go(func() {
			q, err := rivercallback.OpenPostgres(t.Context(), own, rivercallback.Options{Schema: "another_schema"})
			if err == nil {
				_, err = q.Enqueue(t.Context(), newJob(t, fmt.Sprint("run-", i)))
			}
			errs[i] = err
		})
	}
	processes.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	q, err := rivercallback.OpenPostgres(t.Context(), pool, rivercallback.Options{Schema: "another_schema"})
	require.NoError(t, err)
	counts, err := q.Counts(t.Context())
	require.NoError(t, err)
	require.Equal(t, map[deferred.State]int{deferred.Queued: len(errs)}, counts)
}

func TestSQLiteKeepsItsJobs(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "q.db")
	q, err := rivercallback.OpenSQLite(t.Context(), file, rivercallback.Options{})
	require.NoError(t, err)
	_, err = q.Enqueue(t.Context(), newJob(t, "run-1"))
	require.NoError(t, err)
	require.NoError(t, q.Close())
	q, err = rivercallback.OpenSQLite(t.Context(), file, rivercallback.Options{})
	require.NoError(t, err)
	defer q.Close()
	s, err := q.Status(t.Context(), "run-1")
	require.NoError(t, err)
	require.Equal(t, deferred.Queued, s.State)
}

// What is to happen in an hour happens in an hour, and what is kept for a day is
// kept for a day.
func TestSQLiteMovesTimes(t *testing.T) {
	t.Parallel()
	q := openSQLite(t, rivercallback.Options{})
	later := newJob(t, "later")
	later.NotBefore = time.Now().Add(100 * time.Hour)
	for _, job := range []*deferred.Job{newJob(t, "ended"), later} {
		_, err := q.Enqueue(t.Context(), job)
		require.NoError(t, err)
	}
	calls := work(t, q)
	require.Equal(t, "ended", (<-calls).RunID)
	status := func(id string) *deferred.Status {
		s, err := q.Status(t.Context(), id)
		require.NoError(t, err)
		return s
	}
	require.Eventually(t, func() bool { return status("ended").State == deferred.Finished }, 30*time.Second, 10*time.Millisecond)
	for _, by := range []time.Duration{-48 * time.Hour, 24 * time.Hour, -time.Hour, 2500 * time.Millisecond} {
		due, ended := status("later").Due, status("ended").Ended
		require.NoError(t, q.ClockJumped(t.Context(), by))
		require.Equal(t, due.Add(by), status("later").Due)
		require.Equal(t, ended.Add(by), status("ended").Ended)
	}
}

// A time that is stored after a jump, and before the jump is noticed, is not moved.
func TestSQLiteStoresTimesAfterAJump(t *testing.T) {
	t.Parallel()
	q := openSQLite(t, rivercallback.Options{})
	status := func(id string) *deferred.Status {
		s, err := q.Status(t.Context(), id)
		require.NoError(t, err)
		return s
	}
	enqueue := func(id string, wait time.Duration) {
		job := newJob(t, id)
		if wait > 0 {
			job.NotBefore = time.Now().Add(wait)
		}
		_, err := q.Enqueue(t.Context(), job)
		require.NoError(t, err)
	}
	enqueue("before", time.Hour)
	before := status("before").Due
	q.ClockJumps(24 * time.Hour)
	enqueue("after", time.Hour)
	require.Equal(t, before.Add(24*time.Hour), status("before").Due)
	require.WithinDuration(t, time.Now().Add(time.Hour), status("after").Due, 10*time.Minute)

	enqueue("now", 0)
	require.NoError(t, q.ClockJumped(t.Context(), 24*time.Hour))
	require.False(t, status("now").Due.After(time.Now()), "it can run")
	work(t, q)
	require.Eventually(t, func() bool { return status("now").State == deferred.Finished }, 30*time.Second, 10*time.Millisecond)
	require.NoError(t, q.ClockJumped(t.Context(), 24*time.Hour))
	require.False(t, status("now").Ended.After(time.Now()), "it ended in the past")
}

// Two workers of one queue move its times once.
func TestSQLiteMovesTimesOnce(t *testing.T) {
	t.Parallel()
	q := openSQLite(t, rivercallback.Options{})
	job := newJob(t, "later")
	job.NotBefore = time.Now().Add(time.Hour)
	_, err := q.Enqueue(t.Context(), job)
	require.NoError(t, err)
	s, err := q.Status(t.Context(), "later")
	require.NoError(t, err)
	due := s.Due
	q.ClockJumps(24 * time.Hour)
	for _, id := range []string{"run-1", "run-2"} {
		work(t, q)
		work(t, q)
		_, err = q.Enqueue(t.Context(), newJob(t, id))
		require.NoError(t, err)
		require.Eventually(t, func() bool { // any of the workers may run it
			s, err := q.Status(t.Context(), id)
			return err == nil && s.State == deferred.Finished
		}, 30*time.Second, 10*time.Millisecond)
		s, err = q.Status(t.Context(), "later")
		require.NoError(t, err)
		require.Equal(t, due.Add(24*time.Hour), s.Due)
	}
}

// The process has died, and the clock has gone back before the next one starts:
// nothing waits until the clock is where it was.
func TestSQLiteAfterTheClockWentBack(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "q.db")
	q, err := rivercallback.OpenSQLite(t.Context(), file, rivercallback.Options{})
	require.NoError(t, err)
	later := newJob(t, "later")
	later.NotBefore = time.Now().Add(time.Hour)
	for _, job := range []*deferred.Job{newJob(t, "run-1"), later} {
		_, err = q.Enqueue(t.Context(), job)
		require.NoError(t, err)
	}
	require.NoError(t, q.Close())
	db, err := sql.Open("sqlite", file)
	require.NoError(t, err)
	_, err = db.ExecContext(t.Context(), `
update river_job set created_at = datetime(created_at, 'subsec', '+1 day'), scheduled_at = datetime(scheduled_at, 'subsec', '+1 day');
insert into river_leader (leader_id, elected_at, expires_at) values ('killed', datetime('now', 'subsec', '+1 day'), datetime('now', 'subsec', '+2 days'))`)
	require.NoError(t, errors.Join(err, db.Close()))

	q, err = rivercallback.OpenSQLite(t.Context(), file, rivercallback.Options{
		Cron: []rivercallback.CronEntry{{Schedule: "@every 1s", APIKey: "E3", Module: "TICK"}},
	})
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	s, err := q.Status(t.Context(), "later")
	require.NoError(t, err)
	require.WithinDuration(t, later.NotBefore, s.Due, 30*time.Minute)
	calls := work(t, q)
	seen := map[string]bool{}
	for !seen["hello"] || !seen["TICK"] {
		call := <-calls
		seen[call.Credential+call.Script] = true
	}
}

// Only this user can read the files, because they hold what senders have sent.
func TestSQLiteFilesArePrivate(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	q, err := rivercallback.OpenSQLite(t.Context(), filepath.Join(dir, "q.db"), rivercallback.Options{})
	require.NoError(t, err)
	defer q.Close()
	_, err = q.Enqueue(t.Context(), newJob(t, "run-1"))
	require.NoError(t, err)
	files, err := os.ReadDir(dir)
	require.NoError(t, err)
	names := map[string]os.FileMode{}
	for _, file := range files {
		info, err := file.Info()
		require.NoError(t, err)
		names[file.Name()] = info.Mode().Perm()
	}
	require.Equal(t, map[string]os.FileMode{"q.db": 0o600, "q.db-wal": 0o600, "q.db-shm": 0o600, "q.db.lock": 0o600}, names)
}

func TestSQLiteOfOneQueueOnly(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "q.db")
	q, err := rivercallback.OpenSQLite(t.Context(), file, rivercallback.Options{})
	require.NoError(t, err)
	_, err = rivercallback.OpenSQLite(t.Context(), file, rivercallback.Options{})
	require.ErrorIs(t, err, rivercallback.ErrInUse)
	require.EqualError(t, err, "callback: queue: in use by another process")
	_, err = q.Enqueue(t.Context(), newJob(t, "run-1"))
	require.NoError(t, err, "the first one is unharmed")
	require.NoError(t, q.Close())
	_, err = rivercallback.OpenSQLite(t.Context(), file, rivercallback.Options{Cron: []rivercallback.CronEntry{{Schedule: "nonsense"}}})
	require.Error(t, err)
	q, err = rivercallback.OpenSQLite(t.Context(), file, rivercallback.Options{})
	require.NoError(t, err, "a failure to open leaves no lock")
	require.NoError(t, q.Close())
}

func TestOpenFails(t *testing.T) {
	t.Parallel()
	_, err := rivercallback.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "no", "folder", "q.db"), rivercallback.Options{})
	require.ErrorContains(t, err, "callback: queue: ")
	pool, err := pgxpool.New(t.Context(), "postgres:///none?host="+t.TempDir())
	require.NoError(t, err)
	defer pool.Close()
	_, err = rivercallback.OpenPostgres(t.Context(), pool, rivercallback.Options{})
	require.ErrorContains(t, err, "callback: queue: ")
}

func TestLongResultIsNotKept(t *testing.T) {
	t.Parallel()
	var log testkit.Log
	q := openSQLite(t, rivercallback.Options{Logger: log.Logger()})
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- q.Work(ctx, func(_ context.Context, job *deferred.Job) deferred.Verdict {
			var result callback.Result
			if err := result.Set("a", ""); err != nil {
				return deferred.Verdict{Action: deferred.Drop, Err: err}
			}
			text, err := json.Marshal(result)
			if err != nil {
				return deferred.Verdict{Action: deferred.Drop, Err: err}
			}
			n := rivercallback.MaxResult - len(text)
			if job.ID == "long" {
				n++
			}
			err = result.Set("a", strings.Repeat("x", n))
			return deferred.Verdict{Action: deferred.Done, Result: &result, Err: err}
		})
	}()
	for _, id := range []string{"fits", "long"} {
		_, err := q.Enqueue(t.Context(), newJob(t, id))
		require.NoError(t, err)
		var s *deferred.Status
		require.Eventually(t, func() bool {
			s, err = q.Status(t.Context(), id)
			return err == nil && s.State == deferred.Finished
		}, 30*time.Second, 10*time.Millisecond)
		require.Equal(t, id == "fits", s.Result != nil, id)
	}
	cancel()
	require.NoError(t, <-ended)
	require.Contains(t, log.String(), "callback: queue: result is not kept")
}

// A run that does not end by itself is cancelled after MaxRun, and tried again.
func TestMaxRun(t *testing.T) {
	t.Parallel()
	q := openSQLite(t, rivercallback.Options{MaxRun: 100 * time.Millisecond})
	worker := &deferred.Worker{
		Queue: q,
		Runner: callback.ScriptRunnerFunc(func(ctx context.Context, _ *callback.Call) (*callback.Result, error) {
			<-ctx.Done()
			return nil, ctx.Err()
		}),
		Backoff: func(int) time.Duration { return time.Millisecond },
		Logger:  new(testkit.Log).Logger(),
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	_, err := q.Enqueue(t.Context(), newJob(t, "run-1"))
	require.NoError(t, err)
	require.Eventually(t, func() bool {
		s, err := q.Status(t.Context(), "run-1")
		return err == nil && s.State == deferred.Dead && len(s.Errors) == 3 && s.Errors[0].Err == context.DeadlineExceeded.Error()
	}, 30*time.Second, 10*time.Millisecond)
	cancel()
	require.NoError(t, <-ended)
}

func TestEnqueueWhenClosed(t *testing.T) {
	t.Parallel()
	q, err := rivercallback.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "q.db"), rivercallback.Options{})
	require.NoError(t, err)
	require.NoError(t, q.Close())
	_, err = q.Enqueue(t.Context(), newJob(t, "run-1"))
	require.ErrorContains(t, err, "callback: queue: ")
	require.False(t, errors.Is(err, deferred.ErrNoJob))
}
