package sandbox

import (
	"bytes"
	"errors"
	"io/fs"
	"time"

	"example.com/callback"
	"example.com/callback/internal/compiler"
	"example.com/callback/internal/tree"
)

// maxFileQuestions bounds the questions about files in one call. A module that is
// new to the child takes two.
const maxFileQuestions = 4096

// askForFile is ask for questions about files.
func (t *task) askForFile(question message, reply interface{ decode(*decoder) }) error {
	if t.asked == maxFileQuestions {
		return errors.New("callback/sandbox: the call has asked for too many files")
	}
	t.asked++
	return t.ask(question, reply)
}

// stat implements Stat for the call's tree. Usually the call has brought the
// answer.
func (w *worker) stat(name string) (fs.FileInfo, error) {
	t := w.task
	for i := range t.files {
		if f := &t.files[i]; f.name == name {
			return f.info()
		}
	}
	var reply statReply
	if err := t.askForFile(&statQuestion{name}, &reply); err != nil {
		return nil, err
	}
	if reply.Err != nil && !errors.Is(reply.Err, fs.ErrNotExist) {
		return nil, reply.Err
	}
	t.files = append(t.files, fileState{name: name, absent: reply.Err != nil, stamp: reply.Stamp})
	return t.files[len(t.files)-1].info()
}

func (f fileState) info() (fs.FileInfo, error) {
	if f.absent {
		return nil, fs.ErrNotExist
	}
	return fileInfo(f), nil
}

// open implements Open for the call's tree. If no child has compiled the version
// before, this one does, and reports the result to the parent. If the version
// does not compile, open opens the previous one, if there is one.
func (w *worker) open(name string) (fs.File, error) {
	t := w.task
	t.compile = true
	var reply readReply
	if err := t.askForFile(&readQuestion{name}, &reply); err != nil {
		return nil, err
	}
	if reply.Err != nil {
		return nil, reply.Err
	}
	file := reply.File
	if reply.OnTrial {
		err := w.tryCompile(name, file.text)
		t.tell(&verdictMessage{err})
		if err != nil && reply.Previous != nil {
			file = *reply.Previous
		}
	}
	return &openFile{
		info:   fileInfo{name: name, stamp: file.stamp},
		Reader: bytes.NewReader(file.text),
	}, nil
}

// tryCompile returns a [*callback.ScriptError] if the script does not compile.
func (w *worker) tryCompile(name string, text []byte) error {
	var fault *compiler.Fault
	if int64(len(text)) > w.maxScriptSize {
		fault = compiler.TooLong(w.maxScriptSize)
	} else {
		_, fault = compiler.Compile(name, string(text), false)
	}
	if fault == nil {
		return nil
	}
	return &callback.ScriptError{Script: name, Line: fault.Line, Column: fault.Column, Message: fault.Message}
}

// An openFile is a script that the parent has sent.
type openFile struct {
	info fileInfo
	*bytes.Reader
}

func (f *openFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *openFile) Close() error               { return nil }

// A fileInfo is the [fs.FileInfo] of a script that exists.
type fileInfo fileState

func (f fileInfo) Name() string       { return f.name }
func (f fileInfo) Size() int64        { return f.stamp.Size }
func (f fileInfo) Mode() fs.FileMode  { return 0o444 }
func (f fileInfo) ModTime() time.Time { return time.Unix(f.stamp.Sec, f.stamp.Nsec) }
func (f fileInfo) IsDir() bool        { return false }
func (f fileInfo) Sys() any           { return nil }

// Stamp returns the stamp that the file has in the parent. Package tree calls it.
func (f fileInfo) Stamp() tree.Stamp { return f.stamp }
