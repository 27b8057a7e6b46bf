package testkit

import (
	"os"
	"testing"
)

// deepEnv is the environment variable that turns the deep tier on.
const deepEnv = "CALLBACK_DEEP"

// Deep reports whether the tests are to do all that they can. The tests for
// everyday use are the fast tier: it has a sample of every kind and ends in a
// minute. CI runs both.
func Deep() bool { return os.Getenv(deepEnv) != "" }

// SkipUnlessDeep skips a test that is not in the fast tier.
func SkipUnlessDeep(t testing.TB) {
	t.Helper()
	if !Deep() {
		t.Skip("deep tier: set " + deepEnv + "=1 to run it")
	}
}

// SkipUnderRace skips a test whose result the race detector changes.
func SkipUnderRace(t testing.TB, reason string) {
	t.Helper()
	if Race {
		t.Skip("race detector: " + reason)
	}
}
