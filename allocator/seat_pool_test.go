package allocator_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// sharedPool is shared with a pool of such NICs.
func sharedPool(t *testing.T, nics int, p nic.Pool, cooldown time.Duration, test func(t *testing.T, r *rig)) {
	t.Helper()
	shared(t, nics, cooldown, func(t *testing.T, r *rig) {
		r.networks[len(r.networks)-1].Pool = p
		r.crash()
		test(t, r)
	})
}

// calls is what the cloud was asked to change, and how often.
func (r *rig) changes() string {
	n := r.cloud.Counts()
	return fmt.Sprintf("%d created, %d attached, %d detached, %d deleted",
		n[fake.OpCreate].Calls, n[fake.OpAttach].Calls, n[fake.OpDetach].Calls, n[fake.OpDelete].Calls)
}

// A NIC in reserve has its addresses already: the first container that shares it
// starts without a call, and so does the next. What is taken is made up for, once.
func TestSeatsFromAPool(t *testing.T) {
	sharedPool(t, 4, nic.Pool{Min: 1, Max: 1, Idle: nic.Duration(time.Minute)}, 0, func(t *testing.T, r *rig) {
		r.live(10 * time.Second)
		spare := r.count(nic.PhaseSpare, 1)[0]
		if got, want := r.planned("vpc", ""), "[create attach] vm1 0 of 8 by seat on its network interfaces"; got != want {
			t.Errorf("got  %s\nwant %s", got, want)
		}
		begin := time.Now()
		first, second := r.acquire("0001", "vpc"), r.acquire("0002", "vpc")
		for _, c := range []nic.Claim{first, second} {
			if c.Phase != nic.ClaimReady || r.nicOf(c).Carrier != spare.ID {
				t.Errorf("a claim is %+v on %s, the spare is %s", c, r.nicOf(c).Carrier, spare.ID)
			}
		}
		if took := time.Since(begin); took != 0 { // each step of the cloud takes a second
			t.Errorf("two warm starts took %s", took)
		}
		r.live(10 * time.Second)
		if next := r.count(nic.PhaseSpare, 1)[0]; next.ID == spare.ID || r.made() != 2 {
			t.Errorf("%d were made, in reserve is %+v", r.made(), next)
		}
		r.ends(10*time.Second, first, second)
		// Its network's pool has its most, so it goes.
		if left := r.count(nic.PhaseSpare, 1)[0]; left.ID == spare.ID || len(r.cloud.World()) != 1 {
			t.Errorf("in reserve is %+v", left)
		}
	})
}

// A NIC that was shared goes into the pool after the last of them, and serves the same
// tenant again; not under an address that cools down.
func TestASharedNICIsKept(t *testing.T) {
	sharedPool(t, 1, nic.Pool{Max: 1, Idle: nic.Duration(time.Minute)}, 5*time.Second, func(t *testing.T, r *rig) {
		first := r.seats(10*time.Second, "0001")[0]
		had := r.nicOf(first)
		r.ends(20*time.Second, first)
		if kept := r.count(nic.PhaseSpare, 1)[0]; kept.ID != had.Carrier || !kept.Carries || kept.Seats != 0 {
			t.Fatalf("kept is %+v", kept)
		}
		before := len(r.asksOf(had.Carrier))
		again := r.acquire("0002", "vpc")
		if asked := r.asksOf(had.Carrier)[before:]; again.Phase != nic.ClaimReady || r.nicOf(again).Carrier != had.Carrier || len(asked) > 0 {
			t.Errorf("the next is %+v on %s; calls %+v", again, r.nicOf(again).Carrier, asked)
		}
		r.live(5 * time.Second)
		r.ends(2*time.Minute, again) // and is idle for long
		r.empty()
	})
}

// Claims come before spares: of another network's pool, too.
func TestASpareGivesItsSlotToSeats(t *testing.T) {
	shared(t, 2, 0, func(t *testing.T, r *rig) {
		other := cloudNetwork()
		other.Name, other.Pool = "alone", nic.Pool{Min: 2, Max: 2, Idle: nic.Duration(time.Minute)}
		other.Cloud.Subnets, other.Cloud.IPv6 = []string{"subnet-a1"}, false
		r.networks = append(r.networks, other)
		r.crash()
		r.live(10 * time.Second)
		r.count(nic.PhaseSpare, 2)
		all := r.seats(20*time.Second, "0001", "0002")
		for _, c := range all {
			if c.Phase != nic.ClaimBound {
				t.Errorf("a claim is %+v", c)
			}
		}
		if spares := r.count(nic.PhaseSpare, 1); len(spares) == 1 && spares[0].Network != "alone" || r.nicOf(all[0]).Carrier != r.nicOf(all[1]).Carrier {
			t.Errorf("in reserve is %+v", spares)
		}
	})
}

// Many come and go while the controller dies, with NICs in reserve: none is lost, and
// none has two tenants.
func TestF50_SharedPoolsSurviveCrashes(t *testing.T) {
	for step := 1; step <= 3; step++ {
		sharedPool(t, 4, nic.Pool{Min: 1, Max: 2, Idle: nic.Duration(5 * time.Second)}, time.Second, func(t *testing.T, r *rig) {
			for round := range 2 {
				var wg sync.WaitGroup
				for i := range 3 {
					wg.Go(func() { r.acquire(fmt.Sprintf("%04d", 10*round+i), "vpc") })
				}
				wg.Wait()
				for range 6 {
					r.live(time.Duration(step) * 450 * time.Millisecond)
					r.crash()
				}
				all := r.seats(15*time.Second, fmt.Sprintf("%04d", 10*round), fmt.Sprintf("%04d", 10*round+1), fmt.Sprintf("%04d", 10*round+2))
				for _, c := range all {
					if c.Phase != nic.ClaimBound {
						t.Fatalf("round %d: a claim is %+v", round, c)
					}
					r.giveBack(c)
				}
				r.live(time.Duration(step) * 350 * time.Millisecond)
				r.crash()
			}
			r.live(30 * time.Second)
			if left := r.count(nic.PhaseSpare, 1); len(r.nics()) != 1 || len(r.cloud.World()) != 1 {
				t.Errorf("left is %+v, the cloud has %+v", left, r.cloud.World())
			}
		})
	}
}
