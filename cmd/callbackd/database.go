package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"regexp"
	"strings"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/prometheus/client_golang/prometheus"

	"example.com/callback"
	"example.com/callback/console"
	"example.com/callback/pgcallback"
	"example.com/callback/rivercallback"
)

// databaseUsage is the text of the -database flag.
const databaseUsage = "`URL` of a Postgres database, postgres://user@host/name, that has the scripts,\nsecrets, variables and queue of any number of servers. A password is better in\nCALLBACKD_DATABASE or PGPASSWORD, where no list of processes shows it"

// Limits of connections to the database. Locks have a pool of their own; see
// [pgcallback.DB.Members].
const (
	maxConns     = 10
	maxLockConns = 8
)

// A database is the backend of a server that shares all of its state with others.
type database struct {
	pool, locks *pgxpool.Pool
	db          *pgcallback.DB
	scripts     *pgcallback.Source
	cache       *callback.SecretCache
	queue       *lateQueue
	options     rivercallback.Options // of queue
	log         *slog.Logger
}

// cutPassword matches URLs whose password is cut short by "/", "?" or "#". What
// follows would be the name of the database or of a setting, which errors repeat, and
// what precedes could be the name of the host.
var cutPassword = regexp.MustCompile(`^postgres(ql)?://([^/?#]*/[^?#]*@|[^?#]*\?([^#]*&)?[^=&#]*@|[^#]*#)`)

// connect makes a pool of connections, none of which is open yet.
func connect(ctx context.Context, address string, conns int32) (*pgxpool.Pool, error) {
	config, err := pgxpool.ParseConfig(address)
	if err != nil || cutPassword.MatchString(address) { // err could repeat a part of the password
		return nil, usagef("-database: not a URL of Postgres: want postgres://user@host/name; in a password, write %%2F for /, %%3F for ?, %%23 for # and %%40 for @")
	}
	if !strings.Contains(address, "pool_max_conns") {
		config.MaxConns = conns
	}
	if !strings.Contains(address, "connect_timeout") {
		config.ConnConfig.ConnectTimeout = 5 * time.Second
	}
	pool, err := pgxpool.NewWithConfig(ctx, config)
	if err != nil {
		return nil, usagef("-database: %w", err)
	}
	return pool, nil
}

// openDatabase opens the database. If it cannot be reached for now, that is no
// error: run keeps trying.
func openDatabase(ctx context.Context, o *serveOptions, log *slog.Logger) (*database, error) {
	pool, err := connect(ctx, o.database, maxConns)
	if err != nil {
		return nil, err
	}
	locks, err := connect(ctx, o.database, maxLockConns)
	if err != nil {
		pool.Close()
		return nil, err
	}
	d := &database{pool: pool, locks: locks, db: &pgcallback.DB{Pool: pool}, queue: newLateQueue(), log: log}
	d.scripts = &pgcallback.Source{DB: d.db, Stage: o.stage, Logger: log}
	if d.options, err = o.queueOptions(log, d.scripts); err != nil {
		d.close()
		return nil, err
	}
	d.cache = &callback.SecretCache{Store: d.db, TTL: o.secretTTL, MaxStale: o.secretStale, Logger: log}
	err = d.open(ctx)
	switch {
	case isPermanent(err):
		d.close()
		return nil, databaseError(err)
	case err != nil:
		log.ErrorContext(ctx, "the database cannot be reached yet: the server is not ready, and goes on trying", "error", err)
	}
	return d, nil
}

// open brings the schemas up to date and opens the queue.
func (d *database) open(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 15*time.Second)
	defer cancel()
	if err := d.db.Migrate(ctx); err != nil {
		return err
	}
	queue, err := rivercallback.OpenPostgres(ctx, d.pool, d.options)
	if err != nil {
		return err
	}
	d.queue.open(queue)
	return nil
}

// isPermanent reports whether trying again is useless: wrong user or password, no
// such database, missing rights, a newer schema.
func isPermanent(err error) bool {
	var refused *pgconn.PgError
	if errors.As(err, &refused) && len(refused.Code) == 5 {
		switch refused.Code[:2] {
		case "28", "3D", "42":
			return true
		}
	}
	return errors.Is(err, pgcallback.ErrNewerSchema)
}

// databaseError is the text of a database error for operators.
func databaseError(err error) error {
	if isPermanent(err) {
		return usagef("-database: %w", err)
	}
	return fmt.Errorf("-database: %w", err)
}

func (d *database) run(ctx context.Context) error {
	scripts := make(chan struct{})
	scriptsCtx, cancel := context.WithCancel(ctx)
	go func() {
		defer close(scripts)
		d.scripts.Run(scriptsCtx)
	}()
	defer func() {
		cancel()
		<-scripts
	}()
	told := time.Now()
	for !d.queue.isOpen() {
		err := d.open(ctx)
		switch {
		case ctx.Err() != nil:
			return nil
		case err == nil:
			d.log.InfoContext(ctx, "the database can be reached")
		case isPermanent(err):
			return databaseError(err)
		case time.Since(told) >= time.Minute:
			told = time.Now()
			d.log.ErrorContext(ctx, "the database cannot be reached yet", "error", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(time.Second):
		}
	}
	<-ctx.Done()
	return nil
}

func (d *database) source() callback.ScriptSource { return d.scripts }
func (d *database) secrets() callback.SecretStore { return d.cache }
func (d *database) members() callback.Members     { return d.db.Members(d.locks) }

// trees lists the versions that are live, by API key. The console reads those that
// it does not know.
func (d *database) trees(context.Context) ([]console.Tree, error) {
	var trees []console.Tree
	for _, apiKey := range d.scripts.APIKeys() {
		trees = append(trees, console.Tree{APIKey: apiKey, Version: d.scripts.Live(apiKey)})
	}
	return trees, nil
}

func (d *database) tree(ctx context.Context, apiKey string) (console.Tree, error) {
	tree, err := d.scripts.Scripts(ctx, &callback.Call{APIKey: apiKey})
	return console.Tree{APIKey: apiKey, FS: tree.FS, Version: tree.Version}, err
}

// check returns the report that was stored when the version was published.
func (d *database) check(ctx context.Context, tree console.Tree) ([]callback.Problem, error) {
	version, err := d.db.Version(ctx, tree.APIKey, tree.Version)
	if err != nil {
		return nil, err
	}
	return version.Problems, nil
}

func (d *database) ready() error {
	if d.scripts.Age() < 0 || !d.queue.isOpen() {
		return errors.New("-database: not reached yet")
	}
	return nil
}

func (d *database) collectors() []prometheus.Collector {
	return []prometheus.Collector{prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "callbackd_scripts_age_seconds",
		Help: "Time since it was last known that the live versions are the promoted ones; -1 before the first time.",
	}, func() float64 { return d.scripts.Age().Seconds() })}
}

func (d *database) close() {
	d.locks.Close()
	d.pool.Close()
}
