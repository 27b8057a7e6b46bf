package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"example.com/callback"
)

// A scriptFolder is the folder that -scripts names: one tree for all API keys,
// or a tree for each in a subfolder of its name.
type scriptFolder struct {
	dir    string
	single fs.FS // nil if there is a tree per API key

	mu    sync.Mutex
	trees map[string]fs.FS // by API key
}

// treeFolders are the folders of a tree that hold scripts which can be called
// or required.
var treeFolders = []string{"callbacks", "modules", "system"}

// openScripts inspects the folder once, to find out its kind.
func openScripts(dir string) (*scriptFolder, error) {
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, usagef("-scripts %s: no such folder", dir)
	case err != nil:
		return nil, usagef("-scripts: %w", err)
	case !info.IsDir():
		return nil, usagef("-scripts %s: not a folder", dir)
	}
	dir, err = filepath.Abs(dir)
	if err != nil {
		return nil, err
	}
	folder := &scriptFolder{dir: dir, trees: map[string]fs.FS{}}
	root := os.DirFS(dir)
	if isTree(root) {
		folder.single = root
		return folder, nil
	}
	if len(folder.apiKeys()) == 0 {
		return nil, usagef("-scripts %s: holds neither callbacks/*.js nor folders of API keys that do", dir)
	}
	return folder, nil
}

func isTree(tree fs.FS) bool {
	return slices.ContainsFunc(treeFolders, func(name string) bool {
		info, err := fs.Stat(tree, name)
		return err == nil && info.IsDir()
	})
}

// apiKeys lists the API keys that have a tree of their own.
func (s *scriptFolder) apiKeys() []string {
	if s.single != nil {
		return nil
	}
	entries, err := os.ReadDir(s.dir)
	if err != nil {
		return nil
	}
	var keys []string
	for _, entry := range entries {
		if safeFolder(entry.Name()) && isTree(os.DirFS(filepath.Join(s.dir, entry.Name()))) {
			keys = append(keys, entry.Name())
		}
	}
	return keys
}

// folder is the path of an API key's tree.
func (s *scriptFolder) folder(apiKey string) string {
	if s.single != nil {
		return s.dir
	}
	return filepath.Join(s.dir, apiKey)
}

// safeFolder reports whether an API key may name a folder.
func safeFolder(apiKey string) bool {
	return fs.ValidPath(apiKey) && !strings.ContainsAny(apiKey, `/\:`) && !strings.HasPrefix(apiKey, ".") && len(apiKey) <= 255
}

// tree is the tree of an API key, or nil if it has none.
func (s *scriptFolder) tree(apiKey string) fs.FS {
	if s.single != nil {
		return s.single
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if tree, ok := s.trees[apiKey]; ok {
		return tree
	}
	if !safeFolder(apiKey) {
		return nil
	}
	tree := os.DirFS(filepath.Join(s.dir, apiKey))
	if !isTree(tree) {
		return nil // not retained: it may appear later
	}
	s.trees[apiKey] = tree
	return tree
}

// Scripts implements [callback.ScriptSource].
func (s *scriptFolder) Scripts(_ context.Context, call *callback.Call) (callback.Tree, error) {
	tree := s.tree(call.APIKey)
	if tree == nil {
		return callback.Tree{}, fmt.Errorf("%w: API key has no folder of scripts", callback.ErrNoScript)
	}
	return callback.Tree{FS: tree}, nil
}

// credentials lists the credentials of a tree that have a script; "" is the
// game's own.
func credentials(tree fs.FS) []string {
	names, _ := fs.Glob(tree, "callbacks/*.js") // the pattern is well formed
	var found []string
	for _, name := range names {
		credential := strings.TrimSuffix(path.Base(name), ".js")
		if credentialName.MatchString(credential) {
			found = append(found, credential)
		}
	}
	for _, name := range []string{"system/GS_CALLBACK_URL.js", "callbacks/server.js"} {
		if info, err := fs.Stat(tree, name); err == nil && info.Mode().IsRegular() {
			return append(found, "")
		}
	}
	return found
}

// A keyTree is a tree with the API key it belongs to, "" for all.
type keyTree struct {
	apiKey string
	fs     fs.FS
}

// all lists the trees.
func (s *scriptFolder) all() []keyTree {
	if s.single != nil {
		return []keyTree{{fs: s.single}}
	}
	var trees []keyTree
	for _, key := range s.apiKeys() {
		trees = append(trees, keyTree{key, s.tree(key)})
	}
	return trees
}
