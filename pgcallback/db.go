// Package pgcallback keeps in Postgres what the servers of one installation
// share: versions of scripts, secrets, properties, locks and claims. The
// servers themselves then hold no state, so that any number of them can serve
// the same callbacks.
//
//	db := &pgcallback.DB{Pool: pool}
//	if err := db.Migrate(ctx); err != nil { … }
//	scripts := &pgcallback.Source{DB: db}
//	go scripts.Run(ctx)
//	mux.Handle("/callback/", &callback.Handler{
//		Runner:  &callback.GojaRunner{Source: scripts},
//		Secrets: &callback.SecretCache{Store: db},
//		Members: db.Members(nil),
//	})
//
// # Names
//
// API keys, credentials, stages and other names are text without zero bytes
// and in valid UTF-8, as Postgres wants it. A look-up of any other name finds
// nothing.
package pgcallback

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"unicode/utf8"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
)

// DefaultSchema is the schema of a [DB] without a Schema.
const DefaultSchema = "callback"

// A DB is a Postgres database with the tables of this package, in a schema of
// their own. It is used by pointer. Its fields must not change once it is used;
// its methods are safe for concurrent use.
type DB struct {
	// Pool connects to the database. It is required and stays the host's,
	// which closes it. Postgres 13 or newer; a pooler between (PgBouncer) must
	// be in session mode.
	Pool *pgxpool.Pool

	// Schema is where the tables are. Empty means DefaultSchema.
	Schema string
}

// A Querier runs statements: a pool, a connection or a transaction of pgx.
type Querier interface {
	Exec(ctx context.Context, sql string, args ...any) (pgconn.CommandTag, error)
	Query(ctx context.Context, sql string, args ...any) (pgx.Rows, error)
	QueryRow(ctx context.Context, sql string, args ...any) pgx.Row
}

// ErrNewerSchema means that a newer program has migrated the schema.
var ErrNewerSchema = errors.New("the database is that of a newer program")

//go:embed migrations/*.sql
var migrations embed.FS

// Migrate creates the schema or brings it up to date. Any number of servers may
// call it at once: one does the work and the others wait. The error is
// [ErrNewerSchema] if a newer program has migrated the schema, because this
// program may not understand it.
func (db *DB) Migrate(ctx context.Context) error {
	entries, err := migrations.ReadDir("migrations")
	if err != nil {
		return err
	}
	newest := len(entries) // the files are 1.sql, 2.sql, …
	err = pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock($1)", db.lockNumber("migrate")); err != nil {
			return err
		}
		setup := "create schema if not exists {}; create table if not exists {}.migration (version int primary key, applied timestamptz not null default clock_timestamp())"
		if _, err := tx.Exec(ctx, db.sql(setup)); err != nil {
			return err
		}
		var version int
		if err := tx.QueryRow(ctx, db.sql("select coalesce(max(version), 0) from {}.migration")).Scan(&version); err != nil {
			return err
		}
		if version > newest {
			return fmt.Errorf("%w: schema %s is at version %d, this program knows up to %d", ErrNewerSchema, db.schema(), version, newest)
		}
		for version++; version <= newest; version++ {
			text, err := fs.ReadFile(migrations, "migrations/"+strconv.Itoa(version)+".sql")
			if err != nil {
				return err
			}
			if _, err := tx.Exec(ctx, db.sql(string(text))); err != nil {
				return fmt.Errorf("migration %d: %w", version, err)
			}
			if _, err := tx.Exec(ctx, db.sql("insert into {}.migration (version) values ($1)"), version); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("callback: migrate: %w", err)
	}
	return nil
}

func (db *DB) schema() string {
	if db.Schema == "" {
		return DefaultSchema
	}
	return db.Schema
}

// sql returns a statement in which {} is replaced by the schema.
func (db *DB) sql(statement string) string {
	return strings.ReplaceAll(statement, "{}", pgx.Identifier{db.schema()}.Sanitize())
}

// lockNumber returns the number of an advisory lock for a list of parts.
func (db *DB) lockNumber(parts ...string) int64 {
	h := sha256.New()
	for _, part := range append([]string{db.schema()}, parts...) {
		fmt.Fprintf(h, "%d:%s", len(part), part) // different lists give different texts
	}
	return int64(binary.BigEndian.Uint64(h.Sum(nil)))
}

// isText reports whether Postgres can store all of the strings as text.
func isText(names ...string) bool {
	for _, s := range names {
		if !utf8.ValidString(s) || strings.ContainsRune(s, 0) {
			return false
		}
	}
	return true
}

// errNotText tells a host that a name cannot be stored.
var errNotText = errors.New("callback: a name is not valid UTF-8 or holds a zero byte")
