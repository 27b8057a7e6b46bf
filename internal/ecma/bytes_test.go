package ecma_test

import (
	"testing"

	"github.com/dop251/goja"
	"github.com/stretchr/testify/require"

	"example.com/callback/internal/ecma"
)

func TestBytes(t *testing.T) {
	t.Parallel()
	tests := []struct {
		name, script string
		want         []byte // nil: no bytes
	}{
		{"buffer", `var b = new ArrayBuffer(3); new Uint8Array(b)[1] = 7; b`, []byte{0, 7, 0}},
		{"empty buffer", `new ArrayBuffer(0)`, []byte{}},
		{"Uint8Array", `new Uint8Array([1, 2, 3])`, []byte{1, 2, 3}},
		{"window on a buffer", `new Uint8Array([1, 2, 3, 4]).subarray(1, 3)`, []byte{2, 3}},
		{"empty window at the end", `new Uint8Array([1, 2]).subarray(2)`, []byte{}},
		{"Uint8ClampedArray", `new Uint8ClampedArray([300, -1])`, []byte{255, 0}},
		{"Int8Array", `new Int8Array([-1, 1])`, []byte{255, 1}},
		{"Uint16Array", `new Uint16Array([1, 2, 3]).subarray(1)`, []byte{2, 0, 3, 0}},
		{"Int16Array", `new Int16Array([-2])`, []byte{254, 255}},
		{"Uint32Array", `new Uint32Array([1])`, []byte{1, 0, 0, 0}},
		{"Int32Array", `new Int32Array([-1])`, []byte{255, 255, 255, 255}},
		{"Float32Array", `new Float32Array([1])`, []byte{0, 0, 128, 63}},
		{"Float64Array", `new Float64Array([1])`, []byte{0, 0, 0, 0, 0, 0, 240, 63}},
		{"BigInt64Array", `new BigInt64Array([-1n])`, []byte{255, 255, 255, 255, 255, 255, 255, 255}},
		{"BigUint64Array", `new BigUint64Array([1n])`, []byte{1, 0, 0, 0, 0, 0, 0, 0}},
		{"DataView", `var v = new DataView(new ArrayBuffer(8), 2, 3); v.setUint8(0, 9); v`, []byte{9, 0, 0}},
		{"subclass", `new (class extends Uint8Array {})([5])`, []byte{5}},
		{"without a prototype", `var u = new Uint8Array([6]); Object.setPrototypeOf(u, null); u`, []byte{6}},
		{"own length", `var u = new Uint8Array([6, 7]); Object.defineProperty(u, "length", {value: 9}); u`, []byte{6, 7}},
		{"isView replaced", `ArrayBuffer.isView = function () { return true }; new Uint8Array([8])`, []byte{8}},

		{"array", `[1, 2]`, nil},
		{"string", `"ab"`, nil},
		{"string object", `new String("ab")`, nil},
		{"null", `null`, nil},
		{"undefined", `undefined`, nil},
		{"proxy", `new Proxy(new Uint8Array(2), {})`, nil},
		{"like one", `({ length: 2, 0: 1, 1: 2, byteLength: 2, buffer: new ArrayBuffer(2) })`, nil},
		{"prototype", `Uint8Array.prototype`, nil},
		{"DataView.prototype", `DataView.prototype`, nil},
		{"inherits", `Object.create(new DataView(new ArrayBuffer(1)))`, nil},
		{"iterable", `({ [Symbol.iterator]: function () { throw 1 } })`, nil},
		{"isView says so", `ArrayBuffer.isView = function () { return true }; ({ length: 2 })`, nil},
		{"Map", `new Map([[1, 2]])`, nil},
		{"function", `(function () {})`, nil},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			vm := goja.New()
			v, err := vm.RunString(test.script)
			require.NoError(t, err)
			got, ok := ecma.Bytes(vm, v)
			require.Equal(t, test.want != nil, ok)
			if ok {
				require.Equal(t, test.want, append([]byte{}, got...))
			}
		})
	}
}

// Bytes are the script's own, not a copy.
func TestBytesAlias(t *testing.T) {
	t.Parallel()
	vm := goja.New()
	v, err := vm.RunString(`var u = new Uint8Array(2); u`)
	require.NoError(t, err)
	got, ok := ecma.Bytes(vm, v)
	require.True(t, ok)
	_, err = vm.RunString(`u[1] = 5`)
	require.NoError(t, err)
	require.Equal(t, []byte{0, 5}, got)
}

// TestNothingDetaches: no script can detach or resize a buffer. Bytes relies on that.
func TestNothingDetaches(t *testing.T) {
	t.Parallel()
	vm := goja.New()
	v, err := vm.RunString(`[typeof ArrayBuffer.prototype.transfer, typeof ArrayBuffer.prototype.resize, typeof structuredClone].join()`)
	require.NoError(t, err)
	require.Equal(t, "undefined,undefined,undefined", v.String())
}

func TestNewUint8Array(t *testing.T) {
	t.Parallel()
	vm := goja.New()
	require.NoError(t, vm.Set("u", ecma.NewUint8Array(vm, []byte{1, 2})))
	v, err := vm.RunString(`[u instanceof Uint8Array, u.join(), u.buffer.byteLength].join(" ")`)
	require.NoError(t, err)
	require.Equal(t, "true 1,2 2", v.String())

	for _, replaced := range []string{"null", "undefined", "1", "function () { return [] }", "class { constructor() { throw new Error('mine') } }", "Int8Array"} {
		vm := goja.New()
		require.NoError(t, vm.Set("make", func() goja.Value { return ecma.NewUint8Array(vm, nil) }))
		_, err := vm.RunString(`Uint8Array = ` + replaced + `; try { make(); "made" } catch (e) { "thrown" }`)
		require.NoError(t, err)
		v, _ := vm.RunString(`try { make(); "made" } catch (e) { "thrown" }`)
		require.Equal(t, "thrown", v.String(), replaced)
	}
}
