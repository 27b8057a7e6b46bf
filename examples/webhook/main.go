// Command webhook receives the notices of a payment provider. The script in
// callbacks/payment.js checks and books them. The keys and the ledger are not in the
// script: this program supplies them as members of Spark.
//
//	CALLBACK_SECRET=… SIGNING_KEY=… VERIFY_TOKEN=… PROVIDER_TOKEN=… go run ./examples/webhook
package main

import (
	"context"
	"embed"
	"errors"
	"fmt"
	"log"
	"net/http"
	"os"
	"sync"
	"time"

	"example.com/callback"
)

//go:embed callbacks
var scripts embed.FS

// config is what the receiver and the provider have agreed on.
type config struct {
	callbackSecret string // in the URL
	signingKey     string // of the HMAC over a notice
	verifyToken    string // of the handshake by which the provider tests the URL
	providerToken  string // for requests to the provider's API
}

func main() {
	c := config{
		callbackSecret: os.Getenv("CALLBACK_SECRET"),
		signingKey:     os.Getenv("SIGNING_KEY"),
		verifyToken:    os.Getenv("VERIFY_TOKEN"),
		providerToken:  os.Getenv("PROVIDER_TOKEN"),
	}
	if c.callbackSecret == "" || c.signingKey == "" || c.verifyToken == "" || c.providerToken == "" {
		fmt.Fprintln(os.Stderr, "webhook: set CALLBACK_SECRET, SIGNING_KEY, VERIFY_TOKEN and PROVIDER_TOKEN")
		os.Exit(2)
	}
	handler := newHandler(c, new(ledger), nil)
	if err := handler.Validate(); err != nil {
		fmt.Fprintln(os.Stderr, "webhook:", err)
		os.Exit(2)
	}
	server := &http.Server{
		Addr:              "127.0.0.1:8080",
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
	}
	time.Local = time.UTC // the zone of scripts
	log.Fatal(server.ListenAndServe())
}

// newHandler serves /callback/shop/payment/{secret}. A nil doer is the default
// client.
func newHandler(c config, books *ledger, doer callback.HTTPDoer) *callback.Handler {
	return &callback.Handler{
		Runner:         &callback.GojaRunner{Scripts: scripts},
		Secrets:        callback.SecretMap{"shop/payment": c.callbackSecret},
		HTTP:           doer,
		RequestHeaders: []string{"X-Timestamp", "X-Signature"},
		Members: callback.Members{
			"getSigningKey":    constant(c.signingKey),
			"getVerifyToken":   constant(c.verifyToken),
			"getProviderToken": constant(c.providerToken),
			"creditOnce":       {Func: books.creditOnce},
		},
	}
}

// constant is a member of Spark that returns text.
func constant(text string) callback.Member {
	return callback.Member{
		Func: func(context.Context, *callback.Call, callback.Args) (any, error) { return text, nil },
	}
}

// A ledger credits players. It stands for a database table with the payment as
// its unique key. A real one outlives the process.
type ledger struct {
	mu       sync.Mutex
	payments map[string]bool
	balances map[string]int64 // cents by player
}

// creditOnce is Spark.creditOnce(paymentId, playerId, cents). If the payment is
// new, it credits the player and returns true. The key is the payment and not the
// event, because a provider may report one payment in several events with
// different ids. The check and the credit are one step, so that two deliveries at
// the same moment credit once.
func (l *ledger) creditOnce(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
	var payment, player string
	var cents int64
	if err := args.Scan(&payment, &player, &cents); err != nil {
		return nil, err
	}
	if payment == "" || player == "" || cents <= 0 {
		return nil, errors.New("creditOnce wants a payment, a player and a positive amount")
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.payments[payment] {
		return false, nil
	}
	if l.payments == nil {
		l.payments, l.balances = map[string]bool{}, map[string]int64{}
	}
	l.payments[payment] = true
	l.balances[player] += cents
	return true, nil
}

// balance is the balance of the player, in cents.
func (l *ledger) balance(player string) int64 {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.balances[player]
}
