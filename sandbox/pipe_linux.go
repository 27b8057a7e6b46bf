package sandbox

import (
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// The Go scheduler is told of a system call that may block, so that it can give the
// goroutine's processor to another one. Its monitor then wakes every 20 µs for a
// while. That takes more time than a small script. So it is not told of writes that
// do not wait, nor, in a child, of short waits for the parent.

// maxQuietWrite is how much a pipe takes as a whole or not at all (PIPE_BUF).
const maxQuietWrite = 4096

// writeQuietly writes to a pipe that does not block. If it returns false, it has
// written nothing and an ordinary write must follow.
func writeQuietly(fd uintptr, b []byte) bool {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return errno == 0 && int(n) == len(b)
}

// readQuietly reads from a pipe. If it returns 0, an ordinary read must follow.
func readQuietly(fd uintptr, b []byte) int {
	if !arrives(fd) {
		return 0
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0
	}
	return int(n)
}

// maxQuietWait is how long a quiet read waits at most. A process that waits longer
// is better put to rest.
const maxQuietWait = 10 * time.Millisecond

// arrives waits for something to read, and reports whether there is something.
func arrives(fd uintptr) bool {
	for {
		// poll(2) is not possible: it counts files against the limit of open ones.
		var files [1024 / 64]uint64
		files[fd/64] = 1 << (fd % 64)
		timeout := syscall.NsecToTimespec(int64(maxQuietWait))
		n, _, errno := syscall.RawSyscall6(syscall.SYS_PSELECT6, fd+1,
			uintptr(unsafe.Pointer(&files)), 0, 0, uintptr(unsafe.Pointer(&timeout)), 0)
		if errno != syscall.EINTR {
			return errno == 0 && n > 0
		}
		runtime.Gosched() // the signal may be the collector's
	}
}
