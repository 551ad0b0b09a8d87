package allocator

import (
	"context"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// carry takes a NIC that is clean and unplugged to the node that it is going to,
// where it is planned, as one that has been made. Its spec stays: it is what the
// provider was asked for, and is asked for again to the letter.
func (a *Allocator) carry(ctx context.Context, n nic.NIC, seen nic.Seen) (time.Duration, error) {
	held := false
	err := a.asLeader(ctx, func(e *edit) error {
		n, rev, found, err := get[nic.NIC](e, nicKey(n.ID))
		if err != nil || !found || n.Phase != nic.PhaseReturning || n.Going == "" || told(n) && !n.Clean {
			return err
		}
		node, nodeRev, known, err := get[nic.Node](e, nodeKey(n.Going))
		if err != nil {
			return err
		}
		if held = !known || !serves(node); held {
			if nic.SetCondition(&n.Conditions, *a.because(nic.ReasonWaitingForNode, "node %s, where the NIC is going, is lost or revoked", n.Going)) {
				e.update(nicKey(n.ID), n, rev)
			}
			return nil
		}
		e.fenceAt(nodeKey(node.Name), nodeRev)
		claim, claimRev, moves, err := moverOf(e, n)
		if err != nil {
			return err
		}
		if moves && len(claim.Conditions) > 0 { // they are of the way out
			clearWaits(&claim)
			e.update(claimKey(claim.ID), claim, claimRev)
		}
		if err := e.drop(observedKey(n.ID)); err != nil {
			return err
		}
		if n.Node != n.Going {
			if err := e.drop(onKey(n.Node, n.ID)); err != nil {
				return err
			}
			e.create(onKey(n.Going, n.ID), n.ID)
		}
		if n.Carrier != "" {
			if err := turnSeat(e, &n); err != nil {
				return err
			}
		}
		a.land(&n, node, seen)
		e.update(nicKey(n.ID), n, rev)
		return nil
	})
	if held {
		return slotAgain, err
	}
	return 0, a.logged(n, "NIC carried", err)
}

// land makes a NIC one that is to be plugged in at the node.
func (a *Allocator) land(n *nic.NIC, node nic.Node, seen nic.Seen) {
	n.Node, n.Instance, n.Going = node.Name, instanceOf(node, n.Provider), ""
	a.setPhase(n, nic.PhasePlanned)
	n.Turn++
	n.Clean, n.Asked = false, a.now()
	seen.Place, seen.Device = nic.Place{}, nic.Device{}
	if n.Seen.Device.Kind == nic.Found && n.Carrier == "" { // it is found by the same, and the node may be told ahead
		seen.Device = n.Seen.Device
	}
	n.Seen = seen
	nic.ClearCondition(&n.Conditions)
	n.Steps = []nic.Step{{Name: nic.StepAsked, At: a.now()}}
	a.stepped(n, nic.StepPlanned)
}

// recall has a NIC that was carried unplugged from where it was, if its provider
// says that it is there still: what was said before may have been late.
func (a *Allocator) recall(ctx context.Context, p provider.Provider, n nic.NIC, why error) (time.Duration, error) {
	all, err := p.Get(ctx, n.ID)
	if err != nil {
		return a.failed(ctx, n, err)
	}
	seen, visible := all[n.ID]
	if !visible {
		return a.opts.Poll, nil // not seen is not gone
	}
	if seen.State == nic.StateAttached && seen.Place.Instance != n.Instance {
		if n.Turn == 0 && why != nil { // it was never anywhere else by our hand
			return a.failed(ctx, n, why)
		}
		if err := p.Detach(ctx, n.ID, seen.Place.Instance); err != nil {
			return a.failed(ctx, n, err)
		}
		return deleteAgain, nil
	}
	again, err := a.seen(ctx, n, seen, nil)
	return max(again, deleteAgain), err
}

// stumble notes that a NIC on the move cannot be plugged in now. One that can never
// be is taken back, and another is made in its place.
func (a *Allocator) stumble(e *edit, claim nic.Claim, rev store.Rev, n nic.NIC, why nic.Condition) error {
	now, nicRev, found, err := get[nic.NIC](e, nicKey(n.ID))
	if err != nil || !found || now.Phase != nic.PhasePlanned || now.Turn != n.Turn {
		return err
	}
	changed := nic.SetCondition(&claim.Conditions, why)
	dead := now.Seen.State == nic.StateFailed || now.Seen.State == nic.StateDeleting
	if dead || now.Placed && !a.carries(now) {
		a.setBack(&claim, why)
		e.homeward(&now)
		e.update(nicKey(now.ID), now, nicRev)
		changed = true
	} else if nic.SetCondition(&now.Conditions, why) {
		e.update(nicKey(now.ID), now, nicRev)
	}
	if changed {
		e.update(claimKey(claim.ID), claim, rev)
	}
	return nil
}

// bringAnew takes back a NIC on the move that its node does not get to see, and
// plugs it in again, or another one.
func (a *Allocator) bringAnew(e *edit, claim nic.Claim, rev store.Rev, why nic.Condition) error {
	n, nicRev, found, err := get[nic.NIC](e, nicKey(claim.NIC))
	if err != nil || !found {
		return err
	}
	a.setBack(&claim, why, failing(n)...)
	nic.SetCondition(&claim.Conditions, why)
	e.update(claimKey(claim.ID), claim, rev)
	if e.homeward(&n) && a.carries(n) && n.Node == claim.Move.At {
		n.Going = n.Node
	}
	e.update(nicKey(n.ID), n, nicRev)
	return nil
}

// cleanIfDead takes a NIC on the move for clean whose node is dead: nobody there
// can say so, and nothing there can have it. Otherwise it says when to look again.
func (a *Allocator) cleanIfDead(ctx context.Context, n nic.NIC) (again time.Duration, err error) {
	_, _, moves, err := moverOf(a.reader(ctx), n)
	if err != nil || !moves {
		return 0, err
	}
	why, dead, err := a.Dead(ctx, n.Node)
	if err != nil || !dead {
		return slotAgain, nil // no proof: the node is waited for
	}
	cleaned := false
	err = a.change(ctx, n.ID, func(now *nic.NIC) bool {
		cleaned = now.Phase == nic.PhaseReturning && !now.Clean && now.Node == n.Node && now.Turn == n.Turn
		now.Clean = now.Clean || cleaned
		return cleaned
	})
	if cleaned && err == nil {
		a.opts.Log.Warn("NIC on the move is taken from a node that is dead", "nic", n.ID, "claim", n.Holder, "node", n.Node, "message", why)
	}
	return slotAgain, err
}
