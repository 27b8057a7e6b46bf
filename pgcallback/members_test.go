//go:build unix

package pgcallback_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"log/slog"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgxpool"
	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/deferred/queuetest"
	"example.com/callback/pgcallback"
)

// serve returns a function that runs scripts with the DB's members: those of
// tree, by credential, over HTTP.
func serve(t *testing.T, db *pgcallback.DB, locks *pgxpool.Pool, tree fstest.MapFS, more callback.Members) func(credential string) string {
	members := db.Members(locks)
	for name, member := range more {
		members[name] = member
	}
	secrets := callback.SecretMap{}
	for name := range tree {
		secrets["E3/"+name[len("callbacks/"):len(name)-len(".js")]] = "s"
	}
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: tree},
		Secrets: secrets,
		Members: members,
		Logger:  slog.New(slog.NewTextHandler(io.Discard, nil)),
	}
	return func(credential string) string {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/callback/E3/"+credential+"/s", nil))
		return w.Body.String()
	}
}

func TestProperties(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ctx := t.Context()
	require.NoError(t, db.SetProperties(ctx,
		pgcallback.Property{APIKey: "E3", Name: "gold", Value: json.RawMessage(`{"max":5}`), Sets: []string{"shop", "all"}},
		pgcallback.Property{APIKey: "E3", Name: "silver", Value: json.RawMessage(`[1]`), Sets: []string{"shop"}},
		pgcallback.Property{APIKey: "E3", Name: "gone", Value: json.RawMessage(`1`), Sets: []string{"shop"}},
		pgcallback.Property{APIKey: "E3", Name: "own", Value: json.RawMessage(`"of all"`)},
		pgcallback.Property{APIKey: "E3", Credential: "read", Name: "own", Value: json.RawMessage(`"of read"`)},
		pgcallback.Property{APIKey: "E3", Credential: "other", Name: "own", Value: json.RawMessage(`"of other"`)},
		pgcallback.Property{APIKey: "E4", Name: "other", Value: json.RawMessage(`1`), Sets: []string{"shop"}},
	))
	require.NoError(t, db.SetProperties(ctx, pgcallback.Property{APIKey: "E3", Name: "gone"}))
	for value, want := range map[string]string{"{": "not JSON", "\"" + strings.Repeat("x", pgcallback.MaxProperty-1) + "\"": "longer than"} {
		// All or none.
		require.ErrorContains(t, db.SetProperties(ctx,
			pgcallback.Property{APIKey: "E3", Name: "gold"}, pgcallback.Property{APIKey: "E3", Name: "bad", Value: json.RawMessage(value)}), want)
	}
	require.NoError(t, db.SetProperties(ctx, pgcallback.Property{APIKey: "E5", Name: "long", Value: json.RawMessage("\"" + strings.Repeat("x", pgcallback.MaxProperty-2) + "\"")}))

	call := serve(t, db, nil, fstest.MapFS{"callbacks/read.js": {Data: []byte(`
		var p = Spark.getProperties();
		Spark.setScriptData("gold", p.getProperty("gold").max);
		Spark.setScriptData("gone", p.getProperty("gone"));
		Spark.setScriptData("other", p.getProperty("other"));
		Spark.setScriptData("zero", p.getProperty("\u0000"));
		Spark.setScriptData("shop", p.getPropertySet("shop"));
		Spark.setScriptData("none", p.getPropertySet("none"));
		Spark.setScriptData("own", p.getProperty("own"));
	`)}}, nil)
	require.Equal(t, `{"gold":5,"gone":null,"other":null,"zero":null,"shop":{"gold":{"max":5},"silver":[1]},"none":null,"own":"of read"}`, call("read"))
	require.NoError(t, db.SetProperties(ctx, pgcallback.Property{APIKey: "E3", Credential: "read", Name: "own"}))
	require.Eventually(t, func() bool { return strings.Contains(call("read"), `"own":"of all"`) }, 30*time.Second, 50*time.Millisecond)
	list, err := db.Properties(ctx, "E3")
	require.NoError(t, err)
	require.Len(t, list, 4)
}

// A caller who hangs up says nothing about the database: the next one reads the
// properties again.
func TestPropertiesAfterAHangUp(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	property := db.Members(nil)["getProperties"].Funcs["property"]
	var log bytes.Buffer
	call := &callback.Call{APIKey: "E3", Logger: slog.New(slog.NewTextHandler(&log, nil))}
	get := func(ctx context.Context) (any, error) {
		return property(ctx, call, callback.Args{json.RawMessage(`"gold"`)})
	}
	set := func(value string) {
		require.NoError(t, db.SetProperties(t.Context(), pgcallback.Property{APIKey: "E3", Name: "gold", Value: json.RawMessage(value)}))
	}
	set("1")
	value, err := get(t.Context())
	require.NoError(t, err)
	require.Equal(t, json.RawMessage("1"), value)
	set("2")
	gone, hangUp := context.WithCancel(t.Context())
	hangUp()
	require.Eventually(t, func() bool {
		_, err := get(gone)
		return err != nil
	}, 30*time.Second, 10*time.Millisecond, "the cached value is too old")
	value, err = get(t.Context())
	require.NoError(t, err)
	require.Equal(t, json.RawMessage("2"), value)
	require.Empty(t, log.String())
}

func TestClaim(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ctx := t.Context()
	claim := func(apiKey, key, holder string, ttl time.Duration) bool {
		t.Helper()
		ok, err := db.Claim(ctx, db.Pool, apiKey, key, holder, ttl)
		require.NoError(t, err)
		return ok
	}
	require.True(t, claim("E3", "k", "run1", time.Hour))
	require.False(t, claim("E3", "k", "run2", time.Hour))
	require.True(t, claim("E3", "k", "run1", time.Hour), "the run that has it")
	require.True(t, claim("E4", "k", "run2", time.Hour), "another API key's")
	require.True(t, claim("E3", "strict", "", time.Hour))
	require.False(t, claim("E3", "strict", "", time.Hour), "nobody may claim again")

	_, err := db.Pool.Exec(ctx, "update callback.claim set expires = clock_timestamp() where key = 'k'")
	require.NoError(t, err)
	require.True(t, claim("E3", "k", "run2", time.Hour), "its time is over")
	var claims int
	require.NoError(t, db.Pool.QueryRow(ctx, "select count(*) from callback.claim where api_key = 'E4'").Scan(&claims))
	require.Zero(t, claims, "what is over is removed")

	for _, ttl := range []time.Duration{0, -1, pgcallback.MaxClaim + 1} {
		_, err := db.Claim(ctx, db.Pool, "E3", "k", "", ttl)
		require.ErrorContains(t, err, "the time is not above 0 and at most")
	}
	_, err = db.Claim(ctx, db.Pool, "E3", string(make([]byte, 1)), "", 1)
	require.ErrorContains(t, err, "zero byte")
}

func TestClaimInTheTransactionOfItsEffect(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ctx := t.Context()
	first, err := db.Pool.Begin(ctx)
	require.NoError(t, err)
	ok, err := db.Claim(ctx, first, "E3", "payment", "", time.Hour)
	require.NoError(t, err)
	require.True(t, ok)

	second := make(chan bool)
	go func() {
		_ = pgx.BeginFunc(ctx, db.Pool, func(tx pgx.Tx) error {
			ok, err := db.Claim(ctx, tx, "E3", "payment", "", time.Hour)
			second <- ok && err == nil
			return err
		})
	}()
	waiting := func() bool {
		var n int
		err := db.Pool.QueryRow(ctx, "select count(*) from pg_locks where not granted").Scan(&n)
		return err == nil && n > 0
	}
	require.Eventually(t, waiting, 10*time.Second, 5*time.Millisecond, "the second waits for the first")
	require.NoError(t, first.Rollback(ctx))
	require.True(t, <-second, "what is rolled back was not claimed")
}

func TestClaimOfScripts(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	call := serve(t, db, nil, fstest.MapFS{
		"callbacks/pay.js": {Data: []byte(`
			Spark.setScriptData("first", Spark.claim("p1", 60));
			Spark.setScriptData("again", Spark.claim("p1", 60));
		`)},
		"callbacks/bad.js": {Data: []byte(`
			[[], ["k"], ["", 1], ["k", 0], ["k", 1e12], ["k", "x"], ["a\u0000", 1]].forEach(function (args, i) {
				try { Spark.claim.apply(Spark, args) } catch (e) { Spark.setScriptData(String(i), e.message) }
			})
		`)},
	}, nil)
	require.Equal(t, `{"first":true,"again":false}`, call("pay"))
	require.Equal(t, `{"first":false,"again":false}`, call("pay"))
	require.JSONEq(t, `{
		"0": "claim: argument 1 is not a key of 1 to 512 bytes",
		"1": "claim: argument 2 is not above 0 and at most 31622400 seconds",
		"2": "claim: argument 1 is not a key of 1 to 512 bytes",
		"3": "claim: argument 2 is not above 0 and at most 31622400 seconds",
		"4": "claim: argument 2 is not above 0 and at most 31622400 seconds",
		"5": "claim: argument 2 is a string, not a number",
		"6": "claim: argument 1 is not a key of 1 to 512 bytes"
	}`, call("bad"))
}

// A run that is tried again still has its claim; another of the same run id has
// not.
func TestClaimOfADeferredRun(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	var answers []string
	handler := &callback.Handler{
		Runner: &callback.GojaRunner{Scripts: scripts(`
			Spark.report(Spark.claim("p1", 60));
			throw new Error("tried again")
		`)},
		Members: db.Members(nil),
		Logger:  slog.New(slog.DiscardHandler),
	}
	handler.Members["report"] = callback.Member{Func: func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
		answers = append(answers, string(args[0]))
		return nil, nil
	}}
	queue := &queuetest.Memory{Places: 1}
	worker := &deferred.Worker{
		Queue:                queue,
		Runner:               handler,
		DangerouslyInProcess: true,
		Backoff:              func(int) time.Duration { return time.Millisecond },
		Logger:               slog.New(slog.DiscardHandler),
	}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- worker.Run(ctx) }()
	for range 2 {
		job, err := deferred.NewJob(&callback.Call{APIKey: "E3", Credential: "hello", RunID: "run-1"}, 2)
		require.NoError(t, err)
		_, err = queue.Enqueue(t.Context(), job)
		require.NoError(t, err)
		require.Eventually(t, func() bool {
			s, err := queue.Status(t.Context(), "run-1")
			return err == nil && s.State == deferred.Dead
		}, 30*time.Second, time.Millisecond)
	}
	cancel()
	require.NoError(t, <-ended)
	require.Equal(t, []string{"true", "true", "false", "false"}, answers)
}

func TestLocks(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	locks := connect(t, db.Pool.Config().ConnString()) // of another server, as it were
	others := connect(t, db.Pool.Config().ConnString())
	entered, leave := make(chan struct{}), make(chan struct{})
	wait := callback.Member{Func: func(ctx context.Context, _ *callback.Call, _ callback.Args) (any, error) {
		entered <- struct{}{}
		<-leave
		return nil, nil
	}}
	tree := fstest.MapFS{
		"callbacks/hold.js": {Data: []byte(`
			Spark.setScriptData("a", Spark.lockKey("k"));
			Spark.setScriptData("b", Spark.lockKey("k"));
			Spark.setScriptData("c", Spark.unlockKey("k"));
			Spark.wait();
		`)},
		"callbacks/try.js": {Data: []byte(`
			Spark.setScriptData("k", Spark.lockKey("k", 1));
			Spark.setScriptData("other", Spark.lockKey("other", 1));
		`)},
		"callbacks/full.js": {Data: []byte(`
			Spark.lockKey("k"); Spark.lockKey("k"); Spark.lockKey("j");
			Spark.setScriptData("a", Spark.unlockKeyFully("k"));
			Spark.setScriptData("b", Spark.unlockKeyFully("k"));
			Spark.setScriptData("c", Spark.unlockKey("k"));
			Spark.wait();
		`)},
		"callbacks/many.js": {Data: []byte(`
			for (var i = 0; i < 100; i++) Spark.lockKey("k" + i % 2);
			try { Spark.lockKey("more") } catch (e) { Spark.setScriptData("error", e.message) }
			Spark.unlockKey("k0");
			Spark.setScriptData("more", Spark.lockKey("more"));
		`)},
	}
	first := serve(t, db, locks, tree, callback.Members{"wait": wait})
	there := serve(t, db, others, tree, nil)

	answer := make(chan string)
	go func() { answer <- first("hold") }()
	<-entered
	require.Equal(t, `{"k":false,"other":true}`, there("try"), "locked twice, unlocked once")
	leave <- struct{}{}
	require.Equal(t, `{"a":true,"b":true,"c":true}`, <-answer)
	free := func() bool { return there("try") == `{"k":true,"other":true}` }
	require.Eventually(t, free, 10*time.Second, 5*time.Millisecond, "the end of a run unlocks")

	go func() { answer <- first("full") }()
	<-entered
	require.True(t, free())
	leave <- struct{}{}
	require.Equal(t, `{"a":true,"b":false,"c":false}`, <-answer)

	require.Equal(t, `{"error":"lockKey: the run holds 100 locks already","more":true}`, first("many"))
}

func TestLocksEndWithTheirConnection(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	locks := connect(t, db.Pool.Config().ConnString())
	call := serve(t, db, locks, fstest.MapFS{"callbacks/lose.js": {Data: []byte(`
		Spark.lockKey("k");
		Spark.breakConnections();
		try { Spark.unlockKey("k") } catch (e) { Spark.setScriptData("error", e.message) }
		Spark.setScriptData("again", Spark.lockKey("k"));
	`)}}, callback.Members{"breakConnections": {Func: func(ctx context.Context, _ *callback.Call, _ callback.Args) (any, error) {
		_, err := db.Pool.Exec(ctx, `select pg_terminate_backend(l.pid) from pg_locks l join pg_database d on d.oid = l.database
			where d.datname = current_database() and l.locktype = 'advisory'`)
		return nil, err
	}}})
	require.Equal(t, `{"error":"the database is unavailable","again":true}`, call("lose"))
}
