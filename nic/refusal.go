package nic

import (
	"errors"
	"fmt"
	"strings"
)

// MoveRefusals are all reasons against a move; as an error they say that it was
// not begun, and that nothing is changed.
type MoveRefusals []MoveRefusal

// Error gives one line per reason.
func (rs MoveRefusals) Error() string {
	lines := make([]string, len(rs))
	for i, r := range rs {
		lines[i] = r.Error()
	}
	return strings.Join(lines, "\n")
}

// Err returns the reasons as one error, or nil if there are none.
func (rs MoveRefusals) Err() error {
	if len(rs) == 0 {
		return nil
	}
	return rs
}

// Error is the reason in one line, with its remedy.
func (r MoveRefusal) Error() string {
	if r.Remedy == "" {
		return fmt.Sprintf("%s: %s", r.About, r.Why)
	}
	return fmt.Sprintf("%s: %s; %s", r.About, r.Why, r.Remedy)
}

// AsMoveRefusals returns the reasons in err's chain, if any.
func AsMoveRefusals(err error) MoveRefusals {
	if rs, ok := errors.AsType[MoveRefusals](err); ok {
		return rs
	}
	return nil
}
