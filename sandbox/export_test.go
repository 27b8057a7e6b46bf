package sandbox

import (
	"os"
	"os/exec"
	"strings"
	"time"

	"example.com/callback"
)

// SetCommands has the Runner start these in turn as its children, and then this
// program. The first element of each is the path.
func (r *Runner) SetCommands(commands ...[]string) {
	r.command = func() *exec.Cmd {
		if len(commands) == 0 {
			return thisProgram()
		}
		c := commands[0]
		commands = commands[1:]
		return &exec.Cmd{Path: c[0], Args: append([]string{childName}, c[1:]...)}
	}
}

// Pids returns the processes that are children now.
func (r *Runner) Pids() (pids []int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.all {
		pids = append(pids, c.process.Process.Pid)
	}
	return pids
}

// Waiting returns how many calls wait for a child, and how many have one.
func (r *Runner) Waiting() (waiting, busy int) {
	waiting, _ = r.places.Waiting()
	r.mu.Lock()
	defer r.mu.Unlock()
	return waiting + len(r.waiting), r.busy
}

// ProcessorTime returns what the children had taken when their last calls ended.
func (r *Runner) ProcessorTime() (sum time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for c := range r.all {
		sum += c.took
	}
	return sum
}

// SetGreetTimeout sets how long the next child may take to greet.
func (r *Runner) SetGreetTimeout(d time.Duration) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.greetTimeout = d
}

func (r *Runner) GreetTimeout() time.Duration {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.greetTimeout
}

// ServeHostile is the main of a child that is confined like any other, and calls f
// instead of its first call. Its frames go to standard output.
func ServeHostile(f func()) {
	w, err := newWorker()
	if err != nil {
		os.Exit(1)
	}
	if _, _, err := readFrame(w.from, fromParent); err == nil {
		f()
	}
	os.Exit(0)
}

// Frames that a child may send.
var (
	LongFrame = encoded(&logMessage{Message: strings.Repeat("x", 1<<10)})
	StatFrame = encoded(&statQuestion{"callbacks/x.js"})
)

// ServeProbe is the main of a child that is confined like any other, but answers its
// calls with what f makes of their data.
func ServeProbe(f func(data string) map[string]string) {
	w, err := newWorker()
	if err != nil {
		os.Exit(1)
	}
	for {
		_, payload, err := readFrame(w.from, fromParent)
		if err != nil {
			os.Exit(0)
		}
		var call callMessage
		call.decode(&decoder{b: payload, trusted: true})
		result := new(callback.Result)
		for name, value := range f(call.Call.Data[0].Values[0]) {
			if err := result.Set(name, value); err != nil {
				os.Exit(1)
			}
		}
		var e encoder
		if err := e.send(w.out, &resultMessage{Result: result}, fromParent); err != nil {
			os.Exit(1)
		}
	}
}
