package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"slices"

	"github.com/prometheus/client_golang/prometheus"

	"example.com/callback"
	"example.com/callback/console"
)

// A backend is the source of a server's scripts, secrets and variables.
type backend interface {
	source() callback.ScriptSource
	secrets() callback.SecretStore
	members() callback.Members

	// trees lists the scripts of all API keys for the console. tree returns those
	// of one API key. check reports the problems of a tree.
	trees(ctx context.Context) ([]console.Tree, error)
	tree(ctx context.Context, apiKey string) (console.Tree, error)
	check(ctx context.Context, tree console.Tree) ([]callback.Problem, error)

	// ready returns the reason why the server should get no traffic, or nil.
	ready() error
	collectors() []prometheus.Collector

	// run does the background work of the server until ctx is done. An error ends
	// the server.
	run(ctx context.Context) error
	close()
}

// files is the backend of a server without a database.
type files struct {
	scripts *scriptFolder
	store   secretStore
	vars    vars
	checker checker
}

// openFiles opens what the flags name, and returns the files to watch.
func openFiles(o *serveOptions) (*files, []*watchedFile, error) {
	scripts, err := openScripts(o.scripts)
	if err != nil {
		return nil, nil, err
	}
	f := &files{scripts: scripts}
	f.checker = checker{scripts: scripts, supplied: o.supplied()}
	watched := []*watchedFile{{flag: "secrets", path: o.secrets, load: f.store.load}}
	if o.vars != "" {
		watched = append(watched, &watchedFile{flag: "vars", path: o.vars, load: f.vars.load})
	}
	return f, watched, nil
}

func (f *files) source() callback.ScriptSource { return f.scripts }
func (f *files) secrets() callback.SecretStore { return &f.store }

func (f *files) members() callback.Members {
	return callback.Members{"getProperties": f.vars.member()}
}

// trees lists one tree for each API key that has a secret.
func (f *files) trees(context.Context) ([]console.Tree, error) {
	var trees []console.Tree
	names := f.store.names()
	for _, apiKey := range sortedKeys(names) {
		if tree := f.scripts.tree(apiKey); tree != nil {
			trees = append(trees, console.Tree{APIKey: apiKey, FS: tree})
		}
	}
	return trees, nil
}

func (f *files) tree(_ context.Context, apiKey string) (console.Tree, error) {
	tree := f.scripts.tree(apiKey)
	if tree == nil || f.store.names()[apiKey] == nil {
		return console.Tree{}, fmt.Errorf("%w: %q", callback.ErrNoScript, apiKey)
	}
	return console.Tree{APIKey: apiKey, FS: tree}, nil
}

func (f *files) check(ctx context.Context, tree console.Tree) ([]callback.Problem, error) {
	return f.checker.check(ctx, tree)
}

// ready reports an error if the folder of scripts no longer exists.
func (f *files) ready() error {
	info, err := fs.Stat(os.DirFS(f.scripts.dir), ".")
	if err != nil {
		return fmt.Errorf("-scripts: %w", err)
	}
	if !info.IsDir() {
		return errors.New("-scripts: no folder any more")
	}
	return nil
}

func (f *files) collectors() []prometheus.Collector { return nil }
func (f *files) run(context.Context) error          { return nil }
func (f *files) close()                             {}

// warnUnreachable logs scripts without a secret and secrets without a script.
func (f *files) warnUnreachable(log *slog.Logger) {
	for apiKey, named := range f.store.names() {
		tree := f.scripts.tree(apiKey)
		if tree == nil {
			log.Warn("API key without scripts: calls get 404", "apiKey", apiKey)
			continue
		}
		present := credentials(tree)
		for _, credential := range present {
			if !slices.Contains(named, credential) && credential != "server" {
				log.Warn("script without a secret: it cannot be called", "apiKey", apiKey, "credential", credential)
			}
		}
		for _, credential := range named {
			if !slices.Contains(present, credential) {
				log.Warn("secret without a script: calls get 404", "apiKey", apiKey, "credential", credential)
			}
		}
	}
}
