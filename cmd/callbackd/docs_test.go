//go:build unix

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/pgtest"
)

// Every command block of docs/operations.md runs, in order, in one shell, except
// those with a line above that says why not. Without a Postgres the page ends where
// one is needed.
func TestOperationsPage(t *testing.T) {
	t.Parallel()
	if _, err := exec.LookPath("bash"); err != nil {
		t.Skip("needs bash")
	}
	if _, err := exec.LookPath("curl"); err != nil {
		t.Skip("needs curl")
	}
	page, err := os.ReadFile("../../docs/operations.md")
	require.NoError(t, err)
	before, after, ok := strings.Cut(string(page), "\n## More than one machine\n")
	require.True(t, ok)
	database, err := pgtest.Start()
	missing := errors.Is(err, pgtest.ErrMissing)
	if missing {
		after = ""
	} else {
		require.NoError(t, err)
		defer database.Close()
		after = "```sh\nexport CALLBACKD_DATABASE='" + newDatabase(t, database) + "'\n```\n" + after
	}
	blocks := regexp.MustCompile("(?m)^(<!-- not run: .+ -->\n)?```sh\n((?:.*\n)*?)```$").FindAllStringSubmatch(before+"\n"+after, -1)
	require.GreaterOrEqual(t, len(blocks), 10)
	script := "set -euo pipefail\n"
	run := 0
	for _, block := range blocks {
		if block[1] == "" {
			script += block[2]
			run++
		}
	}
	require.GreaterOrEqual(t, run, 7)
	text := runPage(t, t.TempDir(), script)
	require.Contains(t, text, `{"greeting":"Hello, Ada!"}`)
	require.Contains(t, text, `{"run":"`)
	if missing {
		t.Skip(pgtest.ErrMissing)
	}
	require.Contains(t, text, `{"greeting":"Hello, Eve!"}`)
	require.Contains(t, text, `{"greeting":"Good day, Eve!"}`)
}

// Docs/webhooks.md is followed word by word: its scripts are written, its
// variables are set, and its requests are signed by openssl and sent, then sent
// again with another body.
func TestWebhooksPage(t *testing.T) {
	t.Parallel()
	for _, program := range []string{"bash", "curl", "openssl"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skip("needs " + program)
		}
	}
	page, err := os.ReadFile("../../docs/webhooks.md")
	require.NoError(t, err)
	blocks := regexp.MustCompile("(?m)^```(\\w*)\n((?:.*\n)*?)```$").FindAllStringSubmatch(string(page), -1)
	dir := t.TempDir()
	script, answers := "set -euo pipefail\n", ""
	for _, block := range blocks {
		switch kind, text := block[1], block[2]; kind {
		case "js":
			name, _, _ := strings.Cut(strings.TrimPrefix(text, "// "), "\n")
			write(t, filepath.Join(dir, "scripts", name), text)
		case "json":
			write(t, filepath.Join(dir, "vars.json"), text)
		case "sh":
			tampered := ""
			if _, send, ok := strings.Cut(text, "curl "); ok {
				tampered = "curl " + strings.Replace(send, `--data-binary "$BODY"`, `--data-binary "${BODY%?}X"`, 1)
				require.NotEqual(t, send, strings.TrimPrefix(tampered, "curl "))
			}
			script += text + tampered
		case "":
			answers += text + " 401\n"
		}
	}
	require.Equal(t, 6, strings.Count(answers, " 200\n"))
	script = strings.ReplaceAll(script, "callbackd check scripts\n", "callbackd check scripts >&2\n")
	text := runPage(t, dir, script+"kill -TERM %1\nwait\n")
	require.Equal(t, strings.ReplaceAll(answers, " 401\n", "{} 401\n"), text)
}

// runPage runs the commands of a page in one shell, in dir, and returns what they
// print.
func runPage(t *testing.T, dir, script string) string {
	t.Helper()
	// The addresses of the page may be taken.
	addr, admin := freeAddr(t), freeAddr(t)
	require.Contains(t, script, "callbackd serve -scripts")
	script = strings.NewReplacer("127.0.0.1:8080", addr, "callbackd serve ", "callbackd serve -addr "+addr+" -admin "+admin+" ").Replace(script)
	program, err := os.Executable()
	require.NoError(t, err)
	bin := filepath.Join(dir, "bin")
	write(t, filepath.Join(bin, "callbackd"), fmt.Sprintf("#!/bin/sh\nexport %s=1\nexec %q \"$@\"\n", asCallbackd, program))
	require.NoError(t, os.Chmod(filepath.Join(bin, "callbackd"), 0o755))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	var stderr bytes.Buffer
	cmd := exec.CommandContext(ctx, "bash", "-m", "-c", script)
	cmd.Dir, cmd.Stderr = dir, &stderr
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"), "no_proxy=*")
	text, err := cmd.Output()
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	require.NoError(t, err, "%s\n%s\n%s", text, &stderr, log)
	return string(text)
}

func freeAddr(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}
