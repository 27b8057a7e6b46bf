package main

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// readHostile reads the scripts of testdata/hostile that stand as they are in
// their files: two of each class, or all if HOSTILE_ALL is set. It returns
// their sources and the status that each must get, by name.
func readHostile(t *testing.T) (sources, statuses map[string]string) {
	t.Helper()
	files, err := filepath.Glob("../../testdata/hostile/*.js")
	require.NoError(t, err)
	sources, statuses = map[string]string{}, map[string]string{}
	ofClass := map[string]int{}
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		head, source := map[string]string{}, string(text)
		for line := range strings.Lines(source) {
			key, value, ok := strings.Cut(strings.TrimPrefix(strings.TrimSpace(line), "// "), ": ")
			if !ok || !strings.HasPrefix(line, "// ") {
				break
			}
			head[key] = value
			source = strings.TrimPrefix(source, line)
		}
		if head["repeat"] != "" || head["tier"] == "deep" {
			continue
		}
		status := head["expect"]
		if head["sandbox"] != "" {
			status = head["sandbox"]
		}
		if ofClass[head["class"]]++; ofClass[head["class"]] > 2 && os.Getenv("HOSTILE_ALL") == "" {
			continue
		}
		name := strings.TrimSuffix(filepath.Base(file), ".js")
		sources[name], statuses[name] = source, status
	}
	return sources, statuses
}

// Hostile scripts against a whole server: each gets its answer, the next caller is
// served, and the process lives.
func TestHostileScripts(t *testing.T) {
	t.Parallel()
	sources, statuses := readHostile(t)
	require.Greater(t, len(sources), 20)
	files := map[string]string{"scripts/modules/SELF.js": `require = requireOnce; for (;;) require("SELF")`}
	secrets := []string{`"hello": ["s3cret"]`}
	for name, source := range sources {
		files["scripts/callbacks/"+name+".js"] = source
		secrets = append(secrets, fmt.Sprintf("%q: [\"s3cret\"]", name))
	}
	files["secrets.json"] = `{"KEY": {` + strings.Join(secrets, ", ") + `}}`
	scripts, secretFile := site(t, files)
	p := start(t, "-scripts", scripts, "-secrets", secretFile, "-timeout", "1s", "-log-level", "ERROR")
	plain := &http.Client{Transport: &http.Transport{DisableCompression: true}} // it ignores Content-Encoding
	for _, name := range sortedKeys(sources) {
		t.Log(name)
		status, body := send(t, plain, "GET", p.url+"/callback/KEY/"+name+"/s3cret", "", nil)
		if got := fmt.Sprint(status); got != statuses[name] {
			require.Equal(t, "504", got, "%s wants %s: %s", name, statuses[name], body) // on a busy machine
		}
		status, body = get(t, p.url+"/callback/KEY/hello/s3cret?name=after")
		require.Equal(t, 200, status, "after %s: %s", name, body)
		require.Equal(t, `{"hello":"after"}`, body, name)
	}
	status, body := get(t, p.admin+"/healthz")
	require.Equal(t, 200, status, body)
	require.Equal(t, exitOK, p.stop(t))
}
