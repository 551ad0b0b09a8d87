package allocator

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/allocator/ipam"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// identify chooses the claim's MAC and addresses and reserves them in the same
// commit. A reservation is written at the revision it was read at, so two
// claims can never hold one address, whoever commits and from where. A claim
// that has an identity keeps it, but for addresses that the config does not
// allow any more.
func (a *Allocator) identify(e *edit, claim *nic.Claim, network nic.Network) (*nic.Condition, error) {
	if hasIdentity(claim) && a.misfit(*claim) == "" {
		return nil, nil
	}
	former, wait, err := a.former(e, *claim, network)
	if wait != nil || err != nil {
		return wait, err
	}
	if hasIdentity(claim) {
		former = claim.Identity
	}
	i := identifying{a: a, e: e, claim: claim, network: network, former: former, owner: a.ownerName(*claim)}
	refusal, err := i.run()
	if refusal == nil && err == nil {
		refusal, err = i.takeAddrs()
	}
	if refusal != nil || err != nil {
		e.rollBack() // of the addresses that there were, before one was missing
		return refusal, err
	}
	if err := i.letGoOld(); err != nil {
		return nil, err
	}
	i.id.Space, i.id.Public = network.Space, claim.Identity.Public
	claim.Identity = i.id
	for _, r := range i.reserve {
		e.put(r.key, a.reservation(*claim), r.rev)
	}
	return nil, a.keepFor(e, *claim)
}

// identifying is one claim's choice of MAC and addresses.
type identifying struct {
	a       *Allocator
	e       *edit
	claim   *nic.Claim
	network nic.Network
	former  nic.Identity // of the last container of that name
	owner   string       // the container's name, as reservations have it
	id      nic.Identity
	reserve []reserved
}

// reserved is a reservation that is to be written.
type reserved struct {
	key string
	rev store.Rev
}

// letGoOld lets go what the claim had and has no more.
func (i *identifying) letGoOld() error {
	after, _ := i.a.resting(*i.claim)
	for _, p := range i.claim.Identity.Addrs {
		key := addrKey(i.claim.Identity.Space, p.Addr())
		if slices.ContainsFunc(i.reserve, func(r reserved) bool { return r.key == key }) {
			continue
		}
		if err := letGoOne(i.e, *i.claim, key, after); err != nil {
			return err
		}
	}
	return nil
}

// open says whether the claim may have what a reservation is for.
func (i *identifying) open(r nic.Reservation, found bool) bool {
	switch {
	case !found || r.Claim == i.claim.ID:
		return true
	case i.foreign(r): // its peers may know it as that tenant's for as long as it is remembered
		return !r.Held() && !i.a.now().Before(r.Until)
	}
	return r.OpenTo(i.owner, i.a.now())
}

// foreign says whether a reservation is or was another tenant's.
func (i *identifying) foreign(r nic.Reservation) bool {
	return nic.TenantOf(r.Tenant) != nic.TenantOf(i.claim.Tenant)
}

func (i *identifying) run() (*nic.Condition, error) {
	if i.id.MAC = i.claim.Identity.MAC; i.id.MAC.IsZero() && !i.a.opts.Providers[i.network.Provider].Info().DrawsMACs {
		if refusal, err := i.chooseMAC(); refusal != nil || err != nil {
			return refusal, err
		}
	}
	if i.network.Addressing != nic.AddrIPAM {
		return nil, nil
	}
	for _, want := range i.claim.Request.Addrs {
		if refusal, err := i.fixedAddr(want); refusal != nil || err != nil {
			return refusal, err
		}
	}
	for _, ipv6 := range []bool{false, true} {
		if hasFamily(i.id.Addrs, ipv6) || len(i.a.spans[spansOf{i.network.Name, ipv6}]) == 0 {
			continue
		}
		if refusal, err := i.freeAddr(ipv6); refusal != nil || err != nil {
			return refusal, err
		}
	}
	if len(i.id.Addrs) == 0 {
		return i.a.because(nic.ReasonBadRequest,
			"network %s has no range to choose from: ask for an address with %s", i.network.Name, nic.LabelIP), nil
	}
	return nil, nil
}

// chooseMAC takes the asked MAC, or that of the former container, or draws one
// that nobody holds.
func (i *identifying) chooseMAC() (*nic.Condition, error) {
	asked, draw := i.claim.Request.MAC, i.former.MAC
	if ok, err := i.spareMAC(); ok || err != nil {
		return nil, err
	}
	for {
		mac := asked
		if mac.IsZero() {
			mac = draw
		}
		if mac.IsZero() {
			mac = nic.NewMAC()
		}
		read := get[nic.Reservation]
		if asked.IsZero() && draw.IsZero() {
			read = getNone[nic.Reservation]
		}
		r, rev, found, err := read(i.e, macKey(mac))
		if err != nil {
			return nil, err
		}
		if i.open(r, found) {
			i.id.MAC = mac
			i.reserve = append(i.reserve, reserved{macKey(mac), rev})
			return nil, nil
		}
		if !asked.IsZero() {
			return i.takenBy(nic.ReasonMACTaken, "MAC "+mac.String(), r)
		}
		draw = nic.MAC{}
	}
}

// fixedAddr takes an address that the user asked for.
func (i *identifying) fixedAddr(want netip.Addr) (*nic.Condition, error) {
	addr, notAllowed := ipam.Fixed(i.network, want)
	if notAllowed != nil {
		return i.a.because(nic.ReasonAddressNotAllowed, "%s", notAllowed), nil
	}
	if other, ok := i.a.gateways[spaceAddr{i.network.Space, want}]; ok {
		return i.a.because(nic.ReasonAddressNotAllowed, "%s is %s", want, i.a.gatewayFor(i.claim.Tenant, other)), nil
	}
	r, rev, found, err := get[nic.Reservation](i.e, addrKey(i.network.Space, want))
	switch {
	case err != nil:
		return nil, err
	case !i.open(r, found):
		return i.takenBy(nic.ReasonAddressTaken, want.String(), r)
	}
	if other, ok := i.a.givenByOthers(spaceAddr{i.network.Space, want}, i.claim); ok {
		i.e.holder = other
		return i.a.because(nic.ReasonAddressTaken, "%s was given by others to %s", want, nameFor(i.e, i.claim.Tenant, other)), nil
	}
	i.id.Addrs = append(i.id.Addrs, addr)
	i.reserve = append(i.reserve, reserved{addrKey(i.network.Space, want), rev})
	return nil, nil
}

// takenBy says who has an address or a MAC. What cools down is tried again
// when it has.
func (i *identifying) takenBy(reason nic.Reason, what string, r nic.Reservation) (*nic.Condition, error) {
	i.e.holder = r.Claim
	switch {
	case r.Held() && r.Claim == "":
		return i.a.because(reason, "%s is held by a NIC in reserve", what), nil
	case r.Held():
		return i.a.because(reason, "%s is held by %s", what, nameFor(i.e, i.claim.Tenant, r.Claim)), nil
	}
	free := r.Free
	if i.foreign(r) {
		free = r.Until
	}
	c := i.a.because(reason, "%s cools down until %s, after a container that is gone", what, free.Format("15:04:05 MST"))
	c.Deadline = free
	return c, nil
}

// freeAddr takes the former container's address if it may still be given, or
// the first that is free.
func (i *identifying) freeAddr(ipv6 bool) (*nic.Condition, error) {
	spans := i.a.spans[spansOf{i.network.Name, ipv6}]
	for _, p := range i.former.Addrs {
		if p.Addr().Is6() != ipv6 || !ipam.Contains(spans, p.Addr()) {
			continue
		}
		r, rev, found, err := get[nic.Reservation](i.e, addrKey(i.network.Space, p.Addr()))
		if err != nil {
			return nil, err
		}
		_, elsewhere := i.a.givenByOthers(spaceAddr{i.network.Space, p.Addr()}, i.claim)
		if i.open(r, found) && !elsewhere {
			i.take(p.Addr(), rev)
			return nil, nil
		}
	}
	c := i.a.addresses(i.network.Space, spans)
	var passed []func()
	defer func() {
		for _, undo := range passed {
			undo()
		}
	}()
	for {
		got, none, err := c.choose(i.e)
		if err != nil {
			return nil, fmt.Errorf("look for a free address: %w", err)
		}
		if none != nil {
			return i.full(ipv6, *none), nil
		}
		if _, elsewhere := i.a.givenByOthers(spaceAddr{i.network.Space, got.key}, i.claim); !elsewhere {
			i.take(got.key, got.rev)
			return nil, nil
		}
		passed = append(passed, i.e.undo[len(i.e.undo)-1]) // it was given by a DHCP server: passed over
		i.e.undo = i.e.undo[:len(i.e.undo)-1]
	}
}

func (i *identifying) take(addr netip.Addr, rev store.Rev) {
	subnet, _ := i.network.SubnetOf(addr)
	i.id.Addrs = append(i.id.Addrs, netip.PrefixFrom(addr, subnet.Prefix.Bits()))
	i.reserve = append(i.reserve, reserved{addrKey(i.network.Space, addr), rev})
}

// full says that all addresses of an IP version are taken. When the next one
// has cooled down, the claim is tried again.
func (i *identifying) full(ipv6 bool, none shortage[netip.Addr]) *nic.Condition {
	var holders []string
	for _, addr := range none.held {
		if r, _, found, err := get[nic.Reservation](i.e, addrKey(i.network.Space, addr)); err == nil && found && r.Held() && !i.foreign(r) {
			holders = append(holders, nameOf(i.e, r.Claim))
		}
	}
	what := fmt.Sprintf("network %s: every address of %s is taken", i.network.Name, ipam.Ranges(i.network, ipv6))
	c := i.a.because(nic.ReasonExhausted, "%s", ipam.Full(what, none.use, holders))
	c.Deadline = none.use.Next
	return c
}

// addresses is a search for an address of the spans.
func (a *Allocator) addresses(space string, spans []ipam.Span[netip.Addr]) choosing[netip.Addr] {
	return choosing[netip.Addr]{
		taken:  a.taken,
		pool:   func() *ipam.Pool[netip.Addr] { return poolOf(a.taken.addrs, space) },
		spans:  spans,
		record: func(addr netip.Addr) string { return addrKey(space, addr) },
	}
}

// nameOf says for people which container a claim is of.
func nameOf(e *edit, id nic.ClaimID) string {
	claim, _, found, err := get[nic.Claim](e, claimKey(id))
	if err != nil || !found {
		return fmt.Sprintf("claim %s", id)
	}
	return fmt.Sprintf("container %q on %s (claim %s)", claim.Container, claim.Owner.Node, id)
}

func hasFamily(addrs []netip.Prefix, ipv6 bool) bool {
	for _, p := range addrs {
		if p.Addr().Is6() == ipv6 {
			return true
		}
	}
	return false
}

// hasIdentity is not a method of nic.Claim because only the allocator may ask:
// with DHCP at a provider that draws MACs there is nothing to hold.
func hasIdentity(claim *nic.Claim) bool {
	return !claim.Identity.MAC.IsZero() || len(claim.Identity.Addrs) > 0
}

// spareMAC takes the MAC of a NIC in reserve that the claim may have: that of
// the former container, or any if there was none.
func (i *identifying) spareMAC() (bool, error) {
	if !i.claim.Request.MAC.IsZero() {
		return false, nil
	}
	it, ok, err := i.a.spareFor(i.e, *i.claim, i.network, i.claim.Owner.Node, i.former.MAC)
	if !ok || err != nil {
		return false, err
	}
	r, rev, found, err := get[nic.Reservation](i.e, macKey(it.MAC))
	if err != nil || !found || r.Owner != nicKey(it.ID) {
		return false, err
	}
	i.id.MAC, i.e.spare = it.MAC, it.ID
	i.reserve = append(i.reserve, reserved{macKey(it.MAC), rev})
	return true, nil
}
