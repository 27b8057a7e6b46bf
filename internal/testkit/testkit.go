// Package testkit holds what the tests of several packages share. It does not
// import package callback, so that its internal tests can use it, too.
package testkit

import (
	"bytes"
	"context"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"
)

// A Log keeps what is written to it. It is safe for concurrent use.
type Log struct {
	mu   sync.Mutex
	text bytes.Buffer
}

// Write implements io.Writer.
func (l *Log) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

// String returns everything written so far.
func (l *Log) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// Logger returns a Logger that writes records of all levels to l as text.
func (l *Log) Logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// A StoreFunc is a callback.SecretStore, with callback.Secret as S.
type StoreFunc[S any] func(ctx context.Context, apiKey, credential string) ([]S, error)

// Secrets implements callback.SecretStore.
func (f StoreFunc[S]) Secrets(ctx context.Context, apiKey, credential string) ([]S, error) {
	return f(ctx, apiKey, credential)
}

// Heap is how many bytes are in use once all garbage is gone.
func Heap() int64 {
	var m runtime.MemStats
	runtime.GC()
	runtime.GC() // for what pools hold
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// Tree returns a tree of files in memory, given by their names and contents.
func Tree(files map[string]string) fstest.MapFS {
	tree := fstest.MapFS{}
	for name, text := range files {
		tree[name] = &fstest.MapFile{Data: []byte(text)}
	}
	return tree
}

// AwaitEdit returns when an edit of a script, made before, is live: a millisecond
// after it. Sleep may take longer, and never takes less.
func AwaitEdit() { time.Sleep(time.Millisecond) }

// Folder returns a temporary folder that holds such a tree.
func Folder(t testing.TB, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		WriteFile(t, dir, name, text)
	}
	return dir
}

// WriteFile writes a file of the tree in folder dir.
func WriteFile(t testing.TB, dir, name, text string) {
	t.Helper()
	file := filepath.Join(dir, filepath.FromSlash(name))
	require.NoError(t, os.MkdirAll(filepath.Dir(file), 0o755))
	require.NoError(t, os.WriteFile(file, []byte(text), 0o644))
}
