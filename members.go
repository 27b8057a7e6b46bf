package callback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"reflect"
)

// A Member is one of the host's additions to the script's Spark object. Only
// JSON passes between a script and its host, so that a member works alike in
// process and in a sandbox.
type Member struct {
	// Func is the member, if Script is empty: a function that scripts call.
	Func HostFunc

	// Script, if not empty, is a JavaScript function expression. It is called
	// when a run first reads the member, with an object of Funcs and with
	// Spark. The member is what it returns:
	//
	//	function (host, Spark) {
	//		return function loadPlayer(id) { return { getPlayerId: function () { return id } } }
	//	}
	Script string

	// Funcs are the host functions that Script gets, by name.
	Funcs map[string]HostFunc
}

// Members are the host's members of Spark by name. A member with the name of one
// of the library's replaces it. If the host supplies getPlayer, Spark.player is
// what that returns.
type Members map[string]Member

// A HostFunc is a function of the host that scripts can call.
//
//   - args are the script's arguments as JSON. undefined is null as an argument,
//     and is left out of an object.
//   - The script gets the returned value as [json.Marshal] encodes it, nil as
//     null.
//   - JavaScript's numbers are exact up to 2^53. Larger integers are rounded in
//     both directions, so pass them as strings.
//   - ctx is done at the latest when the call ends.
//   - An error is thrown in the script as an Error with the error's text. The
//     script may send it to its caller, so it must hold nothing secret.
//   - A panic is logged and thrown without its value.
//
// A HostFunc must be safe for concurrent use and must return when ctx is done.
type HostFunc func(ctx context.Context, call *Call, args Args) (any, error)

// Args are the arguments of a [HostFunc], each as JSON; undefined is null.
type Args []json.RawMessage

// Scan decodes the arguments into the values that dst point to, in order, as
// [json.Unmarshal] does. It leaves the value of a missing argument unchanged
// and ignores arguments beyond dst. The error names the argument by its number.
func (a Args) Scan(dst ...any) error {
	for i, d := range dst {
		if i >= len(a) {
			break
		}
		if err := json.Unmarshal(a[i], d); err != nil {
			var typeErr *json.UnmarshalTypeError
			if errors.As(err, &typeErr) {
				what := fmt.Sprintf("argument %d", i+1)
				if typeErr.Field != "" {
					what += ": " + typeErr.Field
				}
				return fmt.Errorf("%s is %s, not %s", what, jsonValue(typeErr.Value), jsonKind(typeErr.Type.Kind()))
			}
			return fmt.Errorf("argument %d is not as expected", i+1)
		}
	}
	return nil
}

// jsonValue names the Value of a [json.UnmarshalTypeError] for script authors.
func jsonValue(value string) string {
	switch value {
	case "array", "object":
		return "an " + value
	case "bool":
		return "a boolean"
	}
	return "a " + value
}

// jsonKind names the kind of a Go value for script authors.
func jsonKind(k reflect.Kind) string {
	switch k {
	case reflect.Bool:
		return "a boolean"
	case reflect.String:
		return "a string"
	case reflect.Slice, reflect.Array:
		return "an array"
	case reflect.Map, reflect.Struct:
		return "an object"
	}
	return "a number"
}
