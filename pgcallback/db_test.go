//go:build unix

package pgcallback_test

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/pgcallback"
)

func TestMigrateFromManyServers(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	errs := make([]error, 8)
	var servers sync.WaitGroup
	for i := range errs {
		servers.Go(func() {
			db := &pgcallback.DB{Pool: connect(t, pool.Config().ConnString())}
			errs[i] = db.Migrate(t.Context())
		})
	}
	servers.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
	var applied int
	require.NoError(t, pool.QueryRow(t.Context(), "select count(*) from callback.migration").Scan(&applied))
	require.Equal(t, 3, applied)
}

func TestMigrateRefusesNewerSchema(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	_, err := db.Pool.Exec(t.Context(), "insert into callback.migration (version) values (1000)")
	require.NoError(t, err)
	err = db.Migrate(t.Context())
	require.ErrorIs(t, err, pgcallback.ErrNewerSchema)
	require.EqualError(t, err, "callback: migrate: the database is that of a newer program: schema callback is at version 1000, this program knows up to 3")
}

func TestSchemasAreApart(t *testing.T) {
	t.Parallel()
	pool := newPool(t)
	one := &pgcallback.DB{Pool: pool, Schema: "one"}
	two := &pgcallback.DB{Pool: pool, Schema: `tw"o; drop schema one`}
	for _, db := range []*pgcallback.DB{one, two} {
		require.NoError(t, db.Migrate(t.Context()))
		require.NoError(t, db.Migrate(t.Context()), "again")
	}
	_, err := one.Publish(t.Context(), "E3", scripts("Spark.getData()"), pgcallback.Change{})
	require.NoError(t, err)
	versions, err := two.Versions(t.Context(), "E3", 10)
	require.NoError(t, err)
	require.Empty(t, versions)
}
