package vmagent

import (
	"net/netip"
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/dhcp"
	"github.com/nicferry/nicferry/vmagent/dhcp6"
	"github.com/nicferry/nicferry/vmagent/lease"
)

// addLease adds what the DHCPv4 server gave, where the network has one.
func (a *Agent) addLease(p *plug, w nic.Wanted, l3 *nic.Layer3, said *nic.Observed) (err error) {
	if !l3.DHCP {
		p.hideLease(dhcp4Leases)
		return p.stopKeeper(true)
	}
	if p.keeper == nil {
		if p.keeper, err = dhcp.Start(a.leaseOptions(p.ns, p.index, w)); err != nil {
			return err
		}
	}
	state := p.keeper.State()
	p.showLease(dhcp4Leases, state.Bound)
	if !state.Bound {
		waitingForDHCP(said, "DHCP", state.Since, state.Err)
		a.remembered(w, a.cache.dropLease(w.NIC))
		return nil
	}
	lease := state.Lease
	l3.Addrs = append(l3.Addrs, lease.Addr)
	if lease.Router.IsValid() {
		l3.Gateways = append(l3.Gateways, lease.Router)
	}
	l3.Routes = append(l3.Routes, lease.Routes...)
	p.leaseDNS = append(p.leaseDNS, nic.DNS{Servers: lease.DNS, Search: lease.Search})
	said.LeaseEnds = lease.Expires.UTC()
	a.remembered(w, a.cache.saveLease(w.NIC, lease))
	return nil
}

// addLease6 adds what the DHCPv6 server gave, where the network has one.
func (a *Agent) addLease6(p *plug, w nic.Wanted, l3 *nic.Layer3, said *nic.Observed) (err error) {
	if l3.IPv6Mode != nic.IPv6DHCP {
		p.hideLease(dhcp6Leases)
		return p.stopKeeper6(true)
	}
	if p.keeper6 == nil {
		if p.keeper6, err = dhcp6.Start(a.lease6Options(p.ns, p.index, w)); err != nil {
			return err
		}
	}
	state := p.keeper6.State()
	p.showLease(dhcp6Leases, state.Bound)
	if !state.Bound {
		waitingForDHCP(said, "DHCPv6", state.Since, state.Err)
		a.remembered(w, a.cache.dropLease6(w.NIC))
		return nil
	}
	l3.Addrs = append(l3.Addrs, state.Lease.Addr)
	p.leaseDNS = append(p.leaseDNS, nic.DNS{Servers: state.Lease.DNS, Search: state.Lease.Search})
	a.remembered(w, a.cache.saveLease6(w.NIC, state.Lease))
	return nil
}

// remembered tells that the cache did not take what a next agent is to know,
// such as on a full disk. The container has, or gives back, its NIC all the same.
func (a *Agent) remembered(w nic.Wanted, err error) {
	if err != nil {
		a.opts.Log.Warn("cache not written, a next agent will know less", "nic", w.NIC, "claim", w.Claim, "err", err)
	}
}

// leaseOptions are those of the claim's lease, over the link at index in ns.
func (a *Agent) leaseOptions(ns *netns.Namespace, index int, w nic.Wanted) dhcp.Options {
	last, err := a.cache.lease(w.NIC)
	if err != nil {
		a.opts.Log.Warn("lease not read from the cache, a new one is asked for", "nic", w.NIC, "claim", w.Claim, "err", err)
	}
	if last == nil {
		if addr := lastOf(w, netip.Addr.Is4); addr.IsValid() {
			last = &dhcp.Lease{Grant: lease.Grant{Addr: addr}}
		}
	}
	key := keyOf(w)
	return dhcp.Options{
		Listen: func() (dhcp.Conn, error) {
			if err := a.ferry.AwaitCarrier(ns, index); err != nil {
				return nil, err
			}
			return a.wires.Listen(ns, index)
		},
		MAC:      w.Device.MAC,
		ClientID: w.Claim.DHCPClientID(),
		Lease:    last,
		Routes:   w.Layer3.DHCPRoutes,
		Wake:     func() { a.queue.Wake(key) },
		Log:      a.opts.Log.With("nic", w.NIC, "claim", w.Claim),
		Told:     func(event lease.Event) { a.opts.Observer.Leased(dhcp4Leases, string(event)) },
	}
}

func (a *Agent) lease6Options(ns *netns.Namespace, index int, w nic.Wanted) dhcp6.Options {
	last, err := a.cache.lease6(w.NIC)
	if err != nil {
		a.opts.Log.Warn("DHCPv6 lease not read from the cache, a new one is asked for", "nic", w.NIC, "claim", w.Claim, "err", err)
	}
	if last == nil {
		if addr := lastOf(w, netip.Addr.Is6); addr.IsValid() {
			last = &dhcp6.Lease{Grant: lease.Grant{Addr: addr}}
		}
	}
	key := keyOf(w)
	return dhcp6.Options{
		Listen: func() (dhcp6.Conn, error) { return a.wires6.Listen(ns, index) },
		DUID:   dhcp6.ClaimDUID(w.Claim),
		IAID:   dhcp6.InterfaceIAID(w.Owner.Interface),
		Lease:  last,
		Wake:   func() { a.queue.Wake(key) },
		Log:    a.opts.Log.With("nic", w.NIC, "claim", w.Claim),
		Told:   func(event lease.Event) { a.opts.Observer.Leased(dhcp6Leases, string(event)) },
	}
}

// dhcpDeadline is how long a container waits for its first lease before the
// wait is shown as overdue. It goes on waiting, and keeps its NIC.
const dhcpDeadline = time.Minute

// waitingForDHCP tells what is waited for since when, and what the trouble is.
func waitingForDHCP(said *nic.Observed, protocol string, since time.Time, trouble error) {
	waiting := nic.Condition{
		Reason: nic.ReasonWaitingForDHCP, Message: "no " + protocol + " server has given a lease yet",
		Since: since.UTC(), Deadline: since.Add(dhcpDeadline).UTC(),
	}
	if trouble != nil {
		waiting.Message += ": " + trouble.Error()
	}
	nic.SetCondition(&said.Conditions, waiting)
}
