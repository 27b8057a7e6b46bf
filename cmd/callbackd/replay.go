package main

import (
	"context"
)

const replaySynopsis = `callbackd replay -scripts DIR [flags] FILE …

Runs recorded calls, case files that the console saved, against the scripts of
DIR as they are now, and shows what differs. Nothing reaches the network: the
recorded answers of other servers are used.`

// replayCommand is "callbackd replay".
func replayCommand(_ context.Context, args []string, std stdio, environ []string) error {
	f := newFlagSet(replaySynopsis)
	scripts := f.String("scripts", environValue(environ, "SCRIPTS"), "`folder` of scripts")
	update := f.Bool("update", false, "write the present answers into the files")
	options := caseFlags(f)
	files, err := f.parse(args, nil, std.out)
	if err != nil {
		return err
	}
	switch {
	case *scripts == "":
		return usagef("-scripts: name the folder of scripts")
	case len(files) == 0:
		return usagef("name a recorded call, a .txtar file")
	}
	handler, err := options.handler(*scripts)
	if err != nil {
		return err
	}
	return runCases(handler, files, *update, std)
}
