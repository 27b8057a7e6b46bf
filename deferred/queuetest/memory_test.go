package queuetest_test

import (
	"testing"

	"example.com/callback/deferred/queuetest"
)

func TestMemory(t *testing.T) {
	t.Parallel()
	queuetest.Run(t, func(*testing.T) queuetest.Queue { return new(queuetest.Memory) })
}
