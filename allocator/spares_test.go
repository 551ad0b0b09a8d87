package allocator_test

import (
	"context"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// A store whose watches come no further than the first change of a NIC while they are
// held, and whose first commit of one does not return, as on a machine that is too busy.
type slowWatch struct {
	store.Store
	held atomic.Pointer[chan struct{}]
	late atomic.Bool // a commit waits
}

func (s *slowWatch) Commit(ctx context.Context, ops ...store.Op) (store.Rev, error) {
	at, err := s.Store.Commit(ctx, ops...)
	of := func(op store.Op) bool { return strings.HasPrefix(op.Key, "nic/") }
	if held := s.held.Load(); held != nil && slices.ContainsFunc(ops, of) && !s.late.Swap(true) {
		<-*held
	}
	return at, err
}

func (s *slowWatch) Watch(ctx context.Context, prefix string, from store.Rev) (store.Watch, error) {
	w, err := s.Store.Watch(ctx, prefix, from)
	return slowReader{w, s}, err
}

type slowReader struct {
	store.Watch
	of *slowWatch
}

func (r slowReader) Next(ctx context.Context) ([]store.Event, error) {
	events, err := r.Watch.Next(ctx)
	for _, e := range events {
		if held := r.of.held.Load(); held != nil && strings.HasPrefix(e.Key, "nic/") {
			select {
			case <-*held:
			case <-ctx.Done():
			}
		}
	}
	return events, err
}

// A claim that comes while the leader has not seen its own spare yet gets that one, and
// nothing further is made for it; also where the leader does not know yet whether it is
// written.
func TestASpareIsServedBeforeItIsSeen(t *testing.T) {
	for _, late := range []bool{false, true} {
		asksBeforeItIsSeen(t, late)
	}
}

func asksBeforeItIsSeen(t *testing.T, late bool) {
	bubble(t, fake.Options{NICsPerInstance: 8, Latency: fake.Latency{Create: time.Second}}, func(t *testing.T, r *rig) {
		slow := &slowWatch{Store: r.store}
		slow.late.Store(!late)
		free := make(chan struct{})
		slow.held.Store(&free)
		r.store = slow
		r.setPools(map[string]nic.Pool{"lab": {Min: 1, Max: 1, Idle: nic.Duration(time.Hour)}}, 0, 0)
		r.wait(50 * time.Millisecond)
		all := r.nics()[nic.PhasePlanned]
		if len(all) != 1 {
			t.Fatalf("%d spares are being made, want 1", len(all))
		}
		claim := r.acquire("0001", "lab")
		if claim.NIC != all[0].ID {
			t.Errorf("the claim got %s, not %s, which was being made for whoever comes", claim.NIC, all[0].ID)
		}
		slow.held.Store(nil)
		close(free)
		r.live(5 * time.Second)
		r.wants(claim.ID, nic.ClaimBound, 0)
	})
}
