package allocator

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// ForgetNode takes an operator's word that a node is gone for good, and gives up
// all that is reserved for it: until then nothing of a node that is lost is
// used again, however long it is silent. A node that reports is ErrRefused. It
// may be repeated, and ends the node's record last. With dryRun it only says
// what it would give up.
func (a *Allocator) ForgetNode(ctx context.Context, name string, dryRun bool) (api.Forgotten, error) {
	node, err := a.Node(ctx, name)
	if err != nil {
		return api.Forgotten{}, err
	}
	if err := a.mayForget(node); err != nil {
		return api.Forgotten{}, err
	}
	r, err := a.read(ctx)
	if err != nil {
		return api.Forgotten{}, err
	}
	given := api.Forgotten{Node: name, Claims: []api.GivenUp{}, NICs: []nic.ID{}}
	var claims []nic.Claim
	for _, claim := range r.claims {
		if claim.Owner.Node == name {
			claims = append(claims, claim)
		}
	}
	slices.SortFunc(claims, func(x, y nic.Claim) int { return cmp.Compare(x.ID, y.ID) })
	for _, claim := range claims {
		given.Claims = append(given.Claims, api.GivenUp{Claim: claim.ID, Container: claim.Container, Identity: claim.Identity})
	}
	for _, n := range sortedNICs(r.nics) {
		if n.Node == name {
			given.NICs = append(given.NICs, n.ID)
		}
	}
	if dryRun {
		return given, nil
	}
	return given, a.giveUpNode(ctx, given, claims)
}

// mayForget refuses for a node that may be there.
func (a *Allocator) mayForget(node nic.Node) error {
	if node.Phase != nic.NodeSilent && node.Phase != nic.NodeLost {
		return fmt.Errorf("forget node %q: %w: it reports, last %s ago; end its agent first, and wait %s",
			node.Name, ErrRefused, a.since(node.LastSeen).Round(time.Second), a.opts.SilentAfter)
	}
	// Right after our own start a node that lives may not have come back yet.
	if left := a.opts.SilentAfter - a.since(a.born); left > 0 {
		return fmt.Errorf("forget node %q: %w: this controller has run for too short to know that the node is silent; try again in %s",
			node.Name, ErrRefused, left.Round(time.Second))
	}
	return nil
}

// giveUpNode takes the operator's word for the node's: its NICs are clean, its
// containers gone, and none of its names comes again. Each commit leaves what the
// next run of it goes on with.
func (a *Allocator) giveUpNode(ctx context.Context, given api.Forgotten, claims []nic.Claim) error {
	err := a.atomically(ctx, func(e *edit) error {
		node, rev, found, err := get[nic.Node](e, nodeKey(given.Node))
		if err != nil || !found || node.Phase == nic.NodeLost {
			return err
		}
		node.Phase = nic.NodeLost
		e.update(nodeKey(given.Node), node, rev)
		return nil
	})
	if err != nil {
		return err
	}
	a.opts.Log.Warn("node is forgotten", "node", given.Node, "claims", len(given.Claims), "nics", len(given.NICs))
	for _, claim := range claims {
		if err := a.Release(ctx, claim.ID, claim.Epoch); err != nil {
			return err
		}
	}
	for _, id := range given.NICs {
		if err := a.giveUpNIC(ctx, id); err != nil {
			return err
		}
	}
	if err := a.giveUpNames(ctx, given.Node); err != nil {
		return err
	}
	return a.atomically(ctx, func(e *edit) error {
		node, rev, found, err := get[nic.Node](e, nodeKey(given.Node))
		if err != nil || !found || node.Phase != nic.NodeLost {
			return err // it has come back
		}
		e.delete(nodeKey(given.Node), rev)
		return nil
	})
}

// giveUpNIC sends a NIC home that nobody can report clean any more, whatever it
// was: also one that was in reserve, or that was to be.
func (a *Allocator) giveUpNIC(ctx context.Context, id nic.ID) error {
	return a.atomically(ctx, func(e *edit) error {
		n, rev, found, err := get[nic.NIC](e, nicKey(id))
		if err != nil || !found || n.Phase == nic.PhaseRetiring {
			return err
		}
		if !e.homeward(&n) { // it is on its way already
			nic.ClearCondition(&n.Conditions)
		}
		n.Clean, n.Reuse = true, false
		e.update(nicKey(id), n, rev)
		return nil
	})
}

// giveUpNames forgets what the node's container names were to have again. What
// was theirs cools down and is anybody's then.
func (a *Allocator) giveUpNames(ctx context.Context, node string) error {
	names, _, err := store.ListJSON[nic.Kept](ctx, a.opts.Store, keptOf(node), "", 0)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := a.atomically(ctx, func(e *edit) error {
			k, rev, found, err := get[nic.Kept](e, name.Key)
			if err != nil || !found || k.Claim != "" { // one that a claim still has goes with it
				return err
			}
			e.delete(name.Key, rev)
			for _, key := range reservedKeys(k.Identity) {
				r, rev, found, err := get[nic.Reservation](e, key)
				if err != nil {
					return err
				}
				if found && !r.Held() && r.Owner == name.Key {
					r.Owner, r.Until = "", r.Free
					e.update(key, r, rev)
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("forget what %s was to have again: %w", name.Key, err)
		}
	}
	return nil
}
