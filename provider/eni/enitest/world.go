// Package enitest is a cloud in memory with a provider of its interfaces, and what is the
// same to test of each cloud.
package enitest

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/eni"
	"github.com/nicferry/nicferry/provider/providertest"
)

// A Vendor is what is otherwise with each cloud.
type Vendor struct {
	// Zones are two of its region.
	Zones [2]string
	// Small is a type that holds three interfaces, and Big one that holds eight or more.
	Small, Big string
	Act        Actions
	// Attempts are made of each call, and PublishAttempts of Publish.
	Attempts, PublishAttempts int
	// Denied is the code of what is not permitted.
	Denied string
	// Mutating is how many calls of a start change something: three where an attachment
	// is to be tied to its instance by another call.
	Mutating int
	// Again is whether what began is asked for again.
	Again bool
	// Forgets: an instance that has ended is not shown.
	Forgets bool
	// Latency is what people see of it, and Buckets what it allows an account.
	Latency cloudsim.Latency
	Buckets cloudsim.Buckets
	// Shape gives a cloud's options what is this one's; optional.
	Shape func(cloudsim.Options) cloudsim.Options
	// Face speaks its protocol for the world's cloud, and returns a function that makes
	// providers which speak with that, and may make so many times the usual calls.
	Face func(w *World) func(calls int) *eni.Provider
	// Reads says whether an action changes nothing.
	Reads func(action string) bool
}

// Actions are the cloud's names of what is called.
type Actions struct {
	Create, Attach, Detach, Delete, Modify, Assign4, Unassign4, Assign6, Unassign6 string
	Interfaces, Instances, Types, Subnets                                          string // the looks
	Publish, Lead, Unlead, Unpublish, Published                                    string // of public addresses
}

// lifeActions are those that change something in one life of a NIC.
func (v *Vendor) lifeActions() []string {
	all := []string{v.Act.Create, v.Act.Attach, v.Act.Detach, v.Act.Delete}
	if v.Mutating > 2 {
		all = append(all, v.Act.Modify)
	}
	return all
}

// What package eni remembers, for how long.
const (
	NewFor   = 30 * time.Second // that a NIC was placed
	FullFor  = time.Minute      // that a subnet was full
	RoomFor  = 30 * time.Second // what an instance has room for
	StaleFor = 10 * time.Second // that a NIC was plugged in
)

// noSubnet is one that there is not.
const noSubnet = "subnet-0123456789abcdef0"

// A World is a cloud in memory and a provider that talks to it by the SDK: two zones, with
// two subnets and two instances in the first and one of each in the second.
type World struct {
	*testing.T
	*eni.Provider
	*Vendor
	Cloud   *cloudsim.Cloud
	VPC     string
	Nets    [3]string // the subnets
	VMs     [3]nic.InstanceID
	Group   string
	Patient bool // reads may fail
	// Make makes a provider on the same world that remembers nothing, and may make so many
	// times the usual calls.
	Make func(calls int) *eni.Provider
}

// Another is a provider on the same world that remembers nothing.
func (w *World) Another() *eni.Provider { return w.Make(1) }

// Must ends the test on an error.
func (w *World) Must(err error) {
	w.Helper()
	if err != nil {
		w.Fatal(err)
	}
}

// Open makes a world, in which the provider remembers nothing.
func Open(t *testing.T, v *Vendor, o cloudsim.Options) *World {
	t.Helper()
	if v.Shape != nil {
		o = v.Shape(o)
	}
	w := &World{T: t, Vendor: v, Cloud: cloudsim.New(o)}
	t.Cleanup(w.Cloud.Close)
	vpc, err := w.Cloud.AddVPC(cloudsim.VPC{CIDR: netip.MustParsePrefix("10.80.0.0/16"), CIDR6: netip.MustParsePrefix("fd80::/56")})
	w.Must(err)
	w.VPC = vpc.ID
	group, err := w.Cloud.AddGroup(cloudsim.SecurityGroup{Name: "containers", Description: "for containers", VPC: vpc.ID})
	w.Must(err)
	w.Group = group.ID
	for i, zone := range []string{v.Zones[0], v.Zones[0], v.Zones[1]} {
		s, err := w.Cloud.AddSubnet(cloudsim.Subnet{
			VPC: vpc.ID, Zone: zone, CIDR: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 80, byte(i), 0}), 24), //nolint:gosec // three
			CIDR6: netip.PrefixFrom(netip.AddrFrom16([16]byte{0: 0xfd, 1: 0x80, 7: byte(i)}), 64), //nolint:gosec // three
		})
		w.Must(err)
		w.Nets[i] = s.ID
	}
	for i, subnet := range w.Nets {
		made, err := w.Cloud.AddInstances(cloudsim.RunInstances{Type: v.Small, Subnet: subnet})
		w.Must(err)
		w.VMs[i] = nic.InstanceID(made[0].ID)
	}
	w.Make = v.Face(w)
	w.Provider = w.Another()
	time.Sleep(o.Lag.Describe.Max) // until all that shows
	return w
}

// ID is the n-th NIC of a test.
func ID(n int) nic.ID { return nic.ID(fmt.Sprintf("nic-%016x", n)) }

// KindOf is an error's kind.
func KindOf(err error) error {
	if e, ok := errors.AsType[*provider.Error](err); ok {
		return e.Kind
	}
	return nil
}

// Inject plans faults.
func (w *World) Inject(faults ...cloudsim.Fault) {
	w.Helper()
	_, err := w.Cloud.Inject(faults...)
	w.Must(err)
}

// Spec is one for the first subnet.
func (w *World) Spec(id nic.ID) nic.Spec {
	return nic.Spec{
		NIC: id, Network: "vpc", Tenant: "default", Node: "web1",
		Cloud: nic.CloudSpec{Zone: w.Zones[0], Subnet: w.Nets[0], Groups: []string{w.Group}, Tags: map[string]string{"team": "web"}},
	}
}

// Unplaced is a spec that leaves the subnet open.
func (w *World) Unplaced(pick nic.SubnetPick, subnets ...string) nic.Spec {
	return nic.Spec{NIC: ID(1), Network: "vpc", Cloud: nic.CloudSpec{Subnets: subnets, Pick: pick, Groups: []string{w.Group}, IPv6: true}}
}

// At is the n-th instance's place, as node webN.
func (w *World) At(n int) nic.Place {
	return nic.Place{Node: [3]string{"web1", "web2", "web3"}[n], Instance: w.VMs[n]}
}

// NodeOf is the n-th instance's node.
func (w *World) NodeOf(n int) nic.Node {
	at := w.At(n)
	return nic.Node{Schema: nic.Schema, Name: at.Node, Instances: map[string]nic.InstanceID{"cloud": at.Instance}}
}

// Instance makes one more, in the first subnet.
func (w *World) Instance(kind string) nic.InstanceID {
	w.Helper()
	made, err := w.Cloud.AddInstances(cloudsim.RunInstances{Type: kind, Subnet: w.Nets[0]})
	w.Must(err)
	return nic.InstanceID(made[0].ID)
}

// Ours are the interfaces that carry our tag.
func (w *World) Ours() []cloudsim.Interface {
	var all []cloudsim.Interface
	for _, i := range w.Cloud.Interfaces() {
		if i.Tags[eni.TagCluster] == "cl-1" {
			all = append(all, i)
		}
	}
	return all
}

// Clean demands that nothing of ours is left, and how many were ever made.
func (w *World) Clean(made int) {
	w.Helper()
	if left := w.Ours(); len(left) > 0 {
		w.Errorf("left behind: %+v", left)
	}
	if n := w.Cloud.Counts()[w.Act.Create].Effects; n != made {
		w.Errorf("%d interfaces were made; want %d", n, made)
	}
}

// Rig is the world for the conformance suite.
func (w *World) Rig() *providertest.Rig {
	actions := map[string]string{
		"create": w.Act.Create, "attach": w.Act.Attach, "detach": w.Act.Detach, "delete": w.Act.Delete,
		"publish": w.Act.Publish, "unpublish": w.Act.Unpublish, "published": w.Act.Published,
		"get": w.Act.Interfaces, "list": w.Act.Interfaces, "limits": w.Act.Instances, "off": w.Act.Instances,
	}
	tries := func(op string) int {
		if op == "publish" {
			return w.PublishAttempts
		}
		return w.Attempts
	}
	return &providertest.Rig{
		Provider: w.Provider,
		Places:   [2]nic.Place{w.At(0), w.At(1)},
		Spec:     w.Spec,
		Settle:   func(*testing.T) { time.Sleep(500 * time.Millisecond) },
		Restart: func(*testing.T) provider.Provider {
			w.Provider = w.Another()
			return w.Provider
		},
		Fail: func(op string, kind error) {
			f := cloudsim.Fault{Verb: cloudsim.ServerError, API: actions[op], Count: tries(op)}
			switch kind {
			case provider.ErrThrottled:
				f.Verb, f.Count = cloudsim.Throttle, 1
			case provider.ErrDenied:
				f.Verb, f.Count, f.Code, f.Message, f.Status = cloudsim.Fail, 1, w.Denied, "no", 403
			}
			w.Inject(f)
		},
		Lose: func(op string) {
			w.Inject(cloudsim.Fault{Verb: cloudsim.LoseReply, API: actions[op], Count: tries(op)})
		},
		SetOff: w.SetOff,
	}
}

// SetOff turns an instance off, or on.
func (w *World) SetOff(instance nic.InstanceID, off bool) {
	power, want := w.Cloud.StartInstances, cloudsim.InstanceRunning
	if off {
		power, want = w.Cloud.StopInstances, cloudsim.InstanceStopped
	}
	_, err := power(w.Context(), cloudsim.Call{Caller: "test"}, string(instance))
	w.Must(err)
	for range 100 {
		for _, i := range w.Cloud.Instances() {
			if i.ID == string(instance) && i.State == want {
				return
			}
		}
		time.Sleep(time.Second)
	}
	w.Fatalf("%s is never %s", instance, want)
}

// Addrs are addresses by their texts.
func Addrs(all ...string) []netip.Addr {
	var addrs []netip.Addr
	for _, s := range all {
		addrs = append(addrs, netip.MustParseAddr(s))
	}
	return addrs
}
