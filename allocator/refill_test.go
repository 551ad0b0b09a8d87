package allocator_test

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/invariant"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// pooled are the options of a cloud that takes its time.
func pooled(slots int) fake.Options {
	return fake.Options{NICsPerInstance: slots, Latency: fake.Latency{Create: time.Second, Attach: 2 * time.Second, Detach: 2 * time.Second, Delete: time.Second}}
}

// bubblePools is bubble with pools of the networks.
func bubblePools(t *testing.T, cloud fake.Options, pools map[string]nic.Pool, test func(t *testing.T, r *rig)) {
	bubble(t, cloud, func(t *testing.T, r *rig) {
		r.setPools(pools, 0, 0)
		test(t, r)
	})
}

// setPools starts the allocator anew with other pools, cool-down and keep.
func (r *rig) setPools(pools map[string]nic.Pool, cooldown, keep time.Duration) {
	for i := range r.networks {
		n := &r.networks[i]
		n.Pool, n.Cooldown, n.Keep = pools[n.Name], nic.Duration(cooldown), nic.Duration(keep)
	}
	r.crash()
}

// tend is one look of a node's agent, whose containers all run: what is gone is
// clean, the rest is where it should be.
func (r *rig) tend() {
	r.t.Helper()
	wanted, _, err := r.alloc.Wanted(r.t.Context(), "vm1", r.node.Session)
	if err != nil {
		r.t.Fatal(err)
	}
	var said []nic.Observed
	for _, w := range wanted {
		o := nic.Observed{NIC: w.NIC, Claim: w.Claim, Epoch: w.Epoch, Turn: w.Turn, State: nic.ObservedMade, MAC: w.Device.MAC}
		switch {
		case w.NIC == "":
			continue
		case w.Gone:
			o.State = nic.ObservedClean
		case w.Claim != "":
			o.State, o.Running = nic.ObservedIn, true
			o.Addrs = w.Layer3.Addrs
		}
		said = append(said, o)
	}
	if err := r.alloc.Report(r.t.Context(), "vm1", nic.NodeReport{Session: r.node.Session, NICs: said}); err != nil {
		r.t.Fatal(err)
	}
}

// live lets the node's agent look every 100 ms for a while, and holds the
// records against what must always hold.
func (r *rig) live(d time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		r.wait(100 * time.Millisecond)
		r.tend()
		r.wait(time.Nanosecond)
		r.holdsStill()
	}
}

// holdsStill holds records and cloud against what must always hold: at each change of either,
// and each second for what must not last.
func (r *rig) holdsStill() {
	r.t.Helper()
	_, rev, err := r.store.List(r.t.Context(), "", "", 1)
	if err != nil {
		r.t.Fatal(err)
	}
	seen, _ := r.cloud.List(r.t.Context())
	if rev == r.held.rev && time.Since(r.held.at) < time.Second && reflect.DeepEqual(seen, r.held.seen) {
		return
	}
	records, err := allocator.ReadRecords(r.t.Context(), r.store)
	if err != nil {
		r.t.Fatal(err)
	}
	w := invariant.World{Now: time.Now(), Records: records, Providers: map[string]invariant.Provider{"fake": {NICs: seen, DrawsMACs: r.cloud.Info().DrawsMACs}}}
	if err := invariant.Error(invariant.Check(w)); err != nil {
		r.t.Fatal(err)
	}
	r.held.at, r.held.rev, r.held.seen = time.Now(), rev, seen
}

// nics are the NICs there are, by phase, oldest first.
func (r *rig) nics() map[nic.Phase][]nic.NIC {
	views, err := r.alloc.NICs(r.t.Context(), "", 0)
	if err != nil {
		r.t.Fatal(err)
	}
	all := map[nic.Phase][]nic.NIC{}
	for _, v := range views {
		all[v.Phase] = append(all[v.Phase], v.NIC)
	}
	return all
}

// count wants so many NICs of a phase.
func (r *rig) count(phase nic.Phase, want int) []nic.NIC {
	r.t.Helper()
	all := r.nics()
	if len(all[phase]) != want {
		r.t.Fatalf("%d NICs are %s, want %d; all are %+v", len(all[phase]), phase, want, all)
	}
	return all[phase]
}

// asks are the calls to the cloud but for looks at all NICs.
func (r *rig) asks() []fake.Call {
	return slices.DeleteFunc(r.cloud.Calls(), func(c fake.Call) bool { return c.Op == fake.OpList })
}

// asksOf are those that are about the NIC: about others, such as a pool's next, the cloud
// may be asked at any moment.
func (r *rig) asksOf(id nic.ID) []fake.Call {
	return slices.DeleteFunc(r.asks(), func(c fake.Call) bool { return c.ID != id })
}

func (r *rig) giveBack(claim nic.Claim) {
	r.t.Helper()
	if err := r.alloc.Release(r.t.Context(), claim.ID, claim.Epoch); err != nil {
		r.t.Fatal(err)
	}
}

func TestAWarmStartAsksTheProviderNothing(t *testing.T) {
	for _, network := range []string{"web", "lab"} {
		t.Run(network, func(t *testing.T) {
			bubblePools(t, pooled(8), map[string]nic.Pool{network: {Min: 1, Max: 2, Idle: nic.Duration(time.Hour)}}, func(t *testing.T, r *rig) {
				r.live(5 * time.Second)
				spare := r.count(nic.PhaseSpare, 1)[0]
				before := len(r.asksOf(spare.ID))
				claim := r.acquire("0001", network)
				if claim.Phase != nic.ClaimReady || claim.NIC != spare.ID || claim.Identity.MAC != spare.Spec.MAC {
					t.Fatalf("claim is %+v, want it ready at once with %s and its MAC %s", claim, spare.ID, spare.Spec.MAC)
				}
				r.live(10 * time.Second)
				r.wants(claim.ID, nic.ClaimBound, 0)
				if asked := r.asksOf(spare.ID)[before:]; len(asked) > 0 {
					t.Errorf("the cloud was asked for %+v", asked)
				}
				if next := r.count(nic.PhaseSpare, 1)[0]; next.ID == spare.ID {
					t.Error("the pool still has the same")
				}
			})
		})
	}
}

// One that is given back clean serves the next container, and nobody is asked.
func TestWhatIsGivenBackServesTheNext(t *testing.T) {
	bubblePools(t, pooled(8), map[string]nic.Pool{"web": {Max: 1, Idle: nic.Duration(time.Hour)}}, func(t *testing.T, r *rig) {
		first := r.acquire("0001", "web")
		second := r.acquire("0002", "web")
		r.live(10 * time.Second)
		first, second = r.wants(first.ID, nic.ClaimBound, 0), r.wants(second.ID, nic.ClaimBound, 0)
		before := len(r.asks())
		r.giveBack(first)
		r.live(time.Second)
		r.count(nic.PhaseSpare, 1)
		third := r.acquire("0003", "web")
		if third.Phase != nic.ClaimReady || third.NIC != first.NIC || third.Identity.MAC != first.Identity.MAC {
			t.Fatalf("claim is %+v, want it ready with %s", third, first.NIC)
		}
		r.live(time.Second)
		if calls := r.asks()[before:]; len(calls) != 0 {
			t.Errorf("the cloud was asked %+v", calls)
		}
		r.giveBack(second)
		r.giveBack(third)
		r.live(20 * time.Second) // one stays, the other is too many
		r.count(nic.PhaseSpare, 1)
		if seen, _ := r.cloud.List(t.Context()); len(seen) != 1 {
			t.Errorf("the cloud has %+v, want one NIC", seen)
		}
		r.setPools(nil, 0, 0) // and without a pool none does
		r.live(20 * time.Second)
		r.empty()
	})
}

func TestASpareThatIsIdleGoes(t *testing.T) {
	bubblePools(t, pooled(8), map[string]nic.Pool{"web": {Max: 2, Idle: nic.Duration(time.Minute)}}, func(t *testing.T, r *rig) {
		claim := r.acquire("0001", "web")
		r.live(10 * time.Second)
		r.giveBack(r.claim(claim.ID))
		r.live(30 * time.Second)
		r.count(nic.PhaseSpare, 1)
		r.live(40 * time.Second)
		r.empty()
	})
}

// A MAC that has just been in use belongs to the same name only; for others it
// cools down.
func TestASpareCoolsDown(t *testing.T) {
	bubble(t, pooled(8), func(t *testing.T, r *rig) {
		r.setPools(map[string]nic.Pool{"web": {Max: 2, Idle: nic.Duration(time.Hour)}}, 30*time.Second, time.Hour)
		claim := r.acquire("0001", "web")
		r.live(10 * time.Second)
		claim = r.claim(claim.ID)
		r.giveBack(claim)
		r.live(time.Second)
		r.count(nic.PhaseCooling, 1)
		if other := r.acquire("0002", "web"); other.NIC == claim.NIC || other.Identity.MAC == claim.Identity.MAC {
			t.Errorf("another container has got what cools: %+v", other)
		}
		before := len(r.asksOf(claim.NIC))
		again := nic.Owner{Node: "vm1", Kind: nic.OwnerContainer, Sandbox: sandbox("000f"), Interface: "eth0"}
		same, err := r.alloc.Acquire(t.Context(), again, "0001", nic.Request{Interface: "eth0", Network: "web"})
		if err != nil || same.NIC != claim.NIC || same.Phase != nic.ClaimReady || same.Identity.MAC != claim.Identity.MAC || same.Identity.Addrs[0] != claim.Identity.Addrs[0] {
			t.Fatalf("the next of the name got %+v, %v; want what it had: %+v", same, err, claim)
		}
		if asked := r.asksOf(claim.NIC)[before:]; len(asked) > 0 {
			t.Errorf("the cloud was asked %+v", asked)
		}
		r.live(5 * time.Second)
		r.giveBack(same)
		r.live(31 * time.Second)
		r.count(nic.PhaseSpare, 1)
		if third := r.acquire("0003", "web"); third.NIC != claim.NIC {
			t.Errorf("once it has cooled it is %+v", third)
		}
	})
}

// A claim with a MAC of its own takes no NIC with another.
func TestAnAskedMACIsNoSpares(t *testing.T) {
	bubblePools(t, pooled(8), map[string]nic.Pool{"web": {Min: 1, Max: 1}}, func(t *testing.T, r *rig) {
		r.live(5 * time.Second)
		spare := r.count(nic.PhaseSpare, 1)[0]
		mac := nic.MAC{2, 0, 0, 0, 0, 7}
		claim, err := r.alloc.Acquire(t.Context(), owner("0001"), "c", nic.Request{Interface: "eth0", Network: "web", MAC: mac})
		if err != nil || claim.NIC == spare.ID || claim.Identity.MAC != mac {
			t.Errorf("claim is %+v, %v", claim, err)
		}
		taken, err := r.alloc.Acquire(t.Context(), owner("0002"), "d", nic.Request{Interface: "eth0", Network: "web", MAC: spare.Spec.MAC})
		if err != nil || taken.Phase != nic.ClaimRefused || taken.Conditions[0].Reason != nic.ReasonMACTaken {
			t.Errorf("one that asks for the spare's MAC: %+v, %v; want MACTaken", taken, err)
		}
	})
}

// Where slots are short, claims of another network come before spares.
func TestSparesMakeRoom(t *testing.T) {
	bubblePools(t, pooled(2), map[string]nic.Pool{"web": {Min: 2, Max: 2}}, func(t *testing.T, r *rig) {
		r.live(10 * time.Second)
		r.count(nic.PhaseSpare, 2)
		claim := r.acquire("0001", "lab")
		r.live(20 * time.Second)
		r.wants(claim.ID, nic.ClaimBound, 0)
		r.count(nic.PhaseSpare, 1)
		created := r.create("0002", "late") // plugged in at its start alone
		r.live(time.Second)
		if got := r.claim(created.ID); got.NIC != "" {
			t.Fatalf("made ahead: %+v", got)
		}
		r.giveBack(r.claim(claim.ID))
		r.live(2 * time.Minute)
		r.count(nic.PhaseSpare, 2)
		if made := r.cloud.Counts()[fake.OpCreate].Effects; made != 4 {
			t.Errorf("%d NICs were made, want 4: two, the claim's, and one again", made)
			for _, c := range r.asks() {
				if c.Effect || c.Err != nil || c.Op == "attach" {
					t.Log(c.At.Format("05.000"), c.Op, c.ID, c.State, c.Err)
				}
			}
		}
	})
}

// A pool whose NICs come to nothing makes ever fewer.
func TestSparesThatFailArePaused(t *testing.T) {
	bubblePools(t, pooled(8), map[string]nic.Pool{"web": {Min: 2, Max: 2}}, func(t *testing.T, r *rig) {
		r.live(10 * time.Second)
		made := r.cloud.Counts()[fake.OpCreate].Effects
		for range 100 {
			r.cloud.Fail(fake.OpAttach, &provider.Error{Kind: provider.ErrDenied, Err: errors.New("no")})
		}
		for i := range 2 {
			r.acquire(fmt.Sprintf("000%d", i), "web")
		}
		r.wait(time.Hour)
		if tried := r.cloud.Counts()[fake.OpCreate].Effects - made; tried > 25 {
			t.Errorf("%d NICs were made within an hour in vain", tried)
		}
	})
}

// S14: nothing that was said or set for the last holder is left, and a late
// word about its time says nothing about the next one's.
func TestS14_ANICOfAPoolCarriesNothingOfTheLast(t *testing.T) {
	bubblePools(t, pooled(8), map[string]nic.Pool{"web": {Max: 2, Idle: nic.Duration(time.Hour)}}, func(t *testing.T, r *rig) {
		first := r.acquire("0001", "web")
		r.live(10 * time.Second)
		r.giveBack(r.claim(first.ID))
		r.live(time.Second)
		view, err := r.alloc.NIC(t.Context(), r.count(nic.PhaseSpare, 1)[0].ID)
		if err != nil || view.Holder != "" || len(view.Layer3.Addrs) > 0 || len(view.Spec.Addrs) > 0 || len(view.Seen.Addrs) > 0 || len(view.Observed.Addrs) > 0 || view.Observed.Claim != "" {
			t.Errorf("the spare is %+v, %v", view, err)
		}
		second := r.acquire("0002", "web")
		r.live(time.Second)
		second = r.wants(second.ID, nic.ClaimBound, 0)
		if second.NIC != view.ID {
			t.Fatalf("the next has %s", second.NIC)
		}
		r.giveBack(second)
		r.say(nic.Observed{NIC: view.ID, Claim: second.ID, Epoch: second.Epoch, Turn: view.Turn - 1, State: nic.ObservedClean})
		r.wait(time.Minute)
		if n := r.count(nic.PhaseReturning, 1)[0]; n.Clean {
			t.Error("clean by a word about its last turn")
		}
		r.live(time.Second)
		r.count(nic.PhaseSpare, 1)
	})
}

// Another tenant's NIC is not used again.
func TestS14_ANICIsNotGivenToAnotherTenant(t *testing.T) {
	bubblePools(t, pooled(8), map[string]nic.Pool{"web": {Max: 2, Idle: nic.Duration(time.Hour)}}, func(t *testing.T, r *rig) {
		first := r.acquire("0001", "web")
		r.live(10 * time.Second)
		r.setTenant(first.NIC, "other")
		r.giveBack(r.claim(first.ID))
		r.live(time.Second)
		r.count(nic.PhaseSpare, 1)
		if second := r.acquire("0002", "web"); second.NIC == first.NIC || second.Identity.MAC == first.Identity.MAC {
			t.Errorf("got %+v, which another tenant had", second)
		}
	})
}

// The allocator ends wherever it is, again and again.
func TestPoolsSurviveCrashes(t *testing.T) {
	crashes := 15
	if long() {
		crashes = 30
	}
	for _, step := range []time.Duration{0, time.Nanosecond, 300 * time.Millisecond, 1100 * time.Millisecond} {
		t.Run(step.String(), func(t *testing.T) {
			bubblePools(t, pooled(4), map[string]nic.Pool{"web": {Min: 1, Max: 2, Idle: nic.Duration(10 * time.Second)}}, func(t *testing.T, r *rig) {
				var claims []nic.Claim
				for i := range crashes {
					switch {
					case i%3 != 2:
						claims = append(claims, r.acquire(fmt.Sprintf("%04x", i), "web"))
					case len(claims) > 1:
						r.giveBack(claims[0])
						r.giveBack(claims[1])
						claims = claims[2:]
					}
					r.wait(step)
					r.crash()
					r.live(300 * time.Millisecond)
				}
				for _, c := range claims {
					r.giveBack(c)
				}
				r.live(20 * time.Second)
				r.count(nic.PhaseSpare, 1)
				r.setPools(nil, 0, 0)
				r.live(20 * time.Second)
				r.empty()
			})
		})
	}
}

// setTenant makes a NIC another tenant's.
func (r *rig) setTenant(id nic.ID, tenant string) {
	r.t.Helper()
	n, rev, err := store.GetJSON[nic.NIC](r.t.Context(), r.store, "nic/"+string(id))
	if err != nil {
		r.t.Fatal(err)
	}
	n.Tenant = tenant
	op, err := store.UpdateJSON("nic/"+string(id), n, rev)
	if err != nil {
		r.t.Fatal(err)
	}
	if _, err := r.store.Commit(r.t.Context(), op); err != nil {
		r.t.Fatal(err)
	}
}
