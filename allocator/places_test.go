package allocator_test

import (
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider/fake"
)

// A move begins as soon as the last one is over: the place that was kept for that one
// is given back first, so that none is counted that nobody has.
func TestAPlaceIsGivenBackBeforeTheNextMove(t *testing.T) {
	t.Parallel()
	for _, shared := range []bool{false, true} {
		byAddress(t, fake.Options{}, nic.Cloud{Movable: true, Shared: shared}, func(t *testing.T, tr *trip) {
			for range 30 {
				tr.begin()
				tr.cancel()
			}
			tr.until("one NIC is left", func() bool { return len(tr.cloud.World()) == 1 })
			tr.begin()
			tr.until("a place is ready on vm2", func() bool { return tr.at().NextPhase == nic.PhaseCarrying })
			for _, c := range tr.nics()[nic.PhaseCarrying] {
				if c.Seats != 1 {
					t.Errorf("%d seats are counted on %s", c.Seats, c.ID)
				}
			}
			tr.cancel()
			tr.until("one NIC is left", func() bool { return len(tr.cloud.World()) == 1 })
			tr.nothingLeft()
		})
	}
}

// The network's addresses do not go alone any more when a move by address ends: its
// place on the node of before is given back all the same.
func TestAPlaceIsGivenBackUnderAnotherConfig(t *testing.T) {
	t.Parallel()
	byAddress(t, fake.Options{}, nic.Cloud{Movable: true}, func(t *testing.T, tr *trip) {
		tr.begin()
		tr.leave()
		tr.until("in on vm2", tr.in("vm2"))
		tr.stop()
		for i := range tr.networks {
			tr.networks[i].Cloud.Movable = false
		}
		tr.start()
		tr.wait(10 * time.Second)
		tr.finish()
		tr.until("the NIC of before is gone", func() bool { return len(tr.cloud.World()) == 1 })
		tr.nothingLeft()
	})
}
