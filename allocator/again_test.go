package allocator_test

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A careless provider loses what it has plugged in: the NIC is attaching until
// it is asked for again.
type careless struct {
	provider.Provider
	mu   sync.Mutex
	lost map[nic.ID]bool
	lose int // so many attaches are lost at once
}

func (c *careless) Attach(ctx context.Context, id nic.ID, at nic.Place) (nic.Seen, error) {
	seen, err := c.Provider.Attach(ctx, id, at)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost[id] = c.lose > 0
	c.lose = max(0, c.lose-1)
	return c.told(seen), err
}

func (c *careless) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	all, err := c.Provider.Get(ctx, ids...)
	c.mu.Lock()
	defer c.mu.Unlock()
	for id, seen := range all {
		all[id] = c.told(seen)
	}
	return all, err
}

func (c *careless) drop(id nic.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lost[id] = true
}

func (c *careless) told(seen nic.Seen) nic.Seen {
	if c.lost[seen.NIC] && seen.State == nic.StateAttached {
		seen.State, seen.Device, seen.Bus = nic.StateAttaching, nic.Device{}, ""
	}
	return seen
}

func newCareless(r *rig) *careless {
	c := &careless{Provider: r.cloud, lost: map[nic.ID]bool{}}
	r.via = c
	r.crash()
	return c
}

// F20: a card that a guest lets go of right after it was plugged in, for a
// request that was meant for the last one in its slot, is plugged in again.
func TestF20_AnAttachThatLastsIsAskedForAgain(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		c := newCareless(r)
		c.lose = 2
		claim := r.acquire("0001", "lab")
		r.wait(14 * time.Second)
		if n := r.cloud.Counts()[fake.OpAttach].Calls; n != 2 {
			t.Errorf("asked %d times in 14 s; want once more after 5 s", n)
		}
		first := r.claim(claim.ID)
		if got := r.wants(claim.ID, nic.ClaimReady, 2*time.Second); got.NIC != first.NIC || len(got.Setbacks) > 0 {
			t.Errorf("%+v; want the NIC %s, and no setback", got, first.NIC)
		}
		r.wait(time.Minute)
		if n := r.cloud.Counts()[fake.OpAttach].Calls; n != 3 {
			t.Errorf("asked %d times; want 3, and none once it is attached", n)
		}
	})
}

// The same once the container has it: it gets it back, before its patience ends.
func TestF20_ACardThatIsTornOutOfAContainerComesBack(t *testing.T) {
	bubble(t, full(8), func(t *testing.T, r *rig) {
		c := newCareless(r)
		claim := r.wants(r.acquire("0001", "lab").ID, nic.ClaimReady, time.Second)
		r.report(claim, nic.ObservedIn, true)
		r.wants(claim.ID, nic.ClaimBound, time.Second)
		before := r.cloud.Counts()[fake.OpAttach].Calls
		c.drop(claim.NIC)
		r.blind(claim.ID, 7*time.Second)
		all, err := c.Get(t.Context(), claim.NIC)
		if seen := all[claim.NIC]; err != nil || seen.State != nic.StateAttached {
			t.Errorf("after 7 s it is %s, %v; want it attached", seen.State, err)
		}
		r.report(claim, nic.ObservedIn, true)
		got := r.wants(claim.ID, nic.ClaimBound, time.Second)
		if got.NIC != claim.NIC || len(got.Conditions)+len(got.Setbacks) > 0 {
			t.Errorf("once it is back: %+v", got)
		}
		if n := r.cloud.Counts()[fake.OpAttach].Calls - before; n != 1 {
			t.Errorf("asked %d times; want once", n)
		}
	})
}

// overtaken refuses the second attach, which takes so long that a look has found
// meanwhile that the first one has worked.
type overtaken struct {
	*careless
	asked atomic.Int32
}

func (o *overtaken) Attach(ctx context.Context, id nic.ID, at nic.Place) (nic.Seen, error) {
	if o.asked.Add(1) != 2 {
		return o.careless.Attach(ctx, id, at)
	}
	o.mu.Lock()
	o.lost[id] = false
	o.mu.Unlock()
	time.Sleep(time.Second)
	return nic.Seen{}, &provider.Error{Kind: provider.ErrUnsupported, Err: errors.New("it is there already")}
}

// F09: an attach that is insisted on and refused takes no NIC away that has been
// plugged in meanwhile.
func TestF09_ALateRefusalTakesNothingAway(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		o := &overtaken{careless: newCareless(r)}
		o.lose = 1
		r.via = o
		r.crash()
		claim := r.acquire("0001", "lab")
		r.wait(30 * time.Second)
		if got := r.claim(claim.ID); o.asked.Load() != 2 || got.Phase != nic.ClaimReady || len(got.Setbacks) != 0 {
			t.Errorf("asked %d times: %+v", o.asked.Load(), got)
		}
		r.count(nic.PhaseHeld, 1)
	})
}
