package callback_test

import (
	"context"
	"crypto/sha256"
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
	h.Secrets = secretsFunc(func(_, credential string) ([]callback.Secret, error) {
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
	h.Secrets = secretsFunc(func(string, string) ([]callback.Secret, error) {
		return []callback.Secret{{}, callback.Secret(sha256.Sum256(nil))}, nil
	})
	for _, path := range []string{"E3//", "E3//player", "E3/hello//", "E3/hello//player"} {
		require.Equal(t, 403, get(t, h, "/callback/"+path).Code, path)
	}
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
