package callback_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"testing/fstest"
	"time"

	"example.com/callback"
	"example.com/callback/sandbox"
)

// The examples of docs/hosting.md. TestHostingPage compares the page with them.

// tree makes scripts of names and sources, in memory.
func tree(nameSource ...string) fstest.MapFS {
	files := fstest.MapFS{}
	for i := 0; i < len(nameSource); i += 2 {
		files[nameSource[i]] = &fstest.MapFile{Data: []byte(nameSource[i+1])}
	}
	return files
}

// call calls h and prints the answer with some of its headers.
func call(h http.Handler, target string, headers ...string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	fmt.Println(w.Code, w.Body)
	for _, name := range headers {
		fmt.Println(name+":", w.Header().Get(name))
	}
}

// plain logs to standard output, without the time.
func plain() *slog.Logger {
	return slog.New(slog.NewTextHandler(os.Stdout, &slog.HandlerOptions{
		ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey {
				return slog.Attr{}
			}
			return a
		},
	}))
}

func ExampleHandler_Validate() {
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: os.DirFS("testdata/none")},
		Secrets: callback.SecretMap{"SHOP-hello": "s3cret"},
		Prefix:  "/hooks",
		Timeout: -time.Second,
	}
	fmt.Println(handler.Validate())
	// Output:
	// callback: Handler.Prefix "/hooks" does not begin and end with a slash
	// callback: Handler.Timeout is negative: no call could succeed
	// callback: GojaRunner.Scripts has neither callbacks/*.js nor system/GS_CALLBACK_URL.js
	// callback: SecretMap: a key of 10 characters has no slash: "apiKey/credential", or "apiKey/" for the server secret
}

func ExampleHandler_observe() {
	runs := make(chan *callback.Run, 1)
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: tree("callbacks/pay.js", "// Pays.\nthrow new Error('no price')")},
		Secrets: callback.SecretMap{"SHOP/pay": "s3cret"},
		Logger:  slog.New(slog.DiscardHandler),
		Observe: func(_ context.Context, run *callback.Run) { runs <- run },
	}
	call(handler, "/callback/SHOP/pay/guessed") // there is no Run of it
	call(handler, "/callback/SHOP/pay/s3cret")

	run := <-runs
	fmt.Println(run.Call.APIKey, run.Call.Credential, run.Status, run.Outcome)
	var fault *callback.ScriptError
	if errors.As(run.Err, &fault) {
		fmt.Println(fault.Script, fault.Line, fault.Message)
	}
	// Output:
	// 403 {"error":"forbidden"}
	// 500 {"error":"script failed"}
	// SHOP pay 500 script_error
	// callbacks/pay.js 2 Error: no price
}

func ExampleHandler_runID() {
	type requestID struct{} // the key of an id in a request's context
	handler := &callback.Handler{
		Runner:      &callback.GojaRunner{Scripts: tree("callbacks/pay.js", "Spark.getLog().info('paid')")},
		Secrets:     callback.SecretMap{"SHOP/pay": "s3cret"},
		Logger:      plain(),
		RunIDHeader: "Run-Id",
		RunID: func(r *http.Request) string {
			id, _ := r.Context().Value(requestID{}).(string)
			return id
		},
	}
	withID := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ctx := context.WithValue(r.Context(), requestID{}, "req-42")
		handler.ServeHTTP(w, r.WithContext(ctx))
	})
	call(withID, "/callback/SHOP/pay/s3cret", "Run-Id")
	// Output:
	// level=INFO msg=paid apiKey=SHOP credential=pay run=req-42 script=callbacks/pay.js line=1
	// 200 {}
	// Run-Id: req-42
}

func ExampleHandler_RunScript() {
	queue := make(chan []byte, 10) // a real one outlives the process: see package deferred
	scripts := &callback.GojaRunner{Scripts: tree("callbacks/report.js", "Spark.getLog().info('report for ' + Spark.getData().month)")}

	// The front answers at once.
	front := &callback.Handler{
		Secrets: callback.SecretMap{"SHOP/report": "s3cret"},
		Runner: callback.ScriptRunnerFunc(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
			job, err := json.Marshal(call)
			if err != nil {
				return nil, err
			}
			select {
			case queue <- job:
			default:
				return nil, callback.ErrOverloaded
			}
			result := new(callback.Result)
			return result, result.Set("RESPONSE_STATUS", http.StatusAccepted)
		}),
	}
	call(front, "/callback/SHOP/report/s3cret?month=May")

	// The worker runs the job with limits, members and a log of its own.
	worker := &callback.Handler{Runner: scripts, Timeout: 5 * time.Minute, Logger: plain()}
	var job callback.Call
	if err := json.Unmarshal(<-queue, &job); err != nil {
		panic(err)
	}
	job.RunID = "run-1" // for this example: the front's is random
	_, err := worker.RunScript(context.Background(), &job)
	fmt.Println(err)
	// Output:
	// 202 {}
	// level=INFO msg="report for May" apiKey=SHOP credential=report run=run-1 script=callbacks/report.js line=1
	// <nil>
}

func ExampleHandler_admit() {
	var mu sync.Mutex
	running := map[string]int{}
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: tree("callbacks/pay.js", "Spark.setScriptData('paid', true)")},
		Secrets: callback.SecretMap{"SHOP/pay": "s3cret", "CLOSED/pay": "s3cret"},
		Logger:  slog.New(slog.DiscardHandler),
		// At most 10 calls of an API key at a time, and none while it is closed.
		Admit: func(_ context.Context, call *callback.Call) (func(), error) {
			if call.APIKey == "CLOSED" {
				return nil, callback.RetryAfter(callback.ErrUnavailable, 10*time.Minute)
			}
			mu.Lock()
			defer mu.Unlock()
			if running[call.APIKey] == 10 {
				return nil, callback.RetryAfter(callback.ErrTooMany, time.Second)
			}
			running[call.APIKey]++
			return func() {
				mu.Lock()
				defer mu.Unlock()
				running[call.APIKey]--
			}, nil
		},
	}
	call(handler, "/callback/SHOP/pay/s3cret")
	call(handler, "/callback/CLOSED/pay/s3cret", "Retry-After")
	// Output:
	// 200 {"paid":true}
	// 503 {"error":"unavailable"}
	// Retry-After: 600
}

// vault is a store that can be down.
type vault struct{ err error }

func (v *vault) Secrets(_ context.Context, apiKey, credential string) ([]callback.Secret, error) {
	if v.err != nil || apiKey+"/"+credential != "SHOP/pay" {
		return nil, v.err
	}
	return []callback.Secret{callback.NewSecret("s3cret")}, nil
}

func ExampleSecretCache() {
	vault := &vault{}
	handler := &callback.Handler{
		Runner: &callback.GojaRunner{Scripts: tree("callbacks/pay.js", "Spark.setScriptData('paid', true)")},
		Secrets: &callback.SecretCache{
			Store:    vault,
			TTL:      time.Minute, // a revoked secret is refused after a minute, while the vault answers
			MaxStale: time.Hour,   // while it is down, known and revoked secrets stay valid for an hour more
		},
		Logger: slog.New(slog.DiscardHandler),
	}
	call(handler, "/callback/SHOP/pay/s3cret")
	vault.err = errors.New("connection refused")
	call(handler, "/callback/SHOP/pay/s3cret")
	call(handler, "/callback/NEW/pay/s3cret")
	// Output:
	// 200 {"paid":true}
	// 200 {"paid":true}
	// 503 {"error":"unavailable"}
}

func ExampleHandler_globals() {
	wares := map[string]int{"sword": 30, "shield": 25}
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: tree("callbacks/shop.js", "Spark.setScriptData('price', Shop.price(Spark.getData().ware))")},
		Secrets: callback.SecretMap{"SHOP/shop": "s3cret"},
		Globals: callback.Members{"Shop": {
			Script: `function (host, Spark) { return { price: function (ware) { return host.price(ware) } } }`,
			Funcs: map[string]callback.HostFunc{"price": func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
				var ware string
				if err := args.Scan(&ware); err != nil {
					return nil, err
				}
				price, ok := wares[ware]
				if !ok {
					return nil, errors.New("no such ware")
				}
				return price, nil
			}},
		}},
	}
	call(handler, "/callback/SHOP/shop/s3cret?ware=sword")
	// Output:
	// 200 {"price":30}
}

func ExampleMembers_xml() {
	texts := map[string]string{"PRICES": `<prices currency="EUR"><ware id="1">30</ware><ware id="2">25</ware></prices>`}
	handler := &callback.Handler{
		Runner: &callback.GojaRunner{Scripts: tree("callbacks/shop.js", `
			var prices = Spark.downloadableXml("PRICES");
			Spark.setScriptData("prices", prices.ware.map(function (ware) { return ware + " " + prices["@currency"] }));
		`)},
		Secrets: callback.SecretMap{"SHOP/shop": "s3cret"},
		Members: callback.Members{"downloadableXml": {
			Script: `function (host, Spark) { return function (code) { return Spark.parseXml(host.text(code)) } }`,
			Funcs: map[string]callback.HostFunc{"text": func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
				var code string
				if err := args.Scan(&code); err != nil {
					return nil, err
				}
				text, ok := texts[code]
				if !ok {
					return nil, errors.New("no such download")
				}
				return text, nil
			}},
		}},
	}
	call(handler, "/callback/SHOP/shop/s3cret")
	// Output:
	// 200 {"prices":["30 EUR","25 EUR"]}
}

func Example_sandbox() {
	linux := runtime.GOOS == "linux" && (runtime.GOARCH == "amd64" || runtime.GOARCH == "arm64")
	runner := &sandbox.Runner{
		Source: tenants{
			"ANN": {FS: tree("callbacks/hello.js", "Spark.setScriptData('hour', new Date(1664539200000).getHours())"), Version: "ann-1"},
			"BOB": {FS: tree("callbacks/hello.js", "for (;;) {}"), Version: "bob-4"},
		},
		Processes:      2,
		Reserve:        1,
		MaxMemory:      256 << 20,
		Zone:           time.FixedZone("UTC+1", 60*60),
		RequireSeccomp: linux,
	}
	defer runner.Close()
	handler := &callback.Handler{
		Runner:  runner,
		Secrets: callback.SecretMap{"ANN/hello": "s3cret", "BOB/hello": "s3cret"},
	}
	if err := errors.Join(handler.Validate(), runner.Start(context.Background())); err != nil {
		fmt.Println(err)
	}
	call(handler, "/callback/ANN/hello/s3cret")
	// Output:
	// 200 {"hour":13}
}

// shutdown stops what serves callbacks. Calls under way get their answers.
func shutdown(server *http.Server, handler *callback.Handler, runner *sandbox.Runner) error {
	timeout := cmp.Or(handler.Timeout, callback.DefaultTimeout)
	ctx, cancel := context.WithTimeout(context.Background(), timeout+5*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(ctx), runner.Shutdown(ctx))
}

func Example_shutdown() {
	runner := &sandbox.Runner{Scripts: tree("callbacks/hello.js", "Spark.setScriptData('hello', true)"), Processes: 1, Reserve: -1}
	handler := &callback.Handler{
		Runner:  runner,
		Secrets: callback.SecretMap{"SHOP/hello": "s3cret"},
		Logger:  slog.New(slog.DiscardHandler),
	}
	server := httptest.NewServer(handler)
	call(handler, "/callback/SHOP/hello/s3cret")
	fmt.Println(shutdown(server.Config, handler, runner))
	call(handler, "/callback/SHOP/hello/s3cret")
	// Output:
	// 200 {"hello":true}
	// <nil>
	// 503 {"error":"unavailable"}
}

func ExampleHTTPClient_allow() {
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: tree("callbacks/get.js", "Spark.setScriptData('answer', Spark.getHttp('https://127.0.0.1:1/').get())")},
		Secrets: callback.SecretMap{"SHOP/get": "s3cret"},
		Logger:  plain(),
		RunID:   func(*http.Request) string { return "run-1" },
		// Scripts may use the API of the shop and nothing else.
		HTTP: &callback.HTTPClient{Allow: func(u *url.URL) error {
			if u.Scheme != "https" || u.Host != "api.shop.example" {
				return errors.New("only the API of the shop is allowed")
			}
			return nil
		}},
	}
	call(handler, "/callback/SHOP/get/s3cret")
	// Output:
	// level=WARN msg="callback: outbound request failed" apiKey=SHOP credential=get run=run-1 script=callbacks/get.js line=1 host=127.0.0.1:1 reason="URL not allowed by the host"
	// 200 {"answer":null}
}

func ExampleHandler_clientIP() {
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: tree("callbacks/ip.js", "Spark.setScriptData('ip', Spark.getClientIp())")},
		Secrets: callback.SecretMap{"SHOP/ip": "s3cret"},
		// Only the proxy can connect, and it sets X-Real-IP in each request.
		ClientIP: func(r *http.Request) string { return r.Header.Get("X-Real-IP") },
	}
	proxy := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.Header.Set("X-Real-IP", "203.0.113.7")
		handler.ServeHTTP(w, r)
	})
	call(proxy, "/callback/SHOP/ip/s3cret")
	// Output:
	// 200 {"ip":"203.0.113.7"}
}

func ExampleHandler_ServeCall() {
	handler := &callback.Handler{Runner: &callback.GojaRunner{Scripts: tree("callbacks/pay.js", "Spark.setScriptData('player', Spark.getPlayer().getPlayerId())")}}
	session := func(*http.Request) (player string, ok bool) { return "p7", true }

	mux := http.NewServeMux()
	mux.HandleFunc("/play/{credential}", func(w http.ResponseWriter, r *http.Request) {
		player, ok := session(r)
		if !ok {
			http.Error(w, "log in first", http.StatusUnauthorized)
			return
		}
		handler.ServeCall(w, r, &callback.Call{APIKey: "SHOP", Credential: r.PathValue("credential"), PlayerID: player})
	})
	call(mux, "/play/pay")
	// Output:
	// 200 {"player":"p7"}
}

func ExampleConceal() {
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: tree("callbacks/pay.js", "Spark.setScriptData('paid', true)")},
		Secrets: callback.SecretMap{"SHOP/pay": "s3cret"},
	}
	mux := http.NewServeMux()
	mux.Handle("/callback/", handler)
	accessLog := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Println("log:", r.Method, r.URL)
		mux.ServeHTTP(w, r)
	})
	call(callback.Conceal("/callback/", accessLog), "/callback/SHOP/pay/s3cret?card=4111")
	// Output:
	// log: GET /callback/
	// 200 {"paid":true}
}

func ExampleRecorder() {
	recorder := &callback.Recorder{
		MaxRuns:  100,
		Requests: true,
		Redact: func(run *callback.Run) {
			for i, p := range run.Call.Data {
				if p.Name == "card" || p.Name == "REQUEST_BODY" {
					run.Call.Data[i].Values = []string{"…"}
				}
			}
			run.Call.Body, run.Exchange = nil, nil
			for i := range run.Outbound {
				run.Outbound[i].Exchange = nil
			}
		},
	}
	recorded := make(chan bool, 1)
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: tree("callbacks/pay.js", "Spark.setScriptData('paid', true)")},
		Secrets: callback.SecretMap{"SHOP/pay": "s3cret"},
		Observe: func(ctx context.Context, run *callback.Run) {
			recorder.Observe(ctx, run)
			recorded <- true
		},
		KeepBodies: 1 << 20,
	}
	r := httptest.NewRequest(http.MethodPost, "/callback/SHOP/pay/s3cret", strings.NewReader("card=4111&amount=5"))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	w := httptest.NewRecorder()
	handler.ServeHTTP(w, r)
	fmt.Println(w.Code, w.Body)
	<-recorded
	for _, run := range recorder.Runs() {
		fmt.Println(run.Call.Credential, run.Outcome, run.Call.Data, run.Call.Body, run.Exchange)
	}
	// Output:
	// 200 {"paid":true}
	// pay ok [{card […]} {amount [5]} {REQUEST_BODY […]}] [] <nil>
}

func Example_idempotency() {
	// seen stands for a table with a unique key: it must outlive the process.
	var mu sync.Mutex
	seen := map[string]bool{}
	handler := &callback.Handler{
		Secrets: callback.SecretMap{"SHOP/pay": "s3cret"},
		Runner: &callback.GojaRunner{Scripts: tree("callbacks/pay.js", `
			if (Spark.once(Spark.getData().payment)) {
				Spark.setScriptData("credited", true);
			}
		`)},
		Members: callback.Members{"once": {Func: func(_ context.Context, call *callback.Call, args callback.Args) (any, error) {
			var key string
			if err := args.Scan(&key); err != nil {
				return nil, err
			}
			mu.Lock()
			defer mu.Unlock()
			key = call.APIKey + "/" + key
			first := !seen[key]
			seen[key] = true
			return first, nil
		}}},
	}
	call(handler, "/callback/SHOP/pay/s3cret?payment=p1")
	call(handler, "/callback/SHOP/pay/s3cret?payment=p1") // the sender tries again
	// Output:
	// 200 {"credited":true}
	// 200 {}
}

// tenants has the scripts of each API key.
type tenants map[string]callback.Tree

func (t tenants) Scripts(_ context.Context, call *callback.Call) (callback.Tree, error) {
	tree, ok := t[call.APIKey]
	if !ok {
		return callback.Tree{}, callback.ErrNoScript
	}
	return tree, nil
}

func ExampleScriptSource() {
	handler := &callback.Handler{
		Secrets: callback.SecretMap{"ANN/hello": "s3cret", "BOB/hello": "s3cret"},
		Runner: &callback.GojaRunner{Source: tenants{
			"ANN": {FS: tree("callbacks/hello.js", "Spark.setScriptData('from', 'Ann')"), Version: "ann-1"},
			"BOB": {FS: tree("callbacks/hello.js", "Spark.setScriptData('from', 'Bob')"), Version: "bob-4"},
		}},
		VersionHeader: "Script-Version",
	}
	call(handler, "/callback/ANN/hello/s3cret", "Script-Version")
	call(handler, "/callback/BOB/hello/s3cret", "Script-Version")
	// Output:
	// 200 {"from":"Ann"}
	// Script-Version: ann-1
	// 200 {"from":"Bob"}
	// Script-Version: bob-4
}

// releases holds the tree that is live.
type releases struct{ live atomic.Pointer[callback.Tree] }

func (r *releases) Scripts(context.Context, *callback.Call) (callback.Tree, error) {
	return *r.live.Load(), nil
}

// publish makes a tree live, if its scripts compile.
func (r *releases) publish(scripts fs.FS) error {
	report, err := callback.Check(scripts, callback.CheckOptions{})
	if err != nil {
		return err
	}
	for _, p := range report.Problems {
		if p.Fatal {
			return fmt.Errorf("%v", p)
		}
	}
	tree, err := callback.VersionedFS(scripts)
	if err != nil {
		return err
	}
	r.live.Store(&tree)
	return nil
}

func Example_releases() {
	release := new(releases)
	handler := &callback.Handler{
		Secrets: callback.SecretMap{"SHOP/hello": "s3cret"},
		Runner:  &callback.GojaRunner{Source: release},
	}
	fmt.Println(release.publish(tree("callbacks/hello.js", "Spark.setScriptData('release', 1)")))
	call(handler, "/callback/SHOP/hello/s3cret")
	fmt.Println(release.publish(tree("callbacks/hello.js", "Spark.setScriptData('release', 2")) != nil) // a broken one
	call(handler, "/callback/SHOP/hello/s3cret")
	fmt.Println(release.publish(tree("callbacks/hello.js", "Spark.setScriptData('release', 3)")))
	call(handler, "/callback/SHOP/hello/s3cret")
	// Output:
	// <nil>
	// 200 {"release":1}
	// true
	// 200 {"release":1}
	// <nil>
	// 200 {"release":3}
}

// counter counts outcomes: what a metrics library does.
type counter struct {
	mu sync.Mutex
	n  map[callback.Outcome]int
}

func (c *counter) observe(_ context.Context, run *callback.Run) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.n == nil {
		c.n = map[callback.Outcome]int{}
	}
	c.n[run.Outcome]++
}

func Example_severalObservers() {
	recorder, metrics := new(callback.Recorder), new(counter)
	handler := &callback.Handler{
		Runner: &callback.GojaRunner{Scripts: tree("callbacks/pay.js", "")},
		Observe: func(ctx context.Context, run *callback.Run) {
			recorder.Observe(ctx, run)
			metrics.observe(ctx, run)
		},
	}
	_, err := handler.RunScript(context.Background(), &callback.Call{APIKey: "SHOP", Credential: "pay"})
	fmt.Println(err)
	// Output: <nil>
}
