// Command players runs callbacks whose scripts have players and collections,
// kept in an SQLite file.
package main

import (
	"context"
	"embed"
	"flag"
	"fmt"
	"io/fs"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"example.com/callback"
)

//go:embed cloudcode
var cloudcode embed.FS

func main() {
	addr := flag.String("addr", "127.0.0.1:8080", "address to listen on")
	file := flag.String("db", "players.db", "SQLite file, made if missing")
	flag.Parse()
	time.Local = time.UTC // the zone of scripts, as it was the original's
	if err := serve(*addr, *file); err != nil {
		log.Fatal(err)
	}
}

func serve(addr, file string) (err error) {
	store, err := Open(file)
	if err != nil {
		return err
	}
	defer store.Close()

	// This is a sample. A real host has players already, and keeps secrets out of
	// its source.
	secrets := callback.SecretMap{"DEMO/visit": "v1s1t", "DEMO/score": "sc0re", "DEMO/top": "t0p"}
	for _, p := range []Player{
		{ID: "ada", DisplayName: "Ada Lovelace", UserName: "ada1815"},
		{ID: "bob", DisplayName: "Bob", UserName: "bob42"},
	} {
		if err := store.SavePlayer(context.Background(), p); err != nil {
			return err
		}
	}
	scripts, err := fs.Sub(cloudcode, "cloudcode")
	if err != nil {
		return err
	}
	handler := newHandler(store, scripts, secrets)
	if err := handler.Validate(); err != nil {
		return err
	}
	server := &http.Server{
		Addr:              addr,
		Handler:           handler,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      30 * time.Second,
		IdleTimeout:       time.Minute,
	}

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	stopped := make(chan error, 1)
	context.AfterFunc(ctx, func() {
		ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		stopped <- server.Shutdown(ctx)
	})
	fmt.Printf("try:\n  curl http://%[1]s/callback/DEMO/visit/v1s1t/ada\n"+
		"  curl 'http://%[1]s/callback/DEMO/score/sc0re/bob?points=3'\n"+
		"  curl http://%[1]s/callback/DEMO/top/t0p\n", addr)
	if err := server.ListenAndServe(); err != http.ErrServerClosed {
		return err
	}
	return <-stopped // the calls under way have ended: the store can be closed
}

func newHandler(store *Store, scripts fs.FS, secrets callback.SecretStore) *callback.Handler {
	return &callback.Handler{
		Runner:  &callback.GojaRunner{Scripts: scripts},
		Secrets: secrets,
		Members: store.Members(),
	}
}
