package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/nic"
)

// refusedKey is the queue's key for trying the refused claims again. It is no
// record's.
const refusedKey = "refused"

// retryRefused tries the refused claims again, those of running containers
// first. Where slots are short, no more are tried than there are slots, and
// NICs that are plugged in ahead make room for running containers.
func (a *Allocator) retryRefused(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stuckAfter/2)
	defer cancel()
	var refused []nic.Claim
	for _, c := range a.unserved.all() {
		if a.mayGrant(c) && a.untilNextTry(c) == 0 && !a.tooSoon(c) && !a.hopeless(c) {
			refused = append(refused, own(&a.glances.copier, c))
		}
	}
	inTurns(refused)
	full := map[string]bool{} // networks without a free address, and where a tenant has no more to have
	try := func(c nic.Claim) error {
		if a.wantsAny(c) && full[c.Request.Network] || lacksQuota(c) && full[c.Request.Network+"/"+c.Tenant] {
			return nil // it would hear the same: many may be refused, and each claim that ends brings us here
		}
		err := a.atomically(ctx, func(e *edit) error {
			node, err := acquirer(e, c.Owner.Node) // no sign of life of it
			if err != nil {
				return err
			}
			got, err := a.acquire(e, node, c.Owner, c.Container, c.Request)
			if err == nil && got.Phase == nic.ClaimRefused {
				full[c.Request.Network] = full[c.Request.Network] || a.wantsAny(got)
				full[c.Request.Network+"/"+c.Tenant] = full[c.Request.Network+"/"+c.Tenant] || lacksQuota(got)
			}
			if got.ID != c.ID { // it was released meanwhile: this would be another, which nobody wants
				e.ops = nil
				e.rollBack()
			}
			return err
		})
		if err != nil {
			return fmt.Errorf("try refused claim %s again: %w", c.ID, err)
		}
		return nil
	}
	var errs []error
	var slotless []nic.Claim
	for _, c := range refused { // first those that no machine has to be asked for
		if _, known := a.networks[c.Request.Network]; known && a.lacksSlot(c) && !a.hasSpare(ctx, c) && !a.hasSeat(ctx, c) {
			slotless = append(slotless, c)
			continue
		}
		errs = append(errs, try(c))
	}
	return errors.Join(append(errs, a.retrySlotless(ctx, slotless, try))...)
}

// retrySlotless tries the claims again that lack a slot, as many as there are.
func (a *Allocator) retrySlotless(ctx context.Context, claims []nic.Claim, try func(nic.Claim) error) error {
	var errs []error
	at := map[nic.ClaimID]pool.Machine{}
	machines := map[pool.Machine]string{} // and their nodes
	for _, c := range claims {
		node, _, found, err := get[nic.Node](a.reader(ctx), nodeKey(c.Owner.Node))
		if err != nil || !found {
			errs = append(errs, err)
			continue
		}
		at[c.ID] = machineFor(a.networks[c.Request.Network], node)
		machines[at[c.ID]] = node.Name
	}
	free, err := a.freeSlots(ctx, slices.Collect(maps.Keys(machines)))
	errs = append(errs, err)
	short := map[pool.Machine]int{}
	for _, c := range claims {
		m, ok := at[c.ID]
		left, answered := free[m]
		switch {
		case a.hasSeat(ctx, c): // on a NIC that was planned a moment ago, for the claim before
			errs = append(errs, try(c))
		case !ok || !answered:
		case left > 0:
			free[m]--
			errs = append(errs, try(c))
		case !c.Request.Unstarted:
			short[m]++
		}
	}
	if len(short) > 0 {
		errs = append(errs, a.makeRoom(ctx, short, machines))
	}
	return errors.Join(errs...)
}

// hopeless says whether the claim would be refused with the same words by the
// config alone: nothing that comes free helps it.
func (a *Allocator) hopeless(c nic.Claim) bool {
	_, refusal := a.admit(&c)
	return refusal != nil && len(c.Conditions) == 1 && sayTheSame(c.Conditions[0], *refusal)
}

// inTurns orders claims to be tried: those of running containers first, among
// them the first of each tenant and node, then the second of each, so that
// nobody's thousands are before the only one of another.
func inTurns(claims []nic.Claim) {
	slices.SortFunc(claims, func(x, y nic.Claim) int { return x.Created.Compare(y.Created) })
	type from struct {
		tenant, node string
		unstarted    bool
	}
	count, turn := map[from]int{}, map[nic.ClaimID]int{}
	for _, c := range claims {
		of := from{nic.TenantOf(c.Tenant), c.Owner.Node, c.Request.Unstarted}
		turn[c.ID] = count[of]
		count[of]++
	}
	slices.SortStableFunc(claims, func(x, y nic.Claim) int {
		if x.Request.Unstarted != y.Request.Unstarted {
			if y.Request.Unstarted {
				return -1
			}
			return 1
		}
		return cmp.Compare(turn[x.ID], turn[y.ID])
	})
}

// wantsAny says whether the claim was refused because all addresses are taken,
// and would have any.
func (a *Allocator) wantsAny(c nic.Claim) bool {
	return !hasIdentity(&c) && !a.holdsNothing(c) && len(c.Request.Addrs) == 0 && c.Request.MAC.IsZero() &&
		len(c.Conditions) > 0 && c.Conditions[0].Reason == nic.ReasonExhausted
}

// lacksSlot says whether the claim was refused for want of a slot, and not of
// an address, or of anything that its provider is to be asked for later.
func (a *Allocator) lacksSlot(c nic.Claim) bool {
	return a.lacksPlace(c) && c.Conditions[0].Deadline.IsZero()
}

// tooSoon says whether the claim's provider had no place for it, and is not to be
// asked again yet: that a NIC has gone, or that the node asks again, is no news of
// that.
func (a *Allocator) tooSoon(c nic.Claim) bool {
	denied := c.Phase == nic.ClaimRefused && len(c.Conditions) > 0 && c.Conditions[0].Reason == nic.ReasonProviderError
	return (denied || a.lacksPlace(c)) && a.until(c.Conditions[0].Deadline) > 0
}

func (a *Allocator) lacksPlace(c nic.Claim) bool {
	return (hasIdentity(&c) || a.holdsNothing(c)) && len(c.Conditions) > 0 && c.Conditions[0].Reason == nic.ReasonExhausted
}

// holdsNothing says whether the claim's network has nothing that could be reserved
// before the NIC is there: its provider gives addresses and MAC.
func (a *Allocator) holdsNothing(c nic.Claim) bool {
	network, ok := a.networks[c.Request.Network]
	return ok && network.Addressing != nic.AddrIPAM && a.opts.Providers[network.Provider].Info().DrawsMACs
}

// makeRoom gives NICs back that are plugged in ahead, the oldest first, for as
// many slots as are short and not on their way back already.
func (a *Allocator) makeRoom(ctx context.Context, short map[pool.Machine]int, nodes map[pool.Machine]string) error {
	nics, err := a.nicsAt(ctx, short, nodes)
	if err != nil {
		return err
	}
	var held []nic.NIC
	for _, n := range nics {
		if n.Carrier != "" || n.Carries && n.Phase != nic.PhaseReturning {
			continue // no one seat has a slot
		}
		switch n.Phase {
		case nic.PhaseReturning:
			if n.Seen.State != nic.StateAvailable && n.Seen.State != "" {
				short[machineOf(n)]--
			}
		case nic.PhaseSpare, nic.PhaseCooling:
			short[machineOf(n)]-- // the pools give theirs first
		case nic.PhasePlanned, nic.PhaseHeld:
			if n.Holder == "" {
				short[machineOf(n)]--
			}
			held = append(held, n)
		}
	}
	slices.SortFunc(held, func(x, y nic.NIC) int { return x.Created.Compare(y.Created) })
	for _, n := range held {
		if short[machineOf(n)] <= 0 {
			continue
		}
		gave := false
		err := a.asLeader(ctx, func(e *edit) error {
			claim, rev, found, err := get[nic.Claim](e, claimKey(n.Holder))
			if gave = found && claim.NIC == n.ID && isAhead(claim) && claim.ReservedUntil.IsZero(); err != nil || !gave {
				return err
			}
			return lapse(e, claim, rev)
		})
		if err != nil {
			return fmt.Errorf("give back %s, which is plugged in ahead: %w", n.ID, err)
		}
		if gave {
			short[machineOf(n)]--
			a.opts.Log.Info("NIC that was plugged in ahead makes room", "nic", n.ID, "claim", n.Holder, "node", n.Node)
		}
	}
	return nil
}

// nicsAt are the NICs of machines, by the nodes that they are.
func (a *Allocator) nicsAt(ctx context.Context, machines map[pool.Machine]int, nodes map[pool.Machine]string) ([]nic.NIC, error) {
	e := a.reader(ctx)
	looked := map[string]bool{}
	var all []nic.NIC
	for m := range machines {
		name := nodes[m]
		if looked[name] {
			continue // its trunk
		}
		looked[name] = true
		ids, err := idsOn(e, name)
		if err != nil {
			return nil, err
		}
		for _, id := range ids {
			n, _, found, err := get[nic.NIC](e, nicKey(id))
			if err != nil {
				return nil, err
			}
			if found {
				all = append(all, n)
			}
		}
	}
	return all, nil
}
