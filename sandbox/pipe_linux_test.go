package sandbox

import (
	"io"
	"os"
	"runtime"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// The pipe that a child gets blocks a thread when it is full. A child's writes do not:
// with one processor the reader gets it.
func TestPipeOfChildIsFull(t *testing.T) {
	defer runtime.GOMAXPROCS(runtime.GOMAXPROCS(1)) // not parallel
	for _, size := range []int{1, 4000, maxQuietWrite} {
		var ends [2]int
		require.NoError(t, syscall.Pipe2(ends[:], syscall.O_CLOEXEC))
		r, w := os.NewFile(uintptr(ends[0]), "read"), os.NewFile(uintptr(ends[1]), "write")
		file, err := unblocked(w)
		require.NoError(t, err)
		require.NoError(t, w.Close())
		out := pipeTo(t, file)
		const length = 100_000 // more than a pipe takes
		written := make(chan error, 1)
		go func() {
			defer out.Close()
			for total := 0; total < length; total += size {
				if _, err := out.Write(make([]byte, size)); err != nil {
					written <- err
					return
				}
			}
			written <- nil
		}()
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.NoError(t, <-written)
		require.Len(t, got, (length+size-1)/size*size)
		require.NoError(t, r.Close())
	}
}
