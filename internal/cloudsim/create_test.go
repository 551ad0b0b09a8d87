package cloudsim_test

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
)

// The same token and parameters are the same interface; otherwise, or when it
// is gone, IdempotentParameterMismatch (EC2 API reference, ensuring
// idempotency; radkawar/stackd).
func TestATokenMakesOneInterface(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, cloudsim.Options{Latency: fixed})
		r := cloudsim.CreateInterface{Token: "nic-1", Tags: cloudsim.Tags{"a": "x", "b": "y"}, IPv6Count: new(1), Groups: []string{"sg-1"}}
		w.inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: "Create*", Count: 50})
		for range 50 {
			if err := w.refused(r); code(err) != "no answer: lose-reply" {
				t.Fatalf("it is %v", err)
			}
		}
		r.IPv6Count = new(1)
		e := w.create(r)
		time.Sleep(24 * time.Hour)
		if again := w.create(r); again.ID != e.ID || again.Status != cloudsim.StatusAvailable {
			t.Errorf("a day later it is %s, %s", again.ID, again.Status)
		}
		if n := len(w.Interfaces()); n != 3 {
			t.Errorf("there are %d interfaces", n)
		}
		if n := w.Counts()["CreateNetworkInterface"]; n.Calls != 52 || n.Effects != 1 {
			t.Errorf("the log counts %+v", n)
		}
		r.IPv6Count = nil
		if err := w.refused(r); code(err) != "IdempotentParameterMismatch" {
			t.Errorf("with other parameters: %v", err)
		}
		r.IPv6Count = new(1)
		must(0, w.DeleteInterface(t.Context(), w.call, e.ID))(t)
		if err := w.refused(r); code(err) != "IdempotentParameterMismatch" {
			t.Errorf("when it is gone: %v", err)
		}
	})
}

// Whether the address or the token is looked at first is open (radkawar/stackd
// says the address), so that both can be had.
func TestATokenOrAnAddressFirst(t *testing.T) {
	for first, want := range map[bool]string{false: "", true: "InvalidIPAddress.InUse"} {
		w := newWorld(t, cloudsim.Options{AddressFirst: first})
		r := cloudsim.CreateInterface{Token: "nic-1", Primary: netip.MustParseAddr("10.0.1.77")}
		if e := w.create(r); e.Primary() != r.Primary {
			t.Errorf("the address is %v", e.Primary())
		}
		if err := w.refused(r); code(err) != want {
			t.Errorf("address first %v: %v", first, err)
		}
	}
}

// What an interface has from its making.
func TestAnInterfaceIsMadeWhole(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	e := w.create(cloudsim.CreateInterface{
		Description: "d", IPv4: []cloudsim.WantedIP{{Addr: netip.MustParseAddr("10.0.1.9")}, {Addr: netip.MustParseAddr("10.0.1.8"), Primary: true}},
		IPv6: []netip.Addr{netip.MustParseAddr("2001:db8:0:1::9")}, Tags: cloudsim.Tags{"a": "x"},
	})
	same(t, []string{e.IPv4[0].Addr.String(), e.IPv4[1].Addr.String(), e.IPv6[0].String()}, []string{"10.0.1.8", "10.0.1.9", "2001:db8:0:1::9"})
	same(t, []bool{e.IPv4[0].Primary, e.IPv4[1].Primary, e.SourceDestCheck}, []bool{true, false, true})
	same(t, []string{e.Zone, e.ZoneID, e.VPC, e.Owner, e.Kind, e.Groups[0].Name, e.IPv4[0].DNS},
		[]string{"eu-central-1a", "euc1-az1", "vpc-1", "111122223333", "interface", "default", "ip-10-0-1-8.eu-central-1.compute.internal"})
	same(t, e.Tags, cloudsim.Tags{"a": "x"})
	if e.MAC[0]&3 != 2 {
		t.Errorf("the MAC %v is not a local unicast one", e.MAC)
	}
}

// Ipv6AddressCount=0 overrides the subnet's assign-on-create, and efa-only takes no
// addresses (the SDK's documentation of CreateNetworkInterfaceInput).
func TestTheSubnetSaysWhereNothingIsSaid(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	s := must(w.AddSubnet(cloudsim.Subnet{
		VPC: "vpc-1", Zone: "eu-central-1a", AssignIPv6: true,
		CIDR: netip.MustParsePrefix("10.0.5.0/24"), CIDR6: netip.MustParsePrefix("2001:db8:0:5::/64"),
	}))(t)
	var got []int
	for _, count := range []*int{nil, new(0), new(2)} {
		got = append(got, len(w.create(cloudsim.CreateInterface{Subnet: s.ID, IPv6Count: count}).IPv6))
	}
	same(t, got, []int{1, 0, 2})
	if e := w.create(cloudsim.CreateInterface{Kind: "efa-only"}); len(e.IPv4) != 0 {
		t.Errorf("efa-only has %v", e.IPv4)
	}
}

// The first four and the last address are reserved (VPC user guide, subnet
// sizing), and Free counts what is left.
func TestASubnetHasAnEnd(t *testing.T) {
	w := newWorld(t, cloudsim.Options{})
	s := must(w.AddSubnet(cloudsim.Subnet{VPC: "vpc-1", Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.0.5.16/28")}))(t)
	if s.Free != 11 {
		t.Errorf("of 16 addresses %d are free", s.Free)
	}
	met := map[netip.Addr]bool{}
	var last cloudsim.Interface
	for range 11 {
		last = w.create(cloudsim.CreateInterface{Subnet: s.ID})
		met[last.Primary()] = true
	}
	for _, a := range []string{"10.0.5.16", "10.0.5.17", "10.0.5.18", "10.0.5.19", "10.0.5.31"} {
		if met[netip.MustParseAddr(a)] {
			t.Errorf("%s is given", a)
		}
	}
	if err := w.refused(cloudsim.CreateInterface{Subnet: s.ID}); len(met) != 11 || code(err) != "InsufficientFreeAddressesInSubnet" {
		t.Errorf("%d are given, and then %v", len(met), err)
	}
	w.Log(0)
	must(0, w.DeleteInterface(t.Context(), w.call, last.ID))(t)
	if e := w.create(cloudsim.CreateInterface{Subnet: s.ID}); e.Primary() != last.Primary() {
		t.Errorf("%v is given back, and %v is given", last.Primary(), e.Primary())
	}
}
