package sandbox

import (
	"os"
	"syscall"
)

// A pipe is one end of a pipe between a child and its parent.
type pipe struct {
	*os.File
	raw syscall.RawConn // of the File
}

func newPipe(f *os.File) (pipe, error) {
	raw, err := f.SyscallConn()
	return pipe{File: f, raw: raw}, err
}

// Write implements [io.Writer]. Frames of several goroutines do not mix.
func (p pipe) Write(b []byte) (int, error) {
	if len(b) <= maxQuietWrite {
		written := false
		if err := p.raw.Write(func(fd uintptr) bool {
			written = writeQuietly(fd, b)
			return true
		}); err == nil && written {
			return len(b), nil
		}
	}
	return p.File.Write(b)
}

// A quietReader is a child's end of the pipe from its parent.
type quietReader struct{ pipe }

func (r quietReader) Read(b []byte) (n int, err error) {
	if err := r.raw.Read(func(fd uintptr) bool {
		n = readQuietly(fd, b)
		return true
	}); err == nil && n > 0 {
		return n, nil
	}
	return r.File.Read(b)
}
