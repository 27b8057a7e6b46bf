package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"os"
	"slices"

	"example.com/callback"
)

// secretsShape is what a file of secrets looks like.
const secretsShape = `{"apiKey": {"credential": ["secret", …], "": ["serverSecret"]}}`

// secretLists is a [callback.SecretStore] of any number of secrets for each
// credential of each API key, so that a new one can be valid before the old
// one ends. It keeps their digests only.
type secretLists map[string]map[string][]callback.Secret

// Secrets implements [callback.SecretStore].
func (s secretLists) Secrets(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
	return s[apiKey][credential], nil
}

// secrets are those the server goes by.
type secrets struct {
	store  secretLists
	random map[string]string // made here for demoKey, by credential
}

// openSecrets reads a file of secrets; if file is empty it makes a random one
// for every script of the tree.
func openSecrets(file string, tree *scriptTree, logger *slog.Logger) (*secrets, error) {
	if file == "" {
		return randomSecrets(tree.credentials), nil
	}
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("-secrets: %w", err)
	}
	store, err := parseSecrets(text)
	if err != nil {
		return nil, fmt.Errorf("-secrets %s: %w", file, err)
	}
	for apiKey, lists := range store {
		for _, credential := range tree.credentials {
			byServer := credential == "server" && len(lists[""]) > 0 // it may be the server script
			if len(lists[credential]) == 0 && !byServer {
				logger.Warn("script without a secret: nobody can call it", "apiKey", apiKey, "credential", credential)
			}
		}
		for credential := range lists {
			if !slices.Contains(tree.credentials, credential) {
				logger.Warn("secret without a script: calls get 404", "apiKey", apiKey, "credential", credential)
			}
		}
	}
	return &secrets{store: store}, nil
}

func randomSecrets(credentials []string) *secrets {
	s := &secrets{random: map[string]string{}}
	lists := map[string][]callback.Secret{}
	for _, credential := range credentials {
		secret := rand.Text()
		s.random[credential] = secret
		lists[credential] = []callback.Secret{callback.NewSecret(secret)}
	}
	s.store = secretLists{demoKey: lists}
	return s
}

// parseSecrets reads JSON of the secretsShape. Its errors hold no secret.
func parseSecrets(text []byte) (secretLists, error) {
	var plain map[string]map[string][]string
	if err := json.Unmarshal(text, &plain); err != nil {
		return nil, jsonError(text, err)
	}
	if len(plain) == 0 {
		return nil, errors.New("holds no secrets: want " + secretsShape)
	}
	store := secretLists{}
	for _, apiKey := range slices.Sorted(maps.Keys(plain)) {
		if apiKey == "" {
			return nil, errors.New("holds an empty API key")
		}
		if len(plain[apiKey]) == 0 {
			return nil, fmt.Errorf("holds no secrets for API key %q", apiKey)
		}
		store[apiKey] = map[string][]callback.Secret{}
		for _, credential := range slices.Sorted(maps.Keys(plain[apiKey])) {
			if credential != "" && !credentialName.MatchString(credential) {
				return nil, fmt.Errorf("API key %q: credential %q must be of the characters A-Z a-z 0-9 _ -", apiKey, credential)
			}
			list := plain[apiKey][credential]
			if len(list) == 0 || slices.Contains(list, "") {
				return nil, fmt.Errorf("API key %q: credential %q has an empty secret, or none", apiKey, credential)
			}
			for _, secret := range list {
				store[apiKey][credential] = append(store[apiKey][credential], callback.NewSecret(secret))
			}
		}
	}
	return store, nil
}

// jsonError says where the JSON of a file of secrets is broken. What the file
// has there is not repeated: it may be a secret.
func jsonError(text []byte, err error) error {
	var syntax *json.SyntaxError
	var shape *json.UnmarshalTypeError
	var offset int64
	problem := "broken JSON"
	switch {
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &shape):
		offset, problem = shape.Offset, "want "+secretsShape
	}
	before := text[:min(int(offset), len(text))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return fmt.Errorf("line %d, column %d: %s", line, max(column, 1), problem)
}
