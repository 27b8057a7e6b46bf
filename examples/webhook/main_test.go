package main

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

var agreed = config{
	callbackSecret: "url-secret",
	signingKey:     "signing-key",
	verifyToken:    "verify-token",
	providerToken:  "provider-token",
}

const (
	target = "/callback/shop/payment/url-secret"
	notice = `{"id":"evt_1","payment":"pay/7","note":"dix euros: 10 €"}`
)

// provider answers the script's look-up.
func provider(t *testing.T, status int, body string) callback.HTTPDoer {
	return callback.HTTPDoerFunc(func(req *http.Request) (*http.Response, error) {
		if req.URL.String() != "https://api.payments.example/v1/payments/pay%2F7" || req.Header.Get("Authorization") != "Bearer provider-token" {
			t.Errorf("unexpected request: %s, Authorization: %s", req.URL, req.Header.Get("Authorization"))
		}
		return &http.Response{StatusCode: status, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(body))}, nil
	})
}

const settled = `{"id":"pay/7","status":"settled","player":"ada","cents":1000}`

func sign(key string, at time.Time, body string) (timestamp, signature string) {
	timestamp = strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(key))
	_, _ = io.WriteString(mac, timestamp+"."+body)
	return timestamp, hex.EncodeToString(mac.Sum(nil))
}

func deliver(handler http.Handler, timestamp, signature, body string) *httptest.ResponseRecorder {
	req := httptest.NewRequest("POST", target, strings.NewReader(body))
	req.Header.Set("Content-Type", "application/json")
	if timestamp != "" {
		req.Header.Set("X-Timestamp", timestamp)
		req.Header.Set("X-Signature", signature)
	}
	rec := httptest.NewRecorder()
	handler.ServeHTTP(rec, req)
	return rec
}

func TestNotice(t *testing.T) {
	t.Parallel()
	now := time.Now()
	down := callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
		return nil, errors.New("connection refused")
	})
	unasked := callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
		t.Error("a notice that is refused must not reach the provider")
		return nil, errors.New("unasked")
	})
	tests := []struct {
		name     string
		key      string
		at       time.Time
		body     string // signed is notice
		provider callback.HTTPDoer
		status   int
		answer   string
		credit   int64
	}{
		{"good", "signing-key", now, notice, provider(t, 200, settled), 200, `{"credited":1000}`, 1000},
		{"another key", "guessed", now, notice, unasked, 401, `{"error":"bad signature"}`, 0},
		{"another body", "signing-key", now, strings.Replace(notice, "10 €", "99 €", 1), unasked, 401, `{"error":"bad signature"}`, 0},
		{"stale", "signing-key", now.Add(-time.Hour), notice, unasked, 401, `{"error":"too old"}`, 0},
		{"from the future", "signing-key", now.Add(time.Hour), notice, unasked, 401, `{"error":"too old"}`, 0},
		{"provider down", "signing-key", now, notice, down, 503, `{"error":"provider not reached"}`, 0},
		{"provider failing", "signing-key", now, notice, provider(t, 500, `{}`), 503, `{"error":"provider not reached"}`, 0},
		{"provider answers no JSON", "signing-key", now, notice, provider(t, 200, `<html>`), 503, `{"error":"provider not reached"}`, 0},
		{"not settled", "signing-key", now, notice, provider(t, 200, `{"status":"open"}`), 422, `{"error":"payment is not settled"}`, 0},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			t.Parallel()
			books := new(ledger)
			handler := newHandler(agreed, books, tt.provider)
			timestamp, signature := sign(tt.key, tt.at, notice)

			rec := deliver(handler, timestamp, signature, tt.body)

			require.Equal(t, tt.status, rec.Code)
			require.Equal(t, tt.answer, rec.Body.String())
			require.Equal(t, tt.credit, books.balance("ada"))
		})
	}
}

func TestNoticeWithoutSignature(t *testing.T) {
	t.Parallel()
	rec := deliver(newHandler(agreed, new(ledger), nil), "", "", notice)
	require.Equal(t, http.StatusUnauthorized, rec.Code)
	require.Equal(t, `{"error":"bad signature"}`, rec.Body.String())
}

// The provider signs bytes, which need not be text.
func TestNoticeInAnotherCharset(t *testing.T) {
	t.Parallel()
	body := strings.Replace(notice, "10 €", "10 \x80", 1) // windows-1252
	timestamp, signature := sign("signing-key", time.Now(), body)
	require.Equal(t, `{"credited":1000}`,
		deliver(newHandler(agreed, new(ledger), provider(t, 200, settled)), timestamp, signature, body).Body.String())
}

// TestCreditsOnce sends several notices of one payment at the same time. They are
// either equal, as after a time-out of the provider, or different events, as from a
// provider that reports each step of a payment.
func TestCreditsOnce(t *testing.T) {
	t.Parallel()
	for name, body := range map[string]func(i int) string{
		"one notice":     func(int) string { return notice },
		"several events": func(i int) string { return strings.Replace(notice, "evt_1", "evt_"+strconv.Itoa(i), 1) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			books := new(ledger)
			handler := newHandler(agreed, books, provider(t, 200, settled))
			answers := make([]string, 8)
			var wg sync.WaitGroup
			for i := range answers {
				wg.Go(func() {
					timestamp, signature := sign("signing-key", time.Now(), body(i))
					answers[i] = deliver(handler, timestamp, signature, body(i)).Body.String()
				})
			}
			wg.Wait()

			require.Equal(t, int64(1000), books.balance("ada"))
			counts := map[string]int{}
			for _, answer := range answers {
				counts[answer]++
			}
			require.Equal(t, map[string]int{`{"credited":1000}`: 1, `{"credited":0}`: 7}, counts)
		})
	}
}

// TestSpelling: a payment is credited once, even if two notices write its id
// differently.
func TestSpelling(t *testing.T) {
	t.Parallel()
	books := new(ledger)
	handler := newHandler(agreed, books, callback.HTTPDoerFunc(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{}, Body: io.NopCloser(strings.NewReader(settled))}, nil
	}))
	for _, payment := range []string{"pay/7", "PAY/7"} {
		body := strings.Replace(notice, "pay/7", payment, 1)
		timestamp, signature := sign("signing-key", time.Now(), body)
		require.Equal(t, 200, deliver(handler, timestamp, signature, body).Code)
	}
	require.Equal(t, int64(1000), books.balance("ada"))
}

// Another payment is credited, too.
func TestTwoPayments(t *testing.T) {
	t.Parallel()
	books := new(ledger)
	for _, id := range []string{"pay/7", "pay/8"} {
		answer := strings.Replace(settled, "pay/7", id, 1)
		timestamp, signature := sign("signing-key", time.Now(), notice)
		require.Equal(t, `{"credited":1000}`,
			deliver(newHandler(agreed, books, provider(t, 200, answer)), timestamp, signature, notice).Body.String())
	}
	require.Equal(t, int64(2000), books.balance("ada"))
}

// TestProviderBack delivers a notice again that could not be looked up at first.
func TestProviderBack(t *testing.T) {
	t.Parallel()
	books := new(ledger)
	timestamp, signature := sign("signing-key", time.Now(), notice)

	require.Equal(t, 503, deliver(newHandler(agreed, books, provider(t, 502, "")), timestamp, signature, notice).Code)
	require.Equal(t, 200, deliver(newHandler(agreed, books, provider(t, 200, settled)), timestamp, signature, notice).Code)
	require.Equal(t, int64(1000), books.balance("ada"))
}

func TestHandshake(t *testing.T) {
	t.Parallel()
	handler := newHandler(agreed, new(ledger), nil)
	ask := func(token string) *httptest.ResponseRecorder {
		query := url.Values{"hub.mode": {"subscribe"}, "hub.verify_token": {token}, "hub.challenge": {"1158201444"}}
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest("GET", target+"?"+query.Encode(), nil))
		return rec
	}

	good := ask("verify-token")
	require.Equal(t, http.StatusOK, good.Code)
	require.Equal(t, "text/plain; charset=utf-8", good.Header().Get("Content-Type"))
	require.Equal(t, "1158201444", good.Body.String())

	bad := ask("guessed")
	require.Equal(t, http.StatusUnauthorized, bad.Code)
	require.Equal(t, `{"error":"bad verify token"}`, bad.Body.String())
}
