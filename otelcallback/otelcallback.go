// Package otelcallback makes OpenTelemetry traces and metrics of callbacks.
//
//	err := otelcallback.Instrument(handler, otelcallback.Options{})
//
// # Traces
//
// Each authorised call has a span, a child of the request's span if middleware
// such as otelhttp has made one. Host functions get a context with it, so that
// spans of a database are its children. So are the spans of outbound requests.
// Attributes of a call's span:
//
//	faas.name                   the credential, "server" for the server secret, or Call.Script
//	faas.version                version of the scripts, if it is known
//	faas.invocation_id          run id
//	faas.trigger                "http", or "other" for Handler.RunScript
//	http.response.status_code   of the answer, if there was one
//	error.type                  Run.Outcome, unless it is "ok"
//	code.file.path, code.line.number   where the script failed, as far as it is known
//
// The span's status is an error if the answer is a 5xx, or if Handler.RunScript has
// returned an error. Spans and metrics of outbound requests have an error.type if
// there is no answer, or if its status is 400 or above: the status, "blocked" (see
// callback.ErrBlocked), "timeout", "canceled", "name_not_found",
// "connection_failed", "panic", or "_OTHER".
//
// # Metrics
//
//	faas.invoke_duration           histogram, s: faas.trigger, error.type, faas.name by opt-in
//	callback.in_flight             up-down counter: calls in the runner
//	http.client.request.duration   histogram, s: http.request.method, http.response.status_code, error.type
//
// Neither traces nor metrics have a URL, a secret, an API key, a player, or the
// text of an error.
package otelcallback

import (
	"context"
	"errors"
	"net"
	"net/http"
	"os"
	"strconv"
	"sync"
	"time"

	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/metric"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/trace"

	"example.com/callback"
)

// Options of [Instrument]. The zero value is ready to use.
type Options struct {
	// TracerProvider and MeterProvider take traces and metrics. nil means the
	// global ones of package otel.
	TracerProvider trace.TracerProvider
	MeterProvider  metric.MeterProvider

	// Propagate reports whether outbound requests to a host (with its port, if
	// the URL names one) carry the trace's context. nil means never, because
	// scripts mostly call servers of other companies.
	Propagate func(host string) bool

	// Propagator writes the context into the headers. nil means that of W3C
	// Trace Context, without baggage.
	Propagator propagation.TextMapPropagator

	// MaxNames bounds the different values of faas.name in the metrics. Further
	// names are counted as "other". Zero means that metrics have no faas.name.
	MaxNames int
}

const scope = "example.com/callback/otelcallback"

// Instrument adds traces and metrics to h. It wraps h.Runner, h.HTTP and
// h.Observe, so set those first and do not change them afterwards. Call it before
// h serves. The error is the error of a meter.
func Instrument(h *callback.Handler, o Options) error {
	if o.TracerProvider == nil {
		o.TracerProvider = otel.GetTracerProvider()
	}
	if o.MeterProvider == nil {
		o.MeterProvider = otel.GetMeterProvider()
	}
	if o.Propagate == nil {
		o.Propagate = func(string) bool { return false }
	}
	if o.Propagator == nil {
		o.Propagator = propagation.TraceContext{}
	}
	t := &telemetry{Options: o, tracer: o.TracerProvider.Tracer(scope), spans: map[string]trace.Span{}, names: map[string]bool{}}
	meter := o.MeterProvider.Meter(scope)
	var errs [3]error
	buckets := metric.WithExplicitBucketBoundaries(.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10, 30)
	t.duration, errs[0] = meter.Float64Histogram("faas.invoke_duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("Duration of calls, from the request to the answer"))
	t.inFlight, errs[1] = meter.Int64UpDownCounter("callback.in_flight", metric.WithUnit("{call}"),
		metric.WithDescription("Calls that run or wait for their turn"))
	t.outbound, errs[2] = meter.Float64Histogram("http.client.request.duration", metric.WithUnit("s"), buckets,
		metric.WithDescription("Duration of outbound requests of scripts"))
	if err := errors.Join(errs[:]...); err != nil {
		return err
	}
	if h.Runner != nil {
		h.Runner = &runner{t, h.Runner}
	}
	if h.HTTP == nil {
		h.HTTP = new(callback.HTTPClient)
	}
	h.HTTP = &doer{t, h.HTTP}
	next := h.Observe
	h.Observe = func(ctx context.Context, run *callback.Run) {
		t.observe(ctx, run)
		if next != nil {
			next(ctx, run)
		}
	}
	return nil
}

type telemetry struct {
	Options
	tracer   trace.Tracer
	duration metric.Float64Histogram
	inFlight metric.Int64UpDownCounter
	outbound metric.Float64Histogram

	mu    sync.Mutex
	spans map[string]trace.Span // of calls under way, by run id
	names map[string]bool       // names that metrics have
}

// maxSpans bounds the spans of calls that have not been observed. A Handler drops
// Runs if its observers hang.
const maxSpans = 65536

// keep keeps the span of a call until the call is observed. It returns false if
// there is a span with the same run id, which the host may choose.
func (t *telemetry) keep(runID string, span trace.Span) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	if _, ok := t.spans[runID]; ok || len(t.spans) >= maxSpans {
		return false
	}
	t.spans[runID] = span
	return true
}

func (t *telemetry) take(runID string) trace.Span {
	t.mu.Lock()
	defer t.mu.Unlock()
	span := t.spans[runID]
	delete(t.spans, runID)
	return span
}

// label is the value of faas.name in metrics.
func (t *telemetry) label(name string) string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.names[name] && len(t.names) >= t.MaxNames {
		return "other"
	}
	t.names[name] = true
	return name
}

// nameOf is the function's name in terms of OpenTelemetry.
func nameOf(call *callback.Call) string {
	switch {
	case call.Script != "":
		return call.Script
	case call.Credential != "":
		return call.Credential
	}
	return "server"
}

// observe ends the span of a call. If the call did not reach the runner, it makes
// one first.
func (t *telemetry) observe(ctx context.Context, run *callback.Run) {
	name := nameOf(run.Call)
	trigger := attribute.String("faas.trigger", "http")
	if run.Status == 0 {
		trigger = attribute.String("faas.trigger", "other")
	}
	labels := []attribute.KeyValue{trigger}
	if run.Outcome != callback.OutcomeOK {
		labels = append(labels, attribute.String("error.type", string(run.Outcome)))
	}
	attrs := append(labels[:len(labels):len(labels)],
		attribute.String("faas.name", name),
		attribute.String("faas.invocation_id", run.Call.RunID))
	if t.MaxNames > 0 {
		labels = append(labels, attribute.String("faas.name", t.label(name)))
	}
	t.duration.Record(ctx, run.Duration.Seconds(), metric.WithAttributes(labels...))

	span := t.take(run.Call.RunID)
	if span == nil {
		_, span = t.tracer.Start(ctx, name, trace.WithTimestamp(run.Start))
	}
	if !span.IsRecording() {
		span.End()
		return
	}
	if run.Version != "" {
		attrs = append(attrs, attribute.String("faas.version", run.Version))
	}
	if run.Status != 0 {
		attrs = append(attrs, attribute.Int("http.response.status_code", run.Status))
	}
	var fault *callback.ScriptError
	if errors.As(run.Err, &fault) && fault.Script != "" {
		attrs = append(attrs, attribute.String("code.file.path", fault.Script))
		if fault.Line != 0 {
			attrs = append(attrs, attribute.Int("code.line.number", fault.Line))
		}
	}
	span.SetAttributes(attrs...)
	if run.Outcome != callback.OutcomeOK && (run.Status == 0 || run.Status >= 500) {
		span.SetStatus(codes.Error, string(run.Outcome))
	}
	span.End(trace.WithTimestamp(run.Start.Add(run.Duration)))
}

// A runner begins the span of a call, so that the call's own work is below that
// span.
type runner struct {
	*telemetry
	next callback.ScriptRunner
}

// RunScript implements [callback.ScriptRunner].
func (r *runner) RunScript(ctx context.Context, call *callback.Call) (*callback.Result, error) {
	r.inFlight.Add(ctx, 1)
	defer r.inFlight.Add(ctx, -1)
	below, span := r.tracer.Start(ctx, nameOf(call))
	if r.keep(call.RunID, span) {
		ctx = below
	}
	return r.next.RunScript(ctx, call)
}

// Validate returns the errors of the wrapped runner.
func (r *runner) Validate() error {
	if v, ok := r.next.(interface{ Validate() error }); ok {
		return v.Validate()
	}
	return nil
}

// Unwrap returns the wrapped runner. A worker of a queue must know whether scripts
// run in its process.
func (r *runner) Unwrap() callback.ScriptRunner { return r.next }

// A doer makes a span for each outbound request.
type doer struct {
	*telemetry
	next callback.HTTPDoer
}

// Do implements [callback.HTTPDoer].
func (d *doer) Do(req *http.Request) (*http.Response, error) {
	start := time.Now()
	method := attribute.String("http.request.method", req.Method)
	address := []attribute.KeyValue{method, attribute.String("server.address", req.URL.Hostname())}
	if port, err := strconv.Atoi(req.URL.Port()); err == nil {
		address = append(address, attribute.Int("server.port", port))
	}
	ctx, span := d.tracer.Start(req.Context(), req.Method, trace.WithSpanKind(trace.SpanKindClient), trace.WithAttributes(address...))
	defer span.End()
	if d.Propagate(req.URL.Host) {
		req = req.Clone(ctx)
		d.Propagator.Inject(ctx, propagation.HeaderCarrier(req.Header))
	}
	outcome := []attribute.KeyValue{attribute.String("error.type", "panic")}
	defer func() {
		span.SetAttributes(outcome...)
		if outcome[0].Key == "error.type" {
			span.SetStatus(codes.Error, "")
		}
		d.outbound.Record(ctx, time.Since(start).Seconds(), metric.WithAttributes(append(outcome, method)...))
	}()
	resp, err := d.next.Do(req)
	switch {
	case err != nil:
		outcome = []attribute.KeyValue{attribute.String("error.type", kind(err))}
	case resp != nil && resp.StatusCode >= 400:
		outcome = []attribute.KeyValue{attribute.String("error.type", strconv.Itoa(resp.StatusCode)), attribute.Int("http.response.status_code", resp.StatusCode)}
	case resp != nil:
		outcome = []attribute.KeyValue{attribute.Int("http.response.status_code", resp.StatusCode)}
	}
	return resp, err
}

// kind classifies the failure of a request, whose text would hold the URL.
func kind(err error) string {
	var dns *net.DNSError
	var op *net.OpError
	switch {
	case errors.Is(err, callback.ErrBlocked):
		return "blocked"
	case errors.Is(err, context.Canceled):
		return "canceled"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timeout"
	case errors.As(err, &dns):
		return "name_not_found"
	case errors.As(err, &op):
		return "connection_failed"
	}
	return "_OTHER"
}
