package work

// HeapSize is the live heap, in bytes, with which the commands measure: that of
// a server with some state. With next to nothing alive the collector runs
// every 4 MB, and takes half of all CPU time.
const HeapSize = 100 << 20

// A Record is 128 bytes of a live heap, with three pointers.
type Record struct {
	left, right *Record
	name        string
	_           [96]byte
}

// NewHeap returns a tree of about size bytes, which the collector must mark as
// long as it is retained.
func NewHeap(size int) *Record {
	if size < 128 {
		return nil
	}
	half := (size - 128) / 2
	return &Record{left: NewHeap(half), right: NewHeap(half), name: "a record"}
}
