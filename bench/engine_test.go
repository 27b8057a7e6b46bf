package bench

import (
	"testing"

	"github.com/dop251/goja"
)

// These benchmarks measure three operations of the engine that each request needs.
// The Handler cannot make them cheaper from outside. See RATIONALE.md, "What a
// change of the engine would give".

var (
	engineObject *goja.Object
	engineKeys   []string
)

// BenchmarkEngineFunction makes a native function. Each member that a script reads
// is one. The engine makes its properties name and length at once.
func BenchmarkEngineFunction(b *testing.B) {
	vm := goja.New()
	f := func(goja.FunctionCall) goja.Value { return nil }
	b.ReportAllocs()
	for b.Loop() {
		engineObject = vm.ToValue(f).(*goja.Object)
	}
}

// BenchmarkEngineObject makes an object without properties. It takes three
// allocations: the object, its implementation and its properties.
func BenchmarkEngineObject(b *testing.B) {
	vm := goja.New()
	b.ReportAllocs()
	for b.Loop() {
		engineObject = vm.NewObject()
	}
}

// BenchmarkEngineKeys lists the names of three properties, as the conversion to
// JSON does. The engine walks them by an iterator of closures.
func BenchmarkEngineKeys(b *testing.B) {
	vm := goja.New()
	object := vm.NewObject()
	for _, name := range []string{"one", "two", "three"} {
		if err := object.Set(name, 1); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
	for b.Loop() {
		engineKeys = object.Keys()
	}
}
