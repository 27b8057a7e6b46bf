package main

import (
	"context"
	"encoding/json"
	"sync/atomic"

	"example.com/callback"
)

// varsShape is an example of a file of variables.
const varsShape = `{"apiKey": {"credential": {"name": any JSON}, "": {…for all of the key}}}`

// vars are the variables that scripts read with
// Spark.getProperties().getProperty(name), from the last good state of a file.
type vars struct {
	values atomic.Pointer[map[string]map[string]map[string]json.RawMessage]
}

// load replaces the variables by those in text. On an error it changes nothing.
func (v *vars) load(text []byte) error {
	var values map[string]map[string]map[string]json.RawMessage
	if err := decodeJSON(text, &values, varsShape); err != nil {
		return err
	}
	v.values.Store(&values)
	return nil
}

// get returns a variable of the credential, or else of its API key, or else null.
func (v *vars) get(call *callback.Call, name string) json.RawMessage {
	values := v.values.Load()
	if values == nil {
		return nil
	}
	ofKey := (*values)[call.APIKey]
	if value, ok := ofKey[call.Credential][name]; ok {
		return value
	}
	return ofKey[""][name]
}

// member is Spark.getProperties.
func (v *vars) member() callback.Member {
	return callback.Member{
		Script: `function (host) {
	var properties = { getProperty: function getProperty(name) { return host.getProperty(name); } };
	return function getProperties() { return properties; };
}`,
		Funcs: map[string]callback.HostFunc{
			"getProperty": func(_ context.Context, call *callback.Call, args callback.Args) (any, error) {
				var name string
				if err := args.Scan(&name); err != nil {
					return nil, err
				}
				if value := v.get(call, name); value != nil {
					return value, nil
				}
				return nil, nil
			},
		},
	}
}
