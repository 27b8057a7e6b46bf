package main

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

const secretSynopsis = `callbackd secret new    -secrets FILE APIKEY/CREDENTIAL   add a secret and print it, once
callbackd secret rotate -secrets FILE APIKEY/CREDENTIAL   add a secret beside the present ones and print it
callbackd secret revoke -secrets FILE APIKEY/CREDENTIAL   keep the newest secret only; with -all, none
callbackd secret list   -secrets FILE                     list the credentials and how many secrets each has

An empty credential ("APIKEY/") is the server secret of the API key. The file
keeps digests only. A server that reads the file takes the change at once.`

// secretCommand edits a file of secrets.
func secretCommand(_ context.Context, args []string, std stdio, environ []string) error {
	verb := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	flags := newFlagSet(secretSynopsis)
	path := flags.String("secrets", environValue(environ, "SECRETS"), "JSON `file` of secrets, made if it is missing")
	all := flags.Bool("all", false, "revoke: leave no secret")
	names, err := flags.parse(args, nil, std.out)
	if err != nil {
		return err
	}
	if *path == "" {
		return usagef("-secrets: name the file")
	}
	if verb == "list" {
		return listSecrets(*path, std)
	}
	if len(names) != 1 {
		return usagef("want one APIKEY/CREDENTIAL")
	}
	apiKey, credential, ok := strings.Cut(names[0], "/")
	if !ok || apiKey == "" || credential != "" && !credentialName.MatchString(credential) {
		return usagef("%q: want APIKEY/CREDENTIAL, the credential of the characters A-Z a-z 0-9 _ -", names[0])
	}
	var secret string
	err = editSecrets(*path, verb == "new", func(file secretFile) error {
		present := file[apiKey][credential]
		switch verb {
		case "new":
			if len(present) > 0 {
				return usagef("%s has a secret already: use rotate", names[0])
			}
		case "rotate":
			if len(present) == 0 {
				return usagef("%s has no secret: use new", names[0])
			}
		case "revoke":
			switch {
			case len(present) == 0:
				return usagef("%s has no secret", names[0])
			case *all:
				delete(file[apiKey], credential)
			case len(present) == 1:
				return usagef("%s has one secret only: rotate first, or revoke it with -all", names[0])
			default:
				file[apiKey][credential] = present[len(present)-1:]
			}
			return nil
		default:
			return usagef("want new, rotate, revoke or list")
		}
		secret = rand.Text()
		if file[apiKey] == nil {
			file[apiKey] = map[string][]string{}
		}
		file[apiKey][credential] = append(present, hashedEntry(secret))
		return nil
	})
	if err == nil && secret != "" {
		fmt.Fprintln(std.out, secret)
	}
	return err
}

// hashedEntry is the entry of a file for a secret.
func hashedEntry(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return digestPrefix + hex.EncodeToString(sum[:])
}

func listSecrets(path string, std stdio) error {
	text, err := readFile(path)
	if err != nil {
		return usagef("-secrets: %w", err)
	}
	file, err := parseSecretFile(text)
	if err != nil {
		return usagef("-secrets %s: %w", path, err)
	}
	for _, apiKey := range sortedKeys(file) {
		for _, credential := range sortedKeys(file[apiKey]) {
			fmt.Fprintf(std.out, "%s/%s\t%d\n", apiKey, credential, len(file[apiKey][credential]))
		}
	}
	return nil
}

// editSecrets changes the file in place: plain secrets become digests, and a
// reader sees either the old file or the new one.
func editSecrets(path string, mayCreate bool, edit func(secretFile) error) error {
	unlock, err := lockFile(path + ".lock")
	if err != nil {
		return fmt.Errorf("-secrets: %w", err)
	}
	defer unlock()
	mode := fs.FileMode(0o600)
	file := secretFile{}
	text, err := readFile(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && mayCreate:
	case err != nil:
		return usagef("-secrets: %w", err)
	default:
		if file, err = parseSecretFile(text); err != nil {
			return usagef("-secrets %s: %w", path, err)
		}
		if info, err := os.Stat(path); err == nil {
			mode = info.Mode().Perm()
		}
	}
	if err := edit(file); err != nil {
		return err
	}
	for _, credentials := range file {
		for credential, entries := range credentials {
			credentials[credential] = slices.Clone(entries)
			for i, entry := range entries {
				if !strings.HasPrefix(entry, digestPrefix) {
					credentials[credential][i] = hashedEntry(entry)
				}
			}
		}
	}
	return replaceFile(path, file.format(), mode)
}

// replaceFile writes a file so that a reader, and a crash, meet either the old
// content or the new one.
func replaceFile(path string, content []byte, mode fs.FileMode) error {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	temporary, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(temporary.Name())
	_, err = temporary.Write(content)
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
