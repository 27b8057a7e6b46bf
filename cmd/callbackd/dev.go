package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"

	"example.com/callback"
	"example.com/callback/console"
	"example.com/callback/internal/answer"
	"example.com/callback/internal/excerpt"
)

// explainFailures adds to the answer of a failed call what its author needs to
// know: the error, the source, the log and the run's id. It is for loopback
// addresses only.
func (s *server) explainFailures(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		runs := make(chan *callback.Run, 1)
		held := new(answer.Held)
		next.ServeHTTP(held, r.WithContext(context.WithValue(r.Context(), devKey{}, runs)))
		if held.Status >= 400 && held.Status != http.StatusForbidden {
			select {
			case run := <-runs:
				if run.Err != nil {
					held.Replace("text/plain; charset=utf-8", s.explain(run))
				}
			case <-time.After(time.Second): // the call was not authorised
			}
		}
		held.Send(w)
	})
}

type devKey struct{}

// noteForDev passes a run to explainFailures.
func noteForDev(ctx context.Context, run *callback.Run) {
	if runs, ok := ctx.Value(devKey{}).(chan *callback.Run); ok {
		runs <- run // has room: there is one run a request
	}
}

// explain is the text of a failed run.
func (s *server) explain(run *callback.Run) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v\n", run.Outcome, run.Err)
	var script *callback.ScriptError
	if errors.As(run.Err, &script) {
		if tree, err := s.backend.source().Scripts(context.Background(), run.Call); err == nil {
			for _, line := range excerpt.Of(tree.FS, script.Script, script.Line) {
				mark := "  "
				if line.Hit {
					mark = "> "
				}
				fmt.Fprintf(&b, "%s%4d | %s\n", mark, line.Number, line.Text)
				if line.Hit && script.Column > 0 {
					fmt.Fprintf(&b, "       | %s^\n", blank(line.Text, script.Column-1))
				}
			}
		}
		if script.Stack != "" {
			fmt.Fprintf(&b, "\n%s\n", script.Stack)
		}
	}
	for _, line := range run.Log {
		fmt.Fprintf(&b, "\n%s %s", line.Level, line.Message)
		for _, a := range line.Attrs {
			if a.Key != "stack" { // stands above
				fmt.Fprintf(&b, " %s=%s", a.Key, a.Value)
			}
		}
	}
	fmt.Fprintf(&b, "\n\nrun %s\n", run.Call.RunID)
	return b.String()
}

// blank is as wide as the first n characters of a line: its tabs stay.
func blank(line string, n int) string {
	var b strings.Builder
	for _, r := range line {
		if n--; n < 0 {
			break
		}
		if r != '\t' {
			r = ' '
		}
		b.WriteRune(r)
	}
	return b.String()
}

// checkOnSave checks the scripts at the start and each time that one is saved,
// and logs what is wrong, until ctx is done.
func (s *server) checkOnSave(ctx context.Context, files *files) {
	before := ""
	for ctx.Err() == nil {
		if now := fingerprint(files.scripts.dir); now != before {
			before = now
			s.logProblems(ctx, files)
		}
		select {
		case <-ctx.Done():
		case <-time.After(300 * time.Millisecond):
		}
	}
}

func (s *server) logProblems(ctx context.Context, files *files) {
	total := 0
	for _, tree := range files.scripts.all() {
		problems, err := files.check(ctx, console.Tree{APIKey: tree.apiKey, FS: tree.fs})
		if err != nil {
			s.log.ErrorContext(ctx, "scripts cannot be checked", "apiKey", tree.apiKey, "error", err)
			continue
		}
		for _, p := range problems {
			s.log.WarnContext(ctx, "check: "+p.String(), "apiKey", tree.apiKey)
		}
		total += len(problems)
	}
	s.log.InfoContext(ctx, "scripts checked", "problems", total)
}
