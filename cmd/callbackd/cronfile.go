package main

import (
	"encoding/json"
	"fmt"
	"strings"

	"example.com/callback/rivercallback"
)

// cronShape is the form of a line of a -cron file.
const cronShape = "MINUTE HOUR DAY MONTH WEEKDAY APIKEY MODULE [JSON]"

// parseCron reads a file of modules that run at set times: a line each, as in a
// crontab, with blank lines and comments that begin with #.
func parseCron(text []byte) ([]rivercallback.CronEntry, error) {
	var entries []rivercallback.CronEntry
	number := 0
	for line := range strings.Lines(string(text)) {
		number++
		if line = strings.TrimSpace(line); line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		entry, err := parseCronLine(line)
		if err == nil {
			err = entry.Validate()
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", number, err)
		}
		entries = append(entries, entry)
	}
	return entries, nil
}

func parseCronLine(line string) (entry rivercallback.CronEntry, err error) {
	fields := 5
	if first, rest, _ := strings.Cut(line, " "); strings.HasPrefix(first, "CRON_TZ=") {
		entry.Schedule = first + " "
		line = strings.TrimSpace(rest)
	}
	switch {
	case strings.HasPrefix(line, "@every"):
		fields = 2
	case strings.HasPrefix(line, "@"):
		fields = 1
	}
	var words []string
	for len(words) < fields+2 {
		word, rest := cutField(line)
		if word == "" {
			return entry, fmt.Errorf("want %s", cronShape)
		}
		words, line = append(words, word), rest
	}
	entry.Schedule += strings.Join(words[:fields], " ")
	entry.APIKey, entry.Module = words[fields], words[fields+1]
	if line != "" {
		entry.Data = json.RawMessage(line)
	}
	return entry, nil
}

// cutField returns the first word of a line, and the line after it.
func cutField(line string) (word, rest string) {
	end := strings.IndexAny(line, " \t")
	if end < 0 {
		return line, ""
	}
	return line[:end], strings.TrimLeft(line[end:], " \t")
}
