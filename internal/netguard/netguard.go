// Package netguard decides to which addresses a script's requests may connect:
// to public ones that are neither this machine's nor a cloud's own.
package netguard

import (
	"fmt"
	"net"
	"net/netip"
	"syscall"

	"code.dny.dev/ssrf"
)

// denied are addresses that look public and are not for scripts. The special
// purpose registries of IANA, with all private networks and the metadata
// services at link-local and unique local addresses, are the dependency's.
var denied = [...]struct{ prefix, reason string }{
	{"168.63.129.16/32", "Azure: the platform's endpoint in every virtual network, with the machine's certificates and settings"},
	{"192.80.8.124/32", "Equinix Metal: the metadata service, with user data and keys"},
	{"161.26.0.0/16", "IBM Cloud: infrastructure services, reachable from inside only"},
	{"166.8.0.0/14", "IBM Cloud: private endpoints of the platform, reachable from inside only"},
	{"199.36.153.4/30", "Google Cloud: restricted.googleapis.com, reachable from inside only"},
	{"199.36.153.8/30", "Google Cloud: private.googleapis.com, reachable from inside only"},
	{"2600:2d00:2:1000::/56", "Google Cloud: restricted.googleapis.com, reachable from inside only"},
	{"2600:2d00:2:2000::/56", "Google Cloud: private.googleapis.com, reachable from inside only"},
	{"34.126.0.0/18", "Google Cloud: direct access to Google's services, reachable from inside only"},
	{"2001:4860:8040::/42", "Google Cloud: direct access to Google's services, reachable from inside only"},
}

// A Guard is for the Control function of a [net.Dialer]. It is safe for
// concurrent use.
type Guard struct {
	prefixes *ssrf.Guardian
	own      func() ([]net.Addr, error)
}

// New returns a Guard. own returns the addresses of this machine, as
// [net.InterfaceAddrs] does.
func New(own func() ([]net.Addr, error)) *Guard {
	var v4, v6 []netip.Prefix
	for _, d := range denied {
		if p := netip.MustParsePrefix(d.prefix); p.Addr().Is4() {
			v4 = append(v4, p)
		} else {
			v6 = append(v6, p)
		}
	}
	return &Guard{
		prefixes: ssrf.New(ssrf.WithAnyPort(), ssrf.WithDeniedV4Prefixes(v4...), ssrf.WithDeniedV6Prefixes(v6...)),
		own:      own,
	}
}

// Control returns an error, which is [ssrf.ErrProhibitedIP] or another of that
// package's, unless address may be dialled.
func (g *Guard) Control(network, address string, conn syscall.RawConn) error {
	if err := g.prefixes.Safe(network, address, conn); err != nil {
		return err
	}
	target, err := netip.ParseAddrPort(address)
	if err != nil {
		return fmt.Errorf("%w: %w", ssrf.ErrInvalidHostPort, err)
	}
	return g.checkOwn(target.Addr())
}

// checkOwn refuses the addresses of this machine. They are asked for each time:
// they change, and a connection costs more than to ask.
func (g *Guard) checkOwn(target netip.Addr) error {
	addrs, err := g.own()
	if err != nil {
		return fmt.Errorf("%w: the machine's own addresses are not known: %w", ssrf.ErrProhibitedIP, err)
	}
	for _, addr := range addrs {
		if prefix, err := netip.ParsePrefix(addr.String()); err != nil || prefix.Addr().Unmap() == target {
			return fmt.Errorf("%w: an address of this machine", ssrf.ErrProhibitedIP)
		}
	}
	return nil
}
