package callback_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"net/http/httptest"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// TestArgsScan: the errors are written for the script's author.
func TestArgsScan(t *testing.T) {
	t.Parallel()
	type options struct {
		Level int `json:"level"`
		Tags  []string
		Deep  struct {
			On bool `json:"on"`
		} `json:"deep"`
	}
	for _, test := range []struct{ args, want string }{
		{`["a", {"level": 1, "tags": ["x"], "deep": {"on": true}}]`, ""},
		{`[null, null]`, ""},
		{`["a"]`, ""},
		{`["a", {}, "more"]`, ""},
		{`[1, {}]`, "argument 1 is a number, not a string"},
		{`["a", "b"]`, "argument 2 is a string, not an object"},
		{`["a", {"level": "x"}]`, "argument 2: level is a string, not a number"},
		{`["a", {"tags": {}}]`, "argument 2: Tags is an object, not an array"},
		{`[true, {}]`, "argument 1 is a boolean, not a string"},
		{`[[], {}]`, "argument 1 is an array, not a string"},
		{`["a", {"deep": {"on": 1}}]`, "argument 2: deep.on is a number, not a boolean"},
	} {
		var args callback.Args
		require.NoError(t, json.Unmarshal([]byte(test.args), &args))
		text, opts := "as it was", options{}
		err := args.Scan(&text, &opts)
		if test.want != "" {
			require.EqualError(t, err, test.want, test.args)
			continue
		}
		require.NoError(t, err, test.args)
	}
	text, n := "as it was", 7
	require.NoError(t, callback.Args{}.Scan(&text, &n))
	require.Equal(t, "as it was 7", fmt.Sprint(text, " ", n))
	require.EqualError(t, callback.Args{json.RawMessage(`{`)}.Scan(&n), "argument 1 is not as expected")
}

// TestGlobalsReplace: a host's global comes before the library's, and is recorded.
func TestGlobalsReplace(t *testing.T) {
	t.Parallel()
	h, _ := httpHandler(`Spark.setScriptData("got", [atob("x"), SparkRequests])`)
	h.Globals = callback.Members{
		"atob": {Func: func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
			return "the host's", nil
		}},
		"SparkRequests": {Script: `function () { return "mine" }`},
	}
	runs := observe(h)
	require.JSONEq(t, `{"got": ["the host's", "mine"]}`, get(t, h, helloURL).Body.String())
	functions := runs.next(t).Functions
	require.Len(t, functions, 1)
	require.Equal(t, "atob", functions[0].Name)
}

// Integers over 2^53 are not exact in JavaScript: a host passes them as strings.
func TestLargeIntegersCrossAsStrings(t *testing.T) {
	t.Parallel()
	const large = math.MaxInt64
	var number int64
	var text string
	h := &callback.Handler{
		Runner: &callback.GojaRunner{Scripts: script(`
			Spark.setScriptData("number", Spark.number() === 9223372036854775807);
			Spark.setScriptData("rounded", String(Spark.number()));
			Spark.setScriptData("text", Spark.text());
			Spark.take(9007199254740993, Spark.text());`)},
		Secrets: callback.SecretMap{"E3/hello": "s3cret"},
		Members: callback.Members{
			"number": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { return int64(large), nil }},
			"text": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				return fmt.Sprint(int64(large)), nil
			}},
			"take": {Func: func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
				return nil, args.Scan(&number, &text)
			}},
		},
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest("GET", "/callback/E3/hello/s3cret", nil))
	require.JSONEq(t, `{"number":true,"rounded":"9223372036854776000","text":"9223372036854775807"}`, w.Body.String())
	require.EqualValues(t, int64(9007199254740992), number) // not the 9007199254740993 of the source
	require.Equal(t, "9223372036854775807", text)
}
