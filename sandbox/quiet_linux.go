package sandbox

import (
	"os"
	"runtime"
	"syscall"
	"time"
	"unsafe"
)

// The Go scheduler is told of a system call that may block, so that it can give the
// goroutine's processor to another one. Its monitor then wakes every 20 µs for a
// while. That takes more of a child's time than a small script. So a child does not
// tell it of short waits. It keeps a second processor for other goroutines.

// maxQuietWait is how long a quiet read waits at most. A process that waits longer
// is better put to rest.
const maxQuietWait = 10 * time.Millisecond

// maxQuietWrite is how much a pipe takes in one piece (PIPE_BUF).
const maxQuietWrite = 4096

// readQuietly reads from a pipe. If it returns 0, an ordinary read must follow.
func readQuietly(pipe *os.File, b []byte) int {
	fd := pipe.Fd()
	if !waitQuietly(fd) {
		return 0
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_READ, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0
	}
	return int(n)
}

// waitQuietly reports whether a read of the file will not block.
func waitQuietly(fd uintptr) bool {
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

// writeQuietly writes to a pipe and returns how much it has written. An ordinary
// write must follow for the rest.
func writeQuietly(pipe *os.File, b []byte) int {
	if len(b) > maxQuietWrite {
		return 0
	}
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, pipe.Fd(),
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	if errno != 0 {
		return 0
	}
	return int(n)
}
