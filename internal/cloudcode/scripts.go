// Package cloudcode knows a game's exported cloud code: which file is which
// script, and which members the original system documented.
package cloudcode

import (
	"cmp"
	"context"
	"log/slog"
	"strings"
)

// The folders of a tree that hold scripts.
const (
	Callbacks = "callbacks"
	Modules   = "modules"
	System    = "system"
)

// ServerScript is the main script of the server secret. An older export has
// ServerScriptOld instead.
const (
	ServerScript    = System + "/GS_CALLBACK_URL.js"
	ServerScriptOld = Callbacks + "/server.js"
)

// MainScripts lists the files that may be the main script of a call, in the order
// in which they are tried. If module is not empty, it is the only one; else it
// depends on the credential, which is empty for the server secret. The list is
// empty if the name cannot be that of a script.
func MainScripts(credential, module string) []string {
	switch {
	case module != "" && IsName(module):
		return []string{Module(module)}
	case module != "":
		return nil
	case credential == "":
		return []string{ServerScript, ServerScriptOld}
	case IsName(credential):
		return []string{Callbacks + "/" + credential + ".js"}
	}
	return nil
}

// Module is the file of a module.
func Module(shortCode string) string { return Modules + "/" + shortCode + ".js" }

const maxName = 128

// IsName reports whether s may name a credential or a module, and so a file:
// A-Z a-z 0-9 _ - and at most 128 of them.
func IsName(s string) bool {
	if s == "" || len(s) > maxName {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if c != '_' && c != '-' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z') {
			return false
		}
	}
	return true
}

// IsScript reports whether a file may be a script. Other files must not be read,
// because nothing can run them.
func IsScript(file string) bool {
	dir, base, _ := strings.Cut(file, "/")
	name, isJS := strings.CutSuffix(base, ".js")
	switch dir {
	case Callbacks, Modules:
		return isJS && IsName(name)
	case System:
		return file == ServerScript
	}
	return false
}

// Overran is the message of a run that did not stop at its deadline.
const Overran = "still running past its deadline, in a native call or the compiler"

// LogBrokenEdit logs, once, that a changed script does not compile and that its
// previous version remains in use.
func LogBrokenEdit(ctx context.Context, log *slog.Logger, script string, line, column int, message string) {
	log.ErrorContext(ctx, "callback: changed script does not compile, the one before it stays",
		"script", script, "line", line, "column", column, "error", message)
}

// CredentialType is what Spark.getCredentialType() returns for a credential.
func CredentialType(credential string) string { return cmp.Or(credential, "server") }
