package ipam_test

import (
	"net/netip"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/nicferry/nicferry/allocator/ipam"
	"github.com/nicferry/nicferry/nic"
)

func addr(s string) netip.Addr { return netip.MustParseAddr(s) }

func rng(first, last string) nic.Range { return nic.Range{First: addr(first), Last: addr(last)} }

var lab = nic.Network{
	Name: "lab",
	Subnets: []nic.Subnet{
		{
			Prefix:  netip.MustParsePrefix("10.0.0.0/29"),
			Gateway: addr("10.0.0.1"),
			Ranges:  []nic.Range{rng("10.0.0.1", "10.0.0.3"), rng("10.0.0.5", "10.0.0.6")},
			Exclude: []nic.Range{rng("10.0.0.2", "10.0.0.2")},
		},
		{
			Prefix: netip.MustParsePrefix("fd00::/64"),
			Ranges: []nic.Range{rng("fd00::10", "fd00::11")},
		},
	},
}

func TestPickGoesThroughRangesInOrder(t *testing.T) {
	taken := map[netip.Addr]bool{}
	var got []string
	for {
		p, ok := ipam.Pick(lab, false, func(a netip.Addr) bool { return taken[a] })
		if !ok {
			break
		}
		taken[p.Addr()] = true
		got = append(got, p.String())
	}
	if want := "10.0.0.3/29 10.0.0.5/29 10.0.0.6/29"; strings.Join(got, " ") != want {
		t.Errorf("got %v, want %s (the gateway and the excluded are never given)", got, want)
	}
}

func TestPickStepsOverAWideExclusion(t *testing.T) {
	n := nic.Network{Subnets: []nic.Subnet{{
		Prefix:  netip.MustParsePrefix("fd00::/16"),
		Ranges:  []nic.Range{rng("fd00::1", "fd00:ffff::")},
		Exclude: []nic.Range{rng("fd00::1", "fd00:fffe::")},
	}}}
	p, ok := ipam.Pick(n, true, func(netip.Addr) bool { return false })
	if !ok || p.Addr() != addr("fd00:fffe::1") {
		t.Errorf("got %v, %v; want fd00:fffe::1", p, ok)
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

// Whatever the taken set, what Pick gives is free, assignable and in a range,
// and it only says "none" when every such address is taken.
func TestPickAgainstBruteForce(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		ipv6 := rapid.Bool().Draw(t, "ipv6")
		taken := map[netip.Addr]bool{}
		var free []netip.Addr
		for _, s := range lab.Subnets {
			if s.Prefix.Addr().Is6() != ipv6 {
				continue
			}
			for _, r := range s.Ranges {
				for a := r.First; r.Contains(a); a = a.Next() {
					taken[a] = rapid.Bool().Draw(t, "taken")
					if !taken[a] && ipam.Assignable(s, a) == nil {
						free = append(free, a)
					}
				}
			}
		}
		p, ok := ipam.Pick(lab, ipv6, func(a netip.Addr) bool { return taken[a] })
		if ok != (len(free) > 0) {
			t.Fatalf("got %v, %v; free are %v", p, ok, free)
		}
		if ok && p.Addr() != free[0] {
			t.Fatalf("got %v, want the first free of %v", p, free)
		}
	})
}
