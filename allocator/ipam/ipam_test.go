package ipam_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"go.uber.org/goleak"
	"pgregory.net/rapid"

	"github.com/nicferry/nicferry/allocator/ipam"
	"github.com/nicferry/nicferry/nic"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func rng(first, last string) nic.Range { return nic.Range{First: addr(first), Last: addr(last)} }

var lab = nic.Network{
	Name: "lab",
	Subnets: []nic.Subnet{
		{
			Prefix:  netip.MustParsePrefix("10.0.0.0/29"),
			Gateway: addr("10.0.0.1"),
			Ranges:  []nic.Range{rng("10.0.0.5", "10.0.0.7"), rng("10.0.0.0", "10.0.0.3")},
			Exclude: []nic.Range{rng("10.0.0.2", "10.0.0.2")},
		},
		{
			Prefix: netip.MustParsePrefix("fd00::/64"),
			Ranges: []nic.Range{rng("fd00::", "fd00::ffff:ffff:ffff:ffff")},
		},
	},
}

func TestSpans(t *testing.T) {
	text := func(n nic.Network, ipv6 bool, gateways ...netip.Addr) string {
		var parts []string
		for _, s := range ipam.Spans(n, ipv6, gateways) {
			parts = append(parts, fmt.Sprintf("%s-%s", s.First, s.Last))
		}
		return strings.Join(parts, " ")
	}
	wide := nic.Network{Subnets: []nic.Subnet{{
		Prefix:  netip.MustParsePrefix("fd00::/16"),
		Ranges:  []nic.Range{rng("fd00::1", "fd00:ffff::")},
		Exclude: []nic.Range{rng("fd00::1", "fd00:fffe::")},
	}}}
	pair := nic.Network{Subnets: []nic.Subnet{{
		Prefix: netip.MustParsePrefix("10.0.0.0/31"), Ranges: []nic.Range{rng("10.0.0.0", "10.0.0.1")},
	}}}
	for _, c := range []struct{ name, got, want string }{
		{"in the config's order, without network, broadcast, gateway and excluded", text(lab, false), "10.0.0.5-10.0.0.6 10.0.0.3-10.0.0.3"},
		{"without another network's gateway", text(lab, false, addr("10.0.0.6"), addr("10.9.9.9")), "10.0.0.5-10.0.0.5 10.0.0.3-10.0.0.3"},
		{"without the routers' anycast address", text(lab, true), "fd00::1-fd00::ffff:ffff:ffff:ffff"},
		{"a wide exclusion", text(wide, true), "fd00:fffe::1-fd00:ffff::"},
		{"both ends of a /31", text(pair, false), "10.0.0.0-10.0.0.1"},
		{"no range", text(pair, true), ""},
	} {
		if c.got != c.want {
			t.Errorf("%s: got %q, want %q", c.name, c.got, c.want)
		}
	}
}

func TestFixed(t *testing.T) {
	for _, c := range []struct{ addr, problem string }{
		{"10.0.0.4", ""}, // in the subnet, in no range
		{"fd00::99", ""},
		{"10.0.0.0", "address of subnet"},
		{"10.0.0.7", "broadcast"},
		{"10.0.0.1", "gateway"},
		{"10.0.0.2", "excluded"},
		{"10.0.1.4", "none of the subnets"},
		{"fd00::", "address of subnet"},
		{"fd01::1", "none of the subnets"},
	} {
		p, err := ipam.Fixed(lab, addr(c.addr))
		switch {
		case c.problem == "" && (err != nil || p.Addr() != addr(c.addr)):
			t.Errorf("%s: got %v, %v; want it granted", c.addr, p, err)
		case c.problem != "" && (err == nil || !strings.Contains(err.Error(), c.problem)):
			t.Errorf("%s: got %v; want a refusal with %q", c.addr, err, c.problem)
		}
	}
}

func TestPointToPointSubnetsHaveNoSpecialAddresses(t *testing.T) {
	n := nic.Network{Subnets: []nic.Subnet{{Prefix: netip.MustParsePrefix("10.0.0.0/31")}}}
	for _, a := range []string{"10.0.0.0", "10.0.0.1"} {
		if _, err := ipam.Fixed(n, addr(a)); err != nil {
			t.Errorf("%s: got %v, want it granted (RFC 3021)", a, err)
		}
	}
}

// Whatever ranges, exclusions and gateways there are, the spans hold exactly
// the addresses of the ranges that Fixed would grant, in the ranges' order.
func TestSpansAgainstFixed(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		bits := rapid.IntRange(24, 32).Draw(t, "bits")
		prefix := netip.PrefixFrom(addr("10.0.0.128"), bits).Masked()
		host := rapid.Custom(func(t *rapid.T) netip.Addr {
			a := prefix.Addr().As4()
			a[3] += byte(rapid.IntRange(0, 1<<(32-bits)-1).Draw(t, "host"))
			return netip.AddrFrom4(a)
		})
		span := rapid.Custom(func(t *rapid.T) nic.Range {
			a, b := host.Draw(t, "a"), host.Draw(t, "b")
			if b.Less(a) {
				a, b = b, a
			}
			return nic.Range{First: a, Last: b}
		})
		n := nic.Network{Subnets: []nic.Subnet{{
			Prefix: prefix, Gateway: host.Draw(t, "gateway"),
			Ranges:  rapid.SliceOfN(span, 1, 3).Draw(t, "ranges"),
			Exclude: rapid.SliceOfN(span, 0, 3).Draw(t, "exclude"),
		}}}
		other := host.Draw(t, "other gateway")
		var want, got []netip.Addr
		for _, r := range n.Subnets[0].Ranges {
			for a := r.First; r.Contains(a); a = a.Next() {
				if _, err := ipam.Fixed(n, a); err == nil && a != other {
					want = append(want, a)
				}
			}
		}
		for _, s := range ipam.Spans(n, false, []netip.Addr{other}) {
			for a := s.First; a.Compare(s.Last) <= 0; a = a.Next() {
				got = append(got, a)
			}
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Fatalf("%+v, other gateway %s:\ngot  %v\nwant %v", n.Subnets, other, got, want)
		}
	})
}
