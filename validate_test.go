package callback_test

import (
	"context"
	"io/fs"
	"os"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/sandbox"
)

func TestValidate(t *testing.T) {
	t.Parallel()
	nothing := func(context.Context, *callback.Call, callback.Args) (any, error) { return nil, nil }
	tree := func(names ...string) fs.FS {
		files := fstest.MapFS{}
		for _, name := range names {
			files[name] = &fstest.MapFile{}
		}
		return files
	}
	scripts := func(fsys fs.FS) func(*callback.Handler) {
		return func(h *callback.Handler) { h.Runner = &callback.GojaRunner{Scripts: fsys} }
	}
	secrets := func(key, secret string) func(*callback.Handler) {
		return func(h *callback.Handler) { h.Secrets = callback.SecretMap{key: secret} }
	}
	for _, test := range []struct {
		name   string
		change func(*callback.Handler)
		want   string // in the error; empty: no error
	}{
		{"sound", func(*callback.Handler) {}, ""},
		{"zero", func(h *callback.Handler) { *h = callback.Handler{} }, "callback: Handler.Runner is missing\ncallback: Handler.Secrets is missing"},
		{"methods", func(h *callback.Handler) { h.Methods = []string{"PUT", "OPTIONS"} }, ""},
		{"unknown method", func(h *callback.Handler) { h.Methods = []string{"put"} }, `callback: Handler.Methods: "put" is none of PUT`},
		{"no script fits", func(h *callback.Handler) { h.Runner.(*callback.GojaRunner).MaxScriptSize = -1 }, "callback: GojaRunner.MaxScriptSize is negative"},
		{"sandbox", func(h *callback.Handler) { h.Runner = &sandbox.Runner{Scripts: tree("callbacks/a.js")} }, ""},
		{"empty sandbox", func(h *callback.Handler) { h.Runner = new(sandbox.Runner) }, "callback: sandbox.Runner has no Scripts"},
		{"sandbox of two", func(h *callback.Handler) {
			h.Runner = &sandbox.Runner{Scripts: tree("callbacks/a.js"), Source: callback.Tree{FS: tree("callbacks/a.js"), Version: "1"}}
		}, "callback: the runner has both Scripts and a Source"},
		{"sandbox without children", func(h *callback.Handler) {
			h.Runner = &sandbox.Runner{Scripts: tree("callbacks/a.js"), Processes: -1}
		}, "callback/sandbox: Runner.Processes is negative"},
		{"own runner", func(h *callback.Handler) { h.Runner = h }, "Handler.Runner is the Handler itself"},
		{"another Handler", func(h *callback.Handler) { h.Runner = &callback.Handler{} }, ""},
		{"nil scripts", scripts(nil), "callback: GojaRunner has no Scripts"},
		{"empty folder", scripts(tree()), "GojaRunner.Scripts has neither callbacks/*.js nor system/GS_CALLBACK_URL.js"},
		{"modules only", scripts(tree("modules/A.js", "callbacks/a.txt", "callbacks/a b.js", "callbacks/sub/a.js")), "has neither callbacks/*.js"},
		{"no folder", scripts(os.DirFS("testdata/none")), "has neither callbacks/*.js"},
		{"empty Source", func(h *callback.Handler) {
			h.Runner = &callback.GojaRunner{Source: callback.Tree{FS: tree("x"), Version: "1"}}
		}, "has neither callbacks/*.js"},
		{"Source", func(h *callback.Handler) {
			h.Runner = &callback.GojaRunner{Source: callback.Tree{FS: tree("callbacks/a.js"), Version: "1"}}
		}, ""},
		{"Scripts and Source", func(h *callback.Handler) {
			h.Runner = &callback.GojaRunner{Scripts: tree("callbacks/a.js"), Source: callback.Tree{FS: tree("callbacks/a.js"), Version: "1"}}
		}, "Source"},
		{"server script", scripts(tree("system/GS_CALLBACK_URL.js")), ""},
		{"prefix", func(h *callback.Handler) { h.Prefix = "/api/callback/" }, ""},
		{"root prefix", func(h *callback.Handler) { h.Prefix = "/" }, ""},
		{"escaped prefix", func(h *callback.Handler) { h.Prefix = "/a%20b/" }, ""},
		{"no leading slash", func(h *callback.Handler) { h.Prefix = "callback/" }, `Handler.Prefix "callback/" does not begin and end with a slash`},
		{"no final slash", func(h *callback.Handler) { h.Prefix = "/callback" }, `Handler.Prefix "/callback" does not begin and end with a slash`},
		{"unescaped prefix", func(h *callback.Handler) { h.Prefix = "/a b/" }, `Handler.Prefix "/a b/" is not an escaped path`},
		{"broken prefix", func(h *callback.Handler) { h.Prefix = "/%zz/" }, "is not an escaped path"},
		{"prefix with a query", func(h *callback.Handler) { h.Prefix = "/a?b/" }, "is not an escaped path"},
		{"Timeout", func(h *callback.Handler) { h.Timeout = -time.Second }, "Handler.Timeout is negative"},
		{"HTTPTimeout", func(h *callback.Handler) { h.HTTPTimeout = -1 }, "Handler.HTTPTimeout is negative"},
		{"MaxInFlight", func(h *callback.Handler) { h.MaxInFlight = -1 }, "Handler.MaxInFlight is negative"},
		{"MaxLookups", func(h *callback.Handler) { h.MaxLookups = -1 }, "Handler.MaxLookups is negative: no call could succeed"},
		{"MaxResponse", func(h *callback.Handler) { h.MaxResponse = -1 }, "Handler.MaxResponse is negative: no call could succeed"},
		{"MaxHeld", func(h *callback.Handler) { h.MaxHeld = 4<<20 - 1 }, "Handler.MaxHeld is less than MaxBody or MaxResponse"},
		{"negative MaxHeld", func(h *callback.Handler) { h.MaxHeld = -1 }, "Handler.MaxHeld is less than MaxBody or MaxResponse"},
		{"least MaxHeld", func(h *callback.Handler) { h.MaxHeld, h.MaxBody, h.MaxResponse = 100, 90, 100 }, ""},
		{"MaxBody over MaxHeld's default", func(h *callback.Handler) { h.MaxBody = 1 << 40 }, ""},
		{"KeepLog", func(h *callback.Handler) { h.KeepLog = -1 }, "Handler.KeepLog is negative"},
		{"no outbound requests at all", func(h *callback.Handler) { h.MaxHTTPCalls = -1 }, ""},
		{"RequestHeaders", func(h *callback.Handler) { h.RequestHeaders = []string{"X-Ok", "X Bad"} }, `Handler.RequestHeaders: "X Bad" is not a header name`},
		{"RunIDHeader", func(h *callback.Handler) { h.RunIDHeader = "Content-Length" }, "Handler.RunIDHeader: Content-Length belongs to the connection"},
		{"VersionHeader", func(h *callback.Handler) { h.VersionHeader = "a\r\nb" }, `Handler.VersionHeader: "a\r\nb" is not a header name`},
		{"members", func(h *callback.Handler) {
			h.Members = callback.Members{
				"ok":     {Func: nothing},
				"script": {Script: `function (host) { return host.f }`, Funcs: map[string]callback.HostFunc{"f": nothing}},
			}
		}, ""},
		{"nameless member", func(h *callback.Handler) { h.Members = callback.Members{"": {Func: nothing}} }, "Handler.Members has a member without a name"},
		{"empty member", func(h *callback.Handler) { h.Members = callback.Members{"f": {}} }, "Handler.Members: f has neither Func nor Script"},
		{"both", func(h *callback.Handler) { h.Members = callback.Members{"f": {Func: nothing, Script: "1"}} }, "f has both Func and Script"},
		{"Funcs alone", func(h *callback.Handler) {
			h.Members = callback.Members{"f": {Func: nothing, Funcs: map[string]callback.HostFunc{"g": nothing}}}
		}, "f has Funcs without a Script"},
		{"nil function", func(h *callback.Handler) {
			h.Members = callback.Members{"f": {Script: "1", Funcs: map[string]callback.HostFunc{"g": nil}}}
		}, "f.g is nil"},
		{"broken script", func(h *callback.Handler) {
			h.Members = callback.Members{"f": {Script: "function (host) {\n  return ;;) }"}}
		},
			"Handler.Members: Spark.f:2:"},
		{"key without a slash", secrets("zq9-secret", "s"), "callback: SecretMap: a key of 10 characters has no slash"},
		{"key without an API key", secrets("/hello", "s"), "has no API key"},
		{"key that is not UTF-8", secrets("\xff/hello", "s"), "is not UTF-8"},
		{"key with a secret", secrets("E3/hello/zq9.secret", "s"), "has a credential with other characters"},
		{"empty secret", secrets("E3/hello", ""), "has an empty secret"},
		{"empty global", func(h *callback.Handler) { h.Globals = callback.Members{"Game": {}} }, "callback: Handler.Globals: Game has neither Func nor Script"},
		{"broken global", func(h *callback.Handler) { h.Globals = callback.Members{"Game": {Script: "function ("}} }, "callback: Handler.Globals: Game:2:2: SyntaxError"},
		{"server secret", secrets("E3/", "s"), ""},
		{"cache", func(h *callback.Handler) { h.Secrets = &callback.SecretCache{Store: h.Secrets, TTL: time.Minute} }, ""},
		{"empty cache", func(h *callback.Handler) { h.Secrets = new(callback.SecretCache) }, "callback: SecretCache.Store is missing"},
		{"negative cache", func(h *callback.Handler) {
			h.Secrets = &callback.SecretCache{Store: callback.SecretMap{"x": "y"}, TTL: -1}
		}, "SecretCache has a negative field\ncallback: SecretMap: a key of 1 characters"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, _ := httpHandler(``)
			test.change(h)
			err := h.Validate()
			if test.want == "" {
				require.NoError(t, err)
				return
			}
			require.ErrorContains(t, err, test.want)
			require.Empty(t, leaks(err.Error()))
			require.True(t, strings.HasPrefix(err.Error(), "callback"))
		})
	}
}
