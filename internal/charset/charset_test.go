package charset_test

import (
	"strings"
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/charset"
)

func TestLookupLoosely(t *testing.T) {
	t.Parallel()
	for label, want := range map[string]bool{
		"":                                      true,
		"'UTF-8'":                               true,
		`"utf_8"`:                               true,
		"latin-1":                               true,
		"ISO_8859-15":                           true,
		"mine":                                  false,
		"replacement":                           false,
		"iso-2022-kr":                           false,
		"latin" + strings.Repeat("-", 58) + "1": true,
		"latin" + strings.Repeat("-", 59) + "1": false, // too long
	} {
		_, ok := charset.LookupLoosely(label)
		require.Equal(t, want, ok, label)
	}
}
