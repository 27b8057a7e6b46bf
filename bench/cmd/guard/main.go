// Guard fails if the Handler needs more than baseline.json allows: CPU time as a
// ratio to plain Go's, allocations and bytes per request and, where callgrind is
// installed, instructions. It compares no times, which depend on the machine. It
// runs on one processor, so that neither other load nor waking a second processor
// is in the ratio.
//
//	go run ./cmd/guard            compare
//	go run ./cmd/guard -update    write the baseline
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"math"
	"os"
	"regexp"
	"runtime"
	"time"

	"example.com/callback/bench/internal/work"
)

// Differences above these are not noise. They are multiples of the baseline's
// figures. For allocations, allocsSlack holds if it allows more.
const (
	allocsSlack = 2 // allocations more than the baseline's
	allocsNoise = 1.03
	bytesNoise  = 1.05
	ratioNoise  = 1.3
	countNoise  = 1.03 // of instructions
	tries       = 4    // of which the lowest figure is used
)

// A baseline holds the figures of one system: allocations differ between versions
// of Go, ratios between architectures.
type baseline struct {
	System  string        `json:"system"`
	Figures []work.Figure `json:"figures"`
}

var minorVersion = regexp.MustCompile(`^go\d+\.\d+`)

// system returns the name of this system, such as "go1.26 amd64".
func system() string { return minorVersion.FindString(runtime.Version()) + " " + runtime.GOARCH }

func main() {
	work.Main()
	file := flag.String("baseline", "baseline.json", "the file to compare with")
	update := flag.Bool("update", false, "write the file")
	flag.Parse()
	runtime.GOMAXPROCS(1)
	if err := run(*file, *update); err != nil {
		fmt.Fprintln(os.Stderr, "guard:", err)
		os.Exit(1)
	}
}

func run(file string, update bool) error {
	if update {
		return write(file)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	var b baseline
	if err := json.Unmarshal(text, &b); err != nil {
		return fmt.Errorf("%s: %w", file, err)
	}
	if len(b.Figures) == 0 {
		return fmt.Errorf("%s is empty: run with -update", file)
	}
	comparable := b.System == system()
	if !comparable {
		fmt.Printf("the baseline is of %s, this is %s: figures are printed and not compared\n", b.System, system())
	}
	failed := 0
	for _, want := range b.Figures {
		instructions, err := count(want.Workload)
		if err != nil {
			return err
		}
		var got work.Figure
		var faults []string
		for try := range tries {
			f, err := measure(want.Workload, 9)
			if err != nil {
				return err
			}
			if try == 0 {
				got = f
			}
			got.Instructions = instructions
			got.CPURatio, got.Allocs, got.Bytes = min(got.CPURatio, f.CPURatio), min(got.Allocs, f.Allocs), min(got.Bytes, f.Bytes)
			if faults = compare(got, want); len(faults) == 0 || !comparable {
				break
			}
		}
		fmt.Printf("%s: ratio %.2f (baseline %.2f), allocations %.0f (%.0f), bytes %.0f (%.0f), instructions %.0f (%.0f)\n",
			want.Workload, got.CPURatio, want.CPURatio, got.Allocs, want.Allocs, got.Bytes, want.Bytes, got.Instructions, want.Instructions)
		if !comparable {
			continue
		}
		for _, fault := range faults {
			fmt.Printf("FAIL %s: %s\n", want.Workload, fault)
		}
		failed += len(faults)
	}
	if failed > 0 {
		return fmt.Errorf("%d regressions; if they are meant, run `go run ./cmd/guard -update` in bench/", failed)
	}
	if comparable {
		fmt.Println("ok")
	}
	return nil
}

func compare(got, want work.Figure) (faults []string) {
	check := func(what string, got, limit float64) {
		if got > limit {
			faults = append(faults, fmt.Sprintf("%s %.2f, at most %.2f", what, got, limit))
		}
	}
	check("allocations", got.Allocs, max(want.Allocs+allocsSlack, want.Allocs*allocsNoise))
	check("bytes", got.Bytes, want.Bytes*bytesNoise)
	if want.Instructions > 0 {
		check("instructions", got.Instructions, want.Instructions*countNoise)
	}
	check("ratio of CPU time", got.CPURatio, want.CPURatio*ratioNoise)
	return faults
}

// measure returns the Handler's figures for a workload, without instructions.
func measure(name string, rounds int) (work.Figure, error) {
	w := work.ByName(work.All(""), name)
	if w == nil {
		return work.Figure{}, fmt.Errorf("no workload %q", name)
	}
	set, clean, err := work.NewSet(w, work.Variants()[:2]) // plain Go, Handler
	defer clean()
	if err != nil {
		return work.Figure{}, err
	}
	set.Measure(rounds, 40*time.Millisecond)
	return set.Figures()[1], nil
}

// count counts the Handler's instructions for a workload, where callgrind is
// installed. It leaves out W4: it takes long, and shows no more than the others.
func count(name string) (float64, error) {
	if !work.Callgrind() || name == "W4" {
		return 0, nil
	}
	return work.Instructions(name, work.Handler)
}

func write(file string) error {
	b := baseline{System: system()}
	for _, w := range work.All("") {
		if w.Name == "W6" {
			continue // most of the work is that of child processes
		}
		f, err := measure(w.Name, 41)
		if err != nil {
			return err
		}
		if f.Instructions, err = count(w.Name); err != nil {
			return err
		}
		fmt.Printf("%s: ratio %.2f, allocations %.0f, bytes %.0f, instructions %.0f\n", f.Workload, f.CPURatio, f.Allocs, f.Bytes, f.Instructions)
		f.CPURatio, f.Allocs, f.Bytes = math.Round(f.CPURatio*100)/100, math.Round(f.Allocs), math.Round(f.Bytes)
		f.Instructions = math.Round(f.Instructions)
		b.Figures = append(b.Figures, f)
	}
	text, err := json.MarshalIndent(b, "", "\t")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(text, '\n'), 0o644)
}
