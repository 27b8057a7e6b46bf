package cloudcode_test

import (
	"testing"

	"github.com/stretchr/testify/require"

	"example.com/callback/internal/cloudcode"
)

func TestNearest(t *testing.T) {
	t.Parallel()
	for name, want := range map[string]string{
		"setScritpData":          "setScriptData",
		"getdata":                "getData",
		"getDat":                 "getData",
		"getDate":                "getData",
		"getD":                   "get",
		"set":                    "",
		"se":                     "",
		"setScriptDataOfAnother": "",
		"":                       "",
	} {
		require.Equal(t, want, cloudcode.Nearest(name, []string{"getData", "get"}, []string{"setScriptData"}), name)
	}
}
