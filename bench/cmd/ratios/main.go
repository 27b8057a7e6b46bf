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
	sandbox.Main()
	rounds := flag.Int("rounds", 25, "rounds, each of all variants in turn, with plain Go beside each")
	slice := flag.Duration("slice", 30*time.Millisecond, "time for one variant in one round")
	only := flag.String("workloads", "W1,W2,W3,W4,W5,W6", "which workloads")
	flag.BoolVar(&work.Fresh, "fresh", false, "a new request and recorder each time, in every figure, as handler benchmarks often have it")
	flag.Parse()
	if err := run(*rounds, *slice, *only); err != nil {
		fmt.Fprintln(os.Stderr, "ratios:", err)
		os.Exit(1)
	}
}

func run(rounds int, slice time.Duration, only string) error {
	upstream := work.Upstream()
	defer upstream.Close()
	fmt.Printf("%s, %s/%s, GOMAXPROCS %d, medians of %d alternating rounds of %v\n\n",
		runtime.Version(), runtime.GOOS, runtime.GOARCH, runtime.GOMAXPROCS(0), rounds, slice)
	table := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "| workload\t| variant\t| ratio to plain Go\t| to bare goja\t| CPU ratio\t| µs\t| µs over plain\t| allocs\t| bytes\t|")
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
				bare = f.Ratio
			}
		}
		for _, f := range figures {
			toBare := "-"
			if bare > 0 {
				toBare = fmt.Sprintf("%.2f", f.Ratio/bare)
			}
			fmt.Fprintf(table, "| %s\t| %s\t| %.2f\t| %s\t| %.2f\t| %.1f\t| %.1f\t| %.0f\t| %.0f\t|\n",
				f.Workload, f.Variant, f.Ratio, toBare, f.CPURatio, f.Time, f.Over, f.Allocs, f.Bytes)
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
