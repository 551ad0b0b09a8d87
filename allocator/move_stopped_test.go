package allocator_test

import (
	"testing"
	"time"

	"github.com/nicferry/nicferry/internal/api"
	"github.com/nicferry/nicferry/nic"
)

// A container that does not run is made on the other node and not started. Its agent
// asks for it as for any that was never started; that must not have a NIC made again
// and again, each for the time of the hold.
func TestWhatIsMovedWithoutBeingStartedGetsNoNICAnew(t *testing.T) {
	bothWays(t, func(t *testing.T, tr *trip) {
		was := tr.now()
		if was.Identity.Given { // it has given its address back with the seat, and does not move
			return
		}
		tr.runs[sandbox("a001")] = false
		tr.until("the hold is over", func() bool { return tr.now().NIC == "" })
		tr.begin()
		tr.aim()
		tr.bring("vm2")
		tr.until("on vm2", func() bool { at := tr.at(); return at.Node == "vm2" && at.Phase == nic.PhaseHeld })
		tr.finish()
		tr.until("the hold is over there", func() bool { return tr.now().NIC == "" })
		for end := time.Now().Add(time.Minute); time.Now().Before(end); tr.wait(time.Second) {
			if now := tr.askFor(false); now.NIC != "" {
				t.Fatalf("it does not run and has %+v", now)
			}
			tr.obey()
		}
		tr.runs[sandbox("b001")] = true
		tr.askFor(true)
		tr.until("bound", func() bool { return tr.now().Phase == nic.ClaimBound })
		tr.sameIdentity(was)
		tr.nothingLeft()
	})
}

// askFor is what the agent of vm2 does for the container that has moved there.
func (tr *trip) askFor(runs bool) nic.Claim {
	tr.t.Helper()
	now := tr.now()
	now.Request.Unstarted = !runs
	claim, err := tr.alloc.Acquire(api.WithSession(tr.t.Context(), tr.sessions["vm2"]), now.Owner, now.Container, now.Request)
	if err != nil {
		tr.t.Fatal(err)
	}
	return claim
}
