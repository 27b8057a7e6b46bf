package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

// packaged is the text of a file in packaging, with lines replaced: pairs of the
// old and the new text. Each old one must be there.
func packaged(t *testing.T, name string, replace ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("packaging", name))
	require.NoError(t, err)
	for i := 0; i < len(replace); i += 2 {
		require.Contains(t, string(text), replace[i])
	}
	return strings.NewReplacer(replace...).Replace(string(text))
}

// nginx starts nginx with packaging/nginx.conf in front of a backend, as Debian's
// nginx.conf includes it. It returns the base URL and the folder of the logs.
func nginx(t *testing.T, backend string) (base, logs string) {
	t.Helper()
	program, err := exec.LookPath("nginx")
	if err != nil {
		t.Skip("needs nginx")
	}
	dir := t.TempDir()
	require.NoError(t, os.Chmod(dir, 0o755))
	logs = filepath.Join(dir, "log")
	require.NoError(t, os.Mkdir(logs, 0o777))
	cert, key := certificatePair(t, "callbacks.example.com")
	write(t, filepath.Join(dir, "cert.pem"), cert)
	write(t, filepath.Join(dir, "key.pem"), key)
	addr := freeAddr(t)
	site := packaged(t, "nginx.conf",
		"listen 443 ssl;", "listen "+addr+" ssl;",
		"/etc/ssl/callbacks.example.com.pem", filepath.Join(dir, "cert.pem"),
		"/etc/ssl/callbacks.example.com.key", filepath.Join(dir, "key.pem"),
		"/var/log/nginx/", logs+"/",
		"http://127.0.0.1:8080", backend)
	write(t, filepath.Join(dir, "nginx.conf"), `
daemon off;
pid `+dir+`/pid;
error_log `+logs+`/error.log;
events {}
http {
	access_log `+logs+`/access.log;
	client_body_temp_path `+dir+`/body;
	proxy_temp_path `+dir+`/proxy;
	fastcgi_temp_path `+dir+`/fastcgi;
	uwsgi_temp_path `+dir+`/uwsgi;
	scgi_temp_path `+dir+`/scgi;
`+site+`
}
`)
	cmd := exec.Command(program, "-c", filepath.Join(dir, "nginx.conf"), "-e", filepath.Join(logs, "start.log"))
	var output lockedBuffer
	cmd.Stdout, cmd.Stderr = &output, &output
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Signal(os.Interrupt)
		_ = cmd.Wait()
	})
	eventually(t, func() bool {
		conn, err := net.Dial("tcp", addr)
		if err == nil {
			conn.Close()
		}
		return err == nil
	}, "nginx: "+output.String())
	return "https://" + addr, logs
}

// insecure is a client that takes any certificate and calls from an address of
// its own.
func insecure(from string) *http.Client {
	dialer := &net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}}
	return &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DialContext: dialer.DialContext, DisableKeepAlives: true,
	}}
}

// Nginx of packaging in front of callbackd: scripts see the caller's address, what
// a caller claims about it counts for nothing, and no log has a secret, whatever
// goes wrong.
func TestBehindNginx(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, map[string]string{
		"scripts/callbacks/hello.js": `Spark.setScriptData("ip", Spark.getClientIp()); Spark.setScriptData("body", (Spark.getData().REQUEST_BODY || "").length)`,
		"secrets.json":               `{"KEY": {"hello": ["VerySecretText"]}}`,
	})
	p := start(t, "-scripts", scripts, "-secrets", secrets, "-in-process", "-trust-proxy", "127.0.0.1", "-max-body", "2000000")
	base, logs := nginx(t, p.url)
	client, target := insecure("127.0.0.9"), base+"/callback/KEY/hello/VerySecretText"

	status, body := send(t, client, "GET", target, "", nil)
	require.Equal(t, 200, status)
	require.Equal(t, `{"ip":"127.0.0.9","body":0}`, body)
	for _, name := range []string{"X-Forwarded-For", "Forwarded", "X-Real-Ip"} {
		for _, value := range []string{"203.0.113.9", "for=203.0.113.9", "127.0.0.1"} {
			_, body = send(t, client, "GET", target, "", http.Header{name: {value}})
			require.Equal(t, `{"ip":"127.0.0.9","body":0}`, body, "%s: %s", name, value)
		}
	}
	status, body = send(t, client, "POST", target, strings.Repeat("a", 1_900_000), nil)
	require.Equal(t, 200, status)
	require.Equal(t, `{"ip":"127.0.0.9","body":1900000}`, body)
	status, _ = send(t, client, "POST", target, strings.Repeat("a", 3_000_000), nil)
	require.Equal(t, 413, status)
	status, _ = send(t, client, "GET", target+"x", "", nil)
	require.Equal(t, 403, status)
	status, _ = send(t, client, "GET", base+"/VerySecretText", "", nil)
	require.Equal(t, 404, status)
	status, _ = send(t, client, "GET", target+"?"+strings.Repeat("a", 100_000), "", nil)
	require.Equal(t, 414, status)
	status, _ = send(t, client, "GET", target, "", http.Header{"X-Long": {strings.Repeat("a", 100_000)}})
	require.Equal(t, 400, status)
	conn, err := tls.Dial("tcp", strings.TrimPrefix(base, "https://"), &tls.Config{InsecureSkipVerify: true})
	require.NoError(t, err)
	_, err = io.WriteString(conn, "GET /callback/KEY/hello/VerySecretText HTTP/1.1\r\nBroken\r\n\r\n")
	require.NoError(t, err)
	_, _ = io.ReadAll(conn)
	conn.Close()

	require.Equal(t, exitOK, p.stop(t), p.log)
	status, _ = send(t, client, "GET", target, "", nil)
	require.Equal(t, 502, status)

	files, err := os.ReadDir(logs)
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		text, err := os.ReadFile(filepath.Join(logs, file.Name()))
		require.NoError(t, err)
		require.NotContains(t, string(text), "VerySecret", file.Name())
	}
	require.NotContains(t, p.log.String(), "VerySecret")
}

// A backend that tells nginx to serve another location is not obeyed.
func TestNginxObeysNoScript(t *testing.T) {
	t.Parallel()
	backend := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("X-Accel-Redirect", "/")
		w.Header().Set("X-Accel-Limit-Rate", "1")
		_, _ = io.WriteString(w, "the backend's own answer")
	}))
	defer backend.Close()
	base, _ := nginx(t, backend.URL)
	status, body := send(t, insecure("127.0.0.1"), "GET", base+"/callback/KEY/hello/s3cret", "", nil)
	require.Equal(t, 200, status)
	require.Equal(t, "the backend's own answer", body)
}

// The units have no mistake that systemd knows of, and are hardened.
func TestUnits(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("systemd-analyze"); err != nil {
		t.Skip("needs systemd-analyze")
	}
	program, err := os.Executable()
	require.NoError(t, err)
	dir := folder(t, map[string]string{
		"callbackd.service": packaged(t, "callbackd.service", "/usr/local/bin/callbackd", program),
		"callbackd.socket":  packaged(t, "callbackd.socket"),
	})
	service := filepath.Join(dir, "callbackd.service")
	text, err := exec.Command("systemd-analyze", "verify", "--man=no", service, filepath.Join(dir, "callbackd.socket")).CombinedOutput()
	require.NoError(t, err, "%s", text)
	require.Empty(t, string(text))
	text, err = exec.Command("systemd-analyze", "security", "--offline=true", "--no-pager", "--threshold=20", service).CombinedOutput()
	require.NoError(t, err, "%s", text)
}

const systemdPath = "/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// systemdSetup makes a machine of its own, of namespaces, with the units of
// packaging as docs/operations.md installs them, and gives it to systemd.
const systemdSetup = `
set -e
mount --make-rprivate /
mount -t tmpfs tmpfs /run && mkdir -p /run/systemd /run/lock
mount -t tmpfs tmpfs /usr/local/bin && cp "$PROGRAM" /usr/local/bin/callbackd
mount -t tmpfs tmpfs /etc && cp -r "$DIR/etc/." /etc/ && mkdir -p /etc/systemd/system
mount -t tmpfs tmpfs /var/lib
mount -t tmpfs tmpfs /srv
mount -t proc proc /proc
mount -t tmpfs tmpfs /sys/fs/cgroup && mkdir /sys/fs/cgroup/systemd
mount -t cgroup -o none,name=systemd cgroup /sys/fs/cgroup/systemd 2>/dev/null || mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
touch "$DIR/set-up"
cd "$DIR/checkout"
bash -eu "$DIR/install.sh" >"$DIR/hello"
callbackd secret new -secrets /etc/callbackd/secrets.json E300018ZDdAx/loop >"$DIR/loop"
printf 'CALLBACKD_TIMEOUT=3s\nTEST_AS_CALLBACKD=1\n' >>/etc/callbackd/callbackd.env
for systemd in /lib/systemd/systemd /usr/lib/systemd/systemd; do
	[ -x $systemd ] && exec env container=test SYSTEMD_UNIT_PATH="$DIR/units:/etc/systemd/system" $systemd --system --unit=default.target --log-target=console --show-status=false
done
`

// systemdProbe calls the server and restarts it, inside of that machine. What it
// prints is the result.
const systemdProbe = `
export SYSTEMD_UNIT_PATH=$DIR/units:/etc/systemd/system
bash -eu "$DIR/start.sh" 2>>"$DIR/started"
call() { curl -sS --max-time 20 -w ' %{http_code}\n' "http://127.0.0.1:8080/callback/E300018ZDdAx/$1/$(cat "$DIR/$1")" 2>&1; }
call hello
call loop
call hello
for n in $(seq 100); do call hello; done | sort | uniq -c >"$DIR/load" &
systemctl restart callbackd.service
systemctl reload callbackd.service
systemctl restart callbackd.service
wait
echo $(cat "$DIR/load")
callbackd secret rotate -secrets /etc/callbackd/secrets.json E300018ZDdAx/hello >"$DIR/hello"
until call hello | grep ' 200$'; do sleep 0.1; done
pid=$(systemctl show -P MainPID callbackd.service)
grep -E '^(CapEff|NoNewPrivs|Seccomp):' /proc/$pid/status | tr '\t' ' '
systemctl show -P Result callbackd.service
mv "$DIR/result" "$DIR/done"
`

// The unit runs under systemd itself, with all of its hardening, and the sandbox
// works in it: an endless loop ends at the deadline. A restart fails no call.
func TestUnderSystemd(t *testing.T) {
	t.Parallel()
	const reason = "systemd cannot be run here: "
	if os.Getuid() != 0 {
		t.Skip(reason + "only root can")
	}
	for _, program := range []string{"systemctl", "unshare", "ip", "curl", "bash"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(reason + program + " is missing")
		}
	}
	program, err := os.Executable()
	require.NoError(t, err)
	page, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)\n## As a service\n.*?```sh\n(.*?\n)```").FindStringSubmatch(string(page))
	require.NotNil(t, block)
	install, start, ok := strings.Cut(block[1], "systemctl daemon-reload\n")
	require.True(t, ok)
	const bare = "[Unit]\nDefaultDependencies=no\n"
	files := map[string]string{
		"etc/passwd":                          "root:x:0:0::/root:/bin/sh\n",
		"etc/group":                           "root:x:0:\n",
		"checkout/scripts/callbacks/hello.js": `Spark.setScriptData("ok", true)`,
		"checkout/scripts/callbacks/loop.js":  `for (;;) {}`,
		"units/default.target":                bare + "Wants=probe.service\n",
		"install.sh":                          install,
		"start.sh":                            "systemctl daemon-reload\n" + start,
		"setup.sh":                            systemdSetup,
		"probe.sh":                            systemdProbe,
	}
	for _, name := range []string{"callbackd.service", "callbackd.socket", "callbackd.env"} {
		files["checkout/cmd/callbackd/packaging/"+name] = packaged(t, name)
	}
	for _, target := range []string{"sysinit", "basic", "sockets", "shutdown", "network-online", "multi-user"} {
		files["units/"+target+".target"] = bare
	}
	dir := folder(t, files)
	write(t, filepath.Join(dir, "units/probe.service"), bare+"[Service]\nType=oneshot\nEnvironment=DIR="+dir+" "+asCallbackd+"=1 PATH="+systemdPath+
		"\nStandardOutput=file:"+dir+"/result\nExecStart=/bin/bash "+dir+"/probe.sh\n")

	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--pid", "--fork", "--kill-child", "--net", "--uts", "--ipc", "bash", filepath.Join(dir, "setup.sh"))
	cmd.Env = []string{"PATH=" + systemdPath, "DIR=" + dir, "PROGRAM=" + program, asCallbackd + "=1"}
	var log lockedBuffer
	cmd.Stdout, cmd.Stderr = &log, &log
	require.NoError(t, cmd.Start())
	ended := make(chan error, 1)
	go func() { ended <- cmd.Wait() }()
	defer func() { cancel(); <-ended }()
	for {
		result, err := os.ReadFile(filepath.Join(dir, "done"))
		if err == nil {
			require.Regexp(t, regexp.MustCompile(`^{"ok":true} 200
{"error":"script timed out"} 504
{"ok":true} 200
100 {"ok":true} 200
{"ok":true} 200
CapEff: 0+
NoNewPrivs: 1
Seccomp: 2
success
$`), string(result))
			return
		}
		select {
		case err := <-ended:
			ended <- err
			if _, statErr := os.Stat(filepath.Join(dir, "set-up")); statErr != nil {
				t.Skipf("%s%v\n%s", reason, err, log.String())
			}
			require.NoError(t, err, log.String())
			require.Fail(t, "systemd ended", log.String())
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// containerScript runs the commands of the page with a network and mounts of its
// own. "docker" is podman, and the program is built already.
const containerScript = `
set -euo pipefail
ip link set lo up
[ -e /sys/fs/cgroup/cgroup.controllers ] || { umount -R /sys/fs/cgroup; mount -t cgroup2 cgroup2 /sys/fs/cgroup; }
docker() {
	local command=$1
	shift
	case $command in
	build) set -- --isolation chroot "$@" ;;
	run) set -- --name callbackd --network host --pull never --cgroups=disabled --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 -e CALLBACKD_MAX_MEMORY=134217728 "$@" ;;
	esac
	podman --root "$DIR/root" --runroot "$DIR/runroot" --tmpdir "$DIR/tmp" --storage-driver vfs --cgroup-manager cgroupfs --events-backend none "$command" "$@"
}
touch set-up
`

// containerProbe calls the server in the container and stops it.
const containerProbe = ` >addresses 2>log &
until grep -q '^admin on' addresses; do sleep 0.1; kill -0 %1; done
call() { curl -sS --max-time 30 -w ' %{http_code}\n' "http://127.0.0.1:8080/callback/E300018ZDdAx/$1"; }
exec >result
call "hello/$SECRET?name=Ada"
call "large/$LARGE"
call "hello/$SECRET?name=Ada"
pid=$(docker inspect -f '{{.State.Pid}}' callbackd)
grep -E '^(Uid|CapEff|Seccomp):' /proc/$pid/status | tr '\t' ' '
awk '$5 == "/" || $5 == "/scripts" || $5 == "/config" { print $5, substr($6, 1, 2) }' /proc/$pid/mountinfo | sort
docker stop callbackd >stopped
wait %1
echo "ended with $?"
`

// The image is built without a network. It runs with a read-only root, as a user
// without rights, with the engine's default seccomp profile. The sandbox ends a
// script that takes too much memory, and the server goes on.
func TestContainerImage(t *testing.T) {
	t.Parallel()
	const reason = "podman cannot run here: "
	if os.Getuid() != 0 {
		t.Skip(reason + "only root can set it up")
	}
	for _, program := range []string{"podman", "unshare", "ip", "curl", "bash", "gcc"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip(reason + program + " is missing")
		}
	}
	page, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	block := regexp.MustCompile("(?s)\n## A container\n.*?```sh\n(.*?\n)```").FindStringSubmatch(string(page))
	require.NotNil(t, block)
	_, commands, ok := strings.Cut(strings.TrimSpace(block[1]), "\n") // without "go build"
	require.True(t, ok)
	const newSecret = "callbackd secret new -secrets config/secrets.json E300018ZDdAx/"
	require.Contains(t, commands, newSecret+"hello\n")
	commands = strings.Replace(commands, newSecret+"hello\n", "SECRET=$("+newSecret+"hello)\nLARGE=$("+newSecret+"large)\n", 1)

	dir := folder(t, map[string]string{
		"cmd/callbackd/packaging/Dockerfile": packaged(t, "Dockerfile"),
		"scripts/callbacks/hello.js":         `Spark.setScriptData("greeting", "Hello, " + Spark.getData().name + "!")`,
		"scripts/callbacks/large.js":         `for (var a = []; ; ) a.push(new ArrayBuffer(10000000))`,
		"run.sh":                             containerScript + commands + containerProbe,
	})
	require.NoError(t, os.Chmod(dir, 0o755))
	// With these flags, the packages are those that the test has been compiled from.
	build := exec.Command("go", "build", "-ldflags=-linkmode=external -extldflags=-static", "-o", filepath.Join(dir, "cmd/callbackd/callbackd"), ".")
	text, err := build.CombinedOutput()
	require.NoError(t, err, "%s", text)
	ctx, cancel := context.WithTimeout(t.Context(), 2*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "unshare", "--mount", "--propagation", "private", "--net", "--pid", "--fork", "--kill-child", "--mount-proc", "bash", "-m", "run.sh")
	cmd.Dir = dir
	cmd.Env = []string{"PATH=" + filepath.Join(dir, "cmd/callbackd") + ":/usr/sbin:/usr/bin:/sbin:/bin", "DIR=" + dir, "HOME=" + dir}
	text, err = cmd.CombinedOutput()
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	if _, statErr := os.Stat(filepath.Join(dir, "set-up")); err != nil && statErr != nil {
		t.Skipf("%s%v\n%s", reason, err, text)
	}
	require.NoError(t, err, "%s\n%s", text, log)
	result, err := os.ReadFile(filepath.Join(dir, "result"))
	require.NoError(t, err)
	require.Regexp(t, regexp.MustCompile(`^{"greeting":"Hello, Ada!"} 200
({"error":"script failed"} 500|{"error":"script timed out"} 504)
{"greeting":"Hello, Ada!"} 200
Uid: 65532 65532 65532 65532
CapEff: 0000000000000000
Seccomp: 2
/ ro
/config ro
/scripts ro
ended with 0
$`), string(result), "%s", log)
	require.Contains(t, string(log), "child process died")
}

// On a full disk, a command that cannot store a secret says so on one line, and the
// secrets remain as they were.
func TestSecretsOnAFullDisk(t *testing.T) {
	t.Parallel()
	const reason = "needs root, to mount a disk that is full"
	if _, err := exec.LookPath("unshare"); err != nil || os.Getuid() != 0 {
		t.Skip(reason)
	}
	direct := callbackd(t)
	cmd := exec.Command("unshare", "--mount", "sh", "-c", `
set -e
mount --make-rprivate / && mount -t tmpfs -o size=64k tmpfs "$1" && cd "$1"
echo '{"KEY": {"hello": ["s3cret"]}}' >secrets.json && cp secrets.json before
cat /dev/zero >filler 2>/dev/null || true
code=0
"$0" secret rotate -secrets secrets.json KEY/hello || code=$?
cmp secrets.json before
ls
exit $code
`, direct.Path, t.TempDir())
	cmd.Env = direct.Env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	_ = cmd.Run()
	if strings.Contains(stderr.String(), "mount:") {
		t.Skipf("%s: %s", reason, stderr.String())
	}
	require.Equal(t, exitFailed, cmd.ProcessState.ExitCode(), stderr.String())
	require.Equal(t, 1, strings.Count(stderr.String(), "\n"), stderr.String())
	require.Contains(t, stderr.String(), "no space left on device")
	require.NotContains(t, stdout.String(), "tmp", "what could not be written is taken away")
}
