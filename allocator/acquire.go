package allocator

import (
	"cmp"
	"context"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Acquire says that the container interface owner runs, or is going to, and
// wants a NIC as req describes. It is idempotent on owner and never waits: the claim it
// returns says how far things are. A request that cannot be met becomes a
// refused claim, not an error, so that everybody can see why; it is tried
// again here, and whenever an address comes free.
func (a *Allocator) Acquire(ctx context.Context, owner nic.Owner, container string, req nic.Request) (nic.Claim, error) {
	if err := owner.Validate(); err != nil {
		return nic.Claim{}, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if owner.Interface != req.Interface {
		return nic.Claim{}, fmt.Errorf("%w: the owner's interface is %q, the request's %q", ErrInvalid, owner.Interface, req.Interface)
	}
	var claim nic.Claim
	err := a.atomically(ctx, func(e *edit) error {
		a.embolden(e, owner)
		node, err := acquirer(e, owner.Node)
		if err != nil {
			return err
		}
		if e.bold { // its agent may have been replaced: the commit says
			e.after = append(e.after, func(store.Rev) { a.heard(owner.Node) })
		} else {
			a.heard(owner.Node)
		}
		claim, err = a.acquire(e, node, owner, container, req)
		return err
	})
	return claim, err
}

// acquirer is the node that a NIC is asked for, if it may have one. The edit
// passes only while the node's record is the same.
func acquirer(e *edit, name string) (nic.Node, error) {
	node, rev, found, err := peekSeen[nic.Node](e, nodeKey(name))
	if err != nil {
		return node, err
	}
	if !found {
		return node, fmt.Errorf("node %q: %w: its agent has not said hello", name, ErrNotFound)
	}
	if err := cmp.Or(admitNode("acquire", node), fence(e.ctx, "acquire", node)); err != nil {
		return node, err
	}
	e.fenceAt(nodeKey(name), rev)
	return node, nil
}

func (a *Allocator) acquire(e *edit, node nic.Node, owner nic.Owner, container string, req nic.Request) (nic.Claim, error) {
	if node.Phase == nic.NodeLost {
		return nic.Claim{}, fmt.Errorf("node %q: %w: it is being forgotten; its agent gets NICs again once it has asked what is wanted of it",
			owner.Node, ErrNotFound)
	}
	id, _, found, err := getNone[nic.ClaimID](e, ownerKey(owner))
	if err != nil {
		return nic.Claim{}, err
	}
	now := a.now()
	if !found {
		if claim, decided, err := a.elsewhere(e, owner, container); decided || err != nil {
			return claim, err
		}
		if claim, adopted, err := a.adopt(e, owner, container, req); adopted || err != nil {
			return claim, err
		}
		if err := a.crowds.room(owner.Node, a.opts.MaxClaims); err != nil {
			return nic.Claim{}, err
		}
		claim := nic.Claim{
			Schema: nic.Schema, ID: nic.NewClaimID(), Owner: owner, Container: container,
			Request: req, Phase: nic.ClaimPending, Epoch: 1, Created: now, Since: now,
		}
		if err := a.reserve(e, &claim); err != nil {
			return nic.Claim{}, err
		}
		e.create(ownerKey(owner), claim.ID)
		if err := a.grant(e, &claim, node); err != nil {
			return nic.Claim{}, err
		}
		e.create(claimKey(claim.ID), claim)
		return claim, nil
	}
	claim, rev, found, err := get[nic.Claim](e, claimKey(id))
	if err != nil {
		return nic.Claim{}, err
	}
	if !found {
		return nic.Claim{}, fmt.Errorf("claim %s of %s: %w", id, owner, store.ErrConflict) // released this moment
	}
	changed, err := a.reacquire(e, &claim, container, req, node)
	if changed && err == nil {
		e.update(claimKey(id), claim, rev)
	}
	return claim, err
}

// reacquire brings a claim that is there already up to date with its owner's
// wish, and reports whether it changed.
func (a *Allocator) reacquire(e *edit, claim *nic.Claim, container string, req nic.Request, node nic.Node) (bool, error) {
	if onMove(*claim) {
		return false, nil
	}
	changed := false
	runs := !req.Unstarted                                   // one that has moved here stopped was started elsewhere, and does not run
	req.Unstarted = req.Unstarted && claim.Request.Unstarted // what was started once, was
	if claim.Request.Unstarted && !req.Unstarted {
		claim.Request.Unstarted, changed = false, true
	}
	if !claim.StoppedAt.IsZero() && runs {
		claim.StoppedAt, changed = time.Time{}, true
	}
	if claim.Container != container { // docker rename
		if err := a.unkeep(e, *claim); err != nil {
			return false, err
		}
		claim.Container, changed = container, true
		if !a.mayGrant(*claim) {
			return true, a.keepFor(e, *claim)
		}
	}
	if !a.mayGrant(*claim) || !changed && a.tooSoon(*claim) && req.Equal(claim.Request) {
		return changed, nil
	}
	before := *claim
	before.Conditions = slices.Clone(claim.Conditions) // clearing them zeroes the elements
	claim.Request = req
	if err := a.grant(e, claim, node); err != nil {
		return false, err
	}
	same := before.Phase == claim.Phase && before.NIC == claim.NIC &&
		slices.EqualFunc(before.Conditions, claim.Conditions, sayTheSame) && before.Request.Equal(req)
	return changed || !same, nil
}

// mayGrant says whether a NIC can be given to the claim now: it waits for one,
// and its last is gone.
func (a *Allocator) mayGrant(claim nic.Claim) bool {
	open := claim.Phase == nic.ClaimRefused || claim.Phase == nic.ClaimPending
	return open && claim.StoppedAt.IsZero() && claim.NIC == ""
}

// grant gives the claim its identity, if it has none, and plans a NIC for it;
// or refuses it with the reason.
func (a *Allocator) grant(e *edit, claim *nic.Claim, node nic.Node) error {
	if !node.Revoked.IsZero() {
		a.await(claim, revoked(node))
		return nil
	}
	network, refusal := a.admit(claim)
	if refusal == nil {
		var giveBack func()
		var err error
		if refusal, giveBack, err = a.takeNIC(e, *claim); err != nil {
			return err
		}
		defer func() {
			if claim.NIC == "" {
				giveBack()
			}
		}()
	}
	if refusal == nil {
		var err error
		if refusal, err = a.identify(e, claim, network); err != nil {
			return err
		}
	}
	if refusal != nil && refusal.Reason == nic.ReasonWaitingForFormer {
		a.await(claim, *refusal)
		return nil
	}
	if refusal != nil {
		a.record(e, *claim, *refusal)
		a.refuse(claim, *refusal)
		return nil
	}
	if tired := a.overtried(claim); tired != nil {
		a.refuse(claim, *tired)
		return nil
	}
	asked := a.asked(*claim)
	nic.ClearCondition(&claim.Conditions)
	a.setClaimPhase(claim, nic.ClaimPending)
	if claim.Request.Unstarted && a.aheadLeft(*claim) == 0 {
		claim.StoppedAt = a.now() // it gets its NIC when it is started
		return nil
	}
	a.forgetGiven(claim, network)
	if network.Cloud.Seats() {
		return a.seat(e, claim, network, node, asked)
	}
	if took, err := a.takeSpare(e, claim, network, node, asked); took || err != nil {
		return err
	}
	a.plan(e, claim, network, node, asked)
	return nil
}

// admit settles a claim's tenant, and checks its request for what needs no look
// at other records.
func (a *Allocator) admit(claim *nic.Claim) (nic.Network, *nic.Condition) {
	req := claim.Request
	if refusal := a.entitle(claim); refusal != nil {
		return nic.Network{}, refusal
	}
	if len(req.Faults) > 0 {
		return nic.Network{}, a.because(nic.ReasonBadRequest, "%s", req.Faults)
	}
	network, ok := a.networks[req.Network]
	switch {
	case !ok:
		return nic.Network{}, a.because(nic.ReasonUnknownNetwork,
			"no network %q in the controller's config; 'nicferry get networks' lists them", req.Network)
	case !network.For(claim.Tenant):
		return nic.Network{}, a.because(nic.ReasonTenantNotAllowed,
			"tenant %s may not use network %s", nic.TenantOf(claim.Tenant), network.Name)
	case req.FromImage && !network.ImageLabels:
		return nic.Network{}, a.because(nic.ReasonImageLabel,
			"the label comes from the image; network %s takes those of docker run alone, unless its config says imageLabels: true", network.Name)
	case network.Addressing == nic.AddrDHCP && len(req.Addrs) > 0:
		return nic.Network{}, a.because(nic.ReasonBadRequest,
			"network %s gets its addresses by DHCP: reserve %s at the DHCP server, or use a network with addressing ipam", network.Name, req.Addrs[0])
	case network.Cloud.Seats() && !network.Cloud.Shared && len(req.Addrs) > 0:
		return nic.Network{}, a.because(nic.ReasonBadRequest,
			"containers of network %s get an address that the cloud picks; remove the label, or use a network with movable nic", network.Name)
	case network.Cloud.Shared && len(req.Addrs) > 0:
		return nic.Network{}, a.because(nic.ReasonBadRequest,
			"containers of network %s share NICs, and get an address that these have already; remove the label, or use a network with mode dedicated", network.Name)
	case !req.MAC.IsZero() && a.opts.Providers[network.Provider].Info().DrawsMACs:
		return nic.Network{}, a.because(nic.ReasonBadRequest,
			"the provider of network %s draws the MACs; remove the label", network.Name)
	}
	return network, nil
}

// forgetGiven forgets what the provider gave the last NIC of a claim that is to have
// another one: the next gets a MAC and addresses of its own.
func (a *Allocator) forgetGiven(claim *nic.Claim, network nic.Network) {
	if a.opts.Providers[network.Provider].Info().DrawsMACs {
		claim.Identity.MAC = nic.MAC{}
	}
	if claim.Identity.Given {
		claim.Identity.Addrs, claim.Identity.Given = nil, false
	}
}

// plan records a NIC for the claim. Nothing has been asked of the provider
// yet: the record is the intent.
func (a *Allocator) plan(e *edit, claim *nic.Claim, network nic.Network, node nic.Node, asked time.Time) {
	n := a.newNIC(network, node, claim.Tenant, claim.Identity.MAC)
	n.Holder = claim.ID
	n.Steps = []nic.Step{{Name: nic.StepAsked, At: asked}}
	a.stepped(&n, nic.StepPlanned)
	switch {
	case network.Addressing == nic.AddrProvider:
		n.Spec.Addrs = claim.Request.Addrs
	case network.Pool.Max == 0: // otherwise others may have it later
		n.Spec.Addrs = addrsOf(claim.Identity)
	}
	if !network.Functions.IsZero() { // of all others no choice depends on it
		n.Spec.NUMA, n.Spec.Failed = claim.Request.NUMA, failedVFs(*claim)
	}
	n.Layer3 = layer3(network, *claim, nil)
	claim.NIC = n.ID
	a.plugByNote(e, claim, &n, node)
	e.create(nicKey(n.ID), n)
	e.create(onKey(n.Node, n.ID), n.ID)
}

// newNIC is a NIC of the network for the node that is to be made.
func (k clock) newNIC(network nic.Network, node nic.Node, tenant string, mac nic.MAC) nic.NIC {
	now := k.now()
	n := nic.NIC{
		Schema: nic.Schema, ID: nic.NewID(), Tenant: tenant, Network: network.Name,
		Provider: network.Provider, Node: node.Name, Instance: instanceOf(node, network.Provider),
		Phase: nic.PhasePlanned, Created: now, Since: now,
	}
	n.Spec = nic.Spec{
		NIC: n.ID, Network: network.Name, Tenant: tenant, Node: node.Name,
		MAC: mac, MTU: network.MTU, Device: network.Device, Port: network.Port,
		Cloud: network.Cloud.Spec(), Functions: network.Functions,
	}
	if n.Spec.Device.Kind != "" {
		n.Spec.Device.MAC, n.Spec.Device.MTU = mac, network.MTU
	}
	return n
}

// instanceOf is the node's id at a provider.
func instanceOf(node nic.Node, provider string) nic.InstanceID {
	if id, ok := node.Instances[provider]; ok {
		return id
	}
	return nic.InstanceID(node.Name)
}

func addrsOf(id nic.Identity) []netip.Addr {
	var addrs []netip.Addr
	for _, p := range id.Addrs {
		addrs = append(addrs, p.Addr())
	}
	return addrs
}
