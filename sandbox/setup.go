package sandbox

import (
	"fmt"
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

	Zone       string // name of the host's time.Local
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
	// A child needs one processor. With a second, idle one the runtime leaves
	// the first alone while the child waits for its parent. With one only, the
	// runtime takes it away within 20 µs and returns it for each call.
	childProcs     = 2
	childGCPercent = 400
)

// apply makes the process a child that can no longer open files.
func (s *setup) apply() error {
	s.setZone()
	runtime.GOMAXPROCS(childProcs)
	debug.SetGCPercent(childGCPercent)
	debug.SetMemoryLimit(s.MaxMemory / 4 * 3)
	if err := limitMemory(s.MaxMemory); err != nil {
		return fmt.Errorf("cannot set limits: %w", err)
	}
	return nil
}

// setZone sets local time to the parent's. It needs the files of the system.
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
