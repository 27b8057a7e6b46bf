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
		`form-data; name=`:                                 "",
		`form-data; filename="x"`:                          "",
		`form-data`:                                        "",
		``:                                                 "",
		`;;;`:                                              "",
	} {
		require.Equal(t, want, headers.FormName(disposition), disposition)
	}
}
