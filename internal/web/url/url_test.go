package url_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/web/url"
)

// parse reads a URL that may be relative to another.
func parse(input, base string) (*url.URL, error) {
	var from *url.URL
	if base != "" {
		var err error
		if from, err = url.Parse(base, nil); err != nil {
			return nil, err
		}
	}
	return url.Parse(input, from)
}

func TestParse(t *testing.T) {
	t.Parallel()
	tests := []struct{ input, base, want string }{
		// What a script writes.
		{"https://example.com", "", "https://example.com/"},
		{"HTTPS://EXAMPLE.com:443/A", "", "https://example.com/A"},
		{"http://example.com:0080/", "", "http://example.com/"},
		{"  https://example.com/a b?c d#e f \n", "", "https://example.com/a%20b?c%20d#e%20f"},
		{"https://exa\tmple.com/\na", "", "https://example.com/a"},
		{"https://user:pa ss@example.com/", "", "https://user:pa%20ss@example.com/"},
		{"https://a@b@example.com/", "", "https://a%40b@example.com/"},
		{"https://:secret@example.com/", "", "https://:secret@example.com/"},
		{"https://user:@example.com/", "", "https://user@example.com/"},
		{`https:\\example.com\a\b`, "", "https://example.com/a/b"},
		{"https:example.com", "", "https://example.com/"},
		{"https://example.com/ä?ö#ü", "", "https://example.com/%C3%A4?%C3%B6#%C3%BC"},
		{"https://example.com/a?b='", "", "https://example.com/a?b=%27"},
		{"x://example.com/a?b='", "", "x://example.com/a?b='"},
		{"https://example.com/{a}^|`\"<>", "", "https://example.com/%7Ba%7D%5E|%60%22%3C%3E"},
		{"https://example.com/%zz%2", "", "https://example.com/%zz%2"},
		{"https://example.com?", "", "https://example.com/?"},
		{"https://example.com#", "", "https://example.com/#"},

		// Dots.
		{"https://example.com/a/./b/../c", "", "https://example.com/a/c"},
		{"https://example.com/a/%2E/%2e%2E/..", "", "https://example.com/"},
		{"https://example.com/a/..", "", "https://example.com/"},
		{"https://example.com/../../a", "", "https://example.com/a"},
		{"https://example.com/a/.", "", "https://example.com/a/"},
		{"https://example.com/...", "", "https://example.com/..."},

		// Hosts.
		{"https://bücher.example/", "", "https://xn--bcher-kva.example/"},
		{"https://faß.example/", "", "https://xn--fa-hia.example/"},
		{"https://exa%6Dple.com/", "", "https://example.com/"},
		{"https://ｅｘａｍｐｌｅ.com/", "", "https://example.com/"},
		{"https://example.com./", "", "https://example.com./"},
		{"https://a_b.example/", "", "https://a_b.example/"},
		{"https://xn--a/", "", "https://xn--a/"},
		{"https://1.2.3/", "", "https://1.2.0.3/"},
		{"https://0x7f.1/", "", "https://127.0.0.1/"},
		{"https://0177.0.0.01/", "", "https://127.0.0.1/"},
		{"https://2130706433/", "", "https://127.0.0.1/"},
		{"https://127.0.0.1./", "", "https://127.0.0.1/"},
		{"https://１２７.0.0.1/", "", "https://127.0.0.1/"},
		{"https://0x.0x/", "", "https://0.0.0.0/"},
		{"https://[::1]/", "", "https://[::1]/"},
		{"https://[1:0:0:2:0:0:0:3]:8080/", "", "https://[1:0:0:2::3]:8080/"},
		{"https://[0:0:0:0:0:0:0:0]/", "", "https://[::]/"},
		{"https://[1:2:3:4:5:6:0:0]/", "", "https://[1:2:3:4:5:6::]/"},
		{"https://[::ffff:127.0.0.1]/", "", "https://[::ffff:7f00:1]/"},
		{"https://[ABCD::EF]/", "", "https://[abcd::ef]/"},
		{"x://A%41ä/", "", "x://A%41%C3%A4/"},

		// Schemes that are not special.
		{"mailto:someone@example.com", "", "mailto:someone@example.com"},
		{"data:text/plain,a b#c d", "", "data:text/plain,a b#c%20d"},
		{"data:a  ?b", "", "data:a %20?b"},
		{"x:", "", "x:"},
		{"x:/a", "", "x:/a"},
		{"x:/..//a", "", "x:/.//a"},
		{"x://", "", "x://"},
		{"x://h:80", "", "x://h:80"},
		{"javascript:alert(1)", "", "javascript:alert(1)"},

		// Files.
		{"file:///a", "", "file:///a"},
		{"file://localhost/a", "", "file:///a"},
		{"file:///C|/a/../..", "", "file:///C:/"},
		{"file:c:/a", "", "file:///c:/a"},
		{"..", "file:///C:/a", "file:///C:/"},
		{"/b", "file:///C:/a", "file:///C:/b"},
		{"D:/b", "https://example.com", "d:/b"},

		// Relative.
		{"b", "https://example.com/a/c", "https://example.com/a/b"},
		{"../b", "https://example.com/a/c/d", "https://example.com/a/b"},
		{"/b", "https://u:p@example.com:81/a?q#f", "https://u:p@example.com:81/b"},
		{"//other/b", "https://example.com/a", "https://other/b"},
		{`\\other\b`, "https://example.com/a", "https://other/b"},
		{"?q", "https://example.com/a?p#f", "https://example.com/a?q"},
		{"#f", "https://example.com/a?p", "https://example.com/a?p#f"},
		{"", "https://example.com/a?p#f", "https://example.com/a?p"},
		{"#f", "mailto:a", "mailto:a#f"},
		{"https:b", "https://example.com/a/c", "https://example.com/a/b"},
		{"http:b", "https://example.com/a/c", "http://b/"},

		// No URLs.
		{"", "", ""},
		{"example.com", "", ""},
		{"/a", "", ""},
		{"//example.com", "", ""},
		{"https://", "", ""},
		{"https:///", "", ""},
		{"https://@/", "", ""},
		{"https://user@/", "", ""},
		{"https://exa mple.com/", "", ""},
		{"https://exa%20mple.com/", "", ""},
		{"https://a%00b/", "", ""},
		{"https://a<b/", "", ""},
		{"https://a%b/", "", ""},
		{"https://%FF/", "", ""},
		{"https://\u00ad/", "", ""},
		{"https://example.com:65536/", "", ""},
		{"https://example.com:99999999999999999999/", "", ""},
		{"https://example.com:8a/", "", ""},
		{"https://:80/", "", ""},
		{"https://256.256.256.256/", "", ""},
		{"https://1.2.3.4.5/", "", ""},
		{"https://1.2.3.09/", "", ""},
		{"https://4294967296/", "", ""},
		{"https://0x100000000000000000/", "", ""},
		{"https://[::1/", "", ""},
		{"https://[1:2:3:4:5:6:7]/", "", ""},
		{"https://[1:2:3:4:5:6:7:8:9]/", "", ""},
		{"https://[1::2::3]/", "", ""},
		{"https://[12345::]/", "", ""},
		{"https://[::1.2.3]/", "", ""},
		{"https://[::1.2.3.04]/", "", ""},
		{"https://[::1.2.3.256]/", "", ""},
		{"https://[1:]/", "", ""},
		{"https://[:1]/", "", ""},
		{"https://[::g]/", "", ""},
		{"x://a b/", "", ""},
		{"b", "mailto:a", ""},
		{"1x://a", "", ""},
	}
	for _, test := range tests {
		got, err := parse(test.input, test.base)
		if test.want == "" {
			require.ErrorIs(t, err, url.ErrInvalid, "%q", test.input)
			continue
		}
		require.NoError(t, err, "%q", test.input)
		require.Equal(t, test.want, got.Href(), "%q", test.input)
	}
}

func TestParts(t *testing.T) {
	t.Parallel()
	u, err := url.Parse("https://us%20er:p%3Aw@Example.com:8443/a/b?c=d&e#f", nil)
	require.NoError(t, err)
	require.Equal(t,
		[]string{"https:", "us%20er", "p%3Aw", "example.com:8443", "example.com", "8443", "/a/b", "?c=d&e", "c=d&e", "#f", "https://example.com:8443"},
		[]string{u.Protocol(), u.Username(), u.Password(), u.Host(), u.Hostname(), u.Port(), u.Pathname(), u.Search(), u.Query(), u.Hash(), u.Origin()})

	for input, origin := range map[string]string{
		"http://a:80/b": "http://a", "wss://a/b": "wss://a", "file:///a": "null", "data:a": "null", "x://a": "null",
		"blob:https://a:1/b": "https://a:1", "blob:x:y": "null", "blob:blob:https://a": "null",
	} {
		u, err := url.Parse(input, nil)
		require.NoError(t, err)
		require.Equal(t, origin, u.Origin(), input)
	}
}

func TestSetters(t *testing.T) {
	t.Parallel()
	tests := []struct{ from, part, value, want string }{
		{"https://a/", "protocol", "http", "http://a/"},
		{"https://a/", "protocol", "http:x", "http://a/"},
		{"https://a/", "protocol", "x", "https://a/"},
		{"x://a/", "protocol", "https", "x://a/"},
		{"https://a:80/", "protocol", "http", "http://a/"},
		{"https://u@a/", "protocol", "file", "https://u@a/"},
		{"https://a/", "protocol", "", "https://a/"},
		{"https://a/", "username", "ü:", "https://%C3%BC%3A@a/"},
		{"https://u:p@a/", "username", "", "https://:p@a/"},
		{"mailto:a", "username", "u", "mailto:a"},
		{"file:///a", "username", "u", "file:///a"},
		{"https://a/", "password", "p@", "https://:p%40@a/"},
		{"file:///a", "password", "p", "file:///a"},
		{"https://a:1/b", "host", "c:2", "https://c:2/b"},
		{"https://a:1/b", "host", "c", "https://c:1/b"},
		{"https://a:1/b", "host", "c/d", "https://c:1/b"},
		{"https://a/b", "host", "", "https://a/b"},
		{"https://a/b", "host", "x y", "https://a/b"},
		{"https://a/b", "host", "[::1", "https://a/b"},
		{"mailto:a", "host", "b", "mailto:a"},
		{"x://a/", "host", "", "x:///"},
		{"x://u@a/", "host", "", "x://u@a/"},
		{"file:///a", "host", "b", "file://b/a"},
		{"file:///a", "host", "localhost", "file:///a"},
		{"https://a/b", "hostname", "c:2", "https://a/b"},
		{"https://a/b", "hostname", "c", "https://c/b"},
		{"https://a/", "port", "8080", "https://a:8080/"},
		{"https://a/", "port", "8080x", "https://a:8080/"},
		{"https://a/", "port", "x", "https://a/"},
		{"https://a:1/", "port", "443", "https://a/"},
		{"https://a:1/", "port", "", "https://a/"},
		{"https://a:1/", "port", "65536", "https://a:1/"},
		{"file:///a", "port", "1", "file:///a"},
		{"https://a/b", "pathname", "c?d#e", "https://a/c%3Fd%23e"},
		{"https://a/b", "pathname", "", "https://a/"},
		{"https://a/b", "pathname", "../c", "https://a/c"},
		{"mailto:a", "pathname", "b", "mailto:a"},
		{"x://a", "pathname", "", "x://a"},
		{"https://a/?b", "search", "", "https://a/"},
		{"https://a/?b", "search", "?", "https://a/?"},
		{"https://a/#f", "search", "c d#", "https://a/?c%20d%23#f"},
		{"https://a/#b", "hash", "", "https://a/"},
		{"https://a/#b", "hash", "#c d", "https://a/#c%20d"},
	}
	for _, test := range tests {
		u, err := url.Parse(test.from, nil)
		require.NoError(t, err)
		map[string]func(string){
			"protocol": u.SetProtocol, "username": u.SetUsername, "password": u.SetPassword, "host": u.SetHost,
			"hostname": u.SetHostname, "port": u.SetPort, "pathname": u.SetPathname, "search": u.SetSearch, "hash": u.SetHash,
		}[test.part](test.value)
		require.Equal(t, test.want, u.Href(), "%s = %s", test.part, test.value)
	}
}

func TestLimits(t *testing.T) {
	t.Parallel()
	longest := "https://a/" + strings.Repeat("b", url.MaxLength-len("https://a/"))
	u, err := url.Parse(longest, nil)
	require.NoError(t, err)
	require.Equal(t, longest, u.Href())
	_, err = url.Parse(longest+"b", nil)
	require.ErrorIs(t, err, url.ErrInvalid)

	u.SetPathname(strings.Repeat("c", url.MaxLength+1))
	u.SetHash(strings.Repeat("c", url.MaxLength+1))
	u.SetUsername(strings.Repeat("c", url.MaxLength+1))
	require.Equal(t, longest, u.Href())
}

func TestPairs(t *testing.T) {
	t.Parallel()
	tests := []struct {
		text  string
		pairs []url.Pair
		back  string
	}{
		{"", nil, ""},
		{"a=b&c", []url.Pair{{"a", "b"}, {"c", ""}}, "a=b&c="},
		{"&&=&=x&", []url.Pair{{"", ""}, {"", "x"}}, "=&=x"},
		{"a=b=c", []url.Pair{{"a", "b=c"}}, "a=b%3Dc"},
		{"a+b=%2B%20", []url.Pair{{"a b", "+ "}}, "a+b=%2B+"},
		{"a=%", []url.Pair{{"a", "%"}}, "a=%25"},
		{"a=%zz%4", []url.Pair{{"a", "%zz%4"}}, "a=%25zz%254"},
		{"%EF%BB%BFa=%C3%A4", []url.Pair{{"\ufeffa", "ä"}}, "%EF%BB%BFa=%C3%A4"},
		{"a=%E2%82x%FF", []url.Pair{{"a", "\ufffdx\ufffd"}}, "a=%EF%BF%BDx%EF%BF%BD"},
		{"a=*-._~!'()", []url.Pair{{"a", "*-._~!'()"}}, "a=*-._%7E%21%27%28%29"},
		{"a;b=c", []url.Pair{{"a;b", "c"}}, "a%3Bb=c"},
	}
	for _, test := range tests {
		pairs := url.ParsePairs(test.text)
		require.Equal(t, test.pairs, pairs, test.text)
		require.Equal(t, test.back, url.EncodePairs(pairs), test.text)
	}

	sorted := url.ParsePairs("z=b&a=b&z=a&ﬃ=1&🌈=2&a=a")
	url.SortPairs(sorted)
	require.Equal(t, []url.Pair{{"a", "b"}, {"a", "a"}, {"z", "b"}, {"z", "a"}, {"🌈", "2"}, {"ﬃ", "1"}}, sorted)
}

// What has been written is read as the same again.
func FuzzParse(f *testing.F) {
	f.Add("https://u:p@example.com:1/a/../b?c#d", "")
	f.Add("../b", "file:///C:/a")
	f.Add("x:/..//a", "")
	f.Add("https://[::ffff:1.2.3.4]/", "https://0x7f.1")
	f.Add("https://bü.example", "data:a")
	f.Fuzz(func(t *testing.T, input, base string) {
		u, err := parse(input, base)
		if err != nil {
			return
		}
		again, err := url.Parse(u.Href(), nil)
		require.NoError(t, err, "%q", u.Href())
		require.Equal(t, u.Href(), again.Href())
		require.Equal(t, u.Origin(), again.Origin())
	})
}
