package aws

import (
	"errors"
	"net/http"
	"testing"
	"testing/synctest"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

func TestCreate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*nic.Spec)
		want   func(cloudsim.Interface) bool
	}{
		"plain": {func(*nic.Spec) {}, func(i cloudsim.Interface) bool {
			return len(i.IPv4) == 1 && len(i.IPv6) == 0 && len(i.IPv4Prefixes) == 0 && i.SourceDestCheck
		}},
		"IPv6": {func(s *nic.Spec) { s.Cloud.IPv6 = true }, func(i cloudsim.Interface) bool { return len(i.IPv6) == 1 }},
		"an address": {func(s *nic.Spec) { s.Addrs = texted("10.80.0.50") }, func(i cloudsim.Interface) bool {
			return i.IPv4[0].Addr == addr("10.80.0.50") && len(i.IPv4) == 1
		}},
		"addresses": {func(s *nic.Spec) { s.Addrs = texted("10.80.0.50", "10.80.0.51", "fd80::5") }, func(i cloudsim.Interface) bool {
			return i.IPv4[0].Addr == addr("10.80.0.50") && i.IPv4[0].Primary && len(i.IPv4) == 2 && len(i.IPv6) == 1 && i.IPv6[0] == addr("fd80::5")
		}},
		"prefixes": {func(s *nic.Spec) { s.Cloud.Prefixes = 2 }, func(i cloudsim.Interface) bool { return len(i.IPv4Prefixes) == 2 && len(i.IPv4) == 1 }},
		"prefixes, an address": {func(s *nic.Spec) { s.Cloud.Prefixes, s.Addrs = 1, texted("10.80.0.50") }, func(i cloudsim.Interface) bool {
			return len(i.IPv4Prefixes) == 1 && i.IPv4[0].Addr == addr("10.80.0.50")
		}},
		"seats":    {func(s *nic.Spec) { s.Cloud.Secondary = 3 }, func(i cloudsim.Interface) bool { return len(i.IPv4) == 4 && i.IPv4[0].Primary }},
		"forwards": {func(s *nic.Spec) { s.Cloud.Forwards = true }, func(i cloudsim.Interface) bool { return !i.SourceDestCheck }},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := open(t, cloudsim.Options{})
				spec := w.Spec(enitest.ID(1))
				c.change(&spec)
				for range 2 {
					_, err := w.Provider.Create(t.Context(), spec)
					w.Must(err)
				}
				all := w.Ours()
				if len(all) != 1 || !c.want(all[0]) {
					t.Fatalf("%+v", all)
				}
				tags := all[0].Tags
				if tags[eni.TagNIC] != string(enitest.ID(1)) || tags[eni.TagCluster] != "cl-1" || tags[eni.TagNode] != "web1" || tags[tagName] != "nicferry vpc" || tags["team"] != "web" {
					t.Errorf("tags %v", tags)
				}
				if g := all[0].Groups; len(g) != 1 || g[0].ID != w.Group {
					t.Errorf("groups %v", g)
				}
				seen := w.Until(enitest.ID(1), nic.StateAvailable)
				for _, s := range seen.Subnets {
					want := s.Prefix.Addr().Next()
					if s.Prefix.Addr().Is6() {
						want = addr("fe80:ec2::1") // AWS: "Subnet sizing for IPv6"
					}
					if s.Gateway != want {
						t.Errorf("%+v; want the router %s", s, want)
					}
				}
				for _, a := range seen.Addrs {
					if _, ok := (nic.Network{Subnets: seen.Subnets}).SubnetOf(a); !ok {
						t.Errorf("%s is of none of %+v", a, seen.Subnets)
					}
				}
			})
		})
	}
}

// TestCreateRefused: what cannot work is told before anything is made.
func TestCreateRefused(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		vpc, err := w.Cloud.AddVPC(cloudsim.VPC{CIDR: addrPrefix("10.90.0.0/16")})
		w.Must(err)
		foreign, err := w.Cloud.AddGroup(cloudsim.SecurityGroup{Name: "theirs", Description: "theirs", VPC: vpc.ID})
		w.Must(err)
		for name, change := range map[string]func(*nic.Spec){
			"an id of nobody's":        func(s *nic.Spec) { s.NIC = "nic-*" },
			"a MAC":                    func(s *nic.Spec) { s.MAC = nic.NewMAC() },
			"not placed":               func(s *nic.Spec) { s.Cloud.Subnet = "" },
			"no such subnet":           func(s *nic.Spec) { s.Cloud.Subnet = "subnet-0123456789abcdef0" },
			"no such group":            func(s *nic.Spec) { s.Cloud.Groups = []string{"sg-0123456789abcdef0"} },
			"a group of another VPC":   func(s *nic.Spec) { s.Cloud.Groups = []string{foreign.ID} },
			"an address of another":    func(s *nic.Spec) { s.Addrs = texted("10.80.1.5") },
			"a reserved address":       func(s *nic.Spec) { s.Addrs = texted("10.80.0.1") },
			"prefixes and many others": func(s *nic.Spec) { s.Cloud.Prefixes, s.Addrs = 1, texted("10.80.0.50", "10.80.0.51") },
		} {
			spec := w.Spec(enitest.ID(1))
			change(&spec)
			if _, err := w.Provider.Create(t.Context(), spec); !errors.Is(err, provider.ErrInvalid) {
				t.Errorf("%s: %v; want invalid", name, err)
			}
		}
		w.Clean(0)
	})
}

// TestForwardsIsFinished: what dies between making a NIC and turning the check off
// has it turned off by the next create.
func TestForwardsIsFinished(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		spec := w.Spec(enitest.ID(1))
		spec.Cloud.Forwards = true
		w.Inject(cloudsim.Fault{Verb: cloudsim.ServerError, API: apiModifyInterface, Count: attempts})
		if _, err := w.Provider.Create(t.Context(), spec); !errors.Is(err, provider.ErrUnknown) {
			t.Fatalf("%v; want unknown", err)
		}
		w.Provider = w.Another()
		_, err := w.Provider.Create(t.Context(), spec)
		w.Must(err)
		if all := w.Ours(); len(all) != 1 || all[0].SourceDestCheck {
			t.Errorf("%+v", all)
		}
	})
}

// TestF01_CallsOfAStart: a cold start is three mutating calls, one look each before
// them, and nothing that is asked again of what does not change.
func TestF01_CallsOfAStart(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.Attached(enitest.ID(1), w.At(0))
		before := w.Cloud.Counts()
		_, err := w.Limits(t.Context(), w.VMs[0])
		w.Must(err)
		_, err = w.Place(t.Context(), w.Unplaced(nic.PickMostFree, w.Nets[0]), w.NodeOf(0))
		w.Must(err)
		w.Attached(enitest.ID(2), w.At(0))
		calls := map[string]int{}
		for api, n := range w.Cloud.Counts() {
			if d := n.Calls - before[api].Calls; d > 0 {
				calls[api] = d
			}
		}
		mutating := calls[apiCreateInterface] + calls[apiAttachInterface] + calls[apiModifyInterface]
		if mutating != 3 || calls[apiCreateTags] != 0 || calls[apiDescribeTypes] != 0 || calls[apiDescribeSubnets] != 0 || calls[apiDescribeInstances] > 2 || calls[apiDescribeInterfaces] > 4 {
			t.Errorf("calls %v", calls)
		}
		t.Logf("calls of a start: %v", calls)
	})
}

func TestLimitsShippedTable(t *testing.T) {
	t.Parallel()
	p, s := scripted(t)
	s.say(apiDescribeTypes, refusal(http.StatusForbidden, "UnauthorizedOperation", "no"))
	limits, err := p.Limits(t.Context(), testInstance)
	if err != nil || limits.NICs != 3 || limits.AddrsPerNIC != 10 || limits.Free != 2 {
		t.Errorf("%+v, %v; want the shipped table's", limits, err)
	}
	for kind, want := range map[string]eni.Capacity{"a1.2xlarge": {NICs: 4, Addrs: 15}, "m5.16xlarge": {NICs: 15, Addrs: 50}, "t2.micro": {NICs: 2, Addrs: 2}} {
		if got, ok := eni.Table(shipped).Of(kind); !ok || got != want {
			t.Errorf("%s: %+v, %t; want %+v", kind, got, ok, want)
		}
	}
	for _, kind := range cloudsim.InstanceTypes() { // of which most have one card
		want := eni.Capacity{NICs: kind.Cards[0], Addrs: kind.IPv4PerInterface}
		if got, ok := eni.Table(shipped).Of(kind.Name); !ok || got != want {
			t.Errorf("%s: %+v, %t; the cloud in memory has %+v on card 0", kind.Name, got, ok, want)
		}
	}
	for _, kind := range []string{"", "m5", "x", "m5.large\t"} {
		if got, ok := eni.Table(shipped).Of(kind); ok {
			t.Errorf("%q: %+v", kind, got)
		}
	}
}

// TestLimitsOfCardZero: NICs go to one card only, and EC2 is asked again when it
// says that it is full.
func TestLimitsOfCardZero(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		big := w.Instance("p4d.24xlarge")
		limits, err := w.Limits(t.Context(), big)
		if err != nil || limits.NICs != 15 || limits.Free != 14 {
			t.Errorf("%+v, %v; want card 0's", limits, err)
		}
		w.Created(enitest.ID(1))
		before := w.Cloud.Counts()[apiDescribeTypes].Calls
		w.Inject(cloudsim.Fault{Verb: cloudsim.Limit, API: apiAttachInterface})
		at := nic.Place{Node: "big", Instance: big}
		if _, err := w.Provider.Attach(t.Context(), enitest.ID(1), at); !errors.Is(err, provider.ErrExhausted) {
			t.Errorf("%v; want exhausted", err)
		}
		_, err = w.Provider.Attach(t.Context(), enitest.ID(1), at)
		w.Must(err)
		if n := w.Cloud.Counts()[apiDescribeTypes].Calls - before; n != 1 {
			t.Errorf("the type was asked for %d times after the limit was met; want once", n)
		}
	})
}
