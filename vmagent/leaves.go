package vmagent

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
)

// A driver may take a MAC without a word and go on with another one (F38). So a NIC of
// VFs is in its container only when a frame has left it with its MAC.
const (
	leaveTime  = 300 * time.Millisecond // for one try, of a NIC that has a link
	leaveAgain = time.Second            // until the next
	// A link that comes up takes a moment, in which it is looked at more often and no
	// word is made of it.
	leaveSoon   = 2 * time.Second
	leaveSooner = 100 * time.Millisecond
	// witnessTime is for the physical function to see it too.
	witnessTime = 100 * time.Millisecond
)

// leaves sees to it that a frame has left a NIC of VFs once since it was brought in. It
// is errNotYet where none has, as without a cable; the conditions say so.
func (a *Agent) leaves(ctx context.Context, p *plug, w nic.Wanted, index int, said *nic.Observed) error {
	if !w.Device.Kind.Functions() || p.functions.left {
		return nil
	}
	if p.functions.unseen.IsZero() {
		p.functions.unseen = time.Now()
	}
	err := a.sendOne(ctx, p, w, index)
	if errors.Is(err, vf.ErrUnseen) && time.Since(p.functions.unseen) < leaveSoon {
		return errNotYet
	}
	if errors.Is(err, vf.ErrUnseen) {
		nic.SetCondition(&said.Conditions, nic.Condition{
			Reason: nic.ReasonNothingLeaves, Message: fmt.Sprintf("no frame with MAC %s has been seen to leave yet: has the card a link?", w.Device.MAC),
			Since: p.functions.unseen.UTC(),
		})
		return errNotYet
	}
	if err != nil {
		return err
	}
	p.functions.left, p.functions.unseen = true, time.Time{}
	a.settle(p, p.sandbox, p.pid, p.ns, w.NIC)
	return a.auditLink(p, w, index, said)
}

// sendOne sends a frame, if there is a link, and has it seen by the interface itself or by
// the member of a bond that sends, and by the physical function, where that sees what
// its VFs send.
func (a *Agent) sendOne(ctx context.Context, p *plug, w nic.Wanted, index int) error {
	if err := a.ferry.AwaitCarrier(p.ns, index); err != nil {
		return err
	}
	inside, err := link.Open(p.ns)
	if err != nil {
		return err
	}
	l, err := inside.ByIndex(index)
	inside.Close()
	if err != nil {
		return err
	}
	if w.Device.Kind == nic.SRIOV {
		p.showLink(l.Carries) // nobody audits its link before a frame has left
	}
	if !l.Carries {
		return vf.ErrUnseen
	}
	from, witness, function := vf.Port{Namespace: p.ns, Index: index}, index, w.Device.VF
	if w.Device.Kind == nic.Bonded {
		all, err := a.maker.Members(ctx, w.NIC, w.Device, p.ns)
		if err != nil {
			return err
		}
		function = nic.VF{}
		for i, m := range all {
			if l.Bond != nil && m.Index == l.Bond.Active && m.Joined {
				witness, function = m.Index, w.Device.Bond.Members[i]
			}
		}
	}
	if err := seen(ctx, leaveTime, from, w.Device.MAC, vf.Port{Namespace: p.ns, Index: witness}); err != nil {
		return err
	}
	return a.witnessed(ctx, from, w.Device.MAC, function)
}

func seen(ctx context.Context, within time.Duration, from vf.Port, mac nic.MAC, witness vf.Port) error {
	ctx, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	return vf.Leaves(ctx, from, mac, witness)
}

// witnessed is an error if the physical function sees the frame come from another MAC. Many
// do not see it: their card's switch is told to keep VLANs apart, or shows them nothing.
func (a *Agent) witnessed(ctx context.Context, from vf.Port, mac nic.MAC, v nic.VF) error {
	if v.PF == "" || v.Set.VLAN.Tags() || a.blindPFs.has(v.PF) {
		return nil
	}
	pf, found, err := a.maker.Physical(ctx, v)
	if err != nil || !found || !pf.Carries {
		return err
	}
	err = seen(ctx, witnessTime, from, mac, vf.Port{Namespace: a.opts.Host, Index: pf.Index})
	if errors.Is(err, vf.ErrUnseen) {
		a.blindPFs.add(v.PF)
		return nil
	}
	return err
}

// untilSeen is when to look again whether a frame leaves, or links are found that had no
// time yet; 0 for never.
func (p *plug) untilSeen() time.Duration {
	switch {
	case p.ns == nil:
		return 0
	case !p.functions.unseen.IsZero() && time.Since(p.functions.unseen) < leaveSoon:
		return leaveSooner
	case !p.functions.unseen.IsZero():
		return leaveAgain
	case p.functions.fresh:
		return linkSettles
	}
	return 0
}

// names is a set of names, for several goroutines.
type names struct{ all sync.Map }

func (n *names) has(name string) bool { _, found := n.all.Load(name); return found }
func (n *names) add(name string)      { n.all.Store(name, true) }
