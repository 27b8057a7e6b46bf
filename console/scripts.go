package console

import (
	"context"
	"errors"
	"io/fs"
	"maps"
	"net/http"
	"path"
	"slices"
	"strings"
	"unicode/utf8"

	"example.com/callback"
	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/tree"
)

// state is what the page needs to know about its host.
type state struct {
	Keys    []keyState `json:"keys"`
	Methods []string   `json:"methods"` // beside GET and POST
	Queue   bool       `json:"queue"`
}

// keyState is a tree of scripts.
type keyState struct {
	APIKey  string        `json:"apiKey"`
	Version string        `json:"version,omitempty"`
	Error   string        `json:"error,omitempty"` // why the tree cannot be read
	Scripts []scriptState `json:"scripts"`
	Modules []scriptState `json:"modules"`
}

// scriptState is a script or a module.
type scriptState struct {
	Name       string    `json:"name"`
	Credential string    `json:"credential"`
	File       string    `json:"file"`
	URL        string    `json:"url,omitempty"` // without the secret
	Version    string    `json:"version,omitempty"`
	Problems   []problem `json:"problems"`
}

// A problem is a problem that Check has found.
type problem struct {
	Line    int    `json:"line"`
	Column  int    `json:"column"`
	Message string `json:"message"`
	Fatal   bool   `json:"fatal"`
}

func (c *Console) getState(w http.ResponseWriter, r *http.Request) {
	s := state{Keys: []keyState{}, Methods: c.Handler.Methods, Queue: c.Queue != nil}
	if s.Methods == nil {
		s.Methods = []string{}
	}
	trees, err := c.trees(r.Context())
	if err != nil {
		writeError(w, http.StatusServiceUnavailable, "the scripts cannot be listed: "+err.Error())
		return
	}
	described := map[string]keyState{}
	for _, tree := range trees {
		key, ok := c.known(tree)
		if !ok {
			key = c.describe(r.Context(), tree)
		}
		s.Keys = append(s.Keys, key)
		if key.Version != "" && key.Error == "" {
			described[key.APIKey] = key
		}
	}
	c.mu.Lock()
	c.described = described
	c.mu.Unlock()
	writeJSON(w, s)
}

// known returns the description of a tree if its version has been described.
func (c *Console) known(tree Tree) (keyState, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	key, ok := c.described[tree.APIKey]
	return key, ok && key.Version == tree.Version && tree.Err == nil
}

func (c *Console) check(ctx context.Context, tree Tree) ([]callback.Problem, error) {
	if c.Check != nil {
		return c.Check(ctx, tree)
	}
	report, err := callback.Check(tree.FS, callback.CheckOptions{Members: slices.Collect(maps.Keys(c.Handler.Members))})
	if err != nil {
		return nil, err
	}
	return report.Problems, nil
}

func (c *Console) trees(ctx context.Context) ([]Tree, error) {
	if c.Trees == nil {
		return nil, nil
	}
	return c.Trees(ctx)
}

// describe lists the scripts of a tree with their problems.
func (c *Console) describe(ctx context.Context, tree Tree) keyState {
	if tree.FS == nil && tree.Err == nil {
		read, err := c.tree(ctx, tree.APIKey)
		switch {
		case err != nil:
			tree.Err = err
		case read.FS == nil:
			tree.Err = errNoTree
		default:
			tree = read
		}
	}
	key := keyState{APIKey: tree.APIKey, Version: tree.Version, Scripts: []scriptState{}, Modules: []scriptState{}}
	if tree.Err != nil {
		key.Error = tree.Err.Error()
		return key
	}
	found, err := c.check(ctx, tree)
	if err != nil {
		key.Error = err.Error()
	}
	problems := map[string][]problem{}
	for _, p := range found {
		problems[p.Script] = append(problems[p.Script], problem{p.Line, p.Column, p.Message, p.Fatal})
	}
	list := func(folder string) []scriptState {
		states := []scriptState{}
		files, _ := fs.Glob(tree.FS, folder+"/*.js") // the pattern is well formed
		for _, file := range files {
			name := strings.TrimSuffix(path.Base(file), ".js")
			if !cloudcode.IsName(name) {
				continue
			}
			s := scriptState{Name: name, Credential: name, File: file, Version: versionOf(tree, file), Problems: problems[file]}
			if s.Problems == nil {
				s.Problems = []problem{}
			}
			states = append(states, s)
		}
		return states
	}
	prefix := c.prefix() + tree.APIKey + "/"
	for _, s := range list("callbacks") {
		s.URL = prefix + s.Credential + "/•••"
		key.Scripts = append(key.Scripts, s)
	}
	for _, file := range cloudcode.MainScripts("", "") {
		if _, err := fs.Stat(tree.FS, file); err == nil {
			s := scriptState{Name: "server", File: file, URL: prefix + "•••", Version: versionOf(tree, file), Problems: problems[file]}
			if s.Problems == nil {
				s.Problems = []problem{}
			}
			key.Scripts = append(key.Scripts, s)
			break
		}
	}
	key.Modules = list("modules")
	return key
}

// versionOf is the version that a run of a script would report: that of the tree
// or, if the tree has none, of the file.
func versionOf(t Tree, file string) string {
	if t.Version != "" {
		return t.Version
	}
	source, _, err := tree.Read(t.FS, file, maxSource)
	if err != nil {
		return ""
	}
	return tree.FileVersion(source)
}

func (c *Console) prefix() string {
	if c.Handler.Prefix != "" {
		return c.Handler.Prefix
	}
	return callback.DefaultPrefix
}

// maxSource is the longest source that the page shows, in bytes.
const maxSource = 1 << 20

func (c *Console) getSource(w http.ResponseWriter, r *http.Request) {
	apiKey, file := r.FormValue("apiKey"), r.FormValue("file")
	tree, err := c.tree(r.Context(), apiKey)
	if err != nil {
		writeError(w, http.StatusNotFound, err.Error())
		return
	}
	if !cloudcode.IsScript(file) {
		writeError(w, http.StatusNotFound, "there is no script of that name")
		return
	}
	opened, err := tree.FS.Open(file)
	if err != nil {
		writeError(w, http.StatusNotFound, "there is no script of that name")
		return
	}
	defer opened.Close()
	text, ok, err := limit.ReadAll(opened, maxSource)
	if err != nil || !ok || !utf8.Valid(text) {
		writeError(w, http.StatusUnprocessableEntity, "the script cannot be shown: it is too long, no text, or cannot be read")
		return
	}
	problems := []problem{}
	found, _ := c.check(r.Context(), tree) // the list of scripts shows what is wrong with the tree
	for _, p := range found {
		if p.Script == file {
			problems = append(problems, problem{p.Line, p.Column, p.Message, p.Fatal})
		}
	}
	writeJSON(w, map[string]any{"text": string(text), "problems": problems})
}

var errNoTree = errors.New("there are no scripts for that API key")

// tree returns the tree of an API key.
func (c *Console) tree(ctx context.Context, apiKey string) (Tree, error) {
	if c.Tree != nil {
		return c.Tree(ctx, apiKey)
	}
	trees, err := c.trees(ctx)
	if err != nil {
		return Tree{}, err
	}
	for _, tree := range trees {
		if tree.APIKey == apiKey {
			return tree, tree.Err
		}
	}
	return Tree{}, errNoTree
}
