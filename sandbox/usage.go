package sandbox

import (
	"time"

	"example.com/callback"
)

// A meter measures from outside what a call takes of its child. A child's own
// figures could be false.
type meter struct {
	process int
	before  time.Duration // processor time of the process when the call began
	usage   callback.Usage
}

func (m *meter) begin() { m.before, _ = processUsage(m.process) }

// read updates the figures of the process. When it has ended, the last ones remain.
func (m *meter) read() {
	cpu, memory := processUsage(m.process)
	if cpu > m.before {
		m.usage.ChildCPU = cpu - m.before
	}
	m.usage.ChildMemory = max(m.usage.ChildMemory, memory)
}

func (m *meter) end() callback.Usage {
	m.read()
	return m.usage
}
