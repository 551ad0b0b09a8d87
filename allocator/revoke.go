package allocator

import (
	"context"
	"errors"
	"fmt"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// Trust is whoever issues the nodes' certificates.
type Trust interface {
	// Revoke makes all certificates and tokens of the node void that were issued
	// before, and says whether there were any, and which join of the node was its
	// last, 0 if it has not joined. Twice is fine.
	Revoke(ctx context.Context, node string) (join uint64, known bool, err error)
}

// RevokeNode takes a node's trust away: nothing that its agent says is taken any
// more, until it has joined anew. Its containers keep their NICs, and all that is
// reserved for them stays so. With seize what a provider can take out by itself is
// unplugged and deleted, with its claims; what only the node could give back stays
// reserved, until the node is forgotten. It may be repeated. With dryRun it only
// says what it would give up and keep.
func (a *Allocator) RevokeNode(ctx context.Context, name string, seize, dryRun bool) (api.Revoked, error) {
	switch _, err := a.Node(ctx, name); {
	case errors.Is(err, ErrNotFound):
		return a.revokeStranger(ctx, name, err, dryRun)
	case err != nil:
		return api.Revoked{}, err
	}
	if !dryRun {
		if err := a.endTrust(ctx, name, nic.NodeRevoked); err != nil {
			return api.Revoked{}, err
		}
	}
	verdict, err := a.verdict(ctx, name, seize)
	if err != nil || dryRun {
		return verdict, err
	}
	a.opts.Log.Warn("node is revoked", "node", name, "seize", seize, "claims", len(verdict.Claims), "nics", len(verdict.NICs), "kept", len(verdict.Kept))
	f := farewell{a: a, node: name, begun: a.now(), phase: nic.NodeRevoked}
	if seize {
		err = f.giveUpAll(ctx, api.Forgotten{Claims: verdict.Claims, NICs: verdict.NICs})
	} else {
		err = f.unplan(ctx, verdict.NICs)
	}
	if err != nil {
		return verdict, err
	}
	for _, kept := range verdict.Kept {
		if err := f.commit(ctx, func(e *edit) error { return a.tellRevoked(e, kept.Claim) }); err != nil {
			return verdict, err
		}
	}
	return verdict, nil
}

// revokeStranger is for a node that has a certificate and has not said hello with it.
func (a *Allocator) revokeStranger(ctx context.Context, name string, notFound error, dryRun bool) (api.Revoked, error) {
	verdict := api.NewRevoked(name)
	if dryRun {
		return verdict, notFound
	}
	_, known, err := a.distrust(ctx, name)
	if err != nil || known {
		return verdict, err
	}
	return verdict, notFound
}

// distrust has the node's certificates made void, where they are ours.
func (a *Allocator) distrust(ctx context.Context, node string) (join uint64, known bool, err error) {
	if a.opts.Trust == nil {
		return 0, false, nil
	}
	if join, known, err = a.opts.Trust.Revoke(ctx, node); err != nil {
		return join, known, fmt.Errorf("revoke the certificates of node %q: %w", node, err)
	}
	return join, known, nil
}

// endTrust has a node refused, which gets nothing new from here on, and its
// certificates made void. A hello that was let in before that may have undone the
// mark meanwhile: it is made again, against whatever joined before.
func (a *Allocator) endTrust(ctx context.Context, name string, phase nic.NodePhase) error {
	if err := a.markRevoked(ctx, name, phase, 0); err != nil {
		return err
	}
	join, _, err := a.distrust(ctx, name)
	if err != nil || join == 0 {
		return err
	}
	return a.markRevoked(ctx, name, phase, join)
}

// markRevoked notes in the node's record that its agent is refused from now on, until
// it has joined anew: after the join last, where that is known, or is 0.
func (a *Allocator) markRevoked(ctx context.Context, name string, phase nic.NodePhase, last uint64) error {
	return a.atomically(ctx, func(e *edit) error {
		node, rev, found, err := get[nic.Node](e, nodeKey(name))
		if err != nil || !found {
			return orNotFound(err, "node %q", name)
		}
		if last > 0 && node.Join > last || !node.Revoked.IsZero() && node.Phase == phase && node.Join >= last {
			return nil // it has joined anew by now, or all is as it should be
		}
		node.Join = max(node.Join, last)
		if node.Revoked.IsZero() {
			node.Revoked = a.now()
		}
		node.LastSeen = a.withLife(node).LastSeen
		node.Phase = phase
		e.update(nodeKey(name), node, rev)
		return nil
	})
}

// verdict says what becomes of all that is reserved for a node which is revoked.
// A NIC that is still to be made is given up in any case.
func (a *Allocator) verdict(ctx context.Context, node string, seize bool) (api.Revoked, error) {
	r, err := a.read(ctx)
	if err != nil {
		return api.Revoked{}, err
	}
	all, err := a.reservedFor(ctx, node)
	if err != nil {
		return api.Revoked{}, err
	}
	verdict := api.NewRevoked(node)
	for _, c := range all.Claims {
		n, has := r.nics[r.claims[c.Claim].NIC]
		if seize && (!has || seizable(n) && !holdsAddr(n, r.claims[n.Holder])) {
			verdict.Claims = append(verdict.Claims, c)
		} else {
			verdict.Kept = append(verdict.Kept, c)
		}
	}
	for _, id := range all.NICs {
		if n := r.nics[id]; seize && seizable(n) && !holdsAddr(n, r.claims[n.Holder]) || n.Phase == nic.PhasePlanned {
			verdict.NICs = append(verdict.NICs, id)
		} else {
			verdict.KeptNICs = append(verdict.KeptNICs, id)
		}
	}
	return verdict, nil
}

// unplan gives up what is still to be made. What has been plugged in meanwhile stays.
func (f farewell) unplan(ctx context.Context, nics []nic.ID) error {
	for _, id := range nics {
		err := f.commit(ctx, func(e *edit) error {
			n, _, found, err := get[nic.NIC](e, nicKey(id))
			if err != nil || !found || n.Phase != nic.PhasePlanned {
				return err
			}
			return giveUpNIC(e, id)
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// seizable says whether the NIC's provider can take it out of its node by itself,
// a seat with what it is on, or the node has not been told of it.
func seizable(n nic.NIC) bool {
	return !told(n) || n.Seen.Device.Kind == nic.Found || n.Carrier != ""
}

// holdsAddr says whether a node has a seat whose claim is on the move, and may be at its
// address: the NIC that it is on stays plugged in there until the address has left it,
// so that only the node's word, or its death, frees the address.
func holdsAddr(n nic.NIC, claim nic.Claim) bool {
	return n.Carrier != "" && told(n) && claim.NIC == n.ID && onMove(claim)
}

// revoked is the condition of a node that is, and of its claims.
func revoked(node nic.Node) nic.Condition {
	return nic.Condition{
		Reason: nic.ReasonNodeRevoked, Since: node.Revoked,
		Message: fmt.Sprintf("node %s is revoked: its agent is refused, and what its containers have stays reserved; to have it back: nicferry token create --node %s, and nicferry-agent join --force there; to give it up: nicferry node forget %s",
			node.Name, node.Name, node.Name),
	}
}

// tellRevoked notes in a claim why nobody serves it.
func (a *Allocator) tellRevoked(e *edit, id nic.ClaimID) error {
	claim, rev, found, err := get[nic.Claim](e, claimKey(id))
	if err != nil || !found || claim.Phase == nic.ClaimReleasing {
		return err
	}
	node, _, _, err := get[nic.Node](e, nodeKey(claim.Owner.Node))
	if err == nil && nic.SetCondition(&claim.Conditions, revoked(node)) {
		e.update(claimKey(id), claim, rev)
	}
	return err
}

// admitNode refuses whatever the agent of a revoked node says.
func admitNode(what string, node nic.Node) error {
	if node.Revoked.IsZero() {
		return nil
	}
	return fmt.Errorf("%s of node %q: %w: the node is revoked since %s; to have it back: nicferry token create --node %s, and nicferry-agent join --force there",
		what, node.Name, ErrRefused, node.Revoked.Format("2006-01-02 15:04:05"), node.Name)
}

// admitAgain is admitNode, but for an agent whose node has joined since.
func admitAgain(ctx context.Context, node nic.Node) error {
	if api.JoinOf(ctx) > node.Join {
		return nil
	}
	return admitNode("hello", node)
}

// regain takes back what was said of the claims of a node that was revoked.
func regain(e *edit, node nic.Node) error {
	if node.Revoked.IsZero() {
		return nil
	}
	claims, err := claimsOn(e, node.Name, nil)
	if err != nil {
		return err
	}
	for _, c := range claims {
		if nic.ClearCondition(&c.Value.Conditions, nic.ReasonNodeRevoked) {
			e.update(c.Key, c.Value, c.Rev)
		}
	}
	return nil
}
