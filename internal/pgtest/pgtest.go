//go:build unix

// Package pgtest runs a real Postgres server for tests: one of Debian's
// packages, in a folder of its own, on a Unix socket only.
package pgtest

import (
	"bytes"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/url"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// ErrMissing means that no Postgres server is installed here.
var ErrMissing = errors.New("pgtest: no Postgres server: apt-get install postgresql-15, or set PGTEST_BIN to the folder of initdb")

// A Server is a running Postgres server. Its methods are safe for concurrent
// use.
type Server struct {
	bin, dir   string
	credential *syscall.Credential // nil if the tests do not run as root

	mu      sync.Mutex
	process *os.Process
	ended   chan struct{}
}

// Start makes a new cluster and starts its server. The error is [ErrMissing] if
// Postgres is not installed. The caller ends the server with Close.
//
// The server does not flush to disk: what it has committed survives its own
// death, as the tests need, but not the machine's.
func Start() (*Server, error) {
	bin, err := findBin()
	if err != nil {
		return nil, err
	}
	s := &Server{bin: bin}
	if s.dir, err = os.MkdirTemp("", "pgtest"); err != nil {
		return nil, err
	}
	if err := s.initialize(); err != nil {
		os.RemoveAll(s.dir)
		return nil, err
	}
	return s, nil
}

func (s *Server) initialize() error {
	if os.Getuid() == 0 { // the server refuses to run as root
		var err error
		if s.credential, err = unprivileged(); err != nil {
			return err
		}
		if err := os.Chown(s.dir, int(s.credential.Uid), int(s.credential.Gid)); err != nil {
			return err
		}
	}
	initdb := s.command("initdb", "-D", s.data(), "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	if out, err := initdb.CombinedOutput(); err != nil {
		return fmt.Errorf("pgtest: initdb: %w\n%s", err, out)
	}
	return s.Restart()
}

// findBin returns the folder of the server's programs, of the newest version
// that is installed.
func findBin() (string, error) {
	if dir := os.Getenv("PGTEST_BIN"); dir != "" {
		return dir, nil
	}
	found, err := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if err != nil {
		return "", err
	}
	if len(found) == 0 {
		return "", ErrMissing
	}
	version := func(path string) int {
		n, _ := strconv.Atoi(strings.Split(path, "/")[4])
		return n
	}
	slices.SortFunc(found, func(a, b string) int { return version(b) - version(a) })
	return filepath.Dir(found[0]), nil
}

// unprivileged returns the user that Debian's package makes for the server, or
// nobody.
func unprivileged() (*syscall.Credential, error) {
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, err := strconv.ParseUint(u.Uid, 10, 32)
		if err != nil {
			continue
		}
		gid, err := strconv.ParseUint(u.Gid, 10, 32)
		if err != nil {
			continue
		}
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("pgtest: there is no user to run Postgres as")
}

func (s *Server) data() string { return filepath.Join(s.dir, "data") }

func (s *Server) command(program string, args ...string) *exec.Cmd {
	cmd := exec.Command(filepath.Join(s.bin, program), args...)
	cmd.Dir = s.dir
	cmd.Env = []string{"LC_ALL=C", "TZ=UTC", "PATH=" + os.Getenv("PATH")}
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: s.credential}
	return cmd
}

// Restart starts the server, which must not run, and waits until it accepts
// connections. A server that was killed recovers first.
func (s *Server) Restart() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	// A killed server leaves both behind. The new one cannot take its shared
	// memory before the old one's children have gone, so it is tried again.
	os.Remove(filepath.Join(s.dir, ".s.PGSQL.5432"))
	var log bytes.Buffer
	for deadline := time.Now().Add(time.Minute); time.Now().Before(deadline); {
		log.Reset()
		cmd := s.command("postgres", "-D", s.data(), "-k", s.dir, "-F",
			"-c", "listen_addresses=", "-c", "max_connections=200", "-c", "shared_buffers=32MB")
		cmd.Stdout, cmd.Stderr = &log, &log
		endWithParent(cmd.SysProcAttr)
		ended := make(chan struct{})
		started := make(chan error)
		go func() {
			defer lockThread()()
			err := cmd.Start()
			started <- err
			if err == nil {
				_ = cmd.Wait()
				close(ended)
			}
		}()
		if err := <-started; err != nil {
			return fmt.Errorf("pgtest: %w", err)
		}
		s.process, s.ended = cmd.Process, ended
		for {
			select {
			case <-ended:
			case <-time.After(20 * time.Millisecond):
				if s.accepts() {
					return nil
				}
				if time.Now().Before(deadline) {
					continue
				}
				_ = s.process.Kill()
				<-ended
			}
			break
		}
	}
	return fmt.Errorf("pgtest: the server does not start:\n%s", &log)
}

// accepts reports whether the server takes part in the protocol: a start-up
// packet gets an answer that is not "the database system is starting up".
func (s *Server) accepts() bool {
	conn, err := net.Dial("unix", filepath.Join(s.dir, ".s.PGSQL.5432"))
	if err != nil {
		return false
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(time.Second))
	startup := []byte("\x00\x03\x00\x00user\x00postgres\x00database\x00postgres\x00\x00")
	if _, err := conn.Write(append([]byte{0, 0, 0, byte(len(startup) + 4)}, startup...)); err != nil {
		return false
	}
	var kind [1]byte
	n, err := conn.Read(kind[:])
	return err == nil && n == 1 && kind[0] == 'R'
}

// URL returns the connection string of a database, for pgx.
func (s *Server) URL(database string) string {
	return "postgres:///" + database + "?" + url.Values{"host": {s.dir}, "user": {"postgres"}, "connect_timeout": {"5"}}.Encode()
}

// NewDatabase creates a database and returns its connection string.
func (s *Server) NewDatabase() (string, error) {
	name := "t" + strings.ToLower(rand.Text())
	psql := s.command("psql", "-X", "-q", "-h", s.dir, "-U", "postgres", "-c", "create database "+name, "postgres")
	if out, err := psql.CombinedOutput(); err != nil {
		return "", fmt.Errorf("pgtest: create database: %w\n%s", err, out)
	}
	return s.URL(name), nil
}

// Kill kills the server as kill -9 does, and waits for its end.
func (s *Server) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.process == nil {
		return
	}
	_ = s.process.Kill()
	<-s.ended
}

// Signal sends a signal, such as SIGSTOP, to the server and its children.
func (s *Server) Signal(sig syscall.Signal) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	pids := append(children(s.process.Pid), s.process.Pid)
	for _, pid := range pids {
		if err := syscall.Kill(pid, sig); err != nil && !errors.Is(err, syscall.ESRCH) {
			return fmt.Errorf("pgtest: %w", err)
		}
	}
	return nil
}

// Close kills the server and removes its files.
func (s *Server) Close() error {
	s.Kill()
	for range 100 { // the children need a moment to notice the end of the server
		if err := os.RemoveAll(s.dir); err == nil {
			return nil
		}
		time.Sleep(20 * time.Millisecond)
	}
	return os.RemoveAll(s.dir)
}
