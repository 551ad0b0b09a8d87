package allocator_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/nicferry/nicferry/allocator"
	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// slowToRead is a store whose NICs are not read all together before it is let go.
type slowToRead struct {
	store.Store
	letGo chan struct{}
}

func (s slowToRead) List(ctx context.Context, prefix, after string, limit int) ([]store.Record, store.Rev, error) {
	if prefix == "nic/" {
		select {
		case <-s.letGo:
		case <-ctx.Done():
			return nil, 0, ctx.Err()
		}
	}
	return s.Store.List(ctx, prefix, after, limit)
}

// startReading restarts the controller, which reads what there is until it is let go.
func (r *rig) startReading(perNode int) (letGo func()) {
	r.t.Helper()
	r.stop()
	whole, slow := r.store, slowToRead{r.store, make(chan struct{})}
	r.store = slow
	r.startMade(perNode, false, allocator.Options{})
	if err := r.alloc.Ready(r.t.Context()); err == nil {
		r.t.Error("the controller has begun, with its NICs not read yet")
	}
	return func() {
		r.t.Helper()
		close(slow.letGo)
		r.wait(time.Minute)
		if err := r.alloc.Ready(r.t.Context()); err != nil {
			r.t.Error(err)
		}
		r.store = whole
	}
}

// A controller that reads what there was before makes new claims ready meanwhile, and their
// node hears of it.
func TestAClaimIsReadyBeforeAllOthersAreLookedAt(t *testing.T) {
	madeBubble(t, 3, allocator.Options{}, func(t *testing.T, r *rig) {
		old := r.wants(r.acquire("0001", "made").ID, nic.ClaimReady, time.Minute)
		letGo := r.startReading(3)
		_, rev, err := r.alloc.Wanted(t.Context(), "vm1", 0)
		if err != nil {
			t.Fatal(err)
		}
		heard := make(chan error, 1)
		go func() {
			_, err := r.alloc.WaitChange(t.Context(), "vm1", rev)
			heard <- err
		}()
		synctest.Wait()
		early := []nic.Claim{r.acquire("0002", "made"), r.acquire("0003", "made")}
		for _, claim := range early {
			if claim.Phase != nic.ClaimReady {
				t.Errorf("claim of %s is %s: %v", claim.Container, claim.Phase, claim.Conditions)
			}
		}
		synctest.Wait()
		select {
		case err := <-heard:
			if err != nil {
				t.Error(err)
			}
		default:
			t.Error("the node has not heard of the NIC")
		}
		full := r.acquire("0004", "made")
		if full.Phase == nic.ClaimReady {
			t.Error("a fourth NIC was plugged in where three have room")
		}
		letGo()
		r.wants(full.ID, nic.ClaimRefused, time.Minute)
		r.faultless(false)
		if err := r.alloc.Release(t.Context(), full.ID, full.Epoch); err != nil {
			t.Fatal(err)
		}
		for _, claim := range append(early, old) {
			if err := r.alloc.Release(t.Context(), claim.ID, claim.Epoch); err != nil {
				t.Fatal(err)
			}
			r.wait(time.Second)
			r.report(r.claim(claim.ID), nic.ObservedClean, false)
		}
		r.wait(time.Minute)
		r.emptyStore()
	})
}

// Where somebody may wait for a slot, all is looked at first.
func TestAClaimWaitsForOthersThatAreNotAtRest(t *testing.T) {
	for name, unrest := range map[string]func(*rig, nic.Claim){
		"a NIC that is taken back": func(r *rig, old nic.Claim) {
			if err := r.alloc.Release(r.t.Context(), old.ID, old.Epoch); err != nil {
				r.t.Fatal(err)
			}
			r.wait(time.Second)
		},
		"a claim on the move": func(r *rig, old nic.Claim) {
			op, err := store.CreateJSON("moving/vm2/eth0/elsewhere", old.ID)
			if err == nil {
				_, err = r.store.Commit(r.t.Context(), op)
			}
			if err != nil {
				r.t.Fatal(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			madeBubble(t, 3, allocator.Options{}, func(t *testing.T, r *rig) {
				unrest(r, r.wants(r.acquire("0001", "made").ID, nic.ClaimReady, time.Minute))
				letGo := r.startReading(3)
				claim := r.acquire("0002", "made")
				if claim.Phase != nic.ClaimPending {
					t.Errorf("the claim is %s", claim.Phase)
				}
				letGo()
				r.wants(claim.ID, nic.ClaimReady, time.Minute)
			})
		})
	}
}
