package main

import (
	"context"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"example.com/callback"
)

// secretsShape is an example of a file of secrets.
const secretsShape = `{"apiKey": {"credential": ["secret or sha256:digest", …], "": ["serverSecret"]}}`

// digestPrefix marks an entry of the file that is the digest of a secret.
const digestPrefix = "sha256:"

// credentialName matches the names that a credential may have in a URL.
var credentialName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// A secretFile is the content of a file of secrets: entries by credential by
// API key.
type secretFile map[string]map[string][]string

// parseSecretFile reads JSON of the secretsShape. Its errors hold no secret.
func parseSecretFile(text []byte) (secretFile, error) {
	var file secretFile
	if err := decodeJSON(text, &file, secretsShape); err != nil {
		return nil, err
	}
	for _, apiKey := range slices.Sorted(maps.Keys(file)) {
		if apiKey == "" {
			return nil, errors.New("holds an empty API key")
		}
		for _, credential := range slices.Sorted(maps.Keys(file[apiKey])) {
			if credential != "" && !credentialName.MatchString(credential) {
				return nil, fmt.Errorf("API key %q: credential %q must be of the characters A-Z a-z 0-9 _ -", apiKey, credential)
			}
			for i, entry := range file[apiKey][credential] {
				if _, err := digestOf(entry); err != nil {
					return nil, fmt.Errorf("API key %q, credential %q: entry %d %w", apiKey, credential, i+1, err)
				}
			}
		}
	}
	return file, nil
}

// digestOf is the digest of an entry.
func digestOf(entry string) (callback.Secret, error) {
	text, isDigest := strings.CutPrefix(entry, digestPrefix)
	if !isDigest {
		if entry == "" {
			return callback.Secret{}, errors.New("is empty")
		}
		return callback.NewSecret(entry), nil
	}
	var digest callback.Secret
	sum, err := hex.DecodeString(text)
	if err != nil || len(sum) != len(digest) {
		return callback.Secret{}, errors.New("is no SHA-256 digest: want sha256: and 64 hexadecimal digits")
	}
	copy(digest[:], sum)
	return digest, nil
}

// format is the file's text.
func (f secretFile) format() []byte {
	text, err := json.MarshalIndent(f, "", "  ")
	if err != nil {
		panic(err) // strings always have JSON
	}
	return append(text, '\n')
}

// A secretStore is a [callback.SecretStore] over the last good state of a file.
// It retains digests only.
type secretStore struct {
	digests atomic.Pointer[map[string]map[string][]callback.Secret]
}

// load replaces the secrets by those in text. On an error it changes nothing.
func (s *secretStore) load(text []byte) error {
	file, err := parseSecretFile(text)
	if err != nil {
		return err
	}
	digests := map[string]map[string][]callback.Secret{}
	for apiKey, credentials := range file {
		digests[apiKey] = map[string][]callback.Secret{}
		for credential, entries := range credentials {
			for _, entry := range entries {
				digest, err := digestOf(entry)
				if err != nil {
					return err
				}
				digests[apiKey][credential] = append(digests[apiKey][credential], digest)
			}
		}
	}
	s.digests.Store(&digests)
	return nil
}

// Secrets implements [callback.SecretStore].
func (s *secretStore) Secrets(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
	return (*s.digests.Load())[apiKey][credential], nil
}

// names lists the credentials that have a secret, by API key.
func (s *secretStore) names() map[string][]string {
	names := map[string][]string{}
	for apiKey, credentials := range *s.digests.Load() {
		for credential, list := range credentials {
			if len(list) > 0 {
				names[apiKey] = append(names[apiKey], credential)
			}
		}
		slices.Sort(names[apiKey])
	}
	return names
}
