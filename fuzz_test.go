package callback_test

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime"
	"net/http"
	"net/url"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/tools/txtar"

	"example.com/callback"
)

const fuzzSecret = "sEcr3t-not-to-be-told"

// FuzzPath requests arbitrary paths. Only the right secret is accepted, whatever
// surrounds it, and no answer or log line repeats it.
func FuzzPath(f *testing.F) {
	eachRequest(f, func(target, _ string, _ []byte) {
		f.Add(strings.ReplaceAll(target, "s3cret", fuzzSecret))
	})
	f.Fuzz(func(t *testing.T, target string) {
		u, err := url.ParseRequestURI(target)
		if err != nil {
			t.Skip("no server hands this to a handler")
		}
		ran := false
		h, log := fuzzHandler(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
			ran = true
			if !utf8.ValidString(call.PlayerID) {
				t.Errorf("player %q is not UTF-8", call.PlayerID)
			}
			return nil, nil
		})
		w := fuzzServe(t, h, &http.Request{Method: http.MethodGet, URL: u, Body: http.NoBody, Header: http.Header{}})
		allow(t, w, 200, 400, 403, 404, 413)
		if w.status == 200 != ran {
			t.Errorf("status %d, but ran is %v", w.status, ran)
		}
		if opened := w.status != 403 && w.status != 404; opened && !strings.Contains(u.Path, fuzzSecret) && !strings.Contains(u.Path, "srv-"+fuzzSecret) {
			t.Errorf("%q is status %d without the secret", target, w.status)
		}
		if told := w.body.String() + log.String() + fmt.Sprint(w.header); strings.Contains(told, fuzzSecret) {
			t.Errorf("the secret is told: %s", told)
		}
	})
}

// FuzzData sends arbitrary queries and bodies with the right secret. An invalid
// request must get a 4xx. The script must get the values of a valid one as text.
func FuzzData(f *testing.F) {
	eachRequest(f, func(target, contentType string, body []byte) {
		_, query, _ := strings.Cut(target, "?")
		f.Add(query, contentType, body)
	})
	f.Fuzz(func(t *testing.T, query, contentType string, body []byte) {
		for _, method := range []string{http.MethodPost, http.MethodGet} {
			h, _ := fuzzHandler(func(_ context.Context, call *callback.Call) (*callback.Result, error) {
				checkData(t, call.Data, method == http.MethodPost)
				return nil, nil
			})
			h.MaxBody, h.MaxParams = 1<<10, 20
			w := fuzzServe(t, h, &http.Request{
				Method:        method,
				URL:           &url.URL{Path: "/callback/E3/hello/" + fuzzSecret, RawQuery: query},
				Header:        http.Header{"Content-Type": {contentType}},
				Body:          io.NopCloser(bytes.NewReader(body)),
				ContentLength: -1,
			})
			allow(t, w, 200, 400, 413)
			if len(body) > 1<<10 && method == http.MethodPost && w.status == 200 {
				t.Errorf("a body of %d bytes was accepted", len(body))
			}
		}
	})
}

func checkData(t *testing.T, data []callback.Param, post bool) {
	seen := map[string]bool{}
	count := 0
	for _, p := range data {
		if seen[p.Name] || len(p.Values) == 0 {
			t.Errorf("%q is there twice, or without a value", p.Name)
		}
		seen[p.Name] = true
		count += len(p.Values)
		for _, text := range append(p.Values, p.Name) {
			if !utf8.ValidString(text) {
				t.Errorf("%q is not UTF-8", text)
			}
		}
		if p.Name == "REQUEST_BODY" && post && len(p.Values) != 1 {
			t.Errorf("REQUEST_BODY is %q", p.Values)
		}
	}
	if count > 21 { // REQUEST_BODY is one more
		t.Errorf("%d values, over the limit", count)
	}
}

// FuzzResponse answers with arbitrary script data. Whatever a script sets, the answer
// is one that HTTP allows.
func FuzzResponse(f *testing.F) {
	f.Add("a", `{"x":[1,null]}`, `{"X-A":["1",2]}`, `201`, `"raw"`, "text/html", "iso-8859-1")
	f.Add("error", `"世"`, `{"Content-Type":"text/plain; charset=utf-16le"}`, `null`, `null`, "text/plain;charset=latin1", "")
	set := regexp.MustCompile(`setScriptData\("(RESPONSE_[A-Z]+)", (.*)\)`)
	eachFile(f, func(archive *txtar.Archive) {
		for _, file := range archive.Files {
			for _, m := range set.FindAllSubmatch(file.Data, -1) {
				value := string(m[2])
				switch string(m[1]) {
				case "RESPONSE_HEADERS":
					f.Add("a", "1", value, "null", "null", "", "")
				case "RESPONSE_STATUS":
					f.Add("a", "1", "null", value, "null", "", "")
				case "RESPONSE_RAW":
					f.Add("a", "1", "null", "null", value, "", "shift_jis")
				}
			}
		}
	})
	f.Fuzz(func(t *testing.T, name, value, headers, status, raw, contentType, encoding string) {
		var result callback.Result
		for _, field := range [][2]string{{name, value}, {"RESPONSE_HEADERS", headers}, {"RESPONSE_STATUS", status}, {"RESPONSE_RAW", raw}} {
			if !utf8.ValidString(field[0]) || !utf8.ValidString(field[1]) || field[1] == "null" {
				continue
			}
			var compact bytes.Buffer
			if json.Compact(&compact, []byte(field[1])) == nil {
				result.Data = append(result.Data, callback.Field{Name: field[0], Value: compact.Bytes()})
			}
		}
		h, _ := fuzzHandler(func(context.Context, *callback.Call) (*callback.Result, error) { return &result, nil })
		query := url.Values{}
		if contentType != "" {
			query.Set("contentType", contentType)
		}
		if encoding != "" {
			query.Set("characterEncoding", encoding)
		}
		w := fuzzServe(t, h, &http.Request{
			Method: http.MethodGet,
			URL:    &url.URL{Path: "/callback/E3/hello/" + fuzzSecret, RawQuery: query.Encode()},
			Header: http.Header{},
			Body:   http.NoBody,
		})
		if w.status < 200 || w.status > 599 {
			t.Errorf("status %d", w.status)
		}
		for _, name := range []string{"Transfer-Encoding", "Connection", "Trailer", "Upgrade", "Keep-Alive", "Te"} {
			if _, ok := w.header[name]; ok {
				t.Errorf("the script has set %s", name)
			}
		}
	})
}

// fuzzHandler returns a Handler that runs f, and its log.
func fuzzHandler(f callback.ScriptRunnerFunc) (*callback.Handler, *bytes.Buffer) {
	log := new(bytes.Buffer)
	return &callback.Handler{
		Runner:  f,
		Secrets: callback.SecretMap{"E3/hello": fuzzSecret, "E3/": "srv-" + fuzzSecret},
		Logger:  slog.New(slog.NewTextHandler(log, nil)),
	}, log
}

// fuzzServe serves r and checks what holds for every answer.
func fuzzServe(t *testing.T, h *callback.Handler, r *http.Request) *strictWriter {
	r.RemoteAddr = "192.0.2.1:1234"
	w := &strictWriter{t: t, header: http.Header{}}
	h.ServeHTTP(w, r)
	bodyless := w.status == http.StatusNoContent || w.status == http.StatusNotModified
	switch length, ok := w.header["Content-Length"]; {
	case bodyless && (ok || w.body.Len() > 0):
		t.Errorf("a %d has a body or the length of one", w.status)
	case !bodyless && (len(length) != 1 || length[0] != strconv.Itoa(w.body.Len())):
		t.Errorf("Content-Length is %q for %d bytes", length, w.body.Len())
	}
	if contentType := w.header["Content-Type"]; len(contentType) > 1 || w.body.Len() > 0 && len(contentType) == 0 {
		t.Errorf("Content-Type is %q", contentType)
	}
	return w
}

// allow checks the status, and that a refusal says why in JSON.
func allow(t *testing.T, w *strictWriter, statuses ...int) {
	for _, status := range statuses {
		if w.status != status {
			continue
		}
		if _, _, err := mime.ParseMediaType(w.header.Get("Content-Type")); err != nil {
			t.Errorf("Content-Type %q: %v", w.header.Get("Content-Type"), err)
		}
		var refusal struct{ Error string }
		if status != http.StatusOK && (json.Unmarshal(w.body.Bytes(), &refusal) != nil || refusal.Error == "") {
			t.Errorf("status %d with body %q", status, w.body.String())
		}
		return
	}
	t.Errorf("status %d is none of %d", w.status, statuses)
}

// A strictWriter takes one answer, of one header and at most one write.
type strictWriter struct {
	t      *testing.T
	header http.Header
	status int
	writes int
	body   bytes.Buffer
}

func (w *strictWriter) Header() http.Header { return w.header }

func (w *strictWriter) WriteHeader(status int) {
	if w.status != 0 {
		w.t.Errorf("status %d after %d", status, w.status)
		return
	}
	w.status = status
	for name, values := range w.header {
		for _, value := range values {
			if !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
				w.t.Errorf("header %q: %q is none", name, value)
			}
		}
	}
}

func (w *strictWriter) Write(p []byte) (int, error) {
	if w.writes++; w.writes > 1 || w.status == 0 {
		w.t.Errorf("write %d, with status %d", w.writes, w.status)
	}
	return w.body.Write(p)
}

// eachRequest calls do for the requests of the cases in testdata.
func eachRequest(f *testing.F, do func(target, contentType string, body []byte)) {
	eachFile(f, func(archive *txtar.Archive) {
		for _, file := range archive.Files {
			if !strings.HasPrefix(file.Name, "request") {
				continue
			}
			head, body, _ := strings.Cut(string(file.Data), "\n\n")
			line, header, _ := strings.Cut(head, "\n")
			if file.Name == "request quoted" {
				body = unquoteLines(body)
			}
			var contentType string
			for line := range strings.Lines(header) {
				if name, value, _ := strings.Cut(line, ":"); name == "Content-Type" {
					contentType = strings.TrimSpace(value)
				}
			}
			do(strings.Fields(line)[1], contentType, []byte(strings.TrimSuffix(body, "\n")))
		}
	})
}

func unquoteLines(text string) string {
	var plain strings.Builder
	for line := range strings.Lines(text) {
		if part, err := strconv.Unquote(strings.TrimSpace(line)); err == nil {
			plain.WriteString(part)
		}
	}
	return plain.String()
}

func eachFile(f *testing.F, do func(*txtar.Archive)) {
	f.Helper()
	files, err := filepath.Glob("testdata/*/*.txtar")
	if err == nil && len(files) == 0 {
		err = errors.New("no testdata")
	}
	if err != nil {
		f.Fatal(err)
	}
	for _, file := range files {
		archive, err := txtar.ParseFile(file)
		if err != nil {
			f.Fatal(err)
		}
		do(archive)
	}
}
