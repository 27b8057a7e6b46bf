package callback

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"mime"
	"net/http"
	"strconv"
	"strings"
	"time"

	"golang.org/x/net/http/httpguts"
	"golang.org/x/text/encoding"

	"example.com/callback/internal/charset"
	"example.com/callback/internal/headers"
	"example.com/callback/internal/hold"
	"example.com/callback/internal/jsjson"
	"example.com/callback/internal/limit"
	"example.com/callback/internal/rawjson"
	"example.com/callback/internal/reserved"
)

// A format is the Content-Type that the caller asks for by parameters.
type format struct {
	mediaType string // as given, but without a charset that is replaced; empty means that the body decides
	label     string // of the charset, as given; empty means that mediaType has one, or the default
	charset   encoding.Encoding
}

// requestedFormat reads the parameters contentType and characterEncoding. It logs
// and ignores an invalid media type or an unknown charset, because the parameter
// may be a field of the sender's own.
func requestedFormat(ctx context.Context, data []Param, log *slog.Logger) (f format) {
	var label string
	var hasLabel bool
	for i := range data {
		switch data[i].Name {
		case "contentType":
			f.mediaType = strings.Trim(data[i].Values[0], " \t\r\n;")
		case "characterEncoding":
			label, hasLabel = strings.TrimSpace(data[i].Values[0]), true
		}
	}
	if hasLabel {
		if enc, ok := charset.Lookup(label); ok {
			f.label, f.charset = label, enc
		} else {
			log.WarnContext(ctx, "callback: parameter ignored", "parameter", "characterEncoding", "reason", "not a known charset")
			hasLabel = false
		}
	}
	if f.mediaType == "" {
		return f
	}
	ignore := func(reason string) format {
		log.WarnContext(ctx, "callback: parameter ignored", "parameter", "contentType", "reason", reason)
		f.mediaType = ""
		return f
	}
	mediaType, params, err := mime.ParseMediaType(f.mediaType)
	if err != nil || !strings.Contains(mediaType, "/") || !httpguts.ValidHeaderFieldValue(f.mediaType) {
		return ignore("not a media type")
	}
	own, ok := params["charset"]
	switch {
	case !ok && !hasLabel:
		f.label = "utf-8"
	case !ok:
	case hasLabel:
		delete(params, "charset")
		f.mediaType = mime.FormatMediaType(mediaType, params)
	default:
		enc, known := charset.Lookup(own)
		if !known {
			return ignore("not a known charset")
		}
		f.charset = enc
	}
	return f
}

// contentType is the value of the header Content-Type. byDefault is the type of
// the body in UTF-8.
func (f format) contentType(byDefault string) string {
	mediaType, label := f.mediaType, f.label
	if mediaType == "" && label == "" {
		return byDefault
	}
	if mediaType == "" {
		mediaType, _, _ = strings.Cut(byDefault, ";")
	}
	if label == "" {
		return mediaType
	}
	if !httpguts.ValidHeaderFieldName(label) { // not a token: "iso_8859-1:1987"
		label = `"` + label + `"`
	}
	return mediaType + "; charset=" + label
}

// isActive reports whether the caller asks for a type that a browser may not only
// show but run.
func (f format) isActive() bool {
	mediaType, _ := headers.ParseMediaType(f.mediaType)
	return mediaType != "" && mediaType != "application/json" && mediaType != "text/plain"
}

// A responseWriter writes at most one answer, in one write.
type responseWriter struct {
	w          http.ResponseWriter
	head       bool // answer without the body
	unread     bool // the request has a body that was not read
	identified bool // the answer has the headers for the run id and the version
	written    bool
	cut        bool // the answer had to make room for others

	settings *Handler
	request  *http.Request // with the URL that was sent, even behind Conceal
	call     *Call
	held     *hold.Hold // of the request's body; nil for a short one

	status int    // that was written
	bytes  int64  // number of bytes of the body that were written
	body   []byte // the whole body

	values *[5]string // memory for the values of Content-Type, of the three headers in send, and of Content-Length
}

// writeError writes an error of the library. err is its cause.
func (w *responseWriter) writeError(status int, message string, err error) {
	header := w.w.Header()
	header.Set("Content-Type", "application/json; charset=utf-8")
	if status == http.StatusServiceUnavailable || status == http.StatusTooManyRequests {
		header.Set("Retry-After", strconv.FormatInt(retryAfter(err), 10))
	}
	body := jsjson.AppendString([]byte(`{"error":`), message)
	w.send(status, append(body, '}'))
}

// retryAfter is the number of seconds after which a caller may try again.
func retryAfter(err error) int64 {
	var after *retryAfterError
	if errors.As(err, &after) && after.after > time.Second {
		return int64((after.after-1)/time.Second) + 1 // rounded up
	}
	return 1
}

// An answer is the answer for a Result, before its format is known.
type answer struct {
	status  int
	headers json.RawMessage // RESPONSE_HEADERS, or nil
	body    []byte
	asBytes bool   // the body is not text
	media   string // the default type of the body, in UTF-8
}

// answer makes the answer for a result, which may be nil. If the result makes no
// valid answer, the error is a [*ScriptError].
func (r *Result) answer(maxBody int64) (answer, error) {
	a := answer{status: http.StatusOK, media: "application/json; charset=utf-8"}
	if r == nil {
		r = new(Result)
	}
	var raw json.RawMessage
	a.asBytes = r.Raw != nil
	size := 2
	for i := range r.Data {
		field := &r.Data[i]
		switch field.Name {
		case reserved.Raw:
			if !a.asBytes && string(field.Value) != "null" {
				raw = field.Value
			}
		case reserved.Headers:
			a.headers = field.Value
		case reserved.Status:
			if a.status = reserved.StatusOf(field.Value); a.status == 0 {
				at := r.Where[reserved.Status]
				return a, &ScriptError{Script: at.Script, Line: at.Line, Column: at.Column,
					Message: reserved.Status + " is not an integer from 200 to 599"}
			}
		default:
			size += len(field.Name) + len(field.Value) + len(`"":,`)
		}
	}
	switch {
	case a.asBytes:
		a.media, a.body = "application/octet-stream", r.Raw
	case raw != nil:
		a.media, a.body = "text/plain; charset=utf-8", rawjson.Text(raw) // of a string its text, else JSON
	case int64(size-1) > maxBody:
		return a, errTooLong(maxBody)
	default:
		a.body = r.appendJSON(make([]byte, 0, size))
	}
	if int64(len(a.body)) > maxBody {
		return a, errTooLong(maxBody)
	}
	return a, nil
}

// write writes a script's result. The error is a [*ScriptError]: the result makes
// no valid answer, and nothing has been written.
func (w *responseWriter) write(ctx context.Context, result *Result, f format, maxBody int64, call *Call) error {
	a, err := result.answer(maxBody)
	if err != nil {
		return err
	}
	if a.asBytes {
		f.charset, f.label = nil, "" // bytes have no charset
	}
	status, body := a.status, a.body
	header := w.w.Header()
	bodyless := status == http.StatusNoContent || status == http.StatusResetContent || status == http.StatusNotModified
	if !bodyless {
		w.setHeader(0, "Content-Type", f.contentType(a.media))
	}
	enc := f.charset
	typed := false
	if a.headers != nil {
		set := headers.Script{Header: header, Allowed: w.settings.AllowHeaders, Charset: enc}
		set.Set(a.headers)
		for _, dropped := range set.Dropped {
			logDropped(ctx, call, result.Where[reserved.Headers], dropped)
		}
		enc, typed = set.Charset, set.Typed
	}
	if !bodyless && !typed && f.isActive() && header["Content-Security-Policy"] == nil {
		// A caller must not be able to run pages on the host's origin.
		header.Set("Content-Security-Policy", "sandbox; default-src 'none'")
	}
	if bodyless {
		body = nil
	} else if enc != nil && !a.asBytes {
		body = charset.Encode(body, enc)
	}
	w.send(status, body)
	return nil
}

// logDropped logs that a script's header is left out. at is where the script has
// set it.
func logDropped(ctx context.Context, call *Call, at Position, dropped headers.Drop) {
	attrs := []any{"header", limit.Text(dropped.Name, 100), "reason", dropped.Reason}
	if at.Line > 0 {
		attrs = append(attrs, "script", at.Script, "line", at.Line, "column", at.Column)
	}
	if version := call.equipped.version; version != "" {
		attrs = append(attrs, "version", version)
	}
	call.Logger.WarnContext(ctx, "callback: response header dropped", attrs...)
}

func errTooLong(limit int64) error {
	return &ScriptError{Message: fmt.Sprintf("response body is over the limit of %d bytes", limit)}
}

// send writes the answer. It adds the headers of every answer, unless the script
// has set them.
func (w *responseWriter) send(status int, body []byte) {
	w.written, w.status, w.body = true, status, body
	header := w.w.Header()
	for i, h := range [...][2]string{
		{"X-Content-Type-Options", "nosniff"}, {"Referrer-Policy", "no-referrer"}, {"Cache-Control", "no-store"},
	} {
		if _, ok := header[h[0]]; !ok {
			w.setHeader(1+i, h[0], h[1])
		}
	}
	if status != http.StatusNoContent && status != http.StatusNotModified {
		w.setHeader(4, "Content-Length", strconv.Itoa(len(body)))
	}
	if w.identified {
		w.settings.identify(w.call, header)
	}
	if w.unread {
		// Otherwise net/http would read more of the body before it answers.
		if conn, ok := unwrapped[readDeadliner](w.w); ok {
			_ = conn.SetReadDeadline(time.Unix(1, 0)) // fails only if the connection is closed
		}
	}
	if timeout := w.settings.writeTimeout(w.request); timeout > 0 {
		// net/http removes the deadline after the answer. HTTP/2 has one for each
		// stream.
		setWriteDeadline(w.w, time.Now().Add(timeout))
	}
	if w.head {
		body = nil
	}
	if w.held != nil || len(body) > maxUncounted {
		defer w.hold(int64(len(body)))()
	}
	w.w.WriteHeader(status)
	if len(body) > 0 {
		n, _ := w.w.Write(body) // fails only if the caller is gone or does not read
		w.bytes = int64(n)
	}
}

// hold counts an answer of n bytes, until the function that it returns is called.
// Until then the answer may be cut.
func (w *responseWriter) hold(n int64) func() {
	cut := func() { setWriteDeadline(w.w, time.Unix(1, 0)) }
	if w.held != nil {
		w.held.Wait(cut)
	}
	var answer *hold.Hold
	if n > maxUncounted {
		answer = w.settings.answers.New(hold.Owner{APIKey: w.call.APIKey, Credential: w.call.Credential})
		answer.Take(n, max(n, w.settings.maxHeld()))
		answer.Wait(cut)
	}
	return func() {
		if w.held != nil {
			w.cut = !w.held.Resume()
		}
		if answer != nil {
			w.cut = !answer.Resume() || w.cut
			answer.Release()
		}
	}
}

func setWriteDeadline(w http.ResponseWriter, end time.Time) {
	if conn, ok := unwrapped[writeDeadliner](w); ok {
		_ = conn.SetWriteDeadline(end) // fails only if the connection is closed
	}
}

// unwrapped returns w, or the first writer that it wraps, as one that has the
// methods of T. An [http.ResponseController] finds the same one, but allocates an
// error if there is none.
func unwrapped[T any](w http.ResponseWriter) (t T, ok bool) {
	for {
		if t, ok = w.(T); ok {
			return t, true
		}
		wrapper, ok := w.(interface{ Unwrap() http.ResponseWriter })
		if !ok {
			return t, false
		}
		w = wrapper.Unwrap()
	}
}

type (
	readDeadliner  interface{ SetReadDeadline(time.Time) error }
	writeDeadliner interface{ SetWriteDeadline(time.Time) error }
)

// setHeader sets a header. Its value is stored in w.values[i].
func (w *responseWriter) setHeader(i int, name, value string) {
	if w.values == nil {
		w.values = new([5]string)
	}
	w.values[i] = value
	w.w.Header()[name] = w.values[i : i+1 : i+1]
}

// appendJSON appends an object of all script data. It includes the script errors,
// unless the script has set a key "error" itself.
func (r *Result) appendJSON(dst []byte) []byte {
	hasError := len(r.Errors) == 0
	dst = append(dst, '{')
	empty := true
	for i := range r.Data {
		switch r.Data[i].Name {
		case reserved.Raw, reserved.Headers, reserved.Status:
			continue
		case "error":
			hasError = true
		}
		dst = appendField(dst, r.Data[i], empty)
		empty = false
	}
	if !hasError {
		if !empty {
			dst = append(dst, ',')
		}
		dst = append(dst, `"error":{`...)
		for i := range r.Errors {
			dst = appendField(dst, r.Errors[i], i == 0)
		}
		dst = append(dst, '}')
	}
	return append(dst, '}')
}

func appendField(dst []byte, f Field, first bool) []byte {
	if !first {
		dst = append(dst, ',')
	}
	dst = jsjson.AppendString(dst, f.Name)
	dst = append(dst, ':')
	return append(dst, f.Value...)
}
