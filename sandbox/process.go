package sandbox

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
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

// childName is argv[0] of a child process: how it knows that it is one.
const childName = "callback-sandbox-child"

// inChild reports whether this process is a child. One never starts children of
// its own, whatever its main does.
func inChild() bool { return len(os.Args) > 0 && os.Args[0] == childName }

// greeting is what a child sends first. It is looked for among whatever the
// packages of the host's program print before main.
var greeting = []byte("\x00callback-sandbox\x01\n")

const (
	maxBeforeGreeting = 64 << 10
	greetTimeout      = 5 * time.Second
)

// errEnded is that a process ended instead of turning into a child.
var errEnded = errors.New("it ended by itself")

// A child is a process that runs one call at a time. All but kill belongs to
// whoever has taken it from the Runner.
type child struct {
	process *exec.Cmd
	in      *os.File      // to its standard input
	from    *bufio.Reader // of file
	file    *os.File      // from its standard output
	stderr  *os.File      // read only when it is dead

	calls   int
	members []byte  // as it knows them
	out     encoder // kept for its memory
	watch   deadline.Watch

	dead     chan struct{} // closed once it is killed
	killOnce sync.Once
	closed   atomic.Bool // killed because the Runner closes
}

// startChild starts a process. It is a child only once greet has returned.
func startChild(command func() *exec.Cmd) (c *child, err error) {
	var files []*os.File
	defer func() {
		if err != nil {
			for _, f := range files {
				f.Close()
			}
		}
	}()
	pipe := func() (r, w *os.File) {
		if err == nil {
			if r, w, err = os.Pipe(); err == nil {
				files = append(files, r, w)
			}
		}
		return r, w
	}
	inR, inW := pipe()
	outR, outW := pipe()
	errR, errW := pipe()
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
		in:      inW,
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

// greet waits until the process turns out to be a child, and sets it up.
func (c *child) greet(s setup) error {
	timer := time.AfterFunc(greetTimeout, c.kill) // not every system has read deadlines for pipes
	defer timer.Stop()
	for before := 0; ; before++ {
		start, err := c.from.Peek(len(greeting))
		if err != nil && !timer.Stop() {
			return fmt.Errorf("%w: nothing heard from it for %v", ErrNoMain, greetTimeout)
		}
		if err != nil {
			return errEnded
		}
		if bytes.Equal(start, greeting) {
			break
		}
		if before > maxBeforeGreeting {
			return fmt.Errorf("%w: it printed something else", ErrNoMain)
		}
		_, _ = c.from.Discard(1)
	}
	_, _ = c.from.Discard(len(greeting))
	c.out.begin(kindSetup)
	s.encode(&c.out)
	return c.out.send(c.in, maxCall)
}

// kill ends the process at once. It may be called at any time, also twice.
func (c *child) kill() {
	c.killOnce.Do(func() {
		killProcess(c.process.Process)
		close(c.dead)
		// Whoever talks to it need not wait until the system has taken it apart.
		_ = c.file.SetReadDeadline(time.Unix(1, 0))
		_ = c.in.SetWriteDeadline(time.Unix(1, 0))
	})
}

// end kills the process, waits for its end and, if that was not of our making,
// returns what is known of it.
func (c *child) end() (lastWords string) {
	byItself := true
	select {
	case <-c.dead:
		byItself = false
	default:
	}
	// Nothing else waits for the process, so until here its number is its own.
	// If it has ended already the kill changes nothing.
	c.kill()
	err := c.process.Wait()
	if byItself && err != nil {
		lastWords = err.Error()
	}
	_ = c.stderr.SetReadDeadline(time.Now().Add(time.Second)) // in case something it started lives on
	text, _ := io.ReadAll(io.LimitReader(c.stderr, 64<<10))
	for line := range strings.Lines(string(text)) {
		switch {
		case !byItself:
		case strings.HasPrefix(line, "panic: "):
			lastWords += "; panic" // its value may be anything
		case strings.HasPrefix(line, "fatal error: "), strings.HasPrefix(line, "runtime: "):
			lastWords += "; " + limit.Text(strings.TrimSpace(line), 500)
		}
	}
	c.in.Close()
	c.file.Close()
	c.stderr.Close()
	return lastWords
}
