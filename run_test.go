package callback_test

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"strings"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// A stoppedContext is done once the test says so. It does not notify anybody, so a
// run must notice it by itself.
type stoppedContext struct {
	context.Context
	deadline time.Time
	done     atomic.Bool
}

func (c *stoppedContext) Deadline() (time.Time, bool) { return c.deadline, !c.deadline.IsZero() }

func (c *stoppedContext) Err() error {
	if c.done.Load() {
		return context.DeadlineExceeded
	}
	return nil
}

// A logFunc is a slog.Handler that calls a function with each message.
type logFunc func(message string)

func (logFunc) Enabled(context.Context, slog.Level) bool { return true }
func (f logFunc) WithAttrs([]slog.Attr) slog.Handler     { return f }
func (f logFunc) WithGroup(string) slog.Handler          { return f }

func (f logFunc) Handle(_ context.Context, r slog.Record) error {
	f(r.Message)
	return nil
}

// runScript runs a script that stops its own context when it logs "stop", and
// returns what else it has logged.
func runScript(ctx *stoppedContext, script string) (result *callback.Result, logged []string, err error) {
	runner := &callback.GojaRunner{Scripts: fstest.MapFS{"callbacks/hello.js": {Data: []byte(script)}}}
	result, err = runner.RunScript(ctx, &callback.Call{Credential: "hello", Logger: slog.New(logFunc(func(message string) {
		if message == "stop" {
			ctx.done.Store(true)
		} else {
			logged = append(logged, message)
		}
	}))})
	return result, logged, err
}

// TestDoneContextStartsNoRun: no script is run for a caller that has gone.
func TestDoneContextStartsNoRun(t *testing.T) {
	t.Parallel()
	ctx := &stoppedContext{Context: t.Context()}
	_, logged, err := runScript(ctx, `Spark.getLog().info("ran")`)
	require.NoError(t, err)
	require.Equal(t, []string{"ran"}, logged)
	ctx.done.Store(true)
	_, logged, err = runScript(ctx, `Spark.getLog().info("ran")`)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Empty(t, logged)
}

// TestErrorIsNotReadPastTheDeadline: past the deadline a thrown value is not read,
// because reading it can run code of the script.
func TestErrorIsNotReadPastTheDeadline(t *testing.T) {
	t.Parallel()
	const thrown = `throw {get message() { Spark.getLog().info("read"); return "m" }}`
	_, logged, err := runScript(&stoppedContext{Context: t.Context()}, thrown)
	require.EqualError(t, err, "callback: callbacks/hello.js:1:1: m")
	require.Equal(t, []string{"read"}, logged)
	_, logged, err = runScript(&stoppedContext{Context: t.Context()}, `Spark.getLog().info("stop"); `+thrown)
	require.EqualError(t, err, "callback: callbacks/hello.js:1:30: Uncaught exception")
	require.Empty(t, logged)
}

// A slowFS takes some time to open a file.
type slowFS struct {
	fstest.MapFS
	takes time.Duration
}

func (f slowFS) Open(name string) (fs.File, error) {
	time.Sleep(f.takes)
	return f.MapFS.Open(name)
}

// TestDeadlineBeforeTheScript: a run whose deadline passes while its script is read
// or prepared is a 504 like any other.
func TestDeadlineBeforeTheScript(t *testing.T) {
	t.Parallel()
	for _, script := range []string{`1`, `var URL = 1`, `"use strict"`, `JSON.parse("1").toLocaleString()`} {
		t.Run(script, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				const timeout = time.Second
				ctx, cancel := context.WithTimeout(t.Context(), timeout)
				defer cancel()
				files := fstest.MapFS{"callbacks/x.js": {Data: []byte(script)}}
				r := &callback.GojaRunner{Scripts: slowFS{files, timeout + time.Millisecond}}
				_, err := r.RunScript(ctx, &callback.Call{Credential: "x"})
				var e *callback.ScriptError
				require.ErrorAs(t, err, &e)
				require.ErrorIs(t, err, context.DeadlineExceeded)
				require.Equal(t, "callbacks/x.js", e.Script)
				require.Equal(t, "ran past its deadline", e.Message)
			})
		})
	}
}

// TestDigestPastTheDeadline: a script never gets the digest of a part of its data.
func TestDigestPastTheDeadline(t *testing.T) {
	t.Parallel()
	_, logged, err := runScript(&stoppedContext{Context: t.Context()}, `
		var digester = Spark.getDigester();
		Spark.getLog().info("stop");
		try { Spark.getLog().info(digester.sha256Hex("abc")) } catch (e) { Spark.getLog().info("caught") }
	`)
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.ErrorContains(t, err, "callbacks/hello.js:4:")
	require.Empty(t, logged)
}

// TestRemainingMilliseconds are never below zero.
func TestRemainingMilliseconds(t *testing.T) {
	t.Parallel()
	const script = `Spark.setScriptData("ms", Spark.getRemainingMilliseconds())`
	for _, test := range []struct {
		deadline time.Time
		want     string
	}{
		{time.Now().Add(-time.Hour), "0"},
		{time.Time{}, "2147483647"}, // there is none
	} {
		result, _, err := runScript(&stoppedContext{Context: t.Context(), deadline: test.deadline}, script)
		require.NoError(t, err)
		require.Equal(t, test.want, string(result.Data[0].Value))
	}
	synctest.Test(t, func(t *testing.T) {
		result, _, err := runScript(&stoppedContext{Context: t.Context(), deadline: time.Now().Add(1500 * time.Millisecond)}, script)
		require.NoError(t, err)
		require.Equal(t, "1500", string(result.Data[0].Value))
	})
}

// TestQueueTime: a call waits for a place for at most half of its time, because with
// less a script would probably end too late.
func TestQueueTime(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		runner := &callback.GojaRunner{MaxRunning: 1, Scripts: fstest.MapFS{"callbacks/hello.js": {Data: []byte(`Spark.getLog().info("x")`)}}}
		release, first := make(chan struct{}), make(chan error)
		go func() {
			hang := logFunc(func(string) { <-release })
			_, err := runner.RunScript(t.Context(), &callback.Call{Credential: "hello", Logger: slog.New(hang)})
			first <- err
		}()
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		start := time.Now()
		_, err := runner.RunScript(ctx, &callback.Call{Credential: "hello"})
		require.ErrorIs(t, err, callback.ErrOverloaded)
		require.Equal(t, 30*time.Second, time.Since(start))
		close(release)
		require.NoError(t, <-first)
		_, err = runner.RunScript(ctx, &callback.Call{Credential: "hello"})
		require.NoError(t, err)
	})
}

// TestQueueOfANewScript: calls that came while their script was being read take
// places and queue like any other, and the one past MaxQueue is refused at once.
func TestQueueOfANewScript(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const running, queue, calls = 2, 3, 7
		files := hangingFS{
			MapFS: fstest.MapFS{"callbacks/hello.js": {Data: []byte(`Spark.getLog().info("x")`)}},
			name:  "callbacks/hello.js",
			hang:  make(chan struct{}),
		}
		runner := &callback.GojaRunner{MaxRunning: running, MaxQueue: queue, Scripts: files}
		ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
		defer cancel()
		release, ended := make(chan struct{}), make(chan error, calls)
		logger := slog.New(logFunc(func(string) { <-release }))
		for range calls {
			go func() {
				_, err := runner.RunScript(ctx, &callback.Call{Credential: "hello", Logger: logger})
				ended <- err
			}()
			synctest.Wait() // the first reads, the others wait for it
		}
		require.Empty(t, ended)
		close(files.hang)
		synctest.Wait()
		require.Len(t, ended, calls-running-queue)
		for range calls - running - queue {
			require.ErrorIs(t, <-ended, callback.ErrOverloaded)
		}
		close(release)
		for range running + queue {
			require.NoError(t, <-ended)
		}
	})
}

// TestErrorsAreCut: long messages of thrown values are cut.
func TestErrorsAreCut(t *testing.T) {
	t.Parallel()
	const max = 4 << 10
	x := func(n int) string { return strings.Repeat("x", n) }
	for _, test := range []struct{ thrown, want string }{
		{`new Error(x(4096))`, "Error: " + x(max)},
		{`new Error(x(4097))`, "Error: " + x(max) + "…"},
		{`{message: x(4096)}`, x(max)},
		{`{message: x(1e6)}`, x(max) + "…"},
		{`{name: x(100), message: "m"}`, x(100) + ": m"},
		{`{name: x(101), message: "m"}`, x(100) + "…: m"},
		{`x(4096)`, "Uncaught " + x(max)},
		{`x(4097)`, "Uncaught " + x(max) + "…"},
		{`{a: x(4088)}`, `Uncaught {"a":"` + x(max-8) + `"}`},
		{`{a: x(4089)}`, "Uncaught exception"},
		{`x(4095) + "é"`, "Uncaught " + x(max-1) + "…"}, // no half of a character
	} {
		_, _, err := runScript(&stoppedContext{Context: t.Context()}, `function x(n) { return new Array(n + 1).join("x") } throw `+test.thrown)
		var script *callback.ScriptError
		require.ErrorAs(t, err, &script)
		require.Equal(t, test.want, script.Message, test.thrown)
	}
}

// TestStacksAreCut to 32 lines.
func TestStacksAreCut(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ depth, lines int }{{30, 32}, {31, 32}, {300, 32}, {10, 12}} {
		_, _, err := runScript(&stoppedContext{Context: t.Context()},
			fmt.Sprintf(`function f(n) { if (n > 0) f(n - 1); else throw new Error("deep") } f(%d)`, test.depth))
		var script *callback.ScriptError
		require.ErrorAs(t, err, &script)
		require.Equal(t, "Error: deep", script.Message)
		require.Len(t, strings.Split(script.Stack, "\n"), test.lines)
	}
}
