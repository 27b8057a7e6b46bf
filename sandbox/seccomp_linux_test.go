package sandbox

import (
	"encoding/binary"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
)

// RefuseSeccomp makes the kernel refuse seccomp filters to this process and to
// what it executes.
func RefuseSeccomp() error {
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4},
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: map[string]uint32{"amd64": 317, "arm64": 277}[runtime.GOARCH], SkipTrue: 1},
		bpf.RetConstant{Val: actionErrno | uint32(syscall.EINVAL)},
		bpf.RetConstant{Val: actionAllow},
	})
	if err != nil {
		return err
	}
	return install(program)
}

// The numbers are those that the Go distribution has for its own programs.
func TestSystemCallNumbers(t *testing.T) {
	t.Parallel()
	root, err := exec.Command("go", "env", "GOROOT").Output()
	require.NoError(t, err)
	for _, arch := range []string{"amd64", "arm64"} {
		file := filepath.Join(strings.TrimSpace(string(root)), "src/cmd/vendor/golang.org/x/sys/unix/zsysnum_linux_"+arch+".go")
		text, err := os.ReadFile(file)
		if err != nil {
			t.Skip("the Go distribution has no source:", err)
		}
		numbers := map[string]uint32{}
		for _, m := range regexp.MustCompile(`(?m)^\s*SYS_(\w+)\s*=\s*(\d+)$`).FindAllStringSubmatch(string(text), -1) {
			n, err := strconv.ParseUint(m[2], 10, 32)
			require.NoError(t, err)
			numbers[strings.ToLower(m[1])] = uint32(n)
		}
		for _, r := range rules(1) {
			got := map[string]uint32{"amd64": r.amd64, "arm64": r.arm64}[arch]
			want, ok := numbers[r.name]
			if got == absent {
				require.False(t, ok, "%s: %s", arch, r.name)
				continue
			}
			require.Equal(t, want, got, "%s: %s", arch, r.name)
		}
		require.EqualValues(t, clone3, numbers["clone3"])
	}
}

// The filters of both architectures, by an emulator of the kernel's machine.
func TestFilter(t *testing.T) {
	t.Parallel()
	const pid, other = 4711, 4712
	const (
		allow = "allow"
		eperm = "EPERM"
	)
	verdicts := map[int]string{
		actionAllow:                       allow,
		actionErrno | int(syscall.EPERM):  eperm,
		actionErrno | int(syscall.ENOSYS): "ENOSYS",
	}
	audits := map[string]uint32{"amd64": auditAMD64, "arm64": auditARM64}
	thread := uint64(syscall.CLONE_VM | syscall.CLONE_FS | syscall.CLONE_FILES | syscall.CLONE_SIGHAND | syscall.CLONE_THREAD)
	for _, arch := range []string{"amd64", "arm64"} {
		raw, err := filter(arch, pid)
		require.NoError(t, err)
		require.Less(t, len(raw), 4096, "the kernel's limit")
		program, all := bpf.Disassemble(raw)
		require.True(t, all)
		vm, err := bpf.NewVM(program)
		require.NoError(t, err)
		run := func(audit, number uint32, args ...uint64) int {
			data := make([]byte, 64) // the emulator is big-endian
			binary.BigEndian.PutUint32(data, number)
			binary.BigEndian.PutUint32(data[4:], audit)
			for i, arg := range args {
				binary.BigEndian.PutUint32(data[16+8*i:], uint32(arg))
				binary.BigEndian.PutUint32(data[20+8*i:], uint32(arg>>32))
			}
			verdict, err := vm.Run(data)
			require.NoError(t, err)
			return verdict
		}
		numbers := map[string]uint32{}
		for _, r := range rules(pid) {
			numbers[r.name] = r.amd64
			if arch == "arm64" {
				numbers[r.name] = r.arm64
			}
		}
		for _, c := range []struct {
			call string
			args []uint64
			want string
		}{
			{"read", nil, allow},
			{"exit_group", nil, allow},
			{"mmap", []uint64{0, 4096, syscall.PROT_READ | syscall.PROT_WRITE, syscall.MAP_PRIVATE | syscall.MAP_ANON}, allow},
			{"mmap", []uint64{0, 4096, syscall.PROT_READ, syscall.MAP_SHARED | syscall.MAP_ANON}, eperm},
			{"mmap", []uint64{0, 4096, syscall.PROT_READ, 3 | syscall.MAP_ANON}, eperm}, // MAP_SHARED_VALIDATE
			{"mmap", []uint64{0, 4096, syscall.PROT_EXEC, syscall.MAP_PRIVATE}, eperm},
			{"mmap", []uint64{0, 4096, syscall.PROT_WRITE, syscall.MAP_PRIVATE | syscall.MAP_GROWSDOWN}, eperm},
			{"mmap", []uint64{0, 4096, syscall.PROT_WRITE, syscall.MAP_PRIVATE | syscall.MAP_HUGETLB}, eperm},
			{"mmap", []uint64{0, 4096, syscall.PROT_WRITE, syscall.MAP_PRIVATE | syscall.MAP_LOCKED}, eperm},
			{"mprotect", []uint64{0, 4096, syscall.PROT_WRITE}, allow},
			{"mprotect", []uint64{0, 4096, syscall.PROT_READ}, eperm},
			{"mprotect", []uint64{0, 4096, syscall.PROT_NONE}, eperm},
			{"mprotect", []uint64{0, 4096, syscall.PROT_WRITE | syscall.PROT_EXEC}, eperm},
			{"clock_gettime", []uint64{11}, allow},
			{"clock_gettime", []uint64{16}, eperm},
			{"clock_gettime", []uint64{1<<64 - 6}, eperm}, // the processor time of a process
			{"sched_getaffinity", []uint64{0}, allow},
			{"sched_getaffinity", []uint64{other}, eperm},
			{"mprotect", []uint64{0, 4096, syscall.PROT_READ | syscall.PROT_EXEC}, eperm},
			{"clone", []uint64{thread}, allow},
			{"clone", []uint64{uint64(syscall.SIGCHLD)}, eperm},
			{"clone", []uint64{syscall.CLONE_VM | syscall.CLONE_VFORK}, eperm},
			{"clone", []uint64{thread | syscall.CLONE_NEWNS}, eperm},
			{"clone", []uint64{thread | syscall.CLONE_NEWUSER}, eperm},
			{"tgkill", []uint64{pid, other, 10}, allow}, // a thread of its own
			{"tgkill", []uint64{other, other, 9}, eperm},
			{"madvise", []uint64{0, 4096, 4}, allow},
			{"madvise", []uint64{0, 4096, 100}, eperm},
			{"prctl", []uint64{setVMA, 0}, allow},
			{"prctl", []uint64{1, 0}, eperm}, // PR_SET_PDEATHSIG
			{"prctl", []uint64{4, 1}, eperm}, // PR_SET_DUMPABLE
		} {
			got, ok := verdicts[run(audits[arch], numbers[c.call], c.args...)]
			require.True(t, ok)
			require.Equal(t, c.want, got, "%s: %s(%x)", arch, c.call, c.args)
		}
		require.Equal(t, "ENOSYS", verdicts[run(audits[arch], clone3)])
		for number := range uint32(600) {
			if verdicts[run(audits[arch], number, pid, 0, 0, 0)] == allow {
				require.Contains(t, fmt.Sprint(numbers), fmt.Sprintf(":%d", number))
			}
		}
		require.Equal(t, eperm, verdicts[run(audits[arch], 0x40000000)], "a call of the x32 kind")
		require.Equal(t, int64(actionKill), int64(uint32(run(0x40000003, 3))), "a call as on another architecture")
	}
	_, err := filter("386", pid)
	require.ErrorContains(t, err, "no filter for linux/386")
}
