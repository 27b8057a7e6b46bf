package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"example.com/callback"
	"example.com/callback/console"
)

const checkSynopsis = `callbackd check [flags] DIR

Says which scripts of DIR cannot run, and why, without running any: what the
problems come from first, then the members of Spark that a host must supply. DIR
is one tree, or a folder of trees named by API key. The exit code is 1 if a
script cannot run.`

// The members of Spark that a server supplies: without a queue, with one, and
// with a database.
var (
	suppliedMembers = []string{"getProperties"}
	queueMembers    = slices.Concat(suppliedMembers, []string{"getScheduler"})
	databaseMembers = slices.Concat(queueMembers, []string{"claim", "lockKey", "unlockKey", "unlockKeyFully"})
)

// checkCommand is "callbackd check".
func checkCommand(_ context.Context, args []string, std stdio, _ []string) error {
	f := newFlagSet(checkSynopsis)
	asJSON := f.Bool("json", false, "print the report as JSON, for a build server")
	all := f.Bool("all", false, "check also the folders of an export that no callback runs, such as event")
	verbose := f.Bool("v", false, "print a line for each place")
	queue := f.Bool("queue", false, "the server will have a -queue, so that scripts have getScheduler")
	database := f.Bool("database", false, "the server will have a -database, so that scripts also have claim, lockKey,\nunlockKey and unlockKeyFully")
	members := list{}
	f.Var(&members, "members", "`names` of further members that your host adds to Spark, with commas between")
	rest, err := f.parse(args, nil, std.out)
	if err != nil {
		return err
	}
	if len(rest) != 1 {
		return usagef("name one folder of scripts")
	}
	trees, err := treesToCheck(rest[0])
	if err != nil {
		return err
	}
	supplied := suppliedMembers
	switch {
	case *database:
		supplied = databaseMembers
	case *queue:
		supplied = queueMembers
	}
	ok := true
	for _, tree := range trees {
		report, err := callback.Check(tree.fs, callback.CheckOptions{Members: slices.Concat(members, supplied), All: *all})
		if err != nil {
			return fmt.Errorf("%s: %w", filepath.Join(rest[0], tree.apiKey), err)
		}
		ok = ok && report.Run()
		if *asJSON {
			encoder := json.NewEncoder(std.out)
			encoder.SetIndent("", "  ")
			err = encoder.Encode(report)
		} else {
			if tree.apiKey != "" {
				fmt.Fprintf(std.out, "%s:\n", tree.apiKey)
			}
			err = report.WriteText(std.out, *verbose)
		}
		if err != nil {
			return err
		}
	}
	if !ok {
		return errFound
	}
	return nil
}

// treesToCheck lists the trees of a folder. A folder without callbacks is checked
// as well, because an export may have only modules and events.
func treesToCheck(dir string) ([]keyTree, error) {
	scripts, err := openScripts(dir)
	if err == nil {
		return scripts.all(), nil
	}
	if info, statErr := os.Stat(dir); statErr == nil && info.IsDir() {
		return []keyTree{{fs: os.DirFS(dir)}}, nil
	}
	return nil, err
}

// A checker checks trees in another process, because compiling a hostile script
// can end the process. It caches the reports until the files change.
type checker struct {
	scripts  *scriptFolder
	supplied []string // members

	mu      sync.Mutex
	reports map[string]checked // by API key
}

type checked struct {
	fingerprint string
	problems    []callback.Problem
	err         error
}

// checkTimeout bounds the time of a check. checkOutput bounds its report, in
// bytes.
const (
	checkTimeout = 20 * time.Second
	checkOutput  = 8 << 20
)

// check is a [console.Console.Check].
func (c *checker) check(ctx context.Context, tree console.Tree) ([]callback.Problem, error) {
	dir := c.scripts.folder(tree.APIKey)
	fingerprint := fingerprint(dir)
	c.mu.Lock()
	defer c.mu.Unlock()
	if known, ok := c.reports[tree.APIKey]; ok && known.fingerprint == fingerprint {
		return known.problems, known.err
	}
	if c.reports == nil {
		c.reports = map[string]checked{}
	}
	report := checked{fingerprint: fingerprint}
	report.problems, report.err = checkInChild(ctx, dir, c.supplied)
	if ctx.Err() == nil {
		c.reports[tree.APIKey] = report
	}
	return report.problems, report.err
}

// checkInChild runs "callbackd check -json" on a tree.
func checkInChild(ctx context.Context, dir string, supplied []string) ([]callback.Problem, error) {
	program, err := os.Executable()
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, checkTimeout)
	defer cancel()
	var output limitedBuffer
	cmd := exec.CommandContext(ctx, program, "check", "-json", "-members", strings.Join(supplied, ","), dir)
	cmd.Env = []string{"GOMEMLIMIT=256MiB"}
	if testing := os.Getenv("TEST_AS_CALLBACKD"); testing != "" {
		cmd.Env = append(cmd.Env, "TEST_AS_CALLBACKD="+testing)
	}
	cmd.Stdout = &output
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !(errors.As(err, &exit) && exit.ExitCode() == exitFailed) {
		return nil, errors.New("the scripts cannot be checked: the check took too long, or a script ended it")
	}
	var report callback.CheckReport
	if err := json.Unmarshal(output.Bytes(), &report); err != nil {
		return nil, errors.New("the scripts cannot be checked: the report is broken")
	}
	return report.Problems, nil
}

// A limitedBuffer retains the first checkOutput bytes.
type limitedBuffer struct{ bytes.Buffer }

func (b *limitedBuffer) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), checkOutput-b.Len())])
	return len(p), nil
}
