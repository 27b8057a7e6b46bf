package pgcallback

import (
	"bytes"
	"context"
	"fmt"
	"slices"
	"strings"
	"testing/fstest"
)

// A FileChange is a difference between two versions.
type FileChange struct {
	// Name is the name of the file.
	Name string

	// Old and New are the contents of the file; nil if the file does not exist.
	Old, New []byte
}

// Diff returns the differences between two versions, sorted by file name. from
// and to name the versions as in Version; an empty from is a tree without files.
func (db *DB) Diff(ctx context.Context, apiKey, from, to string) ([]FileChange, error) {
	var trees [2]fstest.MapFS
	for i, ref := range []string{from, to} {
		if ref == "" {
			continue
		}
		version, err := db.Version(ctx, apiKey, ref)
		if err != nil {
			return nil, err
		}
		if trees[i], err = db.files(ctx, apiKey, version.ID); err != nil {
			return nil, err
		}
	}
	names := append(sortedNames(trees[0]), sortedNames(trees[1])...)
	slices.Sort(names)
	var changes []FileChange
	for _, name := range slices.Compact(names) {
		before, after := trees[0][name], trees[1][name]
		switch {
		case before == nil:
			changes = append(changes, FileChange{Name: name, New: after.Data})
		case after == nil:
			changes = append(changes, FileChange{Name: name, Old: before.Data})
		case !bytes.Equal(before.Data, after.Data):
			changes = append(changes, FileChange{Name: name, Old: before.Data, New: after.Data})
		}
	}
	return changes, nil
}

// contextLines is the number of unchanged lines around a change in Unified.
const contextLines = 3

// Unified returns the change in the form of diff -u, as one hunk: from the
// first line that differs to the last.
func (c FileChange) Unified() string {
	before, after := splitLines(c.Old), splitLines(c.New)
	head := 0
	for head < min(len(before), len(after)) && before[head] == after[head] {
		head++
	}
	tail := 0
	for tail < min(len(before), len(after))-head && before[len(before)-1-tail] == after[len(after)-1-tail] {
		tail++
	}
	start := max(0, head-contextLines)
	stop := max(0, tail-contextLines)

	var text strings.Builder
	label := func(sign string, content []byte) {
		name := c.Name
		if content == nil {
			name = "/dev/null"
		}
		fmt.Fprintf(&text, "%s %s\n", sign, name)
	}
	label("---", c.Old)
	label("+++", c.New)
	fmt.Fprintf(&text, "@@ -%s +%s @@\n", hunkRange(start, len(before)-stop), hunkRange(start, len(after)-stop))
	write := func(sign string, lines []string) {
		for _, line := range lines {
			text.WriteString(sign + line)
			if !strings.HasSuffix(line, "\n") {
				text.WriteString("\n\\ No newline at end of file\n")
			}
		}
	}
	write(" ", before[start:head])
	write("-", before[head:len(before)-tail])
	write("+", after[head:len(after)-tail])
	write(" ", before[len(before)-tail:len(before)-stop])
	return text.String()
}

// hunkRange writes the lines from start to end, which count from 0, for the
// header of a hunk.
func hunkRange(start, end int) string {
	if start == end {
		return fmt.Sprintf("%d,0", start)
	}
	return fmt.Sprintf("%d,%d", start+1, end-start)
}

func splitLines(content []byte) []string {
	if len(content) == 0 {
		return nil
	}
	lines := strings.SplitAfter(string(content), "\n")
	if lines[len(lines)-1] == "" {
		lines = lines[:len(lines)-1]
	}
	return lines
}
