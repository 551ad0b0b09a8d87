package vmagent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/nicferry/nicferry/internal/link"
	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/sriov/vf"
	"github.com/nicferry/nicferry/vmagent/device"
)

// A VF is set by its physical function, on the host's side, so whoever has the host can
// set it too. What the agent last found of a NIC's VFs is kept in the plug.
type functions struct {
	// byHand is what somebody had set, and at when that was put right.
	byHand string
	at     time.Time
	// loud are the physical functions that are promiscuous, for people.
	loud string
	// untold are the virtual functions whose spoof check nobody can see, for people.
	untold string
	// left: a frame was seen to leave since it was brought in. unseen is since when it is
	// looked for; zero for not.
	left   bool
	unseen time.Time
	// failures are how often each member of a bond has lost its link, by PCI address.
	failures map[string]int
	downText string // what was said last of links that are down
	// fresh: it had no time yet to find its links, or to find its one again that is gone
	// since down.
	fresh bool
	down  time.Time
	watch *linkWatch
}

// byHandShown is how long people see that a VF was put right.
const byHandShown = 5 * time.Minute

// recorded sees to it that the controller has noted how a NIC's VFs were set before:
// nothing is set before that. Until the recipe has come back with it, it is errNotYet.
// A boot resets cards, so what was before is read anew in each.
func (a *Agent) recorded(ctx context.Context, w nic.Wanted, said *nic.Observed) error {
	if !w.Device.Kind.Functions() {
		return nil
	}
	parts := device.Parts(w.NIC, w.Device)
	has := !slices.ContainsFunc(parts, func(d nic.Device) bool { return d.VF.Was.Boot != a.opts.Inventory.Boot })
	if has {
		for _, d := range parts {
			said.Former = append(said.Former, d.VF.Was)
		}
		return nil
	}
	former, err := a.maker.Former(ctx, w.NIC, w.Device)
	if err != nil {
		return err
	}
	said.Former = former
	nic.SetCondition(&said.Conditions, nic.Condition{
		Reason: nic.ReasonWaitingForRecord, Message: "the controller has yet to note how the card was set before; then it is set",
	})
	return errNotYet
}

// ensure is the maker's Ensure. What somebody else has set of the VFs of a NIC that is in
// its container is told, and put right by that.
func (a *Agent) ensure(ctx context.Context, p *plug, w nic.Wanted, at []*netns.Namespace) error {
	if !w.Device.Kind.Functions() {
		return a.maker.Ensure(ctx, w.NIC, w.Device, at...)
	}
	var drift error
	if p.done {
		drift = a.maker.Differs(ctx, w.NIC, w.Device)
	}
	err := a.maker.Ensure(ctx, w.NIC, w.Device, at...)
	if errors.Is(err, device.ErrElsewhere) && a.brought(w) { // its container has hidden it
		if err = a.recoverStray(ctx, w, nil); err == nil {
			err = a.maker.Ensure(ctx, w.NIC, w.Device, at...)
		}
	}
	if err != nil {
		return err
	}
	a.noteDrift(p, w, drift)
	return nil
}

// faultOf is what kind of error keeps the NIC from its container. Where its VFs are
// what is wrong with it, and it has not been in its container or is not there any more,
// others may do; where its card carries links of another kind, so may a link of that kind.
func (a *Agent) faultOf(w nic.Wanted, said nic.Observed, err error) nic.Reason {
	if !w.Gone && w.Device.Parent != "" && said.State == nic.ObservedWaiting && errors.Is(err, link.ErrBusy) {
		return nic.ReasonCardBusy
	}
	if w.Gone || !w.Device.Kind.Functions() || said.State != nic.ObservedWaiting {
		return nic.ReasonNodeError
	}
	// Wherever it was. A bond may have another, and a program has no other than its own.
	if w.Device.Kind == nic.SRIOV && !inUserSpace(w) && errors.Is(err, vf.ErrNotFound) {
		return nic.ReasonVFUnusable
	}
	if a.plugs.of(w).done || a.brought(w) {
		return nic.ReasonNodeError
	}
	for _, kind := range []error{vf.ErrNotFound, vf.ErrTaken, vf.ErrRefused, device.ErrElsewhere, device.ErrForeign} {
		if errors.Is(err, kind) {
			return nic.ReasonVFUnusable
		}
	}
	return nic.ReasonNodeError
}

// brought says whether the NIC was in a container and was not taken out since. A VF that
// was not, and is in some other namespace, is there by somebody else's doing: it is never
// looked for in all of them.
func (a *Agent) brought(w nic.Wanted) bool {
	if !w.Device.Kind.Functions() || a.plugs.of(w).functions.left {
		return true
	}
	h, err := a.cache.home(w.NIC)
	return err == nil && h.Left
}

// unhide takes VFs home that a container which goes on has hidden in a namespace of its
// own: they are set back only there.
func (a *Agent) unhide(ctx context.Context, w nic.Wanted) error {
	if !w.Device.Kind.Functions() || inUserSpace(w) || !a.brought(w) {
		return nil
	}
	for _, d := range device.Parts(w.NIC, w.Device) {
		if _, found, err := a.maker.Locate(ctx, w.NIC, d); err != nil {
			return err
		} else if !found {
			return a.recoverStray(ctx, w, nil)
		}
	}
	return nil
}

// noteDrift tells what had been set by hand.
func (a *Agent) noteDrift(p *plug, w nic.Wanted, drift error) {
	var texts []string
	for _, f := range vf.Told[*vf.FieldError](drift) {
		a.opts.Observer.SetByHand(f.Field)
		texts = append(texts, fmt.Sprintf("VF %d of %s: %s was %s, not %s", f.Index, f.PF, f.Field, cmp.Or(f.Found, "untold"), f.Wanted))
	}
	a.byHand(p, w, texts...)
	p.functions.loud = texted(vf.Told[*vf.PromiscuousError](drift))
	p.functions.untold = texted(vf.Told[*vf.UntoldError](drift))
}

// texted is what is told, for people, once each.
func texted[E error](told []E) string {
	var texts []string
	for _, err := range told {
		texts = append(texts, err.Error())
	}
	return strings.Join(slices.Compact(texts), "; ")
}

// byHand notes what somebody had set and has been put right.
func (a *Agent) byHand(p *plug, w nic.Wanted, texts ...string) {
	if len(texts) == 0 {
		return
	}
	p.functions.byHand, p.functions.at = strings.Join(texts, "; "), time.Now()
	a.opts.Log.Warn("VF was set by somebody else, and is put right", "nic", w.NIC, "claim", w.Claim, "container", w.Container, "was", p.functions.byHand)
}

// audit looks at the VFs of a NIC that is in its container, beside how they are set.
func (a *Agent) audit(ctx context.Context, p *plug, w nic.Wanted, index int, said *nic.Observed) error {
	if !w.Device.Kind.Functions() {
		return nil
	}
	names, err := a.maker.Deafen(ctx, w.NIC, w.Device, p.ns)
	for _, name := range names {
		a.opts.Observer.SetByHand("promiscuous mode")
		a.byHand(p, w, fmt.Sprintf("interface %s in the container was in promiscuous mode", name))
	}
	if err == nil {
		err = a.auditMembers(ctx, p, w, said)
	}
	if err == nil {
		err = a.auditLink(p, w, index, said)
	}
	f := &p.functions
	if f.byHand != "" && time.Since(f.at) < byHandShown {
		nic.SetCondition(&said.Conditions, nic.Condition{
			Reason: nic.ReasonSetByHand, Message: f.byHand + "; it was put right at once", Since: f.at.UTC(),
		})
	}
	if f.loud != "" {
		nic.SetCondition(&said.Conditions, nic.Condition{Reason: nic.ReasonPromiscuous, Message: f.loud})
	}
	if f.untold != "" {
		nic.SetCondition(&said.Conditions, nic.Condition{
			Reason: nic.ReasonSpoofCheckUntold, Message: f.untold + ", as its network has it; a container may send under any MAC",
		})
	}
	return err
}
