package allocator_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// A guarded cloud minds being asked to take a NIC away that somebody has.
type guarded struct {
	*fake.Provider
	t     *testing.T
	store store.Store
}

func (g *guarded) Detach(ctx context.Context, id nic.ID, instance nic.InstanceID) error {
	g.mind(ctx, "detach", id)
	return g.Provider.Detach(ctx, id, instance)
}

func (g *guarded) Delete(ctx context.Context, id nic.ID) error {
	g.mind(ctx, "delete", id)
	return g.Provider.Delete(ctx, id)
}

func (g *guarded) mind(ctx context.Context, what string, id nic.ID) {
	n, _, err := store.GetJSON[nic.NIC](ctx, g.store, "nic/"+string(id))
	if err == nil && n.Phase != nic.PhaseReturning && n.Phase != nic.PhaseRetiring {
		g.t.Errorf("%s of %s, which is %s for %q", what, id, n.Phase, n.Holder)
	}
	claims, _, err := store.ListJSON[nic.Claim](ctx, g.store, "claim/", "", 0)
	for _, c := range claims {
		if err == nil && c.Value.NIC == id && (c.Value.Phase == nic.ClaimReady || c.Value.Phase == nic.ClaimBound) {
			g.t.Errorf("%s of %s, which claim %s has", what, id, c.Value.ID)
		}
	}
}

// F15: many take NICs and give them back while the pool shrinks, which it does
// all the time: nothing stays idle for long. No NIC is ever given out and taken
// away at once.
func TestF15_ThePoolDisposesOfNothingThatIsGivenOut(t *testing.T) {
	takers := 24
	if long() {
		takers = 64
	}
	bubble(t, fake.Options{NICsPerInstance: takers + 8, Latency: fake.Latency{Attach: 30 * time.Millisecond, Detach: 40 * time.Millisecond}}, func(t *testing.T, r *rig) {
		r.via = &guarded{Provider: r.cloud, t: t, store: r.store}
		r.setPools(map[string]nic.Pool{"lab": {Min: 4, Max: 24, Idle: nic.Duration(20 * time.Millisecond)}, "late": {Max: 4}}, 0, 0)
		ctx, stop := context.WithTimeout(t.Context(), 120*time.Millisecond)
		defer stop()
		var wg sync.WaitGroup
		warm := make([]int, takers)
		for i := range takers {
			wg.Go(func() { warm[i] = r.takeAndGiveBack(ctx, i) })
		}
		for ctx.Err() == nil {
			time.Sleep(7 * time.Millisecond)
			r.tend()
		}
		wg.Wait()
		total := 0
		for _, w := range warm {
			total += w
		}
		if total == 0 {
			t.Error("nobody was ever served out of the pool")
		}
		t.Logf("%d starts were warm, %d NICs were made", total, r.cloud.Counts()[fake.OpCreate].Effects)
		r.setPools(nil, 0, 0)
		r.live(3 * time.Second)
		r.empty()
	})
}

// takeAndGiveBack has a container come and go until ctx ends, and counts how
// often it was served at once.
func (r *rig) takeAndGiveBack(ctx context.Context, taker int) (warm int) {
	for round := 0; ctx.Err() == nil; round++ {
		name := fmt.Sprintf("%02x%02x", taker, round%256)
		network := []string{"lab", "lab", "lab", "late"}[(taker+round)%4]
		claim, err := r.alloc.Acquire(r.t.Context(), owner(name), name, nic.Request{Interface: "eth0", Network: network})
		if err != nil {
			r.t.Errorf("acquire: %v", err)
			return warm
		}
		if claim.Phase == nic.ClaimReady {
			warm++
		}
		time.Sleep(time.Duration(3+(taker*7+round*13)%90) * time.Millisecond)
		if err := r.alloc.Release(r.t.Context(), claim.ID, claim.Epoch); err != nil {
			r.t.Errorf("release: %v", err)
			return warm
		}
		time.Sleep(time.Duration((taker*5+round*11)%50) * time.Millisecond)
	}
	return warm
}

// A store in which something happens between the choice of a spare NIC's MAC and
// that of the NIC.
type betweenChoices struct {
	store.Store
	then atomic.Pointer[func()]
}

func (b *betweenChoices) Get(ctx context.Context, key string) (store.Record, error) {
	r, err := b.Store.Get(ctx, key)
	if strings.HasPrefix(key, "mac/") {
		if then := b.then.Swap(nil); then != nil {
			(*then)()
		}
	}
	return r, err
}

// P1: a claim that was to get a spare NIC, and with it its MAC, gets another MAC
// once that NIC goes home meanwhile.
func TestP1_ASpareThatLeavesTakesItsMACAlong(t *testing.T) {
	bubble(t, fake.Options{NICsPerInstance: 8, Latency: fake.Latency{Detach: time.Minute}}, func(t *testing.T, r *rig) {
		between := &betweenChoices{Store: r.store}
		r.store = between
		r.setPools(map[string]nic.Pool{"lab": {Min: 1, Max: 1}}, 0, 0)
		r.live(3 * time.Second)
		spare := r.nics()[nic.PhaseSpare][0]
		then := func() {
			n, rev, err := store.GetJSON[nic.NIC](t.Context(), r.store, "nic/"+string(spare.ID))
			if n.Phase = nic.PhaseReturning; err != nil {
				t.Fatal(err)
			}
			op, err := store.UpdateJSON("nic/"+string(n.ID), n, rev)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := r.store.Commit(t.Context(), op); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Millisecond) // the leader sees it
		}
		between.then.Store(&then)
		claim := r.acquire("0001", "lab")
		if between.then.Load() != nil {
			t.Fatal("no MAC of a spare NIC was looked at")
		}
		r.live(3 * time.Second) // with a look at the invariants
		if got := r.claim(claim.ID); got.NIC == spare.ID || got.Identity.MAC.IsZero() || got.Identity.MAC == spare.Spec.MAC {
			t.Errorf("got NIC %s with MAC %s, while %s with MAC %s is going home", got.NIC, got.Identity.MAC, spare.ID, spare.Spec.MAC)
		}
	})
}
