package main

import (
	"math"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"
)

// Limits of one query.
const (
	maxConditions = 1000
	maxList       = 1000 // values of $in, $nin and $all
	maxPattern    = 1000 // bytes of a $regex, and instructions of its program
)

// A query is compiled before it is applied to documents, so that a wrong one
// fails even if there are none.
type query struct {
	text       document
	conditions []condition // all must hold
	size       int         // number of conditions, including nested ones
}

// A condition is a condition on a field, or a list of queries.
type condition struct {
	path  []string // nil for a list
	tests []test
	list  *list
}

type list struct {
	operator string // $and, $or, $nor
	queries  []*query
}

// A test is a condition on the values at a path. An array counts as itself and as
// each of its elements.
type test func(s *search, fields []any) bool

func compileQuery(text document) (*query, error) {
	q := &query{text: text}
	for key, operand := range text {
		c, size, err := compileCondition(key, operand)
		if err != nil {
			return nil, err
		}
		q.conditions = append(q.conditions, c)
		if q.size += size; q.size > maxConditions {
			return nil, faultf("a query has at most %d conditions", maxConditions)
		}
	}
	return q, nil
}

func compileCondition(key string, operand any) (c condition, size int, err error) {
	switch key {
	case "$and", "$or", "$nor":
		c.list, size, err = compileList(key, operand)
		return c, size, err
	}
	if strings.HasPrefix(key, "$") {
		return c, 0, faultf("query operator %q is not supported", key)
	}
	if c.path, err = splitPath(key); err != nil {
		return c, 0, err
	}
	c.tests, size, err = compileTests(operand)
	return c, size, err
}

func compileList(operator string, operand any) (*list, int, error) {
	l, size := &list{operator: operator}, 0
	items, ok := operand.([]any)
	if !ok || len(items) == 0 {
		return nil, 0, faultf("%s must be an array of queries", operator)
	}
	for _, item := range items {
		text, ok := item.(document)
		if !ok {
			return nil, 0, faultf("%s must be an array of queries", operator)
		}
		q, err := compileQuery(text)
		if err != nil {
			return nil, 0, err
		}
		l.queries = append(l.queries, q)
		size += max(q.size, 1)
	}
	return l, size, nil
}

// matches reports whether the document fulfils the query.
func (q *query) matches(s *search, doc document) bool {
	for _, c := range q.conditions {
		if c.list != nil {
			if !c.list.holds(s, doc) {
				return false
			}
		} else if !holdAll(c.tests, s, s.lookup(doc, c.path)) {
			return false
		}
	}
	return true
}

func (l *list) holds(s *search, doc document) bool {
	isMatch := func(q *query) bool { return q.matches(s, doc) }
	switch l.operator {
	case "$or":
		return slices.ContainsFunc(l.queries, isMatch)
	case "$nor":
		return !slices.ContainsFunc(l.queries, isMatch)
	}
	return !slices.ContainsFunc(l.queries, func(q *query) bool { return !isMatch(q) })
}

// element returns the index of the first element in the array at path that
// fulfils a condition of the query. In an update's path "$" stands for it.
func (q *query) element(s *search, doc document, path []string) (int, bool) {
	for _, c := range q.conditions {
		if c.list != nil {
			if c.list.operator != "$and" {
				continue
			}
			for _, q := range c.list.queries {
				if i, ok := q.element(s, doc, path); ok {
					return i, true
				}
			}
			continue
		}
		if len(c.path) < len(path) || !slices.Equal(c.path[:len(path)], path) {
			continue
		}
		for _, field := range s.lookup(doc, path) {
			array, _ := field.([]any)
			for i := range array {
				if holdAll(c.tests, s, s.lookup(array[i:i+1], c.path[len(path):])) {
					return i, true
				}
			}
		}
	}
	return 0, false
}

func holdAll(tests []test, s *search, fields []any) bool {
	for _, holds := range tests {
		if !holds(s, fields) {
			return false
		}
	}
	return true
}

// compileTests compiles the part of a query about one field: a value to be equal
// to, or operators.
func compileTests(operand any) (tests []test, size int, err error) {
	operators, ok := operand.(document)
	if !ok || !hasOperators(operators) {
		return []test{equals(operand)}, 1, nil
	}
	for name, operand := range operators {
		var t test
		n := 1
		switch name {
		case "$not":
			t, n, err = compileNot(operand)
		case "$elemMatch":
			t, n, err = compileElemMatch(operand)
		case "$all":
			t, n, err = compileAll(operand)
		case "$regex":
			t, err = compileRegexp(operand, operators["$options"])
		case "$options":
			if _, ok := operators["$regex"]; !ok {
				return nil, 0, faultf("$options is for a $regex")
			}
			continue
		default:
			t, err = compileOperator(name, operand)
		}
		if err != nil {
			return nil, 0, err
		}
		tests = append(tests, t)
		size += n
	}
	return tests, size, nil
}

// hasOperators distinguishes {$gt: 1} from a document. {$oid: …} is an id.
func hasOperators(doc document) bool {
	if isID(doc) {
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
	case "$in":
		return compileIn(name, operand)
	case "$nin":
		t, err := compileIn(name, operand)
		return not(t), err
	case "$gt":
		return compares(operand, func(c int) bool { return c > 0 }), nil
	case "$gte":
		return compares(operand, func(c int) bool { return c >= 0 }), nil
	case "$lt":
		return compares(operand, func(c int) bool { return c < 0 }), nil
	case "$lte":
		return compares(operand, func(c int) bool { return c <= 0 }), nil
	case "$exists":
		want, err := truth(operand)
		return func(_ *search, fields []any) bool { return (len(fields) > 0) == want }, err
	case "$size":
		want, ok := operand.(float64)
		if !ok || want < 0 || want != math.Trunc(want) {
			return nil, faultf("$size must be a whole number")
		}
		return func(_ *search, fields []any) bool {
			return slices.ContainsFunc(fields, func(v any) bool {
				array, ok := v.([]any)
				return ok && len(array) == int(want)
			})
		}, nil
	case "$mod":
		return compileMod(operand)
	case "$type":
		return compileType(operand)
	}
	return nil, faultf("query operator %q is not supported", name)
}

// truth converts a boolean, or a number that counts as one.
func truth(v any) (bool, error) {
	switch v := v.(type) {
	case bool:
		return v, nil
	case float64:
		return v != 0, nil
	}
	return false, faultf("$exists must be true or false")
}

func not(t test) test {
	return func(s *search, fields []any) bool { return !t(s, fields) }
}

// some reports whether a test holds for a value of a field, or for an element of
// an array there.
func some(s *search, fields []any, holds func(any) bool) bool {
	for _, v := range fields {
		if !s.spend(1) {
			return false
		}
		if holds(v) {
			return true
		}
		array, _ := v.([]any)
		for _, item := range array {
			if !s.spend(1) {
				return false
			}
			if holds(item) {
				return true
			}
		}
	}
	return false
}

// equals holds for a missing field if want is null.
func equals(want any) test {
	cost := weight(want)
	return func(s *search, fields []any) bool {
		if want == nil && len(fields) == 0 {
			return true
		}
		return some(s, fields, func(v any) bool { return s.spend(cost) && equal(v, want) })
	}
}

// compares holds only for values of want's type.
func compares(want any, holds func(order int) bool) test {
	want = plain(want)
	return func(s *search, fields []any) bool {
		return some(s, fields, func(v any) bool {
			v = plain(v)
			return rank(v) == rank(want) && holds(order(v, want))
		})
	}
}

func compileIn(name string, operand any) (test, error) {
	items, ok := operand.([]any)
	if !ok {
		return nil, faultf("%s must be an array", name)
	}
	if len(items) > maxList {
		return nil, faultf("%s has at most %d values", name, maxList)
	}
	simple := map[any]bool{} // in a map, to be fast however many there are
	var others []test
	for _, item := range items {
		switch v := plain(item).(type) {
		case document:
			if !hasOperators(v) {
				others = append(others, equals(v))
				continue
			}
			pattern, ok := v["$regex"]
			if !ok {
				return nil, faultf("%s has no operators in it but $regex", name)
			}
			t, err := compileRegexp(pattern, v["$options"])
			if err != nil {
				return nil, err
			}
			others = append(others, t)
		case []any:
			others = append(others, equals(v))
		default:
			simple[v] = true
		}
	}
	return func(s *search, fields []any) bool {
		if len(fields) == 0 {
			return simple[nil]
		}
		isSimple := func(v any) bool {
			switch v := plain(v).(type) {
			case document, []any:
				return false
			default:
				return simple[v]
			}
		}
		return some(s, fields, isSimple) ||
			slices.ContainsFunc(others, func(t test) bool { return t(s, fields) })
	}, nil
}

// compileAll requires each of the values, some of which may be {$elemMatch: …}.
func compileAll(operand any) (test, int, error) {
	items, ok := operand.([]any)
	if !ok {
		return nil, 0, faultf("$all must be an array")
	}
	if len(items) > maxList {
		return nil, 0, faultf("$all has at most %d values", maxList)
	}
	var tests []test
	size := 0
	for _, item := range items {
		t, n, err := compileTests(item)
		if err != nil {
			return nil, 0, err
		}
		tests = append(tests, t...)
		size += n
	}
	return func(s *search, fields []any) bool { return len(tests) > 0 && holdAll(tests, s, fields) }, size, nil
}

func compileNot(operand any) (test, int, error) {
	operators, ok := operand.(document)
	if !ok || !hasOperators(operators) {
		return nil, 0, faultf("$not must be an object of operators")
	}
	tests, size, err := compileTests(operators)
	return func(s *search, fields []any) bool { return !holdAll(tests, s, fields) }, size, err
}

// compileElemMatch requires one element that fulfils everything.
func compileElemMatch(operand any) (test, int, error) {
	text, ok := operand.(document)
	if !ok {
		return nil, 0, faultf("$elemMatch must be an object")
	}
	holds, size, err := compileElement(text)
	return func(s *search, fields []any) bool {
		return slices.ContainsFunc(fields, func(v any) bool {
			array, _ := v.([]any)
			return slices.ContainsFunc(array, func(item any) bool { return s.spend(1) && holds(s, item) })
		})
	}, size, err
}

// compileElement compiles a condition on an element of an array: operators on
// its value, or a query on its fields.
func compileElement(text document) (holds func(*search, any) bool, size int, err error) {
	if hasOperators(text) && text["$and"] == nil && text["$or"] == nil && text["$nor"] == nil {
		tests, size, err := compileTests(text)
		return func(s *search, v any) bool { return holdAll(tests, s, []any{v}) }, size, err
	}
	q, err := compileQuery(text)
	if err != nil {
		return nil, 0, err
	}
	return func(s *search, v any) bool {
		doc, ok := v.(document)
		return ok && q.matches(s, doc)
	}, max(q.size, 1), nil
}

func compileMod(operand any) (test, error) {
	pair, _ := operand.([]any)
	if len(pair) != 2 {
		return nil, faultf("$mod must be an array of two numbers")
	}
	divisor, ok := pair[0].(float64)
	remainder, ok2 := pair[1].(float64)
	if !ok || !ok2 || math.Trunc(divisor) == 0 {
		return nil, faultf("$mod must be an array of two numbers, the first not zero")
	}
	return func(s *search, fields []any) bool {
		return some(s, fields, func(v any) bool {
			n, ok := v.(float64)
			return ok && math.Mod(math.Trunc(n), math.Trunc(divisor)) == math.Trunc(remainder)
		})
	}, nil
}

// compileType accepts the numbers and names that MongoDB has for types. All
// numbers have the same type here.
func compileType(operand any) (test, error) {
	var is func(v any) bool
	switch operand {
	case 1.0, 16.0, 18.0, "double", "int", "long", "number":
		is = func(v any) bool { _, ok := v.(float64); return ok }
	case 2.0, "string":
		is = func(v any) bool { _, ok := v.(string); return ok }
	case 3.0, "object":
		is = func(v any) bool { doc, ok := v.(document); return ok && !isID(doc) }
	case 4.0, "array":
		is = func(v any) bool { _, ok := v.([]any); return ok }
	case 7.0, "objectId":
		is = func(v any) bool { doc, ok := v.(document); return ok && isID(doc) }
	case 8.0, "bool":
		is = func(v any) bool { _, ok := v.(bool); return ok }
	case 9.0, "date":
		is = func(v any) bool { _, ok := v.(date); return ok }
	case 10.0, "null":
		is = func(v any) bool { return v == nil }
	default:
		return nil, faultf("$type %v is not supported", operand)
	}
	return func(s *search, fields []any) bool { return some(s, fields, is) }, nil
}

// compileRegexp accepts the syntax of package regexp, whose time is linear in the
// text. JavaScript's lookaheads and backreferences are errors.
func compileRegexp(pattern, options any) (test, error) {
	text, ok := pattern.(string)
	if !ok {
		return nil, faultf("$regex must be a string")
	}
	flags, ok := options.(string)
	if !ok && options != nil || strings.Trim(flags, "ims") != "" {
		return nil, faultf("$options %v is not supported: it may have i, m and s", options)
	}
	if len(text) > maxPattern {
		return nil, faultf("a $regex has at most %d bytes", maxPattern)
	}
	if flags != "" {
		text = "(?" + flags + ")" + text
	}
	cost, err := programSize(text)
	if err != nil {
		return nil, faultf("$regex %q is not supported: %v", pattern, err)
	}
	if cost > maxPattern {
		return nil, faultf("$regex %q is too complicated", pattern)
	}
	re, err := regexp.Compile(text)
	if err != nil {
		return nil, faultf("$regex %q is not supported: %v", pattern, err)
	}
	return func(s *search, fields []any) bool {
		return some(s, fields, func(v any) bool {
			text, ok := plain(v).(string)
			return ok && s.spend(len(text)*cost/100) && re.MatchString(text)
		})
	}, nil
}

// programSize is the number of instructions of a compiled pattern: x{1000} is
// short and has many.
func programSize(text string) (int, error) {
	tree, err := syntax.Parse(text, syntax.Perl)
	if err != nil {
		return 0, err
	}
	program, err := syntax.Compile(tree.Simplify())
	if err != nil {
		return 0, err
	}
	return len(program.Inst), nil
}
