package allocator_test

import (
	"strings"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// members is a cloud whose instances take one NIC, and three members of a trunk besides.
func members() fake.Options {
	o := inTheCloud()
	o.NICsPerInstance, o.Members = 1, 3
	o.Subnets[0].NICs = 0 // as many as it has addresses
	o.Zones = map[nic.InstanceID]string{"vm1": "a", "vm2": "a"}
	o.Device = func(spec nic.Spec, mac nic.MAC) nic.Device {
		if spec.Cloud.Trunk {
			return nic.Device{Kind: nic.VLAN, MAC: mac, Trunk: nic.MAC{2, 9}, Tag: 7, MTU: 1500}
		}
		return nic.Device{Kind: nic.Found, MAC: mac, MTU: 1500}
	}
	return o
}

// membersBubble is cloudBubble with two networks of that cloud: vpc, whose NICs are
// members, and cards, whose are not.
func membersBubble(t *testing.T, edit func(n *nic.Network), test func(t *testing.T, r *rig)) {
	t.Helper()
	cloudBubble(t, members(), func(n *nic.Network) {
		n.Cloud.Trunk, n.Cloud.IPv6 = true, false
		edit(n)
	}, func(t *testing.T, r *rig) {
		cards := cloudNetwork()
		cards.Name = "cards"
		r.networks = append(r.networks, cards)
		r.crash()
		test(t, r)
	})
}

// An instance has as many members as its trunk takes, whatever cards it has, and the other
// way round; who finds no room hears of which there is none, and gets the first that comes
// free.
func TestMembersOfATrunk(t *testing.T) {
	membersBubble(t, func(*nic.Network) {}, func(t *testing.T, r *rig) {
		var claims []nic.Claim
		for _, c := range []string{"0001", "0002", "0003"} {
			claims = append(claims, r.wants(r.acquire(c, "vpc").ID, nic.ClaimReady, 10*time.Second))
		}
		r.wants(r.acquire("0004", "cards").ID, nic.ClaimReady, 10*time.Second)
		n, err := r.alloc.NIC(t.Context(), claims[0].NIC)
		if err != nil || n.Seen.Device.Kind != nic.VLAN || n.Seen.Device.Tag != 7 || !n.Spec.Cloud.Trunk {
			t.Errorf("a member is %+v, %v", n, err)
		}
		for _, c := range []struct{ container, network, want string }{
			{"0005", "vpc", "0 of 3 trunk members free"}, {"0006", "cards", "0 of 1 slots free"},
		} {
			got := r.wants(r.acquire(c.container, c.network).ID, nic.ClaimRefused, 10*time.Second)
			if len(got.Conditions) != 1 || got.Conditions[0].Reason != nic.ReasonExhausted || !strings.Contains(got.Conditions[0].Message, c.want) {
				t.Errorf("one more of %s: %+v; want %q", c.network, got.Conditions, c.want)
			}
		}
		if made := r.cloud.Counts()[fake.OpCreate].Effects; made != 4 {
			t.Errorf("%d NICs were made for 4 slots", made)
		}
		if got, want := r.planned("vpc", ""), "[create attach] vm1 3 of 3 by trunk member"; got != want {
			t.Errorf("planned %s; want %s", got, want)
		}
		rooms, err := r.alloc.NodeRoom(t.Context(), "vm1")
		if err != nil || len(rooms) != 2 || rooms[0].NICs != 1 || rooms[1].NICs != 3 || rooms[0].Free+rooms[1].Free != 0 {
			t.Errorf("the node has %+v, %v", rooms, err)
		}
		r.remove(claims[1].ID)
		r.wants(r.acquire("0005", "vpc").ID, nic.ClaimReady, time.Minute)
		r.wants(r.acquire("0006", "cards").ID, nic.ClaimRefused, 10*time.Second)
	})
}

// What is promised of one kind of slots is not of the other: a burst fills both.
func TestMembersAndCardsAtOnce(t *testing.T) {
	membersBubble(t, func(*nic.Network) {}, func(t *testing.T, r *rig) {
		var all []nic.Claim
		for _, c := range []string{"0001", "0002", "0003"} {
			all = append(all, r.acquire(c, "vpc"))
		}
		all = append(all, r.acquire("0004", "cards"))
		for _, c := range all {
			r.wants(c.ID, nic.ClaimReady, time.Minute)
		}
	})
}

// A network with a pool has members in reserve.
func TestMembersInReserve(t *testing.T) {
	membersBubble(t, func(n *nic.Network) { n.Pool = nic.Pool{Min: 2, Max: 2} }, func(t *testing.T, r *rig) {
		r.live(10 * time.Second)
		if spares := r.nics()[nic.PhaseSpare]; len(spares) != 2 || spares[0].Seen.Device.Kind != nic.VLAN {
			t.Errorf("in reserve: %+v", spares)
		}
		made := r.cloud.Counts()[fake.OpCreate].Effects
		r.wants(r.acquire("0001", "vpc").ID, nic.ClaimReady, time.Second)
		if now := r.cloud.Counts()[fake.OpAttach].Effects; made != 2 || now < 2 {
			t.Errorf("%d made, %d attached", made, now)
		}
	})
}

// A network that is to have cards instead makes them for the next claims; what is held as
// a member stays one.
func TestANetworkIsNotOfMembersAnyMore(t *testing.T) {
	membersBubble(t, func(*nic.Network) {}, func(t *testing.T, r *rig) {
		old := r.wants(r.acquire("0001", "vpc").ID, nic.ClaimReady, time.Minute)
		for i := range r.networks {
			r.networks[i].Cloud.Trunk = false
		}
		r.crash()
		fresh := r.wants(r.acquire("0002", "vpc").ID, nic.ClaimReady, time.Minute)
		if !r.placed(r.claim(old.ID)).Cloud.Trunk || r.placed(fresh).Cloud.Trunk {
			t.Errorf("they are %+v and %+v", r.placed(old), r.placed(fresh))
		}
	})
}

// F50: a controller that dies while members are on their way knows again which slots of
// the trunk are promised: all that there are get used, and no more is made.
func TestF50_MembersOfAControllerThatDies(t *testing.T) {
	membersBubble(t, func(*nic.Network) {}, func(t *testing.T, r *rig) {
		var all []nic.Claim
		for _, c := range []string{"0001", "0002", "0003", "0004"} {
			all = append(all, r.acquire(c, "vpc"))
			r.wait(time.Millisecond)
			r.crash()
		}
		ready, refused := 0, 0
		r.wait(time.Minute)
		for _, c := range all {
			switch r.claim(c.ID).Phase {
			case nic.ClaimReady:
				ready++
			case nic.ClaimRefused:
				refused++
			}
		}
		if made := r.cloud.Counts()[fake.OpCreate].Effects; ready != 3 || refused != 1 || made != 3 {
			t.Errorf("%d are ready, %d refused, and %d NICs were made; want 3, 1 and 3", ready, refused, made)
		}
	})
}
