package main

import (
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestHello(t *testing.T) {
	t.Parallel()
	tests := []struct {
		path, answer string
		status       int
	}{
		{"/callback/E300018ZDdAx/hello/s3cret?name=Ada", `{"message":"Hello, Ada!"}`, 200},
		{"/callback/E300018ZDdAx/hello/s3cret", `{"message":"Hello, world!"}`, 200},
		{"/callback/E300018ZDdAx/hello/guessed", `{"error":"forbidden"}`, 403},
	}
	for _, tt := range tests {
		rec := httptest.NewRecorder()
		handler.ServeHTTP(rec, httptest.NewRequest("GET", tt.path, nil))
		require.Equal(t, tt.status, rec.Code, tt.path)
		require.Equal(t, tt.answer, rec.Body.String(), tt.path)
	}
}

// TestReadme tests what the README shows. The program and the script are the files
// of this folder, and curl gets the answer that is shown. All other Go is from
// example_test.go of the root, which is tested as well.
func TestReadme(t *testing.T) {
	t.Parallel()
	readme := read(t, "../../README.md")

	programs := fenced(readme, "go")
	require.NotEmpty(t, programs)
	require.Equal(t, read(t, "main.go"), programs[0])
	tested := read(t, "../../example_test.go")
	for _, code := range programs[1:] {
		require.Contains(t, tested, code)
	}
	require.Equal(t, []string{read(t, "callbacks/hello.js")}, fenced(readme, "js"))

	server := httptest.NewServer(handler)
	defer server.Close()
	calls := regexp.MustCompile(`(?m)^\$ curl '(http://127\.0\.0\.1:8080)(/.*)'\n(.*)$`).FindAllStringSubmatch(readme, -1)
	require.NotEmpty(t, calls)
	for _, call := range calls {
		resp, err := http.Get(server.URL + call[2])
		require.NoError(t, err)
		answer, err := io.ReadAll(resp.Body)
		require.NoError(t, err)
		require.NoError(t, resp.Body.Close())
		require.Equal(t, call[3], string(answer))
	}
}

// TestReadmeLinks follows the README's links to files.
func TestReadmeLinks(t *testing.T) {
	t.Parallel()
	for _, link := range regexp.MustCompile(`\]\(([^)#:]+)\)`).FindAllStringSubmatch(read(t, "../../README.md"), -1) {
		_, err := os.Stat("../../" + link[1])
		require.NoError(t, err, "the README links to it")
	}
}

func read(t *testing.T, name string) string {
	t.Helper()
	text, err := os.ReadFile(name)
	require.NoError(t, err)
	return strings.ReplaceAll(string(text), "\r\n", "\n")
}

// fenced are the code blocks in a language.
func fenced(markdown, language string) []string {
	var blocks []string
	for _, match := range regexp.MustCompile("(?ms)^```"+language+"\n(.*?)^```$").FindAllStringSubmatch(markdown, -1) {
		blocks = append(blocks, match[1])
	}
	return blocks
}
