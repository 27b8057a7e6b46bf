package main

import (
	"strconv"
	"strings"
)

// splitPath splits a field's dotted path.
func splitPath(key string) ([]string, error) {
	path := strings.Split(key, ".")
	if len(path) > maxDepth {
		return nil, faultf("a path has at most %d names", maxDepth)
	}
	for _, name := range path {
		if name == "" || strings.HasPrefix(name, "$") {
			return nil, faultf("%q is not the path of a field", key)
		}
	}
	return path, nil
}

func index(s string, length int) (int, bool) {
	i, err := strconv.Atoi(s)
	return i, err == nil && i >= 0 && i < length
}

// maxSteps bounds the work on one document to some milliseconds. Between two
// documents the store checks whether the call has ended.
const maxSteps = 1_000_000

// A search counts the steps of the work on one document, because a path through
// arrays can lead to more values than the document has.
type search struct{ steps int }

// spend takes n steps, and reports whether so many were left.
func (s *search) spend(n int) bool {
	s.steps += n
	return s.steps <= maxSteps
}

// err returns an error if the search has ended early, so that its result is
// incomplete.
func (s *search) err() error {
	if s.steps > maxSteps {
		return faultf("a document takes more than %d steps to look through", maxSteps)
	}
	return nil
}

// lookup returns the values at path: none if the document has no such field,
// several if the path leads through an array. A name in a path is the index of an
// array or a field of its objects.
func (s *search) lookup(v any, path []string) []any {
	if !s.spend(1) {
		return nil
	}
	if len(path) == 0 {
		return []any{v}
	}
	var found []any
	switch v := v.(type) {
	case document:
		if child, ok := v[path[0]]; ok {
			return s.lookup(child, path[1:])
		}
	case []any:
		if i, ok := index(path[0], len(v)); ok {
			found = s.lookup(v[i], path[1:])
		}
		for _, item := range v {
			if doc, ok := item.(document); ok {
				found = append(found, s.lookup(doc, path)...)
			}
		}
	}
	return found
}

// modify replaces the value at path by what f makes of it. If create is true,
// missing objects on the way are made; else nothing is done.
func modify(doc document, path []string, create bool, f func(old any) (any, error)) (err error) {
	var at any = doc
	for i, name := range path {
		last := i == len(path)-1
		switch parent := at.(type) {
		case document:
			child, ok := parent[name]
			if !ok && !create {
				return nil
			}
			if last {
				parent[name], err = f(child)
				return err
			}
			if child == nil && create {
				child = document{}
				parent[name] = child
			}
			at = child
		case []any:
			k, ok := index(name, len(parent))
			switch {
			case !ok && !create:
				return nil
			case !ok:
				return faultf("%q is not an element of the array", strings.Join(path[:i+1], "."))
			case last:
				parent[k], err = f(parent[k])
				return err
			}
			at = parent[k]
		default:
			if !create {
				return nil
			}
			return faultf("%q is not an object", strings.Join(path[:i], "."))
		}
	}
	return nil
}

// unset removes the value at path and returns it. An array keeps its length: null
// takes the place of the value.
func unset(doc document, path []string) (old any, found bool) {
	var at any = doc
	for i, name := range path {
		last := i == len(path)-1
		switch parent := at.(type) {
		case document:
			child, ok := parent[name]
			if !ok {
				return nil, false
			}
			if last {
				delete(parent, name)
				return child, true
			}
			at = child
		case []any:
			k, ok := index(name, len(parent))
			if !ok {
				return nil, false
			}
			if last {
				old, parent[k] = parent[k], nil
				return old, true
			}
			at = parent[k]
		default:
			return nil, false
		}
	}
	return nil, false
}

// disjoint refuses two paths of which one is below the other, because the result
// would depend on their order.
func disjoint(paths map[string]bool) error {
	for path := range paths {
		for i, c := range path {
			if c == '.' && paths[path[:i]] {
				return faultf("%q is below %q, which is given too", path, path[:i])
			}
		}
	}
	return nil
}
