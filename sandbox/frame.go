package sandbox

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"
)

// Parent and child exchange frames. A frame is a byte that names its kind, four
// bytes of length and the fields of one message. A field is a varint, or a
// varint of length and that many bytes: bodies and scripts cross as they are.
// The length has a fixed size so that it can be filled in after the fields, and
// the frame goes out in a single write.
const headerSize = 5

// maxToChild bounds frames to a child: what the header can express.
const maxToChild = 1<<32 - 1

// maxToParent is the longest frame that a child may send.
const maxToParent = 64 << 20

// firstRead is the most memory allocated for a frame before its bytes arrive.
const firstRead = 256 << 10

// A message is the content of a frame. It is what differs between the kinds.
type message interface {
	kind() kind
	encode(e *encoder)
}

var errFrame = errors.New("malformed frame")

// readFrame reads one frame. Over limit bytes it is errTooLarge. Its memory grows with the
// bytes that have arrived.
func readFrame(r io.Reader, limit int64) (k kind, payload []byte, err error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	size := int64(binary.BigEndian.Uint32(header[1:]))
	if size > limit {
		return kind(header[0]), nil, fmt.Errorf("%w: %d bytes", errTooLarge, size)
	}
	payload = make([]byte, min(size, firstRead))
	for have := int64(0); ; {
		if _, err := io.ReadFull(r, payload[have:]); err != nil {
			return 0, nil, io.ErrUnexpectedEOF
		}
		if have = int64(len(payload)); have == size {
			return kind(header[0]), payload, nil
		}
		payload = append(payload, make([]byte, min(have, size-have))...)
	}
}

// An encoder builds one frame. Its memory is used again for the next.
type encoder struct{ b []byte }

// send writes the message in a single write: the file's own lock then keeps the
// frames of several goroutines apart.
func (e *encoder) send(w io.Writer, m message, limit int64) error {
	e.b = append(e.b[:0], byte(m.kind()), 0, 0, 0, 0)
	m.encode(e)
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

func (e *encoder) strings(list []string) {
	e.uint(uint64(len(list)))
	for _, s := range list {
		e.string(s)
	}
}

func (e *encoder) time(t time.Time) {
	e.int(t.Unix())
	e.int(int64(t.Nanosecond()))
}

// A decoder reads a frame's fields. Once a field is missing or malformed, that
// field and all after it are zero, and done returns an error.
type decoder struct {
	b   []byte
	bad bool
}

// done returns an error unless the frame held exactly the fields that were read.
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

// bytes returns a field that shares its memory with the frame.
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

func (d *decoder) strings() []string {
	list := make([]string, d.count())
	for i := range list {
		list[i] = d.string()
	}
	return list
}

// maxCount bounds the lists in a frame: an element of one byte takes up to forty
// bytes of memory once it is decoded.
const maxCount = 1 << 20

// count is the length of a list whose elements take at least one byte each, so
// that memory for them is in proportion to the frame.
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
