package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"example.com/callback/pgcallback"
)

const varsSynopsis = `callbackd vars set   -database URL APIKEY/CREDENTIAL NAME <VALUE   set a variable to the JSON of standard input
callbackd vars unset -database URL APIKEY/CREDENTIAL NAME          remove it
callbackd vars list  -database URL APIKEY                          list the names, and never the values
callbackd vars load  -database URL FILE                            set all of a file of -vars

What scripts read by Spark.getProperties().getProperty(name). An empty credential
("APIKEY/") stands for all of the API key. Scripts see a change within two
seconds.`

// varsCommand edits the variables of a database.
func varsCommand(ctx context.Context, args []string, std stdio, environ []string) error {
	verb := ""
	if len(args) > 0 && !strings.HasPrefix(args[0], "-") {
		verb, args = args[0], args[1:]
	}
	c := newDatabaseCommand(varsSynopsis, std, environ)
	rest, err := c.parse(args, nil, std.out)
	if err != nil {
		return err
	}
	var properties []pgcallback.Property
	switch {
	case verb == "list" && len(rest) == 1:
		return c.on(ctx, func(ctx context.Context, db *pgcallback.DB) error {
			list, err := db.Properties(ctx, rest[0])
			for _, p := range list {
				fmt.Fprintf(std.out, "%s/%s\t%s\n", p.APIKey, p.Credential, p.Name)
			}
			return err
		})
	case verb == "load" && len(rest) == 1:
		properties, err = readVars(rest[0])
	case verb == "set" && len(rest) == 2:
		properties = make([]pgcallback.Property, 1)
		properties[0].Value, err = readValue(std.in)
	case verb == "unset" && len(rest) == 2:
		properties = make([]pgcallback.Property, 1)
	case verb == "list", verb == "load", verb == "set", verb == "unset":
		err = usagef("%s: wrong number of arguments, see -h", verb)
	default:
		err = usagef("want set, unset, list or load")
	}
	if err == nil && verb != "load" {
		properties[0].Name = rest[1]
		properties[0].APIKey, properties[0].Credential, err = splitCredential(rest[0])
	}
	if err != nil {
		return err
	}
	return c.on(ctx, func(ctx context.Context, db *pgcallback.DB) error { return db.SetProperties(ctx, properties...) })
}

// readValue reads the JSON of a variable. Its error does not repeat it.
func readValue(in io.Reader) (json.RawMessage, error) {
	text, err := io.ReadAll(io.LimitReader(in, pgcallback.MaxProperty+1))
	if err != nil {
		return nil, err
	}
	if !json.Valid(text) {
		return nil, usagef("standard input is not JSON: a string needs its quotes")
	}
	return json.RawMessage(strings.TrimSpace(string(text))), nil
}

// readVars reads a file of variables.
func readVars(path string) ([]pgcallback.Property, error) {
	v := new(vars)
	file := &watchedFile{flag: "vars", path: path, load: v.load}
	if err := file.first(); err != nil {
		return nil, err
	}
	var properties []pgcallback.Property
	for apiKey, credentials := range *v.values.Load() {
		for credential, values := range credentials {
			for name, value := range values {
				properties = append(properties, pgcallback.Property{APIKey: apiKey, Credential: credential, Name: name, Value: value})
			}
		}
	}
	if len(properties) == 0 {
		return nil, usageError{errors.New(path + ": holds no variable")}
	}
	return properties, nil
}
