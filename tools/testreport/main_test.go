package main

import (
	"regexp"
	"strings"
	"testing"
)

const run = `{"Action":"start","Package":"p"}
{"Action":"run","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Test":"TestA","Output":"    a_test.go:3: what is wrong\n"}
{"Action":"fail","Package":"p","Test":"TestA","Elapsed":1}
{"Action":"output","Package":"p","Test":"TestB","Output":"    b_test.go:7: needs Linux\n"}
{"Action":"output","Package":"p","Test":"TestB","Output":"--- SKIP: TestB (0.00s)\n"}
{"Action":"skip","Package":"p","Test":"TestB"}
{"Action":"pass","Package":"p","Test":"TestC","Elapsed":2}
`

func TestReport(t *testing.T) {
	t.Parallel()
	without := strings.Replace(run, `"Action":"fail"`, `"Action":"pass"`, 1)
	for _, test := range []struct {
		name, in, maySkip string
		ok                bool
		want              string
	}{
		{name: "a failure", in: run, maySkip: "Linux", want: "the first failure: p TestA\n    a_test.go:3: what is wrong\n"},
		{name: "a skip that is allowed", in: without, maySkip: "^needs Linux$", ok: true, want: "2 passed, 0 failed, 1 skipped\n"},
		{name: "a skip that is not", in: without, maySkip: "^$", want: "must not be skipped here: p TestB: needs Linux\n"},
		{name: "a crash", in: `{"Action":"output","Package":"p","Test":"TestA","Output":"panic: test timed out\n"}
{"Action":"output","Package":"p","Test":"TestA","Output":"goroutine 1\n"}
{"Action":"pass","Package":"p","Test":"TestA"}
{"Action":"output","Package":"p","Output":"FAIL\n"}
{"Action":"fail","Package":"p"}`, maySkip: "", want: "--- FAIL: p (0.0 s)\npanic: test timed out\ngoroutine 1\nFAIL\n"},
		{name: "a build that fails", in: `{"ImportPath":"p","Action":"build-output","Output":"a.go:1: broken\n"}
{"Action":"fail","Package":"p"}`, maySkip: "", want: "a.go:1: broken\n--- FAIL: p"},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var out strings.Builder
			ok, err := report(strings.NewReader(test.in), &out, regexp.MustCompile(test.maySkip))
			if err != nil || ok != test.ok || !strings.Contains(out.String(), test.want) {
				t.Errorf("got %t, %v:\n%swant %t:\n%s", ok, err, out.String(), test.ok, test.want)
			}
		})
	}
}
