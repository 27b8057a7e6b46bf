package callback_test

import (
	"context"
	"errors"
	"flag"
	"io/fs"
	"testing"
	"time"

	"example.com/callback"
	"example.com/callback/callbacktest"
	"example.com/callback/sandbox"
)

// Run in callbacktest looks for this flag.
var _ = flag.Bool("update", false, "rewrite the responses and logs of testdata")

// TestCases runs testdata, whose README describes the files.
func TestCases(t *testing.T) {
	t.Parallel()
	callbacktest.Run(t, caseHandler(), "testdata/*/*.txtar")
}

// TestCasesInSandbox runs the same cases, each in a child process of its own.
func TestCasesInSandbox(t *testing.T) {
	t.Parallel()
	callbacktest.Run(t, caseHandler(), "testdata/*/*.txtar", callbacktest.NewRunner(func(scripts fs.FS) callback.ScriptRunner {
		runner := &sandbox.Runner{Scripts: scripts, Processes: 1}
		if err := runner.Start(context.Background()); err != nil { // the deadlines of some cases do not leave time for it
			t.Error(err)
		}
		return runner
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
		Members: callback.Members{
			"echo": {Func: func(_ context.Context, call *callback.Call, args callback.Args) (any, error) {
				return map[string]any{"args": args, "credential": call.Credential}, nil
			}},
			"fails": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				return nil, errors.New("no such level")
			}},
			"panics":  {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { panic("s3cret") }},
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
