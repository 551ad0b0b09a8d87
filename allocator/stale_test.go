package allocator_test

import (
	"context"
	"errors"
	"sync"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A fog is in front of a cloud and shows it late, or not at all.
type fog struct {
	*fake.Provider
	visibleAfter time.Duration // hides new NICs from Get and Delete for that long
	getTakes     time.Duration // an answer of Get is that old when it arrives

	mu      sync.Mutex
	made    map[nic.ID]time.Time
	blindTo int // so many further Gets see nothing
}

func (f *fog) Info() provider.Info {
	info := f.Provider.Info()
	info.WorstCall = time.Minute
	info.VisibleAfter = f.visibleAfter
	return info
}

func (f *fog) Create(ctx context.Context, spec nic.Spec) (nic.Seen, error) {
	seen, err := f.Provider.Create(ctx, spec)
	if err == nil || errors.Is(err, provider.ErrUnknown) {
		f.mu.Lock()
		defer f.mu.Unlock()
		if f.made == nil {
			f.made = map[nic.ID]time.Time{}
		}
		if _, ok := f.made[spec.NIC]; !ok {
			f.made[spec.NIC] = time.Now()
		}
	}
	return seen, err
}

func (f *fog) hides(id nic.ID) bool {
	f.mu.Lock()
	defer f.mu.Unlock()
	return time.Since(f.made[id]) < f.visibleAfter
}

func (f *fog) Delete(ctx context.Context, id nic.ID) error {
	if f.hides(id) {
		return &provider.Error{Kind: provider.ErrNotFound, ID: id}
	}
	return f.Provider.Delete(ctx, id)
}

func (f *fog) Get(ctx context.Context, ids ...nic.ID) (map[nic.ID]nic.Seen, error) {
	all, err := f.Provider.Get(ctx, ids...)
	time.Sleep(f.getTakes)
	f.mu.Lock()
	blind := f.blindTo > 0
	if blind {
		f.blindTo--
	}
	f.mu.Unlock()
	for id := range all {
		if blind || f.hides(id) {
			delete(all, id)
		}
	}
	return all, err
}

// An answer that was on its way while the NIC got to its node must not take
// the node's word of it away: nobody would look at the NIC again.
func TestALateAnswerMovesNoHeldNIC(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.via = &fog{Provider: r.cloud, getTakes: 3 * time.Second}
		r.crash()
		r.cloud.Fail(fake.OpAttach, &provider.Error{Kind: provider.ErrThrottled, RetryAfter: 700 * time.Millisecond})
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Minute)
		r.wait(time.Minute)
		wanted, _, err := r.alloc.Wanted(t.Context(), "vm1", 0)
		if err != nil || len(wanted) != 1 || wanted[0].NIC != claim.NIC {
			t.Errorf("wanted %+v, %v; want NIC %s", wanted, err, claim.NIC)
		}
	})
}

// F05: a cloud that does not see a NIC has not said that its node is rid of it.
func TestF05_AnUnseenNICIsNotTakenBackYet(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		f := &fog{Provider: r.cloud}
		r.via = f
		r.crash()
		claim := r.wants(r.acquire("0001", "web").ID, nic.ClaimReady, time.Minute)
		r.report(claim, nic.ObservedIn, true)
		f.mu.Lock()
		f.blindTo = 1
		f.mu.Unlock()
		if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
			t.Fatal(err)
		}
		r.wait(10 * time.Minute)
		wanted, _, err := r.alloc.Wanted(t.Context(), "vm1", 0)
		if err != nil || len(wanted) != 1 || !wanted[0].Gone {
			t.Fatalf("wanted %+v, %v; want the NIC gone until the node has said clean", wanted, err)
		}
		f.mu.Lock()
		f.blindTo = 1 // so the NIC goes on to be deleted while it is plugged in
		f.mu.Unlock()
		r.report(claim, nic.ObservedClean, false)
		r.wait(10 * time.Minute)
		r.empty()
	})
}

// F03, F04: the NIC was made long after its record, the reply was lost, and
// the cloud does not show it yet.
func TestF04_AYoungNICOfAnOldRecordIsDeleted(t *testing.T) {
	bubble(t, fake.Options{}, func(t *testing.T, r *rig) {
		r.via = &fog{Provider: r.cloud, visibleAfter: 20 * time.Second}
		r.crash()
		r.cloud.Fail(fake.OpCreate, &provider.Error{Kind: provider.ErrThrottled, RetryAfter: time.Minute + 100*time.Millisecond}) // between two looks
		for range 5 {
			r.cloud.Lose(fake.OpCreate)
		}
		claim := r.acquire("0001", "web")
		r.wait(time.Minute + 300*time.Millisecond)
		if seen, _ := r.cloud.List(t.Context()); len(seen) != 1 {
			t.Fatalf("the cloud has %v, want the NIC whose reply was lost", seen)
		}
		if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
			t.Fatal(err)
		}
		r.wait(10 * time.Minute)
		r.empty()
	})
}
