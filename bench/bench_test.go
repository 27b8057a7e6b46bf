package bench

import (
	"fmt"
	"net/http"
	"net/http/httptrace"
	"os"
	"testing"

	"example.com/callback"
	"example.com/callback/bench/internal/work"
	"example.com/callback/sandbox"
)

func TestMain(m *testing.M) {
	work.Main()
	sandbox.Main()
	if order := os.Getenv(dialEnv); order != "" {
		if err := dialMany(order); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// BenchmarkWorkloads runs W1 to W6 with every variant. The times depend on the
// load of the machine; for ratios see cmd/ratios.
func BenchmarkWorkloads(b *testing.B) {
	upstream := work.Upstream()
	defer upstream.Close()
	for _, w := range work.All(upstream.URL) {
		for _, v := range work.VariantsOf(w) {
			b.Run(w.Name+"/"+v.Name, func(b *testing.B) {
				h, err := v.New(w, b.TempDir())
				if err != nil {
					b.Fatal(err)
				}
				defer work.Close(h)
				benchmark(b, w.NewClient(h))
			})
		}
	}
}

func benchmark(b *testing.B, c *work.Client) {
	b.Helper()
	if status := c.Do(); status != http.StatusOK {
		_, body := c.Answer()
		b.Fatalf("status %d: %s", status, body)
	}
	b.ReportAllocs()
	for b.Loop() {
		c.Do()
	}
}

// Outbound connections are reused: W5 makes all of its calls over one.
func TestConnectionReuse(t *testing.T) {
	upstream := work.Upstream()
	defer upstream.Close()
	w := work.ByName(work.All(upstream.URL), "W5")
	client := &callback.HTTPClient{DangerouslyAllowPrivate: true}
	defer client.CloseIdleConnections()
	var reused, opened int
	h := work.NewHandler(work.MapFS(w.Files))
	h.HTTP = callback.HTTPDoerFunc(func(r *http.Request) (*http.Response, error) {
		trace := &httptrace.ClientTrace{GotConn: func(info httptrace.GotConnInfo) {
			if info.Reused {
				reused++
			} else {
				opened++
			}
		}}
		return client.Do(r.WithContext(httptrace.WithClientTrace(r.Context(), trace)))
	})
	c := w.NewClient(h)
	const calls = 200
	for range calls {
		if status := c.Do(); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
	}
	t.Logf("%d calls: %d connections opened, %d times one was reused", calls, opened, reused)
	// Some connections return to the pool only after the next call has begun.
	if opened > calls/20 || opened+reused != calls {
		t.Errorf("%d calls opened %d connections and reused %d times", calls, opened, reused)
	}
}
