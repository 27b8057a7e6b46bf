package sandbox

import (
	"bytes"
	"io"
	"os"
	"testing"

	"github.com/stretchr/testify/require"
)

func newPipes(t *testing.T) *pipes {
	t.Helper()
	r, w, err := os.Pipe()
	require.NoError(t, err)
	t.Cleanup(func() {
		r.Close()
		w.Close()
	})
	return &pipes{in: r, out: w} // the process talks to itself
}

func TestPipesCarryEveryLength(t *testing.T) {
	t.Parallel()
	for _, size := range []int{1, 4095, 4096, 4097, 1 << 20} {
		p := newPipes(t)
		sent := bytes.Repeat([]byte("0123456789abcdef"), size/16+1)[:size]
		written := make(chan error, 1)
		go func() {
			_, err := p.Write(sent)
			written <- err
		}()
		got := make([]byte, size)
		_, err := io.ReadFull(p, got)
		require.NoError(t, err)
		require.NoError(t, <-written)
		require.Equal(t, sent, got)
	}
}

func TestPipesTellTheEnd(t *testing.T) {
	t.Parallel()
	p := newPipes(t)
	require.Zero(t, readQuietly(p.in, make([]byte, 1)), "gives up while nothing comes")
	require.NoError(t, p.out.Close())
	_, err := p.Read(make([]byte, 1))
	require.Equal(t, io.EOF, err)

	p = newPipes(t)
	require.NoError(t, p.in.Close())
	_, err = p.Write([]byte("x"))
	require.Error(t, err)
}
