package allocator

import (
	"context"
	"fmt"
	"slices"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// fence refuses a call of an agent that is not its node's newest: it slept while
// another took its place, and what it knows is old. A caller that says no
// session is a person, or of a release that does not say it.
func fence(ctx context.Context, what string, node nic.Node) error {
	if session := api.SessionOf(ctx); fenced && session != 0 && session != node.Session {
		return stale(what, node, session)
	}
	return nil
}

func stale(what string, node nic.Node, session uint64) error {
	return fmt.Errorf("%s of node %s: session %d is %w, it is at %d: another agent has started for the node",
		what, node.Name, session, ErrStale, node.Session)
}

// fenceNode is fence for whoever has not read the node's record, and refuses a
// node that has been revoked. The edit passes only while the record is the same.
func fenceNode(e *edit, what, name string) error {
	node, rev, found, err := peek[nic.Node](e, nodeKey(name))
	if err != nil || !found {
		return err
	}
	if err := admitNode(what, node); err != nil {
		return err
	}
	if err := fence(e.ctx, what, node); err != nil {
		return err
	}
	e.fenceAt(nodeKey(name), rev)
	return nil
}

// fenceAt keeps a newer session, or a node's end, from being overtaken by a commit
// that was decided before it.
func (e *edit) fenceAt(key string, rev store.Rev) {
	if slices.ContainsFunc(e.fences, func(f store.Op) bool { return f.Key == key }) {
		return
	}
	e.fences = append(e.fences, store.Check(key, rev))
}

// fenceEpoch refuses what a node says of a claim that has moved on since. Agents
// that say no session are of a release that would end itself if it were told so:
// their word is passed over.
func fenceEpoch(e *edit, o nic.Observed) error {
	if !fenced || o.Claim == "" || api.SessionOf(e.ctx) == 0 {
		return nil
	}
	claim, _, found, err := get[nic.Claim](e, claimKey(o.Claim))
	if err != nil || !found || o.Epoch >= claim.Epoch {
		return err
	}
	if onMove(claim) { // its nodes are told so by what is wanted; until then their word is of before
		return nil
	}
	return staleEpoch("report of NIC "+string(o.NIC), claim, o.Epoch)
}

func staleEpoch(what string, claim nic.Claim, epoch uint64) error {
	return fmt.Errorf("%s: epoch %d of claim %s is %w, it is at %d: the claim has moved on; ask what is wanted",
		what, epoch, claim.ID, ErrStale, claim.Epoch)
}
