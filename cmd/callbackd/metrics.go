package main

import (
	"context"
	"net/http"
	"strconv"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"example.com/callback"
	"example.com/callback/deferred"
)

// metrics are what /metrics shows. docs/operations.md says what to watch.
// No label holds an API key, a credential or anything else that a caller
// chooses.
type metrics struct {
	registry *prometheus.Registry
	stopping atomic.Bool

	requests         *prometheus.CounterVec
	inFlight         prometheus.Gauge
	runs             *prometheus.CounterVec
	runSeconds       *prometheus.HistogramVec
	queuedSeconds    prometheus.Histogram
	outbound         *prometheus.CounterVec
	outboundSeconds  prometheus.Histogram
	functionFailures prometheus.Counter
	attempts         *prometheus.CounterVec
	attemptSeconds   prometheus.Histogram
}

func newMetrics(files []*watchedFile) *metrics {
	// From a millisecond, for a small script, to the default time-out.
	seconds := []float64{.001, .0025, .005, .01, .025, .05, .1, .25, .5, 1, 2.5, 5, 10}
	m := &metrics{
		registry: prometheus.NewRegistry(),
		requests: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callbackd_requests_total", Help: "Requests to the public address, by status. 403 counts wrong secrets.",
		}, []string{"status"}),
		inFlight: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "callbackd_requests_in_flight", Help: "Requests under way.",
		}),
		runs: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callbackd_runs_total", Help: "Authorised calls, by outcome.",
		}, []string{"outcome"}),
		runSeconds: prometheus.NewHistogramVec(prometheus.HistogramOpts{
			Name: "callbackd_run_duration_seconds", Help: "Time of an authorised call, from its authorisation to its answer.", Buckets: seconds,
		}, []string{"outcome"}),
		queuedSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "callbackd_run_queued_seconds", Help: "Time that a call waited for a place to run.", Buckets: seconds,
		}),
		outbound: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callbackd_outbound_requests_total", Help: "Requests that scripts made, by the class of the answer's status, or \"failed\".",
		}, []string{"result"}),
		outboundSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "callbackd_outbound_duration_seconds", Help: "Time of a request that a script made.", Buckets: seconds,
		}),
		functionFailures: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "callbackd_host_function_failures_total", Help: "Calls of host functions that returned an error.",
		}),
		attempts: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "callbackd_deferred_attempts_total", Help: "Attempts of deferred runs here, by verdict: done, retry, later or drop.",
		}, []string{"verdict"}),
		attemptSeconds: prometheus.NewHistogram(prometheus.HistogramOpts{
			Name: "callbackd_deferred_duration_seconds", Help: "Time of an attempt of a deferred run here.", Buckets: append(seconds, 30, 60, 300),
		}),
	}
	m.registry.MustRegister(
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
		m.requests, m.inFlight, m.runs, m.runSeconds, m.queuedSeconds, m.outbound, m.outboundSeconds, m.functionFailures,
		m.attempts, m.attemptSeconds,
	)
	for _, f := range files {
		m.registry.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{
			Name:        "callbackd_file_loaded",
			Help:        "1 if the file's content on disk is in use, 0 if it is broken and an earlier state is.",
			ConstLabels: prometheus.Labels{"flag": f.flag},
		}, func() float64 {
			if f.healthy() {
				return 1
			}
			return 0
		}))
	}
	return m
}

// judge counts an attempt of a deferred run. It is a [deferred.Worker.Judge].
func (m *metrics) judge(_ context.Context, _ *deferred.Job, verdict deferred.Verdict) deferred.Verdict {
	m.attempts.WithLabelValues(verdict.Action.String()).Inc()
	return verdict
}

// observe counts a run: a call, or an attempt of a deferred run.
func (m *metrics) observe(run *callback.Run, attempt bool) {
	if attempt {
		m.attemptSeconds.Observe(run.Duration.Seconds())
	} else {
		outcome := string(run.Outcome)
		m.runs.WithLabelValues(outcome).Inc()
		m.runSeconds.WithLabelValues(outcome).Observe(run.Duration.Seconds())
	}
	m.queuedSeconds.Observe(run.Queued.Seconds())
	for _, o := range run.Outbound {
		result := "failed"
		if o.Err == nil {
			result = strconv.Itoa(o.Status/100) + "xx"
		}
		m.outbound.WithLabelValues(result).Inc()
		m.outboundSeconds.Observe(o.Duration.Seconds())
	}
	for _, f := range run.Functions {
		if f.Err != nil {
			m.functionFailures.Inc()
		}
	}
}

// serve is /metrics.
func (m *metrics) serve() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}
