package limit_test

import (
	"math"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/limit"
)

func TestText(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		text string
		n    int
		want string
	}{
		{"", 0, ""},
		{"abc", 3, "abc"},
		{"abc", 2, "ab…"},
		{"aé", 3, "aé"},
		{"aé", 2, "a…"},
		{"日本", 4, "日…"},
		{"\xff", 1, "\xff"}, // not cut, so left as it is
	} {
		require.Equal(t, test.want, limit.Text(test.text, test.n), "%q to %d", test.text, test.n)
	}
}

func TestReadAll(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		n    int64
		want string
		ok   bool
	}{
		{math.MaxInt64, "12345", true},
		{5, "12345", true},
		{4, "12345", false},
		{3, "1234", false},
		{0, "1", false},
		{-1, "", false},
	} {
		data, ok, err := limit.ReadAll(strings.NewReader("12345"), test.n)
		require.NoError(t, err)
		require.Equal(t, test.ok, ok, test.n)
		require.Equal(t, test.want, string(data), test.n)
	}
	_, _, err := limit.ReadAll(iotest.TimeoutReader(strings.NewReader("12345")), 9)
	require.ErrorIs(t, err, iotest.ErrTimeout)
}
