package allocator

import (
	"context"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// workOnSeat is workOnNIC for a seat. Its provider knows nothing of it: it comes
// with its carrier, and ends by its node's word.
func (a *Allocator) workOnSeat(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	switch n.Phase {
	case nic.PhasePlanned:
		if n.Turn > 0 {
			return a.readdress(ctx, n)
		}
		return a.awaitCarrier(ctx, n)
	case nic.PhaseHeld:
		if err := a.letNextGo(ctx, n); err != nil {
			return 0, err
		}
		if p == nil { // its network is not in the config any more: its carrier says so
			return 0, nil
		}
		return a.awaitSight(ctx, p, n)
	case nic.PhaseReturning:
		if awaited, again, err := a.awaitClean(ctx, n); awaited || err != nil {
			return again, err
		}
		if claim, _, moves, err := moverOf(a.reader(ctx), n); err != nil || moves && n.Going == "" && a.wantsNIC(claim) {
			return slotAgain, err // its move says where to: it would lose its address
		}
		if n.Going == n.Node || n.Going != "" && n.Next != "" {
			return a.carry(ctx, n, nic.Seen{NIC: n.ID, State: addrStays, Addrs: n.Seen.Addrs, Subnets: n.Seen.Subnets})
		}
	}
	err := a.asLeader(ctx, func(e *edit) error { return a.end(e, n.ID) })
	return 0, a.logged(n, "seat given back", err)
}

// awaitCarrier gives a planned seat an address, once its carrier is plugged in. Where
// it is one seat too many, or there is no such carrier any more, it ends, and its
// claim gets another.
func (a *Allocator) awaitCarrier(ctx context.Context, was nic.NIC) (again time.Duration, err error) {
	var n nic.NIC
	step := ""
	err = a.asLeader(ctx, func(e *edit) error {
		var rev store.Rev
		var found bool
		var err error
		n, rev, found, err = get[nic.NIC](e, nicKey(was.ID))
		if again, step = 0, ""; err != nil || !found || n.Phase != nic.PhasePlanned {
			return err
		}
		a.seating.lock(e, n.Node)
		c, there, err := readCarrier(e, n.Carrier)
		if err != nil {
			return err
		}
		claim, claimRev, held, err := get[nic.Claim](e, claimKey(n.Holder))
		if err != nil {
			return err
		}
		coming := there && c.Phase == nic.PhasePlanned && (!c.Placed || c.Seats <= c.Spec.Cloud.Secondary+c.Arrives)
		wants := held && claim.NIC == n.ID && claim.Phase == nic.ClaimPending
		switch {
		case !wants || !there:
		case coming:
			again = slotAgain // it is woken before
			return nil
		case c.Phase == nic.PhaseCarrying && len(c.open) > 0:
			step = "seat taken"
			if err := e.drop(waitKey(c.ID, n.ID)); err != nil {
				return err
			}
			a.stepped(&n, nic.StepAttached)
			a.seated(e, &n, c.NIC, c.open[0])
			a.hand(&claim, &n)
			e.check(nicKey(c.ID), c.rev)
			e.update(claimKey(claim.ID), claim, claimRev)
			e.update(nicKey(n.ID), n, rev)
			return nil
		case c.Phase == nic.PhaseCarrying && len(seatAddrs(c.NIC)) == 0:
			return a.endRefused(e, n.ID, *a.because(nic.ReasonProviderError,
				"provider %s gave NIC %s no address for seats", c.Provider, c.ID), true)
		}
		step = "seat was one too many"
		return a.end(e, n.ID)
	})
	if step != "" {
		err = a.logged(n, step, err)
	}
	return again, err
}

// wakeSeats has the seats looked at that wait for a carrier.
func (a *Allocator) wakeSeats(ctx context.Context, c nic.NIC) error {
	seats, err := seatsUnder(a.reader(ctx), c.ID)
	if err != nil {
		return err
	}
	for _, s := range seats {
		addr, err := netip.ParseAddr(strings.TrimPrefix(s.Key, seatsOf(c.ID)))
		if s.Value.Held() && (err != nil || !slices.Contains(c.Seen.Addrs, addr)) {
			a.queue.Wake(s.Value.Owner)
		}
	}
	return nil
}

// waitingOn are the seats that wait for a carrier, to have any address of it.
func (a *Allocator) waitingOn(ctx context.Context, carrier nic.ID) (ids []nic.ID, err error) {
	seats, err := seatsUnder(a.reader(ctx), carrier)
	if err != nil {
		return nil, err
	}
	for _, s := range seats {
		if id, err := nic.ParseID(strings.TrimPrefix(s.Key, seatsOf(carrier))); err == nil {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

// giveUpCarrier refuses all claims that wait for a NIC which cannot be plugged in.
// With the last of their seats it goes home. It takes no more first: whoever is
// refused is tried again at once, and would wait there anew. Whoever dies on the way
// leaves what the next try goes on with.
func (a *Allocator) giveUpCarrier(ctx context.Context, n nic.NIC, why *nic.Condition) error {
	plugged := false
	err := a.change(ctx, n.ID, func(now *nic.NIC) bool {
		plugged = now.Phase == nic.PhaseCarrying || now.Phase == nic.PhaseSpare // a look has found it
		if now.Phase != nic.PhasePlanned || now.Closed && now.Seats > 0 {
			return false
		}
		now.Closed = true
		nic.SetCondition(&now.Conditions, *why)
		if now.Seats == 0 {
			a.homeward(now)
		}
		return true
	})
	if err != nil || plugged {
		return err
	}
	waiting, err := a.waitingOn(ctx, n.ID)
	if err != nil {
		return err
	}
	if n.Seats == 0 {
		a.spares.failed(n)
	}
	inVain := n.Placed || why.Reason != nic.ReasonExhausted // else what frees a slot has it tried again
	for _, id := range waiting {
		if err := a.asLeader(ctx, func(e *edit) error { return a.endRefused(e, id, *why, inVain) }); err != nil {
			return err
		}
	}
	a.opts.Log.Warn("NIC given up", "nic", n.ID, "claim", n.Holder, "network", n.Network, "node", n.Node, "seats", len(waiting),
		"reason", why.Reason, "message", why.Message)
	return nil
}

// endRefused ends a seat that has no address yet, and refuses its claim; inVain, so
// that it is not tried again at once.
func (a *Allocator) endRefused(e *edit, id nic.ID, why nic.Condition, inVain bool) error {
	return a.endWith(e, id, func(claim *nic.Claim) {
		if claim.Phase != nic.ClaimPending {
			return
		}
		if inVain {
			a.setBack(claim, why)
		}
		a.refuse(claim, why)
	})
}

// lacksSeat says whether the claim is to get a seat: it had one that has ended.
func (a *Allocator) lacksSeat(claim nic.Claim) bool {
	return a.networks[claim.Request.Network].Cloud.Seats() && claim.Phase == nic.ClaimPending && a.mayGrant(claim) && !awaitsFormer(claim)
}

// grantSeat gives such a claim the next.
func (a *Allocator) grantSeat(e *edit, claim nic.Claim, rev store.Rev) error {
	node, nodeRev, found, err := get[nic.Node](e, nodeKey(claim.Owner.Node))
	if err != nil || !found || node.Phase == nic.NodeLost {
		return err
	}
	e.fenceAt(nodeKey(node.Name), nodeRev)
	before := claim
	if err := a.grant(e, &claim, node); err != nil {
		return err
	}
	if claim.NIC != before.NIC || claim.Phase != before.Phase || len(claim.Conditions) > 0 && !sayTheSame(claim.Conditions[0], firstOf(before.Conditions)) {
		e.update(claimKey(claim.ID), claim, rev)
	}
	return nil
}

func firstOf(cs []nic.Condition) nic.Condition {
	if len(cs) == 0 {
		return nic.Condition{}
	}
	return cs[0]
}
