package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"os"
	"os/exec"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"example.com/callback/internal/deadline"
	"example.com/callback/internal/limit"
)

// childName is argv[0] of a child process, by which it knows what it is.
const childName = "callback-sandbox-child"

// inChild reports whether this process was started as a child.
func inChild() bool { return len(os.Args) > 0 && os.Args[0] == childName }

// greeting is what a child sends first. Packages of the host's program may print
// before main, so anything may precede it.
var greeting = []byte("\x00callback-sandbox\x01\n")

// maxBeforeGreeting is how many bytes may precede the greeting.
const maxBeforeGreeting = 64 << 10

// Reasons why a process does not turn into a child.
var (
	errEnded  = errors.New("it ended by itself")
	errPrints = errors.New("it prints something else")
	errSlow   = errors.New("nothing heard from it in time")
)

// A child is a process that runs one call at a time. Its methods belong to the
// goroutine that has acquired it, except kill.
type child struct {
	process *exec.Cmd
	in      pipe          // to its standard input
	file    *os.File      // from its standard output
	from    *bufio.Reader // of file
	stderr  *os.File      // read once the process has ended

	calls   int
	took    time.Duration // processor time when it was last asked for
	members []byte        // the encoded memberList that it has
	out     encoder       // for frames to it
	watch   deadline.Watch

	dead     chan struct{} // closed once it is killed
	killOnce sync.Once
	closed   atomic.Bool // Runner.Close has killed it
}

// startChild starts a process. It is ready once greet has returned.
func startChild(command func() *exec.Cmd) (c *child, err error) {
	var files []*os.File
	defer func() {
		if err != nil {
			for _, f := range files {
				f.Close()
			}
		}
	}()
	open := func() (r, w *os.File) {
		if err == nil {
			if r, w, err = os.Pipe(); err == nil {
				files = append(files, r, w)
			}
		}
		return r, w
	}
	inR, inW := open()
	outR, outW := open()
	errR, errW := open()
	if err != nil {
		return nil, err
	}
	in, err := newPipe(inW)
	if err != nil {
		return nil, err
	}
	cmd := command()
	cmd.Env = []string{} // nil would be the parent's
	cmd.Stdin, cmd.Stdout, cmd.Stderr = inR, outW, errW
	isolate(cmd)
	if err = cmd.Start(); err != nil {
		return nil, err
	}
	inR.Close()
	outW.Close()
	errW.Close()
	return &child{
		process: cmd,
		in:      in,
		file:    outR,
		from:    bufio.NewReaderSize(outR, 16<<10),
		stderr:  errR,
		dead:    make(chan struct{}),
	}, nil
}

// thisProgram is a command that runs the program again as a child.
func thisProgram() *exec.Cmd {
	return &exec.Cmd{Path: executable(), Args: []string{childName}}
}

// greet waits for the greeting, sends the setup and waits until the child is ready.
func (c *child) greet(s *setup, timeout time.Duration) (ready readyMessage, err error) {
	timer := time.AfterFunc(timeout, c.kill) // some systems have no read deadlines for pipes
	defer timer.Stop()
	for skipped := 0; ; skipped++ {
		start, err := c.from.Peek(len(greeting))
		if err != nil && !timer.Stop() {
			return ready, errSlow
		}
		if err != nil {
			return ready, errEnded
		}
		if bytes.Equal(start, greeting) {
			break
		}
		if skipped > maxBeforeGreeting {
			return ready, errPrints
		}
		_, _ = c.from.Discard(1)
	}
	_, _ = c.from.Discard(len(greeting))
	if err := c.out.send(c.in, s, fromParent); err != nil {
		return ready, err
	}
	k, payload, err := readFrame(c.from, limits{}.of)
	if err != nil && !timer.Stop() {
		return ready, errSlow
	}
	if err != nil {
		return ready, err
	}
	d := &decoder{b: payload}
	if ready.decode(d); k != kindReady || d.done() != nil {
		return ready, errFrame
	}
	c.computed() // so that the start does not count for the first call
	return ready, nil
}

// computed returns the processor time that the child has taken since the last
// time it was asked.
func (c *child) computed() time.Duration {
	before := c.took
	c.took = processTime(c.process.Process.Pid)
	return max(0, c.took-before)
}

// kill kills the process. It may be called at any time, more than once.
func (c *child) kill() {
	c.killOnce.Do(func() {
		killProcess(c.process.Process)
		close(c.dead)
		// Reads and writes end now, not when the system has freed the process.
		_ = c.file.SetReadDeadline(time.Unix(1, 0))
		_ = c.in.SetWriteDeadline(time.Unix(1, 0))
	})
}

// end kills the process and waits for its end. If the process had ended by itself,
// end returns what is known about the reason.
func (c *child) end() (lastWords string) {
	byItself := true
	select {
	case <-c.dead:
		byItself = false
	default:
	}
	// Only end waits for the process, so no other process has its number yet. A kill
	// after its end has no effect.
	c.kill()
	err := c.process.Wait()
	if byItself && err != nil {
		lastWords = err.Error()
	}
	_ = c.stderr.SetReadDeadline(time.Now().Add(time.Second)) // a process that it started may hold the pipe
	text, _ := io.ReadAll(io.LimitReader(c.stderr, 64<<10))
	for line := range strings.Lines(string(text)) {
		switch {
		case !byItself:
		case strings.HasPrefix(line, "panic: "):
			lastWords += "; panic" // its value may be a secret
		case strings.HasPrefix(line, "fatal error: "), strings.HasPrefix(line, "runtime: "):
			lastWords += "; " + limit.Text(strings.TrimSpace(line), 500)
		}
	}
	c.in.Close()
	c.file.Close()
	c.stderr.Close()
	return lastWords
}
