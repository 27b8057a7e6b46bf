package main

import (
	"context"
	"crypto/rand"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"regexp"
	"slices"
	"strings"

	"example.com/callback"
)

//go:embed scripts
var samples embed.FS

// demoKey is the API key of random secrets.
const demoKey = "demo"

// sampleCalls are what curl sends to the samples, by credential.
var sampleCalls = map[string]struct{ options, path string }{
	"hello":   {path: "?name=Ada"},
	"raw":     {options: `-d "item=sword" -d "item=shield" `},
	"headers": {options: "-i "},
	"verify":  {path: "?hub.mode=subscribe&hub.verify_token=open-sesame&hub.challenge=1158201444"},
	"":        {path: "/player-1"},
}

// credentialName is what a URL can name as a credential.
var credentialName = regexp.MustCompile(`^[A-Za-z0-9_-]+$`)

// A scriptTree is a folder of scripts, with its secrets if the program has made them.
type scriptTree struct {
	fs          fs.FS
	credentials []string // that have a script; the last one is empty if the game has a script of its own
	secrets     map[string]string
	sample      bool
}

// openScripts looks through a folder, or the samples if dir is empty.
func openScripts(dir string) (*scriptTree, error) {
	tree := &scriptTree{fs: os.DirFS(dir), secrets: map[string]string{}, sample: dir == ""}
	if tree.sample {
		tree.fs, _ = fs.Sub(samples, "scripts") // the folder is embedded
	}
	if info, err := fs.Stat(tree.fs, "."); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("-scripts %s: no such folder", dir)
	}
	files, _ := fs.Glob(tree.fs, "callbacks/*.js") // the pattern is well formed
	for _, file := range files {
		if name := strings.TrimSuffix(path.Base(file), ".js"); credentialName.MatchString(name) {
			tree.credentials = append(tree.credentials, name)
		}
	}
	if _, err := fs.Stat(tree.fs, "system/GS_CALLBACK_URL.js"); err == nil {
		tree.credentials = append(tree.credentials, "")
	}
	return tree, nil
}

// curlLines are commands to paste. Secrets that came in a file are not repeated.
func (t *scriptTree) curlLines(base string) []string {
	var lines []string
	for _, credential := range t.credentials {
		if secret, ok := t.secrets[credential]; ok {
			url := base + path.Join(callback.DefaultPrefix, demoKey, credential, secret)
			if call := sampleCalls[credential]; t.sample {
				lines = append(lines, fmt.Sprintf(`curl %s"%s%s"`, call.options, url, call.path))
			} else {
				lines = append(lines, fmt.Sprintf(`curl "%s"`, url))
			}
		}
	}
	return lines
}

// secretsShape is the form of a file of secrets.
const secretsShape = `{"apiKey": {"credential": ["secret", …], "": ["serverSecret"]}}`

// secretLists are secrets by credential by API key. It keeps their digests only.
type secretLists map[string]map[string][]callback.Secret

// Secrets implements [callback.SecretStore].
func (s secretLists) Secrets(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
	return s[apiKey][credential], nil
}

// openSecrets reads a file of secrets; without one it makes a random secret for
// every script of the tree.
func openSecrets(file string, tree *scriptTree) (secretLists, error) {
	plain := map[string]map[string][]string{demoKey: {}}
	if file == "" {
		if len(tree.credentials) == 0 {
			return nil, errors.New("-scripts: the folder holds neither callbacks/*.js nor system/GS_CALLBACK_URL.js")
		}
		for _, credential := range tree.credentials {
			tree.secrets[credential] = rand.Text()
			plain[demoKey][credential] = []string{tree.secrets[credential]}
		}
	} else {
		text, err := os.ReadFile(file)
		if err != nil {
			return nil, fmt.Errorf("-secrets: %w", err)
		}
		plain = nil
		if json.Unmarshal(text, &plain) != nil || len(plain) == 0 { // the error could repeat a secret
			return nil, fmt.Errorf("-secrets %s: want %s", file, secretsShape)
		}
		if err := checkSecrets(plain); err != nil {
			return nil, fmt.Errorf("-secrets %s: %w", file, err)
		}
	}
	lists := secretLists{}
	for apiKey, credentials := range plain {
		lists[apiKey] = map[string][]callback.Secret{}
		for credential, secrets := range credentials {
			for _, secret := range secrets {
				lists[apiKey][credential] = append(lists[apiKey][credential], callback.NewSecret(secret))
			}
		}
	}
	return lists, nil
}

// checkSecrets finds entries that no URL can match. Its error repeats no secret.
func checkSecrets(plain map[string]map[string][]string) error {
	for _, apiKey := range slices.Sorted(maps.Keys(plain)) {
		for _, credential := range slices.Sorted(maps.Keys(plain[apiKey])) {
			secrets := plain[apiKey][credential]
			switch {
			case apiKey == "":
				return errors.New("an API key is empty")
			case credential != "" && !credentialName.MatchString(credential):
				return fmt.Errorf("API key %q: credential %q must be of the characters A-Z a-z 0-9 _ -", apiKey, credential)
			case len(secrets) == 0:
				return fmt.Errorf("API key %q, credential %q: no secret", apiKey, credential)
			case slices.Contains(secrets, ""):
				return fmt.Errorf("API key %q, credential %q: a secret is empty", apiKey, credential)
			}
		}
	}
	return nil
}
