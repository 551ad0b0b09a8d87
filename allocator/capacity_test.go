package allocator_test

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// planned is each machine of a network's plan in short.
func (r *rig) planned(network, kind string) string {
	r.t.Helper()
	plan, err := r.alloc.PlanNetwork(r.t.Context(), network, kind)
	if err != nil {
		r.t.Fatal(err)
	}
	text := fmt.Sprint(plan.Cold)
	for _, m := range plan.Machines {
		text += fmt.Sprintf(" %s%s %d of %d by %s", m.Node, m.Type, m.Held, m.Holds, m.First)
	}
	return text
}

// A plan names what is used up first: a machine's slots, the network's addresses or
// those of the cloud's subnets. What is in reserve is room.
func TestPlanNetwork(t *testing.T) {
	o := inTheCloud()
	o.NICsPerInstance, o.Slot, o.Types = 4, "network interface", map[string]int{"large": 2, "huge": 14}
	o.Subnets[0].NICs, o.Subnets[1].NICs, o.Subnets[2].NICs = 3, 3, 3
	cloudBubble(t, o, func(n *nic.Network) { n.Pool = nic.Pool{Min: 1, Max: 1} }, func(t *testing.T, r *rig) {
		r.joinVM2()
		r.live(5 * time.Second) // a spare on vm1; vm2's agent is silent
		claim := r.acquire("0001", "vpc")
		r.live(5 * time.Second)
		r.wants(claim.ID, nic.ClaimBound, time.Second)
		for _, c := range []struct{ kind, want string }{
			{"", "[create attach] vm1 1 of 4 by network interface vm2 0 of 4 by network interface"},
			{"large", "[create attach] large 0 of 2 by network interface"},
			{"huge", "[create attach] huge 0 of 6 by free address in its subnets"},
		} {
			if got := r.planned("vpc", c.kind); got != c.want {
				t.Errorf("%s: got  %s\nwant %s", c.kind, got, c.want)
			}
		}
		_, err := r.alloc.PlanNetwork(t.Context(), "vpc", "no-such")
		if !errors.Is(err, provider.ErrInvalid) {
			t.Errorf("an unknown type: %v", err)
		}
		if _, err := r.alloc.PlanNetwork(t.Context(), "no-such", ""); !errors.Is(err, allocator.ErrNotFound) {
			t.Errorf("an unknown network: %v", err)
		}
	})
}

// Where containers share NICs, seats are counted: those on NICs that are there, and
// those on NICs that there are slots and addresses for.
func TestPlanNetworkOfSeats(t *testing.T) {
	shared(t, 4, 0, func(t *testing.T, r *rig) {
		if got, want := r.planned("vpc", ""), "[create attach] vm1 0 of 8 by seat on its network interfaces"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		r.seats(10*time.Second, "0001", "0002", "0003")
		if got, want := r.planned("vpc", ""), "[create attach] vm1 3 of 8 by seat on its network interfaces"; got != want {
			t.Errorf("with three of them: got  %s\nwant %s", got, want)
		}
	})
}

// A machine that does not answer is told, and the others are planned.
func TestPlanNetworkOfAnUnknownMachine(t *testing.T) {
	bubble(t, fake.Options{DrawsMACs: true, Instances: []nic.InstanceID{"vm1"}}, func(t *testing.T, r *rig) {
		r.joinVM2()
		plan, err := r.alloc.PlanNetwork(t.Context(), "web2", "")
		if err != nil || len(plan.Machines) != 2 || plan.Machines[0].Holds != 1 || plan.Machines[0].First != "address of the network" || plan.Machines[1].Problem == "" {
			t.Errorf("%+v, %v", plan, err)
		}
	})
}
