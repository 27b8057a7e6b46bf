// Package answer holds an HTTP answer in memory.
package answer

import (
	"bytes"
	"maps"
	"net/http"
)

// A Held is an answer that is not sent yet. It is an [http.ResponseWriter]; its
// zero value is an answer without headers, status or body.
type Held struct {
	Status int // zero until one is written
	Body   bytes.Buffer

	header http.Header
}

// Header implements [http.ResponseWriter].
func (h *Held) Header() http.Header {
	if h.header == nil {
		h.header = http.Header{}
	}
	return h.header
}

// WriteHeader implements [http.ResponseWriter].
func (h *Held) WriteHeader(status int) {
	if h.Status == 0 && status >= 200 {
		h.Status = status
	}
}

// Write implements [http.ResponseWriter].
func (h *Held) Write(p []byte) (int, error) {
	h.WriteHeader(http.StatusOK)
	return h.Body.Write(p)
}

// Replace makes text the answer's body.
func (h *Held) Replace(contentType, text string) {
	h.Body.Reset()
	h.Body.WriteString(text)
	h.Header().Set("Content-Type", contentType)
	h.Header().Del("Content-Length")
}

// Send sends the answer.
func (h *Held) Send(w http.ResponseWriter) {
	maps.Copy(w.Header(), h.Header())
	w.WriteHeader(max(h.Status, http.StatusOK))
	_, _ = w.Write(h.Body.Bytes()) // the caller may be gone
}
