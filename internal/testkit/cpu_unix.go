//go:build unix

package testkit

import (
	"syscall"
	"time"
)

// CPUTime is the time that this process has spent on all processors, or zero where
// the system does not tell.
func CPUTime() time.Duration {
	var u syscall.Rusage
	if syscall.Getrusage(syscall.RUSAGE_SELF, &u) != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
