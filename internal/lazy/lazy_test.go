package lazy_test

import (
	"testing"

	"github.com/dop251/goja"
	"github.com/stretchr/testify/require"

	"example.com/callback/internal/lazy"
)

// An owner counts what its members cost.
type owner struct {
	vm   *goja.Runtime
	made []string
}

func (o *owner) constant(name string) func(*owner) goja.Value {
	return func(o *owner) goja.Value {
		o.made = append(o.made, name)
		return o.vm.ToValue(name + "!")
	}
}

func newClass() *lazy.Class[*owner] {
	return &lazy.Class[*owner]{
		Name: "Thing",
		Members: []lazy.Member[*owner]{
			lazy.Value("a", (*owner)(nil).constant("a")),
			lazy.Func("say", func(o *owner, call lazy.Call) goja.Value {
				return o.vm.ToValue(call.Member() + " " + call.Text(0, "text"))
			}),
			lazy.Value("b", (*owner)(nil).constant("b")),
		},
		Override: func(o *owner, name string) goja.Value {
			if name == "b" || name == "host" {
				return o.vm.ToValue("host's " + name)
			}
			return nil
		},
		OverrideNames: func(*owner) []string { return []string{"b", "host"} },
		Fallback: func(o *owner, name string) goja.Value {
			if name == "known" {
				return o.vm.ToValue("fallback")
			}
			return nil
		},
	}
}

func TestObject(t *testing.T) {
	t.Parallel()
	for _, test := range []struct{ script, want string }{
		{`o.a + o.a`, "a!a!"},
		{`o.b`, "host's b"},
		{`o.host`, "host's host"},
		{`o.known`, "fallback"},
		{`String(o.nothing)`, "undefined"},
		{`o.say("x")`, "Thing.say x"},
		{`o.say(1.5) + o.say(true)`, "Thing.say 1.5Thing.say true"},
		{`o.say.name + (o.say === o.say)`, "saytrue"},
		{`try { o.say({}) } catch (e) { e.name + ": " + e.message }`, "TypeError: Thing.say: text must be a string"},
		{`try { o.say(new String("x")) } catch (e) { e.message }`, "Thing.say: text must be a string"},
		{`Object.keys(o).join()`, "a,say,b,host"},
		{`"a" in o && "say" in o && "known" in o && !("x" in o)`, "true"},
		{`o.a = 1; o.a`, "1"},
		{`delete o.a; o.a + Object.keys(o).join() + ("a" in o)`, "undefinedsay,b,hostfalse"},
		{`o.x = 1; o.y = 2; delete o.x; Object.keys(o).join() + o.y`, "a,say,b,host,y2"},
		{`o.known; Object.keys(o).join()`, "a,say,b,host"},
		{`o.known = 1; Object.keys(o).join()`, "a,say,b,host,known"},
		{`delete o.b; o.b = 3; o.b + Object.keys(o).join()`, "3a,say,b,host"},
	} {
		t.Run(test.script, func(t *testing.T) {
			t.Parallel()
			vm := goja.New()
			require.NoError(t, vm.Set("o", lazy.New(vm, newClass(), &owner{vm: vm})))
			got, err := vm.RunString(test.script)
			require.NoError(t, err)
			require.Equal(t, test.want, got.String())
		})
	}
}

// A member is made once, and only if it is read.
func TestMembersAreMadeWhenRead(t *testing.T) {
	t.Parallel()
	o := &owner{vm: goja.New()}
	class := newClass()
	require.NoError(t, o.vm.Set("o", lazy.New(o.vm, class, o)))
	_, err := o.vm.RunString(`Object.keys(o); "a" in o; o.say("x")`)
	require.NoError(t, err)
	require.Empty(t, o.made)
	_, err = o.vm.RunString(`o.a; o.a; o.b`)
	require.NoError(t, err)
	require.Equal(t, []string{"a"}, o.made)
	require.Equal(t, []string{"a", "say", "b"}, class.Names())
}

// A class without hooks has its members only.
func TestPlainClass(t *testing.T) {
	t.Parallel()
	vm := goja.New()
	class := &lazy.Class[*owner]{Members: []lazy.Member[*owner]{
		lazy.Func("require", func(o *owner, call lazy.Call) goja.Value { call.Throw("code", "is missing"); return nil }),
	}}
	var object lazy.Object[*owner]
	require.NoError(t, vm.Set("o", object.Init(vm, class, &owner{vm: vm})))
	got, err := vm.RunString(`try { o.require() } catch (e) { e.message + o.x + Object.keys(o) }`)
	require.NoError(t, err)
	require.Equal(t, "require: code is missingundefinedrequire", got.String())
}
