// Package compat tests a [callback.Handler] behind the usual routers and
// middleware. Its README lists the differences.
package compat

import (
	"context"
	"flag"
	"fmt"
	"io"
	"log"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/gorilla/mux"
	"github.com/labstack/echo/v4"
	"github.com/stretchr/testify/require"

	"example.com/callback"
)

var update = flag.Bool("update", false, "rewrite the table in README.md")

const secret = "s3cret"

// secrets holds the secrets of each credential: several, as during a rotation. Each
// has characters that a router could change.
type secrets map[string][]string

func (s secrets) Secrets(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
	var valid []callback.Secret
	for _, secret := range s[apiKey+"/"+credential] {
		valid = append(valid, callback.NewSecret(secret))
	}
	return valid, nil
}

// newHandler returns a Handler whose only script answers with its caller and its
// data.
func newHandler(prefix string) *callback.Handler {
	const echo = `var player = Spark.getPlayer();
		Spark.setScriptData("as", Spark.getCredentialType());
		Spark.setScriptData("player", player && player.getPlayerId());
		Spark.setScriptData("data", Spark.getData());`
	return &callback.Handler{
		Prefix: prefix,
		Runner: &callback.GojaRunner{Scripts: fstest.MapFS{
			"callbacks/hello.js":  {Data: []byte(echo)},
			"callbacks/server.js": {Data: []byte(echo)},
		}},
		Secrets: secrets{
			"K/":      {"s3rver"},
			"K/hello": {secret, "a/b", "..", ".", "a;b", "a+b", "a b", "ü", "a\x00b"},
		},
		Logger: slog.New(slog.DiscardHandler),
	}
}

// A urlCase is a path below the prefix, as it stands on the request line.
type urlCase struct {
	group string // as the table names it
	path  string
	want  string // answer of the bare Handler: its status, and the credential and the player of the run
}

const (
	forbidden = `403 {"error":"forbidden"}`
	notFound  = `404 {"error":"not found"}`
)

func as(credential, player string) string {
	if player != "null" {
		player = `"` + player + `"`
	}
	return fmt.Sprintf(`200 {"as":"%s","player":%s,"data":{"q":["a;b","+ "],"n":""}}`, credential, player)
}

var urlCases = []urlCase{
	{"U1", "K/s3rver", as("server", "null")},
	{"U1", "K/s3rver/", as("server", "null")},
	{"U1", "K/s3rver/p1", as("server", "p1")},
	{"U1", "K/s3rver/p1/", as("server", "p1")},
	{"U2", "K/hello/s3cret", as("hello", "null")},
	{"U2", "K/hello/s3cret/", as("hello", "null")},
	{"U3", "K/hello/s3cret/p1", as("hello", "p1")},
	{"U3", "K/hello/s3cret/p1/", as("hello", "p1")},

	{"a wrong URL", "K/hello/wrong/", forbidden},
	{"a wrong URL", "k/hello/s3cret", forbidden},
	{"a wrong URL", "K", notFound},
	{"a wrong URL", "K/hello/s3cret/p1/more", notFound},
	{"nothing after the prefix", "", notFound},

	{"`%2F`", "K/hello/s3cret/a%2Fb", as("hello", "a/b")},
	{"`%2F`", "K/hello/a%2fb/p1", as("hello", "p1")},
	{"`%2F`", "K/hello%2Fs3cret", forbidden},
	{"`%2F`", "K%2Fhello%2Fs3cret", notFound},

	{"`//`", "/K/hello/s3cret", forbidden},
	{"`//`", "K//hello/s3cret", forbidden},
	{"`//`", "K/hello//s3cret", forbidden},
	{"`//`", "K/hello/s3cret//p1", notFound},

	{"`.`, `..`", "K/./hello/s3cret", forbidden},
	{"`.`, `..`", "K/x/../hello/s3cret", notFound},
	{"`.`, `..`", "../callback/K/hello/s3cret", notFound},
	{"`.`, `..`", "K/hello/s3cret/..", as("hello", "..")},
	{"`.`, `..`", "K/hello/./p1", as("hello", "p1")},
	{"`%2E`", "K/hello/s3cret/%2e%2E", as("hello", "..")},
	{"`%2E`", "K/hello/%2E%2E/p1", as("hello", "p1")},

	{"`%00`", "K/hello/s3cret/a%00b", as("hello", `a\u0000b`)},
	{"`%00`", "K/hello/a%00b/p1", as("hello", "p1")},
	{"`;`", "K/hello/s3cret/a;b", as("hello", "a;b")},
	{"`;`", "K/hello/a;b/p1", as("hello", "p1")},
	{"`+`, `%20`", "K/hello/s3cret/a+b", as("hello", "a+b")},
	{"`+`, `%20`", "K/hello/a+b/a%20b", as("hello", "a b")},
	{"`+`, `%20`", "K/hello/a%20b/a%2Bb", as("hello", "a+b")},
	{"non-ASCII", "K/hello/s3cret/%C3%BC", as("hello", "ü")},
	{"non-ASCII", "K/hello/ü/ü", as("hello", "ü")},
	{"non-ASCII with `%2F`", "K/hello/s3cret/ü%2Fb", as("hello", "ü/b")},
	{"non-ASCII with `%2F`", "K/hello%2Fs3cret/ü", forbidden},
	{"bytes that are not UTF-8", "K/hello/s3cret/%FF", as("hello", "\uFFFD")},
	{"broken `%`", "K/hello/s3cret/%zz", "400 400 Bad Request"}, // net/http's own
}

// A mount is one way to put the Handler behind a router.
type mount struct {
	name    string // a cell of the table, so Markdown
	prefix  string // of its URLs; empty means "/callback/"
	handler string // Handler.Prefix, if it is not the Handler's default
	build   func(h http.Handler) http.Handler
	tls     bool   // and HTTP/2
	advice  string // a cell of the table
}

const fine = "Nothing to do."

var mounts = []mount{
	{
		name:  "`ServeMux`: `/callback/`",
		build: func(h http.Handler) http.Handler { return serveMux("/callback/", h) }, advice: cleans,
	},
	{
		name:  "`ServeMux`: `/callback/{path...}`",
		build: func(h http.Handler) http.Handler { return serveMux("/callback/{path...}", h) }, advice: cleans,
	},
	{
		name:   "`ServeMux`: `/callback/{key}/{rest...}`",
		build:  func(h http.Handler) http.Handler { return serveMux("/callback/{key}/{rest...}", h) },
		advice: cleans + " The pattern adds nothing: the Handler splits the path itself.",
	},
	{
		name: "`ServeMux`: `GET /callback/` and `POST /callback/`",
		build: func(h http.Handler) http.Handler {
			m := http.NewServeMux()
			m.Handle("GET /callback/", h)
			m.Handle("POST /callback/", h)
			return m
		},
		advice: cleans + " The Handler refuses other methods itself.",
	},
	{
		name:  "`ServeMux`: `127.0.0.1/callback/`",
		build: func(h http.Handler) http.Handler { return serveMux("127.0.0.1/callback/", h) }, advice: cleans,
	},
	{
		name: "`ServeMux`: `/api/callback/`, `Handler.Prefix: \"/api/callback/\"`", prefix: "/api/callback/", handler: "/api/callback/",
		build: func(h http.Handler) http.Handler { return serveMux("/api/callback/", h) }, advice: cleans,
	},
	{
		name: "`StripPrefix(\"/api/callback\")`, `Handler.Prefix: \"/\"`, no mux", prefix: "/api/callback/", handler: "/",
		build:  func(h http.Handler) http.Handler { return http.StripPrefix("/api/callback", h) },
		advice: fine,
	},
	{
		name: "`StripPrefix(\"/api/callback/\")`, `Handler.Prefix: \"/\"`, no mux", prefix: "/api/callback/", handler: "/",
		build:  func(h http.Handler) http.Handler { return http.StripPrefix("/api/callback/", h) },
		advice: "Harmless. Strip the prefix without its final slash.",
	},
	{
		name: "chi: `Handle(\"/callback/*\")`",
		build: func(h http.Handler) http.Handler {
			r := chi.NewRouter()
			r.Handle("/callback/*", h)
			return r
		},
		advice: fine,
	},
	{
		name: "chi: `Mount(\"/callback\")`",
		build: func(h http.Handler) http.Handler {
			r := chi.NewRouter()
			r.Mount("/callback", h)
			return r
		},
		advice: fine,
	},
	{
		name: "gin: `Any(\"/callback/*path\", gin.WrapH(h))`",
		build: func(h http.Handler) http.Handler {
			e := gin.New()
			e.Any("/callback/*path", gin.WrapH(h))
			return e
		},
		advice: fine,
	},
	{
		name: "gin with `UseRawPath`, `RemoveExtraSlash`, `RedirectFixedPath`",
		build: func(h http.Handler) http.Handler {
			e := gin.New()
			e.UseRawPath, e.RemoveExtraSlash, e.RedirectFixedPath = true, true, true
			e.Any("/callback/*path", gin.WrapH(h))
			return e
		},
		advice: fine,
	},
	{
		name: "echo: `Any(\"/callback/*\", echo.WrapHandler(h))`",
		build: func(h http.Handler) http.Handler {
			e := echo.New()
			e.Any("/callback/*", echo.WrapHandler(h))
			return e
		},
		advice: fine,
	},
	{
		name:   "gorilla/mux: `PathPrefix(\"/callback/\")`",
		build:  func(h http.Handler) http.Handler { return gorilla(mux.NewRouter(), h) },
		advice: "`NewRouter().SkipClean(true)`, or `Conceal`.",
	},
	{
		name:   "gorilla/mux with `UseEncodedPath`",
		build:  func(h http.Handler) http.Handler { return gorilla(mux.NewRouter().UseEncodedPath(), h) },
		advice: "`SkipClean(true)` as well, or `Conceal`.",
	},
	{
		name:   "gorilla/mux with `SkipClean(true)`",
		build:  func(h http.Handler) http.Handler { return gorilla(mux.NewRouter().SkipClean(true), h) },
		advice: fine,
	},
	{
		name: "gorilla/mux with `UseEncodedPath` and `SkipClean(true)`",
		build: func(h http.Handler) http.Handler {
			return gorilla(mux.NewRouter().UseEncodedPath().SkipClean(true), h)
		},
		advice: fine,
	},
	{
		name: "middleware that wraps the `ResponseWriter`, with `Unwrap`",
		build: func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				h.ServeHTTP(unwrapping{plain{w}, w}, r)
			})
		},
		advice: fine,
	},
	{
		name: "middleware that wraps the `ResponseWriter`, without `Unwrap`",
		build: func(h http.Handler) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { h.ServeHTTP(plain{w}, r) })
		},
		advice: "Give it `Unwrap`: without, the Handler cannot set a deadline for slow request bodies. Else set `http.Server.ReadTimeout`.",
	},
	{
		name:   "`http.TimeoutHandler`",
		build:  func(h http.Handler) http.Handler { return http.TimeoutHandler(h, time.Minute, "") },
		advice: "Not needed: `Handler.Timeout`. It has no `Unwrap` either.",
	},
	{
		name:   "TLS and HTTP/2",
		build:  func(h http.Handler) http.Handler { return h },
		tls:    true,
		advice: fine,
	},
	{
		name:   "`ServeMux` behind `Conceal`",
		build:  func(h http.Handler) http.Handler { return callback.Conceal("/callback/", serveMux("/callback/", h)) },
		advice: fine,
	},
	{
		name: "gorilla/mux behind `Conceal`",
		build: func(h http.Handler) http.Handler {
			return callback.Conceal("/callback/", gorilla(mux.NewRouter(), h))
		},
		advice: fine,
	},
}

const cleans = "`Conceal`, or don't mind: URLs of senders hold none of these."

func serveMux(pattern string, h http.Handler) http.Handler {
	m := http.NewServeMux()
	m.Handle(pattern, h)
	return m
}

func gorilla(r *mux.Router, h http.Handler) http.Handler {
	r.PathPrefix("/callback/").Handler(h)
	return r
}

// plain hides all methods of a ResponseWriter except the three of the interface.
type plain struct{ http.ResponseWriter }

type unwrapping struct {
	plain
	inner http.ResponseWriter
}

func (u unwrapping) Unwrap() http.ResponseWriter { return u.inner }

// A site is a running server with a client that follows no redirect.
type site struct {
	t      *testing.T
	server *httptest.Server
	client *http.Client
}

func newSite(t *testing.T, h http.Handler, http2 bool) *site {
	server := httptest.NewUnstartedServer(h)
	server.Config.ErrorLog = log.New(io.Discard, "", 0) // semicolons, TLS
	if http2 {
		server.EnableHTTP2 = true
		server.StartTLS()
	} else {
		server.Start()
	}
	t.Cleanup(server.Close)
	client := server.Client()
	client.Timeout = 30 * time.Second
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &site{t, server, client}
}

// send sends target on the request line unchanged.
func (s *site) send(method, target, contentType, body string) *http.Response {
	u, err := url.Parse(s.server.URL)
	require.NoError(s.t, err)
	u.Opaque = target
	if strings.HasPrefix(target, "//") {
		u.Opaque = "//" + u.Host + target
	}
	req := &http.Request{Method: method, URL: u, Header: http.Header{}, Host: u.Host}
	if body != "" {
		req.Body, req.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		req.Header.Set("Content-Type", contentType)
	}
	res, err := s.client.Do(req)
	require.NoError(s.t, err)
	return res
}

// answer sums a response up in one line.
func answer(t *testing.T, res *http.Response) string {
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	require.NoError(t, err)
	if res.StatusCode/100 == 3 { // which status differs between Go's releases
		return "redirects to " + res.Header.Get("Location")
	}
	return strings.TrimSpace(fmt.Sprintf("%d %s", res.StatusCode, body))
}

// outcome names an answer that differs from the bare Handler's, for the table.
func outcome(got string) string {
	if to, ok := strings.CutPrefix(got, "redirects to "); ok {
		if strings.Contains(to, secret) {
			return "redirect, the secret in its `Location`"
		}
		return "redirect"
	}
	status, body, _ := strings.Cut(got, " ")
	if status == "200" {
		return "**runs otherwise**: `" + body + "`"
	}
	return status
}

const query = "?q=a;b&n=&q=%2B+"

func TestURLs(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	bare := map[string]string{}
	s := newSite(t, newHandler(""), false)
	for _, c := range urlCases {
		got := answer(t, s.send("GET", "/callback/"+c.path+query, "", ""))
		bare[c.path] = got
		t.Run("bare "+c.path, func(t *testing.T) { require.Equal(t, c.want, got) })
	}

	var table strings.Builder
	table.WriteString("| mounted on | differs from the bare Handler for | advice |\n|---|---|---|\n")
	for _, m := range mounts {
		var outcomes []string
		groups := map[string][]string{} // by outcome
		t.Run(m.name, func(t *testing.T) {
			s := newSite(t, m.build(newHandler(m.handler)), m.tls)
			for _, c := range urlCases {
				if m.tls && strings.Contains(c.path, "%zz") {
					continue // HTTP/2 resets the stream: no handler sees it
				}
				res := s.send("GET", or(m.prefix, "/callback/")+c.path+query, "", "")
				if m.tls {
					require.Equal(t, 2, res.ProtoMajor)
				}
				got := answer(t, res)
				if got == bare[c.path] {
					continue
				}
				o := outcome(got)
				if _, ok := groups[o]; !ok {
					outcomes = append(outcomes, o)
				}
				if !slices.Contains(groups[o], c.group) {
					groups[o] = append(groups[o], c.group)
				}
			}
		})
		cell := "nothing"
		for i, o := range outcomes {
			outcomes[i] = strings.Join(groups[o], ", ") + ": " + o
		}
		if len(outcomes) > 0 {
			cell = strings.Join(outcomes, "; ")
		}
		fmt.Fprintf(&table, "| %s | %s | %s |\n", m.name, cell, m.advice)
	}
	checkReadme(t, table.String())
}

// checkReadme compares the table with the one in README.md.
func checkReadme(t *testing.T, table string) {
	const begin, end = "<!-- table: go test -run TestURLs -update -->\n", "<!-- end of table -->"
	text, err := os.ReadFile("README.md")
	require.NoError(t, err)
	before, rest, ok := strings.Cut(string(text), begin)
	require.True(t, ok, "README.md has no table")
	old, after, ok := strings.Cut(rest, end)
	require.True(t, ok, "README.md has no end of the table")
	if *update {
		require.NoError(t, os.WriteFile("README.md", []byte(before+begin+table+end+after), 0o644))
		return
	}
	require.Equal(t, old, table, "README.md is out of date: see the differences, then run with -update")
}

// TestRequests tests what does not depend on the path: it is the same on every
// mount.
func TestRequests(t *testing.T) {
	gin.SetMode(gin.ReleaseMode)
	for _, m := range mounts {
		t.Run(m.name, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, m.build(newHandler(m.handler)), m.tls)
			target := or(m.prefix, "/callback/") + "K/hello/s3cret/p1"

			res := s.send("POST", target+"?a=1", "application/json", `{"x":1}`)
			require.Equal(t, `200 {"as":"hello","player":"p1","data":{"a":"1","REQUEST_BODY":"{\"x\":1}"}}`, answer(t, res))
			require.Equal(t, "application/json; charset=utf-8", res.Header.Get("Content-Type"))

			res = s.send("POST", target, "application/x-www-form-urlencoded", "a=1&a=2")
			require.Equal(t, `200 {"as":"hello","player":"p1","data":{"a":["1","2"],"REQUEST_BODY":"a=1&a=2"}}`, answer(t, res))

			res = s.send("POST", or(m.prefix, "/callback/")+"K/hello/wrong", "text/plain", strings.Repeat("x", 1<<20))
			require.Equal(t, forbidden, answer(t, res))

			res = s.send("HEAD", target, "", "")
			require.Equal(t, "200", answer(t, res))
			require.Equal(t, int64(len(`{"as":"hello","player":"p1","data":{}}`)), res.ContentLength)

			res = s.send("PUT", target, "text/plain", "x")
			require.Equal(t, http.StatusMethodNotAllowed, res.StatusCode)
			require.Equal(t, "GET, HEAD, POST", res.Header.Get("Allow"))
			res.Body.Close()
		})
	}
}

func or(s, def string) string {
	if s == "" {
		return def
	}
	return s
}
