// Package annexb has the builtins of old scripts that the engine lacks: those of
// ECMA-262, Annex B, and the static properties of RegExp.
package annexb

import (
	_ "embed"
	"regexp"

	"github.com/dop251/goja"

	"example.com/callback/internal/jsjson"
)

// A Set is a set of builtins.
type Set uint8

// The builtins that are installed together.
const (
	methods Set = 1 << iota // of strings, objects and dates
	statics                 // RegExp.$1 and the like
)

var (
	namesMethod = regexp.MustCompile(`\.\s*(?:anchor|big|blink|bold|fixed|fontcolor|fontsize|italics|link|small|strike|sub|sup)\s*\(` +
		`|__(?:define|lookup)[GS]etter__|toGMTString`)
	namesStatic = regexp.MustCompile(`\bRegExp\s*(?:\[|\.\s*(?:\$|input\b|lastMatch\b|lastParen\b|leftContext\b|rightContext\b))`)
)

// For returns the builtins that a source names.
func For(source string) Set {
	var set Set
	if namesMethod.MatchString(source) {
		set |= methods
	}
	if namesStatic.MatchString(source) {
		set |= statics
	}
	return set
}

//go:embed methods.js
var methodsSource string

//go:embed statics.js
var staticsSource string

var (
	methodsProgram = goja.MustCompile(jsjson.OwnProgram, methodsSource, true)
	staticsProgram = goja.MustCompile(jsjson.OwnProgram, staticsSource, true)
)

// Install gives a runtime a set of builtins. If the script has broken the builtins
// that these are made of, it gets none. It panics with the *goja.InterruptedError if
// the runtime is interrupted, because the engine has then cleared the interrupt.
func Install(vm *goja.Runtime, set Set) {
	if set&methods != 0 {
		run(vm, methodsProgram)
	}
	if set&statics != 0 {
		run(vm, staticsProgram)
	}
}

func run(vm *goja.Runtime, program *goja.Program) {
	_, err := vm.RunProgram(program)
	if interrupted, ok := err.(*goja.InterruptedError); ok {
		panic(interrupted)
	}
}
