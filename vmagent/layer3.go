package vmagent

import (
	"time"

	"github.com/nicferry/nicferry/internal/netns"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/dhcp"
)

// dhcpDeadline is how long a container waits for its first lease before the
// wait is shown as overdue. It goes on waiting, and keeps its NIC.
const dhcpDeadline = time.Minute

// withLease adds what the DHCP server gave to the wanted addressing, and says
// so in the report; without a lease it says what is waited for.
func (a *Agent) withLease(p *plug, ns *netns.Namespace, index int, w nic.Wanted, said *nic.Observed) (nic.Layer3, error) {
	l3 := w.Layer3
	p.leaseDNS = nic.DNS{}
	if !l3.DHCP {
		return l3, p.stopKeeper(true)
	}
	if p.index != index { // the container destroyed the NIC, and has another one now
		if err := p.stopKeeper(false); err != nil {
			return l3, err
		}
	}
	if p.keeper == nil {
		var err error
		if p.keeper, err = dhcp.Start(a.leaseOptions(ns, index, w)); err != nil {
			return l3, err
		}
		p.index = index
	}
	state := p.keeper.State()
	if !state.Bound {
		waiting := nic.Condition{
			Reason: nic.ReasonWaitingForDHCP, Message: "no DHCP server has given a lease yet",
			Since: state.Since.UTC(), Deadline: state.Since.Add(dhcpDeadline).UTC(),
		}
		if state.Err != nil {
			waiting.Message += ": " + state.Err.Error()
		}
		nic.SetCondition(&said.Conditions, waiting)
		return l3, a.cache.dropLease(w.NIC)
	}
	l3.Addrs = append(l3.Addrs[:len(l3.Addrs):len(l3.Addrs)], state.Lease.Addr)
	if state.Lease.Router.IsValid() {
		l3.Gateways = append(l3.Gateways[:len(l3.Gateways):len(l3.Gateways)], state.Lease.Router)
	}
	l3.Routes = append(l3.Routes[:len(l3.Routes):len(l3.Routes)], state.Lease.Routes...)
	p.leaseDNS = nic.DNS{Servers: state.Lease.DNS, Search: state.Lease.Search}
	said.LeaseEnds = state.Lease.Expires.UTC()
	return l3, a.cache.saveLease(w.NIC, state.Lease)
}

// leaseOptions are those of the claim's lease, over the link at index in ns.
func (a *Agent) leaseOptions(ns *netns.Namespace, index int, w nic.Wanted) dhcp.Options {
	lease, err := a.cache.lease(w.NIC)
	if err != nil {
		a.opts.Log.Warn("lease not read from the cache, a new one is asked for", "nic", w.NIC, "err", err)
	}
	key := keyOf(w)
	return dhcp.Options{
		Listen:   func() (dhcp.Conn, error) { return a.wires.Listen(ns, index) },
		MAC:      w.Device.MAC,
		ClientID: w.Claim.DHCPClientID(),
		Lease:    lease,
		Routes:   w.Layer3.DHCPRoutes,
		Wake:     func() { a.queue.Wake(key) },
		Log:      a.opts.Log.With("nic", w.NIC, "claim", w.Claim),
	}
}
