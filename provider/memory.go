package provider

import (
	"context"

	"github.com/nicferry/nicferry/nic"
)

// A Ledger is the memory that is given to a provider whose world forgets an
// unplugged NIC (local, libvirt, sriov). It holds small records of that
// provider alone, durably. Such a provider's List is ledger ∪ world.
type Ledger interface {
	// Put stores value under key if nothing is there. It returns what is
	// there afterwards, and whether that was stored by this call.
	Put(ctx context.Context, key string, value []byte) (now []byte, stored bool, err error)
	// Get returns ErrNotFound if there is nothing.
	Get(ctx context.Context, key string) ([]byte, error)
	// List returns all records whose key has the prefix.
	List(ctx context.Context, prefix string) (map[string][]byte, error)
	// Delete removes a record; one that is not there is no error.
	Delete(ctx context.Context, key string) error
}

// Nodes is what the nodes have reported of themselves, for a provider whose
// NICs are made by a node's agent.
type Nodes interface {
	// Node returns ErrNotFound for an instance that is no node of ours.
	Node(ctx context.Context, instance nic.InstanceID) (nic.Node, error)
	// Clean says whether the node has reported, since it was told to take the
	// NIC out, that nothing of it is left there. Silence is not clean.
	Clean(ctx context.Context, instance nic.InstanceID, id nic.ID) (bool, error)
}
