// Pocketbase serves the benchmark's workloads by hooks of PocketBase's. It is
// a module of its own because of its dependencies; cmd/load builds and runs it.
package main

import (
	"io"
	"log"
	"os"
	"runtime"
	"strconv"

	"github.com/pocketbase/pocketbase"
	"github.com/pocketbase/pocketbase/core"
	"github.com/pocketbase/pocketbase/plugins/jsvm"
)

// A record is an element of the live heap, as in the other servers (work.NewHeap).
type record struct {
	left, right *record
	name        string
	_           [96]byte
}

func newHeap(size int) *record {
	if size < 128 {
		return nil
	}
	half := (size - 128) / 2
	return &record{left: newHeap(half), right: newHeap(half), name: "a record"}
}

// usage: pocketbase HOOKS serve --http=ADDRESS --dir=DATA
func main() {
	hooks := os.Args[1]
	os.Args = append(os.Args[:1], os.Args[2:]...)
	go func() {
		_, _ = io.Copy(io.Discard, os.Stdin) // ends with its parent
		os.Exit(0)
	}()
	mib, _ := strconv.Atoi(os.Getenv("CALLBACK_BENCH_HEAP"))
	live := newHeap(mib << 20)
	defer runtime.KeepAlive(live)
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
