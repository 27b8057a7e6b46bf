// Package excerpt cuts the lines around an error out of a script's source.
package excerpt

import (
	"io"
	"io/fs"
	"strings"
	"unicode/utf8"
)

// A Line is a line of source.
type Line struct {
	Number int    `json:"n"` // from 1
	Text   string `json:"text"`
	Hit    bool   `json:"hit,omitempty"` // the line of the error
}

const (
	around    = 4       // lines before and after
	maxLine   = 300     // characters of a line
	maxSource = 1 << 20 // bytes that are read
)

// Of returns the lines around a line of a file, or nil if the file cannot be
// read or has no such line.
func Of(tree fs.FS, file string, line int) []Line {
	if tree == nil || line < 1 {
		return nil
	}
	opened, err := tree.Open(file)
	if err != nil {
		return nil
	}
	defer opened.Close()
	text, err := io.ReadAll(io.LimitReader(opened, maxSource))
	if err != nil {
		return nil
	}
	all := strings.Split(strings.ToValidUTF8(string(text), "\ufffd"), "\n")
	if line > len(all) {
		return nil
	}
	var lines []Line
	for n := max(line-around, 1); n <= min(line+around, len(all)); n++ {
		lines = append(lines, Line{Number: n, Text: shorten(strings.TrimSuffix(all[n-1], "\r")), Hit: n == line})
	}
	return lines
}

func shorten(text string) string {
	if utf8.RuneCountInString(text) <= maxLine {
		return text
	}
	return string([]rune(text)[:maxLine]) + "…"
}
