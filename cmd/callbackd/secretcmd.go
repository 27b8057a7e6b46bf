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

	"example.com/callback"
	"example.com/callback/pgcallback"
)

const secretSynopsis = `callbackd secret new    -secrets FILE APIKEY/CREDENTIAL   add a secret and print it, once
callbackd secret rotate -secrets FILE APIKEY/CREDENTIAL   add a secret beside the present ones and print it
callbackd secret revoke -secrets FILE APIKEY/CREDENTIAL   keep the newest secret only; with -all, none
callbackd secret list   -secrets FILE                     list the credentials and how many secrets each has
callbackd secret load   -database URL -secrets FILE       add all secrets of the file to the database

An empty credential ("APIKEY/") is the server secret of the API key. The file
keeps digests only. A server that reads the file takes the change at once.

With -database URL in the place of -secrets FILE they work on a database; then
"list" wants an API key. A server takes the change within its -secret-ttl.`

// A secretKeeper stores the secrets of credentials.
type secretKeeper interface {
	// edit changes the secrets of a credential. change gets the number of valid
	// secrets and returns the edit. A secret to add is not empty.
	edit(ctx context.Context, apiKey, credential string, change func(valid int) (secretEdit, error)) error
	// list returns the number of valid secrets by "APIKEY/CREDENTIAL".
	list(ctx context.Context) (map[string]int, error)
}

// A secretEdit is a change of the secrets of a credential.
type secretEdit struct {
	add  string // a secret, if not empty
	keep int    // how many of the newest stay
}

// secretCommand edits the secrets of a file or of a database.
func secretCommand(ctx context.Context, args []string, std stdio, environ []string) error {
	verb := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	c := newDatabaseCommand(secretSynopsis, std, environ)
	path := c.String("secrets", environValue(environ, "SECRETS"), "JSON `file` of secrets, made if it is missing")
	all := c.Bool("all", false, "revoke: leave no secret")
	names, err := c.parse(args, nil, std.out)
	if err != nil {
		return err
	}
	inDatabase := *c.address != ""
	switch {
	case verb == "load":
		if !inDatabase || *path == "" || len(names) > 0 {
			return usagef("load: want -database and -secrets")
		}
		return c.on(ctx, func(ctx context.Context, db *pgcallback.DB) error { return loadSecrets(ctx, db, *path) })
	case inDatabase && *path != "":
		return usagef("-secrets and -database: give one")
	case !inDatabase && *path == "":
		return usagef("-secrets: name the file, or the -database")
	case verb == "list" && inDatabase && len(names) != 1:
		return usagef("list: want an API key")
	case verb != "list" && len(names) != 1:
		return usagef("want one APIKEY/CREDENTIAL")
	}
	run := func(ctx context.Context, keeper secretKeeper) error {
		if verb == "list" {
			return listSecrets(ctx, keeper, std)
		}
		return editSecret(ctx, keeper, verb, names[0], *all, std)
	}
	if !inDatabase {
		return run(ctx, secretPath{*path, verb == "new"})
	}
	return c.on(ctx, func(ctx context.Context, db *pgcallback.DB) error {
		apiKey := ""
		if verb == "list" {
			apiKey = names[0]
		}
		return run(ctx, secretTable{db, apiKey})
	})
}

// editSecret is "callbackd secret new", "rotate" and "revoke".
func editSecret(ctx context.Context, keeper secretKeeper, verb, name string, all bool, std stdio) error {
	apiKey, credential, err := splitCredential(name)
	if err != nil {
		return err
	}
	secret := ""
	err = keeper.edit(ctx, apiKey, credential, func(valid int) (secretEdit, error) {
		switch {
		case verb == "revoke" && valid == 0:
			return secretEdit{}, usagef("%s has no secret", name)
		case verb == "revoke" && all:
			return secretEdit{}, nil
		case verb == "revoke" && valid == 1:
			return secretEdit{}, usagef("%s has one secret only: rotate first, or revoke it with -all", name)
		case verb == "revoke":
			return secretEdit{keep: 1}, nil
		case verb == "new" && valid > 0:
			return secretEdit{}, usagef("%s has a secret already: use rotate", name)
		case verb == "rotate" && valid == 0:
			return secretEdit{}, usagef("%s has no secret: use new", name)
		case verb == "new", verb == "rotate":
			secret = rand.Text()
			return secretEdit{add: secret, keep: valid}, nil
		}
		return secretEdit{}, usagef("want new, rotate, revoke, list or load")
	})
	if err == nil && secret != "" {
		fmt.Fprintln(std.out, secret)
	}
	return err
}

// splitCredential splits APIKEY/CREDENTIAL.
func splitCredential(name string) (apiKey, credential string, err error) {
	apiKey, credential, ok := strings.Cut(name, "/")
	if !ok || apiKey == "" || credential != "" && !credentialName.MatchString(credential) {
		return "", "", usagef("%q: want APIKEY/CREDENTIAL, the credential of the characters A-Z a-z 0-9 _ -", name)
	}
	return apiKey, credential, nil
}

func listSecrets(ctx context.Context, keeper secretKeeper, std stdio) error {
	counts, err := keeper.list(ctx)
	for _, name := range sortedKeys(counts) {
		fmt.Fprintf(std.out, "%s\t%d\n", name, counts[name])
	}
	return err
}

// A secretPath is a file of secrets.
type secretPath struct {
	path      string
	mayCreate bool
}

func (p secretPath) edit(_ context.Context, apiKey, credential string, change func(valid int) (secretEdit, error)) error {
	return editSecrets(p.path, p.mayCreate, func(file secretFile) error {
		present := file[apiKey][credential]
		edit, err := change(len(present))
		if err != nil {
			return err
		}
		present = present[len(present)-edit.keep:]
		if edit.add != "" {
			present = append(present, hashedEntry(edit.add))
		}
		if file[apiKey] == nil {
			file[apiKey] = map[string][]string{}
		}
		file[apiKey][credential] = present
		if len(present) == 0 {
			delete(file[apiKey], credential)
		}
		return nil
	})
}

func (p secretPath) list(context.Context) (map[string]int, error) {
	text, err := readFile(p.path)
	if err != nil {
		return nil, usagef("-secrets: %w", err)
	}
	file, err := parseSecretFile(text)
	if err != nil {
		return nil, usagef("-secrets %s: %w", p.path, err)
	}
	counts := map[string]int{}
	for apiKey, credentials := range file {
		for credential, entries := range credentials {
			counts[apiKey+"/"+credential] = len(entries)
		}
	}
	return counts, nil
}

// A secretTable is the secrets of a database. list is of apiKey.
type secretTable struct {
	db     *pgcallback.DB
	apiKey string
}

// valid returns the secrets of the API key that have not ended, by credential,
// the oldest first.
func (t secretTable) valid(ctx context.Context, apiKey string) (map[string][]pgcallback.SecretInfo, error) {
	infos, err := t.db.ListSecrets(ctx, apiKey)
	valid := map[string][]pgcallback.SecretInfo{}
	for _, info := range infos {
		if !info.Ended {
			valid[info.Credential] = append(valid[info.Credential], info)
		}
	}
	return valid, err
}

func (t secretTable) edit(ctx context.Context, apiKey, credential string, change func(valid int) (secretEdit, error)) error {
	byCredential, err := t.valid(ctx, apiKey)
	if err != nil {
		return err
	}
	valid := byCredential[credential]
	edit, err := change(len(valid))
	if err != nil {
		return err
	}
	if edit.add != "" {
		if _, err := t.db.AddSecret(ctx, apiKey, credential, callback.NewSecret(edit.add), "", pgcallback.Validity{}); err != nil {
			return err
		}
	}
	for _, info := range valid[:len(valid)-edit.keep] {
		if err := t.db.RevokeSecret(ctx, apiKey, info.ID); err != nil {
			return err
		}
	}
	return nil
}

func (t secretTable) list(ctx context.Context) (map[string]int, error) {
	valid, err := t.valid(ctx, t.apiKey)
	counts := map[string]int{}
	for credential, infos := range valid {
		counts[t.apiKey+"/"+credential] = len(infos)
	}
	return counts, err
}

// loadSecrets adds the secrets of a file to a database. Those that it has, or
// had, are left as they are.
func loadSecrets(ctx context.Context, db *pgcallback.DB, path string) error {
	text, err := readFile(path)
	if err != nil {
		return usagef("-secrets: %w", err)
	}
	file, err := parseSecretFile(text)
	if err != nil {
		return usagef("-secrets %s: %w", path, err)
	}
	var secrets []pgcallback.CredentialSecret
	for _, apiKey := range sortedKeys(file) {
		for _, credential := range sortedKeys(file[apiKey]) {
			for _, entry := range file[apiKey][credential] {
				digest, err := digestOf(entry)
				if err != nil {
					return err
				}
				secrets = append(secrets, pgcallback.CredentialSecret{APIKey: apiKey, Credential: credential, Secret: digest})
			}
		}
	}
	return db.LoadSecrets(ctx, secrets...)
}

// hashedEntry is a secret's entry in a file.
func hashedEntry(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return digestPrefix + hex.EncodeToString(sum[:])
}

// editSecrets changes the file in place. It turns plain secrets into digests. A
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

// replaceFile replaces a file atomically: a reader, or a crash, finds either the
// old content or the new one.
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
	if old, statErr := os.Stat(path); statErr == nil { // a server that may read the old file must be able to read the new one
		err = errors.Join(err, keepOwner(temporary, old))
	}
	err = errors.Join(err, temporary.Chmod(mode), temporary.Sync(), temporary.Close())
	if err != nil {
		return err
	}
	return os.Rename(temporary.Name(), path)
}

// sortedKeys are the keys of a map in order.
func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
