//go:build unix

package rivercallback_test

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/riverqueue/river"
	"github.com/riverqueue/river/riverdriver/riverpgxv5"
	"github.com/riverqueue/river/rivermigrate"
	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/internal/pgtest"
	"example.com/callback/rivercallback"
)

// fronts is how many calls are enqueued at once.
const fronts = 8

// enqueueAndWork measures b.N jobs, from the first one enqueued to the last one
// run.
func enqueueAndWork(b *testing.B, enqueue func(i int) error, start func(ran func())) {
	var unfinished sync.WaitGroup
	unfinished.Add(b.N)
	start(unfinished.Done)
	b.ResetTimer()
	var senders sync.WaitGroup
	for f := range fronts {
		senders.Go(func() {
			for i := f; i < b.N; i += fronts {
				if err := enqueue(i); err != nil {
					b.Error(err)
					unfinished.Done()
				}
			}
		})
	}
	senders.Wait()
	unfinished.Wait()
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "jobs/s")
}

// BenchmarkDeferred is a call through a deferred.Runner and a Worker, whose
// script does nothing; BenchmarkPlain a job of River's that does nothing. Their
// ratio is what this package costs.
func BenchmarkDeferred(b *testing.B) {
	ctx, cancel := context.WithCancel(b.Context())
	q, err := rivercallback.OpenPostgres(ctx, newPool(b), rivercallback.Options{Places: 32})
	require.NoError(b, err)
	runner := &deferred.Runner{
		Queue: q,
		Defer: func(context.Context, *callback.Call) bool { return true },
		Next:  callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) { return nil, nil }),
		Key:   func(call *callback.Call) string { return call.RunID },
	}
	body := []callback.Param{{Name: "REQUEST_BODY", Values: []string{`{"type":"payment","amount":5}`}}}
	ended := make(chan error, 1)
	enqueueAndWork(b, func(i int) error {
		_, err := runner.RunScript(ctx, &callback.Call{APIKey: "E3", Credential: "hello", RunID: fmt.Sprint("run-", i), Data: body})
		return err
	}, func(ran func()) {
		worker := &deferred.Worker{Queue: q, Runner: callback.ScriptRunnerFunc(func(context.Context, *callback.Call) (*callback.Result, error) {
			ran()
			return nil, nil
		})}
		go func() { ended <- worker.Run(ctx) }()
	})
	cancel()
	require.NoError(b, <-ended)
}

type plainArgs struct {
	Key  string `json:"key" river:"unique"`
	Body string `json:"body"`
}

func (plainArgs) Kind() string { return "plain" }

func BenchmarkPlain(b *testing.B) {
	if server == nil {
		b.Skip(pgtest.ErrMissing)
	}
	pool := newPool(b)
	driver := riverpgxv5.New(pool)
	migrator, err := rivermigrate.New(driver, nil)
	require.NoError(b, err)
	_, err = migrator.Migrate(b.Context(), rivermigrate.DirectionUp, nil)
	require.NoError(b, err)
	var ran func()
	workers := river.NewWorkers()
	river.AddWorker(workers, river.WorkFunc(func(context.Context, *river.Job[plainArgs]) error {
		ran()
		return nil
	}))
	client, err := river.NewClient(driver, &river.Config{
		Queues:  map[string]river.QueueConfig{river.QueueDefault: {MaxWorkers: 32}},
		Workers: workers,
		// As in Work. Otherwise the benchmark would measure the cooldown.
		FetchCooldown: 10 * time.Millisecond,
		Logger:        slog.New(slog.DiscardHandler),
	})
	require.NoError(b, err)
	enqueueAndWork(b, func(i int) error {
		_, err := client.Insert(b.Context(), plainArgs{Key: fmt.Sprint("run-", i), Body: `{"type":"payment","amount":5}`},
			&river.InsertOpts{UniqueOpts: river.UniqueOpts{ByArgs: true}})
		return err
	}, func(f func()) {
		ran = f
		require.NoError(b, client.Start(b.Context()))
	})
	require.NoError(b, client.Stop(context.Background()))
}
