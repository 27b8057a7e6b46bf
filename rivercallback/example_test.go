package rivercallback_test

import (
	"context"
	"errors"
	"log"
	"net/http"
	"os"
	"os/signal"
	"time"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/rivercallback"
	"example.com/callback/sandbox"
)

// The example of docs/queues.md. TestQueuesPage compares the page with it.

func Example() {
	sandbox.Main() // in a child process it does not return

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt)
	defer stop()
	if err := serve(ctx); err != nil {
		log.Fatal(err)
	}
}

// serve answers callbacks and runs the deferred ones, until ctx is done.
func serve(ctx context.Context) error {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	scripts, err := callback.VersionedFS(os.DirFS("cloudcode"))
	if err != nil {
		return err
	}
	queue, err := rivercallback.OpenSQLite(ctx, "queue.db", rivercallback.Options{})
	if err != nil {
		return err
	}
	defer queue.Close()
	runner := &sandbox.Runner{Source: scripts}
	defer runner.Close()

	scheduler := &deferred.Scheduler{Queue: queue, Source: scripts}
	handler := &callback.Handler{
		Runner: &deferred.Runner{
			Next:   runner,
			Queue:  queue,
			Source: scripts,
			Key:    deferred.HeaderKey("Webhook-Id"),
		},
		RequestHeaders: []string{"Webhook-Id"},
		Members:        scheduler.Members(),
		Secrets:        callback.SecretMap{"E300018ZDdAx/paid": "s3cret"},
	}
	server := &http.Server{Addr: "127.0.0.1:8080", Handler: handler, ReadHeaderTimeout: 5 * time.Second, IdleTimeout: time.Minute}
	served := make(chan error, 1)
	go func() {
		defer stop()
		served <- server.ListenAndServe()
	}()

	worker := &deferred.Worker{Queue: queue, Runner: handler, MaxPerCredential: 8}
	err = worker.Run(ctx) // it returns when ctx is done and its runs have ended

	grace, cancel := context.WithTimeout(context.Background(), callback.DefaultTimeout+5*time.Second)
	defer cancel()
	err = errors.Join(err, server.Shutdown(grace))
	if failed := <-served; !errors.Is(failed, http.ErrServerClosed) {
		err = errors.Join(err, failed)
	}
	return err
}
