package main

import (
	"bytes"
	"context"
	"crypto/sha256"
	"log/slog"
	"os"
	"sync"
	"time"

	"example.com/callback/internal/clock"
)

// watchEvery is how often files are looked at for a change.
const watchEvery = time.Second

// A watchedFile is a file that is loaded at the start, when it changes, and on
// request.
type watchedFile struct {
	flag string // that names the file
	path string
	load func(text []byte) error

	mu     sync.Mutex
	sum    [sha256.Size]byte // of the content that was last loaded or refused
	broken bool
}

// first loads the file at the start. Its error names the flag.
func (f *watchedFile) first() error {
	text, err := readFile(f.path)
	if err != nil {
		return usagef("-%s: %w", f.flag, err)
	}
	if err := f.load(text); err != nil {
		return usagef("-%s %s: %w", f.flag, f.path, err)
	}
	f.sum = sha256.Sum256(text)
	return nil
}

// reload loads the file if its content has changed. If it cannot be read or is
// broken, the old state remains, and the error is logged once.
func (f *watchedFile) reload(ctx context.Context, logger *slog.Logger) {
	f.mu.Lock()
	defer f.mu.Unlock()
	text, err := readFile(f.path)
	sum := sha256.Sum256(text)
	if err != nil {
		sum = sha256.Sum256([]byte("unreadable: " + err.Error()))
	}
	if bytes.Equal(sum[:], f.sum[:]) {
		return
	}
	f.sum = sum
	if err == nil {
		err = f.load(text)
	}
	if err != nil {
		f.broken = true
		logger.ErrorContext(ctx, "file not loaded, the state before it stays", "flag", f.flag, "file", f.path, "error", err)
		return
	}
	f.broken = false
	logger.InfoContext(ctx, "file loaded", "flag", f.flag, "file", f.path)
}

// healthy reports whether the content on disk is the one in use.
func (f *watchedFile) healthy() bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return !f.broken
}

// watch reloads the files on each change, and all of them when hup fires, until
// ctx is done. It logs when the clock jumps.
func watch(ctx context.Context, files []*watchedFile, hup <-chan os.Signal, logger *slog.Logger) {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	var clock clock.Watch
	for {
		if by := clock.Jumped(time.Now()); by != 0 {
			logger.WarnContext(ctx, "the clock of this machine has jumped, or the machine has slept", "by", by.Round(time.Second))
		}
		select {
		case <-ctx.Done():
			return
		case <-hup:
		case <-ticker.C:
		}
		for _, f := range files {
			f.reload(ctx, logger)
		}
	}
}
