package ledgerlog

import (
	"context"
	"encoding/json"
	"fmt"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// maxTries bounds how often a change is decided again because others changed
// the NIC under it. Each time one of them got on, so more means a live-lock.
const maxTries = 8

// ErrContended is for a NIC that is changed by others faster than one can decide.
var ErrContended = provider.Errorf(provider.ErrBusy, "other callers keep changing it")

// Record puts the spec of a NIC if there is none, and returns the history. A
// spec that differs from the recorded one is ErrInvalid; a NIC that is being
// deleted is ErrBusy.
func (l Log) Record(ctx context.Context, spec nic.Spec) (History, error) {
	h, err := l.Read(ctx, spec.NIC)
	if err != nil {
		return History{}, err
	}
	if !h.Known {
		if h.Erased() {
			return History{}, provider.Errorf(provider.ErrBusy, "is being deleted; repeat the delete until the NIC is not found")
		}
		value, err := json.Marshal(spec)
		if err != nil {
			return History{}, fmt.Errorf("write spec: %w", err)
		}
		if _, _, err := l.Ledger.Put(ctx, specKey(spec.NIC), value); err != nil {
			return History{}, fmt.Errorf("write ledger: %w", err)
		}
		if h, err = l.Read(ctx, spec.NIC); err != nil { // maybe somebody else's
			return History{}, err
		}
	}
	same, err := sameSpec(h.Spec, spec)
	switch {
	case err != nil:
		return History{}, err
	case !h.Known || h.Last.Do == Erase:
		return History{}, provider.Errorf(provider.ErrBusy, "is being deleted")
	case !same:
		return History{}, provider.Errorf(provider.ErrInvalid, "the NIC was made with other parameters; a new one needs a new id")
	}
	return h, nil
}

// sameSpec compares as JSON does, where no addresses and none are the same.
func sameSpec(a, b nic.Spec) (bool, error) {
	textA, err := json.Marshal(a)
	if err != nil {
		return false, fmt.Errorf("write spec: %w", err)
	}
	textB, err := json.Marshal(b)
	if err != nil {
		return false, fmt.Errorf("write spec: %w", err)
	}
	return string(textA) == string(textB), nil
}

// Records are what the ledger has of a NIC that was recorded and given its first step,
// h.Last, by key.
func (h History) Records() (map[string][]byte, error) {
	spec, err := nic.Encode(h.Spec)
	if err != nil {
		return nil, fmt.Errorf("write spec: %w", err)
	}
	step, err := json.Marshal(h.Last)
	if err != nil {
		return nil, fmt.Errorf("write step: %w", err)
	}
	return map[string][]byte{specKey(h.ID): spec, stepKey(h.ID, 1): step}, nil
}

// Add makes s the NIC's newest step. It returns false if somebody else has
// changed the NIC since h was read; the caller reads and decides again.
func (l Log) Add(ctx context.Context, h History, s Step) (bool, error) {
	for _, old := range h.steps[:max(0, len(h.steps)-1)] {
		if err := l.Ledger.Delete(ctx, stepKey(h.ID, old)); err != nil {
			return false, fmt.Errorf("clear ledger: %w", err)
		}
	}
	value, err := json.Marshal(s)
	if err != nil {
		return false, fmt.Errorf("write step: %w", err)
	}
	n := h.Newest() + 1
	_, stored, err := l.Ledger.Put(ctx, stepKey(h.ID, n), value)
	if err != nil {
		return false, fmt.Errorf("write ledger: %w", err)
	}
	if !stored {
		return false, nil
	}
	// The number may have been used and cleared since h was read. Then the
	// newest is another one, or the NIC is gone, and this step means nothing.
	now, err := l.Read(ctx, h.ID)
	if err != nil {
		return false, err
	}
	if now.Known && now.Newest() == n {
		return true, nil
	}
	if err := l.Ledger.Delete(ctx, stepKey(h.ID, n)); err != nil && !now.Known {
		return false, fmt.Errorf("clear ledger: %w", err)
	}
	return false, nil
}

// Change reads a NIC, lets decide choose the next step, and records it; nil is
// no step. If somebody else was faster, it reads and decides again. A NIC that
// is not in the log is ErrNotFound.
func (l Log) Change(ctx context.Context, id nic.ID, decide func(History) (*Step, error)) error {
	for range maxTries {
		h, err := l.Read(ctx, id)
		if err != nil {
			return err
		}
		if !h.Known {
			return &provider.Error{Kind: provider.ErrNotFound}
		}
		next, err := decide(h)
		if err != nil || next == nil {
			return err
		}
		added, err := l.Add(ctx, h, *next)
		if err != nil || added {
			return err
		}
	}
	return ErrContended
}

// Forget removes all records of an erased NIC, and what a crash in the midst of
// that has left. The step that erased it goes last, so that nobody can attach
// the NIC meanwhile.
func (l Log) Forget(ctx context.Context, id nic.ID) error {
	h, err := l.Read(ctx, id)
	if err != nil {
		return err
	}
	if !h.Erased() {
		return nil
	}
	keys := []string{specKey(id)}
	for _, n := range h.steps {
		keys = append(keys, stepKey(id, n))
	}
	for _, key := range keys {
		if err := l.Ledger.Delete(ctx, key); err != nil {
			return fmt.Errorf("clear ledger: %w", err)
		}
	}
	return nil
}
