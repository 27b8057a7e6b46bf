// Command callbackd serves callback scripts in production.
//
//	callbackd serve -scripts cloudcode -secrets secrets.json
//	callbackd serve -database postgres://callbackd@db/callbackd
//	callbackd worker -database postgres://callbackd@db/callbackd
//	callbackd publish -database postgres://callbackd@db/callbackd -key E300018ZDdAx cloudcode
//	callbackd secret new -secrets secrets.json E300018ZDdAx/hello
//	callbackd check cloudcode
//	callbackd test cloudcode
//	callbackd replay case.txtar
//	callbackd new hello
//
// Run "callbackd COMMAND -h" for the flags of a command. Every flag of serve
// can be given as an environment variable instead, such as CALLBACKD_SCRIPTS
// for -scripts.
//
// callbackd exits with 0 after a clean end, 1 when something failed, and 2 when
// a flag, an argument or a file that they name is wrong.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"example.com/callback/sandbox"
)

// Exit codes.
const (
	exitOK     = 0
	exitFailed = 1
	exitUsage  = 2
)

func main() {
	sandbox.Main() // does not return in a child process of the sandbox

	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], stdio{os.Stdin, os.Stdout, os.Stderr}, os.Environ()))
}

// stdio are the standard streams.
type stdio struct {
	in       io.Reader
	out, err io.Writer
}

// A command is one of callbackd's subcommands.
type command struct {
	name    string
	summary string
	run     func(ctx context.Context, args []string, std stdio, environ []string) error
}

var commands = []command{
	{"serve", "serve scripts over HTTP", serve},
	{"worker", "run the deferred calls of servers that share a database", work},
	{"publish", "store scripts in a database as a version", publishCommand},
	{"versions", "list the versions in a database", versionsCommand},
	{"promote", "make a version live", promoteCommand},
	{"rollback", "go back to the version before", rollbackCommand},
	{"diff", "show what is different between two versions", diffCommand},
	{"secret", "make, rotate or revoke a secret", secretCommand},
	{"vars", "set what scripts read as properties, in a database", varsCommand},
	{"check", "say which scripts cannot run, and why", checkCommand},
	{"test", "run case files against scripts", testCommand},
	{"replay", "run recorded calls against the present scripts", replayCommand},
	{"new", "write a script, its case file and an editor configuration", newCommand},
}

// A usageError is a mistake of the operator.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

// errFound means that a command has worked and has found, and printed, a problem.
var errFound = errors.New("problems found")

// run runs the command that args name and returns the exit code.
func run(ctx context.Context, args []string, std stdio, environ []string) int {
	name := ""
	if len(args) > 0 {
		name = args[0]
	}
	switch name {
	case "", "-h", "-help", "--help", "help":
		printCommands(std.out)
		if name == "" {
			return exitUsage
		}
		return exitOK
	}
	for _, c := range commands {
		if c.name != name {
			continue
		}
		err := c.run(ctx, args[1:], std, environ)
		var usage usageError
		switch {
		case err == nil, errors.Is(err, flag.ErrHelp):
			return exitOK
		case errors.Is(err, errFound):
			return exitFailed
		}
		fmt.Fprintf(std.err, "callbackd %s: %s\n", name, oneLine(err))
		if errors.As(err, &usage) {
			return exitUsage
		}
		return exitFailed
	}
	fmt.Fprintf(std.err, "callbackd: unknown command %q, want one of: %s\n", name, strings.Join(commandNames(), ", "))
	return exitUsage
}

func commandNames() []string {
	var names []string
	for _, c := range commands {
		names = append(names, c.name)
	}
	return names
}

func printCommands(w io.Writer) {
	fmt.Fprint(w, "callbackd serves callback scripts.\n\n")
	for _, c := range commands {
		fmt.Fprintf(w, "  callbackd %-8s %s\n", c.name, c.summary)
	}
	fmt.Fprint(w, "\n\"callbackd COMMAND -h\" lists the flags of a command.\n")
}

// oneLine is err's text on one line.
func oneLine(err error) string {
	return strings.Join(strings.FieldsFunc(err.Error(), func(r rune) bool { return r == '\n' || r == '\r' }), "; ")
}
