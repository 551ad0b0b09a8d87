package allocator

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/sriov"
)

// fits asks a provider whether it could place a NIC on the node, if it has anything
// to say of that. Nothing is kept for the NIC.
func fits(ctx context.Context, p provider.Provider, spec nic.Spec, node nic.Node) error {
	if f, ok := provider.As[provider.Fitter](p); ok {
		return f.Fits(ctx, spec, node)
	}
	if placer, ok := provider.As[provider.Placer](p); ok {
		_, err := placer.Place(ctx, spec, node)
		return err
	}
	return nil
}

// fallsBack says whether containers of the network get something else where there is
// no VF: then a node without a free one is not full.
func fallsBack(f nic.Functions) bool { return len(f.Fallback) > 0 }

// fellBack says whether the NIC is what its network gives in place of a VF. One of
// another provider is of before the network gave VFs.
func (a *Allocator) fellBack(n nic.NIC) bool {
	network, ok := a.networks[n.Network]
	return ok && !network.Functions.IsZero() && n.Provider == network.Provider &&
		n.Placed && n.Spec.Device.Kind != "" && !n.Spec.Device.Kind.Functions()
}

// fallenBack is the condition of a claim with such a NIC, of which n is read anew;
// nil for all others.
func (a *Allocator) fallenBack(claim nic.Claim, n nic.NIC) *nic.Condition {
	if claim.NIC != n.ID || onMove(claim) || n.Phase != nic.PhaseHeld || !a.fellBack(n) {
		return nil
	}
	why, once := "no VF of network %s was free on node %s", "one is"
	if slices.ContainsFunc(failedVFs(claim), func(what string) bool { return !nic.IsOnCard(what) }) {
		why, once = "no NIC could be made of a VF of network %s on node %s", "that is mended: "+claim.Setbacks[len(claim.Setbacks)-1].Message
	}
	return &nic.Condition{
		Reason: nic.ReasonFellBack, Since: later(n.Created, n.Asked),
		Message: fmt.Sprintf(why+": it has %s instead; nicferry promote %s once %s", n.Network, n.Node, shapeOf(n.Spec.Device), claim.ID, once),
	}
}

// shapeOf says to people what a recipe makes.
func shapeOf(d nic.Device) string {
	switch {
	case d.Kind == nic.SRIOV:
		return fmt.Sprintf("VF %d of %s (%s)", d.VF.Index, d.VF.PF, d.VF.PCI)
	case d.Kind == nic.Bonded:
		return fmt.Sprintf("a bond of %d VFs", len(d.Bond.Members))
	case d.Parent != "":
		return fmt.Sprintf("a %s on %s", d.Kind, d.Parent)
	}
	return "a " + string(d.Kind)
}

// noteFormer takes a node's word on how the VFs of a NIC were set before, and says
// whether that is news. What it has said in a boot stands: what it reads later in that
// boot may be our own settings. A boot resets cards, so what was before it is void;
// boot is the one that the node is in.
func noteFormer(n *nic.NIC, o nic.Observed, boot string) bool {
	vfs := functionsOf(n.Seen.Device)
	if vfs == 0 || len(o.Former) != vfs {
		return false
	}
	former, news := slices.Clone(n.Former), false
	for len(former) < vfs {
		former = append(former, nic.VFWas{})
	}
	for i, was := range o.Former {
		if was.Boot != "" && was.Boot == boot && former[i].Boot != boot {
			former[i], news = was, true
		}
	}
	if news {
		n.Former = former
	}
	return news
}

// functionsOf is of how many VFs a NIC consists.
func functionsOf(d nic.Device) int {
	switch d.Kind {
	case nic.SRIOV:
		return 1
	case nic.Bonded:
		return len(d.Bond.Members)
	}
	return 0
}

// withFormer is a recipe that says how each of its VFs was set before.
func withFormer(d nic.Device, former []nic.VFWas) nic.Device {
	if len(former) == 0 || len(former) != functionsOf(d) {
		return d
	}
	if d.Kind == nic.SRIOV {
		d.VF.Was = former[0]
		return d
	}
	d.Bond.Members = slices.Clone(d.Bond.Members)
	for i := range d.Bond.Members {
		d.Bond.Members[i].Was = former[i]
	}
	return d
}

// formerMark tells one of a NIC's former settings from others.
func formerMark(former []nic.VFWas) string {
	boots := make([]string, len(former))
	for i, was := range former {
		boots[i] = was.Boot
	}
	return strings.Join(boots, " ")
}

// freeVFs are those that nobody has by their node's word.
func freeVFs(cards []nic.Card) map[string]bool {
	free := map[string]bool{}
	for _, card := range cards {
		for _, vf := range card.VFs {
			if vf.Used == string(sriov.Free) {
				free[vf.PCI] = true
			}
		}
	}
	return free
}

// lift has claims of a node tried again at once that wait for a VF, of each network as
// many as VFs came free a moment ago, those first that are served first elsewhere too.
// Of other providers nobody tells us so, and they are asked again after a while.
func (a *Allocator) lift(ctx context.Context, node string, freed int) error {
	return a.atomically(ctx, func(e *edit) error {
		claims, err := claimsOn(e, node, nil)
		if err != nil {
			return err
		}
		revs := map[nic.ClaimID]store.Rev{}
		var waiting []nic.Claim
		for _, r := range claims {
			if a.waitsForVF(r.Value) {
				waiting, revs[r.Value.ID] = append(waiting, r.Value), r.Rev
			}
		}
		inTurns(waiting)
		lifted := map[string]int{}
		for _, claim := range waiting {
			if lifted[claim.Request.Network]++; lifted[claim.Request.Network] > freed {
				continue
			}
			claim.Conditions = slices.Clone(claim.Conditions)
			claim.Conditions[0].Deadline = a.now()
			e.update(claimKey(claim.ID), claim, revs[claim.ID])
		}
		return nil
	})
}

// waitsForVF says whether the claim was refused because no VF is free.
func (a *Allocator) waitsForVF(c nic.Claim) bool {
	network, ok := a.networks[c.Request.Network]
	return ok && !network.Functions.IsZero() && c.Phase == nic.ClaimRefused && a.lacksPlace(c)
}
