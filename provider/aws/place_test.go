package aws

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/internal/cloudsim"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
)

// node is the n-th instance's.
func (w *world) node(n int) nic.Node {
	at := w.place(n)
	return nic.Node{Schema: nic.Schema, Name: at.Node, Instances: map[string]nic.InstanceID{"cloud": at.Instance}}
}

// open spec is one that leaves the subnet open.
func (w *world) unplaced(pick nic.SubnetPick, subnets ...string) nic.Spec {
	return nic.Spec{NIC: id(1), Network: "vpc", Cloud: nic.CloudSpec{Subnets: subnets, Pick: pick, Groups: []string{w.group}, IPv6: true}}
}

func TestPlace(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		_, err := w.cloud.Plant(cloudsim.Foreign{Subnet: w.subnets[0], Count: 9})
		w.must(err)
		a, b, other := w.subnets[0], w.subnets[1], w.subnets[2]
		for name, c := range map[string]struct {
			spec nic.Spec
			node int
			want []string // one of them; none is ErrInvalid
			says string
		}{
			"most free":           {spec: w.unplaced(nic.PickMostFree, a, b, other), want: []string{b}},
			"the zone's only one": {spec: w.unplaced(nic.PickMostFree, a, b, other), node: 2, want: []string{other}},
			"ordered":             {spec: w.unplaced(nic.PickOrdered, a, b), want: []string{a}},
			"random":              {spec: w.unplaced(nic.PickRandom, a, b, other), want: []string{a, b}},
			"none in the zone":    {spec: w.unplaced(nic.PickOrdered, other), says: "none of the network's subnets"},
			"no such subnet":      {spec: w.unplaced(nic.PickOrdered, a, "subnet-0123456789abcdef0"), says: "subnet-0123456789abcdef0"},
			"none at all":         {spec: w.unplaced(nic.PickOrdered), says: "none of the network's subnets"},
			"kept":                {spec: w.spec(id(1)), node: 1, want: []string{a}},
			"kept, another zone":  {spec: w.spec(id(1)), node: 2, says: "stays in its zone"},
		} {
			got, err := w.Place(t.Context(), c.spec, w.node(c.node))
			if len(c.want) == 0 {
				if !errors.Is(err, provider.ErrInvalid) || !strings.Contains(fmt.Sprint(err), c.says) {
					t.Errorf("%s: %v; want invalid and %q", name, err, c.says)
				}
				continue
			}
			if err != nil || !slices.Contains(c.want, got.Cloud.Subnet) || got.Cloud.Subnets != nil || got.Cloud.Pick != "" ||
				got.Cloud.Zone != [3]string{"eu-central-1a", "eu-central-1a", "eu-central-1b"}[c.node] || !slices.Equal(got.Cloud.Groups, c.spec.Cloud.Groups) {
				t.Errorf("%s: %+v, %v; want one of %v", name, got.Cloud, err, c.want)
			}
		}
		named := w.unplaced(nic.PickOrdered, a, b)
		named.Addrs = texted("10.80.1.9")
		if got, err := w.Place(t.Context(), named, w.node(0)); err != nil || got.Cloud.Subnet != b {
			t.Errorf("%+v, %v; want the subnet that the address is of", got.Cloud, err)
		}
		named.Addrs = texted("10.99.1.9")
		if _, err := w.Place(t.Context(), named, w.node(0)); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("%v; want invalid", err)
		}
		if _, err := w.Place(t.Context(), named, nic.Node{Name: "elsewhere"}); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("%v; want invalid", err)
		}
	})
}

// TestF17_SubnetFull: what there is is given, the rest is told so and leaves nothing
// behind; once there is room again, it is given too.
func TestF17_SubnetFull(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		small, err := w.cloud.AddSubnet(cloudsim.Subnet{VPC: w.vpc, Zone: "eu-central-1a", CIDR: netip.MustParsePrefix("10.80.9.0/28")})
		w.must(err)
		_, err = w.cloud.Plant(cloudsim.Foreign{Subnet: small.ID, Count: 8})
		w.must(err)
		try := func(n int) error {
			spec := w.unplaced(nic.PickMostFree, small.ID)
			spec.NIC, spec.Cloud.IPv6 = id(n), false
			spec, err := w.Place(t.Context(), spec, w.node(0))
			if err == nil {
				_, err = w.Create(t.Context(), spec)
			}
			return err
		}
		made := 0
		for n := range 10 {
			err := try(n)
			if err == nil {
				made++
				continue
			}
			if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrExhausted || e.Scope != provider.ScopeSubnet {
				t.Errorf("%v; want exhausted, of the subnet", err)
			}
		}
		if made != 3 || len(w.ours()) != 3 {
			t.Errorf("%d of 10 made, %d there; want 3", made, len(w.ours()))
		}
		w.gone(id(0))
		time.Sleep(fullFor)
		w.must(try(20))
		for _, n := range []int{1, 2, 20} {
			w.gone(id(n))
		}
		w.clean(4)
	})
}

// TestF17_NextSubnet: a subnet that turned out to be full is left alone for a while.
func TestF17_NextSubnet(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{})
		w.inject(cloudsim.Fault{Verb: cloudsim.SubnetEmpty, API: apiCreateInterface, Resource: w.subnets[0], Count: -1})
		place := func() string {
			got, err := w.Place(t.Context(), w.unplaced(nic.PickOrdered, w.subnets[0], w.subnets[1]), w.node(0))
			w.must(err)
			return got.Cloud.Subnet
		}
		if got := place(); got != w.subnets[0] {
			t.Fatalf("%s first", got)
		}
		if _, err := w.Create(t.Context(), w.spec(id(1))); !errors.Is(err, provider.ErrExhausted) {
			t.Fatal(err)
		}
		if got := place(); got != w.subnets[1] {
			t.Errorf("%s; want the next, though the first says that it has room", got)
		}
		time.Sleep(fullFor + time.Second)
		if got := place(); got != w.subnets[0] {
			t.Errorf("%s; want the first again", got)
		}
		w.clean(0)
	})
}

// TestF17_Quota: the account's quota is another scope than a subnet's.
func TestF17_Quota(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := open(t, cloudsim.Options{Quotas: cloudsim.Quotas{Interfaces: 4}}) // three are the instances' own
		w.created(id(1))
		_, err := w.Create(t.Context(), w.spec(id(2)))
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrExhausted || e.Scope != provider.ScopeAccount {
			t.Errorf("%v; want exhausted, of the account", err)
		}
		w.gone(id(1))
		w.created(id(2))
		w.gone(id(2))
		w.clean(2)
	})
}
