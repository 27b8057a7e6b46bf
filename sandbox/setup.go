package sandbox

import (
	"os"
	"runtime"
	"runtime/debug"
	"time"
)

// A setup is the first message to a child: the limits and the local time zone
// of every call it will serve.
type setup struct {
	MaxMemory     int64
	MaxScriptSize int64

	Zone       string // name of the zone; "Local" is the host's time.Local
	ZoneOffset int64  // seconds east of UTC, if only the host knows Zone
	HasTZ      bool   // the host's environment has TZ; a child's is empty
	TZ         string
}

func (s *setup) kind() kind { return kindSetup }

func (s *setup) encode(e *encoder) {
	e.int(s.MaxMemory)
	e.int(s.MaxScriptSize)
	e.string(s.Zone)
	e.int(s.ZoneOffset)
	e.bool(s.HasTZ)
	e.string(s.TZ)
}

func (s *setup) decode(d *decoder) {
	s.MaxMemory = d.int()
	s.MaxScriptSize = d.int()
	s.Zone = d.string()
	s.ZoneOffset = d.int()
	s.HasTZ = d.bool()
	s.TZ = d.string()
}

const (
	// A script needs one processor, and keeps it while it waits for the parent. The
	// second is for outbound requests, timers and the collector.
	childProcs     = 2
	childGCPercent = 400
)

// A readyMessage tells how a setup went.
type readyMessage struct {
	Fault       string // why the child cannot serve calls; or empty
	SystemCalls string // why its system calls are not restricted; or empty
}

func (m *readyMessage) kind() kind { return kindReady }

func (m *readyMessage) encode(e *encoder) {
	e.string(m.Fault)
	e.string(m.SystemCalls)
}

func (m *readyMessage) decode(d *decoder) {
	m.Fault = d.string()
	m.SystemCalls = d.string()
}

// apply confines the process permanently.
func (s *setup) apply() *readyMessage {
	s.setZone()
	runtime.GOMAXPROCS(childProcs)
	debug.SetGCPercent(childGCPercent)
	debug.SetMemoryLimit(s.MaxMemory / 4 * 3)
	m := new(readyMessage)
	if err := confine(s.MaxMemory); err != nil {
		m.Fault = err.Error()
	}
	if err := restrictSystemCalls(); err != nil {
		m.SystemCalls = err.Error()
	}
	return m
}

// setZone sets the local time zone. It needs files of the system.
func (s *setup) setZone() {
	if s.Zone != "Local" {
		location, err := time.LoadLocation(s.Zone)
		if err != nil {
			location = time.FixedZone(s.Zone, int(s.ZoneOffset))
		}
		time.Local = location
		return
	}
	if s.HasTZ {
		os.Setenv("TZ", s.TZ)
	}
	_, _ = time.Now().Zone() // package time reads TZ once
	os.Unsetenv("TZ")
}
