package callbacktest_test

import (
	"fmt"
	"testing"

	"example.com/callback"
	"example.com/callback/callbacktest"
)

// A host runs its case files on its own Handler.
func ExampleRun() {
	newHandler := func() *callback.Handler {
		return &callback.Handler{Secrets: callback.SecretMap{"E3/hello": "s3cret"}}
	}
	_ = func(t *testing.T) { // TestCallbacks
		callbacktest.Run(t, newHandler(), "testdata/*.txtar")
	}
}

func ExampleRunCase() {
	h := &callback.Handler{Secrets: callback.SecretMap{"E3/hello": "s3cret"}}
	err := callbacktest.RunCase(h, []byte(`
A callback that looks up an exchange rate.
-- request --
GET /callback/E3/hello/s3cret?currency=EUR
-- callbacks/hello.js --
var currency = Spark.getData().currency
var rates = Spark.getHttp("https://rates.example/latest").get().getResponseJson()
Spark.setScriptData("rate", rates[currency])
-- upstream --
GET https://rates.example/latest
=>
200 OK
Content-Type: application/json

{"EUR": 0.98}
-- response --
200 OK
Content-Type: application/json; charset=utf-8

{"rate":0.99}
`))
	fmt.Println(err)
	// Output:
	// response 1 is not as expected
	// want:
	// 	200 OK
	// 	Content-Type: application/json; charset=utf-8
	//
	// 	{"rate":0.99}
	// got:
	// 	200 OK
	// 	Content-Type: application/json; charset=utf-8
	//
	// 	{"rate":0.98}
}

func ExampleTestSecretStore() {
	store := callback.SecretMap{"E3/hello": "s3cret"}
	fmt.Println(callbacktest.TestSecretStore(store, callbacktest.KnownSecret{APIKey: "E3", Credential: "hello", Secret: "s3cret"}))
	// Output: <nil>
}
