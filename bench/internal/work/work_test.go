package work

import (
	"net/http"
	"os"
	"strings"
	"testing"

	"example.com/callback/sandbox"
)

func TestMain(m *testing.M) {
	Main()
	sandbox.Main()
	os.Exit(m.Run())
}

// Every variant gives the same status, headers and body.
func TestSameAnswers(t *testing.T) {
	upstream := Upstream()
	defer upstream.Close()
	for _, w := range All(upstream.URL) {
		var status int
		var header http.Header
		var body string
		for _, v := range VariantsOf(w) {
			h, err := v.New(w, t.TempDir())
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { Close(h) })
			c := w.NewClient(h)
			for range 2 { // again: nothing is left over
				s := c.Do()
				h, b := c.Answer()
				if body == "" {
					status, header, body = s, h.Clone(), b
					t.Logf("%s: %d %s", w.Name, s, b)
				}
				if s != status || b != body {
					t.Errorf("%s %s: got %d %s, want %d %s", w.Name, v.Name, s, b, status, body)
				}
				for name := range header {
					if h.Get(name) != header.Get(name) {
						t.Errorf("%s %s: header %s is %q, want %q", w.Name, v.Name, name, h.Get(name), header.Get(name))
					}
				}
				if len(h) != len(header) {
					t.Errorf("%s %s: headers %v, want %v", w.Name, v.Name, h, header)
				}
			}
		}
		if status != 200 {
			t.Errorf("%s: status %d", w.Name, status)
		}
	}
}

// sobek.go is goja.go with another import.
func TestSobekIsGenerated(t *testing.T) {
	read := func(name string) string {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	source := read("goja.go")
	i, j := strings.Index(source, "// Bare goja"), strings.Index(source, "// gojaWorld is")
	source = source[:i] + source[j:]
	want := strings.NewReplacer("github.com/dop251/goja", "github.com/grafana/sobek", "goja", "sobek", "Goja", "Sobek").Replace(source)
	if squeeze(read("sobek.go")) != squeeze(want) {
		t.Error("sobek.go is not up to date: run go generate")
	}
}

func squeeze(s string) string { return strings.Join(strings.Fields(s), " ") }
