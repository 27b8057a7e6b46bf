package main

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"example.com/callback"
	"example.com/callback/console"
	"example.com/callback/internal/answer"
	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/excerpt"
)

// explainFailures explains a failed call to its author, in place of the answer. The
// explanation has the error, the source, the log and the run's id. For a URL that is
// refused it says what is wrong with it. It is for loopback addresses only. A request for another host comes through a
// tunnel, or from a page of a site whose name leads here, and gets no explanation.
func (s *server) explainFailures(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !namesLoopback(r.Host) {
			next.ServeHTTP(w, r)
			return
		}
		runs := make(chan *callback.Run, 1)
		held := new(answer.Held)
		next.ServeHTTP(held, r.WithContext(context.WithValue(r.Context(), devKey{}, runs)))
		text := ""
		switch a, _ := r.Context().Value(accessKey{}).(*access); {
		case held.Status < 400:
		case a != nil && a.authorised:
			select {
			case run := <-runs:
				if run.Err != nil {
					text = s.explain(run, r)
				}
			case <-time.After(time.Second): // the run goes on without its caller
			}
		case held.Status == http.StatusForbidden:
			text = "forbidden: " + s.whyForbidden(r.URL.Path) + "\n"
		case held.Status == http.StatusMethodNotAllowed:
			text = fmt.Sprintf("method not allowed: start callbackd with -methods %s to serve it\n", knownMethod(r.Method))
		}
		if text != "" {
			held.Replace("text/plain; charset=utf-8", text)
		}
		held.Send(w)
	})
}

// namesLoopback reports whether a Host header names this machine.
func namesLoopback(hostport string) bool {
	return isLoopbackHost(strings.ToLower((&url.URL{Host: hostport}).Hostname()))
}

// whyForbidden says which part of a callback's URL is wrong.
func (s *server) whyForbidden(path string) string {
	folder, ok := s.backend.(*files)
	if !ok {
		return "the URL opens nothing"
	}
	parts := strings.Split(strings.Trim(strings.TrimPrefix(path, s.o.prefix), "/"), "/")
	secrets := folder.store.names()
	named, ok := secrets[parts[0]]
	switch {
	case !ok:
		return fmt.Sprintf("%s has no API key %q, it has %s", s.o.secrets, parts[0], listed(sortedKeys(secrets)))
	case len(parts) < 3 && !slices.Contains(named, ""):
		return fmt.Sprintf("want %s%s/CREDENTIAL/SECRET: the API key has no server secret", s.o.prefix, parts[0])
	case len(parts) >= 3 && !slices.Contains(named, parts[1]):
		named = slices.DeleteFunc(named, func(name string) bool { return name == "" })
		return fmt.Sprintf("API key %q has no secret for the credential %q, it has one for %s", parts[0], parts[1], listed(named))
	}
	return fmt.Sprintf("the secret is wrong: \"callbackd secret new\" or \"rotate\" makes one for %s", s.o.secrets)
}

// listed joins names for a sentence.
func listed(names []string) string {
	if len(names) == 0 {
		return "none"
	}
	quoted := make([]string, len(names))
	for i, name := range names {
		quoted[i] = strconv.Quote(name)
	}
	return strings.Join(quoted, ", ")
}

type devKey struct{}

// noteForDev passes a run to explainFailures.
func noteForDev(ctx context.Context, run *callback.Run) {
	if runs, ok := ctx.Value(devKey{}).(chan *callback.Run); ok {
		runs <- run // has room: there is one run a request
	}
}

// explain is the text of the failed run of a request.
func (s *server) explain(run *callback.Run, r *http.Request) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %v\n", run.Outcome, run.Err)
	if errors.Is(run.Err, callback.ErrNoScript) {
		fmt.Fprintf(&b, "want %s\n", strings.Join(cloudcode.MainScripts(run.Call.Credential, run.Call.Script), " or "))
	}
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
	lines := slices.DeleteFunc(slices.Clone(run.Log), func(line callback.LogLine) bool {
		return line.Message == "callback: script failed" // stands above
	})
	if len(lines) > 0 {
		b.WriteByte('\n')
	}
	for _, line := range lines {
		fmt.Fprintf(&b, "%s %s", line.Level, line.Message)
		for _, a := range line.Attrs {
			if a.Key != "stack" {
				fmt.Fprintf(&b, " %s=%s", a.Key, a.Value)
			}
		}
		b.WriteByte('\n')
	}
	if unseen := s.unseenHeaders(r); len(unseen) > 0 {
		fmt.Fprintf(&b, "\nrequest headers that the script does not see, unless -headers names them: %s\n", strings.Join(unseen, ", "))
	}
	fmt.Fprintf(&b, "\nrun %s\n", run.Call.RunID)
	return b.String()
}

// unseenHeaders lists the request headers that scripts do not see, except those
// that every client sends.
func (s *server) unseenHeaders(r *http.Request) []string {
	var unseen []string
	for _, name := range sortedKeys(r.Header) {
		seen := slices.ContainsFunc(s.o.headers, func(seen string) bool { return strings.EqualFold(seen, name) })
		if !seen && !ordinaryHeader.MatchString(name) {
			unseen = append(unseen, name)
		}
	}
	return unseen
}

var ordinaryHeader = regexp.MustCompile(`^(Accept|Accept-.*|Cache-Control|Connection|Content-Length|Content-Type|Cookie|Pragma|Priority|Referer|Sec-.*|Upgrade-.*|User-Agent)$`)

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
