package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"

	"example.com/callback/internal/limit"
)

// maxFile is the longest file of secrets, variables or PEM, in bytes.
const maxFile = 16 << 20

// readFile reads a file of at most maxFile bytes.
func readFile(path string) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	text, ok, err := limit.ReadAll(file, maxFile)
	if err == nil && !ok {
		err = fmt.Errorf("%s is longer than %d bytes", path, maxFile)
	}
	return text, err
}

// decodeJSON decodes the one JSON value of a file. Its error has the line and
// the column, and repeats nothing of the text, which may hold secrets.
func decodeJSON(text []byte, into any, shape string) error {
	decoder := json.NewDecoder(bytes.NewReader(text))
	err := decoder.Decode(into)
	offset, problem := decoder.InputOffset(), "broken JSON"
	var syntax *json.SyntaxError
	var kind *json.UnmarshalTypeError
	switch {
	case err == nil:
		if _, err := decoder.Token(); err == io.EOF {
			return nil
		}
		problem = "more than one JSON value"
	case errors.As(err, &syntax):
		offset = syntax.Offset
	case errors.As(err, &kind):
		offset, problem = kind.Offset, "want "+shape
	case errors.Is(err, io.EOF):
		return errors.New("is empty: want " + shape)
	case errors.Is(err, io.ErrUnexpectedEOF):
		offset, problem = int64(len(text)), "the JSON ends too early"
	}
	before := text[:min(int(offset), len(text))]
	line := bytes.Count(before, []byte("\n")) + 1
	column := len(before) - (bytes.LastIndexByte(before, '\n') + 1)
	return fmt.Errorf("line %d, column %d: %s", line, max(column, 1), problem)
}
