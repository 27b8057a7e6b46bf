package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
	"unsafe"

	"github.com/stretchr/testify/require"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// A wallClock is the wall clock of a callbackd process and of its children. It
// can jump. Their monotonic clock is the machine's.
//
// The kernel tells the test of each reading of the wall clock (seccomp's
// SECCOMP_RET_USER_NOTIF), and the test writes the time into the process.
type wallClock struct{ offset atomic.Int64 }

// jump moves the clock.
func (c *wallClock) jump(by time.Duration) { c.offset.Add(int64(by)) }

// set moves the clock to a time.
func (c *wallClock) set(to time.Time) { c.offset.Store(int64(time.Until(to))) }

// now is the time that the process reads.
func (c *wallClock) now() time.Time { return time.Now().Add(time.Duration(c.offset.Load())) }

const (
	// clockSocket, in the environment of the test program, makes it hand over the
	// readings of its wall clock and become callbackd.
	clockSocket = "TEST_CLOCK_SOCKET"
	clockProbe  = "probe" // asks only whether this is possible

	noClock = "needs system calls that another process answers: "
)

// startWithClock is start, with a wall clock of the process's own.
func startWithClock(t *testing.T, args ...string) (*process, *wallClock) {
	t.Helper()
	probe := callbackd(t)
	probe.Env = append(probe.Env, clockSocket+"="+clockProbe)
	if text, err := probe.CombinedOutput(); err != nil {
		t.Skipf("%s%v: %s", noClock, err, text)
	}
	pair, err := syscall.Socketpair(syscall.AF_UNIX, syscall.SOCK_STREAM|syscall.SOCK_CLOEXEC, 0)
	require.NoError(t, err)
	ours, theirs := os.NewFile(uintptr(pair[0]), "socket"), os.NewFile(uintptr(pair[1]), "socket")
	defer theirs.Close()
	conn, err := net.FileConn(ours)
	require.NoError(t, errors.Join(err, ours.Close()))
	defer conn.Close()

	cmd := callbackd(t, append([]string{"serve", "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0"}, args...)...)
	cmd.Path = withoutVDSO(t, cmd.Path)
	cmd.Env = append(cmd.Env, clockSocket+"=1")
	cmd.ExtraFiles = []*os.File{theirs}
	clock := new(wallClock)
	handed := make(chan error, 1)
	go func() {
		listener, err := receiveFile(conn.(*net.UnixConn))
		handed <- err
		if err == nil {
			clock.answer(listener)
		}
	}()
	p := startCommand(t, cmd)
	require.NoError(t, <-handed)
	return p, clock
}

// withoutVDSO copies a Go program so that it reads the clocks by system calls and
// not in the memory that it shares with the kernel.
func withoutVDSO(t *testing.T, program string) string {
	text, err := os.ReadFile(program)
	require.NoError(t, err)
	for _, name := range []string{"__vdso_clock_gettime", "__kernel_clock_gettime"} {
		text = bytes.ReplaceAll(text, []byte(name), []byte(strings.Repeat("-", len(name))))
	}
	copied := filepath.Join(t.TempDir(), "callbackd")
	require.NoError(t, os.WriteFile(copied, text, 0o755))
	return copied
}

// The layout of struct seccomp_notif and of struct seccomp_notif_resp.
type (
	clockReading struct {
		id           uint64
		pid, flags   uint32
		number       int32
		arch         uint32
		instruction  uint64
		clock, write uint64 // the arguments of clock_gettime
		_            [4]uint64
	}
	clockAnswer struct {
		id           uint64
		value        int64
		error, flags int32
	}
)

// answer answers the readings of the clock until the processes have ended.
func (c *wallClock) answer(listener int) {
	defer syscall.Close(listener)
	for {
		poll := []unix.PollFd{{Fd: int32(listener), Events: unix.POLLIN}}
		if _, err := unix.Poll(poll, -1); err != nil && err != unix.EINTR || poll[0].Revents&unix.POLLHUP != 0 {
			return
		}
		var reading clockReading
		if err := ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_RECV, unsafe.Pointer(&reading)); err != nil {
			continue // the process has ended meanwhile
		}
		now := c.now()
		var text [16]byte
		binary.NativeEndian.PutUint64(text[:], uint64(now.Unix()))
		binary.NativeEndian.PutUint64(text[8:], uint64(now.Nanosecond()))
		answer := clockAnswer{id: reading.id}
		local := []unix.Iovec{{Base: &text[0], Len: 16}}
		if _, err := unix.ProcessVMWritev(int(reading.pid), local, []unix.RemoteIovec{{Base: uintptr(reading.write), Len: 16}}, 0); err != nil {
			answer.flags = unix.SECCOMP_USER_NOTIF_FLAG_CONTINUE
		}
		_ = ioctl(listener, unix.SECCOMP_IOCTL_NOTIF_SEND, unsafe.Pointer(&answer)) // it fails if the process has ended
	}
}

func ioctl(fd int, request uintptr, argument unsafe.Pointer) error {
	if _, _, errno := syscall.Syscall(syscall.SYS_IOCTL, uintptr(fd), request, uintptr(argument)); errno != 0 {
		return errno
	}
	return nil
}

func receiveFile(conn *net.UnixConn) (int, error) {
	message, control := make([]byte, 1000), make([]byte, 64)
	n, controls, _, _, err := conn.ReadMsgUnix(message, control)
	if err != nil {
		return 0, err
	}
	parsed, err := syscall.ParseSocketControlMessage(control[:controls])
	if err != nil || len(parsed) != 1 {
		return 0, fmt.Errorf("no file was passed: %s", message[:n])
	}
	files, err := syscall.ParseUnixRights(&parsed[0])
	if err != nil {
		return 0, err
	}
	return files[0], nil
}

// handOverClock does what clockSocket asks for, if it is set.
func handOverClock() {
	if os.Getenv(clockSocket) != "" {
		fmt.Fprintln(os.Stderr, becomeWithClock())
		os.Exit(1)
	}
}

// becomeWithClock hands the readings of the wall clock to the test that holds the
// other end of the socket, and becomes callbackd.
func becomeWithClock() error {
	runtime.LockOSThread()
	program, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 0, Size: 4}, // number of the call
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.SYS_CLOCK_GETTIME, SkipTrue: 3},
		bpf.LoadAbsolute{Off: 16, Size: 4}, // first argument
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: unix.CLOCK_REALTIME, SkipTrue: 1},
		bpf.RetConstant{Val: unix.SECCOMP_RET_USER_NOTIF},
		bpf.RetConstant{Val: unix.SECCOMP_RET_ALLOW},
	})
	if err != nil {
		return err
	}
	argument := struct {
		length  uint16
		program *bpf.RawInstruction // laid out as struct sock_filter
	}{uint16(len(program)), &program[0]}
	if err := unix.Prctl(unix.PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0); err != nil {
		return err
	}
	listener, _, errno := syscall.RawSyscall(unix.SYS_SECCOMP, unix.SECCOMP_SET_MODE_FILTER, unix.SECCOMP_FILTER_FLAG_NEW_LISTENER, uintptr(unsafe.Pointer(&argument)))
	runtime.KeepAlive(program)
	if errno != 0 {
		return errno
	}
	if os.Getenv(clockSocket) == clockProbe {
		os.Exit(0)
	}
	const socket = 3
	if err := syscall.Sendmsg(socket, []byte("listener"), syscall.UnixRights(int(listener)), nil, 0); err != nil {
		return err
	}
	syscall.CloseOnExec(socket)
	environ := os.Environ()
	for i, entry := range environ {
		if strings.HasPrefix(entry, clockSocket+"=") {
			environ[i] = clockSocket + "="
		}
	}
	return syscall.Exec("/proc/self/exe", os.Args, environ)
}

// The clock of the machine jumps, by an hour and by a day, forward and back, under
// load and while calls are under way. No call fails, and nothing waits until the
// clock is where it was.
func TestClockJumps(t *testing.T) {
	t.Parallel()
	var clock *wallClock
	jumps := make(chan time.Duration, 1)
	far := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		clock.jump(<-jumps) // the caller is under way
	}))
	defer far.Close()
	wait := `Spark.getHttp(Spark.getProperties().getProperty("FAR")).get();`
	names := []string{"hello", "edit", "now", "during", "endless", "after", "queued"}
	files := map[string]string{
		"scripts/callbacks/now.js":     `Spark.setScriptData("now", Date.now())`,
		"scripts/callbacks/during.js":  wait + ` setTimeout(function () { Spark.setScriptData("done", true); }, 50)`,
		"scripts/callbacks/endless.js": wait + ` for (;;) {}`,
		"scripts/callbacks/queued.js":  "// callback: deferred\n" + wait + ` Spark.getLog().warn("ran queued")`,
		"scripts/callbacks/after.js":   `Spark.getScheduler().inSeconds("AFTER", 2, {n: Spark.getData().n})`,
		"scripts/modules/AFTER.js":     `Spark.getLog().warn("ran after " + Spark.getData().n)`,
		"secrets.json":                 `{"KEY": {"` + strings.Join(names, `": ["s3cret"], "`) + `": ["s3cret"]}}`,
		"vars.json":                    `{"KEY": {"": {"FAR": "` + far.URL + `"}}}`,
	}
	scripts, secrets := site(t, files)
	dir := filepath.Dir(secrets)
	cert, key := certificatePair(t, "0.example")
	write(t, filepath.Join(dir, "cert.pem"), cert)
	write(t, filepath.Join(dir, "key.pem"), key)
	var p *process
	p, clock = startWithClock(t, "-scripts", scripts, "-secrets", secrets, "-vars", filepath.Join(dir, "vars.json"),
		"-queue", filepath.Join(dir, "queue.db"), "-tls-cert", filepath.Join(dir, "cert.pem"), "-tls-key", filepath.Join(dir, "key.pem"),
		"-allow-private", "-timeout", "1s", "-log-level", "WARN")
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}}
	defer client.CloseIdleConnections()
	base, secret := p.url+"/callback/KEY/", "/s3cret"
	call := func(name string) (int, string) { return send(t, client, "GET", base+name, "", nil) }
	logged := func(text string) int { return strings.Count(p.log.String(), text) }

	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var calls atomic.Int64
	failures := make(chan string, 10)
	load.Go(func() {
		for ctx.Err() == nil && len(failures) < cap(failures) {
			resp, err := client.Get(base + "hello/s3cret")
			if err != nil {
				failures <- err.Error()
				continue
			}
			resp.Body.Close()
			if calls.Add(1); resp.StatusCode != 200 {
				failures <- resp.Status
			}
		}
	})

	for i, by := range []time.Duration{time.Hour, -time.Hour, 24 * time.Hour, -48 * time.Hour} {
		_, _ = call(fmt.Sprintf("after/s3cret?n=%d", i))
		jumps <- by
		status, body := call("during" + secret)
		require.Equal(t, 200, status, body)
		require.Equal(t, `{"done":true}`, body)
		said := regexp.MustCompile(`the clock of this machine has jumped[^\n]* by=` + regexp.QuoteMeta(by.String()) + `\n`)
		eventually(t, func() bool { return said.MatchString(p.log.String()) }, "said")

		// A deadline comes neither early nor late.
		jumps <- -by
		began := time.Now()
		status, body = call("endless" + secret)
		require.Equal(t, 504, status, body)
		require.GreaterOrEqual(t, time.Since(began), time.Second)
		jumps <- by
		_, _ = call("queued" + secret)
		eventually(t, func() bool { return logged(`"ran queued"`) == i+1 }, "deferred run")

		eventually(t, func() bool { return logged(fmt.Sprintf(`"ran after %d"`, i)) == 1 }, "scheduled run")

		_, body = call("now" + secret)
		var now struct{ Now int64 }
		require.NoError(t, json.Unmarshal([]byte(body), &now))
		require.WithinDuration(t, clock.now(), time.UnixMilli(now.Now), time.Minute, "the scripts' clock is the machine's")

		// Files that are edited now have the time that the server's clock tells.
		edit := filepath.Join(scripts, "callbacks/edit.js")
		write(t, edit, fmt.Sprintf(`Spark.setScriptData("edit", %d)`, i))
		require.NoError(t, os.Chtimes(edit, clock.now(), clock.now()))
		eventually(t, func() bool { _, body := call("edit" + secret); return body == fmt.Sprintf(`{"edit":%d}`, i) }, "edited script")
		write(t, secrets, strings.Replace(files["secrets.json"], `"now": ["s3cret"]`, fmt.Sprintf(`"now": ["s3cret", "new%d"]`, i), 1))
		eventually(t, func() bool { status, _ := call(fmt.Sprint("now/new", i)); return status == 200 }, "new secret")
		name := fmt.Sprint(i+1, ".example")
		cert, key := certificatePair(t, name)
		write(t, filepath.Join(dir, "cert.pem"), cert)
		write(t, filepath.Join(dir, "key.pem"), key)
		eventually(t, func() bool {
			conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), &tls.Config{InsecureSkipVerify: true})
			require.NoError(t, err)
			defer conn.Close()
			return conn.ConnectionState().PeerCertificates[0].DNSNames[0] == name
		}, "renewed certificate")

		// The console lists runs in their order, whatever time they have.
		eventually(t, func() bool {
			var list struct {
				Runs []struct {
					Credential string
					Time       time.Time
				}
			}
			_, body := get(t, p.admin+"/api/runs")
			require.NoError(t, json.Unmarshal([]byte(body), &list), body)
			for _, run := range list.Runs {
				if run.Credential == "now" {
					return clock.now().Sub(run.Time).Abs() < time.Minute
				}
			}
			return false
		}, "newest run first")
	}
	cancel()
	load.Wait()
	close(failures)
	for failure := range failures {
		require.Fail(t, "a call failed", failure)
	}
	require.Greater(t, calls.Load(), int64(100))
	for i := range 4 {
		require.Equal(t, 1, logged(fmt.Sprintf(`"ran after %d"`, i)), "once")
	}
	require.Equal(t, logged("level=ERROR"), logged("ran past its deadline"), "other errors")
	require.Equal(t, exitOK, p.stop(t), p.log)
}

// If the clock jumps forward, the last time that it skips is run once. If it jumps
// back, no time is run again.
func TestClockJumpsOverCron(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, map[string]string{
		"scripts/modules/NIGHTLY.js": `Spark.getLog().warn("ran NIGHTLY")`,
		"scripts/modules/MINUTE.js":  `Spark.getLog().warn("ran MINUTE")`,
		"scripts/modules/SECOND.js":  `Spark.getLog().warn("ran SECOND")`,
		"cron":                       "0 3 * * * KEY NIGHTLY\n* * * * * KEY MINUTE\n@every 1s KEY SECOND\n",
	})
	dir := filepath.Dir(secrets)
	p, clock := startWithClock(t, "-scripts", scripts, "-secrets", secrets, "-queue", filepath.Join(dir, "queue.db"), "-cron", filepath.Join(dir, "cron"))
	ran := func(module string) int { return strings.Count(p.log.String(), `"ran `+module+`"`) }
	seconds := func(n int) {
		before := ran("SECOND")
		eventually(t, func() bool { return ran("SECOND") >= before+n }, "time passes")
	}
	seconds(1)
	day := time.Now().UTC().Truncate(24 * time.Hour).Add(10 * 24 * time.Hour)
	clock.set(day.Add(3*time.Hour - 2*time.Second))
	eventually(t, func() bool { return ran("NIGHTLY") == 2 }, "the night before was skipped, and its time comes")
	clock.set(day.Add(3*time.Hour - 2*time.Second))
	seconds(5)
	require.Equal(t, 2, ran("NIGHTLY"), "its time has come again")
	minutes := ran("MINUTE")
	clock.set(day.Add(36 * time.Hour))
	eventually(t, func() bool { return ran("NIGHTLY") == 3 }, "its time was skipped")
	seconds(3)
	require.Equal(t, 3, ran("NIGHTLY"))
	require.LessOrEqual(t, ran("MINUTE"), minutes+2, "of 1,980 minutes that were skipped, the last one, and the present one")
	clock.set(day.Add(-36 * time.Hour))
	seconds(3) // not only in 72 hours
	require.Equal(t, exitOK, p.stop(t), p.log)
}
