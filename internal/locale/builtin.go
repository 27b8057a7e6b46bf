// Package locale has toLocaleString of numbers as in ECMA-402, with the locales
// of golang.org/x/text.
package locale

import (
	"math"
	"math/big"
	"reflect"
	"strings"

	"github.com/dop251/goja"
	"golang.org/x/text/language"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/lazy"
	"example.com/callback/internal/limit"
)

// Install gives the numbers and BigInts of a runtime a toLocaleString with
// locales and options. The engine's own takes its argument as a radix.
func Install(vm *goja.Runtime) {
	var last formats
	for _, sample := range []any{0, new(big.Int)} {
		prototype := vm.ToValue(sample).ToObject(vm).Prototype()
		lazy.Method(vm, prototype, "toLocaleString", func(call goja.FunctionCall) goja.Value {
			return toLocaleString(vm, &last, call)
		})
	}
}

var (
	intType   = reflect.TypeFor[int64]()
	floatType = reflect.TypeFor[float64]()
	bigType   = reflect.TypeFor[*big.Int]()
)

func toLocaleString(vm *goja.Runtime, last *formats, call goja.FunctionCall) goja.Value {
	var this any
	switch call.This.ExportType() {
	case intType, floatType, bigType: // nothing else: to export an object runs its getters
		this = call.This.Export()
	}
	tag := localeOf(vm, call.Argument(0))
	o := options{vm: vm}
	if v := call.Argument(1); goja.IsNull(v) {
		panic(vm.NewTypeError("toLocaleString: options must not be null"))
	} else if !goja.IsUndefined(v) {
		o.object = v.ToObject(vm)
	}
	percent, want := o.read()
	f := last.of(tag, percent)

	var d decimal
	switch x := this.(type) {
	case int64:
		d = floatDecimal(float64(x))
	case float64:
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return vm.ToValue(f.special(x))
		}
		d = floatDecimal(x)
	case *big.Int:
		d = bigDecimal(x)
	default:
		panic(vm.NewTypeError("toLocaleString: it is called on what is not a number"))
	}
	if percent && len(d.digits) > 0 {
		d.exp += 2
	}
	return vm.ToValue(f.text(d, want))
}

// localeOf reads the argument locales: one locale, or a list whose first counts.
func localeOf(vm *goja.Runtime, v goja.Value) language.Tag {
	if goja.IsNull(v) {
		panic(vm.NewTypeError("toLocaleString: locales must not be null"))
	}
	if object, ok := v.(*goja.Object); ok && object.ClassName() != "String" {
		if ecma.Length(object) == 0 {
			return language.AmericanEnglish
		}
		if v = ecma.OrUndefined(object.Get("0")); !goja.IsString(v) {
			panic(vm.NewTypeError("toLocaleString: a locale must be a string"))
		}
	} else if !ok && !goja.IsString(v) {
		return language.AmericanEnglish // for undefined, as in browsers, and for a number
	}
	name := ecma.ToString(vm, v).String()
	tag, err := language.Parse(name)
	if err != nil || strings.Contains(name, "_") || name == "" {
		panic(ecma.NewRangeError(vm, "toLocaleString: incorrect locale: "+limit.Text(name, 100)))
	}
	return tag
}

// options reads the object of options.
type options struct {
	vm     *goja.Runtime
	object *goja.Object // or nil
}

// unsupported has the options of ECMA-402 that are not supported, with the values
// that request nothing special.
var unsupported = []struct{ name, harmless string }{
	{"numberingSystem", ""}, {"currency", ""}, {"currencyDisplay", ""}, {"currencySign", ""},
	{"unit", ""}, {"unitDisplay", ""},
	{"notation", "standard"}, {"compactDisplay", ""}, {"signDisplay", "auto"},
	{"roundingIncrement", "1"}, {"roundingMode", "halfExpand"}, {"roundingPriority", "auto"},
	{"trailingZeroDisplay", "auto"},
}

const (
	maxInteger     = 21
	maxFraction    = 100
	maxSignificant = 21
)

func (o options) read() (percent bool, want digits) {
	style := o.text("style")
	if percent = style == "percent"; !percent && style != "" && style != "decimal" {
		o.refuse("style", style)
	}
	for _, option := range unsupported {
		if text := o.text(option.name); text != "" && text != option.harmless {
			o.refuse(option.name, text)
		}
	}
	switch text := o.text("useGrouping"); text {
	case "", "true", "auto", "always":
		want.grouped = true
	case "false":
	default:
		o.refuse("useGrouping", text)
	}
	want.minInteger = o.number("minimumIntegerDigits", 1, maxInteger, 1)
	minimum, maximum := o.number("minimumFractionDigits", 0, maxFraction, -1), o.number("maximumFractionDigits", 0, maxFraction, -1)
	usual := 3
	if percent {
		usual = 0
	}
	switch {
	case minimum < 0 && maximum < 0:
		minimum, maximum = 0, usual
	case minimum < 0:
		minimum = 0
	case maximum < 0:
		maximum = max(usual, minimum)
	case minimum > maximum:
		panic(ecma.NewRangeError(o.vm, "toLocaleString: minimumFractionDigits is greater than maximumFractionDigits"))
	}
	want.minFraction, want.maxFraction = minimum, maximum

	minimum, maximum = o.number("minimumSignificantDigits", 1, maxSignificant, 0), o.number("maximumSignificantDigits", 1, maxSignificant, 0)
	if minimum > 0 || maximum > 0 {
		want.minSignificant, want.maxSignificant = max(minimum, 1), maximum
		if maximum == 0 {
			want.maxSignificant = maxSignificant
		}
		if want.minSignificant > want.maxSignificant {
			panic(ecma.NewRangeError(o.vm, "toLocaleString: minimumSignificantDigits is greater than maximumSignificantDigits"))
		}
	}
	return percent, want
}

// get returns an option, or undefined.
func (o options) get(name string) goja.Value {
	if o.object == nil {
		return goja.Undefined()
	}
	return ecma.OrUndefined(o.object.Get(name))
}

func (o options) text(name string) string {
	v := o.get(name)
	if goja.IsUndefined(v) {
		return ""
	}
	return ecma.ToString(o.vm, v).String()
}

func (o options) number(name string, least, most, missing int) int {
	v := o.get(name)
	if goja.IsUndefined(v) {
		return missing
	}
	x := v.ToNumber().ToFloat()
	if !(x >= float64(least) && x <= float64(most)) {
		panic(ecma.NewRangeError(o.vm, "toLocaleString: "+name+" is out of range"))
	}
	return int(x)
}

func (o options) refuse(name, value string) {
	panic(o.vm.NewTypeError("%s", "toLocaleString: the option "+name+": "+limit.Text(value, 100)+" is not supported"))
}
