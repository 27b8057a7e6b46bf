package main

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHandler(&limits{perSecond: 0.5, burst: 2})
		require.NoError(t, h.Validate())
		call := func(path, want string) {
			t.Helper()
			w := httptest.NewRecorder()
			h.ServeHTTP(w, httptest.NewRequest(http.MethodPost, "/callback/SHOP/"+path, strings.NewReader("x")))
			require.Equal(t, want, strings.TrimSpace(fmt.Sprint(w.Code, " ", w.Header().Get("Retry-After"))), w.Body)
		}
		for range 3 {
			call("hello/wrong", "403") // is not counted
		}
		call("hello/s3cret", "200")
		call("hello/s3cret", "200")
		call("hello/s3cret", "429 2")
		call("hello/s3cret", "429 2") // a refused call does not delay the next one
		call("other/s3cret", "200")
		time.Sleep(1500 * time.Millisecond)
		call("hello/s3cret", "429 1")
		time.Sleep(500 * time.Millisecond)
		call("hello/s3cret", "200")
		call("hello/s3cret", "429 2")
	})
}

// TestRefused: the refusal is an outcome of its own.
func TestRefused(t *testing.T) {
	l := &limits{perSecond: 1}
	_, err := l.admit(t.Context(), &callback.Call{APIKey: "SHOP", Credential: "hello"})
	require.ErrorIs(t, err, callback.ErrTooMany)
}
