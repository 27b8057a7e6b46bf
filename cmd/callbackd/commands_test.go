package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestSecretCommand(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "secrets.json")
	run := func(want int, args ...string) string {
		t.Helper()
		code, stdout, stderr := output(t, append([]string{"secret", args[0], "-secrets", file}, args[1:]...)...)
		require.Equal(t, want, code, stderr)
		if want != exitOK {
			require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
			return stderr
		}
		return strings.TrimSpace(stdout)
	}
	content := func() string {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		return string(text)
	}
	require.Contains(t, run(exitUsage, "rotate", "KEY/hello"), "no such file")
	first := run(exitOK, "new", "KEY/hello")
	require.Len(t, first, 26)
	require.NotContains(t, content(), first)
	info, err := os.Stat(file)
	require.NoError(t, err)
	require.EqualValues(t, 0o600, info.Mode().Perm())

	require.Contains(t, run(exitUsage, "new", "KEY/hello"), "has a secret already")
	require.Contains(t, run(exitUsage, "revoke", "KEY/hello"), "one secret only")
	second := run(exitOK, "rotate", "KEY/hello")
	require.NotEqual(t, first, second)
	require.Equal(t, "KEY/hello\t2", run(exitOK, "list"))
	run(exitOK, "revoke", "KEY/hello")
	require.Contains(t, content(), hashedEntry(second))
	require.NotContains(t, content(), hashedEntry(first))
	run(exitOK, "new", "KEY/") // the server secret
	run(exitOK, "revoke", "-all", "KEY/hello")
	require.Equal(t, "KEY/\t1", run(exitOK, "list"))
	for _, bad := range []string{"KEY", "/hello", "KEY/a/b", "KEY/a b"} {
		require.Contains(t, run(exitUsage, "new", bad), "want APIKEY/CREDENTIAL")
	}
	require.Contains(t, run(exitUsage, "forget", "KEY/"), "want new, rotate, revoke, list or load")

	// A plain secret becomes a digest with the next edit.
	write(t, file, `{"KEY": {"hello": ["plain-secret"]}}`)
	run(exitOK, "rotate", "KEY/hello")
	require.NotContains(t, content(), "plain-secret")
	require.Contains(t, content(), hashedEntry("plain-secret"))
	write(t, file, `{"KEY": {"hello": ["plain-secret"]`)
	require.Contains(t, run(exitUsage, "rotate", "KEY/hello"), "the JSON ends too early")
}

func TestNewCheckTestReplay(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	code, stdout, stderr := output(t, "new", "-dir", dir, "hello")
	require.Zero(t, code, stderr)
	for _, file := range []string{"callbacks/hello.js", "tests/hello.txtar", "jsconfig.json", "typings/spark.d.ts", "typings/callbackd.d.ts"} {
		require.Contains(t, stdout, filepath.Join(dir, filepath.FromSlash(file)))
		require.FileExists(t, filepath.Join(dir, file))
	}
	code, _, stderr = output(t, "new", "-dir", dir, "hello")
	require.Equal(t, exitUsage, code)
	require.Contains(t, stderr, "is there already")
	code, _, stderr = output(t, "new", "-dir", dir, "other")
	require.Zero(t, code, stderr)

	code, stdout, stderr = output(t, "check", dir)
	require.Zero(t, code, stdout+stderr)
	code, stdout, _ = output(t, "test", dir)
	require.Zero(t, code, stdout)
	require.Contains(t, stdout, "2 passed, 0 failed")
	code, stdout, _ = output(t, "test", dir, "hello")
	require.Zero(t, code)
	require.Contains(t, stdout, "1 passed, 0 failed")

	write(t, filepath.Join(dir, "callbacks/hello.js"), `Spark.setScriptData("greeting", "Good day")`)
	code, stdout, _ = output(t, "test", dir, "hello")
	require.Equal(t, exitFailed, code)
	require.Contains(t, stdout, `{"greeting":"Good day"}`)
	file := filepath.Join(dir, "tests/hello.txtar")
	code, stdout, _ = output(t, "replay", "-scripts", dir, file)
	require.Equal(t, exitFailed, code, stdout)
	code, stdout, _ = output(t, "test", "-update", dir, "hello")
	require.Zero(t, code, stdout)
	require.Contains(t, stdout, "updated "+file)
	code, stdout, _ = output(t, "replay", "-scripts", dir, file)
	require.Zero(t, code, stdout)

	write(t, filepath.Join(dir, "callbacks/broken.js"), "var a = ;")
	code, stdout, _ = output(t, "check", dir)
	require.Equal(t, exitFailed, code)
	require.Contains(t, stdout, "callbacks/broken.js:1:9")
	code, stdout, _ = output(t, "check", "-json", dir)
	require.Equal(t, exitFailed, code)
	require.Contains(t, stdout, `"script": "callbacks/broken.js"`)
	for _, args := range [][]string{{"check"}, {"check", filepath.Join(dir, "none")}, {"test"}, {"test", dir, "nosuch"}, {"replay"}, {"replay", "-scripts", dir}, {"new"}, {"new", "a/b"}} {
		code, _, stderr = output(t, args...)
		require.Equal(t, exitUsage, code, "%v: %s", args, stderr)
		require.Equal(t, 1, strings.Count(stderr, "\n"), stderr)
	}
}

// Watch mode prints the results again after each change, whatever is broken, until
// it is interrupted.
func TestWatch(t *testing.T) {
	t.Parallel()
	const request = "-- request --\nGET /callback/KEY/hello/s3cret\n-- response --\n200 OK\nContent-Type: application/json; charset=utf-8\n\n"
	dir := folder(t, map[string]string{
		"callbacks/hello.js": `Spark.setScriptData("a", 1)`,
		"tests/hello.txtar":  request + `{"a":1}` + "\n",
	})
	script, file := filepath.Join(dir, "callbacks/hello.js"), filepath.Join(dir, "tests/hello.txtar")
	cmd := callbackd(t, "test", "-watch", dir)
	var out, errs lockedBuffer
	cmd.Stdout, cmd.Stderr = &out, &errs
	require.NoError(t, cmd.Start())
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
	rounds := 0
	next := func() string {
		const waiting = "waiting for a change\n"
		rounds++
		eventually(t, func() bool { return strings.Count(out.String(), waiting) == rounds }, "round %d", rounds)
		return strings.Split(out.String(), waiting)[rounds-1]
	}
	require.Equal(t, "ok "+file+"\n1 passed, 0 failed\n", next())
	write(t, script, `Spark.setScriptData("a", 2)`)
	require.Contains(t, next(), `{"a":2}`)
	require.Contains(t, out.String(), "0 passed, 1 failed\n")
	write(t, file, request+`{"a":2}`+"\n")
	require.Equal(t, "ok "+file+"\n1 passed, 0 failed\n", next())
	write(t, script, `Spark.setScriptData("a" 3)`)
	require.Contains(t, next(), "SyntaxError", "not what was there before")
	write(t, file, "no case")
	require.Contains(t, next(), "FAIL "+file+"\n")
	require.NoError(t, os.Remove(file))
	next()
	require.Contains(t, errs.String(), dir+": holds no case file (*.txtar) that matches\n")
	require.NoError(t, os.Rename(dir, dir+".away"))
	next()
	require.Contains(t, errs.String(), dir+": no such folder\n")
	require.NoError(t, os.Rename(dir+".away", dir))
	next()
	write(t, script, `Spark.setScriptData("a", 3)`)
	next()
	write(t, file, request+`{"a":3}`+"\n")
	require.Equal(t, "ok "+file+"\n1 passed, 0 failed\n", next())
	require.NoError(t, cmd.Process.Signal(os.Interrupt))
	require.NoError(t, cmd.Wait(), "exit code 0")
	code, _, stderr := output(t, "test", "-watch", filepath.Join(dir, "none"))
	require.Equal(t, exitUsage, code, stderr)
}

// Scripts that need a queue or a database are checked and tested without one.
func TestMembersOfQueueAndDatabase(t *testing.T) {
	t.Parallel()
	dir := folder(t, map[string]string{
		"callbacks/pay.js": "// callback: deferred\n" + `
			if (Spark.claim("order", 60)) Spark.getScheduler().inSeconds("REMIND", 5, {a: 1}, "k");
			Spark.setScriptData("locked", Spark.lockKey("k") && Spark.unlockKey("k") && Spark.unlockKeyFully("k"));`,
		"modules/REMIND.js": "1",
		"tests/pay.txtar":   "-- request --\nGET /callback/KEY/pay/s3cret\n-- response --\n200\n-- log --\n",
	})
	for flag, want := range map[string]int{"-v": exitFailed, "-queue": exitFailed, "-database": exitOK} {
		code, stdout, stderr := output(t, "check", flag, dir)
		require.Equal(t, want, code, "%s: %s%s", flag, stdout, stderr)
		require.Equal(t, flag == "-v", strings.Contains(stdout, "getScheduler"), stdout)
		require.Equal(t, flag != "-database", strings.Contains(stdout, "lockKey"), stdout)
	}
	code, stdout, stderr := output(t, "test", "-update", dir)
	require.Zero(t, code, stdout+stderr)
	text, err := os.ReadFile(filepath.Join(dir, "tests/pay.txtar"))
	require.NoError(t, err)
	require.Contains(t, string(text), `{"locked":true}`)
	require.Contains(t, string(text), "REMIND")
	for _, member := range databaseMembers {
		require.Contains(t, memberTypings, "\t"+member+"(", "declared for editors")
	}
}
