package engine

import (
	"math"
	"regexp"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"github.com/dop251/goja/file"

	"example.com/callback/internal/annexb"
	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/compiler"
	"example.com/callback/internal/guard"
	"example.com/callback/internal/tree"
	"example.com/callback/internal/web"
)

// A program is a compiled script.
type program struct {
	compiled  *goja.Program
	source    *file.File // of compiled, which retains it as well
	version   string     // of the tree or, if it has none, of the file
	handler   bool       // the script exports a handler
	variables []string   // names that the script declares at its top level
	declared  []string   // those of variables that are standard globals
	traits    traits
}

// compile compiles a script of the run's tree.
func (r *run) compile(name string, source []byte) (*program, error) {
	p, err := compile(name, r.tree.Version, string(source), r.engine.limits.MaxScriptSize)
	if err == nil && p.version == "" {
		p.version = tree.FileVersion(source)
	}
	return p, err
}

// compile compiles a source of a version of a tree. The error is a *ScriptError.
func compile(name, version, source string, maxSize int64) (*program, error) {
	var compiled *compiler.Script
	fault := compiler.TooLong(maxSize)
	if int64(len(source)) <= maxSize {
		compiled, fault = compiler.Compile(name, source, isModule(name))
	}
	if fault != nil {
		return nil, &ScriptError{Script: name, Version: version, Line: fault.Line, Column: fault.Column, Message: fault.Message}
	}
	p := &program{compiled: compiled.Program, source: compiled.Source, version: version, handler: compiled.Handler, variables: compiled.Variables, traits: traitsOf(source, compiled.JSONCalls)}
	for _, name := range compiled.Variables {
		if web.Has(name) && !slices.Contains(p.declared, name) {
			p.declared = append(p.declared, name)
		}
	}
	return p, nil
}

func isModule(name string) bool { return strings.HasPrefix(name, cloudcode.Modules+"/") }

// CompileMember checks the script of a host's member. The error is a *ScriptError.
func CompileMember(name, source string) error {
	_, err := compileMember(name, source)
	return err
}

// compileMember compiles the script of a host's member.
func compileMember(name, source string) (*program, error) {
	return compile(name, "", "("+source+"\n)", math.MaxInt64)
}

// traits are what a program needs besides the members of Spark, by its text. What
// the text does not name costs nothing.
type traits struct {
	guards    guard.Set  // builtins to guard
	parse     bool       // the library's JSON.parse in the object JSON; it is faster and bounded
	stringify bool       // the library's JSON.stringify in the object JSON
	annexB    annexb.Set // old builtins that the engine lacks
	locale    bool       // toLocaleString of numbers, which the engine lacks
	own       bool       // the library's names as properties of the global object itself
}

// declaresOurs matches programs that would notice that the global object only
// inherits the library's names: a var of the same name would hide them, and
// strict code could not assign to them.
var declaresOurs = regexp.MustCompile(`use strict|\bvar\s+(Spark|require|requireOnce|SparkRequests)\b`)

// traitsOf finds the traits of a program. jsonCalls is [compiler.Script.JSONCalls].
func traitsOf(source string, jsonCalls bool) traits {
	json, parse, stringify := strings.Contains(source, "JSON") && !jsonCalls, strings.Contains(source, "parse"), strings.Contains(source, "stringify")
	locale := strings.Contains(source, "toLocaleString")
	if guard.IsDynamic(source) {
		json, parse, stringify, locale = true, true, true, true
	}
	return traits{
		parse:     json && (parse || !stringify),
		stringify: json && (stringify || !parse),
		guards:    guard.For(source),
		annexB:    annexb.For(source),
		locale:    locale,
		own:       declaresOurs.MatchString(source),
	}
}
