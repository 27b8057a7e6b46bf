package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"os/user"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"example.com/callback"
	"example.com/callback/pgcallback"
)

const publishSynopsis = `callbackd publish -database URL -key APIKEY [flags] DIR
callbackd publish -database URL [flags] DIR-OF-TREES

Stores the scripts of DIR as a version of the API key, and prints its name. It is
live nowhere until it is promoted, by -promote or "callbackd promote". A folder
of trees, each named by its API key, is published tree by tree. Scripts that
cannot run are refused, with what is wrong.`

const versionsSynopsis = `callbackd versions -database URL APIKEY

Lists the versions of the API key, the newest first: name, time, author, stages,
message. With -moves it lists what was promoted, when, and by whom.`

const promoteSynopsis = `callbackd promote -database URL [flags] APIKEY VERSION

Makes a version live within two seconds, on every server of the stage. VERSION is
the beginning of its name, or a stage whose version is meant.`

const rollbackSynopsis = `callbackd rollback -database URL [flags] APIKEY

Goes back to the version that was live before; again, further back. Deferred calls
are still run with the version that they were accepted with.`

const diffSynopsis = `callbackd diff -database URL APIKEY [FROM] TO

Shows what is different in a version, seen from another one or from what is live.
FROM and TO are the beginning of a name, or a stage.`

// commandTimeout bounds what a command does with the database.
const commandTimeout = 30 * time.Second

// A databaseCommand is a command on a database.
type databaseCommand struct {
	*flagSet
	address *string
	stage   string // that the command works on if it names none
	std     stdio
}

func newDatabaseCommand(synopsis string, std stdio, environ []string) *databaseCommand {
	f := newFlagSet(synopsis)
	address := f.String("database", environValue(environ, "DATABASE"), databaseUsage)
	return &databaseCommand{f, address, cmp.Or(environValue(environ, "STAGE"), pgcallback.DefaultStage), std}
}

// changeFlags defines the flags of a command that changes something.
func (c *databaseCommand) changeFlags() *pgcallback.Change {
	change := new(pgcallback.Change)
	author := os.Getenv("USER")
	if u, err := user.Current(); err == nil {
		author = u.Username
	}
	c.StringVar(&change.Author, "author", author, "`who` does it")
	c.StringVar(&change.Message, "message", "", "`why`")
	return change
}

func (c *databaseCommand) stageFlag() *string {
	return c.String("stage", c.stage, "`name` of the stage")
}

// on runs f on the database, whose schema it brings up to date first.
func (c *databaseCommand) on(ctx context.Context, f func(ctx context.Context, db *pgcallback.DB) error) error {
	if *c.address == "" {
		return usagef("-database: name the database")
	}
	ctx, cancel := context.WithTimeout(ctx, commandTimeout)
	defer cancel()
	pool, err := connect(ctx, *c.address, 2)
	if err != nil {
		return err
	}
	defer pool.Close()
	db := &pgcallback.DB{Pool: pool}
	if err := db.Migrate(ctx); err != nil {
		return databaseError(err)
	}
	err = f(ctx, db)
	if errors.Is(err, pgcallback.ErrNoVersion) || errors.Is(err, pgcallback.ErrNoStage) || errors.Is(err, pgcallback.ErrNothingBefore) ||
		errors.Is(err, pgcallback.ErrMoved) || errors.Is(err, pgcallback.ErrTooManySecrets) {
		return usageError{err}
	}
	return err
}

// want returns the arguments, of which there must be from least to most.
func (c *databaseCommand) want(args []string, least, most int, what string) ([]string, error) {
	rest, err := c.parse(args, nil, c.std.out)
	if err == nil && (len(rest) < least || len(rest) > most || slices.Contains(rest, "")) {
		err = usagef("want %s", what)
	}
	return rest, err
}

func publishCommand(ctx context.Context, args []string, std stdio, environ []string) error {
	c := newDatabaseCommand(publishSynopsis, std, environ)
	key := c.String("key", "", "`API key` of the tree")
	stage := c.String("promote", "", "`stage` to promote the version to, such as live")
	change := c.changeFlags()
	rest, err := c.want(args, 1, 1, "one folder of scripts")
	if err == nil && *stage != "" {
		err = checkStage("promote", *stage)
	}
	if err != nil {
		return err
	}
	scripts, err := openScripts(rest[0])
	if err != nil {
		return err
	}
	trees := scripts.all()
	switch {
	case *key == "" && scripts.single != nil:
		return usagef("-key: name the API key of the scripts")
	case *key != "" && scripts.single == nil:
		return usagef("-key: %s has a folder for each API key", rest[0])
	case *key != "":
		trees[0].apiKey = *key
	}
	change.Check = callback.CheckOptions{Members: databaseMembers}
	return c.on(ctx, func(ctx context.Context, db *pgcallback.DB) error {
		for _, tree := range trees {
			version, err := db.Publish(ctx, tree.apiKey, tree.fs, *change)
			var refused *pgcallback.RefusedError
			if errors.As(err, &refused) {
				for _, p := range refused.Problems {
					fmt.Fprintln(std.out, p)
				}
				fmt.Fprintf(std.out, "%s: not published\n", tree.apiKey)
				return errFound
			}
			if err != nil {
				return fmt.Errorf("%s: %w", tree.apiKey, err)
			}
			for _, p := range version.Problems {
				fmt.Fprintln(std.err, p)
			}
			fmt.Fprintf(std.out, "%s %s\n", tree.apiKey, version.ID)
			if *stage == "" {
				continue
			}
			if _, err := db.Promote(ctx, tree.apiKey, *stage, version.ID, *change); err != nil {
				return fmt.Errorf("%s: %w", tree.apiKey, err)
			}
		}
		return nil
	})
}

func versionsCommand(ctx context.Context, args []string, std stdio, environ []string) error {
	c := newDatabaseCommand(versionsSynopsis, std, environ)
	moves := c.Bool("moves", false, "list what was promoted")
	limit := c.Int("n", 20, "how `many`")
	rest, err := c.want(args, 1, 1, "an API key")
	if err != nil {
		return err
	}
	if *limit < 1 {
		return usagef("-n %d: must be at least 1", *limit)
	}
	return c.on(ctx, func(ctx context.Context, db *pgcallback.DB) error {
		table := tabwriter.NewWriter(std.out, 0, 0, 2, ' ', 0)
		row := func(version string, at time.Time, columns ...string) {
			fmt.Fprintf(table, "%s\t%s", short(version), at.UTC().Format(time.DateTime))
			for _, column := range columns {
				fmt.Fprintf(table, "\t%s", strings.Join(strings.Fields(column), " "))
			}
			fmt.Fprintln(table)
		}
		if *moves {
			promotions, err := db.Promotions(ctx, rest[0], "", *limit)
			if err != nil {
				return err
			}
			for _, p := range promotions {
				row(p.Version, p.Created, p.Author, p.Stage, p.Message)
			}
		} else {
			versions, err := db.Versions(ctx, rest[0], *limit)
			if err != nil {
				return err
			}
			for _, v := range versions {
				row(v.ID, v.Created, v.Author, strings.Join(v.Stages, ","), v.Message)
			}
		}
		return table.Flush()
	})
}

// short is as much of a version's name as people need.
func short(version string) string { return version[:min(12, len(version))] }

func promoteCommand(ctx context.Context, args []string, std stdio, environ []string) error {
	c := newDatabaseCommand(promoteSynopsis, std, environ)
	stage, change := c.stageFlag(), c.changeFlags()
	rest, err := c.want(args, 2, 2, "an API key and a version")
	if err == nil {
		err = checkStage("stage", *stage)
	}
	if err != nil {
		return err
	}
	return c.on(ctx, func(ctx context.Context, db *pgcallback.DB) error {
		p, err := db.Promote(ctx, rest[0], *stage, rest[1], *change)
		return c.moved(p, err)
	})
}

func rollbackCommand(ctx context.Context, args []string, std stdio, environ []string) error {
	c := newDatabaseCommand(rollbackSynopsis, std, environ)
	stage, change := c.stageFlag(), c.changeFlags()
	c.StringVar(&change.Current, "from", "", "go back only if this `version`, its whole name, is live: for when two may do it at\nonce")
	rest, err := c.want(args, 1, 1, "an API key")
	if err == nil {
		err = checkStage("stage", *stage)
	}
	if err != nil {
		return err
	}
	return c.on(ctx, func(ctx context.Context, db *pgcallback.DB) error {
		p, err := db.Rollback(ctx, rest[0], *stage, *change)
		return c.moved(p, err)
	})
}

// moved prints where a stage is now.
func (c *databaseCommand) moved(p *pgcallback.Promotion, err error) error {
	if err != nil {
		return err
	}
	fmt.Fprintf(c.std.out, "%s %s is at %s", p.APIKey, p.Stage, p.Version)
	if p.Previous != "" {
		fmt.Fprintf(c.std.out, ", rollback goes to %s", short(p.Previous))
	}
	fmt.Fprintln(c.std.out)
	return nil
}

func diffCommand(ctx context.Context, args []string, std stdio, environ []string) error {
	c := newDatabaseCommand(diffSynopsis, std, environ)
	rest, err := c.want(args, 2, 3, "an API key and one or two versions")
	if err != nil {
		return err
	}
	from, to := c.stage, rest[len(rest)-1]
	if len(rest) == 3 {
		from = rest[1]
	}
	return c.on(ctx, func(ctx context.Context, db *pgcallback.DB) error {
		changes, err := db.Diff(ctx, rest[0], from, to)
		for _, change := range changes {
			fmt.Fprint(std.out, change.Unified())
		}
		return err
	})
}
