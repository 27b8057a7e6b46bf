package pgcallback

import (
	"context"
	"errors"
	"fmt"
	"math"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"example.com/callback"
	"example.com/callback/deferred"
)

// Limits of the members.
const (
	// MaxKey is the longest key of a lock or a claim, in bytes.
	MaxKey = 512
	// MaxLocks bounds the locks that a run holds at once. Locks of the same key
	// count separately.
	MaxLocks = 100
	// MaxClaim is the longest time of a claim.
	MaxClaim = 366 * 24 * time.Hour
)

// Members returns members of Spark for [callback.Handler].Members:
//
//   - getProperties(), with getProperty(name) and getPropertySet(name), reads
//     what SetProperties has stored for the API key or the credential, or null.
//     The values are at most two seconds old. While the database fails, they are
//     the last known ones.
//   - claim(key, seconds) claims a key of the API key for a time, at most
//     MaxClaim, and returns whether the key was free. In a deferred run it
//     returns true again on each attempt: a run that was killed after its claim
//     must not take itself for a duplicate.
//   - lockKey(key[, milliseconds]), unlockKey(key), unlockKeyFully(key): see
//     below.
//
// # Locks
//
// lockKey waits until no other run of the API key holds the key, on any server
// that uses this database, and returns true. If milliseconds is given, it waits
// no longer than that and then returns false. Otherwise it waits until the end of
// the run. A run that holds a key may lock it again; unlockKey undoes one
// lockKey, and unlockKeyFully undoes all for the key. Locks that a run holds at
// its end are released.
//
// The locks are session-level advisory locks of Postgres. A run that holds locks
// uses a connection of the pool locks exclusively. That pool must not be the pool
// of the DB. Otherwise a run that holds a lock and waits for a query could wait
// for a connection that another such run has. If locks is nil, the three members
// are left out.
//
// The guarantee ends with the connection. When the server restarts or the network
// breaks, the locks become free at once, and the run gets an exception from its
// next lockKey or unlockKey. So locks keep runs from disturbing each other. For
// an effect that must not happen twice, call [DB.Claim] in the transaction that
// has the effect.
func (db *DB) Members(locks *pgxpool.Pool) callback.Members {
	members := callback.Members{
		"getProperties": (&propertyCache{db: db}).member(),
		"claim":         {Func: db.claim},
	}
	if locks != nil {
		l := &locker{db: db, pool: locks}
		members["lockKey"] = callback.Member{Func: l.lock}
		members["unlockKey"] = callback.Member{Func: l.unlock}
		members["unlockKeyFully"] = callback.Member{Func: l.unlockFully}
	}
	return members
}

// unavailable logs an error of the database and returns what the script sees of
// it.
func (db *DB) unavailable(ctx context.Context, call *callback.Call, err error) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return context.Cause(ctx) // the caller has hung up, which is no fault of the database
	}
	if call.Logger != nil {
		call.Logger.ErrorContext(ctx, "callback: database", "error", err)
	}
	return errDatabase
}

func wrap(what string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("callback: %s: %w", what, err)
}

// Claim claims a key of the API key for a time and reports whether the caller has
// it. It runs on q. In a transaction the claim is committed together with
// everything else, or not at all, so that an effect in the same transaction
// happens once.
//
// A holder that is not empty may claim again what it holds, which extends the
// time. With an empty holder no second claim succeeds before the time is over.
func (db *DB) Claim(ctx context.Context, q Querier, apiKey, key, holder string, ttl time.Duration) (bool, error) {
	if !isText(apiKey, key, holder) {
		return false, errNotText
	}
	if len(key) > MaxKey {
		return false, fmt.Errorf("callback: claim: the key is longer than %d bytes", MaxKey)
	}
	if ttl <= 0 || ttl > MaxClaim {
		return false, fmt.Errorf("callback: claim: the time is not above 0 and at most %v", MaxClaim)
	}
	// Each claim also removes a few expired ones, so that their number stays in
	// proportion.
	var claimed bool
	err := q.QueryRow(ctx, db.sql(`with expired as (
			select api_key, key from {}.claim where expires <= clock_timestamp() and (api_key, key) <> ($1, $2)
			limit 4 for update skip locked
		), removed as (
			delete from {}.claim c using expired e where c.api_key = e.api_key and c.key = e.key
		)
		insert into {}.claim as c (api_key, key, holder, expires) values ($1, $2, $3, clock_timestamp() + $4)
		on conflict (api_key, key) do update set holder = excluded.holder, expires = excluded.expires
			where c.expires <= clock_timestamp() or (c.holder = excluded.holder and c.holder <> '')
		returning true`), apiKey, key, holder, ttl).Scan(&claimed)
	if errors.Is(err, pgx.ErrNoRows) {
		return false, nil
	}
	return claimed, wrap("claim", err)
}

func (db *DB) claim(ctx context.Context, call *callback.Call, args callback.Args) (any, error) {
	key, seconds := "", math.NaN()
	if err := args.Scan(&key, &seconds); err != nil {
		return nil, fmt.Errorf("claim: %w", err)
	}
	if err := checkKey("claim", call, key); err != nil {
		return nil, err
	}
	if !(seconds > 0 && seconds <= MaxClaim.Seconds()) {
		return nil, fmt.Errorf("claim: argument 2 is not above 0 and at most %d seconds", int(MaxClaim.Seconds()))
	}
	claimed, err := db.Claim(ctx, db.Pool, call.APIKey, key, deferred.RunName(ctx), time.Duration(seconds*float64(time.Second)))
	if err != nil {
		return nil, db.unavailable(ctx, call, err)
	}
	return claimed, nil
}

func checkKey(member string, call *callback.Call, key string) error {
	if key == "" || len(key) > MaxKey || !isText(call.APIKey, key) {
		return fmt.Errorf("%s: argument 1 is not a key of 1 to %d bytes", member, MaxKey)
	}
	return nil
}

// A locker keeps the locks of the runs under way.
type locker struct {
	db   *DB
	pool *pgxpool.Pool
	runs sync.Map // of *callback.Call to *runLocks
}

// runLocks are the locks of one run.
type runLocks struct {
	mu    sync.Mutex
	conn  *pgxpool.Conn // nil until the first lock, and after the end
	ended bool
	held  map[int64]int // number of locks by key
	total int           // number of all locks
}

// of returns the locks of a run. They are released when ctx is done.
func (l *locker) of(ctx context.Context, call *callback.Call) *runLocks {
	if found, ok := l.runs.Load(call); ok {
		return found.(*runLocks)
	}
	locks := &runLocks{held: map[int64]int{}}
	if found, ok := l.runs.LoadOrStore(call, locks); ok {
		return found.(*runLocks)
	}
	context.AfterFunc(ctx, func() {
		l.runs.Delete(call)
		locks.end()
	})
	return locks
}

// end gives the connection back, without its locks.
func (r *runLocks) end() {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.ended = true
	if r.conn == nil {
		return
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	if _, err := r.conn.Exec(ctx, "select pg_advisory_unlock_all(); reset lock_timeout"); err != nil {
		_ = r.conn.Conn().Close(ctx) // which ends the session and its locks
	}
	r.conn.Release()
	r.conn = nil
}

// fail gives up the locks of a run whose connection may be broken.
func (r *runLocks) fail() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Second)
	defer cancel()
	_ = r.conn.Conn().Close(ctx)
	r.conn.Release()
	r.conn = nil
	clear(r.held)
	r.total = 0
}

// lockNotAvailable is the code of Postgres for a lock_timeout that has passed.
const lockNotAvailable = "55P03"

func (l *locker) lock(ctx context.Context, call *callback.Call, args callback.Args) (any, error) {
	key, patience := "", 0.0
	if err := args.Scan(&key, &patience); err != nil {
		return nil, fmt.Errorf("lockKey: %w", err)
	}
	if err := checkKey("lockKey", call, key); err != nil {
		return nil, err
	}
	if !(patience >= 0 && patience <= math.MaxInt32) {
		return nil, errors.New("lockKey: argument 2 is not a number of milliseconds")
	}
	r := l.of(ctx, call)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, context.Cause(ctx)
	}
	number := l.db.lockNumber("key", call.APIKey, key)
	if r.total == MaxLocks {
		return nil, fmt.Errorf("lockKey: the run holds %d locks already", MaxLocks)
	}
	if r.conn == nil {
		conn, err := l.pool.Acquire(ctx)
		if err != nil {
			return nil, l.db.unavailable(ctx, call, err)
		}
		r.conn = conn
	}
	timeout := "0" // none
	if len(args) > 1 {
		timeout = fmt.Sprint(max(1, int(patience)))
	}
	var batch pgx.Batch
	batch.Queue("select set_config('lock_timeout', $1, false)", timeout)
	batch.Queue("select pg_advisory_lock($1)", number)
	err := r.conn.SendBatch(ctx, &batch).Close()
	var refused *pgconn.PgError
	if errors.As(err, &refused) && refused.Code == lockNotAvailable {
		return false, nil
	}
	if err != nil {
		r.fail()
		return nil, l.db.unavailable(ctx, call, err)
	}
	r.held[number]++
	r.total++
	return true, nil
}

func (l *locker) unlock(ctx context.Context, call *callback.Call, args callback.Args) (any, error) {
	return l.release(ctx, "unlockKey", call, args, 1)
}

func (l *locker) unlockFully(ctx context.Context, call *callback.Call, args callback.Args) (any, error) {
	return l.release(ctx, "unlockKeyFully", call, args, math.MaxInt)
}

// release undoes up to n locks of a key, and returns whether the run held any.
func (l *locker) release(ctx context.Context, member string, call *callback.Call, args callback.Args, times int) (any, error) {
	var key string
	if err := args.Scan(&key); err != nil {
		return nil, fmt.Errorf("%s: %w", member, err)
	}
	if err := checkKey(member, call, key); err != nil {
		return nil, err
	}
	found, ok := l.runs.Load(call)
	if !ok {
		return false, nil
	}
	r := found.(*runLocks)
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.ended {
		return nil, context.Cause(ctx)
	}
	number := l.db.lockNumber("key", call.APIKey, key)
	times = min(times, r.held[number])
	if times == 0 {
		return false, nil
	}
	var batch pgx.Batch
	for range times {
		batch.Queue("select pg_advisory_unlock($1)", number)
	}
	if err := r.conn.SendBatch(ctx, &batch).Close(); err != nil {
		r.fail()
		return nil, l.db.unavailable(ctx, call, err)
	}
	r.total -= times
	if r.held[number] -= times; r.held[number] == 0 {
		delete(r.held, number)
	}
	return true, nil
}
