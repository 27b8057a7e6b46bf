package deferred

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"time"

	"example.com/callback"
	"example.com/callback/internal/cloudcode"
)

// Limits of the scheduler.
const (
	// MaxDelay is how far ahead a module may be scheduled.
	MaxDelay = 366 * 24 * time.Hour
	// MaxLabel is the longest key of a scheduled module, in bytes.
	MaxLabel = 512
)

// A Scheduler gives scripts Spark.getScheduler() over a queue:
//
//   - inSeconds(module, seconds, data[, key]) has a module run after a time,
//     with data as its Spark.getData(). It returns true. The module runs for the
//     same API key, credential and player, as a run of its own, whose world is
//     new.
//   - cancel(key) cancels what was scheduled under a key of the API key and has
//     not begun, and returns whether there was anything. Several modules may be
//     scheduled under one key.
//
// The original had both; that a key does not have to be unique is decided here.
// What a deferred run schedules is scheduled once, however often the run is
// tried.
type Scheduler struct {
	// Queue takes the calls. It is required.
	Queue interface {
		Queue
		Operator
	}

	// MaxAttempts is how often a scheduled module may be begun. Zero means
	// DefaultMaxAttempts.
	MaxAttempts int

	// Source gives the version with which a scheduled module runs: the one that
	// is live when it is scheduled, or that of a deferred run that schedules
	// it. nil means the one that is live when it runs, as in the original; then
	// an attempt may run another version than the one before it.
	Source callback.ScriptSource
}

// Members returns getScheduler for [callback.Handler].Members.
func (s *Scheduler) Members() callback.Members {
	return callback.Members{"getScheduler": {
		Script: `function (host) {
			return function getScheduler() {
				return {
					inSeconds: function inSeconds(module, seconds, data, key) {
						return host.inSeconds(String(module), Number(seconds), data === undefined ? null : data, key == null ? "" : String(key))
					},
					cancel: function cancel(key) { return host.cancel(String(key)) }
				}
			}
		}`,
		Funcs: map[string]callback.HostFunc{"inSeconds": s.inSeconds, "cancel": s.cancel},
	}}
}

func (s *Scheduler) inSeconds(ctx context.Context, call *callback.Call, args callback.Args) (any, error) {
	var module, key string
	var seconds float64
	var data json.RawMessage
	if err := args.Scan(&module, &seconds, &data, &key); err != nil {
		return nil, fmt.Errorf("inSeconds: %w", err)
	}
	if !cloudcode.IsName(module) {
		return nil, errors.New("inSeconds: argument 1 is not the short code of a module")
	}
	if string(args[1]) == "null" || seconds < 0 || seconds > MaxDelay.Seconds() { // the JSON of NaN is null
		return nil, fmt.Errorf("inSeconds: argument 2 is not from 0 to %d seconds", int(MaxDelay.Seconds()))
	}
	if len(key) > MaxLabel {
		return nil, fmt.Errorf("inSeconds: argument 4 is longer than %d bytes", MaxLabel)
	}
	scheduled := callback.Call{
		APIKey:     call.APIKey,
		Credential: call.Credential,
		PlayerID:   call.PlayerID,
		RunID:      rand.Text(),
		Script:     module,
		Input:      data,
	}
	if s.Source != nil {
		tree, err := s.Source.Scripts(ctx, call)
		if err != nil {
			return nil, failed(ctx, call, "scripts", err)
		}
		scheduled.Version = tree.Version
	}
	job, err := NewJob(&scheduled, cmp.Or(s.MaxAttempts, DefaultMaxAttempts))
	if err != nil {
		return nil, err
	}
	job.NotBefore = job.Created.Add(time.Duration(seconds * float64(time.Second)))
	if key != "" {
		job.Label = label(call, key)
	}
	if r := runOf(ctx); r != nil {
		job.Key = NewKey("scheduled", r.name, strconv.FormatInt(r.scheduled.Add(1), 10))
	}
	if _, err := s.Queue.Enqueue(ctx, job); err != nil {
		return nil, failed(ctx, call, "queue", err)
	}
	return true, nil
}

func (s *Scheduler) cancel(ctx context.Context, call *callback.Call, args callback.Args) (any, error) {
	var key string
	if err := args.Scan(&key); err != nil {
		return nil, fmt.Errorf("cancel: %w", err)
	}
	n, err := s.Queue.Cancel(ctx, label(call, key))
	if err != nil {
		return nil, failed(ctx, call, "queue", err)
	}
	return n > 0, nil
}

func label(call *callback.Call, key string) string { return NewKey("label", call.APIKey, key) }

// failed logs an error of the queue or of the scripts, and returns what the script
// sees of it.
func failed(ctx context.Context, call *callback.Call, what string, err error) error {
	log := cmp.Or(call.Logger, slog.Default())
	log.ErrorContext(ctx, "callback: scheduler: "+what+" failed", "error", err)
	return errors.New("the " + what + " cannot be reached")
}
