package main

import (
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"regexp"
	"strings"

	"example.com/callback"
)

//go:embed scripts
var embedded embed.FS

// demoKey is the API key that random secrets are made for.
const demoKey = "demo"

// samples say what curl sends to the embedded scripts, by credential.
var samples = map[string]sample{
	"hello":   {query: "?name=Ada"},
	"raw":     {options: `-d "item=sword" -d "item=shield"`},
	"headers": {options: "-i"},
	"verify":  {query: "?hub.mode=subscribe&hub.verify_token=open-sesame&hub.challenge=1158201444"},
	"":        {player: "player-1"},
}

type sample struct{ options, player, query string }

// A scriptTree is a folder of scripts and what it offers.
type scriptTree struct {
	fs          fs.FS
	credentials []string // that have a script, sorted; an empty one, last, is the server script
	samples     map[string]sample
}

// openScripts looks through a folder of scripts, or the embedded one if dir is
// empty.
func openScripts(dir string, logger *slog.Logger) (*scriptTree, error) {
	if dir == "" {
		sub, err := fs.Sub(embedded, "scripts")
		if err != nil {
			return nil, err
		}
		credentials, err := findCredentials(sub, logger)
		return &scriptTree{fs: sub, credentials: credentials, samples: samples}, err
	}
	info, err := os.Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("-scripts %s: no such folder", dir)
	case err != nil:
		return nil, fmt.Errorf("-scripts: %w", err)
	case !info.IsDir():
		return nil, fmt.Errorf("-scripts %s: not a folder", dir)
	}
	tree := &scriptTree{fs: os.DirFS(dir)}
	tree.credentials, err = findCredentials(tree.fs, logger)
	if err != nil {
		return nil, fmt.Errorf("-scripts %s: %w", dir, err)
	}
	return tree, nil
}

// credentialName is what a URL can name as a credential.
var credentialName = regexp.MustCompile(`^[A-Za-z0-9_-]{1,128}$`)

// findCredentials lists the credentials that have a script, and logs the files
// that look like scripts but that no URL can reach.
func findCredentials(tree fs.FS, logger *slog.Logger) ([]string, error) {
	entries, err := fs.ReadDir(tree, "callbacks")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	var credentials []string
	for _, entry := range entries {
		name, isScript := strings.CutSuffix(entry.Name(), ".js")
		file := path.Join("callbacks", entry.Name())
		switch {
		case !isScript:
		case !isFile(tree, file):
			logger.Warn("script ignored: not a readable file", "file", file)
		case !credentialName.MatchString(name):
			logger.Warn("script ignored: its name must be of the characters A-Z a-z 0-9 _ -", "file", file)
		default:
			credentials = append(credentials, name)
		}
	}
	if isFile(tree, "system/GS_CALLBACK_URL.js") || isFile(tree, "callbacks/server.js") {
		credentials = append(credentials, "")
	}
	return credentials, nil
}

func isFile(tree fs.FS, name string) bool {
	info, err := fs.Stat(tree, name)
	return err == nil && info.Mode().IsRegular()
}

// curlLines are commands to paste, one for each script whose secret was made
// here. Secrets that came in a file are not repeated.
func curlLines(base string, tree *scriptTree, secrets *secrets) []string {
	var lines []string
	for _, credential := range tree.credentials {
		secret, ok := secrets.random[credential]
		if !ok {
			continue
		}
		try := tree.samples[credential]
		target := base + callback.DefaultPrefix + demoKey + "/"
		if credential == "" {
			target += secret + "/" + try.player
		} else {
			target += credential + "/" + secret
		}
		words := []string{"curl"}
		if try.options != "" {
			words = append(words, try.options)
		}
		lines = append(lines, strings.Join(append(words, `"`+target+try.query+`"`), " "))
	}
	return lines
}
