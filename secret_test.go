package callback_test

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/http/httptest"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// TestCredentialNameLength: a credential may have 128 characters. The store is not
// asked for a longer one.
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

// TestEverySecretIsCompared: the work does not depend on the position of the right
// secret among several.
func TestEverySecretIsCompared(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	compared := 0
	h.CountCompares(func() { compared++ })
	h.Secrets = storeFunc(func(_ context.Context, _, credential string) ([]callback.Secret, error) {
		if credential == "" {
			return nil, nil // still compared once, with the zero Secret, which matches nothing
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

// TestSecretsAreComparedInConstantTime: the comparison that the other tests count is
// one call of package subtle.
func TestSecretsAreComparedInConstantTime(t *testing.T) {
	t.Parallel()
	source, err := os.ReadFile("secret.go")
	require.NoError(t, err)
	const whole = "func constantTimeEqual(a, b Secret) int { return subtle.ConstantTimeCompare(a[:], b[:]) }"
	require.Contains(t, string(source), whole)
}

// TestMaxLookups: the number of calls that wait for the store is bounded, whether
// their secrets are right or not.
func TestMaxLookups(t *testing.T) {
	t.Parallel()
	const maxLookups = 3
	var asked, calls sync.WaitGroup
	asked.Add(maxLookups)
	answer := make(chan struct{})
	h, log := httpHandler(``)
	h.MaxLookups = maxLookups
	h.Secrets = storeFunc(func(ctx context.Context, apiKey, credential string) ([]callback.Secret, error) {
		if credential == "" {
			asked.Done()
			<-answer
		}
		return callback.SecretMap{"E3/hello": "s3cret"}.Secrets(ctx, apiKey, credential)
	})
	statuses := make(chan int, maxLookups)
	for _, target := range []string{helloURL, "/callback/E3/hello/wrong", helloURL} {
		calls.Go(func() {
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest("GET", target, nil))
			statuses <- w.Code
		})
	}
	asked.Wait()
	for _, target := range []string{helloURL, "/callback/E3/hello/wrong", "/callback/zz/hello/s3cret"} {
		w := get(t, h, target)
		require.Equal(t, 503, w.Code)
		require.Equal(t, `{"error":"overloaded"}`, w.Body.String())
		require.Equal(t, "1", w.Header().Get("Retry-After"))
	}
	require.Equal(t, 404, get(t, h, "/callback/E3").Code, "no look-up is needed")
	require.Empty(t, log.String())
	close(answer)
	calls.Wait()
	close(statuses)
	count := map[int]int{}
	for status := range statuses {
		count[status]++
	}
	require.Equal(t, map[int]int{200: 2, 403: 1}, count)
	asked.Add(1)
	require.Equal(t, 200, get(t, h, helloURL).Code)

	h.MaxLookups = -1
	require.Equal(t, 503, get(t, h, helloURL).Code)
}

// bulkStore is a SecretStore that returns all secrets of an API key at once.
type bulkStore struct {
	asked []string
	err   error
}

func (s *bulkStore) Secrets(context.Context, string, string) ([]callback.Secret, error) {
	panic("one look-up is enough")
}

func (s *bulkStore) APIKeySecrets(ctx context.Context, apiKey string) (map[string][]callback.Secret, error) {
	s.asked = append(s.asked, apiKey)
	if apiKey != "E3" {
		return nil, s.err
	}
	all := map[string][]callback.Secret{}
	for credential, secret := range map[string]string{"": serverSecret, "hello": credentialSecret, "other": otherSecret, "open": "", "-": "x"} {
		all[credential] = []callback.Secret{callback.NewSecret(secret)}
	}
	all["rotated"] = []callback.Secret{callback.NewSecret("zq9-new"), callback.NewSecret("zq9-newer")}
	return all, s.err
}

// TestAPIKeyStore: there is one look-up for each call, by the API key alone, and a
// refusal takes the same work as with a SecretStore.
func TestAPIKeyStore(t *testing.T) {
	t.Parallel()
	store := new(bulkStore)
	h, log := httpHandler(``)
	h.Secrets = store
	h.Runner = callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
		result := new(callback.Result)
		return result, result.Set("who", call.APIKey+" "+call.Credential+" "+call.PlayerID)
	})
	compared := 0
	h.CountCompares(func() { compared++ })
	for path, who := range map[string]string{
		"E3/" + serverSecret:                  "E3  ",
		"E3/" + serverSecret + "/p":           "E3  p",
		"E3/hello/" + credentialSecret:        "E3 hello ",
		"E3/hello/" + credentialSecret + "/p": "E3 hello p",
		"E3/rotated/zq9-new":                  "E3 rotated ",
		"E3/rotated/zq9-newer":                "E3 rotated ",
	} {
		store.asked = nil
		require.Equal(t, `{"who":"`+who+`"}`, get(t, h, "/callback/"+path).Body.String())
		require.Equal(t, []string{"E3"}, store.asked)
	}
	for segments, kinds := range refusals {
		for kind, path := range kinds {
			store.asked, compared = nil, 0
			w := get(t, h, "/callback/"+path)
			require.Equal(t, 403, w.Code, kind)
			require.Equal(t, `{"error":"forbidden"}`, w.Body.String(), kind)
			require.Len(t, store.asked, 1, kind)
			compares := min(segments, 2)
			if kind == "retired" {
				compares++ // there are two
			}
			require.Equal(t, compares, compared, kind)
		}
	}
	require.Empty(t, log.String())
	store.err = errors.New("connection lost")
	require.Equal(t, 503, get(t, h, helloURL).Code)
	require.Contains(t, log.String(), "connection lost")
}

// TestPlayerIDIsText: a player id that is not UTF-8 in the URL is valid UTF-8 in the
// Call.
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

// TestStoreFails: every error of a store is a 503, so that the sender of a webhook
// tries again.
func TestStoreFails(t *testing.T) {
	t.Parallel()
	for _, err := range []error{
		errors.New("connection lost"), callback.ErrNoScript, callback.ErrNoVersion,
		fmt.Errorf("vault: %w", callback.RetryAfter(callback.ErrTooMany, time.Second)),
	} {
		t.Run(err.Error(), func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(``)
			h.Secrets = storeFunc(func(context.Context, string, string) ([]callback.Secret, error) { return nil, err })
			for _, target := range []string{helloURL, "/callback/E3/srv/", "/callback/E3/hello/s3cret/p1"} {
				w := get(t, h, target)
				require.Equal(t, 503, w.Code)
				require.Equal(t, `{"error":"unavailable"}`, w.Body.String())
				require.Equal(t, "1", w.Header().Get("Retry-After"))
			}
			require.Contains(t, log.String(), err.Error())
			require.NotContains(t, log.String(), "s3cret")
			require.NotContains(t, log.String(), "srv")
		})
	}
}

// TestSecretsAsked shows with which names a store is asked.
func TestSecretsAsked(t *testing.T) {
	t.Parallel()
	var asked []string
	h, _ := httpHandler(``)
	h.Secrets = storeFunc(func(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
		asked = append(asked, apiKey+"|"+credential)
		return callback.SecretMap{"E3/hello": "s3cret", "E3/": "srv"}.Secrets(t.Context(), apiKey, credential)
	})
	for _, test := range []struct {
		target string
		asked  []string
	}{
		{"/callback/E3/srv/", []string{"E3|"}},
		{"/callback/E3/srv/p1", []string{"E3|"}}, // a valid server secret is no look-up key
		{"/callback/E3/hello/s3cret", []string{"E3|", "E3|hello"}},
		{"/callback/E3/hello/s3cret/p1", []string{"E3|", "E3|hello"}},
		{"/callback/E3/srv/p1/more", []string{"E3|", "E3|-"}},
		{"/callback/E3/srv/p1//", []string{"E3|", "E3|-"}},
		{"/callback/E3/nobody/s3cret", []string{"E3|", "E3|nobody"}},
		{"/callback/E3/no.body/s3cret", []string{"E3|", "E3|-"}}, // the same work
		{"/callback/E3/no%2Fbody/s3cret/p1", []string{"E3|", "E3|-"}},
	} {
		asked = nil
		get(t, h, test.target)
		require.Equal(t, test.asked, asked, test.target)
	}
}

// TestSecretRotation: each of several secrets of a credential is accepted.
func TestSecretRotation(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(``)
	h.Secrets = storeFunc(func(_ context.Context, _, credential string) ([]callback.Secret, error) {
		if credential == "" {
			return nil, nil
		}
		return []callback.Secret{callback.NewSecret("old"), {}, callback.NewSecret("new")}, nil
	})
	require.Equal(t, 200, get(t, h, "/callback/E3/hello/old").Code)
	require.Equal(t, 200, get(t, h, "/callback/E3/hello/new").Code)
	require.Equal(t, 403, get(t, h, "/callback/E3/hello/other").Code)
	require.Equal(t, 403, get(t, h, "/callback/E3/hello//").Code)
}
