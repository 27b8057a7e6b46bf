package main

import (
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"strings"
)

// activatedListeners are the sockets that systemd has opened for this process,
// by name (FileDescriptorName= of the socket unit; "" stands for "main"). See
// sd_listen_fds(3).
func activatedListeners(getenv func(string) string, pid int) (map[string]net.Listener, error) {
	if getenv("LISTEN_PID") != strconv.Itoa(pid) {
		return nil, nil
	}
	count, err := strconv.Atoi(getenv("LISTEN_FDS"))
	if err != nil || count < 1 {
		return nil, fmt.Errorf("LISTEN_FDS=%q is no number of sockets", getenv("LISTEN_FDS"))
	}
	names := strings.Split(getenv("LISTEN_FDNAMES"), ":")
	listeners := map[string]net.Listener{}
	for i := range count {
		const firstSocket = 3
		fd := firstSocket + i
		file := os.NewFile(uintptr(fd), "socket")
		listener, err := net.FileListener(file) // has a descriptor of its own
		err = errors.Join(err, file.Close())
		if err != nil {
			return nil, fmt.Errorf("socket %d of systemd: %w", i+1, err)
		}
		name := "main"
		if i < len(names) && names[i] == "admin" {
			name = "admin"
		}
		if listeners[name] != nil {
			return nil, fmt.Errorf("systemd passed two sockets for %q", name)
		}
		listeners[name] = listener
	}
	return listeners, nil
}

// notify tells systemd a change of state, such as "READY=1". Without systemd
// it does nothing. See sd_notify(3).
func notify(getenv func(string) string, state string) error {
	path := getenv("NOTIFY_SOCKET")
	if path == "" {
		return nil
	}
	conn, err := net.DialUnix("unixgram", nil, &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return err
	}
	defer conn.Close()
	_, err = conn.Write([]byte(state))
	return err
}
