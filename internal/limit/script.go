package limit

// Limits of what a script may give its host. Both runners keep to them. The
// parent of a sandbox enforces them on children that do not.
const (
	Args     = 1000    // arguments in one call of a host function
	ArgBytes = 1 << 20 // of the JSON of all of them, by default

	ResultNames = 1 << 16 // in script data and script errors together

	RequestBody = 16 << 20 // bytes of an outbound request's body
	RequestHead = 64 << 10 // bytes of its URL and headers

	LogLines = 1000      // of one run
	LogBytes = 256 << 10 // of one run
	LogLine  = 16 << 10  // bytes of one line
)

// ResultBytes is the limit of a Result, in bytes of its names and their JSON, for
// a limit of the response body. Text grows when it is encoded as JSON: random
// bytes double.
func ResultBytes(maxResponse int64) int64 {
	const extra = 64 << 10 // for status and headers
	return min(maxResponse, 1<<40)*3 + extra
}
