// Package reserved knows the names of script data that make the answer, and the
// names in a request's data that no caller can set.
package reserved

import (
	"encoding/json"
	"strconv"
	"strings"

	"example.com/callback/internal/headers"
)

// Names of script data that control the answer and are not part of it.
const (
	Raw     = "RESPONSE_RAW"
	Headers = "RESPONSE_HEADERS"
	Status  = "RESPONSE_STATUS"
)

// Names in the data that a caller cannot set.
const (
	RequestBody    = "REQUEST_BODY"
	RequestHeaders = "REQUEST_HEADERS"
)

// Is reports whether script data of this name controls the answer.
func Is(name string) bool {
	return strings.HasPrefix(name, "RESPONSE_") && (name == Raw || name == Headers || name == Status)
}

// MayBeRefused reports whether a Handler may refuse the value of a reserved name.
func MayBeRefused(name string, value json.RawMessage) bool {
	switch name {
	case Status:
		return StatusOf(value) == 0
	case Headers:
		var check headers.Script
		check.Set(value)
		return len(check.Dropped) > 0
	}
	return false
}

// StatusOf is the status for a value of RESPONSE_STATUS, or 0 if it is invalid.
func StatusOf(value json.RawMessage) int {
	status, err := strconv.Atoi(string(value))
	if err != nil || status < 200 || status > 599 {
		return 0
	}
	return status
}
