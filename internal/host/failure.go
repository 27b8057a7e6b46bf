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

// ErrBlocked is the same error as in package callback.
var ErrBlocked = errors.New("callback: outbound request blocked")

// A reasoned is an error with a cause that errors.Is tells.
type reasoned struct {
	error
	cause error
}

// Unwrap is for [errors.As].
func (e *reasoned) Unwrap() error { return e.error }

// Is is for [errors.Is].
func (e *reasoned) Is(target error) bool { return target == e.cause }

// WithCause returns text as an error that is, by errors.Is, the cause of err if that
// is [ErrBlocked], [context.DeadlineExceeded] or [context.Canceled].
func WithCause(text, err error) error {
	switch {
	case isBlocked(err):
		return &reasoned{text, ErrBlocked}
	case isTimeout(err):
		return &reasoned{text, context.DeadlineExceeded}
	case errors.Is(err, context.Canceled):
		return &reasoned{text, context.Canceled}
	}
	return text
}

// isBlocked reports whether the request was refused because of its address or URL.
func isBlocked(err error) bool {
	return errors.Is(err, ErrBlocked) || errors.Is(err, ErrNotAllowed) || isProhibited(err)
}

func isProhibited(err error) bool {
	return errors.Is(err, ssrf.ErrProhibitedIP) || errors.Is(err, ssrf.ErrProhibitedNetwork) || errors.Is(err, ssrf.ErrProhibitedPort)
}

func isTimeout(err error) bool {
	return errors.Is(err, context.DeadlineExceeded) || errors.Is(err, os.ErrDeadlineExceeded)
}

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
	case isTimeout(err):
		return "timed out"
	case errors.Is(err, context.Canceled):
		return "cancelled with the run"
	case isProhibited(err):
		return "address not allowed"
	case errors.As(err, &dns):
		return "host name not found"
	case errors.As(err, &op):
		return fmt.Sprintf("%s failed: %v", op.Op, op.Err)
	}
	return ""
}

// WithoutSecrets returns an error of the host's HTTPDoer in a form that may be
// logged. It keeps errors that Reason knows. Of others it keeps the cause, and the
// text if that holds no part of the request.
func WithoutSecrets(req *http.Request, err error) error {
	var ofClient *url.Error
	if errors.As(err, &ofClient) || knownReason(err) != "" {
		return err
	}
	text := strings.TrimPrefix(err.Error(), "callback: ")
	if text == "" || strings.Contains(text, "://") {
		return WithCause(errFailed, err)
	}
	for _, secret := range requestSecrets(req) {
		if strings.Contains(text, secret) {
			return WithCause(errFailed, err)
		}
	}
	return WithCause(errors.New("callback: "+limit.Text(text, 200)), err)
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
