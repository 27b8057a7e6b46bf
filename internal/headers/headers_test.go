package headers_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/headers"
)

func TestFormName(t *testing.T) {
	t.Parallel()
	for disposition, want := range map[string]string{
		`form-data; name="a"`:                              "a",
		`form-data; name=a`:                                "a",
		`form-data; name="f"; filename=my file.txt`:        "f",
		`form-data; filename=my file.txt; name="f"`:        "f",
		`form-data; filename=a;b.txt; name=after`:          "after",
		`form-data; filename="name=x"; name=plain`:         "plain",
		`form-data; filename="a;name=x b"c"; name="plain"`: "plain",
		`form-data; name=größe`:                            "größe",
		`form-data; name="größe"`:                          "größe",
		`form-data; name="a "quoted" name"`:                `a "quoted" name`,
		`form-data; name="open`:                            "open",
		`form-data; NAME = spaced ; x=y z`:                 "spaced",
		`form-data; name*=UTF-8''%c3%a9`:                   "é",
		`form-data; name="a%22b%0D%0Ac%2"`:                 "a\"b\r\nc%2",
		`form-data; name="a\"b"`:                           `a"b`,
		`form-data; name=`:                                 "",
		`form-data; name=""`:                               "",
	} {
		name, ok := headers.FormName(disposition)
		require.True(t, ok, disposition)
		require.Equal(t, want, name, disposition)
	}
	for _, disposition := range []string{`form-data; filename="x"`, `form-data`, ``, `;;;`} {
		_, ok := headers.FormName(disposition)
		require.False(t, ok, disposition)
	}
}

func TestParseMediaType(t *testing.T) {
	t.Parallel()
	const form = "multipart/form-data"
	for text, want := range map[string]struct {
		mediaType string
		params    map[string]string
	}{
		"text/plain":                                 {"text/plain", nil},
		" Text/HTML ; Charset=UTF-8 ":                {"text/html", map[string]string{"charset": "UTF-8"}},
		`text/plain;charset="a\"b;c"; x="y"z;q=1`:    {"text/plain", map[string]string{"charset": `a"b;c`, "x": "y", "q": "1"}},
		"text/plain; charset=a; charset=b":           {"text/plain", map[string]string{"charset": "a"}},
		"text/plain; charset; =x; b=2":               {"text/plain", map[string]string{"b": "2"}},
		`text/plain; charset="open`:                  {"text/plain", map[string]string{"charset": "open"}},
		`text/plain; charset="open\`:                 {"text/plain", map[string]string{"charset": `open\`}},
		"text/plain; charset=":                       {"text/plain", nil},
		"text/plain;;; a=1;":                         {"text/plain", map[string]string{"a": "1"}},
		"text/plain charset=utf-8":                   {"text/plain", map[string]string{"charset": "utf-8"}},
		"text/plain, charset=utf-8":                  {"text/plain", map[string]string{"charset": "utf-8"}},
		form + "; boundary=----=_Part_1(2):3/4; x=y": {form, map[string]string{"boundary": "----=_Part_1(2):3/4", "x": "y"}},
		"":                  {"", nil},
		";;;":               {"", nil},
		"text":              {"", nil},
		"/plain":            {"", nil},
		"text/":             {"", nil},
		"text/p/q":          {"", nil},
		"x-www-form; a=b/c": {"", nil},
	} {
		mediaType, params := headers.ParseMediaType(text)
		require.Equal(t, want.mediaType, mediaType, text)
		require.Equal(t, want.params, params, text)
	}
}
