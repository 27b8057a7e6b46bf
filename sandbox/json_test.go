package sandbox

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/stretchr/testify/require"
)

// compactJSON accepts what package encoding/json does, if it is valid UTF-8 and has
// no white space.
func FuzzCompactJSON(f *testing.F) {
	for _, text := range []string{
		`null`, `true`, `false`, `0`, `-0`, `-12.5e+10`, `1E5`, `1e-5`, `""`, `"a\u00fFb\"\\\/\b\f\n\r\t"`, `"ü€😀"`,
		`[]`, `{}`, `[[],{}]`, `{"a":1,"b":[1,2,{"c":null}]}`, `[1,[2,[3]],4]`,
		``, ` `, `nul`, `nulll`, `01`, `-`, `.5`, `1.`, `1e`, `1e+`, `+1`, `"`, `"\`, `"\x"`, `"\u12"`, `"\u123g"`, "\"\x01\"", "\"\xff\"",
		`[`, `]`, `[1`, `[1,`, `[1,]`, `[,1]`, `{`, `}`, `{"a"`, `{"a":`, `{"a":1`, `{"a":1,`, `{"a":1,}`, `{a:1}`, `{1:1}`, `{"a" 1}`,
		`[}`, `{]`, `[1}`, `{"a":1]`, `[1 ,2]`, ` 1`, `1 `, `1 2`, `12a`, `truefalse`, "\ufeff1", `NaN`, `"a""b"`,
	} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		var compact bytes.Buffer
		want := utf8.Valid(text) && json.Compact(&compact, text) == nil && compact.Len() == len(text)
		require.Equal(t, want, compactJSON(text), "%q", text)
	})
}

func TestCompactJSONDepth(t *testing.T) {
	t.Parallel()
	nested := func(n int) []byte { return []byte(strings.Repeat("[", n) + "0" + strings.Repeat("]", n)) }
	require.True(t, compactJSON(nested(maxJSONDepth)))
	require.True(t, json.Valid(nested(maxJSONDepth)))
	require.False(t, compactJSON(nested(maxJSONDepth+1)))
	require.False(t, json.Valid(nested(maxJSONDepth+1)))
}

func BenchmarkCompactJSON(b *testing.B) {
	for name, text := range map[string]string{
		"numbers": "[" + strings.Repeat("1,", 1<<19) + "1]",
		"text":    `"` + strings.Repeat("abcdefgh", 1<<17) + `"`,
		"escapes": `"` + strings.Repeat(`\u0000`, 1<<17) + `"`,
		"objects": "[" + strings.Repeat(`{"":0},`, 1<<17) + "1]",
	} {
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(text)))
			for b.Loop() {
				if !compactJSON([]byte(text)) {
					b.Fatal(name)
				}
			}
		})
	}
}
