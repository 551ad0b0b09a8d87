package store

import (
	"fmt"
	"strings"
	"unicode/utf8"
)

// The limits that all stores have in common.
const (
	MaxKey   = 1 << 10 // bytes
	MaxValue = 1 << 20 // bytes
)

// LeaderPrefix begins the keys of the leader records. Only Lead and Resign
// write them: Commit refuses to.
const LeaderPrefix = "leader/"

// An Op is one part of a commit. Make it with Create, Update, Delete or Check.
type Op struct {
	Kind   OpKind
	Key    string
	Value  []byte
	Expect Rev // 0: the record must not exist
}

// OpKind is what an Op does.
type OpKind int

// The kinds of op.
const (
	OpPut OpKind = iota + 1
	OpDelete
	OpCheck
)

// Create puts a record that must not exist yet.
func Create(key string, value []byte) Op { return Op{Kind: OpPut, Key: key, Value: value} }

// Update puts a record that must be at revision expect.
func Update(key string, value []byte, expect Rev) Op {
	return Op{Kind: OpPut, Key: key, Value: value, Expect: expect}
}

// Delete removes a record that must be at revision expect.
func Delete(key string, expect Rev) Op { return Op{Kind: OpDelete, Key: key, Expect: expect} }

// Check writes nothing and demands that a record is at revision expect, or
// with 0 that there is none.
func Check(key string, expect Rev) Op { return Op{Kind: OpCheck, Key: key, Expect: expect} }

// Writes tells whether the op changes the store if it succeeds.
func (o Op) Writes() bool { return o.Kind != OpCheck }

// Meets returns nil if have, the record's revision (0: there is none), is what
// the op expects, and otherwise a *ConflictError.
func (o Op) Meets(have Rev) error {
	if have == o.Expect {
		return nil
	}
	return &ConflictError{Key: o.Key, Have: have, Want: o.Expect}
}

// A ConflictError is an ErrConflict: the expectation that failed.
type ConflictError struct {
	Key        string
	Have, Want Rev // 0: no record
}

func (e *ConflictError) Error() string {
	switch {
	case e.Want == 0:
		return fmt.Sprintf("record %q exists already (revision %d): %v", e.Key, e.Have, ErrConflict)
	case e.Have == 0:
		return fmt.Sprintf("record %q is gone (expected at revision %d): %v", e.Key, e.Want, ErrConflict)
	}
	return fmt.Sprintf("record %q is at revision %d, not %d: %v", e.Key, e.Have, e.Want, ErrConflict)
}

// Unwrap returns ErrConflict.
func (e *ConflictError) Unwrap() error { return ErrConflict }

// Validate returns an ErrInvalid that names the key if no store may carry out
// the ops as one commit, whatever its records are.
func Validate(ops ...Op) error {
	for _, o := range ops {
		if err := o.validate(); err != nil {
			return fmt.Errorf("op on record %.100q: %w: %w", o.Key, err, ErrInvalid)
		}
	}
	if key, is := twice(ops); is {
		return fmt.Errorf("record %q appears twice in one commit: %w", key, ErrInvalid)
	}
	return nil
}

// fewOps are compared each with each, which is quicker than a map of them.
const fewOps = 16

// twice finds a key that two ops have.
func twice(ops []Op) (string, bool) {
	if len(ops) > fewOps {
		seen := make(map[string]struct{}, len(ops))
		for _, o := range ops {
			if _, is := seen[o.Key]; is {
				return o.Key, true
			}
			seen[o.Key] = struct{}{}
		}
		return "", false
	}
	for i, o := range ops {
		for _, before := range ops[:i] {
			if before.Key == o.Key {
				return o.Key, true
			}
		}
	}
	return "", false
}

func (o Op) validate() error {
	switch {
	case o.Kind != OpPut && o.Kind != OpDelete && o.Kind != OpCheck:
		return fmt.Errorf("no such kind of op: %d", o.Kind)
	case o.Key == "":
		return fmt.Errorf("the key is empty")
	case len(o.Key) > MaxKey:
		return fmt.Errorf("the key has %d bytes, %d are allowed", len(o.Key), MaxKey)
	case !utf8.ValidString(o.Key):
		return fmt.Errorf("the key is not UTF-8")
	case len(o.Value) > MaxValue:
		return fmt.Errorf("the value has %d bytes, %d are allowed", len(o.Value), MaxValue)
	case o.Kind == OpDelete && o.Expect == 0:
		return fmt.Errorf("a delete must expect a revision")
	case o.Writes() && strings.HasPrefix(o.Key, LeaderPrefix):
		return fmt.Errorf("only Lead and Resign write under %q", LeaderPrefix)
	}
	return nil
}

// ValidateList returns an ErrInvalid if no store may answer such a List.
func ValidateList(limit int) error {
	if limit < 0 {
		return fmt.Errorf("list at most %d records: %w", limit, ErrInvalid)
	}
	return nil
}
