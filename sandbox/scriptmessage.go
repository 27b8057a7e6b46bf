package sandbox

import "example.com/callback/internal/tree"

// A statQuestion asks for the version of a file to run.
type statQuestion struct{ Name string }

func (m *statQuestion) kind() kind        { return kindStat }
func (m *statQuestion) encode(e *encoder) { e.string(m.Name) }
func (m *statQuestion) decode(d *decoder) { m.Name = d.string() }

type statReply struct {
	Err   error // the other field is meaningless if it is not nil
	Stamp tree.Stamp
}

func (m *statReply) kind() kind { return kindReply }

func (m *statReply) encode(e *encoder) {
	encodeError(e, m.Err)
	encodeStamp(e, &m.Stamp)
}

func (m *statReply) decode(d *decoder) {
	m.Err = decodeError(d)
	decodeStamp(d, &m.Stamp)
}

// A readQuestion asks for the text of a file.
type readQuestion struct{ Name string }

func (m *readQuestion) kind() kind        { return kindRead }
func (m *readQuestion) encode(e *encoder) { e.string(m.Name) }
func (m *readQuestion) decode(d *decoder) { m.Name = d.string() }

type readReply struct {
	Err  error // the other fields are meaningless if it is not nil
	File fileText

	// OnTrial means that no child has compiled File yet. This child compiles it
	// and sends a verdictMessage. If File does not compile, the child runs
	// Previous, if there is one.
	OnTrial  bool
	Previous *fileText
}

func (m *readReply) kind() kind { return kindReply }

func (m *readReply) encode(e *encoder) {
	encodeError(e, m.Err)
	m.File.encode(e)
	e.bool(m.OnTrial)
	e.bool(m.Previous != nil)
	if m.Previous != nil {
		m.Previous.encode(e)
	}
}

func (m *readReply) decode(d *decoder) {
	m.Err = decodeError(d)
	m.File.decode(d)
	m.OnTrial = d.bool()
	if d.bool() {
		m.Previous = new(fileText)
		m.Previous.decode(d)
	}
}

// A verdictMessage says whether the version on trial compiles.
type verdictMessage struct{ Err error } // nil means that it does

func (m *verdictMessage) kind() kind        { return kindVerdict }
func (m *verdictMessage) encode(e *encoder) { encodeError(e, m.Err) }
func (m *verdictMessage) decode(d *decoder) { m.Err = decodeError(d) }

func encodeStamp(e *encoder, s *tree.Stamp) {
	for _, part := range []int64{s.Sec, s.Nsec, s.Size, int64(s.Device), int64(s.Inode), s.ChangeSec, s.ChangeNsec} {
		e.int(part)
	}
	e.bytes(s.Sum[:])
}

func decodeStamp(d *decoder, s *tree.Stamp) {
	s.Sec, s.Nsec, s.Size = d.int(), d.int(), d.int()
	s.Device, s.Inode = uint64(d.int()), uint64(d.int())
	s.ChangeSec, s.ChangeNsec = d.int(), d.int()
	copy(s.Sum[:], d.bytes())
}

// A fileState is the state of a file of the scripts at one time.
type fileState struct {
	name   string
	absent bool
	stamp  tree.Stamp // zero if absent
}

func (f *fileState) encode(e *encoder) {
	e.string(f.name)
	e.bool(f.absent)
	encodeStamp(e, &f.stamp)
}

func (f *fileState) decode(d *decoder) {
	f.name = d.string()
	f.absent = d.bool()
	decodeStamp(d, &f.stamp)
}

// A fileText is one version of a file of the scripts.
type fileText struct {
	stamp tree.Stamp
	text  []byte // at most one byte more than MaxScriptSize
}

func (f *fileText) encode(e *encoder) {
	encodeStamp(e, &f.stamp)
	e.bytes(f.text)
}

func (f *fileText) decode(d *decoder) {
	decodeStamp(d, &f.stamp)
	f.text = d.bytes()
}
