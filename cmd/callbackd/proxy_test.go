package main

import (
	"net/http"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestClientIP(t *testing.T) {
	t.Parallel()
	proxies, err := parseProxies([]string{"10.0.0.0/8", "127.0.0.1", "fd00::/8"})
	require.NoError(t, err)
	for _, test := range []struct {
		name, remote, forwarded, xff, want string
	}{
		{name: "no proxy", remote: "192.0.2.1:1234", want: "192.0.2.1"},
		{name: "untrusted peer's header is ignored", remote: "192.0.2.1:1234", xff: "198.51.100.9", want: "192.0.2.1"},
		{name: "one proxy", remote: "10.1.2.3:80", xff: "198.51.100.9", want: "198.51.100.9"},
		{name: "two proxies", remote: "10.1.2.3:80", xff: "198.51.100.9, 10.9.9.9", want: "198.51.100.9"},
		{name: "a forged entry on the left", remote: "10.1.2.3:80", xff: "203.0.113.7, 198.51.100.9", want: "198.51.100.9"},
		{name: "rubbish on the left", remote: "10.1.2.3:80", xff: "<script>, 198.51.100.9", want: "198.51.100.9"},
		{name: "rubbish on the right", remote: "10.1.2.3:80", xff: "198.51.100.9, rubbish", want: "10.1.2.3"},
		{name: "all trusted", remote: "10.1.2.3:80", xff: "10.0.0.1, 10.0.0.2", want: "10.0.0.1"},
		{name: "trusted without a header", remote: "127.0.0.1:80", want: "127.0.0.1"},
		{name: "with a port", remote: "10.1.2.3:80", xff: "198.51.100.9:4711", want: "198.51.100.9"},
		{name: "mapped IPv6", remote: "[::ffff:10.1.2.3]:80", xff: "::ffff:198.51.100.9", want: "198.51.100.9"},
		{name: "Forwarded", remote: "10.1.2.3:80", forwarded: `for=203.0.113.7, for="[2001:db8::17]:4711";proto=https`, want: "2001:db8::17"},
		{name: "Forwarded wins", remote: "10.1.2.3:80", forwarded: "for=198.51.100.9", xff: "203.0.113.7", want: "198.51.100.9"},
		{name: "Forwarded unknown", remote: "10.1.2.3:80", forwarded: "for=198.51.100.9, for=unknown", want: "10.1.2.3"},
		{name: "Unix socket", remote: "@", want: ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := &http.Request{RemoteAddr: test.remote, Header: http.Header{}}
			if test.forwarded != "" {
				r.Header.Set("Forwarded", test.forwarded)
			}
			if test.xff != "" {
				r.Header.Set("X-Forwarded-For", test.xff)
			}
			require.Equal(t, test.want, proxies.clientIP(r))
		})
	}
}

func TestParseProxies(t *testing.T) {
	t.Parallel()
	for _, bad := range []string{"10.0.0.0/33", "example.com", "10.0.0.1-10.0.0.9"} {
		_, err := parseProxies([]string{bad})
		require.ErrorContains(t, err, bad)
	}
}
