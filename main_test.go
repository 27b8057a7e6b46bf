package callback_test

import (
	"fmt"
	"os"
	"testing"

	"example.com/callback/sandbox"
)

// TestMain begins with sandbox.Main and with what the test's own servers need,
// because they run in processes of this binary.
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
