package sandbox_test

import (
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"unsafe"

	"github.com/stretchr/testify/require"

	"example.com/callback"
	"example.com/callback/internal/testkit"
	"example.com/callback/sandbox"
)

// A probe is what an attacker in a child tries to use. Each attempt is harmless
// where it succeeds.
type probe struct {
	Dir       string // a folder with a file "file"
	Parent    int    // a process of the same user
	Inherited int    // number of a file that the parent was started with
}

type attempt struct {
	name string
	free bool // any process that is not confined can do it
	do   func(p probe) syscall.Errno
}

// refusal is what an attempt must come to in a child.
func (a attempt) refusal() syscall.Errno {
	switch a.name {
	case "clone3":
		return syscall.ENOSYS // C libraries then use clone
	case "address space":
		return syscall.ENOMEM
	}
	return syscall.EPERM
}

// Numbers that package syscall does not have on all architectures.
var numbers = map[string]map[string]uintptr{
	"amd64": {
		"process_madvise": 440, "kcmp": 312, "timerfd_create": 283, "eventfd2": 290, "inotify_init1": 294, "sched_setaffinity": 203,
		"execveat": 322, "vmsplice": 278, "splice": 275, "mlock": 149, "seccomp": 317, "add_key": 248, "personality": 135,
		"pkey_mprotect": 329, "mremap": 25, "ioprio_set": 251, "setpriority": 141, "sched_setscheduler": 144, "timer_create": 222,
		"setitimer": 38, "sendmsg": 46, "recvmsg": 47, "membarrier": 324, "clone3": 435, "close_range": 436, "landlock": 444,
		"sched_getaffinity": 204, "clock_gettime": 228, "name_to_handle_at": 303, "fanotify_init": 300, "syslog": 103,
		"process_vm_readv": 310, "process_vm_writev": 311, "memfd_create": 319, "bpf": 321, "perf_event_open": 298,
		"userfaultfd": 323, "setns": 308, "prlimit64": 302, "openat2": 437, "rt_tgsigqueueinfo": 297, "shmget": 29,
	},
	"arm64": {
		"process_madvise": 440, "kcmp": 272, "timerfd_create": 85, "eventfd2": 19, "inotify_init1": 26, "sched_setaffinity": 122,
		"execveat": 281, "vmsplice": 75, "splice": 76, "mlock": 228, "seccomp": 277, "add_key": 217, "personality": 92,
		"pkey_mprotect": 288, "mremap": 216, "ioprio_set": 30, "setpriority": 140, "sched_setscheduler": 119, "timer_create": 107,
		"setitimer": 103, "sendmsg": 211, "recvmsg": 212, "membarrier": 283, "clone3": 435, "close_range": 436, "landlock": 444,
		"sched_getaffinity": 123, "clock_gettime": 113, "name_to_handle_at": 264, "fanotify_init": 262, "syslog": 116,
		"process_vm_readv": 270, "process_vm_writev": 271, "memfd_create": 279, "bpf": 280, "perf_event_open": 241,
		"userfaultfd": 282, "setns": 268, "prlimit64": 261, "openat2": 437, "rt_tgsigqueueinfo": 240, "shmget": 194,
	},
}[runtime.GOARCH]

const (
	sysPidfdSendSignal = 424
	sysIoUringSetup    = 425
	sysPidfdOpen       = 434
	sysPidfdGetfd      = 438
	atFDCWD            = ^uintptr(99) // -100
)

func attempts() []attempt {
	call := func(number uintptr, args ...uintptr) syscall.Errno {
		var a [6]uintptr
		copy(a[:], args)
		_, _, errno := syscall.Syscall6(number, a[0], a[1], a[2], a[3], a[4], a[5])
		return errno
	}
	text := func(s string) uintptr {
		b, _ := syscall.BytePtrFromString(s)
		return uintptr(unsafe.Pointer(b))
	}
	errnoOf := func(err error) syscall.Errno {
		errno, _ := err.(syscall.Errno)
		return errno
	}
	mapped := func(prot, flags int) syscall.Errno {
		memory, err := syscall.Mmap(-1, 0, 4096, prot, flags|syscall.MAP_ANON)
		if err == nil {
			_ = syscall.Munmap(memory)
		}
		return errnoOf(err)
	}
	socket := func(domain, kind, protocol int) syscall.Errno {
		fd, err := syscall.Socket(domain, kind, protocol)
		if err == nil {
			_ = syscall.Close(fd)
		}
		return errnoOf(err)
	}
	const rw = syscall.PROT_READ | syscall.PROT_WRITE
	reserve := func(bits int) syscall.Errno {
		size := uintptr(1) << bits
		at, _, errno := syscall.Syscall6(syscall.SYS_MMAP, 0, size, syscall.PROT_READ,
			syscall.MAP_PRIVATE|syscall.MAP_ANON|syscall.MAP_NORESERVE, ^uintptr(0), 0)
		if errno == 0 {
			_, _, errno = syscall.Syscall(syscall.SYS_MUNMAP, at, size, 0)
		}
		return errno
	}
	return []attempt{
		// Files.
		{"open", true, func(p probe) syscall.Errno {
			fd, err := syscall.Open(filepath.Join(p.Dir, "file"), syscall.O_RDONLY, 0)
			if err == nil {
				_ = syscall.Close(fd)
			}
			return errnoOf(err)
		}},
		{"openat2", false, func(p probe) syscall.Errno { return call(numbers["openat2"], atFDCWD, text(p.Dir), 0, 24) }},
		{"rename", true, func(p probe) syscall.Errno {
			return errnoOf(syscall.Rename(filepath.Join(p.Dir, "file"), filepath.Join(p.Dir, "renamed")))
		}},
		{"unlink", true, func(p probe) syscall.Errno { return errnoOf(syscall.Unlink(filepath.Join(p.Dir, "renamed"))) }},
		{"mkdir", true, func(p probe) syscall.Errno { return errnoOf(syscall.Mkdir(filepath.Join(p.Dir, "new"), 0o700)) }},
		{"symlink", true, func(p probe) syscall.Errno { return errnoOf(syscall.Symlink("x", filepath.Join(p.Dir, "link"))) }},
		{"chmod", true, func(p probe) syscall.Errno { return errnoOf(syscall.Chmod(p.Dir, 0o700)) }},
		{"stat", true, func(p probe) syscall.Errno { return errnoOf(syscall.Stat(p.Dir, new(syscall.Stat_t))) }},
		{"dup", true, func(probe) syscall.Errno {
			fd, err := syscall.Dup(0)
			if err == nil {
				_ = syscall.Close(fd)
			}
			return errnoOf(err)
		}},
		{"pipe", true, func(probe) syscall.Errno {
			var fds [2]int
			err := syscall.Pipe2(fds[:], 0)
			if err == nil {
				_, _ = syscall.Close(fds[0]), syscall.Close(fds[1])
			}
			return errnoOf(err)
		}},

		// Sockets.
		{"socket inet", true, func(probe) syscall.Errno { return socket(syscall.AF_INET, syscall.SOCK_STREAM, 0) }},
		{"socket unix", true, func(probe) syscall.Errno { return socket(syscall.AF_UNIX, syscall.SOCK_STREAM, 0) }},
		{"socket netlink", true, func(probe) syscall.Errno { return socket(syscall.AF_NETLINK, syscall.SOCK_RAW, 0) }},

		// Processes.
		{"fork", true, func(probe) syscall.Errno {
			pid, _, errno := syscall.RawSyscall6(syscall.SYS_CLONE, uintptr(syscall.SIGCHLD), 0, 0, 0, 0, 0)
			if errno == 0 && pid == 0 {
				syscall.RawSyscall(syscall.SYS_EXIT_GROUP, 0, 0, 0)
			}
			if errno == 0 {
				_, _ = syscall.Wait4(int(pid), nil, 0, nil)
			}
			return errno
		}},
		{"exec", false, func(probe) syscall.Errno { return errnoOf(syscall.Exec("/proc/self/exe", []string{"x"}, nil)) }},
		{"leave the group", false, func(probe) syscall.Errno { return errnoOf(syscall.Setpgid(0, 0)) }},
		{"leave the session", false, func(probe) syscall.Errno { return call(syscall.SYS_SETSID) }},
		{"unshare", false, func(probe) syscall.Errno { return errnoOf(syscall.Unshare(syscall.CLONE_FS)) }},
		{"setns", false, func(probe) syscall.Errno { return call(numbers["setns"], 0, 0) }},
		{"outlive the parent", true, func(probe) syscall.Errno { return call(syscall.SYS_PRCTL, 1, 0) }},
		{"dumpable", true, func(probe) syscall.Errno { return call(syscall.SYS_PRCTL, 4, 1) }},

		// Other processes.
		{"ptrace", false, func(p probe) syscall.Errno { return call(syscall.SYS_PTRACE, 0x4206, uintptr(p.Parent)) }}, // PTRACE_SEIZE
		{"process_vm_readv", false, func(p probe) syscall.Errno { return call(numbers["process_vm_readv"], uintptr(p.Parent)) }},
		{"process_vm_writev", false, func(p probe) syscall.Errno { return call(numbers["process_vm_writev"], uintptr(p.Parent)) }},
		{"kill", true, func(p probe) syscall.Errno { return errnoOf(syscall.Kill(p.Parent, 0)) }},
		{"kill itself", true, func(probe) syscall.Errno { return errnoOf(syscall.Kill(syscall.Getpid(), 0)) }},
		{"tgkill", true, func(p probe) syscall.Errno { return call(syscall.SYS_TGKILL, uintptr(p.Parent), uintptr(p.Parent), 0) }},
		{"tkill", true, func(p probe) syscall.Errno { return call(syscall.SYS_TKILL, uintptr(p.Parent), 0) }},
		{"rt_sigqueueinfo", false, func(p probe) syscall.Errno { return call(syscall.SYS_RT_SIGQUEUEINFO, uintptr(p.Parent), 0, 0) }},
		{"rt_tgsigqueueinfo", false, func(p probe) syscall.Errno {
			return call(numbers["rt_tgsigqueueinfo"], uintptr(p.Parent), uintptr(p.Parent), 0, 0)
		}},
		{"pidfd_open", false, func(p probe) syscall.Errno { return call(sysPidfdOpen, uintptr(p.Parent), 0) }},
		{"pidfd_getfd", false, func(probe) syscall.Errno { return call(sysPidfdGetfd, 0, 0, 0) }},
		{"pidfd_send_signal", false, func(probe) syscall.Errno { return call(sysPidfdSendSignal, 0, 0, 0, 0) }},
		{"limits of others", true, func(p probe) syscall.Errno {
			var old syscall.Rlimit
			return call(numbers["prlimit64"], uintptr(p.Parent), syscall.RLIMIT_CORE, 0, uintptr(unsafe.Pointer(&old)))
		}},
		{"priority of others", false, func(p probe) syscall.Errno { return call(syscall.SYS_GETPRIORITY, 0, uintptr(p.Parent)) }},

		{"processor of others", true, func(p probe) syscall.Errno {
			var set [128]byte
			_, _, errno := syscall.Syscall(numbers["sched_getaffinity"], uintptr(p.Parent), uintptr(len(set)), uintptr(unsafe.Pointer(&set)))
			return errno
		}},
		{"set the processor of others", false, func(p probe) syscall.Errno { return call(numbers["sched_setaffinity"], uintptr(p.Parent), 0, 0) }},
		{"set the priority of others", false, func(p probe) syscall.Errno { return call(numbers["setpriority"], 0, uintptr(p.Parent), 0) }},
		{"own priority", true, func(probe) syscall.Errno { return call(numbers["setpriority"], 0, 0, 0) }},
		{"scheduler", false, func(p probe) syscall.Errno { return call(numbers["sched_setscheduler"], uintptr(p.Parent), 0, 0) }},
		{"ioprio_set", false, func(p probe) syscall.Errno { return call(numbers["ioprio_set"], 1, uintptr(p.Parent), 0) }},
		{"clock of others", true, func(p probe) syscall.Errno {
			return call(numbers["clock_gettime"], uintptr(uint32(^p.Parent)<<3|2), uintptr(unsafe.Pointer(new(syscall.Timespec))))
		}},
		{"kcmp", false, func(p probe) syscall.Errno {
			return call(numbers["kcmp"], uintptr(p.Parent), uintptr(os.Getpid()), 0, 0, 0)
		}},

		// The pipes to the parent, past what a pipe is for.
		{"flags of a pipe", true, func(probe) syscall.Errno { return call(syscall.SYS_FCNTL, 0, syscall.F_SETFL, syscall.O_NONBLOCK) }},
		{"signals of a pipe", true, func(p probe) syscall.Errno { return call(syscall.SYS_FCNTL, 0, syscall.F_SETOWN, uintptr(p.Parent)) }},
		{"size of a pipe", false, func(probe) syscall.Errno { return call(syscall.SYS_FCNTL, 1, 1031, 1<<20) }}, // F_SETPIPE_SZ
		{"duplicate a pipe", true, func(probe) syscall.Errno {
			fd, _, errno := syscall.Syscall(syscall.SYS_FCNTL, 0, syscall.F_DUPFD, 0)
			if errno == 0 {
				_ = syscall.Close(int(fd))
			}
			return errno
		}},
		{"vmsplice", false, func(probe) syscall.Errno { return call(numbers["vmsplice"], 1, 0, 0, 0) }},
		{"splice", false, func(probe) syscall.Errno { return call(numbers["splice"], 0, 0, 1, 0, 0, 0) }},
		{"send a file", false, func(probe) syscall.Errno {
			return call(numbers["sendmsg"], 1, uintptr(unsafe.Pointer(new(syscall.Msghdr))), 0)
		}},
		{"receive a file", false, func(probe) syscall.Errno {
			return call(numbers["recvmsg"], 0, uintptr(unsafe.Pointer(new(syscall.Msghdr))), 0)
		}},

		// Limits and memory.
		{"own limits", true, func(probe) syscall.Errno {
			return call(numbers["prlimit64"], 0, syscall.RLIMIT_CORE, uintptr(unsafe.Pointer(new(syscall.Rlimit))), 0)
		}},
		{"shared memory", true, func(probe) syscall.Errno { return mapped(rw, syscall.MAP_SHARED) }},
		{"memory that grows down", true, func(probe) syscall.Errno { return mapped(rw, syscall.MAP_PRIVATE|syscall.MAP_GROWSDOWN) }},
		{"new code", true, func(probe) syscall.Errno { return mapped(syscall.PROT_EXEC|syscall.PROT_READ, syscall.MAP_PRIVATE) }},
		{"shmget", false, func(probe) syscall.Errno { return call(numbers["shmget"], 0, 0, 0) }},
		{"memfd_create", true, func(probe) syscall.Errno {
			fd, _, errno := syscall.Syscall(numbers["memfd_create"], text("x"), 0, 0)
			if errno == 0 {
				_ = syscall.Close(int(fd))
			}
			return errno
		}},
		// Memory that is not writable does not count towards RLIMIT_DATA.
		{"hide memory from its limit", true, func(probe) syscall.Errno {
			memory, err := syscall.Mmap(-1, 0, 4096, rw, syscall.MAP_PRIVATE|syscall.MAP_ANON)
			if err != nil {
				return errnoOf(err)
			}
			defer syscall.Munmap(memory)
			memory[0] = 1
			return errnoOf(syscall.Mprotect(memory, syscall.PROT_READ))
		}},
		{"address space", true, func(probe) syscall.Errno { return reserve(40) }}, // for page tables
		{"huge pages", false, func(probe) syscall.Errno { return mapped(rw, syscall.MAP_PRIVATE|0x40000) }},
		{"locked memory", false, func(probe) syscall.Errno { return mapped(rw, syscall.MAP_PRIVATE|syscall.MAP_LOCKED) }},
		{"mlock", false, func(probe) syscall.Errno { return call(numbers["mlock"], 0, 0) }},
		{"mremap", false, func(probe) syscall.Errno { return call(numbers["mremap"], 1) }},
		{"pkey_mprotect", false, func(probe) syscall.Errno { return call(numbers["pkey_mprotect"], 1, 0, 0, ^uintptr(0)) }},
		{"process_madvise", false, func(probe) syscall.Errno { return call(numbers["process_madvise"], 0, 0, 0, 0, 0) }},
		{"poison memory", false, func(probe) syscall.Errno { return call(syscall.SYS_MADVISE, 0, 0, 100) }},

		// The rest of the kernel.
		{"io_uring_setup", false, func(probe) syscall.Errno { return call(sysIoUringSetup, 0, 0) }},
		{"bpf", false, func(probe) syscall.Errno { return call(numbers["bpf"], 0, 0, 0) }},
		{"perf_event_open", false, func(probe) syscall.Errno { return call(numbers["perf_event_open"], 0) }},
		{"userfaultfd", false, func(probe) syscall.Errno { return call(numbers["userfaultfd"], ^uintptr(0)) }},
		{"mount", false, func(probe) syscall.Errno { return errnoOf(syscall.Mount("", "", "", 0, "")) }},
		{"keyctl", false, func(probe) syscall.Errno { return call(syscall.SYS_KEYCTL, ^uintptr(0)) }},
		{"execveat", false, func(probe) syscall.Errno { return call(numbers["execveat"], 0, 0, 0, 0, 0) }},
		{"clone3", false, func(probe) syscall.Errno { return call(numbers["clone3"], 0, 0) }},
		{"another filter", false, func(probe) syscall.Errno { return call(numbers["seccomp"], 2, 0, 0) }},
		{"landlock", false, func(probe) syscall.Errno { return call(numbers["landlock"], 0, 0, 1) }},
		{"timer", false, func(probe) syscall.Errno { return call(numbers["timer_create"], 99, 0, 0) }},
		{"interval timer", true, func(probe) syscall.Errno {
			var none [4]uint64
			return call(numbers["setitimer"], 1, uintptr(unsafe.Pointer(&none)), 0)
		}},
		{"timerfd", false, func(probe) syscall.Errno { return call(numbers["timerfd_create"], 99, 0) }},
		{"eventfd", false, func(probe) syscall.Errno { return call(numbers["eventfd2"], 0, ^uintptr(0)) }},
		{"inotify", false, func(probe) syscall.Errno { return call(numbers["inotify_init1"], ^uintptr(0)) }},
		{"fanotify", false, func(probe) syscall.Errno { return call(numbers["fanotify_init"], ^uintptr(0), 0) }},
		{"file handles", false, func(probe) syscall.Errno { return call(numbers["name_to_handle_at"], 0, 0, 0, 0, 0) }},
		{"close_range", false, func(probe) syscall.Errno { return call(numbers["close_range"], 9, 8, 0) }},
		{"membarrier", false, func(probe) syscall.Errno { return call(numbers["membarrier"], 0, 0, 0) }},
		{"personality", true, func(probe) syscall.Errno { return call(numbers["personality"], 0xffffffff) }},
		{"add_key", false, func(probe) syscall.Errno { return call(numbers["add_key"], 0, 0, 0, 0, 0) }},
		{"kernel log", false, func(probe) syscall.Errno { return call(numbers["syslog"], ^uintptr(0), 0, 0) }},
		{"x32 call", false, func(probe) syscall.Errno { return call(0x40000000 + syscall.SYS_GETPID) }},
		{"ioctl", false, func(probe) syscall.Errno { return call(syscall.SYS_IOCTL, 0, 0, 0) }},
	}
}

// run tries everything. The result says what each attempt came to.
func (p probe) run(free bool) map[string]string {
	results := map[string]string{}
	for _, a := range attempts() {
		if a.free || !free {
			results[a.name] = "done"
			if errno := a.do(p); errno != 0 {
				results[a.name] = errno.Error()
			}
		}
	}
	results["environment"] = strings.Join(os.Environ(), " ")
	open := []string{}
	for fd := 3; fd < 100; fd++ {
		// Even a read of no bytes fails if the file is not open.
		if _, err := syscall.Read(fd, nil); err != syscall.EBADF {
			open = append(open, strconv.Itoa(fd))
		}
	}
	results["open files"] = strings.Join(open, " ")
	return results
}

const probeEnv = "CALLBACK_SANDBOX_PROBE"

// becomeProbe runs the probe in a process that is not confined.
func becomeProbe() {
	var p probe
	if err := json.Unmarshal([]byte(os.Getenv(probeEnv)), &p); err != nil {
		panic(err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(p.run(true))
	os.Exit(0)
}

// serveProbe is the child that runs the probe.
func serveProbe(text string) map[string]string {
	var p probe
	if err := json.Unmarshal([]byte(text), &p); err != nil {
		panic(err)
	}
	fmt.Println("what a package prints must not come among the frames")
	return p.run(false)
}

func newProbe(t *testing.T) probe {
	p := probe{Dir: t.TempDir(), Parent: os.Getpid()}
	require.NoError(t, os.WriteFile(filepath.Join(p.Dir, "file"), nil, 0o600))
	return p
}

// An attacker who runs machine code in a child can do nothing but compute and use
// the pipes.
func TestCapturedChild(t *testing.T) {
	t.Parallel()
	if numbers == nil {
		t.Skip("there is no filter for linux/" + runtime.GOARCH)
	}
	p := newProbe(t)
	null, err := os.Open(os.DevNull)
	require.NoError(t, err)
	defer null.Close()
	p.Inherited, err = syscall.Dup(int(null.Fd())) // without close-on-exec
	require.NoError(t, err)
	defer syscall.Close(p.Inherited)

	r := newRunner(t, tree("callbacks/x.js", ""))
	r.Processes, r.RequireSeccomp = 1, true
	r.SetCommands([]string{"/proc/self/exe", "probe"})
	text, err := json.Marshal(p)
	require.NoError(t, err)
	result, err := r.RunScript(t.Context(), &callback.Call{
		Credential: "x",
		Data:       []callback.Param{{Name: "probe", Values: []string{string(text)}}},
	})
	require.NoError(t, err)
	got := map[string]string{}
	for _, f := range result.Data {
		var value string
		require.NoError(t, json.Unmarshal(f.Value, &value))
		got[f.Name] = value
	}
	for _, a := range attempts() {
		require.Equal(t, a.refusal().Error(), got[a.name], a.name)
	}
	require.Empty(t, got["environment"])
	require.NotContains(t, strings.Fields(got["open files"]), strconv.Itoa(p.Inherited))
	require.FileExists(t, filepath.Join(p.Dir, "file"))
}

// What the probe tries is possible where nothing confines it.
func TestProbe(t *testing.T) {
	t.Parallel()
	if numbers == nil {
		t.Skip("there is no probe for linux/" + runtime.GOARCH)
	}
	if status, _ := os.ReadFile("/proc/self/status"); !strings.Contains(string(status), "\nSeccomp:\t0\n") {
		t.Skip("the system restricts the system calls of this very process")
	}
	text, err := json.Marshal(newProbe(t))
	require.NoError(t, err)
	cmd := exec.Command("/proc/self/exe")
	cmd.Env = []string{probeEnv + "=" + string(text)}
	out, err := cmd.Output()
	require.NoError(t, err)
	var got map[string]string
	require.NoError(t, json.Unmarshal(out, &got), string(out))
	for _, a := range attempts() {
		if a.free {
			require.Equal(t, "done", got[a.name], a.name)
		}
	}
}

// Where the kernel refuses to restrict system calls, the log says so once, or the
// Runner that requires it says so to its host.
func TestNoSeccomp(t *testing.T) {
	t.Parallel()
	if numbers == nil {
		t.Skip("nothing to refuse on linux/" + runtime.GOARCH)
	}
	refused := []string{"/proc/self/exe", "refuse-seccomp"}

	var log testkit.Log
	r := newRunner(t, tree("callbacks/x.js", `Spark.setScriptData("say", 1)`))
	r.Logger = slog.New(slog.NewTextHandler(&log, nil))
	r.MaxCalls, r.Processes = 1, 1
	r.SetCommands(refused, refused)
	require.Equal(t, "1", say(t, r, "x"))
	require.Equal(t, "1", say(t, r, "x"))
	require.Equal(t, 1, strings.Count(log.String(), "system calls of child processes are not restricted: invalid argument"), log.String())

	r = newRunner(t, tree("callbacks/x.js", ""))
	r.RequireSeccomp = true
	r.SetCommands(refused)
	require.ErrorIs(t, r.Start(t.Context()), sandbox.ErrNoSeccomp)
	_, err := run(t, r, "x")
	require.ErrorIs(t, err, sandbox.ErrNoSeccomp)
	require.ErrorContains(t, err, "invalid argument")
	require.Empty(t, r.Pids())
}

// refuseSeccomp is the main of a child on a system without seccomp.
func refuseSeccomp() {
	if err := sandbox.RefuseSeccomp(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	_ = syscall.Exec("/proc/self/exe", os.Args[:1], nil)
	os.Exit(1)
}

// beginTestProcess makes this process what a test has started it for.
func beginTestProcess() {
	mode := ""
	if len(os.Args) == 2 {
		mode = os.Args[1]
	}
	switch {
	case mode == "probe":
		sandbox.ServeProbe(serveProbe)
	case mode == "panic":
		sandbox.ServeProbe(func(value string) map[string]string { panic(value) })
	case strings.HasPrefix(mode, "hostile "):
		sandbox.ServeHostile(stallers[strings.TrimPrefix(mode, "hostile ")])
	case mode == "refuse-seccomp":
		refuseSeccomp()
	case os.Getenv(probeEnv) != "":
		becomeProbe()
	case os.Getenv(orphanEnv) != "":
		becomeOrphans()
	}
}
