package allocator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// BeginMove fences the claims: they are moving, their epoch is one more, and a
// slot and all else that they need on the node is theirs until the move ends. All
// must be of one container. target is the name of the container that is to have
// them there. What stands against it, all of it, is ErrRefused.
func (a *Allocator) BeginMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, to, target string) ([]nic.Claim, error) {
	what := fmt.Sprintf("begin move %s", move)
	if len(ids) == 0 || target == "" {
		return nil, fmt.Errorf("%s: %w: it has no claims, or no name for their container", what, ErrInvalid)
	}
	if movingKey(nic.Owner{Node: to}, target) == "" {
		return nil, fmt.Errorf("%s: %w: %.200q is no name of a container", what, ErrInvalid, target)
	}
	if begun, err := a.begun(ctx, move, ids); begun != nil || err != nil {
		return begun, err
	}
	if err := a.letPlacesGo(ctx, ids); err != nil {
		return nil, err
	}
	forget, err := a.keepSlots(ctx, what, ids, to)
	if err != nil {
		return nil, err
	}
	defer forget()
	var begun []nic.Claim
	err = a.atomically(ctx, func(e *edit) (err error) {
		begun, err = a.beginMove(e, what, move, ids, to, target)
		return err
	})
	if err != nil {
		return nil, err
	}
	for _, claim := range begun {
		a.opts.Log.Info("claim moves", "move", move, "claim", claim.ID, "nic", claim.NIC, "from", claim.Owner.String(), "to", to, "epoch", claim.Epoch)
	}
	return begun, nil
}

// begun are the claims if all of them are in the move already, else nil.
func (a *Allocator) begun(ctx context.Context, move nic.MoveID, ids []nic.ClaimID) ([]nic.Claim, error) {
	var all []nic.Claim
	e := a.reader(ctx)
	for _, id := range ids {
		claim, _, found, err := get[nic.Claim](e, claimKey(id))
		if err != nil || !found {
			return nil, orNotFound(err, "claim %s", id)
		}
		if !onMove(claim) || claim.Move.Move != move {
			return nil, nil
		}
		all = append(all, claim)
	}
	return all, nil
}

// keepSlots promises a slot on the node for each claim, until their records say
// that they move; forget ends that.
func (a *Allocator) keepSlots(ctx context.Context, what string, ids []nic.ClaimID, to string) (forget func(), err error) {
	forget = func() {
		for _, id := range ids {
			if m, had := a.slots.drop(slotOf(id)); had {
				a.admitNext(m)
			}
		}
	}
	network := map[nic.ClaimID]string{}
	for _, id := range ids {
		claim, _, found, err := get[nic.Claim](a.reader(ctx), claimKey(id))
		if err != nil || !found {
			return nil, orNotFound(err, "claim %s", id)
		}
		if there, err := a.hasPlace(ctx, claim, to); err != nil {
			return nil, err
		} else if !there {
			network[id] = claim.Request.Network
		}
	}
	room, free, held := candidacy{}, map[pool.Machine]int{}, map[pool.Machine]map[nic.ID]pool.Machine{}
	spares, need := map[pool.Machine][]nic.ID{}, map[pool.Machine]int{}
	for _, id := range ids {
		if network[id] == "" || fallsBack(a.networks[network[id]].Functions) { // it needs no slot
			continue
		}
		m := a.machineOn(network[id], to)
		if _, known := a.opts.Providers[m.Provider]; !known {
			continue // which is against the move, and is said so below
		}
		if _, asked := free[m]; !asked {
			held[m] = a.slots.on(m)
			limits, err := a.limits(ctx, m)
			if err != nil {
				forget()
				return nil, fmt.Errorf("%s: ask provider %s for free slots on %s: %w", what, m.Provider, to, err)
			}
			if spares[m], err = sparesAt(a.reader(ctx), m, to); err != nil {
				forget()
				return nil, err
			}
			free[m] = limits.Free
		}
		need[m]++
		if !a.slots.reserve(slotOf(id), m, free[m]+len(spares[m]), held[m]) {
			room.against("slots", "", "%d slots are free on %s at provider %s, and promised to others", free[m], to, m.Provider)
		}
	}
	err = room.err(what)
	for m, some := range spares {
		if short := need[m] + len(held[m]) - free[m]; err == nil && short > 0 {
			err = a.giveSpares(ctx, some[:min(short, len(some))])
		}
	}
	if err != nil {
		forget()
		return nil, err
	}
	return forget, nil
}

// sparesAt are the NICs in reserve on a machine of a node: what moves there has
// their slots.
func sparesAt(e *edit, m pool.Machine, node string) ([]nic.ID, error) {
	ids, err := idsOn(e, node)
	if err != nil {
		return nil, err
	}
	var spares []nic.ID
	for _, id := range ids {
		n, _, found, err := get[nic.NIC](e, nicKey(id))
		if err != nil {
			return nil, err
		}
		if found && isSpare(n) && machineOf(n) == m {
			spares = append(spares, id)
		}
	}
	return spares, nil
}

func isSpare(n nic.NIC) bool {
	return n.Holder == "" && (n.Phase == nic.PhaseSpare || n.Phase == nic.PhaseCooling)
}

// giveSpares sends NICs in reserve home, to make room.
func (a *Allocator) giveSpares(ctx context.Context, ids []nic.ID) error {
	for _, id := range ids {
		err := a.atomically(ctx, func(e *edit) error {
			n, rev, found, err := get[nic.NIC](e, nicKey(id))
			if err == nil && found && isSpare(n) && e.homeward(&n) {
				e.update(nicKey(id), n, rev)
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("give back %s, which is in reserve: %w", id, err)
		}
	}
	return nil
}

func (a *Allocator) beginMove(e *edit, what string, move nic.MoveID, ids []nic.ClaimID, to, target string) ([]nic.Claim, error) {
	c := candidacy{a: a, e: e, to: to}
	var records []store.JSON[nic.Claim]
	for _, id := range ids {
		claim, rev, found, err := get[nic.Claim](e, claimKey(id))
		if err != nil || !found {
			return nil, orNotFound(err, "claim %s", id)
		}
		first := claim.Owner
		if len(c.claims) > 0 {
			first = c.claims[0].Owner
		}
		if claim.Owner.Node != first.Node || claim.Owner.Sandbox != first.Sandbox {
			return nil, fmt.Errorf("%s: %w: claims %s and %s are not of one container", what, ErrInvalid, ids[0], id)
		}
		c.claims = append(c.claims, claim)
		records = append(records, store.JSON[nic.Claim]{Key: claimKey(id), Value: claim, Rev: rev})
	}
	if err := c.judge(); err != nil {
		return nil, err
	}
	if err := c.nameIsFree(target); err != nil {
		return nil, err
	}
	if err := c.err(what); err != nil {
		return nil, err
	}
	var begun []nic.Claim
	for _, r := range records {
		claim, err := a.fenceClaim(e, r, move, to, target)
		if err != nil {
			return nil, err
		}
		begun = append(begun, claim)
	}
	return begun, nil
}

// nameIsFree notes if a container of the target's name has such a claim already.
func (c *candidacy) nameIsFree(target string) error {
	there, err := claimsOn(c.e, c.to, nil)
	if err != nil {
		return err
	}
	for _, claim := range c.claims {
		at := slices.IndexFunc(there, func(r store.JSON[nic.Claim]) bool {
			o := r.Value
			return o.Container == target && o.Owner.Interface == claim.Owner.Interface && o.Owner.Node == c.to && o.Phase != nic.ClaimReleasing
		})
		if at >= 0 {
			c.against("name", "remove that container first, or its label", "a container %q on %s has claim %s for %s already",
				target, c.to, there[at].Value.ID, claim.Owner.Interface)
		}
		other, _, taken, err := get[nic.ClaimID](c.e, movingKey(nic.Owner{Node: c.to, Interface: claim.Owner.Interface}, target))
		if err != nil {
			return err
		}
		if taken && other != claim.ID {
			c.against("name", "wait until that is over", "claim %s moves to a container %q on %s", other, target, c.to)
		}
	}
	return nil
}

// fenceClaim puts a claim into the move.
func (a *Allocator) fenceClaim(e *edit, r store.JSON[nic.Claim], move nic.MoveID, to, target string) (nic.Claim, error) {
	claim := r.Value
	claim.Move = &nic.ClaimMove{
		Move: move, From: claim.Owner, Target: target, At: claim.Owner.Node, Was: claim.Phase,
		To: nic.Owner{Node: to, Kind: claim.Owner.Kind, Interface: claim.Owner.Interface},
	}
	if claim.NIC == "" {
		refusal, _, err := a.takeNIC(e, claim)
		if err != nil {
			return claim, err
		}
		if refusal != nil {
			return claim, fmt.Errorf("begin move %s: %w: quota: %s", move, ErrRefused, refusal.Message)
		}
	} else {
		said, _, found, err := get[nic.Observed](e, observedKey(claim.NIC))
		if err != nil {
			return claim, err
		}
		if found && said.Claim == claim.ID {
			claim.Move.Last = said.Addrs
		}
		if err := a.keepPlace(e, &claim); err != nil {
			return claim, err
		}
	}
	claim.Epoch++
	a.setClaimPhase(&claim, nic.ClaimMoving)
	e.create(movingKey(claim.Move.To, target), claim.ID)
	e.update(r.Key, claim, r.Rev)
	e.after = append(e.after, func(store.Rev) { a.trips.learn(claim) })
	return claim, nil
}

// AimMove says the id of the container that is to have the claims. It may be said
// anew until the pivot, as when that container had to be made again.
func (a *Allocator) AimMove(ctx context.Context, move nic.MoveID, ids []nic.ClaimID, sandbox string) error {
	return a.changeMove(ctx, "aim move "+string(move), move, ids, func(e *edit, claim *nic.Claim) (bool, error) {
		to := claim.Move.To
		if to.Sandbox == sandbox {
			return false, nil
		}
		if err := e.unaim(*claim); err != nil {
			return false, err
		}
		to.Sandbox = sandbox
		if err := to.Validate(); err != nil {
			return false, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
		other, _, taken, err := get[nic.ClaimID](e, ownerKey(to))
		if err != nil {
			return false, err
		}
		if taken {
			return false, fmt.Errorf("%w: container %.12s on %s has claim %s for %s already; remove its label, or end that claim",
				ErrRefused, sandbox, to.Node, other, to.Interface)
		}
		e.create(ownerKey(to), claim.ID)
		claim.Move.To = to
		return true, nil
	})
}

// unaim ends what aiming has said of the container that is to have the claim.
func (e *edit) unaim(claim nic.Claim) error {
	if claim.Move.To.Sandbox == "" {
		return nil
	}
	holder, rev, found, err := get[nic.ClaimID](e, ownerKey(claim.Move.To))
	if err == nil && found && holder == claim.ID {
		e.delete(ownerKey(claim.Move.To), rev)
	}
	return err
}

// movingTo is the claim that is on its way to the container interface; false if
// there is none. The edit passes only while that is so.
func (a *Allocator) movingTo(e *edit, owner nic.Owner, container string) (nic.Claim, bool, error) {
	key := movingKey(owner, container)
	if key == "" {
		return nic.Claim{}, false, nil
	}
	id, rev, found, err := getSeldom[nic.ClaimID](e, key)
	if err != nil {
		return nic.Claim{}, false, err
	}
	e.fenceAt(key, rev)
	if !found {
		return nic.Claim{}, false, nil
	}
	claim, _, found, err := get[nic.Claim](e, claimKey(id))
	return claim, found && onMove(claim), err
}

// movingKey is where it is said that a claim is on its way to a container; "" for
// what is no name that Docker gives.
func movingKey(to nic.Owner, target string) string {
	kept := keptKey(to, target)
	if kept == "" {
		return ""
	}
	return movingPrefix + strings.TrimPrefix(kept, keptPrefix)
}
