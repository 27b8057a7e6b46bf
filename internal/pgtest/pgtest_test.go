//go:build unix

package pgtest_test

import (
	"errors"
	"net"
	"net/url"
	"syscall"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/pgtest"
)

func TestServer(t *testing.T) {
	t.Parallel()
	s, err := pgtest.Start()
	if errors.Is(err, pgtest.ErrMissing) {
		t.Skip(err)
	}
	require.NoError(t, err)
	defer func() { require.NoError(t, s.Close()) }()

	address, err := s.NewDatabase()
	require.NoError(t, err)
	parsed, err := url.Parse(address)
	require.NoError(t, err)
	socket := parsed.Query().Get("host") + "/.s.PGSQL.5432"

	s.Kill()
	_, err = net.Dial("unix", socket)
	require.ErrorIs(t, err, syscall.ECONNREFUSED)

	require.NoError(t, s.Restart())
	_, err = s.NewDatabase()
	require.NoError(t, err)

	require.NoError(t, s.Signal(syscall.SIGSTOP))
	conn, err := net.DialTimeout("unix", socket, 5*time.Second)
	require.NoError(t, err, "the kernel still accepts")
	defer conn.Close()
	require.NoError(t, s.Signal(syscall.SIGCONT))
}
