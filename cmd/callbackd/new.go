package main

import (
	"context"
	_ "embed"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"example.com/callback"
)

const newSynopsis = `callbackd new [-dir DIR] NAME

Writes a script callbacks/NAME.js, its case file tests/NAME.txtar, and, if they
are missing, jsconfig.json and the typings that make an editor know Spark and
the globals there are. It overwrites nothing.`

const newScript = `// %[1]s answers an outside server's call.
//
// Spark.getData() has the parameters of the query and of a form. Any other body
// is the text Spark.getData().REQUEST_BODY: for JSON, parse it.
var data = Spark.getData();

Spark.getLog().info("called", {parameters: Object.keys(data)});
Spark.setScriptData("greeting", "Hello, " + (data.name || "world") + "!");
`

const newCase = `%[1]s greets by name.
-- request --
GET /callback/KEY/%[1]s/s3cret?name=Ada
-- response --
200 OK
Content-Type: application/json; charset=utf-8

{"greeting":"Hello, Ada!"}
`

// newConfig keeps an editor from offering globals that scripts do not have.
const newConfig = `{
  "compilerOptions": {
    "checkJs": true,
    "noEmit": true,
    "target": "ES2017",
    "lib": ["ES2017"],
    "types": [],
    "moduleDetection": "legacy"
  },
  "include": ["callbacks/*.js", "modules/*.js", "system/*.js", "typings/*.d.ts"]
}
`

// A newFile is a file to write.
type newFile struct {
	path, content string
	shared        bool // with other scripts, so it may exist already
}

// memberTypings declares databaseMembers.
//
//go:embed members.d.ts
var memberTypings string

// newCommand is "callbackd new".
func newCommand(_ context.Context, args []string, std stdio, _ []string) error {
	f := newFlagSet(newSynopsis)
	dir := f.String("dir", ".", "`folder` of scripts")
	names, err := f.parse(args, nil, std.out)
	if err != nil {
		return err
	}
	if len(names) != 1 || !credentialName.MatchString(names[0]) {
		return usagef("want one NAME of the characters A-Z a-z 0-9 _ -")
	}
	name := names[0]
	files := []newFile{
		{path: "callbacks/" + name + ".js", content: fmt.Sprintf(newScript, name)},
		{path: "tests/" + name + ".txtar", content: fmt.Sprintf(newCase, name)},
		{path: "jsconfig.json", content: newConfig, shared: true},
	}
	declarations, err := fs.Glob(callback.Typings(), "*.d.ts")
	if err != nil {
		return err
	}
	for _, declaration := range declarations {
		text, err := fs.ReadFile(callback.Typings(), declaration)
		if err != nil {
			return err
		}
		files = append(files, newFile{path: "typings/" + declaration, content: string(text), shared: true})
	}
	files = append(files, newFile{path: "typings/callbackd.d.ts", content: memberTypings, shared: true})
	for _, file := range files {
		path := filepath.Join(*dir, filepath.FromSlash(file.path))
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			return err
		}
		created, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
		if errors.Is(err, fs.ErrExist) {
			if file.shared {
				continue
			}
			return usagef("%s is there already", path)
		}
		if err != nil {
			return err
		}
		_, err = created.WriteString(file.content)
		if err = errors.Join(err, created.Close()); err != nil {
			return err
		}
		fmt.Fprintln(std.out, "wrote", path)
	}
	return nil
}
