package allocator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// noteUnseen takes a node's word on whether a NIC that is plugged in has come
// up there, and reports whether that is news. The deadline is by our clock.
func (a *Allocator) noteUnseen(n *nic.NIC, o nic.Observed) bool {
	waits := inUse(*n) && o.State == nic.ObservedWaiting &&
		slices.ContainsFunc(o.Conditions, func(c nic.Condition) bool { return c.Reason == nic.ReasonWaitingForNIC })
	switch {
	case !waits:
		return nic.ClearCondition(&n.Conditions, nic.ReasonWaitingForNIC)
	case unseen(*n) != nil:
		return false
	}
	now := a.now()
	return nic.SetCondition(&n.Conditions, nic.Condition{
		Reason: nic.ReasonWaitingForNIC, Message: "plugged in, says the provider: " + halfThatFailed(*n, n.Seen, nil),
		Since: now, Deadline: now.Add(a.opts.UnseenAfter),
	})
}

// inUse says whether the NIC is to be seen on its node: in a container or ready
// for one.
func inUse(n nic.NIC) bool { return n.Phase == nic.PhaseHeld || n.Phase == nic.PhaseSpare }

// unseen is the condition of a NIC that its node waits for; nil without.
func unseen(n nic.NIC) *nic.Condition {
	for i := range n.Conditions {
		if n.Conditions[i].Reason == nic.ReasonWaitingForNIC {
			return &n.Conditions[i]
		}
	}
	return nil
}

// awaitSight takes back a NIC that its node does not get to see in time (F09).
func (a *Allocator) awaitSight(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	c := unseen(n)
	if c == nil {
		return 0, nil
	}
	if left := a.until(c.Deadline); left > 0 {
		return a.replug(ctx, p, n, left), nil
	}
	all, err := p.Get(ctx, n.ID)
	why := a.because(nic.ReasonWaitingForNIC, "not seen within %s: %s", a.opts.UnseenAfter, halfThatFailed(n, all[n.ID], err))
	err = a.asLeader(ctx, func(e *edit) error {
		now, _, found, err := get[nic.NIC](e, nicKey(n.ID))
		if err != nil || !found || !inUse(now) || unseen(now) == nil {
			return err
		}
		claim, rev, found, err := get[nic.Claim](e, claimKey(n.Holder))
		if err != nil {
			return err
		}
		if found && claim.NIC == n.ID && onMove(claim) {
			return a.bringAnew(e, claim, rev, *why)
		}
		if found && claim.NIC == n.ID && claim.Phase != nic.ClaimReleasing {
			a.setBack(&claim, *why)
			a.setClaimPhase(&claim, nic.ClaimPending)
			nic.SetCondition(&claim.Conditions, *why)
			e.update(claimKey(claim.ID), claim, rev)
		}
		return takeBack(e, n.ID)
	})
	if err == nil {
		if n.Holder == "" {
			a.spares.failed(n)
		}
		a.opts.Log.Warn("NIC taken back, its node has not seen it", "nic", n.ID, "claim", n.Holder, "network", n.Network,
			"node", n.Node, "message", why.Message)
	}
	return 0, err
}

// halfThatFailed says whether it is the provider that has not plugged the NIC
// in, or the guest that does not see it.
func halfThatFailed(n nic.NIC, seen nic.Seen, err error) string {
	switch {
	case err != nil && !errors.Is(err, provider.ErrNotFound):
		return fmt.Sprintf("the guest %s has not seen MAC %s, and provider %s does not say why: %s", n.Node, n.Seen.MAC, n.Provider, err)
	case seen.State == "":
		return fmt.Sprintf("provider %s has not plugged it in: it knows nothing of the NIC any more", n.Provider)
	case seen.State != nic.StateAttached:
		return fmt.Sprintf("provider %s has not plugged it in: the NIC is %s", n.Provider, seen.State)
	}
	where := ""
	if seen.Bus != "" {
		where = " at " + seen.Bus
	}
	return fmt.Sprintf("provider %s says attached%s, the guest %s has not seen MAC %s", n.Provider, where, n.Node, seen.MAC)
}
