package callback

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"fmt"
	"log/slog"
	"net/url"
	"strings"

	"example.com/callback/internal/charset"
	"example.com/callback/internal/cloudcode"
)

// A Secret is the SHA-256 digest of a secret, so that a store need not keep the
// secret itself. To store a Secret s, store its bytes, s[:]: as text and as JSON it
// is "REDACTED", and not the digest. No secret matches the zero value.
type Secret [sha256.Size]byte

// NewSecret returns the digest of secret. For the empty secret it returns the zero
// value.
func NewSecret(secret string) Secret {
	sum := Secret(sha256.Sum256([]byte(secret)))
	if secret == "" {
		sum = Secret{}
	}
	return sum
}

// String returns "REDACTED".
func (Secret) String() string { return "REDACTED" }

// GoString returns "REDACTED".
func (Secret) GoString() string { return "REDACTED" }

// MarshalText returns "REDACTED".
func (Secret) MarshalText() ([]byte, error) { return []byte("REDACTED"), nil }

// LogValue returns "REDACTED".
func (Secret) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// A SecretStore knows the secrets of API keys and of their credentials.
//
// Secrets returns the secrets that are valid now. There may be several, during a
// rotation. For an API key or a credential that the store does not know it returns
// none and no error. An empty credential asks for the server secrets of the API
// key. The Handler compares secrets in constant time.
//
// Both names come from the URL of an unauthenticated request:
//   - a credential has at most 128 characters of A-Z a-z 0-9 _ -
//   - an apiKey may be any text, with "/", "..", zero bytes or invalid UTF-8.
//     Look it up; build no path and no query from it.
//
// An error, whatever it is, means that the store is broken. It is logged, so its
// text must not hold a secret. The caller gets a 503. Secrets that are returned
// with an error, such as those that a cache remembers, count: a caller with one of
// them is served. With an error, nil means that nothing is known of the name, and
// an empty list that it had no secrets when the store last answered.
//
// Secrets must be safe for concurrent use and must return when ctx is done.
type SecretStore interface {
	Secrets(ctx context.Context, apiKey, credential string) ([]Secret, error)
}

// An APIKeyStore is a [SecretStore] that can return all secrets of an API key at
// once. The Handler then makes one look-up for each call instead of two, by
// APIKeySecrets alone, and hands the store no credential.
type APIKeyStore interface {
	SecretStore

	// APIKeySecrets returns what Secrets returns for each credential of apiKey,
	// by the credential's name. The empty name has the server secrets. The rules
	// for Secrets hold for APIKeySecrets too. The Handler does not change the map.
	APIKeySecrets(ctx context.Context, apiKey string) (map[string][]Secret, error)
}

// SecretMap is a [SecretStore] of one secret per credential. The keys are
// "apiKey/credential" for a credential and "apiKey/" for the server secret of
// an API key. An empty secret is refused.
type SecretMap map[string]string

// Secrets returns the one secret of the credential, if there is one.
func (m SecretMap) Secrets(_ context.Context, apiKey, credential string) ([]Secret, error) {
	secret := NewSecret(m[apiKey+"/"+credential]) // the same work whether known or not
	if secret == (Secret{}) {
		return nil, nil
	}
	return []Secret{secret}, nil
}

// DefaultPrefix is the default of [Handler].Prefix.
const DefaultPrefix = "/callback/"

// A target holds the parts of a callback URL's path, unauthenticated.
type target struct {
	segments [4]string // from the API key on
	n        int       // 2 to 4
}

// escapedPath returns the path as it was sent. u.EscapedPath differs if the
// path has bytes that should have been escaped.
func escapedPath(u *url.URL) string {
	if path, err := url.PathUnescape(u.RawPath); err == nil && path == u.Path {
		return u.RawPath
	}
	return u.EscapedPath()
}

// parseTarget splits an escaped path. It checks the form only: an empty secret
// is refused later, as a wrong one is.
func parseTarget(escapedPath, prefix string) (t target, ok bool) {
	if !strings.HasPrefix(escapedPath, "/") {
		escapedPath = "/" + escapedPath // as http.StripPrefix leaves it
	}
	rest, ok := strings.CutPrefix(escapedPath, prefix)
	if !ok {
		return target{}, false
	}
	for segment := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		if t.n == len(t.segments) {
			return target{}, false
		}
		// Unescaped after the split, so that %2F never makes a new segment.
		segment, err := url.PathUnescape(segment)
		if err != nil {
			return target{}, false
		}
		t.segments[t.n] = segment
		t.n++
	}
	return t, t.n >= 2
}

// errMaxLookups means that Handler.MaxLookups calls wait for the SecretStore.
var errMaxLookups = fmt.Errorf("%w: MaxLookups calls wait for their secrets", ErrOverloaded)

// authorizeBounded is authorize for at most MaxLookups calls at once.
func (h *Handler) authorizeBounded(ctx context.Context, t target, call *Call) (bool, error) {
	defer h.lookups.Add(-1)
	if h.lookups.Add(1) > int64(cmp.Or(h.MaxLookups, defaultMaxLookups)) {
		return false, errMaxLookups
	}
	return h.authorize(ctx, t, call)
}

// authorize reports whether the secret in t is right, and fills in the
// identity of call if it is. The error is the store's.
func (h *Handler) authorize(ctx context.Context, t target, call *Call) (bool, error) {
	apiKey, rest := t.segments[0], t.segments[1:t.n]
	store := h.Secrets
	if bulk, ok := store.(APIKeyStore); ok {
		all, err := bulk.APIKeySecrets(ctx, apiKey)
		if err != nil {
			return false, err
		}
		store = apiKeySecrets(all)
	}
	// The server secret is looked up first, so that the store never gets a
	// valid one as the name of a credential.
	ok, doubt, err := h.checkSecret(ctx, store, apiKey, "", rest[0])
	switch {
	case err != nil:
		return false, err
	case ok && len(rest) < 3:
		call.APIKey = apiKey
		if len(rest) == 2 {
			call.PlayerID = charset.ValidUTF8(rest[1])
		}
		return true, nil
	case len(rest) == 1:
		return false, doubt
	}
	credential, secret := rest[0], rest[1]
	if ok || !cloudcode.IsName(credential) {
		// Refused, but after the same look-up as for a wrong secret, so that
		// timing does not tell the two apart.
		credential, secret = "-", ""
	}
	ok, more, err := h.checkSecret(ctx, store, apiKey, credential, secret)
	if err != nil || !ok {
		return false, cmp.Or(err, more, doubt)
	}
	call.APIKey, call.Credential = apiKey, credential
	if len(rest) == 3 {
		call.PlayerID = charset.ValidUTF8(rest[2])
	}
	return true, nil
}

// checkSecret reports whether given is one of the credential's secrets. doubt is
// the error of a store that has returned secrets all the same: there may be others.
// Its time does not depend on them, nor on whether the credential exists.
func (h *Handler) checkSecret(ctx context.Context, store SecretStore, apiKey, credential, given string) (ok bool, doubt, err error) {
	var secrets []Secret
	if store != nil {
		if secrets, doubt = store.Secrets(ctx, apiKey, credential); doubt != nil && secrets == nil {
			return false, nil, doubt
		}
	}
	if len(secrets) == 0 {
		secrets = []Secret{{}} // an unknown name costs what a known one does
	}
	equal := constantTimeEqual
	if h.equal != nil {
		equal = h.equal
	}
	sum := Secret(sha256.Sum256([]byte(given)))
	match := 0
	for i := range secrets {
		match |= equal(sum, secrets[i])
	}
	return match == 1 && given != "", doubt, nil
}

// apiKeySecrets are the secrets of one API key, by credential.
type apiKeySecrets map[string][]Secret

// Secrets implements [SecretStore] for that API key.
func (s apiKeySecrets) Secrets(_ context.Context, _, credential string) ([]Secret, error) {
	return s[credential], nil
}

// constantTimeEqual returns 1 if a and b are equal, else 0.
func constantTimeEqual(a, b Secret) int { return subtle.ConstantTimeCompare(a[:], b[:]) }
