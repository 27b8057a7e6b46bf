// Package console is a page to try scripts on, to watch runs and to replay
// them. It is an [http.Handler] that a host mounts behind a login of its own,
// or on a loopback address:
//
//	recorder := &callback.Recorder{}
//	pages := &console.Console{Handler: handler, Recorder: recorder, Trees: trees}
//	handler.Observe = pages.Observe
//	http.ListenAndServe("127.0.0.1:8081", pages)
//
// # Security considerations
//
// Anyone who can reach the console can run every script and read what the
// recorder retains. The console has no secrets, so it shows none. It refuses:
//   - requests whose Host is neither a loopback name nor one of Hosts. Otherwise
//     a web page could reach it by a name that it makes point to this machine;
//   - requests of other origins that change something.
//
// It loads nothing from other servers, and a Content-Security-Policy enforces that.
package console

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"io/fs"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"sync"

	"example.com/callback"
)

//go:embed static
var static embed.FS

// A Console serves the page. It is used by pointer, and its fields must not
// change once it serves.
type Console struct {
	// Handler runs the scripts. It is required.
	Handler *callback.Handler

	// Recorder retains the runs that the console shows. nil means that it shows
	// only runs that it has started.
	Recorder *callback.Recorder

	// Trees lists the trees of scripts. nil means that the console shows no
	// scripts: runs can be viewed, but scripts cannot be tried.
	Trees func(context.Context) ([]Tree, error)

	// Tree returns the tree of one of the API keys that Trees lists. nil means
	// that Trees is called and searched. A host whose trees take time to read
	// supplies both, and leaves FS out in Trees.
	Tree func(ctx context.Context, apiKey string) (Tree, error)

	// Check finds what is wrong with the scripts of a tree. nil means
	// [callback.Check], which compiles the scripts in this process: a hostile
	// one can end it. A host whose scripts strangers write supplies a function
	// that checks them in another process.
	Check func(context.Context, Tree) ([]callback.Problem, error)

	// Hosts are the host names, without a port, by which the console may be
	// reached, in addition to localhost and the loopback addresses.
	Hosts []string

	// Queue, if not nil, is a queue of deferred runs to show and to operate.
	Queue Queue

	once  sync.Once
	mux   *http.ServeMux
	guard http.CrossOriginProtection

	mu        sync.Mutex
	followers map[chan []byte]struct{}
	awaited   map[string]chan *callback.Run // runs that a page has started, by id
	described map[string]keyState           // trees with a version, by API key
}

// A Tree is the scripts of an API key.
type Tree struct {
	// APIKey is the key that the tree belongs to.
	APIKey string

	// FS holds callbacks/*.js, modules/*.js and system/GS_CALLBACK_URL.js. If it
	// is nil in what Trees returns, Console.Tree is called for it when it is
	// needed.
	FS fs.FS

	// Version is the version of the tree, or empty. The console reads and checks
	// the scripts of a version once.
	Version string

	// Err, if not nil, is why Trees could not read this tree. The page shows it
	// beside the API key, and ignores FS.
	Err error
}

// ServeHTTP serves the console at the root of its URL space: mount it under
// [http.StripPrefix], with a final slash, anywhere else.
func (c *Console) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c.once.Do(c.makeMux)
	header := w.Header()
	header.Set("Content-Security-Policy", "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'")
	header.Set("X-Content-Type-Options", "nosniff")
	header.Set("Referrer-Policy", "no-referrer")
	header.Set("Cross-Origin-Resource-Policy", "same-origin")
	header.Set("Cross-Origin-Opener-Policy", "same-origin")
	header.Set("Cache-Control", "no-store")
	if !c.allowedHost(r.Host) {
		writeError(w, http.StatusMisdirectedRequest, "this host name is not one of the console's")
		return
	}
	if err := c.guard.Check(r); err != nil {
		writeError(w, http.StatusForbidden, "a request of another origin is refused")
		return
	}
	c.mux.ServeHTTP(w, r)
}

// allowedHost reports whether a Host header names this console.
func (c *Console) allowedHost(hostport string) bool {
	host, _, err := net.SplitHostPort(hostport)
	if err != nil {
		host = hostport
	}
	host = strings.TrimSuffix(strings.ToLower(strings.Trim(host, "[]")), ".")
	if addr, err := netip.ParseAddr(host); err == nil && addr.IsLoopback() {
		return true
	}
	return host == "localhost" || slices.ContainsFunc(c.Hosts, func(h string) bool { return strings.EqualFold(h, host) })
}

func (c *Console) makeMux() {
	pages, err := fs.Sub(static, "static")
	if err != nil {
		panic(err) // the folder is embedded
	}
	c.mux = http.NewServeMux()
	c.mux.Handle("GET /", http.FileServerFS(pages))
	c.mux.HandleFunc("GET /api/state", c.getState)
	c.mux.HandleFunc("GET /api/presets", c.getPresets)
	c.mux.HandleFunc("GET /api/source", c.getSource)
	c.mux.HandleFunc("GET /api/runs", c.getRuns)
	c.mux.HandleFunc("GET /api/runs/{id}", c.getRun)
	c.mux.HandleFunc("GET /api/runs/{id}/case", c.getCase)
	c.mux.HandleFunc("POST /api/runs/{id}/replay", c.postReplay)
	c.mux.HandleFunc("POST /api/try", c.postTry)
	c.mux.HandleFunc("GET /api/events", c.getEvents)
	c.mux.HandleFunc("GET /api/queue", c.getQueue)
	c.mux.HandleFunc("GET /api/queue/{id}", c.getJob)
	c.mux.HandleFunc("POST /api/queue/{id}", c.postQueue)
}

// writeJSON answers with a value.
func writeJSON(w http.ResponseWriter, value any) {
	text, err := json.Marshal(value)
	if err != nil {
		writeError(w, http.StatusInternalServerError, "the answer has no JSON")
		return
	}
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	_, _ = w.Write(text) // fails only if the reader is gone
}

func writeError(w http.ResponseWriter, status int, message string) {
	text, _ := json.Marshal(map[string]string{"error": message}) // a string always has JSON
	w.Header().Set("Content-Type", "application/json; charset=utf-8")
	w.WriteHeader(status)
	_, _ = w.Write(text)
}

// maxRequest bounds the body of a request from the page, in bytes.
const maxRequest = 8 << 20

// readJSON decodes the body of a request, or answers with the reason why it
// cannot.
func readJSON(w http.ResponseWriter, r *http.Request, into any) bool {
	decoder := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxRequest))
	decoder.DisallowUnknownFields()
	err := decoder.Decode(into)
	var tooLong *http.MaxBytesError
	switch {
	case errors.As(err, &tooLong):
		writeError(w, http.StatusRequestEntityTooLarge, "the request is too long")
	case err != nil:
		writeError(w, http.StatusBadRequest, "the request is no JSON of the right form")
	}
	return err == nil
}
