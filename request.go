package callback

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"mime/multipart"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"golang.org/x/text/encoding"

	"example.com/callback/internal/charset"
	"example.com/callback/internal/coding"
	"example.com/callback/internal/headers"
	"example.com/callback/internal/hold"
	"example.com/callback/internal/reserved"
	"example.com/callback/internal/web/url"
	"example.com/callback/internal/xmltree"
)

// readData fills in the data of x.call from r. It reads the body, at most until
// the deadline of ctx.
func (h *Handler) readData(ctx context.Context, x *inbound, r *http.Request) error {
	data := dataReader{
		params:       x.data.params[:0],
		values:       x.data.values[:0],
		buffers:      &h.buffers,
		max:          cmp.Or(h.MaxParams, defaultMaxParams),
		bodyReserved: hasBody(r.Method),
		log:          x.call.Logger,
		ctx:          ctx,
	}
	if len(h.RequestHeaders) > 0 {
		data.headersReserved = true
		x.call.RequestHeaders = exposedHeaders(r, h.RequestHeaders)
	}
	if err := data.addURLEncoded(r.URL.RawQuery, nil); err != nil {
		return err
	}
	if hasBody(r.Method) {
		limit := h.maxBody()
		if r.ContentLength > limit {
			return tooLarge("request body too large")
		}
		if deadline, ok := ctx.Deadline(); ok && r.Body != nil {
			if conn, ok := unwrapped[readDeadliner](x.w); ok && conn.SetReadDeadline(deadline) == nil {
				defer conn.SetReadDeadline(time.Time{}) // or it would close the connection during the run
			}
		}
		x.body.Reader = http.NoBody
		if x.account != nil && x.account.keeps {
			x.body.keep = max(h.KeepBodies, h.KeepBodies+1) // one more tells that the body is cut; the sum may overflow
		}
		if r.Body != nil {
			x.body.Reader = http.MaxBytesReader(x.w, r.Body, limit)
		}
		body, inflated, err := coding.Reader(r.Header["Content-Encoding"], &x.body)
		if err != nil {
			return &requestError{http.StatusUnsupportedMediaType, "content encoding not supported"}
		}
		length := r.ContentLength
		if inflated {
			body, length = http.MaxBytesReader(nil, io.NopCloser(body), limit), 0
		}
		if length > maxUncounted || length < 0 || inflated {
			held := &heldReader{Reader: body, handler: h, x: x}
			if !held.take(min(length, firstRead)) {
				return errHeld
			}
			body = held
		}
		x.call.Body, err = data.addBody(r.Header, body, length, h.KeepMultipart)
		if x.held != nil && !x.held.Resume() {
			return errHeld
		}
		if err != nil {
			return err
		}
	}
	if len(data.params) > 0 {
		x.call.Data = slices.Clip(data.params)
	}
	return nil
}

// hasBody reports whether a request of a method is read with its body.
func hasBody(method string) bool {
	switch method {
	case http.MethodPost, http.MethodPut, http.MethodPatch, http.MethodDelete:
		return true
	}
	return false
}

// A countingReader counts the bytes that it reads, and keeps the first of them.
type countingReader struct {
	io.Reader
	n    int64
	keep int // number of bytes
	kept []byte
}

func (r *countingReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += int64(n)
	if room := r.keep - len(r.kept); room > 0 {
		r.kept = append(r.kept, p[:min(n, room)]...)
	}
	return n, err
}

var errHeld = fmt.Errorf("%w: MaxHeld bytes of bodies are held", ErrOverloaded)

// A heldReader counts the bytes that it reads among those that a Handler holds.
type heldReader struct {
	io.Reader
	handler  *Handler
	x        *inbound
	n, taken int64
}

// Read implements [io.Reader].
func (r *heldReader) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	r.n += int64(n)
	if !r.take(r.n) {
		return 0, errHeld
	}
	return n, err
}

// take makes the bytes that are held n, if they are fewer.
func (r *heldReader) take(n int64) bool {
	if n <= max(r.taken, maxUncounted) {
		return true
	}
	x := r.x
	first := x.held == nil
	if first {
		x.held = r.handler.bodies.New(hold.Owner{APIKey: x.call.APIKey, Credential: x.call.Credential})
	}
	if !x.held.Take(n-r.taken, r.handler.maxHeld()) {
		return false
	}
	r.taken = n
	if first {
		w := x.w
		x.held.Wait(func() { _ = http.NewResponseController(w).SetReadDeadline(time.Unix(1, 0)) })
	}
	return true
}

func exposedHeaders(r *http.Request, names []string) []Param {
	params := make([]Param, 0, len(names))
	for _, name := range names {
		values := r.Header.Values(name)
		if strings.EqualFold(name, "Host") {
			values = []string{r.Host} // net/http removes it from r.Header
		}
		if len(values) > 0 {
			params = append(params, Param{strings.ToLower(name), validUTF8(values)})
		}
	}
	return params
}

// validUTF8 returns values as valid UTF-8.
func validUTF8(values []string) []string {
	valid := make([]string, len(values))
	for i, value := range values {
		valid[i] = charset.ValidUTF8(value)
	}
	return valid
}

// A dataReader collects parameters in the order of their first appearance.
type dataReader struct {
	buffers *sync.Pool // of *bytes.Buffer
	params  []Param
	values  []string       // the first values of all params, in one allocation
	index   map[string]int // positions in params by name; nil while they are few
	count   int
	max     int
	log     *slog.Logger
	ctx     context.Context // of log

	bodyReserved, headersReserved bool // whether parameters named reserved.RequestBody, reserved.RequestHeaders are dropped
}

// A paramBuffer has space for the parameters of a request that has few.
type paramBuffer struct {
	params [4]Param
	values [4]string
}

// manyParams is the number from which on a map is faster than a loop.
const manyParams = 16

func (d *dataReader) add(name, value string) error {
	if d.count++; d.count > d.max {
		return tooLarge("too many parameters")
	}
	if d.bodyReserved && name == reserved.RequestBody || d.headersReserved && name == reserved.RequestHeaders {
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

// addURLEncoded adds the pairs of an application/x-www-form-urlencoded text. It
// parses as the WHATWG does: a "%" that begins no escape stands for itself.
func (d *dataReader) addURLEncoded(text string, enc encoding.Encoding) error {
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
		name, value = url.DecodePart(name), url.DecodePart(value)
		if err := d.add(charset.Decode(name, enc), charset.Decode(value, enc)); err != nil {
			return err
		}
	}
	return nil
}

// firstRead bounds the memory that a Content-Length alone can claim.
const firstRead = 64 << 10

// byteOrderMark is in front of the first field in forms of some senders.
const byteOrderMark = "\ufeff"

// addBody adds the contents of the body of a request, by its Content-Type. It
// returns the bytes of the body if they differ from REQUEST_BODY, or if the body is
// multipart and keepMultipart is set; else nil.
func (d *dataReader) addBody(header http.Header, body io.Reader, length int64, keepMultipart bool) ([]byte, error) {
	mediaType, params := headers.ParseMediaType(header.Get("Content-Type"))
	enc := d.charset(params)
	if mediaType == "multipart/form-data" {
		var kept bytes.Buffer
		if keepMultipart {
			body = io.TeeReader(body, &kept)
		}
		if err := d.addMultipart(body, params, enc); err != nil {
			return nil, err
		}
		if keepMultipart {
			if _, err := io.Copy(io.Discard, body); err != nil { // to keep what follows the last part
				return nil, err
			}
		}
		return kept.Bytes(), nil
	}
	raw, err := d.readAll(body, length)
	if err != nil {
		return nil, err
	}
	isForm := mediaType == "application/x-www-form-urlencoded"
	if params["charset"] == "" {
		switch {
		case isForm:
			enc = formCharset(raw)
		case mediaType == "text/xml" || mediaType == "application/xml" || strings.HasSuffix(mediaType, "+xml"):
			enc = xmlCharset(raw)
		}
	}
	if isForm {
		form := raw
		if enc == nil {
			form = strings.TrimPrefix(raw, byteOrderMark)
		}
		if err := d.addURLEncoded(form, enc); err != nil {
			return nil, err
		}
	}
	text := charset.Decode(raw, charset.OfMark(raw, enc))
	d.put(reserved.RequestBody, text)
	if text != raw {
		return []byte(raw), nil
	}
	return nil, nil
}

// formCharset is the charset that a form names in a field of its own if it is not
// UTF-8: in _charset_, as browsers do, or in charset, as PayPal does.
func formCharset(form string) encoding.Encoding {
	if !strings.Contains(form, "charset") || utf8.ValidString(url.DecodePart(form)) {
		return nil
	}
	for pair := range strings.SplitSeq(form, "&") {
		name, value, _ := strings.Cut(pair, "=")
		if name == "charset" || name == "_charset_" {
			enc, _ := charset.LookupLoosely(url.DecodePart(value))
			return enc
		}
	}
	return nil
}

// xmlCharset is the charset that an XML document declares in its first line. That
// can be read, so it is not UTF-16, whatever it says.
func xmlCharset(document string) encoding.Encoding {
	enc, name, ok := charset.Named(xmltree.Encoding([]byte(document[:min(len(document), 256)])))
	if !ok || name == "utf-8" || strings.HasPrefix(name, "utf-16") {
		return nil
	}
	return enc
}

// readAll reads r to its end. It expects length bytes.
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

// addMultipart adds the parts of a form as they arrive. It writes nothing to
// the disk. The parameters and the charset are those of the Content-Type.
func (d *dataReader) addMultipart(body io.Reader, params map[string]string, enc encoding.Encoding) error {
	if params["boundary"] == "" {
		return badRequest("multipart body without a boundary")
	}
	arriving := &failingReader{Reader: body}
	reader := multipart.NewReader(arriving, params["boundary"])
	named := params["charset"] != "" // the charset of parts that name none
	var unread []unreadField
	var charsets string
	for {
		part, err := reader.NextPart()
		if err == io.EOF {
			d.readAgain(unread, charsets)
			return nil
		}
		if err != nil {
			return arriving.multipartError()
		}
		name, ok := headers.FormName(part.Header.Get("Content-Disposition"))
		if !ok {
			return badRequest("multipart part without a name")
		}
		partEnc, partNamed := enc, named
		if _, params := headers.ParseMediaType(part.Header.Get("Content-Type")); params["charset"] != "" {
			partEnc, partNamed = d.charset(params), true
		}
		text, err := d.readAll(part, 0)
		if err != nil {
			return arriving.multipartError()
		}
		switch {
		case name == "_charset_" && !named: // that of the parts that follow, as in RFC 7578
			enc, named = charset.LookupLoosely(text)
		case name == "charsets":
			charsets = text
		}
		name = charset.Decode(name, partEnc)
		if err := d.add(name, charset.Decode(text, partEnc)); err != nil {
			return err
		}
		if i := d.find(name); i >= 0 && !partNamed && !utf8.ValidString(text) && part.FileName() == "" {
			unread = append(unread, unreadField{name, len(d.params[i].Values) - 1, text})
		}
	}
}

// An unreadField is a value of a form that is not UTF-8 and names no charset.
type unreadField struct {
	name  string
	index int // of the value
	text  string
}

// readAgain reads fields in the charsets that the field charsets of the form names, as
// SendGrid sends it: a JSON object of charsets by the names of fields.
func (d *dataReader) readAgain(fields []unreadField, charsets string) {
	var labels map[string]string
	if len(fields) == 0 || json.Unmarshal([]byte(charsets), &labels) != nil {
		return
	}
	for _, f := range fields {
		if enc, ok := charset.LookupLoosely(labels[f.name]); ok {
			d.params[d.find(f.name)].Values[f.index] = charset.Decode(f.text, enc)
		}
	}
}

// A failingReader retains the error of its reader: package multipart reports some
// as what it makes of the part of a header before it.
type failingReader struct {
	io.Reader
	err error
}

func (r *failingReader) Read(p []byte) (n int, err error) {
	n, err = r.Reader.Read(p)
	if err != nil {
		r.err = err
	}
	return n, err
}

// multipartError is why the form could not be read.
func (r *failingReader) multipartError() error {
	var long *http.MaxBytesError
	if errors.As(r.err, &long) || errors.Is(r.err, os.ErrDeadlineExceeded) || errors.Is(r.err, ErrOverloaded) {
		return r.err
	}
	return badRequest("broken multipart body")
}

// charset returns the charset in the parameters of a Content-Type; nil means
// UTF-8. An unknown charset is logged and read as UTF-8.
func (d *dataReader) charset(params map[string]string) encoding.Encoding {
	enc, ok := charset.LookupLoosely(params["charset"])
	if !ok && d.log != nil {
		d.log.WarnContext(d.ctx, "callback: unknown charset read as UTF-8")
	}
	return enc
}
