package main

import (
	"context"
	"database/sql"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/sandbox"
)

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

func openStore(t *testing.T, file string) *Store {
	store, err := Open(file)
	require.NoError(t, err)
	t.Cleanup(func() { store.Close() })
	for _, p := range []Player{{"ada", "Ada Lovelace", "ada1815"}, {"bob", "Bob", "bob42"}} {
		require.NoError(t, store.SavePlayer(context.Background(), p))
	}
	return store
}

func newStore(t *testing.T) *Store {
	return openStore(t, filepath.Join(t.TempDir(), "a file?.db"))
}

func get(h http.Handler, path string) string {
	rec := httptest.NewRecorder()
	h.ServeHTTP(rec, httptest.NewRequest("GET", path, nil))
	return fmt.Sprintf("%d %s", rec.Code, rec.Body)
}

// run runs a script, for player ada, and returns the caller's answer.
func run(store *Store, script string) string {
	h := newHandler(store, fstest.MapFS{"callbacks/test.js": {Data: []byte(script)}}, callback.SecretMap{"K/test": "s"})
	h.Logger = slog.New(slog.DiscardHandler)
	h.Timeout = time.Minute // the machine may be busy
	return get(h, "/callback/K/test/s/ada")
}

// The sample scripts, as main serves them, before and after a restart.
func TestSamples(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "players.db")
	scripts, err := fs.Sub(cloudcode, "cloudcode")
	require.NoError(t, err)
	secrets := callback.SecretMap{"DEMO/visit": "v", "DEMO/score": "s", "DEMO/top": "t"}

	store := openStore(t, file)
	h := newHandler(store, scripts, secrets)
	require.Equal(t, `200 {"hello":"Ada Lovelace","visits":1,"lastVisit":null}`, get(h, "/callback/DEMO/visit/v/ada"))
	require.Equal(t, `200 {"error":{"player":"UNKNOWN"}}`, get(h, "/callback/DEMO/visit/v/eve"))
	require.Equal(t, `200 {"error":{"player":"UNKNOWN"}}`, get(h, "/callback/DEMO/visit/v"))
	require.Equal(t, `200 {}`, get(h, "/callback/DEMO/score/s/ada?points=3"))
	require.Equal(t, `200 {}`, get(h, "/callback/DEMO/score/s/bob?points=4"))
	require.Equal(t, `200 {"error":{"score":"INVALID"}}`, get(h, "/callback/DEMO/score/s/bob?points=lots"))
	require.NoError(t, store.Close())

	h = newHandler(openStore(t, file), scripts, secrets)
	require.Regexp(t, `^200 {"hello":"Ada Lovelace","visits":2,"lastVisit":"2.*Z"}$`, get(h, "/callback/DEMO/visit/v/ada"))
	require.Equal(t, `200 {}`, get(h, "/callback/DEMO/score/s/ada?points=3"))
	require.Equal(t, `200 {"top":[{"rank":1,"name":"Ada Lovelace","points":6},{"rank":2,"name":"Bob","points":4}]}`,
		get(h, "/callback/DEMO/top/t"))
	require.Equal(t, `200 {"top":[{"rank":1,"name":"Ada Lovelace","points":6}]}`, get(h, "/callback/DEMO/top/t?count=1"))
}

func TestPlayers(t *testing.T) {
	t.Parallel()
	for _, tt := range []struct{ script, want string }{
		{`p = Spark.getPlayer(); out([p.getPlayerId(), p.getDisplayName(), p.getUserName()])`, `["ada","Ada Lovelace","ada1815"]`},
		{`p = Spark.player; out([p.playerId, p.displayName, p.userName])`, `["ada","Ada Lovelace","ada1815"]`},
		{`out([Spark.player.getCreationDate() instanceof Date, Date.now() - Spark.player.getCreationDate() >= 0])`, `[true,true]`},
		{`out(Spark.getPlayer() === Spark.player && Spark.player === Spark.getPlayer())`, `true`},
		{`out(Spark.loadPlayer("bob").getDisplayName())`, `"Bob"`},
		{`out(Spark.loadPlayer("eve"))`, `null`},
		{`out(Spark.loadPlayer("' OR 1=1 --"))`, `null`},
		{`p = Spark.player; p.setScriptData("x", {a: [1, "ü"]}); out(Spark.loadPlayer("ada").getScriptData("x"))`, `{"a":[1,"ü"]}`},
		{`p = Spark.player; p.setScriptData("__proto__", 1); out(p.getScriptData("__proto__"))`, `1`},
		{`p = Spark.player; p.setScriptData("x", 1); p.removeScriptData("x"); out(p.getScriptData("x"))`, `null`},
		{`p = Spark.player; p.setScriptData("x", 1); out(Spark.loadPlayer("bob").getScriptData("x"))`, `null`},
		{`p = Spark.player; p.setScriptData("x", {at: new Date(5)}); out([p.getScriptData("x").at instanceof Date, p.getScriptData("x")])`,
			`[true,{"at":"1970-01-01T00:00:00.005Z"}]`},
		{`p = Spark.player; p.setScriptData("x", Spark.runtimeCollection("none").find()); out(p.getScriptData("x"))`, `[]`},
		{`try { Spark.player.setScriptData("x", Array(270000).join("x")) } catch (e) { out(e.message) }`,
			`"SparkPlayer.set: the document is over 262144 bytes"`},
		{`try { Spark.player.setScriptData("a.b", 1) } catch (e) { out(e.message) }`,
			`"SparkPlayer.set: \"a.b\" cannot be the name of a field"`},

		{`p = Spark.player; p.setPrivateData("x", 1); out([p.getPrivateData("x"), p.getScriptData("x")])`, `[1,null]`},
		{`p = Spark.player; p.setPrivateData("x", 1); p.removePrivateData("x"); out(p.getPrivateData("x"))`, `null`},
		{`p = Spark.player; p.setSegmentValue("PROFILE", "P1"); out([p.getSegmentValue("PROFILE"), p.getSegmentValue("NONE"), p.getSegments()])`,
			`["P1",null,{"PROFILE":"P1"}]`},
		{`p = Spark.player; out([p.getBalance1(), p.credit1(5), p.debit1(3, "a hat"), p.debit1(3), p.getBalance1(), p.getBalance2()])`,
			`[0,null,true,false,2,0]`},
		{`p = Spark.player; p.credit6("7", "text counts"); p.credit6(1.9); out(p.getBalance6())`, `8`},
		{`p = Spark.player; p.credit("GOLD", 5); out([p.debit("GOLD", 6), p.debit("GOLD", 1), p.getBalance("GOLD"), p.getBalance("currency1")])`,
			`[false,true,4,0]`},
		{`p = Spark.player; p.credit2(1); p.credit("GOLD", 5); out(p.getAllBalances())`,
			`{"GOLD":5,"currency1":0,"currency2":1,"currency3":0,"currency4":0,"currency5":0,"currency6":0}`},
		{`try { Spark.player.credit1(-1) } catch (e) { out(e.message) }`, `"quantity must be a number, 0 or more"`},
		{`try { Spark.player.credit1() } catch (e) { out(e.message) }`, `"quantity must be a number, 0 or more"`},
		{`try { Spark.player.credit1(Number.MAX_SAFE_INTEGER + 1) } catch (e) { out(e.message) }`, `"SparkPlayer.add: the quantity must be a whole number"`},
		{`p = Spark.player; p.credit1(Number.MAX_SAFE_INTEGER); try { p.credit1(1) } catch (e) { out([e.message, p.getBalance1()]) }`,
			`["SparkPlayer.add: the balance gets too large",9007199254740991]`},
		{`try { Spark.player.credit("a.b", 1) } catch (e) { out(e.message) }`, `"SparkPlayer.add: \"a.b\" is not a short code"`},
		{`p = Spark.player; out([p.addVGood("HAT", 2), p.useVGood("HAT", 3), p.useVGood("HAT", 1), p.hasVGood("HAT"), p.getVirtualGoods()])`,
			`[true,false,true,1,{"HAT":1}]`},
		{`p = Spark.player; out([p.addAchievement("A"), p.addAchievement("A"), p.hasAchievement("A"), p.getAchievements(), p.removeAchievement("A"), p.removeAchievement("A"), p.hasAchievement("A")])`,
			`[true,false,true,["A"],true,false,false]`},
		{`p = Spark.player; p.credit1(9); p.persist(); out([p.matchesMongoQuery({currency1: {$gt: 8}}), p.matchesMongoQueryString("{\"currency1\": 1}")])`, `[true,false]`},

		{`try { Spark.player.isOnline() } catch (e) { out(e.message) }`, `"SparkPlayer.isOnline is not supplied by this host"`},

		// Players are documents of a collection that scripts read.
		{`Spark.player.credit1(9); c = Spark.systemCollection("player"); out(c.find({currency1: {$gt: 0}}, {userName: 1}))`, `[{"_id":"ada","userName":"ada1815"}]`},
		{`out(Spark.loadPlayer({$oid: "bob"}).getDisplayName())`, `"Bob"`},
		{`try { Spark.systemCollection("player").remove({}) } catch (e) { out(e.message) }`, `"systemCollection.remove: scripts cannot change it"`},
	} {
		script := `function out(v) { Spark.setScriptData("out", v) }` + tt.script
		require.Equal(t, `200 {"out":`+tt.want+`}`, run(newStore(t), script), tt.script)
	}
}

// A player has all members that the original documented. Those that do nothing here
// throw an error that says so.
func TestPlayerIsComplete(t *testing.T) {
	t.Parallel()
	var calls strings.Builder
	for _, name := range strings.Fields(playerMembers) {
		fmt.Fprintf(&calls, "if (typeof Spark.player.%[1]s !== 'function') missing.push('%[1]s');", name)
	}
	require.Equal(t, `200 {"missing":[]}`, run(newStore(t), `missing = [];`+calls.String()+`Spark.setScriptData("missing", missing)`))
}

const playerMembers = `addAchievement addVGood credit credit1 credit2 credit3 credit4 credit5 credit6 debit debit1 debit2
	debit3 debit4 debit5 debit6 deletePlayer disconnect dismissMessage getAchievements getAllBalances getBalance
	getBalance1 getBalance2 getBalance3 getBalance4 getBalance5 getBalance6 getCreationDate getDisplayName
	getExperimentSegments getExternalIds getFriendIds getLastSeen getPlayerId getPrivateData getPushRegistrations
	getScriptData getSegmentValue getSegments getUserName getVirtualGoods hasAchievement hasVGood hideOnLeaderboards
	isHiddenOnLeaderboards isOnline matchesMongoQuery matchesMongoQueryString persist removeAchievement
	removeExperiment removePrivateData removePushRegistration removeScriptData resetAuthTokens setExperimentSegment
	setPassword setPrivateData setScriptData setSegmentValue showOnLeaderboards unlock useVGood validatePassword`

// The members work alike in another process: only JSON crosses.
func TestSandbox(t *testing.T) {
	t.Parallel()
	scripts, err := fs.Sub(cloudcode, "cloudcode")
	require.NoError(t, err)
	runner := &sandbox.Runner{Scripts: scripts}
	t.Cleanup(func() { require.NoError(t, runner.Close()) })
	h := newHandler(newStore(t), scripts, callback.SecretMap{"K/visit": "s"})
	h.Runner = runner
	require.Equal(t, `200 {"hello":"Ada Lovelace","visits":1,"lastVisit":null}`, get(h, "/callback/K/visit/s/ada"))
	require.Regexp(t, `^200 {"hello":"Ada Lovelace","visits":2,"lastVisit":"2.*Z"}$`, get(h, "/callback/K/visit/s/ada"))
	require.Equal(t, `200 {"error":{"player":"UNKNOWN"}}`, get(h, "/callback/K/visit/s/eve"))
}

func TestMetaCollection(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	levels, err := store.Collection("meta", "levels")
	require.NoError(t, err)
	require.NoError(t, levels.Save(context.Background(), document{"_id": "1", "name": "Meadow"}))
	require.Equal(t, `200 {"out":{"_id":"1","name":"Meadow"}}`,
		run(store, `Spark.setScriptData("out", Spark.metaCollection("levels").findOne({name: "Meadow"}))`))
}

// No increment is lost when several calls and processes increment at once.
func TestConcurrentIncrements(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "players.db")
	stores := []*Store{openStore(t, file), openStore(t, file)} // as two processes would
	const calls, each = 20, 10
	var wg sync.WaitGroup
	answers := make([]string, calls)
	for i := range answers {
		wg.Go(func() {
			answers[i] = run(stores[i%2], fmt.Sprintf(
				`for (var i = 0; i < %d; i++) Spark.runtimeCollection("t").update({_id: "n"}, {$inc: {n: 1}}, true)`, each))
		})
	}
	wg.Wait()
	for _, a := range answers {
		require.Equal(t, "200 {}", a)
	}
	c, err := stores[0].Collection("runtime", "t")
	require.NoError(t, err)
	docs, err := c.Find(context.Background(), nil, Choice{})
	require.NoError(t, err)
	require.Equal(t, []document{{"_id": "n", "n": float64(calls * each)}}, docs)
}

// The error of a host is logged, and its text does not reach the script.
func TestStorageFails(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	require.NoError(t, store.Close())
	var logged strings.Builder
	h := newHandler(store, fstest.MapFS{"callbacks/test.js": {Data: []byte(
		`try { Spark.getPlayer() } catch (e) { Spark.setScriptData("out", String(e)) }`)}}, callback.SecretMap{"K/test": "s"})
	h.Logger = slog.New(slog.NewTextHandler(&logged, nil))
	require.Equal(t, `200 {"out":"Error: SparkPlayer.load: storage failed"}`, get(h, "/callback/K/test/s/ada"))
	require.Contains(t, logged.String(), "database is closed")
}

// A call that ends while it waits for the store does nothing later.
func TestWaitEnds(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	c, err := store.Collection("runtime", "t")
	require.NoError(t, err)
	tx, err := store.db.Begin() // another transaction holds the write lock
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	inserted := make(chan error)
	go func() { inserted <- c.Insert(ctx, document{}) }()
	cancel()
	require.ErrorIs(t, <-inserted, context.Canceled)
	require.NoError(t, tx.Rollback())
	n, err := c.Count(context.Background(), nil)
	require.NoError(t, err)
	require.Zero(t, n)
}

// A query checks after each document whether the call has ended.
func TestQueryEnds(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	c, err := store.Collection("runtime", "t")
	require.NoError(t, err)
	require.NoError(t, c.Insert(context.Background(), document{}, document{}, document{}))
	q, err := compileQuery(nil)
	require.NoError(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	visited := 0
	err = store.transact(context.Background(), func(tx *sql.Tx) error {
		return c.each(ctx, tx, q, func(row) (bool, error) {
			visited++
			cancel()
			return true, nil
		})
	})
	require.ErrorIs(t, err, context.Canceled)
	require.Equal(t, 1, visited)
}
