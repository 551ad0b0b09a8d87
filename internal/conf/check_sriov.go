package conf

import (
	"slices"
	"time"

	"github.com/nicferry/nicferry/nic"
)

// What a bond's links may be looked at by, and a bound of what a slip of the
// keyboard can ask of a card.
const (
	minMonitor = nic.Duration(10 * time.Millisecond)
	maxMonitor = nic.Duration(10 * time.Second)
	maxVFRate  = 10_000_000 // Mbit/s
)

// checkSRIOV wants the section sriov of networks of cards' virtual functions, and
// of no others.
func (d *doc) checkSRIOV(path string, n network, p *Provider) {
	at := under(path, "sriov")
	is := p != nil && p.Kind == KindSRIOV
	switch {
	case p != nil && !is && d.given(at):
		d.fault(at, "provider %s is of kind %s; sriov is for a provider of kind %s", quote(p.Name), p.Kind, KindSRIOV)
	case is && !d.given(at):
		d.fault(path, "provider %s gives parts of the nodes' cards: want sriov", quote(p.Name))
	}
	for _, other := range []string{"veth", "macvlan", "port"} {
		if at := under(path, other); is && d.given(at) {
			d.fault(at, "provider %s gives parts of the nodes' cards: want sriov instead", quote(p.Name))
		}
	}
	if at := under(path, "pool"); is && n.Pool != nil && max(n.Pool.Min, n.Pool.Max) > 0 && !d.bad[at] {
		d.fault(at, "a VF is on its node already, so that one in reserve is no sooner there, and no other network has it: leave it out")
	}
	if n.SRIOV == nil || d.bad[at] {
		return
	}
	d.checkSides(at, *n.SRIOV)
	d.checkVFSettings(at, *n.SRIOV)
	d.checkUserSpace(path, n)
	d.checkFallback(path, n)
}

// checkVFSettings checks what PFs are to set.
func (d *doc) checkVFSettings(path string, s sriovSection) {
	vlanAt, qosAt, protocolAt := under(path, "vlan"), under(path, "qos"), under(path, "protocol")
	switch {
	case !d.good(vlanAt) || s.VLAN >= 1 && s.VLAN <= 4094:
	case s.VLAN == 0:
		d.fault(vlanAt, "0 is no VLAN; want 1 to 4094, or leave it out for untagged frames")
	case s.VLAN == 4095:
		d.fault(vlanAt, "4095 is reserved by the standard; want 1 to 4094")
	default:
		d.fault(vlanAt, "%d; want 1 to 4094", s.VLAN)
	}
	if s.QoS < 0 || s.QoS > 7 {
		d.fault(qosAt, "%d; want 0 to 7", s.QoS)
	}
	d.checkOneOf(protocolAt, s.Protocol, vlan8021Q, nic.VLAN8021AD)
	if !d.given(vlanAt) {
		if s.QoS != 0 {
			d.fault(qosAt, "is a VLAN's: want vlan too")
		}
		if s.Protocol != vlan8021Q {
			d.fault(protocolAt, "is a VLAN's: want vlan too")
		}
	}
	if at := under(path, "link"); d.good(at) {
		d.checkOneOf(at, s.Link, string(nic.VFLinkAuto), string(nic.VFLinkOn), string(nic.VFLinkOff))
	}
	if s.Rate != nil {
		d.checkVFRate(under(path, "rate"), *s.Rate)
	}
}

func (d *doc) checkVFRate(path string, r vfRate) {
	minAt, maxAt := under(path, "min"), under(path, "max")
	if r.Min < 0 || r.Min > maxVFRate {
		d.fault(minAt, "%d; want 0 to %d Mbit/s, 0 for no bound", r.Min, maxVFRate)
	}
	if r.Max < 0 || r.Max > maxVFRate {
		d.fault(maxAt, "%d; want 0 to %d Mbit/s, 0 for no bound", r.Max, maxVFRate)
	}
	if r.Max > 0 && r.Min > r.Max && d.good(minAt) && d.good(maxAt) {
		d.fault(maxAt, "%d Mbit/s is less than min, %d", r.Max, r.Min)
	}
}

// checkBond checks how a bond's members share the traffic.
func (d *doc) checkBond(path string, s sriovSection) {
	b, at := *s.Bond, under(path, "bond")
	mode := nic.BondMode(b.Mode)
	if at := under(at, "mode"); d.good(at) {
		d.faultErr(at, mode.Check())
	}
	if b.Monitor < minMonitor || b.Monitor > maxMonitor {
		d.fault(under(at, "monitor"), "%s; want %s to %s", b.Monitor, minMonitor, maxMonitor)
	}
	if mode.OneMAC() || d.bad[under(at, "mode")] {
		return
	}
	const why = "mode %s swaps its members' MACs, which a card refuses otherwise; or take mode %s, with which containers cannot send under any MAC that they like"
	if at := under(path, "trust"); !bool(s.Trust) {
		d.fault(at, "want on: "+why, mode, nic.BondActiveBackup)
	}
	if at := under(path, "spoofCheck"); bool(s.SpoofCheck) {
		d.fault(at, "want off: "+why, mode, nic.BondActiveBackup)
	}
}

// checkUserSpace checks what goes with VFs that programs drive themselves: the
// container gets no interface, so that nothing can be done to one.
func (d *doc) checkUserSpace(path string, n network) {
	s, at := *n.SRIOV, under(path, "sriov")
	d.checkOneOf(under(at, "mode"), s.Mode, modeNetdev, modeVFIO)
	if s.Mode != modeVFIO || d.bad[under(at, "mode")] {
		return
	}
	if s.Bond != nil {
		d.fault(under(at, "bond"), "the kernel makes bonds of interfaces, and with mode %s there is none: want pfs, and let the container's program share the traffic", modeVFIO)
	}
	if addressing := under(path, "addressing"); d.good(addressing) && n.Addressing == string(nic.AddrDHCP) {
		d.fault(addressing, "with mode %s the container's program has the address, and no interface to ask for one by: want ipam, which reserves it and tells the container", modeVFIO)
	}
	const without = "with mode %s the container's program does that, as there is no interface: leave it out"
	if n.IPv6 != "" {
		d.fault(under(path, "ipv6"), without, modeVFIO)
	}
	if n.Probe == string(nic.ProbeStrict) {
		d.fault(under(path, "probe"), without, modeVFIO)
	}
}

// checkFallback checks what containers get when no VF is free.
func (d *doc) checkFallback(path string, n network) {
	s, sriovAt := *n.SRIOV, under(path, "sriov")
	at := under(sriovAt, "fallback")
	if !d.good(at) {
		return
	}
	falls := false
	for i, word := range s.Fallback {
		itemAt := item(at, i)
		if d.bad[itemAt] {
			continue
		}
		d.checkOneOf(itemAt, word, string(nic.Macvlan), string(nic.Ipvlan), fallbackRefuse)
		falls = falls || word != fallbackRefuse
		switch {
		case slices.Contains(s.Fallback[:i], word):
			d.fault(itemAt, "%s is listed twice", quote(word))
		case word == fallbackRefuse && i < len(s.Fallback)-1:
			d.fault(itemAt, "what comes after %s is never tried: want it last", fallbackRefuse)
		case word == string(nic.Ipvlan) && n.Addressing == string(nic.AddrDHCP):
			d.fault(itemAt, "all ipvlans have the card's one MAC, by which a DHCP server knows them: want %s, or addressing ipam", nic.Macvlan)
		}
	}
	switch {
	case !falls:
	case s.Mode == modeVFIO:
		d.fault(at, "with mode %s the container's program drives a card, and there is none to drive: want %s alone", modeVFIO, fallbackRefuse)
	case s.VLAN != 0:
		d.fault(at, "on the card itself frames have no tag, and a container would be in another network than VLAN %d: want %s alone", s.VLAN, fallbackRefuse)
	}
}
