package allocator_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// shared is bubble with a cloud whose NICs have two seats each, and so many of them
// on an instance; and with network vpc, whose containers share them.
func shared(t *testing.T, nics int, cooldown time.Duration, test func(t *testing.T, r *rig)) {
	t.Helper()
	o := pooled(nics)
	o.DrawsMACs, o.AddrsPerNIC, o.Slot = true, 3, "network interface"
	o.Zones = map[nic.InstanceID]string{"vm1": "a", "vm2": "a"}
	o.Subnets = []fake.Subnet{{ID: "subnet-a1", Zone: "a", Prefix: netip.MustParsePrefix("10.1.0.0/20"), Gateway: netip.MustParseAddr("10.1.0.1")}}
	o.Device = func(_ nic.Spec, mac nic.MAC) nic.Device { return nic.Device{Kind: nic.Found, MAC: mac, MTU: 9001} }
	cloudBubble(t, o, func(n *nic.Network) {
		n.Cloud = nic.Cloud{Subnets: []string{"subnet-a1"}, Groups: []string{"sg-1"}, Shared: true}
		n.Cooldown = nic.Duration(cooldown)
	}, test)
}

// seats has a claim for each of the names, and lets time pass.
func (r *rig) seats(d time.Duration, names ...string) []nic.Claim {
	r.t.Helper()
	var all []nic.Claim
	for _, name := range names {
		all = append(all, r.acquire(name, "vpc"))
	}
	r.live(d)
	for i := range all {
		all[i] = r.claim(all[i].ID)
	}
	return all
}

// nicOf is the NIC that a claim has.
func (r *rig) nicOf(claim nic.Claim) nic.NIC {
	r.t.Helper()
	view, err := r.alloc.NIC(r.t.Context(), claim.NIC)
	if err != nil {
		r.t.Fatal(err)
	}
	return view.NIC
}

// made is how many NICs the cloud was made to make.
func (r *rig) made() int { return r.cloud.Counts()[fake.OpCreate].Effects }

// ends has the claims released, and lets the node and the cloud do the rest.
func (r *rig) ends(d time.Duration, claims ...nic.Claim) {
	r.t.Helper()
	for _, c := range claims {
		r.giveBack(r.claim(c.ID))
	}
	r.live(d)
}

// A container has a seat on a NIC that it shares: an address of its own, on an
// interface that its node makes. The next one costs no call, and the NIC goes with
// the last.
func TestSeats(t *testing.T) {
	shared(t, 4, 0, func(t *testing.T, r *rig) {
		first := r.acquire("0001", "vpc")
		if first.Phase != nic.ClaimPending || len(first.Conditions) != 1 || !strings.Contains(first.Conditions[0].Message, "which is not plugged in yet") {
			t.Errorf("at first: %+v", first)
		}
		r.live(10 * time.Second)
		first = r.wants(first.ID, nic.ClaimBound, 0)
		seat, carrier := r.nicOf(first), r.count(nic.PhaseCarrying, 1)[0]
		wanted, _, err := r.alloc.Wanted(t.Context(), "vm1", 0)
		if err != nil || len(wanted) != 1 || wanted[0].NIC != seat.ID || !reflect.DeepEqual(wanted[0].Device, nic.Device{Kind: nic.Ipvlan, MAC: carrier.Seen.MAC, MTU: 9001}) {
			t.Fatalf("the node is told %+v, %v; the carrier is %+v", wanted, err, carrier)
		}
		l3 := wanted[0].Layer3
		if fmt.Sprint(first.Identity.Addrs, l3.Addrs, l3.Gateways) != "[10.1.0.5/20] [10.1.0.5/20] [10.1.0.1]" || !first.Identity.MAC.IsZero() || !seat.Seen.MAC.IsZero() {
			t.Errorf("identity %+v, layer 3 %+v", first.Identity, l3)
		}
		if carrier.Spec.Cloud.Secondary != 2 || carrier.Holder != "" || carrier.Seats != 1 || seat.Carrier != carrier.ID {
			t.Errorf("the carrier is %+v", carrier)
		}
		before := len(r.asksOf(carrier.ID))
		second := r.acquire("0002", "vpc")
		if asked := r.asksOf(carrier.ID)[before:]; second.Phase != nic.ClaimReady || len(asked) > 0 || fmt.Sprint(second.Identity.Addrs) != "[10.1.0.6/20]" {
			t.Errorf("the second is %+v after calls %+v", second, asked)
		}
		third := r.seats(10*time.Second, "0003")[0]
		if third.Phase != nic.ClaimBound || r.made() != 2 || r.nicOf(third).Carrier == carrier.ID {
			t.Errorf("the third is %+v, and %d NICs were made", third, r.made())
		}
		r.crash()
		r.ends(10*time.Second, third)
		if left := r.count(nic.PhaseCarrying, 1); left[0].ID != carrier.ID || left[0].Seats != 2 {
			t.Errorf("then there is %+v", left)
		}
		r.ends(10*time.Second, first, second)
		r.empty()
	})
}

// Many at once get as many NICs as they need, and none has another's address.
func TestSeatsOfMany(t *testing.T) {
	for _, n := range []int{1, 2, 7, 24} {
		shared(t, 40, 0, func(t *testing.T, r *rig) {
			var wg sync.WaitGroup
			names := make([]string, n)
			for i := range names {
				names[i] = fmt.Sprintf("%04d", i)
				wg.Go(func() { r.acquire(names[i], "vpc") })
			}
			wg.Wait()
			all := r.seats(40*time.Second, names...)
			addrs := map[string]bool{}
			for _, c := range all {
				if c.Phase != nic.ClaimBound {
					t.Fatalf("a claim is %+v", c)
				}
				addrs[fmt.Sprint(c.Identity.Addrs)] = true
			}
			if need := (n + 1) / 2; len(addrs) != n || r.made() != need || len(r.count(nic.PhaseCarrying, need)) != need {
				t.Errorf("%d containers: %d addresses, %d NICs", n, len(addrs), r.made())
			}
			for _, c := range all {
				r.giveBack(c)
			}
			r.live(20 * time.Second)
			r.empty()
		})
	}
}

// Where an instance takes no further NIC and all seats are taken, a claim says so,
// and gets the first seat whose address has cooled down.
func TestAllSeatsTaken(t *testing.T) {
	for _, cooldown := range []time.Duration{0, 20 * time.Second} {
		shared(t, 1, cooldown, func(t *testing.T, r *rig) {
			all := r.seats(20*time.Second, "0001", "0002", "0003", "0004")
			refused := slices.DeleteFunc(slices.Clone(all), func(c nic.Claim) bool { return c.Phase == nic.ClaimBound })
			if len(refused) != 2 || reason(refused[0]) != nic.ReasonExhausted || !strings.Contains(refused[0].Conditions[0].Message, "0 of 1 network interfaces free") {
				t.Fatalf("refused are %+v", refused)
			}
			held := slices.DeleteFunc(all, func(c nic.Claim) bool { return c.Phase != nic.ClaimBound })
			r.ends(5*time.Second, held[0])
			got := r.claim(refused[0].ID).Phase == nic.ClaimBound || r.claim(refused[1].ID).Phase == nic.ClaimBound
			if got != (cooldown == 0) {
				t.Errorf("after 5 s one has it: %v, with a cool-down of %s", got, cooldown)
			}
			r.live(30 * time.Second)
			now := []nic.Claim{r.claim(refused[0].ID), r.claim(refused[1].ID)}
			bound := slices.IndexFunc(now, func(c nic.Claim) bool { return c.Phase == nic.ClaimBound })
			if bound < 0 || now[1-bound].Phase == nic.ClaimBound || now[bound].Identity.Addrs[0] != held[0].Identity.Addrs[0] || r.made() != 1 {
				t.Errorf("then they are %+v", now)
			}
			r.ends(time.Minute, held[1], now[bound], now[1-bound])
			r.empty()
		})
	}
}

// The last seat leaves while a new one comes, at every moment that there is.
func TestTheLastSeatLeavesAndANewOneComes(t *testing.T) {
	for tick := range 26 {
		shared(t, 2, 0, func(t *testing.T, r *rig) {
			first := r.seats(10*time.Second, "0001")[0]
			r.giveBack(first)
			var wg sync.WaitGroup
			wg.Go(func() { time.Sleep(time.Second); r.tend() }) // which ends the seat; the cloud is at it for 4 s then
			wg.Go(func() { time.Sleep(time.Duration(tick) * time.Second / 5); r.acquire("0002", "vpc") })
			wg.Wait()
			r.live(20 * time.Second)
			second := r.acquire("0002", "vpc")
			if second.Phase != nic.ClaimBound || len(r.count(nic.PhaseCarrying, 1)) != 1 {
				t.Fatalf("the new one is %+v", second)
			}
			r.ends(20*time.Second, second)
			r.empty()
		})
	}
}

// A container that stops for longer than the hold gives its seat back, and gets one
// when it is started again.
func TestASeatIsGivenBackAfterTheHold(t *testing.T) {
	shared(t, 2, 0, func(t *testing.T, r *rig) {
		first := r.seats(10*time.Second, "0001")[0]
		r.report(first, nic.ObservedMade, false)
		r.wait(70 * time.Second)
		r.report(first, nic.ObservedClean, false)
		r.wait(20 * time.Second)
		if c := r.claim(first.ID); c.NIC != "" || len(c.Identity.Addrs) != 0 || len(r.cloud.World()) != 0 {
			t.Fatalf("it still has %+v, the cloud %+v", c, r.cloud.World())
		}
		again := r.seats(10*time.Second, "0001")[0]
		if again.ID != first.ID || again.Phase != nic.ClaimBound {
			t.Errorf("started again it is %+v", again)
		}
	})
}

// F09: the cloud says that the NIC is plugged in, and its node does not see it. It
// takes no further seats, goes with those that it has, and another is made.
func TestF09_SeatsOnANICThatIsNotSeen(t *testing.T) {
	shared(t, 2, 0, func(t *testing.T, r *rig) {
		claim := r.wants(r.acquire("0001", "vpc").ID, nic.ClaimReady, 10*time.Second)
		first := r.nicOf(claim)
		unseen := nic.Observed{
			NIC: first.ID, Claim: claim.ID, Epoch: claim.Epoch, State: nic.ObservedWaiting, Running: true,
			Conditions: []nic.Condition{{Reason: nic.ReasonWaitingForNIC, Message: "no NIC with that MAC", Since: time.Now()}},
		}
		r.say(unseen)
		r.wait(31 * time.Second)
		if c := r.nics()[nic.PhaseCarrying]; len(c) != 1 || !c[0].Closed {
			t.Fatalf("the carrier is %+v", c)
		}
		if other := r.acquire("0002", "vpc"); r.nicOf(other).Carrier == first.Carrier {
			t.Errorf("another container is given a seat there: %+v", other)
		}
		r.live(10 * time.Second)
		r.acquire("0001", "vpc") // its container runs still
		r.live(time.Minute)
		if now := r.claim(claim.ID); now.Phase != nic.ClaimBound || r.nicOf(now).Carrier == first.Carrier || len(now.Setbacks) == 0 {
			t.Errorf("then it is %+v", now)
		}
		if len(r.cloud.World()) != 1 {
			t.Errorf("the cloud has %+v", r.cloud.World())
		}
	})
}

// A NIC that cannot be made refuses all who wait for a seat on it, in its words.
func TestSeatsOnANICThatCannotBeMade(t *testing.T) {
	shared(t, 2, 0, func(t *testing.T, r *rig) {
		for range 2 { // the second claim may come when the first one's NIC is given up
			r.cloud.Fail(fake.OpCreate, &provider.Error{Kind: provider.ErrDenied, Err: errors.New("UnauthorizedOperation")})
		}
		a, b := r.acquire("0001", "vpc"), r.acquire("0002", "vpc")
		r.wait(time.Second)
		for _, c := range []nic.Claim{r.claim(a.ID), r.claim(b.ID)} {
			if c.Phase != nic.ClaimRefused || c.NIC != "" || !strings.Contains(c.Conditions[0].Message, "UnauthorizedOperation") || len(c.Setbacks) != 1 {
				t.Errorf("a claim is %+v", c)
			}
		}
		r.live(40 * time.Second)
		for _, c := range []nic.Claim{a, b} {
			r.wants(c.ID, nic.ClaimBound, time.Second)
		}
		if r.made() > 2 {
			t.Errorf("%d NICs were made", r.made())
		}
	})
}

// An instance whose NICs have one address each says so, without haste.
func TestNoSeatsOnAnInstance(t *testing.T) {
	shared(t, 2, 0, func(t *testing.T, r *rig) {
		r.stop()
		o := pooled(2)
		o.DrawsMACs = true
		r.cloud = fake.New(o)
		r.start()
		claim := r.acquire("0001", "vpc")
		r.live(time.Minute)
		if c := r.claim(claim.ID); c.Phase != nic.ClaimRefused || !strings.Contains(c.Conditions[0].Message, "none of which a container could share") {
			t.Errorf("the claim is %+v", c)
		}
		if n := r.cloud.Counts()[fake.OpLimits].Calls; r.made() != 0 || n > 10 {
			t.Errorf("%d NICs were made, and the cloud was asked %d times", r.made(), n)
		}
	})
}

// The controller dies at any moment of a life with seats, and another goes on.
func TestF50_SeatsOfAControllerThatDies(t *testing.T) {
	for step := 1; step <= 12; step++ {
		shared(t, 3, time.Second, func(t *testing.T, r *rig) {
			every := time.Duration(step) * 350 * time.Millisecond
			dies := func(d time.Duration) {
				for end := time.Now().Add(d); time.Now().Before(end); {
					r.live(every)
					r.crash()
				}
			}
			for _, name := range []string{"0001", "0002", "0003"} {
				r.acquire(name, "vpc")
			}
			dies(20 * time.Second)
			all := r.seats(time.Second, "0001", "0002", "0003")
			for _, c := range all {
				if c.Phase != nic.ClaimBound {
					t.Fatalf("a claim is %+v", c)
				}
				r.giveBack(c)
			}
			if r.made() != 2 {
				t.Errorf("%d NICs were made", r.made())
			}
			dies(30 * time.Second)
			r.empty()
		})
	}
}

// What a node has is seized with its NICs: the seats go along.
func TestSeatsAreSeized(t *testing.T) {
	shared(t, 2, 0, func(t *testing.T, r *rig) {
		claims := r.seats(10*time.Second, "0001", "0002", "0003")
		verdict, err := r.alloc.RevokeNode(t.Context(), "vm1", true, false)
		if err != nil || len(verdict.Claims) != 3 || len(verdict.Kept) != 0 {
			t.Fatalf("%+v, %v", verdict, err)
		}
		r.wait(20 * time.Second)
		for _, c := range claims {
			if got := r.claim(c.ID); got.ID != "" {
				t.Errorf("left is %+v", got)
			}
		}
		r.empty()
	})
}

// A node that is gone for good is forgotten with its seats, whatever they were at.
func TestForgottenSeats(t *testing.T) {
	shared(t, 2, 0, func(t *testing.T, r *rig) {
		r.seats(10*time.Second, "0001", "0002")
		r.acquire("0003", "vpc")
		r.wait(3 * time.Minute)
		if _, err := r.alloc.ForgetNode(t.Context(), "vm1", false); err != nil {
			t.Fatal(err)
		}
		r.wait(20 * time.Second)
		r.empty()
	})
}

// The cloud picks the addresses of seats.
func TestASeatHasNoAddressOfItsUsersChoice(t *testing.T) {
	shared(t, 2, 0, func(t *testing.T, r *rig) {
		if c := r.acquire("0002", "vpc", "10.1.0.77"); c.Phase != nic.ClaimRefused || reason(c) != nic.ReasonBadRequest {
			t.Errorf("one that asks for an address is %+v", c)
		}
	})
}

// Tenants never share a NIC: who is on one can take the others' addresses there.
func TestTenantsShareNoNIC(t *testing.T) {
	shared(t, 4, 0, func(t *testing.T, r *rig) {
		r.stop()
		for i := range r.networks {
			r.networks[i].Tenants = []string{"a", "b"}
		}
		r.startWith(allocator.Options{
			Store: r.store, Providers: map[string]provider.Provider{"fake": r.cloud}, Networks: r.networks,
			TenantsOf: func(string) []string { return []string{"a", "b"} },
		})
		var on []nic.ID
		for i, tenant := range []string{"a", "b", "a"} {
			name := fmt.Sprintf("%04d", i)
			claim, err := r.alloc.Acquire(context.Background(), owner(name), name, nic.Request{Interface: "eth0", Network: "vpc", Tenant: tenant})
			if err != nil {
				t.Fatal(err)
			}
			r.live(10 * time.Second)
			on = append(on, r.nicOf(r.claim(claim.ID)).Carrier)
		}
		if on[0] == on[1] || on[0] != on[2] {
			t.Errorf("they are on %v", on)
		}
	})
}

// The background comparison finds nothing to mend about seats.
func TestSeatsPassTheAudit(t *testing.T) {
	shared(t, 2, time.Second, func(t *testing.T, r *rig) {
		r.seats(10*time.Second, "0001", "0002", "0003")
		r.faultless(true)
	})
}
