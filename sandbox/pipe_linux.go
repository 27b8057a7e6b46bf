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

// writeQuietly writes to a pipe that does not block, or that has room. If it
// returns false, it has written nothing and an ordinary write must follow.
func writeQuietly(fd uintptr, b []byte) bool {
	n, _, errno := syscall.RawSyscall(syscall.SYS_WRITE, fd,
		uintptr(unsafe.Pointer(unsafe.SliceData(b))), uintptr(len(b)))
	return errno == 0 && int(n) == len(b)
}

// readQuietly reads from a pipe. If it returns 0, an ordinary read must follow.
func readQuietly(fd uintptr, b []byte) int {
	if !isReady(fd, false, maxQuietWait) {
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

// hasRoom reports whether a pipe takes maxQuietWrite bytes now.
func hasRoom(fd uintptr) bool { return isReady(fd, true, 0) }

// isReady waits for at most that long, and reports whether a read or a write of the
// file will not block.
func isReady(fd uintptr, forWrite bool, wait time.Duration) bool {
	for {
		// poll(2) is not possible: it counts files against the limit of open ones.
		var files [1024 / 64]uint64
		files[fd/64] = 1 << (fd % 64)
		read, write := unsafe.Pointer(&files), unsafe.Pointer(nil)
		if forWrite {
			read, write = write, read
		}
		timeout := syscall.NsecToTimespec(int64(wait))
		n, _, errno := syscall.RawSyscall6(syscall.SYS_PSELECT6, fd+1,
			uintptr(read), uintptr(write), 0, uintptr(unsafe.Pointer(&timeout)), 0)
		if errno != syscall.EINTR {
			return errno == 0 && n > 0
		}
		runtime.Gosched() // the signal may be the collector's
	}
}
