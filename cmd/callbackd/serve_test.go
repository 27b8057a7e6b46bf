package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"
)

func TestServe(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, map[string]string{
		"scripts/callbacks/sign.js": `
			var d = Spark.getData(), key = Spark.getProperties().getProperty("GITHUB_SECRET");
			var want = "sha256=" + Spark.getDigester().hmacSha256Hex(key, Spark.getRequestBytes());
			Spark.setScriptData("valid", d.REQUEST_HEADERS["x-hub-signature-256"] === want);
			Spark.setScriptData("shop", Spark.getProperties().getProperty("SHOP"));
			Spark.setScriptData("none", Spark.getProperties().getProperty("NONE"));
			Spark.setScriptData("ip", Spark.getClientIp());`,
		"scripts/callbacks/broken.js": `function f() { throw new Error("boom") }` + "\nf()",
		"scripts/callbacks/zone.js":   `Spark.setScriptData("hours", new Date(0).getHours())`,
		"secrets.json":                `{"KEY": {"hello": ["s3cret"], "sign": ["s3cret"], "broken": ["s3cret"], "zone": ["s3cret"]}}`,
		"vars.json":                   `{"KEY": {"sign": {"GITHUB_SECRET": "signing-key"}, "": {"SHOP": {"id": 7}}}}`,
	})
	vars := filepath.Join(filepath.Dir(secrets), "vars.json")
	for _, mode := range []string{"sandbox", "in process"} {
		t.Run(mode, func(t *testing.T) {
			t.Parallel()
			args := []string{"-scripts", scripts, "-secrets", secrets, "-vars", vars, "-trust-proxy", "127.0.0.1", "-log-format", "json", "-run-id-header", "Run-Id"}
			if mode == "in process" {
				args = append(args, "-in-process")
			}
			p := start(t, args...)
			base := p.url + "/callback/KEY/"

			status, body := get(t, base+"hello/s3cret?name=Ada")
			require.Equal(t, 200, status)
			require.Equal(t, `{"hello":"Ada"}`, body)
			status, body = get(t, base+"hello/wr0ng")
			require.Equal(t, 403, status, body)
			status, _ = get(t, base+"broken/s3cret")
			require.Equal(t, 500, status)
			_, body = get(t, base+"zone/s3cret")
			require.Equal(t, `{"hours":0}`, body)

			payload := `{"zen":"Keep it logically awesome."}`
			mac := hmac.New(sha256.New, []byte("signing-key"))
			mac.Write([]byte(payload))
			status, body = send(t, http.DefaultClient, "POST", base+"sign/s3cret", payload, http.Header{
				"X-Hub-Signature-256": {"sha256=" + hex.EncodeToString(mac.Sum(nil))},
				"X-Forwarded-For":     {"203.0.113.9, 198.51.100.7"},
			})
			require.Equal(t, 200, status)
			require.JSONEq(t, `{"valid":true,"shop":{"id":7},"none":null,"ip":"198.51.100.7"}`, body)

			_, metrics := get(t, p.admin+"/metrics")
			for _, line := range []string{
				`callbackd_requests_total{status="200"} 3`, `callbackd_requests_total{status="403"} 1`, `callbackd_requests_total{status="500"} 1`,
				`callbackd_runs_total{outcome="ok"} 3`, `callbackd_runs_total{outcome="script_error"} 1`,
				`callbackd_file_loaded{flag="secrets"} 1`, `callbackd_file_loaded{flag="vars"} 1`,
			} {
				eventually(t, func() bool { // a call is counted after its answer
					_, metrics = get(t, p.admin+"/metrics")
					return strings.Contains(metrics, line)
				}, line)
			}
			for _, path := range []string{"/healthz", "/readyz"} {
				status, body = get(t, p.admin+path)
				require.Equal(t, 200, status, body)
			}
			require.Equal(t, exitOK, p.stop(t), p.log)
			requests := 0
			for _, line := range strings.Split(strings.TrimSpace(p.log.String()), "\n") {
				var record map[string]any
				require.NoError(t, json.Unmarshal([]byte(line), &record), line)
				if record["msg"] == "request" {
					requests++
				}
			}
			require.Equal(t, 5, requests)
			require.Contains(t, p.log.String(), "boom")
			require.Contains(t, p.log.String(), `"line":1`)
			for _, secret := range []string{"s3cret", "wr0ng", "signing-key", "hello?"} {
				require.NotContains(t, p.log.String(), secret)
				require.NotContains(t, metrics, secret)
			}
		})
	}
}

// A tree for each API key: each key sees its own.
func TestServeTreePerKey(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"scripts/ONE/callbacks/hello.js": `Spark.setScriptData("tree", "one")`,
		"scripts/TWO/callbacks/hello.js": `Spark.setScriptData("tree", "two")`,
		"secrets.json":                   `{"ONE": {"hello": ["s3cret"]}, "TWO": {"hello": ["s3cret"]}, "..": {"hello": ["s3cret"]}, "LATER": {"hello": ["s3cret"]}}`,
	})
	p := start(t, "-scripts", filepath.Join(dir, "scripts"), "-secrets", filepath.Join(dir, "secrets.json"), "-in-process")
	_, body := get(t, p.url+"/callback/ONE/hello/s3cret")
	require.Equal(t, `{"tree":"one"}`, body)
	_, body = get(t, p.url+"/callback/TWO/hello/s3cret")
	require.Equal(t, `{"tree":"two"}`, body)
	status, body := get(t, p.url+"/callback/%2e%2e/hello/s3cret")
	require.Equal(t, 404, status, body)
	status, _ = get(t, p.url+"/callback/LATER/hello/s3cret")
	require.Equal(t, 404, status)
	write(t, filepath.Join(dir, "scripts/LATER/callbacks/hello.js"), `Spark.setScriptData("tree", "later")`)
	_, body = get(t, p.url+"/callback/LATER/hello/s3cret")
	require.Equal(t, `{"tree":"later"}`, body)
}

// Secrets are rotated under load, and no call fails.
func TestRotateUnderLoad(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, nil)
	p := start(t, "-scripts", scripts, "-secrets", secrets, "-in-process", "-log-level", "WARN")
	var current atomic.Pointer[string]
	secret := "s3cret"
	current.Store(&secret)
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var calls, failures atomic.Int64
	for range 4 {
		load.Go(func() {
			for ctx.Err() == nil {
				resp, err := http.Get(p.url + "/callback/KEY/hello/" + *current.Load())
				if err != nil {
					failures.Add(1)
					continue
				}
				resp.Body.Close()
				if calls.Add(1); resp.StatusCode != 200 {
					failures.Add(1)
				}
			}
		})
	}
	for range 3 {
		old := *current.Load()
		code, stdout, stderr := output(t, "secret", "rotate", "-secrets", secrets, "KEY/hello")
		require.Zero(t, code, stderr)
		rotated := strings.TrimSpace(stdout)
		require.NoError(t, p.cmd.Process.Signal(syscall.SIGHUP))
		eventually(t, func() bool { status, _ := get(t, p.url+"/callback/KEY/hello/"+rotated); return status == 200 }, "new secret")
		current.Store(&rotated)
		code, _, stderr = output(t, "secret", "revoke", "-secrets", secrets, "KEY/hello")
		require.Zero(t, code, stderr)
		eventually(t, func() bool { status, _ := get(t, p.url+"/callback/KEY/hello/"+old); return status == 403 }, "old secret")
	}
	write(t, secrets, `{"KEY": {"hello": [`) // broken: the previous state remains
	eventually(t, func() bool { return strings.Contains(p.log.String(), "file not loaded") }, "broken file")
	require.Contains(t, p.log.String(), "the JSON ends too early")
	_, metrics := get(t, p.admin+"/metrics")
	require.Contains(t, metrics, `callbackd_file_loaded{flag="secrets"} 0`)
	cancel()
	load.Wait()
	require.Zero(t, failures.Load())
	require.Positive(t, calls.Load())
}

// Another process holds the socket, as systemd does: a restart under load refuses no
// connection and fails no call.
func TestRestartUnderLoad(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, nil)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	socket, err := listener.(*net.TCPListener).File()
	require.NoError(t, err)
	defer socket.Close()
	activated := func() *process {
		direct := callbackd(t, "serve", "-scripts", scripts, "-secrets", secrets, "-in-process", "-admin", "127.0.0.1:0")
		// The shell has the process id that LISTEN_PID must name.
		cmd := exec.Command("/bin/sh", append([]string{"-c", `LISTEN_PID=$$ LISTEN_FDS=1 exec "$0" "$@"`, direct.Path}, direct.Args[1:]...)...)
		cmd.Env, cmd.ExtraFiles = direct.Env, []*os.File{socket}
		return startCommand(t, cmd)
	}
	p := activated()
	base := p.url // p changes with each restart
	require.Equal(t, "http://"+listener.Addr().String(), base)
	ctx, cancel := context.WithCancel(t.Context())
	var load sync.WaitGroup
	var calls atomic.Int64
	failures := make(chan string, 1000)
	for range 4 {
		load.Go(func() {
			client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}} // as senders of webhooks do
			for ctx.Err() == nil {
				resp, err := client.Get(base + "/callback/KEY/hello/s3cret")
				calls.Add(1)
				if err != nil {
					failures <- err.Error()
					continue
				}
				resp.Body.Close()
				if resp.StatusCode != 200 {
					failures <- resp.Status
				}
			}
		})
	}
	for range 3 {
		before := calls.Load()
		eventually(t, func() bool { return calls.Load() > before+20 }, "load")
		require.Equal(t, exitOK, p.stop(t), p.log)
		p = activated()
	}
	cancel()
	load.Wait()
	close(failures)
	for failure := range failures {
		require.Fail(t, failure)
	}
}

func TestReadyTellsSystemd(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, nil)
	path := filepath.Join(t.TempDir(), "notify")
	socket, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	require.NoError(t, err)
	defer socket.Close()
	cmd := callbackd(t, "serve", "-scripts", scripts, "-secrets", secrets, "-in-process", "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0")
	cmd.Env = append(cmd.Env, "NOTIFY_SOCKET="+path)
	p := startCommand(t, cmd)
	message := make([]byte, 100)
	n, err := socket.Read(message)
	require.NoError(t, err)
	require.Equal(t, "READY=1", string(message[:n]))
	require.Equal(t, exitOK, p.stop(t))
	n, err = socket.Read(message)
	require.NoError(t, err)
	require.Equal(t, "STOPPING=1", string(message[:n]))
}

func TestFolderRemoved(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, nil)
	p := start(t, "-scripts", scripts, "-secrets", secrets, "-in-process")
	require.NoError(t, os.Rename(scripts, scripts+".away"))
	status, body := get(t, p.admin+"/readyz")
	require.Equal(t, 503, status, body)
	status, _ = get(t, p.url+"/callback/KEY/hello/s3cret")
	require.NotEqual(t, 200, status)
	require.NoError(t, os.Rename(scripts+".away", scripts))
	status, _ = get(t, p.admin+"/readyz")
	require.Equal(t, 200, status)
	status, _ = get(t, p.url+"/callback/KEY/hello/s3cret")
	require.Equal(t, 200, status)
}

// certificatePair makes a certificate for a name.
func certificatePair(t *testing.T, name string) (cert, key string) {
	private, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	require.NoError(t, err)
	template := &x509.Certificate{SerialNumber: big.NewInt(1), DNSNames: []string{name}, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, template, template, private.Public(), private)
	require.NoError(t, err)
	keyDER, err := x509.MarshalPKCS8PrivateKey(private)
	require.NoError(t, err)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), string(pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: keyDER}))
}

func TestTLSIsReloaded(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, nil)
	dir := t.TempDir()
	cert, key := certificatePair(t, "one.example")
	write(t, filepath.Join(dir, "cert.pem"), cert)
	write(t, filepath.Join(dir, "key.pem"), key)
	p := start(t, "-scripts", scripts, "-secrets", secrets, "-in-process", "-tls-cert", filepath.Join(dir, "cert.pem"), "-tls-key", filepath.Join(dir, "key.pem"))
	require.True(t, strings.HasPrefix(p.url, "https://"), p.url)
	nameOf := func() string {
		conn, err := tls.Dial("tcp", strings.TrimPrefix(p.url, "https://"), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
		require.NoError(t, err)
		defer conn.Close()
		require.Equal(t, "h2", conn.ConnectionState().NegotiatedProtocol)
		return conn.ConnectionState().PeerCertificates[0].DNSNames[0]
	}
	require.Equal(t, "one.example", nameOf())
	cert, key = certificatePair(t, "two.example")
	write(t, filepath.Join(dir, "cert.pem"), cert) // for a moment it does not fit its key
	write(t, filepath.Join(dir, "key.pem"), key)
	eventually(t, func() bool { return nameOf() == "two.example" }, "renewed certificate")
}

func TestDev(t *testing.T) {
	t.Parallel()
	scripts, secrets := site(t, map[string]string{
		"scripts/callbacks/broken.js": "Spark.getLog().info(\"before\", {a: 1});\nvar player = null;\nplayer.getPlayerId();\n",
		"scripts/callbacks/forbid.js": `Spark.setScriptData("RESPONSE_STATUS", 404); Spark.setScriptData("ok", true)`,
		"secrets.json":                `{"KEY": {"hello": ["s3cret"], "broken": ["s3cret"], "forbid": ["s3cret"]}}`,
	})
	p := start(t, "-scripts", scripts, "-secrets", secrets, "-dev")
	status, body := get(t, p.url+"/callback/KEY/broken/s3cret")
	require.Equal(t, 500, status)
	require.Contains(t, body, "script_error: callback: callbacks/broken.js:3:")
	require.Contains(t, body, ">    3 | player.getPlayerId();\n")
	require.Contains(t, body, "INFO before")
	require.Regexp(t, regexp.MustCompile(`run [A-Z0-9]+\n$`), body)
	status, body = get(t, p.url+"/callback/KEY/forbid/s3cret") // the script's own answer
	require.Equal(t, 404, status)
	require.Equal(t, `{"ok":true}`, body)
	status, body = get(t, p.url+"/callback/KEY/broken/wrong")
	require.Equal(t, 403, status)
	require.Contains(t, body, "forbidden: the secret is wrong")
	write(t, filepath.Join(scripts, "callbacks/typo.js"), "Spark.setScriptdata('a', 1)")
	eventually(t, func() bool { return strings.Contains(p.log.String(), "check: callbacks/typo.js:1:") }, "check on save")
}

func TestNothingFitsOnTheDisk(t *testing.T) {
	t.Parallel()
	if _, err := os.Stat("/dev/full"); err != nil {
		t.Skip("needs /dev/full")
	}
	code, _, stderr := output(t, "secret", "new", "-secrets", "/dev/full", "KEY/hello")
	require.NotZero(t, code)
	require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	full, err := os.OpenFile("/dev/full", os.O_WRONLY, 0)
	require.NoError(t, err)
	defer full.Close()
	scripts, secrets := site(t, nil)
	logless := callbackd(t, "serve", "-scripts", scripts, "-secrets", secrets, "-in-process", "-addr", "127.0.0.1:0", "-admin", "127.0.0.1:0")
	stdout, err := logless.StdoutPipe()
	require.NoError(t, err)
	logless.Stderr = full
	require.NoError(t, logless.Start())
	defer func() { _ = logless.Process.Kill(); _ = logless.Wait() }()
	line := make([]byte, 200)
	n, err := stdout.Read(line)
	require.NoError(t, err)
	url := regexp.MustCompile(`listening on (\S+)`).FindStringSubmatch(string(line[:n]))
	require.NotNil(t, url)
	status, body := get(t, url[1]+"/callback/KEY/hello/s3cret")
	require.Equal(t, 200, status)
	require.Equal(t, `{"hello":"world"}`, body)
}
