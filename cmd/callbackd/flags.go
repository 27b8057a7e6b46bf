package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"slices"
	"strings"
)

// envPrefix begins the name of each environment variable that stands for a flag.
const envPrefix = "CALLBACKD_"

// A flagSet is a flag.FlagSet with groups of flags, which can also be set by
// environment variables.
type flagSet struct {
	*flag.FlagSet
	synopsis string
	groups   []string
	group    map[string]string // of each flag
	useEnv   bool

	// elsewhere has the flags of another command. Their environment variables
	// are ignored.
	elsewhere *flag.FlagSet
}

func newFlagSet(synopsis string) *flagSet {
	set := flag.NewFlagSet("callbackd", flag.ContinueOnError)
	set.SetOutput(io.Discard) // parse returns its errors, which are printed once
	return &flagSet{FlagSet: set, synopsis: synopsis, group: map[string]string{}}
}

// in adds the flags that define makes to a group.
func (f *flagSet) in(group string, define func()) {
	f.groups = append(f.groups, group)
	before := map[string]bool{}
	f.VisitAll(func(g *flag.Flag) { before[g.Name] = true })
	define()
	f.VisitAll(func(g *flag.Flag) {
		if !before[g.Name] {
			f.group[g.Name] = group
		}
	})
}

// parse reads the environment and then the arguments, which take precedence. It
// returns the positional arguments. For -h it prints the flags to w and returns
// flag.ErrHelp.
func (f *flagSet) parse(args, environ []string, w io.Writer) ([]string, error) {
	if f.useEnv {
		if err := f.parseEnv(environ); err != nil {
			return nil, err
		}
	}
	switch err := f.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		f.print(w)
		return nil, err
	case err != nil:
		return nil, usageError{err}
	}
	var empty string
	f.Visit(func(g *flag.Flag) {
		if g.Value.String() == "" {
			empty = g.Name
		}
	})
	if empty != "" {
		return nil, usagef("-%s: must not be empty", empty)
	}
	return f.Args(), nil
}

func (f *flagSet) parseEnv(environ []string) error {
	var unknown []string
	for _, entry := range environ {
		key, value, _ := strings.Cut(entry, "=")
		name, ok := strings.CutPrefix(key, envPrefix)
		if !ok {
			continue
		}
		name = strings.ReplaceAll(strings.ToLower(name), "_", "-")
		switch {
		case f.Lookup(name) != nil:
		case f.elsewhere != nil && f.elsewhere.Lookup(name) != nil:
			continue
		default:
			unknown = append(unknown, key)
			continue
		}
		if err := f.Set(name, value); err != nil {
			return usagef("%s: %w", key, err)
		}
	}
	if len(unknown) > 0 {
		slices.Sort(unknown)
		return usagef("%s stands for no flag", unknown[0])
	}
	return nil
}

// print prints the flags by group.
func (f *flagSet) print(w io.Writer) {
	fmt.Fprintln(w, f.synopsis)
	if f.useEnv {
		fmt.Fprintf(w, "\nEach flag can be set by an environment variable, such as %sTLS_CERT for -tls-cert.\n", envPrefix)
	}
	for _, group := range append(f.groups, "") {
		heading := group
		f.VisitAll(func(g *flag.Flag) {
			if f.group[g.Name] != group {
				return
			}
			if heading != "" {
				fmt.Fprintf(w, "\n%s\n", heading)
				heading = ""
			}
			kind, usage := flag.UnquoteUsage(g)
			line := "  -" + g.Name
			if kind != "" {
				line += " " + kind
			}
			if g.DefValue != "" && g.DefValue != "false" && g.DefValue != "0" {
				usage += " (default " + g.DefValue + ")"
			}
			fmt.Fprintf(w, "%s\n        %s\n", line, strings.ReplaceAll(usage, "\n", "\n        "))
		})
	}
}

// A list is a flag of names that are separated by commas.
type list []string

func (l *list) String() string { return strings.Join(*l, ",") }

func (l *list) Set(text string) error {
	*l = nil
	for item := range strings.SplitSeq(text, ",") {
		if item = strings.TrimSpace(item); item != "" {
			*l = append(*l, item)
		}
	}
	return nil
}
