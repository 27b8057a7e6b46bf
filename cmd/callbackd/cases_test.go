package main

import (
	"bufio"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/txtar"
)

// needsItsHost matches cases about a host other than callbackd: with other
// members, other limits, a clock that stands still, or upstreams.
var needsItsHost = regexp.MustCompile(`(?m)^-- (upstream|handler|request quoted|response quoted)|Date\(\)|Date\.now|Math\.random|randomUUID|getRandomValues|getSessionId|getClientIp|[Cc]ontent-[Ll]ength: [0-9]+\n\nabc|getHttp|fetch\(|` +
	`"getProperties"|Spark\.(getProperties|echo|fails|panics|[a-z]+Collection|loadPlayer|downloadableXml|host)|\b(Game|Broken)\b|upper\(|/a%2Fb/|/%C3%A9|NoServer|/open/`)

// The cases of testdata that any host can serve, by HTTP against a server: the
// answers are those of a Handler.
func TestCasesOverHTTP(t *testing.T) {
	t.Parallel()
	files, err := filepath.Glob("../../testdata/*/*.txtar")
	require.NoError(t, err)
	scripts, secrets := site(t, map[string]string{"secrets.json": `{"E3": {"": ["srv"], "hello": ["s3cret"], "other": ["0ther"]}}`})
	p := start(t, "-scripts", scripts, "-secrets", secrets, "-timeout", "60s", "-headers", "none")
	ran := 0
	var wrong []string
	for _, file := range files {
		text, err := os.ReadFile(file)
		require.NoError(t, err)
		if needsItsHost.Match(text) {
			continue
		}
		name := strings.TrimPrefix(filepath.ToSlash(file), "../../testdata/")
		var requests, responses []string
		for _, folder := range treeFolders {
			require.NoError(t, os.RemoveAll(filepath.Join(scripts, folder)))
		}
		get(t, p.url+"/callback/E3/hello/s3cret") // a call without the script, so that the runner forgets that of the case before
		archive := txtar.Parse(text)
		for _, section := range archive.Files {
			switch section.Name {
			case "request":
				requests = append(requests, string(section.Data))
			case "response":
				responses = append(responses, string(section.Data))
			case "log":
			default:
				write(t, filepath.Join(scripts, section.Name), string(section.Data))
			}
		}
		for i, request := range requests {
			wantStatus, wantBody := splitMessage(responses[i])
			status, body := exchange(t, p.url, request)
			ran++
			if strings.Fields(wantStatus)[0] != status || wantBody != body {
				wrong = append(wrong, fmt.Sprintf("%s: want %s %s, got %s %s", name, wantStatus, wantBody, status, body))
			}
		}
	}
	require.Empty(t, wrong)
	require.Greater(t, ran, 200)
	require.Equal(t, exitOK, p.stop(t))
}

// splitMessage returns the first line and the body of a message in a case file.
func splitMessage(text string) (first, body string) {
	head, body, _ := strings.Cut(text, "\n\n")
	first, _, _ = strings.Cut(head, "\n")
	return strings.TrimSuffix(first, "\n"), strings.TrimSuffix(body, "\n")
}

// exchange sends the request of a case file byte for byte.
func exchange(t *testing.T, base, text string) (status, body string) {
	t.Helper()
	head, content, _ := strings.Cut(strings.TrimSuffix(text, "\n"), "\n\n")
	lines := strings.Split(strings.TrimSuffix(head, "\n"), "\n")
	message := strings.TrimSuffix(lines[0], " HTTP/1.1") + " HTTP/1.1\r\nConnection: close\r\n"
	for _, line := range lines[1:] {
		message += line + "\r\n"
	}
	for name, value := range map[string]any{"Content-Length": len(content), "Host": "callbacks.example"} {
		if !slices.ContainsFunc(lines, func(line string) bool { return strings.HasPrefix(strings.ToLower(line), strings.ToLower(name)+":") }) {
			message += fmt.Sprintf("%s: %v\r\n", name, value)
		}
	}
	conn, err := net.Dial("tcp", strings.TrimPrefix(base, "http://"))
	require.NoError(t, err)
	defer conn.Close()
	_, err = io.WriteString(conn, message+"\r\n"+content)
	require.NoError(t, err)
	method, _, _ := strings.Cut(lines[0], " ")
	response, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	require.NoError(t, err)
	defer response.Body.Close()
	answer, err := io.ReadAll(response.Body)
	require.NoError(t, err)
	return fmt.Sprint(response.StatusCode), string(answer)
}
