//go:build unix

package pgcallback_test

import (
	"context"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/pgcallback"
)

func TestSecrets(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ctx := t.Context()
	valid := func(credential string) []callback.Secret {
		t.Helper()
		secrets, err := db.Secrets(ctx, "E3", credential)
		require.NoError(t, err)
		return secrets
	}
	one, two, three := callback.NewSecret("1"), callback.NewSecret("2"), callback.NewSecret("3")

	require.Empty(t, valid("hello"))
	id, err := db.AddSecret(ctx, "E3", "hello", one, "first", pgcallback.Validity{})
	require.NoError(t, err)
	require.Equal(t, []callback.Secret{one}, valid("hello"))
	require.Empty(t, valid(""), "the server secret is another's")
	require.Empty(t, valid("Hello"))

	_, err = db.AddSecret(ctx, "E3", "hello", two, "", pgcallback.Validity{From: time.Now().Add(time.Hour)})
	require.NoError(t, err)
	_, err = db.AddSecret(ctx, "E3", "hello", three, "", pgcallback.Validity{Until: time.Now().Add(-time.Hour)})
	require.NoError(t, err)
	require.Equal(t, []callback.Secret{one}, valid("hello"), "not one that is to come or is over")

	four := callback.NewSecret("4")
	_, err = db.RotateSecret(ctx, "E3", "hello", four, "rotated", time.Hour)
	require.NoError(t, err)
	require.Equal(t, []callback.Secret{four, one}, valid("hello"), "both while the overlap lasts")
	five := callback.NewSecret("5")
	_, err = db.RotateSecret(ctx, "E3", "hello", five, "", 0)
	require.NoError(t, err)
	require.Equal(t, []callback.Secret{five}, valid("hello"))

	require.ErrorIs(t, db.RevokeSecret(ctx, "E4", id), pgcallback.ErrNoSecret, "another API key's")
	infos, err := db.ListSecrets(ctx, "E3")
	require.NoError(t, err)
	require.Len(t, infos, 5)
	require.Equal(t, "first", infos[0].Note)
	require.False(t, infos[0].Until.IsZero())
	last := infos[4]
	require.True(t, last.Until.IsZero())
	require.NoError(t, db.RevokeSecret(ctx, "E3", last.ID))
	require.Empty(t, valid("hello"))

	_, err = db.AddSecret(ctx, "E3", "hello", five, "", pgcallback.Validity{})
	require.ErrorIs(t, err, pgcallback.ErrSecretExists, "one that was revoked does not come back")
	_, err = db.AddSecret(ctx, "E3", "hello", callback.Secret{}, "", pgcallback.Validity{})
	require.ErrorContains(t, err, "opens nothing")
}

// A secret too many is refused: no other one ends in its place.
func TestTooManySecrets(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	ctx := t.Context()
	number := func(i int) callback.Secret { return callback.NewSecret(strconv.Itoa(i)) }
	valid := func() []callback.Secret {
		t.Helper()
		secrets, err := db.Secrets(ctx, "E3", "hello")
		require.NoError(t, err)
		return secrets
	}
	var all []pgcallback.CredentialSecret
	for i := range pgcallback.MaxSecrets + 1 {
		all = append(all, pgcallback.CredentialSecret{APIKey: "E3", Credential: "hello", Secret: number(i)})
	}
	require.ErrorIs(t, db.LoadSecrets(ctx, all...), pgcallback.ErrTooManySecrets)
	require.Empty(t, valid(), "all or none")
	for range 2 { // the second time they are there
		require.NoError(t, db.LoadSecrets(ctx, all[:pgcallback.MaxSecrets]...))
		require.Len(t, valid(), pgcallback.MaxSecrets)
	}
	require.ErrorContains(t, db.LoadSecrets(ctx, pgcallback.CredentialSecret{APIKey: "E3"}), "opens nothing")

	require.NoError(t, db.LoadSecrets(ctx, pgcallback.CredentialSecret{APIKey: "E3", Credential: "busy", Secret: number(0)}))
	results := make(chan error, 2*pgcallback.MaxSecrets)
	for i := range cap(results) {
		go func() {
			_, err := db.AddSecret(ctx, "E3", "busy", number(i+1), "", pgcallback.Validity{})
			results <- err
		}()
	}
	added := 1
	for range cap(results) {
		if err := <-results; err == nil {
			added++
		} else {
			require.ErrorIs(t, err, pgcallback.ErrTooManySecrets)
		}
	}
	require.Equal(t, pgcallback.MaxSecrets, added, "at the same time")

	_, err := db.AddSecret(ctx, "E3", "hello", number(100), "", pgcallback.Validity{})
	require.ErrorIs(t, err, pgcallback.ErrTooManySecrets)
	_, err = db.RotateSecret(ctx, "E3", "hello", number(100), "", time.Hour)
	require.ErrorIs(t, err, pgcallback.ErrTooManySecrets)
	require.Len(t, valid(), pgcallback.MaxSecrets)
	require.Contains(t, valid(), number(0), "the oldest is valid still")
	_, err = db.AddSecret(ctx, "E3", "other", number(100), "", pgcallback.Validity{})
	require.NoError(t, err, "another credential's")

	_, err = db.RotateSecret(ctx, "E3", "hello", number(100), "", 0)
	require.NoError(t, err)
	require.Equal(t, []callback.Secret{number(100)}, valid())
	infos, err := db.ListSecrets(ctx, "E3")
	require.NoError(t, err)
	infos = slices.DeleteFunc(infos, func(info pgcallback.SecretInfo) bool { return info.Credential != "hello" })
	require.Len(t, infos, pgcallback.MaxSecrets+1)
	for i, info := range infos {
		require.Equal(t, i < pgcallback.MaxSecrets, info.Ended, "secret %d", i)
	}
}

func TestSecretsOfNamesThatAreNoText(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	for _, apiKey := range []string{"\x00", "\xff", "a\x00b"} {
		secrets, err := db.Secrets(t.Context(), apiKey, "hello")
		require.NoError(t, err)
		require.Empty(t, secrets)
	}
}

func TestSecretsOfABrokenStore(t *testing.T) {
	t.Parallel()
	db := &pgcallback.DB{Pool: newPool(t)} // not migrated
	_, err := db.Secrets(t.Context(), "E3", "hello")
	require.ErrorContains(t, err, "callback: secrets: ")
	_, err = db.AddSecret(t.Context(), "E3", "hello", callback.NewSecret("s"), "", pgcallback.Validity{})
	require.ErrorContains(t, err, "callback: add secret: ")

	ended, end := context.WithCancel(t.Context())
	end() // no transaction begins
	_, err = db.AddSecret(ended, "E3", "hello", callback.NewSecret("s"), "", pgcallback.Validity{})
	require.ErrorContains(t, err, "callback: add secret: ")
	_, err = db.RotateSecret(ended, "E3", "hello", callback.NewSecret("s"), "", 0)
	require.ErrorContains(t, err, "callback: rotate secret: ")
	require.ErrorContains(t, db.LoadSecrets(ended), "callback: load secrets: ")
}

// A revoked secret is valid until the cache drops it, and no longer.
func TestRevokedSecretBehindACache(t *testing.T) {
	t.Parallel()
	db := newDB(t)
	cache := &callback.SecretCache{Store: db, TTL: 100 * time.Millisecond, MaxStale: time.Hour}
	handler := &callback.Handler{
		Runner: callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
			return new(callback.Result), nil
		}),
		Secrets: cache,
		Logger:  slog.New(slog.DiscardHandler),
	}
	status := func(secret string) int {
		w := httptest.NewRecorder()
		handler.ServeHTTP(w, httptest.NewRequest("GET", "/callback/E3/hello/"+secret, nil))
		return w.Code
	}
	old, err := db.AddSecret(t.Context(), "E3", "hello", callback.NewSecret("old"), "", pgcallback.Validity{})
	require.NoError(t, err)
	_, err = db.RotateSecret(t.Context(), "E3", "hello", callback.NewSecret("new"), "", time.Hour)
	require.NoError(t, err)
	require.Equal(t, 200, status("old"))
	require.Equal(t, 200, status("new"))

	require.NoError(t, db.RevokeSecret(t.Context(), "E3", old))
	require.Eventually(t, func() bool { return status("old") == 403 }, 30*time.Second, time.Millisecond)
	require.Equal(t, 200, status("new"))
}
