package allocator_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// change starts the controller again with a network's config changed.
func (r *rig) change(name string, edit func(n *nic.Network)) {
	r.t.Helper()
	for i := range r.networks {
		if r.networks[i].Name == name {
			r.networks[i].Subnets = slices.Clone(r.networks[i].Subnets)
			edit(&r.networks[i])
		}
	}
	r.crash()
	synctest.Wait()
}

// layer3 is what the node is told of a claim's addressing.
func (r *rig) layer3(claim nic.ClaimID) nic.Layer3 {
	r.t.Helper()
	wanted, _, err := r.alloc.Wanted(r.t.Context(), "vm1", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, w := range wanted {
		if w.Claim == claim {
			return w.Layer3
		}
	}
	r.t.Fatalf("nothing is wanted of claim %s", claim)
	return nic.Layer3{}
}

// seenWith has the node say which addresses a claim's NIC has.
func (r *rig) seenWith(claim nic.Claim, addrs ...string) {
	r.t.Helper()
	o := nic.Observed{NIC: claim.NIC, Claim: claim.ID, Epoch: claim.Epoch, State: nic.ObservedIn, Running: true}
	for _, a := range addrs {
		o.Addrs = append(o.Addrs, netip.MustParsePrefix(a))
	}
	if err := r.alloc.Report(r.t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: []nic.Observed{o}}); err != nil {
		r.t.Fatal(err)
	}
	synctest.Wait()
}

// says is the message of the claim's condition with the reason; "" without one.
func (r *rig) says(id nic.ClaimID, reason nic.Reason) string {
	for _, c := range r.claim(id).Conditions {
		if c.Reason == reason {
			return c.Message
		}
	}
	return ""
}

// The config changes under a running container. What still fits follows it;
// what does not fit stays as it is, and the claim says why.
func TestP4_ConfigChangesUnderARunningContainer(t *testing.T) {
	gateway := netip.MustParseAddr("10.0.0.254")
	for name, c := range map[string]struct {
		edit     func(n *nic.Network)
		says     string
		gateways []netip.Addr
	}{
		"another gateway": {func(n *nic.Network) { n.Subnets[0].Gateway = gateway }, "", []netip.Addr{gateway}},
		"its address is the gateway's": {
			func(n *nic.Network) { n.Subnets[0].Gateway = netip.MustParseAddr("10.0.0.10") }, "10.0.0.10 is the gateway", nil,
		},
		"its address is excluded": {func(n *nic.Network) {
			a := netip.MustParseAddr("10.0.0.10")
			n.Subnets[0].Exclude = []nic.Range{{First: a, Last: a}}
		}, "10.0.0.10 is excluded", nil},
		"DHCP":               {func(n *nic.Network) { n.Addressing, n.Subnets = nic.AddrDHCP, nil }, "gets its addresses by dhcp now", nil},
		"a subnet less":      {func(n *nic.Network) { n.Subnets = n.Subnets[1:] }, "10.0.0.10 is in none of the subnets", nil},
		"a wider prefix":     {func(n *nic.Network) { n.Subnets[0].Prefix = netip.MustParsePrefix("10.0.0.0/16") }, "10.0.0.10/24 is in the subnet 10.0.0.0/16 now", nil},
		"from ipam to cloud": {func(n *nic.Network) { n.Addressing = nic.AddrProvider }, "gets its addresses by provider now", nil},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
				claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
				before := r.layer3(claim.ID)
				r.change("web", c.edit)
				got, after := r.says(claim.ID, nic.ReasonConfigChanged), r.layer3(claim.ID)
				if (got == "") != (c.says == "") || !strings.Contains(got, c.says) {
					t.Errorf("claim says %q, want %q", got, c.says)
				}
				want := c.gateways
				if want == nil {
					want = before.Gateways
				}
				if after.DHCP != before.DHCP || !slices.Equal(after.Addrs, before.Addrs) || !slices.Equal(after.Gateways, want) {
					t.Errorf("before %+v\nafter  %+v", before, after)
				}
				r.networks = networks()
				r.crash()
				if got := r.says(claim.ID, nic.ReasonConfigChanged); got != "" {
					t.Errorf("the config is as it was, and the claim says %q", got)
				}
			})
		})
	}
}

// A container that follows a change of the config keeps it when the next one
// does not fit it.
func TestP4_WhatFittedLastStays(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
		gateway := netip.MustParseAddr("10.0.0.254")
		r.change("web", func(n *nic.Network) { n.Subnets[0].Gateway = gateway })
		r.change("web", func(n *nic.Network) { n.Subnets = n.Subnets[1:] })
		if got := r.layer3(claim.ID).Gateways; !slices.Equal(got, []netip.Addr{gateway}) {
			t.Errorf("gateways are %v, want %s", got, gateway)
		}
	})
}

// What does not fit any more is chosen anew once the container has no NIC; the
// MAC stays.
func TestAnAddressThatDoesNotFitIsChosenAnew(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)
		r.report(claim, nic.ObservedMade, false)
		r.wait(2 * time.Minute) // the hold is over
		r.report(claim, nic.ObservedClean, false)
		r.wait(time.Second)
		r.change("web", func(n *nic.Network) { n.Subnets[0].Gateway = netip.MustParseAddr("10.0.0.10") })
		r.acquire("0001", "web")
		got := r.wants(claim.ID, nic.ClaimReady, time.Second)
		if got.Identity.MAC != claim.Identity.MAC || got.Identity.Addrs[0].String() != "10.0.0.11/24" || got.Identity.Addrs[1] != claim.Identity.Addrs[1] {
			t.Errorf("got %+v after %+v", got.Identity, claim.Identity)
		}
		r.change("web", func(n *nic.Network) { n.Subnets[0].Gateway = netip.MustParseAddr("10.0.0.1") })
		if other := r.acquire("0002", "web").Identity.Addrs; other[0].String() != "10.0.0.10/24" {
			t.Errorf("the next got %v, want what was let go", other)
		}
	})
}

// P1: a network that comes into another space brings its addresses along, or
// says which of them it cannot.
func TestP1_AnotherSpaceGivesNoAddressTwice(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.change("web2", func(n *nic.Network) { // a LAN of its own, with the same addresses
			n.Space = "other"
			n.Subnets[0].Ranges = networks()[0].Subnets[0].Ranges
		})
		first := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Second)   // 10.0.0.10
		second := r.wants(r.acquire("0002", "web2").ID, nic.ClaimReady, time.Second) // 10.0.0.10
		third := r.wants(r.acquire("0003", "web2").ID, nic.ClaimReady, time.Second)  // 10.0.0.11
		r.seenWith(second, "10.0.0.10/24")
		r.change("web2", func(n *nic.Network) { n.Space = "default" })
		if got := r.claim(third.ID); got.Identity.Space != "default" || len(got.Conditions) != 0 {
			t.Errorf("an address that is free there: %+v", got)
		}
		if got := r.claim(second.ID); got.Identity.Space != "other" || !strings.Contains(r.says(second.ID, nic.ReasonConfigChanged), "it stays reserved in space other") {
			t.Errorf("an address that is taken there: %+v", got)
		}
		for id, other := range map[nic.ClaimID]nic.Claim{first.ID: second, second.ID: first} {
			if got := r.says(id, nic.ReasonAddressClash); !strings.Contains(got, `10.0.0.10 is also the address of container "`+other.Container) {
				t.Errorf("%s says %q", id, got)
			}
		}
		if got := r.acquire("0004", "web").Identity.Addrs; got[0].String() != "10.0.0.12/24" {
			t.Errorf("the next got %v, want 10.0.0.12", got)
		}
	})
}

// What a DHCP server gives is recorded and not reserved. It is not given again
// by us; where it has been, both claims say so, until it is over.
func TestAClashWithDHCPIsToldInBothClaims(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		dhcp := r.wants(r.acquire("0001", "lab").ID, nic.ClaimReady, time.Second)
		r.seenWith(dhcp, "10.0.0.10/24", "fe80::1/64")
		ours := r.wants(r.acquire("0002", "web").ID, nic.ClaimReady, time.Second)
		if got := ours.Identity.Addrs[0].String(); got != "10.0.0.11/24" {
			t.Errorf("got %s, want the next after what DHCP gave", got)
		}
		asked := r.acquire("0003", "web", "10.0.0.10")
		if reason(asked) != nic.ReasonAddressTaken || !strings.Contains(asked.Conditions[0].Message, `was given by others to container "0001"`) {
			t.Errorf("asked for it: %+v", asked)
		}
		r.seenWith(ours, "10.0.0.11/24", "fe80::1/64")
		r.seenWith(dhcp, "10.0.0.11/24", "fe80::1/64")
		for range 2 {
			if got := r.says(ours.ID, nic.ReasonAddressClash); !strings.Contains(got, `10.0.0.11 is also the address of container "0001"`) {
				t.Errorf("ours says %q", got)
			}
			if got := r.says(dhcp.ID, nic.ReasonAddressClash); !strings.Contains(got, `10.0.0.11 is also the address of container "0002"`) {
				t.Errorf("the other says %q", got)
			}
			r.crash() // another controller knows it as well
			synctest.Wait()
		}
		r.seenWith(dhcp, "10.0.0.77/24")
		if a, b := r.says(ours.ID, nic.ReasonAddressClash), r.says(dhcp.ID, nic.ReasonAddressClash); a != "" || b != "" {
			t.Errorf("once it is over they say %q and %q", a, b)
		}
	})
}

// What the provider gives becomes the claim's, and is not reserved either.
func TestAddressesByTheProvider(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.change("web2", func(n *nic.Network) { n.Addressing, n.Subnets[0].Ranges = nic.AddrProvider, nil })
		ours := r.wants(r.acquire("0001", "web", "10.0.0.20").ID, nic.ClaimReady, time.Second)
		given := r.wants(r.acquire("0002", "web2", "10.0.0.20").ID, nic.ClaimReady, time.Second) // the fake gives what is asked
		if id := given.Identity; !id.Given || len(id.Addrs) != 1 || id.Addrs[0].String() != "10.0.0.20/24" {
			t.Errorf("got %+v", id)
		}
		if got := r.layer3(given.ID); got.DHCP || len(got.Addrs) != 1 {
			t.Errorf("the node is told %+v", got)
		}
		r.seenWith(given, "10.0.0.20/24")
		for _, id := range []nic.ClaimID{ours.ID, given.ID} {
			if r.says(id, nic.ReasonAddressClash) == "" || r.says(id, nic.ReasonConfigChanged) != "" {
				t.Errorf("claim says %+v", r.claim(id).Conditions)
			}
		}
		r.remove(given.ID)
		if got := r.acquire("0003", "web", "10.0.0.20"); reason(got) != nic.ReasonAddressTaken {
			t.Errorf("the end of a claim took another's reservation: %+v", got)
		}
	})
}
