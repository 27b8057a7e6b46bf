package callback_test

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing/fstest"

	"example.com/callback"
)

// A script answers with its script data, a JSON object in the order first set.
func ExampleHandler() {
	scripts := fstest.MapFS{"callbacks/hello.js": {Data: []byte(`
		var name = Spark.getData().name;
		Spark.setScriptData("message", "Hello, " + name + "!");
		Spark.setScriptData("length", name.length);
	`)}}
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: scripts},
		Secrets: callback.SecretMap{"E300018ZDdAx/hello": "s3cret"},
	}

	for _, url := range []string{
		"/callback/E300018ZDdAx/hello/s3cret?name=Ada",
		"/callback/E300018ZDdAx/hello/guessed?name=Ada",
	} {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest("GET", url, nil))
		fmt.Println(rec.Code, rec.Body)
	}
	// Output:
	// 200 {"message":"Hello, Ada!","length":3}
	// 403 {"error":"forbidden"}
}

// A webhook's signature is in a header, which scripts see only if the host says
// so.
func ExampleHandler_requestHeaders() {
	scripts := fstest.MapFS{"callbacks/payment.js": {Data: []byte(`
		var data = Spark.getData();
		var expected = Spark.getDigester().hmacSha256Hex("signing-key", Spark.getRequestBytes());
		Spark.setScriptData("genuine", data.REQUEST_HEADERS["x-signature"] === expected);
	`)}}
	handler := &callback.Handler{
		Runner:         &callback.GojaRunner{Scripts: scripts},
		Secrets:        callback.SecretMap{"shop/payment": "s3cret"},
		RequestHeaders: []string{"X-Signature"},
	}

	req := httptest.NewRequest("POST", "/callback/shop/payment/s3cret", strings.NewReader(`{"id":7}`))
	req.Header.Set("X-Signature", "cd1fbc5583070eab349341467d0cd35f1c996d0dffcca8e1347b50878001c73b")
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	fmt.Println(rec.Body)
	// Output: {"genuine":true}
}

// A host adds members to Spark: getHighscore, which is a function, and loadPlayer,
// which makes objects.
func ExampleMembers() {
	scores := map[string]int{"ada": 1815, "grace": 1906}
	score := func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
		var player string
		if err := args.Scan(&player); err != nil {
			return nil, err
		}
		return scores[player], nil
	}
	members := callback.Members{
		"getHighscore": {Func: score},
		"loadPlayer": {
			Funcs: map[string]callback.HostFunc{"score": score},
			Script: `function (host) {
				return function loadPlayer(id) {
					return {
						getPlayerId: function () { return id },
						getScore: function () { return host.score(id) },
					};
				};
			}`,
		},
	}

	scripts := fstest.MapFS{"callbacks/scores.js": {Data: []byte(`
		Spark.setScriptData("ada", Spark.getHighscore("ada"));
		Spark.setScriptData("grace", Spark.loadPlayer("grace").getScore());
	`)}}
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: scripts},
		Secrets: callback.SecretMap{"E300018ZDdAx/scores": "s3cret"},
		Members: members,
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest("GET", "/callback/E300018ZDdAx/scores/s3cret", nil))
	fmt.Println(rec.Body)
	// Output: {"ada":1815,"grace":1906}
}

// A host can test its own code around the Handler without scripts.
func ExampleScriptRunnerFunc() {
	runner := callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
		var result callback.Result
		err := result.Set("ran", call.Credential)
		return &result, err
	})
	handler := &callback.Handler{
		Runner:  runner,
		Secrets: callback.SecretMap{"E300018ZDdAx/hello": "s3cret"},
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest("GET", "/callback/E300018ZDdAx/hello/s3cret", nil))
	fmt.Println(rec.Body)
	// Output: {"ran":"hello"}
}

// A test answers the outbound requests of a script itself.
func ExampleHTTPDoerFunc() {
	doer := callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
		fmt.Println(req.Method, req.URL)
		return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader(`{"celsius":21}`))}, nil
	})
	scripts := fstest.MapFS{"callbacks/weather.js": {Data: []byte(`
		var answer = Spark.getHttp("https://weather.example/oslo").get();
		Spark.setScriptData("warm", answer.getResponseJson().celsius > 20);
	`)}}
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: scripts},
		Secrets: callback.SecretMap{"E300018ZDdAx/weather": "s3cret"},
		HTTP:    doer,
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, httptest.NewRequest("GET", "/callback/E300018ZDdAx/weather/s3cret", nil))
	fmt.Println(rec.Body)
	// Output:
	// GET https://weather.example/oslo
	// {"warm":true}
}

// rotation is a store in which a new secret is valid before the old one ends.
type rotation []callback.Secret

// Secrets implements callback.SecretStore.
func (r rotation) Secrets(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
	if apiKey != "E300018ZDdAx" || credential != "hello" {
		return nil, nil
	}
	return r, nil
}

// While a secret is rotated the old and the new one are both valid: no caller
// is turned away before it has changed its URL.
func ExampleSecretStore() {
	handler := &callback.Handler{
		Runner: &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {}}},
		Secrets: rotation{
			callback.NewSecret("of-last-year"),
			callback.NewSecret("of-this-year"),
		},
	}
	for _, secret := range []string{"of-last-year", "of-this-year", "of-next-year"} {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest("GET", "/callback/E300018ZDdAx/hello/"+secret, nil))
		fmt.Println(secret, rec.Code)
	}
	// Output:
	// of-last-year 200
	// of-this-year 200
	// of-next-year 403
}
