//go:build unix

package main

import (
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

// Every command block of docs/operations.md runs, in order, in one shell, but
// for those with a line above that says why not. Without a Postgres the page ends
// where one is needed.
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
	// The addresses of the page may be taken.
	addr, admin := freeAddr(t), freeAddr(t)
	require.Contains(t, script, "callbackd serve -scripts")
	script = strings.NewReplacer("127.0.0.1:8080", addr, "callbackd serve ", "callbackd serve -addr "+addr+" -admin "+admin+" ").Replace(script)

	dir := t.TempDir()
	program, err := os.Executable()
	require.NoError(t, err)
	bin := filepath.Join(dir, "bin")
	write(t, filepath.Join(bin, "callbackd"), fmt.Sprintf("#!/bin/sh\nexport %s=1\nexec %q \"$@\"\n", asCallbackd, program))
	require.NoError(t, os.Chmod(filepath.Join(bin, "callbackd"), 0o755))
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "bash", "-m", "-c", script)
	cmd.Dir = dir
	cmd.Env = append(os.Environ(), "PATH="+bin+":"+os.Getenv("PATH"))
	cmd.Env = append(cmd.Env, "no_proxy=*")
	text, err := cmd.CombinedOutput()
	log, _ := os.ReadFile(filepath.Join(dir, "log"))
	require.NoError(t, err, "%s\n%s", text, log)
	require.Contains(t, string(text), `{"greeting":"Hello, Ada!"}`)
	require.Contains(t, string(text), `{"run":"`)
	if missing {
		t.Skip(pgtest.ErrMissing)
	}
	require.Contains(t, string(text), `{"greeting":"Hello, Eve!"}`)
	require.Contains(t, string(text), `{"greeting":"Good day, Eve!"}`)
}

func freeAddr(t *testing.T) string {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	require.NoError(t, err)
	defer listener.Close()
	return listener.Addr().String()
}
