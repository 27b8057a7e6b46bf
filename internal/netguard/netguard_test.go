package netguard_test

import (
	"errors"
	"net"
	"testing"

	"code.dny.dev/ssrf"
	"github.com/stretchr/testify/require"

	"example.com/callback/internal/netguard"
)

// addrs are those of a machine, as net.InterfaceAddrs returns them.
func addrs(t *testing.T, texts ...string) func() ([]net.Addr, error) {
	var all []net.Addr
	for _, text := range texts {
		ip, network, err := net.ParseCIDR(text)
		require.NoError(t, err)
		all = append(all, &net.IPNet{IP: ip, Mask: network.Mask})
	}
	return func() ([]net.Addr, error) { return all, nil }
}

// TestDenied tries each range of the list at its ends and just past them.
func TestDenied(t *testing.T) {
	t.Parallel()
	guard := netguard.New(addrs(t))
	for _, test := range []struct {
		refused, allowed []string
	}{
		{[]string{"168.63.129.16"}, []string{"168.63.129.15", "168.63.129.17"}},
		{[]string{"192.80.8.124"}, []string{"192.80.8.123", "192.80.8.125"}},
		{[]string{"161.26.0.0", "161.26.255.255"}, []string{"161.25.255.255", "161.27.0.0"}},
		{[]string{"166.8.0.0", "166.11.255.255"}, []string{"166.7.255.255", "166.12.0.0"}},
		{[]string{"199.36.153.4", "199.36.153.11"}, []string{"199.36.153.3", "199.36.153.12"}},
		{[]string{"34.126.0.0", "34.126.63.255"}, []string{"34.125.255.255", "34.126.64.0"}},
		{[]string{"[2001:4860:8040::]", "[2001:4860:807f:ffff::1]"}, []string{"[2001:4860:803f:ffff::1]", "[2001:4860:8080::]"}},
		{[]string{"[2600:2d00:2:1000::]", "[2600:2d00:2:10ff::1]"}, []string{"[2600:2d00:2:fff::1]", "[2600:2d00:2:1100::]"}},
		{[]string{"[2600:2d00:2:2000::]", "[2600:2d00:2:20ff::1]"}, []string{"[2600:2d00:2:1fff::1]", "[2600:2d00:2:2100::]"}},
		// The dependency's: one of each kind, to see that it is asked.
		{[]string{"127.0.0.1", "10.0.0.1", "169.254.169.254", "100.100.100.200", "192.0.0.192"}, []string{"1.1.1.1"}},
		{[]string{"[::1]", "[fd00:ec2::254]", "[fe80::1]", "[64:ff9b::7f00:1]", "[::ffff:127.0.0.1]"}, []string{"[2606:4700::1]"}},
	} {
		for _, host := range test.refused {
			require.ErrorIs(t, guard.Control(network(host), host+":443", nil), ssrf.ErrProhibitedIP, host)
		}
		for _, host := range test.allowed {
			require.NoError(t, guard.Control(network(host), host+":443", nil), host)
		}
	}
	require.Error(t, guard.Control("udp4", "1.1.1.1:53", nil))
	require.Error(t, guard.Control("tcp4", "no address", nil))
}

func network(host string) string {
	if host[0] == '[' {
		return "tcp6"
	}
	return "tcp4"
}

// A textAddr is an address as its text.
type textAddr string

func (textAddr) Network() string  { return "ip+net" }
func (a textAddr) String() string { return string(a) }

// TestOwnAddresses: those of this machine are refused though they are public,
// and their neighbours are not.
func TestOwnAddresses(t *testing.T) {
	t.Parallel()
	guard := netguard.New(addrs(t, "127.0.0.1/8", "93.184.216.34/24", "2606:2800:220:1::1/64"))
	for _, host := range []string{"93.184.216.34", "[2606:2800:220:1::1]"} {
		require.ErrorIs(t, guard.Control(network(host), host+":80", nil), ssrf.ErrProhibitedIP, host)
	}
	for _, host := range []string{"93.184.216.35", "[2606:2800:220:1::2]"} {
		require.NoError(t, guard.Control(network(host), host+":80", nil), host)
	}

	for own, host := range map[string]string{
		"93.184.216.34/24":            "[::ffff:93.184.216.34]",
		"::ffff:93.184.216.34/120":    "93.184.216.34",
		"::ffff:93.184.216.35/120":    "[::ffff:93.184.216.35]",
		"2606:2800:220:1::5/64":       "[2606:2800:220:1::5]",
		"2606:2800:220:1:0:0:0:6/128": "[2606:2800:220:1::6]",
	} {
		guard := netguard.New(func() ([]net.Addr, error) { return []net.Addr{textAddr(own)}, nil })
		require.ErrorIs(t, guard.Control(network(host), host+":80", nil), ssrf.ErrProhibitedIP, host)
	}

	unknown := netguard.New(func() ([]net.Addr, error) { return nil, errors.New("no netlink") })
	require.ErrorIs(t, unknown.Control("tcp4", "1.1.1.1:80", nil), ssrf.ErrProhibitedIP)
	odd := netguard.New(func() ([]net.Addr, error) { return []net.Addr{&net.UnixAddr{Name: "x"}}, nil })
	require.ErrorIs(t, odd.Control("tcp4", "1.1.1.1:80", nil), ssrf.ErrProhibitedIP)
}

// TestInterfaceAddrs: what the system returns is understood.
func TestInterfaceAddrs(t *testing.T) {
	t.Parallel()
	require.NoError(t, netguard.New(net.InterfaceAddrs).Control("tcp4", "1.1.1.1:80", nil))
}
