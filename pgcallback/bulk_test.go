//go:build unix

package pgcallback_test

import (
	"context"
	"encoding/json"
	"fmt"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/pgcallback"
)

// A tripCounter counts the statements and batches that are sent.
type tripCounter struct{ n atomic.Int64 }

func (c *tripCounter) TraceQueryStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceQueryStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (c *tripCounter) TraceQueryEnd(context.Context, *pgx.Conn, pgx.TraceQueryEndData) {}

func (c *tripCounter) TraceBatchStart(ctx context.Context, _ *pgx.Conn, _ pgx.TraceBatchStartData) context.Context {
	c.n.Add(1)
	return ctx
}
func (c *tripCounter) TraceBatchQuery(context.Context, *pgx.Conn, pgx.TraceBatchQueryData) {}
func (c *tripCounter) TraceBatchEnd(context.Context, *pgx.Conn, pgx.TraceBatchEndData)     {}

// The number of round trips of a change does not depend on its size, so that a
// distant database is no hindrance.
func TestRoundTripsOfLargeChanges(t *testing.T) {
	t.Parallel()
	config := newDB(t).Pool.Config()
	trips := &tripCounter{}
	config.ConnConfig.Tracer = trips
	pool, err := pgxpool.NewWithConfig(t.Context(), config)
	require.NoError(t, err)
	t.Cleanup(pool.Close)
	db := &pgcallback.DB{Pool: pool}

	const n = 100
	files := fstest.MapFS{}
	var properties []pgcallback.Property
	var secrets []pgcallback.CredentialSecret
	for i := range n {
		name := fmt.Sprint("N", i)
		files["modules/"+name+".js"] = &fstest.MapFile{Data: []byte(name)}
		properties = append(properties, pgcallback.Property{APIKey: "E3", Name: name, Value: json.RawMessage("1")})
		secrets = append(secrets, pgcallback.CredentialSecret{APIKey: "E3", Credential: name, Secret: callback.NewSecret(name)})
	}
	version, err := db.Publish(t.Context(), "E3", files, pgcallback.Change{})
	require.NoError(t, err)
	require.NoError(t, db.SetProperties(t.Context(), properties...))
	require.NoError(t, db.LoadSecrets(t.Context(), secrets...))
	require.Less(t, trips.n.Load(), int64(n/2))

	stored, err := db.Files(t.Context(), "E3", version.ID)
	require.NoError(t, err)
	require.NoError(t, fstest.TestFS(stored, "modules/N0.js", "modules/N99.js"))
	list, err := db.Properties(t.Context(), "E3")
	require.NoError(t, err)
	require.Len(t, list, n)
	infos, err := db.ListSecrets(t.Context(), "E3")
	require.NoError(t, err)
	require.Len(t, infos, n)
}

// Of two properties of one name the last one is stored, in whatever order the
// statements are.
func TestSetPropertyTwice(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	require.NoError(t, db.SetProperties(t.Context(),
		pgcallback.Property{APIKey: "E3", Name: "b", Value: json.RawMessage("1")},
		pgcallback.Property{APIKey: "E3", Name: "a", Value: json.RawMessage("1")},
		pgcallback.Property{APIKey: "E3", Name: "b"},
		pgcallback.Property{APIKey: "E3", Name: "a", Value: json.RawMessage("2")},
	))
	list, err := db.Properties(t.Context(), "E3")
	require.NoError(t, err)
	require.Equal(t, []pgcallback.Property{{APIKey: "E3", Name: "a", Value: json.RawMessage("2"), Sets: []string{}}}, list)
}

func TestTooManyProperties(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	properties := make([]pgcallback.Property, pgcallback.MaxProperties)
	for i := range properties {
		properties[i] = pgcallback.Property{APIKey: "E3", Name: fmt.Sprint(i), Value: json.RawMessage("1")}
	}
	require.NoError(t, db.SetProperties(t.Context(), properties...))
	one := pgcallback.Property{APIKey: "E3", Name: "one", Value: json.RawMessage("1")}
	require.ErrorContains(t, db.SetProperties(t.Context(), one), "more than 10000 properties")
	one.APIKey = "E4"
	require.NoError(t, db.SetProperties(t.Context(), one))
}
