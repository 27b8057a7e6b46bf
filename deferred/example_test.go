package deferred_test

import (
	"context"
	"fmt"
	"net/http/httptest"
	"testing/fstest"

	"example.com/callback"
	"example.com/callback/deferred"
	"example.com/callback/deferred/queuetest"
)

// One process answers, and runs what it has put off. Its queue is in memory; see
// package rivercallback for one that outlives the process.
func Example() {
	tree, err := callback.VersionedFS(fstest.MapFS{
		"callbacks/paid.js": {Data: []byte("// callback: deferred\nSpark.setScriptData('booked', Spark.getData().order)")},
	})
	if err != nil {
		panic(err)
	}
	queue := new(queuetest.Memory)
	handler := &callback.Handler{
		Runner: &deferred.Runner{
			Next:   &callback.GojaRunner{Source: tree},
			Queue:  queue,
			Source: tree,
		},
		Secrets: callback.SecretMap{"E300018ZDdAx/paid": "s3cret"},
	}
	ctx, stop := context.WithCancel(context.Background())
	worker := &deferred.Worker{
		Queue:                queue,
		Runner:               handler,
		DangerouslyInProcess: true, // the script is ours
		Judge: func(_ context.Context, _ *deferred.Job, v deferred.Verdict) deferred.Verdict {
			fmt.Println(v.Action, string(v.Result.Data[0].Value))
			stop()
			return v
		},
	}

	answer := httptest.NewRecorder()
	handler.ServeHTTP(answer, httptest.NewRequest("GET", "/callback/E300018ZDdAx/paid/s3cret?order=17", nil))
	fmt.Println(answer.Code)
	if err := worker.Run(ctx); err != nil {
		panic(err)
	}
	// Output:
	// 202
	// done "17"
}
