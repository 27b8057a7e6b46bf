// Pocketbase serves the benchmark's workloads by hooks of PocketBase's. It is
// a module of its own because of its dependencies; cmd/load builds and runs it.
package main

import (
	"io"
	"log"
	"os"

	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/plugins/jsvm"
)

// usage: pocketbase HOOKS serve --http=ADDRESS --dir=DATA
func main() {
	hooks := os.Args[1]
	os.Args = append(os.Args[:1], os.Args[2:]...)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with its parent
		os.Exit(0)
	}()
	app := pocketbase.New()
	jsvm.MustRegister(app, jsvm.Config{
		HooksDir:      hooks,
		HooksPoolSize: 15, // as in PocketBase's own main package
	})
	app.OnServe().BindFunc(func(e *core.ServeEvent) error {
		e.App.Settings().Logs.MaxDays = 0 // or it would write each request to its database
		return e.Next()
	})
	if err := app.Start(); err != nil {
		log.Fatal(err)
	}
}
