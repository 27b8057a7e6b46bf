package callback_test

import (
	"context"
	"crypto/sha256"
	"os"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// TestCredentialNameLength: a name of 128 characters is one, and the store is
// not asked for a longer one.
func TestCredentialNameLength(t *testing.T) {
	t.Parallel()
	longest := strings.Repeat("n", 128)
	var asked []string
	h, _ := httpHandler(``)
	h.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) { return nil, nil })
	h.Secrets = storeFunc(func(_ context.Context, _, credential string) ([]callback.Secret, error) {
		asked = append(asked, credential)
		return []callback.Secret{callback.NewSecret(credential + "'s")}, nil
	})
	require.Equal(t, 200, get(t, h, "/callback/E3/"+longest+"/"+longest+"'s").Code)
	require.Contains(t, asked, longest)
	require.Equal(t, 403, get(t, h, "/callback/E3/"+longest+"n/"+longest+"n's").Code)
	require.NotContains(t, asked, longest+"n")
}

// TestEmptySecretOpensNothing, not even where a store holds its digest.
func TestEmptySecretOpensNothing(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.Secrets = storeFunc(func(context.Context, string, string) ([]callback.Secret, error) {
		return []callback.Secret{{}, callback.Secret(sha256.Sum256(nil))}, nil
	})
	for _, path := range []string{"E3//", "E3//player", "E3/hello//", "E3/hello//player"} {
		require.Equal(t, 403, get(t, h, "/callback/"+path).Code, path)
	}
}

// TestEverySecretIsCompared: that one of several is right is not told by where
// it stands among them.
func TestEverySecretIsCompared(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	compared := 0
	h.CountCompares(func() { compared++ })
	h.Secrets = storeFunc(func(_ context.Context, _, credential string) ([]callback.Secret, error) {
		if credential == "" {
			return nil, nil // still compared once, with a secret that nobody has
		}
		return []callback.Secret{callback.NewSecret("a"), callback.NewSecret("b"), callback.NewSecret("c")}, nil
	})
	for given, status := range map[string]int{"a": 200, "b": 200, "c": 200, "d": 403, "": 403} {
		compared = 0
		require.Equal(t, status, get(t, h, "/callback/E3/hello/"+given+"/").Code, given)
		require.Equal(t, 1+3, compared, given)
	}
	h.Secrets = nil
	compared = 0
	require.Equal(t, 403, get(t, h, helloURL).Code)
	require.Equal(t, 2, compared)
}

// TestSecretsAreComparedInConstantTime: what the tests that count compares stand
// on is one call of package subtle.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("secret.go")
	require.NoError(t, err)
	const whole = "func constantTimeEqual(a, b Secret) int { return subtle.ConstantTimeCompare(a[:], b[:]) }"
	require.Contains(t, string(source), whole)
}

// TestPlayerIDIsText: what is not UTF-8 in the URL is not in a Call.
func TestPlayerIDIsText(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	var playerID string
	h.Runner = callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
		playerID = call.PlayerID
		return nil, nil
	})
	for _, path := range []string{"E3/srv/a%FF%FEb", "E3/hello/s3cret/a%FF%FEb"} {
		playerID = ""
		require.Equal(t, 200, get(t, h, "/callback/"+path).Code)
		require.Equal(t, "a\ufffd\ufffdb", playerID)
	}
}
