package sandbox

import "os/exec"

// SetCommand has the Runner start something else than this program.
func (r *Runner) SetCommand(path string, args ...string) {
	r.command = func() *exec.Cmd { return &exec.Cmd{Path: path, Args: append([]string{childName}, args...)} }
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
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.waiting), r.busy
}

const GreetTimeout = greetTimeout
