// Testreport reads the output of go test -json. It prints a line for each
// package, the output of each test that failed, the slowest tests, and last the
// first failure once more. A test that was skipped is a failure, too, unless its
// reason matches the flag -may-skip. So nothing stays untested without notice.
package main

import (
	"bufio"
	"cmp"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"
)

func main() {
	maySkip := flag.String("may-skip", "^$", "regular `expression` of the reasons for which a test may be skipped")
	flag.Parse()
	allowed, err := regexp.Compile(*maySkip)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	ok, err := report(os.Stdin, os.Stdout, allowed)
	if err != nil {
		fmt.Fprintln(os.Stderr, "testreport:", err)
		os.Exit(2)
	}
	if !ok {
		os.Exit(1)
	}
}

// An event is a line of go test -json.
type event struct {
	Action, Package, ImportPath, Test, Output string
	Elapsed                                   float64
}

// A result is what became of a test, or of a package if test is empty.
type result struct {
	pkg, test, output string
	elapsed           float64
}

func (r result) name() string {
	if r.test == "" {
		return r.pkg
	}
	return r.pkg + " " + r.test
}

// report returns whether nothing failed.
func report(in io.Reader, out io.Writer, maySkip *regexp.Regexp) (bool, error) {
	var failed, unskippable, passed []result
	skipped := map[string]int{} // by reason
	output := map[[2]string]*strings.Builder{}
	crashed := map[string]bool{} // packages
	lines := bufio.NewScanner(in)
	lines.Buffer(nil, 64<<20)
	for lines.Scan() {
		var e event
		if json.Unmarshal(lines.Bytes(), &e) != nil {
			fmt.Fprintln(out, lines.Text())
			continue
		}
		key := [2]string{e.Package, e.Test}
		switch e.Action {
		case "build-output":
			fmt.Fprint(out, e.Output)
		case "output":
			if strings.HasPrefix(e.Output, "=== ") { // RUN, PAUSE, CONT
				continue
			}
			if crash.MatchString(e.Output) {
				crashed[e.Package] = true
			}
			if crashed[e.Package] {
				key[1] = ""
			}
			if output[key] == nil {
				output[key] = new(strings.Builder)
			}
			output[key].WriteString(e.Output)
		case "pass", "fail", "skip":
			r := result{pkg: e.Package, test: e.Test, elapsed: e.Elapsed}
			if b := output[key]; b != nil {
				r.output = b.String()
				delete(output, key)
			}
			switch {
			case e.Action == "fail":
				failed = append(failed, r)
				fmt.Fprintf(out, "--- FAIL: %s (%.1f s)\n%s", r.name(), r.elapsed, r.output)
			case e.Test == "":
				if e.Action == "pass" {
					fmt.Fprintf(out, "ok    %s (%.1f s)\n", r.pkg, r.elapsed)
				}
			case e.Action == "pass":
				passed = append(passed, r)
			default:
				reason := skipReason(r.output)
				skipped[reason]++
				if !maySkip.MatchString(reason) {
					r.output = reason
					unskippable = append(unskippable, r)
				}
			}
		}
	}
	if err := lines.Err(); err != nil {
		return false, err
	}

	slices.SortFunc(passed, func(a, b result) int { return cmp.Compare(b.elapsed, a.elapsed) })
	for _, r := range passed[:min(5, len(passed))] {
		fmt.Fprintf(out, "slow  %s (%.1f s)\n", r.name(), r.elapsed)
	}
	for reason, n := range skipped {
		fmt.Fprintf(out, "skip  %d for this reason: %s\n", n, reason)
	}
	fmt.Fprintf(out, "%d passed, %d failed, %d skipped\n", len(passed), len(failed), sum(skipped))
	for _, r := range unskippable {
		fmt.Fprintf(out, "must not be skipped here: %s: %s\n", r.name(), r.output)
	}
	if len(failed) > 0 {
		fmt.Fprintf(out, "the first failure: %s\n%s", failed[0].name(), failed[0].output)
	}
	return len(failed)+len(unskippable) == 0, nil
}

// crash is how the last words of a test binary begin. go test takes them for the
// output of any test.
var crash = regexp.MustCompile(`^(panic|fatal error|SIG[A-Z]+): `)

// sourceLine is what precedes a message of a test.
var sourceLine = regexp.MustCompile(`(?m)^\s*\S+_test\.go:\d+: |^\s*\S+\.go:\d+: `)

// skipReason finds the reason in the output of a test that was skipped.
func skipReason(output string) string {
	at := sourceLine.FindStringIndex(output)
	if at == nil {
		return "no reason given"
	}
	reason, _, _ := strings.Cut(output[at[1]:], "\n")
	return reason
}

func sum(counts map[string]int) (n int) {
	for _, count := range counts {
		n += count
	}
	return n
}
