package allocator_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/nicferry/nicferry/nic"
	"github.com/nicferry/nicferry/provider"
	"github.com/nicferry/nicferry/provider/fake"
)

// wander does something to a move at random, again and again, and says where the
// NIC was sent last.
func (tr *trip) wander(rng *rand.Rand) (node string) {
	tr.t.Helper()
	node = "vm1"
	nodes := []string{"vm1", "vm2"}
	for range 60 {
		switch rng.IntN(12) {
		case 0, 1:
			node = nodes[rng.IntN(2)]
			tr.bring(node)
		case 2:
			tr.crash()
		case 3:
			of := nodes[rng.IntN(2)]
			tr.mute[of] = !tr.mute[of]
		case 4:
			of := nodes[rng.IntN(2)]
			tr.frozen[of] = !tr.frozen[of]
		case 5:
			tr.runs[sandbox("a001")] = !tr.runs[sandbox("a001")]
		case 6:
			tr.runs[sandbox("b001")] = !tr.runs[sandbox("b001")]
		case 7:
			tr.park("at random")
			tr.park("")
		default:
			tr.obey()
		}
		tr.wait(time.Duration(rng.IntN(4000)) * time.Millisecond)
	}
	for _, of := range nodes {
		tr.mute[of], tr.frozen[of] = false, false
	}
	return node
}

// Wherever a move wanders, under a slow cloud and a controller that dies, what must
// hold does, and it gets to either end.
func TestAMoveWanders(t *testing.T) {
	lives := uint64(12)
	if long() {
		lives = 500
	}
	for _, travel := range []provider.Travel{provider.Carry, provider.Rebuild} {
		for seed := range lives {
			t.Run(fmt.Sprintf("%s/%d", travel, seed), func(t *testing.T) {
				rng := rand.New(rand.NewPCG(seed, 7))
				travels(t, fake.Options{Travel: travel, NICsPerInstance: 1, CallTime: 50 * time.Millisecond, Latency: fake.Latency{
					Create: 500 * time.Millisecond, Attach: 3 * time.Second, Detach: 4 * time.Second, Delete: time.Second,
				}}, func(t *testing.T, tr *trip) {
					was := tr.now()
					tr.begin()
					tr.aim()
					at := tr.wander(rng)
					if rng.IntN(2) == 0 {
						at = map[string]string{"vm1": "vm2", "vm2": "vm1"}[at]
						tr.bring(at)
					}
					tr.runs[sandbox("a001")], tr.runs[sandbox("b001")] = at == "vm1", at == "vm2"
					tr.until("in on "+at, tr.in(at))
					if at == "vm2" {
						tr.finish()
					} else {
						tr.cancel()
					}
					tr.sameIdentity(was)
					tr.until("bound", func() bool { return tr.now().Phase == nic.ClaimBound && tr.in(at)() })
					tr.nothingLeft()
				})
			})
		}
	}
}
