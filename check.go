package callback

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"strings"

	"example.com/callback/internal/check"
	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/engine"
)

// CheckOptions configure [Check].
type CheckOptions struct {
	// Members are the names that the host adds to Spark, as in
	// [Handler].Members.
	Members []string

	// Globals are the global names that the host adds.
	Globals []string

	// All also checks the folders of an export that no callback uses, such as
	// event and request.
	All bool
}

// A CheckReport is the result of [Check]. Its JSON is for other programs.
type CheckReport struct {
	// Scripts are the checked scripts, sorted by name.
	Scripts []CheckedScript `json:"scripts"`

	// Skipped are the folders whose scripts were not checked.
	Skipped []SkippedScripts `json:"skipped"`

	// Problems are all problems, sorted by script and position.
	Problems []Problem `json:"problems"`

	// Causes are the causes of the problems, except members that the host must
	// supply. Those that keep the most scripts from running come first.
	Causes []ProblemCause `json:"causes"`

	// Missing are the members that the host must supply. Those that are used most
	// come first.
	Missing []MissingMember `json:"missing"`
}

// A CheckedScript is a script that was checked.
type CheckedScript struct {
	Name string `json:"name"` // the file, such as "callbacks/hello.js"
	Runs bool   `json:"runs"` // it has no [Problem] that is Fatal
}

// SkippedScripts are the scripts of a folder that were not checked, because no
// callback runs them.
type SkippedScripts struct {
	Folder  string `json:"folder"`
	Scripts int    `json:"scripts"`
}

// A ProblemKind says what a [Problem] is about.
type ProblemKind string

// The kinds of problems.
const (
	ProblemSyntax  ProblemKind = "syntax"  // the script does not compile
	ProblemName    ProblemKind = "name"    // no URL and no require can name the file
	ProblemSize    ProblemKind = "size"    // the script is over DefaultMaxScriptSize
	ProblemModule  ProblemKind = "module"  // a module is missing, or cannot run
	ProblemMember  ProblemKind = "member"  // the host must supply a member
	ProblemUnknown ProblemKind = "unknown" // neither the library nor the original has the member
	ProblemClash   ProblemKind = "clash"   // a script and a module declare the same name
	ProblemOld     ProblemKind = "old"     // only the original's engine, Rhino, had it
	ProblemForeign ProblemKind = "foreign" // only other engines, such as Node.js, have it
	ProblemDepth   ProblemKind = "depth"   // a part is nested too deeply to be checked
)

// A Problem is a position in a script at which something is wrong.
type Problem struct {
	// Script is the file's name, such as "callbacks/hello.js".
	Script string `json:"script"`

	// Line and Column count from 1, columns in bytes; zero means the script as
	// a whole.
	Line   int `json:"line"`
	Column int `json:"column"`

	Kind ProblemKind `json:"kind"`

	// Name is the module, the member ("Spark.getRedis") or another name that the
	// problem is about; or empty.
	Name string `json:"name,omitempty"`

	// Message describes the problem.
	Message string `json:"message"`

	// Fatal reports that the script cannot run: it does not compile, or every run
	// stops at this position at the latest. Other problems show only on some
	// paths, if ever.
	Fatal bool `json:"fatal"`
}

// String returns the position and the message, like a compiler.
func (p Problem) String() string {
	if p.Line == 0 {
		return p.Script + ": " + p.Message
	}
	return fmt.Sprintf("%s:%d:%d: %s", p.Script, p.Line, p.Column, p.Message)
}

// A ProblemCause is the common cause of Problems, such as a missing module, which
// each line that requires it reports.
type ProblemCause struct {
	Problem          // the first of them
	Places  int      `json:"places"` // number of all places
	Blocks  []string `json:"blocks"` // scripts that cannot run because of it
}

// A MissingMember is a member of Spark that the host must supply. For the members
// of players it is Spark.getPlayer, because the player of the library has only an
// id.
type MissingMember struct {
	ProblemCause
	Scripts int `json:"scripts"` // number of scripts that use it

	// Uses counts, where that is plain, the members that scripts call on the
	// member's result: what the host's object needs. For sendRequest it counts
	// the kinds of SparkRequests.
	Uses map[string]int `json:"uses,omitempty"`
}

// Check reads the scripts that a [GojaRunner] would run from fsys. It runs none of
// them. A script without a Fatal [Problem] can run. Check reports:
//   - syntax errors;
//   - members of Spark that are misspelt, or that the host must supply;
//   - modules that do not exist;
//   - names that a script and a module both declare;
//   - extensions of JavaScript that only other engines have, such as the original's.
//
// The scripts are those in callbacks and modules, and system/GS_CALLBACK_URL.js.
// Scripts in other folders of an export are only counted.
//
// Check follows names: Spark, variables that hold results of its members, and calls
// on those. It misses Spark under another name, computed members, and the names of
// modules that are computed. The error is one of fsys, or says that there are no
// scripts.
func Check(fsys fs.FS, options CheckOptions) (*CheckReport, error) {
	found, err := check.Check(fsys, check.Options{
		Members:       options.Members,
		Globals:       options.Globals,
		All:           options.All,
		Carried:       engine.Carried,
		MaxScriptSize: DefaultMaxScriptSize,
	})
	if err != nil {
		return nil, err
	}
	problem := func(p check.Problem) Problem {
		return Problem{p.Script, p.Line, p.Column, ProblemKind(p.Kind), p.Name, p.Message, p.Fatal}
	}
	cause := func(c check.Cause) ProblemCause {
		return ProblemCause{problem(c.Problem), c.Places, slices.Concat([]string{}, c.Blocks)}
	}
	return &CheckReport{
		Scripts:  each(found.Scripts, func(s check.Script) CheckedScript { return CheckedScript(s) }),
		Skipped:  each(found.Skipped, func(f check.Folder) SkippedScripts { return SkippedScripts{f.Name, f.Scripts} }),
		Problems: each(found.Problems, problem),
		Causes:   each(found.Causes, cause),
		Missing: each(found.Missing, func(m check.Missing) MissingMember {
			return MissingMember{cause(m.Cause), m.Scripts, m.Uses}
		}),
	}, nil
}

func each[T, U any](list []T, f func(T) U) []U {
	all := make([]U, len(list))
	for i, v := range list {
		all[i] = f(v)
	}
	return all
}

// Run reports whether all scripts can run.
func (r *CheckReport) Run() bool {
	return !slices.ContainsFunc(r.Scripts, func(s CheckedScript) bool { return !s.Runs })
}

// WriteText writes a summary for people: the causes, the members that the host
// must supply, and the scripts that cannot run. If all is set, it first writes
// each problem in a line of its own, like a compiler.
func (r *CheckReport) WriteText(w io.Writer, all bool) error {
	var b strings.Builder
	if all {
		for _, p := range r.Problems {
			fmt.Fprintln(&b, p)
		}
		b.WriteString("\n")
	}
	for _, c := range r.Causes {
		fmt.Fprintf(&b, "%s%s\n", c.Problem, c.extent())
	}
	if len(r.Missing) > 0 {
		fmt.Fprintln(&b, "Members that you must supply:")
	}
	for _, m := range r.Missing {
		fmt.Fprintf(&b, "  %s: %s in %s, first at %s:%d:%d", m.Name, count(m.Places, "place"), count(m.Scripts, "script"), m.Script, m.Line, m.Column)
		if len(m.Blocks) > 0 {
			fmt.Fprintf(&b, "; %s cannot run without it", count(len(m.Blocks), "script"))
		}
		b.WriteString("\n")
		if len(m.Uses) > 0 {
			fmt.Fprintf(&b, "    with %s\n", m.uses())
		}
	}
	r.writeScripts(&b)
	_, err := io.WriteString(w, b.String())
	return err
}

// extent describes how far a cause reaches beyond its first place.
func (c ProblemCause) extent() string {
	var parts []string
	if c.Places > 1 {
		parts = append(parts, "and "+count(c.Places-1, "more place"))
	}
	if others := len(c.Blocks); others > 1 || others == 1 && c.Blocks[0] != c.Script {
		parts = append(parts, count(others, "script")+" cannot run")
	}
	if len(parts) == 0 {
		return ""
	}
	return " (" + strings.Join(parts, "; ") + ")"
}

// uses lists the members of Uses with their counts, the most frequent first.
func (m MissingMember) uses() string {
	names := slices.SortedFunc(maps.Keys(m.Uses), func(a, b string) int {
		return cmp.Or(-cmp.Compare(m.Uses[a], m.Uses[b]), cmp.Compare(a, b))
	})
	for i, name := range names {
		names[i] = fmt.Sprintf("%s (%d)", name, m.Uses[name])
	}
	return strings.Join(names, ", ")
}

func (r *CheckReport) writeScripts(b *strings.Builder) {
	var broken []string
	for _, s := range r.Scripts {
		if !s.Runs {
			broken = append(broken, s.Name)
		}
	}
	fmt.Fprintf(b, "%s checked: %d can run, %d cannot\n", count(len(r.Scripts), "script"), len(r.Scripts)-len(broken), len(broken))
	for _, name := range broken {
		fmt.Fprintf(b, "  %s: cannot run\n", name)
	}
	for _, f := range r.Skipped {
		fmt.Fprintf(b, "%s/: %s not checked, for no callback runs them", f.Folder, count(f.Scripts, "script"))
		read := []string{cloudcode.Callbacks, cloudcode.Modules, cloudcode.System}
		if near := cloudcode.Nearest(f.Folder, read); near != "" && near != f.Folder {
			fmt.Fprintf(b, ": is the folder meant to be %s/?", near)
		}
		b.WriteString("\n")
	}
}

// count is "1 script", "2 scripts".
func count(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}
