package cloudsim

import "fmt"

// An Error is a refused call, in EC2's words.
type Error struct {
	Code, Message string
	// Status is the HTTP status.
	Status int
}

// Error reads "InvalidSubnetID.NotFound: The subnet ID 'subnet-1' does not exist".
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// A WireError is what a caller without a Wire gets of a fault of the wire.
type WireError struct{ Wire Wire }

// Error names the verb.
func (e *WireError) Error() string { return "no answer: " + string(e.Wire.Verb) }

func refuse(code, format string, args ...any) *Error {
	return &Error{Code: code, Message: fmt.Sprintf(format, args...), Status: 400}
}
