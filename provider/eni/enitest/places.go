package enitest

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

func Place(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		_, err := w.Cloud.Plant(cloudsim.Foreign{Subnet: w.Nets[0], Count: 9})
		w.Must(err)
		a, b, other := w.Nets[0], w.Nets[1], w.Nets[2]
		for name, c := range map[string]struct {
			spec nic.Spec
			node int
			want []string // one of them; none is ErrInvalid
			says string
		}{
			"most free":           {spec: w.Unplaced(nic.PickMostFree, a, b, other), want: []string{b}},
			"the zone's only one": {spec: w.Unplaced(nic.PickMostFree, a, b, other), node: 2, want: []string{other}},
			"ordered":             {spec: w.Unplaced(nic.PickOrdered, a, b), want: []string{a}},
			"random":              {spec: w.Unplaced(nic.PickRandom, a, b, other), want: []string{a, b}},
			"none in the zone":    {spec: w.Unplaced(nic.PickOrdered, other), says: "none of the network's subnets"},
			"no such subnet":      {spec: w.Unplaced(nic.PickOrdered, a, noSubnet), says: noSubnet},
			"none at all":         {spec: w.Unplaced(nic.PickOrdered), says: "none of the network's subnets"},
			"kept":                {spec: w.Spec(ID(1)), node: 1, want: []string{a}},
			"kept, another zone":  {spec: w.Spec(ID(1)), node: 2, says: "stays in its zone"},
		} {
			got, err := w.Place(t.Context(), c.spec, w.NodeOf(c.node))
			if len(c.want) == 0 {
				if !errors.Is(err, provider.ErrInvalid) || !strings.Contains(fmt.Sprint(err), c.says) {
					t.Errorf("%s: %v; want invalid and %q", name, err, c.says)
				}
				continue
			}
			if err != nil || !slices.Contains(c.want, got.Cloud.Subnet) || got.Cloud.Subnets != nil || got.Cloud.Pick != "" ||
				got.Cloud.Zone != [3]string{w.Zones[0], w.Zones[0], w.Zones[1]}[c.node] || !slices.Equal(got.Cloud.Groups, c.spec.Cloud.Groups) {
				t.Errorf("%s: %+v, %v; want one of %v", name, got.Cloud, err, c.want)
			}
		}
		named := w.Unplaced(nic.PickOrdered, a, b)
		named.Addrs = Addrs("10.80.1.9")
		if got, err := w.Place(t.Context(), named, w.NodeOf(0)); err != nil || got.Cloud.Subnet != b {
			t.Errorf("%+v, %v; want the subnet that the address is of", got.Cloud, err)
		}
		named.Addrs = Addrs("10.99.1.9")
		if _, err := w.Place(t.Context(), named, w.NodeOf(0)); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("%v; want invalid", err)
		}
		if _, err := w.Place(t.Context(), named, nic.Node{Name: "elsewhere"}); !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("%v; want invalid", err)
		}
	})
}

// SubnetFull: what there is is given, the rest is told so and leaves nothing
// behind; once there is room again, it is given too.
func SubnetFull(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		small, err := w.Cloud.AddSubnet(cloudsim.Subnet{VPC: w.VPC, Zone: w.Zones[0], CIDR: netip.MustParsePrefix("10.80.9.0/28")})
		w.Must(err)
		_, err = w.Cloud.Plant(cloudsim.Foreign{Subnet: small.ID, Count: small.Free - 3})
		w.Must(err)
		try := func(n int) error {
			spec := w.Unplaced(nic.PickMostFree, small.ID)
			spec.NIC, spec.Cloud.IPv6 = ID(n), false
			spec, err := w.Place(t.Context(), spec, w.NodeOf(0))
			if err == nil {
				_, err = w.Provider.Create(t.Context(), spec)
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
		if made != 3 || len(w.Ours()) != 3 {
			t.Errorf("%d of 10 made, %d there; want 3", made, len(w.Ours()))
		}
		w.Gone(ID(0))
		time.Sleep(FullFor)
		w.Must(try(20))
		for _, n := range []int{1, 2, 20} {
			w.Gone(ID(n))
		}
		w.Clean(4)
	})
}

// NextSubnet: a subnet that turned out to be full is left alone for a while.
func NextSubnet(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{})
		w.Inject(cloudsim.Fault{Verb: cloudsim.SubnetEmpty, API: w.Act.Create, Resource: w.Nets[0], Count: -1})
		place := func() string {
			got, err := w.Place(t.Context(), w.Unplaced(nic.PickOrdered, w.Nets[0], w.Nets[1]), w.NodeOf(0))
			w.Must(err)
			return got.Cloud.Subnet
		}
		if got := place(); got != w.Nets[0] {
			t.Fatalf("%s first", got)
		}
		if _, err := w.Provider.Create(t.Context(), w.Spec(ID(1))); !errors.Is(err, provider.ErrExhausted) {
			t.Fatal(err)
		}
		if got := place(); got != w.Nets[1] {
			t.Errorf("%s; want the next, though the first says that it has room", got)
		}
		time.Sleep(FullFor + time.Second)
		if got := place(); got != w.Nets[0] {
			t.Errorf("%s; want the first again", got)
		}
		w.Clean(0)
	})
}

// Quota: the account's quota is another scope than a subnet's.
func Quota(t *testing.T, v *Vendor) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := Open(t, v, cloudsim.Options{Quotas: cloudsim.Quotas{Interfaces: 4}}) // three are the instances' own
		w.Created(ID(1))
		_, err := w.Provider.Create(t.Context(), w.Spec(ID(2)))
		if e, ok := errors.AsType[*provider.Error](err); !ok || e.Kind != provider.ErrExhausted || e.Scope != provider.ScopeAccount {
			t.Errorf("%v; want exhausted, of the account", err)
		}
		w.Gone(ID(1))
		w.Created(ID(2))
		w.Gone(ID(2))
		w.Clean(2)
	})
}
