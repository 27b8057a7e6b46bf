package callback_test

import (
	"os"
	"testing"

	"example.com/callback/sandbox"
)

// TestMain is what main is to a program: a child process of the sandbox begins
// here.
func TestMain(m *testing.M) {
	sandbox.Main()
	os.Exit(m.Run())
}
