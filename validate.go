package callback

import (
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"golang.org/x/net/http/httpguts"

	"example.com/callback/internal/cloudcode"
	"example.com/callback/internal/engine"
	"example.com/callback/internal/headers"
)

// A validator is a part of a Handler that can check its own configuration.
type validator interface{ Validate() error }

// Validate checks the Handler's fields before the first request. It reports all of
// these at once, without any secret:
//   - fields that are missing or make no sense;
//   - members that do not compile;
//   - what the Runner and Secrets report, if they have a Validate method.
//
// It reads scripts, but asks no store. nil means that it has found nothing.
func (h *Handler) Validate() error {
	v := new(problems)
	v.validatePart("Runner", h.Runner, h.Runner == nil)
	if h.Runner == ScriptRunner(h) {
		v.add("Runner is the Handler itself")
	}
	v.validatePart("Secrets", h.Secrets, h.Secrets == nil)
	v.validatePrefix(h.Prefix)
	for name, d := range map[string]time.Duration{"Timeout": h.Timeout, "HTTPTimeout": h.HTTPTimeout} {
		if d < 0 {
			v.add("%s is negative: no call could succeed", name)
		}
	}
	for name, n := range map[string]int64{"MaxInFlight": int64(h.MaxInFlight), "MaxLookups": int64(h.MaxLookups), "MaxResponse": h.MaxResponse} {
		if n < 0 {
			v.add("%s is negative: no call could succeed", name)
		}
	}
	if h.MaxHeld != 0 && h.MaxHeld < max(h.maxBody(), h.maxResponse()) {
		v.add("MaxHeld is less than MaxBody or MaxResponse: a call of that size could not succeed")
	}
	for name, n := range map[string]int{"KeepLog": h.KeepLog, "KeepBodies": h.KeepBodies} {
		if n < 0 {
			v.add("%s is negative", name)
		}
	}
	for _, method := range h.Methods {
		if !mayServe(method) {
			v.add("Methods: %q is none of PUT, PATCH, DELETE and OPTIONS", method)
		}
	}
	for _, name := range h.RequestHeaders {
		v.validateHeader("RequestHeaders", name, false)
	}
	for _, name := range h.AllowHeaders {
		v.validateHeader("AllowHeaders", name, true)
	}
	for field, name := range map[string]string{"RunIDHeader": h.RunIDHeader, "VersionHeader": h.VersionHeader} {
		if name != "" {
			v.validateHeader(field, name, true)
		}
	}
	v.validateMembers("Members", "Spark.", h.Members)
	v.validateMembers("Globals", "", h.Globals)
	slices.Sort(v.messages)
	var errs []error
	for _, message := range v.messages {
		errs = append(errs, errors.New("callback: Handler."+message))
	}
	return errors.Join(append(errs, v.errs...)...)
}

// problems collects what is wrong with a Handler.
type problems struct {
	messages []string // of a field, which they begin with
	errs     []error  // of a part
}

func (v *problems) add(format string, args ...any) {
	v.messages = append(v.messages, fmt.Sprintf(format, args...))
}

func (v *problems) validatePart(field string, part any, missing bool) {
	if missing {
		v.add("%s is missing", field)
	}
	if validator, ok := part.(validator); ok {
		if _, isHandler := part.(*Handler); !isHandler { // it could be h
			v.errs = append(v.errs, validator.Validate())
		}
	}
}

func (v *problems) validatePrefix(prefix string) {
	if prefix == "" {
		return
	}
	if !strings.HasPrefix(prefix, "/") || !strings.HasSuffix(prefix, "/") {
		v.add("Prefix %q does not begin and end with a slash", prefix)
		return
	}
	path, err := url.PathUnescape(prefix)
	if err != nil || (&url.URL{Path: path, RawPath: prefix}).EscapedPath() != prefix {
		v.add("Prefix %q is not an escaped path: no request has it", prefix)
	}
}

func (v *problems) validateHeader(field, name string, ours bool) {
	switch {
	case !httpguts.ValidHeaderFieldName(name):
		v.add("%s: %q is not a header name", field, name)
	case ours && headers.IsFraming(name):
		v.add("%s: %s belongs to the connection", field, name)
	}
}

// validateMembers reports members that scripts could not use. owner is what the
// script has them of.
func (v *problems) validateMembers(field, owner string, members Members) {
	for _, name := range slices.Sorted(maps.Keys(members)) {
		m := members[name]
		switch {
		case name == "":
			v.add("%s has a member without a name", field)
		case m.Script == "" && m.Func == nil:
			v.add("%s: %s has neither Func nor Script", field, name)
		case m.Script != "" && m.Func != nil:
			v.add("%s: %s has both Func and Script: Func belongs into Funcs", field, name)
		case m.Script == "" && len(m.Funcs) > 0:
			v.add("%s: %s has Funcs without a Script", field, name)
		}
		for _, function := range slices.Sorted(maps.Keys(m.Funcs)) {
			if m.Funcs[function] == nil {
				v.add("%s: %s.%s is nil", field, name, function)
			}
		}
		if m.Script != "" {
			if err := engine.CompileMember(owner+name, m.Script); err != nil {
				v.add("%s: %v", field, strings.TrimPrefix(err.Error(), "callback: "))
			}
		}
	}
}

// ValidateScripts reports what [TreeOf] would refuse, and a tree without a main
// script, which is mostly a wrong folder. It is for the Validate method of a runner,
// whose name owner is. It does not ask source.
func ValidateScripts(owner string, scripts fs.FS, source ScriptSource) error {
	switch {
	case source == nil:
		return cloudcode.Validate(owner, scripts)
	case scripts != nil:
		return errTwoSources
	}
	if tree, ok := source.(Tree); ok {
		return cloudcode.Validate(owner, tree.FS)
	}
	return nil
}

// Validate reports keys that no request can have, and empty secrets. The error
// holds no key, since one may be a secret in the wrong place.
func (m SecretMap) Validate() error {
	var errs []error
	for _, key := range slices.Sorted(maps.Keys(m)) {
		slash := strings.LastIndexByte(key, '/')
		problem := ""
		switch {
		case slash < 0:
			problem = `has no slash: "apiKey/credential", or "apiKey/" for the server secret`
		case slash == 0:
			problem = "has no API key before the slash"
		case !utf8.ValidString(key[:slash]):
			problem = "has an API key that is not UTF-8"
		case slash < len(key)-1 && !cloudcode.IsName(key[slash+1:]):
			problem = "has a credential with other characters than A-Z a-z 0-9 _ - or more than 128"
		case m[key] == "":
			problem = "has an empty secret, which is refused"
		}
		if problem != "" {
			errs = append(errs, fmt.Errorf("callback: SecretMap: a key of %d characters %s", len(key), problem))
		}
	}
	return errors.Join(errs...)
}

// Validate reports a SecretCache without a Store, negative fields, and what the
// Store reports if it has a Validate method.
func (c *SecretCache) Validate() error {
	var errs []error
	if c.Store == nil {
		errs = append(errs, errors.New("callback: SecretCache.Store is missing"))
	}
	if c.TTL < 0 || c.NegativeTTL < 0 || c.MaxStale < 0 || c.Max < 0 {
		errs = append(errs, errors.New("callback: SecretCache has a negative field"))
	}
	if v, ok := c.Store.(validator); ok {
		errs = append(errs, v.Validate())
	}
	return errors.Join(errs...)
}
