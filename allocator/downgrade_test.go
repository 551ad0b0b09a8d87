package allocator_test

import (
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// A release from before moves writes a claim that is on the way without its move. Back
// with this one, the claim serves its container again, and may move.
func TestF54_AMoveIsForgottenByAnOlderRelease(t *testing.T) {
	travels(t, fake.Options{Travel: provider.Carry}, func(t *testing.T, tr *trip) {
		tr.begin()
		tr.stop()
		rec, err := tr.store.Get(t.Context(), "claim/"+string(tr.claims[0]))
		if err != nil {
			t.Fatal(err)
		}
		claim, err := store.DecodeJSON[nic.Claim](rec)
		if err != nil {
			t.Fatal(err)
		}
		claim.Move = nil
		op, err := store.UpdateJSON(rec.Key, claim, rec.Rev)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := tr.store.Commit(t.Context(), op); err != nil {
			t.Fatal(err)
		}
		tr.start()
		for range 20 {
			tr.wait(time.Second) // what follows from the record is done before the agents ask
			tr.obeyUnsound()
		}
		if now := tr.now(); now.Phase != nic.ClaimBound {
			t.Fatalf("the claim is %+v", now)
		}
		if _, err := tr.alloc.BeginMove(t.Context(), nic.NewMoveID(), tr.claims, "vm2", "web"); err != nil {
			t.Errorf("it moves no more: %v", err)
		}
	})
}
