package callback_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// TestResponseHeaderLimits sets as many headers as are allowed, and one more.
func TestResponseHeaderLimits(t *testing.T) {
	t.Parallel()
	const maxHeaders, maxBytes = 100, 64 << 10
	for _, test := range []struct {
		name    string
		headers string // a JavaScript expression
		last    string // the value of X-Last, which is set last
		dropped int    // log lines
	}{
		{"as many as are allowed", `many("X-", 99, "v")`, "v", 0},
		{"one too many", `many("X-", 100, "v")`, "", 1},
		{"as many values of one", `{"X-A": Object.values(many("X-", 99, "v"))}`, "v", 0},
		{"one value of one too many", `{"X-A": Object.values(many("X-", 100, "v"))}`, "", 1},
		// Six bytes are the name's, one is the value's.
		{"as long as is allowed", fmt.Sprintf(`{"X-Long": text(%d)}`, maxBytes-len("X-Long")-len("X-Lastv")), "v", 0},
		{"a byte too long", fmt.Sprintf(`{"X-Long": text(%d)}`, maxBytes-len("X-Long")-len("X-Lastv")+1), "", 1},
		{"one that is too long", fmt.Sprintf(`{"X-Long": text(%d)}`, maxBytes), "", 2},
		// After that many dropped headers the others are ignored.
		{"as many bad names as are told", `many("X ", 100, "v")`, "v", 100},
		{"one bad name more", `many("X ", 101, "v")`, "", 100},
		{"as many bad values as are told", `{"X-A": Object.values(many("X-", 100, "\n"))}`, "v", 100},
		{"one bad value more", `{"X-A": Object.values(many("X-", 101, "\n")).concat("good")}`, "", 100},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			h, log := httpHandler(`
				function many(prefix, n, value) {
					for (var o = {}, i = 0; i < n; i++) o[prefix + i] = value;
					return o;
				}
				function text(n) { return new Array(n + 1).join("x") }
				Spark.setScriptData("RESPONSE_HEADERS", Object.assign(` + test.headers + `, {"X-Last": "v"}));
			`)
			w := get(t, h, helloURL)
			require.Equal(t, 200, w.Code)
			require.Equal(t, test.last, w.Header().Get("X-Last"))
			require.Equal(t, test.dropped, strings.Count(log.String(), "response header dropped"), log)
			require.NotContains(t, w.Header()["X-A"], "good")
			require.LessOrEqual(t, len(w.Header()), maxHeaders+5, "five are the library's")
		})
	}
}
