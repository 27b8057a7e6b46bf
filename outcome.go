package callback

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
)

// An Outcome is a class of results of a call.
type Outcome string

// The outcomes, with the status of their answers.
const (
	OutcomeOK          Outcome = "ok"           // the script's
	OutcomeScriptError Outcome = "script_error" // 500: also a result that makes no answer, such as one over MaxResponse
	OutcomeTimeout     Outcome = "timeout"      // 504
	OutcomeNoScript    Outcome = "no_script"    // 404
	OutcomeOverloaded  Outcome = "overloaded"   // 503: MaxInFlight, MaxHeld, or a runner's ErrOverloaded
	OutcomeTooMany     Outcome = "too_many"     // 429: ErrTooMany
	OutcomeUnavailable Outcome = "unavailable"  // 503: ErrUnavailable, scripts that cannot be read, any other error of Admit
	OutcomeTooLarge    Outcome = "too_large"    // 413
	OutcomeBadRequest  Outcome = "bad_request"  // 400, 408, 415
	OutcomeCanceled    Outcome = "canceled"     // 503 to a caller that has gone
	OutcomePanic       Outcome = "panic"        // 500: of the host's code or the runner
	OutcomeInternal    Outcome = "internal"     // 500: ErrNoVersion, no Runner, any other error of a runner
)

// A failure is why a call is not answered by its script.
type failure struct {
	status  int
	message string // for the caller
	outcome Outcome
	err     error
}

// panicked is the failure of a call that panicked with v.
func panicked(v any) *failure {
	return &failure{http.StatusInternalServerError, "script failed", OutcomePanic, fmt.Errorf("callback: panic of type %T", v)}
}

// failureOf classifies err, which ended a call with the context ctx.
func failureOf(ctx context.Context, err error) *failure {
	var request *requestError
	var script *ScriptError
	switch {
	case errors.As(err, &request):
		if request.status == http.StatusRequestEntityTooLarge {
			return &failure{request.status, request.message, OutcomeTooLarge, err}
		}
		return &failure{request.status, request.message, OutcomeBadRequest, err}
	case errors.Is(err, ErrNoScript):
		return &failure{http.StatusNotFound, "no script", OutcomeNoScript, err}
	case errors.Is(err, ErrTooMany):
		return &failure{http.StatusTooManyRequests, "too many calls", OutcomeTooMany, err}
	case errors.Is(err, ErrOverloaded):
		return &failure{http.StatusServiceUnavailable, "overloaded", OutcomeOverloaded, err}
	case errors.Is(ctx.Err(), context.Canceled):
		return &failure{http.StatusServiceUnavailable, "cancelled", OutcomeCanceled, err}
	case errors.Is(err, ErrUnavailable):
		return &failure{http.StatusServiceUnavailable, "unavailable", OutcomeUnavailable, err}
	case errors.Is(err, context.DeadlineExceeded):
		return &failure{http.StatusGatewayTimeout, "script timed out", OutcomeTimeout, err}
	case errors.As(err, &script):
		return &failure{http.StatusInternalServerError, "script failed", OutcomeScriptError, err}
	}
	return &failure{http.StatusInternalServerError, "script failed", OutcomeInternal, err}
}

// An unavailableError is an error of Admit or of the secret store. It is an
// [ErrUnavailable]. It says nothing of scripts, even if err is an [ErrNoScript]: a
// failed look-up must not become the 404 of a missing script.
type unavailableError struct {
	part      string // the field of Handler
	err       error
	mayRefuse bool // an ErrTooMany of it refuses the call
}

// Error implements [error].
func (e *unavailableError) Error() string {
	if errors.Is(e.err, ErrUnavailable) || e.Is(ErrTooMany) {
		return fmt.Sprintf("callback: %s: %v", e.part, e.err)
	}
	return fmt.Sprintf("%v: %s: %v", ErrUnavailable, e.part, e.err)
}

// Is is for [errors.Is].
func (e *unavailableError) Is(target error) bool {
	switch target {
	case ErrUnavailable:
		return true
	case ErrNoScript, ErrNoVersion:
		return false
	case ErrTooMany:
		return e.mayRefuse && errors.Is(e.err, ErrTooMany)
	}
	return errors.Is(e.err, target)
}

// As is for [errors.As].
func (e *unavailableError) As(target any) bool { return errors.As(e.err, target) }

// explain classifies and logs why a call failed.
func explain(ctx context.Context, call *Call, err error) *failure {
	f := failureOf(ctx, err)
	switch f.outcome {
	case OutcomeNoScript, OutcomeTooLarge, OutcomeBadRequest:
	case OutcomeTooMany:
		call.Logger.InfoContext(ctx, err.Error())
	case OutcomeOverloaded, OutcomeUnavailable:
		call.Logger.WarnContext(ctx, err.Error())
	case OutcomeCanceled:
		call.Logger.InfoContext(ctx, "callback: caller went away")
	default:
		attrs := []any{"error", err}
		var script *ScriptError
		if errors.As(err, &script) {
			attrs = nil
			if script.Script != "" {
				attrs = append(attrs, "script", script.Script)
			}
			if script.Line != 0 {
				attrs = append(attrs, "line", script.Line, "column", script.Column)
			}
			attrs = append(attrs, "error", script.Message)
			if script.Stack != "" {
				attrs = append(attrs, "stack", script.Stack)
			}
			if script.Version != "" {
				attrs = append(attrs, "version", script.Version)
			}
		}
		call.Logger.ErrorContext(ctx, "callback: script failed", attrs...)
	}
	return f
}

// A requestError is an error of the caller, with a message for the caller.
type requestError struct {
	status  int
	message string
}

func (e *requestError) Error() string { return "callback: " + e.message }

func badRequest(message string) error {
	return &requestError{http.StatusBadRequest, message}
}

func tooLarge(message string) error {
	return &requestError{http.StatusRequestEntityTooLarge, message}
}

// requestFault turns an error of reading a request into one for the caller.
func requestFault(err error) error {
	var long *http.MaxBytesError
	var bad *requestError
	switch {
	case errors.Is(err, ErrOverloaded):
		return err
	case errors.As(err, &bad):
		return bad
	case errors.As(err, &long):
		return &requestError{http.StatusRequestEntityTooLarge, "request body too large"}
	case errors.Is(err, os.ErrDeadlineExceeded):
		return &requestError{http.StatusRequestTimeout, "request body too slow"}
	}
	return &requestError{http.StatusBadRequest, "broken request body"}
}
