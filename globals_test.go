package callback

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/web"
)

// listGlobals lists the standard globals with their members: of an object, of a
// class and of the class's constructor.
const listGlobals = `
	var all = {};
	function names(o) {
		return Object.getOwnPropertyNames(o).filter(function (n) {
			return !/^(constructor|prototype|length|name)$/.test(n) && !/_ERR$/.test(n) || Object.getOwnPropertyDescriptor(o, n).get;
		}).sort();
	}
	NAMES.forEach(function (name) {
		var v = globalThis[name];
		if (name === "self") all[name] = {};
		else if (typeof v === "object") all[name] = { members: names(name === "console" ? v : Object.getPrototypeOf(v)) };
		else if (v.prototype && Object.getOwnPropertyNames(v.prototype).length > 1) all[name] = { members: names(v.prototype), statics: names(v) };
		else all[name] = { length: v.length };
	});
	Spark.setScriptData("all", all);
`

// TestGlobalDeclarations compares globals.d.ts with the globals that exist.
func TestGlobalDeclarations(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("globals.d.ts")
	require.NoError(t, err)
	declared := map[string][]string{}
	parents := map[string]string{}
	for _, m := range regexp.MustCompile(`(?ms)^interface (\w+)(?: extends (\w+)[^{]*)? \{\n(.*?)^\}`).FindAllSubmatch(text, -1) {
		names := []string{}
		for _, member := range regexp.MustCompile(`(?m)^\t(?:readonly )?(\w+)(?:<[^>]*>)?\??[(:]`).FindAllSubmatch(m[3], -1) {
			names = append(names, string(member[1]))
		}
		declared[string(m[1])] = slices.Compact(names)
		parents[string(m[1])] = string(m[2])
	}
	members := func(class string) []string {
		names := slices.Concat(declared[class], declared[parents[class]])
		slices.Sort(names)
		return slices.Compact(names)
	}
	statics := map[string][]string{}
	var variables []string
	for _, m := range regexp.MustCompile(`(?ms)^declare var (\w+): (?:\{\n(.*?)^\}|[\w ]+);`).FindAllSubmatch(text, -1) {
		variables = append(variables, string(m[1]))
		statics[string(m[1])] = []string{}
		for _, member := range regexp.MustCompile(`(?m)^\t(\w+)\(`).FindAllSubmatch(m[2], -1) {
			statics[string(m[1])] = append(statics[string(m[1])], string(member[1]))
		}
		slices.Sort(statics[string(m[1])])
	}
	for _, m := range regexp.MustCompile(`(?m)^declare function (\w+)`).FindAllSubmatch(text, -1) {
		variables = append(variables, string(m[1]))
	}
	require.ElementsMatch(t, web.Names(), variables)

	names, err := json.Marshal(web.Names())
	require.NoError(t, err)
	h := &Handler{
		Secrets: SecretMap{"E3/list": "s3cret"},
		Runner: &GojaRunner{Scripts: fstest.MapFS{
			"callbacks/list.js": {Data: []byte("var NAMES = " + string(names) + ";" + listGlobals)},
		}},
	}
	answer := httptest.NewRecorder()
	h.ServeHTTP(answer, httptest.NewRequest(http.MethodGet, "/callback/E3/list/s3cret", nil))
	var got struct {
		All map[string]struct {
			Members, Statics []string
			Length           int
		}
	}
	require.NoError(t, json.Unmarshal(answer.Body.Bytes(), &got), answer.Body)
	require.Len(t, got.All, len(web.Names()))
	for name, is := range got.All {
		class := map[string]string{"console": "Console", "crypto": "Crypto"}[name]
		if class == "" {
			class = name
		}
		if is.Members != nil {
			require.Equal(t, members(class), is.Members, name)
		}
		if is.Statics != nil {
			require.Equal(t, statics[name], is.Statics, name)
		}
	}
}

// pageExample is an example of docs/globals.md.
var pageExample = regexp.MustCompile("(?ms)^```js\n(.*?)^```$")

// TestGlobalsPage compiles the examples of docs/globals.md, and looks for each
// global in its table.
func TestGlobalsPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/globals.md")
	require.NoError(t, err)
	dir := t.TempDir()
	var files []string
	for i, m := range pageExample.FindAllSubmatch(page, -1) {
		file := filepath.Join(dir, "example"+string(rune('a'+i))+".js")
		require.NoError(t, os.WriteFile(file, m[1], 0o600))
		files = append(files, file)
	}
	require.NotEmpty(t, files)
	for _, name := range web.Names() {
		if !slices.Contains([]string{"Crypto", "CryptoKey", "SubtleCrypto"}, name) { // whose objects are in it
			require.Regexp(t, "`"+name+"[`.]", string(page))
		}
	}
	said := typeCheck(t, files...)
	for file, complaints := range said {
		for _, complaint := range complaints {
			require.True(t, strings.Contains(complaint, "implicitly has an 'any' type"), "%s: %s", file, complaint)
		}
	}
}
