package callback

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"errors"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/text/encoding"

	"example.com/callback/internal/charset"
	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/headers"
)

// A Secret is the SHA-256 digest of a secret, so that a store need not keep the
// secret itself. It prints as "REDACTED". The zero value opens nothing.
type Secret [sha256.Size]byte

// NewSecret returns the digest of secret; of the empty secret, the zero value.
func NewSecret(secret string) Secret {
	sum := Secret(sha256.Sum256([]byte(secret)))
	if secret == "" {
		sum = Secret{}
	}
	return sum
}

// String returns "REDACTED".
func (Secret) String() string { return "REDACTED" }

// GoString returns "REDACTED".
func (Secret) GoString() string { return "REDACTED" }

// MarshalText returns "REDACTED".
func (Secret) MarshalText() ([]byte, error) { return []byte("REDACTED"), nil }

// LogValue returns "REDACTED".
func (Secret) LogValue() slog.Value { return slog.StringValue("REDACTED") }

// A target is what the path of a callback URL names, before anybody has
// vouched for it.
type target struct {
	segments [4]string // from the API key on
	n        int       // 2 to 4
}

// escapedPath is the path as it was sent. u.EscapedPath is not, if there are
// bytes in it that ought to have been escaped.
func escapedPath(u *url.URL) string {
	if path, err := url.PathUnescape(u.RawPath); err == nil && path == u.Path {
		return u.RawPath
	}
	return u.EscapedPath()
}

// parseTarget splits an escaped path. It accepts the form of a path, not its
// content: an empty secret is refused later, as a wrong one is.
func parseTarget(escapedPath, prefix string) (t target, ok bool) {
	if !strings.HasPrefix(escapedPath, "/") {
		escapedPath = "/" + escapedPath // as http.StripPrefix leaves it
	}
	rest, ok := strings.CutPrefix(escapedPath, prefix)
	if !ok {
		return target{}, false
	}
	for segment := range strings.SplitSeq(strings.TrimSuffix(rest, "/"), "/") {
		if t.n == len(t.segments) {
			return target{}, false
		}
		// Decoded one by one, so that %2F never makes a new segment.
		segment, err := url.PathUnescape(segment)
		if err != nil {
			return target{}, false
		}
		t.segments[t.n] = segment
		t.n++
	}
	return t, t.n >= 2
}

// authorize fills in whose call t is, and reports whether its secret is right.
// The error is the store's.
func (h *Handler) authorize(ctx context.Context, t target, call *Call) (bool, error) {
	apiKey, seg := t.segments[0], t.segments[1:t.n]
	// A server secret comes first, so that a valid one is never handed to the
	// store as the name of a credential, whatever follows it.
	ok, err := h.opens(ctx, apiKey, "", seg[0])
	switch {
	case err != nil:
		return false, err
	case ok && len(seg) < 3:
		call.APIKey = apiKey
		if len(seg) == 2 {
			call.PlayerID = charset.ValidUTF8(seg[1])
		}
		return true, nil
	case len(seg) == 1:
		return false, nil
	}
	credential, secret := seg[0], seg[1]
	if ok || !cloudcode.IsName(credential) {
		// Nobody's, and to be told from a wrong secret by nothing: the store
		// is asked all the same, and the empty secret opens nothing.
		credential, secret = "-", ""
	}
	ok, err = h.opens(ctx, apiKey, credential, secret)
	if err != nil || !ok {
		return false, err
	}
	call.APIKey, call.Credential = apiKey, credential
	if len(seg) == 3 {
		call.PlayerID = charset.ValidUTF8(seg[2])
	}
	return true, nil
}

// opens reports whether given is one of the credential's secrets, in a time
// that depends on neither.
func (h *Handler) opens(ctx context.Context, apiKey, credential, given string) (bool, error) {
	var secrets []Secret
	if h.Secrets != nil {
		var err error
		if secrets, err = h.Secrets.Secrets(ctx, apiKey, credential); err != nil {
			return false, err
		}
	}
	if len(secrets) == 0 {
		secrets = []Secret{{}} // an unknown name costs what a known one does
	}
	sum := sha256.Sum256([]byte(given))
	match := 0
	for i := range secrets {
		match |= subtle.ConstantTimeCompare(sum[:], secrets[i][:])
	}
	return match == 1 && given != "", nil
}

// A requestError is the caller's fault, in words for the caller.
type requestError struct {
	status  int
	message string
}

func (e *requestError) Error() string { return e.message }

func badRequest(message string) error {
	return &requestError{http.StatusBadRequest, message}
}

func tooLarge(message string) error {
	return &requestError{http.StatusRequestEntityTooLarge, message}
}

// Names in the data that are not a caller's to set.
const (
	bodyParam    = "REQUEST_BODY"
	headersParam = "REQUEST_HEADERS"
)

// readData fills in what the script of x.call reads of r. The body is read by
// the deadline of ctx.
func (h *Handler) readData(ctx context.Context, x *exchange, r *http.Request) error {
	data := dataReader{
		params:       x.data.params[:0],
		values:       x.data.values[:0],
		buffers:      &h.buffers,
		max:          cmp.Or(h.MaxParams, DefaultMaxParams),
		bodyReserved: r.Method == http.MethodPost,
	}
	if len(h.RequestHeaders) > 0 {
		data.headersReserved = true
		x.call.RequestHeaders = exposedHeaders(r, h.RequestHeaders)
	}
	if err := data.addURLEncoded(r.URL.RawQuery, nil, "query"); err != nil {
		return err
	}
	if r.Method == http.MethodPost {
		limit := cmp.Or(h.MaxBody, DefaultMaxBody)
		if r.ContentLength > limit {
			return tooLarge("request body too large")
		}
		if deadline, ok := ctx.Deadline(); ok && r.Body != nil {
			control := http.NewResponseController(x.w)
			if control.SetReadDeadline(deadline) == nil {
				defer control.SetReadDeadline(time.Time{}) // or it would cut the connection under the run
			}
		}
		body := io.Reader(http.NoBody)
		if r.Body != nil {
			body = http.MaxBytesReader(x.w, r.Body, limit)
		}
		if err := data.addBody(r.Header, body, r.ContentLength); err != nil {
			return err
		}
	}
	if len(data.params) > 0 {
		x.call.Data = slices.Clip(data.params)
	}
	return nil
}

// requestFault puts a failure to read a request in words for its sender.
func requestFault(err error) *requestError {
	var long *http.MaxBytesError
	var bad *requestError
	switch {
	case errors.As(err, &bad):
		return bad
	case errors.As(err, &long):
		return &requestError{http.StatusRequestEntityTooLarge, "request body too large"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &requestError{http.StatusRequestTimeout, "request body too slow"}
	}
	return &requestError{http.StatusBadRequest, "broken request body"}
}

func exposedHeaders(r *http.Request, names []string) []Param {
	params := make([]Param, 0, len(names))
	for _, name := range names {
		values := r.Header.Values(name)
		if strings.EqualFold(name, "Host") {
			values = []string{r.Host} // net/http keeps it apart
		}
		if len(values) > 0 {
			params = append(params, Param{strings.ToLower(name), values})
		}
	}
	return params
}

// A dataReader collects parameters in the order of their first appearance.
type dataReader struct {
	buffers *sync.Pool // of *bytes.Buffer
	params  []Param
	values  []string       // room for the first value of each
	index   map[string]int // of params by name, once they are many
	count   int
	max     int

	bodyReserved, headersReserved bool // drop parameters of those names
}

// paramRoom is room for the parameters of a request that has few.
type paramRoom struct {
	params [4]Param
	values [4]string
}

// manyParams is from where on a map finds a name faster than a loop.
const manyParams = 16

func (d *dataReader) add(name, value string) error {
	if d.count++; d.count > d.max {
		return tooLarge("too many parameters")
	}
	if d.bodyReserved && name == bodyParam || d.headersReserved && name == headersParam {
		return nil
	}
	if i := d.find(name); i >= 0 {
		d.params[i].Values = append(d.params[i].Values, value)
		return nil
	}
	d.put(name, value)
	return nil
}

func (d *dataReader) find(name string) int {
	if d.index != nil {
		if i, ok := d.index[name]; ok {
			return i
		}
		return -1
	}
	for i := range d.params {
		if d.params[i].Name == name {
			return i
		}
	}
	return -1
}

func (d *dataReader) put(name, value string) {
	if d.index != nil {
		d.index[name] = len(d.params)
	}
	d.values = append(d.values, value)
	n := len(d.values)
	d.params = append(d.params, Param{name, d.values[n-1 : n : n]})
	if d.index == nil && len(d.params) > manyParams {
		d.index = make(map[string]int, 4*manyParams)
		for i := range d.params {
			d.index[d.params[i].Name] = i
		}
	}
}

// addURLEncoded adds the pairs of an application/x-www-form-urlencoded text, as
// the WHATWG parses it but for broken percent-encoding, which is an error: a
// value that was not sent must not reach a script.
func (d *dataReader) addURLEncoded(text string, enc encoding.Encoding, where string) error {
	if n := min(manyParams, strings.Count(text, "&")+2); len(d.params) == 0 && n > cap(d.params) {
		d.params, d.values = make([]Param, 0, n), make([]string, 0, n)
	}
	for text != "" {
		var pair string
		pair, text, _ = strings.Cut(text, "&")
		if pair == "" {
			continue
		}
		name, value, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(name)
		if err == nil {
			value, err = url.QueryUnescape(value)
		}
		if err != nil {
			return badRequest("broken percent-encoding in the " + where)
		}
		if err := d.add(charset.Decode(name, enc), charset.Decode(value, enc)); err != nil {
			return err
		}
	}
	return nil
}

// firstRead is how much room a body gets on the word of its Content-Length.
const firstRead = 64 << 10

// addBody adds what a POST carries, by its Content-Type.
func (d *dataReader) addBody(header http.Header, body io.Reader, length int64) error {
	for _, coding := range header.Values("Content-Encoding") {
		if coding != "" && !strings.EqualFold(coding, "identity") {
			return &requestError{http.StatusUnsupportedMediaType, "content encoding not supported"}
		}
	}
	// A Content-Type that cannot be parsed is none.
	mediaType, params := headers.ParseMediaType(header.Get("Content-Type"))
	enc, err := charsetOf(params)
	if err != nil {
		return err
	}
	if mediaType == "multipart/form-data" {
		return d.addMultipart(body, params["boundary"], enc)
	}
	raw, err := d.readAll(body, length)
	if err != nil {
		return err
	}
	if mediaType == "application/x-www-form-urlencoded" {
		if err := d.addURLEncoded(raw, enc, "body"); err != nil {
			return err
		}
	}
	d.put(bodyParam, charset.Decode(raw, enc))
	return nil
}

// readAll reads to the end of r, where length bytes are expected.
func (d *dataReader) readAll(r io.Reader, length int64) (string, error) {
	buffer, ok := d.buffers.Get().(*bytes.Buffer)
	if !ok {
		buffer = new(bytes.Buffer)
	}
	buffer.Reset()
	buffer.Grow(int(min(max(0, length), firstRead)) + bytes.MinRead)
	_, err := buffer.ReadFrom(r)
	text := buffer.String()
	if buffer.Cap() <= 2*firstRead {
		d.buffers.Put(buffer)
	}
	return text, err
}

// addMultipart adds the parts of a form as they stream in: nothing of them
// touches the disk.
func (d *dataReader) addMultipart(body io.Reader, boundary string, enc encoding.Encoding) error {
	if boundary == "" {
		return badRequest("multipart body without a boundary")
	}
	reader := multipart.NewReader(body, boundary)
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			return nil
		}
		if err != nil {
			return multipartError(err)
		}
		name := part.FormName()
		if name == "" {
			return badRequest("multipart part without a name")
		}
		partEnc := enc // unless the part has one of its own
		if _, params := headers.ParseMediaType(part.Header.Get("Content-Type")); params["charset"] != "" {
			if partEnc, err = charsetOf(params); err != nil {
				return err
			}
		}
		text, err := d.readAll(part, 0)
		if err != nil {
			return multipartError(err)
		}
		if err := d.add(charset.Decode(name, partEnc), charset.Decode(text, partEnc)); err != nil {
			return err
		}
	}
}

// multipartError tells a broken form from one that did not arrive.
func multipartError(err error) error {
	var long *http.MaxBytesError
	if errors.As(err, &long) || errors.Is(err, os.ErrDeadlineExceeded) {
		return err
	}
	return badRequest("broken multipart body")
}

// charsetOf returns the charset that a Content-Type's parameters name; nil
// means UTF-8.
func charsetOf(params map[string]string) (encoding.Encoding, error) {
	label, ok := params["charset"]
	if !ok {
		return nil, nil
	}
	enc, ok := charset.Lookup(label)
	if !ok {
		return nil, badRequest("unknown charset")
	}
	return enc, nil
}
