package providertest

import (
	"context"
	"fmt"
	"sync"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// Nodes is a provider.Nodes in memory, whose nodes report what the test says.
// Make it with NewNodes.
type Nodes struct {
	mu    sync.Mutex
	nodes map[nic.InstanceID]nic.Node
	clean map[cleanKey]bool
}

type cleanKey struct {
	instance nic.InstanceID
	id       nic.ID
}

// NewNodes returns one ready node per place.
func NewNodes(places ...nic.Place) *Nodes {
	n := &Nodes{nodes: map[nic.InstanceID]nic.Node{}, clean: map[cleanKey]bool{}}
	for _, p := range places {
		n.nodes[p.Instance] = nic.Node{Schema: nic.Schema, Name: p.Node, Phase: nic.NodeReady}
	}
	return n
}

// SetClean sets what the instance's node has reported of the NIC. A test sets
// it to false when the node is told to have the NIC again.
func (n *Nodes) SetClean(instance nic.InstanceID, id nic.ID, clean bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.clean[cleanKey{instance, id}] = clean
}

// SetCards sets the cards that the instance's node tells of.
func (n *Nodes) SetCards(instance nic.InstanceID, cards []nic.Card) {
	n.mu.Lock()
	defer n.mu.Unlock()
	node := n.nodes[instance]
	node.Inventory.Cards = cards
	n.nodes[instance] = node
}

// Node implements provider.Nodes.
func (n *Nodes) Node(ctx context.Context, instance nic.InstanceID) (nic.Node, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	node, ok := n.nodes[instance]
	if !ok {
		return nic.Node{}, fmt.Errorf("instance %q: %w", instance, provider.ErrNotFound)
	}
	return node, ctx.Err()
}

// Clean implements provider.Nodes.
func (n *Nodes) Clean(ctx context.Context, instance nic.InstanceID, id nic.ID) (bool, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return false, err
	}
	return n.clean[cleanKey{instance, id}], nil
}
