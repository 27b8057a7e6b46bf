//go:build unix

package rivercallback_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"example.com/callback/deferred/queuetest"
	"example.com/callback/internal/pgtest"
	"example.com/callback/rivercallback"
)

var server *pgtest.Server // nil if Postgres is not installed

func TestMain(m *testing.M) {
	queuetest.Main(open)
	os.Exit(run(m))
}

func run(m *testing.M) int {
	var err error
	server, err = pgtest.Start()
	if err != nil && !errors.Is(err, pgtest.ErrMissing) {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if server != nil {
		defer server.Close()
	}
	return m.Run()
}

// openSQLite returns a queue in a file of the test's own.
func openSQLite(t *testing.T, options rivercallback.Options) *rivercallback.Queue {
	t.Helper()
	q, err := rivercallback.OpenSQLite(t.Context(), filepath.Join(t.TempDir(), "a queue?.db"), options)
	require.NoError(t, err)
	t.Cleanup(func() { require.NoError(t, q.Close()) })
	return q
}

// openPostgres returns a queue in a database of the test's own.
func openPostgres(t *testing.T, options rivercallback.Options) *rivercallback.Queue {
	t.Helper()
	q, err := rivercallback.OpenPostgres(t.Context(), newPool(t), options)
	require.NoError(t, err)
	return q
}

func newPool(t testing.TB) *pgxpool.Pool {
	t.Helper()
	if server == nil {
		t.Skip(pgtest.ErrMissing)
	}
	address, err := server.NewDatabase()
	require.NoError(t, err)
	pool, err := pgxpool.New(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// drivers are the ways to open a queue, by name.
var drivers = map[string]func(*testing.T, rivercallback.Options) *rivercallback.Queue{
	"SQLite":   openSQLite,
	"Postgres": openPostgres,
}

func TestQueue(t *testing.T) {
	t.Parallel()
	for name, open := range drivers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			queuetest.Run(t, func(t *testing.T) queuetest.Queue { return open(t, rivercallback.Options{}) })
		})
	}
}
