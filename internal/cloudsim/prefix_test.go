package cloudsim_test

import (
	"net/netip"
	"testing"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// A prefix is a /28, aligned, overlaps nothing, and counts as one address of the
// limit (EC2 user guide, prefix delegation).
func TestPrefixes(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	free := func() int {
		return must(w.DescribeSubnets(t.Context(), w.call, cloudsim.Describe{IDs: []string{w.near.ID}}))(t).Items[0].Free
	}
	e := w.create(cloudsim.CreateInterface{Primary: netip.MustParseAddr("10.0.1.100")})
	w.Log(0)
	w.attach(e.ID, 1)
	before := free()
	got := must(w.AssignIPv4(t.Context(), w.call, cloudsim.AssignIPv4{Interface: e.ID, PrefixCount: 9}))(t)
	if len(got.Prefixes) != 9 || before-free() != 9*16 {
		t.Errorf("it got %v, and the subnet lost %d", got.Prefixes, before-free())
	}
	for _, p := range got.Prefixes {
		if p.Bits() != 28 || p.Masked() != p || p.Contains(e.Primary()) || p.Contains(netip.MustParseAddr("10.0.1.3")) || p.Contains(netip.MustParseAddr("10.0.1.255")) {
			t.Errorf("it got %v", p)
		}
	}
	if err := w.assign(cloudsim.AssignIPv4{Interface: e.ID, Count: 1}); code(err) != "PrivateIpAddressLimitExceeded" {
		t.Errorf("an eleventh of m5.large: %v", err)
	}
	other := w.create(cloudsim.CreateInterface{})
	in := got.Prefixes[0].Addr().Next()
	if err := w.assign(cloudsim.AssignIPv4{Interface: other.ID, Addrs: []netip.Addr{in}, AllowReassignment: true}); code(err) != "InvalidParameterValue" {
		t.Errorf("an address out of a prefix: %v", err)
	}
	if err := w.assign(cloudsim.AssignIPv4{Interface: other.ID, Prefixes: got.Prefixes[:1]}); code(err) != "InvalidIPAddress.InUse" {
		t.Errorf("a prefix that is taken: %v", err)
	}
	must(0, w.UnassignIPv4(t.Context(), w.call, cloudsim.UnassignIPv4{Interface: e.ID, Prefixes: got.Prefixes}))(t)
	must(w.AssignIPv4(t.Context(), w.call, cloudsim.AssignIPv4{Interface: other.ID, Prefixes: got.Prefixes[:1]}))(t)
	must(w.AssignIPv6(t.Context(), w.call, cloudsim.AssignIPv6{Interface: other.ID, Prefixes: []netip.Prefix{netip.MustParsePrefix("2001:db8:0:1:7::/80")}}))(t)
	must(0, w.DeleteInterface(t.Context(), w.call, other.ID))(t)
	if got := free(); got != before {
		t.Errorf("%d addresses are free, and before its making %d were", got, before)
	}
	w.create(cloudsim.CreateInterface{IPv6: []netip.Addr{netip.MustParseAddr("2001:db8:0:1:7::1")}})
}

// An address in each block leaves no prefix, though the subnet is nearly empty:
// InsufficientCidrBlocks (EKS best practices, prefix delegation).
func TestFragmentation(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	for n := range 16 {
		w.create(cloudsim.CreateInterface{Subnet: w.far.ID, Primary: netip.AddrFrom4([4]byte{10, 0, 2, byte(16*n + 7)})})
	}
	if err := w.refused(cloudsim.CreateInterface{Subnet: w.far.ID, IPv4PrefixCount: 1}); code(err) != "InsufficientCidrBlocks" {
		t.Errorf("it is %v", err)
	}
}

// IPv6 has no re-assignment, and answers only with what is new (EC2 user
// guide, IPv6 addresses; the SDK's documentation of AssignIpv6AddressesOutput).
func TestIPv6(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	a, b := w.create(cloudsim.CreateInterface{IPv6Count: new(1)}), w.create(cloudsim.CreateInterface{})
	x, y := a.IPv6[0], netip.MustParseAddr("2001:db8:0:1::5")
	got := must(w.AssignIPv6(t.Context(), w.call, cloudsim.AssignIPv6{Interface: a.ID, Addrs: []netip.Addr{x, y}}))(t)
	same(t, got.Addrs, []netip.Addr{y})
	if _, err := w.AssignIPv6(t.Context(), w.call, cloudsim.AssignIPv6{Interface: b.ID, Addrs: []netip.Addr{x}}); code(err) != "InvalidIPAddress.InUse" {
		t.Errorf("another's: %v", err)
	}
	gone := must(w.UnassignIPv6(t.Context(), w.call, cloudsim.UnassignIPv6{Interface: a.ID, Addrs: []netip.Addr{x}}))(t)
	same(t, gone.Addrs, []netip.Addr{x})
	must(w.AssignIPv6(t.Context(), w.call, cloudsim.AssignIPv6{Interface: b.ID, Addrs: []netip.Addr{x}}))(t)
	blocks := must(w.AssignIPv6(t.Context(), w.call, cloudsim.AssignIPv6{Interface: b.ID, PrefixCount: 2}))(t).Prefixes
	if len(blocks) != 2 || blocks[0].Bits() != 80 || blocks[0] == blocks[1] || !w.near.CIDR6.Contains(blocks[0].Addr()) {
		t.Errorf("the prefixes are %v", blocks)
	}
	if _, err := w.AssignIPv6(t.Context(), w.call, cloudsim.AssignIPv6{Interface: a.ID, Addrs: []netip.Addr{blocks[0].Addr().Next()}}); code(err) != "InvalidIPAddress.InUse" {
		t.Errorf("an address out of a prefix: %v", err)
	}
	if n := len(w.get(b.ID).IPv6Prefixes); n != 2 {
		t.Errorf("it has %d prefixes", n)
	}
	for _, reserved := range []string{"2001:db8:0:1::", "2001:db8:0:1::1", "2001:db8:0:1::3", "2001:db8:0:1:ffff:ffff:ffff:ffff"} { // VPC user guide, subnet sizing
		r := cloudsim.AssignIPv6{Interface: a.ID, Addrs: []netip.Addr{netip.MustParseAddr(reserved)}}
		if _, err := w.AssignIPv6(t.Context(), w.call, r); code(err) != "InvalidParameterValue" {
			t.Errorf("%s: %v", reserved, err)
		}
	}
}
