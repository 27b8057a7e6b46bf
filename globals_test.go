package callback_test

import (
	"context"
	"encoding/json"
	"fmt"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/sandbox"
)

// TestGlobals: the host's global names, and SparkRequests over its sendRequest.
func TestGlobals(t *testing.T) {
	t.Parallel()
	scripts := fstest.MapFS{"callbacks/hello.js": {Data: []byte(`
		var r = new SparkRequests.LogEventRequest();
		r.eventKey = "HIT";
		var other = new SparkRequests.ListTransactionsRequest();
		Spark.setScriptData("v", [add(1, 2), Game.name(), r.Send(), r.Execute(), other.SendAs("p1"), other.ExecuteAs("p2"), typeof none, this.add === add]);
		add = 5;
		Spark.setScriptData("w", add);`)}}
	echo := func(name string) callback.HostFunc {
		return func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
			text, err := json.Marshal(args)
			return name + string(text), err
		}
	}
	call := &callback.Call{
		Credential: "hello",
		Globals: callback.Members{
			"add": {Func: func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
				var a, b int
				err := args.Scan(&a, &b)
				return a + b, err
			}},
			"Game": {
				Script: `function (host, Spark) { return {name: function () { return host.find() + typeof Spark.getData }} }`,
				Funcs:  map[string]callback.HostFunc{"find": echo("find")},
			},
		},
		Members: callback.Members{"sendRequest": {Func: echo("send")}, "sendRequestAs": {Func: echo("sendAs")}},
	}
	inChild := &sandbox.Runner{Scripts: scripts, Processes: 1}
	t.Cleanup(func() { require.NoError(t, inChild.Close()) })
	for _, runner := range []callback.ScriptRunner{&callback.GojaRunner{Scripts: scripts}, inChild} {
		result, err := runner.RunScript(t.Context(), call)
		require.NoError(t, err, fmt.Sprintf("%T", runner))
		require.Len(t, result.Data, 2)
		require.JSONEq(t, `[3, "find[]function",
			"send[{\"@class\":\".LogEventRequest\",\"eventKey\":\"HIT\"}]", "send[{\"@class\":\".LogEventRequest\",\"eventKey\":\"HIT\"}]",
			"sendAs[{\"@class\":\".ListTransactionsRequest\"},\"p1\"]", "sendAs[{\"@class\":\".ListTransactionsRequest\"},\"p2\"]",
			"undefined", true]`, string(result.Data[0].Value), fmt.Sprintf("%T", runner))
		require.Equal(t, "5", string(result.Data[1].Value))
	}
}

// TestInput: Call.Input is the script's data, whatever JSON it is.
func TestInput(t *testing.T) {
	t.Parallel()
	r := &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {Data: []byte(`Spark.setScriptData("v", [Spark.getData(), Spark.data === Spark.getData()])`)}}}
	for _, input := range []string{`{"__proto__":{"a":[1]}}`, `[1,2]`, `"x"`, `null`, `7`} {
		result, err := r.RunScript(t.Context(), &callback.Call{Credential: "hello", Input: json.RawMessage(input), Data: []callback.Param{{Name: "a", Values: []string{"b"}}}})
		require.NoError(t, err)
		require.Equal(t, `[`+input+`,true]`, string(result.Data[0].Value))
	}
	_, err := r.RunScript(t.Context(), &callback.Call{Credential: "hello", Input: json.RawMessage(`{`)})
	require.ErrorContains(t, err, "is not JSON")
}
