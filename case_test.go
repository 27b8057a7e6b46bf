package callback_test

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/callbacktest"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

// Run in callbacktest looks for this flag.
var _ = flag.Bool("update", false, "rewrite the responses and logs of testdata")

// TestCases runs testdata, whose README describes the files.
func TestCases(t *testing.T) {
	t.Parallel()
	callbacktest.Run(t, caseHandler(), "testdata/*/*.txtar")
}

// TestCasesInSandbox runs the same cases in a sandbox. They share its children,
// because starting a child for each case would take most of the time.
func TestCasesInSandbox(t *testing.T) {
	t.Parallel()
	type key struct{} // of a case's tree in the context of its calls
	runner := &sandbox.Runner{Source: sourceFunc(func(ctx context.Context, _ *callback.Call) (callback.Tree, error) {
		return ctx.Value(key{}).(callback.Tree), nil
	})}
	if testkit.Race { // the race detector's memory would count as the child's
		runner.MaxMemory = 2 << 30
	}
	t.Cleanup(func() { require.NoError(t, runner.Close()) })
	callbacktest.Run(t, caseHandler(), "testdata/*/*.txtar", callbacktest.NewRunner(func(scripts fs.FS) callback.ScriptRunner {
		if err := runner.Start(t.Context()); err != nil { // the deadlines of some cases do not leave time for it
			t.Error(err)
		}
		tree := callback.Tree{FS: &struct{ fs.FS }{scripts}} // a pointer, because maps are not comparable
		return callback.ScriptRunnerFunc(func(ctx context.Context, call *callback.Call) (*callback.Result, error) {
			return runner.RunScript(context.WithValue(ctx, key{}, tree), call)
		})
	}))
}

// caseHandler is the host that the cases in testdata know.
func caseHandler() *callback.Handler {
	return &callback.Handler{
		Timeout: time.Minute, // a busy machine is slow
		Secrets: callback.SecretMap{
			"E3/":        "srv",
			"E3/hello":   "s3cret",
			"E3/other":   "0ther",
			"E3/open":    "",
			"a/b/hello":  "s3cret",
			"é ü/hello":  "pässword/ 1",
			"NoServer/x": "xs3cret",
		},
		Globals: callback.Members{
			"upper": {Func: func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
				var text string
				err := args.Scan(&text)
				return strings.ToUpper(text), err
			}},
			"Broken": {Script: `function (host, Spark) {
				switch (Spark.getData().BROKEN) {
				case "throws": throw new Error("no database")
				case "loops": for (;;) {}
				}
			}`},
			"Game": {
				Script: `function (host, Spark) {
					return { name: "chess", who: function () { return host.who() + " " + Spark.getCredentialType() } }
				}`,
				Funcs: map[string]callback.HostFunc{
					"who": func(_ context.Context, call *callback.Call, _ callback.Args) (any, error) { return call.APIKey, nil },
				},
			},
		},
		Members: callback.Members{
			"echo": {Func: func(_ context.Context, call *callback.Call, args callback.Args) (any, error) {
				return map[string]any{"args": args, "credential": call.Credential}, nil
			}},
			"fails": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				return nil, errors.New("no such level")
			}},
			"panics": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { panic("s3cret") }},
			"downloadableXml": {
				Script: `function (host, Spark) { return function downloadableXml(code) { return Spark.parseXml(host.text(code)) } }`,
				Funcs: map[string]callback.HostFunc{
					"text": func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
						var code string
						err := args.Scan(&code)
						return `<download code="` + code + `"><item>Sword</item><item>Bow &amp; arrow</item></download>`, err
					},
				},
			},
			"nothing": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { return nil, nil }},
			"loadPlayer": {
				Script: `function (host, Spark) {
					return function loadPlayer(id) {
						return {
							getPlayerId: function () { return id },
							getDisplayName: function () { return host.name(id) }
						}
					}
				}`,
				Funcs: map[string]callback.HostFunc{
					"name": func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
						var id string
						if err := args.Scan(&id); err != nil {
							return nil, err
						}
						return "Player " + id, nil
					},
				},
			},
		},
	}
}
