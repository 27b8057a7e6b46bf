package excerpt_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/excerpt"
)

func TestOf(t *testing.T) {
	t.Parallel()
	tree := fstest.MapFS{
		"a.js":    {Data: []byte("one\ntwo\r\nthree\nfour\nfive\nsix\nseven\n")},
		"long.js": {Data: []byte(strings.Repeat("é", 301))},
		"bad.js":  {Data: []byte("a\xffb")},
	}
	require.Equal(t, []excerpt.Line{
		{Number: 1, Text: "one"}, {Number: 2, Text: "two", Hit: true}, {Number: 3, Text: "three"},
		{Number: 4, Text: "four"}, {Number: 5, Text: "five"}, {Number: 6, Text: "six"},
	}, excerpt.Of(tree, "a.js", 2))
	require.Equal(t, strings.Repeat("é", 300)+"…", excerpt.Of(tree, "long.js", 1)[0].Text)
	require.Equal(t, "a\ufffdb", excerpt.Of(tree, "bad.js", 1)[0].Text)
	require.Nil(t, excerpt.Of(tree, "a.js", 0))
	require.Nil(t, excerpt.Of(tree, "a.js", 9))
	require.Nil(t, excerpt.Of(tree, "../a.js", 1))
	require.Nil(t, excerpt.Of(tree, "none.js", 1))
	require.Nil(t, excerpt.Of(nil, "a.js", 1))
}
