//go:build unix && !linux

package pgtest

import "syscall"

func endWithParent(*syscall.SysProcAttr) {}

func lockThread() func() { return func() {} }

// children returns nothing: a signal reaches the server's main process only.
func children(int) []int { return nil }
