package main

import (
	"context"
	"encoding/json"
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
		{`out(Spark.getPlayer() === Spark.player && Spark.player === Spark.getPlayer())`, `true`},
		{`out(Spark.loadPlayer("bob").getDisplayName())`, `"Bob"`},
		{`out(Spark.loadPlayer("eve"))`, `null`},
		{`out(Spark.loadPlayer("' OR 1=1 --"))`, `null`},
		{`p = Spark.player; p.setScriptData("x", {a: [1, "ü"]}); out(Spark.loadPlayer("ada").getScriptData("x"))`, `{"a":[1,"ü"]}`},
		{`p = Spark.player; p.setScriptData("__proto__", 1); out(p.getScriptData("__proto__"))`, `1`},
		{`p = Spark.player; p.setScriptData("x", 1); p.removeScriptData("x"); out(p.getScriptData("x"))`, `null`},
		{`p = Spark.player; p.setScriptData("x", 1); out(Spark.loadPlayer("bob").getScriptData("x"))`, `null`},
		{`try { Spark.player.setScriptData("x", Array(70000).join("x")) } catch (e) { out(e.message) }`,
			`"SparkPlayer.setScriptData: the value is over 65536 bytes"`},
		{`try { for (i = 0; ; i++) Spark.player.setScriptData("x" + i, 1) } catch (e) { out(i + e.message) }`,
			`"100SparkPlayer.setScriptData: a player has at most 100 values"`},
	} {
		script := `function out(v) { Spark.setScriptData("out", v) }` + tt.script
		require.Equal(t, `200 {"out":`+tt.want+`}`, run(newStore(t), script), tt.script)
	}
}

// Each script runs on a collection of its own: c is the collection, ids lists
// the _id of what a query finds.
func TestCollections(t *testing.T) {
	t.Parallel()
	const setup = `
		function out(v) { Spark.setScriptData("out", v) }
		function caught(f) { try { f(); out("nothing thrown") } catch (e) { out(String(e)) } }
		function ids(query) { return c.find(query).toArray().map(function (d) { return d._id }).join("") }
		c = Spark.runtimeCollection("t");
		c.insert([
			{_id: "a", n: 1, s: "x", o: {p: 1, q: [1, 2]}},
			{_id: "b", n: 2, s: "y", o: {p: 2}, l: [{k: 1}, {k: 2}]},
			{_id: "c", n: 3, s: null},
			{_id: "d", n: "3", t: true}
		]);`
	for _, tt := range []struct{ script, want string }{
		// Queries.
		{`out(ids())`, `"abcd"`},
		{`out(ids({n: 1}))`, `"a"`},
		{`out(ids({_id: "b"}) + ids({_id: {$oid: "b"}}) + ids({_id: {$in: ["a", {$oid: "c"}]}}))`, `"bbac"`},
		{`out(ids({_id: "b", n: 1}))`, `""`},
		{`out([ids({n: {$gt: 1}}), ids({n: {$gte: 2, $lt: 3}}), ids({n: {$lte: 2}}), ids({s: {$gt: "x"}})])`, `["bc","b","ab","b"]`},
		{`out([ids({n: {$ne: 3}}), ids({n: {$eq: 3}}), ids({n: {$nin: [1, "3"]}}), ids({n: {$in: [3]}})])`, `["abd","c","bc","c"]`},
		{`out([ids({s: null}), ids({s: {$exists: true}}), ids({s: {$exists: false}}), ids({t: true})])`, `["cd","abc","d","d"]`},
		{`out([ids({"o.p": 2}), ids({"o.q": 2}), ids({"o.q.1": 2}), ids({"l.k": 2}), ids({"l.1.k": 1}), ids({"o.q": [1, 2]})])`, `["b","a","a","b","","a"]`},
		{`out(ids({$or: [{n: 1}, {$and: [{n: 3}, {s: null}]}]}))`, `"ac"`},
		{`out(ids({s: "x' OR '1'='1"}))`, `""`},
		{`out([c.count(), c.count({n: {$gt: 1}}), c.find({n: 9}).count()])`, `[4,2,0]`},
		{`out([c.findOne({n: 2}).s, c.findOne({n: 9}), c.findOne().n])`, `["y",null,1]`},
		{`caught(function () { c.find({n: {$where: "1"}}).toArray() })`, `"Error: runtimeCollection.find: query operator \"$where\" is not supported"`},
		{`caught(function () { c.count({$nor: []}) })`, `"Error: runtimeCollection.count: \"$nor\" is not the path of a field, and not an operator supported here"`},
		{`caught(function () { c.remove({owner: undefined}) })`, `"TypeError: query: owner is undefined"`},
		{`caught(function () { c.count("n") })`, `"Error: runtimeCollection.count: argument 2 is a string, not an object"`},

		// Cursors.
		{`r = ""; for (x = c.find(); x.hasNext();) r += x.next()._id; out(r)`, `"abcd"`},
		{`out(c.find().sort({n: -1}).toArray().map(function (d) { return d._id }).join(""))`, `"dcba"`},
		{`out(c.find().sort({t: 1, n: -1}).skip(1).limit(2).toArray().map(function (d) { return d._id }).join(""))`, `"ba"`},
		{`x = c.find().skip(1).limit(2); out([x.count(), x.size(), x.next()._id, x.curr()._id, x.toArray()[0]._id, x.hasNext()])`, `[4,2,"b","b","c",false]`},
		{`x = c.find({n: 9}); caught(function () { x.next() })`, `"Error: the cursor has no next document"`},
		{`x = c.find(); x.next(); caught(function () { x.limit(1) })`, `"Error: sort, skip and limit come before the cursor is read"`},
		{`caught(function () { c.find().limit(-1).size() })`, `"Error: runtimeCollection.find: skip must be 0 to 10000, limit 0 to 1000"`},

		// Changes.
		{`c.insert({n: 5}); out(/^[0-9a-f]{24}$/.test(c.findOne({n: 5})._id.$oid))`, `true`},
		{`d = {n: 5}; c.save(d); d.n = 6; c.save(d); out([c.count(), c.findOne(d).n, c.findOne({_id: d._id.$oid}).n])`, `[5,6,6]`},
		{`caught(function () { c.insert([{_id: "e"}, {_id: {$oid: "a"}}]) })`, `"Error: runtimeCollection.insert: a document with the _id \"a\" exists"`},
		{`try { c.insert([{_id: "e"}, {_id: "a"}]) } catch (e) {} out(c.count())`, `4`},
		{`caught(function () { c.insert({_id: 7}) })`, `"Error: runtimeCollection.insert: _id must be a string or {\"$oid\": string}"`},
		{`out(c.update({n: {$lt: 3}}, {$set: {"o.z.y": 1, s: "new"}, $inc: {n: 10, m: 0.5}})); out(c.findOne())`,
			`{"_id":"a","m":0.5,"n":11,"o":{"p":1,"q":[1,2],"z":{"y":1}},"s":"new"}`},
		{`c.update({n: {$lt: 3}}, {$inc: {n: 1}}, false, true); out(c.find().toArray().map(function (d) { return d.n }))`, `[2,3,3,"3"]`},
		{`c.update({_id: "b"}, {$set: {"l.1.k": 5}}); out(c.findOne({_id: "b"}).l)`, `[{"k":1},{"k":5}]`},
		{`c.update({_id: "a"}, {v: 1}); out(c.findOne({_id: "a"}))`, `{"_id":"a","v":1}`},
		{`c.update({_id: "z"}, {$inc: {n: 1}}); out(c.count())`, `4`},
		{`c.update({_id: {$oid: "z"}, k: {$eq: 1}, n: {$gt: 0}}, {$inc: {n: 1}}, true); out(c.findOne({k: 1}))`, `{"_id":{"$oid":"z"},"k":1,"n":1}`},
		{`caught(function () { c.update({_id: "d"}, {$inc: {n: 1}}) })`, `"Error: runtimeCollection.update: cannot $inc \"n\": it is not a number"`},
		{`caught(function () { c.update({_id: "a"}, {$set: {_id: "q"}}) })`, `"Error: runtimeCollection.update: _id cannot be changed"`},
		{`caught(function () { c.update({_id: "a"}, {$push: {l: 1}}) })`, `"Error: runtimeCollection.update: update operator \"$push\" is not supported"`},
		{`caught(function () { c.update({}, {$set: {n: 1}, $inc: {n: 1}}) })`, `"Error: runtimeCollection.update: \"n\" is changed twice"`},
		{`caught(function () { c.update({}, {$set: {o: {}}, $inc: {"o.p": 1}}) })`, `"Error: runtimeCollection.update: \"o.p\" is below \"o\", which is given too"`},
		{`caught(function () { c.update({}, {n: 1}, false, true) })`, `"Error: runtimeCollection.update: with multi, update must be made of operators"`},
		{`try { c.update({}, {$inc: {n: 1}}, false, true) } catch (e) {} out(c.find().toArray().map(function (d) { return d.n }))`, `[1,2,3,"3"]`},
		{`c.remove({n: {$gt: 1}}); out(ids())`, `"ad"`},
		{`caught(function () { c.remove() })`, `"Error: runtimeCollection.remove: query must be an object"`},
		{`c.insert({_id: "e", __proto__: 1, constructor: 2}); out(c.findOne({_id: "e"}).constructor)`, `2`},

		// Limits.
		{`caught(function () { c.insert({s: Array(70000).join("x")}) })`, `"Error: runtimeCollection.insert: the document is over 65536 bytes"`},
		{`caught(function () { c.insert({"a.b": 1}) })`, `"Error: runtimeCollection.insert: \"a.b\" cannot be the name of a field"`},
		{`d = {}; for (i = 0; i < 60; i++) d = {d: d}; caught(function () { c.insert(d) })`, `"Error: runtimeCollection.insert: the document is more than 50 levels deep"`},
		{`l = []; for (i = 0; i < 1000; i++) l.push({i: i}); c.insert(l); caught(function () { c.find().toArray() })`, `"Error: runtimeCollection.find: more than 1000 documents match: use limit"`},
		{`l = []; for (i = 0; i < 1000; i++) l.push({i: i % 500}); c.insert(l); out(c.find().sort({i: -1}).skip(1).limit(2).toArray().map(function (d) { return d.i }))`, `[499,498]`},
		{`s = Array(60000).join("x"); for (i = 0; i < 80; i++) c.insert({s: s}); caught(function () { c.find().toArray() })`, `"Error: runtimeCollection.find: the documents that match are over 4194304 bytes: use limit"`},
		{`caught(function () { Spark.runtimeCollection("t; DROP TABLE documents") })`, `"Error: runtimeCollection.open: \"t; DROP TABLE documents\" is not the name of a collection"`},

		// Collections of the other kind are others, and not a script's to change.
		{`out(Spark.metaCollection("t").count())`, `0`},
		{`caught(function () { Spark.metaCollection("t").insert({}) })`, `"Error: metaCollection.insert: scripts cannot change it"`},
	} {
		require.Equal(t, `200 {"out":`+tt.want+`}`, run(newStore(t), setup+tt.script), tt.script)
	}
}

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

// No increment is lost, from however many calls and processes.
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
	docs, err := c.Find(context.Background(), nil, nil, 0, 0)
	require.NoError(t, err)
	require.Equal(t, []document{{"_id": "n", "n": float64(calls * each)}}, docs)
}

// What goes wrong in the host is in its log and not in the script.
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

// A call that has to wait for the store is answered at its deadline, and does
// nothing later.
func TestDeadline(t *testing.T) {
	t.Parallel()
	store := newStore(t)
	tx, err := store.db.Begin() // somebody holds on to the store
	require.NoError(t, err)
	h := newHandler(store, fstest.MapFS{"callbacks/test.js": {Data: []byte(
		`Spark.runtimeCollection("t").insert({})`)}}, callback.SecretMap{"K/test": "s"})
	h.Logger = slog.New(slog.DiscardHandler)
	h.Timeout = 50 * time.Millisecond
	require.Equal(t, `504 {"error":"script timed out"}`, get(h, "/callback/K/test/s"))
	require.NoError(t, tx.Rollback())
	require.Equal(t, `200 {"out":0}`, run(store, `Spark.setScriptData("out", Spark.runtimeCollection("t").count())`))
}

// Whatever a script sends, a document that is stored can be read again.
func FuzzUpdate(f *testing.F) {
	f.Add(`{"_id":"a","n":1}`, `{"n":{"$gt":0}}`, `{"$inc":{"n":1}}`)
	f.Add(`{"a":[1,{"b":2}]}`, `{"$or":[{"a.b":2},{"a":{"$in":[1]}}]}`, `{"$set":{"a.1.b":{"$oid":"x"}}}`)
	f.Add(`{"a":{"$oid":"x"}}`, `{"a":{"$oid":"x"}}`, `{"a":{"$oid":"x","b":1}}`)
	f.Add(`{"n":1e308}`, `{}`, `{"$inc":{"n":1e308}}`)
	f.Fuzz(func(t *testing.T, docText, queryText, updateText string) {
		var doc, query, update document
		if json.Unmarshal([]byte(docText), &doc) != nil || json.Unmarshal([]byte(queryText), &query) != nil ||
			json.Unmarshal([]byte(updateText), &update) != nil || doc == nil {
			return
		}
		matches, err := compileQuery(query)
		if err == nil {
			matches(doc)
		}
		change, err := compileUpdate(update)
		if err != nil {
			require.ErrorAs(t, err, new(fault))
			return
		}
		if doc, err = change(doc); err != nil {
			require.ErrorAs(t, err, new(fault))
			return
		}
		text, err := encode(doc)
		if err != nil {
			require.ErrorAs(t, err, new(fault))
			return
		}
		require.NoError(t, json.Unmarshal([]byte(text), &doc))
	})
}
