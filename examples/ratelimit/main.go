// Command ratelimit bounds how often each credential may be called. What is over
// the bound gets a 429 with a Retry-After, before its body is read.
package main

import (
	"context"
	"embed"
	"log"
	"net/http"
	"sync"
	"time"

	"golang.org/x/time/rate"

	"example.com/callback"
)

//go:embed callbacks
var scripts embed.FS

func main() {
	time.Local = time.UTC // the zone of scripts
	handler := newHandler(&limits{perSecond: 5, burst: 10})
	if err := handler.Validate(); err != nil {
		log.Fatal(err)
	}
	server := &http.Server{
		Addr:              "127.0.0.1:8080",
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		IdleTimeout:       time.Minute,
	}
	log.Fatal(server.ListenAndServe())
}

func newHandler(l *limits) *callback.Handler {
	return &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: scripts},
		Secrets: callback.SecretMap{"SHOP/hello": "s3cret", "SHOP/other": "s3cret"},
		Admit:   l.admit,
	}
}

// limits bounds the calls of each credential. It has a limiter for every
// credential that was called. Callers cannot invent credentials, because Admit
// gets authorised calls only.
type limits struct {
	perSecond rate.Limit
	burst     int

	mu       sync.Mutex
	limiters map[credential]*rate.Limiter
}

type credential struct{ apiKey, name string }

// admit implements callback.Handler.Admit.
func (l *limits) admit(_ context.Context, call *callback.Call) (done func(), err error) {
	reservation := l.limiter(credential{call.APIKey, call.Credential}).Reserve()
	if wait := reservation.Delay(); wait > 0 {
		reservation.Cancel()
		return nil, callback.RetryAfter(callback.ErrTooMany, wait)
	}
	return nil, nil
}

func (l *limits) limiter(c credential) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.limiters == nil {
		l.limiters = map[credential]*rate.Limiter{}
	}
	limiter := l.limiters[c]
	if limiter == nil {
		limiter = rate.NewLimiter(l.perSecond, l.burst)
		l.limiters[c] = limiter
	}
	return limiter
}
