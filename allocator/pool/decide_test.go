package pool_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/nicferry/nicferry/allocator/pool"
	"github.com/nicferry/nicferry/nic"
)

// words are a plan in short.
func words(p pool.Plan) string {
	var all []string
	for _, g := range p.Give {
		all = append(all, fmt.Sprintf("give %s to %s", g.NIC, g.Claim))
	}
	for _, id := range p.Keep {
		all = append(all, "keep "+string(id))
	}
	for _, r := range p.Retire {
		all = append(all, "retire "+string(r.NIC))
	}
	for _, name := range p.Create {
		all = append(all, "create "+name)
	}
	if p.Missing > 0 {
		all = append(all, fmt.Sprintf("missing %d", p.Missing))
	}
	if !p.Again.IsZero() {
		all = append(all, "again")
	}
	return strings.Join(all, ", ")
}

// A node is what Decide is asked about.
type node struct {
	now      time.Time
	capacity map[pool.Machine]int
	networks []pool.Network
	items    []pool.Item
	demand   []pool.Demand
	made     int
}

var machines = []pool.Machine{{Provider: "cloud", Instance: "i-1"}, {Provider: "local", Instance: "vm1"}}

func drawNode(t *rapid.T) *node {
	n := &node{now: now, capacity: map[pool.Machine]int{}}
	for i, m := range machines {
		n.capacity[m] = rapid.IntRange(0, 12).Draw(t, fmt.Sprintf("capacity %d", i))
	}
	for _, name := range []string{"a", "b", "c", "d"}[:rapid.IntRange(1, 4).Draw(t, "networks")] {
		least := rapid.IntRange(0, 3).Draw(t, "min of "+name)
		n.networks = append(n.networks, pool.Network{
			Name: name, Machine: rapid.SampledFrom(machines).Draw(t, "machine of "+name),
			Pool: nic.Pool{Min: least, Max: least + rapid.IntRange(0, 3).Draw(t, "more of "+name), Idle: nic.Duration(10 * time.Second)},
		})
	}
	used := map[pool.Machine]int{}
	for i := range rapid.IntRange(0, 14).Draw(t, "items") {
		of := rapid.SampledFrom(n.networks).Draw(t, "network")
		if used[of.Machine]++; used[of.Machine] > n.capacity[of.Machine] {
			continue // a node never has more than it can hold
		}
		n.items = append(n.items, pool.Item{
			ID: nic.ID(fmt.Sprintf("nic-%d", i)), Network: of.Name, Machine: of.Machine, MAC: nic.MAC{2, 0, 0, 0, 0, byte(i)},
			Tenant: rapid.SampledFrom([]string{"", "", "x"}).Draw(t, "tenant"),
			State:  rapid.SampledFrom([]pool.State{pool.Held, pool.Making, pool.Spare, pool.Cooling, pool.Clean, pool.Leaving}).Draw(t, "state"),
			Since:  now.Add(-time.Duration(rapid.IntRange(0, 20).Draw(t, "age")) * time.Second),
			Ready:  rapid.Bool().Draw(t, "ready"), Stale: rapid.IntRange(0, 9).Draw(t, "stale") == 0,
		})
	}
	for i := range rapid.IntRange(0, 5).Draw(t, "demand") {
		d := pool.Demand{
			Claim: nic.ClaimID(fmt.Sprintf("clm-%d", i)), Network: rapid.SampledFrom(n.networks).Draw(t, "of").Name, Ahead: rapid.Bool().Draw(t, "ahead"),
		}
		if rapid.IntRange(0, 2).Draw(t, "has a MAC") == 0 {
			d.MAC = nic.MAC{2, 0, 0, 0, 0, byte(rapid.IntRange(0, 14).Draw(t, "MAC"))}
		}
		n.demand = append(n.demand, d)
	}
	return n
}

func (n *node) decide() pool.Plan {
	return pool.Decide(n.now, n.capacity, n.networks, n.items, n.demand)
}

func (n *node) network(name string) pool.Network {
	return n.networks[slices.IndexFunc(n.networks, func(x pool.Network) bool { return x.Name == name })]
}

func (n *node) find(id nic.ID) *pool.Item {
	return &n.items[slices.IndexFunc(n.items, func(it pool.Item) bool { return it.ID == id })]
}

// apply does what a plan says. What is retired is on its way out then.
func (n *node) apply(p pool.Plan) {
	for _, id := range p.Keep {
		n.find(id).State = pool.Cooling
	}
	for _, g := range p.Give {
		n.find(g.NIC).State = pool.Held
		n.demand = slices.DeleteFunc(n.demand, func(d pool.Demand) bool { return d.Claim == g.Claim })
	}
	for _, r := range p.Retire {
		n.find(r.NIC).State = pool.Leaving
	}
	n.admit()
	for _, name := range p.Create {
		n.made++
		n.items = append(n.items, pool.Item{
			ID: nic.ID(fmt.Sprintf("nic-new-%d", n.made)), Network: name, Machine: n.network(name).Machine, State: pool.Making, Since: n.now,
		})
	}
}

// admit gives claims that wait the slots that are free.
func (n *node) admit() {
	n.demand = slices.DeleteFunc(n.demand, func(d pool.Demand) bool {
		m := n.network(d.Network).Machine
		if n.used(m) >= n.capacity[m] {
			return false
		}
		n.made++
		n.items = append(n.items, pool.Item{
			ID: nic.ID(fmt.Sprintf("nic-new-%d", n.made)), Network: d.Network, Machine: m, State: pool.Held, Since: n.now,
		})
		return true
	})
}

// settle lets come in what comes, and go what goes.
func (n *node) settle() {
	n.items = slices.DeleteFunc(n.items, func(it pool.Item) bool { return it.State == pool.Leaving })
	for i := range n.items {
		if n.items[i].State == pool.Making || n.items[i].State == pool.Cooling {
			n.items[i].State = pool.Spare
		}
	}
	n.admit()
}

func (n *node) used(m pool.Machine) (used int) {
	for _, it := range n.items {
		if it.Machine == m {
			used++
		}
	}
	return used
}

func (n *node) reserve(name string) (count int) {
	for _, it := range n.items {
		if it.Network == name && (it.State == pool.Making || it.State == pool.Spare || it.State == pool.Cooling) {
			count++
		}
	}
	return count
}

func TestNothingIsMadeBeyondTheSlotsOrBeforeClaims(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := drawNode(t)
		plan := n.decide()
		n.apply(plan)
		for _, m := range machines {
			made, waiting := 0, 0
			for _, name := range plan.Create {
				if n.network(name).Machine == m {
					made++
				}
			}
			for _, d := range n.demand {
				if n.network(d.Network).Machine == m {
					waiting++
				}
			}
			if made > 0 && n.used(m)+waiting > n.capacity[m] {
				t.Fatalf("%d made on %v: %d NICs and %d claims that wait for %d slots: %+v", made, m, n.used(m), waiting, n.capacity[m], plan)
			}
		}
	})
}

func TestClaimsComeBeforeSpares(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := drawNode(t)
		n.apply(n.decide())
		for _, m := range machines {
			waiting, leaving, spares := 0, 0, 0
			for _, d := range n.demand {
				if n.network(d.Network).Machine == m {
					waiting++
				}
			}
			for _, it := range n.items {
				switch {
				case it.Machine != m:
				case it.State == pool.Leaving:
					leaving++
				case it.State != pool.Held:
					spares++
				}
			}
			if free := n.capacity[m] - n.used(m); waiting > free+leaving && spares > 0 {
				t.Fatalf("%d claims wait on %v, %d slots are free and %d will be, and %d spares stay", waiting, m, free, leaving, spares)
			}
		}
	})
}

func TestGiftsFit(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := drawNode(t)
		plan := n.decide()
		once := map[nic.ID]bool{}
		for _, g := range plan.Give {
			d := n.demand[slices.IndexFunc(n.demand, func(d pool.Demand) bool { return d.Claim == g.Claim })]
			it := *n.find(g.NIC)
			if slices.Contains(plan.Keep, g.NIC) {
				it.State = pool.Cooling
			}
			if !n.network(d.Network).Fits(d, it) || once[g.NIC] {
				t.Fatalf("%+v is given to %+v", it, d)
			}
			once[g.NIC] = true
		}
		for _, r := range plan.Retire {
			if it := *n.find(r.NIC); once[r.NIC] || it.State == pool.Held || it.State == pool.Leaving || r.Why == "" {
				t.Fatalf("%+v is retired: %q", it, r.Why)
			}
			once[r.NIC] = true
		}
		for _, id := range plan.Keep {
			if n.find(id).State != pool.Clean {
				t.Fatalf("%s is kept", id)
			}
		}
	})
}

func TestDoingWhatAPlanSaysIsEnough(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := drawNode(t)
		plan := n.decide()
		n.apply(plan)
		if again := n.decide(); !again.Empty() {
			t.Fatalf("after %s comes %s", words(plan), words(again))
		}
	})
}

func TestANodeComesToRestWithItsPools(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		n := drawNode(t)
		for round := 0; ; round++ {
			plan := n.decide()
			n.apply(plan)
			before := len(n.demand)
			n.settle()
			if plan.Empty() && len(n.demand) == before && n.decide().Empty() {
				break
			}
			if round > 20 {
				t.Fatalf("no rest after %d rounds, next is %s", round, words(plan))
			}
		}
		for _, m := range machines {
			asked, held := 0, len(n.demand)
			for _, x := range n.networks {
				if x.Machine == m {
					asked += x.Pool.Min
				}
			}
			for _, it := range n.items {
				if it.Machine == m && it.State == pool.Held {
					held++
				}
			}
			for _, x := range n.networks {
				got := n.reserve(x.Name)
				if got > x.Pool.Max {
					t.Fatalf("network %s has %d spares, at most %d", x.Name, got, x.Pool.Max)
				}
				if x.Machine == m && held+asked <= n.capacity[m] && got < x.Pool.Min {
					t.Fatalf("network %s has %d spares, at least %d; %d of %d slots are held", x.Name, got, x.Pool.Min, held, n.capacity[m])
				}
			}
		}
	})
}
