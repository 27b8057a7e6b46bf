package host

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"

	"code.dny.dev/ssrf"

	"example.com/callback/internal/limit"
)

// A Failure is a reason of the library's own why an outbound request has no
// answer.
type Failure string

// The reasons.
const (
	ErrURL             Failure = "not an http or https URL"
	ErrRequestTooLarge Failure = "outbound request too large"
	ErrTooLarge        Failure = "answer too large"
	ErrPanic           Failure = "the HTTPDoer panicked"
	ErrNoAnswer        Failure = "the HTTPDoer returned neither answer nor error"
	ErrNoDoer          Failure = "the call has no HTTPDoer"
	ErrCalls           Failure = "too many outbound requests in one run"
	ErrRedirects       Failure = "too many redirects"
	ErrNotAllowed      Failure = "URL not allowed by the host"

	errFailed Failure = "request failed"
)

// Error returns the reason after "callback: ".
func (f Failure) Error() string { return "callback: " + string(f) }

// Reason describes for the log why an outbound request has no answer. It repeats
// no error of net/http: those hold the URL, which may hold a secret.
func Reason(err error) string {
	if known := knownReason(err); known != "" {
		return known
	}
	if own, ok := strings.CutPrefix(err.Error(), "callback: "); ok {
		return own // of WithoutSecrets, or from a child process
	}
	return string(errFailed)
}

// knownReason is Reason for errors that are known by their type, or empty.
func knownReason(err error) string {
	var own Failure
	var op *net.OpError
	var dns *net.DNSError
	switch {
	case errors.As(err, &own):
		return string(own)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, os.ErrDeadlineExceeded):
		return "timed out"
	case errors.Is(err, context.Canceled):
		return "cancelled with the run"
	case errors.Is(err, ssrf.ErrProhibitedIP), errors.Is(err, ssrf.ErrProhibitedNetwork), errors.Is(err, ssrf.ErrProhibitedPort):
		return "address not allowed"
	case errors.As(err, &dns):
		return "host name not found"
	case errors.As(err, &op):
		return fmt.Sprintf("%s failed: %v", op.Op, op.Err)
	}
	return ""
}

// WithoutSecrets returns an error of the host's HTTPDoer in a form that may be
// logged. It keeps errors that Reason knows, and the text of others if it holds no
// part of the request.
func WithoutSecrets(req *http.Request, err error) error {
	var ofClient *url.Error
	if errors.As(err, &ofClient) || knownReason(err) != "" {
		return err
	}
	text := strings.TrimPrefix(err.Error(), "callback: ")
	if text == "" || strings.Contains(text, "://") {
		return errFailed
	}
	for _, secret := range requestSecrets(req) {
		if strings.Contains(text, secret) {
			return errFailed
		}
	}
	return errors.New("callback: " + limit.Text(text, 200))
}

// requestSecrets returns the parts of a request that must not be logged, except
// those that are too short to be a secret.
func requestSecrets(req *http.Request) []string {
	parts := strings.Split(req.URL.Path, "/")
	parts = append(parts, strings.Split(req.URL.EscapedPath(), "/")...)
	parts = append(parts, req.URL.RawQuery, req.URL.Opaque, req.URL.Fragment)
	for _, values := range req.URL.Query() {
		parts = append(parts, values...)
	}
	if password, ok := req.URL.User.Password(); ok {
		parts = append(parts, password)
	}
	parts = append(parts, req.URL.User.Username())
	for _, values := range req.Header {
		parts = append(parts, values...)
	}
	return slices.DeleteFunc(parts, func(part string) bool { return len(part) < 4 })
}
