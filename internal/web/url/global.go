package url

import (
	"github.com/dop251/goja"

	"example.com/callback/internal/ecma"
	"example.com/callback/internal/web/realm"
)

// Globals are the classes of this package in a realm.
type Globals struct {
	URL, URLSearchParams *realm.Made
}

// An object is the slot of a URL.
type object struct {
	url    *URL
	params *params // made when it is first read
	made   *goja.Object
	class  *Globals
}

// params is the slot of a URLSearchParams. If it belongs to a URL, a change of
// either changes the other's query.
type params struct {
	list []Pair
	url  *object
}

// FormText is the form that a body is made of.
func (p *params) FormText() string { return EncodePairs(p.list) }

// changed writes the list to the URL.
func (p *params) changed() {
	if p.url != nil {
		p.url.url.SetQuery(EncodePairs(p.list))
	}
}

// reread reads the list from the URL.
func (o *object) reread() {
	if o.params != nil {
		o.params.list = ParsePairs(o.url.Query())
	}
}

// maxPairs bounds the names of a URLSearchParams that is made from an iterable.
const maxPairs = 1 << 20

// NewGlobals makes the classes.
func NewGlobals(r *realm.Realm) *Globals {
	g := &Globals{}
	g.URLSearchParams = realm.Make(r, &realm.Class[*params]{
		Name: "URLSearchParams",
		New: func(r *realm.Realm, call goja.FunctionCall) *params {
			return &params{list: readInit(r, call.Argument(0))}
		},
		Members: append([]realm.Member[*params]{
			realm.Getter("size", func(r *realm.Realm, p *params) goja.Value { return r.VM.ToValue(len(p.list)) }),
			realm.Method("append", 2, paramsAppend),
			realm.Method("delete", 1, paramsDelete),
			realm.Method("get", 1, paramsGet),
			realm.Method("getAll", 1, paramsGetAll),
			realm.Method("has", 1, paramsHas),
			realm.Method("set", 2, paramsSet),
			realm.Method("sort", 0, func(_ *realm.Realm, p *params, _ goja.FunctionCall) goja.Value {
				SortPairs(p.list)
				p.changed()
				return goja.Undefined()
			}),
			realm.Method("toString", 0, func(_ *realm.Realm, p *params, _ goja.FunctionCall) goja.Value {
				return realm.Text(EncodePairs(p.list))
			}),
		}, realm.Pairs("URLSearchParams", func(p *params, i int) (name, value string, ok bool) {
			if i >= len(p.list) {
				return "", "", false
			}
			return p.list[i].Name, p.list[i].Value, true
		})...),
	})
	r.Iterable(g.URLSearchParams)

	part := func(name string, get func(*URL) string, set func(*URL, string)) realm.Member[*object] {
		return realm.Attribute(name,
			func(_ *realm.Realm, o *object) goja.Value { return realm.Text(get(o.url)) },
			func(r *realm.Realm, o *object, v goja.Value) {
				set(o.url, r.String(v))
				if name == "search" {
					o.reread()
				}
			})
	}
	href := func(_ *realm.Realm, o *object, _ goja.FunctionCall) goja.Value { return realm.Text(o.url.Href()) }
	g.URL = realm.Make(r, &realm.Class[*object]{
		Name:   "URL",
		Length: 1,
		New: func(r *realm.Realm, call goja.FunctionCall) *object {
			u := parseArguments(r, call.Argument(0), call.Argument(1))
			if u == nil {
				r.TypeError("Invalid URL")
			}
			return &object{url: u, class: g}
		},
		Members: []realm.Member[*object]{
			realm.Attribute("href",
				func(_ *realm.Realm, o *object) goja.Value { return realm.Text(o.url.Href()) },
				func(r *realm.Realm, o *object, v goja.Value) {
					u, err := Parse(r.String(v), nil)
					if err != nil {
						r.TypeError("Invalid URL")
					}
					o.url = u
					o.reread()
				}),
			realm.Getter("origin", func(_ *realm.Realm, o *object) goja.Value { return realm.Text(o.url.Origin()) }),
			part("protocol", (*URL).Protocol, (*URL).SetProtocol),
			part("username", (*URL).Username, (*URL).SetUsername),
			part("password", (*URL).Password, (*URL).SetPassword),
			part("host", (*URL).Host, (*URL).SetHost),
			part("hostname", (*URL).Hostname, (*URL).SetHostname),
			part("port", (*URL).Port, (*URL).SetPort),
			part("pathname", (*URL).Pathname, (*URL).SetPathname),
			part("search", (*URL).Search, (*URL).SetSearch),
			realm.Getter("searchParams", func(r *realm.Realm, o *object) goja.Value {
				if o.made == nil {
					o.params = &params{url: o}
					o.reread()
					o.made = r.Object(o.class.URLSearchParams, o.params)
				}
				return o.made
			}),
			part("hash", (*URL).Hash, (*URL).SetHash),
			realm.Method("toString", 0, href),
			realm.Method("toJSON", 0, href),
		},
		Static: []realm.Static{
			{Name: "canParse", Length: 1, Function: func(r *realm.Realm, call goja.FunctionCall) goja.Value {
				return r.VM.ToValue(parseArguments(r, call.Argument(0), call.Argument(1)) != nil)
			}},
			{Name: "parse", Length: 1, Function: func(r *realm.Realm, call goja.FunctionCall) goja.Value {
				u := parseArguments(r, call.Argument(0), call.Argument(1))
				if u == nil {
					return goja.Null()
				}
				return r.Object(g.URL, &object{url: u, class: g})
			}},
		},
	})
	return g
}

// parseArguments parses a URL and its optional base.
func parseArguments(r *realm.Realm, input, base goja.Value) *URL {
	text := r.String(input)
	var from *URL
	if !ecma.IsUndefined(base) {
		var err error
		if from, err = Parse(r.String(base), nil); err != nil {
			return nil
		}
	}
	u, err := Parse(text, from)
	if err != nil {
		return nil
	}
	return u
}

// readInit reads the argument of URLSearchParams: pairs, an object, or text.
func readInit(r *realm.Realm, v goja.Value) []Pair {
	init, ok := v.(*goja.Object)
	if !ok {
		if ecma.IsUndefined(v) {
			return nil
		}
		text := r.String(v)
		if len(text) > 0 && text[0] == '?' {
			text = text[1:]
		}
		return ParsePairs(text)
	}
	var list []Pair
	if r.Method(init, goja.SymIterator, "init") != nil {
		for _, item := range r.List(init, maxPairs, "init") {
			pair := r.List(item, 3, "a pair of init")
			if len(pair) != 2 {
				r.TypeError("a pair of init must have a name and a value")
			}
			list = append(list, Pair{r.String(pair[0]), r.String(pair[1])})
		}
		return list
	}
	at := map[string]int{} // two names may become equal
	for _, key := range init.Keys() {
		pair := Pair{r.String(realm.Text(key)), r.String(ecma.OrUndefined(init.Get(key)))}
		if i, ok := at[pair.Name]; ok {
			list[i] = pair
			continue
		}
		at[pair.Name] = len(list)
		list = append(list, pair)
	}
	return list
}

func paramsAppend(r *realm.Realm, p *params, call goja.FunctionCall) goja.Value {
	pair := Pair{r.String(call.Argument(0)), r.String(call.Argument(1))}
	p.list = append(p.list, pair)
	p.changed()
	return goja.Undefined()
}

// matcher reports whether a pair has the name that a call asks for, and the value
// if the call gives one.
func matcher(r *realm.Realm, call goja.FunctionCall) func(Pair) bool {
	name := r.String(call.Argument(0))
	if v := call.Argument(1); !ecma.IsUndefined(v) {
		value := r.String(v)
		return func(p Pair) bool { return p.Name == name && p.Value == value }
	}
	return func(p Pair) bool { return p.Name == name }
}

func paramsDelete(r *realm.Realm, p *params, call goja.FunctionCall) goja.Value {
	match := matcher(r, call)
	kept := make([]Pair, 0, len(p.list))
	for _, pair := range p.list {
		if !match(pair) {
			kept = append(kept, pair)
		}
	}
	p.list = kept
	p.changed()
	return goja.Undefined()
}

func paramsGet(r *realm.Realm, p *params, call goja.FunctionCall) goja.Value {
	name := r.String(call.Argument(0))
	for _, pair := range p.list {
		if pair.Name == name {
			return realm.Text(pair.Value)
		}
	}
	return goja.Null()
}

func paramsGetAll(r *realm.Realm, p *params, call goja.FunctionCall) goja.Value {
	name := r.String(call.Argument(0))
	var values []any
	for _, pair := range p.list {
		if pair.Name == name {
			values = append(values, realm.Text(pair.Value))
		}
	}
	return r.VM.NewArray(values...)
}

func paramsHas(r *realm.Realm, p *params, call goja.FunctionCall) goja.Value {
	match := matcher(r, call)
	for _, pair := range p.list {
		if match(pair) {
			return r.VM.ToValue(true)
		}
	}
	return r.VM.ToValue(false)
}

func paramsSet(r *realm.Realm, p *params, call goja.FunctionCall) goja.Value {
	pair := Pair{r.String(call.Argument(0)), r.String(call.Argument(1))}
	kept, found := make([]Pair, 0, len(p.list)+1), false
	for _, old := range p.list {
		switch {
		case old.Name != pair.Name:
			kept = append(kept, old)
		case !found:
			kept, found = append(kept, pair), true
		}
	}
	if !found {
		kept = append(kept, pair)
	}
	p.list = kept
	p.changed()
	return goja.Undefined()
}
