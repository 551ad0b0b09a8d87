package local

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A NIC's records in the ledger:
//
//	nic/ID/spec      what Create was asked for
//	nic/ID/step/N    what was done with it then, N from 1
//
// The step with the highest number is the NIC's state, see state.go; the
// others are waste. Put-if-absent is all that a ledger can compare, so whoever
// wants the state to change puts step N+1, and of two only one succeeds. The
// newest step is never removed before the NIC is: numbers only grow, and a
// slow caller can neither bring an old state back nor remove a new one.
const root = "nic/"

// A step is one change of a NIC's state.
type step struct {
	Do    do        `json:"do"`
	Place nic.Place `json:"place,omitzero"` // with attach and detach
}

// do is what a step did.
type do string

const (
	attach do = "attach"
	detach do = "detach"
	left   do = "left" // the node has reported the NIC clean since the detach
	erase  do = "erase"
)

// A history is what the ledger holds of one NIC.
type history struct {
	id    nic.ID
	known bool // there is a spec
	spec  nic.Spec
	steps []int // numbers, ascending
	last  step  // the newest; zero if there is none
}

func (h history) newest() int {
	if len(h.steps) == 0 {
		return 0
	}
	return h.steps[len(h.steps)-1]
}

func specKey(id nic.ID) string        { return root + string(id) + "/spec" }
func stepKey(id nic.ID, n int) string { return root + string(id) + "/step/" + strconv.Itoa(n) }

// read returns one NIC's history. What cannot be an id has an empty one.
func (p *Provider) read(ctx context.Context, id nic.ID) (history, error) {
	if _, err := nic.ParseID(string(id)); err != nil {
		return history{id: id}, ctx.Err()
	}
	all, err := p.readPrefix(ctx, root+string(id)+"/")
	if err != nil {
		return history{}, err
	}
	if h, ok := all[id]; ok {
		return *h, nil
	}
	return history{id: id}, nil
}

func (p *Provider) readAll(ctx context.Context) (map[nic.ID]*history, error) {
	return p.readPrefix(ctx, root)
}

func (p *Provider) readPrefix(ctx context.Context, prefix string) (map[nic.ID]*history, error) {
	records, err := p.opts.Ledger.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	all := map[nic.ID]*history{}
	newest := map[nic.ID][]byte{}
	for key, value := range records {
		id, n, err := parseKey(key)
		if err != nil {
			return nil, kindf(provider.ErrInvalid, "ledger record %q: %v; was it written by a newer nicferry?", key, err)
		}
		h := all[id]
		if h == nil {
			h = &history{id: id}
			all[id] = h
		}
		if n == 0 {
			h.known = true
			if err := json.Unmarshal(value, &h.spec); err != nil {
				return nil, kindf(provider.ErrInvalid, "ledger record %q: %v", key, err)
			}
			continue
		}
		if len(h.steps) == 0 || n > slices.Max(h.steps) {
			newest[id] = value
		}
		h.steps = append(h.steps, n)
	}
	for id, value := range newest {
		h := all[id]
		slices.Sort(h.steps)
		if err := json.Unmarshal(value, &h.last); err != nil {
			return nil, kindf(provider.ErrInvalid, "ledger record %q: %v", stepKey(id, h.newest()), err)
		}
	}
	return all, nil
}

// parseKey returns the id and the step's number, 0 for the spec.
func parseKey(key string) (nic.ID, int, error) {
	text, rest, _ := strings.Cut(strings.TrimPrefix(key, root), "/")
	id, err := nic.ParseID(text)
	if err != nil {
		return "", 0, err
	}
	if rest == "spec" {
		return id, 0, nil
	}
	digits, ok := strings.CutPrefix(rest, "step/")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 {
		return "", 0, errors.New("no such kind of record")
	}
	return id, n, nil
}

// add makes s the NIC's newest step. It returns false if somebody else has
// changed the NIC since h was read; the caller reads and decides again.
func (p *Provider) add(ctx context.Context, h history, s step) (bool, error) {
	ledger := p.opts.Ledger
	for _, old := range h.steps[:max(0, len(h.steps)-1)] {
		if err := ledger.Delete(ctx, stepKey(h.id, old)); err != nil {
			return false, fmt.Errorf("clear ledger: %w", err)
		}
	}
	value, err := json.Marshal(s)
	if err != nil {
		return false, fmt.Errorf("write step: %w", err)
	}
	n := h.newest() + 1
	_, stored, err := ledger.Put(ctx, stepKey(h.id, n), value)
	if err != nil {
		return false, fmt.Errorf("write ledger: %w", err)
	}
	if !stored {
		return false, nil
	}
	// The number may have been used and cleared since h was read. Then the
	// newest is another one, or the NIC is gone, and this step means nothing.
	now, err := p.read(ctx, h.id)
	if err != nil {
		return false, err
	}
	if now.known && now.newest() == n {
		return true, nil
	}
	if err := ledger.Delete(ctx, stepKey(h.id, n)); err != nil && !now.known {
		return false, fmt.Errorf("clear ledger: %w", err)
	}
	return false, nil
}

// forget removes all records of an erased NIC, and what a crash in the midst of
// that has left. The step that erased it goes last, so that nobody can attach
// the NIC meanwhile.
func (p *Provider) forget(ctx context.Context, id nic.ID) error {
	h, err := p.read(ctx, id)
	if err != nil {
		return err
	}
	if len(h.steps) == 0 || h.known && h.last.Do != erase {
		return nil
	}
	keys := []string{specKey(id)}
	for _, n := range h.steps {
		keys = append(keys, stepKey(id, n))
	}
	for _, key := range keys {
		if err := p.opts.Ledger.Delete(ctx, key); err != nil {
			return fmt.Errorf("clear ledger: %w", err)
		}
	}
	return nil
}
