package callback_test

import (
	"context"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// TestVersionOfTheCall: a call that names a version runs with that one or not at
// all.
func TestVersionOfTheCall(t *testing.T) {
	t.Parallel()
	both := sourceFunc(func(_ context.Context, call *callback.Call) (callback.Tree, error) {
		if call.Version == "v1" {
			return release("v1"), nil
		}
		return release("v2"), nil // which is live
	})
	for _, test := range []struct {
		name    string
		runner  *callback.GojaRunner
		version string
		want    string
	}{
		{"live", &callback.GojaRunner{Source: both}, "", `"v2 v2"`},
		{"not live", &callback.GojaRunner{Source: both}, "v1", `"v1 v1"`},
		{"unknown", &callback.GojaRunner{Source: both}, "v0", ""},
		{"a folder has none", &callback.GojaRunner{Scripts: release("v1").FS}, "v1", ""},
		{"the tree's own", &callback.GojaRunner{Source: release("v1")}, "v1", `"v1 v1"`},
		{"another tree's", &callback.GojaRunner{Source: release("v1")}, "v2", ""},
		{"refused by the source", &callback.GojaRunner{Source: sourceFunc(func(context.Context, *callback.Call) (callback.Tree, error) {
			return callback.Tree{}, callback.ErrNoVersion
		})}, "v1", ""},
	} {
		call := &callback.Call{Credential: "hello", Version: test.version}
		if test.want != "" {
			got, _ := runOf(t, test.runner, call)
			require.Equal(t, test.want, got, test.name)
			continue
		}
		_, err := test.runner.RunScript(t.Context(), call)
		require.ErrorIs(t, err, callback.ErrNoVersion, test.name)
		require.NotErrorIs(t, err, callback.ErrUnavailable, test.name)
	}
}
