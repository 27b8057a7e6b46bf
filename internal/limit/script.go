package limit

// What a script may give its host. Both runners keep to it, and the sandbox's
// parent enforces it on a child that does not.
const (
	Args     = 1000    // arguments in one call of a host function
	ArgBytes = 1 << 20 // of their JSON together, by default

	ResultNames = 1 << 16 // names of script data and script errors together

	RequestBody = 16 << 20 // bytes of an outbound request's body
	RequestHead = 64 << 10 // bytes of its URL and headers

	LogLines = 1000      // of one run
	LogBytes = 256 << 10 // of one run
	LogLine  = 16 << 10  // bytes of one line
)

// ResultBytes is the limit of a Result, in bytes of its names and of their JSON, by
// the limit of the answer's body. Raw text becomes longer as JSON: random bytes
// twice as long.
func ResultBytes(maxResponse int64) int64 {
	const room = 64 << 10 // for status and headers
	return min(maxResponse, 1<<40)*3 + room
}
