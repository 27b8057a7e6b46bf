package sandbox

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

// openPipe returns both ends of a pipe.
func openPipe(t *testing.T) (quietReader, pipe) {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return quietReader{pipeTo(t, r)}, pipeTo(t, w)
}

// pipeTo makes any file the end of a pipe.
func pipeTo(t testing.TB, f *os.File) pipe {
	t.Helper()
	p, err := newPipe(f)
	require.NoError(t, err)
	return p
}

func TestPipeCarriesEveryLength(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 4095, 4096, 4097, 1 << 20} {
		r, w := openPipe(t)
		sent := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		written := make(chan error, 1)
		go func() {
			_, err := w.Write(sent)
			written <- err
		}()
		got := make([]byte, size)
		_, err := io.ReadFull(r, got)
		require.NoError(t, err)
		require.NoError(t, <-written)
		require.Equal(t, sent, got)
	}
}

// A small frame is written to a full pipe as a whole, once there is enough space.
func TestPipeIsFull(t *testing.T) {
	t.Parallel()
	r, w := openPipe(t)
	const frames, size = 100, 4000 // more than fit
	written := make(chan error, 1)
	go func() {
		for i := range frames {
			if _, err := w.Write(bytes.Repeat([]byte{byte(i)}, size)); err != nil {
				written <- err
				return
			}
		}
		written <- nil
	}()
	got := make([]byte, size)
	for i := range frames {
		_, err := io.ReadFull(r, got)
		require.NoError(t, err)
		require.Equal(t, bytes.Repeat([]byte{byte(i)}, size), got)
	}
	require.NoError(t, <-written)
}

func TestPipeEnds(t *testing.T) {
	t.Parallel()
	r, w := openPipe(t)
	require.NoError(t, w.Close())
	_, err := r.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)

	r, w = openPipe(t)
	require.NoError(t, r.Close())
	_, err = w.Write([]byte("x"))
	require.Error(t, err)
	require.NoError(t, w.Close())
	_, err = w.Write([]byte("x"))
	require.ErrorIs(t, err, os.ErrClosed)
}
