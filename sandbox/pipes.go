package sandbox

import (
	"os"
	"sync"
)

// pipes connect a child with its parent. One goroutine reads at a time, any may
// write.
type pipes struct {
	in, out *os.File
	writing sync.Mutex
}

func (p *pipes) Read(b []byte) (int, error) {
	if n := readQuietly(p.in, b); n > 0 {
		return n, nil
	}
	return p.in.Read(b)
}

func (p *pipes) Write(b []byte) (int, error) {
	p.writing.Lock()
	defer p.writing.Unlock()
	n := writeQuietly(p.out, b)
	if n == len(b) {
		return n, nil
	}
	rest, err := p.out.Write(b[n:])
	return n + rest, err
}
