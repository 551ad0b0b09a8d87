package api

import (
	"errors"
	"net/http"

	"github.com/nicferry/nicferry/nic"
)

// Code is one word for programs that says what kind of error it is.
type Code string

// The codes.
const (
	CodeInvalid     Code = "invalid"     // the request can never work as it is
	CodeNotFound    Code = "not_found"   // no such thing, or no such route
	CodeConflict    Code = "conflict"    // an older epoch or session: the caller is not the owner any more
	CodeRefused     Code = "refused"     // not allowed by policy, or by the provider
	CodeUnavailable Code = "unavailable" // the same again later may work
	CodeInternal    Code = "internal"    // a fault of the controller; its log has the cause
)

// Status is the HTTP status that goes with the code.
func (c Code) Status() int {
	switch c {
	case CodeInvalid:
		return http.StatusUnprocessableEntity
	case CodeNotFound:
		return http.StatusNotFound
	case CodeConflict:
		return http.StatusConflict
	case CodeRefused:
		return http.StatusForbidden
	case CodeUnavailable:
		return http.StatusServiceUnavailable
	}
	return http.StatusInternalServerError
}

// An Error is the body of every answer that is not a success.
type Error struct {
	Code Code `json:"code" enum:"invalid,not_found,conflict,refused,unavailable,internal" doc:"What kind of error it is, for programs."`
	// Message says to a person what is the matter.
	Message string `json:"message" doc:"What is the matter, for people."`
	// Field is where in the request the first fault is, such as body.owner.node.
	Field string `json:"field,omitempty" doc:"Where in the request the first fault is."`
	// Claim is the claim that the request was about, if it named one.
	Claim nic.ClaimID `json:"claim,omitempty" doc:"The claim that the request named."`
	// ProviderRequestID is the cloud's own id of the call that failed.
	ProviderRequestID string `json:"providerRequestId,omitempty" doc:"The cloud's own id of the call that failed, for its support."`
	// Faults are all faults of an invalid request.
	Faults nic.Faults `json:"faults,omitempty" doc:"All faults of an invalid request."`
	// Refusals are all reasons against a move that was refused.
	Refusals []nic.MoveRefusal `json:"refusals,omitempty" doc:"All reasons against a move that was refused."`
}

// Error is the message; it stands on its own.
func (e *Error) Error() string { return e.Message }

// CodeOf returns the code of the Error in err's chain, or "" if there is none.
func CodeOf(err error) Code {
	if e, ok := errors.AsType[*Error](err); ok {
		return e.Code
	}
	return ""
}

// IsNotFound says whether err is the API's "no such thing".
func IsNotFound(err error) bool { return CodeOf(err) == CodeNotFound }

// IsConflict says whether err tells the caller that it is not the owner any
// more: its epoch or its session is an old one.
func IsConflict(err error) bool { return CodeOf(err) == CodeConflict }

// IsInvalid says whether the request can never work as it is.
func IsInvalid(err error) bool { return CodeOf(err) == CodeInvalid }

// IsRefused says whether policy or the provider does not allow it.
func IsRefused(err error) bool { return CodeOf(err) == CodeRefused }
