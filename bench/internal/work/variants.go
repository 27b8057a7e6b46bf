package work

import (
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"testing/fstest"

	"example.com/callback"
)

// A Variant is one way to serve a workload.
type Variant struct {
	Name  string
	Lacks string // what it does not do that the Handler does
	New   func(w *Workload, dir string) (http.Handler, error)
}

// Names of the variants that others are compared with.
const (
	Plain   = "plain Go"
	Handler = "Handler"
	Bare    = "goja, bare"
)

func handler(f func(w *Workload) http.Handler) func(*Workload, string) (http.Handler, error) {
	return func(w *Workload, _ string) (http.Handler, error) { return f(w), nil }
}

// Variants are all ways to serve a workload in this process, the floor first.
func Variants() []Variant {
	return []Variant{
		{Plain, "no script: a change is a deployment; no auth, no limits of time and size", handler(func(w *Workload) http.Handler { return w.Plain })},
		{Handler, "", func(w *Workload, dir string) (http.Handler, error) {
			if err := WriteTree(dir, w.Files); err != nil {
				return nil, err
			}
			return NewHandler(os.DirFS(dir)), nil
		}},
		{"plain Go, mux and auth", "no script, no limit of the answer's size and of calls under way", handler(plainDuties)},
		{"Handler, MapFS", "(scripts in memory: no stat per request)", handler(func(w *Workload) http.Handler { return NewHandler(MapFS(w.Files)) })},
		{Bare, "three natives; no auth, no limits, no time-out, no live edits", handler(bareGoja)},
		{"goja, unsafe pool", "as bare, and no isolation: what a request leaves behind the next one sees", handler(pooledGoja)},
		{"sobek, bare", "as goja, bare", handler(bareSobek)},
		{"quickjs, bare", "as goja, bare", handler(bareQuickJS)},
	}
}

// VariantsOf are the ways to serve w. W4 has one more, which compiles the scripts for
// each request. W6 has three: the floor, the Handler and the Handler with a sandbox.
func VariantsOf(w *Workload) []Variant {
	list := Variants()
	if w.Name == "W6" {
		return append(list[:2], Variant{Sandbox, "", newSandbox})
	}
	if w.Name == "W4" {
		list = append(list, Variant{"goja, compiled each time", "as bare, and keeps no compiled script", handler(func(w *Workload) http.Handler {
			return http.HandlerFunc(func(rw http.ResponseWriter, r *http.Request) { bareGoja(w).ServeHTTP(rw, r) })
		})})
	}
	return list
}

// NewHandler returns a callback.Handler, configured as in the README.
func NewHandler(scripts fs.FS) *callback.Handler {
	return &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: scripts},
		Secrets: callback.SecretMap{APIKey + "/" + Credential: Secret},
		HTTP:    outbound,
		Logger:  slog.New(slog.DiscardHandler),
	}
}

// MapFS is a tree of scripts in memory.
func MapFS(files map[string]string) fs.FS {
	m := fstest.MapFS{}
	for name, text := range files {
		m[name] = &fstest.MapFile{Data: []byte(text), Mode: 0o644}
	}
	return m
}

// WriteTree writes a tree of scripts to a folder.
func WriteTree(dir string, files map[string]string) error {
	for name, text := range files {
		path := filepath.Join(dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// A ServerKind is a server in Go that cmd/load measures.
type ServerKind struct {
	Kind, Name, Lacks string
	Env               []string
}

// ServerKinds are the servers in Go, the floor first.
func ServerKinds() []ServerKind {
	return []ServerKind{
		{Kind: "plain", Name: Plain, Lacks: "no script: a change is a deployment; no auth, no limits of time and size"},
		{Kind: "handler", Name: Handler},
		{Kind: "sandbox", Name: Sandbox},
	}
}

// ServerHandler returns the Handler of a kind, whose credentials are the names
// of the workloads.
func ServerHandler(kind string, scripts fs.FS) (http.Handler, error) {
	secrets := callback.SecretMap{}
	for _, w := range All("") {
		secrets[APIKey+"/"+w.Name] = Secret
	}
	h := NewHandler(scripts)
	h.Secrets = secrets
	if kind == "sandbox" {
		return intoSandbox(h)
	}
	return h, nil
}
