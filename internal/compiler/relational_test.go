package compiler_test

import (
	"testing"

	"github.com/dop251/goja"
	"github.com/stretchr/testify/require"

	"example.com/callback/internal/compiler"
)

// TestRelationalOperators has expressions whose value depends on how they are
// grouped.
func TestRelationalOperators(t *testing.T) {
	t.Parallel()
	for expression, want := range map[string]bool{
		`3 > 2 > 1`:                              false,
		`3 > (2 > 1)`:                            true,
		`0 < 50 < 10`:                            true,
		`0 < (50 < 10)`:                          false,
		`0 < ((50) < 10)`:                        false,
		`0 < (50) < 10`:                          true,
		`0 < (50) < (10)`:                        true,
		`0 < (50 + (1)) < 10`:                    true,
		`0 < (50 + (1) < 10)`:                    false,
		`(0 + (0)) < (50) < 10`:                  true,
		`(0 + (0)) < (50 < 10)`:                  false,
		`0 < (id)(50) < 10`:                      true,
		`0 < (id)(id(50) < 10)`:                  false,
		`0 < ((id)(50) < 10)`:                    false,
		`0 < id(")") < 10`:                       true,
		`0 < id("50(") < 10 < 2`:                 true,
		`0 < /* ( */ 50 /* ) */ < 10`:            true,
		"0 < // (\n 50 < 10":                     true,
		`0 < ( /* ) */ 50 < 10)`:                 false,
		`3 > 2 > 1 > 0`:                          false,
		`3 > 2 >= 1 > 0`:                         true,
		`1 < 2 < 3 < 4 === true`:                 true,
		`3 > 2 > 1 || 5 > 4 > 3`:                 false,
		`[].concat(3 > 2 > 1)[0]`:                false,
		`(function () { return 3 > 2 > 1 })()`:   false,
		`(() => 3 > 2 > 1)()`:                    false,
		`"a" in {a: 1} in {true: 1}`:             true,
		`[] instanceof Array instanceof Boolean`: false,
		`0 < i++ < 2`:                            true,
		`0 < 50 / 2 < 10`:                        true,
		`0 < (50 / 2 < 10)`:                      false,
	} {
		s, fault := compiler.Compile("callbacks/hello.js", `var i = 5; function id(x) { return x; } var result = (`+expression+`);`, false)
		require.Nil(t, fault, expression)
		vm := goja.New()
		_, err := vm.RunProgram(s.Program)
		require.NoError(t, err, expression)
		require.Equal(t, want, vm.Get("result").ToBoolean(), expression)
	}
}
