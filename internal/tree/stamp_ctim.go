//go:build aix || dragonfly || linux || openbsd || solaris

package tree

import "syscall"

func (s *Stamp) addSystem(sys any) {
	if stat, ok := sys.(*syscall.Stat_t); ok {
		s.Device, s.Inode = uint64(stat.Dev), uint64(stat.Ino)
		s.ChangeSec, s.ChangeNsec = int64(stat.Ctim.Sec), int64(stat.Ctim.Nsec)
	}
}
