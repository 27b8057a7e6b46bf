package cloudcode

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
)

// Validate reports a tree that has no main script at all, which is mostly a
// wrong folder. owner is the type whose Scripts the tree is.
func Validate(owner string, tree fs.FS) error {
	if tree == nil {
		return fmt.Errorf("callback: %s has no Scripts", owner)
	}
	if _, err := fs.Stat(tree, ServerScript); err == nil {
		return nil
	}
	entries, err := fs.ReadDir(tree, Callbacks)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("callback: %s.Scripts cannot be read: %w", owner, err)
	}
	for _, entry := range entries {
		if !entry.IsDir() && IsScript(path.Join(Callbacks, entry.Name())) {
			return nil
		}
	}
	return fmt.Errorf("callback: %s.Scripts has neither %s/*.js nor %s", owner, Callbacks, ServerScript)
}
