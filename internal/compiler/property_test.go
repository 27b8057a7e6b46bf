package compiler_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/compiler"
)

const propertyText = "aZ1_ é\u00dfЖж漢かΩ٣\U0001d400\U0001f600!-]\\{}\u00a0"

// TestProperties compares \p and \P with Node.js.
func TestProperties(t *testing.T) {
	t.Parallel()
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("node is not installed")
	}
	quoted, err := json.Marshal(propertyText)
	require.NoError(t, err)
	var programs []string
	for _, p := range []string{
		`\p{L}`, `\P{L}`, `\p{Lu}`, `\p{Uppercase_Letter}`, `\p{N}`, `\p{Nd}`, `\p{P}`, `\p{Zs}`, `\p{Script=Cyrillic}`, `\p{sc=Han}`,
		`\P{Script=Greek}`, `\p{Alphabetic}`, `\p{Uppercase}`, `\p{Lowercase}`, `\p{White_Space}`, `\p{ASCII}`, `\p{Any}`, `\p{gc=Ll}`,
		`[\p{L}\d_]`, `[^\p{L}]`, `[\P{L}x]`, `[^\P{L}]`, `\p{L}+`, `(?<=\p{L})\d`, `[a\]\p{Nd}]`, `\\p{1}`, `\p{L}{1,2}`, `^\p{Lu}|\p{Lu}$`,
	} {
		for _, flags := range []string{"gu", "giu"} {
			if p == `\\p{1}` {
				continue
			}
			pattern, _ := json.Marshal(p)
			programs = append(programs,
				fmt.Sprintf(`var out = %s.match(/%s/%s)`, quoted, p, flags),
				fmt.Sprintf(`var out = %s.match(new RegExp(%s, %q))`, quoted, pattern, flags))
		}
	}
	programs = append(programs, `var out = "p{L}".match(/\p{L}/g)`)
	text, err := json.Marshal(programs)
	require.NoError(t, err)
	cmd := exec.CommandContext(t.Context(), node, "-e", `
		console.log(JSON.stringify(JSON.parse(require("fs").readFileSync(0, "utf8")).map(p => JSON.stringify(new Function(p + "; return out")()))))`)
	cmd.Stdin = bytes.NewReader(text)
	output, err := cmd.Output()
	require.NoError(t, err)
	var want []string
	require.NoError(t, json.Unmarshal(output, &want))
	for i, program := range programs {
		require.Equal(t, want[i], runProgram(program), program)
	}
}

// TestUnknownProperties: one that is not known is an error at its place.
func TestUnknownProperties(t *testing.T) {
	t.Parallel()
	for _, source := range []string{"\n /\\p{Emoji}/u", "\n /[\\P{Nonsense}]/u", "\n RegExp(\"\\\\p{Script=Klingon}\", \"u\")"} {
		_, fault := compiler.Compile("x.js", source, false)
		require.NotNil(t, fault, source)
		require.Equal(t, 2, fault.Line)
		require.Contains(t, fault.Message, "SyntaxError: \\")
		require.Contains(t, fault.Message, "in a regular expression is not known here")
	}
}

// TestManyProperties: what the properties of a script become is bounded.
func TestManyProperties(t *testing.T) {
	t.Parallel()
	for _, source := range []string{
		"[" + strings.Repeat(`/\p{L}/u,`, 1000) + "]",
		"/" + strings.Repeat(`\p{L}`, 1000) + "/u",
	} {
		_, fault := compiler.Compile("x.js", source, false)
		require.NotNil(t, fault)
		require.Equal(t, "SyntaxError: the properties in regular expressions are too many", fault.Message)
	}
	_, fault := compiler.Compile("x.js", "["+strings.Repeat(`/\p{Lt}/u,`, 1000)+"]", false)
	require.Nil(t, fault)
}
