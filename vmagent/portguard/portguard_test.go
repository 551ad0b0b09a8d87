//go:build linux

package portguard

import (
	"bytes"
	"net/netip"
	"slices"
	"testing"

	"github.com/nicferry/nicferry/nic"
)

// The container of the tests, and others.
const (
	own4, own4b = "192.0.2.5", "192.0.2.6"
	gateway4    = "192.0.2.1"
	own6        = "2001:db8::5"
	ownLocal    = "fe80::5eff:fe10:1" // of ownMAC
	ownSLAAC    = "2001:db8:7::5eff:fe10:1"
	gateway6    = "fe80::1"
	other6      = "2001:db8::66"
)

var (
	a4, gw4, b4 = netip.MustParseAddr(own4), netip.MustParseAddr(gateway4), netip.MustParseAddr("255.255.255.255")
	none4       = netip.IPv4Unspecified()
	static      = Rules{MAC: ownMAC, Addrs: []netip.Addr{a4, netip.MustParseAddr(own6)}, IPv6: true}
)

// A frame of the container's, and whether it is its own to send.
type sent struct {
	what  string
	frame []byte
}

func own() []sent {
	return []sent{
		{"IPv4", udp4(ownMAC, a4, gw4, 1234, 53, nil)},
		{"IPv4 with options", ipv4(ownMAC, a4, gw4, 17, 0, make([]byte, 8), header(1234, 53, nil))},
		{"a later fragment whose bytes read like a server's ports", ipv4(ownMAC, a4, gw4, 17, 100, nil, header(67, 68, nil))},
		{"a DHCP client with an address", udp4(ownMAC, a4, gw4, 68, 67, nil)},
		{"another protocol", ipv4(ownMAC, a4, gw4, 112, 0, nil, []byte{1})},
		{"ARP request", arp(ownMAC, 1, ownMAC, own4, gateway4)},
		{"ARP reply", arp(ownMAC, 2, ownMAC, own4, gateway4)},
		{"gratuitous ARP", arp(ownMAC, 1, ownMAC, own4, own4)},
		{"ARP probe", arp(ownMAC, 1, ownMAC, "0.0.0.0", own4)},
		{"IPv6", ipv6(ownMAC, own6, 17, header(1234, 53, nil))},
		{"IPv6 by TCP", ipv6(ownMAC, own6, 6, header(1234, 80, nil))},
		{"IPv6 link-local", ipv6(ownMAC, ownLocal, 17, header(546, 547, nil))},
		{"IPv6 behind headers", ipv6(ownMAC, own6, 0, behind(60, 1, behind(17, 3, header(1, 2, nil))))},
		{"IPv6 behind an authentication header", ipv6(ownMAC, own6, 51, append([]byte{17, 4}, append(make([]byte, 22), header(1, 2, nil)...)...))},
		{"a fragment", ipv6(ownMAC, own6, 44, fragment(17, 0, true, header(1, 2, nil)))},
		{"a later fragment", ipv6(ownMAC, own6, 44, fragment(17, 9, true, header(547, 546, nil)))},
		{"a ping", ipv6(ownMAC, own6, 58, message(128, ""))},
		{"neighbour solicitation", ipv6(ownMAC, own6, 58, message(135, gateway6, hasMAC(1, ownMAC)))},
		{"neighbour solicitation with a nonce", ipv6(ownMAC, own6, 58, message(135, gateway6, []byte{14, 1, 1, 2, 3, 4, 5, 6}, hasMAC(1, ownMAC)))},
		{"address check", ipv6(ownMAC, "::", 58, message(135, own6))},
		{"address check of the link-local address", ipv6(ownMAC, "::", 58, message(135, ownLocal, []byte{14, 1, 1, 2, 3, 4, 5, 6}))},
		{"neighbour advertisement", ipv6(ownMAC, own6, 58, message(136, own6, hasMAC(2, ownMAC)))},
		{"neighbour advertisement without a MAC", ipv6(ownMAC, own6, 58, message(136, ownLocal))},
		{"router solicitation", ipv6(ownMAC, ownLocal, 58, message(133, "", hasMAC(1, ownMAC)))},
		{"router solicitation from no address", ipv6(ownMAC, "::", 58, message(133, ""))},
		{"multicast listener report", ipv6(ownMAC, "::", 0, behind(58, 1, message(143, "")))},
	}
}

func foreign() []sent {
	server := header(67, 68, []byte{2})
	advert := message(134, "", make([]byte, 8), hasMAC(1, ownMAC))
	return []sent{
		{"foreign MAC", udp4(foreignMAC, a4, gw4, 1234, 53, nil)},
		{"MAC with another end", udp4(nic.MAC{0x02, 0, 0x5e, 0x10, 0, 2}, a4, gw4, 1234, 53, nil)},
		{"foreign IPv4", udp4(ownMAC, netip.MustParseAddr("192.0.2.66"), gw4, 1234, 53, nil)},
		{"the gateway's IPv4", udp4(ownMAC, gw4, b4, 1234, 53, nil)},
		{"IPv4 from no address", udp4(ownMAC, none4, b4, 1234, 53, nil)},
		{"DHCP from no address, where addresses are given", udp4(ownMAC, none4, b4, 68, 67, nil)},
		{"gratuitous ARP of the gateway", arp(ownMAC, 1, ownMAC, gateway4, gateway4)},
		{"ARP reply of the gateway", arp(ownMAC, 2, ownMAC, gateway4, own4)},
		{"ARP reply with a foreign sender", arp(ownMAC, 2, foreignMAC, own4, gateway4)},
		{"ARP probe of another's address", arp(ownMAC, 1, ownMAC, "0.0.0.0", "192.0.2.66")},
		{"ARP reply from no address", arp(ownMAC, 2, ownMAC, "0.0.0.0", own4)},
		{"ARP of another operation", arp(ownMAC, 3, ownMAC, own4, own4)},
		{"ARP for another protocol", append(arp(ownMAC, 1, ownMAC, own4, own4)[:16], append([]byte{9, 9}, make([]byte, 24)...)...)},
		{"ARP cut short", arp(ownMAC, 1, ownMAC, own4, own4)[:30]},
		{"DHCP offer", ipv4(ownMAC, a4, b4, 17, 0, nil, server)},
		{"DHCP offer from another port", udp4(ownMAC, a4, b4, 1067, 68, nil)},
		{"DHCP offer behind options", ipv4(ownMAC, a4, b4, 17, 0, make([]byte, 12), server)},
		{"DHCP offer in fragments", ipv4(ownMAC, a4, b4, 17, 0x2000, nil, server)},
		{"UDP cut short", ipv4(ownMAC, a4, b4, 17, 0x2000, nil, server[:2])},
		{"IPv4 cut short", udp4(ownMAC, a4, b4, 1, 2, nil)[:30]},
		{"router advertisement", ipv6(ownMAC, ownLocal, 58, advert)},
		{"router advertisement of the router", ipv6(ownMAC, gateway6, 58, advert)},
		{"router advertisement behind a header", ipv6(ownMAC, ownLocal, 60, behind(58, 2, advert))},
		{"router advertisement behind six", ipv6(ownMAC, ownLocal, 0, behind(60, 1, behind(60, 1, behind(43, 1, behind(60, 1, behind(60, 1, behind(58, 1, advert)))))))},
		{"router advertisement behind more than are followed", ipv6(ownMAC, ownLocal, 0, behind(60, 1, behind(60, 1, behind(60, 1, behind(60, 1, behind(60, 1, behind(60, 1, behind(58, 1, advert))))))))},
		{"router advertisement in a fragment", ipv6(ownMAC, ownLocal, 44, fragment(58, 0, false, advert))},
		{"router advertisement behind a header in a fragment", ipv6(ownMAC, ownLocal, 44, fragment(60, 0, true, behind(58, 1, advert)))},
		{"a fragment without what it is about", ipv6(ownMAC, ownLocal, 44, fragment(60, 0, true, []byte{58, 0}))},
		{"a header that ends behind the frame", ipv6(ownMAC, ownLocal, 60, append([]byte{58, 200}, advert...))},
		{"redirect", ipv6(ownMAC, gateway6, 58, message(137, other6))},
		{"redirect from its own address", ipv6(ownMAC, ownLocal, 58, message(137, other6))},
		{"DHCPv6 reply", ipv6(ownMAC, ownLocal, 17, header(547, 546, []byte{7}))},
		{"DHCPv6 reply behind a header", ipv6(ownMAC, ownLocal, 60, behind(17, 1, header(547, 546, []byte{7})))},
		{"foreign IPv6", ipv6(ownMAC, other6, 17, header(1234, 53, nil))},
		{"foreign link-local IPv6", ipv6(ownMAC, "fe80::5eff:fe10:2", 17, header(1234, 53, nil))},
		{"an address of its MAC, where there is no SLAAC", ipv6(ownMAC, ownSLAAC, 17, header(1234, 53, nil))},
		{"IPv6 from no address", ipv6(ownMAC, "::", 17, header(1234, 53, nil))},
		{"a ping from no address", ipv6(ownMAC, "::", 58, message(128, ""))},
		{"a later fragment from no address", ipv6(ownMAC, "::", 44, fragment(58, 9, false, advert))},
		{"neighbour advertisement of another", ipv6(ownMAC, own6, 58, message(136, other6, hasMAC(2, ownMAC)))},
		{"neighbour advertisement with a foreign MAC", ipv6(ownMAC, own6, 58, message(136, own6, hasMAC(2, foreignMAC)))},
		{"neighbour advertisement with a foreign MAC behind others", ipv6(ownMAC, own6, 58, message(136, own6, make14(), hasMAC(2, foreignMAC)))},
		{"neighbour advertisement with many options", ipv6(ownMAC, own6, 58, message(136, own6, make14(), make14(), make14(), make14(), hasMAC(2, ownMAC)))},
		{"neighbour advertisement with an empty option", ipv6(ownMAC, own6, 58, message(136, own6, make([]byte, 8)))},
		{"neighbour advertisement in a fragment", ipv6(ownMAC, own6, 44, fragment(58, 0, false, message(136, own6)))},
		{"neighbour advertisement cut short", ipv6(ownMAC, own6, 58, message(136, own6)[:20])},
		{"neighbour solicitation with a foreign MAC", ipv6(ownMAC, own6, 58, message(135, gateway6, hasMAC(1, foreignMAC)))},
		{"address check of another's", ipv6(ownMAC, "::", 58, message(135, other6))},
		{"IPv6 cut short", ipv6(ownMAC, own6, 17, nil)[:50]},
		{"VLAN", tagged(own()[0].frame, 0x8100, 100)},
		{"VLAN 0", tagged(own()[0].frame, 0x8100, 0)},
		{"VLAN of a provider", tagged(own()[0].frame, 0x88a8, 100)},
		{"VLAN in a VLAN", tagged(tagged(own()[0].frame, 0x8100, 100), 0x8100, 5)},
		{"LLDP", ether(nic.MAC{1, 0x80, 0xc2, 0, 0, 0x0e}, ownMAC, 0x88cc, make([]byte, 50))},
		{"spanning tree", ether(nic.MAC{1, 0x80, 0xc2, 0, 0, 1}, ownMAC, 38, make([]byte, 46))},
		{"PPPoE discovery", ether(allMACs, ownMAC, 0x8863, make([]byte, 46))},
		{"MPLS", ether(allMACs, ownMAC, 0x8847, make([]byte, 46))},
	}
}

// make14 is an option that is not about a MAC.
func make14() []byte { return []byte{14, 1, 1, 2, 3, 4, 5, 6} }

// What root in a container sends under another's name does not reach a peer on the
// switch, whatever it is wrapped in; what is its own does.
func TestS6_ForeignFramesDoNotReachAPeer(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	for _, f := range slices.Concat(own(), foreign()) {
		// Bridges themselves keep to themselves what is sent to this group.
		if bytes.HasPrefix(f.frame, []byte{1, 0x80, 0xc2}) {
			continue
		}
		if !l.passes(f.frame, a4) {
			t.Errorf("%s: the peer does not hear it even without a filter", f.what)
		}
	}
	l.guard(static)
	for _, f := range own() {
		if !l.passes(f.frame, a4) {
			t.Errorf("%s: does not reach the peer", f.what)
		}
	}
	for _, f := range foreign() {
		if l.passes(f.frame, a4) {
			t.Errorf("%s: reaches the peer", f.what)
		}
	}
}

// Before a container has an address by DHCP it may ask for one, and do nothing else.
func TestS6_BeforeALeaseOnlyDHCPPasses(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	discover := udp4(ownMAC, none4, b4, 68, 67, []byte{1})
	// The marker has to pass before the container has an address.
	marks := Rules{MAC: ownMAC, DHCP: true, IPv6: true, Also: []netip.Prefix{netip.MustParsePrefix("203.0.113.9/32")}}
	marker := marks.Also[0].Addr()
	l.guard(marks)
	for what, test := range map[string]struct {
		frame  []byte
		passes bool
	}{
		"discover":                     {discover, true},
		"discover to one host":         {udp4(ownMAC, none4, gw4, 68, 67, []byte{1}), false},
		"offer":                        {udp4(ownMAC, none4, b4, 67, 68, []byte{2}), false},
		"something else to the server": {udp4(ownMAC, none4, b4, 53, 67, []byte{1}), false},
		"a fragment of it":             {ipv4(ownMAC, none4, b4, 17, 0x2000, nil, header(68, 67, []byte{1})), false},
		"the address that is to come":  {udp4(ownMAC, a4, gw4, 1, 2, nil), false},
		"its announcement":             {arp(ownMAC, 1, ownMAC, own4, own4), false},
		"DHCPv6 solicitation":          {ipv6(ownMAC, ownLocal, 17, header(546, 547, []byte{1})), true},
	} {
		if got := l.passes(test.frame, marker); got != test.passes {
			t.Errorf("%s: passes: %t, want %t", what, got, test.passes)
		}
	}
	marks.Addrs = []netip.Addr{a4}
	l.guard(marks)
	for _, frame := range [][]byte{udp4(ownMAC, a4, gw4, 1, 2, nil), arp(ownMAC, 1, ownMAC, own4, own4), discover} {
		if !l.passes(frame, marker) {
			t.Error("with the lease its address does not pass, or no request for another")
		}
	}
}

// Rules differ in what passes by them.
func TestRules(t *testing.T) {
	t.Parallel()
	l := newLAN(t)
	marker := netip.MustParseAddr("203.0.113.9")
	mark := netip.PrefixFrom(marker, 32)
	also := []netip.Prefix{mark, netip.MustParsePrefix("192.0.2.64/26"), netip.MustParsePrefix("2001:db8:0:ff00::/57")}
	inside6, outside6 := ipv6(ownMAC, "2001:db8:0:ff7f::1", 6, header(1, 2, nil)), ipv6(ownMAC, "2001:db8:0:ff80::1", 6, header(1, 2, nil))
	for what, test := range map[string]struct {
		rules        Rules
		passes, ends [][]byte
	}{
		"SLAAC": {
			Rules{MAC: ownMAC, IPv6: true, SLAAC: true, Also: also[:1]},
			[][]byte{ipv6(ownMAC, ownSLAAC, 6, header(1, 2, nil)), ipv6(ownMAC, "::", 58, message(135, ownSLAAC))},
			[][]byte{ipv6(ownMAC, own6, 6, header(1, 2, nil)), udp4(ownMAC, a4, gw4, 1, 2, nil)},
		},
		"further addresses": {
			Rules{MAC: ownMAC, IPv6: true, Also: also},
			[][]byte{udp4(ownMAC, netip.MustParseAddr("192.0.2.66"), gw4, 1, 2, nil), arp(ownMAC, 2, ownMAC, "192.0.2.127", own4), inside6},
			[][]byte{udp4(ownMAC, a4, gw4, 1, 2, nil), arp(ownMAC, 2, ownMAC, "192.0.2.128", own4), outside6},
		},
		"a network without IPv6": {
			Rules{MAC: ownMAC, Addrs: []netip.Addr{a4}, Also: also},
			[][]byte{udp4(ownMAC, a4, gw4, 1, 2, nil)},
			[][]byte{ipv6(ownMAC, ownLocal, 6, header(1, 2, nil)), inside6},
		},
		"everything": {
			Rules{MAC: ownMAC, IPv6: true, Also: []netip.Prefix{netip.MustParsePrefix("0.0.0.0/0"), netip.MustParsePrefix("::/0")}},
			[][]byte{udp4(ownMAC, netip.MustParseAddr("198.51.100.1"), gw4, 1, 2, nil), inside6, outside6},
			[][]byte{udp4(foreignMAC, a4, gw4, 1, 2, nil), ipv6(ownMAC, ownLocal, 58, message(134, ""))},
		},
	} {
		l.guard(test.rules)
		for i, frame := range test.passes {
			if !l.passes(frame, marker) {
				t.Errorf("%s: frame %d does not pass", what, i)
			}
		}
		for i, frame := range test.ends {
			if guarding && l.passes(frame, marker) {
				t.Errorf("%s: foreign frame %d passes", what, i)
			}
		}
	}
}

// The order in which addresses are told makes no other program: it is compared.
func TestProgramsOfEqualRulesAreEqual(t *testing.T) {
	t.Parallel()
	one, two := static, static
	two.Addrs = slices.Clone(one.Addrs)
	slices.Reverse(two.Addrs)
	two.Addrs = append(two.Addrs, two.Addrs[0])
	a, err := one.Program()
	b, err2 := two.Program()
	if err != nil || err2 != nil || !slices.Equal(a, b) {
		t.Errorf("programs of %d and %d instructions, %v, %v", len(a), len(b), err, err2)
	}
	many := static
	for i := range 256 {
		many.Also = append(many.Also, netip.PrefixFrom(netip.AddrFrom16([16]byte{0x20, 1, 15: byte(i)}), 128))
	}
	if _, err := many.Program(); guarding && err == nil {
		t.Error("hundreds of addresses: no error")
	}
}
