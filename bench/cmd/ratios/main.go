// Ratios prints what the Handler and its peers cost, as ratios to plain Go:
// medians over alternating rounds in one process.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/callback/bench/internal/work"
	"example.com/callback/sandbox"
)

func main() {
	work.Main()
	sandbox.Main()
	rounds := flag.Int("rounds", 25, "rounds, each of all variants in turn, with plain Go beside each")
	slice := flag.Duration("slice", 30*time.Millisecond, "time for one variant in one round")
	only := flag.String("workloads", "W1,W2,W3,W4,W5,W6", "which workloads")
	flag.BoolVar(&work.Fresh, "fresh", false, "a new request and recorder each time, in every figure, as handler benchmarks often have it")
	count := flag.Bool("instructions", false, "count instructions, by callgrind: takes minutes")
	flag.Parse()
	if *count && !work.Callgrind() {
		fmt.Fprintln(os.Stderr, "ratios: -instructions needs valgrind")
		os.Exit(2)
	}
	if err := run(*rounds, *slice, *only, *count); err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
}

func run(rounds int, slice time.Duration, only string, count bool) error {
	upstream := work.Upstream()
	defer upstream.Close()
	fmt.Printf("%s, %s/%s, GOMAXPROCS %d, medians of %d alternating rounds of %v, live heap %d MiB\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), rounds, slice, work.HeapSize>>20)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "| workload\t| variant\t| CPU ratio to plain Go\t| to bare goja\t| CPU µs\t| time ratio\t| instructions\t| allocs\t| bytes\t|")
	fmt.Fprintln(table, "|---\t|---\t|--:\t|--:\t|--:\t|--:\t|--:\t|--:\t|--:\t|")
	for _, w := range work.All(upstream.URL) {
		if !strings.Contains(only, w.Name) {
			continue
		}
		set, clean, err := work.NewSet(w, work.VariantsOf(w))
		if err != nil {
			clean()
			return err
		}
		set.Measure(rounds, slice)
		clean()
		figures := set.Figures()
		bare := 0.0
		for _, f := range figures {
			if f.Variant == work.Bare {
				bare = f.CPURatio
			}
		}
		for _, f := range figures {
			toBare := "-"
			if bare > 0 {
				toBare = fmt.Sprintf("%.2f", f.CPURatio/bare)
			}
			instructions := "-"
			if count && counts(f) {
				n, err := work.Instructions(f.Workload, f.Variant)
				if err != nil {
					return err
				}
				instructions = fmt.Sprintf("%.0f", n)
			}
			fmt.Fprintf(table, "| %s\t| %s\t| %.2f\t| %s\t| %.1f\t| %.2f\t| %s\t| %.0f\t| %.0f\t|\n",
				f.Workload, f.Variant, f.CPURatio, toBare, f.CPU, f.TimeRatio, instructions, f.Allocs, f.Bytes)
		}
	}
	if err := table.Flush(); err != nil {
		return err
	}
	fmt.Println("\nWhat each does not do, that the Handler does:")
	for _, v := range work.Variants() {
		if v.Lacks != "" {
			fmt.Printf("- %s: %s\n", v.Name, v.Lacks)
		}
	}
	return nil
}

// counts reports whether the instructions of a case are counted. In W5 and W6 other
// processes and goroutines take part. W4 would take hours.
func counts(f work.Figure) bool { return f.Workload < "W4" }
