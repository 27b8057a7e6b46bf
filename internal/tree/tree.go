// Package tree tells the states of script files apart, for both runners.
package tree

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"reflect"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/limit"
)

// A Stamp identifies a state of a file, as far as its file system tells. Equal
// stamps mean that the file has not changed, with one exception: if the file
// system tells only the modification time and the size, an edit that keeps both
// is not seen.
type Stamp struct {
	Sec, Nsec             int64 // of the modification time
	Size                  int64
	Device, Inode         uint64 // zero if the system does not tell
	ChangeSec, ChangeNsec int64  // zero if the system does not tell
	Sum                   [16]byte
}

// A Told tree is told the states of its files for each call, so that its Stat
// reads no file.
type Told interface {
	fs.StatFS
	Told()
}

// stampOf returns the stamp of a file. certain is false if the file system tells
// no times; then only the content shows a change.
func stampOf(info fs.FileInfo) (s Stamp, certain bool) {
	if own, ok := info.(interface{ Stamp() Stamp }); ok {
		return own.Stamp(), true
	}
	at := info.ModTime()
	s = Stamp{Sec: at.Unix(), Nsec: int64(at.Nanosecond()), Size: info.Size()}
	s.addSystem(info.Sys())
	return s, !at.IsZero() || isEmbedded(info)
}

// isEmbedded reports whether a file is from an embed.FS, or from an [fs.Sub] of
// one. Such a file has no time and never changes.
func isEmbedded(info fs.FileInfo) bool {
	t := reflect.TypeOf(info)
	if t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t.PkgPath() == "embed"
}

// sum identifies a content.
func sum(text []byte) (sum [16]byte) {
	full := sha256.Sum256(text)
	copy(sum[:], full[:])
	return sum
}

// Stat returns the stamp of a file without reading it. If certain is false, only
// [Read] shows whether the file has changed. A folder counts as a file that does
// not exist.
func Stat(fsys fs.FS, name string) (s Stamp, certain bool, err error) {
	info, err := fs.Stat(fsys, name)
	if err != nil {
		return Stamp{}, false, err
	}
	if info.IsDir() {
		return Stamp{}, false, fs.ErrNotExist
	}
	s, certain = stampOf(info)
	return s, certain, nil
}

// Look returns the stamp of a file. It reads the file only if it must, as [Read]
// does.
func Look(fsys fs.FS, name string, maxSize int64) (Stamp, error) {
	s, certain, err := Stat(fsys, name)
	if err == nil && !certain {
		_, s, err = Read(fsys, name, maxSize)
	}
	return s, err
}

// Read reads a file, but at most one byte more than maxSize.
func Read(fsys fs.FS, name string, maxSize int64) ([]byte, Stamp, error) {
	file, err := fsys.Open(name)
	if err != nil {
		return nil, Stamp{}, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, Stamp{}, err
	}
	if info.IsDir() {
		return nil, Stamp{}, fs.ErrNotExist
	}
	text, _, err := limit.ReadAll(file, maxSize)
	if err != nil {
		return nil, Stamp{}, err
	}
	s, certain := stampOf(info)
	if !certain {
		s.Sum = sum(text)
	}
	return text, s, nil
}

// FileVersion is the version of a file in a tree without a version.
func FileVersion(text []byte) string {
	sum := sum(text)
	return hex.EncodeToString(sum[:])
}

// Version is a version for the scripts of a tree. It is the same for the same
// names and contents. A tree without any folder of scripts is [fs.ErrNotExist].
func Version(fsys fs.FS) (string, error) {
	hash := sha256.New()
	found := false
	for _, dir := range []string{cloudcode.Callbacks, cloudcode.Modules, cloudcode.System} {
		entries, err := fs.ReadDir(fsys, dir)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return "", err
		}
		found = true
		for _, entry := range entries { // sorted
			name := path.Join(dir, entry.Name())
			if entry.IsDir() || !cloudcode.IsScript(name) {
				continue
			}
			text, err := fs.ReadFile(fsys, name)
			if err != nil {
				return "", err
			}
			fmt.Fprintf(hash, "%s %d\n%s\n", name, len(text), text)
		}
	}
	if !found {
		return "", fmt.Errorf("no callbacks, modules or system folder: %w", fs.ErrNotExist)
	}
	return hex.EncodeToString(hash.Sum(nil)[:16]), nil
}
