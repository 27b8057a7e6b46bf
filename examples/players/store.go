package main

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"net/url"

	_ "modernc.org/sqlite" // the driver
)

// No text of a script is ever part of an SQL statement. All of it is bound as
// parameters.
const schema = `
CREATE TABLE IF NOT EXISTS documents (
	seq        INTEGER PRIMARY KEY, -- order of insertion
	collection TEXT NOT NULL,
	id         TEXT NOT NULL,       -- see idKey
	body       TEXT NOT NULL,
	UNIQUE (collection, id)
) STRICT;
CREATE INDEX IF NOT EXISTS documents_of_collection ON documents (collection, seq);`

// A Store keeps collections of JSON documents, including the players, in an
// SQLite file. It is safe for concurrent use, even by several processes.
type Store struct{ db *sql.DB }

// Open opens the file, or creates it.
func Open(file string) (*Store, error) {
	// A transaction takes the write lock when it begins. If it took the lock
	// later, it would fail if another had written in the meantime.
	dsn := url.URL{Scheme: "file", Opaque: url.PathEscape(file), RawQuery: url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("players: %w", err)
	}
	db.SetMaxOpenConns(1) // calls wait here until their deadline, instead of in SQLite
	if _, err := db.Exec(schema); err != nil {
		return nil, fmt.Errorf("players: %w", errors.Join(err, db.Close()))
	}
	return &Store{db}, nil
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// transact calls f in a transaction. If f fails or ctx ends, the transaction has
// no effect.
func (s *Store) transact(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // has no effect after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}
