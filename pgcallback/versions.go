package pgcallback

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"regexp"
	"slices"
	"strings"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/callback"
	"example.com/callback/internal/cloudcode"
)

// Limits of a version. A tree that is larger is refused.
const (
	MaxFiles = 10_000
	MaxBytes = 64 << 20 // of all its files
)

// Errors of the functions that name a version or a stage.
var (
	// ErrNoVersion means that the API key has no such version.
	ErrNoVersion = callback.ErrNoVersion
	// ErrNoStage means that nothing was ever promoted to the stage.
	ErrNoStage = errors.New("callback: no such stage")
	// ErrMoved means that a stage is no longer at Change.Current.
	ErrMoved = errors.New("callback: the stage has moved")
	// ErrNothingBefore means that a stage has no version to roll back to.
	ErrNothingBefore = errors.New("callback: no version before this one")
)

// A RefusedError says why a tree cannot be a version: some of its scripts cannot
// run.
type RefusedError struct {
	// Problems are the problems that [callback.Check] found. At least one is
	// Fatal.
	Problems []callback.Problem
}

// Error names the first problem that is Fatal.
func (e *RefusedError) Error() string {
	for _, p := range e.Problems {
		if p.Fatal {
			return "callback: version refused: " + p.String()
		}
	}
	return "callback: version refused"
}

// A Version is a published tree of scripts. It is immutable.
type Version struct {
	// ID is the digest of the names and contents of the files. Equal trees have
	// the same ID on every machine.
	ID      string
	Author  string
	Message string
	Created time.Time

	// Problems is the report of [callback.Check]. None is Fatal.
	Problems []callback.Problem

	// Stages are the stages at which this version is live now, sorted.
	Stages []string
}

// A Change says who makes a change, and why.
type Change struct {
	Author  string
	Message string

	// Check says what the host adds to Spark and to the global names, for
	// [callback.Check]. Only Publish reads it.
	Check callback.CheckOptions

	// Current, if not empty, is the version that must be live at the stage. Else
	// the change fails with ErrMoved. So if two operators roll back at once, the
	// second does not go back too far. Only Promote and Rollback read it.
	Current string
}

// A Promotion is a move of a stage to a version.
type Promotion struct {
	APIKey  string
	Stage   string
	Version string
	Author  string
	Message string
	Created time.Time

	// Previous is the version to which Rollback would go from here; empty if
	// there is none.
	Previous string
}

// Publish stores the scripts of fsys as a version of the API key, without making
// it live. It leaves out other files. If [callback.Check] finds a script that
// cannot run, the error is a [*RefusedError]. Publishing a tree again returns the
// existing version.
func (db *DB) Publish(ctx context.Context, apiKey string, fsys fs.FS, change Change) (*Version, error) {
	if !isText(apiKey, change.Author, change.Message) {
		return nil, errNotText
	}
	files, err := readTree(fsys)
	if err != nil {
		return nil, fmt.Errorf("callback: publish: %w", err)
	}
	checked, err := callback.Check(files, change.Check)
	if err != nil {
		return nil, fmt.Errorf("callback: publish: %w", err)
	}
	if !checked.Run() {
		return nil, &RefusedError{checked.Problems}
	}
	report, err := json.Marshal(checked.Problems)
	if err != nil {
		return nil, fmt.Errorf("callback: publish: %w", err)
	}
	id := treeID(files)
	err = pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
		created, err := tx.Exec(ctx, db.sql(`insert into {}.version (api_key, id, author, message, report)
			values ($1, $2, $3, $4, $5) on conflict do nothing`), apiKey, id, change.Author, change.Message, string(report))
		if err != nil || created.RowsAffected() == 0 {
			return err
		}
		return db.storeFiles(ctx, tx, apiKey, id, files)
	})
	if err != nil {
		return nil, fmt.Errorf("callback: publish: %w", err)
	}
	return db.Version(ctx, apiKey, id)
}

// readTree copies the files of a version out of fsys.
func readTree(fsys fs.FS) (fstest.MapFS, error) {
	files, size := fstest.MapFS{}, 0
	err := fs.WalkDir(fsys, ".", func(name string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && name != "." && !slices.Contains(scriptFolders, name) {
			return fs.SkipDir
		}
		if !cloudcode.IsScript(name) {
			return nil
		}
		if info, err := fs.Stat(fsys, name); err != nil || !info.Mode().IsRegular() {
			return err // a symbolic link counts as its target
		}
		content, err := fs.ReadFile(fsys, name)
		if err != nil {
			return err
		}
		size += len(content)
		if len(files) == MaxFiles || size > MaxBytes {
			return fmt.Errorf("more than %d files or %d bytes", MaxFiles, MaxBytes)
		}
		files[name] = &fstest.MapFile{Data: content, Mode: 0o444}
		return nil
	})
	if err == nil && len(files) == 0 {
		err = errors.New("no scripts")
	}
	return files, err
}

var scriptFolders = []string{cloudcode.Callbacks, cloudcode.Modules, cloudcode.System}

func sortedNames(files fstest.MapFS) []string {
	names := make([]string, 0, len(files))
	for name := range files {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// treeID is the digest that names a version.
func treeID(files fstest.MapFS) string {
	h := sha256.New()
	for _, name := range sortedNames(files) {
		fmt.Fprintf(h, "%q %x\n", name, sha256.Sum256(files[name].Data))
	}
	return hex.EncodeToString(h.Sum(nil)[:16])
}

func (db *DB) storeFiles(ctx context.Context, tx pgx.Tx, apiKey, version string, files fstest.MapFS) error {
	names := sortedNames(files)
	hashes := make([][]byte, len(names))
	contents := map[string][]byte{} // by hash
	for i, name := range names {
		sum := sha256.Sum256(files[name].Data)
		hashes[i] = sum[:]
		contents[string(sum[:])] = files[name].Data
	}
	rows, err := tx.Query(ctx, db.sql("select hash from {}.file where hash = any($1)"), hashes)
	if err != nil {
		return err
	}
	known, err := pgx.CollectRows(rows, pgx.RowTo[[]byte])
	if err != nil {
		return err
	}
	for _, hash := range known {
		delete(contents, string(hash))
	}
	missing := make([]string, 0, len(contents))
	for hash := range contents {
		missing = append(missing, hash)
	}
	slices.Sort(missing) // always in the same order, so that two transactions cannot wait for each other
	missingHashes, missingContents := make([][]byte, len(missing)), make([][]byte, len(missing))
	for i, hash := range missing {
		missingHashes[i], missingContents[i] = []byte(hash), contents[hash]
	}
	_, err = tx.Exec(ctx, db.sql(`insert into {}.file (hash, content)
		select unnest($1::bytea[]), unnest($2::bytea[]) on conflict do nothing`), missingHashes, missingContents)
	if err != nil {
		return err
	}
	_, err = tx.Exec(ctx, db.sql(`insert into {}.version_file (api_key, version, name, hash)
		select $1, $2, unnest($3::text[]), unnest($4::bytea[])`), apiKey, version, names, hashes)
	return err
}

const versionColumns = `v.id, v.author, v.message, v.created, v.report,
	array(select s.name from {}.stage s where s.api_key = v.api_key and s.version = v.id order by s.name)`

func scanVersion(row pgx.CollectableRow) (Version, error) {
	var v Version
	var report string
	err := row.Scan(&v.ID, &v.Author, &v.Message, &v.Created, &report, &v.Stages)
	if err == nil {
		err = json.Unmarshal([]byte(report), &v.Problems)
	}
	return v, err
}

// Versions returns the newest versions of the API key, at most limit of them, the
// newest first.
func (db *DB) Versions(ctx context.Context, apiKey string, limit int) ([]Version, error) {
	if !isText(apiKey) {
		return nil, nil
	}
	rows, err := db.Pool.Query(ctx, db.sql(`select `+versionColumns+` from {}.version v
		where v.api_key = $1 order by v.created desc, v.id limit $2`), apiKey, limit)
	if err != nil {
		return nil, fmt.Errorf("callback: versions: %w", err)
	}
	versions, err := pgx.CollectRows(rows, scanVersion)
	if err != nil {
		return nil, fmt.Errorf("callback: versions: %w", err)
	}
	return versions, nil
}

// Version returns the version that ref names: a stage, a version's ID, or a
// unique prefix of an ID of at least four characters. The error is ErrNoVersion
// if there is none.
func (db *DB) Version(ctx context.Context, apiKey, ref string) (*Version, error) {
	return db.version(ctx, db.Pool, apiKey, ref)
}

func (db *DB) version(ctx context.Context, q Querier, apiKey, ref string) (*Version, error) {
	if !isText(apiKey, ref) {
		return nil, fmt.Errorf("%w: %q", ErrNoVersion, ref)
	}
	rows, err := q.Query(ctx, db.sql(`select `+versionColumns+` from {}.version v
		where v.api_key = $1 and v.id = coalesce(
			(select version from {}.stage where api_key = $1 and name = $2),
			(select id from {}.version where api_key = $1 and length($2) >= 4 and starts_with(id, $2) order by id limit 1))`), apiKey, ref)
	if err != nil {
		return nil, fmt.Errorf("callback: version: %w", err)
	}
	v, err := pgx.CollectExactlyOneRow(rows, scanVersion)
	if errors.Is(err, pgx.ErrNoRows) {
		return nil, fmt.Errorf("%w: %q", ErrNoVersion, ref)
	}
	if err != nil {
		return nil, fmt.Errorf("callback: version: %w", err)
	}
	if strings.HasPrefix(v.ID, ref) && v.ID != ref && !slices.Contains(v.Stages, ref) {
		var others int
		err := q.QueryRow(ctx, db.sql("select count(*) from {}.version where api_key = $1 and starts_with(id, $2)"), apiKey, ref).Scan(&others)
		if err != nil {
			return nil, fmt.Errorf("callback: version: %w", err)
		}
		if others > 1 {
			return nil, fmt.Errorf("%w: %q begins %d versions", ErrNoVersion, ref, others)
		}
	}
	return &v, nil
}

// Files returns the files of the version with this ID. The error is
// ErrNoVersion if there is none.
func (db *DB) Files(ctx context.Context, apiKey, id string) (fs.FS, error) {
	files, err := db.files(ctx, apiKey, id)
	if err != nil {
		return nil, err
	}
	return files, nil
}

func (db *DB) files(ctx context.Context, apiKey, id string) (fstest.MapFS, error) {
	if !isText(apiKey, id) {
		return nil, fmt.Errorf("%w: %q", ErrNoVersion, id)
	}
	rows, err := db.Pool.Query(ctx, db.sql(`select vf.name, f.content, v.created from {}.version v
		join {}.version_file vf on vf.api_key = v.api_key and vf.version = v.id
		join {}.file f on f.hash = vf.hash
		where v.api_key = $1 and v.id = $2`), apiKey, id)
	if err != nil {
		return nil, fmt.Errorf("callback: files: %w", err)
	}
	files := fstest.MapFS{}
	var name string
	var content []byte
	var created time.Time
	_, err = pgx.ForEachRow(rows, []any{&name, &content, &created}, func() error {
		files[name] = &fstest.MapFile{Data: bytes.Clone(content), Mode: 0o444, ModTime: created}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("callback: files: %w", err)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: %q", ErrNoVersion, id)
	}
	return files, nil
}

var stageName = regexp.MustCompile(`^[A-Za-z0-9_.-]{1,64}$`)

// IsStage reports whether a stage may have this name: 1 to 64 of A-Z a-z 0-9 _ . -
func IsStage(name string) bool { return stageName.MatchString(name) }

// Promote moves a stage of the API key to the version that ref names, as in
// Version. It creates a stage that does not exist. Each [Source] of the stage has
// the version within two seconds. The error is ErrNoVersion if there is none.
func (db *DB) Promote(ctx context.Context, apiKey, stage, ref string, change Change) (*Promotion, error) {
	return db.move(ctx, apiKey, stage, change, func(tx pgx.Tx, current position) (position, error) {
		version, err := db.version(ctx, tx, apiKey, ref)
		if err != nil {
			return position{}, err
		}
		if version.ID == current.version {
			return current, nil // nothing changes, not even the target of Rollback
		}
		return position{version: version.ID, back: current.revision}, nil
	})
}

// Rollback moves a stage of the API key to the version before its current one. A
// second Rollback goes back further. The error is ErrNothingBefore at the first
// version, and ErrNoStage if nothing was ever promoted to the stage.
func (db *DB) Rollback(ctx context.Context, apiKey, stage string, change Change) (*Promotion, error) {
	return db.move(ctx, apiKey, stage, change, func(tx pgx.Tx, current position) (before position, err error) {
		switch {
		case current.version == "":
			return before, fmt.Errorf("%w: %q", ErrNoStage, stage)
		case current.back == 0:
			return before, ErrNothingBefore
		}
		err = tx.QueryRow(ctx, db.sql("select version, coalesce(back, 0) from {}.promotion where revision = $1"), current.back).
			Scan(&before.version, &before.back)
		return before, err
	})
}

// A position is where a stage is, or goes.
type position struct {
	revision int64 // of the promotion; 0 before the first one
	version  string
	back     int64 // the revision to which Rollback goes; 0 if there is none
}

// move promotes a stage to the version of the position that choose returns.
// choose is given the current position, which is zero for a new stage.
func (db *DB) move(ctx context.Context, apiKey, stage string, change Change, choose func(tx pgx.Tx, current position) (position, error)) (*Promotion, error) {
	if !IsStage(stage) {
		return nil, fmt.Errorf("callback: stage %q: a name has 1 to 64 of A-Z a-z 0-9 _ . -", stage)
	}
	if !isText(apiKey, change.Author, change.Message) {
		return nil, errNotText
	}
	p := &Promotion{APIKey: apiKey, Stage: stage, Author: change.Author, Message: change.Message}
	err := pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
		// The row is locked until the commit, so that revisions become visible in
		// their order.
		var revision int64
		if err := tx.QueryRow(ctx, db.sql("update {}.revision set n = n + 1 returning n")).Scan(&revision); err != nil {
			return err
		}
		var current position
		err := tx.QueryRow(ctx, db.sql(`select p.revision, p.version, coalesce(p.back, 0)
			from {}.stage s join {}.promotion p using (revision) where s.api_key = $1 and s.name = $2`), apiKey, stage).
			Scan(&current.revision, &current.version, &current.back)
		if err != nil && !errors.Is(err, pgx.ErrNoRows) {
			return err
		}
		if change.Current != "" && change.Current != current.version {
			return fmt.Errorf("%w: it is at %s", ErrMoved, current.version)
		}
		next, err := choose(tx, current)
		if err != nil {
			return err
		}
		p.Version = next.version
		err = tx.QueryRow(ctx, db.sql(`insert into {}.promotion (revision, api_key, stage, version, back, author, message)
			values ($1, $2, $3, $4, nullif($5::bigint, 0), $6, $7)
			returning created, coalesce((select version from {}.promotion where revision = $5), '')`),
			revision, apiKey, stage, p.Version, next.back, p.Author, p.Message).Scan(&p.Created, &p.Previous)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(ctx, db.sql(`insert into {}.stage (api_key, name, version, revision) values ($1, $2, $3, $4)
			on conflict (api_key, name) do update set version = excluded.version, revision = excluded.revision`),
			apiKey, stage, p.Version, revision); err != nil {
			return err
		}
		_, err = tx.Exec(ctx, "select pg_notify($1, '')", db.channel())
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("callback: stage %s: %w", stage, err)
	}
	return p, nil
}

// channel is where promotions are announced.
func (db *DB) channel() string { return db.schema() + "_promoted" }

// Promotions returns the last moves of a stage of the API key, at most limit of
// them, the newest first. An empty stage means all stages.
func (db *DB) Promotions(ctx context.Context, apiKey, stage string, limit int) ([]Promotion, error) {
	if !isText(apiKey, stage) {
		return nil, nil
	}
	rows, err := db.Pool.Query(ctx, db.sql(`select p.stage, p.version, coalesce(b.version, ''), p.author, p.message, p.created
		from {}.promotion p left join {}.promotion b on b.revision = p.back
		where p.api_key = $1 and ($2 = '' or p.stage = $2) order by p.revision desc limit $3`), apiKey, stage, limit)
	if err != nil {
		return nil, fmt.Errorf("callback: promotions: %w", err)
	}
	promotions, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (Promotion, error) {
		p := Promotion{APIKey: apiKey}
		err := row.Scan(&p.Stage, &p.Version, &p.Previous, &p.Author, &p.Message, &p.Created)
		return p, err
	})
	if err != nil {
		return nil, fmt.Errorf("callback: promotions: %w", err)
	}
	return promotions, nil
}
