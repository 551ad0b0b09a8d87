package allocator

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// ForgetNode takes an operator's word that a node is gone for good, and gives up
// all that is reserved for it: until then nothing of a node that is lost is
// used again, however long it is silent. A node that reports is ErrRefused, also
// one that comes back meanwhile: it keeps what is not given up yet. It may be
// repeated, and ends the node's record last. With dryRun it only says what it
// would give up.
func (a *Allocator) ForgetNode(ctx context.Context, name string, dryRun bool) (api.Forgotten, error) {
	node, err := a.Node(ctx, name)
	if err != nil {
		return api.Forgotten{}, err
	}
	if err := a.mayForget(node); err != nil {
		return api.Forgotten{}, err
	}
	f := farewell{a: a, node: name, begun: a.now(), phase: nic.NodeLost}
	if !dryRun { // from here on it gets nothing new
		if err := f.begin(ctx); err != nil {
			return api.Forgotten{}, err
		}
	}
	given, err := a.reservedFor(ctx, name)
	if err != nil || dryRun {
		return given, err
	}
	return given, f.giveUp(ctx, given)
}

// reservedFor is all that a node has or is to have.
func (a *Allocator) reservedFor(ctx context.Context, node string) (api.Forgotten, error) {
	r, err := a.read(ctx)
	if err != nil {
		return api.Forgotten{}, err
	}
	given := api.Forgotten{Node: node, Claims: []api.GivenUp{}, NICs: []nic.ID{}}
	for _, id := range slices.Sorted(maps.Keys(r.claims)) {
		if claim := r.claims[id]; claim.Owner.Node == node {
			given.Claims = append(given.Claims, api.GivenUp{Claim: id, Container: claim.Container, Identity: claim.Identity})
		}
	}
	for _, n := range sortedNICs(r.nics) {
		if n.Node == node {
			given.NICs = append(given.NICs, n.ID)
		}
	}
	return given, nil
}

// mayForget refuses for a node that may be there.
func (a *Allocator) mayForget(node nic.Node) error {
	ago := a.since(node.LastSeen)
	switch {
	case ago > a.opts.SilentAfter:
	case !node.Revoked.IsZero(): // that it is silent since then says nothing of it
		left := (a.opts.SilentAfter - ago).Truncate(time.Second) + time.Second
		return fmt.Errorf("forget node %q: %w: it is revoked, and was heard %s ago; be sure that it is off, and try again in %s",
			node.Name, ErrRefused, ago.Round(time.Second), left)
	default:
		return fmt.Errorf("forget node %q: %w: it reports, last %s ago; end its agent first, and wait %s",
			node.Name, ErrRefused, ago.Round(time.Second), a.opts.SilentAfter)
	}
	// Right after our own start a node that lives may not have come back yet.
	if left := a.opts.SilentAfter - a.since(a.born); left > 0 {
		return fmt.Errorf("forget node %q: %w: this controller has run for too short to know that the node is silent; try again in %s",
			node.Name, ErrRefused, left.Round(time.Second))
	}
	return nil
}

// A farewell is one run of forgetting a node. Each of its commits leaves what the
// next run goes on with, and passes only while the node is away: what it gives up
// is unplugged by the provider without asking the node.
type farewell struct {
	a     *Allocator
	node  string
	begun time.Time
	phase nic.NodePhase // which the node is in throughout
}

// begin marks the node, unless it has given a sign of life by now.
func (f farewell) begin(ctx context.Context) error {
	return f.a.atomically(ctx, func(e *edit) error {
		node, rev, found, err := get[nic.Node](e, nodeKey(f.node))
		if err != nil || !found {
			return orNotFound(err, "node %q", f.node)
		}
		if err := f.a.mayForget(f.a.withLife(node)); err != nil || node.Phase == nic.NodeLost {
			return err
		}
		node.Phase = nic.NodeLost
		e.update(nodeKey(f.node), node, rev)
		return nil
	})
}

// giveUp takes the operator's word for the node's: its NICs are clean, its
// containers gone, and none of its names comes again. A claim is given up
// together with its NIC, so that one which is not keeps both.
func (f farewell) giveUp(ctx context.Context, given api.Forgotten) error {
	f.a.opts.Log.Warn("node is forgotten", "node", f.node, "claims", len(given.Claims), "nics", len(given.NICs))
	if err := f.giveUpAll(ctx, given); err != nil {
		return err
	}
	if err := f.giveUpNames(ctx); err != nil {
		return err
	}
	return f.a.atomically(ctx, func(e *edit) error {
		rev, err := f.stillLost(e)
		if err == nil {
			e.delete(nodeKey(f.node), rev)
		}
		return err
	})
}

// giveUpAll gives up claims and NICs, and nothing else.
func (f farewell) giveUpAll(ctx context.Context, given api.Forgotten) error {
	for _, c := range given.Claims {
		if err := f.commit(ctx, func(e *edit) error { return f.a.giveUpClaim(e, c.Claim) }); err != nil {
			return err
		}
	}
	for _, id := range given.NICs {
		if err := f.commit(ctx, func(e *edit) error { return giveUpNIC(e, id) }); err != nil {
			return err
		}
	}
	return nil
}

// commit is one step, at a revision of the node's record at which it is away.
func (f farewell) commit(ctx context.Context, decide func(*edit) error) error {
	return f.a.atomically(ctx, func(e *edit) error {
		rev, err := f.stillLost(e)
		if err != nil {
			return err
		}
		if err := decide(e); err != nil || len(e.ops) == 0 {
			return err
		}
		e.check(nodeKey(f.node), rev)
		return nil
	})
}

// stillLost is the revision of the node's record, or why to stop.
func (f farewell) stillLost(e *edit) (store.Rev, error) {
	node, rev, found, err := get[nic.Node](e, nodeKey(f.node))
	switch {
	case err != nil || !found:
		return 0, orNotFound(err, "node %q", f.node)
	case node.Phase != f.phase || f.a.heardAfter(f.node, f.begun):
		return 0, fmt.Errorf("give up node %q: %w: it has come back meanwhile, and keeps what was not given up yet; 'nicferry audit' shows what it lost",
			f.node, ErrRefused)
	}
	return rev, nil
}

// giveUpClaim ends a claim, as soon as its NIC is home.
func (a *Allocator) giveUpClaim(e *edit, id nic.ClaimID) error {
	claim, rev, found, err := get[nic.Claim](e, claimKey(id))
	if err != nil || !found {
		return err
	}
	if onMove(claim) { // its container is gone, and the rest is the move's to decide
		own := *claim.Move
		if own.Lost {
			return nil
		}
		own.Lost, claim.Move = true, &own
		e.update(claimKey(id), claim, rev)
		return nil
	}
	if claim.NIC == "" {
		return a.endClaim(e, claim, rev)
	}
	if claim.Phase != nic.ClaimReleasing {
		a.setClaimPhase(&claim, nic.ClaimReleasing)
		nic.ClearCondition(&claim.Conditions)
		e.update(claimKey(id), claim, rev)
	}
	return giveUpNIC(e, claim.NIC)
}

// giveUpNIC sends a NIC home that nobody can report clean any more, whatever it
// was: also one that was in reserve, or that was to be.
func giveUpNIC(e *edit, id nic.ID) error {
	n, rev, found, err := get[nic.NIC](e, nicKey(id))
	if err != nil || !found {
		return err
	}
	if n.Carries && n.Seats > 0 { // it goes with the last of them
		if !n.Closed {
			n.Closed = true
			e.update(nicKey(id), n, rev)
		}
		return nil
	}
	claim, _, moves, err := moverOf(e, n)
	if err != nil {
		return err
	}
	if holdsAddr(n, claim) {
		node, _, found, err := get[nic.Node](e, nodeKey(n.Node))
		if err != nil || found && node.Phase != nic.NodeLost { // seized, and it may run
			return err
		}
	}
	going := n.Going
	if n.Phase == nic.PhaseRetiring || n.Phase == nic.PhaseReturning && n.Clean && !n.Reuse && (moves || going == "") {
		return nil
	}
	if !e.homeward(&n) { // it is on its way already
		nic.ClearCondition(&n.Conditions)
	}
	if moves {
		n.Going = going
	}
	n.Clean, n.Reuse = true, false
	e.update(nicKey(id), n, rev)
	return nil
}

// giveUpNames forgets what the node's container names were to have again. What
// was theirs cools down and is anybody's then.
func (f farewell) giveUpNames(ctx context.Context) error {
	names, _, err := store.ListJSON[nic.Kept](ctx, f.a.opts.Store, keptOf(f.node), "", 0)
	if err != nil {
		return err
	}
	for _, name := range names {
		err := f.commit(ctx, func(e *edit) error {
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
	given, _, err := f.a.opts.Store.List(ctx, movedOf(f.node), "", 0)
	if err != nil {
		return fmt.Errorf("read what containers of node %s gave away: %w", f.node, err)
	}
	for _, r := range given {
		if err := f.commit(ctx, func(e *edit) error { return e.drop(r.Key) }); err != nil {
			return err
		}
	}
	return nil
}
