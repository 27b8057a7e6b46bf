package callback_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"
	"go.uber.org/goleak"

	"example.com/callback"
	"example.com/callback/internal/testkit"
)

// loadTime is how long a test makes load: a share of CALLBACK_LOAD, which is a
// duration such as 30s. It is 1 s by default, and 3 s in the deep tier.
func loadTime(t *testing.T, share float64) time.Duration {
	t.Helper()
	whole := time.Second
	if text := os.Getenv("CALLBACK_LOAD"); text != "" {
		var err error
		whole, err = time.ParseDuration(text)
		require.NoError(t, err)
	} else if testkit.Deep() {
		whole = 3 * time.Second
	}
	return time.Duration(share * float64(whole))
}

// loadContext ends after loadTime, but not before enough has happened, which takes
// longer on a busy machine.
func loadContext(t *testing.T, share float64, enough func() bool) (context.Context, context.CancelFunc) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	least := time.After(loadTime(t, share))
	go func() {
		defer cancel()
		select {
		case <-least:
		case <-ctx.Done():
		}
		for ctx.Err() == nil && !enough() {
			time.Sleep(time.Millisecond)
		}
	}()
	return ctx, cancel
}

// A loadServer is a Handler behind a loopback port, with a client for it.
type loadServer struct {
	*httptest.Server
	client *http.Client
	log    testkit.Log

	served       atomic.Int64  // calls of ServeHTTP that have ended
	begun, ended chan struct{} // get one for each call, as far as there is room
}

// newLoadServer serves scripts by their credential, all with the secret "s".
func newLoadServer(t *testing.T, h *callback.Handler, runner *callback.GojaRunner, scripts map[string]string) *loadServer {
	t.Helper()
	s := &loadServer{begun: make(chan struct{}, 100), ended: make(chan struct{}, 100)}
	h.Logger = s.log.Logger()
	if h.Secrets == nil {
		secrets := callback.SecretMap{}
		for name := range scripts {
			secrets["E3/"+name] = "s"
		}
		h.Secrets = secrets
	}
	if runner.Scripts == nil {
		files := fstest.MapFS{}
		for name, source := range scripts {
			files["callbacks/"+name+".js"] = &fstest.MapFile{Data: []byte(source)}
		}
		runner.Scripts = files
	}
	h.Runner = runner
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		tell(s.begun)
		defer func() {
			s.served.Add(1)
			tell(s.ended)
		}()
		h.ServeHTTP(w, r)
	}))
	s.client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 4096}}
	return s
}

// lateAfter is how long after its deadline an answer is late, by a
// [testkit.Clock].
const lateAfter = 500 * time.Millisecond

func tell(c chan struct{}) {
	select {
	case c <- struct{}{}:
	default:
	}
}

func drain(channels ...chan struct{}) {
	for _, c := range channels {
		for len(c) > 0 {
			<-c
		}
	}
}

func (s *loadServer) close() {
	s.client.CloseIdleConnections()
	s.Close()
}

// An answer is what a client has got.
type answer struct {
	status int
	header http.Header
	body   string
}

func (s *loadServer) call(ctx context.Context, method, credential, query string, body io.Reader) (answer, error) {
	req, err := http.NewRequestWithContext(ctx, method, s.URL+"/callback/E3/"+credential+"/s?"+query, body)
	if err != nil {
		return answer{}, err
	}
	resp, err := s.client.Do(req)
	if err != nil {
		return answer{}, err
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	return answer{resp.StatusCode, resp.Header, string(text)}, err
}

func (s *loadServer) get(t *testing.T, credential, query string) answer {
	t.Helper()
	a, err := s.call(t.Context(), "GET", credential, query, nil)
	require.NoError(t, err)
	return a
}

// Ten times as many clients as the server has places call without a pause. At every
// moment some are served and the others are refused. Every request gets exactly one
// answer, which is its own. Memory does not grow.
func TestLoadTenfold(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, limit := range []string{"MaxInFlight", "MaxQueue"} {
		t.Run(limit, func(t *testing.T) {
			const places = 8
			h := &callback.Handler{}
			runner := &callback.GojaRunner{MaxRunning: 2}
			if limit == "MaxInFlight" {
				h.MaxInFlight = places
			} else {
				runner.MaxQueue = places - runner.MaxRunning
			}
			h.Timeout = time.Minute
			s := newLoadServer(t, h, runner, map[string]string{
				"work": `
					for (var sum = 0, i = 0; i < 5000; i++) sum += i;
					Spark.setScriptData("id", Spark.getData().id);
				`,
				"native": `Spark.getLog().info("stuck")`,
			})
			defer s.close()

			// All places are held: one call more is refused.
			const held = places + 1 // calls
			stuck, release := make(chan struct{}, places), make(chan struct{})
			h.Logger = slog.New(stuckLog{h.Logger.Handler(), stuck, release})
			statuses := make(chan int, held)
			for range held {
				go func() { statuses <- s.get(t, "native", "").status }()
			}
			assert.Equal(t, 503, <-statuses)
			close(release)
			for range places {
				assert.Equal(t, 200, <-statuses)
			}

			var ok, refused atomic.Int64
			served := make(chan struct{}, 1)
			ctx, cancel := context.WithCancel(t.Context())
			defer cancel()
			var clients sync.WaitGroup
			for c := range 10 * places {
				clients.Go(func() {
					for n := 0; ctx.Err() == nil; n++ {
						id := fmt.Sprintf("%d-%d", c, n)
						method, body := "GET", io.Reader(nil)
						if n%3 == 0 {
							method, body = "POST", strings.NewReader(strings.Repeat("x", n%5000))
						}
						a, err := s.call(t.Context(), method, "work", "id="+id, body)
						if !assert.NoError(t, err) {
							return
						}
						switch a.status {
						case 200:
							ok.Add(1)
							tell(served)
							assert.Equal(t, `{"id":"`+id+`"}`, a.body)
						case 503:
							refused.Add(1)
							assert.Equal(t, `{"error":"overloaded"}`, a.body)
							assert.Equal(t, "1", a.header.Get("Retry-After"))
						default:
							assert.Fail(t, "not an answer to expect", "%+v", a)
							return
						}
					}
				})
			}
			// Some are served in each of these periods, however busy the machine is.
			const moments = 3
			var before int64
			var goroutines int
			for i := range moments {
				<-time.After(loadTime(t, 0.5) / moments)
				drain(served)
				select {
				case <-served:
				case <-time.After(time.Minute):
					assert.Fail(t, "nobody is served")
				}
				if i == 0 {
					before, goroutines = testkit.Heap(), runtime.NumGoroutine()
				}
			}
			cancel()
			clients.Wait()
			after := testkit.Heap()

			t.Logf("%d served, %d refused", ok.Load(), refused.Load())
			assert.Equal(t, s.served.Load(), ok.Load()+refused.Load()+int64(held), "an answer is lost")
			// The log is kept in memory: some 200 bytes for each refusal of the runner.
			assert.Less(t, after-before-int64(2*len(s.log.String())), int64(16<<20), "memory grows")
			assert.Less(t, runtime.NumGoroutine(), goroutines+10*places)
			// There is a free place at once.
			assert.Equal(t, `{"id":"x"}`, s.get(t, "work", "id=x").body)
		})
	}
}

// Thousands of scripts that wait for upstreams leave the only place to others. When
// all of their answers come at once and the place is taken, each of them still gets
// its turn, however short the queue is. MaxQueue is for new calls only.
func TestLoadSlowUpstreams(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, how := range []string{"HTTPDoer", "HostFunc"} {
		t.Run(how, func(t *testing.T) {
			const waiting = 3000
			entered, answered, returned := make(chan struct{}), make(chan struct{}), make(chan struct{}, waiting)
			wait := func(ctx context.Context) error {
				entered <- struct{}{}
				defer func() { returned <- struct{}{} }()
				select {
				case <-answered:
					return nil
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			h := &callback.Handler{
				Timeout: time.Minute, HTTPTimeout: time.Minute,
				HTTP: callback.HTTPDoerFunc(func(r *http.Request) (*http.Response, error) {
					return &http.Response{StatusCode: 200, Body: http.NoBody}, wait(r.Context())
				}),
				Members: callback.Members{"wait": {Func: func(ctx context.Context, _ *callback.Call, _ callback.Args) (any, error) {
					return nil, wait(ctx)
				}}},
			}
			s := newLoadServer(t, h, &callback.GojaRunner{MaxRunning: 1, MaxQueue: 16}, map[string]string{
				"HTTPDoer": `Spark.setScriptData("code", Spark.getHttp("http://upstream.test/").get().getResponseCode())`,
				"HostFunc": `Spark.wait(); Spark.setScriptData("code", 200)`,
				"native":   `Spark.getLog().info("stuck")`,
				"quick":    `Spark.setScriptData("quick", true)`,
			})
			defer s.close()
			stuck, release := make(chan struct{}), make(chan struct{})
			h.Logger = slog.New(stuckLog{h.Logger.Handler(), stuck, release})

			var calls sync.WaitGroup
			var answers [waiting]*httptest.ResponseRecorder
			for i := range waiting {
				answers[i] = httptest.NewRecorder()
				calls.Go(func() {
					h.ServeHTTP(answers[i], httptest.NewRequest("GET", "/callback/E3/"+how+"/s", nil))
				})
				<-entered // or the queue would be full
			}
			for range 10 {
				assert.Equal(t, `{"quick":true}`, s.get(t, "quick", "").body)
			}
			calls.Go(func() { s.get(t, "native", "") })
			<-stuck // and so the place is taken
			close(answered)
			for range waiting {
				<-returned
			}
			close(release)
			calls.Wait()
			count := map[string]int{}
			for _, rec := range answers {
				count[rec.Body.String()]++
			}
			assert.Equal(t, map[string]int{`{"code":200}`: waiting}, count)
			assert.Equal(t, `{"quick":true}`, s.get(t, "quick", "").body)
		})
	}
}

// When a client goes away, what its call holds becomes free long before its deadline:
// its place in MaxInFlight, its place among the runs, or its place in the queue.
func TestLoadVanishingClients(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const clients = 6
	started := make(chan struct{}, 1000)
	wait := func(ctx context.Context) error {
		started <- struct{}{}
		<-ctx.Done()
		return ctx.Err()
	}
	h := &callback.Handler{
		Timeout: time.Hour, HTTPTimeout: time.Hour, MaxInFlight: clients, StopAbandoned: true,
		HTTP: callback.HTTPDoerFunc(func(r *http.Request) (*http.Response, error) { return nil, wait(r.Context()) }),
		Members: callback.Members{
			"started": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				started <- struct{}{}
				return nil, nil
			}},
			"wait": {Func: func(ctx context.Context, _ *callback.Call, _ callback.Args) (any, error) { return nil, wait(ctx) }},
		},
	}
	s := newLoadServer(t, h, &callback.GojaRunner{MaxRunning: 1, MaxQueue: clients}, map[string]string{
		"quick":    `Spark.setScriptData("quick", true)`,
		"computes": `Spark.started(); for (;;) {}`, // one does, the others are in the queue
		"outbound": `Spark.getHttp("http://upstream.test/").get()`,
		"member":   `Spark.wait()`,
	})
	defer s.close()
	for _, c := range []struct {
		credential string
		started    int
	}{{"computes", 1}, {"outbound", clients}, {"member", clients}} {
		t.Run(c.credential, func(t *testing.T) {
			for range 3 {
				ctx, cancel := context.WithCancel(t.Context())
				var calls sync.WaitGroup
				for range clients {
					calls.Go(func() {
						_, err := s.call(ctx, "GET", c.credential, "", nil)
						assert.ErrorIs(t, err, context.Canceled)
					})
				}
				for range clients {
					<-s.begun
				}
				for range c.started {
					<-started
				}
				cancel()
				calls.Wait()
				for range clients {
					<-s.ended
				}
				assert.Equal(t, `{"quick":true}`, s.get(t, "quick", "").body)
				drain(s.begun, s.ended, started)
			}
		})
	}
	t.Run("body", func(t *testing.T) {
		for range clients {
			conn, err := net.Dial("tcp", s.Listener.Addr().String())
			require.NoError(t, err)
			_, err = io.WriteString(conn, "POST /callback/E3/quick/s HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nhalf of")
			require.NoError(t, err)
			require.NoError(t, conn.Close())
		}
		for range clients {
			<-s.ended
		}
		assert.Equal(t, `{"quick":true}`, s.get(t, "quick", "").body)
	})
}

// Folders of scripts are removed, added and changed while they are in use. Every
// answer is one of those documented, and the last state is live at the end.
func TestLoadScriptsSwapped(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	root := t.TempDir()
	live, aside := filepath.Join(root, "live"), filepath.Join(root, "aside")
	source := func(version int) string {
		return fmt.Sprintf(`require("M"); Spark.setScriptData("version", version(%d)) // %s`, version, strings.Repeat("x", version%100))
	}
	const module = `function version(n) { return "v" + n }`
	fill := func(version int) error {
		return errors.Join(
			os.MkdirAll(filepath.Join(live, "callbacks"), 0o755),
			os.MkdirAll(filepath.Join(live, "modules"), 0o755),
			os.WriteFile(filepath.Join(live, "modules", "M.js"), []byte(module), 0o644),
			os.WriteFile(filepath.Join(live, "callbacks", "script.js"), []byte(source(version)), 0o644),
		)
	}
	require.NoError(t, fill(0))
	s := newLoadServer(t, &callback.Handler{}, &callback.GojaRunner{Scripts: os.DirFS(live)}, map[string]string{"script": ""})
	defer s.close()

	var counts [600]atomic.Int64
	ctx, cancel := loadContext(t, 0.3, func() bool { return counts[200].Load() > 0 })
	defer cancel()
	var working sync.WaitGroup
	var sent atomic.Int64
	whole := regexp.MustCompile(`^\{"version":"v\d+"\}$`)
	for range 8 {
		working.Go(func() {
			for ctx.Err() == nil {
				a, err := s.call(t.Context(), "GET", "script", "", nil)
				if !assert.NoError(t, err) {
					return
				}
				sent.Add(1)
				counts[a.status].Add(1)
				switch {
				case a.status == 200 && a.body == "{}": // the file was there and still empty
				case a.status == 200:
					assert.Regexp(t, whole, a.body)
				case a.status == 404:
					assert.Equal(t, `{"error":"no script"}`, a.body)
				case a.status == 500:
					assert.Equal(t, `{"error":"script failed"}`, a.body)
				case a.status == 503: // the file could not be read
					assert.Equal(t, `{"error":"unavailable"}`, a.body)
				default:
					assert.Fail(t, "not an answer to expect", "%+v", a)
				}
			}
		})
	}
	script := filepath.Join(live, "callbacks", "script.js")
	for version := 1; ctx.Err() == nil; version++ {
		switch version % 6 {
		case 0: // moved away and back
			assert.NoError(t, os.Rename(live, aside))
			assert.NoError(t, os.Rename(aside, live))
		case 1: // written in place, half by half
			text := source(version)
			f, err := os.Create(script)
			if assert.NoError(t, err) {
				_, _ = f.WriteString(text[:len(text)/2])
				_, _ = f.WriteString(text[len(text)/2:])
				assert.NoError(t, f.Close())
			}
		case 2: // replaced as a whole
			assert.NoError(t, os.WriteFile(script+".new", []byte(source(version)), 0o644))
			assert.NoError(t, os.Rename(script+".new", script))
		case 3: // removed with everything
			assert.NoError(t, os.RemoveAll(live))
			assert.NoError(t, fill(version))
		case 4: // a folder in its place
			assert.NoError(t, os.Remove(script))
			assert.NoError(t, os.Mkdir(script, 0o755))
			assert.NoError(t, os.Remove(script))
			assert.NoError(t, fill(version))
		case 5: // broken, and a file in the folder's place
			assert.NoError(t, os.WriteFile(script, []byte("var ("), 0o644))
			assert.NoError(t, os.Rename(live, aside))
			assert.NoError(t, os.WriteFile(live, nil, 0o644))
			assert.NoError(t, os.Remove(live))
			assert.NoError(t, os.Rename(aside, live))
		}
	}
	working.Wait()
	t.Logf("200: %d, 404: %d, 500: %d", counts[200].Load(), counts[404].Load(), counts[500].Load())
	assert.Positive(t, counts[200].Load())
	assert.Equal(t, s.served.Load(), sent.Load(), "an answer is lost")

	require.NoError(t, os.WriteFile(script, []byte(`Spark.setScriptData("last", true)`), 0o644))
	testkit.AwaitEdit()
	assert.Equal(t, `{"last":true}`, s.get(t, "script", "").body)
	require.NoError(t, os.RemoveAll(live))
	testkit.AwaitEdit()
	assert.Equal(t, 404, s.get(t, "script", "").status)
	require.NoError(t, fill(7))
	assert.Equal(t, `{"version":"v7"}`, s.get(t, "script", "").body)
}

// A SecretStore and an HTTPDoer fail, panic, hang and are slow at random. Each call
// gets the documented answer by its deadline, and the other calls are not affected.
func TestLoadFaultyHost(t *testing.T) {
	clock := testkit.StartClock(t)
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const (
		deadline   = 2 * time.Second
		overloaded = `{"error":"overloaded"}`
	)
	known := []callback.Secret{callback.NewSecret("s")}
	h := &callback.Handler{
		Timeout: deadline, HTTPTimeout: 20 * time.Millisecond,
		Secrets: storeFunc(func(ctx context.Context, apiKey, credential string) ([]callback.Secret, error) {
			if credential != "faulty" {
				return known, nil
			}
			switch rand.IntN(40) {
			case 0:
				<-ctx.Done()
				return nil, ctx.Err()
			case 1:
				panic("store")
			case 2, 3, 4:
				return nil, errors.New("store is broken")
			}
			return known, nil
		}),
		HTTP: callback.HTTPDoerFunc(func(r *http.Request) (*http.Response, error) {
			switch rand.IntN(5) {
			case 0:
				<-r.Context().Done()
				return nil, r.Context().Err()
			case 1:
				panic("doer")
			case 2:
				return nil, errors.New("doer is broken")
			case 3:
				return nil, nil
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("text"))}, nil
		}),
	}
	s := newLoadServer(t, h, &callback.GojaRunner{MaxRunning: 2}, map[string]string{
		"faulty": `
			var answer = Spark.getHttp("http://upstream.test/").get();
			Spark.setScriptData("text", answer && answer.getResponseString());
		`,
		"sound": `Spark.setScriptData("sound", true)`,
	})
	defer s.close()
	wants := []string{
		`200{"text":"text"}`, `200{"text":null}`, `200{"sound":true}`, // whatever the HTTPDoer does
		`503{"error":"unavailable"}`,   // the store fails or hangs
		`500{"error":"script failed"}`, // the store panics
	}
	var mu sync.Mutex
	got := map[string]int{}
	total := 0
	ctx, cancel := loadContext(t, 0.3, func() bool {
		mu.Lock()
		defer mu.Unlock()
		return !slices.ContainsFunc(wants, func(want string) bool { return got[want] == 0 })
	})
	defer cancel()
	var working sync.WaitGroup
	for c := range 40 {
		working.Go(func() {
			credential := "faulty"
			if c%10 == 0 {
				credential = "sound"
			}
			for ctx.Err() == nil {
				begin := clock.Now()
				a, err := s.call(t.Context(), "GET", credential, "", nil)
				if !assert.NoError(t, err) {
					return
				}
				assert.Less(t, clock.Now()-begin, deadline+lateAfter)
				mu.Lock()
				total++
				got[strconv.Itoa(a.status)+a.body]++
				mu.Unlock()
				if credential == "sound" && a.body != overloaded {
					assert.Equal(t, `{"sound":true}`, a.body)
				}
			}
		})
	}
	working.Wait()
	t.Log(got)
	assert.EqualValues(t, s.served.Load(), total, "an answer is lost")
	for _, want := range wants {
		assert.Positive(t, got[want], want)
		delete(got, want)
	}
	delete(got, "503"+overloaded) // a machine with much else to do: no place in half of the time
	assert.Empty(t, got, "not an answer to expect")
}

// stuckLog blocks a script that logs "stuck". For the script that is a native call
// which no interrupt ends. Unlike a host function it holds the script's place.
type stuckLog struct {
	slog.Handler
	stuck   chan<- struct{}
	release <-chan struct{}
}

func (l stuckLog) Handle(ctx context.Context, r slog.Record) error {
	if r.Message == "stuck" {
		l.stuck <- struct{}{}
		<-l.release
	}
	return l.Handler.Handle(ctx, r)
}

func (l stuckLog) WithAttrs(attrs []slog.Attr) slog.Handler {
	return stuckLog{l.Handler.WithAttrs(attrs), l.stuck, l.release}
}

// Runs that cannot be stopped: their callers get a 504 in time, and their places
// become free. Once there are MaxStuck of them, new calls are refused at once, until
// one ends.
func TestLoadStuckRuns(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	for _, how := range []string{"native", "HostFunc", "HTTPDoer"} {
		t.Run(how, func(t *testing.T) {
			const maxStuck = 3
			stuck, release := make(chan struct{}, 100), make(chan struct{})
			hang := func() { stuck <- struct{}{}; <-release }
			h := &callback.Handler{
				Timeout: time.Hour,
				HTTP: callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
					hang()
					return nil, errors.New("late")
				}),
				Members: callback.Members{"hang": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
					hang()
					return nil, nil
				}}},
			}
			s := newLoadServer(t, h, &callback.GojaRunner{MaxRunning: 1, MaxStuck: maxStuck}, map[string]string{
				"native":   `Spark.getLog().info("stuck")`,
				"HostFunc": `Spark.hang()`,
				"HTTPDoer": `Spark.getHttp("http://upstream.test/").get()`,
				"quick":    `Spark.setScriptData("quick", true)`,
			})
			defer s.close()
			h.Logger = slog.New(stuckLog{h.Logger.Handler(), stuck, release})
			h.StopAbandoned = true // so that a run ends with its deadline
			for range maxStuck {
				assert.Equal(t, 200, s.get(t, "quick", "").status)
				deadline := testkit.NewDeadline(t.Context())
				var abandoned sync.WaitGroup
				abandoned.Go(func() {
					rec := httptest.NewRecorder()
					h.ServeHTTP(rec, httptest.NewRequestWithContext(deadline, "GET", "/callback/E3/"+how+"/s", nil))
					assert.Equal(t, 504, rec.Code)
					assert.Equal(t, `{"error":"script timed out"}`, rec.Body.String())
				})
				<-stuck
				deadline.Pass()
				abandoned.Wait()
			}
			assert.Equal(t, maxStuck, strings.Count(s.log.String(), "still running past its deadline"))
			for _, credential := range []string{"quick", how} {
				a := s.get(t, credential, "")
				assert.Equal(t, 503, a.status)
				assert.Equal(t, `{"error":"overloaded"}`, a.body)
				assert.Equal(t, "1", a.header.Get("Retry-After"))
			}
			assert.Contains(t, s.log.String(), "3 runs are stuck past their deadline")
			close(release)
			require.Eventually(t, func() bool { return s.get(t, "quick", "").status == 200 }, time.Minute, time.Millisecond)
		})
	}
}

// Stuck runs begin and end under load. Every call gets one of the answers of an
// overloaded server. In the end all places are free again.
func TestLoadStuckRunsRecover(t *testing.T) {
	defer goleak.VerifyNone(t, goleak.IgnoreCurrent())
	const deadline = 20 * time.Millisecond
	h := &callback.Handler{
		Timeout: deadline,
		Members: callback.Members{"sleep": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			time.Sleep(deadline + time.Duration(rand.IntN(150))*time.Millisecond) // the fault itself: deaf to its context
			return nil, nil
		}}},
	}
	s := newLoadServer(t, h, &callback.GojaRunner{MaxRunning: 2, MaxQueue: 4, MaxStuck: 4}, map[string]string{
		"sleeps": `Spark.sleep()`,
		"loops":  `for (;;) {}`,
		"native": `Spark.getLog().info("stuck")`,
		"quick":  `Spark.setScriptData("quick", true)`,
	})
	defer s.close()
	var counts [600]atomic.Int64
	var total atomic.Int64
	ctx, cancel := loadContext(t, 0.3, func() bool {
		return counts[200].Load() > 0 && counts[503].Load() > 0 && counts[504].Load() > 0
	})
	defer cancel()
	var working sync.WaitGroup
	for c := range 24 {
		credential := []string{"sleeps", "loops", "quick"}[c%3]
		working.Go(func() {
			for ctx.Err() == nil {
				a, err := s.call(t.Context(), "GET", credential, "", nil)
				if !assert.NoError(t, err) {
					return
				}
				total.Add(1)
				counts[a.status].Add(1)
				switch a.status {
				case 200:
					assert.Contains(t, []string{`{"quick":true}`, `{}`}, a.body)
				case 503:
					assert.Equal(t, "1", a.header.Get("Retry-After"))
				case 504:
				default:
					assert.Fail(t, "not an answer to expect", "%s: %+v", credential, a)
				}
			}
		})
	}
	working.Wait()
	t.Logf("200: %d, 503: %d, 504: %d", counts[200].Load(), counts[503].Load(), counts[504].Load())
	assert.Equal(t, s.served.Load(), total.Load(), "an answer is lost")
	for _, status := range []int{200, 503, 504} {
		assert.Positive(t, counts[status].Load(), status)
	}
	h.Timeout = time.Hour
	require.Eventually(t, func() bool { return s.get(t, "quick", "").status == 200 }, time.Minute, time.Millisecond)
	// No place is lost: as many calls run at once as before.
	stuck, release := make(chan struct{}), make(chan struct{})
	h.Logger = slog.New(stuckLog{slog.NewTextHandler(io.Discard, nil), stuck, release})
	var both sync.WaitGroup
	for range 2 {
		both.Go(func() { assert.Equal(t, 200, s.get(t, "native", "").status) })
	}
	for range 2 {
		select {
		case <-stuck:
		case <-time.After(time.Minute):
			assert.Fail(t, "a place is lost")
		}
	}
	close(release)
	both.Wait()
}

// A script cannot fill the host's disk: the lines that it makes the library log are
// bounded, as its own lines are.
func TestLoadLogFlood(t *testing.T) {
	t.Parallel()
	const lines, bytes = 2000, 32 << 20 // some more than a run's own lines, of 16 KiB each
	for name, script := range map[string]string{
		"log":                     `for (var i = 0; i < 4000; i++) Spark.getLog().info(i)`,
		"long log":                `var text = new Array(1e5).join("x"); for (var i = 0; i < 4000; i++) Spark.getLog().info(text)`,
		"requests past the limit": `for (var i = 0; i < 4000; i++) Spark.getHttp("http://upstream.test/").get()`,
		"broken URLs":             `for (var i = 0; i < 4000; i++) Spark.getHttp("x:").get()`,
		"answers that are no XML": `var answer = Spark.getHttp("http://upstream.test/").get(); for (var i = 0; i < 4000; i++) answer.getResponseXml()`,
		"members that panic":      `for (var i = 0; i < 4000; i++) try { Spark.panics() } catch (e) {}`,
		"members without JSON":    `for (var i = 0; i < 4000; i++) try { Spark.noJSON() } catch (e) {}`,
		"bad headers":             `for (var h = {}, i = 0; i < 4000; i++) h["a b" + i] = i; Spark.setScriptData("RESPONSE_HEADERS", h)`,
		"bad header values":       `for (var h = [], i = 0; i < 4000; i++) h.push("\n"); Spark.setScriptData("RESPONSE_HEADERS", {h: h})`,
		"too many headers":        `for (var h = [], i = 0; i < 4000; i++) h.push(i); Spark.setScriptData("RESPONSE_HEADERS", {h: h})`,
		"long header name":        `var h = {}; h[new Array(3e6).join("\u00e9")] = 1; Spark.setScriptData("RESPONSE_HEADERS", h)`,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			h, log := outboundHandler(t, script, callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
				return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("<"))}, nil
			}))
			h.Members = callback.Members{
				"panics": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { panic("member") }},
				"noJSON": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { return func() {}, nil }},
			}
			h.Timeout = time.Minute
			rec := callHello(h)
			assert.Equal(t, 200, rec.Code, rec.Body)
			assert.NotEmpty(t, log.String())
			assert.LessOrEqual(t, strings.Count(log.String(), "level="), lines)
			limit := bytes
			if name == "long header name" {
				limit = 64 << 10 // it is one line
			}
			assert.LessOrEqual(t, len(log.String()), limit)
		})
	}
}
