package callback

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"reflect"

	"example.com/callback/internal/tree"
)

// A ScriptSource supplies the scripts of each call: those of its API key, of a
// tenant, of a release.
//
// The runner calls Scripts once for each call, and takes the main script and all
// modules of the run from the Tree that it returns. Scripts must be safe for
// concurrent use, be quick (it is part of every call) and return when ctx is done.
//
// An error that is [ErrNoScript] means that the call has no scripts, and one that
// is [ErrNoVersion] that the version does not exist. Any other error is treated as
// [ErrUnavailable]. A source keeps its last good Tree itself.
type ScriptSource interface {
	Scripts(ctx context.Context, call *Call) (Tree, error)
}

// A Tree is a game's exported cloud code, as a [GojaRunner] reads it. It is a
// [ScriptSource] of itself.
type Tree struct {
	// FS holds the files.
	FS fs.FS

	// Version, if not empty, names this state of the files for ever: Trees with
	// the same Version have the same scripts. The runner then reads each script
	// once and never checks whether it has changed, and a run never mixes two
	// versions.
	//
	// If Version is empty, the runner checks each file that a run needs, at most
	// once a millisecond. FS must then be of a comparable type, such as
	// [os.DirFS] or a pointer.
	Version string
}

// Scripts returns t.
func (t Tree) Scripts(context.Context, *Call) (Tree, error) { return t, nil }

// VersionedFS returns a Tree of fsys whose Version is a hash of the names and
// contents of its scripts. It is for scripts that do not change while the program
// runs, such as those of an embed.FS. The error is one of fsys.
func VersionedFS(fsys fs.FS) (Tree, error) {
	version, err := tree.Version(fsys)
	if err != nil {
		return Tree{}, fmt.Errorf("callback: cannot read the scripts: %w", err)
	}
	return Tree{fsys, version}, nil
}

// TreeOf returns the Tree that a [ScriptRunner] runs a call in: scripts, or what
// source supplies. It is for runners; both of the library use it. It refuses a Tree
// that no run could be sure of, and one of another version than the call names. It
// notes the version in call.Usage, if there is one.
func TreeOf(ctx context.Context, call *Call, scripts fs.FS, source ScriptSource) (Tree, error) {
	switch {
	case source == nil && scripts == nil:
		return Tree{}, errNoScripts
	case source == nil && call.Version != "":
		return Tree{}, noVersion(call)
	case source == nil:
		return Tree{FS: scripts}, nil
	case scripts != nil:
		return Tree{}, errTwoSources
	}
	t, err := source.Scripts(ctx, call)
	switch {
	case err != nil && (ctx.Err() != nil || errors.Is(err, ErrNoScript) || errors.Is(err, ErrNoVersion)):
		return Tree{}, err
	case err != nil:
		return Tree{}, fmt.Errorf("%w: script source: %w", ErrUnavailable, err)
	case t.FS == nil:
		return Tree{}, fmt.Errorf("%w: script source returned a Tree without FS", ErrUnavailable)
	case t.Version == "" && !reflect.TypeOf(t.FS).Comparable():
		return Tree{}, fmt.Errorf("%w: script source returned a Tree with neither Version nor a comparable FS", ErrUnavailable)
	case call.Version != "" && t.Version != call.Version:
		return Tree{}, noVersion(call)
	}
	if call.Usage != nil {
		call.Usage.Version = t.Version
	}
	if call.equipped != nil {
		call.equipped.version = t.Version
	}
	return t, nil
}

// noVersion means that the scripts do not have the version that the call names.
func noVersion(call *Call) error { return fmt.Errorf("%w: %q", ErrNoVersion, call.Version) }

var (
	errNoScripts  = errors.New("callback: the runner has no Scripts and no Source")
	errTwoSources = errors.New("callback: the runner has both Scripts and a Source")
)
