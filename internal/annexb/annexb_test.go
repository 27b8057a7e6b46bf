package annexb_test

import (
	"testing"

	"github.com/dop251/goja"
	"github.com/stretchr/testify/require"

	"example.com/callback/internal/annexb"
)

// A run whose time is over before its script begins must not go on.
func TestInstallKeepsInterrupt(t *testing.T) {
	t.Parallel()
	for _, source := range []string{`"a".bold()`, `RegExp.$1`} {
		vm := goja.New()
		vm.Interrupt(nil)
		func() {
			defer func() { require.IsType(t, &goja.InterruptedError{}, recover(), source) }()
			annexb.Install(vm, annexb.For(source))
		}()
	}
}

func TestInstallInBrokenRuntime(t *testing.T) {
	t.Parallel()
	vm := goja.New()
	_, err := vm.RunString(`Object.defineProperty = null`)
	require.NoError(t, err)
	annexb.Install(vm, annexb.For(`"a".bold(); RegExp.$1`))
	_, err = vm.RunString(`"a".bold()`)
	require.Error(t, err)
}
