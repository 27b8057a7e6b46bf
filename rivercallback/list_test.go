//go:build unix

package rivercallback_test

import (
	"bytes"
	"context"
	"database/sql"
	"fmt"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/rivercallback"
)

// A list of jobs with large calls reads none of the calls. The test is not
// parallel, because it counts what the process allocates.
func TestListReadsNoCalls(t *testing.T) {
	const body, jobs = 1 << 20, 8
	for name, open := range drivers {
		t.Run(name, func(t *testing.T) {
			q := open(t, rivercallback.Options{})
			for i := range jobs {
				job, err := deferred.NewJob(&callback.Call{APIKey: "E3", RunID: fmt.Sprint("run-", i), Body: bytes.Repeat([]byte("x"), body)}, 3)
				require.NoError(t, err)
				_, err = q.Enqueue(t.Context(), job)
				require.NoError(t, err)
			}
			var before, after runtime.MemStats
			runtime.ReadMemStats(&before)
			list, err := q.List(t.Context(), deferred.Queued, jobs)
			runtime.ReadMemStats(&after)
			require.NoError(t, err)
			require.Len(t, list, jobs)
			require.Less(t, after.TotalAlloc-before.TotalAlloc, uint64(body), "all of the list takes less than one body")
		})
	}
}

// Earlier versions stored nothing for lists.
func TestListOfJobsOfEarlierVersions(t *testing.T) {
	t.Parallel()
	check := func(t *testing.T, q *rivercallback.Queue) {
		list, err := q.List(t.Context(), deferred.Queued, 10)
		require.NoError(t, err)
		require.Len(t, list, 1)
		require.Equal(t, "run-1 E3 hello", list[0].ID+" "+list[0].APIKey+" "+list[0].Credential)
		require.Nil(t, list[0].Call)
	}
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		file := filepath.Join(t.TempDir(), "q.db")
		q, err := rivercallback.OpenSQLite(t.Context(), file, rivercallback.Options{})
		require.NoError(t, err)
		defer q.Close()
		_, err = q.Enqueue(t.Context(), newJob(t, "run-1"))
		require.NoError(t, err)
		db, err := sql.Open("sqlite", file)
		require.NoError(t, err)
		defer db.Close()
		_, err = db.Exec("update river_job set metadata = jsonb('{}')")
		require.NoError(t, err)
		check(t, q)
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		pool := newPool(t)
		q, err := rivercallback.OpenPostgres(t.Context(), pool, rivercallback.Options{})
		require.NoError(t, err)
		_, err = q.Enqueue(t.Context(), newJob(t, "run-1"))
		require.NoError(t, err)
		_, err = pool.Exec(context.Background(), "update callback_queue.river_job set metadata = '{}'")
		require.NoError(t, err)
		check(t, q)
	})
}
