package allocator

import (
	"cmp"
	"context"
	"fmt"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// newsPromoted is the reason of the event that a claim is to get a VF.
const newsPromoted nic.Reason = "Promoted"

// Promote has a claim that fell back get a VF of its node. Its NIC is taken back as
// that of a container which is gone, and once the node has said that it is clean, the
// claim, which waits for one, is given the next as ever: so whoever dies on the way
// leaves what any start leaves, and where another was faster the claim falls back
// again. With dryRun it only says what it would do.
//
// No such claim: ErrNotFound. One that has a VF, or for which none is free, or that is
// not at rest, or whose network does not fall back any more: ErrRefused. One whose turn
// comes when another NIC on the node has its VF: provider.ErrBusy.
func (a *Allocator) Promote(ctx context.Context, id nic.ClaimID, dryRun bool) (api.Promotion, error) {
	a.promoting.Lock() // else two would count on one VF
	defer a.promoting.Unlock()
	p := promotion{a: a}
	if err := p.judge(a.reader(ctx), id); err != nil {
		return api.Promotion{}, err
	}
	if err := p.fits(ctx); err != nil || dryRun {
		return p.plan, err
	}
	err := a.atomically(ctx, func(e *edit) error {
		had := p.plan.NIC
		if err := p.judge(e, id); err != nil {
			return err
		}
		if p.plan.NIC != had {
			return p.refuse("has got another NIC meanwhile; look again")
		}
		claim, rev, _, err := get[nic.Claim](e, claimKey(id))
		if err != nil {
			return err
		}
		a.setClaimPhase(&claim, nic.ClaimPending)
		nic.ClearCondition(&claim.Conditions)
		claim.Setbacks = nil // what kept it from a VF may be mended, or who asks would not ask
		e.update(claimKey(id), claim, rev)
		return takeBack(e, claim.NIC)
	})
	if err != nil {
		return p.plan, err
	}
	of := about(p.claim)
	of.Reason, of.Message = newsPromoted, fmt.Sprintf("an operator has it get %s for %s", p.plan.Gets, p.plan.Has)
	a.opts.Events.Add(of)
	a.opts.Log.Info("claim is promoted", "claim", id, "nic", p.plan.NIC, "network", p.plan.Network, "node", p.plan.Node)
	return p.plan, nil
}

// A promotion is a claim that is to get a VF, and what is known of it.
type promotion struct {
	a       *Allocator
	claim   nic.Claim
	network nic.Network
	node    nic.Node
	plan    api.Promotion
}

func (p *promotion) refuse(format string, args ...any) error {
	return p.not(ErrRefused, fmt.Sprintf(format, args...))
}

func (p *promotion) not(kind error, why string) error {
	return fmt.Errorf("promote claim %s of container %.64q: %w: it %s", p.claim.ID, p.claim.Container, kind, why)
}

// judge reads all that the records say, and refuses what cannot be.
func (p *promotion) judge(e *edit, id nic.ClaimID) error {
	claim, _, found, err := get[nic.Claim](e, claimKey(id))
	if err != nil || !found {
		return orNotFound(err, "claim %s", id)
	}
	p.claim = claim
	node, _, found, err := get[nic.Node](e, nodeKey(claim.Owner.Node))
	if err != nil || !found {
		return orNotFound(err, "node %q", claim.Owner.Node)
	}
	p.node = p.a.withLife(node)
	p.network = p.a.networks[claim.Request.Network]
	switch {
	case p.network.Functions.IsZero():
		return p.refuse("is in network %q, which gives no VFs", claim.Request.Network)
	case claim.NIC == "":
		return p.refuse("has no NIC at present, and gets a VF with the next if one is free")
	case claim.Phase != nic.ClaimReady && claim.Phase != nic.ClaimBound:
		return p.refuse("is %s%s", claim.Phase, waitingFor(claim))
	case p.node.Phase != nic.NodeReady:
		return p.refuse("is on node %s, which is %s and could not take the NIC out", node.Name, p.node.Phase)
	}
	n, _, _, err := get[nic.NIC](e, nicKey(claim.NIC))
	if err != nil {
		return err
	}
	if !p.a.fellBack(n) {
		return p.refuse("has %s already", shapeOf(n.Spec.Device))
	}
	if !fallsBack(p.network.Functions) { // it was taken out of the config since
		return p.refuse("keeps %s: network %q has no fallback any more, so that it would be left with nothing if another container took the VF first; "+
			"put the fallback back into the config for as long as this takes, or make the container anew", shapeOf(n.Spec.Device), p.network.Name)
	}
	if other, err := p.before(e); err != nil || other != "" {
		return cmp.Or(err, p.not(provider.ErrBusy, fmt.Sprintf("has to wait: NIC %s on node %s is to get a VF first; again in a moment", other, node.Name)))
	}
	o, _, _, err := get[nic.Observed](e, observedKey(n.ID))
	p.plan = api.Promotion{
		Claim: id, Container: claim.Container, Node: node.Name, Network: p.network.Name, NIC: n.ID,
		Has: shapeOf(n.Spec.Device), Gets: p.gets(), Identity: claim.Identity, CutsOff: o.Running, OtherMAC: n.Spec.Device.Kind == nic.Ipvlan,
	}
	return err
}

// before is a NIC on the node that a VF may be chosen for at any moment: one that is
// planned, or one that goes for a promotion. "" is none.
func (p *promotion) before(e *edit) (nic.ID, error) {
	ids, err := idsOn(e, p.node.Name)
	if err != nil {
		return "", err
	}
	for _, id := range ids {
		n, _, found, err := peek[nic.NIC](e, nicKey(id))
		if err != nil {
			return "", err
		}
		if !found || n.Provider != p.network.Provider || n.Holder == "" {
			continue
		}
		if n.Phase == nic.PhasePlanned && !n.Placed {
			return id, nil
		}
		claim, _, found, err := peek[nic.Claim](e, claimKey(n.Holder))
		if err != nil {
			return "", err
		}
		if found && claim.NIC == id && goesOn(claim) && (n.Phase == nic.PhaseReturning || n.Phase == nic.PhaseRetiring) {
			return id, nil
		}
	}
	return "", nil
}

// goesOn says whether the claim gets another NIC on its node when the one that it
// has is gone.
func goesOn(claim nic.Claim) bool { return claim.Phase == nic.ClaimPending && claim.StoppedAt.IsZero() }

// gets says what the claim is to get.
func (p *promotion) gets() string {
	if len(p.network.Functions.PFs) > 1 {
		return fmt.Sprintf("a bond of %d VFs", len(p.network.Functions.PFs))
	}
	return "a VF"
}

// fits asks the provider for a VF, before anything is taken from anybody.
func (p *promotion) fits(ctx context.Context) error {
	of := p.a.opts.Providers[p.network.Provider]
	ctx, cancel := context.WithTimeout(ctx, worstCall(of))
	defer cancel()
	trial := p.a.newNIC(p.network, p.node, p.claim.Tenant, p.claim.Identity.MAC)
	trial.Spec.Functions.Fallback = nil
	if err := fits(ctx, of, trial.Spec, p.node); err != nil {
		return p.refuse("keeps %s: %s", p.plan.Has, err)
	}
	return nil
}
