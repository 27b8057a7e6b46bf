package sandbox

import (
	"errors"
	"fmt"
	"math"
	"os"
	"runtime"
	"syscall"
	"unsafe"

	"golang.org/x/net/bpf"
)

// A rule allows a system call if its arguments meet all conditions. Any other
// call fails with EPERM.
type rule struct {
	name         string
	amd64, arm64 uint32
	conditions   []condition
}

// A condition tests the lower 32 bits of an argument. The kernel reads no more of
// arguments that have a condition.
type condition struct {
	arg  int
	test bpf.JumpTest // the condition is met if it fails
	val  uint32
}

func noneSet(arg int, bits uint32) condition { return condition{arg, bpf.JumpBitsSet, bits} }
func equal(arg int, val uint32) condition    { return condition{arg, bpf.JumpNotEqual, val} }
func below(arg int, bound uint32) condition  { return condition{arg, bpf.JumpGreaterOrEqual, bound} }
func anySet(arg int, bits uint32) condition  { return condition{arg, bpf.JumpBitsNotSet, bits} }

const absent = math.MaxUint32 // the architecture has no such call

const (
	namespaces   = 0xfe020000 // CLONE_NEW… and CLONE_IO
	setVMA       = 0x53564d41 // PR_SET_VMA: the Go runtime names its memory
	setFS        = 0x1002     // ARCH_SET_FS: the Go runtime starts a thread
	firstFailure = 100        // MADV_HWPOISON, MADV_SOFT_OFFLINE: break the machine's memory
	ownClocks    = 16         // further clocks are of other processes and of devices
)

// rules are the system calls that a Go program needs to compute and to use open
// pipes. The most frequent calls come first.
func rules(pid int) []rule {
	return []rule{
		{"read", 0, 63, nil},
		{"write", 1, 64, nil},
		{"pselect6", 270, 72, nil},
		{"futex", 202, 98, nil},
		{"epoll_pwait", 281, 22, nil},
		{"epoll_ctl", 233, 21, nil},
		{"nanosleep", 35, 101, nil},
		{"clock_nanosleep", 230, 115, []condition{below(0, ownClocks)}},
		{"sched_yield", 24, 124, nil},
		{"madvise", 28, 233, []condition{below(2, firstFailure)}},
		{"getpid", 39, 172, nil},
		// The Go runtime preempts its own threads by signals.
		{"tgkill", 234, 131, []condition{equal(0, uint32(pid))}},
		{"rt_sigreturn", 15, 139, nil},
		{"rt_sigprocmask", 14, 135, nil},
		{"rt_sigaction", 13, 134, nil},
		{"sigaltstack", 131, 132, nil},
		{"restart_syscall", 219, 128, nil},
		// Shared memory, memory that grows down and memory that is not writable do
		// not count towards RLIMIT_DATA. So what has been written stays writable.
		// Nothing needs new code, or memory that others lack: huge and locked pages.
		{"mmap", 9, 222, []condition{
			noneSet(2, syscall.PROT_EXEC),
			noneSet(3, syscall.MAP_SHARED|syscall.MAP_GROWSDOWN|syscall.MAP_HUGETLB|syscall.MAP_LOCKED),
		}},
		{"munmap", 11, 215, nil},
		{"mprotect", 10, 226, []condition{noneSet(2, syscall.PROT_EXEC), anySet(2, syscall.PROT_WRITE)}},
		{"brk", 12, 214, nil},
		// A thread: no process, no namespace.
		{"clone", 56, 220, []condition{anySet(0, syscall.CLONE_THREAD), noneSet(0, namespaces)}},
		{"arch_prctl", 158, absent, []condition{equal(0, setFS)}},
		{"prctl", 157, 167, []condition{equal(0, setVMA)}},
		{"gettid", 186, 178, nil},
		{"set_robust_list", 273, 99, nil}, // by the C library, for a thread
		{"rseq", 334, 293, nil},           // by the C library, for a thread
		{"sched_getaffinity", 204, 123, []condition{equal(0, 0)}},
		{"clock_gettime", 228, 113, []condition{below(0, ownClocks)}},
		{"gettimeofday", 96, 169, nil},
		{"getrandom", 318, 278, nil},
		{"getrusage", 98, 165, nil},
		{"close", 3, 57, nil},
		{"exit", 60, 93, nil},
		{"exit_group", 231, 94, nil},
	}
}

const (
	clone3 = 435 // on all architectures

	auditAMD64 = 0xc000003e
	auditARM64 = 0xc00000b7

	actionKill  = 0x80000000
	actionErrno = 0x00050000
	actionAllow = 0x7fff0000
)

// filter returns the program that decides about each system call of a child. The
// offsets are those of struct seccomp_data of the kernel.
func filter(arch string, pid int) ([]bpf.RawInstruction, error) {
	var audit uint32
	number := func(r rule) uint32 { return r.amd64 }
	switch arch {
	case "amd64":
		audit = auditAMD64
	case "arm64":
		audit = auditARM64
		number = func(r rule) uint32 { return r.arm64 }
	default:
		return nil, fmt.Errorf("no filter for linux/%s", arch)
	}
	program := []bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 4}, // architecture
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: audit, SkipTrue: 1},
		bpf.RetConstant{Val: actionKill},
		bpf.LoadAbsolute{Off: 0, Size: 4}, // number of the call
	}
	for _, r := range rules(pid) {
		if number(r) == absent {
			continue
		}
		var body []bpf.Instruction
		for i, c := range r.conditions {
			toRefusal := 2*(len(r.conditions)-i) - 1
			body = append(body,
				bpf.LoadAbsolute{Off: uint32(16 + 8*c.arg), Size: 4}, // both architectures are little-endian
				bpf.JumpIf{Cond: c.test, Val: c.val, SkipTrue: uint8(toRefusal)},
			)
		}
		body = append(body, bpf.RetConstant{Val: actionAllow})
		if len(r.conditions) > 0 {
			body = append(body, bpf.RetConstant{Val: actionErrno | uint32(syscall.EPERM)})
		}
		program = append(program, bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: number(r), SkipTrue: uint8(len(body))})
		program = append(program, body...)
	}
	return bpf.Assemble(append(program,
		// The flags of clone3 are in memory, where a filter cannot read them.
		// Without clone3 the C library uses clone.
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: clone3, SkipTrue: 1},
		bpf.RetConstant{Val: actionErrno | uint32(syscall.ENOSYS)},
		bpf.RetConstant{Val: actionErrno | uint32(syscall.EPERM)},
	))
}

// install applies a filter to all threads of the process, permanently.
func install(program []bpf.RawInstruction) error {
	const (
		setNoNewPrivs  = 38
		setModeFilter  = 1
		allThreads     = 1
		seccompAMD64   = 317
		seccompGeneric = 277
	)
	seccomp := uintptr(seccompGeneric)
	if runtime.GOARCH == "amd64" {
		seccomp = seccompAMD64
	}
	argument := struct {
		length  uint16
		program *bpf.RawInstruction // laid out as struct sock_filter
	}{uint16(len(program)), &program[0]}
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	if _, _, errno := syscall.RawSyscall6(syscall.SYS_PRCTL, setNoNewPrivs, 1, 0, 0, 0, 0); errno != 0 {
		return errno
	}
	thread, _, errno := syscall.RawSyscall(seccomp, setModeFilter, allThreads, uintptr(unsafe.Pointer(&argument)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return errno
	}
	if thread != 0 {
		return errors.New("a thread of the process has a filter of its own")
	}
	return nil
}

// restrictSystemCalls permanently leaves the child only the system calls in
// rules.
func restrictSystemCalls() error {
	program, err := filter(runtime.GOARCH, os.Getpid())
	if err != nil {
		return err
	}
	return install(program)
}
