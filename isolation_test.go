package callback_test

import (
	"fmt"
	"log/slog"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

// probeModule reads everything that a script can reach: every property of every
// object, its descriptor, every prototype, the source of every function. It has its
// own copies of the functions that it needs.
const probeModule = `
function probe() {
	var ownKeys = Reflect.ownKeys, describe = Object.getOwnPropertyDescriptor, prototypeOf = Object.getPrototypeOf;
	var isExtensible = Object.isExtensible, source = Function.prototype.toString, lines = [], ids = new Map(), met = [];
	function id(v) {
		if (v === null || typeof v !== "object" && typeof v !== "function") return typeof v + " " + String(v);
		if (!ids.has(v)) {
			ids.set(v, met.length);
			met.push(v);
		}
		return "#" + ids.get(v);
	}
	function own(o) {
		var text = [id(prototypeOf(o)), isExtensible(o)];
		if (typeof o === "function") text.push(source.call(o));
		ownKeys(o).forEach(function (key) {
			var d = describe(o, key);
			text.push(String(key), d && [d.writable, d.enumerable, d.configurable, d.get && id(d.get), d.set && id(d.set), "value" in d && id(d.value)]);
		});
		lines.push(text.join());
	}
	[globalThis, Spark, Spark.getData(), Spark.data, Spark.getLog(), Spark.getDigester(), Spark.getHttp("http://127.0.0.1/"), Spark.getPlayer(),
		require, requireOnce, function () {}, function* () {}, async function () {}, (function* () {})(), [].values(), "".matchAll(/a/g),
		""[Symbol.iterator](), new Map().entries(), new Set().values(), Promise.resolve(), /a/, new Date(0), Symbol.prototype, Error.prototype,
		Symbol.for("shared"), Symbol.keyFor(Symbol.for("shared")), this, new Uint8Array(1), new ArrayBuffer(1), new Proxy({}, {})].forEach(id);
	// The engine lists its globals only once they have been used.
	("Object Function Array String Number Boolean Symbol BigInt Date RegExp Error EvalError RangeError ReferenceError SyntaxError TypeError " +
		"URIError AggregateError Math JSON Reflect Proxy Promise Map Set WeakMap WeakSet ArrayBuffer DataView Int8Array Uint8Array Uint8ClampedArray " +
		"Int16Array Uint16Array Int32Array Uint32Array Float32Array Float64Array BigInt64Array BigUint64Array eval parseInt parseFloat isNaN " +
		"isFinite escape unescape encodeURI encodeURIComponent decodeURI decodeURIComponent Intl").split(" ").forEach(function (name) {
			lines.push(name + " " + id(globalThis[name]));
		});
	for (var i = 0; i < met.length; i++) own(met[i]);
	var text = lines.join("\n");
	Spark.setScriptData("objects", met.length);
	Spark.setScriptData("fingerprint", Spark.getDigester().sha256Hex(text));
	if (Spark.getData().full) Spark.setScriptData("world", text);
	return met;
}
`

// stateModule has every kind of state that a module can have.
const stateModule = `
let calls = 0;
var count = (this.count || 0) + 1;
function visit() { visit.times = (visit.times || 0) + 1; return [++calls, count, visit.times] }
class Kept { static next() { return Kept.n = (Kept.n || 0) + 1 } }
`

// writer makes a script that describes what it can reach, and then changes as much of
// it as it can, at places and in ways that the seed chooses.
func writer(seed uint64) string {
	random := rand.New(rand.NewPCG(seed, 1))
	var s strings.Builder
	s.WriteString(`
require("PROBE"); require("STATE");
var world = probe();
function tag(strings) { return strings }
function literals() { return [/x/g, tag` + "`a${1}b`" + `, function () {}, class {}, [1], {a: 1}] }
var mine = literals(), seen = [];
mine.forEach(function (o) { seen.push(Reflect.ownKeys(o).map(function (k) { return String(k) + "=" + String(o[k]) }).join()) });
mine.concat(literals, tag, visit, Kept).forEach(function (o) { seen.push(String(o.mark), String(o.lastIndex)) });
Spark.setScriptData("seen", seen.concat(visit(), Kept.next(), String(Symbol.for("shared").description), typeof globalThis.leaked));
Spark.setScriptData("builtins", [[3, 1, 2].sort().join(), "aXbX".replace(/X/g, "-"), JSON.stringify({a: [1, null]}), new Date(0).toISOString(),
	Math.max(1, 2), parseInt("12px"), isNaN("x"), Object.keys({a: 1, b: 2}).join(), encodeURIComponent("é"), [1, [2]].flat().length]);

(function () {
var define = Reflect.defineProperty, keys = Reflect.ownKeys, remove = Reflect.deleteProperty,
	setPrototype = Reflect.setPrototypeOf, prevent = Reflect.preventExtensions, freeze = Object.freeze;
mine.push(literals, tag, visit, Kept);
for (var i = 0; i < mine.length; i++) try { mine[i].mark = "left"; mine[i].lastIndex = 7; mine[i].prototype.mark = "left" } catch (e) {}
leaked = "left"; var leakedToo = Symbol.for("shared"); Symbol.for("left");
function write(what, at, key) {
	try {
		var o = world[at % world.length], all = keys(o), k = all[key % (all.length + 1)];
		if (k === undefined) k = "added";
		switch (what) {
		case 0: o[k] = "left"; break;
		case 1: o[k] = function () { return "left" }; break;
		case 2: remove(o, k); break;
		case 3: define(o, k, {value: "left", writable: false, configurable: false, enumerable: true}); break;
		case 4: define(o, k, {get: function () { return "left" }, set: function () {}, configurable: false}); break;
		case 5: setPrototype(o, null); break;
		case 6: setPrototype(o, {left: "left"}); break;
		case 7: freeze(o); break;
		case 8: prevent(o); break;
		case 9: o["left" + at] = world[key % world.length]; break;
		case 10: globalThis[String(k)] = o; break;
		case 11: o[Symbol.for("left" + key)] = "left"; break;
		}
	} catch (e) {}
}
`)
	for range 150 {
		fmt.Fprintf(&s, "write(%d, %d, %d);\n", random.IntN(12), random.IntN(1<<20), random.IntN(1<<10))
	}
	s.WriteString("})();\n")
	return s.String()
}

// isolated serves scripts by a handler of its own.
func isolated(t *testing.T, mode string, scripts fstest.MapFS) func(t *testing.T, script string) string {
	t.Helper()
	secrets := callback.SecretMap{}
	for name := range scripts {
		if name, ok := strings.CutPrefix(name, "callbacks/"); ok {
			secrets["E3/"+strings.TrimSuffix(name, ".js")] = "s3cret"
		}
	}
	h := &callback.Handler{
		Secrets: secrets,
		Timeout: time.Minute,
		Logger:  slog.New(slog.NewTextHandler(t.Output(), &slog.HandlerOptions{Level: slog.LevelError})),
	}
	if mode == "sandbox" {
		runner := &sandbox.Runner{Scripts: scripts, Processes: 2}
		t.Cleanup(func() { _ = runner.Close() })
		h.Runner = runner
	} else {
		h.Runner = &callback.GojaRunner{Scripts: scripts, MaxQueue: 100}
	}
	return func(t *testing.T, script string) string {
		t.Helper()
		w := httptest.NewRecorder()
		h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/callback/E3/"+script+"/s3cret?a=1&a=2&b=3", nil))
		require.Equal(t, http.StatusOK, w.Code, script+": "+w.Body.String())
		return w.Body.String()
	}
}

// TestIsolation: whatever scripts change, no later or concurrent run sees any of it.
func TestIsolation(t *testing.T) {
	t.Parallel()
	writers, rounds := 12, 1
	if testkit.Deep() {
		rounds = 2
	}
	scripts := fstest.MapFS{
		"modules/PROBE.js":   {Data: []byte(probeModule)},
		"modules/STATE.js":   {Data: []byte(stateModule)},
		"callbacks/probe.js": {Data: []byte(`require("PROBE"); probe();`)},
	}
	names := []string{"probe"}
	for i := range writers {
		name := fmt.Sprintf("writer%d", i)
		names = append(names, name)
		scripts["callbacks/"+name+".js"] = &fstest.MapFile{Data: []byte(writer(uint64(i)))}
	}
	// What each script sees in a runner that has run nothing else.
	untouched := map[string]string{}
	for _, name := range names {
		untouched[name] = isolated(t, "process", scripts)(t, name)
	}
	require.Contains(t, untouched["probe"], `"fingerprint":"`)
	require.Contains(t, untouched["writer0"], `"builtins":["1,2,3","a-b-"`)

	for _, mode := range []string{"process", "sandbox"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			call := isolated(t, mode, scripts)
			var runs sync.WaitGroup
			for worker := range 4 {
				runs.Go(func() {
					random := rand.New(rand.NewPCG(uint64(worker), 2))
					for range rounds {
						for _, i := range random.Perm(len(names)) {
							if got := call(t, names[i]); got != untouched[names[i]] {
								t.Errorf("%s sees\n%s\nand alone\n%s", names[i], got, untouched[names[i]])
								return
							}
						}
					}
				})
			}
			runs.Wait()
			require.Equal(t, untouched["probe"], call(t, "probe"))
		})
	}
}

// TestIsolationProbe: the probe does see what scripts change.
func TestIsolationProbe(t *testing.T) {
	t.Parallel()
	changes := []string{
		`leaked = 1`, `globalThis[Symbol("x")] = 1`, `Array.prototype.map = Array.prototype.filter`, `Array.prototype.map.x = 1`,
		`delete Math.abs`, `Object.freeze(JSON)`, `Object.setPrototypeOf(Reflect, null)`, `Spark.x = 1`, `delete Spark.exit`, `Spark.getLog().info = 1`,
		`Spark.getData().a = 1`, `Object.defineProperty(String.prototype, "trim", {enumerable: true})`, `Object.preventExtensions(Date)`,
		`Object.getPrototypeOf(function* () {}).x = 1`, `Object.getPrototypeOf([].values()).next = null`, `Promise.prototype.then = function () {}`,
		`requireOnce = 1`, `Error.prototype.message = "x"`, `Object.getPrototypeOf(Spark).x = 1`,
	}
	scripts := fstest.MapFS{
		"modules/PROBE.js":  {Data: []byte(probeModule)},
		"callbacks/none.js": {Data: []byte(`require("PROBE"); (function () { probe(); probe(); var before = Spark.getScriptData("fingerprint"); probe(); Spark.setScriptData("seen", before !== Spark.getScriptData("fingerprint")) })()`)},
	}
	for i, change := range changes {
		scripts[fmt.Sprintf("callbacks/change%d.js", i)] = &fstest.MapFile{Data: []byte(
			`require("PROBE"); (function () { var get = Spark.getScriptData, set = Spark.setScriptData, now, before;
			probe(); probe(); before = get("fingerprint"); probe(); if (before !== get("fingerprint")) throw new Error("unstable");
			(function () { ` + change + ` })();
			probe(); now = get("fingerprint"); set("seen", before !== now) })()`)}
	}
	call := isolated(t, "process", scripts)
	require.Contains(t, call(t, "none"), `"seen":false`)
	for i, change := range changes {
		require.Contains(t, call(t, fmt.Sprintf("change%d", i)), `"seen":true`, change)
	}
}
