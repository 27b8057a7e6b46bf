package main

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// trustedProxies are the networks whose Forwarded and X-Forwarded-For headers
// are believed.
type trustedProxies []netip.Prefix

// parseProxies reads addresses and networks in CIDR notation.
func parseProxies(texts []string) (trustedProxies, error) {
	var proxies trustedProxies
	for _, text := range texts {
		prefix, err := netip.ParsePrefix(text)
		if addr, addrErr := netip.ParseAddr(text); addrErr == nil {
			prefix, err = netip.PrefixFrom(addr.Unmap(), addr.Unmap().BitLen()), nil
		}
		if err != nil {
			return nil, fmt.Errorf("%q is neither an address nor a network such as 10.0.0.0/8", text)
		}
		proxies = append(proxies, prefix.Masked())
	}
	return proxies, nil
}

func (p trustedProxies) contain(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(addr) })
}

// clientIP is the caller's address: the rightmost one in the headers that is not
// a trusted proxy. Headers count only if the connection comes from a trusted
// proxy. An entry that is not an address ends the search, because everything to
// its left could be forged.
func (p trustedProxies) clientIP(r *http.Request) string {
	remote, ok := parseHost(r.RemoteAddr)
	if !ok {
		return "" // a Unix socket
	}
	if !p.contain(remote) {
		return remote.String()
	}
	hops := forwardedFor(r.Header)
	client := remote
	for _, hop := range slices.Backward(hops) {
		addr, ok := parseHost(hop)
		if !ok {
			break
		}
		client = addr
		if !p.contain(addr) {
			break
		}
	}
	return client.String()
}

// forwardedFor lists the hops in the headers, the nearest last. Forwarded (RFC
// 7239) takes precedence over X-Forwarded-For.
func forwardedFor(header http.Header) []string {
	if values := header.Values("Forwarded"); len(values) > 0 {
		var hops []string
		for element := range strings.SplitSeq(strings.Join(values, ","), ",") {
			hop := "unknown"
			for pair := range strings.SplitSeq(element, ";") {
				name, value, _ := strings.Cut(strings.TrimSpace(pair), "=")
				if strings.EqualFold(name, "for") {
					hop = strings.Trim(value, `"`)
				}
			}
			hops = append(hops, hop)
		}
		return hops
	}
	var hops []string
	for _, value := range header.Values("X-Forwarded-For") {
		for hop := range strings.SplitSeq(value, ",") {
			hops = append(hops, strings.TrimSpace(hop))
		}
	}
	return hops
}

// parseHost reads an address with or without a port, IPv6 with or without
// brackets.
func parseHost(text string) (netip.Addr, bool) {
	if addr, err := netip.ParseAddr(strings.Trim(text, "[]")); err == nil {
		return addr.Unmap().WithZone(""), true
	}
	host, _, err := net.SplitHostPort(text)
	if err != nil {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(host)
	if err != nil {
		return netip.Addr{}, false
	}
	return addr.Unmap().WithZone(""), true
}
