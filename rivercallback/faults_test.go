//go:build unix

package rivercallback_test

import (
	"context"
	"errors"
	"flag"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred/queuetest"
	"example.com/callback/internal/pgtest"
	"example.com/callback/pgcallback"
	"example.com/callback/rivercallback"
)

var (
	long  = flag.Bool("long", false, "run the long form of the fault tests")
	chaos = flag.Duration("chaos", 0, "run the fault tests with faults at random, for so long")
	seed  = flag.Uint64("seed", 1, "of the faults at random")
)

// open opens the parts of a process of a fault test. The scripts and secrets are
// in Postgres as well, if the queue is.
func open(ctx context.Context, address string) (*queuetest.Parts, error) {
	options := rivercallback.Options{Places: 8, MaxRun: 6 * time.Second}
	if !strings.HasPrefix(address, "postgres:") {
		q, err := rivercallback.OpenSQLite(ctx, address, options)
		if err != nil {
			return nil, err
		}
		return &queuetest.Parts{Queue: q, Close: func() { _ = q.Close() }}, nil
	}
	pool, err := pgxpool.New(ctx, address)
	if err != nil {
		return nil, err
	}
	db := &pgcallback.DB{Pool: pool}
	q, err := rivercallback.OpenPostgres(ctx, pool, options)
	if err == nil {
		err = db.Migrate(ctx)
	}
	if err != nil {
		pool.Close()
		return nil, err
	}
	source := &pgcallback.Source{DB: db}
	ctx, stop := context.WithCancel(ctx)
	var ended sync.WaitGroup
	ended.Go(func() { source.Run(ctx) })
	return &queuetest.Parts{
		Queue:   q,
		Source:  source,
		Secrets: &callback.SecretCache{Store: db, TTL: time.Second},
		Close: func() {
			stop()
			ended.Wait()
			pool.Close()
		},
	}, nil
}

func TestFaults(t *testing.T) {
	t.Parallel()
	if testing.Short() {
		t.Skip("takes minutes")
	}
	t.Run("SQLite", func(t *testing.T) {
		t.Parallel()
		queuetest.Faults{Address: filepath.Join(t.TempDir(), "q.db"), Long: *long, Chaos: *chaos, Seed: *seed}.Run(t)
	})
	t.Run("Postgres", func(t *testing.T) {
		t.Parallel()
		own, err := pgtest.Start()
		if errors.Is(err, pgtest.ErrMissing) {
			t.Skip(err)
		}
		require.NoError(t, err)
		defer own.Close()
		address, err := own.NewDatabase()
		require.NoError(t, err)
		pool, err := pgxpool.New(t.Context(), address)
		require.NoError(t, err)
		defer pool.Close()
		db := &pgcallback.DB{Pool: pool}
		require.NoError(t, db.Migrate(t.Context()))
		_, err = db.AddSecret(t.Context(), "E3", "event", callback.NewSecret("s"), "", pgcallback.Validity{})
		require.NoError(t, err)
		versions := map[string]string{}
		for _, name := range []string{"v1", "v2"} {
			v, err := db.Publish(t.Context(), "E3", queuetest.Scripts(name), pgcallback.Change{Message: name})
			require.NoError(t, err)
			versions[name] = v.ID
		}
		queuetest.Faults{
			Address: address,
			Server:  own,
			Fronts:  3,
			Long:    *long,
			Chaos:   *chaos,
			Seed:    *seed,
			SetVersion: func(name string) error {
				_, err := db.Promote(t.Context(), "E3", "live", versions[name], pgcallback.Change{})
				return err
			},
		}.Run(t)
	})
}
