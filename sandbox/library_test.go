package sandbox

import (
	"io/fs"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"github.com/stretchr/testify/assert"
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

// slowFS takes a while for each look at a file.
type slowFS struct {
	fstest.MapFS
	takes time.Duration
	looks *atomic.Int32
}

func (f slowFS) Stat(name string) (fs.FileInfo, error) {
	f.looks.Add(1)
	info, err := f.MapFS.Stat(name)
	time.Sleep(f.takes)
	return info, err
}

// Calls share a slow look, unless it may have been before an edit that must be live
// for them.
func TestSlowLooksAreShared(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		const name, takes = "callbacks/x.js", 10 * lookEvery
		var looks atomic.Int32
		files := fstest.MapFS{name: {Data: []byte("1"), ModTime: time.Now()}}
		l := &library{scripts: slowFS{files, takes, &looks}, maxSize: 1 << 10}
		_, trial := l.read(name)
		trial.end(nil)

		looks.Store(0)
		start := time.Now()
		var calls sync.WaitGroup
		look := func(want int64) {
			calls.Go(func() {
				stamp, err := l.look(name)
				assert.NoError(t, err)
				assert.Equal(t, want, stamp.Size)
			})
			synctest.Wait()
		}
		for range 100 {
			look(1)
		}
		files[name] = &fstest.MapFile{Data: []byte("22"), ModTime: time.Now()}
		time.Sleep(lookEvery)
		for range 100 {
			look(2)
		}
		calls.Wait()
		require.Equal(t, lookEvery+takes, time.Since(start))
		require.EqualValues(t, 2, looks.Load())

		delete(files, name)
		time.Sleep(lookEvery)
		_, err := l.look(name)
		require.ErrorIs(t, err, fs.ErrNotExist)
	})
}
