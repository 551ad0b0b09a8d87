package allocator_test

import (
	"context"
	"sync/atomic"
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// A paused store lets something happen between a list of all claims and what
// is made of it.
type pausedStore struct {
	store.Store
	then atomic.Pointer[func()]
}

func (p *pausedStore) List(ctx context.Context, prefix, after string, limit int) ([]store.Record, store.Rev, error) {
	records, rev, err := p.Store.List(ctx, prefix, after, limit)
	if prefix == "claim/" {
		if then := p.then.Swap(nil); then != nil {
			(*then)()
		}
	}
	return records, rev, err
}

// A refused claim that is released while it is to be tried again stays away.
func TestAReleasedClaimIsNotTriedAgain(t *testing.T) {
	bubble(t, full(1), func(t *testing.T, r *rig) {
		between := &pausedStore{Store: r.store}
		r.store = between
		r.crash()
		first := r.wants(r.acquire("0001", "lab").ID, nic.ClaimReady, time.Second)
		second := r.wants(r.acquire("0002", "lab").ID, nic.ClaimRefused, time.Second)
		r.report(first, nic.ObservedIn, true)
		r.release(first.ID)
		then := func() { r.release(second.ID) }
		r.report(first, nic.ObservedClean, false)
		between.then.Store(&then)
		r.wait(time.Minute)
		if between.then.Load() != nil {
			t.Fatal("nobody tried the refused again")
		}
		r.empty()
	})
}
