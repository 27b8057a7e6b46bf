package sandbox

import (
	"bytes"
	"os"
	"os/exec"
	"strconv"
	"syscall"
	"time"
	"unsafe"
)

// unenforced lists what this system does not enforce on children.
const unenforced = ""

// executable is the file of this program, even if it has been replaced in the
// meantime.
func executable() string { return "/proc/self/exe" }

// isolate makes the kernel kill the process when the thread that starts it ends,
// and puts the process in a group of its own.
func isolate(cmd *exec.Cmd) {
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
}

// killProcess kills the process and its group.
func killProcess(p *os.Process) {
	_ = syscall.Kill(-p.Pid, syscall.SIGKILL)
	_ = p.Kill()
}

// quietStderr drops output that does not fit into the pipe of standard error,
// because nothing reads the pipe while the child lives.
func quietStderr() { _ = syscall.SetNonblock(2, true) }

// unblocked returns another file for a pipe that the process was started with. A
// write to it does not block its thread while the pipe is full.
func unblocked(f *os.File) (*os.File, error) {
	fd, err := syscall.Dup(int(f.Fd()))
	if err != nil {
		return nil, err
	}
	syscall.CloseOnExec(fd)
	if err := syscall.SetNonblock(fd, true); err != nil {
		return nil, err
	}
	return os.NewFile(uintptr(fd), f.Name()), nil
}

// confine limits the resources of the child permanently. The child cannot open
// files and sockets, because the limit on their number is lower than the number
// of open ones.
func confine(maxMemory int64) error {
	if err := closeInherited(); err != nil {
		return err
	}
	size, data := memorySize()
	stack, err := stackSize()
	if err != nil {
		return err
	}
	const signalsPending = 11
	for resource, value := range map[int]uint64{
		syscall.RLIMIT_DATA:   uint64(maxMemory) + data,
		syscall.RLIMIT_AS:     uint64(maxMemory) + size + maxReserved,
		syscall.RLIMIT_STACK:  stack,
		syscall.RLIMIT_CORE:   0,
		syscall.RLIMIT_NOFILE: 0,
		signalsPending:        0, // they count for all processes of the user
	} {
		if err := syscall.Setrlimit(resource, &syscall.Rlimit{Cur: value, Max: value}); err != nil {
			return err
		}
	}
	// Other processes of this user must not trace the child or read its memory.
	const setDumpable = 4
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setDumpable, 0, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

const (
	// maxReserved bounds address space that takes no memory of its own. The kernel
	// needs memory for its tables. Go reserves far less.
	maxReserved = 16 << 30

	// maxStack bounds the stack of the first thread, which does not count towards
	// RLIMIT_DATA.
	maxStack = 8 << 20
)

// stackSize is the limit of the first thread's stack. It may be lower already.
func stackSize() (uint64, error) {
	var now syscall.Rlimit
	err := syscall.Getrlimit(syscall.RLIMIT_STACK, &now)
	return min(now.Max, maxStack), err
}

// closeInherited closes files that the parent itself was started with, such as by
// a shell or for socket activation. They lack the close-on-exec flag, which every
// file that Go opens has.
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

// memorySize is the memory that already counts towards RLIMIT_AS, and that which
// counts towards RLIMIT_DATA. The latter is small unless the program has the race
// detector or much C code.
func memorySize() (size, data uint64) {
	text, err := os.ReadFile("/proc/self/statm")
	fields := bytes.Fields(text)
	if err != nil || len(fields) < 6 {
		return 0, 0
	}
	of := func(field int) uint64 {
		pages, _ := strconv.ParseUint(string(fields[field]), 10, 64)
		return pages * uint64(os.Getpagesize())
	}
	return of(0), of(5)
}

// processTime returns the processor time of a process that has not been waited
// for, or zero if it is not known.
func processTime(pid int) time.Duration {
	const processClock = 2 // CPUCLOCK_SCHED
	var t syscall.Timespec
	clock := uint32(^pid)<<3 | processClock
	_, _, errno := syscall.RawSyscall(syscall.SYS_CLOCK_GETTIME, uintptr(clock), uintptr(unsafe.Pointer(&t)), 0)
	if errno != 0 {
		return 0
	}
	return time.Duration(t.Nano())
}

// processUsage returns the processor time and the peak memory of a process that
// has not been waited for, or zero if it has ended.
func processUsage(pid int) (cpu time.Duration, memory int64) {
	cpu = processTime(pid)
	status, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/status")
	if err != nil {
		return cpu, 0
	}
	_, after, _ := bytes.Cut(status, []byte("\nVmHWM:"))
	if fields := bytes.Fields(after); len(fields) > 0 {
		kilobytes, _ := strconv.ParseInt(string(fields[0]), 10, 64)
		memory = kilobytes << 10
	}
	return cpu, memory
}
