package compat

import (
	"bytes"
	"fmt"
	"io"
	"log"
	"net/http"
	"testing"

	"github.com/gin-gonic/gin"
	"github.com/go-chi/chi/v5"
	"github.com/go-chi/chi/v5/middleware"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/promhttp"
	"github.com/stretchr/testify/require"
	"go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/sdk/trace/tracetest"

	"example.com/callback"
)

// observers are the middleware that logs, traces and measures requests. Each
// writes all that it records to w.
var observers = []struct {
	name  string
	leaks bool // records the URL of a request
	build func(t *testing.T, h http.Handler, w io.Writer) (watched http.Handler, flush func())
}{
	{"promhttp", false, func(t *testing.T, h http.Handler, w io.Writer) (http.Handler, func()) {
		registry := prometheus.NewRegistry()
		count := prometheus.NewCounterVec(prometheus.CounterOpts{Name: "callbacks_total"}, []string{"code", "method"})
		registry.MustRegister(count)
		return promhttp.InstrumentHandlerCounter(count, h), func() {
			families, err := registry.Gather()
			require.NoError(t, err)
			fmt.Fprint(w, families)
		}
	}},
	{"otelhttp", true, func(t *testing.T, h http.Handler, w io.Writer) (http.Handler, func()) {
		spans := tracetest.NewInMemoryExporter()
		provider := sdktrace.NewTracerProvider(sdktrace.WithSyncer(spans))
		return otelhttp.NewHandler(h, "callback", otelhttp.WithTracerProvider(provider)), func() {
			fmt.Fprint(w, spans.GetSpans().Snapshots()[0].Name())
			for _, a := range spans.GetSpans()[0].Attributes {
				fmt.Fprintf(w, " %s=%s", a.Key, a.Value.String())
			}
		}
	}},
	{"chi Logger", true, func(_ *testing.T, h http.Handler, w io.Writer) (http.Handler, func()) {
		r := chi.NewRouter()
		r.Use(middleware.RequestLogger(&middleware.DefaultLogFormatter{Logger: log.New(w, "", 0), NoColor: true}))
		r.Handle("/callback/*", h)
		return r, func() {}
	}},
	{"gin Logger", true, func(_ *testing.T, h http.Handler, w io.Writer) (http.Handler, func()) {
		gin.SetMode(gin.ReleaseMode)
		e := gin.New()
		e.Use(gin.LoggerWithWriter(w))
		e.Any("/callback/*path", gin.WrapH(h))
		return e, func() {}
	}},
}

// TestObservers tests whether middleware records the URL of a callback, which is a
// password. Most of it does, unless Conceal hides the URL.
func TestObservers(t *testing.T) {
	for _, o := range observers {
		t.Run(o.name, func(t *testing.T) {
			watch := func(h http.Handler, around func(http.Handler) http.Handler) string {
				var recorded bytes.Buffer
				watched, flush := o.build(t, h, &recorded)
				s := newSite(t, around(watched), false)
				res := s.send("POST", "/callback/K/hello/s3cret/p1?token=t0ken", "text/plain", "x")
				require.Equal(t, `200 {"as":"hello","player":"p1","data":{"token":"t0ken","REQUEST_BODY":"x"}}`, answer(t, res))
				s.server.Close() // waits until all is recorded
				flush()
				return recorded.String()
			}

			text := watch(newHandler(""), func(h http.Handler) http.Handler { return h })
			require.Contains(t, text, "200")
			if o.leaks {
				require.Contains(t, text, secret, "if it leaks no more, the README has one thing less to say")
			} else {
				require.NotContains(t, text, secret)
			}

			text = watch(newHandler(""), func(h http.Handler) http.Handler { return callback.Conceal("/callback/", h) })
			require.Contains(t, text, "200")
			require.NotContains(t, text, secret)
			require.NotContains(t, text, "t0ken")
		})
	}
}
