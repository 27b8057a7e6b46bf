package main

import (
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// An update is compiled before it is applied to documents.
type update struct {
	replacement document // instead of steps
	steps       []step
}

// A step is the part of an update about one field.
type step struct {
	path []string
	do   func(e *edit, path []string) error
}

// An edit is the change of one document.
type edit struct {
	search
	doc       document
	query     *query // the query that found the document
	inserting bool
}

// compileUpdate compiles an update: operators, or a document that replaces the
// old one.
func compileUpdate(text document) (*update, error) {
	if !hasOperators(text) {
		return &update{replacement: text}, nil
	}
	u, paths := &update{}, map[string]bool{}
	for operator, operand := range text {
		fields, ok := operand.(document)
		if !ok {
			return nil, faultf("%s must be an object of fields", operator)
		}
		for key, value := range fields {
			keys := []string{key}
			if to, ok := value.(string); ok && operator == "$rename" {
				keys = append(keys, to)
			}
			for _, key := range keys {
				if paths[key] {
					return nil, faultf("%q is changed twice", key)
				}
				paths[key] = true
			}
			path, err := splitUpdatePath(key)
			if err != nil {
				return nil, err
			}
			do, err := compileStep(operator, key, value)
			if err != nil {
				return nil, err
			}
			u.steps = append(u.steps, step{path, do})
		}
	}
	return u, disjoint(paths)
}

// splitUpdatePath splits a path that may contain "$", the element that the query
// has found.
func splitUpdatePath(key string) ([]string, error) {
	before, after, ok := strings.Cut(key, ".$")
	if !ok || after != "" && after[0] != '.' {
		return splitPath(key)
	}
	if _, err := splitPath(before + after); err != nil {
		return nil, err
	}
	return strings.Split(key, "."), nil
}

// apply changes a document in place: one that q has found, or a new one.
func (u *update) apply(doc document, q *query, inserting bool) (document, error) {
	if u.replacement != nil {
		return replace(doc, u.replacement)
	}
	e := &edit{doc: doc, query: q, inserting: inserting}
	return doc, u.edit(e)
}

func (u *update) edit(e *edit) error {
	// Setting _id to its present value changes nothing.
	id, hasID := e.doc["_id"]
	id = clone(id)
	paths := make([][]string, len(u.steps)) // found before any step changes the document
	for i, step := range u.steps {
		var err error
		if paths[i], err = e.resolve(step.path); err != nil {
			return err
		}
	}
	for i, step := range u.steps {
		if err := step.do(e, paths[i]); err != nil {
			return err
		}
	}
	if hasID && !equal(id, e.doc["_id"]) {
		return faultf("_id cannot be changed")
	}
	if hasID {
		e.doc["_id"] = id // in its original form
	}
	return e.err()
}

// resolve replaces "$" by the index of the element that the query has found.
func (e *edit) resolve(path []string) ([]string, error) {
	at := slices.Index(path, "$")
	if at < 0 {
		return path, nil
	}
	i, ok := e.query.element(&e.search, e.doc, path[:at])
	if !ok {
		return nil, faultf("the query has found no element for %q", strings.Join(path, "."))
	}
	path = slices.Clone(path)
	path[at] = strconv.Itoa(i)
	return path, nil
}

func replace(old, by document) (document, error) {
	doc := clone(by).(document)
	if id, ok := old["_id"]; ok {
		if given, ok := doc["_id"]; ok && !equal(given, id) {
			return nil, faultf("_id cannot be changed")
		}
		doc["_id"] = id
	}
	return doc, nil
}

func compileStep(operator, key string, value any) (func(*edit, []string) error, error) {
	switch operator {
	case "$set":
		return set(value), nil
	case "$setOnInsert":
		return func(e *edit, path []string) error {
			if !e.inserting {
				return nil
			}
			return set(value)(e, path)
		}, nil
	case "$currentDate":
		return func(e *edit, path []string) error {
			return set(date(time.Now().UnixMilli()))(e, path)
		}, nil
	case "$unset":
		return func(e *edit, path []string) error { unset(e.doc, path); return nil }, nil
	case "$rename":
		name, ok := value.(string)
		if !ok {
			return nil, faultf("$rename of %q must be a string", key)
		}
		to, err := splitPath(name)
		if err != nil {
			return nil, err
		}
		return func(e *edit, path []string) error {
			old, ok := unset(e.doc, path)
			if !ok {
				return nil
			}
			return set(old)(e, to)
		}, nil
	case "$min":
		return keep(value, func(c int) bool { return c < 0 }), nil
	case "$max":
		return keep(value, func(c int) bool { return c > 0 }), nil
	case "$inc":
		return arithmetic(operator, key, value, func(a, b float64) float64 { return a + b })
	case "$mul":
		return arithmetic(operator, key, value, func(a, b float64) float64 { return a * b })
	case "$push", "$pushAll", "$addToSet", "$pull", "$pullAll", "$pop":
		return compileArrayStep(operator, key, value)
	}
	return nil, faultf("update operator %q is not supported", operator)
}

func set(value any) func(*edit, []string) error {
	return func(e *edit, path []string) error {
		return modify(e.doc, path, true, func(any) (any, error) { return clone(value), nil })
	}
}

// keep replaces the value at a path by value if better holds for their order.
func keep(value any, better func(order int) bool) func(*edit, []string) error {
	return func(e *edit, path []string) error {
		if len(e.lookup(e.doc, path)) == 0 {
			return set(value)(e, path)
		}
		return modify(e.doc, path, true, func(old any) (any, error) {
			if better(order(value, old)) {
				return clone(value), nil
			}
			return old, nil
		})
	}
}

func arithmetic(operator, key string, value any, f func(a, b float64) float64) (func(*edit, []string) error, error) {
	operand, ok := value.(float64)
	if !ok {
		return nil, faultf("%s of %q is not a number", operator, key)
	}
	return func(e *edit, path []string) error {
		return modify(e.doc, path, true, func(old any) (any, error) {
			n, ok := old.(float64)
			if !ok && old != nil {
				return nil, faultf("cannot %s %q: it is not a number", operator, key)
			}
			if n = f(n, operand); math.IsInf(n, 0) {
				return nil, faultf("cannot %s %q: it gets too large", operator, key)
			}
			return n, nil
		})
	}, nil
}

// equalities makes the initial document of an upsert from the fields that the
// query compares for equality.
func equalities(q document) (document, error) {
	doc, paths := document{}, map[string]bool{}
	if err := addEqualities(doc, paths, q); err != nil {
		return nil, err
	}
	return doc, disjoint(paths)
}

func addEqualities(doc document, paths map[string]bool, q document) error {
	for key, operand := range q {
		if key == "$and" {
			for _, item := range operand.([]any) { // compileQuery has checked the type
				if err := addEqualities(doc, paths, item.(document)); err != nil {
					return err
				}
			}
		}
		if operators, ok := operand.(document); ok && hasOperators(operators) {
			if operand, ok = operators["$eq"]; !ok {
				continue
			}
		}
		if strings.HasPrefix(key, "$") {
			continue
		}
		path, err := splitPath(key)
		if err != nil {
			return err
		}
		if err := modify(doc, path, true, func(any) (any, error) { return clone(operand), nil }); err != nil {
			return err
		}
		paths[key] = true
	}
	return nil
}
