// Package made is what providers have in common whose NICs are made by the nodes:
// what such a one was told is in its ledger, and what became of it is what the
// nodes report.
package made

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/ledgerlog"
)

const (
	// AddrsPerNIC is ours: the kernel has no limit.
	AddrsPerNIC = 64
	// WorstCall covers a few commits to a ledger on a slow disk.
	WorstCall = 10 * time.Second
)

// Options are a provider's own part.
type Options struct {
	// Name is the provider's configured name; required.
	Name string
	// Ledger is the provider's own; required.
	Ledger provider.Ledger
	// Nodes are asked whether a NIC has left its node; required.
	Nodes provider.Nodes
	// Shape adds what is wrong with a placed spec beyond what Check finds; required.
	Shape func(*nic.Faults, nic.Spec)
	// Room refuses a NIC that is to be plugged in at a node of ours, or sets aside
	// what it needs there. It is called for one NIC of a node at a time, by this
	// controller; required.
	Room func(ctx context.Context, spec nic.Spec, at nic.Place) error
	// Free gives back what was set aside for a NIC that nobody can plug in any more.
	// The spec is zero for one that was never created, or is gone already. It is
	// called again after a crash; optional.
	Free func(ctx context.Context, id nic.ID, spec nic.Spec) error
}

// Check tells which required options are missing, all at once.
func (o Options) Check() nic.Faults {
	var faults nic.Faults
	faults.AddErr("name", nic.CheckName("provider", o.Name))
	if o.Ledger == nil {
		faults.Add("ledger", "is missing")
	}
	if o.Nodes == nil {
		faults.Add("nodes", "is missing")
	}
	return faults
}

// NICs are a provider's: they have the verbs of provider.Provider. Several on one
// ledger, as with two controllers, see and respect each other's work.
type NICs struct {
	opts Options
	log  ledgerlog.Log
	// plugging is held from asking for room to taking it. It does not bind another
	// controller.
	plugging Turns[nic.InstanceID]
}

// New returns the NICs that the ledger has. The options are checked.
func New(o Options) *NICs { return &NICs{opts: o, log: ledgerlog.Log{Ledger: o.Ledger}} }

// Log is what the provider was told.
func (n *NICs) Log() ledgerlog.Log { return n.log }

// Failing returns the function that makes any error of an op of the provider a
// *provider.Error of one kind. A refusal of the ledger or the nodes keeps its kind.
func (n *NICs) Failing(op string, id nic.ID) func(error) error {
	return provider.Failing(n.opts.Name, op, id, ledgerlog.Classify)
}

// Node returns the node that is the instance. One that is not ours is an error of
// the kind missing.
func (n *NICs) Node(ctx context.Context, instance nic.InstanceID, missing error) (nic.Node, error) {
	node, err := n.opts.Nodes.Node(ctx, instance)
	if errors.Is(err, provider.ErrNotFound) {
		return nic.Node{}, &provider.Error{
			Kind: missing, Scope: provider.ScopeNode,
			Err: fmt.Errorf("no node is the instance %q of this provider", instance),
		}
	}
	if err != nil {
		return nic.Node{}, fmt.Errorf("read node of instance %q: %w", instance, err)
	}
	return node, nil
}

// Turns lets those with one key in one after another. The zero Turns is ready.
type Turns[K comparable] struct {
	mu sync.Mutex
	by map[K]chan struct{}
}

// Take waits for the key's turn and returns what ends it, or ctx's error.
func (t *Turns[K]) Take(ctx context.Context, key K) (done func(), err error) {
	t.mu.Lock()
	turn, ok := t.by[key]
	if !ok {
		if t.by == nil {
			t.by = map[K]chan struct{}{}
		}
		turn = make(chan struct{}, 1)
		t.by[key] = turn
	}
	t.mu.Unlock()
	select {
	case turn <- struct{}{}:
		return func() { <-turn }, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}
