//go:build unix

package pgcallback_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/pgtest"
	"example.com/callback/internal/testkit"
	"example.com/callback/pgcallback"
)

// source returns a Source at work.
func source(t *testing.T, s *pgcallback.Source) *pgcallback.Source {
	t.Helper()
	if s.Logger == nil {
		s.Logger = slog.New(slog.NewTextHandler(io.Discard, nil))
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		s.Run(ctx)
		close(ended)
	}()
	t.Cleanup(func() {
		cancel()
		<-ended
	})
	return s
}

func promote(t *testing.T, db *pgcallback.DB, stage, version string) {
	t.Helper()
	_, err := db.Promote(t.Context(), "E3", stage, version, pgcallback.Change{})
	require.NoError(t, err)
}

// read returns what a call runs.
func read(ctx context.Context, s *pgcallback.Source, call *callback.Call) (version, script string, err error) {
	tree, err := s.Scripts(ctx, call)
	if err != nil {
		return "", "", err
	}
	text, err := fs.ReadFile(tree.FS, "callbacks/hello.js")
	return tree.Version, string(text), err
}

var hello = &callback.Call{APIKey: "E3", Credential: "hello"}

func TestSourceFollowsAStage(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ids := publish(t, db, "1", "2")
	live := source(t, &pgcallback.Source{DB: db, Poll: time.Hour}) // so that only the notice counts
	preview := source(t, &pgcallback.Source{DB: db, Stage: "preview", Poll: time.Hour})
	_, _, err := read(t.Context(), live, hello)
	require.ErrorIs(t, err, callback.ErrNoScript, "nothing is live")

	becomes := func(s *pgcallback.Source, version, script string) {
		t.Helper()
		require.Eventually(t, func() bool {
			v, text, err := read(t.Context(), s, hello)
			return err == nil && v == version && text == script
		}, 30*time.Second, 5*time.Millisecond)
	}
	// The first notice may come before the connection listens.
	require.Eventually(t, func() bool {
		var n int
		err := db.Pool.QueryRow(t.Context(), `select count(*) from pg_stat_activity
			where datname = current_database() and query = 'listen "callback_promoted"'`).Scan(&n)
		return err == nil && n == 2
	}, 30*time.Second, 5*time.Millisecond)
	promote(t, db, "live", ids[0])
	becomes(live, ids[0], "1")
	promote(t, db, "preview", ids[1])
	becomes(preview, ids[1], "2")
	require.Equal(t, ids[0], live.Live("E3"))
	promote(t, db, "live", "preview")
	becomes(live, ids[1], "2")
	_, err = db.Rollback(t.Context(), "E3", "live", pgcallback.Change{})
	require.NoError(t, err)
	becomes(live, ids[0], "1")

	_, _, err = read(t.Context(), live, &callback.Call{APIKey: "E4", Credential: "hello"})
	require.ErrorIs(t, err, callback.ErrNoScript)
}

func TestSourceRunsAnyVersion(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ids := publish(t, db, "1", "2")
	promote(t, db, "live", ids[0])
	s := &pgcallback.Source{DB: db} // which need not run for that
	version, script, err := read(t.Context(), s, &callback.Call{APIKey: "E3", Version: ids[1]})
	require.NoError(t, err)
	require.Equal(t, ids[1]+" 2", version+" "+script)
	version, _, err = read(t.Context(), s, hello)
	require.NoError(t, err)
	require.Equal(t, ids[0], version)
	for _, unknown := range []string{"nosuch", ids[1][:8], "\x00"} {
		_, _, err = read(t.Context(), s, &callback.Call{APIKey: "E3", Version: unknown})
		require.ErrorIs(t, err, pgcallback.ErrNoVersion)
	}
	_, _, err = read(t.Context(), s, &callback.Call{APIKey: "E4", Version: ids[1]})
	require.ErrorIs(t, err, pgcallback.ErrNoVersion, "another API key's")
}

// promoteQuietly promotes without the notice.
func promoteQuietly(t *testing.T, db *pgcallback.DB, version string) {
	t.Helper()
	_, err := db.Pool.Exec(t.Context(), `with r as (update callback.revision set n = n + 1 returning n),
		p as (insert into callback.promotion (revision, api_key, stage, version, author, message)
			select n, 'E3', 'live', '`+version+`', '', '' from r)
		update callback.stage set version = '`+version+`', revision = r.n from r where api_key = 'E3' and name = 'live'`)
	require.NoError(t, err)
}

func TestSourceMissesANotice(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ids := publish(t, db, "1", "2")
	promote(t, db, "live", ids[0])
	s := source(t, &pgcallback.Source{DB: db, Poll: 10 * time.Millisecond})
	require.Eventually(t, func() bool { return s.Live("E3") == ids[0] }, 30*time.Second, time.Millisecond)
	promoteQuietly(t, db, ids[1])
	require.Eventually(t, func() bool { return s.Live("E3") == ids[1] }, 30*time.Second, time.Millisecond)
}

func TestSourceChangesWhenFilesAreRead(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ids := publish(t, db, "1", "2")
	promote(t, db, "live", ids[0])
	s := source(t, &pgcallback.Source{DB: db, Poll: 10 * time.Millisecond})
	require.Eventually(t, func() bool {
		_, script, err := read(t.Context(), s, hello)
		return err == nil && script == "1"
	}, 30*time.Second, time.Millisecond)

	_, err := db.Pool.Exec(t.Context(), "alter table callback.file rename to hidden")
	require.NoError(t, err)
	promote(t, db, "live", ids[1])
	age := s.Age()
	require.Eventually(t, func() bool { return s.Age() > age+200*time.Millisecond }, 30*time.Second, time.Millisecond,
		"the Source knows that it lags")
	version, script, err := read(t.Context(), s, hello)
	require.NoError(t, err)
	require.Equal(t, ids[0]+" 1", version+" "+script)
	_, err = db.Pool.Exec(t.Context(), "alter table callback.hidden rename to file")
	require.NoError(t, err)
	require.Eventually(t, func() bool { return s.Live("E3") == ids[1] }, 30*time.Second, time.Millisecond)
}

func TestSourceKeepsTheTreesUsedLast(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	var ids []string
	for i := range 3 {
		ids = append(ids, publish(t, db, fmt.Sprintf("// %d%s", i, strings.Repeat("x", 1000)))...)
	}
	s := &pgcallback.Source{DB: db, MaxTrees: 2500}
	use := func(i int) {
		t.Helper()
		version, _, err := read(t.Context(), s, &callback.Call{APIKey: "E3", Version: ids[i]})
		require.NoError(t, err)
		require.Equal(t, ids[i], version)
	}
	use(0)
	use(1)
	use(0)
	use(2) // evicts 1
	_, err := db.Pool.Exec(t.Context(), "drop table callback.file cascade")
	require.NoError(t, err)
	use(0)
	use(2)
	_, _, err = read(t.Context(), s, &callback.Call{APIKey: "E3", Version: ids[1]})
	require.ErrorIs(t, err, callback.ErrUnavailable)
}

func TestSourceAtOnce(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ids := publish(t, db, "1", "2")
	promote(t, db, "live", ids[0])
	s := source(t, &pgcallback.Source{DB: db, Poll: time.Millisecond, MaxTrees: 1})
	scriptOf := map[string]string{ids[0]: "1", ids[1]: "2"}
	var callers sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		callers.Go(func() {
			for range 100 {
				version, script, err := read(t.Context(), s, hello)
				if err == nil && scriptOf[version] != script {
					err = fmt.Errorf("version %s has script %q", version, script)
				}
				if err != nil {
					errs[i] = err
					return
				}
			}
		})
	}
	for i := range 10 {
		promote(t, db, "live", ids[(i+1)%2])
	}
	callers.Wait()
	for _, err := range errs {
		require.NoError(t, err)
	}
}

func TestSourceWithoutItsDatabase(t *testing.T) {
	t.Parallel()
	if server == nil {
		t.Skip(pgtest.ErrMissing)
	}
	own, err := pgtest.Start()
	require.NoError(t, err)
	defer own.Close()
	address, err := own.NewDatabase()
	require.NoError(t, err)
	db := &pgcallback.DB{Pool: connect(t, address)}
	require.NoError(t, db.Migrate(t.Context()))
	ids := publish(t, db, "1", "2")
	promote(t, db, "live", ids[0])
	_, err = db.Publish(t.Context(), "E4", scripts("4"), pgcallback.Change{})
	require.NoError(t, err)
	_, err = db.Promote(t.Context(), "E4", "live", "live", pgcallback.Change{})
	require.ErrorIs(t, err, pgcallback.ErrNoVersion)

	var log testkit.Log
	s := source(t, &pgcallback.Source{DB: db, Poll: 10 * time.Millisecond, Logger: log.Logger()})
	reads := func(script string) bool {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		_, text, err := read(ctx, s, hello)
		return err == nil && text == script
	}
	require.Eventually(t, func() bool { return reads("1") }, 30*time.Second, time.Millisecond)

	require.NoError(t, db.SetProperties(t.Context(), pgcallback.Property{APIKey: "E3", Name: "price", Value: json.RawMessage("5")}))
	call := serve(t, db, nil, fstest.MapFS{"callbacks/price.js": {Data: []byte(`Spark.setScriptData("price", Spark.getProperties().getProperty("price"))`)}}, nil)
	require.Equal(t, `{"price":5}`, call("price"))

	for _, fault := range []struct {
		name        string
		begin, over func() error
	}{
		{"kill -9", func() error { own.Kill(); return nil }, own.Restart},
		{"SIGSTOP", func() error { return own.Signal(syscall.SIGSTOP) }, func() error { return own.Signal(syscall.SIGCONT) }},
	} {
		require.NoError(t, fault.begin(), fault.name)
		require.Eventually(t, func() bool { return s.Age() > time.Second }, 30*time.Second, time.Millisecond, fault.name)
		require.True(t, reads("1"), "%s: the last good version", fault.name)
		require.Equal(t, `{"price":5}`, call("price"), "%s: the last value known", fault.name)
		ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
		_, _, err = read(ctx, s, &callback.Call{APIKey: "E3", Version: ids[1]})
		cancel()
		require.ErrorIs(t, err, callback.ErrUnavailable, fault.name)
		require.NoError(t, fault.over(), fault.name)
		require.Eventually(t, func() bool { return s.Age() < time.Second }, 60*time.Second, time.Millisecond, fault.name)
	}
	require.Contains(t, log.String(), "promotions cannot be read, the last versions known stay live")
	require.Contains(t, log.String(), "promotions can be read again")
	promote(t, db, "live", ids[1])
	require.Eventually(t, func() bool { return reads("2") }, 30*time.Second, time.Millisecond)

	own.Kill()
	cold := &pgcallback.Source{DB: db}
	require.Negative(t, cold.Age())
	_, _, err = read(t.Context(), cold, hello)
	require.ErrorIs(t, err, callback.ErrUnavailable)
}
