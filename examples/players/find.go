package main

import (
	"encoding/json"
	"slices"
)

// Limits of one find.
const (
	maxResults     = 1000    // documents that it returns
	maxResultBytes = 4 << 20 // of all of them
	maxSortBytes   = 16 << 20
	maxSkip        = 10000
)

// A Choice selects what [Collection.Find] returns of the matching documents.
type Choice struct {
	Fields document  `json:"fields"` // fields to show, {name: 1}, or to hide, {secret: 0}
	Sort   []SortKey `json:"sort"`
	Skip   int       `json:"skip"`
	Limit  int       `json:"limit"` // zero means all
}

// A SortKey is a field to sort by.
type SortKey struct {
	Field      string `json:"field"`
	Descending bool   `json:"descending"`
}

// A finding collects the documents of a Choice.
type finding struct {
	Choice
	fields *projection
	paths  [][]string // of Sort
	rows   []sortedRow
	bytes  int // of rows
}

// A sortedRow is a row with the values by which it is sorted.
type sortedRow struct {
	row
	keys []any
}

func (c Choice) compile() (*finding, error) {
	if c.Skip < 0 || c.Skip > maxSkip || c.Limit < 0 || c.Limit > maxResults {
		return nil, faultf("skip must be 0 to %d, limit 0 to %d", maxSkip, maxResults)
	}
	f := &finding{Choice: c}
	var err error
	if f.fields, err = compileProjection(c.Fields); err != nil {
		return nil, err
	}
	for _, key := range c.Sort {
		path, err := splitPath(key.Field)
		if err != nil {
			return nil, err
		}
		f.paths = append(f.paths, path)
	}
	return f, nil
}

// wanted is the number of sorted rows to keep. It is one more than may be
// returned, to detect that there are too many.
func (f *finding) wanted() int {
	if f.Limit == 0 {
		return f.Skip + maxResults + 1
	}
	return f.Skip + f.Limit
}

// add is for [Collection.each].
func (f *finding) add(r row) (more bool, err error) {
	if len(f.Sort) == 0 && f.Skip > 0 {
		f.Skip--
		return true, nil
	}
	sorted := sortedRow{row: r}
	var s search
	for i, path := range f.paths {
		sorted.keys = append(sorted.keys, sortValue(s.lookup(r.doc, path), f.Sort[i].Descending))
	}
	if err := s.err(); err != nil {
		return false, err
	}
	f.rows = append(f.rows, sorted)
	f.bytes += r.size
	if len(f.Sort) == 0 && len(f.rows) >= f.wanted() {
		return false, nil
	}
	if len(f.rows) >= 2*f.wanted()+pageSize || f.bytes > maxSortBytes { // so that few rows are kept even of many
		f.trim()
	}
	if f.bytes > maxSortBytes {
		return false, faultf("the documents to choose from are over %d bytes: use a narrower query, or limit", maxSortBytes)
	}
	return true, nil
}

// sortValue is the value by which a document is sorted. For an array it is the
// least element, or in descending order the greatest.
func sortValue(fields []any, descending bool) any {
	if len(fields) == 0 {
		return nil
	}
	array, ok := fields[0].([]any)
	if !ok {
		array = fields
	}
	if len(array) == 0 {
		return nil
	}
	if descending {
		return slices.MaxFunc(array, order)
	}
	return slices.MinFunc(array, order)
}

// trim sorts the rows and drops those that are not wanted.
func (f *finding) trim() {
	slices.SortFunc(f.rows, func(a, b sortedRow) int {
		for i, key := range f.Sort {
			if c := order(a.keys[i], b.keys[i]); c != 0 {
				if key.Descending {
					return -c
				}
				return c
			}
		}
		return int(a.seq - b.seq)
	})
	f.rows = f.rows[:min(len(f.rows), f.wanted())]
	f.bytes = 0
	for _, r := range f.rows {
		f.bytes += r.size
	}
}

// documents returns what was found.
func (f *finding) documents() ([]document, error) {
	f.trim()
	rows := f.rows[min(f.Skip, len(f.rows)):]
	if len(rows) > maxResults {
		return nil, faultf("more than %d documents match: use limit", maxResults)
	}
	docs, size := make([]document, len(rows)), 0
	for i, r := range rows {
		docs[i] = f.fields.of(r.doc)
		text, err := json.Marshal(docs[i])
		if err != nil {
			return nil, err
		}
		if size += len(text); size > maxResultBytes {
			return nil, faultf("the documents that match are over %d bytes: use limit, or choose fields", maxResultBytes)
		}
	}
	return docs, nil
}
