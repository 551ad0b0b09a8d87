// Package ledgerlog keeps what a provider was told to do with each NIC as a log
// in its Ledger, for providers whose world forgets an unplugged NIC.
package ledgerlog

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// A NIC's records in the ledger:
//
//	nic/ID/spec      what Create was asked for
//	nic/ID/step/N    what was done with it then, N from 1
//
// The step with the highest number is the NIC's state as far as the provider
// knows it; the others are waste. Put-if-absent is all that a ledger can
// compare, so whoever wants the state to change puts step N+1, and of two only
// one succeeds. The newest step is never removed before the NIC is: numbers
// only grow, and a slow caller can neither bring an old state back nor remove a
// new one.
const root = "nic/"

// A Log is the log of one provider. Several on one ledger, as with two
// controllers, see and respect each other's work. Its errors are of a kind of
// package provider where they say what is wrong with a record or a call;
// others are the ledger's own.
type Log struct{ Ledger provider.Ledger }

// A Step is one change of a NIC's state.
type Step struct {
	Do    Do        `json:"do"`
	Place nic.Place `json:"place,omitzero"` // with Attach and Detach
	// Machine is the provider's lasting id of the place's instance, where the
	// instance is called by a name that may be given to another.
	Machine string `json:"machine,omitempty"`
	// At is when it was done, where that matters to the provider.
	At time.Time `json:"at,omitzero"`
}

// Do is what a step did.
type Do string

// What a step does. The zero Do is that of a NIC that was only created.
const (
	Attach Do = "attach" // its plugging was begun
	Detach Do = "detach" // its unplugging was begun
	Left   Do = "left"   // it is known to be out again
	Erase  Do = "erase"  // it is being deleted; nothing follows
)

// A History is what the log holds of one NIC.
type History struct {
	ID    nic.ID
	Known bool // there is a spec
	Spec  nic.Spec
	Last  Step // the newest; zero if there is none

	steps []int // numbers, ascending
}

// Erased says whether the NIC is being deleted: it has been erased, or what is
// left of it is waste that a crash left behind.
func (h History) Erased() bool {
	return h.Last.Do == Erase || !h.Known && len(h.steps) > 0
}

// Newest returns the number of the newest step, 0 if there is none. It grows
// with each change.
func (h History) Newest() int {
	if len(h.steps) == 0 {
		return 0
	}
	return h.steps[len(h.steps)-1]
}

// Unreadable is the error for a newest step that the provider makes nothing of.
func (h History) Unreadable() error {
	return provider.Errorf(provider.ErrInvalid, "ledger record %q says %q; was it written by a newer nicferry?",
		stepKey(h.ID, h.Newest()), h.Last.Do)
}

func specKey(id nic.ID) string        { return root + string(id) + "/spec" }
func stepKey(id nic.ID, n int) string { return root + string(id) + "/step/" + strconv.Itoa(n) }

// Read returns one NIC's history. What cannot be an id has an empty one.
func (l Log) Read(ctx context.Context, id nic.ID) (History, error) {
	if _, err := nic.ParseID(string(id)); err != nil {
		return History{ID: id}, ctx.Err()
	}
	all, err := l.readPrefix(ctx, root+string(id)+"/", true)
	if err != nil {
		return History{}, err
	}
	if h, ok := all[id]; ok {
		return *h, nil
	}
	return History{ID: id}, nil
}

// ReadAll returns the history of every NIC in the log.
func (l Log) ReadAll(ctx context.Context) (map[nic.ID]*History, error) {
	return l.readPrefix(ctx, root, true)
}

// ReadSteps is ReadAll without the specs, which are most of what there is to read.
func (l Log) ReadSteps(ctx context.Context) (map[nic.ID]*History, error) {
	return l.readPrefix(ctx, root, false)
}

func (l Log) readPrefix(ctx context.Context, prefix string, specs bool) (map[nic.ID]*History, error) {
	records, err := l.Ledger.List(ctx, prefix)
	if err != nil {
		return nil, fmt.Errorf("read ledger: %w", err)
	}
	all := map[nic.ID]*History{}
	newest := map[nic.ID][]byte{}
	for key, value := range records {
		id, n, err := parseKey(key)
		if err != nil {
			return nil, provider.Errorf(provider.ErrInvalid, "ledger record %q: %v; was it written by a newer nicferry?", key, err)
		}
		h := all[id]
		if h == nil {
			h = &History{ID: id}
			all[id] = h
		}
		if n == 0 {
			h.Known = true
			if !specs {
				continue
			}
			if err := json.Unmarshal(value, &h.Spec); err != nil {
				return nil, provider.Errorf(provider.ErrInvalid, "ledger record %q: %v", key, err)
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
		if err := json.Unmarshal(value, &h.Last); err != nil {
			return nil, provider.Errorf(provider.ErrInvalid, "ledger record %q: %v", stepKey(id, h.Newest()), err)
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
