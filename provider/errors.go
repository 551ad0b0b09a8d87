package provider

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// The kinds of error. Callers branch on these with errors.Is and on nothing
// else; each provider maps its vendor's codes to them in one file.
var (
	ErrNotFound    = errors.New("not found")
	ErrExhausted   = errors.New("exhausted")            // a limit, quota or range is used up
	ErrThrottled   = errors.New("throttled")            // too many calls; wait, then the same again
	ErrBusy        = errors.New("busy")                 // in transition; the same again later
	ErrElsewhere   = errors.New("attached elsewhere")   // on another instance than said
	ErrDenied      = errors.New("denied")               // not permitted
	ErrInvalid     = errors.New("invalid")              // this request can never work
	ErrUnsupported = errors.New("unsupported")          // the provider cannot do this at all
	ErrUnknown     = errors.New("may have taken place") // no reply: look before anything else
)

// Scope is how far an error reaches, so that the caller knows what to spare.
type Scope string

// The scopes.
const (
	ScopeNIC     Scope = "nic"
	ScopeNode    Scope = "node"
	ScopeSubnet  Scope = "subnet"
	ScopeAccount Scope = "account"
	ScopeAddress Scope = "address"
)

// An Error is a failed provider call.
type Error struct {
	Kind         error // one of the kinds above; required
	Scope        Scope
	Provider, Op string
	ID           nic.ID
	// RequestID is the cloud's own, for its support.
	RequestID string
	// RetryAfter is the provider's wish, 0 if it has none.
	RetryAfter time.Duration
	// Err is the cause in the provider's words; may be nil.
	Err error
}

// Errorf is an error of that kind, with its cause in the format's words. Whose call
// has failed, and how far that reaches, is for who returns it to add.
func Errorf(kind error, format string, args ...any) error {
	return &Error{Kind: kind, Err: fmt.Errorf(format, args...)}
}

// Failing returns the function that makes any error of a provider's op an Error that
// says so. One that is none yet is what classify makes of it; without a scope it
// reaches as far as the NIC.
func Failing(name, op string, id nic.ID, classify func(error) Error) func(error) error {
	return func(err error) error {
		var e Error
		if said, ok := errors.AsType[*Error](err); ok {
			e = *said
		} else {
			e = classify(err)
		}
		if e.Scope == "" {
			e.Scope = ScopeNIC
		}
		e.Provider, e.Op, e.ID = name, op, id
		return &e
	}
}

// NoAnswer is the error of a call that may have taken place.
func NoAnswer(cause error) error { return &Error{Kind: ErrUnknown, Scope: ScopeAccount, Err: cause} }

// Error reads "local: attach nic-…: exhausted: 4 of 4 slots in use".
func (e *Error) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%s: %s", e.Provider, e.Op)
	if e.ID != "" {
		fmt.Fprintf(&b, " %s", e.ID)
	}
	fmt.Fprintf(&b, ": %s", e.Kind)
	if e.Err != nil {
		fmt.Fprintf(&b, ": %s", e.Err)
	}
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	return b.String()
}

// Unwrap makes errors.Is see both the kind and the cause.
func (e *Error) Unwrap() []error {
	if e.Err == nil {
		return []error{e.Kind}
	}
	return []error{e.Kind, e.Err}
}
