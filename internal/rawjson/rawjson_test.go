package rawjson_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/rawjson"
)

func TestText(t *testing.T) {
	t.Parallel()
	for value, want := range map[string]string{
		`"a"`: "a", `""`: "", `"\u00e9\n"`: "é\n", `"\"`: `"\"`, "1": "1", "null": "null", "[1]": "[1]",
	} {
		require.Equal(t, want, string(rawjson.Text([]byte(value))), value)
	}
}

func TestCut(t *testing.T) {
	t.Parallel()
	name, value, rest, ok := rawjson.CutMember([]byte(`"a\"":{"b":[1,"]"]},"c":2}`))
	require.True(t, ok)
	require.Equal(t, []string{`a"`, `{"b":[1,"]"]}`, `"c":2}`}, []string{string(name), string(value), string(rest)})
	name, value, rest, ok = rawjson.CutMember(rest)
	require.True(t, ok)
	require.Equal(t, []string{"c", "2", "}"}, []string{string(name), string(value), string(rest)})
	value, rest, ok = rawjson.CutElement([]byte(`"x,y",[],3]`))
	require.True(t, ok)
	require.Equal(t, []string{`"x,y"`, "[],3]"}, []string{string(value), string(rest)})
	for _, broken := range []string{"", `"a"`, `"a":`, `"a":1`, `1:2}`, `,`, `"a`, `"a":"b`, `"a":[1}`, `:1}`, `}`} {
		_, _, _, ok := rawjson.CutMember([]byte(broken))
		require.False(t, ok, broken)
	}
}
