package console

import (
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"

	"example.com/callback"
	"example.com/callback/internal/answer"
)

// A tryRequest is what the page sends to try a script.
type tryRequest struct {
	APIKey      string `json:"apiKey"`
	Credential  string `json:"credential"`
	Method      string `json:"method"`
	Query       string `json:"query"`
	ContentType string `json:"contentType"`
	Headers     string `json:"headers"` // a line each
	Body        string `json:"body"`
	Player      string `json:"player"`
	Preset      string `json:"preset"`
	Key         string `json:"key"` // of the preset's signature
}

func (c *Console) getPresets(w http.ResponseWriter, r *http.Request) {
	writeJSON(w, map[string]any{"presets": presets})
}

func (c *Console) postTry(w http.ResponseWriter, r *http.Request) {
	var try tryRequest
	if !readJSON(w, r, &try) {
		return
	}
	request, err := try.request(r.Context(), time.Now())
	if err != nil {
		writeError(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	if _, err := c.tree(r.Context(), try.APIKey); err != nil {
		writeError(w, http.StatusUnprocessableEntity, err.Error())
		return
	}
	as := &callback.Call{APIKey: try.APIKey, Credential: try.Credential, PlayerID: try.Player}
	c.run(w, r, request, []byte(try.Body), as, "try")
}

// request makes the request that is to be tried.
func (t *tryRequest) request(ctx context.Context, now time.Time) (*http.Request, error) {
	if !httpguts.ValidHeaderFieldName(t.Method) {
		return nil, fmt.Errorf("%q is no method", t.Method)
	}
	query := strings.TrimPrefix(strings.TrimSpace(t.Query), "?")
	header := http.Header{}
	for line := range strings.Lines(t.Headers) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		name, value, ok := strings.Cut(line, ":")
		value = strings.TrimSpace(value)
		if !ok || !httpguts.ValidHeaderFieldName(name) || !httpguts.ValidHeaderFieldValue(value) {
			return nil, fmt.Errorf("%q is no header: want Name: value", line)
		}
		header.Add(name, value)
	}
	if t.ContentType != "" {
		if !httpguts.ValidHeaderFieldValue(t.ContentType) {
			return nil, fmt.Errorf("%q is no content type", t.ContentType)
		}
		header.Set("Content-Type", t.ContentType)
	}
	if t.Preset != "" {
		p, err := findPreset(t.Preset)
		if err == nil {
			err = p.sign(header, t.Body, t.Key, now)
		}
		if err != nil {
			return nil, err
		}
	}
	return newRequest(ctx, t.Method, query, header, []byte(t.Body)), nil
}

// newRequest makes a request as a server would get it. Its path has no secret,
// because the console itself authorises the call.
func newRequest(ctx context.Context, method, query string, header http.Header, body []byte) *http.Request {
	r := &http.Request{
		Method: method, URL: &url.URL{Path: "/", RawQuery: query}, Header: header,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Host: "localhost", RemoteAddr: "127.0.0.1:0",
		Body: http.NoBody,
	}
	if len(body) > 0 {
		r.Body, r.ContentLength = io.NopCloser(bytes.NewReader(body)), int64(len(body))
	}
	return r.WithContext(ctx)
}

// run serves a request by the Handler and answers with the detail of its run.
func (c *Console) run(w http.ResponseWriter, r *http.Request, request *http.Request, body []byte, as *callback.Call, origin string) {
	as.RunID = origin + "-" + rand.Text()[:20]
	observed := c.await(as.RunID)
	defer c.forget(as.RunID)
	header := request.Header.Clone()
	held := new(answer.Held)
	c.Handler.ServeCall(held, request, as)
	e := &callback.Exchange{Header: header, Body: body, AnswerHeader: held.Header(), Answer: held.Body.Bytes()}
	if request.URL.RawQuery != "" {
		e.URL = "?" + request.URL.RawQuery
	}
	var d *detail
	select {
	case run := <-observed:
		shown := *run
		shown.Exchange = e
		d = c.explain(r.Context(), &shown)
	case <-time.After(time.Second):
		// The Handler does not serve the method, or the host has not set
		// Handler.Observe to c.Observe.
		d = &detail{
			summary:  summary{ID: as.RunID, Time: time.Now(), APIKey: as.APIKey, Credential: as.Credential, Status: held.Status, Outcome: "unknown"},
			Outbound: []span{}, Functions: []span{}, Log: []logLine{}, Answer: showAnswer(e.AnswerHeader, e.Answer),
		}
	}
	d.Origin = origin
	d.Replayable = false // it is not retained with its request
	writeJSON(w, d)
}

// await returns a buffered channel for the run of an id.
func (c *Console) await(runID string) <-chan *callback.Run {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.awaited == nil {
		c.awaited = map[string]chan *callback.Run{}
	}
	runs := make(chan *callback.Run, 1)
	c.awaited[runID] = runs
	return runs
}

func (c *Console) forget(runID string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	delete(c.awaited, runID)
}

func (c *Console) postReplay(w http.ResponseWriter, r *http.Request) {
	recorded := c.find(w, r)
	if recorded == nil {
		return
	}
	e := recorded.Exchange
	if e == nil || e.Cut {
		writeError(w, http.StatusConflict, "the run has no whole record of its request")
		return
	}
	call := recorded.Call
	request := newRequest(r.Context(), call.Method, strings.TrimPrefix(e.URL, "?"), e.Header.Clone(), e.Body)
	request.Header.Del("Content-Encoding") // the record is of the inflated body
	as := &callback.Call{APIKey: call.APIKey, Credential: call.Credential, PlayerID: call.PlayerID, Script: call.Script}
	c.run(w, r, request, e.Body, as, "replay")
}

// originOf tells where a run came from. The ids of the console's own runs begin
// with it.
func originOf(run *callback.Run) string {
	for _, origin := range []string{"try", "replay"} {
		if strings.HasPrefix(run.Call.RunID, origin+"-") {
			return origin
		}
	}
	if run.Status == 0 {
		return "queue"
	}
	return "http"
}

// curl is the command that sends a recorded request. $SECRET stands for the
// secret, which the console does not know.
func (c *Console) curl(call *callback.Call, e *callback.Exchange) string {
	path := c.prefix() + url.PathEscape(call.APIKey)
	if call.Credential != "" {
		path += "/" + call.Credential
	}
	path += "/$SECRET"
	if call.PlayerID != "" {
		path += "/" + url.PathEscape(call.PlayerID)
	}
	words := []string{"curl", "-sS", "-i"}
	if call.Method != http.MethodGet && call.Method != "" {
		words = append(words, "-X", call.Method)
	}
	for _, pair := range pairs(e.Header) {
		words = append(words, "-H", quote(pair[0]+": "+pair[1]))
	}
	if len(e.Body) > 0 {
		words = append(words, "--data-binary", quote(string(e.Body)))
	}
	// The double quotes let the shell put the secret in.
	target := strings.NewReplacer(`"`, `%22`, "`", "%60", `\`, "%5C").Replace(path + e.URL)
	target = strings.ReplaceAll(strings.ReplaceAll(target, "$", "%24"), "%24SECRET", "$SECRET")
	return strings.Join(append(words, `"https://HOST`+target+`"`), " ")
}

// quote makes a word of a shell.
func quote(s string) string { return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'" }

// pairs lists headers in the order of their names.
func pairs(header http.Header) [][2]string {
	list := [][2]string{}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		for _, value := range header[name] {
			list = append(list, [2]string{name, value})
		}
	}
	return list
}
