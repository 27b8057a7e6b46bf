package check_test

import (
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"

	"example.com/callback"
)

var update = flag.Bool("update", false, "rewrite the reports in testdata")

// TestTrees checks the trees in testdata. Each file is one: a comment, scripts,
// and what Check reports. "report of all" is that with CheckOptions.All, and
// "report with a b" that with these members.
func TestTrees(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("testdata/*.txtar")
	require.NoError(t, err)
	require.NotEmpty(t, files)
	for _, file := range files {
		t.Run(filepath.Base(file), func(t *testing.T) {
			t.Parallel()
			archive, err := txtar.ParseFile(file)
			require.NoError(t, err)
			tree := fstest.MapFS{}
			for _, f := range archive.Files {
				if !strings.HasPrefix(f.Name, "report") {
					tree[f.Name] = &fstest.MapFile{Data: f.Data}
				}
			}
			for i, f := range archive.Files {
				title, names, _ := strings.Cut(f.Name, " with ")
				if !strings.HasPrefix(title, "report") {
					continue
				}
				report, err := callback.Check(tree, callback.CheckOptions{Members: strings.Fields(names), All: title == "report of all"})
				require.NoError(t, err)
				var text strings.Builder
				require.NoError(t, report.WriteText(&text, true))
				if *update {
					archive.Files[i].Data = []byte(text.String())
					continue
				}
				require.Equal(t, string(f.Data), text.String(), f.Name)
			}
			if *update {
				require.NoError(t, os.WriteFile(file, txtar.Format(archive), 0o600))
			}
		})
	}
}
