package allocator

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strings"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// Wanted lists what is wanted of a node: every NIC that is on it or on its way
// there or back, once its recipe is known, and every claim that has no NIC. The
// revision is for WaitChange. A session older than the node's newest is
// ErrStale, so that an agent which has been replaced learns it before it acts;
// session 0 only looks.
func (a *Allocator) Wanted(ctx context.Context, node string, session uint64) ([]nic.Wanted, uint64, error) {
	now, err := a.Node(ctx, node)
	if err != nil {
		return nil, 0, err
	}
	if err := fence(ctx, "question what is wanted", now); err != nil {
		return nil, 0, err
	}
	if session != 0 { // who only looks is no sign of life
		if err := admitNode("question what is wanted", now); err != nil {
			return nil, 0, err
		}
		if fenced && session != now.Session {
			return nil, 0, stale("question what is wanted", now, session)
		}
		a.heard(node)
		if now.Phase == nic.NodeLost {
			if err := a.comeBack(ctx, node, session); err != nil {
				return nil, 0, err
			}
		}
	}
	list, rev, err := a.listWanted(ctx, node)
	if err == nil && session != 0 {
		a.answers.note(node, session, rev, list)
	}
	return list, uint64(rev), err
}

// listWanted is Wanted for whoever asks. What it lists is of the revision or later.
func (a *Allocator) listWanted(ctx context.Context, node string) ([]nic.Wanted, store.Rev, error) {
	records, rev, err := a.opts.Store.List(ctx, onPrefix(node), "", 0)
	if err != nil {
		return nil, 0, err
	}
	e := a.reader(ctx)
	wanted := []nic.Wanted{}
	listed := map[nic.ClaimID]bool{}
	for _, r := range records {
		w, ok, err := a.wantedNIC(e, node, nic.ID(strings.TrimPrefix(r.Key, onPrefix(node))))
		if err != nil {
			return nil, 0, err
		}
		if ok {
			wanted = append(wanted, w)
			listed[w.Claim] = true
		}
	}
	waiting, err := a.waitingClaims(e, node, listed)
	return append(wanted, waiting...), rev, err
}

// wantedNIC says what is wanted of a NIC, unless its node has no part in it at
// present.
func (a *Allocator) wantedNIC(e *edit, node string, id nic.ID) (nic.Wanted, bool, error) {
	n, _, found, err := peek[nic.NIC](e, nicKey(id))
	planned := n.Phase == nic.PhasePlanned
	if err != nil || !found || n.Node != node || n.Carries || !told(n) || planned && n.Turn == 0 || n.Phase == nic.PhaseRetiring {
		return nic.Wanted{}, false, err
	}
	w := nic.Wanted{NIC: n.ID, Gone: n.Phase == nic.PhaseReturning, Device: deviceOf(n), Network: n.Network, Again: n.Again, Turn: n.Turn}
	claim, _, found, err := peek[nic.Claim](e, claimKey(n.Holder))
	if err == nil && found && claim.NIC == n.ID && onMove(claim) {
		a.wantedMoving(&w, n, claim)
		return w, !planned || w.Claim != "", nil
	}
	if planned {
		return nic.Wanted{}, false, err
	}
	if err == nil && found && claim.NIC == n.ID && claim.Owner.Node == n.Node { // else it has moved on, and the NIC is nobody's there
		w.Claim, w.Epoch, w.Owner, w.Container = claim.ID, claim.Epoch, claim.Owner, claim.Container
		w.Layer3 = a.layer3Of(n, claim)
		w.Moves = w.Gone && goesOn(claim) && a.fellBack(n) // to its next NIC, with its leases
	}
	return w, true, err
}

// deviceOf is the recipe that the node is given. A found NIC is born with the MTU
// that its provider says, which not every one can be asked to change.
func deviceOf(n nic.NIC) nic.Device {
	d := n.Seen.Device
	if n.Carries && d.Kind == "" { // see seen
		d.Kind = nic.Found
	}
	if d.Kind == nic.Found && n.Spec.MTU != 0 {
		d.MTU = n.Spec.MTU
	}
	return withFormer(d, n.Former)
}

func (a *Allocator) layer3Of(n nic.NIC, claim nic.Claim) nic.Layer3 {
	if network, ok := a.networks[n.Network]; ok && a.misfit(claim) == "" {
		return layer3(network, claim, n.Seen.Subnets)
	}
	return n.Layer3
}

// wantedMoving says whose a NIC on the move is on its node: the former owner's or
// the target's. As long as nobody knows the target's container it is kept ready.
func (a *Allocator) wantedMoving(w *nic.Wanted, n nic.NIC, claim nic.Claim) {
	m := claim.Move
	w.Moves = w.Gone
	owner, container := m.From, claim.Container
	if n.Node == m.To.Node {
		owner, container = m.To, m.Target
	}
	if owner.Node != n.Node || owner.Sandbox == "" {
		return
	}
	w.Claim, w.Epoch, w.Owner, w.Container = claim.ID, claim.Epoch, owner, container
	w.Layer3 = a.layer3Of(n, claim)
	if !w.Gone { // also of addresses that no server gives: they are announced at once
		w.Last = m.Last
	}
}

// waitingClaims lists the node's claims that no listed NIC stands for.
func (a *Allocator) waitingClaims(e *edit, node string, listed map[nic.ClaimID]bool) ([]nic.Wanted, error) {
	claims, err := claimsOn(e, node, listed)
	if err != nil {
		return nil, err
	}
	var waiting []nic.Wanted
	for _, r := range claims {
		claim := r.Value
		if onMove(claim) {
			w, ok, err := a.expected(e, node, claim)
			if err != nil {
				return nil, err
			}
			if ok {
				waiting = append(waiting, w)
			}
			continue
		}
		if claim.Phase != nic.ClaimReleasing {
			waiting = append(waiting, nic.Wanted{
				Claim: claim.ID, Epoch: claim.Epoch, Owner: claim.Owner, Container: claim.Container, Network: claim.Request.Network,
			})
		}
	}
	return waiting, nil
}

// expected is what will be wanted of a NIC that is carried to the node and not
// there yet, in the same words: the node has all ready when it is plugged in, which
// it may see before we hear of it. What it says of the NIC counts from when that has
// left where it was, and as that node may have it from then on, it is asked for its
// word again before the NIC goes anywhere else.
func (a *Allocator) expected(e *edit, node string, claim nic.Claim) (nic.Wanted, bool, error) {
	if claim.NIC == "" || claim.Move.At != node {
		return nic.Wanted{}, false, nil
	}
	n, _, found, err := get[nic.NIC](e, nicKey(claim.NIC))
	if err != nil || !found || n.Node == node || n.Going != node || n.Seen.Device.Kind != nic.Found {
		return nic.Wanted{}, false, err
	}
	n.Node, n.Phase = node, nic.PhasePlanned
	w := nic.Wanted{NIC: n.ID, Device: deviceOf(n), Network: n.Network, Again: n.Again, Turn: n.Turn + 1}
	a.wantedMoving(&w, n, claim)
	return w, w.Claim != "", nil
}

// subnetOf is the subnet that an address is from: the network's own, or one that
// the provider has named.
func subnetOf(network nic.Network, given []nic.Subnet, addr netip.Addr) (nic.Subnet, bool) {
	if s, ok := network.SubnetOf(addr); ok {
		return s, true
	}
	return nic.Network{Subnets: given}.SubnetOf(addr)
}

// layer3 is the addressing that a claim gets in its container; given are the
// subnets that the provider has named with its addresses.
func layer3(network nic.Network, claim nic.Claim, given []nic.Subnet) nic.Layer3 {
	l3 := nic.Layer3{
		DHCP:             network.Addressing == nic.AddrDHCP,
		Addrs:            claim.Identity.Addrs,
		Routes:           network.Routes,
		DefaultRoute:     claim.Request.DefaultRoute,
		IPv6:             network.HasIPv6(),
		IPv6Mode:         network.IPv6,
		DHCPRoutes:       network.DHCPRoutes,
		DNS:              network.DNS,
		Probe:            network.Probe,
		Silent:           network.Silent,
		UncheckedGateway: network.UncheckedGateway,
		Metadata:         network.Metadata,
		Isolated:         network.Isolated,
		AlsoAddrs:        network.AlsoAddrs,
	}
	for _, p := range l3.Addrs {
		s, ok := subnetOf(network, given, p.Addr())
		family := func(gw netip.Addr) bool { return gw.Is4() == s.Gateway.Is4() }
		if ok && s.Gateway.IsValid() && !slices.ContainsFunc(l3.Gateways, family) {
			l3.Gateways = append(l3.Gateways, s.Gateway)
		}
	}
	return l3
}

// WaitChange waits until what is wanted of the node may have changed since the
// revision, and returns the newer one. It does not return for what the node's agent
// has been answered already. A caller whose session is not the node's newest, also by
// then, gets ErrStale.
func (a *Allocator) WaitChange(ctx context.Context, node string, after uint64) (uint64, error) {
	if err := a.hear(ctx, node); err != nil {
		return 0, err
	}
	_, now, err := a.opts.Store.List(ctx, onPrefix(node), "", 1)
	if err != nil || store.Rev(after) > now {
		return uint64(now), err // from the future: the store was put back from a backup
	}
	for seen := store.Rev(after); ; {
		rev, sure, err := a.changes.wait(ctx, node, seen)
		if err == nil || ctx.Err() != nil { // it has waited until here
			err = cmp.Or(a.hear(context.WithoutCancel(ctx), node), err)
		}
		if err != nil || sure || !a.isAnswered(ctx, node, store.Rev(after)) {
			return uint64(rev), err
		}
		seen = rev
	}
}

// hear notes a sign of life of the node, unless it is one of an agent that has no
// say there any more.
func (a *Allocator) hear(ctx context.Context, node string) error {
	err := fenceNode(a.reader(ctx), "watch", node)
	if err == nil {
		a.heard(node)
	}
	return err
}
