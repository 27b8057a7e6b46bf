//go:build !unix

package testkit

import "time"

// CPUTime is zero: the system does not tell.
func CPUTime() time.Duration { return 0 }
