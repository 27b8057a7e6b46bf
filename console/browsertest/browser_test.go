package browsertest

import (
	"context"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/cdproto/log"
	"github.com/chromedp/cdproto/network"
	"github.com/chromedp/cdproto/page"
	"github.com/chromedp/cdproto/runtime"
	"github.com/chromedp/chromedp"
	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/console"
)

var scripts = fstest.MapFS{
	"callbacks/hello.js":  {Data: []byte("Spark.getLog().info('greets', {name: Spark.getData().name});\nSpark.setScriptData('hello', Spark.getData().name || 'world');\n"), ModTime: time.Unix(1, 0)},
	"callbacks/broken.js": {Data: []byte("// Reads the player.\nvar player = null;\nSpark.getLog().warn('about to fail');\nplayer.getPlayerId();\n"), ModTime: time.Unix(1, 0)},
	"callbacks/github.js": {Data: []byte("var d = Spark.getData();\nSpark.setScriptData('signature', d.REQUEST_HEADERS['x-hub-signature-256'].slice(0, 7));\nSpark.setScriptData('ref', JSON.parse(d.REQUEST_BODY).ref);\n"), ModTime: time.Unix(1, 0)},
	"callbacks/typo.js":   {Data: []byte("Spark.setScriptdata('a', 1);\n"), ModTime: time.Unix(1, 0)},
	"callbacks/html.js":   {Data: []byte("Spark.setScriptData('RESPONSE_RAW', '<img src=x onerror=alert(1)><script>alert(2)</script>');\n"), ModTime: time.Unix(1, 0)},
	"callbacks/now.js":    {Data: []byte("Spark.setScriptData('at', Spark.tick());\n"), ModTime: time.Unix(1, 0)},
	"modules/MONEY.js":    {Data: []byte("var cents = 100;\n"), ModTime: time.Unix(1, 0)},
}

// A site is a host with a console.
type site struct {
	handler *callback.Handler
	console *console.Console
	url     string
}

func newSite(t *testing.T) *site {
	ticks := 0
	h := &callback.Handler{
		Runner:         &callback.GojaRunner{Scripts: scripts},
		Secrets:        callback.SecretMap{"KEY/hello": "s3cret", "KEY/broken": "s3cret", "KEY/html": "s3cret", "KEY/now": "s3cret"},
		RequestHeaders: []string{"X-Hub-Signature-256"},
		KeepBodies:     1 << 20, KeepLog: 1 << 16,
		Logger: slog.New(slog.DiscardHandler),
		Members: callback.Members{"tick": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			ticks++
			return ticks, nil
		}}},
	}
	c := &console.Console{
		Handler:  h,
		Recorder: &callback.Recorder{MaxRuns: 10_000, Requests: true},
		Trees: func(context.Context) ([]console.Tree, error) {
			return []console.Tree{{APIKey: "KEY", FS: scripts}}, nil
		},
		Queue: new(queue),
	}
	h.Observe = c.Observe
	server := httptest.NewServer(c)
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
	})
	return &site{h, c, server.URL}
}

func (s *site) call(path string) {
	s.handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/callback/KEY/"+path, nil))
}

// A queue has three dead jobs. A retry or a drop removes the first of them. The last
// one has no version.
type queue struct {
	mu    sync.Mutex
	done  []string
	gate  chan struct{} // if not nil, Jobs waits until it is closed
	asked int           // calls of Jobs since the gate was set
}

// block makes Jobs wait until open is called.
func (q *queue) block() (open func()) {
	q.mu.Lock()
	defer q.mu.Unlock()
	gate := make(chan struct{})
	q.gate, q.asked = gate, 0
	return sync.OnceFunc(func() { close(gate) })
}

func (q *queue) calls() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.asked
}

func (q *queue) Jobs(ctx context.Context, _ int) ([]console.Job, map[string]int, error) {
	q.mu.Lock()
	gate := q.gate
	q.asked++
	q.mu.Unlock()
	if gate != nil {
		select {
		case <-gate:
		case <-ctx.Done():
		}
	}
	q.mu.Lock()
	defer q.mu.Unlock()
	var jobs []console.Job
	for i := len(q.done) + 1; i <= 3; i++ {
		jobs = append(jobs, console.Job{ID: fmt.Sprint(i), Run: fmt.Sprint("run-", i), State: "dead", APIKey: "KEY", Credential: "hello", Version: []string{"v1", "v1", ""}[i-1],
			Accepted: time.Unix(1e9, 0), Attempts: 5, MaxAttempts: 5, Error: "script timed out"})
	}
	return jobs, map[string]int{"dead": len(jobs)}, nil
}

func (q *queue) Job(context.Context, string) (*console.JobDetails, error) {
	return &console.JobDetails{Errors: []console.JobError{{Attempt: 1, Error: "the first error"}}}, nil
}

func (q *queue) Retry(_ context.Context, id string, live bool) error {
	return q.end(fmt.Sprint("retry ", id, " live ", live))
}

func (q *queue) Drop(_ context.Context, id string) error { return q.end("drop " + id) }

func (q *queue) end(how string) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.done = append(q.done, how)
	return nil
}

// A tab is a tab of the browser. What the page logs as an error, and every
// request to another origin, fails the test.
type tab struct {
	t    *testing.T
	ctx  context.Context
	site *site

	checks int      // of axe-core
	faults []string // that axe-core has found
}

// step runs a subtest of t in the tab.
func (b *tab) step(t *testing.T, name string, run func(t *testing.T)) {
	t.Run(name, func(t *testing.T) {
		b.t = t
		run(t)
	})
}

// axe is the script of axe-core, which finds faults of accessibility, or empty.
var axe = func() string {
	text, _ := os.ReadFile("node_modules/axe-core/axe.min.js") // accessible tells that it is missing
	return string(text)
}()

func newTab(t *testing.T, s *site) *tab {
	path := "/usr/bin/chromium"
	if _, err := os.Stat(path); err != nil {
		t.Skip("needs Debian's chromium")
	}
	options := append(chromedp.DefaultExecAllocatorOptions[:], chromedp.ExecPath(path), chromedp.NoSandbox,
		chromedp.Flag("disable-quic", true), chromedp.Flag("disable-component-update", true), chromedp.WindowSize(1280, 850))
	ctx, cancel := context.WithTimeout(context.Background(), 90*time.Second)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, options...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	chromedp.ListenTarget(ctx, func(event any) {
		switch e := event.(type) {
		case *runtime.EventExceptionThrown:
			t.Errorf("the page threw: %s", e.ExceptionDetails.Error())
		case *log.EventEntryAdded:
			if e.Entry.Level == log.LevelError && !strings.Contains(e.Entry.URL, "/api/") {
				t.Errorf("the browser logged: %s %s", e.Entry.Text, e.Entry.URL)
			}
		case *network.EventRequestWillBeSent:
			if url := e.Request.URL; !strings.HasPrefix(url, s.url) && !strings.HasPrefix(url, "blob:"+s.url) {
				t.Errorf("the page asked for %s", url)
			}
		}
	})
	tab := &tab{t: t, ctx: ctx, site: s}
	// The context of the first Run is the browser's.
	require.NoError(t, chromedp.Run(ctx, log.Enable(), network.Enable(), chromedp.ActionFunc(func(ctx context.Context) error {
		_, err := page.AddScriptToEvaluateOnNewDocument(axe).Do(ctx)
		return err
	})))
	return tab
}

func (tab *tab) run(actions ...chromedp.Action) {
	tab.t.Helper()
	ctx, cancel := context.WithTimeout(tab.ctx, 20*time.Second)
	defer cancel()
	if err := chromedp.Run(ctx, actions...); err != nil {
		tab.shot("failure")
		require.NoError(tab.t, err)
	}
}

func (tab *tab) open(fragment string) {
	tab.t.Helper()
	tab.run(chromedp.Navigate(tab.site.url+"/#"+fragment), chromedp.WaitVisible(".live.on", chromedp.ByQuery))
}

// tryScript opens Try with a script chosen.
func (tab *tab) tryScript(credential string) {
	tab.t.Helper()
	tab.open("/try?apiKey=KEY&credential=" + credential)
	chosen := fmt.Sprintf(`document.querySelector("#try-target")?.value === JSON.stringify(["KEY", %q])`, credential)
	tab.run(chromedp.Poll(chosen, nil, chromedp.WithPollingInterval(50*time.Millisecond)))
}

// sees waits until the page shows a text.
func (tab *tab) sees(text string) {
	tab.t.Helper()
	tab.run(chromedp.Poll(fmt.Sprintf("document.body.innerText.includes(%q)", text), nil, chromedp.WithPollingInterval(50*time.Millisecond)))
}

// press clicks the button or the link with a text. While a dialog is open, it
// looks only in the dialog.
func (tab *tab) press(text string) {
	tab.t.Helper()
	var pressed bool
	tab.run(chromedp.Poll(fmt.Sprintf(`(() => {
		const root = document.querySelector("dialog[open]") || document;
		const found = [...root.querySelectorAll("button, a")].find((el) => el.innerText.trim() === %q && el.checkVisibility());
		found?.click();
		return Boolean(found);
	})()`, text), &pressed, chromedp.WithPollingInterval(50*time.Millisecond)))
}

func (tab *tab) value(selector, value string) {
	tab.t.Helper()
	tab.run(chromedp.Evaluate(fmt.Sprintf(`(() => { const el = document.querySelector(%q); el.value = %q; el.dispatchEvent(new Event("input", {bubbles: true})); el.dispatchEvent(new Event("change", {bubbles: true})); })()`, selector, value), nil))
}

// view takes a screenshot of the page and has axe-core check it, in the light and
// in the dark theme.
func (tab *tab) view(name string) {
	tab.t.Helper()
	tab.shot(name)
	if axe == "" {
		return
	}
	var found []string
	tab.run(chromedp.Evaluate(`(async () => {
		const root = document.documentElement, before = root.dataset.theme, found = [];
		for (const theme of ["light", "dark"]) {
			root.dataset.theme = theme;
			const report = await axe.run(document, theme === "dark" ? {runOnly: ["color-contrast"]} : {});
			for (const v of report.violations) {
				for (const node of v.nodes) found.push(theme + ": " + v.id + ": " + node.html + ": " + node.failureSummary);
			}
		}
		if (before) root.dataset.theme = before; else delete root.dataset.theme;
		return found;
	})()`, &found, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
	tab.checks++
	for _, fault := range found {
		tab.faults = append(tab.faults, name+", "+fault)
	}
}

// accessible fails if view has found a fault.
func (tab *tab) accessible(t *testing.T) {
	if axe == "" {
		t.Skip("no axe-core: run npm ci in console/browsertest")
	}
	require.NotZero(t, tab.checks)
	require.Empty(t, tab.faults)
}

// shot saves a screenshot in the folder CONSOLE_SCREENSHOTS, if that is set.
func (tab *tab) shot(name string) {
	dir := os.Getenv("CONSOLE_SCREENSHOTS")
	if dir == "" {
		return
	}
	ctx, cancel := context.WithTimeout(tab.ctx, 20*time.Second)
	defer cancel()
	var png []byte
	if chromedp.Run(ctx, chromedp.CaptureScreenshot(&png)) == nil {
		_ = os.MkdirAll(dir, 0o755)
		_ = os.WriteFile(filepath.Join(dir, name+".png"), png, 0o644)
	}
}

func TestConsole(t *testing.T) {
	s := newSite(t)
	for range 5 {
		s.call("hello/s3cret?name=Ada")
		s.call("broken/s3cret")
	}
	tab := newTab(t, s)

	tab.step(t, "scripts", func(t *testing.T) {
		tab.open("/scripts")
		tab.sees("/callback/KEY/hello/•••")
		tab.sees("1 problem")
		tab.sees("MONEY")
		tab.view("scripts")
		tab.press("typo")
		tab.sees("Spark.setScriptdata('a', 1);")
		tab.view("source")
		tab.press("← Scripts")
		tab.sees("Credential")
	})
	tab.step(t, "try", func(t *testing.T) {
		tab.tryScript("hello")
		tab.sees("The answer will be here.")
		tab.value("#try-query", "name=Grace")
		tab.press("Send")
		tab.sees(`{"hello":"Grace"}`)
		tab.sees("greets")
		tab.view("try")
		tab.press("Pretty")
		tab.sees(`"hello": "Grace"`)
		tab.press("Copy as curl")
		tab.run(chromedp.Sleep(200 * time.Millisecond))
		tab.run(chromedp.Evaluate(`document.querySelector("dialog.wide")?.close()`, nil))
	})
	tab.step(t, "try a provider's webhook", func(t *testing.T) {
		tab.tryScript("github")
		tab.value("#try-preset", "github")
		tab.press("Send")
		tab.sees(`"signature":"sha256="`)
		tab.sees(`refs/heads/main`)
		tab.view("try-github")
		tab.value("#try-preset", "")
	})
	tab.step(t, "an error shows its source", func(t *testing.T) {
		tab.tryScript("broken")
		tab.press("Send")
		tab.sees("callbacks/broken.js:4:")
		tab.sees("player.getPlayerId();")
		tab.sees("about to fail")
		tab.view("error")
	})
	tab.step(t, "what a script answers is shown as text", func(t *testing.T) {
		tab.tryScript("html")
		tab.press("Send")
		tab.sees("<img src=x onerror=alert(1)>")
	})
	tab.step(t, "runs, live", func(t *testing.T) {
		tab.open("/runs")
		tab.sees("script error")
		s.call("now/s3cret")
		tab.sees("now")
		tab.view("runs")
		tab.value(`input[type=search]`, "now.js") // no run's id can match
		tab.sees("1 of ")
		tab.run(chromedp.KeyEvent("j"))
		tab.run(chromedp.Evaluate(`document.activeElement.blur()`, nil), chromedp.KeyEvent("j"))
		tab.sees(`{"at":1}`)
		tab.view("run")
		tab.press("Replay")
		tab.sees("The answer differs")
		tab.view("replay")
		tab.press("← The recorded run")
		tab.press("Save as case")
		tab.sees("-- request --")
		tab.view("case")
		tab.press("Close")
		tab.value(`input[type=search]`, "")
	})
	tab.step(t, "queue", func(t *testing.T) {
		tab.open("/queue")
		tab.sees("script timed out")
		tab.view("queue")
		tab.press("Retry")
		tab.sees("2 dead")
		tab.press("Retry live")
		tab.sees("1 dead")
		tab.sees("Retry")
		var choice bool
		tab.run(chromedp.Evaluate(`document.body.innerText.includes("Retry live")`, &choice))
		require.False(t, choice, "a job without a version runs what is live")
		tab.press("Drop")
		tab.sees("Nothing waits")
		require.Equal(t, []string{"retry 1 live false", "retry 2 live true", "drop 3"}, s.console.Queue.(*queue).done)
	})
	tab.step(t, "slow queue", func(t *testing.T) {
		q := s.console.Queue.(*queue)
		tab.open("/scripts")
		// The page asks every 20 ms instead of every five seconds.
		tab.run(chromedp.Evaluate(`for (const name of ["setTimeout", "setInterval"]) {
			const original = window[name];
			window[name] = (f, ms) => original(f, ms === 5000 ? 20 : ms);
		}
		window.asking = 0; // requests under way, because a browser may delay a second one for the same URL
		const fetchFirst = window.fetch;
		window.fetch = (...args) => {
			window.asking++;
			return fetchFirst(...args).finally(() => window.asking--);
		};
		location.hash = "#/queue"`, nil))
		tab.sees(" dead")
		open := q.block()
		defer open()
		require.Eventually(t, func() bool { return q.calls() > 0 }, 20*time.Second, 5*time.Millisecond)
		var asking int
		tab.run(chromedp.Evaluate(`(async () => {
			for (let i = 0; i < 20; i++) await new Promise((done) => setTimeout(done, 20));
			return window.asking;
		})()`, &asking, func(p *runtime.EvaluateParams) *runtime.EvaluateParams { return p.WithAwaitPromise(true) }))
		require.Equal(t, 1, asking, "a draw waits for the one before")
		open()
		require.Eventually(t, func() bool { return q.calls() > 2 }, 20*time.Second, 5*time.Millisecond, "and the next one follows")
		tab.run(chromedp.Reload()) // gives the page its own clock again
	})
	tab.step(t, "theme and help", func(t *testing.T) {
		tab.open("/scripts")
		tab.press("Theme: system")
		tab.sees("Theme: dark")
		tab.view("dark")
		tab.press("Theme: dark")
		tab.press("Theme: light")
		tab.sees("Theme: system")
		tab.press("?")
		tab.sees("Keyboard")
		tab.view("help")
		tab.press("Close")
	})
	tab.step(t, "phone", func(t *testing.T) {
		tab.run(emulation.SetDeviceMetricsOverride(390, 844, 1, true))
		for _, view := range []string{"scripts", "try", "runs"} {
			tab.open("/" + view)
			tab.run(chromedp.Sleep(300 * time.Millisecond))
			var wide bool
			tab.run(chromedp.Evaluate(`document.documentElement.scrollWidth > document.documentElement.clientWidth + 1`, &wide))
			require.False(t, wide, "%s is wider than the phone", view)
			tab.view("phone-" + view)
		}
		tab.run(emulation.ClearDeviceMetricsOverride())
	})
	t.Run("accessibility", tab.accessible)
}

// Ten thousand runs: the list has a few rows in the page, and scrolls to the last.
func TestManyRuns(t *testing.T) {
	s := newSite(t)
	for n := range 10_000 {
		s.console.Observe(context.Background(), &callback.Run{
			Call: &callback.Call{APIKey: "KEY", Credential: "hello", RunID: fmt.Sprint("run-", n)}, Start: time.Now(), Status: http.StatusOK, Outcome: callback.OutcomeOK,
		})
	}
	tab := newTab(t, s)
	tab.open("/runs")
	tab.sees("10000 runs")
	var rows int
	tab.run(chromedp.Evaluate(`document.querySelectorAll(".item").length`, &rows))
	require.Less(t, rows, 100)
	tab.run(chromedp.Evaluate(`document.querySelector(".list").scrollTop = 1e9`, nil),
		chromedp.WaitReady(`.item[href="#/runs/run-0"]`, chromedp.ByQuery))
}
