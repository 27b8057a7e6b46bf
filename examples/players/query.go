package main

import (
	"encoding/json"
	"fmt"
	"math"
	"reflect"
	"strconv"
	"strings"
)

// Limits of one document.
const (
	maxDocument = 64 << 10 // bytes of JSON
	maxDepth    = 50
)

// A document is a JSON object. Numbers are float64, as in JavaScript.
type document = map[string]any

// A fault is a script's own mistake, in words for the script. All other errors
// are the host's business: see [Store.member].
type fault string

func (f fault) Error() string { return string(f) }

func faultf(format string, args ...any) error { return fault(fmt.Sprintf(format, args...)) }

// A predicate tells whether a document is one that a query asks for.
type predicate func(document) bool

// compileQuery checks a query, so that a wrong one fails also when there is no
// document to try it on.
func compileQuery(query document) (predicate, error) {
	var clauses []predicate
	for key, operand := range query {
		clause, err := compileClause(key, operand)
		if err != nil {
			return nil, err
		}
		clauses = append(clauses, clause)
	}
	return func(doc document) bool {
		for _, holds := range clauses {
			if !holds(doc) {
				return false
			}
		}
		return true
	}, nil
}

func compileClause(key string, operand any) (predicate, error) {
	if key == "$and" || key == "$or" {
		return compileList(key, operand)
	}
	path, err := splitPath(key)
	if err != nil {
		return nil, err
	}
	tests, err := compileTests(operand)
	if err != nil {
		return nil, err
	}
	return func(doc document) bool {
		values := lookup(doc, path)
		for _, holds := range tests {
			if !holds(values) {
				return false
			}
		}
		return true
	}, nil
}

// compileList compiles the alternatives of $or or the conditions of $and.
func compileList(operator string, operand any) (predicate, error) {
	list, ok := operand.([]any)
	if !ok || len(list) == 0 {
		return nil, faultf("%s must be an array of queries", operator)
	}
	var queries []predicate
	for _, item := range list {
		query, ok := item.(document)
		if !ok {
			return nil, faultf("%s must be an array of queries", operator)
		}
		holds, err := compileQuery(query)
		if err != nil {
			return nil, err
		}
		queries = append(queries, holds)
	}
	decisive := operator == "$or" // the result that one query is enough for
	return func(doc document) bool {
		for _, holds := range queries {
			if holds(doc) == decisive {
				return decisive
			}
		}
		return !decisive
	}, nil
}

// A test is a condition on the values that a path leads to: none if the
// document has no such field, several through an array.
type test func(values []any) bool

// compileTests compiles what a query says of one field: a value to be equal to,
// or operators.
func compileTests(operand any) ([]test, error) {
	operators, ok := operand.(document)
	if !ok || !hasOperators(operators) {
		return []test{equals(operand)}, nil
	}
	var tests []test
	for name, operand := range operators {
		t, err := compileOperator(name, operand)
		if err != nil {
			return nil, err
		}
		tests = append(tests, t)
	}
	return tests, nil
}

// hasOperators tells {$gt: 1} from a document. {$oid: …} is an id.
func hasOperators(doc document) bool {
	if _, ok := plain(doc).(string); ok {
		return false
	}
	for name := range doc {
		if strings.HasPrefix(name, "$") {
			return true
		}
	}
	return false
}

func compileOperator(name string, operand any) (test, error) {
	switch name {
	case "$eq":
		return equals(operand), nil
	case "$ne":
		return not(equals(operand)), nil
	case "$in", "$nin":
		list, ok := operand.([]any)
		if !ok {
			return nil, faultf("%s must be an array", name)
		}
		in := func(values []any) bool {
			for _, item := range list {
				if equals(item)(values) {
					return true
				}
			}
			return false
		}
		if name == "$nin" {
			return not(in), nil
		}
		return in, nil
	case "$exists":
		want, ok := operand.(bool)
		if !ok {
			return nil, faultf("$exists must be true or false")
		}
		return func(values []any) bool { return (len(values) > 0) == want }, nil
	case "$gt":
		return compares(operand, func(c int) bool { return c > 0 }), nil
	case "$gte":
		return compares(operand, func(c int) bool { return c >= 0 }), nil
	case "$lt":
		return compares(operand, func(c int) bool { return c < 0 }), nil
	case "$lte":
		return compares(operand, func(c int) bool { return c <= 0 }), nil
	}
	return nil, faultf("query operator %q is not supported", name)
}

func not(t test) test { return func(values []any) bool { return !t(values) } }

// equals is true for a missing field if want is null.
func equals(want any) test {
	want = plain(want)
	return func(values []any) bool {
		for _, v := range values {
			if reflect.DeepEqual(plain(v), want) {
				return true
			}
		}
		return want == nil && len(values) == 0
	}
}

// compares is true for values of want's own type only.
func compares(want any, holds func(order int) bool) test {
	want = plain(want)
	return func(values []any) bool {
		for _, v := range values {
			v = plain(v)
			if rank(v) == rank(want) && holds(order(v, want)) {
				return true
			}
		}
		return false
	}
}

// plain returns the text of an id {$oid: text}, so that both forms of an id are
// equal. Any other value is returned as it is.
func plain(v any) any {
	if doc, ok := v.(document); ok && len(doc) == 1 {
		if id, ok := doc["$oid"].(string); ok {
			return id
		}
	}
	return v
}

// rank orders values of different types as MongoDB does.
func rank(v any) int {
	switch v.(type) {
	case nil:
		return 0
	case float64:
		return 1
	case string:
		return 2
	case document:
		return 3
	case []any:
		return 4
	}
	return 5 // bool
}

// order compares two values: negative if a is before b. Objects and arrays have
// no order among themselves.
func order(a, b any) int {
	a, b = plain(a), plain(b)
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	switch a := a.(type) {
	case float64:
		if b := b.(float64); a < b {
			return -1
		} else if a > b {
			return 1
		}
	case string:
		return strings.Compare(a, b.(string))
	case bool:
		if a != b.(bool) {
			if a {
				return 1
			}
			return -1
		}
	}
	return 0
}

// lookup returns the values at path: an array counts as itself and as each of
// its elements.
func lookup(v any, path []string) []any {
	if len(path) == 0 {
		found := []any{v}
		if list, ok := v.([]any); ok {
			found = append(found, list...)
		}
		return found
	}
	var found []any
	switch v := v.(type) {
	case document:
		if child, ok := v[path[0]]; ok {
			return lookup(child, path[1:])
		}
	case []any:
		if i, ok := index(path[0], len(v)); ok {
			found = lookup(v[i], path[1:])
		}
		for _, item := range v {
			if doc, ok := item.(document); ok {
				found = append(found, lookup(doc, path)...)
			}
		}
	}
	return found
}

func index(s string, length int) (int, bool) {
	i, err := strconv.Atoi(s)
	return i, err == nil && i >= 0 && i < length
}

// splitPath splits a field's dotted path.
func splitPath(key string) ([]string, error) {
	path := strings.Split(key, ".")
	if len(path) > maxDepth {
		return nil, faultf("a field's path is too long")
	}
	for _, name := range path {
		if name == "" || strings.HasPrefix(name, "$") {
			return nil, faultf("%q is not the path of a field, and not an operator supported here", key)
		}
	}
	return path, nil
}

// A change makes a new state of a document, in place if it likes.
type change func(document) (document, error)

// compileUpdate checks an update: operators, or a document to replace the old
// one.
func compileUpdate(update document) (change, error) {
	if !hasOperators(update) {
		return func(old document) (document, error) {
			text, err := json.Marshal(update) // a copy for each document
			if err != nil {
				return nil, err
			}
			var doc document
			if err := json.Unmarshal(text, &doc); err != nil {
				return nil, err
			}
			if id, ok := old["_id"]; ok {
				doc["_id"] = id
			}
			return doc, nil
		}, nil
	}
	var steps []func(document) error
	paths := map[string]bool{}
	for operator, operand := range update {
		fields, ok := operand.(document)
		if !ok {
			return nil, faultf("%s must be an object of fields", operator)
		}
		for key, value := range fields {
			if paths[key] {
				return nil, faultf("%q is changed twice", key)
			}
			paths[key] = true
			step, err := compileStep(operator, key, value)
			if err != nil {
				return nil, err
			}
			steps = append(steps, step)
		}
	}
	if err := disjoint(paths); err != nil {
		return nil, err
	}
	return func(doc document) (document, error) {
		for _, step := range steps {
			if err := step(doc); err != nil {
				return nil, err
			}
		}
		return doc, nil
	}, nil
}

// disjoint refuses paths of which one is below another: what becomes of the
// field would depend on which came first.
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

func compileStep(operator, key string, value any) (func(document) error, error) {
	path, err := splitPath(key)
	if err != nil {
		return nil, err
	}
	if path[0] == "_id" {
		return nil, faultf("_id cannot be changed")
	}
	switch operator {
	case "$set":
		return func(doc document) error {
			return modify(doc, path, func(any) (any, error) { return value, nil })
		}, nil
	case "$inc":
		by, ok := value.(float64)
		if !ok {
			return nil, faultf("$inc of %q is not a number", key)
		}
		return func(doc document) error {
			return modify(doc, path, func(old any) (any, error) {
				n, ok := old.(float64)
				if !ok && old != nil {
					return nil, faultf("cannot $inc %q: it is not a number", key)
				}
				if n += by; math.IsInf(n, 0) {
					return nil, faultf("cannot $inc %q: it gets too large", key)
				}
				return n, nil
			})
		}, nil
	}
	return nil, faultf("update operator %q is not supported", operator)
}

// modify puts what f makes of the value at path in its place. Objects that are
// missing on the way are made.
func modify(doc document, path []string, f func(old any) (any, error)) (err error) {
	var at any = doc
	for i, name := range path {
		last := i == len(path)-1
		switch parent := at.(type) {
		case document:
			if last {
				parent[name], err = f(parent[name])
				return err
			}
			if parent[name] == nil {
				parent[name] = document{}
			}
			at = parent[name]
		case []any:
			k, ok := index(name, len(parent))
			if !ok {
				return faultf("%q is not an element of the array", strings.Join(path[:i+1], "."))
			}
			if last {
				parent[k], err = f(parent[k])
				return err
			}
			at = parent[k]
		default:
			return faultf("%q is not an object", strings.Join(path[:i], "."))
		}
	}
	return nil
}

// equalities makes the document that an upsert starts from: the fields that the
// query wants to be equal to something.
func equalities(query document) (document, error) {
	doc, paths := document{}, map[string]bool{}
	for key, operand := range query {
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
			return nil, err
		}
		if err := modify(doc, path, func(any) (any, error) { return operand, nil }); err != nil {
			return nil, err
		}
		paths[key] = true
	}
	return doc, disjoint(paths)
}

// encode returns a document as it is stored, if it may be.
func encode(doc document) (string, error) {
	if err := checkFields(doc, 0); err != nil {
		return "", err
	}
	text, err := json.Marshal(doc)
	if err != nil {
		return "", err
	}
	if len(text) > maxDocument {
		return "", faultf("the document is over %d bytes", maxDocument)
	}
	return string(text), nil
}

// checkFields refuses names that queries could not reach.
func checkFields(v any, depth int) error {
	if depth > maxDepth {
		return faultf("the document is more than %d levels deep", maxDepth)
	}
	switch v := plain(v).(type) {
	case document:
		for name, child := range v {
			if name == "" || strings.HasPrefix(name, "$") || strings.Contains(name, ".") {
				return faultf("%q cannot be the name of a field", name)
			}
			if err := checkFields(child, depth+1); err != nil {
				return err
			}
		}
	case []any:
		for _, child := range v {
			if err := checkFields(child, depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}
