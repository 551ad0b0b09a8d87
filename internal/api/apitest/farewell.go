package apitest

import (
	"context"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// ForgetNode drops the node with its claims and NICs. One that is ready is
// refused.
func (b *Backend) ForgetNode(_ context.Context, node string, dryRun bool) (api.Forgotten, error) {
	leave, err := b.enter("ForgetNode")
	defer leave()
	given := b.reservedFor(node)
	n, ok := b.nodes[node]
	switch {
	case err != nil:
		return given, err
	case !ok:
		return given, missing("node", node)
	case n.Phase == nic.NodeReady:
		return given, &api.Error{Code: api.CodeRefused, Message: "node " + node + " reports; end its agent first"}
	case dryRun:
		return given, nil
	}
	b.dropNode(given)
	return given, nil
}

// RevokeNode marks the node; seize drops its claims and NICs.
func (b *Backend) RevokeNode(_ context.Context, node string, seize, dryRun bool) (api.Revoked, error) {
	leave, err := b.enter("RevokeNode")
	defer leave()
	verdict := api.NewRevoked(node)
	n, ok := b.nodes[node]
	switch {
	case err != nil:
		return verdict, err
	case !ok:
		return verdict, missing("node", node)
	}
	given := b.reservedFor(node)
	if seize {
		verdict.Claims, verdict.NICs = given.Claims, given.NICs
	} else {
		verdict.Kept, verdict.KeptNICs = given.Claims, given.NICs
	}
	if dryRun {
		return verdict, nil
	}
	if seize {
		b.drop(given)
	}
	n.Phase, n.Revoked = nic.NodeRevoked, time.Now().UTC()
	b.nodes[node] = n
	b.commit()
	return verdict, nil
}

// RemoveNode drops the node. One with claims is refused.
func (b *Backend) RemoveNode(_ context.Context, node string, dryRun bool) (api.Forgotten, error) {
	leave, err := b.enter("RemoveNode")
	defer leave()
	given := b.reservedFor(node)
	switch _, ok := b.nodes[node]; {
	case err != nil:
		return given, err
	case !ok:
		return given, missing("node", node)
	case len(given.Claims) > 0:
		return given, &api.Error{Code: api.CodeRefused, Message: "node " + node + " has claims; remove their containers first"}
	case dryRun:
		return given, nil
	}
	b.dropNode(given)
	return given, nil
}

// reservedFor is what the node has; the caller holds the lock.
func (b *Backend) reservedFor(node string) api.Forgotten {
	given := api.Forgotten{Node: node, Claims: []api.GivenUp{}, NICs: []nic.ID{}}
	for _, c := range sorted(b.claims) {
		if c.Owner.Node == node {
			given.Claims = append(given.Claims, api.GivenUp{Claim: c.ID, Container: c.Container, Identity: c.Identity})
		}
	}
	for _, c := range sorted(b.nics) {
		if c.Node == node {
			given.NICs = append(given.NICs, c.ID)
		}
	}
	return given
}

// dropNode ends a node with what it has; the caller holds the lock.
func (b *Backend) dropNode(given api.Forgotten) {
	b.drop(given)
	delete(b.nodes, given.Node)
	b.commit()
}

// drop ends claims and NICs; the caller holds the lock.
func (b *Backend) drop(given api.Forgotten) {
	for _, c := range given.Claims {
		delete(b.claims, c.Claim)
	}
	for _, id := range given.NICs {
		delete(b.nics, id)
	}
}
