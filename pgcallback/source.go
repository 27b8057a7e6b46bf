package pgcallback

import (
	"cmp"
	"container/list"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/jackc/pgx/v5"

	"example.com/callback"
)

// Defaults of the fields of [Source].
const (
	DefaultStage    = "live"
	DefaultPoll     = time.Second
	DefaultMaxTrees = 256 << 20
)

// A Source is a [callback.ScriptSource]. It gives each API key the version that
// is live at a stage. A call runs with one version from its start to its end. A
// call that names a version ([callback.Call].Version) runs with that one,
// whichever is live.
//
// While Run runs, a promotion is live here within two seconds. The database
// announces it, and Source also asks every Poll in case the notice is lost. A new
// version becomes live once its files have been read, so that no call waits for
// them. While the database fails, known versions remain in use without a time
// limit; see Age.
//
// A Source is used by pointer. Its fields must not change once it is used; its
// methods are safe for concurrent use.
type Source struct {
	// DB has the versions. It is required.
	DB *DB

	// Stage is the stage whose versions are live here. Empty means
	// DefaultStage.
	Stage string

	// Poll is the time between two queries. Zero means DefaultPoll. If it is
	// longer than two seconds, so is the delay of a promotion whose notice is
	// lost.
	Poll time.Duration

	// MaxTrees bounds the bytes of scripts in memory. The trees that were used
	// last are kept. Zero means DefaultMaxTrees.
	MaxTrees int64

	// Logger takes what goes wrong. nil means [slog.Default].
	Logger *slog.Logger

	mu      sync.Mutex
	live    map[string]string // versions by API key; nil until the first query
	seen    int64             // the revision up to which live is complete
	fresh   time.Time         // when live was last known to be complete
	trees   map[treeKey]*list.Element
	recent  list.List // of *tree, most recently used first
	size    int64     // of the trees that are read
	refresh sync.Mutex
}

type treeKey struct{ apiKey, version string }

// A tree is the files of a version, or a place for them.
type tree struct {
	key  treeKey
	busy chan struct{} // full while the files are being read
	fs   fs.FS         // nil until they are read
	size int64
}

// Scripts implements [callback.ScriptSource]. The error is
// [callback.ErrNoScript] if nothing was promoted for the API key,
// [callback.ErrUnavailable] if the files are not in memory and the database
// fails, and [ErrNoVersion] if the call names a version that does not exist.
func (s *Source) Scripts(ctx context.Context, call *callback.Call) (callback.Tree, error) {
	version := call.Version
	if version == "" {
		var err error
		if version, err = s.liveVersion(ctx, call.APIKey); err != nil {
			return callback.Tree{}, err
		}
	}
	files, err := s.files(ctx, treeKey{call.APIKey, version})
	if err != nil {
		return callback.Tree{}, err
	}
	return callback.Tree{FS: files, Version: version}, nil
}

func (s *Source) liveVersion(ctx context.Context, apiKey string) (string, error) {
	s.mu.Lock()
	known := s.live != nil
	version := s.live[apiKey]
	s.mu.Unlock()
	if !known {
		if err := s.update(ctx); err != nil {
			return "", unavailable(err)
		}
		s.mu.Lock()
		version = s.live[apiKey]
		s.mu.Unlock()
	}
	if version == "" {
		return "", callback.ErrNoScript
	}
	return version, nil
}

func unavailable(err error) error {
	return fmt.Errorf("%w: scripts cannot be read: %w", callback.ErrUnavailable, err)
}

// files returns the files of a version, from memory if possible.
func (s *Source) files(ctx context.Context, key treeKey) (fs.FS, error) {
	s.mu.Lock()
	if s.trees == nil {
		s.trees = map[treeKey]*list.Element{}
	}
	element, ok := s.trees[key]
	if !ok {
		element = s.recent.PushFront(&tree{key: key, busy: make(chan struct{}, 1)})
		s.trees[key] = element
	}
	s.recent.MoveToFront(element)
	t := element.Value.(*tree)
	files := t.fs
	s.mu.Unlock()
	if files != nil {
		return files, nil
	}

	select {
	case t.busy <- struct{}{}:
		defer func() { <-t.busy }()
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	s.mu.Lock()
	files = t.fs
	s.mu.Unlock()
	if files != nil {
		return files, nil
	}
	read, err := s.DB.files(ctx, key.apiKey, key.version)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil {
		s.forget(key)
		if !errors.Is(err, ErrNoVersion) {
			err = unavailable(err)
		}
		return nil, err
	}
	t.fs = read
	for name, file := range read {
		t.size += int64(len(name) + len(file.Data))
	}
	if s.trees[key] != nil && s.trees[key].Value == t {
		s.size += t.size
	}
	for s.size > cmp.Or(s.MaxTrees, DefaultMaxTrees) && s.recent.Len() > 1 {
		s.forget(s.recent.Back().Value.(*tree).key)
	}
	return read, nil
}

// forget drops a tree from memory. The lock is held.
func (s *Source) forget(key treeKey) {
	if element, ok := s.trees[key]; ok {
		s.size -= element.Value.(*tree).size
		s.recent.Remove(element)
		delete(s.trees, key)
	}
}

// Age returns for how long it has not been confirmed that the live versions are
// the promoted ones: about Poll, or more while the database fails. Before the
// first confirmation it is negative. It is for a metric and a readiness check.
func (s *Source) Age() time.Duration {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.fresh.IsZero() {
		return -1
	}
	return time.Since(s.fresh)
}

// Live returns the version that is live here for an API key, or an empty string.
func (s *Source) Live(apiKey string) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.live[apiKey]
}

// APIKeys returns the API keys of which a version is live here, sorted.
func (s *Source) APIKeys() []string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return slices.Sorted(maps.Keys(s.live))
}

// updateTimeout bounds one query. A database may accept a connection and then
// never answer.
const updateTimeout = 5 * time.Second

// update reads the promotions since the last time.
func (s *Source) update(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, updateTimeout)
	defer cancel()
	s.refresh.Lock()
	defer s.refresh.Unlock()
	s.mu.Lock()
	seen := s.seen
	s.mu.Unlock()
	start := time.Now()
	rows, err := s.DB.Pool.Query(ctx, s.DB.sql("select api_key, version, revision from {}.stage where name = $1 and revision > $2 order by revision"),
		cmp.Or(s.Stage, DefaultStage), seen)
	if err != nil {
		return err
	}
	type move struct {
		key      treeKey
		revision int64
	}
	moves, err := pgx.CollectRows(rows, func(row pgx.CollectableRow) (m move, err error) {
		return m, row.Scan(&m.key.apiKey, &m.key.version, &m.revision)
	})
	if err != nil {
		return err
	}
	var failed error
	for _, m := range moves {
		if s.inUse(m.key.apiKey) {
			if _, err := s.files(ctx, m.key); err != nil { // the old version remains live, and this is tried again
				failed = err
				continue
			}
		}
		s.mu.Lock()
		if s.live == nil {
			s.live = map[string]string{}
		}
		s.live[m.key.apiKey] = m.key.version
		s.mu.Unlock()
		if failed == nil {
			seen = m.revision
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.seen = seen
	if failed != nil {
		return failed
	}
	if s.live == nil {
		s.live = map[string]string{}
	}
	s.fresh = start
	return nil
}

// inUse reports whether the files of the API key's live version are in memory.
func (s *Source) inUse(apiKey string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	element, ok := s.trees[treeKey{apiKey, s.live[apiKey]}]
	return ok && element.Value.(*tree).fs != nil
}

// Run keeps the live versions up to date until ctx is done. It uses one
// connection for notices, and one of the pool for each query.
func (s *Source) Run(ctx context.Context) {
	notices := make(chan struct{}, 1)
	var listener sync.WaitGroup
	defer listener.Wait()
	listener.Go(func() { s.listen(ctx, notices) })

	ticker := time.NewTicker(cmp.Or(s.Poll, DefaultPoll))
	defer ticker.Stop()
	var failing, told time.Time
	for {
		err := s.update(ctx)
		if ctx.Err() != nil {
			return
		}
		now := time.Now()
		switch {
		case err != nil && now.Sub(told) >= time.Minute:
			if failing.IsZero() {
				failing = now
			}
			told = now
			s.tell(ctx, err)
		case err == nil && !failing.IsZero():
			s.logger().InfoContext(ctx, "callback: promotions can be read again", "after", now.Sub(failing).Round(time.Second))
			failing, told = time.Time{}, time.Time{}
		}
		select {
		case <-ctx.Done():
			return
		case <-notices:
		case <-ticker.C:
		}
	}
}

// tell logs that the database fails.
func (s *Source) tell(ctx context.Context, err error) {
	age := s.Age()
	if age < 0 {
		s.logger().ErrorContext(ctx, "callback: promotions cannot be read, and no version is known yet", "error", err)
		return
	}
	s.logger().ErrorContext(ctx, "callback: promotions cannot be read, the last versions known stay live", "age", age.Round(time.Second), "error", err)
}

func (s *Source) logger() *slog.Logger { return cmp.Or(s.Logger, slog.Default()) }

// listen passes on notices of promotions. It returns when its connection breaks.
// That is not logged, because update fails as well or makes up for it.
func (s *Source) listen(ctx context.Context, notices chan<- struct{}) {
	for {
		s.listenOnce(ctx, notices)
		select {
		case <-ctx.Done():
			return
		case <-time.After(time.Second):
		}
	}
}

// quiet is the time without a notice after which the connection is tested.
const quiet = 30 * time.Second

func (s *Source) listenOnce(ctx context.Context, notices chan<- struct{}) {
	pooled, err := s.DB.Pool.Acquire(ctx)
	if err != nil {
		return
	}
	conn := pooled.Hijack() // so that the pool has another for the queries
	defer func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
		defer cancel()
		_ = conn.Close(ctx)
	}()
	if _, err := conn.Exec(ctx, "listen "+pgx.Identifier{s.DB.channel()}.Sanitize()); err != nil {
		return
	}
	for {
		// update finds promotions from before the first notice by itself.
		waiting, cancel := context.WithTimeout(ctx, quiet)
		_, err := conn.WaitForNotification(waiting)
		cancel()
		if err == nil {
			select {
			case notices <- struct{}{}:
			default: // one is waiting already
			}
			continue
		}
		if waiting.Err() == nil || ctx.Err() != nil {
			return
		}
		trying, cancel := context.WithTimeout(ctx, updateTimeout)
		err = conn.Ping(trying)
		cancel()
		if err != nil {
			return
		}
	}
}
