package allocator

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// noteUnseen takes a node's word on whether a NIC that is plugged in has come
// up there, or can be made of its VFs, and reports whether that is news. The deadline
// is by our clock.
func (a *Allocator) noteUnseen(n *nic.NIC, o nic.Observed) bool {
	i := slices.IndexFunc(o.Conditions, notThere)
	if i >= 0 && o.Conditions[i].Reason == nic.ReasonCardBusy && !a.fellBack(*n) {
		i = -1 // there is no other kind for it, and its node tries again
	}
	switch {
	case i < 0 || !inUse(*n) || o.State != nic.ObservedWaiting:
		return nic.ClearCondition(&n.Conditions, nic.ReasonWaitingForNIC, nic.ReasonVFUnusable, nic.ReasonCardBusy)
	case unseen(*n) != nil:
		return false
	}
	said := o.Conditions[i]
	if said.Reason == nic.ReasonWaitingForNIC {
		said.Message = "plugged in, says the provider: " + halfThatFailed(*n, n.Seen, nil)
	}
	said.Since = a.now()
	said.Deadline = said.Since.Add(a.opts.UnseenAfter)
	return nic.SetCondition(&n.Conditions, said)
}

// notThere says whether a condition is of a NIC that is not on its node.
func notThere(c nic.Condition) bool {
	return c.Reason == nic.ReasonWaitingForNIC || cannotMake(c)
}

// cannotMake says whether a condition is of a NIC that its node cannot make as it was
// chosen to be.
func cannotMake(c nic.Condition) bool {
	return c.Reason == nic.ReasonVFUnusable || c.Reason == nic.ReasonCardBusy
}

// inUse says whether the NIC is to be seen on its node: in a container or ready
// for one.
func inUse(n nic.NIC) bool {
	return n.Phase == nic.PhaseHeld || n.Phase == nic.PhaseSpare || n.Phase == nic.PhaseCarrying
}

// pluggedOf is the NIC that the provider plugs in for it: its own, or its carrier's.
func pluggedOf(n nic.NIC) nic.ID { return cmp.Or(n.Carrier, n.ID) }

// unseen is the condition of a NIC that its node waits for, or cannot make; nil
// without.
func unseen(n nic.NIC) *nic.Condition {
	if i := slices.IndexFunc(n.Conditions, notThere); i >= 0 {
		return &n.Conditions[i]
	}
	return nil
}

// failing are the addresses of the VFs that its node cannot make the NIC of, or the
// link that it cannot make on a card.
func failing(n nic.NIC) []string {
	c, d := unseen(n), n.Seen.Device
	if c == nil || !cannotMake(*c) {
		return nil
	}
	if c.Reason == nic.ReasonCardBusy {
		return []string{d.OnCard()}
	}
	if d.Kind == nic.SRIOV {
		return []string{d.VF.PCI}
	}
	var all []string
	for _, v := range d.Bond.Members {
		all = append(all, v.PCI)
	}
	return all
}

// awaitSight takes back a NIC that its node does not get to see in time (F09), or
// cannot make of its VFs.
func (a *Allocator) awaitSight(ctx context.Context, p provider.Provider, n nic.NIC) (time.Duration, error) {
	c := unseen(n)
	if c == nil {
		return 0, nil
	}
	if left := a.until(c.Deadline); left > 0 {
		return a.replug(ctx, p, n, left), nil
	}
	why := a.whyMissing(ctx, p, n, *c)
	err := a.asLeader(ctx, func(e *edit) error {
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
			a.setBack(&claim, *why, failing(now)...)
			a.setClaimPhase(&claim, nic.ClaimPending)
			nic.SetCondition(&claim.Conditions, *why)
			e.update(claimKey(claim.ID), claim, rev)
		}
		if err := a.closeCarrier(e, now); err != nil {
			return err
		}
		return takeBack(e, n.ID)
	})
	if err == nil {
		if n.Holder == "" {
			a.spares.failed(n)
		}
		a.opts.Log.Warn("NIC taken back, its node does not have it", "nic", n.ID, "claim", n.Holder, "network", n.Network,
			"node", n.Node, "message", why.Message)
	}
	return 0, err
}

// whyMissing says why a NIC is taken back of which its node has said c for too long.
func (a *Allocator) whyMissing(ctx context.Context, p provider.Provider, n nic.NIC, c nic.Condition) *nic.Condition {
	if cannotMake(c) {
		return a.because(c.Reason, "node %s could not make it within %s: %s", n.Node, a.opts.UnseenAfter, c.Message)
	}
	all, err := p.Get(ctx, pluggedOf(n))
	return a.because(c.Reason, "not seen within %s: %s", a.opts.UnseenAfter, halfThatFailed(n, all[pluggedOf(n)], err))
}

// halfThatFailed says whether it is the provider that has not plugged the NIC
// in, or the guest that does not see it.
func halfThatFailed(n nic.NIC, seen nic.Seen, err error) string {
	switch {
	case err != nil && !errors.Is(err, provider.ErrNotFound):
		return fmt.Sprintf("the guest %s has not seen MAC %s, and provider %s does not say why: %s", n.Node, macOf(n), n.Provider, err)
	case seen.State == "":
		return fmt.Sprintf("provider %s has not plugged it in: it knows nothing of the NIC any more", n.Provider)
	case seen.State != nic.StateAttached:
		return fmt.Sprintf("provider %s has not plugged it in: the NIC is %s", n.Provider, seen.State)
	}
	where := ""
	if seen.Bus != "" {
		where = " at " + seen.Bus
	}
	return fmt.Sprintf("provider %s says attached%s, the guest %s has not seen MAC %s", n.Provider, where, n.Node, macOf(n))
}

// macOf is the MAC by which the node finds the NIC.
func macOf(n nic.NIC) nic.MAC {
	if n.Seen.MAC.IsZero() {
		return n.Seen.Device.MAC
	}
	return n.Seen.MAC
}
