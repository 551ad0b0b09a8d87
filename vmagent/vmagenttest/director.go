// Package vmagenttest has a controller that wants of an agent what a test says.
package vmagenttest

import (
	"context"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// A Director is a controller of one node that wants what the test says.
type Director struct {
	mu      sync.Mutex // guards all below
	wanted  []nic.Wanted
	rev     uint64
	changed chan struct{} // closes with the next revision
	said    map[nic.ID]nic.Observed
	at      map[nic.ID]time.Time // when it was said
	heard   chan struct{}        // closes with the next report
	answer  nic.Claim
	cards   []nic.Card
	told    int // how often of cards

	released []nic.ClaimID
}

// NewDirector makes one that wants nothing.
func NewDirector() *Director {
	return &Director{
		changed: make(chan struct{}), heard: make(chan struct{}),
		said: map[nic.ID]nic.Observed{}, at: map[nic.ID]time.Time{},
	}
}

// Want replaces what is wanted.
func (d *Director) Want(list ...nic.Wanted) {
	d.mu.Lock()
	d.wanted = list
	d.mu.Unlock()
	d.Wake()
}

// Wake has the agent ask anew what is wanted.
func (d *Director) Wake() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.rev++
	close(d.changed)
	d.changed = make(chan struct{})
}

// Answer sets what Acquire answers.
func (d *Director) Answer(claim nic.Claim) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.answer = claim
}

// Cards are the node's as the agent has told them last, and how often it has.
func (d *Director) Cards() ([]nic.Card, int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.cards, d.told
}

// Hello begins session 1.
func (d *Director) Hello(_ context.Context, node string, inv nic.Inventory) (nic.Node, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cards, d.told = inv.Cards, d.told+1
	return nic.Node{Name: node, Session: 1}, nil
}

// Acquire answers what Answer has set.
func (d *Director) Acquire(context.Context, nic.Owner, string, nic.Request) (nic.Claim, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.answer, nil
}

// Release notes what is released.
func (d *Director) Release(_ context.Context, id nic.ClaimID, _ uint64) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.released = append(d.released, id)
	return nil
}

// Released are the claims that the agent has released so far.
func (d *Director) Released() []nic.ClaimID {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.released)
}

// Report notes what is said.
func (d *Director) Report(_ context.Context, _ string, report nic.NodeReport) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, o := range report.NICs {
		d.said[o.NIC], d.at[o.NIC] = o, time.Now()
	}
	if report.Cards != nil {
		d.cards, d.told = *report.Cards, d.told+1
	}
	close(d.heard)
	d.heard = make(chan struct{})
	return nil
}

// Wanted is what Want has set.
func (d *Director) Wanted(context.Context, string, uint64) ([]nic.Wanted, uint64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.wanted), d.rev, nil
}

// Watch tells of each revision until ctx ends.
func (d *Director) Watch(ctx context.Context, _ string, after uint64, changed func(uint64)) error {
	for {
		d.mu.Lock()
		rev, next := d.rev, d.changed
		d.mu.Unlock()
		if rev > after {
			after = rev
			changed(rev)
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-next:
		}
	}
}

// Said is what the node has said last of a NIC; zero for nothing.
func (d *Director) Said(id nic.ID) nic.Observed {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.said[id]
}

// Await waits up to 15 s until the node says so of a NIC, in the wish's epoch and
// turn, and returns its word and when it came.
func (d *Director) Await(t *testing.T, w nic.Wanted, state nic.ObservedState) (nic.Observed, time.Time) {
	t.Helper()
	late := time.After(time.Minute)
	for {
		d.mu.Lock()
		said, at, next := d.said[w.NIC], d.at[w.NIC], d.heard
		d.mu.Unlock()
		if said.State == state && said.Epoch == w.Epoch && said.Turn == w.Turn {
			return said, at
		}
		select {
		case <-next:
		case <-late:
			t.Fatalf("waited a minute for %s to be %s; the node says %+v", w.NIC, state, said)
		}
	}
}
