package callback

import (
	"fmt"
	"io/fs"

	"example.com/callback/internal/check"
)

// A Problem is what [Check] finds in a script.
type Problem struct {
	// Script is the file's name, such as "callbacks/hello.js".
	Script string

	// Line and Column count from 1, columns in bytes; zero means the script as
	// a whole.
	Line   int
	Column int

	// Message says what is wrong.
	Message string

	// Fatal reports that the script cannot run: it does not compile, or no run
	// of it gets past this place. Other problems are met, if ever, on some path
	// only.
	Fatal bool
}

// String returns the position and the message, like a compiler.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.Script + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.Script, p.Line, p.Column, p.Message)
}

// Check reads the scripts that a [GojaRunner] would run from fsys, without
// running any, and returns what is wrong with them, sorted by script and
// position: syntax errors; members of Spark that neither the library carries
// nor the host supplies; misspelt ones; modules that do not exist; and what
// the original's engine, Rhino, had beside JavaScript. A script without a
// Problem that is Fatal can run.
//
// The scripts are those in callbacks and modules, and system/GS_CALLBACK_URL.js.
// members are the names that the host adds to Spark, as in [Handler].Members.
//
// Check follows names, not values: it does not see Spark under another name, a
// computed member, or a module code put together at run time. The error is one of
// fsys.
func Check(fsys fs.FS, members ...string) ([]Problem, error) {
	found, err := check.Scripts(fsys, check.Options{
		Members:       members,
		Carried:       carriedBy,
		MaxScriptSize: DefaultMaxScriptSize,
	})
	var problems []Problem
	for _, p := range found {
		problems = append(problems, Problem(p))
	}
	return problems, err
}

// carriedBy lists the members of a class that the library carries.
func carriedBy(class string) []string {
	switch class {
	case sparkClass.Name:
		return sparkClass.Names()
	case httpClass.Name:
		return httpClass.Names()
	case responseClass.Name:
		return responseClass.Names()
	case logClass.Name:
		return logClass.Names()
	case digestClass.Name:
		return digestClass.Names()
	case playerClass.Name:
		return playerClass.Names()
	}
	return nil
}
