package callback_test

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback"
)

// TestHostingPage: each Go block of docs/hosting.md is part of a file that go
// test runs, its links lead somewhere, and its table has all outcomes.
func TestHostingPage(t *testing.T) {
	t.Parallel()
	text, err := os.ReadFile("docs/hosting.md")
	require.NoError(t, err)
	page := string(text)
	var examples string
	for _, file := range []string{"hosting_example_test.go", "examples/ratelimit/main.go", "otelcallback/otelcallback_test.go"} {
		source, err := os.ReadFile(file)
		require.NoError(t, err)
		examples += string(source)
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(page, -1)
	require.NotEmpty(t, blocks)
	for _, block := range blocks {
		require.Contains(t, examples, "\n"+block[1])
	}
	for _, block := range regexp.MustCompile("(?s)```text\n(.*?)```").FindAllStringSubmatch(page, -1) {
		require.Contains(t, examples, "\t// "+strings.ReplaceAll(strings.TrimSpace(block[1]), "\n", "\n\t// "))
	}
	for _, link := range regexp.MustCompile(`\]\(([^)#]+)\)`).FindAllStringSubmatch(page, -1) {
		_, err := os.Stat(filepath.Join("docs", link[1]))
		require.NoError(t, err, link[1])
	}
	for _, outcome := range []callback.Outcome{
		callback.OutcomeOK, callback.OutcomeScriptError, callback.OutcomeTimeout, callback.OutcomeNoScript,
		callback.OutcomeOverloaded, callback.OutcomeTooMany, callback.OutcomeUnavailable, callback.OutcomeTooLarge,
		callback.OutcomeBadRequest, callback.OutcomeCanceled, callback.OutcomePanic, callback.OutcomeInternal,
	} {
		require.Contains(t, page, "\n| `"+string(outcome)+"` | ")
	}
}

// TestQueuesPage: the program of docs/queues.md is that of an example which compiles.
func TestQueuesPage(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("docs/queues.md")
	require.NoError(t, err)
	source, err := os.ReadFile("rivercallback/example_test.go")
	require.NoError(t, err)
	_, program, ok := strings.Cut(strings.Replace(string(source), "func Example()", "func main()", 1), "\nfunc main()")
	require.True(t, ok)
	require.Contains(t, string(page), "```go\nfunc main()"+program+"```\n")
}

// TestExamplesRunInUTC: scripts run in the zone of the process, and the original's
// ran in UTC.
func TestExamplesRunInUTC(t *testing.T) {
	t.Parallel()
	programs, err := filepath.Glob("examples/*/main.go")
	require.NoError(t, err)
	require.NotEmpty(t, programs)
	for _, program := range programs {
		source, err := os.ReadFile(program)
		require.NoError(t, err)
		require.Contains(t, string(source), "\ttime.Local = time.UTC", program)
	}
}
