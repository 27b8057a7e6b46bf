package main

import (
	"bytes"
	"context"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"example.com/callback"
	"example.com/callback/callbacktest"
)

const testSynopsis = `callbackd test [flags] DIR [PATTERN …]

Runs the case files (*.txtar, in any folder below DIR) against the scripts of
DIR. "callbackd new" writes a first one; the format is that of package
callbacktest. In a case every secret is "s3cret", also the server secret, and
outbound requests are answered by the case: nothing reaches the network. What a
script schedules is logged and does not run; a deferred script runs at once. A
PATTERN keeps the cases whose path contains it.`

// testCommand is "callbackd test".
func testCommand(ctx context.Context, args []string, std stdio, environ []string) error {
	f := newFlagSet(testSynopsis)
	update := f.Bool("update", false, "rewrite the responses and logs of the case files as they are now")
	again := f.Bool("watch", false, "run the cases again on each change below DIR, until interrupted")
	options := caseFlags(f)
	rest, err := f.parse(args, nil, std.out)
	if err != nil {
		return err
	}
	if len(rest) == 0 {
		return usagef("name the folder of scripts")
	}
	dir, patterns := rest[0], rest[1:]
	runAll := func() error {
		// A Handler serves what was there before a broken edit, so each time has its own.
		handler, err := options.handler(dir)
		if err != nil {
			return err
		}
		files, err := caseFiles(dir, patterns)
		if err != nil {
			return err
		}
		if len(files) == 0 {
			return usagef("%s: holds no case file (*.txtar) that matches", dir)
		}
		return runCases(handler, files, *update, std)
	}
	if !*again {
		return runAll()
	}
	if _, err := options.handler(dir); err != nil {
		return err
	}
	for {
		before := fingerprint(dir)
		if err := runAll(); err != nil && err != errFound {
			fmt.Fprintln(std.err, "callbackd test:", oneLine(err))
		}
		fmt.Fprintln(std.out, "waiting for a change")
		for fingerprint(dir) == before {
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(200 * time.Millisecond):
			}
		}
	}
}

// caseOptions are what test and replay have in common.
type caseOptions struct {
	vars    *string
	headers *list
	methods *list
}

func caseFlags(f *flagSet) caseOptions {
	o := caseOptions{headers: new(list), methods: new(list)}
	o.vars = f.String("vars", "", "JSON `file` of what scripts read by Spark.getProperties().getProperty(name)")
	*o.headers = slices.Clone(providerHeaders)
	f.Var(o.headers, "headers", "request headers that scripts see, a comma-separated `list`")
	f.Lookup("headers").DefValue = "as for serve"
	*o.methods = list{"PUT", "PATCH", "DELETE", "OPTIONS"}
	f.Var(o.methods, "methods", "methods to serve beside GET, HEAD and POST, a `list`")
	return o
}

// handler makes the Handler that cases run on.
func (o caseOptions) handler(dir string) (*callback.Handler, error) {
	scripts, err := openScripts(dir)
	if err != nil {
		return nil, err
	}
	v := &vars{}
	if *o.vars != "" {
		file := &watchedFile{flag: "vars", path: *o.vars, load: v.load}
		if err := file.first(); err != nil {
			return nil, err
		}
	}
	return &callback.Handler{
		Runner:         &callback.GojaRunner{Source: scripts},
		Secrets:        oneSecret{},
		Members:        caseMembers(v),
		RequestHeaders: *o.headers,
		Methods:        *o.methods,
	}, nil
}

// caseMembers are databaseMembers without a database. What is scheduled is logged,
// so that a case can say what it expects; every key is free.
func caseMembers(v *vars) callback.Members {
	yes := callback.Member{Func: func(context.Context, *callback.Call, callback.Args) (any, error) { return true, nil }}
	return callback.Members{
		"getProperties": v.member(),
		"claim":         yes, "lockKey": yes, "unlockKey": yes, "unlockKeyFully": yes,
		"getScheduler": {
			Script: `function (host) {
	var scheduler = {
		inSeconds: function inSeconds(module, seconds, data, key) { return host.inSeconds(String(module), Number(seconds), key == null ? "" : String(key)); },
		cancel: function cancel(key) { return false; }
	};
	return function getScheduler() { return scheduler; };
}`,
			Funcs: map[string]callback.HostFunc{"inSeconds": func(ctx context.Context, call *callback.Call, args callback.Args) (any, error) {
				var module, key string
				var seconds float64
				if err := args.Scan(&module, &seconds, &key); err != nil {
					return nil, err
				}
				call.Logger.InfoContext(ctx, "scheduled", "module", module, "seconds", seconds, "key", key)
				return true, nil
			}},
		},
	}
}

// oneSecret is a store in which every secret is caseSecret.
type oneSecret struct{}

const caseSecret = "s3cret"

// Secrets implements [callback.SecretStore]. The server secret is the same, so
// it is hidden from a URL that names a credential "s3cret".
func (oneSecret) Secrets(context.Context, string, string) ([]callback.Secret, error) {
	return []callback.Secret{callback.NewSecret(caseSecret)}, nil
}

// caseFiles finds the case files below a folder.
func caseFiles(dir string, patterns []string) ([]string, error) {
	var files []string
	err := filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case entry.IsDir() && (entry.Name() == "node_modules" || strings.HasPrefix(entry.Name(), ".") && path != dir):
			return filepath.SkipDir
		case entry.IsDir() || filepath.Ext(path) != ".txtar":
			return nil
		}
		if len(patterns) == 0 || slices.ContainsFunc(patterns, func(p string) bool { return strings.Contains(path, p) }) {
			files = append(files, path)
		}
		return nil
	})
	return files, err
}

// runCases runs or updates the case files and prints what each came to.
func runCases(handler *callback.Handler, files []string, update bool, std stdio) error {
	failed := 0
	for _, file := range files {
		text, err := os.ReadFile(file)
		verdict := "ok"
		switch {
		case err != nil:
		case update:
			var updated []byte
			if updated, err = callbacktest.UpdateCase(handler, text); err == nil && !bytes.Equal(updated, text) {
				verdict = "updated"
				err = replaceFile(file, updated, 0o644)
			}
		default:
			err = callbacktest.RunCase(handler, text)
		}
		if err != nil {
			failed++
			fmt.Fprintf(std.out, "FAIL %s\n%s\n", file, indent(err.Error()))
			continue
		}
		fmt.Fprintln(std.out, verdict, file)
	}
	fmt.Fprintf(std.out, "%d passed, %d failed\n", len(files)-failed, failed)
	if failed > 0 {
		return errFound
	}
	return nil
}

func indent(text string) string {
	return "    " + strings.ReplaceAll(strings.TrimRight(text, "\n"), "\n", "\n    ")
}

// fingerprint changes with the names, sizes and times of the scripts and case
// files below a folder.
func fingerprint(dir string) string {
	var b strings.Builder
	_ = filepath.WalkDir(dir, func(path string, entry fs.DirEntry, err error) error {
		if err != nil || entry.IsDir() {
			return nil
		}
		if ext := filepath.Ext(path); ext == ".js" || ext == ".txtar" {
			if info, err := entry.Info(); err == nil {
				fmt.Fprintln(&b, path, info.Size(), info.ModTime().UnixNano())
			}
		}
		return nil
	})
	return b.String()
}
