package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// A fault is a mistake of the script, with a message for its author. All other
// errors are the host's; see [Store.functions].
type fault string

func (f fault) Error() string { return string(f) }

func faultf(format string, args ...any) error { return fault(fmt.Sprintf(format, args...)) }

// A document is a JSON object. Its values are nil, bool, float64 (numbers are
// JavaScript's), string, date, []any and document.
type document map[string]any

// UnmarshalJSON decodes an object and its contents.
func (d *document) UnmarshalJSON(text []byte) error {
	var object map[string]any
	if err := json.Unmarshal(text, &object); err != nil {
		return err
	}
	*d = nil
	if object != nil {
		*d = documentOf(object)
	}
	return nil
}

func documentOf(object map[string]any) document {
	for name, child := range object {
		object[name] = valueOf(child)
	}
	return object
}

// valueOf converts a value from package json to a value of a document.
func valueOf(v any) any {
	switch v := v.(type) {
	case map[string]any:
		if d, ok := dateOf(v); ok {
			return d
		}
		if text, ok := v["$numberLong"].(string); ok && len(v) == 1 {
			if n, err := strconv.ParseInt(text, 10, 64); err == nil {
				return float64(n)
			}
		}
		return documentOf(v)
	case []any:
		for i, item := range v {
			v[i] = valueOf(item)
		}
	}
	return v
}

// A date is a point in time, in milliseconds since 1970. In JSON it is {"$date":
// milliseconds}. A script may also write {"$date": "2022-09-30"}.
type date int64

// MarshalJSON encodes the date.
func (d date) MarshalJSON() ([]byte, error) { return fmt.Appendf(nil, `{"$date":%d}`, int64(d)), nil }

// minDate and maxDate are the first and the last point in time of JavaScript.
const (
	maxDate = 8.64e15
	minDate = -maxDate
)

func dateOf(object map[string]any) (date, bool) {
	if len(object) != 1 {
		return 0, false
	}
	switch v := object["$date"].(type) {
	case float64:
		return date(v), minDate <= v && v <= maxDate
	case string:
		for _, layout := range []string{time.RFC3339, "2006-01-02T15:04:05.999Z0700", "2006-01-02T15:04Z07:00", time.DateOnly} {
			if t, err := time.Parse(layout, v); err == nil {
				return date(t.UnixMilli()), true
			}
		}
	}
	return 0, false
}

// plain returns the text of an id {$oid: text}, so that both forms of an id are
// equal. It returns any other value unchanged.
func plain(v any) any {
	if doc, ok := v.(document); ok && len(doc) == 1 {
		if id, ok := doc["$oid"].(string); ok {
			return id
		}
	}
	return v
}

func isID(doc document) bool {
	_, ok := plain(doc).(string)
	return ok
}

func equal(a, b any) bool { return reflect.DeepEqual(plain(a), plain(b)) }

// weight is the number of values in a value, including itself. Comparing it costs
// as many steps.
func weight(v any) int {
	n := 1
	switch v := v.(type) {
	case document:
		for _, child := range v {
			n += weight(child)
		}
	case []any:
		for _, child := range v {
			n += weight(child)
		}
	}
	return n
}

// clone makes a deep copy of a value.
func clone(v any) any {
	switch v := v.(type) {
	case document:
		c := make(document, len(v))
		for name, child := range v {
			c[name] = clone(child)
		}
		return c
	case []any:
		c := make([]any, len(v))
		for i, child := range v {
			c[i] = clone(child)
		}
		return c
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
	case bool:
		return 5
	}
	return 6 // date
}

// order compares two values: negative means that a is less than b. It does not
// order objects and arrays.
func order(a, b any) int {
	a, b = plain(a), plain(b)
	if d := rank(a) - rank(b); d != 0 {
		return d
	}
	switch a := a.(type) {
	case float64:
		return cmp.Compare(a, b.(float64))
	case string:
		return strings.Compare(a, b.(string))
	case date:
		return cmp.Compare(a, b.(date))
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

// Limits of one document.
const (
	maxDocument = 256 << 10 // bytes of JSON
	maxDepth    = 50
)

// encode returns the stored form of a document, or an error if it must not be
// stored.
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

// checkFields refuses field names that queries could not reach.
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

// idKey returns the key of a document in the store: the text of an id in either
// form, or for any other value a NUL and its JSON.
func idKey(id any) (string, bool) {
	var key string
	switch v := plain(id).(type) {
	case nil, []any:
		return "", false
	case string:
		if v == "" || strings.Contains(v, "\x00") {
			return "", false
		}
		key = v
	case document:
		if hasOperators(v) {
			return "", false
		}
		text, err := json.Marshal(v)
		if err != nil {
			return "", false
		}
		key = "\x00" + string(text)
	default:
		text, err := json.Marshal(v)
		if err != nil {
			return "", false
		}
		key = "\x00" + string(text)
	}
	return key, len(key) <= maxKey
}

const maxKey = 256 // bytes of an id
