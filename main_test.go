package callback_test

import (
	"fmt"
	"os"
	"testing"

	"example.com/callback/sandbox"
)

// TestMain is what main is to a program: the processes that the tests start
// begin here, children of the sandbox and servers for hostile scripts.
func TestMain(m *testing.M) {
	sandbox.Main()
	if mode := os.Getenv(hostileServerEnv); mode != "" {
		if err := serveHostile(mode); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}
