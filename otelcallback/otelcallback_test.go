package otelcallback_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"os"
	"strings"
	"sync"
	"testing"
	"testing/fstest"
	"testing/iotest"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/bridges/otelslog"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	promexporter "go.opentelemetry.io/otel/exporters/prometheus"
	sdklog "go.opentelemetry.io/otel/sdk/log"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/metric/metricdata"
	"go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"
	collectormetrics "go.opentelemetry.io/proto/otlp/collector/metrics/v1"
	collectortrace "go.opentelemetry.io/proto/otlp/collector/trace/v1"
	"google.golang.org/protobuf/proto"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/deferred/queuetest"
	"example.com/callback/otelcallback"
	"example.com/callback/sandbox"
)

const target = "/callback/zq9key/pay/zq9secret/zq9player?token=zq9token"

func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}

// A bench is an instrumented Handler with exporters in memory.
type bench struct {
	*callback.Handler
	spans    *tracetest.InMemoryExporter
	tracers  *trace.TracerProvider
	reader   *metric.ManualReader
	observed chan *callback.Run
	run      *callback.Run // of the last post
}

func newBench(t *testing.T, script string, change func(*callback.Handler, *otelcallback.Options)) *bench {
	t.Helper()
	b := &bench{spans: tracetest.NewInMemoryExporter(), reader: metric.NewManualReader(), observed: make(chan *callback.Run, 100)}
	b.tracers = trace.NewTracerProvider(trace.WithSyncer(b.spans))
	b.Handler = &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/pay.js": {Data: []byte(script)}}},
		Secrets: callback.SecretMap{"zq9key/pay": "zq9secret", "zq9key/": "zq9server"},
		Logger:  slog.New(slog.DiscardHandler),
		Observe: func(_ context.Context, run *callback.Run) { b.observed <- run },
	}
	o := otelcallback.Options{TracerProvider: b.tracers, MeterProvider: metric.NewMeterProvider(metric.WithReader(b.reader))}
	if change != nil {
		change(b.Handler, &o)
	}
	require.NoError(t, otelcallback.Instrument(b.Handler, o))
	return b
}

// post calls the Handler below a span of a request and waits until it is observed.
func (b *bench) post(path, body string) *httptest.ResponseRecorder {
	return b.postFrom(context.Background(), path, strings.NewReader(body))
}

func (b *bench) postFrom(ctx context.Context, path string, body io.Reader) *httptest.ResponseRecorder {
	ctx, request := b.tracers.Tracer("test").Start(ctx, "request")
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequest(http.MethodPost, path, body).WithContext(ctx))
	b.run = <-b.observed
	request.End()
	return w
}

// span returns the span of a name.
func (b *bench) span(t *testing.T, name string) tracetest.SpanStub {
	t.Helper()
	for _, span := range b.spans.GetSpans() {
		if span.Name == name {
			return span
		}
	}
	require.FailNow(t, "no span", name)
	return tracetest.SpanStub{}
}

func attrs(list []attribute.KeyValue) map[string]string {
	m := map[string]string{}
	for _, a := range list {
		m[string(a.Key)] = a.Value.String()
	}
	return m
}

// points returns the data points of a metric by their attributes: the sum, or the
// number of a histogram.
func (b *bench) points(t *testing.T, name string) map[string]float64 {
	t.Helper()
	var data metricdata.ResourceMetrics
	require.NoError(t, b.reader.Collect(context.Background(), &data))
	points := map[string]float64{}
	for _, s := range data.ScopeMetrics {
		for _, m := range s.Metrics {
			if m.Name != name {
				continue
			}
			switch d := m.Data.(type) {
			case metricdata.Histogram[float64]:
				for _, p := range d.DataPoints {
					points[fmt.Sprint(attrs(p.Attributes.ToSlice()))] = float64(p.Count)
				}
			case metricdata.Sum[int64]:
				for _, p := range d.DataPoints {
					points[fmt.Sprint(attrs(p.Attributes.ToSlice()))] = float64(p.Value)
				}
			}
		}
	}
	return points
}

// TestOutcomes: each kind of outcome has the right Run, the right span and the right
// metric.
func TestOutcomes(t *testing.T) {
	fails := func(err error) func(*callback.Handler, *otelcallback.Options) {
		return func(h *callback.Handler, _ *otelcallback.Options) {
			h.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) { return nil, err })
		}
	}
	for _, test := range []struct {
		name    string
		script  string
		change  func(*callback.Handler, *otelcallback.Options)
		path    string
		status  int
		outcome callback.Outcome
		failed  bool
		more    map[string]string // attributes
		gone    bool              // the caller has gone
		body    io.Reader
		check   func(t *testing.T, run *callback.Run)
	}{
		{name: "oversized answer", script: `Spark.setScriptData("RESPONSE_RAW", "zq9answer")`, change: func(h *callback.Handler, _ *otelcallback.Options) { h.MaxResponse = 8 },
			status: 500, outcome: callback.OutcomeScriptError, failed: true, more: map[string]string{"code.file.path": "callbacks/pay.js"}},
		{name: "syntax error", script: "\n  var = 1", status: 500, outcome: callback.OutcomeScriptError, failed: true,
			more: map[string]string{"code.file.path": "callbacks/pay.js", "code.line.number": "2"}},
		{name: "missing module", script: `require("NONE")`, status: 500, outcome: callback.OutcomeScriptError, failed: true,
			more: map[string]string{"code.file.path": "callbacks/pay.js", "code.line.number": "1"}},
		{name: "bad headers", script: `Spark.setScriptData("RESPONSE_HEADERS", {"Upgrade": "zq9"})`, status: 200, outcome: callback.OutcomeOK,
			check: func(t *testing.T, run *callback.Run) { require.Equal(t, 1, run.LogLines) }},
		{name: "no place", change: func(h *callback.Handler, _ *otelcallback.Options) { h.MaxInFlight = -1 },
			status: 503, outcome: callback.OutcomeOverloaded, failed: true},
		{name: "not admitted", change: func(h *callback.Handler, _ *otelcallback.Options) {
			h.Admit = func(context.Context, *callback.Call) (func(), error) { return nil, errors.New("zq9down") }
		}, status: 503, outcome: callback.OutcomeUnavailable, failed: true},
		{name: "caller left", gone: true, change: func(h *callback.Handler, _ *otelcallback.Options) {
			h.StopAbandoned = true
			h.Runner = callback.ScriptRunnerFunc(func(ctx context.Context, _ *callback.Call) (*callback.Result, error) { return nil, ctx.Err() })
		}, status: 503, outcome: callback.OutcomeCanceled, failed: true},
		{name: "dropped body", body: iotest.ErrReader(io.ErrUnexpectedEOF), status: 400, outcome: callback.OutcomeBadRequest},
		{name: "panic in a member", script: `Spark.charge()`, change: func(h *callback.Handler, _ *otelcallback.Options) {
			h.Members = callback.Members{"charge": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) { panic("zq9panic") }}}
		}, status: 500, outcome: callback.OutcomeScriptError, failed: true,
			more: map[string]string{"code.file.path": "callbacks/pay.js", "code.line.number": "1"},
			check: func(t *testing.T, run *callback.Run) {
				require.Len(t, run.Functions, 1)
				require.EqualError(t, run.Functions[0].Err, "callback: panic in a host function")
			}},
		{name: "broken source", change: func(h *callback.Handler, _ *otelcallback.Options) {
			h.Runner = &callback.GojaRunner{Source: sourceFunc(func() (callback.Tree, error) { return callback.Tree{}, errors.New("zq9source") })}
		}, status: 503, outcome: callback.OutcomeUnavailable, failed: true},
		{name: "ok", status: 200, outcome: callback.OutcomeOK},
		{name: "status of the script", script: `Spark.setScriptData("RESPONSE_STATUS", 404)`, status: 404, outcome: callback.OutcomeOK},
		{name: "throws", script: "\nthrow new Error('zq9message')", status: 500, outcome: callback.OutcomeScriptError, failed: true,
			more: map[string]string{"code.file.path": "callbacks/pay.js", "code.line.number": "2"}},
		{name: "bad status", script: `Spark.setScriptData("RESPONSE_STATUS", 99)`, status: 500, outcome: callback.OutcomeScriptError, failed: true},
		{name: "timeout", script: `for (;;) {}`, change: func(h *callback.Handler, _ *otelcallback.Options) { h.Timeout = 30 * time.Millisecond },
			status: 504, outcome: callback.OutcomeTimeout, failed: true},
		{name: "no script", path: "/callback/zq9key/zq9server", status: 404, outcome: callback.OutcomeNoScript},
		{name: "overloaded", change: fails(callback.ErrOverloaded), status: 503, outcome: callback.OutcomeOverloaded, failed: true},
		{name: "unavailable", change: fails(callback.ErrUnavailable), status: 503, outcome: callback.OutcomeUnavailable, failed: true},
		{name: "no runner", change: func(h *callback.Handler, _ *otelcallback.Options) { h.Runner = nil },
			status: 500, outcome: callback.OutcomeInternal, failed: true},
		{name: "no version", change: func(h *callback.Handler, _ *otelcallback.Options) {
			h.Runner = &callback.GojaRunner{Source: sourceFunc(func() (callback.Tree, error) { return callback.Tree{}, callback.ErrNoVersion })}
		}, status: 500, outcome: callback.OutcomeInternal, failed: true},
		{name: "any other error of a runner", change: fails(errors.New("zq9error")), status: 500, outcome: callback.OutcomeInternal, failed: true},
		{name: "deferred", script: "// callback: deferred", change: deferTo(new(queuetest.Memory)), status: 202, outcome: callback.OutcomeOK,
			check: func(t *testing.T, run *callback.Run) {
				require.Equal(t, "callbacks/pay.js", run.Script)
				require.Equal(t, "v1", run.Version)
			}},
		{name: "queue down", script: "// callback: deferred", change: deferTo(brokenQueue{}), status: 503, outcome: callback.OutcomeUnavailable, failed: true},
		{name: "too many", change: func(h *callback.Handler, _ *otelcallback.Options) {
			h.Admit = func(context.Context, *callback.Call) (func(), error) { return nil, callback.ErrTooMany }
		}, status: 429, outcome: callback.OutcomeTooMany},
		{name: "too large", change: func(h *callback.Handler, _ *otelcallback.Options) { h.MaxBody = 1 }, status: 413, outcome: callback.OutcomeTooLarge},
		{name: "panic", change: func(h *callback.Handler, _ *otelcallback.Options) {
			h.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) { panic("zq9panic") })
		}, status: 500, outcome: callback.OutcomePanic, failed: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			b := newBench(t, test.script, test.change)
			path, name := target, "pay"
			if test.path != "" {
				path, name = test.path, "server"
			}
			ctx, leave := context.WithCancel(t.Context())
			defer leave()
			if test.gone {
				leave()
			}
			if test.body == nil {
				test.body = strings.NewReader("zq9body")
			}
			w := b.postFrom(ctx, path, test.body)
			require.Equal(t, test.status, w.Code)
			require.Equal(t, test.status, b.run.Status)
			require.Equal(t, test.outcome, b.run.Outcome)
			require.Equal(t, test.outcome == callback.OutcomeOK, b.run.Err == nil)
			if test.check != nil {
				test.check(t, b.run)
			}
			require.Len(t, b.spans.GetSpans(), 2)
			span := b.span(t, name)
			require.Equal(t, b.span(t, "request").SpanContext.SpanID(), span.Parent.SpanID())
			require.Equal(t, test.failed, span.Status.Code == codes.Error)
			require.False(t, span.EndTime.Before(span.StartTime))
			got := attrs(span.Attributes)
			require.NotEmpty(t, got["faas.invocation_id"])
			want := map[string]string{
				"faas.name": name, "faas.trigger": "http", "faas.invocation_id": got["faas.invocation_id"],
				"http.response.status_code": fmt.Sprint(test.status),
			}
			label := map[string]string{"faas.trigger": "http"}
			if test.outcome != callback.OutcomeOK {
				want["error.type"], label["error.type"] = string(test.outcome), string(test.outcome)
			}
			if test.more == nil { // the position depends on where the time-out comes
				for _, key := range []string{"code.file.path", "code.line.number"} {
					if value, ok := got[key]; ok {
						want[key] = value
					}
				}
			}
			for key, value := range test.more {
				want[key] = value
			}
			delete(got, "faas.version")
			require.Equal(t, want, got)
			require.Equal(t, map[string]float64{fmt.Sprint(label): 1}, b.points(t, "faas.invoke_duration"))
			require.NotContains(t, fmt.Sprintf("%+v", b.spans.GetSpans().Snapshots()), "zq9")
		})
	}
}

// deferTo makes a host defer its scripts, which have a version, to a queue.
func deferTo(queue deferred.Queue) func(*callback.Handler, *otelcallback.Options) {
	return func(h *callback.Handler, _ *otelcallback.Options) {
		tree := callback.Tree{FS: h.Runner.(*callback.GojaRunner).Scripts, Version: "v1"}
		h.Runner = &deferred.Runner{Next: &callback.GojaRunner{Source: tree}, Source: tree, Queue: queue}
	}
}

type brokenQueue struct{ deferred.Queue }

func (brokenQueue) Enqueue(context.Context, *deferred.Job) (string, error) {
	return "", errors.New("zq9queue")
}

// TestFullQueue: while one call holds the only place of a runner and none may wait, the
// next one is refused, and has its Run, span and metric.
func TestFullQueue(t *testing.T) {
	for name, newRunner := range map[string]func(scripts fs.FS) callback.ScriptRunner{
		"GojaRunner": func(scripts fs.FS) callback.ScriptRunner {
			return &callback.GojaRunner{Scripts: scripts, MaxRunning: 1, Reserve: -1, MaxQueue: -1}
		},
		"sandbox": func(scripts fs.FS) callback.ScriptRunner {
			return &sandbox.Runner{Scripts: scripts, Processes: 1, Reserve: -1, MaxQueue: -1}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			entered, release := make(chan bool, 1), make(chan bool)
			hold := func() { entered <- true; <-release }
			b := newBench(t, `if (Spark.getData().hold) { Spark.getLog().info("hold"); Spark.hold() }`, func(h *callback.Handler, _ *otelcallback.Options) {
				h.Timeout = time.Minute
				h.Runner = newRunner(h.Runner.(*callback.GojaRunner).Scripts)
				if c, ok := h.Runner.(io.Closer); ok {
					t.Cleanup(func() { _ = c.Close() })
				}
				// In process a script gives its place up while it waits for a host
				// function, not while it logs. In a sandbox it keeps its child.
				inFunction := name == "sandbox"
				h.Members = callback.Members{"hold": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
					if inFunction {
						hold()
					}
					return nil, nil
				}}}
				if !inFunction {
					h.Logger = slog.New(blockingLog{slog.DiscardHandler, hold})
				}
			})
			first := make(chan int, 1)
			go func() {
				w := httptest.NewRecorder()
				b.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target+"&hold=1", nil))
				first <- w.Code
			}()
			<-entered
			w := b.post(target, "")
			close(release)
			require.Equal(t, 503, w.Code)
			require.Equal(t, "1", w.Header().Get("Retry-After"))
			require.Equal(t, callback.OutcomeOverloaded, b.run.Outcome)
			require.ErrorIs(t, b.run.Err, callback.ErrOverloaded)
			require.Equal(t, "overloaded", attrs(b.span(t, "pay").Attributes)["error.type"])
			require.Equal(t, 200, <-first)
			require.Equal(t, callback.OutcomeOK, (<-b.observed).Outcome)
			require.Equal(t, map[string]float64{
				"map[faas.trigger:http]":                       1,
				"map[error.type:overloaded faas.trigger:http]": 1,
			}, b.points(t, "faas.invoke_duration"))
		})
	}
}

// A blockingLog calls a function when "hold" is logged.
type blockingLog struct {
	slog.Handler
	hold func()
}

func (l blockingLog) Enabled(context.Context, slog.Level) bool { return true }
func (l blockingLog) WithAttrs([]slog.Attr) slog.Handler       { return l }

func (l blockingLog) Handle(_ context.Context, r slog.Record) error {
	if r.Message == "hold" {
		l.hold()
	}
	return nil
}

type sourceFunc func() (callback.Tree, error)

func (f sourceFunc) Scripts(context.Context, *callback.Call) (callback.Tree, error) { return f() }

// TestStoreDown: a call that nobody could authorise has neither span nor metric.
func TestStoreDown(t *testing.T) {
	b := newBench(t, "", func(h *callback.Handler, _ *otelcallback.Options) { h.Secrets = brokenStore{} })
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequest(http.MethodGet, target, nil))
	require.Equal(t, 503, w.Code)
	require.Empty(t, b.spans.GetSpans())
	require.Empty(t, b.points(t, "faas.invoke_duration"))
	require.Empty(t, b.observed)
}

type brokenStore struct{}

func (brokenStore) Secrets(context.Context, string, string) ([]callback.Secret, error) {
	return nil, errors.New("connection refused")
}

// TestOutboundFailures: an outbound request that is blocked, and one that takes too
// long, are no failure of the call. Each is in the Run, a span and a metric.
func TestOutboundFailures(t *testing.T) {
	for name, test := range map[string]struct {
		change func(*callback.Handler, *otelcallback.Options)
		reason string
	}{
		"blocked": {nil, "blocked"},
		"not allowed": {func(h *callback.Handler, _ *otelcallback.Options) {
			h.HTTP = &callback.HTTPClient{Allow: func(*url.URL) error { return errors.New("zq9allow") }}
		}, "blocked"},
		"time-out": {func(h *callback.Handler, _ *otelcallback.Options) {
			h.HTTPTimeout = 10 * time.Millisecond
			h.HTTP = callback.HTTPDoerFunc(func(r *http.Request) (*http.Response, error) {
				<-r.Context().Done()
				return nil, r.Context().Err()
			})
		}, "timeout"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, `Spark.setScriptData("got", Spark.getHttp("http://127.0.0.1:9/zq9").get())`, test.change)
			require.Equal(t, `{"got":null}`, b.post(target, "").Body.String())
			require.Equal(t, callback.OutcomeOK, b.run.Outcome)
			require.Len(t, b.run.Outbound, 1)
			require.Error(t, b.run.Outbound[0].Err)
			require.NotContains(t, b.run.Outbound[0].Err.Error(), "zq9")
			require.Equal(t, test.reason, attrs(b.span(t, "GET").Attributes)["error.type"])
			require.Len(t, b.points(t, "http.client.request.duration"), 1)
		})
	}
}

// TestUnauthorised: a call that is not authorised has neither span nor metric.
func TestUnauthorised(t *testing.T) {
	b := newBench(t, "", nil)
	w := httptest.NewRecorder()
	b.ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/callback/zq9key/pay/wrong", nil))
	require.Equal(t, 403, w.Code)
	b.post(target, "")
	require.Len(t, b.spans.GetSpans(), 2)
	require.Equal(t, map[string]float64{"map[faas.trigger:http]": 1}, b.points(t, "faas.invoke_duration"))
}

func TestOutbound(t *testing.T) {
	var mu sync.Mutex
	traceparents := map[string]string{}
	b := newBench(t, `
		Spark.getHttp("http://zq9user:zq9password@mine.example:8080/zq9path?zq9query").get();
		Spark.getHttp("http://other.example/").postString("x");
		Spark.getHttp("http://down.example/").get();
	`, func(h *callback.Handler, o *otelcallback.Options) {
		h.HTTP = callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
			mu.Lock()
			defer mu.Unlock()
			traceparents[req.URL.Host] = req.Header.Get("Traceparent")
			switch req.URL.Host {
			case "down.example":
				return nil, &net.OpError{Op: "dial", Err: errors.New("zq9error")}
			case "other.example":
				return &http.Response{StatusCode: 502, Body: http.NoBody}, nil
			}
			return &http.Response{StatusCode: 200, Body: io.NopCloser(strings.NewReader("x"))}, nil
		})
		o.Propagate = func(host string) bool { return host == "mine.example:8080" }
	})
	require.Equal(t, 200, b.post(target, "").Code)

	run := b.span(t, "pay")
	var outbound []map[string]string
	for _, span := range b.spans.GetSpans() {
		if span.Name == "GET" || span.Name == "POST" {
			require.Equal(t, run.SpanContext.SpanID(), span.Parent.SpanID())
			outbound = append(outbound, attrs(span.Attributes))
			if span.Name == "GET" && len(outbound) == 1 {
				require.Contains(t, traceparents["mine.example:8080"], span.SpanContext.TraceID().String()+"-"+span.SpanContext.SpanID().String())
			}
		}
	}
	require.Equal(t, []map[string]string{
		{"http.request.method": "GET", "server.address": "mine.example", "server.port": "8080", "http.response.status_code": "200"},
		{"http.request.method": "POST", "server.address": "other.example", "http.response.status_code": "502", "error.type": "502"},
		{"http.request.method": "GET", "server.address": "down.example", "error.type": "connection_failed"},
	}, outbound)
	require.Empty(t, traceparents["other.example"])
	require.NotContains(t, fmt.Sprintf("%+v", b.spans.GetSpans().Snapshots()), "zq9")
	require.Len(t, b.points(t, "http.client.request.duration"), 3)
}

// TestHostFunction: what a host function does is below the call's span.
func TestHostFunction(t *testing.T) {
	var b *bench
	b = newBench(t, `Spark.query()`, func(h *callback.Handler, _ *otelcallback.Options) {
		h.Members = callback.Members{"query": {Func: func(ctx context.Context, _ *callback.Call, _ callback.Args) (any, error) {
			_, span := b.tracers.Tracer("db").Start(ctx, "SELECT")
			span.End()
			require.Equal(t, map[string]float64{"map[]": 1}, b.points(t, "callback.in_flight"))
			return nil, nil
		}}}
	})
	b.post(target, "")
	require.Equal(t, b.span(t, "pay").SpanContext.SpanID(), b.span(t, "SELECT").Parent.SpanID())
	require.Equal(t, map[string]float64{"map[]": 0}, b.points(t, "callback.in_flight"))
}

// TestRunScript: a call that did not come by HTTP.
func TestRunScript(t *testing.T) {
	b := newBench(t, "", nil)
	_, err := b.RunScript(context.Background(), &callback.Call{APIKey: "zq9key", Credential: "pay"})
	require.NoError(t, err)
	<-b.observed
	require.Equal(t, "other", attrs(b.span(t, "pay").Attributes)["faas.trigger"])
}

// TestSameRunID: hosts may give two calls one id; each still has its span.
func TestSameRunID(t *testing.T) {
	entered, release := make(chan bool, 2), make(chan bool)
	b := newBench(t, "", func(h *callback.Handler, _ *otelcallback.Options) {
		h.RunID = func(*http.Request) string { return "same" }
		h.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
			entered <- true
			<-release
			return nil, nil
		})
	})
	var calls sync.WaitGroup
	for range 2 {
		calls.Go(func() { b.post(target, "") })
	}
	<-entered
	<-entered
	close(release)
	calls.Wait()
	require.Len(t, b.spans.GetSpans(), 4)
}

// TestMaxNames: names are labels only if the host asks, and not without bound.
func TestMaxNames(t *testing.T) {
	b := newBench(t, "", func(h *callback.Handler, o *otelcallback.Options) {
		o.MaxNames = 2
		h.Runner = callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) { return nil, nil })
	})
	for _, name := range []string{"a", "b", "c", "d", "a"} {
		_, err := b.RunScript(context.Background(), &callback.Call{Credential: name})
		require.NoError(t, err)
		<-b.observed
	}
	require.Equal(t, map[string]float64{
		"map[faas.name:a faas.trigger:other]":     2,
		"map[faas.name:b faas.trigger:other]":     1,
		"map[faas.name:other faas.trigger:other]": 2,
	}, b.points(t, "faas.invoke_duration"))
}

// TestValidate: the wrapped runner is still asked.
func TestValidate(t *testing.T) {
	h := &callback.Handler{Runner: new(callback.GojaRunner), Secrets: callback.SecretMap{}}
	require.NoError(t, otelcallback.Instrument(h, otelcallback.Options{}))
	require.ErrorContains(t, h.Validate(), "GojaRunner has no Scripts")
	h = &callback.Handler{Secrets: callback.SecretMap{}}
	require.NoError(t, otelcallback.Instrument(h, otelcallback.Options{}))
	require.ErrorContains(t, h.Validate(), "Handler.Runner is missing")
}

// TestWorker: a worker of a queue still knows that scripts run in its process.
func TestWorker(t *testing.T) {
	b := newBench(t, "", nil)
	err := (&deferred.Worker{Queue: new(queuetest.Memory), Runner: b.Handler}).Run(t.Context())
	require.ErrorIs(t, err, deferred.ErrInProcess)
}

// TestOTLP sends traces and metrics to an OTLP receiver and reads what arrives.
func TestOTLP(t *testing.T) {
	var mu sync.Mutex
	var names []string
	var bytesSeen bytes.Buffer
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			http.Error(w, "", http.StatusBadRequest)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		bytesSeen.Write(body)
		switch r.URL.Path {
		case "/v1/traces":
			var request collectortrace.ExportTraceServiceRequest
			if proto.Unmarshal(body, &request) == nil {
				for _, resource := range request.ResourceSpans {
					for _, s := range resource.ScopeSpans {
						for _, span := range s.Spans {
							names = append(names, "span "+span.Name)
						}
					}
				}
			}
		case "/v1/metrics":
			var request collectormetrics.ExportMetricsServiceRequest
			if proto.Unmarshal(body, &request) == nil {
				for _, resource := range request.ResourceMetrics {
					for _, s := range resource.ScopeMetrics {
						for _, m := range s.Metrics {
							names = append(names, "metric "+m.Name)
						}
					}
				}
			}
		}
		w.Header().Set("Content-Type", "application/x-protobuf")
	}))
	defer receiver.Close()
	ctx := context.Background()
	spans, err := otlptracehttp.New(ctx, otlptracehttp.WithEndpointURL(receiver.URL+"/v1/traces"), otlptracehttp.WithCompression(otlptracehttp.NoCompression))
	require.NoError(t, err)
	metrics, err := otlpmetrichttp.New(ctx, otlpmetrichttp.WithEndpointURL(receiver.URL+"/v1/metrics"), otlpmetrichttp.WithCompression(otlpmetrichttp.NoCompression))
	require.NoError(t, err)
	tracers := trace.NewTracerProvider(trace.WithBatcher(spans))
	meters := metric.NewMeterProvider(metric.WithReader(metric.NewPeriodicReader(metrics)))
	b := newBench(t, `Spark.getHttp("http://a.example/zq9path").get()`, func(h *callback.Handler, o *otelcallback.Options) {
		o.TracerProvider, o.MeterProvider = tracers, meters
		h.HTTP = callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: 200, Body: http.NoBody}, nil
		})
	})
	b.post(target, "zq9body")
	require.NoError(t, tracers.Shutdown(ctx))
	require.NoError(t, meters.Shutdown(ctx))
	mu.Lock()
	defer mu.Unlock()
	require.Subset(t, names, []string{"span pay", "span GET", "metric faas.invoke_duration", "metric callback.in_flight", "metric http.client.request.duration"})
	require.NotContains(t, bytesSeen.String(), "zq9")
}

// TestLogs: records that scripts log carry the span of their call.
func TestLogs(t *testing.T) {
	records := new(recordLog)
	b := newBench(t, `Spark.getLog().info("paid")`, func(h *callback.Handler, _ *otelcallback.Options) {
		h.Logger = otelslog.NewLogger("callback", otelslog.WithLoggerProvider(sdklog.NewLoggerProvider(sdklog.WithProcessor(records))))
	})
	b.post(target, "")
	require.Len(t, records.all, 1)
	require.Equal(t, "paid", records.all[0].Body().String())
	require.Equal(t, b.span(t, "pay").SpanContext.SpanID(), records.all[0].SpanID())
}

// A recordLog keeps log records.
type recordLog struct{ all []sdklog.Record }

func (l *recordLog) OnEmit(_ context.Context, r *sdklog.Record) error {
	l.all = append(l.all, r.Clone())
	return nil
}
func (l *recordLog) Enabled(context.Context, sdklog.EnabledParameters) bool { return true }
func (l *recordLog) Shutdown(context.Context) error                         { return nil }
func (l *recordLog) ForceFlush(context.Context) error                       { return nil }

// Example_prometheus is the page that Prometheus scrapes.
func Example_prometheus() {
	registry := prometheus.NewRegistry()
	exporter, err := promexporter.New(promexporter.WithRegisterer(registry), promexporter.WithoutScopeInfo(), promexporter.WithoutTargetInfo())
	if err != nil {
		panic(err)
	}
	done := make(chan bool, 1)
	handler := &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/pay.js": {Data: []byte(`throw 1`)}}},
		Secrets: callback.SecretMap{"SHOP/pay": "s3cret"},
		Logger:  slog.New(slog.DiscardHandler),
		Observe: func(context.Context, *callback.Run) { done <- true },
	}
	err = otelcallback.Instrument(handler, otelcallback.Options{
		MeterProvider: metric.NewMeterProvider(metric.WithReader(exporter)),
		MaxNames:      1000, // credentials as a label
	})
	if err != nil {
		panic(err)
	}
	metrics := promhttp.HandlerFor(registry, promhttp.HandlerOpts{}) // for GET /metrics, on an address of its own

	handler.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/callback/SHOP/pay/s3cret", nil))
	<-done
	page := httptest.NewRecorder()
	metrics.ServeHTTP(page, httptest.NewRequest("GET", "/metrics", nil))
	for line := range strings.Lines(page.Body.String()) {
		if strings.Contains(line, "_count{") || strings.Contains(line, "in_flight{") {
			fmt.Print(line)
		}
	}
	// Output:
	// faas_invoke_duration_seconds_count{error_type="script_error",faas_name="pay",faas_trigger="http"} 1
}
