package sandbox

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"syscall"
)

// unenforced is what this system does not hold children to.
const unenforced = ""

// executable is the file of this very program, even if another has taken its
// place since.
func executable() string { return "/proc/self/exe" }

// isolate has the process die with the thread that starts it, and live in a
// process group of its own.
func isolate(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killProcess kills the process and all of its group.
func killProcess(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	_ = p.Kill()
}

// quietStderr has prints to standard error get lost rather than wait for room:
// nobody reads them while the child lives.
func quietStderr() { _ = syscall.SetNonblock(2, true) }

// limitMemory holds the child to its limits, from now on. No file and no socket can
// be opened any more: the limit on their number is below that of those open.
func limitMemory(maxMemory int64) error {
	if err := closeInherited(); err != nil {
		return err
	}
	data := uint64(maxMemory) + dataSize()
	for resource, value := range map[int]uint64{
		syscall.RLIMIT_DATA:   data,
		syscall.RLIMIT_CORE:   0,
		syscall.RLIMIT_NOFILE: 0,
	} {
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: value, Max: value}); err != nil {
			return err
		}
	}
	return nil
}

// closeInherited closes the files that came with the process: those that the
// parent itself was started with, say by a shell or for socket activation. They
// lack the flag that everything opened in Go has, or they would not be here.
func closeInherited() error {
	entries, err := os.ReadDir("/proc/self/fd")
	if err != nil {
		return err
	}
	for _, entry := range entries {
		fd, err := strconv.Atoi(entry.Name())
		if err != nil || fd <= 2 {
			continue
		}
		flags, _, errno := syscall.Syscall(syscall.SYS_FCNTL, uintptr(fd), syscall.F_GETFD, 0)
		if errno == 0 && flags&syscall.FD_CLOEXEC == 0 {
			_ = syscall.Close(fd)
		}
	}
	return nil
}

// dataSize is what counts towards RLIMIT_DATA already. It is small, but for
// programs built with the race detector or much in them that is not Go.
func dataSize() uint64 {
	text, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(text)
	if err != nil || len(fields) < 6 {
		return 0
	}
	pages, _ := strconv.ParseUint(string(fields[5]), 10, 64)
	return pages * uint64(os.Getpagesize())
}
