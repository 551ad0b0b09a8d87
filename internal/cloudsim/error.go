package cloudsim

import (
	_ "embed"
	"fmt"
	"strconv"
	"strings"
	"sync"
)

// An Error is a refused call, in EC2's words.
type Error struct {
	Code, Message string
	// Because is what the policy said, where that is why; otherwise nil.
	Because error
	// Status is the HTTP status.
	Status int
	// Key is the table's, for a face that refuses in other words; empty where a fault
	// says the code.
	Key string
	// Said is the fault that has said something of it; nil where none has.
	Said *Fault
}

// Error reads "InvalidSubnetID.NotFound: The subnet ID 'subnet-1' does not exist".
func (e *Error) Error() string { return e.Code + ": " + e.Message }

// Unwrap is what the policy said.
func (e *Error) Unwrap() error { return e.Because }

// A WireError is what a caller gets of a fault of the wire: always where the
// call was not done, and otherwise where it brought no Wire.
type WireError struct{ Wire Wire }

// Error names the verb.
func (e *WireError) Error() string { return "no answer: " + string(e.Wire.Verb) }

//go:embed refusals.tsv
var refusalText string

// A Refusal is one of the ways in which the cloud says no.
type Refusal struct {
	Key, Code string
	Status    int
	// Message has verbs of package fmt; Source is where it is known from.
	Message, Source string
}

// refusals parses the table once; it is part of the program, so that a fault
// in it is a panic in every test.
var refusals = sync.OnceValue(func() map[string]Refusal {
	all := map[string]Refusal{}
	for _, f := range rows(refusalText, 5) {
		status, err := strconv.Atoi(f[2])
		if err != nil {
			panic("refusals.tsv: " + f[0] + ": " + err.Error())
		}
		all[f[0]] = Refusal{Key: f[0], Code: f[1], Status: status, Message: f[3], Source: f[4]}
	}
	return all
})

// Refusals is the table of them, by key.
func Refusals() map[string]Refusal {
	all := map[string]Refusal{}
	for k, r := range refusals() {
		all[k] = r
	}
	return all
}

// refuse is the error that the table has under key.
func refuse(key string, args ...any) *Error {
	r, ok := refusals()[key]
	if !ok {
		panic("refusals.tsv has no " + key)
	}
	return &Error{Code: r.Code, Message: fmt.Sprintf(r.Message, args...), Status: r.Status, Key: key}
}

// rows are the lines of a table that has n columns.
func rows(text string, n int) [][]string {
	var all [][]string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\n")
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		f := strings.Split(line, "\t")
		if len(f) != n {
			panic(fmt.Sprintf("a table's line has %d columns, not %d: %s", len(f), n, line))
		}
		all = append(all, f)
	}
	return all
}
