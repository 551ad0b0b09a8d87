package allocator

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// seen stores what a provider call answered; the change wakes the NIC again.
// Only of a NIC that is being plugged in: an answer may be older than the one
// that said attached, and later nothing would put the recipe back that the
// node works by. What is taken back is looked at afresh.
func (a *Allocator) seen(ctx context.Context, n nic.NIC, seen nic.Seen, err error) (time.Duration, error) {
	if err != nil {
		return a.failed(ctx, n, err)
	}
	a.reached(n.Provider, nil)
	plugged := false
	err = a.asLeader(ctx, func(e *edit) error {
		plugged = false
		known, rev, err := glimpse[nic.NIC](e, nicKey(n.ID))
		if err != nil || known == nil {
			return err
		}
		if known.Turn > 0 && seen.Device.Kind == "" {
			seen.Device = known.Seen.Device // the node may have been told: see land
		}
		if known.Carries { // no node is to be told of it, by a release that knows of no seats neither
			seen.Device.Kind = ""
		}
		if known.Phase != nic.PhasePlanned || reflect.DeepEqual(&known.Seen, &seen) {
			return nil // as with most looks, which cost no copy of the record
		}
		now := take(e, nicKey(n.ID), known)
		now.Seen = seen
		a.seenSteps(&now)
		nic.ClearCondition(&now.Conditions, nic.ReasonProviderError, nic.ReasonWaitingForTurn)
		switch {
		case seen.State == nic.StateAttached && seen.Place.Instance == now.Instance:
			n, plugged = now, true
			return a.handOver(e, now, rev)
		case seen.State == nic.StateCreating || seen.State == nic.StateAttaching:
			return noteIn(e, now, rev, waitsForProvider(now))
		}
		e.update(nicKey(now.ID), now, rev)
		return nil
	})
	if err != nil || !plugged {
		return 0, err
	}
	a.landed(n.ID)
	return 0, a.logged(n, "NIC plugged in", nil)
}

// failed sorts a provider's error: what can never work is given up and told to
// the user, everything else is tried again after a back-off, after a look.
func (a *Allocator) failed(ctx context.Context, n nic.NIC, err error) (time.Duration, error) {
	if errors.Is(err, errTurn) {
		turn := a.because(nic.ReasonWaitingForTurn, "provider %s takes no more calls at present; the nodes take turns", n.Provider)
		turn.Deadline = turnEnds(n)
		return turnAgain, a.note(ctx, n.ID, turn, nic.ReasonWaitingForSlot)
	}
	a.reached(n.Provider, err)
	hopeless := errors.Is(err, provider.ErrInvalid) || errors.Is(err, provider.ErrDenied) ||
		errors.Is(err, provider.ErrUnsupported) || errors.Is(err, provider.ErrExhausted)
	if n.Phase == nic.PhasePlanned && hopeless {
		reason := nic.ReasonProviderError
		if errors.Is(err, provider.ErrExhausted) {
			reason = nic.ReasonExhausted
		}
		why := a.because(reason, "%s", err)
		if !n.Placed && reason == nic.ReasonExhausted { // such as a full subnet: nobody tells us when there is room
			why.Deadline = a.now().Add(max(exhaustedAgain, retryAfter(err)))
		} else if !n.Placed { // such as a wrong subnet, or a right that is missing: nobody tells us when that is mended
			why.Deadline = a.now().Add(max(refusedAgain, retryAfter(err)))
		}
		return 0, a.giveUp(ctx, n, why)
	}
	if noteErr := a.note(ctx, n.ID, a.because(nic.ReasonProviderError, "%s", err), nic.ReasonWaitingForTurn); noteErr != nil {
		return 0, errors.Join(err, noteErr)
	}
	if n.Carrier == "" { // no provider knows of a seat
		a.lookLater(n)
	}
	if again := retryAfter(err); again > 0 {
		return again, nil
	}
	return 0, err
}

// exhaustedAgain is when a provider is asked again for a place of which it had
// none left.
const exhaustedAgain = time.Minute

// refusedAgain is when a provider is asked again that has refused to say where a NIC
// could be.
const refusedAgain = 15 * time.Second

// retryAfter is when the provider wishes to be asked again; 0 if it has no wish.
func retryAfter(err error) time.Duration {
	if pe, ok := errors.AsType[*provider.Error](err); ok {
		return pe.RetryAfter
	}
	return 0
}

// giveUp takes a NIC back that cannot be plugged in, and refuses its claim. One on
// the move is not given up: its move decides. Neither is one that a look has found
// plugged in meanwhile: an attach that was insisted on may be refused because an
// earlier one has worked.
func (a *Allocator) giveUp(ctx context.Context, n nic.NIC, why *nic.Condition) error {
	if n.Carries {
		return a.giveUpCarrier(ctx, n, why)
	}
	var held error
	given := false
	err := a.asLeader(ctx, func(e *edit) error {
		held, given = nil, false
		now, _, there, err := get[nic.NIC](e, nicKey(n.ID))
		if err != nil || !there || now.Phase != nic.PhasePlanned {
			return err
		}
		claim, rev, found, err := get[nic.Claim](e, claimKey(n.Holder))
		if err != nil {
			return err
		}
		if found && claim.NIC == n.ID && onMove(claim) {
			held = fmt.Errorf("plug in a NIC on the move: %s", why.Message)
			return a.stumble(e, claim, rev, n, *why)
		}
		if found && claim.NIC == n.ID && claim.Phase == nic.ClaimPending {
			if n.Placed { // it has been made, or may have been
				a.setBack(&claim, *why)
			}
			a.refuse(&claim, *why)
			e.update(claimKey(claim.ID), claim, rev)
		}
		given = true
		return takeBack(e, n.ID)
	})
	if err == nil && held != nil {
		return held // it is tried again, less and less often
	}
	if err == nil && given {
		if n.Holder == "" {
			a.spares.failed(n)
		}
		a.opts.Log.Warn("NIC given up", "nic", n.ID, "claim", n.Holder, "network", n.Network, "node", n.Node,
			"reason", why.Reason, "message", why.Message)
	}
	return err
}

// pluggedIn hands a NIC that is plugged in to its claim: from here on the node
// may ferry it. Without a claim it is a spare.
func (a *Allocator) pluggedIn(ctx context.Context, n nic.NIC) error {
	a.landed(n.ID)
	err := a.asLeader(ctx, func(e *edit) error {
		n, rev, found, err := get[nic.NIC](e, nicKey(n.ID))
		if err != nil || !found || n.Phase != nic.PhasePlanned {
			return err
		}
		return a.handOver(e, n, rev)
	})
	return a.logged(n, "NIC plugged in", err)
}

// handOver is pluggedIn within an edit, which has the NIC to write.
func (a *Allocator) handOver(e *edit, n nic.NIC, rev store.Rev) error {
	nic.ClearCondition(&n.Conditions)
	if n.Holder == "" {
		next := nic.PhaseSpare
		if n.Carries && n.Seats > 0 {
			next = nic.PhaseCarrying
		}
		if n.Carries { // its node is not told of it, and will not say that it has it
			a.spares.came(n)
		}
		a.setPhase(&n, next)
		e.update(nicKey(n.ID), n, rev)
		return nil
	}
	a.setPhase(&n, nic.PhaseHeld)
	claim, claimRev, found, err := get[nic.Claim](e, claimKey(n.Holder))
	if err != nil {
		return err
	}
	switch {
	case !found || claim.NIC != n.ID:
	case onMove(claim):
		a.takeGiven(&claim, &n)
		clearWaits(&claim)
		e.update(claimKey(claim.ID), claim, claimRev)
	case claim.Phase == nic.ClaimPending:
		a.hand(&claim, &n)
		e.update(claimKey(claim.ID), claim, claimRev)
	}
	e.update(nicKey(n.ID), n, rev)
	return nil
}

// logged logs a step of a NIC's life, once it is stored.
func (a *Allocator) logged(n nic.NIC, step string, err error) error {
	if err == nil {
		a.opts.Log.Info(step, "nic", n.ID, "claim", n.Holder, "network", n.Network, "node", n.Node)
	}
	return err
}

// note puts a condition on a NIC, and on the claim that waits for it, where
// users look first. What it waited for before that is over is dropped.
func (a *Allocator) note(ctx context.Context, id nic.ID, c *nic.Condition, over ...nic.Reason) error {
	set := func(cs *[]nic.Condition) bool {
		cleared := len(over) > 0 && nic.ClearCondition(cs, over...)
		return nic.SetCondition(cs, *c) || cleared
	}
	return a.asLeader(ctx, func(e *edit) error {
		n, rev, found, err := get[nic.NIC](e, nicKey(id))
		if err != nil || !found {
			return err
		}
		if set(&n.Conditions) {
			e.update(nicKey(id), n, rev)
		}
		claim, claimRev, found, err := get[nic.Claim](e, claimKey(n.Holder))
		if err != nil || !found || claim.NIC != id || claim.Phase == nic.ClaimRefused {
			return err
		}
		if set(&claim.Conditions) {
			e.update(claimKey(claim.ID), claim, claimRev)
		}
		return nil
	})
}

// noteIn is note within an edit that writes the NIC in any case.
func noteIn(e *edit, n nic.NIC, rev store.Rev, c nic.Condition) error {
	nic.SetCondition(&n.Conditions, c)
	e.update(nicKey(n.ID), n, rev)
	claim, claimRev, found, err := get[nic.Claim](e, claimKey(n.Holder))
	if err != nil || !found || claim.NIC != n.ID || claim.Phase == nic.ClaimRefused {
		return err
	}
	if nic.SetCondition(&claim.Conditions, c) {
		e.update(claimKey(claim.ID), claim, claimRev)
	}
	return nil
}

// unnote drops waits and troubles that are over from a NIC, and from its claim.
func (a *Allocator) unnote(ctx context.Context, n nic.NIC, over ...nic.Reason) error {
	if len(n.Conditions) == 0 {
		return nil
	}
	return a.asLeader(ctx, func(e *edit) error {
		n, rev, found, err := get[nic.NIC](e, nicKey(n.ID))
		if err != nil || !found || !nic.ClearCondition(&n.Conditions, over...) {
			return err
		}
		e.update(nicKey(n.ID), n, rev)
		claim, claimRev, found, err := get[nic.Claim](e, claimKey(n.Holder))
		if err != nil || !found || claim.NIC != n.ID || claim.Phase == nic.ClaimRefused {
			return err
		}
		if nic.ClearCondition(&claim.Conditions, over...) {
			e.update(claimKey(claim.ID), claim, claimRev)
		}
		return nil
	})
}

// change rewrites one NIC's record as leader; edits returns false to leave it.
func (a *Allocator) change(ctx context.Context, id nic.ID, edits func(*nic.NIC) bool) error {
	return a.asLeader(ctx, func(e *edit) error {
		n, rev, found, err := get[nic.NIC](e, nicKey(id))
		if err != nil || !found || !edits(&n) {
			return err
		}
		e.update(nicKey(id), n, rev)
		return nil
	})
}

func lastWord(n nic.NIC) string {
	if len(n.Conditions) > 0 {
		return n.Conditions[len(n.Conditions)-1].Message
	}
	if n.Seen.State == "" {
		return "none"
	}
	return fmt.Sprintf("it is %s", n.Seen.State)
}

// hand gives a claim a NIC that is plugged in: from here on the node may ferry
// it.
func (a *Allocator) hand(claim *nic.Claim, n *nic.NIC) {
	if claim.Identity.MAC.IsZero() {
		claim.Identity.MAC = n.Seen.MAC // the provider drew it
	}
	a.takeGiven(claim, n)
	a.setClaimPhase(claim, nic.ClaimReady)
	nic.ClearCondition(&claim.Conditions)
}

// takeGiven takes the addresses that the provider gave a NIC into its claim's
// identity, where the network gets its addresses so.
func (a *Allocator) takeGiven(claim *nic.Claim, n *nic.NIC) {
	network, ok := a.networks[n.Network]
	if !ok || network.Addressing != nic.AddrProvider {
		return
	}
	claim.Identity.Addrs, claim.Identity.Given, claim.Identity.Space = nil, true, network.Space
	for _, addr := range n.Seen.Addrs {
		bits := addr.BitLen()
		if s, ok := subnetOf(network, n.Seen.Subnets, addr); ok {
			bits = s.Prefix.Bits()
		}
		claim.Identity.Addrs = append(claim.Identity.Addrs, netip.PrefixFrom(addr, bits))
	}
	n.Layer3 = layer3(network, *claim, n.Seen.Subnets)
}
