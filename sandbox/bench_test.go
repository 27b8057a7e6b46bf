package sandbox_test

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/sandbox"
)

// The work of a small webhook: read the data, answer with some of it.
const webhook = `
var data = Spark.getData();
var name = data.name || "world";
Spark.setScriptData("hello", name);
Spark.setScriptData("list", [1, 2, 3]);
Spark.setScriptData("echo", {id: data.id, at: "x"});
`

func webhookTree() fs.FS { return tree("callbacks/hello.js", webhook) }

// runWebhook runs the script once and nothing else.
func runWebhook(r callback.ScriptRunner) error {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	_, err := r.RunScript(ctx, &callback.Call{
		APIKey: "E300018ZDdAx", Credential: "hello", RunID: "r", ClientIP: "192.0.2.1",
		Data: []callback.Param{{Name: "name", Values: []string{"bob"}}, {Name: "id", Values: []string{"42"}}},
	})
	return err
}

func BenchmarkInProcess(b *testing.B) { benchmarkOne(b, &callback.GojaRunner{Scripts: webhookTree()}) }

func BenchmarkSandbox(b *testing.B) {
	r := &sandbox.Runner{Scripts: webhookTree()}
	defer r.Close()
	require.NoError(b, r.Start(b.Context()))
	benchmarkOne(b, r)
}

func benchmarkOne(b *testing.B, r callback.ScriptRunner) {
	b.ReportAllocs()
	for b.Loop() {
		require.NoError(b, runWebhook(r))
	}
}

// BenchmarkRatio compares the runners in turns, so that other load of the machine
// affects both in the same way. "script" runs the script alone. "server" makes calls
// to a server, with the clients in the same process.
func BenchmarkRatio(b *testing.B) {
	inProcess := &callback.GojaRunner{Scripts: webhookTree()}
	sandboxed := &sandbox.Runner{Scripts: webhookTree()}
	defer sandboxed.Close()
	require.NoError(b, sandboxed.Start(b.Context()))

	script := func(r callback.ScriptRunner) func() error {
		return func() error { return runWebhook(r) }
	}
	server := func(r callback.ScriptRunner) func() error {
		server := httptest.NewServer(&callback.Handler{
			Runner:  r,
			Secrets: callback.SecretMap{"E300018ZDdAx/hello": "s3cret"},
			Logger:  slog.New(slog.DiscardHandler),
		})
		b.Cleanup(server.Close)
		transport := &http.Transport{MaxIdleConnsPerHost: 64}
		b.Cleanup(transport.CloseIdleConnections)
		client := &http.Client{Transport: transport}
		return func() error {
			resp, err := client.Get(server.URL + "/callback/E300018ZDdAx/hello/s3cret?name=bob&id=42")
			if err != nil {
				return err
			}
			defer resp.Body.Close()
			_, err = io.Copy(io.Discard, resp.Body)
			return err
		}
	}
	for name, what := range map[string]func(callback.ScriptRunner) func() error{"script": script, "server": server} {
		both := []func() error{what(inProcess), what(sandboxed)}
		for _, callers := range []int{1, 2, 8, 32} {
			b.Run(fmt.Sprintf("%s/%d", name, callers), func(b *testing.B) {
				var p50s, rates [2][]float64
				for b.Loop() {
					for i, f := range both {
						p50, rate := measure(b, f, callers, 4000)
						p50s[i] = append(p50s[i], float64(p50.Nanoseconds())/1e3)
						rates[i] = append(rates[i], rate)
					}
				}
				b.ReportMetric(median(p50s[0]), "µs-p50-in-process")
				b.ReportMetric(median(p50s[1])-median(p50s[0]), "µs-p50-more")
				b.ReportMetric(median(rates[0]), "in-process/s")
				b.ReportMetric(median(rates[1])/median(rates[0]), "rate-ratio")
				b.ReportMetric(0, "ns/op")
			})
		}
	}
}

func measure(b *testing.B, f func() error, callers, calls int) (p50 time.Duration, perSecond float64) {
	times := make([][]time.Duration, callers)
	var group sync.WaitGroup
	began := time.Now()
	for i := range callers {
		group.Go(func() {
			for range calls / callers {
				start := time.Now()
				if err := f(); err != nil {
					b.Error(err)
					return
				}
				times[i] = append(times[i], time.Since(start))
			}
		})
	}
	group.Wait()
	took := time.Since(began)
	all := slices.Concat(times...)
	slices.Sort(all)
	return all[len(all)/2], float64(len(all)) / took.Seconds()
}

func median(v []float64) float64 {
	slices.Sort(v)
	return v[len(v)/2]
}
