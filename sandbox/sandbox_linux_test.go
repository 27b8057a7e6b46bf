package sandbox_test

import (
	"context"
	"fmt"
	"log/slog"
	"math"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/assert"
	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

// children returns the ids of this process's children that have not ended.
func children() (pids []string) {
	lists, _ := filepath.Glob("/proc/self/task/*/children")
	for _, list := range lists {
		text, _ := os.ReadFile(list)
		pids = append(pids, strings.Fields(string(text))...)
	}
	return pids
}

// The limits of a child, as the kernel has them. TestCapturedChild tries the rest.
func TestLimits(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", `Spark.setScriptData("say", 1)`))
	r.Processes = 1
	require.Equal(t, "1", say(t, r, "x"))
	require.Len(t, r.Pids(), 1)
	pid := r.Pids()[0]

	limits, err := os.ReadFile(fmt.Sprintf("/proc/%d/limits", pid))
	require.NoError(t, err)
	require.Regexp(t, `Max open files +0 +0 `, string(limits))
	require.Regexp(t, `Max core file size +0 +0 `, string(limits))
	require.Regexp(t, `Max data size +\d+ +\d+ `, string(limits))
	require.Regexp(t, `Max address space +\d+ +\d+ `, string(limits))
	require.Regexp(t, `Max stack size +\d{1,7} +\d{1,7} `, string(limits))
	require.Regexp(t, `Max pending signals +0 +0 `, string(limits))

	group, err := syscall.Getpgid(pid)
	require.NoError(t, err)
	require.Equal(t, pid, group)
}

// If a child is killed while it is idle, no call fails.
func TestKilledIdle(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", `Spark.setScriptData("say", 1)`))
	for range 5 {
		require.Equal(t, "1", say(t, r, "x"))
		for _, pid := range r.Pids() {
			if syscall.Kill(pid, syscall.SIGKILL) == nil {
				require.Eventually(t, func() bool { return isGone(pid) }, 10*time.Second, time.Millisecond)
			}
		}
	}
}

// isGone reports whether a process has ended with all its threads, whether
// waited for or not.
func isGone(pid int) bool {
	threads, _ := os.ReadDir(fmt.Sprintf("/proc/%d/task", pid))
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	return err != nil || len(threads) <= 1 && strings.Contains(string(stat), ") Z ")
}

func TestKilledUnderLoad(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", `var s = 0; for (var i = 0; i < 2000; i++) s += i; Spark.setScriptData("say", Spark.echo(s))`))
	r.Processes = 4
	require.NoError(t, r.Start(t.Context()))
	members := callback.Members{"echo": {Func: func(_ context.Context, _ *callback.Call, args callback.Args) (any, error) {
		return args[0], nil
	}}}
	var calls sync.WaitGroup
	var bad atomic.Int64
	good, over := make(chan struct{}), make(chan struct{})
	for range 8 {
		calls.Go(func() {
			for {
				select {
				case <-over:
					return
				default:
				}
				result, err := r.RunScript(t.Context(), &callback.Call{Credential: "x", Members: members})
				if err != nil {
					assert.Regexp(t, "killed: out of memory or fatal error of the engine|died as it started", err.Error())
					bad.Add(1)
				} else if assert.Equal(t, "1999000", string(result.Data[0].Value)) {
					select {
					case good <- struct{}{}:
					case <-over:
					}
				}
			}
		})
	}
	kills := 0
	for range 200 {
		if pids := r.Pids(); len(pids) > 0 {
			if syscall.Kill(pids[rand.IntN(len(pids))], syscall.SIGKILL) == nil {
				kills++
			}
		}
		for range 3 {
			<-good
		}
	}
	close(over)
	calls.Wait()
	t.Log("bad", bad.Load(), "kills", kills)
	require.LessOrEqual(t, bad.Load(), int64(kills))
}

func TestMaxMemory(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", "var a = []; for (;;) a.push(new Uint8Array(1e7).fill(1))"))
	r.MaxMemory = 128 << 20
	_, err := run(t, r, "x")
	require.ErrorContains(t, err, "killed: out of memory")
}

// A SIGTERM to all processes of a service does not end the calls under way.
func TestTerminated(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", `Spark.term(); Spark.setScriptData("say", 1)`))
	result, err := r.RunScript(t.Context(), &callback.Call{Credential: "x", Members: callback.Members{
		"term": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
			for _, pid := range r.Pids() {
				_ = syscall.Kill(pid, syscall.SIGTERM)
			}
			return nil, nil
		}},
	}})
	require.NoError(t, err)
	require.Len(t, result.Data, 1)
}

// A program that does not begin with Main gets an error that says so, and is not
// started again.
func TestNoMain(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		command []string
		error   string
	}{
		"ends":   {[]string{"/bin/true"}, "it ended by itself"},
		"fails":  {[]string{"/bin/false"}, "it ended by itself (exit status 1)"},
		"prints": {[]string{"/bin/sh", "-c", "yes"}, "it printed something else"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRunner(t, tree("callbacks/x.js", ""))
			r.SetCommands(c.command)
			r.SetGreetTimeout(time.Hour)
			err := r.Start(t.Context())
			require.ErrorIs(t, err, sandbox.ErrNoMain)
			require.ErrorContains(t, err, c.error)
			_, err = run(t, r, "x")
			require.ErrorIs(t, err, sandbox.ErrNoMain)
			require.Empty(t, r.Pids())
		})
	}
	t.Run("cannot start", func(t *testing.T) {
		t.Parallel()
		r := newRunner(t, tree("callbacks/x.js", ""))
		r.SetCommands([]string{"/nonexistent"})
		require.ErrorIs(t, r.Start(t.Context()), os.ErrNotExist)
	})
}

// A first child that is slow fails the calls that wait for it, and no others.
func TestSlowStart(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", `Spark.setScriptData("say", 1)`))
	r.SetCommands([]string{"/bin/sleep", "3600"})
	r.SetGreetTimeout(time.Millisecond)
	err := r.Start(t.Context())
	require.ErrorIs(t, err, callback.ErrOverloaded)
	require.NotErrorIs(t, err, sandbox.ErrNoMain)
	require.ErrorContains(t, err, "did not reach sandbox.Main in 1ms")
	require.Equal(t, 2*time.Millisecond, r.GreetTimeout(), "the next one gets more time")

	r.SetGreetTimeout(time.Hour)
	require.Equal(t, "1", say(t, r, "x"))
}

const orphanEnv = "CALLBACK_SANDBOX_ORPHANS"

// becomeOrphans is the main of a host that is about to be killed. It has a child in
// a native call that does not end, whose number it prints. The child tells so by a
// log line: it waits for no answer that could fail to come.
func becomeOrphans() {
	r := &sandbox.Runner{Scripts: tree("callbacks/x.js", `Spark.getLog().info("begun"); /^(?=(a+)+$)(a+)+$/.test("a".repeat(40) + "b")`)}
	_, _ = r.RunScript(context.Background(), &callback.Call{
		Credential: "x",
		Logger: slog.New(slog.NewTextHandler(writerFunc(func([]byte) {
			fmt.Println(r.Pids()[0])
		}), nil)),
	})
	os.Exit(1)
}

type writerFunc func([]byte)

func (f writerFunc) Write(p []byte) (int, error) {
	f(p)
	return len(p), nil
}

// Children do not outlive a host that is killed, whatever they do.
func TestHostKilled(t *testing.T) {
	t.Parallel()
	host := exec.Command("/proc/self/exe")
	host.Env = []string{orphanEnv + "=1"}
	out, err := host.StdoutPipe()
	require.NoError(t, err)
	require.NoError(t, host.Start())
	var pid int
	_, scanErr := fmt.Fscanln(out, &pid)
	require.NoError(t, host.Process.Kill())
	_ = host.Wait()
	require.NoError(t, scanErr)
	gone := assert.Eventually(t, func() bool { return isGone(pid) }, 30*time.Second, time.Millisecond)
	if !gone {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// The log says that a child has panicked, but not with what value.
func TestChildPanics(t *testing.T) {
	t.Parallel()
	var log testkit.Log
	r := newRunner(t, tree("callbacks/x.js", ""))
	r.Processes, r.Logger = 1, slog.New(slog.NewTextHandler(&log, nil))
	r.SetCommands([]string{"/proc/self/exe", "panic"})
	_, err := r.RunScript(t.Context(), &callback.Call{
		Credential: "x",
		Data:       []callback.Param{{Name: "value", Values: []string{"s3cret"}}},
	})
	require.ErrorContains(t, err, "killed: out of memory or fatal error of the engine")
	require.Eventually(t, func() bool { return strings.Contains(log.String(), "child process died") }, time.Minute, time.Millisecond)
	require.Contains(t, log.String(), "; panic")
	require.NotContains(t, log.String(), "s3cret")
}

// TestManyScripts: a child whose compiled scripts take too much memory is replaced
// between two calls, not during one.
func TestManyScripts(t *testing.T) {
	t.Parallel()
	testkit.SkipUnderRace(t, "its own memory, which counts, is many times that of the scripts")
	large := "if (Date.now() < 0) { var a; " + strings.Repeat("a+=[];", 500<<10/6) + "}\nSpark.setScriptData('v', 1)"
	scripts := fstest.MapFS{}
	for i := range 16 {
		scripts[fmt.Sprintf("callbacks/c%d.js", i)] = &fstest.MapFile{Data: []byte(large)}
	}
	r := newRunner(t, scripts)
	r.Processes, r.MaxMemory = 1, 256<<20
	for i := range 16 {
		_, err := run(t, r, fmt.Sprintf("c%d", i))
		require.NoError(t, err, i)
	}
}

// TestNoDeadlineToSpeakOf: a very late deadline does not overflow the time after
// which a child ends itself.
func TestNoDeadlineToSpeakOf(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree("callbacks/x.js", `Spark.setScriptData("v", 1)`))
	ctx, cancel := context.WithTimeout(t.Context(), math.MaxInt64)
	defer cancel()
	_, err := r.RunScript(ctx, &callback.Call{Credential: "x"})
	require.NoError(t, err)
}

// The usage of a call is measured, even if its child is killed.
func TestUsage(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree(
		"callbacks/small.js", "",
		"callbacks/busy.js", `var a = []; for (var i = 0; i < 100; i++) a.push(new Uint8Array(1e6).fill(1)); Spark.setScriptData("say", 1)`,
		"callbacks/regexp.js", `/^(?=(a+)+$)(a+)+$/.test("a".repeat(40) + "b")`))
	r.Processes = 1
	measure := func(ctx context.Context, credential string) (callback.Usage, error) {
		var usage callback.Usage
		_, err := r.RunScript(ctx, &callback.Call{Credential: credential, Usage: &usage})
		return usage, err
	}
	busy, err := measure(t.Context(), "busy")
	require.NoError(t, err)
	require.Equal(t, "callbacks/busy.js", busy.Script)
	require.Positive(t, busy.Queued, "the child had to start")
	require.Positive(t, busy.ChildCPU)
	require.Greater(t, busy.ChildMemory, int64(100e6))

	small, err := measure(t.Context(), "small")
	require.NoError(t, err)
	require.Equal(t, "callbacks/small.js", small.Script)
	require.Less(t, small.ChildCPU, busy.ChildCPU, "of this call alone")
	require.Greater(t, small.ChildMemory, int64(100e6), "the most that the child ever had")

	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	killed, err := measure(ctx, "regexp")
	require.ErrorIs(t, err, context.DeadlineExceeded)
	require.Positive(t, killed.ChildCPU)
	require.Positive(t, killed.ChildMemory)
}

// A call that waits takes no processor time, and one that computes does. So the
// parent knows which credentials compute for long.
func TestProcessorTime(t *testing.T) {
	t.Parallel()
	r := newRunner(t, tree(
		"callbacks/waits.js", `Spark.wait()`,
		"callbacks/computes.js", `for (var sum = 0, i = 0; i < 3e6; i++) sum += i; Spark.setScriptData("say", 1)`,
	))
	r.Processes = 1
	took := func(credential string) time.Duration {
		before := r.ProcessorTime()
		_, err := r.RunScript(t.Context(), &callback.Call{Credential: credential, Members: callback.Members{
			"wait": {Func: func(context.Context, *callback.Call, callback.Args) (any, error) {
				time.Sleep(100 * time.Millisecond)
				return nil, nil
			}},
		}})
		require.NoError(t, err)
		return r.ProcessorTime() - before
	}
	took("waits") // which starts the child
	require.Less(t, 2*took("waits"), took("computes"))
}
