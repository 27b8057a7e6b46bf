package coding_test

import (
	"bytes"
	"compress/flate"
	"compress/gzip"
	"compress/zlib"
	"io"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/coding"
)

func compress(t *testing.T, how string, text []byte) []byte {
	var b bytes.Buffer
	var w io.WriteCloser
	switch how {
	case "gzip":
		w = gzip.NewWriter(&b)
	case "zlib":
		w = zlib.NewWriter(&b)
	case "flate":
		w, _ = flate.NewWriter(&b, flate.BestCompression)
	default:
		return text
	}
	_, err := w.Write(text)
	require.NoError(t, err)
	require.NoError(t, w.Close())
	return b.Bytes()
}

func TestReader(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		header []string
		how    []string // applied in order
		bad    bool
	}{
		{name: "absent"},
		{name: "gzip", header: []string{"gzip"}, how: []string{"gzip"}},
		{name: "x-gzip in capitals", header: []string{" X-GZIP "}, how: []string{"gzip"}},
		{name: "deflate", header: []string{"deflate"}, how: []string{"zlib"}},
		{name: "deflate without a header", header: []string{"deflate"}, how: []string{"flate"}},
		{name: "two in one header", header: []string{"deflate, gzip"}, how: []string{"zlib", "gzip"}},
		{name: "two headers", header: []string{"deflate", "gzip"}, how: []string{"zlib", "gzip"}},
		{name: "four", header: []string{"gzip,gzip,gzip,gzip"}, how: []string{"gzip", "gzip", "gzip", "gzip"}},
		{name: "five", header: []string{"gzip,gzip,gzip,gzip,gzip"}, bad: true},
		{name: "identity", header: []string{"identity"}},
		{name: "none", header: []string{"none"}},
		{name: "empty", header: []string{""}},
		{name: "a charset", header: []string{"UTF-8"}},
		{name: "a charset, then gzip", header: []string{"utf-8, gzip"}, how: []string{"gzip"}},
		{name: "br", header: []string{"br"}, bad: true},
		{name: "zstd behind gzip", header: []string{"gzip, zstd"}, bad: true},
		{name: "unknown", header: []string{"x-secret"}, bad: true},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			text := []byte("a body, a body, a body")
			body := text
			for _, how := range test.how {
				body = compress(t, how, body)
			}
			r, inflated, err := coding.Reader(test.header, bytes.NewReader(body))
			if test.bad {
				require.ErrorIs(t, err, coding.ErrUnsupported)
				return
			}
			require.NoError(t, err)
			require.Equal(t, test.how != nil, inflated)
			got, err := io.ReadAll(r)
			require.NoError(t, err)
			require.Equal(t, text, got)
		})
	}
}

func TestReaderEmptyBody(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"gzip", "deflate"} {
		r, _, err := coding.Reader([]string{name}, strings.NewReader(""))
		require.NoError(t, err)
		got, err := io.ReadAll(r)
		require.NoError(t, err)
		require.Empty(t, got)
	}
}

func TestReaderBroken(t *testing.T) {
	t.Parallel()
	whole := compress(t, "gzip", []byte(strings.Repeat("text", 100)))
	for name, body := range map[string]string{"no gzip": "plain text", "one byte": "\x1f", "cut": string(whole[:len(whole)-5]), "rubbish behind": string(whole) + "rubbish"} {
		r, _, err := coding.Reader([]string{"gzip"}, strings.NewReader(body))
		require.NoError(t, err)
		_, err = io.ReadAll(r)
		require.Error(t, err, name)
	}
}
