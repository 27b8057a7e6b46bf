package main

// A projection selects fields: those to show, or, if hide is set, those to hide.
// nil shows all.
type projection struct {
	fields *fieldTree
	hide   bool
	id     bool // whether _id is shown
}

// A fieldTree holds selected fields. One without children is selected as a whole.
type fieldTree struct{ children map[string]*fieldTree }

// compileProjection compiles {a: 1, "b.c": 1} or {a: 0}, each with or without
// _id.
func compileProjection(text document) (*projection, error) {
	if len(text) == 0 {
		return nil, nil
	}
	p := &projection{fields: &fieldTree{}, hide: true, id: true}
	shown, hidden := false, false
	paths := map[string]bool{}
	for key, value := range text {
		if operators, ok := value.(document); ok && hasOperators(operators) {
			for name := range operators {
				return nil, faultf("%q in a choice of fields is not supported", name)
			}
		}
		show := value != nil && value != false && value != 0.0
		if key == "_id" {
			p.id = show
			continue
		}
		path, err := splitPath(key)
		if err != nil {
			return nil, err
		}
		shown, hidden = shown || show, hidden || !show
		p.fields.add(path)
		paths[key] = true
	}
	if shown && hidden {
		return nil, faultf("a choice of fields names those to show or those to hide, not both")
	}
	p.hide = hidden || !shown && !p.id
	return p, disjoint(paths)
}

func (t *fieldTree) add(path []string) {
	for _, name := range path {
		if t.children == nil {
			t.children = map[string]*fieldTree{}
		}
		if t.children[name] == nil {
			t.children[name] = &fieldTree{}
		}
		t = t.children[name]
	}
}

// of returns the selected fields of a document.
func (p *projection) of(doc document) document {
	if p == nil {
		return doc
	}
	chosen := p.object(doc, p.fields)
	if id, ok := doc["_id"]; ok && p.id {
		chosen["_id"] = id
	} else {
		delete(chosen, "_id")
	}
	return chosen
}

func (p *projection) object(doc document, fields *fieldTree) document {
	chosen := document{}
	for name, child := range doc {
		if v, ok := p.value(child, fields.children[name]); ok {
			chosen[name] = v
		}
	}
	return chosen
}

// value returns the visible part of a value. fields is nil if no path leads
// there.
func (p *projection) value(v any, fields *fieldTree) (any, bool) {
	if fields == nil || fields.children == nil {
		return v, (fields == nil) == p.hide
	}
	switch v := v.(type) {
	case document:
		return p.object(v, fields), true
	case []any:
		items := []any{}
		for _, item := range v {
			if item, ok := p.value(item, fields); ok {
				items = append(items, item)
			}
		}
		return items, true
	}
	return v, p.hide // the path is longer than the document is deep
}
