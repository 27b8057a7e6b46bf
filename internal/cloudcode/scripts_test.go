package cloudcode_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/cloudcode"
)

func TestMainScripts(t *testing.T) {
	t.Parallel()
	require.Equal(t, []string{"callbacks/hello.js"}, cloudcode.MainScripts("hello", ""))
	require.Equal(t, []string{"modules/JOB.js"}, cloudcode.MainScripts("hello", "JOB"))
	require.Equal(t, []string{"system/GS_CALLBACK_URL.js", "callbacks/server.js"}, cloudcode.MainScripts("", ""))
	require.Empty(t, cloudcode.MainScripts("../x", ""))
	require.Empty(t, cloudcode.MainScripts("hello", "../x"))
	for _, file := range append(cloudcode.MainScripts("", ""), cloudcode.MainScripts("a-B_9", "")[0], cloudcode.Module("API")) {
		require.True(t, cloudcode.IsScript(file), file)
	}
}

func TestIsName(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]bool{
		"a": true, "A-b_0": true, strings.Repeat("x", 128): true,
		"": false, strings.Repeat("x", 129): false,
		".": false, "..": false, "a.b": false, "a/b": false, "a b": false, "é": false, "a\x00": false, "%41": false,
	} {
		require.Equal(t, want, cloudcode.IsName(name), "%q", name)
	}
}

func TestIsScript(t *testing.T) {
	t.Parallel()
	for _, file := range []string{
		"", "hello.js", "callbacks", "callbacks/", "callbacks/.js", "callbacks/hello", "callbacks/hello.json",
		"callbacks/a/b.js", "callbacks/../secret.js", "callbacks/a.b.js", "system/other.js", "event/x.js",
		"callbacks/" + strings.Repeat("x", 129) + ".js", "/callbacks/hello.js",
	} {
		require.False(t, cloudcode.IsScript(file), "%q", file)
	}
}
