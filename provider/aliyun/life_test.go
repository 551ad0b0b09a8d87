package aliyun

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/eni/enitest"
)

// TestF01_CallsOfAStart: a cold start is two calls that change something: tags, and that
// it goes with its instance, are part of them.
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
		changing, looks := 0, 0
		for api, n := range w.Cloud.Counts() {
			if reads(api) {
				looks += n.Calls - before[api].Calls
			} else {
				changing += n.Calls - before[api].Calls
			}
		}
		if changing != 2 || looks > 7 {
			t.Errorf("%d calls that change something, and %d looks", changing, looks)
		}
		plan, err := w.Plan(t.Context(), w.Unplaced(nic.PickMostFree, w.Nets[0]), "ecs.g7.large")
		if err != nil || len(plan.Calls) != 2 || plan.Fresh.NICs != 3 || plan.Fresh.Free != 2 {
			t.Errorf("the plan is %+v, %v", plan, err)
		}
	})
}

func TestCreate(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		change func(*nic.Spec)
		want   func(cloudsim.Interface) bool
	}{
		"plain": {func(*nic.Spec) {}, func(i cloudsim.Interface) bool {
			return len(i.IPv4) == 1 && len(i.IPv6) == 0 && len(i.IPv4Prefixes) == 0
		}},
		"IPv6": {func(s *nic.Spec) { s.Cloud.IPv6 = true }, func(i cloudsim.Interface) bool { return len(i.IPv6) == 1 }},
		"addresses": {func(s *nic.Spec) { s.Addrs = enitest.Addrs("10.80.0.50", "10.80.0.51", "fd80::5") }, func(i cloudsim.Interface) bool {
			return i.IPv4[0].Addr.String() == "10.80.0.50" && i.IPv4[0].Primary && len(i.IPv4) == 2 && len(i.IPv6) == 1 && i.IPv6[0].String() == "fd80::5"
		}},
		"prefixes, an address": {func(s *nic.Spec) { s.Cloud.Prefixes, s.Addrs = 2, enitest.Addrs("10.80.0.50") }, func(i cloudsim.Interface) bool {
			return len(i.IPv4Prefixes) == 2 && i.IPv4[0].Addr.String() == "10.80.0.50"
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
				if len(all) != 1 || !c.want(all[0]) || !all[0].GoesWithInstance || len(all[0].Groups) != 1 || all[0].Groups[0].ID != w.Group || all[0].Name != "nicferry-vpc" {
					t.Fatalf("%+v", all)
				}
				tags := all[0].Tags
				if tags[eni.TagNIC] != string(enitest.ID(1)) || tags[eni.TagCluster] != "cl-1" || tags[eni.TagNode] != "web1" || tags["team"] != "web" {
					t.Errorf("tags %v", tags)
				}
				if n := w.Cloud.Counts()[apiModifyInterface].Calls + w.Cloud.Counts()[apiTag].Calls; n > 0 {
					t.Errorf("%d calls to put right what was made", n)
				}
				seen := w.Until(enitest.ID(1), nic.StateAvailable)
				for _, s := range seen.Subnets {
					if want := map[string]string{"10.80.0.0/24": "10.80.0.253", "fd80::/64": "fd80::ffff:ffff:ffff:fffd"}[s.Prefix.String()]; s.Gateway.String() != want {
						t.Errorf("%+v; want the gateway %s", s, want)
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
		for name, change := range map[string]func(*nic.Spec){
			"a MAC":                    func(s *nic.Spec) { s.MAC = nic.NewMAC() },
			"not placed":               func(s *nic.Spec) { s.Cloud.Subnet = "" },
			"no such subnet":           func(s *nic.Spec) { s.Cloud.Subnet = "vsw-0123456789abcdef0" },
			"no group":                 func(s *nic.Spec) { s.Cloud.Groups = nil },
			"no such group":            func(s *nic.Spec) { s.Cloud.Groups = []string{"sg-0123456789abcdef0"} },
			"an address of another":    func(s *nic.Spec) { s.Addrs = enitest.Addrs("10.80.1.5") },
			"the gateway's":            func(s *nic.Spec) { s.Addrs = enitest.Addrs("10.80.0.253") },
			"too many prefixes":        func(s *nic.Spec) { s.Cloud.Prefixes = 11 },
			"prefixes and many others": func(s *nic.Spec) { s.Cloud.Prefixes, s.Addrs = 1, enitest.Addrs("10.80.0.50", "10.80.0.51") },
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

// TestF03_SpentToken: a token whose first call failed is of no use, and another one is,
// also to whoever comes next after its answer was lost.
func TestF03_SpentToken(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{Lag: cloudsim.Lag{Describe: cloudsim.Range{Min: 20 * time.Second, Max: 20 * time.Second}}})
		spent := cloudsim.Fault{Verb: cloudsim.Fail, API: apiCreateInterface, Resource: string(enitest.ID(1)), Code: "IdempotentFailed", Count: -1}
		w.Inject(spent, cloudsim.Fault{Verb: cloudsim.LoseReply, API: apiCreateInterface, Resource: string(enitest.ID(1)) + "-2", Count: attempts})
		if _, err := w.Provider.Create(t.Context(), w.Spec(enitest.ID(1))); !errors.Is(err, provider.ErrUnknown) {
			t.Errorf("%v; want unknown", err)
		}
		w.Provider = w.Another()
		_, err := w.Provider.Create(t.Context(), w.Spec(enitest.ID(1))) // which the cloud does not show yet
		w.Must(err)
		if n := len(w.Ours()); n != 1 {
			t.Errorf("%d interfaces", n)
		}
	})
}

// TestF06_ForeignInterfaces: what has our name and not our tag, or another cluster's, is
// not ours.
func TestF06_ForeignInterfaces(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		own := w.Created(enitest.ID(1))
		w.Inject(cloudsim.Fault{Verb: cloudsim.ForeignObjects, Foreign: []cloudsim.Foreign{
			{Subnet: w.Nets[0], Description: "nicferry " + string(enitest.ID(2))},
			{Subnet: w.Nets[0], Tags: cloudsim.Tags{eni.TagNIC: string(enitest.ID(1)), eni.TagCluster: "cl-2"}},
			{Subnet: w.Nets[0], Tags: cloudsim.Tags{eni.TagNIC: string(enitest.ID(3))}},
			{Subnet: w.Nets[0], Instance: string(w.VMs[0])},
		}})
		all, err := w.List(t.Context())
		if err != nil || len(all) != 1 || all[0].ProviderID != own.ProviderID {
			t.Errorf("%+v, %v; want ours alone", all, err)
		}
		for _, n := range []int{2, 3} {
			if err := w.Provider.Delete(t.Context(), enitest.ID(n)); !errors.Is(err, provider.ErrNotFound) {
				t.Errorf("%d: %v; want not found", n, err)
			}
		}
		limits, err := w.Limits(t.Context(), w.VMs[0])
		if err != nil || limits.Free != 1 || limits.NICs != 3 || limits.AddrsPerNIC != 6 {
			t.Errorf("%+v, %v; want the foreign one counted", limits, err)
		}
		before := len(w.Cloud.Interfaces())
		w.Gone(enitest.ID(1))
		if n := len(w.Cloud.Interfaces()); n != before-1 {
			t.Errorf("%d interfaces are left of %d; want ours gone", n, before)
		}
	})
}

// TestF07_NoIndexes: slots have no numbers, so there is none to be in the way: as many
// NICs find a place as the instance holds, however they come and go.
func TestF07_NoIndexes(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{Latency: vendor().Latency})
		at := nic.Place{Node: "big", Instance: w.Instance("ecs.g7.4xlarge")} // 8, one of them its own
		for n := range 8 {
			w.Created(enitest.ID(n))
		}
		errs := make(chan error, 8)
		for n := range 8 {
			go func() {
				_, err := w.Provider.Attach(t.Context(), enitest.ID(n), at)
				for errors.Is(err, provider.ErrBusy) {
					time.Sleep(time.Second)
					_, err = w.Provider.Attach(t.Context(), enitest.ID(n), at)
				}
				errs <- err
			}()
		}
		var refused []error
		for range 8 {
			if err := <-errs; err != nil {
				refused = append(refused, err)
			}
		}
		if len(refused) != 1 || !errors.Is(refused[0], provider.ErrExhausted) {
			t.Fatalf("refused are %v; want one, for there being no room", refused)
		}
		time.Sleep(time.Minute)
		left := slices.IndexFunc(w.Ours(), func(i cloudsim.Interface) bool { return i.Attachment == nil })
		missed := nic.ID(w.Ours()[left].Tags[eni.TagNIC])
		gives := enitest.ID(0)
		if missed == gives {
			gives = enitest.ID(1)
		}
		w.GoneFrom(gives, at.Instance)
		_, err := w.Provider.Attach(t.Context(), missed, at)
		w.Must(err)
		w.Until(missed, nic.StateAttached)
	})
}

// TestF14_DeletedIsNotListed: that a delete began is not that it is done, and one that
// hangs is begun again.
func TestF14_DeletedIsNotListed(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.Created(enitest.ID(1))
		w.Inject(cloudsim.Fault{Verb: cloudsim.Stuck, API: apiDeleteInterface, State: "deleting", Count: -1})
		for n := range 6 {
			w.Must(w.Provider.Delete(t.Context(), enitest.ID(1)))
			all, err := w.Get(t.Context(), enitest.ID(1))
			if w.Must(err); all[enitest.ID(1)].State != nic.StateDeleting {
				t.Errorf("after %d tries it is %q", n+1, all[enitest.ID(1)].State)
			}
			if _, err := w.Provider.Create(t.Context(), w.Spec(enitest.ID(1))); !errors.Is(err, provider.ErrBusy) {
				t.Errorf("made anew: %v; want busy", err)
			}
			time.Sleep(again / 2)
		}
		if n := w.Cloud.Counts()[apiDeleteInterface].Calls; n < 2 || n > 4 {
			t.Errorf("%d deletes in a minute", n)
		}
		if len(w.Ours()) != 1 {
			t.Error("it is gone")
		}
		w.Cloud.Clear()
		w.Gone(enitest.ID(1))
		w.Clean(1)
	})
}

// TestManyInterfaces: of so many that a look by tags does not show them all, none is
// missed.
func TestManyInterfaces(t *testing.T) {
	t.Parallel()
	w := open(t, cloudsim.Options{})
	p := provided(w)
	for n, prefix := range []string{"10.80.16.0/20"} {
		s, err := w.Cloud.AddSubnet(cloudsim.Subnet{VPC: w.VPC, Zone: w.Zones[n], CIDR: prefixOf(prefix)})
		w.Must(err)
		_, err = w.Cloud.Plant(cloudsim.Foreign{Subnet: s.ID, Count: maxTagged + 7, Tags: cloudsim.Tags{eni.TagCluster: "cl-1", eni.TagNIC: string(enitest.ID(7))}})
		w.Must(err)
	}
	for range 2 { // the first finds out
		all, err := p.cloud.Interfaces(t.Context(), nil)
		if err != nil || len(all) != maxTagged+7 {
			t.Fatalf("%d interfaces, %v", len(all), err)
		}
	}
	counts := w.Cloud.Counts()
	if counts[apiListTags].Calls == 0 {
		t.Error("the tags were not listed")
	}
	before := counts[apiDescribeInterfaces].Calls
	if all, err := p.cloud.Interfaces(t.Context(), []nic.ID{enitest.ID(1), enitest.ID(2)}); err != nil || len(all) != 0 {
		t.Errorf("%d interfaces of others, %v", len(all), err)
	}
	if n := w.Cloud.Counts()[apiDescribeInterfaces].Calls - before; n != 2 {
		t.Errorf("%d looks for two NICs among so many", n)
	}
}

// TestLimitsShippedTable: where ECS does not say what a type holds, the table does.
func TestLimitsShippedTable(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.Inject(cloudsim.Fault{Verb: cloudsim.Fail, API: apiDescribeTypes, Code: "Forbidden.RAM", Count: -1})
		limits, err := w.Limits(t.Context(), w.VMs[0])
		if err != nil || limits.NICs != 3 || limits.AddrsPerNIC != 6 || limits.Free != 2 {
			t.Errorf("%+v, %v; want the shipped table's", limits, err)
		}
	})
	for _, kind := range typesInMemory() {
		want := eni.Capacity{NICs: kind.MaxInterfaces, Addrs: kind.IPv4PerInterface}
		if got, ok := eni.Table(shipped).Of(kind.Name); !ok || got != want {
			t.Errorf("%s: %+v, %t; the cloud in memory has %+v", kind.Name, got, ok, want)
		}
	}
	for _, kind := range []string{"", "ecs.g7", "ecs.g7.large\t"} {
		if got, ok := eni.Table(shipped).Of(kind); ok {
			t.Errorf("%q: %+v", kind, got)
		}
	}
}

// TestStates reads what ECS says of an interface.
func TestStates(t *testing.T) {
	t.Parallel()
	for status, want := range map[string]nic.State{
		"Creating": nic.StateCreating, "Available": nic.StateAvailable, "Attaching": nic.StateAttaching, "InUse": nic.StateAttached,
		"Detaching": nic.StateDetaching, "Deleting": nic.StateDeleting, "CreateFailed": nic.StateFailed, "Unheard": nic.StateCreating,
	} {
		for _, at := range []string{"", "i-1"} {
			t.Run(fmt.Sprintf("%s at %q", status, at), func(t *testing.T) {
				f, want := interfaceFrom(shownAt(status, at)), want
				if status == "InUse" && at == "" {
					want = nic.StateAttaching
				}
				plugged := at != "" && (status == "Attaching" || status == "InUse" || status == "Detaching")
				if f.State != want || (f.Plug != nil) != plugged {
					t.Errorf("%+v; want %s", f, want)
				}
				if plugged && (f.Plug.ID != at || f.Plug.Instance != nic.InstanceID(at) || f.Plug.Index != 0) {
					t.Errorf("plugged in %+v", f.Plug)
				}
			})
		}
	}
}
