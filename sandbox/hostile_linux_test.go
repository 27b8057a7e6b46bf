package sandbox_test

import (
	"context"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/sandbox"
)

// stallers are the ways in which an attacker in a child can stall instead of
// answering.
var stallers = map[string]func(){
	"half a frame": func() {
		write(sandbox.LongFrame[:len(sandbox.LongFrame)/2])
		sleep()
	},
	"half a header": func() {
		write(sandbox.LongFrame[:3])
		sleep()
	},
	"byte by byte": func() {
		for i := range sandbox.LongFrame {
			write(sandbox.LongFrame[i : i+1])
			time.Sleep(20 * time.Millisecond)
		}
		sleep()
	},
	"reads nothing": func() { // until the pipe to it is full
		for {
			write(sandbox.StatFrame)
		}
	},
	"closes its input": func() {
		_ = syscall.Close(0)
		for {
			write(sandbox.StatFrame)
		}
	},
	"closes its output": func() {
		_ = syscall.Close(1)
		sleep()
	},
	"closes all": func() {
		_, _, _ = syscall.Close(0), syscall.Close(1), syscall.Close(2)
		sleep()
	},
	"fills its standard error": func() {
		for {
			_, _ = syscall.Write(2, sandbox.LongFrame)
		}
	},
	"starts threads": func() {
		for range 100 {
			go func() {
				for i := 0; ; i++ { // computes
				}
			}()
		}
		sleep()
	},
}

func write(b []byte) { _, _ = syscall.Write(1, b) }

func sleep() { time.Sleep(time.Hour) }

// A child that stalls in any way costs its own call alone: it is killed at the
// deadline, or earlier if it has closed its pipes, and the next child serves.
func TestChildThatStalls(t *testing.T) {
	t.Parallel()
	for name := range stallers {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRunner(t, tree("callbacks/x.js", `Spark.setScriptData("say", 1)`))
			r.Processes, r.Reserve = 1, -1
			r.SetCommands([]string{"/proc/self/exe", "hostile " + name})
			require.NoError(t, r.Start(t.Context()))
			ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
			defer cancel()
			_, err := r.RunScript(ctx, &callback.Call{Credential: "x"})
			require.Error(t, err)
			if !strings.HasPrefix(name, "closes ") {
				require.ErrorIs(t, err, context.DeadlineExceeded)
			}
			require.Equal(t, "1", say(t, r, "x"))
		})
	}
}
