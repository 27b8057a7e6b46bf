package sandbox

import (
	"cmp"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"example.com/callback"
	"example.com/callback/internal/limit"
)

// Parent and child exchange frames. A frame consists of a byte that names its
// kind, its length in four bytes, and the fields of one message. A field is a
// varint, or a length as a varint followed by that many bytes. The length of the
// frame has a fixed size, so that it can be filled in after the fields and the
// frame be written at once.
const headerSize = 5

// firstRead is the most memory allocated for a frame before its bytes arrive.
const firstRead = 256 << 10

var errFrame = errors.New("malformed frame")

// readFrame reads one frame. limit bounds the frames of each kind. The error is
// errTooLarge for a longer one, and errFrame if the limit is negative. Memory grows
// only with the bytes that have arrived.
func readFrame(r io.Reader, limit func(kind) int64) (k kind, payload []byte, err error) {
	var header [headerSize]byte
	if _, err := io.ReadFull(r, header[:]); err != nil {
		return 0, nil, err
	}
	k = kind(header[0])
	size := int64(binary.BigEndian.Uint32(header[1:]))
	if most := limit(k); most < 0 {
		return k, nil, errFrame
	} else if size > most {
		return k, nil, fmt.Errorf("%w: %d bytes", errTooLarge, size)
	}
	payload = make([]byte, min(size, firstRead))
	for have := int64(0); ; {
		if _, err := io.ReadFull(r, payload[have:]); err != nil {
			return 0, nil, io.ErrUnexpectedEOF
		}
		if have = int64(len(payload)); have == size {
			return k, payload, nil
		}
		payload = append(payload, make([]byte, min(have, size-have))...)
	}
}

// fromParent bounds frames to a child by what their header can express.
func fromParent(kind) int64 { return 1<<32 - 1 }

// limits bounds the frames from a child in one call. The library's own code in a
// child stays below them, because package limit bounds scripts.
type limits struct {
	result int64 // bytes of the names and values of a result
	args   int64 // bytes of the arguments of a host function
}

func limitsOf(call *callback.Call) limits {
	return limits{
		result: cmp.Or(call.MaxResult, limit.ResultBytes(4<<20)),
		args:   cmp.Or(call.MaxArgs, limit.ArgBytes),
	}
}

const (
	maxNotice      = 128 << 10             // frames with a text or an error
	maxFrameName   = 1 << 10               // frames with a file name
	maxURL         = 4 * limit.RequestHead // the child's library keeps to RequestHead, before some characters are escaped
	maxFieldPrefix = 10                    // bytes before the name and the value of a field
)

func (l limits) of(k kind) int64 {
	switch k {
	case kindReady, kindStat, kindRead, kindDrop:
		return maxFrameName
	case kindLog, kindVerdict:
		return maxNotice
	case kindHTTP:
		return limit.RequestBody + 2*limit.RequestHead
	case kindInvoke:
		return l.args + limit.Args*maxFieldPrefix + maxFieldPrefix
	case kindResult:
		return l.result + limit.ResultNames*maxFieldPrefix + maxNotice
	}
	return -1
}

// An encoder builds one frame at a time. It reuses its memory.
type encoder struct{ b []byte }

// send writes the message at once, so that the lock of the file keeps the frames of
// several goroutines apart. limit is as for readFrame.
func (e *encoder) send(w io.Writer, m message, limit func(kind) int64) error {
	e.b = append(e.b[:0], byte(m.kind()), 0, 0, 0, 0)
	m.encode(e)
	size := int64(len(e.b) - headerSize)
	if size > limit(m.kind()) {
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

// optional keeps nil and empty apart.
func (e *encoder) optional(b []byte) {
	e.bool(b != nil)
	e.bytes(b)
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

// A decoder reads a frame's fields. If a field is missing or malformed, it and all
// following fields are zero, and done returns an error.
type decoder struct {
	b        []byte
	bad      bool
	trusted  bool // the frame is the parent's
	elements int  // of lists so far
}

// done returns an error unless the frame has exactly the fields that were read.
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

func (d *decoder) optional() []byte {
	if notNil, b := d.bool(), d.bytes(); notNil {
		return b
	}
	return nil
}

func (d *decoder) string() string { return string(d.bytes()) }

// text is a string of at most n bytes. A longer one is malformed.
func (d *decoder) text(n int) string {
	b := d.bytes()
	if len(b) > n {
		d.fail()
		return ""
	}
	return string(b)
}

func (d *decoder) strings() []string {
	list := make([]string, d.count())
	for i := range list {
		list[i] = d.string()
	}
	return list
}

// maxElements bounds the elements of all lists in a frame from a child. An element
// of one or two bytes takes up to a hundred bytes of memory.
const maxElements = 1<<16 + 1<<10

// count is the length of a list whose elements take at least one byte each.
func (d *decoder) count() int {
	n := d.uint()
	if n > uint64(len(d.b)) || !d.trusted && n > uint64(maxElements-d.elements) {
		d.fail()
		return 0
	}
	d.elements += int(n)
	return int(n)
}

func (d *decoder) time() time.Time {
	sec, nsec := d.int(), d.int()
	return time.Unix(sec, nsec)
}
