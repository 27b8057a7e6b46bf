// Package rivercallback is a [deferred.Queue] over River, a job queue that keeps
// its jobs in a SQL database: in one file of SQLite, for one process, or in
// Postgres, for any number of fronts and workers.
//
// River does the queueing, locking, retrying and scheduling. This package maps
// jobs and verdicts to it:
//
//   - A job is unique by its Key as long as River keeps it: a finished one for
//     Options.Keep, a dead one until an operator drops it.
//   - A worker that dies is noticed when its jobs have run for longer than
//     Options.MaxRun and ten seconds; one of the workers looks every 30 seconds.
//   - A job that is scheduled for later, or is retried after more than five
//     seconds, may begin up to five seconds late.
package rivercallback

import (
	"cmp"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/riverdriver/riversqlite"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/riverqueue/river/rivertype"
	_ "modernc.org/sqlite" // the driver "sqlite"

	"example.com/callback"
	"example.com/callback/deferred"
)

// Defaults of the fields of [Options].
const (
	DefaultSchema = "callback_queue"
	DefaultPlaces = 16
	DefaultMaxRun = 30 * time.Second
	DefaultKeep   = 24 * time.Hour
)

// Options configure a [Queue]. The zero value is ready to use.
type Options struct {
	// Schema is the schema of River's tables in Postgres: a name of letters,
	// digits and underscores. Empty means DefaultSchema. SQLite has no schemas.
	Schema string

	// Places is the number of jobs that one Work runs at once. Zero means
	// DefaultPlaces.
	Places int

	// MaxRun bounds a run, which is cancelled after that time. It must be longer
	// than the Timeout of the Handler that runs the calls. Zero means
	// DefaultMaxRun.
	MaxRun time.Duration

	// Keep is how long a finished job is kept. For that time its result can be
	// read and its Key refuses duplicates. Zero means DefaultKeep.
	Keep time.Duration

	// Cron are modules that run at set times. All workers of a queue should have
	// the same.
	Cron []CronEntry

	// Source gives the version for a run of Cron: the one that is live at its
	// time. nil means the one that is live at each attempt.
	Source callback.ScriptSource

	// Logger takes what goes wrong. nil means [slog.Default].
	Logger *slog.Logger
}

// A Queue is a [deferred.Queue] and a [deferred.Operator] over River. Its
// methods are safe for concurrent use.
type Queue struct {
	options Options
	logger  *slog.Logger
	cron    []*cronJob
	client  client // for all methods except Work
	connect func(*river.Config) (client, error)
	dialect dialect
	jumps   jumps
	close   func() error
}

// A dialect is what differs between the databases, outside of River.
type dialect struct {
	// query calls row for each row of a result.
	query func(ctx context.Context, row func(scan func(...any) error) error, query string, args ...any) error

	table     string // River's jobs
	byArg     string // condition on an argument: %[1]s is its name, and that of the parameter
	parameter string // the first one of a query
	live      string // note.Live
	listed    string // metadata.Listed, or the whole job if it was stored without that
	errors    string // the errors as an array of JSON

	// moveTimes moves all stored times after a jump of the clock. It is nil if
	// they are not this machine's.
	moveTimes func(ctx context.Context, by time.Duration) error
}

var (
	_ deferred.Queue    = (*Queue)(nil)
	_ deferred.Operator = (*Queue)(nil)
)

// A client is the part of a [river.Client] that does not depend on the type of
// its transactions.
type client interface {
	Insert(ctx context.Context, args river.JobArgs, opts *river.InsertOpts) (*rivertype.JobInsertResult, error)
	JobDelete(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobList(ctx context.Context, params *river.JobListParams) (*river.JobListResult, error)
	JobRetry(ctx context.Context, id int64) (*rivertype.JobRow, error)
	JobUpdate(ctx context.Context, id int64, params *river.JobUpdateParams) (*rivertype.JobRow, error)
	PeriodicJobs() *river.PeriodicJobBundle
	Start(ctx context.Context) error
	Stop(ctx context.Context) error
	StopAndCancel(ctx context.Context) error
	Stopped() <-chan struct{}
}

// open completes q with a driver of River.
func open[TTx any](ctx context.Context, q *Queue, driver riverdriver.Driver[TTx], schema string) error {
	q.options.Places = cmp.Or(q.options.Places, DefaultPlaces)
	q.options.MaxRun = cmp.Or(q.options.MaxRun, DefaultMaxRun)
	q.options.Keep = cmp.Or(q.options.Keep, DefaultKeep)
	q.options.Schema = schema
	q.logger = cmp.Or(q.options.Logger, slog.Default())
	for _, entry := range q.options.Cron {
		job, err := newCronJob(entry, q.options.Keep)
		if err != nil {
			return err
		}
		q.cron = append(q.cron, job)
	}
	migrator, err := rivermigrate.New(driver, &rivermigrate.Config{Schema: schema, Logger: q.riverLogger()})
	if err != nil {
		return err
	}
	if _, err := migrator.Migrate(ctx, rivermigrate.DirectionUp, nil); err != nil {
		return fmt.Errorf("migrate: %w", err)
	}
	q.connect = func(config *river.Config) (client, error) { return river.NewClient(driver, config) }
	q.client, err = q.connect(&river.Config{Schema: schema, Logger: q.riverLogger()})
	return err
}

// riverLogger is River's logger. It drops records below the level of a warning,
// because the Worker reports them itself.
func (q *Queue) riverLogger() *slog.Logger { return slog.New(warnings{q.logger.Handler()}) }

// ErrInUse means that the file of a queue is open already.
var ErrInUse = errors.New("in use by another process")

// OpenSQLite opens a queue in a file, and creates the file if necessary,
// readable by this user only. All fronts and workers of the file must share one
// Queue. On Unix, the error for a file that is open already, here or in another
// process, is [ErrInUse]; a lock on the file's name with ".lock" shows it, and
// ends with the process. The caller must close the queue.
func OpenSQLite(ctx context.Context, file string, options Options) (_ *Queue, err error) {
	absolute, err := filepath.Abs(file)
	if err != nil {
		return nil, fmt.Errorf("callback: queue: %w", err)
	}
	lock, err := lockFile(absolute + ".lock")
	if err != nil {
		return nil, fmt.Errorf("callback: queue: %w", err)
	}
	defer func() {
		if err != nil {
			lock.Close()
		}
	}()
	// SQLite would create the file for all to read. It gives its other files the
	// mode of this one.
	created, err := os.OpenFile(absolute, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("callback: queue: %w", err)
	}
	if err := created.Close(); err != nil {
		return nil, fmt.Errorf("callback: queue: %w", err)
	}
	name := url.URL{Scheme: "file", Path: filepath.ToSlash(absolute), RawQuery: url.Values{
		"_pragma": {"journal_mode(WAL)", "synchronous(FULL)", "busy_timeout(10000)"},
		"_txlock": {"immediate"},
	}.Encode()}
	db, err := sql.Open("sqlite", name.String())
	if err != nil {
		return nil, fmt.Errorf("callback: queue: %w", err)
	}
	db.SetMaxOpenConns(1) // SQLite has one writer; the others wait here instead of failing
	closeAll := func() error { return errors.Join(db.Close(), lock.Close()) }
	q := &Queue{options: options, close: closeAll, dialect: dialect{
		table:     "river_job",
		byArg:     "args ->> '$.%[1]s' = @%[1]s",
		parameter: "?",
		live:      "coalesce(metadata ->> '$.output.live', 0)",
		listed:    "coalesce(metadata ->> '$.listed', args ->> '$.job')",
		errors:    "coalesce(json(errors), '[]')",
		query: func(ctx context.Context, row func(func(...any) error) error, query string, args ...any) error {
			rows, err := db.QueryContext(ctx, query, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			return each(rows, row)
		},
		moveTimes: func(ctx context.Context, by time.Duration) error { return moveTimes(ctx, db, by) },
	}}
	if err = open(ctx, q, riversqlite.New(db), ""); err == nil {
		// In Postgres River has an index for this.
		_, err = db.ExecContext(ctx, "create index if not exists callback_job_id on river_job (args ->> '$.id')")
	}
	if err == nil {
		// Counts and List find their jobs in it, without reading past the calls.
		_, err = db.ExecContext(ctx, "create index if not exists callback_job_state on river_job (kind, state, attempt, finalized_at)")
	}
	if err == nil {
		err = settleTimes(ctx, db)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("callback: queue: %w", err), db.Close())
	}
	q.followJump(ctx) // the first look
	return q, nil
}

// OpenPostgres opens a queue in a database. It creates and migrates the schema if
// necessary; many processes may do so at once. The caller keeps the pool and
// closes it. Each Work takes one connection of the pool for notices, so the pool
// should have at least four.
func OpenPostgres(ctx context.Context, pool *pgxpool.Pool, options Options) (*Queue, error) {
	schema := cmp.Or(options.Schema, DefaultSchema)
	quoted := pgx.Identifier{schema}.Sanitize()
	q := &Queue{options: options, close: func() error { return nil }, dialect: dialect{
		table:     quoted + ".river_job",
		byArg:     "args @> jsonb_build_object('%[1]s', @%[1]s::text)",
		parameter: "$1",
		live:      "coalesce((metadata #>> '{output,live}')::boolean, false)",
		listed:    "coalesce(metadata ->> 'listed', args ->> 'job')",
		errors:    "coalesce(array_to_json(errors)::text, '[]')",
		query: func(ctx context.Context, row func(func(...any) error) error, query string, args ...any) error {
			rows, err := pool.Query(ctx, query, args...)
			if err != nil {
				return err
			}
			defer rows.Close()
			return each(rows, row)
		},
	}}
	err := pgx.BeginFunc(ctx, pool, func(tx pgx.Tx) error {
		// The lock is held while River migrates over other connections.
		if _, err := tx.Exec(ctx, "select pg_advisory_xact_lock(hashtextextended($1, 0))", "callback queue "+schema); err != nil {
			return err
		}
		if _, err := pool.Exec(ctx, "create schema if not exists "+quoted); err != nil {
			return err
		}
		return open(ctx, q, riverpgxv5.New(pool), schema)
	})
	if err != nil {
		return nil, fmt.Errorf("callback: queue: %w", err)
	}
	return q, nil
}

// each calls row for each of the rows.
func each(rows interface {
	Next() bool
	Scan(...any) error
	Err() error
}, row func(scan func(...any) error) error) error {
	for rows.Next() {
		if err := row(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// Close closes the file of a queue in SQLite. No method may be under way.
func (q *Queue) Close() error { return q.close() }

// kind is the kind of this package's jobs in River.
const kind = "callback"

// args are the arguments of a job in River. Everything that no query needs is one
// string of bytes, because jsonb of Postgres does not accept every text.
type args struct {
	ID    string `json:"id"`
	Key   string `json:"key,omitempty" river:"unique"`
	Label string `json:"label,omitempty"`
	Job   []byte `json:"job"` // the deferred.Job as JSON

	delay time.Duration // until the next attempt, if this one fails
}

// Kind implements [river.JobArgs].
func (args) Kind() string { return kind }

// pack converts a job to River's type.
func (q *Queue) pack(job *deferred.Job) (args, *river.InsertOpts, error) {
	text, err := json.Marshal(job)
	if err != nil {
		return args{}, nil, err
	}
	short := *job
	short.Call = nil
	var m metadata
	if m.Listed, err = json.Marshal(short); err != nil {
		return args{}, nil, err
	}
	opts := &river.InsertOpts{MaxAttempts: job.MaxAttempts, ScheduledAt: job.NotBefore}
	if opts.Metadata, err = json.Marshal(m); err != nil {
		return args{}, nil, err
	}
	if job.Key != "" {
		opts.UniqueOpts = river.UniqueOpts{ByArgs: true, ByState: []rivertype.JobState{
			rivertype.JobStateAvailable, rivertype.JobStateCancelled, rivertype.JobStateCompleted, rivertype.JobStateDiscarded,
			rivertype.JobStatePending, rivertype.JobStateRetryable, rivertype.JobStateRunning, rivertype.JobStateScheduled,
		}}
	}
	return args{ID: job.ID, Key: job.Key, Label: job.Label, Job: text}, opts, nil
}

// metadata is what River's column of this name has from this package.
type metadata struct {
	Listed []byte `json:"listed,omitempty"` // the deferred.Job without its call, so that a list reads no calls
	Output note   `json:"output,omitzero"`
}

// A note is what this package stores with a job in addition to its arguments.
// River calls it the output.
type note struct {
	Live   bool   `json:"live,omitempty"`
	Result []byte `json:"result,omitempty"` // a callback.Result as JSON
}

// unpack converts River's job to a job of package deferred and its note.
func unpack(row *rivertype.JobRow) (job deferred.Job, n note, err error) {
	var a args
	if err := json.Unmarshal(row.EncodedArgs, &a); err != nil {
		return job, n, err
	}
	if err := json.Unmarshal(a.Job, &job); err != nil {
		return job, n, err
	}
	var m metadata
	if err := json.Unmarshal(row.Metadata, &m); err != nil {
		return job, n, err
	}
	job.Attempt, job.MaxAttempts, job.Live = row.Attempt, row.MaxAttempts, m.Output.Live
	return job, m.Output, nil
}

// Enqueue implements [deferred.Queue].
func (q *Queue) Enqueue(ctx context.Context, job *deferred.Job) (string, error) {
	a, opts, err := q.pack(job)
	if err != nil {
		return "", fmt.Errorf("callback: queue: %w", err)
	}
	q.followJump(ctx)
	inserted, err := q.client.Insert(ctx, a, opts)
	if err != nil {
		return "", fmt.Errorf("callback: queue: %w", err)
	}
	if !inserted.UniqueSkippedAsDuplicate {
		return job.ID, nil
	}
	var first args
	if err := json.Unmarshal(inserted.Job.EncodedArgs, &first); err != nil {
		return "", fmt.Errorf("callback: queue: %w", err)
	}
	return first.ID, nil
}

// clean makes a text acceptable to jsonb of Postgres, and bounds it.
func clean(text string) string {
	if len(text) > maxError {
		text = text[:maxError] + "…"
	}
	return strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\x00", "\ufffd")
}

const maxError = 4 << 10
