package work

import (
	"bytes"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"strconv"
	"strings"
)

// countEnv makes a child of Instructions: "workload|variant|requests".
const countEnv = "CALLBACK_BENCH_COUNT"

// Main does the work of a child of [Instructions], and ends it. The main of a
// program that calls Instructions must begin with Main.
func Main() {
	order := os.Getenv(countEnv)
	if order == "" {
		return
	}
	if err := serveCounted(order); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	os.Exit(0)
}

func serveCounted(order string) error {
	runtime.GOMAXPROCS(1)
	fields := strings.Split(order, "|")
	w := ByName(All(""), fields[0])
	requests, err := strconv.Atoi(fields[2])
	if err != nil {
		return err
	}
	for _, v := range Variants() {
		if v.Name != fields[1] {
			continue
		}
		dir, err := os.MkdirTemp("", "callback-bench-")
		if err != nil {
			return err
		}
		defer os.RemoveAll(dir)
		h, err := v.New(w, dir)
		if err != nil {
			return err
		}
		c := w.NewClient(h)
		for range requests {
			if status := c.Do(); status != http.StatusOK {
				return fmt.Errorf("status %d", status)
			}
		}
		return nil
	}
	return fmt.Errorf("no variant %q", fields[1])
}

// Callgrind reports whether [Instructions] can count on this machine.
func Callgrind() bool {
	_, err := exec.LookPath("valgrind")
	return err == nil
}

var collected = regexp.MustCompile(`Collected : (\d+)`)

// Instructions counts, by callgrind, the instructions of one request, without
// those of the collector and of the kernel. Unlike times they hardly depend on
// the other load of the machine.
func Instructions(workload, variant string) (float64, error) {
	const few, many = 100, 500
	var counts [2]float64
	for i, requests := range [...]int{few, many} {
		self, err := os.Executable()
		if err != nil {
			return 0, err
		}
		cmd := exec.Command("valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", self)
		cmd.Env = append(os.Environ(), "GOGC=off", "GODEBUG=asyncpreemptoff=1", fmt.Sprintf("%s=%s|%s|%d", countEnv, workload, variant, requests))
		var log bytes.Buffer
		cmd.Stderr = &log
		if err := cmd.Run(); err != nil {
			return 0, fmt.Errorf("valgrind: %w: %s", err, log.Bytes())
		}
		match := collected.FindSubmatch(log.Bytes())
		if match == nil {
			return 0, fmt.Errorf("valgrind printed no count: %s", log.Bytes())
		}
		if counts[i], err = strconv.ParseFloat(string(match[1]), 64); err != nil {
			return 0, err
		}
	}
	return (counts[1] - counts[0]) / (many - few), nil
}
