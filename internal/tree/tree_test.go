package tree_test

import (
	"embed"
	"io/fs"
	"os"
	"path/filepath"
	"testing"
	"testing/fstest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/tree"
)

//go:embed tree_test.go
var embedded embed.FS

const name = "callbacks/hello.js"

// TestEditsInMemory: an edit changes the stamp, whatever the times are.
func TestEditsInMemory(t *testing.T) {
	t.Parallel()
	at := time.Unix(1, 0)
	files := fstest.MapFS{}
	stamp := func(text string, at time.Time) tree.Stamp {
		files[name] = &fstest.MapFile{Data: []byte(text), ModTime: at}
		looked, err := tree.Look(files, name, 100)
		require.NoError(t, err)
		read, s, err := tree.Read(files, name, 100)
		require.NoError(t, err)
		require.Equal(t, text, string(read))
		require.Equal(t, looked, s)
		return s
	}
	require.Equal(t, stamp("a", at), stamp("a", at))
	require.NotEqual(t, stamp("a", at), stamp("a", at.Add(1)))
	require.NotEqual(t, stamp("a", at), stamp("ab", at))
	require.Equal(t, stamp("a", time.Time{}), stamp("a", time.Time{}))
	require.NotEqual(t, stamp("a", time.Time{}), stamp("b", time.Time{}))
}

// TestEditsInFolder: an edit that keeps size and time is seen by what the system
// tells besides.
func TestEditsInFolder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	file := filepath.Join(dir, "x.js")
	at := time.Unix(1e9, 0)
	look := func() tree.Stamp {
		s, err := tree.Look(os.DirFS(dir), "x.js", 100)
		require.NoError(t, err)
		return s
	}
	write := func(file, text string) {
		require.NoError(t, os.WriteFile(file, []byte(text), 0o600))
		require.NoError(t, os.Chtimes(file, at, at))
	}
	write(file, "1")
	before := look()
	require.Equal(t, before, look())
	if before.Inode == 0 {
		t.Skip("the system tells no identity of files")
	}
	write(file+".new", "2")
	require.NoError(t, os.Rename(file+".new", file))
	require.NotEqual(t, before, look())
}

func TestNoFile(t *testing.T) {
	t.Parallel()
	files := fstest.MapFS{"callbacks/folder.js/x": {}}
	for _, name := range []string{"callbacks/none.js", "callbacks/folder.js"} {
		_, err := tree.Look(files, name, 100)
		require.ErrorIs(t, err, fs.ErrNotExist, name)
		_, _, err = tree.Read(files, name, 100)
		require.ErrorIs(t, err, fs.ErrNotExist, name)
	}
}

func TestReadLimit(t *testing.T) {
	t.Parallel()
	text, _, err := tree.Read(fstest.MapFS{name: {Data: []byte("12345")}}, name, 3)
	require.NoError(t, err)
	require.Equal(t, "1234", string(text))
}

// A look at an embedded file does not read it, because the file never changes.
func TestEmbedded(t *testing.T) {
	t.Parallel()
	s, err := tree.Look(embedded, "tree_test.go", 1<<20)
	require.NoError(t, err)
	require.Zero(t, s.Sum)
	require.NotZero(t, s.Size)
	sub, err := fs.Sub(embedded, ".")
	require.NoError(t, err)
	again, err := tree.Look(sub, "tree_test.go", 1<<20)
	require.NoError(t, err)
	require.Equal(t, s, again)
}

func TestVersion(t *testing.T) {
	t.Parallel()
	version := func(files map[string]string) string {
		m := fstest.MapFS{}
		for name, text := range files {
			m[name] = &fstest.MapFile{Data: []byte(text)}
		}
		v, err := tree.Version(m)
		require.NoError(t, err)
		require.Len(t, v, 32)
		return v
	}
	a := version(map[string]string{"callbacks/a.js": "1", "modules/M.js": "2"})
	require.Equal(t, a, version(map[string]string{"modules/M.js": "2", "callbacks/a.js": "1", "callbacks/README.md": "x", "event/e.js": "3"}))
	for _, other := range []map[string]string{
		{"callbacks/a.js": "1"},
		{"callbacks/a.js": "1", "modules/M.js": "3"},
		{"callbacks/b.js": "1", "modules/M.js": "2"},
		{"callbacks/a.js": "1\nmodules/M.js 1\n2"},
	} {
		require.NotEqual(t, a, version(other))
	}
	_, err := tree.Version(fstest.MapFS{"x.js": {}})
	require.ErrorIs(t, err, fs.ErrNotExist)
}
