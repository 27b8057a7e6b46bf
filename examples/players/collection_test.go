package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// A scripted is a script with a collection of its own, and the JSON that it must
// put out.
type scripted struct{ script, want string }

// runAll runs the scripts: c is the collection, ids lists the _id of what a
// query finds, one returns a document.
func runAll(t *testing.T, tests []scripted) {
	const setup = `
		function out(v) { Spark.setScriptData("out", v) }
		function caught(f) { try { f(); out("nothing thrown") } catch (e) { out(String(e)) } }
		function ids(query) { return list(c.find(query)) }
		function list(cursor) { return cursor.toArray().map(function (d) { return d._id }).join("") }
		function one(id) { return c.findOne({_id: id}) }
		c = Spark.runtimeCollection("t");
		c.insert([
			{_id: "a", n: 1, s: "x", o: {p: 1, q: [1, 2]}},
			{_id: "b", n: 2, s: "y", o: {p: 2}, l: [{k: 1, m: 1}, {k: 2, m: 2}]},
			{_id: "c", n: 3, s: null},
			{_id: "d", n: "3", t: true}
		]);`
	for _, tt := range tests {
		require.Equal(t, `200 {"out":`+tt.want+`}`, run(newStore(t), setup+tt.script), tt.script)
	}
}

func TestQueries(t *testing.T) {
	t.Parallel()
	runAll(t, []scripted{
		{`out(ids())`, `"abcd"`},
		{`out(list(c.find({}, {})))`, `"abcd"`},
		{`out(list(c.find(null, null)))`, `"abcd"`},
		{`out(ids({n: 1}))`, `"a"`},
		{`out(ids({_id: "b"}) + ids({_id: {$oid: "b"}}) + ids({_id: {$in: ["a", {$oid: "c"}]}}))`, `"bbac"`},
		{`out(ids({_id: "b", n: 1}))`, `""`},
		{`out([ids({n: {$gt: 1}}), ids({n: {$gte: 2, $lt: 3}}), ids({n: {$lte: 2}}), ids({s: {$gt: "x"}})])`, `["bc","b","ab","b"]`},
		{`out([ids({n: {$ne: 3}}), ids({n: {$eq: 3}}), ids({n: {$nin: [1, "3"]}}), ids({n: {$in: [3]}})])`, `["abd","c","bc","c"]`},
		{`out([ids({s: {$in: [null]}}), ids({s: {$nin: [null, "x"]}}), ids({o: {$in: [{p: 2}]}}), ids({s: {$in: [/X/i, "y"]}})])`, `["cd","b","b","ab"]`},
		{`out([ids({s: null}), ids({s: {$exists: true}}), ids({s: {$exists: 0}}), ids({t: true})])`, `["cd","abc","d","d"]`},
		{`out([ids({"o.p": 2}), ids({"o.q": 2}), ids({"o.q.1": 2}), ids({"l.k": 2}), ids({"l.1.k": 1}), ids({"o.q": [1, 2]})])`, `["b","a","a","b","","a"]`},
		{`out(ids({$or: [{n: 1}, {$and: [{n: 3}, {s: null}]}]}))`, `"ac"`},
		{`out([ids({$nor: [{n: 1}, {s: null}]}), ids({n: {$not: {$gt: 1}}}), ids({s: {$not: /x/}})])`, `["b","ad","bcd"]`},
		{`out([ids({"o.q": {$all: [2, 1]}}), ids({"o.q": {$all: [1, 3]}}), ids({"o.q": {$all: []}}), ids({n: {$all: [1]}})])`, `["a","","","a"]`},
		{`out([ids({"o.q": {$size: 2}}), ids({l: {$size: 0}})])`, `["a",""]`},
		{`out([ids({"l.k": 1, "l.m": 2}), ids({l: {$elemMatch: {k: 1, m: 2}}}), ids({l: {$elemMatch: {k: 2, m: {$gt: 1}}}}), ids({"o.q": {$elemMatch: {$gt: 1, $lt: 3}}})])`, `["b","","b","a"]`},
		{`out(ids({l: {$all: [{$elemMatch: {k: 1}}, {$elemMatch: {k: 2}}]}}))`, `"b"`},
		{`out([ids({n: {$mod: [2, 1]}}), ids({n: {$type: "string"}}), ids({n: {$type: 1}}), ids({s: {$type: 10}}), ids({o: {$type: 3}}), ids({l: {$type: "array"}}), ids({t: {$type: "bool"}})])`,
			`["ac","d","abc","c","ab","b","d"]`},
		{`out([ids({s: /^X/i}), ids({s: {$regex: "^[xy]"}}), ids({s: {$regex: "Y", $options: "i"}}), ids({n: /1/})])`, `["a","ab","b",""]`},
		{`out(ids({s: "x' OR '1'='1"}))`, `""`},
		{`out([c.count(), c.count({n: {$gt: 1}}), c.find({n: 9}).count()])`, `[4,2,0]`},
		{`out([c.findOne({n: 2}).s, c.findOne({n: 9}), c.findOne().n, c.findOne({}, null, {n: -1})._id, c.findOne({}, {s: 1}, {n: -1})])`,
			`["y",null,1,"d",{"_id":"d"}]`},
		{`out([c.distinct("n"), c.distinct("o.q"), c.distinct("l.k", {n: 2}), c.distinct("none")])`, `[[1,2,3,"3"],[1,2],[1,2],[]]`},

		// Dates.
		{`d = new Date(1000); c.insert({_id: "e", at: d}); x = one("e").at; out([x instanceof Date, x - d, x, ids({at: d}), ids({at: {$gt: new Date(999)}}), ids({at: {$lt: d}}), ids({at: {$type: "date"}})])`,
			`[true,0,"1970-01-01T00:00:01.000Z","e","e","","e"]`},
		{`c.insert({_id: "e", at: new Date(1000)}); out([ids({at: {$gte: {$date: "1970-01-01"}}}), ids({at: {$date: 1000}}), ids({at: {$date: "1970-01-01T00:00:01.000Z"}})])`, `["e","e","e"]`},
		{`c.insert({_id: "e", at: [{d: new Date(-1)}]}); out([c.distinct("at.d")[0] instanceof Date, c.find({_id: "e"})])`,
			`[true,[{"_id":"e","at":[{"d":"1969-12-31T23:59:59.999Z"}]}]]`},
		{`c.update({_id: "a"}, {$set: {at: new Date(0)}}); out(list(c.find({at: {$exists: true}}).sort({at: 1})))`, `"a"`},
		{`c.update({_id: "a"}, {$currentDate: {at: true}}); out(one("a").at instanceof Date)`, `true`},

		// Errors name what is wrong.
		{`caught(function () { c.find({n: {$where: "1"}}).toArray() })`, `"Error: runtimeCollection.find: query operator \"$where\" is not supported"`},
		{`caught(function () { c.count({$where: "1"}) })`, `"Error: runtimeCollection.count: query operator \"$where\" is not supported"`},
		{`caught(function () { c.count({n: {$in: [{$gt: 1}]}}) })`, `"Error: runtimeCollection.count: $in has no operators in it but $regex"`},
		{`caught(function () { c.count({n: /(?=x)/}) })`, "\"Error: runtimeCollection.count: $regex \\\"(?=x)\\\" is not supported: error parsing regexp: invalid or unsupported Perl syntax: `(?=`\""},
		{`caught(function () { c.count({n: {$regex: "x", $options: "x"}}) })`, `"Error: runtimeCollection.count: $options x is not supported: it may have i, m and s"`},
		{`caught(function () { c.count({n: {$type: 11}}) })`, `"Error: runtimeCollection.count: $type 11 is not supported"`},
		{`caught(function () { c.count({"a.$b": 1}) })`, `"Error: runtimeCollection.count: \"a.$b\" is not the path of a field"`},
		{`caught(function () { c.remove({owner: undefined}) })`, `"TypeError: query: owner is undefined"`},
		{`caught(function () { c.find({a: [{b: undefined}]}) })`, `"TypeError: query: b is undefined"`},
		{`caught(function () { c.count("n") })`, `"Error: runtimeCollection.count: argument 2 is a string, not an object"`},
		{`caught(function () { c.aggregate({$match: {}}) })`, `"Error: aggregate is not supported"`},
		{`x = {}; x.x = x; caught(function () { c.insert(x) })`, `"TypeError: a value is nested too deeply, or is inside itself"`},
	})
}

func TestProjections(t *testing.T) {
	t.Parallel()
	runAll(t, []scripted{
		{`out(c.findOne({n: 2}, {s: 1}))`, `{"_id":"b","s":"y"}`},
		{`out(c.findOne({n: 2}, {s: true, _id: 0}))`, `{"s":"y"}`},
		{`out(c.findOne({n: 2}, {_id: 1}))`, `{"_id":"b"}`},
		{`out(c.findOne({n: 3}, {_id: 0}))`, `{"n":3,"s":null}`},
		{`out(c.findOne({n: 2}, {l: 0, o: false}))`, `{"_id":"b","n":2,"s":"y"}`},
		{`out(c.findOne({n: 2}, {l: 0, o: 0, _id: 0}))`, `{"n":2,"s":"y"}`},
		{`out(c.findOne({n: 1}, {"o.q": 1, none: 1}))`, `{"_id":"a","o":{"q":[1,2]}}`},
		{`out(c.findOne({n: 1}, {"o.q": 0}))`, `{"_id":"a","n":1,"o":{"p":1},"s":"x"}`},
		{`out(c.findOne({n: 2}, {"l.k": 1}))`, `{"_id":"b","l":[{"k":1},{"k":2}]}`},
		{`out(c.findOne({n: 2}, {"l.k": 0, n: 0, s: 0, o: 0}))`, `{"_id":"b","l":[{"m":1},{"m":2}]}`},
		{`out(c.findOne({n: 1}, {"n.x": 1, "o.q.x": 1}))`, `{"_id":"a","o":{"q":[]}}`},
		{`out(c.find({n: {$gt: 1}}, {n: 1}).sort({n: -1}).limit(1))`, `[{"_id":"c","n":3}]`},
		{`caught(function () { c.find({}, {a: 1, b: 0}).size() })`, `"Error: runtimeCollection.find: a choice of fields names those to show or those to hide, not both"`},
		{`caught(function () { c.find({}, {l: {$slice: 1}}).size() })`, `"Error: runtimeCollection.find: \"$slice\" in a choice of fields is not supported"`},
		{`caught(function () { c.find({}, {"l.$": 1}).size() })`, `"Error: runtimeCollection.find: \"l.$\" is not the path of a field"`},
		{`caught(function () { c.find({}, {o: 1, "o.p": 1}).size() })`, `"Error: runtimeCollection.find: \"o.p\" is below \"o\", which is given too"`},
	})
}

func TestCursors(t *testing.T) {
	t.Parallel()
	runAll(t, []scripted{
		{`r = ""; for (x = c.find(); x.hasNext();) r += x.next()._id; out(r)`, `"abcd"`},
		{`out(c.find({n: {$lt: 3}}, {n: 1}))`, `[{"_id":"a","n":1},{"_id":"b","n":2}]`},
		{`x = c.find({}, {_id: 1}).limit(2); x.next(); out(x)`, `[{"_id":"a"},{"_id":"b"}]`},
		{`out({found: c.find({n: 9})})`, `{"found":[]}`},
		{`r = ""; c.find().forEach(function (d) { r += d._id }); out(r)`, `"abcd"`},
		{`out(list(c.find().sort({n: -1})))`, `"dcba"`},
		{`out(list(c.find().sort({t: 1, n: -1}).skip("1").limit("2")))`, `"ba"`},
		{`out(list(c.find().skip(1).limit(2)))`, `"bc"`},
		{`c.insert({_id: "e", n: [0, 9]}); out([list(c.find({n: {$type: 1}}).sort({n: 1})), list(c.find({n: {$type: 1}}).sort({n: -1}))])`, `["eabc","ecba"]`},
		{`x = c.find().skip(1).limit(2); out([x.count(), x.size(), x.next()._id, x.curr()._id, x.toArray()[0]._id, x.hasNext()])`, `[4,2,"b","b","c",false]`},
		{`x = c.find({n: 9}); caught(function () { x.next() })`, `"Error: the cursor has no next document"`},
		{`x = c.find(); x.next(); caught(function () { x.limit(1) })`, `"Error: sort, skip and limit come before the cursor is read"`},
		{`caught(function () { c.find().sort({n: "up"}) })`, `"TypeError: sort: n must be 1 or -1"`},
		{`caught(function () { c.find().limit(-1).size() })`, `"Error: runtimeCollection.find: skip must be 0 to 10000, limit 0 to 1000"`},
		{`caught(function () { c.find().skip(10001).size() })`, `"Error: runtimeCollection.find: skip must be 0 to 10000, limit 0 to 1000"`},
	})
}

func TestChanges(t *testing.T) {
	t.Parallel()
	runAll(t, []scripted{
		{`c.insert({n: 5}); out(/^[0-9a-f]{24}$/.test(c.findOne({n: 5})._id.$oid))`, `true`},
		{`out([c.insert({_id: "e"}, {_id: "f"}), c.insert([{_id: "g"}], {_id: "h"}), ids({n: {$exists: false}})])`, `[true,true,"efgh"]`},
		{`d = {n: 5}; c.save(d); d.n = 6; c.save(d); out([c.count(), c.findOne(d).n, c.findOne({_id: d._id.$oid}).n])`, `[5,6,6]`},
		{`caught(function () { c.insert([{_id: "e"}, {_id: {$oid: "a"}}]) })`, `"Error: runtimeCollection.insert: a document with the _id \"a\" exists"`},
		{`try { c.insert([{_id: "e"}, {_id: "a"}]) } catch (e) {} out(c.count())`, `4`},
		{`c.insert({_id: 7}, {_id: "7"}, {_id: {x: 1, y: 2}}); out([one(7)._id, one("7")._id, one({y: 2, x: 1})._id, c.find({_id: {$gt: 6}}).count()])`, `[7,"7",{"x":1,"y":2},1]`},
		{`caught(function () { c.insert({_id: 7}); c.insert({_id: 7}) })`, `"Error: runtimeCollection.insert: a document with the _id 7 exists"`},
		{`caught(function () { c.insert({_id: [7]}) })`, `"Error: runtimeCollection.insert: _id must be a value of up to 256 bytes, and not an array"`},
		{`out(c.update({n: {$lt: 3}}, {$set: {"o.z.y": 1, s: "new"}, $inc: {n: 10, m: 0.5}})); out(c.findOne())`,
			`{"_id":"a","m":0.5,"n":11,"o":{"p":1,"q":[1,2],"z":{"y":1}},"s":"new"}`},
		{`c.update({n: {$lt: 3}}, {$inc: {n: 1}}, false, true); out(c.find().toArray().map(function (d) { return d.n }))`, `[2,3,3,"3"]`},
		{`c.updateMulti({n: {$lt: 3}}, {$mul: {n: 4}}); out(c.find().toArray().map(function (d) { return d.n }))`, `[4,8,3,"3"]`},
		{`c.update({_id: "b"}, {$set: {"l.1.k": 5}}); out(one("b").l)`, `[{"k":1,"m":1},{"k":5,"m":2}]`},
		{`c.update({_id: "a"}, {v: 1}); out(one("a"))`, `{"_id":"a","v":1}`},
		{`c.update({_id: "z"}, {$inc: {n: 1}}); out(c.count())`, `4`},
		{`c.update({_id: {$oid: "z"}, k: {$eq: 1}, n: {$gt: 0}}, {$inc: {n: 1}}, true); out(c.findOne({k: 1}))`, `{"_id":{"$oid":"z"},"k":1,"n":1}`},
		{`c.update({$and: [{_id: "z"}, {k: 1}]}, {$setOnInsert: {n: 1}, $set: {_id: "z", m: 1}}, true); out(one("z"))`, `{"_id":"z","k":1,"m":1,"n":1}`},
		{`c.update({_id: "a"}, {$setOnInsert: {n: 5}}, true); out(one("a").n)`, `1`},
		{`d = one("a"); d.n = 7; c.update({n: 1}, {$set: d}); out(one("a").n)`, `7`},
		{`c.update({_id: "a"}, {$set: {_id: {$oid: "a"}, n: 7}}); out(one("a")._id)`, `"a"`},
		{`d = one("a"); d.n = 7; c.update({n: 1}, d); out(one("a").n)`, `7`},
		{`c.update({_id: "a"}, {$unset: {s: 1, "o.p": 1, "o.q.0": "", "none.x": 1}}); out(one("a"))`, `{"_id":"a","n":1,"o":{"q":[null,2]}}`},
		{`c.update({_id: "a"}, {$rename: {s: "o.s", none: "x"}}); out(one("a"))`, `{"_id":"a","n":1,"o":{"p":1,"q":[1,2],"s":"x"}}`},
		{`c.update({_id: "a"}, {$min: {n: 0, m: 4}, $max: {"o.p": 0, k: 4}}); d = one("a"); out([d.n, d.m, d.o.p, d.k])`, `[0,4,1,4]`},

		// Arrays.
		{`c.update({_id: "a"}, {$push: {"o.q": 3, l: {x: 1}}}); d = one("a"); out([d.o.q, d.l])`, `[[1,2,3],[{"x":1}]]`},
		{`c.update({_id: "a"}, {$push: {"o.q": {$each: [4, 3], $sort: -1, $slice: 3}}}); out(one("a").o.q)`, `[4,3,2]`},
		{`c.update({_id: "a"}, {$push: {"o.q": {$each: [8, 9], $position: 1, $slice: -3}}}); out(one("a").o.q)`, `[8,9,2]`},
		{`c.update({_id: "b"}, {$push: {l: {$each: [{k: 0}], $sort: {k: 1}}}}); out(one("b").l)`, `[{"k":0},{"k":1,"m":1},{"k":2,"m":2}]`},
		{`c.update({_id: "a"}, {$pushAll: {"o.q": [3, 4]}}); out(one("a").o.q)`, `[1,2,3,4]`},
		{`c.update({_id: "a"}, {$addToSet: {"o.q": 2, l: {x: 1}}}); d = one("a"); out([d.o.q, d.l])`, `[[1,2],[{"x":1}]]`},
		{`c.update({_id: "b"}, {$addToSet: {l: {$each: [{m: 1, k: 1}, {k: 3}, {k: 3}]}, e: {$each: []}}}); d = one("b"); out([d.l, d.e])`, `[[{"k":1,"m":1},{"k":2,"m":2},{"k":3}],[]]`},
		{`c.update({_id: "a"}, {$pull: {"o.q": 1, none: 1}}); out(one("a").o)`, `{"p":1,"q":[2]}`},
		{`c.update({_id: "a"}, {$pull: {"o.q": {$gte: 2}}}); out(one("a").o.q)`, `[1]`},
		{`c.update({_id: "b"}, {$pull: {l: {k: 1}}}); out(one("b").l)`, `[{"k":2,"m":2}]`},
		{`c.update({_id: "b"}, {$pull: {l: {k: {$in: [1, 2]}}}}); out(one("b").l)`, `[]`},
		{`c.insert({_id: "e", l: [{$oid: "x"}, "y"]}); c.update({_id: "e"}, {$pull: {l: {$oid: "x"}}}); out(one("e").l)`, `["y"]`},
		{`c.update({_id: "a"}, {$pullAll: {"o.q": [2, 3]}}); out(one("a").o.q)`, `[1]`},
		{`c.update({_id: "a"}, {$pop: {"o.q": 1}}); x = one("a").o.q; c.update({_id: "b"}, {$pop: {l: -1}}); out([x, one("b").l])`, `[[1],[{"k":2,"m":2}]]`},
		{`c.update({"l.k": 2}, {$set: {"l.$.m": 9, "l.$.k": 8}}); out(one("b").l)`, `[{"k":1,"m":1},{"k":8,"m":9}]`},
		{`c.update({$and: [{_id: "b"}, {l: {$elemMatch: {k: 2}}}]}, {$inc: {"l.$.m": 1}}); out(one("b").l[1].m)`, `3`},
		{`c.update({"o.q": 2}, {$set: {"o.q.$": 5}}); out(one("a").o.q)`, `[1,5]`},

		// All that findAndModify takes.
		{`out([c.findAndModify({n: 1}, {$inc: {n: 10}}), one("a").n])`, `[{"_id":"a","n":1,"o":{"p":1,"q":[1,2]},"s":"x"},11]`},
		{`out([c.findAndModify({n: {$gt: 0}}, {n: -1}, {$set: {s: 1}})._id, one("c").s])`, `["c",1]`},
		{`out(c.findAndModify({n: 1}, {n: 1}, null, false, {$inc: {n: 10}}, true, false))`, `{"_id":"a","n":11}`},
		{`out([c.findAndModify({n: {$gt: 0}}, {n: 1}, {n: -1}, true, null, false, false), c.count()])`, `[{"_id":"c","n":3},3]`},
		{`out([c.findAndModify({_id: "z"}, null, null, false, {$inc: {n: 1}}, false, true), c.findAndModify({_id: "y"}, null, null, false, {$inc: {n: 1}}, true, true), ids({n: 1})])`,
			`[null,{"_id":"y","n":1},"azy"]`},
		{`out([c.findAndModify({n: 9}, {$inc: {n: 1}}), c.findAndRemove({n: 9}), c.findAndRemove({n: 1}).s, c.count()])`, `[null,null,"x",3]`},
		{`caught(function () { c.findAndModify({}, null, null, true, {n: 1}, false, false) })`, `"Error: runtimeCollection.findAndModify: a document is removed or updated, not both"`},

		{`old = one("a"); d = one("a"); d.n = 5; d._id = "other"; delete d.s; c.update({_id: "a"}, {$set: {k: 1}}); out([c.applyChanges(old, d), one("a")])`,
			`[true,{"_id":"a","k":1,"n":5,"o":{"p":1,"q":[1,2]}}]`},
		{`c.applyChanges(null, {_id: "e"}); out(c.count())`, `5`},

		{`c.remove({n: {$gt: 1}}); out(ids())`, `"ad"`},
		{`c.remove({}); out(c.count())`, `0`},
		{`out([c.drop(), c.count()])`, `[null,0]`},
		{`c.ensureIndex({s: -1, n: 1}); c.ensureIndex({n: 1}, {name: "x"}); c.ensureIndex({n: 1}, "x"); out(c.getIndexInfo())`,
			`[{"name":"_id_","key":{"_id":1}},{"name":"s_-1_n_1","key":{"s":-1,"n":1}},{"name":"x","key":{"n":1}}]`},
		{`c.ensureIndex({n: 1}); c.ensureIndex({s: 1}, {name: "x"}); c.dropIndexByName("x"); c.dropIndex({n: 1}); out(c.getIndexInfo().length)`, `1`},
		{`c.ensureIndex({n: 1}); c.drop(); out(c.getIndexInfo().length)`, `1`},
		{`m = Spark.metaCollection("t"); m.ensureIndex({n: 1}); out([m.getIndexInfo().length, c.getIndexInfo().length])`, `[2,1]`},
		{`for (i = 0; i < 63; i++) { k = {}; k["f" + i] = 1; c.ensureIndex(k) } c.ensureIndex({f0: 1}); caught(function () { c.ensureIndex({n: 1}) })`, `"Error: runtimeCollection.ensureIndex: a collection has at most 63 indexes"`},
		{`c.update({n: {$lt: 3}}, {$inc: {n: 1}}, {multi: true}); c.update({n: 9}, {$inc: {n: 1}}, {upsert: true}); out([c.count(), ids({n: 2}), c.count({n: 10})])`, `[5,"a",1]`},
		{`c.insert({_id: "e", n: {$numberLong: "12"}}); out([one("e").n, ids({n: {$gt: {$numberLong: "11"}}})])`, `[12,"e"]`},
		{`out(c.getLastError())`, `{"ok":1,"err":null}`},
		{`c.insert({_id: "e", __proto__: 1, constructor: 2}); out(one("e").constructor)`, `2`},
		{`c.insert(JSON.parse('{"_id": "e", "__proto__": {"x": 1}}')); d = one("e"); out([d.x, d])`, `[null,{"__proto__":{"x":1},"_id":"e"}]`},

		// Errors name what is wrong.
		{`caught(function () { c.update({_id: "d"}, {$inc: {n: 1}}) })`, `"Error: runtimeCollection.update: cannot $inc \"n\": it is not a number"`},
		{`caught(function () { c.update({_id: "a"}, {$set: {_id: "q"}}) })`, `"Error: runtimeCollection.update: _id cannot be changed"`},
		{`caught(function () { c.update({_id: "a"}, {_id: "q"}) })`, `"Error: runtimeCollection.update: _id cannot be changed"`},
		{`caught(function () { c.update({_id: "a"}, {$unset: {_id: 1}}) })`, `"Error: runtimeCollection.update: _id cannot be changed"`},
		{`caught(function () { c.update({_id: "a"}, {$bit: {n: {and: 1}}}) })`, `"Error: runtimeCollection.update: update operator \"$bit\" is not supported"`},
		{`caught(function () { c.update({_id: "a"}, {$push: {s: 1}}) })`, `"Error: runtimeCollection.update: cannot $push \"s\": it is not an array"`},
		{`caught(function () { c.update({_id: "a"}, {$pull: {s: 1}}) })`, `"Error: runtimeCollection.update: cannot $pull \"s\": it is not an array"`},
		{`caught(function () { c.update({_id: "a"}, {$push: {l: {$each: [], $x: 1}}}) })`, `"Error: runtimeCollection.update: \"$x\" of $push is not supported"`},
		{`caught(function () { c.update({_id: "a"}, {$set: {"o.q.$": 5}}) })`, `"Error: runtimeCollection.update: the query has found no element for \"o.q.$\""`},
		{`caught(function () { c.update({_id: "a"}, {$set: {"o.q.$[]": 5}}) })`, `"Error: runtimeCollection.update: \"o.q.$[]\" is not the path of a field"`},
		{`caught(function () { c.update({}, {$set: {n: 1}, $inc: {n: 1}}) })`, `"Error: runtimeCollection.update: \"n\" is changed twice"`},
		{`caught(function () { c.update({}, {$set: {o: {}}, $inc: {"o.p": 1}}) })`, `"Error: runtimeCollection.update: \"o.p\" is below \"o\", which is given too"`},
		{`caught(function () { c.update({}, {n: 1}, false, true) })`, `"Error: runtimeCollection.update: with multi, update must be made of operators"`},
		{`try { c.update({}, {$inc: {n: 1}}, false, true) } catch (e) {} out(c.find().toArray().map(function (d) { return d.n }))`, `[1,2,3,"3"]`},
		{`caught(function () { c.remove() })`, `"Error: runtimeCollection.remove: query must be an object"`},
		{`caught(function () { c.update({}) })`, `"Error: runtimeCollection.update: query and update must be objects"`},
		{`caught(function () { c.ensureIndex({n: 1}, {unique: true}) })`, `"Error: ensureIndex: unique is not supported"`},

		// Collections of different kinds are separate. Scripts cannot change the meta and
		// system collections.
		{`out(Spark.metaCollection("t").count())`, `0`},
		{`caught(function () { Spark.metaCollection("t").insert({}) })`, `"Error: metaCollection.insert: scripts cannot change it"`},
		{`caught(function () { Spark.metaCollection("t").drop() })`, `"Error: metaCollection.drop: scripts cannot change it"`},
		{`caught(function () { Spark.runtimeCollection("t; DROP TABLE documents") })`, `"Error: runtimeCollection.open: \"t; DROP TABLE documents\" is not the name of a collection"`},
	})
}

func TestLimits(t *testing.T) {
	t.Parallel()
	runAll(t, []scripted{
		{`caught(function () { c.insert({s: Array(270000).join("x")}) })`, `"Error: runtimeCollection.insert: the document is over 262144 bytes"`},
		{`caught(function () { c.insert({"a.b": 1}) })`, `"Error: runtimeCollection.insert: \"a.b\" cannot be the name of a field"`},
		{`d = {}; for (i = 0; i < 50; i++) d = {d: d}; c.insert(d); caught(function () { c.insert({d: d}) })`, `"Error: runtimeCollection.insert: the document is more than 50 levels deep"`},
		{`l = []; for (i = 0; i < 1000; i++) l.push({i: i}); c.insert(l); out(c.find({i: {$exists: true}}).size())`, `1000`},
		{`l = []; for (i = 0; i < 1000; i++) l.push({i: i}); c.insert(l); caught(function () { c.find().toArray() })`, `"Error: runtimeCollection.find: more than 1000 documents match: use limit"`},
		{`l = []; for (i = 0; i < 1000; i++) l.push({i: i % 500}); c.insert(l); out(c.find().sort({i: -1}).skip(1).limit(2).toArray().map(function (d) { return d.i }))`, `[499,498]`},
		{`s = Array(250000).join("x"); for (i = 0; i < 17; i++) c.insert({s: s}); caught(function () { c.find().toArray() })`, `"Error: runtimeCollection.find: the documents that match are over 4194304 bytes: use limit, or choose fields"`},
		{`s = Array(250000).join("x"); for (i = 0; i < 17; i++) c.insert({s: s}); out(c.find({}, {s: 0}).size())`, `21`},
		{`s = Array(250000).join("x"); for (i = 0; i < 70; i++) c.insert({s: s}); caught(function () { c.find().sort({s: 1}).size() }); c.find().sort({s: 1}).limit(1).size()`,
			`"Error: runtimeCollection.find: the documents to choose from are over 16777216 bytes: use a narrower query, or limit"`},
	})
}

// Limits of a query, at and just past.
func TestQueryLimits(t *testing.T) {
	t.Parallel()
	repeat := func(n int, v any) []any {
		l := make([]any, n)
		for i := range l {
			l[i] = v
		}
		return l
	}
	for _, tt := range []struct {
		name  string
		query func(n int) document
		limit int
		want  string
	}{
		{"$in", func(n int) document { return document{"a": document{"$in": repeat(n, 1.0)}} }, maxList, "$in has at most 1000 values"},
		{"$nin", func(n int) document { return document{"a": document{"$nin": repeat(n, 1.0)}} }, maxList, "$nin has at most 1000 values"},
		{"$all", func(n int) document { return document{"a": document{"$all": repeat(n, 1.0)}} }, maxList, "$all has at most 1000 values"},
		{"$or", func(n int) document { return document{"$or": repeat(n, document{"a": 1.0})} }, maxConditions, "a query has at most 1000 conditions"},
		{"$and of nothing", func(n int) document { return document{"$and": repeat(n, document{})} }, maxConditions, "a query has at most 1000 conditions"},
		{"path", func(n int) document { return document{strings.Repeat("a.", n-1) + "a": 1.0} }, maxDepth, "a path has at most 50 names"},
		{"bytes of $regex", func(n int) document { return document{"a": document{"$regex": strings.Repeat(" ", n)}} }, maxPattern - 2, `too complicated`},
		{"$regex", func(n int) document {
			return document{"a": document{"$regex": fmt.Sprintf("x{%d}", n)}}
		}, maxPattern - 2, `$regex "x{999}" is too complicated`},
	} {
		_, err := compileQuery(tt.query(tt.limit))
		require.NoError(t, err, tt.name)
		_, err = compileQuery(tt.query(tt.limit + 1))
		require.ErrorContains(t, err, tt.want, tt.name)
	}
	_, err := compileQuery(document{"a": document{"$regex": strings.Repeat("x", maxPattern+1)}})
	require.EqualError(t, err, "a $regex has at most 1000 bytes")
}

// The work on one document has a limit: for a path through nested arrays, which
// leads to very many values, and for a query with many conditions.
func TestSteps(t *testing.T) {
	t.Parallel()
	doc := any(document{})
	for range maxDepth / 2 {
		doc = document{"0": []any{doc}}
	}
	long := strings.Repeat("0.", maxDepth-1) + "0"
	var s search
	s.lookup(doc, strings.Split(long, "."))
	require.EqualError(t, s.err(), "a document takes more than 1000000 steps to look through")

	many := document{"l": make([]any, 10_000)}
	for n, ok := range map[int]bool{10: true, 1000: false} {
		var conditions []any
		for range n {
			conditions = append(conditions, document{"l": 1.0})
		}
		q, err := compileQuery(document{"$or": conditions})
		require.NoError(t, err)
		s = search{}
		require.False(t, q.matches(&s, many))
		require.Equal(t, ok, s.err() == nil)
	}

	require.Equal(t, `200 {"out":"Error: runtimeCollection.count: a document takes more than 1000000 steps to look through"}`,
		run(newStore(t), fmt.Sprintf(`
			d = {}; for (i = 0; i < 24; i++) d = {"0": [d]};
			c = Spark.runtimeCollection("t"); c.insert(d); q = {}; q[%q] = 1;
			try { c.count(q) } catch (e) { Spark.setScriptData("out", String(e)) }`, long)))
}

// Whatever a script sends, a document that is stored can be read again.
func FuzzUpdate(f *testing.F) {
	f.Add(`{"_id":"a","n":1}`, `{"n":{"$gt":0}}`, `{"$inc":{"n":1}}`)
	f.Add(`{"a":[1,{"b":2}]}`, `{"$or":[{"a.b":2},{"a":{"$in":[1]}}]}`, `{"$set":{"a.1.b":{"$oid":"x"}}}`)
	f.Add(`{"a":{"$oid":"x"}}`, `{"a":{"$oid":"x"}}`, `{"a":{"$oid":"x","b":1}}`)
	f.Add(`{"n":1e308}`, `{}`, `{"$inc":{"n":1e308}}`)
	f.Add(`{"a":[{"b":1},{"b":2}],"d":{"$date":5}}`, `{"a":{"$elemMatch":{"b":2}},"d":{"$lt":{"$date":"2022-09-30"}}}`, `{"$pull":{"a":{"b":{"$gt":1}}},"$max":{"d":{"$date":9}}}`)
	f.Add(`{"a":[1,2]}`, `{"a":2}`, `{"$set":{"a.$":[{}]},"$rename":{"b":"c"}}`)
	f.Add(`{"a":"x"}`, `{"a":{"$not":{"$regex":"^x","$options":"i"}}}`, `{"$push":{"b":{"$each":[2,1],"$sort":1,"$slice":-1}}}`)
	f.Fuzz(func(t *testing.T, docText, queryText, updateText string) {
		var doc, query, update document
		if json.Unmarshal([]byte(docText), &doc) != nil || json.Unmarshal([]byte(queryText), &query) != nil ||
			json.Unmarshal([]byte(updateText), &update) != nil || doc == nil {
			return
		}
		q, err := compileQuery(query)
		if err != nil {
			require.ErrorAs(t, err, new(fault))
			return
		}
		q.matches(new(search), doc)
		u, err := compileUpdate(update)
		if err != nil {
			require.ErrorAs(t, err, new(fault))
			return
		}
		if doc, err = u.apply(doc, q, false); err != nil {
			require.ErrorAs(t, err, new(fault))
			return
		}
		text, err := encode(doc)
		if err != nil {
			require.ErrorAs(t, err, new(fault))
			return
		}
		var again document
		require.NoError(t, json.Unmarshal([]byte(text), &again))
		require.Equal(t, fmt.Sprint(doc), fmt.Sprint(again))
	})
}
