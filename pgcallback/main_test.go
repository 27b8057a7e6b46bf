//go:build unix

package pgcallback_test

import (
	"errors"
	"fmt"
	"os"
	"testing"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"example.com/callback/internal/pgtest"
	"example.com/callback/pgcallback"
)

var server *pgtest.Server // nil if Postgres is not installed

func TestMain(m *testing.M) {
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

// newPool connects to a database of the test's own.
func newPool(t *testing.T) *pgxpool.Pool {
	t.Helper()
	if server == nil {
		t.Skip(pgtest.ErrMissing)
	}
	address, err := server.NewDatabase()
	require.NoError(t, err)
	return connect(t, address)
}

func connect(t *testing.T, address string) *pgxpool.Pool {
	t.Helper()
	pool, err := pgxpool.New(t.Context(), address)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	return pool
}

// newDB returns a migrated DB of the test's own.
func newDB(t *testing.T) *pgcallback.DB {
	t.Helper()
	db := &pgcallback.DB{Pool: newPool(t)}
	require.NoError(t, db.Migrate(t.Context()))
	return db
}
