package sandbox

import (
	"io/fs"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// countingFS counts the looks at files.
type countingFS struct {
	fstest.MapFS
	looks *int
}

func (f countingFS) Stat(name string) (fs.FileInfo, error) {
	*f.looks++
	return f.MapFS.Stat(name)
}

// The parent looks at a file once in a millisecond at most, and an edit is live for
// calls that begin a millisecond after it.
func TestOneLookAMillisecond(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const name = "callbacks/x.js"
		files, looks := fstest.MapFS{}, 0
		l := &library{scripts: countingFS{files, &looks}, maxSize: 1 << 10}
		write := func(text string) {
			files[name] = &fstest.MapFile{Data: []byte(text), ModTime: time.Now()}
		}
		sizeOf := func() int64 {
			_, states, err := l.states(&callback.Call{Credential: "x"})
			require.NoError(t, err)
			return states[0].stamp.Size
		}
		write("1")
		_, trial := l.read(name)
		trial.end(nil)
		looks = 0
		require.EqualValues(t, 1, sizeOf())
		write("22")
		time.Sleep(lookEvery - 1)
		require.EqualValues(t, 1, sizeOf())
		require.Equal(t, 1, looks)
		time.Sleep(1 * time.Nanosecond)
		require.EqualValues(t, 2, sizeOf())
		require.Equal(t, 2, looks)

		delete(files, name)
		time.Sleep(lookEvery)
		_, _, err := l.states(&callback.Call{Credential: "x"})
		require.ErrorIs(t, err, callback.ErrNoScript)
	})
}
