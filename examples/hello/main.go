// Command hello answers one callback URL with one script.
package main

import (
	"embed"
	"log"
	"net/http"
	"time"

	"example.com/callback"
)

//go:embed callbacks
var scripts embed.FS

var handler = &callback.Handler{
	Runner:  &callback.GojaRunner{Scripts: scripts},
	Secrets: callback.SecretMap{"E300018ZDdAx/hello": "s3cret"},
}

func main() {
	time.Local = time.UTC // the zone of scripts
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
