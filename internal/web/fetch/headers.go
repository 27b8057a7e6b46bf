// Package fetch implements the Fetch Standard as far as a script needs it to call
// other servers: fetch, Headers, Request, Response and AbortController. Bodies
// are read in full; there are no streams.
package fetch

import (
	"net/http"
	"net/textproto"
	"slices"
	"strings"

	"github.com/dop251/goja"
	"golang.org/x/net/http/httpguts"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/web/realm"
)

// A Header is a name, in lower case, and one of its values.
type Header struct{ Name, Value string }

// headerList is the slot of a Headers.
type headerList struct {
	list      []Header
	immutable bool     // headers of a received answer cannot be changed
	sorted    []Header // combined, for iterators; nil until it is made
}

// maxHeaders bounds a list, far above what HTTP can carry.
const maxHeaders = 10000

// fromHTTP makes the list of an answer's headers. Each byte becomes a character.
func fromHTTP(header http.Header) *headerList {
	h := &headerList{immutable: true}
	for name, values := range header {
		for _, value := range values {
			text := make([]rune, len(value))
			for i := range len(value) {
				text[i] = rune(value[i])
			}
			h.list = append(h.list, Header{strings.ToLower(name), string(text)})
		}
	}
	slices.SortStableFunc(h.list, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
	return h
}

// toHTTP makes the headers of a request. Each character becomes a byte.
func (h *headerList) toHTTP() http.Header {
	header := http.Header{}
	for _, item := range h.list {
		value := make([]byte, 0, len(item.Value))
		for _, r := range item.Value {
			value = append(value, byte(r))
		}
		name := textproto.CanonicalMIMEHeaderKey(item.Name)
		header[name] = append(header[name], string(value))
	}
	return header
}

func (h *headerList) clone() *headerList { return &headerList{list: slices.Clone(h.list)} }

// name converts and checks the name of a header.
func (h *headerList) name(r *realm.Realm, v goja.Value) string {
	text := r.String(v)
	if !httpguts.ValidHeaderFieldName(text) {
		r.TypeError("Headers: %q is not the name of a header", text[:min(len(text), 100)])
	}
	return strings.ToLower(text)
}

// value converts and checks the value of a header.
func (h *headerList) value(r *realm.Realm, v goja.Value) string {
	text := strings.Trim(r.String(v), "\t\n\r ")
	for _, c := range text {
		if c > 0xff || c < ' ' && c != '\t' || c == 0x7f {
			r.TypeError("Headers: a value has a character that no header can have")
		}
	}
	return text
}

// change must be called before the list changes.
func (h *headerList) change(r *realm.Realm) {
	if h.immutable {
		r.TypeError("Headers: those of an answer cannot be changed")
	}
	if len(h.list) >= maxHeaders {
		r.RangeError("Headers: too many")
	}
	h.sorted = nil
}

func (h *headerList) append(r *realm.Realm, name, value goja.Value) {
	item := Header{h.name(r, name), h.value(r, value)}
	h.change(r)
	h.list = append(h.list, item)
}

func (h *headerList) remove(name string) {
	h.list = slices.DeleteFunc(h.list, func(item Header) bool { return item.Name == name })
}

// get joins the values of a header.
func (h *headerList) get(name string) (value string, ok bool) {
	var values []string
	for _, item := range h.list {
		if item.Name == name {
			values = append(values, item.Value)
		}
	}
	return strings.Join(values, ", "), values != nil
}

// at returns header i in the order of names. Headers that set cookies are not
// joined.
func (h *headerList) at(i int) (name, value string, ok bool) {
	if h.sorted == nil {
		h.sorted = []Header{}
		items := slices.Clone(h.list)
		slices.SortStableFunc(items, func(a, b Header) int { return strings.Compare(a.Name, b.Name) })
		for _, item := range items {
			last := len(h.sorted) - 1
			if last >= 0 && h.sorted[last].Name == item.Name && item.Name != "set-cookie" {
				h.sorted[last].Value += ", " + item.Value
			} else {
				h.sorted = append(h.sorted, item)
			}
		}
	}
	if i >= len(h.sorted) {
		return "", "", false
	}
	return h.sorted[i].Name, h.sorted[i].Value, true
}

// fill appends the contents of a HeadersInit: pairs, or an object.
func (h *headerList) fill(r *realm.Realm, v goja.Value) {
	if ecma.IsUndefined(v) {
		return
	}
	init, ok := v.(*goja.Object)
	if !ok {
		r.TypeError("Headers: init must be an object or pairs")
	}
	if r.Method(init, goja.SymIterator, "Headers: init") != nil {
		for _, item := range r.List(init, maxHeaders, "Headers: init") {
			pair := r.List(item, 3, "Headers: a pair of init")
			if len(pair) != 2 {
				r.TypeError("Headers: a pair of init must have a name and a value")
			}
			h.append(r, pair[0], pair[1])
		}
		return
	}
	for _, name := range init.Keys() {
		h.append(r, realm.Text(name), ecma.OrUndefined(init.Get(name)))
	}
}

// headersClass makes the class Headers.
func headersClass(r *realm.Realm) *realm.Made {
	made := realm.Make(r, &realm.Class[*headerList]{
		Name: "Headers",
		New: func(r *realm.Realm, call goja.FunctionCall) *headerList {
			h := &headerList{}
			h.fill(r, call.Argument(0))
			return h
		},
		Members: append([]realm.Member[*headerList]{
			realm.Method("append", 2, func(r *realm.Realm, h *headerList, call goja.FunctionCall) goja.Value {
				h.append(r, call.Argument(0), call.Argument(1))
				return goja.Undefined()
			}),
			realm.Method("delete", 1, func(r *realm.Realm, h *headerList, call goja.FunctionCall) goja.Value {
				name := h.name(r, call.Argument(0))
				h.change(r)
				h.remove(name)
				return goja.Undefined()
			}),
			realm.Method("get", 1, func(r *realm.Realm, h *headerList, call goja.FunctionCall) goja.Value {
				if value, ok := h.get(h.name(r, call.Argument(0))); ok {
					return realm.Text(value)
				}
				return goja.Null()
			}),
			realm.Method("getSetCookie", 0, func(r *realm.Realm, h *headerList, _ goja.FunctionCall) goja.Value {
				var values []any
				for _, item := range h.list {
					if item.Name == "set-cookie" {
						values = append(values, realm.Text(item.Value))
					}
				}
				return r.VM.NewArray(values...)
			}),
			realm.Method("has", 1, func(r *realm.Realm, h *headerList, call goja.FunctionCall) goja.Value {
				_, ok := h.get(h.name(r, call.Argument(0)))
				return r.VM.ToValue(ok)
			}),
			realm.Method("set", 2, func(r *realm.Realm, h *headerList, call goja.FunctionCall) goja.Value {
				item := Header{h.name(r, call.Argument(0)), h.value(r, call.Argument(1))}
				h.change(r)
				i := slices.IndexFunc(h.list, func(old Header) bool { return old.Name == item.Name })
				if i < 0 {
					h.list = append(h.list, item)
					return goja.Undefined()
				}
				rest := h.list[i+1:]
				h.list = append(h.list[:i], item)
				for _, old := range rest {
					if old.Name != item.Name {
						h.list = append(h.list, old)
					}
				}
				return goja.Undefined()
			}),
		}, realm.Pairs("Headers", (*headerList).at)...),
	})
	r.Iterable(made)
	return made
}
