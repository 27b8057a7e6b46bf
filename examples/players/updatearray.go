package main

import (
	"math"
	"slices"
)

// compileArrayStep compiles an operator that changes an array.
func compileArrayStep(operator, key string, value any) (func(*edit, []string) error, error) {
	var create bool // a missing array
	var f func(s *search, array []any) ([]any, error)
	var err error
	switch operator {
	case "$push":
		create = true
		f, err = compilePush(value)
	case "$pushAll":
		create = true
		f, err = compilePush(document{"$each": value})
	case "$addToSet":
		create = true
		f, err = compileAddToSet(value)
	case "$pull":
		f, err = compilePull(value)
	case "$pullAll":
		values, ok := value.([]any)
		if !ok {
			return nil, faultf("$pullAll of %q must be an array", key)
		}
		f, err = compilePull(document{"$in": values})
	case "$pop":
		f, err = compilePop(value)
	}
	if err != nil {
		return nil, err
	}
	return func(e *edit, path []string) error {
		return modify(e.doc, path, create, func(old any) (any, error) {
			array, ok := old.([]any)
			if !ok && (old != nil || !create) {
				return nil, faultf("cannot %s %q: it is not an array", operator, key)
			}
			return f(&e.search, array)
		})
	}, nil
}

// each returns the values to add: the list in {$each: […]}, or the single value.
func each(value any) (values []any, modifiers document, err error) {
	doc, ok := value.(document)
	if !ok || !hasOperators(doc) {
		return []any{value}, nil, nil
	}
	if values, ok = doc["$each"].([]any); !ok {
		return nil, nil, faultf("$each must be an array")
	}
	return values, doc, nil
}

func compilePush(value any) (func(*search, []any) ([]any, error), error) {
	values, modifiers, err := each(value)
	if err != nil {
		return nil, err
	}
	position, hasPosition := math.Inf(1), false
	slice, hasSlice := 0.0, false
	var compare func(a, b any) int
	for name, operand := range modifiers {
		switch name {
		case "$each":
		case "$position":
			if position, hasPosition = operand.(float64); !hasPosition || position < 0 {
				return nil, faultf("$position must be a number, 0 or more")
			}
		case "$slice":
			if slice, hasSlice = operand.(float64); !hasSlice {
				return nil, faultf("$slice must be a number")
			}
		case "$sort":
			if compare, err = compileElementOrder(operand); err != nil {
				return nil, err
			}
		default:
			return nil, faultf("%q of $push is not supported", name)
		}
	}
	return func(_ *search, array []any) ([]any, error) {
		array = slices.Insert(array, int(min(position, float64(len(array)))), clone(values).([]any)...)
		if compare != nil {
			slices.SortStableFunc(array, compare)
		}
		if n := int(min(math.Abs(slice), float64(len(array)))); hasSlice && slice >= 0 {
			array = array[:n]
		} else if hasSlice {
			array = array[len(array)-n:]
		}
		return array, nil
	}, nil
}

// compileElementOrder compiles $sort: 1, -1 or {field: 1}.
func compileElementOrder(operand any) (func(a, b any) int, error) {
	var path []string
	if fields, ok := operand.(document); ok {
		if len(fields) != 1 {
			return nil, faultf("$sort by more than one field is not supported")
		}
		for key, direction := range fields {
			var err error
			if path, err = splitPath(key); err != nil {
				return nil, err
			}
			operand = direction
		}
	}
	direction, ok := operand.(float64)
	if !ok || direction != 1 && direction != -1 {
		return nil, faultf("$sort must be 1 or -1, or an object of a field")
	}
	field := func(v any) any {
		for _, name := range path {
			doc, _ := v.(document)
			v = doc[name]
		}
		return v
	}
	return func(a, b any) int { return int(direction) * order(field(a), field(b)) }, nil
}

func compileAddToSet(value any) (func(*search, []any) ([]any, error), error) {
	values, modifiers, err := each(value)
	if err != nil {
		return nil, err
	}
	for name := range modifiers {
		if name != "$each" {
			return nil, faultf("%q of $addToSet is not supported", name)
		}
	}
	return func(s *search, array []any) ([]any, error) {
		for _, v := range values {
			isEqual, cost := func(item any) bool { return equal(item, v) }, weight(v)
			if !s.spend(len(array) * cost) {
				return nil, s.err()
			}
			if !slices.ContainsFunc(array, isEqual) {
				array = append(array, clone(v))
			}
		}
		if array == nil {
			array = []any{}
		}
		return array, nil
	}, nil
}

// compilePull removes the elements that are equal to a value or fulfil a
// condition.
func compilePull(value any) (func(*search, []any) ([]any, error), error) {
	holds := func(s *search, v any) bool { return equals(value)(s, []any{v}) }
	if condition, ok := value.(document); ok && !isID(condition) {
		var err error
		if holds, _, err = compileElement(condition); err != nil {
			return nil, err
		}
	}
	return func(s *search, array []any) ([]any, error) {
		return slices.DeleteFunc(array, func(v any) bool { return s.spend(1) && holds(s, v) }), nil
	}, nil
}

func compilePop(value any) (func(*search, []any) ([]any, error), error) {
	switch value {
	case 1.0:
		return func(_ *search, array []any) ([]any, error) { return array[:max(len(array)-1, 0)], nil }, nil
	case -1.0:
		return func(_ *search, array []any) ([]any, error) { return array[min(1, len(array)):], nil }, nil
	}
	return nil, faultf("$pop must be 1 or -1")
}
