package guard

import (
	"testing"
	"time"

	"github.com/dop251/goja"
	"github.com/stretchr/testify/require"

	"example.com/callback/internal/jsjson"
)

// runGuarded runs source in a runtime with the Set that its text asks for,
// or with those of set.
func runGuarded(t testing.TB, source string, set Set) (goja.Value, error) {
	t.Helper()
	vm := goja.New()
	vm.SetMaxCallStackSize(512)
	var g Guards
	g.Place(vm, set)
	timer := time.AfterFunc(time.Minute, func() { vm.Interrupt("too slow") })
	defer timer.Stop()
	return vm.RunString(source)
}

func TestGuards(t *testing.T) {
	t.Parallel()
	// Each of these ends the process, or loops for minutes, without its guard.
	for _, source := range []string{
		`"x".repeat(2**40)`,
		`"x".repeat(1e300)`,
		`"xyz".repeat({valueOf() { return 2**40 }})`,
		`String.prototype.repeat.call({toString() { return "ab" }}, 2**33)`,
		`"é".repeat(2**24 + 1)`,
		`"".padStart(2**40)`,
		`"x".padEnd(2**40, "ab")`,
		`new ArrayBuffer(2**40)`,
		`new ArrayBuffer({valueOf() { return 2**40 }})`,
		`Reflect.construct(ArrayBuffer, [2**40])`,
		`new (class extends ArrayBuffer {})(2**40)`,
		`new new ArrayBuffer(1).constructor(2**40)`,
		`new Uint8Array(2**40)`,
		`new Float64Array({length: 2**40})`,
		`new BigInt64Array("1099511627776")`,
		`Uint8Array.from({length: 2**40})`,
		`new (class extends Uint16Array {})(2**40)`,
		`(function () {}).apply(null, {length: 4294967295})`,
		`(function () {}).apply(null, new Array(4294967295))`,
		`(function () {}).apply(null, new Proxy([], {get() { return 4294967295 }}))`,
		`Math.max.apply(null, new Uint8Array(2**22))`,
		`Reflect.apply(Math.max, null, {length: 4294967295})`,
		`Reflect.construct(Date, {length: 4294967295})`,
		`for (;;) new Float64Array(1 << 20)`,
		`for (;;) new ArrayBuffer(1 << 24)`,
		`for (var k = "x".repeat(1 << 12);;) k.repeat(1 << 12)`,
		`Array.from({length: 2**32})`,
		`Array.from(new Array(4294967295))`,
		`new Array(4294967295).fill(0)`,
		`new Array(4294967295).join("x")`,
		`"" + new Array(4294967295)`,
		`new Array(1e7).join("xxxx")`,
		`var a = []; a.length = 4294967295; a.forEach(function () {})`,
		`Array.prototype.indexOf.call({length: 2**53 - 1}, 1)`,
		`Array.prototype.map.call({length: 2**40}, String)`,
		`Array.prototype.sort.call({length: 2**40})`,
		`var a = []; a[4294967294] = 1; a.sort()`,
		`var a = []; a[4294967294] = 1; a.toSorted()`,
		`var a = []; a[-1 >>> 1] = 1; a.reverse()`,
		`[].concat(new Array(4294967295))`,
		`new (class extends Array {})(4294967295).some(function () {})`,
		`var o = {}; Object.defineProperty(o, "x", {get: Reflect.get.bind(null, o, "x")}); o.x`,
		`var f = ""["rep" + "eat"]; f.call("x", 2**40)`,
		`"x".rep\u0065at(2**40)`,
		`eval(["x.rep", "eat(2**40)"].join("").replace("x", "'x'"))`,
		`new Function("return 'x'.rep" + "eat(2**40)")()`,
		`''.constructor.prototype[["re", "peat"].join("")].call("x", 2**40)`,
	} {
		t.Run(source, func(t *testing.T) {
			t.Parallel()
			set := For(source)
			require.NotZero(t, set)
			ok, err := runGuarded(t, "try { "+source+"; 0 } catch (e) { e instanceof RangeError }", set)
			require.NoError(t, err)
			require.Equal(t, true, ok.Export())
		})
	}
}

func TestGuardsOfHonestScripts(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		`Spark.setScriptData("a", Spark.getData().a)`,
		`for (var i = 0; i < list.length; i++) { out[i] = list[i] }`,
		`var day = 24 * 60 * 60 * 1000, n = list.length; list.map(f).join("&")`,
		`function retrieval() { return evaluate(x ? list.length : 0) }`,
		`var text = "Dear " + name + ", " + "thank you " + "for your order." + "\n" + "Bye"`,
		`class A { constructor(a) { this.a = a } }`,
		`if (list.length === 3 || list.length == 4 || list.length >= 5) list.forEach(f)`,
		`var s = "prüfen" + name + "!"; s = s.split("\u00fc").join("ue").slice(1)`,
		`names.sort(function (a, b) { return a - b }); [].concat(a, b).indexOf(3)`,
	} {
		require.Zero(t, For(source), source)
	}
}

// TestGuardsChangeNothing runs what is within the limits with all Set and
// with none.
func TestGuardsChangeNothing(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		`"ab".repeat(3) + "x".repeat() + "x".repeat("2") + "".repeat(2**30) + "é".repeat(2)`,
		`"x".repeat(-1)`, `"x".repeat(Infinity)`, `"x".repeat(Symbol())`, `"x".repeat(1n)`,
		`String.prototype.repeat.call(null, 1)`, `String.prototype.repeat.call(Symbol(), 1)`,
		`var log = []; String.prototype.repeat.call({toString() { log.push("s"); return "a" }}, {valueOf() { log.push("n"); return 2 }}) + log`,
		`"x".padStart(3, "ab") + "x".padEnd(4) + "xyz".padStart(1) + "x".padEnd()`,
		`var log = []; String.prototype.padEnd.call({toString() { log.push("s"); return "a" }}, {valueOf() { log.push("n"); return 3 }}, {toString() { log.push("f"); return "-" }}) + log`,
		`[String.prototype.repeat.name, String.prototype.repeat.length, typeof "".repeat, String(Object.getOwnPropertyNames("".padEnd))]`,
		`Object.keys(Object.getOwnPropertyDescriptors(String.prototype).repeat) + String(Object.getOwnPropertyDescriptor(String.prototype, "repeat").enumerable)`,
		`Object.keys(Array.prototype) + Object.keys(Reflect) + Object.keys(Function.prototype)`,
		`new ("".repeat)`,
		`var b = new ArrayBuffer(8); [b.byteLength, b instanceof ArrayBuffer, b.constructor === ArrayBuffer, ArrayBuffer.name, ArrayBuffer.length, ArrayBuffer.isView(new Int8Array(b))]`,
		`var b = new ArrayBuffer(8); new Float64Array(b)[0] = 1; [...new Uint8Array(b.slice(4))]`,
		`ArrayBuffer(8)`, `Uint8Array(8)`, `new ArrayBuffer(-1)`, `new Uint8Array(-1)`, `new Uint8Array(1.5).length`,
		`[...new Uint8Array([1, 2, 300])] + [...new Int16Array(new Uint8Array([1, 2]))] + [...new Uint8Array(new Set([4, 5]))]`,
		`var a = new Uint8Array(4); [a.map(x => x + 1) instanceof Uint8Array, a.constructor === Uint8Array, a.subarray(1).constructor === Uint8Array, a.slice(1).length]`,
		`[...Uint8Array.from({length: 3}, (v, i) => i)] + [...Uint8Array.of(1, 2)] + [...Float32Array.from(new Set([1.5]))]`,
		`class B extends Uint8Array { sum() { return this.reduce((a, b) => a + b) } }; var b = new B([1, 2]); [b.sum(), b instanceof B, b.length, B.from([3]) instanceof B]`,
		`Uint8Array.BYTES_PER_ELEMENT + Uint8Array.name + Uint8Array.length + Uint8Array.prototype.BYTES_PER_ELEMENT`,
		`Object.prototype.toString.call(new Uint8Array(1)) + Object.getPrototypeOf(Uint8Array).name`,
		`Math.max.apply(null, [1, 3, 2]) + Math.max.apply(null, {length: 2, 0: 7, 1: 9}) + (function () { return arguments.length }).apply(null, {length: 2})`,
		`(function () { return (function () { return [].slice.call(arguments) }).apply(this, arguments) })(1, 2, 3)`,
		`(function () { return this }).apply(7) + 1`, `Math.max.apply(null, 3)`, `Math.max.apply(null)`, `Function.prototype.apply.call(3, null, [])`,
		`Reflect.apply(Math.min, null, [4, 2])`, `Reflect.apply(Math.min, null)`, `Reflect.construct(Date, [0]).getTime()`,
		`var p = new Proxy({a: 1}, {get(t, k, r) { return Reflect.get(t, k, r) }, has: Reflect.has}); [p.a, "a" in p, p.b]`,
		`Reflect.construct(Array, [3], class X extends Array {}).constructor.name`,
		`Array.from({length: 3}, (v, i) => i * 2)`, `Array.from("abc")`, `Array.from(new Map([[1, 2]]))`, `Array.from(null)`, `Array.from.call(Object, [1])`,
		`new Array(5).fill(1).map((x, i) => i).filter(x => x > 1).reverse().concat([9], 8)`,
		`[3, 1, 2].sort() + [3, 1, 2].sort((a, b) => b - a).join() + [1, [2, [3]]].flat(Infinity)`,
		`[1, 2].join(undefined) + [1, 2].join(null) + [1, 2].join("") + [1, [2, 3]] + [null, undefined].join("-")`,
		`[1, 2].join({toString() { throw new Error("sep") }})`, `[1, 2].join(Symbol())`, `Array.prototype.join.call(null)`,
		`Array.prototype.map.call("abc", c => c + c)`, `Array.prototype.slice.call({length: 2, 0: "a", 1: "b"})`, `[].map(3)`,
		`Array.prototype.includes.call(undefined, 1)`, `[1, 2, 3].includes(2) + [1, 2, 3].indexOf(4)`, `[1, 2, 3].splice(1, 1)`, `[1, 2, 3].with(0, 9)`,
		`class L extends Array {}; var l = L.from([1, 2, 3]); [l.map(x => x) instanceof L, l.filter(Boolean).constructor.name, l.concat([4]) instanceof L]`,
		`try { [1].forEach(function f() { throw new TypeError("inner") }) } catch (e) { e.message + e.constructor.name }`,
	} {
		show := `(function () { try { return JSON.stringify(eval(` + string(jsjson.AppendString(nil, source)) + `)) } catch (e) { return e.name } })()`
		want, err := runGuarded(t, show, 0)
		require.NoError(t, err, source)
		got, err := runGuarded(t, show, All)
		require.NoError(t, err, source)
		require.Equal(t, want.Export(), got.Export(), source)
	}
}

func TestGuardsOnce(t *testing.T) {
	t.Parallel()
	vm := goja.New()
	var g Guards
	g.Place(vm, For(`"".repeat(3)`))
	before, err := vm.RunString(`"".repeat`)
	require.NoError(t, err)
	g.Place(vm, All)
	after, err := vm.RunString(`"".repeat`)
	require.NoError(t, err)
	require.True(t, before.SameAs(after))
}

func BenchmarkGuards(b *testing.B) {
	program := goja.MustCompile("", "1", false)
	for _, bench := range []struct {
		name, source string
	}{
		{"none", `1`},
		{"repeat", `"".repeat(3)`},
		{"apply", `f.apply(this, arguments)`},
		{"array", `new Array(5).fill(0).map(f).join("")`},
		{"buffer", `new ArrayBuffer(3)`},
		{"bytes", `new Uint8Array(3)`},
		{"reflect", `Reflect.get(o, "a")`},
		{"all", `eval("1")`},
	} {
		set := For(bench.source)
		b.Run(bench.name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				vm := goja.New()
				var g Guards
				g.Place(vm, set)
				if _, err := vm.RunProgram(program); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("text", func(b *testing.B) {
		source := `for (var i = 0; i < list.length; i++) { out[i] = list[i].name + "," }` + "\n"
		for range 7 {
			source += source
		}
		b.SetBytes(int64(len(source)))
		for b.Loop() {
			For(source)
		}
	})
}
