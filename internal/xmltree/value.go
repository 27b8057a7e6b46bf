package xmltree

import (
	"regexp"

	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/lazy"
)

// Value makes the JavaScript object of an element: child elements by name (an
// array when repeated), attributes under "@name", and two methods.
func (n *Node) Value(vm *goja.Runtime) *goja.Object {
	object := vm.NewObject()
	for _, a := range n.Attrs {
		ecma.Define(object, "@"+a.Name, vm.ToValue(a.Value))
	}
	for _, group := range n.Groups() {
		if len(group.Nodes) == 1 {
			ecma.Define(object, group.Name, group.Nodes[0].Value(vm))
			continue
		}
		items := make([]any, len(group.Nodes))
		for i, child := range group.Nodes {
			items[i] = child.Value(vm)
		}
		ecma.Define(object, group.Name, vm.NewArray(items...))
	}
	lazy.Method(vm, object, "toString", func(goja.FunctionCall) goja.Value { return vm.ToValue(n.Text()) })
	lazy.Method(vm, object, "toXMLString", func(goja.FunctionCall) goja.Value { return vm.ToValue(n.Markup()) })
	return object
}

var encoding = regexp.MustCompile(`^<\?xml[^>]{0,100}\bencoding\s*=\s*["']([A-Za-z0-9._-]+)["']`)

// Encoding returns the charset that a document declares in its first line, or the
// empty string.
func Encoding(document []byte) string {
	if label := encoding.FindSubmatch(document); label != nil {
		return string(label[1])
	}
	return ""
}
