package vmagent

import (
	"context"
	"fmt"
	"net/netip"
	"slices"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/vmagent/announce"
)

// address works out the addressing that the NIC is to have now, over its link:
// what is wanted, with what the DHCP servers have given, without
// what somebody else on the wire holds. What is waited for, and what is the
// matter, goes into the report.
func (a *Agent) address(ctx context.Context, p *plug, w nic.Wanted, said *nic.Observed) (nic.Layer3, error) {
	l3 := w.Layer3
	l3.Addrs, l3.Gateways, l3.Routes = slices.Clip(l3.Addrs), slices.Clip(l3.Gateways), slices.Clip(l3.Routes)
	p.leaseDNS = nil
	if err := a.addLease(p, w, &l3, said); err != nil {
		return l3, err
	}
	if err := a.addLease6(p, w, &l3, said); err != nil {
		return l3, err
	}
	if err := a.guardAgain(ctx, p, w, said); err != nil {
		return l3, err
	}
	state, err := a.watch(p, w, l3)
	if err != nil {
		return l3, err
	}
	for _, c := range state.Conditions() {
		nic.SetCondition(&said.Conditions, c)
	}
	l3.Addrs = state.Usable(l3.Addrs)
	return withoutOrphans(l3), nil
}

// watch has the addresses probed and announced, and gives back to its server
// what turns out to be another's.
func (a *Agent) watch(p *plug, w nic.Wanted, l3 nic.Layer3) (announce.State, error) {
	key, ns, index := p.key, p.ns, p.index
	gateways := l3.Gateways
	if l3.UncheckedGateway {
		gateways = nil
	}
	opts := announce.Options{
		Open: func() (announce.Wire, error) { return a.lans.Open(ns, index) },
		MAC:  w.Device.MAC, Addrs: l3.Addrs, Gateways: gateways, Mode: l3.Probe, Silent: l3.Silent,
		Ours: addrsOf(w.Last),
		Wake: func() { a.queue.Wake(key) },
		Log:  a.opts.Log.With("nic", w.NIC, "claim", w.Claim),
	}
	if p.watcher != nil && !p.watcher.Same(opts) {
		opts.Earlier = p.watcher.State()
		if err := p.stopWatcher(); err != nil {
			return announce.State{}, err
		}
	}
	if p.watcher == nil {
		var err error
		if p.watcher, err = announce.Start(opts); err != nil {
			return announce.State{}, err
		}
	}
	state := p.watcher.State()
	for addr, conflict := range state.Conflicts {
		why := fmt.Sprintf("%s answers for it", conflict.MAC)
		if p.keeper != nil {
			p.keeper.Decline(addr, why)
		}
		if p.keeper6 != nil {
			p.keeper6.Decline(addr, why)
		}
	}
	return state, nil
}

// withoutOrphans leaves out gateways and routes of an IP version in which the
// NIC has no address: the kernel would take them for on-link.
func withoutOrphans(l3 nic.Layer3) nic.Layer3 {
	has := func(addr netip.Addr) bool {
		return slices.ContainsFunc(l3.Addrs, func(p netip.Prefix) bool { return p.Addr().Is4() == addr.Is4() })
	}
	l3.Gateways = slices.DeleteFunc(slices.Clone(l3.Gateways), func(gw netip.Addr) bool { return !has(gw) })
	l3.Routes = slices.DeleteFunc(slices.Clone(l3.Routes), func(r nic.Route) bool { return !has(r.Via) })
	return l3
}
