package nic

import (
	"errors"
	"fmt"
	"strings"
)

// A Fault is one thing wrong with input that a person wrote: the field it is
// in, as that person spelled it, and what to do about it.
type Fault struct {
	Field   string `json:"field"`
	Problem string `json:"problem"`
}

// Error joins field and problem.
func (f Fault) Error() string { return f.Field + ": " + f.Problem }

// Faults collects every fault of an input, so that all are told at once.
type Faults []Fault

// Add notes a fault.
func (fs *Faults) Add(field, format string, args ...any) {
	*fs = append(*fs, Fault{Field: field, Problem: fmt.Sprintf(format, args...)})
}

// AddErr notes err, unless it is nil.
func (fs *Faults) AddErr(field string, err error) {
	if err != nil {
		fs.Add(field, "%s", err)
	}
}

// Err returns the faults as one error, or nil if there are none.
func (fs Faults) Err() error {
	if len(fs) == 0 {
		return nil
	}
	return fs
}

// Error gives one line per fault.
func (fs Faults) Error() string {
	lines := make([]string, len(fs))
	for i, f := range fs {
		lines[i] = f.Error()
	}
	return strings.Join(lines, "\n")
}

// AsFaults returns the faults in err's chain, if any.
func AsFaults(err error) Faults {
	if fs, ok := errors.AsType[Faults](err); ok {
		return fs
	}
	return nil
}
