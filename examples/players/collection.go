package main

import (
	"context"
	"crypto/rand"
	"database/sql"
	"encoding/hex"
	"encoding/json"
	"errors"
	"regexp"
)

// A Collection is a named set of documents.
type Collection struct {
	store *Store
	key   string // "runtime/visits"
}

var collectionName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// Collection returns a collection of a kind: "runtime", "meta" or "system". It
// exists as soon as it has a document.
func (s *Store) Collection(kind, name string) (*Collection, error) {
	if !collectionName.MatchString(name) {
		return nil, faultf("%q is not the name of a collection", name)
	}
	return &Collection{s, kind + "/" + name}, nil
}

// row is a document with its place in the table.
type row struct {
	seq  int64
	size int // of the JSON
	doc  document
}

// pageSize is the number of documents that are read at once.
const pageSize = 50

// each calls visit for the matching documents in the order of their insertion,
// until visit returns false. visit may change its document. Between two documents
// each checks whether the call has ended.
func (c *Collection) each(ctx context.Context, tx *sql.Tx, q *query, visit func(row) (more bool, err error)) error {
	statement, args := `SELECT seq, body FROM documents WHERE collection = ? AND seq > ? ORDER BY seq LIMIT ?`, []any{c.key, 0, pageSize}
	if key, ok := idKey(q.text["_id"]); ok {
		statement, args = `SELECT seq, body FROM documents WHERE collection = ? AND seq > ? AND id = ? LIMIT 1`, []any{c.key, 0, key}
	}
	for {
		page, err := readPage(ctx, tx, statement, args)
		if err != nil {
			return err
		}
		for _, r := range page {
			if err := ctx.Err(); err != nil {
				return err
			}
			var s search
			matches := q.matches(&s, r.doc)
			if err := s.err(); err != nil {
				return err
			}
			if matches {
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
		r.size = len(body)
		if err := json.Unmarshal(body, &r.doc); err != nil {
			return nil, err
		}
		page = append(page, r)
	}
	return page, rows.Err()
}

// Find returns the matching documents. If there are too many, it returns an error
// instead of an incomplete list.
func (c *Collection) Find(ctx context.Context, text document, choice Choice) ([]document, error) {
	q, err := compileQuery(text)
	if err != nil {
		return nil, err
	}
	found, err := choice.compile()
	if err != nil {
		return nil, err
	}
	err = c.store.transact(ctx, func(tx *sql.Tx) error { return c.each(ctx, tx, q, found.add) })
	if err != nil {
		return nil, err
	}
	return found.documents()
}

// Count returns the number of matching documents.
func (c *Collection) Count(ctx context.Context, text document) (n int, err error) {
	q, err := compileQuery(text)
	if err != nil {
		return 0, err
	}
	err = c.store.transact(ctx, func(tx *sql.Tx) error {
		return c.each(ctx, tx, q, func(row) (bool, error) { n++; return true, nil })
	})
	return n, err
}

// Distinct returns the different values of a field in the matching documents, in
// the order of their first appearance. An array counts as its elements.
func (c *Collection) Distinct(ctx context.Context, key string, text document) ([]any, error) {
	path, err := splitPath(key)
	if err != nil {
		return nil, err
	}
	q, err := compileQuery(text)
	if err != nil {
		return nil, err
	}
	seen, values := map[string]bool{}, []any{}
	add := func(v any) error {
		text, err := json.Marshal(plain(v))
		if err != nil || seen[string(text)] {
			return err
		}
		if len(values) == maxResults {
			return faultf("there are more than %d values", maxResults)
		}
		seen[string(text)] = true
		values = append(values, v)
		return nil
	}
	err = c.store.transact(ctx, func(tx *sql.Tx) error {
		return c.each(ctx, tx, q, func(r row) (bool, error) {
			var s search
			for _, v := range s.lookup(r.doc, path) {
				items, ok := v.([]any)
				if !ok {
					items = []any{v}
				}
				for _, item := range items {
					if err := add(item); err != nil {
						return false, err
					}
				}
			}
			return true, s.err()
		})
	})
	return values, err
}

// Insert adds all documents or none. It gives an _id to those without one.
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
	key, ok := idKey(doc["_id"])
	if !ok {
		return faultf("_id must be a value of up to %d bytes, and not an array", maxKey)
	}
	body, err := encode(doc)
	if err != nil {
		return err
	}
	if onConflict == "" {
		onConflict = ` ON CONFLICT (collection, id) DO NOTHING`
	}
	result, err := tx.ExecContext(ctx, `INSERT INTO documents (collection, id, body) VALUES (?, ?, ?)`+onConflict, c.key, key, body)
	if err != nil {
		return err
	}
	if n, err := result.RowsAffected(); err != nil || n == 0 {
		id, _ := json.Marshal(plain(doc["_id"]))
		return errors.Join(err, faultf("a document with the _id %s exists", id))
	}
	return nil
}

func write(ctx context.Context, tx *sql.Tx, r row) error {
	body, err := encode(r.doc)
	if err != nil {
		return err
	}
	_, err = tx.ExecContext(ctx, `UPDATE documents SET body = ? WHERE seq = ?`, body, r.seq)
	return err
}

// Update changes the first matching document, or all of them if multi is set. It
// reads, changes and writes in one transaction, so that no $inc is lost. If
// upsert is set and none matches, it inserts one.
func (c *Collection) Update(ctx context.Context, text, change document, upsert, multi bool) error {
	q, u, err := compileBoth(text, change)
	if err != nil {
		return err
	}
	if multi && u.replacement != nil {
		return faultf("with multi, update must be made of operators")
	}
	return c.store.transact(ctx, func(tx *sql.Tx) error {
		matched := false
		err := c.each(ctx, tx, q, func(r row) (bool, error) {
			matched = true
			if r.doc, err = u.apply(r.doc, q, false); err != nil {
				return false, err
			}
			return multi, write(ctx, tx, r)
		})
		if err != nil || matched || !upsert {
			return err
		}
		_, err = c.upsert(ctx, tx, q, u)
		return err
	})
}

func compileBoth(text, change document) (*query, *update, error) {
	if text == nil || change == nil {
		return nil, nil, faultf("query and update must be objects")
	}
	q, err := compileQuery(text)
	if err != nil {
		return nil, nil, err
	}
	u, err := compileUpdate(change)
	return q, u, err
}

// upsert inserts the document that the update makes from the fields that the
// query compares for equality.
func (c *Collection) upsert(ctx context.Context, tx *sql.Tx, q *query, u *update) (document, error) {
	doc, err := equalities(q.text)
	if err != nil {
		return nil, err
	}
	if doc, err = u.apply(doc, q, true); err != nil {
		return nil, err
	}
	return doc, c.insert(ctx, tx, doc, "")
}

// A Modification is the argument of [Collection.FindAndModify].
type Modification struct {
	Fields document  `json:"fields"` // of the document that is returned
	Sort   []SortKey `json:"sort"`   // order of the matching documents, of which the first is changed
	Remove bool      `json:"remove"`
	Update document  `json:"update"` // required unless Remove is set
	New    bool      `json:"new"`    // return the document after the change
	Upsert bool      `json:"upsert"`
}

// FindAndModify changes or removes one document in one transaction. It returns
// the document from before, or nil.
func (c *Collection) FindAndModify(ctx context.Context, text document, m Modification) (document, error) {
	if m.Remove {
		if m.Update != nil {
			return nil, faultf("a document is removed or updated, not both")
		}
		m.Update = document{}
	}
	q, u, err := compileBoth(text, m.Update)
	if err != nil {
		return nil, err
	}
	found, err := Choice{Fields: m.Fields, Sort: m.Sort, Limit: 1}.compile()
	if err != nil {
		return nil, err
	}
	var result document
	err = c.store.transact(ctx, func(tx *sql.Tx) error {
		if err := c.each(ctx, tx, q, found.add); err != nil {
			return err
		}
		found.trim()
		switch {
		case len(found.rows) == 0 && m.Upsert && !m.Remove:
			doc, err := c.upsert(ctx, tx, q, u)
			if m.New {
				result = doc
			}
			return err
		case len(found.rows) == 0:
			return nil
		}
		r := found.rows[0].row
		result = clone(r.doc).(document)
		if m.Remove {
			_, err := tx.ExecContext(ctx, `DELETE FROM documents WHERE seq = ?`, r.seq)
			return err
		}
		var err error
		if r.doc, err = u.apply(r.doc, q, false); err != nil {
			return err
		}
		if m.New {
			result = r.doc
		}
		return write(ctx, tx, r)
	})
	if err != nil || result == nil {
		return nil, err
	}
	return found.fields.of(result), nil
}

// Apply updates the fields in which changed differs from old, the document as the
// script has read it. Other fields keep what others have written since. If old is
// nil, it inserts changed.
func (c *Collection) Apply(ctx context.Context, old, changed document) error {
	if changed == nil {
		return faultf("the new document must be an object")
	}
	if old == nil {
		return c.Insert(ctx, changed)
	}
	if old["_id"] == nil {
		return faultf("the old document has no _id")
	}
	sets, unsets := document{}, document{}
	for name, v := range changed {
		if before, ok := old[name]; name != "_id" && !(ok && equal(before, v)) {
			sets[name] = v
		}
	}
	for name := range old {
		if _, ok := changed[name]; name != "_id" && !ok {
			unsets[name] = true
		}
	}
	return c.Update(ctx, document{"_id": old["_id"]}, document{"$set": sets, "$unset": unsets}, false, false)
}

// Remove removes the matching documents.
func (c *Collection) Remove(ctx context.Context, text document) error {
	if text == nil {
		return faultf("query must be an object")
	}
	q, err := compileQuery(text)
	if err != nil {
		return err
	}
	return c.store.transact(ctx, func(tx *sql.Tx) error {
		return c.each(ctx, tx, q, func(r row) (bool, error) {
			_, err := tx.ExecContext(ctx, `DELETE FROM documents WHERE seq = ?`, r.seq)
			return true, err
		})
	})
}

// Drop removes all documents and indexes.
func (c *Collection) Drop(ctx context.Context) error {
	_, err := c.store.db.ExecContext(ctx, `DELETE FROM documents WHERE collection IN (?, ?)`, c.key, c.indexes().key)
	return err
}

// newID returns 24 hex digits, like an id of MongoDB.
func newID() string {
	var b [12]byte
	rand.Read(b[:])
	return hex.EncodeToString(b[:])
}
