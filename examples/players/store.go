package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"net/url"
	"regexp"
	"slices"

	_ "modernc.org/sqlite" // the driver
)

// Limits of one call of a script to the store.
const (
	maxResults     = 1000    // documents that find returns
	maxResultBytes = 4 << 20 // of all of them
	maxSkip        = 10000
	maxDataNames   = 100 // script data of one player
)

// pageSize is how many documents are read at a time.
const pageSize = 100

// No text of a script is ever part of an SQL statement: all of it is bound.
const schema = `
CREATE TABLE IF NOT EXISTS players (
	id           TEXT PRIMARY KEY,
	display_name TEXT NOT NULL,
	user_name    TEXT NOT NULL
) STRICT;
CREATE TABLE IF NOT EXISTS player_data (
	player TEXT NOT NULL,
	name   TEXT NOT NULL,
	value  TEXT NOT NULL,
	PRIMARY KEY (player, name)
) STRICT;
CREATE TABLE IF NOT EXISTS documents (
	seq        INTEGER PRIMARY KEY, -- order of insertion
	collection TEXT NOT NULL,
	id         TEXT NOT NULL,       -- the text of body's _id
	body       TEXT NOT NULL,
	UNIQUE (collection, id)
) STRICT;
CREATE INDEX IF NOT EXISTS documents_of_collection ON documents (collection, seq);`

// A Store keeps players and collections of JSON documents in an SQLite file. It
// is safe for concurrent use, by several processes too.
type Store struct{ db *sql.DB }

// Open opens the file, or makes it.
func Open(file string) (*Store, error) {
	// The write lock is taken when a transaction begins: one that takes it
	// later would fail if another had written since.
	dsn := url.URL{Scheme: "file", Opaque: url.PathEscape(file), RawQuery: url.Values{
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(NORMAL)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", dsn.String())
	if err != nil {
		return nil, fmt.Errorf("players: %w", err)
	}
	db.SetMaxOpenConns(1) // calls queue here, each until its deadline, and not in SQLite
	if _, err := db.Exec(schema); err != nil {
		return nil, fmt.Errorf("players: %w", errors.Join(err, db.Close()))
	}
	return &Store{db}, nil
}

// Close closes the file.
func (s *Store) Close() error { return s.db.Close() }

// A Player is what a script sees of a player.
type Player struct {
	ID          string `json:"id"`
	DisplayName string `json:"displayName"`
	UserName    string `json:"userName"`
}

// SavePlayer adds a player, or changes the names of one.
func (s *Store) SavePlayer(ctx context.Context, p Player) error {
	_, err := s.db.ExecContext(ctx, `INSERT INTO players (id, display_name, user_name) VALUES (?, ?, ?)
		ON CONFLICT (id) DO UPDATE SET display_name = excluded.display_name, user_name = excluded.user_name`,
		p.ID, p.DisplayName, p.UserName)
	return err
}

// Player returns a player, or nil.
func (s *Store) Player(ctx context.Context, id string) (*Player, error) {
	p := &Player{ID: id}
	err := s.db.QueryRowContext(ctx, `SELECT display_name, user_name FROM players WHERE id = ?`, id).
		Scan(&p.DisplayName, &p.UserName)
	if errors.Is(err, sql.ErrNoRows) {
		return nil, nil
	}
	return p, err
}

// playerData returns a value of a player's script data, or null.
func (s *Store) playerData(ctx context.Context, player, name string) (json.RawMessage, error) {
	var value string
	err := s.db.QueryRowContext(ctx, `SELECT value FROM player_data WHERE player = ? AND name = ?`, player, name).
		Scan(&value)
	if errors.Is(err, sql.ErrNoRows) {
		return json.RawMessage("null"), nil
	}
	return json.RawMessage(value), err
}

// setPlayerData sets a value of a player's script data; null removes it.
func (s *Store) setPlayerData(ctx context.Context, player, name string, value json.RawMessage) error {
	if name == "" || len(name) > 128 {
		return faultf("name must have 1 to 128 bytes")
	}
	if len(value) > maxDocument {
		return faultf("the value is over %d bytes", maxDocument)
	}
	return s.transact(ctx, func(tx *sql.Tx) error {
		if string(value) == "null" {
			_, err := tx.ExecContext(ctx, `DELETE FROM player_data WHERE player = ? AND name = ?`, player, name)
			return err
		}
		_, err := tx.ExecContext(ctx, `INSERT INTO player_data (player, name, value) VALUES (?, ?, ?)
			ON CONFLICT (player, name) DO UPDATE SET value = excluded.value`, player, name, string(value))
		if err != nil {
			return err
		}
		var names int
		err = tx.QueryRowContext(ctx, `SELECT count(*) FROM player_data WHERE player = ?`, player).Scan(&names)
		if err == nil && names > maxDataNames {
			err = faultf("a player has at most %d values", maxDataNames)
		}
		return err
	})
}

// transact does f in a transaction, which ends with an error of f's or with ctx
// as if nothing had been done.
func (s *Store) transact(ctx context.Context, f func(*sql.Tx) error) error {
	tx, err := s.db.BeginTx(ctx, nil)
	if err != nil {
		return err
	}
	defer tx.Rollback() // in vain after Commit
	if err := f(tx); err != nil {
		return err
	}
	return tx.Commit()
}

// A Collection is a named set of documents.
type Collection struct {
	store *Store
	key   string // "runtime/visits"
}

var collectionName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Collection returns a collection of a kind, "runtime" or "meta". It exists as
// soon as it has a document.
func (s *Store) Collection(kind, name string) (*Collection, error) {
	if !collectionName.MatchString(name) {
		return nil, faultf("%q is not the name of a collection", name)
	}
	return &Collection{s, kind + "/" + name}, nil
}

// row is a document with its place in the table.
type row struct {
	seq int64
	doc document
}

// each calls visit for the documents that match the query, in the order of
// their insertion, until visit returns false. visit may change the document it
// is given.
func (c *Collection) each(ctx context.Context, tx *sql.Tx, query document, visit func(row) (more bool, err error)) error {
	matches, err := compileQuery(query)
	if err != nil {
		return err
	}
	statement, args := `SELECT seq, body FROM documents WHERE collection = ? AND seq > ? ORDER BY seq LIMIT ?`, []any{c.key, 0, pageSize}
	if id, ok := idText(query["_id"]); ok {
		statement, args = `SELECT seq, body FROM documents WHERE collection = ? AND seq > ? AND id = ? LIMIT 1`, []any{c.key, 0, id}
	}
	for {
		page, err := readPage(ctx, tx, statement, args)
		if err != nil {
			return err
		}
		for _, r := range page {
			if matches(r.doc) {
				if more, err := visit(r); err != nil || !more {
					return err
				}
			}
			args[1] = r.seq
		}
		if len(page) < pageSize {
			return nil
		}
	}
}

func readPage(ctx context.Context, tx *sql.Tx, statement string, args []any) ([]row, error) {
	rows, err := tx.QueryContext(ctx, statement, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var page []row
	for rows.Next() {
		var r row
		var body []byte
		if err := rows.Scan(&r.seq, &body); err != nil {
			return nil, err
		}
		if err := json.Unmarshal(body, &r.doc); err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

// A SortKey is a field to sort by. In JSON it is ["a.b", -1].
type SortKey struct {
	path       []string
	descending bool
}

// UnmarshalJSON decodes a key.
func (k *SortKey) UnmarshalJSON(text []byte) error {
	var path string
	var direction float64
	if json.Unmarshal(text, &[]any{&path, &direction}) != nil || direction != 1 && direction != -1 {
		return faultf("sort must be an object of fields, each 1 or -1")
	}
	var err error
	k.path, err = splitPath(path)
	k.descending = direction < 0
	return err
}

func compareRows(a, b row, keys []SortKey) int {
	for _, k := range keys {
		if c := order(first(lookup(a.doc, k.path)), first(lookup(b.doc, k.path))); c != 0 {
			if k.descending {
				return -c
			}
			return c
		}
	}
	return int(a.seq - b.seq)
}

func first(values []any) any {
	if len(values) == 0 {
		return nil
	}
	return values[0]
}

// Find returns matching documents. A limit of zero means all; more than
// maxResults are an error, not a part of them that looks like all.
func (c *Collection) Find(ctx context.Context, query document, sort []SortKey, skip, limit int) ([]document, error) {
	if skip < 0 || skip > maxSkip || limit < 0 || limit > maxResults {
		return nil, faultf("skip must be 0 to %d, limit 0 to %d", maxSkip, maxResults)
	}
	wanted := skip + limit
	if limit == 0 {
		wanted = skip + maxResults + 1
	}
	var found []row
	best := func() {
		slices.SortFunc(found, func(a, b row) int { return compareRows(a, b, sort) })
		found = found[:min(len(found), wanted)]
	}
	err := c.store.transact(ctx, func(tx *sql.Tx) error {
		return c.each(ctx, tx, query, func(r row) (bool, error) {
			found = append(found, r)
			if len(sort) == 0 {
				return len(found) < wanted, nil
			}
			if len(found) >= 2*wanted+pageSize { // so few are kept of many
				best()
			}
			return true, nil
		})
	})
	if err != nil {
		return nil, err
	}
	best()
	found = found[min(skip, len(found)):]
	if len(found) > maxResults {
		return nil, faultf("more than %d documents match: use limit", maxResults)
	}
	docs, size := make([]document, len(found)), 0
	for i, r := range found {
		text, err := json.Marshal(r.doc)
		if err != nil {
			return nil, err
		}
		if size += len(text); size > maxResultBytes {
			return nil, faultf("the documents that match are over %d bytes: use limit", maxResultBytes)
		}
		docs[i] = r.doc
	}
	return docs, nil
}

// Count returns how many documents match.
func (c *Collection) Count(ctx context.Context, query document) (n int, err error) {
	err = c.store.transact(ctx, func(tx *sql.Tx) error {
		return c.each(ctx, tx, query, func(row) (bool, error) { n++; return true, nil })
	})
	return n, err
}

// Insert adds documents, all or none, and gives those without an _id one.
func (c *Collection) Insert(ctx context.Context, docs ...document) error {
	return c.store.transact(ctx, func(tx *sql.Tx) error {
		for _, doc := range docs {
			if err := c.insert(ctx, tx, doc, ""); err != nil {
				return err
			}
		}
		return nil
	})
}

// Save inserts a document, or replaces the one with its _id.
func (c *Collection) Save(ctx context.Context, doc document) error {
	return c.store.transact(ctx, func(tx *sql.Tx) error {
		return c.insert(ctx, tx, doc, ` ON CONFLICT (collection, id) DO UPDATE SET body = excluded.body`)
	})
}

func (c *Collection) insert(ctx context.Context, tx *sql.Tx, doc document, onConflict string) error {
	if doc == nil {
		return faultf("the document is not an object")
	}
	if doc["_id"] == nil {
		doc["_id"] = document{"$oid": newID()}
	}
	id, ok := idText(doc["_id"])
	if !ok {
		return faultf(`_id must be a string or {"$oid": string}`)
	}
	body, err := encode(doc)
	if err != nil {
		return err
	}
	if onConflict == "" {
		onConflict = ` ON CONFLICT (collection, id) DO NOTHING`
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO documents (collection, id, body) VALUES (?, ?, ?)`+onConflict, c.key, id, body)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		return errors.Join(err, faultf("a document with the _id %q exists", id))
	}
	return nil
}

// Update changes the first document that matches, or with multi all of them:
// read, changed and written in one transaction, so that no $inc is lost. With
// upsert, it inserts one if none matches.
func (c *Collection) Update(ctx context.Context, query, update document, upsert, multi bool) error {
	change, err := compileUpdate(update)
	if err != nil {
		return err
	}
	if multi && !hasOperators(update) {
		return faultf("with multi, update must be made of operators")
	}
	return c.store.transact(ctx, func(tx *sql.Tx) error {
		matched := false
		err := c.each(ctx, tx, query, func(r row) (bool, error) {
			matched = true
			doc, err := change(r.doc)
			if err != nil {
				return false, err
			}
			body, err := encode(doc)
			if err != nil {
				return false, err
			}
			_, err = tx.ExecContext(ctx, `UPDATE documents SET body = ? WHERE seq = ?`, body, r.seq)
			return multi, err
		})
		if err != nil || matched || !upsert {
			return err
		}
		doc, err := equalities(query)
		if err != nil {
			return err
		}
		if doc, err = change(doc); err != nil {
			return err
		}
		return c.insert(ctx, tx, doc, "")
	})
}

// Remove removes the documents that match.
func (c *Collection) Remove(ctx context.Context, query document) error {
	return c.store.transact(ctx, func(tx *sql.Tx) error {
		return c.each(ctx, tx, query, func(r row) (bool, error) {
			_, err := tx.ExecContext(ctx, `DELETE FROM documents WHERE seq = ?`, r.seq)
			return true, err
		})
	})
}

// idText returns the text of an id in either form.
func idText(v any) (string, bool) {
	id, ok := plain(v).(string)
	return id, ok && id != "" && len(id) <= 256
}

// newID returns 24 hex digits, as MongoDB's ids have.
func newID() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
