package allocator_test

import (
	"context"
	"slices"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// A commitCounter counts the commits that write.
type commitCounter struct {
	store.Store
	n *atomic.Int64
}

func (c commitCounter) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	if slices.ContainsFunc(ops, store.Op.Writes) {
		c.n.Add(1)
	}
	return c.Store.Commit(ctx, ops...)
}

// Steps and events ride along, and so does what follows at once from what a provider
// says: a life takes no commits for them.
func TestStepsCostNoCommit(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		cloud fake.Options
		want  int64
	}{
		"at once":    {fake.Options{}, 12},
		"slow cloud": {fake.Options{Latency: fake.Latency{Create: time.Second, Attach: 2 * time.Second, Detach: time.Second, Delete: time.Second}}, 14},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			bubble(t, tc.cloud, func(t *testing.T, r *rig) {
				r.stop()
				var n atomic.Int64
				r.store = commitCounter{r.store, &n}
				r.start()
				r.wait(time.Minute)
				before := n.Load()
				claim := r.acquire("0001", "lab")
				r.wants(claim.ID, nic.ClaimReady, time.Minute)
				claim = r.claim(claim.ID)
				for _, state := range []nic.ObservedState{nic.ObservedWaiting, nic.ObservedMade, nic.ObservedIn, nic.ObservedIn} {
					r.reportSteps(claim, state, nic.NodeStep{Name: nic.StepFound}, nic.NodeStep{Name: nic.StepReported})
				}
				if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
					t.Fatal(err)
				}
				r.wait(time.Second)
				r.report(r.claim(claim.ID), nic.ObservedClean, false)
				r.wait(time.Minute)
				r.empty()
				if got := n.Load() - before; got != tc.want {
					t.Errorf("%d commits, want %d", got, tc.want)
				}
			})
		})
	}
}
