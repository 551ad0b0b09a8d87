package allocator

import (
	"testing"

	"github.com/nicferry/nicferry/internal/store"
	"github.com/nicferry/nicferry/nic"
)

// A claim is known to wait from before the commit that says so, and an older change that
// is seen later does not take that back.
func TestUnservedMissesNone(t *testing.T) {
	refused := nic.Claim{ID: "clm-0000000000000001", Phase: nic.ClaimRefused}
	event := func(c nic.Claim, at store.Rev) store.Event {
		op, err := store.CreateJSON(claimKey(c.ID), c)
		if err != nil {
			t.Fatal(err)
		}
		return store.Event{Record: store.Record{Key: claimKey(c.ID), Value: op.Value, Rev: at}}
	}
	ready := refused
	ready.Phase = nic.ClaimReady
	u := newUnserved()
	knows := func(when string, want int) {
		t.Helper()
		if got := len(u.all()); got != want {
			t.Errorf("%s: %d wait, want %d", when, got, want)
		}
	}
	end := u.writes([]remembered{{claimKey(refused.ID), refused}})
	knows("before the commit", 1)
	end(0)
	knows("it was not committed", 0)
	u.writes([]remembered{{claimKey(refused.ID), refused}})(7)
	u.see(event(ready, 6))
	knows("an older change is seen", 1)
	if u.see(event(refused, 7)) {
		t.Error("its own commit is news")
	}
	u.learn(nil, 6)
	knows("all was read before that", 1)
	u.see(event(ready, 8))
	knows("it is served", 0)
	if !u.see(event(refused, 9)) {
		t.Error("another's commit is no news")
	}
	u.learn(nil, 9)
	knows("all was read since", 0)
}
