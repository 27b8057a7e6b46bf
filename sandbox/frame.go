package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Parent and child talk in frames: a byte that tells the kind, four bytes of
// length, and that many bytes of fields. A field is a varint, or a varint of
// length and so many bytes: bodies and scripts cross as they are. The length
// has a fixed size so that it can be filled in once the fields are there and a
// frame goes out in one write.
const headerSize = 5

// The kinds of frame, and their fields in order.
const (
	// To the child.
	kindSetup  = 's' // see setup.encode
	kindCall   = 'c' // see encodeCall
	kindReply  = 'a' // as what it is an answer to says
	kindCancel = 'x' // nothing; instead of an answer

	// To the parent, after the greeting.
	kindResult = 'r' // see encodeResult
	kindLog    = 'l' // see logHandler
	kindJudged = 'j' // how the version to be checked has compiled: an error
	kindStat   = 'i' // file name; the answer: an error, a stamp
	kindRead   = 'f' // file name; the answer: see encodeFile
	kindHTTP   = 'w' // see httpDoer; the answer: an error, status, header, body
	kindInvoke = 'm' // number of the function, arguments; the answer: an error, JSON
)

// maxFrame is the longest frame a child may send.
const maxFrame = 64 << 20

// firstRead is how much is allocated for a frame on its header's word alone.
const firstRead = 256 << 10

var errFrame = errors.New("malformed frame")

// readFrame reads one frame of at most limit bytes. What it allocates grows
// with what has arrived.
func readFrame(r io.Reader, limit int64) (kind byte, payload []byte, err error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	size := int64(binary.BigEndian.Uint32(header[1:]))
	if size > limit {
		return 0, nil, fmt.Errorf("frame of %d bytes is over the limit", size)
	}
	payload = make([]byte, min(size, firstRead))
	for have := int64(0); ; {
		if _, err := io.ReadFull(r, payload[have:]); err != nil {
			return 0, nil, io.ErrUnexpectedEOF
		}
		if have = int64(len(payload)); have == size {
			return header[0], payload, nil
		}
		payload = append(payload, make([]byte, min(have, size-have))...)
	}
}

// An encoder builds one frame.
type encoder struct{ b []byte }

// begin starts a frame in place of the last one.
func (e *encoder) begin(kind byte) { e.b = append(e.b[:0], kind, 0, 0, 0, 0) }

// send writes the frame in a single write: the file's own lock then keeps
// frames of several goroutines apart.
func (e *encoder) send(w io.Writer, limit int64) error {
	size := int64(len(e.b) - headerSize)
	if size > limit {
		return fmt.Errorf("%w: %d bytes", errTooLarge, size)
	}
	binary.BigEndian.PutUint32(e.b[1:], uint32(size))
	_, err := w.Write(e.b)
	if cap(e.b) > firstRead {
		e.b = nil
	}
	return err
}

var errTooLarge = errors.New("frame is too large")

func (e *encoder) uint(v uint64) { e.b = binary.AppendUvarint(e.b, v) }
func (e *encoder) int(v int64)   { e.b = binary.AppendVarint(e.b, v) }

func (e *encoder) bool(v bool) {
	if v {
		e.b = append(e.b, 1)
	} else {
		e.b = append(e.b, 0)
	}
}

func (e *encoder) string(s string) {
	e.uint(uint64(len(s)))
	e.b = append(e.b, s...)
}

func (e *encoder) bytes(b []byte) {
	e.uint(uint64(len(b)))
	e.b = append(e.b, b...)
}

func (e *encoder) time(t time.Time) {
	e.int(t.Unix())
	e.int(int64(t.Nanosecond()))
}

// A decoder takes a frame's fields apart. After a field that is not there, all
// are zero and bad is set.
type decoder struct {
	b   []byte
	bad bool
}

// done reports whether all fields were there, and nothing else.
func (d *decoder) done() error {
	if d.bad || len(d.b) != 0 {
		return errFrame
	}
	return nil
}

func (d *decoder) fail() {
	d.b, d.bad = nil, true
}

func (d *decoder) uint() uint64 {
	v, n := binary.Uvarint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) int() int64 {
	v, n := binary.Varint(d.b)
	if n <= 0 {
		d.fail()
		return 0
	}
	d.b = d.b[n:]
	return v
}

func (d *decoder) bool() bool { return d.uint() == 1 }

// bytes returns a field without copying it out of the frame.
func (d *decoder) bytes() []byte {
	n := d.uint()
	if n > uint64(len(d.b)) {
		d.fail()
		return nil
	}
	b := d.b[:n:n]
	d.b = d.b[n:]
	return b
}

func (d *decoder) string() string { return string(d.bytes()) }

// maxCount bounds the lists in a frame: an element that takes a byte there takes
// forty in memory.
const maxCount = 1 << 20

// count is a number of things of at least one byte each, so that what is
// allocated for them is in proportion to the frame.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) || n > maxCount {
		d.fail()
		return 0
	}
	return int(n)
}

func (d *decoder) time() time.Time {
	sec, nsec := d.int(), d.int()
	return time.Unix(sec, nsec)
}
