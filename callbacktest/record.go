package callbacktest

import (
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/tools/txtar"

	"example.com/callback"
)

// WriteCase writes a recorded run as a case file: its request, its outbound
// requests with their answers, and its answer. secret takes the place of the
// secret in the URL. The run needs complete Exchanges: see
// [callback.Handler.KeepBodies] and [callback.Recorder.Requests].
//
// The file repeats what the caller and other servers have sent. Read it before
// you keep it.
func WriteCase(w io.Writer, run *callback.Run, secret string) error {
	call, e := run.Call, run.Exchange
	if e == nil || e.Cut {
		return fmt.Errorf("callbacktest: run %s has no whole record of its request", call.RunID)
	}
	archive := &txtar.Archive{Comment: fmt.Appendf(nil, "Run %s of %s.\n", call.RunID, run.Start.UTC().Format("2006-01-02 15:04:05 MST"))}
	path := callback.DefaultPrefix + url.PathEscape(call.APIKey)
	for _, segment := range []string{call.Credential, secret, call.PlayerID} {
		if segment != "" {
			path += "/" + url.PathEscape(segment)
		}
	}
	request := recorded(call.Method+" "+path+e.URL, e.Header, e.Body)
	addSection(archive, "request", request, request.needsQuotes())
	for _, o := range run.Outbound {
		if o.Exchange == nil || o.Exchange.Cut {
			return fmt.Errorf("callbacktest: run %s has no whole record of a request to %s", call.RunID, o.Host)
		}
		sent := recorded(o.Method+" "+o.Exchange.URL, nil, o.Exchange.Body)
		got := recorded(strconv.Itoa(o.Status), o.Exchange.AnswerHeader, o.Exchange.Answer)
		if o.Err != nil {
			got = message{first: "error " + failureKind(o.Err)}
		}
		addUpstream(archive, sent, got)
	}
	status := strings.TrimSpace(strconv.Itoa(run.Status) + " " + http.StatusText(run.Status))
	response := recorded(status, e.AnswerHeader, e.Answer).normal()
	addSection(archive, "response", response, response.needsQuotes())
	_, err := w.Write(txtar.Format(archive))
	return err
}

// recorded makes a message. It leaves out headers that belong to the connection.
func recorded(first string, header http.Header, body []byte) message {
	m := message{first: first, body: string(body)}
	for _, name := range slices.Sorted(maps.Keys(header)) {
		switch name {
		case "Date", "Connection", "Transfer-Encoding":
			continue
		}
		for _, value := range header[name] {
			m.header = append(m.header, name+": "+value)
		}
	}
	return m
}

// failureKind returns the failure that a case file has for err.
func failureKind(err error) string {
	switch text := err.Error(); {
	case strings.Contains(text, "timed out"):
		return "timeout"
	case strings.Contains(text, "host name not found"):
		return "unknown host"
	}
	return "refused"
}

func addUpstream(archive *txtar.Archive, sent, got message) {
	// A line "=>" in the request would end the request.
	quoted := sent.needsQuotes() || got.needsQuotes() || strings.Contains("\n"+sent.body+"\n", "\n=>\n")
	name := "upstream"
	if quoted {
		name = "upstream quoted"
	}
	text := strings.TrimSuffix(sent.format(quoted), "\n") + "\n=>\n" + got.format(quoted)
	archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(text)})
}

func addSection(archive *txtar.Archive, name string, m message, quoted bool) {
	if quoted {
		name += " quoted"
	}
	archive.Files = append(archive.Files, txtar.File{Name: name, Data: []byte(m.format(quoted))})
}
